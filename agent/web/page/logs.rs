//! `/logs`: looks for lines. The form is a form: what it asks stands in the address.

use maud::{Markup, html};
use model::Level;
use model::text;
use model::view::{Health, LogInput, LogJournal, LogPage, LogQuery, LogService, LogSink, LogState};

use super::frame::{Place, Sheet, empty, section};
use super::visit::Visit;
use super::when::Range;
use super::{lines, link, own, status, words};

/// Lines of one view; the time narrows it further.
const LINES_MAX: usize = 300;

const LEVELS: [(&str, &str, Option<Level>); 4] = [
    ("", "every level", None),
    ("info", "info and worse", Some(Level::Info)),
    ("warn", "warnings and worse", Some(Level::Warn)),
    ("error", "errors", Some(Level::Error)),
];

pub(super) fn view(visit: &Visit) -> Sheet {
    let range = visit.range(std::time::Duration::from_secs(3600));
    let state = (visit.rooms.log_state)();
    let asked_level = visit.asked("level").to_lowercase();
    let level = LEVELS
        .iter()
        .find(|(name, ..)| *name == asked_level)
        .and_then(|(.., level)| *level);
    let query = LogQuery {
        text: visit.asked("q").to_owned(),
        level,
        source: visit.asked("source").to_owned(),
        from: range.from,
        to: range.to,
        lines_max: LINES_MAX,
        ..LogQuery::default()
    };
    let page = (visit.rooms.logs)(&query);
    let (health, sentence) = sentence(visit, &range, &query, &page, &state);
    let main = html! {
        (status::line(health, &sentence, &kept(visit, &state), &html! {}))
        @if let Some(complaint) = &range.complaint { p.complaint role="alert" { (complaint) } }
        (form(visit, &state, &asked_level))
        (found(visit, &range, &query, &page))
        (own::log_files(visit, &state))
    };
    Sheet {
        keys: vec![
            ("/", "search"),
            ("f", "follow"),
            ("e", "next warning"),
            ("[", "earlier"),
            ("]", "later"),
        ],
        range: Some(range),
        ..Sheet::new(Place::Logs, main)
    }
}

fn sentence(
    visit: &Visit,
    range: &Range,
    query: &LogQuery,
    page: &LogPage,
    state: &LogState,
) -> (Health, String) {
    let when = range.spoken(&visit.wall);
    let has_inputs = !state.inputs.is_empty() || state.journal.is_some();
    if state.files.is_empty() && !has_inputs && state.services.is_empty() {
        return (Health::Unknown, "No log file is read on this machine".to_owned());
    }
    let count = usize::try_from(page.matched).unwrap_or(usize::MAX);
    let narrow = !query.text.trim().is_empty() || query.level.is_some() || !query.source.is_empty();
    let lines = words::count(count, "line");
    let text = match (count, narrow) {
        (0, true) => format!("No line matches {when}"),
        (0, false) => format!("No line {when}"),
        (1, true) => format!("1 line matches {when}"),
        (_, true) => format!("{lines} match {when}"),
        (_, false) => format!("{lines} {when}"),
    };
    let sinks = state.sinks.iter().map(|sink| (&sink.name, &sink.trouble));
    let inputs = state.inputs.iter().map(|input| (&input.name, &input.trouble));
    let stuck = sinks.chain(inputs).filter(|(_, trouble)| trouble.is_some());
    let mut stuck: Vec<String> = stuck.map(|(name, _)| name.clone()).collect();
    let journal = state.journal.as_ref().filter(|journal| journal.trouble.is_some());
    stuck.extend(journal.map(|_| "the journal's input".to_owned()));
    match stuck.as_slice() {
        [] => (Health::Good, status::fit(text)),
        [one] => (
            Health::Pending,
            status::fit(format!("{text}; {one} takes nothing at the moment")),
        ),
        several => (
            Health::Pending,
            status::fit(format!(
                "{text}; {} take nothing at the moment",
                words::list_short(several, 3)
            )),
        ),
    }
}

