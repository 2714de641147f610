//! The blocks of the card: facts, what changed, the alerts, where to look next.

use model::Labels;
use model::text::duration::spoken;
use serde_json::{Value, json};

use super::text::{clip, date, link};
use super::{evidence, limits, severity};
use crate::alert::Alert;
use crate::delivered::Reason;
use crate::message::{Message, common, length, one_line};

/// Facts about the place; more are on the page.
const PLACE_FIELDS: usize = 6;
/// Longest value of a fact, far below Slack's limit: the card is compact.
const FACT: usize = 200;
const _: () = assert!(FACT + 100 <= limits::FIELD && PLACE_FIELDS + 4 <= limits::FIELDS);

pub(super) fn header(title: &str) -> Value {
    let text = one_line(title, limits::HEADER);
    json!({ "type": "header", "text": { "type": "plain_text", "text": text, "emoji": false } })
}

pub(super) fn blocks(message: &Message, has_lines: bool) -> Vec<Value> {
    let labels = common(message.alerts.iter().map(|alert| &alert.labels));
    let mut head = vec![facts(message, &labels)];
    head.extend(evidence::changes(message));
    head.extend(remarks(message));
    let said = evidence::events(message)
        .into_iter()
        .chain(evidence::lines(message));
    let mut tail: Vec<Value> = said.filter(|_| has_lines).collect();
    tail.extend(links(message));
    // Kept free for the line that says how many are left out.
    const MORE: usize = 200;
    let mut room = limits::TOTAL - MORE;
    for block in head.iter().chain(&tail) {
        room = room.saturating_sub(length(&block.to_string()));
    }
    let listed = listing(message, &labels, room);
    let left_out = message.alerts.len() - listed.len();
    head.extend(listed);
    if left_out > 0 {
        head.push(context(&[format!("+{left_out} more")]));
    }
    head.extend(tail);
    head
}

fn facts(message: &Message, labels: &Labels) -> Value {
    let mut facts = Vec::new();
    let severity = severity(message);
    if !severity.is_empty() {
        facts.push(fact("Severity", &clip(&severity, FACT)));
    }
    facts.push(since(message));
    let (firing, resolved) = (message.firing().count(), message.resolved().count());
    if firing + resolved > 1 {
        let counts = [(firing, "firing"), (resolved, "resolved")];
        let counts = counts.iter().filter(|(count, _)| *count > 0);
        let counts: Vec<String> = counts.map(|(count, word)| format!("{count} {word}")).collect();
        facts.push(fact("Alerts", &counts.join(", ")));
    }
    let place = labels.iter().filter(|(name, _)| is_place(name));
    facts.extend(
        place
            .take(PLACE_FIELDS)
            .map(|(name, value)| fact(name, &clip(value, FACT))),
    );
    if let Some((name, course)) = evidence::trend(message, labels) {
        facts.push(fact(&name, &clip(&course, FACT)));
    }
    json!({ "type": "section", "fields": facts })
}

/// `value` is escaped already.
pub(super) fn fact(name: &str, value: &str) -> Value {
    mrkdwn(&format!("*{}*\n{value}", clip(name, 60)))
}

fn since(message: &Message) -> Value {
    let firing = message.is_firing();
    let told = message.alerts.iter().filter(|alert| alert.firing() == firing);
    let began = told.map(|alert| alert.starts_at).min().unwrap_or(message.time);
    let ended = message.alerts.iter().filter_map(|alert| alert.resolved_at).max();
    match ended.filter(|_| !firing) {
        Some(ended) if message.reason != Reason::Test => {
            fact("Fired", &format!("{} to {}", date(began), date(ended)))
        }
        Some(ended) => fact("Sent", &date(ended)),
        None => fact(
            "Since",
            &format!("{} ({})", date(began), spoken(message.time.since(began))),
        ),
    }
}

