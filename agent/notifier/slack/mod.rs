//! One compact card per message for Slack, by an incoming webhook or by an app.
//!
//! An app edits the card of a group in place and tells what happens as replies to it; a webhook can do neither. In a storm
//! many groups share one card.
//! The title stands above, everything else beside the colour bar; `text` is what a phone shows of it.
//! Whatever an alert contains, the card stays within every limit of [`limits`].

mod card;
mod evidence;
pub(crate) mod picture;
mod reply;
pub(crate) mod storm;
mod talk;
mod text;
pub(crate) mod upload;

#[cfg(test)]
pub(crate) use reply::{lines as lines_reply, payload as reply};
pub(crate) use talk::{POST, Said, Thread, Words, talk};

use model::Labels;
use serde_json::{Value, json};

use crate::delivered::Reason;
use crate::message::{Message, alerts};

/// What Slack refuses, from its documentation and from what others met.
pub(crate) mod limits {
    pub(crate) const HEADER: usize = 150;
    pub(crate) const SECTION: usize = 3_000;
    pub(crate) const FIELDS: usize = 10;
    pub(crate) const FIELD: usize = 2_000;
    /// Over all blocks, undocumented: about 13,200 are refused.
    pub(crate) const TOTAL: usize = 12_000;
    /// Alerts in one message; more were met with 400.
    pub(crate) const ALERTS: usize = 20;
    /// What is longer Slack cuts.
    pub(crate) const TEXT: usize = 40_000;
}

/// Characters of the fallback text: two lines on a phone.
const HEADLINE: usize = 300;

/// The card as a request has it, as yet for no channel; with the log lines, if there are any.
pub(crate) fn payload(message: &Message) -> Value {
    composed(message, true)
}

/// The card of an app, which tells log lines as a reply.
pub(crate) fn payload_without_lines(message: &Message) -> Value {
    composed(message, false)
}

fn composed(message: &Message, has_lines: bool) -> Value {
    json!({
        "text": headline(message),
        "blocks": [card::header(&title(message))],
        "attachments": [{ "color": colour(message), "blocks": card::blocks(message, has_lines) }],
    })
}

/// What an app says of a message: this card, or, where one stands, an edit and a reply.
pub(crate) fn words(message: &Message, card: Value) -> Words {
    Words {
        card,
        reply: reply::payload(message),
        lines: reply::lines(message),
        picture: evidence::picture(message),
        thread: message.thread.clone(),
    }
}

/// The card, in place of what the file's templates should have made.
pub(crate) fn failed(mut card: Value) -> Value {
    let remark = card::remark("a template of this receiver failed: see the log; Skopos wrote this itself");
    let blocks = card
        .pointer_mut("/attachments/0/blocks")
        .and_then(Value::as_array_mut);
    if let Some(blocks) = blocks {
        blocks.push(remark);
    }
    card
}

/// One key more.
pub(crate) fn with(mut payload: Value, key: &str, value: impl Into<Value>) -> Value {
    if let Some(map) = payload.as_object_mut() {
        map.insert(key.to_owned(), value.into());
    }
    payload
}

/// `▲ Firing: DiskFilling`, `● Resolved after 14 min: DiskFilling`.
fn title(message: &Message) -> String {
    format!("{}: {}", state(message), message.name())
}

/// The title and, when it is about one alert, what that alert says of itself.
fn headline(message: &Message) -> String {
    let severity = severity(message);
    let severity = if severity.is_empty() {
        String::new()
    } else {
        format!(" ({severity})")
    };
    let tail = match message.alerts.as_slice() {
        [alert] => match alert.annotations.value("summary") {
            "" => String::new(),
            summary => format!(". {summary}"),
        },
        several => format!(", {}", alerts(several.len())),
    };
    let line = format!("{}{severity}{tail}", title(message));
    text::clip(&line.split_whitespace().collect::<Vec<_>>().join(" "), HEADLINE)
}

fn state(message: &Message) -> String {
    if message.reason == Reason::Test {
        return "● Test".to_owned();
    }
    if message.is_firing() {
        return "▲ Firing".to_owned();
    }
    let began = message.alerts.iter().map(|alert| alert.starts_at).min();
    let ended = message.alerts.iter().filter_map(|alert| alert.resolved_at).max();
    let lasted = ended.zip(began).map(|(ended, began)| ended.since(began));
    format!(
        "● Resolved after {}",
        model::text::duration::spoken(lasted.unwrap_or_default())
    )
}

/// The gravest among the firing alerts, or among all once none fires.
fn severity(message: &Message) -> String {
    let firing = message.is_firing();
    let severities = message
        .alerts
        .iter()
        .filter(|alert| !firing || alert.firing())
        .map(|alert| alert.labels.value("severity"));
    severities
        .max_by_key(|word| gravity(word))
        .unwrap_or_default()
        .to_owned()
}

/// Whether nobody may miss it.
pub(crate) fn is_grave(labels: &Labels) -> bool {
    gravity(labels.value("severity")) >= GRAVEST
}

/// Of what is critical.
const GRAVEST: u8 = 4;

pub(crate) fn gravity(severity: &str) -> u8 {
    match severity {
        "critical" | "page" | "emergency" => GRAVEST,
        "error" | "high" => 3,
        "warning" | "warn" => 2,
        "" => 0,
        _ => 1,
    }
}

fn colour(message: &Message) -> &'static str {
    shade(message.is_firing().then(|| gravity(&severity(message))))
}

/// Okabe and Ito's palette, as on the page; by the gravity of what fires, if anything does.
fn shade(gravity: Option<u8>) -> &'static str {
    match gravity {
        None => "#009e73",
        Some(1) => "#56b4e9",
        Some(2) => "#e69f00",
        Some(_) => "#d55e00",
    }
}
