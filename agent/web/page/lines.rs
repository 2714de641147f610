//! Log lines: a histogram over their time, and the lines with what was looked for underlined.

use maud::{Markup, html};
use model::view::{LogBucket, LogPage, LogQuery};
use model::{Level, LogRecord, text};

use super::frame::{empty, section};
use super::graph::marks;
use super::visit::Visit;
use super::when::{Range, Wall};
use super::{link, words};

/// Characters of one line that are shown.
const LINE_MAX: usize = 4000;
/// Height of the histogram's bars, in pixels.
const BARS: f64 = 32.0;
/// Bars drawn at most, whatever the room hands over.
const BUCKETS_MAX: usize = 240;

/// The end of the overview: what the logs said last.
pub(super) fn latest(visit: &Visit, range: &Range) -> Markup {
    const LINES: usize = 8;
    let query = LogQuery {
        from: range.from,
        to: range.to,
        lines_max: LINES,
        ..LogQuery::default()
    };
    let page = (visit.rooms.logs)(&query);
    let remark = html! {
        (words::count(usize::try_from(page.matched).unwrap_or(usize::MAX), "line"))
        " " (range.spoken(&visit.wall))
        @if !visit.own.data_dir.is_empty() { ", kept in " (visit.own.data_dir.trim_end_matches('/')) "/logs" }
    };
    let body = if page.lines.is_empty() {
        empty(&none(visit, range))
    } else {
        html! {
            div.panel.cut {
                (histogram(&visit.wall, range, &page.histogram))
                (list(&visit.wall, page.lines.iter(), ""))
            }
        }
    };
    let all = html! { a href=(link::to("/logs", &[("from", visit.asked("from")), ("to", visit.asked("to"))])) { "search all" } };
    section("lines", "Lines", &remark, &all, &body)
}

/// Why there is no line, and the last time there was one.
pub(super) fn none(visit: &Visit, range: &Range) -> String {
    let state = (visit.rooms.log_state)();
    let when = range.spoken(&visit.wall);
    if state.files.is_empty() {
        return "No log file was found to read. By default these are /var/log/*.log, syslog, messages and the pods' logs.".to_owned();
    }
    let last = state.files.iter().filter_map(|file| file.last).max();
    match last {
        Some(last) => format!("No line {when}. The last one came {}.", visit.wall.ago(last)),
        None => format!("No line {when}, nor since Skopos started: the files have not grown."),
    }
}

/// Bars in grey, the share of warnings and worse at their foot.
pub(super) fn histogram(wall: &Wall, range: &Range, buckets: &[LogBucket]) -> Markup {
    let buckets = buckets
        .get(buckets.len().saturating_sub(BUCKETS_MAX)..)
        .unwrap_or_default();
    let most = buckets
        .iter()
        .map(|bucket| bucket.lines)
        .max()
        .unwrap_or(0)
        .max(1) as f64;
    let window = range.window().as_secs_f64().max(0.001);
    let place = |at: model::Timestamp| at.since(range.from).as_secs_f64() / window * 100.0;
    let width = match buckets {
        [first, second, ..] => (place(second.start) - place(first.start)).max(0.2) * 0.72,
        _ => 1.0,
    };
    let all: u64 = buckets.iter().map(|bucket| bucket.lines).sum();
    let grave: u64 = buckets.iter().map(|bucket| bucket.grave).sum();
    let label = format!(
        "{} lines over time, {} of them warnings or worse",
        text::count(all),
        text::count(grave)
    );
    let tall = |lines: u64| {
        if lines == 0 {
            0.0
        } else {
            (lines as f64 / most * BARS).max(2.0)
        }
    };
    html! {
        div.histogram {
            svg role="img" aria-label=(label) width="100%" height="56" {
                @for bucket in buckets.iter().filter(|bucket| bucket.lines > 0) {
                    @let (x, high, low) = (place(bucket.start), tall(bucket.lines), tall(bucket.grave));
                    rect.all x={ (format!("{x:.2}")) "%" } y=(format!("{:.1}", BARS - high)) width={ (format!("{width:.2}")) "%" }
                        height=(format!("{high:.1}")) {
                        title { (wall.second(bucket.start)) ": " (words::count(usize::try_from(bucket.lines).unwrap_or(usize::MAX), "line")) }
                    }
                    @if low > 0.0 {
                        rect.grave x={ (format!("{x:.2}")) "%" } y=(format!("{:.1}", BARS - low)) width={ (format!("{width:.2}")) "%" }
                            height=(format!("{low:.1}")) {}
                    }
                }
                @for (at, word) in marks(wall, range, 5) {
                    text x={ (format!("{at:.2}")) "%" } y="52" text-anchor="middle" { (word) }
                }
            }
        }
    }
}