fn kept(visit: &Visit, state: &LogState) -> Markup {
    let read: Vec<String> = state
        .files
        .iter()
        .filter(|file| file.error.is_empty())
        .map(|file| link::file_name(&file.path).to_owned())
        .collect();
    html! {
        p {
            "Reads " (words::growing(read.len(), "file"))
            @if !read.is_empty() { ": " (words::list_short(&read, 6)) }
            ". " (words::count(usize::try_from(state.lines).unwrap_or(usize::MAX), "line")) " kept since start, " (text::bytes(state.bytes_on_disk as f64))
            " in " code { (visit.own.data_dir.trim_end_matches('/')) "/logs" } "."
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
    let lost: u64 = sink.dropped.iter().map(|(_, count)| count).sum();
    html! {
        p {
            (words::count(usize::try_from(sink.lines).unwrap_or(usize::MAX), "line")) " sent to " (sink.name) " at " code { (target) } " since start"
            @if sink.in_flight > 0 { ", " (text::count(sink.in_flight)) " on their way" }
            @if lost > 0 { ", " b { (text::count(lost)) " it never takes" } }
            "."
            @if let Some(trouble) = &sink.trouble {
                " " b { "It takes nothing at the moment" } ": " (trouble) "; "
                (text::bytes(sink.unread_bytes)) " wait in the log files."
            }
            @for note in &sink.notes { " Note: " (note) "." }
        }
    }
}

fn form(visit: &Visit, state: &LogState, asked_level: &str) -> Markup {
    let mut sources: Vec<&str> = state
        .files
        .iter()
        .map(|file| link::file_name(&file.path))
        .collect();
    sources.sort_unstable();
    sources.dedup();
    sources.truncate(100);
    html! {
        form.search action="/logs" role="search" aria-label="Lines" {
            label.grow {
                span { "Words" }
                input type="search" id="q" name="q" value=(visit.asked("q")) placeholder="every word must occur"
                    autocomplete="off" spellcheck="false" data-keys="/";
            }
            label {
                span { "Level" }
                select name="level" {
                    @for (name, word, _) in LEVELS { option value=(name) selected[name == asked_level] { (word) } }
                }
            }
            label {
                span { "Source" }
                input name="source" value=(visit.asked("source")) placeholder="all" list="log-sources" autocomplete="off" spellcheck="false";
            }
            datalist id="log-sources" { @for source in sources { option value=(source) {} } }
            @for name in ["from", "to", "order"] {
                @if !visit.asked(name).is_empty() { input type="hidden" name=(name) value=(visit.asked(name)); }
            }
            button.button.primary type="submit" { "Search" }
        }
    }
}

fn found(visit: &Visit, range: &Range, query: &LogQuery, page: &LogPage) -> Markup {
    let oldest_first = visit.asked("order") == "old";
    let body = if page.lines.is_empty() {
        empty(&nothing(visit, range, query))
    } else {
        html! {
            div.panel.cut {
                (lines::histogram(&visit.wall, range, &page.histogram))
                @if oldest_first {
                    (lines::list(&visit.wall, page.lines.iter(), &query.text))
                } @else {
                    (lines::list(&visit.wall, page.lines.iter().rev(), &query.text))
                }
            }
        }
    };
    let turned = {
        let mut pairs: Vec<(&str, &str)> = ["q", "level", "source", "from", "to"]
            .map(|name| (name, visit.asked(name)))
            .into();
        pairs.push(("order", if oldest_first { "" } else { "old" }));
        link::to("/logs", &pairs)
    };
    let right = html! {
        @if range.live {
            // Drawn by the script that knows how to follow; useless without it.
            button.button.small type="button" id="follow" data-follow data-keys="f" aria-pressed="false" hidden data-keep { "Follow" kbd { "f" } }
        }
        a href=(turned) { @if oldest_first { "newest first" } @else { "oldest first" } }
    };
    let remark = html! { (lines::how_many(page, page.lines.len())) };
    section("lines", "Lines", &remark, &right, &body)
}

fn nothing(visit: &Visit, range: &Range, query: &LogQuery) -> String {
    let narrow = !query.text.trim().is_empty() || query.level.is_some() || !query.source.is_empty();
    if narrow {
        let when = range.spoken(&visit.wall);
        return format!("Nothing matches {when}. Fewer words, another level or a wider time may find it.");
    }
    lines::none(visit, range)
}
