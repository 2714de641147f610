//! Asks what others know about an alert before a message about it goes out.
//!
//! A message never waits longer than [`WAIT_MAX`] for that, and goes without where nothing came. What comes is believed in
//! nothing: it is cut to what was asked for, and stripped of whatever could be more than text to a reader.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use model::text::float;
use model::{Change, Clock, Evidence, Findings, Inquiry, LogRecord, Overloaded, Timestamp, Trend};
use prometheus::IntCounterVec;
use serde::Deserialize;
use tokio::task::JoinSet;

use crate::alert::Alert;
use crate::delivered::Reason;
use crate::message::Message;
use crate::slack::{gravity, picture};

/// The longest that a message may be held back.
const WAIT_MAX: Duration = Duration::from_secs(2);
/// Lines that a card has room for.
const LINES_MAX: usize = 20;
/// Events that it has room for.
const EVENTS_MAX: usize = 10;
/// Changes that it has room for.
const CHANGES_MAX: usize = 10;
/// Longest change or event shown.
const CHANGE_BYTES_MAX: usize = 200;
/// Longest line shown.
const LINE_BYTES_MAX: usize = 400;
/// Nodes named.
const NODES_MAX: usize = 3;
/// Steps of a sparkline.
const STEPS_MAX: usize = 30;

/// What a Slack card and a PagerDuty incident show of an alert beside what it says itself.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Last log lines shown of what the alert is about, at most 20. They go to the receiver as they are, secrets in them as
    /// well; 0 leaves them out.
    pub lines: usize,
    /// Warnings of Kubernetes of the last 15 minutes shown, each once, of the pod, workload or node that the alert is about, at
    /// most 10; 0 leaves them out.
    pub events: usize,
    /// Changes of the last half an hour shown, of the workload, node or namespace that the alert is about, at most 10; 0 leaves
    /// them out.
    pub changes: usize,
    /// Whether the alert's value over the last hour is shown.
    pub trend: bool,
    /// Whether a Slack app also draws it, in the thread of a new card; needs the app's scope `files:write`.
    pub picture: bool,
    /// How long a message waits for these, at most 2s.
    #[serde(deserialize_with = "model::text::duration::deserialize")]
    pub wait: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            lines: 4,
            events: 3,
            changes: 4,
            trend: true,
            picture: true,
            wait: WAIT_MAX,
        }
    }
}

impl Config {
    pub(crate) fn complain(&self, wrong: &mut Vec<String>) {
        if self.lines > LINES_MAX {
            wrong.push(format!(
                "notifier.evidence.lines: {} lines do not fit a card; at most {LINES_MAX}, 0 for none",
                self.lines
            ));
        }
        if self.events > EVENTS_MAX {
            wrong.push(format!(
                "notifier.evidence.events: {} events do not fit a card; at most {EVENTS_MAX}, 0 for none",
                self.events
            ));
        }
        if self.changes > CHANGES_MAX {
            wrong.push(format!(
                "notifier.evidence.changes: {} changes do not fit a card; at most {CHANGES_MAX}, 0 for none",
                self.changes
            ));
        }
        if self.wait > WAIT_MAX {
            wrong.push(format!(
                "notifier.evidence.wait: no message is held back longer than 2s, so {} is too long",
                model::text::duration::short(self.wait)
            ));
        }
    }
}

/// What a receiver has a place for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interest {
    None,
    /// When a group is new or grew worse.
    News,
    /// The same, and the course of the value in each edit of a card that stays.
    Kept,
}

/// What is shown, ready for any receiver but for that receiver's own escapes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Shown {
    /// The alert that it is about.
    pub(crate) fingerprint: u64,
    trend: Option<Trend>,
    /// Whether the course is also drawn.
    is_drawn: bool,
    /// Oldest first.
    pub(crate) lines: Vec<Line>,
    /// What Kubernetes warned of, with the time in UTC; oldest first.
    pub(crate) events: Vec<String>,
    /// What has changed, with the time in UTC; oldest first.
    pub(crate) changes: Vec<String>,
    /// Who was asked for lines and did not tell; empty when all did.
    pub(crate) silent: String,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line {
    time: Timestamp,
    level: &'static str,
    pub(crate) source: String,
    text: String,
}

#[derive(Clone)]
pub(crate) struct Asker {
    evidence: Option<Arc<dyn Evidence>>,
    config: Config,
    clock: Arc<dyn Clock>,
    outcomes: IntCounterVec,
}

