//! One incident per group or per alert at PagerDuty, by its Events API v2.
//!
//! The key of an incident is made of the group's and of nothing else, so a repeated trigger is the same incident:
//! from whichever replica it comes, and however often. What is sent stays within every published limit.

use serde::Serialize;
use serde_json::{Map, Value, json};
use xxhash_rust::xxh3::xxh3_128;

use crate::alert::Alert;
use crate::look::cut;
use crate::look::pagerduty::Filled;
use crate::message::{Message, alerts, common, one_line};
use crate::webhook::rfc3339;

/// What PagerDuty refuses or cuts.
pub(crate) mod limits {
    pub(crate) const SUMMARY: usize = 1_024;
    pub(crate) const FIELD: usize = 1_024;
    pub(crate) const BODY_BYTES: usize = 512 * 1024;
}

/// For the alerts; the rest is far smaller than what is left.
const DETAILS_BYTES: usize = 400 * 1024;
/// Longest link; longer ones are left out.
const LINK_BYTES: usize = 2_048;

#[derive(Serialize)]
struct Event<'a> {
    routing_key: &'a str,
    event_action: &'static str,
    dedup_key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Payload>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    links: Vec<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    images: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    client_url: &'a str,
}

#[derive(Serialize)]
struct Payload {
    summary: String,
    source: String,
    severity: &'static str,
    timestamp: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    component: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    group: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    class: String,
    custom_details: Map<String, Value>,
}

/// The body of the request. An incident opens or changes while anything fires, and ends with the last of it.
pub(crate) fn payload(
    message: &Message,
    routing_key: &str,
    severity_label: &str,
    mut said: Filled,
) -> Vec<u8> {
    let mut room = DETAILS_BYTES;
    loop {
        let body = body(message, routing_key, severity_label, room, &said);
        // Letters that JSON writes in six bytes each were counted as two.
        if body.len() <= limits::BODY_BYTES {
            return body;
        }
        if room == 0 {
            if said.details.is_empty() {
                return body;
            }
            said.details = Map::from_iter([("error".to_owned(), "left out: too long".into())]);
            said.images.clear();
            said.links.clear();
        }
        room /= 2;
    }
}

fn body(message: &Message, routing_key: &str, severity_label: &str, room: usize, said: &Filled) -> Vec<u8> {
    let is_firing = message.is_firing();
    let links = if said.links.is_empty() {
        links(message)
    } else {
        said.links.clone()
    };
    let client_url = said.client_url.as_deref().unwrap_or(&message.external_url);
    let event = Event {
        routing_key,
        event_action: if is_firing { "trigger" } else { "resolve" },
        dedup_key: dedup_key(&message.key),
        payload: is_firing.then(|| trigger(message, severity_label, room, said)),
        links: if is_firing { links } else { Vec::new() },
        images: if is_firing {
            said.images.clone()
        } else {
            Vec::new()
        },
        client: is_firing.then_some(said.client.as_deref().unwrap_or("Skopos")),
        client_url: if is_firing { client_url } else { "" },
    };
    // Strings, numbers and maps of them always have a JSON form.
    serde_json::to_vec(&event).unwrap_or_default()
}

/// The same for the same group, today and after any restart, on every replica.
pub(crate) fn dedup_key(group: &str) -> String {
    format!("skopos-{:032x}", xxh3_128(group.as_bytes()))
}

fn trigger(message: &Message, severity_label: &str, room: usize, said: &Filled) -> Payload {
    let firing: Vec<&Alert> = message.firing().collect();
    let labels = common(firing.iter().map(|alert| &alert.labels));
    let began = message.firing().map(|alert| alert.starts_at).min();
    let of = |names: &[&str]| {
        let found = names.iter().find_map(|name| labels.get(name));
        found
            .map(|value| one_line(value, limits::FIELD))
            .unwrap_or_default()
    };
    let source = of(&["instance", "node", "pod", "namespace", "job"]);
    let source = if source.is_empty() {
        "Skopos".to_owned()
    } else {
        source
    };
    let written = |text: &Option<String>| text.clone().map(|text| cut(text, limits::FIELD));
    let or = |text: &Option<String>, ours: String| written(text).unwrap_or(ours);
    let summary = match said.description.clone().filter(|text| !text.is_empty()) {
        Some(text) => cut(text, limits::SUMMARY),
        None => summary(message),
    };
    let mut custom_details = details(message, room);
    custom_details.extend(said.details.clone());
    Payload {
        summary,
        // It may not be empty there.
        source: written(&said.source)
            .filter(|text| !text.is_empty())
            .unwrap_or(source),
        severity: match &said.severity {
            Some(word) => word_of(rank(word)),
            None => severity(message, severity_label),
        },
        timestamp: rfc3339(began.unwrap_or(message.time)),
        component: or(&said.component, of(&["job", "service", "container"])),
        group: or(&said.group, of(&["cluster", "namespace"])),
        class: or(&said.class, one_line(&message.name(), limits::FIELD)),
        custom_details,
    }
}