/// Lines with time, level and source; the words of `wanted` are marked.
pub(super) fn list<'a>(wall: &Wall, lines: impl Iterator<Item = &'a LogRecord>, wanted: &str) -> Markup {
    let wanted: Vec<String> = wanted.split_whitespace().map(str::to_lowercase).collect();
    html! {
        ol.log {
            @for line in lines {
                li id=(identity(line)) data-event[line.level >= Level::Warn] {
                    time datetime=(Wall::absolute(line.time)) { (wall.milli(line.time)) }
                    span class={ "level " (grade(line.level)) } { (line.level.word()) }
                    span.source title=(line.file) { (line.source) }
                    span.text { (message(&line.text, &wanted)) }
                }
            }
        }
    }
}

/// Stays the same while lines come and go around it.
fn identity(line: &LogRecord) -> String {
    let mut hash = model::labels::Fnv::default();
    hash.bytes(line.file.as_bytes());
    hash.bytes(&line.offset_bytes.to_le_bytes());
    hash.bytes(&line.time.millis().to_le_bytes());
    format!("l{:016x}", hash.0)
}

fn grade(level: Level) -> &'static str {
    match level {
        Level::Trace | Level::Debug => "faint",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error | Level::Fatal => "error",
    }
}

fn message(line: &str, wanted: &[String]) -> Markup {
    let (head, left_out) = words::cut(line, LINE_MAX);
    let shown = words::clean(head);
    html! {
        @for (matches, part) in marked(&shown, wanted) {
            @if matches { mark { (part) } } @else { (part) }
        }
        @if left_out > 0 { span.dim { " … " (text::count(left_out as u64)) " more characters" } }
    }
}

/// The text in pieces, each with whether it is one of the wanted words, case ignored.
fn marked<'a>(shown: &'a str, wanted: &[String]) -> Vec<(bool, &'a str)> {
    // Positions in the lowered text are only those of the text when lowering keeps lengths.
    let lowered = shown.to_lowercase();
    if wanted.is_empty() || lowered.len() != shown.len() {
        return vec![(false, shown)];
    }
    let mut pieces = Vec::new();
    let (mut rest, mut at) = (shown, 0);
    while let Some((start, length)) = next_match(lowered.get(at..).unwrap_or_default(), wanted) {
        let Some((before, tail)) = rest.split_at_checked(start) else {
            break;
        };
        let Some((found, after)) = tail.split_at_checked(length) else {
            break;
        };
        pieces.extend([(false, before), (true, found)]);
        rest = after;
        at += start + length;
    }
    pieces.push((false, rest));
    pieces
}

fn next_match(lowered: &str, wanted: &[String]) -> Option<(usize, usize)> {
    let found = wanted
        .iter()
        .filter_map(|word| Some((lowered.find(word.as_str())?, word.len())));
    found.min_by_key(|(start, length)| (*start, usize::MAX - length))
}

/// A page that holds less than what was looked for says so.
pub(super) fn how_many(page: &LogPage, shown: usize) -> String {
    let matched = usize::try_from(page.matched).unwrap_or(usize::MAX).max(shown);
    let lines = words::count(matched, "line");
    let of = if matched > shown {
        format!("{}, the newest {} shown", lines, text::count(shown as u64))
    } else {
        lines
    };
    if page.cut {
        format!("{of}; older ones were not looked at")
    } else {
        of
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wanted_words_are_marked_wherever_they_stand() {
        let wanted = vec!["dns".to_owned(), "using".to_owned()];
        let pieces = marked("Using EDNS0 for DNS", &wanted);
        let found: Vec<&str> = pieces
            .iter()
            .filter(|(hit, _)| *hit)
            .map(|(_, part)| *part)
            .collect();
        assert_eq!(found, ["Using", "DNS", "DNS"]);
        let whole: String = pieces.iter().map(|(_, part)| *part).collect();
        assert_eq!(whole, "Using EDNS0 for DNS");
    }

    #[test]
    fn letters_that_change_length_when_lowered_do_no_harm() {
        let whole: String = marked("İstanbul ẞ dns", &["dns".to_owned()])
            .iter()
            .map(|(_, part)| *part)
            .collect();
        assert_eq!(whole, "İstanbul ẞ dns");
    }
}
