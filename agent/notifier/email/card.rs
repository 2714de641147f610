//! A mail in Skopos' own words: what fires, what has ended, where to look next; as plain text.

use std::fmt::Write;

use model::text::duration::spoken;
use model::{Labels, Timestamp};

use super::SUBJECT;
use crate::alert::Alert;
use crate::delivered::Reason;
use crate::message::{Message, alerts, common, one_line};

/// Alerts with all their words; the others are counted.
const ALERTS: usize = 50;
/// Characters of one text of an alert.
const WORDS: usize = 2_000;

/// `[FIRING:2] DiskFilling: 2 alerts (+1 new, 1 unchanged)`, `[RESOLVED] DiskFilling: /data is full`.
pub(super) fn subject(message: &Message) -> String {
    if message.is_test() {
        return "[TEST] A test message of Skopos".to_owned();
    }
    let state = match message.firing().count() {
        0 => "RESOLVED".to_owned(),
        firing => format!("FIRING:{firing}"),
    };
    let words = match message.alerts.as_slice() {
        [alert] => alert.annotations.value("summary").to_owned(),
        several => format!("{} ({})", alerts(several.len()), message.difference()),
    };
    let tail = if words.is_empty() { "" } else { ": " };
    one_line(&format!("[{state}] {}{tail}{words}", message.name()), SUBJECT)
}

/// `has_failed`: in place of what the file's templates should have made.
pub(super) fn text(message: &Message, has_failed: bool) -> String {
    let mut text = String::new();
    let mut line = |words: &str| {
        text.push_str(words);
        text.push('\n');
    };
    line(&subject(message));
    line("");
    for remark in remarks(message, has_failed) {
        line(&remark);
    }
    let labels = common(message.alerts.iter().map(|alert| &alert.labels));
    let mut order: Vec<&Alert> = message.alerts.iter().collect();
    // What is new comes first, what has ended last.
    order.sort_by_key(|alert| (!alert.firing(), !message.added.contains(&alert.fingerprint)));
    for alert in order.iter().take(ALERTS) {
        line(&item(message, alert));
    }
    let left_out = message.alerts.len().saturating_sub(ALERTS);
    if left_out > 0 {
        line(&format!("+{left_out} more\n"));
    }
    if !labels.is_empty() {
        line(&format!("Labels of all: {}\n", pairs(&labels)));
    }
    for (url, words) in message.links() {
        line(&format!("{words}: {}", one_line(&url, WORDS)));
    }
    text
}

fn remarks(message: &Message, has_failed: bool) -> Vec<String> {
    let mut remarks = Vec::new();
    if message.reason == Reason::Repeat {
        remarks.push("Unchanged, told again.".to_owned());
    }
    if message.may_repeat {
        remarks.push("Possibly a repeat: what became of an earlier attempt is not known.".to_owned());
    }
    if has_failed {
        remarks.push(
            "A template of this receiver failed: see the log. Skopos wrote this mail itself.".to_owned(),
        );
    }
    if !remarks.is_empty() {
        remarks.push(String::new());
    }
    remarks
}

fn item(message: &Message, alert: &Alert) -> String {
    let shape = if alert.unknown(message.time) {
        "○ not confirmed lately:"
    } else if alert.firing() {
        "▲"
    } else {
        "●"
    };
    let summary = match alert.annotations.value("summary") {
        "" => alert.name(),
        summary => summary,
    };
    let mut text = format!("{shape} {}\n", one_line(summary, WORDS));
    let description = alert.annotations.value("description").trim();
    // Writing to a string cannot fail.
    if !description.is_empty() {
        let short: String = description.chars().take(WORDS).collect();
        for line in short.lines() {
            _ = writeln!(text, "  {line}");
        }
    }
    _ = match alert.resolved_at {
        Some(ended) => writeln!(
            text,
            "  from {} to {} ({})",
            date(alert.starts_at),
            date(ended),
            spoken(ended.since(alert.starts_at))
        ),
        None => writeln!(
            text,
            "  since {} ({})",
            date(alert.starts_at),
            spoken(message.time.since(alert.starts_at))
        ),
    };
    _ = writeln!(text, "  {}", pairs(&alert.labels));
    text
}

fn pairs(labels: &Labels) -> String {
    let pairs: Vec<String> = labels
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    one_line(&pairs.join(" "), WORDS)
}

fn date(time: Timestamp) -> String {
    let time = jiff::Timestamp::from_millisecond(time.0).unwrap_or_default();
    time.strftime("%Y-%m-%d %H:%M UTC").to_string()
}