/// `DiskFilling: /data will be full in 2 h`, `DiskFilling: 3 alerts (+1 new, 2 unchanged)`.
pub(crate) fn summary(message: &Message) -> String {
    let name = message.name();
    let mut firing = message.firing();
    let words = match (firing.next(), firing.next()) {
        (Some(alert), None) => alert.annotations.value("summary").to_owned(),
        _ => {
            let count = alerts(message.firing().count());
            format!("{count} ({})", message.difference())
        }
    };
    let line = if words.is_empty() {
        name
    } else {
        format!("{name}: {words}")
    };
    let line = one_line(&line, limits::SUMMARY);
    if line.is_empty() { "alert".to_owned() } else { line }
}

/// PagerDuty's word for the gravest of what fires. What says nothing, or something else, is an error.
fn severity(message: &Message, label: &str) -> &'static str {
    let ranks = message.firing().map(|alert| rank(alert.labels.value(label)));
    ranks.max().map_or("error", word_of)
}

fn rank(word: &str) -> u8 {
    match word.trim().to_ascii_lowercase().as_str() {
        "critical" | "page" | "emergency" | "fatal" | "disaster" => 3,
        "warning" | "warn" | "minor" => 1,
        "info" | "informational" | "none" | "debug" | "low" => 0,
        _ => 2,
    }
}

fn word_of(rank: u8) -> &'static str {
    match rank {
        0 => "info",
        1 => "warning",
        3 => "critical",
        _ => "error",
    }
}

/// What fires and what has ended, as far as it fits.
pub(crate) fn details(message: &Message, room: usize) -> Map<String, Value> {
    let mut bytes = 0;
    let fitting = message.alerts.iter().take_while(|alert| {
        bytes += alert.weight();
        bytes <= room
    });
    let shown: Vec<&Alert> = fitting.collect();
    let told = |firing: bool| -> Vec<Value> {
        let alerts = shown.iter().filter(|alert| alert.firing() == firing);
        alerts.map(|alert| detail(alert)).collect()
    };
    let mut details = Map::new();
    details.insert("firing".to_owned(), told(true).into());
    details.insert("resolved".to_owned(), told(false).into());
    details.insert("num_firing".to_owned(), message.firing().count().into());
    details.insert("num_resolved".to_owned(), message.resolved().count().into());
    let evidence = message.evidence.iter();
    for known in evidence.filter(|known| {
        message
            .alerts
            .iter()
            .any(|alert| alert.fingerprint == known.fingerprint)
    }) {
        if let Some(course) = known.course() {
            details.insert("value_in_the_last_hour".to_owned(), course.into());
        }
        if !known.changes.is_empty() {
            let changes = known.changes.clone();
            details.insert("changed_in_the_last_half_hour".to_owned(), changes.into());
        }
        if !known.events.is_empty() {
            let events = known.events.clone();
            details.insert("kubernetes_says".to_owned(), events.into());
        }
        if !known.lines.is_empty() {
            let lines: Vec<String> = known.lines.iter().map(ToString::to_string).collect();
            details.insert("last_log_lines".to_owned(), lines.into());
        }
    }
    let left_out = message.alerts.len() - shown.len();
    if left_out > 0 {
        details.insert("left_out".to_owned(), left_out.into());
    }
    details
}

fn detail(alert: &Alert) -> Value {
    json!({
        "labels": alert.labels,
        "annotations": alert.annotations,
        "starts_at": rfc3339(alert.starts_at),
        "ends_at": alert.resolved_at.map(rfc3339),
        "link": alert.generator_url,
    })
}

pub(crate) fn links(message: &Message) -> Vec<Value> {
    let links = message.links().into_iter();
    let links = links.filter(|(url, _)| {
        let is_http = url.starts_with("https://") || url.starts_with("http://");
        is_http && url.len() <= LINK_BYTES
    });
    links
        .map(|(url, text)| json!({ "href": url, "text": text }))
        .collect()
}