impl Asker {
    pub(crate) fn new(config: &Config, clock: Arc<dyn Clock>, outcomes: IntCounterVec) -> Self {
        Self {
            evidence: None,
            config: config.clone(),
            clock,
            outcomes,
        }
    }

    pub(crate) fn ask_of(&mut self, evidence: Arc<dyn Evidence>) {
        self.evidence = Some(evidence);
    }

    pub(crate) fn apply(&mut self, config: &Config) {
        self.config = config.clone();
    }

    /// About the gravest alert of a message, of those that are news if there are any.
    pub(crate) async fn ask(&self, message: &Message, interest: Interest) -> Option<Arc<Shown>> {
        let evidence = Arc::clone(self.evidence.as_ref()?);
        let is_news = message.reason == Reason::First || message.grew_worse();
        let is_wanted = match interest {
            Interest::None => false,
            Interest::News => is_news,
            Interest::Kept => true,
        };
        let lines_max = if is_news {
            self.config.lines.min(LINES_MAX)
        } else {
            0
        };
        let events_max = if is_news {
            self.config.events.min(EVENTS_MAX)
        } else {
            0
        };
        let changes_max = self.config.changes.min(CHANGES_MAX);
        let has_wishes = lines_max > 0 || events_max > 0 || changes_max > 0 || self.config.trend;
        if !is_wanted || message.is_test() || !has_wishes {
            return None;
        }
        let subject = subject(message)?;
        let inquiry = Inquiry {
            labels: subject.labels.clone(),
            now: self.clock.now(),
            lines_max,
            events_max,
            changes_max,
            trend: self.config.trend,
            deadline: self.config.wait.min(WAIT_MAX),
        };
        let (findings, outcome) = self.answer(evidence, inquiry.clone()).await;
        self.outcomes.with_label_values(&[outcome]).inc();
        let shown = Shown {
            is_drawn: self.config.picture,
            ..Shown::new(subject.fingerprint, findings?, &inquiry)
        };
        (!shown.is_empty()).then(|| Arc::new(shown))
    }

    /// Whoever answers may panic or take for ever: it is a task of its own, and ends with this one.
    async fn answer(
        &self,
        evidence: Arc<dyn Evidence>,
        inquiry: Inquiry,
    ) -> (Option<Findings>, &'static str) {
        let wait = self.clock.sleep(inquiry.deadline);
        let mut asked = JoinSet::new();
        asked.spawn(async move { evidence.gather(inquiry).await });
        tokio::select! {
            biased;
            answer = asked.join_next() => match answer {
                Some(Ok(Ok(found))) => {
                    let is_empty = found.lines.is_empty()
                        && found.events.is_empty()
                        && found.trend.is_none()
                        && found.changes.is_empty();
                    let outcome = match (found.is_partial, is_empty) {
                        (true, _) => "partial",
                        (false, true) => "empty",
                        (false, false) => "in_time",
                    };
                    (Some(found), outcome)
                }
                Some(Ok(Err(Overloaded))) => (None, "busy"),
                Some(Err(_)) | None => (None, "failed"),
            },
            () = wait => (None, "late"),
        }
    }
}

fn subject(message: &Message) -> Option<&Alert> {
    let rank = |alert: &&Alert| {
        let is_added = message.added.contains(&alert.fingerprint);
        (alert.firing(), is_added, gravity(alert.labels.value("severity")))
    };
    // The last of equals wins, and a reader sees the first one first.
    message.alerts.iter().rev().max_by_key(rank)
}

impl Shown {
    /// No more than was asked for, whatever was answered.
    pub(crate) fn new(fingerprint: u64, found: Findings, inquiry: &Inquiry) -> Self {
        let skipped = found.lines.len().saturating_sub(inquiry.lines_max);
        let untold = found.events.len().saturating_sub(inquiry.events_max);
        let unchanged = found.changes.len().saturating_sub(inquiry.changes_max);
        let trend = found.trend.filter(|_| inquiry.trend).map(|mut trend| {
            let skipped = trend.values.len().saturating_sub(STEPS_MAX);
            trend.values.drain(..skipped);
            for value in &mut trend.values {
                *value = value.filter(|value| value.is_finite());
            }
            trend
        });
        Self {
            fingerprint,
            trend: trend.filter(|trend| trend.values.iter().flatten().count() > 1),
            is_drawn: false,
            lines: found.lines.iter().skip(skipped).map(Line::new).collect(),
            events: found.events.iter().skip(untold).map(happened).collect(),
            changes: found.changes.iter().skip(unchanged).map(changed).collect(),
            silent: match inquiry.lines_max {
                0 => String::new(),
                _ => silent(&found.silent),
            },
        }
    }

