//! What happened to a group, as a reply to its card: short, because the card says the rest.

use model::text::duration::spoken;
use serde_json::{Value, json};

use super::text::clip;
use super::{evidence, limits};
use crate::alert::Alert;
use crate::delivered::Reason;
use crate::message::{Message, alerts, length};

/// Alerts named in one reply.
const NAMED: usize = 10;
/// Of what one alert says.
const LINE: usize = 200;
const _: () = assert!((2 * NAMED + 2) * (LINE + 10) < 2 * limits::SECTION);

/// A reply without its place. What a phone should ring for is shown in the channel as well: that it fires again,
/// still, or worse than before.
pub(crate) fn payload(message: &Message) -> Value {
    let text = text(message);
    let block = json!({ "type": "section", "text": { "type": "mrkdwn", "text": text } });
    let mut blocks = vec![block];
    blocks.extend(evidence::events(message));
    blocks.extend(evidence::lines(message));
    let mut payload = json!({ "text": text, "blocks": blocks });
    if is_broadcast(message)
        && let Some(map) = payload.as_object_mut()
    {
        map.insert("reply_broadcast".to_owned(), true.into());
    }
    payload
}

/// Events and log lines alone, in the thread of a card that has just been posted; they ring for nobody.
pub(crate) fn lines(message: &Message) -> Option<Value> {
    let events = evidence::events(message);
    let words = evidence::title(message).or_else(|| {
        let newest = message.evidence.as_ref()?.events.last()?;
        Some(clip(&format!("Kubernetes says: {newest}"), LINE))
    })?;
    let blocks: Vec<Value> = events.into_iter().chain(evidence::lines(message)).collect();
    Some(json!({ "text": words, "blocks": blocks }))
}

/// A picture, with log lines below it where there are any.
pub(super) fn beside(lines: Option<Value>, picture: Value, words: &str) -> Value {
    let mut payload = lines.unwrap_or_else(|| json!({ "text": words, "blocks": [] }));
    let blocks = payload.get_mut("blocks").and_then(Value::as_array_mut);
    if let Some(blocks) = blocks {
        blocks.insert(0, picture);
    }
    payload
}

fn text(message: &Message) -> String {
    let mut lines = vec![headline(message)];
    let is_about_some = matches!(message.reason, Reason::New | Reason::SomeResolved | Reason::First);
    if is_about_some {
        let is_added = |alert: &&Alert| message.added.contains(&alert.fingerprint);
        let added: Vec<&Alert> = message.firing().filter(is_added).collect();
        let resolved: Vec<&Alert> = message.resolved().collect();
        for (shape, alerts) in [("▲", added), ("●", resolved)] {
            lines.extend(alerts.iter().take(NAMED).map(|alert| line(shape, alert)));
            let left_out = alerts.len().saturating_sub(NAMED);
            if left_out > 0 {
                lines.push(format!("{shape} +{left_out} more"));
            }
        }
    }
    if message.may_repeat {
        lines.push("_possibly a repeat: what became of an earlier attempt is not known_".to_owned());
    }
    let mut text = String::new();
    for line in lines {
        if length(&text) + length(&line) + 1 > limits::SECTION {
            break;
        }
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&line);
    }
    text
}

fn headline(message: &Message) -> String {
    let began = message.alerts.iter().map(|alert| alert.starts_at).min();
    let began = began.unwrap_or(message.time);
    match message.reason {
        Reason::AllResolved => {
            let ended = message.alerts.iter().filter_map(|alert| alert.resolved_at).max();
            let lasted = ended.unwrap_or(message.time).since(began);
            format!("*Resolved* after {}", spoken(lasted))
        }
        Reason::Repeat => {
            let (count, lasted) = (message.firing().count(), spoken(message.time.since(began)));
            format!("*Still firing* for {lasted}: {}", alerts(count))
        }
        Reason::First => "*Firing again*".to_owned(),
        Reason::New | Reason::SomeResolved | Reason::Test => format!("*{}*", message.difference()),
    }
}

fn line(shape: &str, alert: &Alert) -> String {
    let summary = match alert.annotations.value("summary").trim() {
        "" => alert.labels.to_string(),
        summary => summary.to_owned(),
    };
    let summary = summary.split_whitespace().collect::<Vec<_>>().join(" ");
    let tail = match alert.resolved_at {
        Some(ended) => format!(" (resolved after {})", spoken(ended.since(alert.starts_at))),
        None => String::new(),
    };
    format!("{shape} {}{tail}", clip(&summary, LINE))
}

fn is_broadcast(message: &Message) -> bool {
    match message.reason {
        Reason::First | Reason::Repeat => true,
        Reason::New => message.grew_worse(),
        Reason::SomeResolved | Reason::AllResolved | Reason::Test => false,
    }
}