/// What changed since the last message, and what a reader must know about this one.
fn remarks(message: &Message) -> Option<Value> {
    let mut remarks = Vec::new();
    let is_whole = matches!(message.reason, Reason::First | Reason::AllResolved);
    let is_plain = is_whole && message.alerts.len() == 1;
    match message.reason {
        Reason::Repeat => remarks.push("unchanged, told again".to_owned()),
        Reason::Test => {}
        _ if is_plain => {}
        _ => remarks.push(message.difference()),
    }
    let unknown = message
        .alerts
        .iter()
        .filter(|alert| alert.unknown(message.time))
        .count();
    if unknown > 0 {
        remarks.push(format!("{unknown} not confirmed lately: state unknown"));
    }
    if message.may_repeat {
        remarks.push("possibly a repeat: what became of an earlier attempt is not known".to_owned());
    }
    (!remarks.is_empty()).then(|| context(&remarks))
}

/// As many alerts as fit: what changed first.
fn listing(message: &Message, labels: &Labels, mut room: usize) -> Vec<Value> {
    let mut order: Vec<&Alert> = message.alerts.iter().collect();
    order.sort_by_key(|alert| rank(message, alert));
    let most = if order.len() == 1 {
        limits::SECTION
    } else {
        limits::SECTION / 5
    };
    let mut listed = Vec::new();
    for alert in order.into_iter().take(limits::ALERTS) {
        let block = json!({ "type": "section", "text": mrkdwn(&item(message, alert, labels, most)) });
        let Some(left) = room.checked_sub(length(&block.to_string())) else {
            break;
        };
        room = left;
        listed.push(block);
    }
    listed
}

fn rank(message: &Message, alert: &Alert) -> u8 {
    if message.added.contains(&alert.fingerprint) {
        0
    } else if alert.firing() {
        2
    } else {
        1
    }
}

/// One alert in at most `most` characters.
fn item(message: &Message, alert: &Alert, labels: &Labels, most: usize) -> String {
    let shape = if alert.unknown(message.time) {
        "○"
    } else if alert.firing() {
        "▲"
    } else {
        "●"
    };
    let summary = match alert.annotations.value("summary") {
        "" => alert.name(),
        summary => summary,
    };
    let summary = clip(summary.trim(), most / 3);
    let summary = if summary.is_empty() {
        "(no name)".to_owned()
    } else {
        summary
    };
    let mut text = format!("{shape} *{summary}*{}", aside(message, alert, labels));
    let description = alert.annotations.value("description").trim();
    let room = most.saturating_sub(length(&text) + 1);
    if !description.is_empty() && room > 20 {
        text.push('\n');
        text.push_str(&clip(description, room));
    }
    text
}

/// What tells this alert from its neighbours, and what became of it.
fn aside(message: &Message, alert: &Alert, labels: &Labels) -> String {
    if message.alerts.len() == 1 {
        return String::new();
    }
    let mut words: Vec<String> = Vec::new();
    let own = alert.labels.iter().filter(|(name, _)| labels.get(name).is_none());
    words.extend(
        own.take(4)
            .map(|(name, value)| clip(&format!("{name}={value}"), 50)),
    );
    match alert.resolved_at {
        Some(ended) => words.push(format!("resolved after {}", spoken(ended.since(alert.starts_at)))),
        None if message.added.contains(&alert.fingerprint) => words.push("new".to_owned()),
        None => {}
    }
    if words.is_empty() {
        String::new()
    } else {
        format!(" ({})", words.join(", "))
    }
}

fn links(message: &Message) -> Vec<Value> {
    let links = message.links().into_iter();
    let links: Vec<String> = links.filter_map(|(url, words)| link(&url, words)).collect();
    if links.is_empty() {
        Vec::new()
    } else {
        vec![context(&links)]
    }
}

fn is_place(name: &str) -> bool {
    name != model::labels::ALERT_NAME && name != "severity"
}

pub(super) fn remark(text: &str) -> Value {
    context(&[text.to_owned()])
}

pub(super) fn context(texts: &[String]) -> Value {
    let elements: Vec<Value> = texts.iter().map(|text| mrkdwn(text)).collect();
    json!({ "type": "context", "elements": elements })
}

fn mrkdwn(text: &str) -> Value {
    json!({ "type": "mrkdwn", "text": text })
}
