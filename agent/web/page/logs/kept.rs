//! What stands under the answer of `/logs`: what is read, and how it goes with every sink and input.

use maud::{Markup, html};
use model::text;
use model::view::{LogInput, LogJournal, LogService, LogSink, LogState};

use crate::page::lines::Place;
use crate::page::visit::Visit;
use crate::page::{link, words};

/// What is read, and where lines go.
pub(super) fn kept(visit: &Visit, state: &LogState) -> Markup {
    let read: Vec<String> = state
        .files
        .iter()
        .filter(|file| file.error.is_empty())
        .map(|file| match Place::of_path(&file.path) {
            Some(place) => format!("{}/{}", place.pod, place.container),
            None => link::file_name(&file.path).to_owned(),
        })
        .collect();
    let here = state.sinks.iter().find(|sink| sink.target.is_none());
    let unwanted = here.map_or(0, LogSink::left_out);
    html! {
        p {
            @if state.nodes > 0 { (words::count(state.nodes, "node")) " can be asked for the last lines of a pod. " }
            "Reads " (words::growing(read.len(), "file"))
            @if !read.is_empty() { ": " (words::list_short(&read, 6)) }
            ". " (words::count(usize::try_from(state.lines).unwrap_or(usize::MAX), "line")) " kept since start, " (text::bytes(state.bytes_on_disk as f64))
            " in " code { (visit.own.data_dir.trim_end_matches('/')) "/logs" }
            @if unwanted > 0 { "; " (text::count(unwanted)) " left out by filters" }
            "."
        }
        @for sink in &state.sinks {
            @if let Some(target) = &sink.target { (elsewhere(sink, target)) }
        }
        @for input in &state.inputs { (taken(input, state)) }
        @if let Some(journal) = &state.journal { (entries(journal)) }
        @for service in &state.services { (groups(service)) }
    }
}

/// An input that others send records to, and how it goes.
fn taken(input: &LogInput, state: &LogState) -> Markup {
    let refused: u64 = input.refused.iter().map(|(_, count)| count).sum();
    let records = usize::try_from(input.records).unwrap_or(usize::MAX);
    let connections = usize::try_from(input.connections).unwrap_or(usize::MAX);
    html! {
        p {
            (words::count(records, "record")) " taken by " (input.name) " at " code { (input.address) } " since start, "
            (words::count(connections, "connection")) " open"
            @if refused > 0 {
                ", " b { (text::count(refused)) " refused" } " ("
                @for (nth, (reason, count)) in input.refused.iter().enumerate() {
                    @if nth > 0 { ", " }
                    (reason) ": " (text::count(*count))
                }
                ")"
            }
            ". " (text::bytes(state.spool_bytes as f64)) " of " (text::bytes(state.spool_bytes_max as f64)) " in the spool."
            @if let Some(trouble) = &input.trouble {
                " " b { "It takes nothing at the moment" } ": " (trouble) "; senders keep what they have."
            }
        }
    }
}

/// systemd's journal as it is read, and how it goes.
fn entries(journal: &LogJournal) -> Markup {
    let skipped: u64 = journal.skipped.iter().map(|(_, count)| count).sum();
    html! {
        p {
            @if journal.entries == 1 { "1 entry" } @else { (text::count(journal.entries)) " entries" }
            " read from systemd's journal by " code { (journal.from) } " since start"
            @if skipped > 0 {
                ", " (text::count(skipped)) " left out ("
                @for (nth, (reason, count)) in journal.skipped.iter().enumerate() {
                    @if nth > 0 { ", " }
                    (reason) ": " (text::count(*count))
                }
                ")"
            }
            "."
            @if journal.missing > 0 {
                " " b { (text::count(journal.missing)) " were deleted by the journal before they were read" } "."
            }
            @if let Some(trouble) = &journal.trouble {
                " " b { "It is not read at the moment" } ": " (trouble) "; the journal keeps its entries."
            } @else if journal.entries == 0 && !journal.remark.is_empty() {
                " It says: " (journal.remark)
            }
        }
    }
}

/// One service whose log groups are read, and how it goes.
fn groups(service: &LogService) -> Markup {
    let groups = usize::try_from(service.groups).unwrap_or(usize::MAX);
    let events = usize::try_from(service.events).unwrap_or(usize::MAX);
    html! {
        p {
            @if service.reads {
                (words::count(events, "event")) " read from " (words::count(groups, "log group")) " of " (service.name)
                @if !service.region.is_empty() { " in " code { (service.region) } }
                " since start."
            } @else {
                "Log groups of " (service.name) " are read by the other replica, or by nobody yet."
            }
            @for (group, why) in service.troubles.iter().take(3) {
                " "
                @if group.is_empty() { b { "None can be read" } } @else { b { (group) " cannot be read" } }
                ": " (why) "."
            }
            @if service.troubles.len() > 3 { " And " (words::count(service.troubles.len() - 3, "more log group")) "." }
        }
    }
}

/// One place that lines are sent to, and how it goes.
fn elsewhere(sink: &LogSink, target: &str) -> Markup {
    let left_out = sink.left_out();
    let lost: u64 = sink.lost().map(|(_, count)| count).sum();
    html! {
        p {
            (words::count(usize::try_from(sink.lines).unwrap_or(usize::MAX), "line"))
            @if sink.kind == "metrics" { " counted by " } @else { " sent to " }
            (sink.name) " at " code { (target) } " since start"
            @if sink.in_flight > 0 { ", " (text::count(sink.in_flight)) " on their way" }
            @if lost > 0 { ", " b { (text::count(lost)) " it never takes" } }
            @if left_out > 0 { ", " (text::count(left_out)) " left out by filters" }
            "."
            @if let Some(trouble) = &sink.trouble {
                " " b { "It takes nothing at the moment" } ": " (trouble) "; "
                (text::bytes(sink.unread_bytes)) " wait in the log files."
            }
            @for note in &sink.notes { " Note: " (note) "." }
        }
    }
}