    fn is_empty(&self) -> bool {
        self.trend.is_none()
            && self.lines.is_empty()
            && self.events.is_empty()
            && self.changes.is_empty()
            && self.silent.is_empty()
    }

    pub(crate) fn span(&self) -> Option<Duration> {
        self.trend.as_ref().map(|trend| trend.span)
    }

    /// The course as a PNG, where it is wanted.
    pub(crate) fn picture(&self) -> Option<Vec<u8>> {
        let trend = self.trend.as_ref().filter(|_| self.is_drawn)?;
        picture::draw(&trend.values)
    }

    /// `▁▂▃▅█ last 0.97, first 0.4, most 0.98`; a gap where there was no value.
    pub(crate) fn course(&self) -> Option<String> {
        const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
        let values = &self.trend.as_ref()?.values;
        let known = || values.iter().flatten().copied();
        let (first, last) = (known().next()?, known().next_back()?);
        let most = known().fold(f64::NEG_INFINITY, f64::max);
        let least = known().fold(f64::INFINITY, f64::min);
        let bar = |value: f64| {
            // Halves, because the whole may be more than a float holds.
            let share = (value / 2.0 - least / 2.0) / (most / 2.0 - least / 2.0);
            let nth = if share.is_finite() {
                (share * 8.0).clamp(0.0, 7.0)
            } else {
                3.0
            };
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "between 0 and 7"
            )]
            BARS.get(nth as usize).copied().unwrap_or('█')
        };
        let bars: String = values.iter().map(|value| value.map_or('·', bar)).collect();
        let [first, last, most] = [first, last, most].map(number);
        Some(format!("{bars} last {last}, first {first}, most {most}"))
    }
}

/// `12:03:04 BackOff: Back-off restarting failed container`
fn happened(event: &LogRecord) -> String {
    let time = jiff::Timestamp::from_millisecond(event.time.0).unwrap_or_default();
    let text = harmless(&event.text, CHANGE_BYTES_MAX);
    format!("{} {text}", time.strftime("%H:%M:%S"))
}

/// `12:03:04 web: image shop/web:1.2 → 1.3`
fn changed(change: &Change) -> String {
    let time = jiff::Timestamp::from_millisecond(change.time.0).unwrap_or_default();
    let text = harmless(&change.to_string(), CHANGE_BYTES_MAX);
    format!("{} {text}", time.strftime("%H:%M:%S"))
}

/// `n1, n2 and 3 more`.
fn silent(nodes: &[String]) -> String {
    let named: Vec<String> = nodes
        .iter()
        .take(NODES_MAX)
        .map(|node| harmless(node, 63))
        .collect();
    match nodes.len().saturating_sub(NODES_MAX) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

/// With four digits that mean something.
fn number(value: f64) -> String {
    let rounded = format!("{value:.3e}").parse().unwrap_or(value);
    // The largest of all have nothing above them to be rounded to.
    float::api(if f64::is_finite(rounded) { rounded } else { value })
}

impl Line {
    fn new(record: &LogRecord) -> Self {
        Self {
            time: record.time,
            level: record.level.word(),
            source: harmless(&record.source, 100),
            text: harmless(&record.text, LINE_BYTES_MAX),
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = jiff::Timestamp::from_millisecond(self.time.0).unwrap_or_default();
        let time = time.strftime("%H:%M:%S");
        write!(f, "{time} {} {}", self.level, self.text)
    }
}

/// One line of letters. What moves a cursor, turns the direction of writing, hides itself or ends a block of code becomes
/// something plain.
fn harmless(text: &str, bytes_max: usize) -> String {
    let end = text.floor_char_boundary(bytes_max);
    let kept = text.get(..end).unwrap_or_default();
    let plain = |letter: char| match letter {
        '`' => '\'',
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => ' ',
        letter if letter.is_control() => ' ',
        letter => letter,
    };
    let plain: String = kept.chars().map(plain).collect();
    let mut line = plain.trim_end().to_owned();
    if end < text.len() {
        line.push('…');
    }
    line
}
