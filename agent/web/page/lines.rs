//! Log lines: a histogram over their time, and the lines with what was looked for underlined.

use maud::{Markup, html};
use model::view::{Asked, LogBucket, LogPage, LogQuery};
use model::{Level, LogRecord, Timestamp, text};

use super::frame::{empty, section};
use super::graph::marks;
use super::visit::Visit;
use super::when::{Range, Wall};
use super::{link, words};

/// Characters of one line that are shown.
const LINE_MAX: usize = 4000;
/// Height of the histogram's bars, in pixels.
const BARS: f64 = 32.0;
/// Bars of less time than this are no links.
const SPAN_MIN: std::time::Duration = std::time::Duration::from_millis(200);
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
    let between = |from, to| link::to("/logs", &[("from", &Wall::exact(from)), ("to", &Wall::exact(to))]);
    let body = if page.lines.is_empty() {
        empty(&none(visit, range))
    } else {
        html! {
            div.panel.cut {
                (histogram(&visit.wall, range, &page.histogram, Some(&between)))
                (list(&visit.wall, page.lines.iter(), "", &Links::Search("/logs")))
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

/// Where a bar leads: the same search between two times.
pub(super) type Between<'a> = &'a dyn Fn(Timestamp, Timestamp) -> String;

/// How many lines there were when, by level: errors at the foot, warnings on them, the rest in grey.
pub(super) fn histogram(
    wall: &Wall,
    range: &Range,
    buckets: &[LogBucket],
    between: Option<Between<'_>>,
) -> Markup {
    html! { div.histogram { (bars(wall, range, newest(buckets), between)) } }
}

/// The same as a lane among others, on their axis, with what there is at the cursor.
pub(super) fn lane(wall: &Wall, range: &Range, buckets: &[LogBucket]) -> Markup {
    let buckets = newest(buckets);
    let span = match buckets {
        [first, second, ..] => second.start.since(first.start),
        _ => range.window(),
    };
    let told: Vec<(i64, u64, u64, u64)> = buckets
        .iter()
        .map(|bucket| (bucket.start.millis(), bucket.lines, bucket.grave, bucket.errors))
        .collect();
    let told = serde_json::json!({"span": span.as_millis() as u64, "buckets": told}).to_string();
    let sum = |count: fn(&LogBucket) -> u64| text::count(buckets.iter().map(count).sum());
    html! {
        div.lane.of-lines data-lines=(told) {
            p.gutter {
                b { "Log lines" }
                span data-keep data-at-cursor { (sum(|bucket| bucket.lines)) }
            }
            div.drawn { (bars(wall, range, buckets, None)) }
        }
    }
}

fn newest(buckets: &[LogBucket]) -> &[LogBucket] {
    let from = buckets.len().saturating_sub(BUCKETS_MAX);
    buckets.get(from..).unwrap_or_default()
}

fn bars(wall: &Wall, range: &Range, buckets: &[LogBucket], between: Option<Between<'_>>) -> Markup {
    let most = buckets
        .iter()
        .map(|bucket| bucket.lines)
        .max()
        .unwrap_or(0)
        .max(1);
    let window = range.window().as_secs_f64().max(0.001);
    let place = |at: Timestamp| at.since(range.from).as_secs_f64() / window * 100.0;
    let (width, span) = match buckets {
        [first, second, ..] => (
            (place(second.start) - place(first.start)).max(0.2),
            second.start.since(first.start),
        ),
        _ => (1.0, range.window()),
    };
    // A shorter time than the shortest cannot be asked for.
    let between = between.filter(|_| span >= SPAN_MIN);
    let sum = |count: fn(&LogBucket) -> u64| text::count(buckets.iter().map(count).sum());
    let label = format!(
        "{} lines over time, {} of them warnings or worse, {} errors",
        sum(|bucket| bucket.lines),
        sum(|bucket| bucket.grave),
        sum(|bucket| bucket.errors)
    );
    // Links are no parts of a picture.
    let role = if between.is_some() { "group" } else { "img" };
    html! {
        svg role=(role) aria-label=(label) width="100%" height="56" {
            @for bucket in buckets.iter().filter(|bucket| bucket.lines > 0) {
                @let bar = bar(wall, bucket, (place(bucket.start), width), most);
                @match between {
                    // The picker and the keys do the same for those who have no pointer.
                    Some(between) => a href=(between(bucket.start, bucket.start + span)) tabindex="-1" aria-hidden="true" { (bar) },
                    None => (bar),
                }
            }
            text.most x="0" y="-4" { (text::count(most)) }
            @for (at, word) in marks(wall, range, 5) {
                text x={ (format!("{at:.2}")) "%" } y="52" text-anchor="middle" { (word) }
            }
        }
    }
}

fn bar(wall: &Wall, bucket: &LogBucket, (x, width): (f64, f64), most: u64) -> Markup {
    let tall = |lines: u64| {
        if lines == 0 {
            0.0
        } else {
            (lines as f64 / most as f64 * BARS).max(2.0)
        }
    };
    let high = tall(bucket.lines);
    let (grave, errors) = (tall(bucket.grave).min(high), tall(bucket.errors).min(high));
    let said = format!(
        "{}: {}, {} warnings or worse, {} errors",
        wall.second(bucket.start),
        words::count(usize::try_from(bucket.lines).unwrap_or(usize::MAX), "line"),
        text::count(bucket.grave),
        text::count(bucket.errors)
    );
    html! {
        title { (said) }
        // All of the height can be hit.
        rect.hit x={ (format!("{x:.2}")) "%" } y="0" width={ (format!("{width:.2}")) "%" } height=(BARS) {}
        @for (class, height) in [("all", high), ("warn", grave), ("error", errors)] {
            @if height > 0.0 {
                rect class=(class) x={ (format!("{x:.2}")) "%" } y=(format!("{:.1}", BARS - height))
                    width={ (format!("{:.2}", width * 0.72)) "%" } height=(format!("{height:.1}")) {}
            }
        }
    }
}

/// Whose line it is, where that is a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place<'a> {
    pub(super) namespace: &'a str,
    pub(super) pod: &'a str,
    pub(super) container: &'a str,
}

impl<'a> Place<'a> {
    pub(super) fn of(line: &'a LogRecord) -> Option<Self> {
        let mut parts = line.source.split('/');
        let place = Self {
            namespace: parts.next()?,
            pod: parts.next()?,
            container: parts.next()?,
        };
        (parts.next().is_none() && !place.pod.is_empty()).then_some(place)
    }

    /// Of `…/<namespace>_<pod>_<uid>/<container>/<n>.log`.
    pub(super) fn of_path(path: &'a str) -> Option<Self> {
        let mut parts = path.rsplit('/').skip(1);
        let container = parts.next()?;
        let mut whose = parts.next()?.split('_');
        let (namespace, pod, _uid) = (whose.next()?, whose.next()?, whose.next()?);
        whose.next().is_none().then_some(Self {
            namespace,
            pod,
            container,
        })
    }

    /// All lines of the pod.
    pub(super) fn logs(&self) -> String {
        link::to("/logs", &[("ns", self.namespace), ("pod", self.pod)])
    }
}

/// Where the time of each line leads.
pub(super) enum Links<'a> {
    /// To itself among what is around it; this is the address of the search that it was found by.
    Search(&'a str),
    /// Nowhere: these are lines around the one with this identity.
    Line(u64),
    /// Nowhere.
    None,
}

/// Lines with time, level and source; the words of `wanted` are marked.
pub(super) fn list<'a>(
    wall: &Wall,
    lines: impl Iterator<Item = &'a LogRecord>,
    wanted: &str,
    links: &Links<'_>,
) -> Markup {
    let wanted: Vec<String> = wanted.split_whitespace().map(str::to_lowercase).collect();
    html! {
        ol.log {
            @for line in lines {
                @let here = matches!(links, Links::Line(identity) if *identity == line.identity());
                li id={ "l" (format!("{:016x}", line.identity())) } data-event[line.level >= Level::Warn] aria-current=[here.then_some("true")] {
                    (time(wall, line, links))
                    span class={ "level " (grade(line.level)) } { (line.level.word()) }
                    (source(line))
                    span.text { (message(&line.text, &wanted)) }
                }
            }
        }
    }
}

fn time(wall: &Wall, line: &LogRecord, links: &Links<'_>) -> Markup {
    let said = html! { time datetime=(Wall::exact(line.time)) { (wall.milli(line.time)) } };
    match links {
        Links::Search(search) => {
            let joint = if search.contains('?') { '&' } else { '?' };
            html! { a.at href={ (search) (joint) "line=" (address(line)) "#l" (format!("{:016x}", line.identity())) } title="what was said around it" { (said) } }
        }
        Links::Line(_) | Links::None => said,
    }
}

/// A line in an address, for ever.
pub(super) fn address(line: &LogRecord) -> String {
    format!("{}-{:016x}", line.time.millis(), line.identity())
}

/// Who was asked and did not answer; nothing where all did.
pub(super) fn unheard(nodes: &Asked) -> Markup {
    const SHOWN: usize = 3;
    html! {
        @if !nodes.unheard.is_empty() {
            p.note.unheard {
                @for (nth, one) in nodes.unheard.iter().take(SHOWN).enumerate() {
                    @if nth > 0 { "; " }
                    b { (one.node) } " did not tell: " (words::clean(&one.why))
                }
                @if nodes.unheard.len() > SHOWN { "; and " (words::count(nodes.unheard.len() - SHOWN, "more node")) }
                "."
            }
        }
    }
}

fn source(line: &LogRecord) -> Markup {
    html! {
        @match Place::of(line) {
            Some(place) => a.source href=(place.logs()) title={ (line.source) ", " (line.file) } { (place.pod) "/" (place.container) },
            None => span.source title=(line.file) { (line.source) },
        }
    }
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
pub(super) fn how_many(wall: &Wall, page: &LogPage, shown: usize) -> String {
    let matched = usize::try_from(page.matched).unwrap_or(usize::MAX).max(shown);
    let lines = words::count(matched, "line");
    let of = if matched > shown {
        format!("{}, the newest {} shown", lines, text::count(shown as u64))
    } else {
        lines
    };
    match page.looked_from {
        Some(since) => format!("{of}; older ones than {} were not looked at", wall.second(since)),
        None => of,
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
