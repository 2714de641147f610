//! What others know about an alert, on its card or in a reply: the course of its value, what Kubernetes says of it, and its last
//! log lines.

use std::collections::BTreeSet;

use model::Labels;
use model::text::duration::short;
use serde_json::{Value, json};

use super::limits;
use super::text::clip;
use super::upload::Picture;
use crate::message::{Message, length};

/// Kept for the title and the fence of the block.
const FRAME: usize = 300;
/// Longest line; with many of them it is less.
const LINE: usize = 300;

/// A fact's name and, not yet escaped, what it says. Of several alerts the name says which one it is about.
pub(super) fn trend(message: &Message, common: &Labels) -> Option<(String, String)> {
    let known = message.evidence.as_ref()?;
    let course = known.course()?;
    let subject = message
        .alerts
        .iter()
        .find(|alert| alert.fingerprint == known.fingerprint)?;
    let own = subject.labels.iter().find(|(name, _)| common.get(name).is_none());
    let which = own.filter(|_| message.alerts.len() > 1);
    let which = which
        .map(|(name, value)| format!(", {name}={value}"))
        .unwrap_or_default();
    let span = known.span().map(short).unwrap_or_default();
    Some((format!("Value, last {span}{which}"), course))
}

/// Where the value of an alert is shown as a picture; what stands beside it says the same in words.
pub(super) fn picture(message: &Message) -> Option<Picture> {
    let png = message.evidence.as_ref()?.picture()?;
    let (name, course) = trend(message, &Labels::empty())?;
    let words = clip(&format!("{name}: {course}"), FRAME);
    Some(Picture { png, words })
}

/// What has changed where the alert is.
pub(super) fn changes(message: &Message) -> Option<Value> {
    let known = message.evidence.as_ref()?;
    list("Changed in the last 30m, UTC", &known.changes)
}

/// What Kubernetes warned of.
pub(super) fn events(message: &Message) -> Option<Value> {
    let known = message.evidence.as_ref()?;
    list("Kubernetes says, UTC", &known.events)
}

/// None of nothing.
fn list(title: &str, all: &[String]) -> Option<Value> {
    if all.is_empty() {
        return None;
    }
    let most = (limits::SECTION - FRAME) / all.len() - 4;
    let lines: Vec<String> = all
        .iter()
        .map(|one| format!("• {}", clip(one, most.min(LINE))))
        .collect();
    let text = format!("*{title}*\n{}", lines.join("\n"));
    debug_assert!(length(&text) <= limits::SECTION, "{text}");
    Some(json!({ "type": "section", "text": { "type": "mrkdwn", "text": text } }))
}

/// `Last 4 log lines of shop/cart/app`.
pub(super) fn title(message: &Message) -> Option<String> {
    let known = message
        .evidence
        .as_ref()
        .filter(|known| !known.lines.is_empty())?;
    let sources: BTreeSet<&str> = known.lines.iter().map(|line| line.source.as_str()).collect();
    let count = known.lines.len();
    let lines = if count == 1 {
        "Last log line".to_owned()
    } else {
        format!("Last {count} log lines")
    };
    let of = match sources.first() {
        Some(source) if sources.len() == 1 => (*source).to_owned(),
        _ => format!("{} sources", sources.len()),
    };
    let silent = match known.silent.as_str() {
        "" => String::new(),
        nodes => format!("; {nodes} did not answer"),
    };
    Some(clip(&format!("{lines} of {of}, in UTC{silent}"), FRAME / 2))
}

pub(super) fn lines(message: &Message) -> Option<Value> {
    let known = message.evidence.as_ref()?;
    let Some(title) = title(message) else {
        let nodes = Some(known.silent.as_str()).filter(|nodes| !nodes.is_empty())?;
        let text = clip(&format!("No log lines: {nodes} did not answer"), FRAME / 2);
        return Some(json!({ "type": "section", "text": { "type": "mrkdwn", "text": text } }));
    };
    // Each has its line break.
    let most = ((limits::SECTION - FRAME) / known.lines.len() - 1).min(LINE);
    let lines: Vec<String> = known
        .lines
        .iter()
        .map(|line| clip(&line.to_string(), most))
        .collect();
    let text = format!("{title}\n```\n{}\n```", lines.join("\n"));
    debug_assert!(length(&text) <= limits::SECTION, "{text}");
    Some(json!({ "type": "section", "text": { "type": "mrkdwn", "text": text } }))
}
