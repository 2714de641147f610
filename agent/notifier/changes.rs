//! Alerts that are told as changes (a deploy, a new configuration): PagerDuty shows them beside its incidents and pages
//! nobody.
//!
//! A change has no end and no key: it is told once, when its alert begins. It is sent after the incident of the same
//! message, which bears a repeat.

use std::borrow::Cow;

use model::Matcher;
use serde_json::{Value, json};

use crate::alert::Alert;
use crate::delivered::Reason;
use crate::matchers;
use crate::matching::Tests;
use crate::message::{Message, common, one_line};
use crate::pagerduty::{details, limits, links, summary};
use crate::webhook::rfc3339;

/// For the alerts; the rest is far smaller than what is left.
const DETAILS_BYTES: usize = 400 * 1024;

/// Which alerts are changes. Two are equal if they were written alike.
#[derive(Clone, Debug)]
pub(crate) struct Changes {
    written: Vec<Matcher>,
    tests: Tests,
}

impl PartialEq for Changes {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

impl Changes {
    /// None where there are no matchers.
    ///
    /// # Errors
    /// What is wrong with one of them.
    pub(crate) fn new(texts: &[String]) -> Result<Option<Self>, String> {
        let mut written = Vec::new();
        for text in texts {
            written.extend(matchers::list(text)?);
        }
        let tests = Tests::new(&written)?;
        Ok((!written.is_empty()).then_some(Self { written, tests }))
    }

    /// What is an incident's, and what is a change.
    pub(crate) fn split<'a>(&self, message: &'a Message) -> (Option<Cow<'a, Message>>, Option<Message>) {
        if message.is_test() {
            return (Some(Cow::Borrowed(message)), None);
        }
        let is_change = |alert: &Alert| self.tests.accept(&alert.labels);
        let changes = only(message, |alert| {
            is_change(alert) && message.added.contains(&alert.fingerprint)
        });
        let is_told = message.reason != Reason::Repeat;
        let incident = only(message, |alert| !is_change(alert));
        // What is news of changes only is none of the incident.
        let is_news = |part: &Message| {
            !is_told || !part.added.is_empty() || part.alerts.iter().any(|alert| !alert.firing())
        };
        (
            incident.filter(is_news).map(Cow::Owned),
            changes.filter(|_| is_told),
        )
    }
}

/// None where nothing is left.
fn only(message: &Message, is_kept: impl Fn(&Alert) -> bool) -> Option<Message> {
    let mut part = message.clone();
    part.alerts.retain(is_kept);
    let kept = |fingerprint: &u64| part.alerts.iter().any(|alert| alert.fingerprint == *fingerprint);
    part.added.retain(kept);
    (!part.alerts.is_empty()).then_some(part)
}

/// Where changes go, beside events.
pub(crate) fn address(events: &str) -> Option<String> {
    let base = events.strip_suffix("/enqueue")?;
    Some(format!("{base}/change/enqueue"))
}

/// The body of the request.
pub(crate) fn payload(message: &Message, routing_key: &str) -> Vec<u8> {
    let mut room = DETAILS_BYTES;
    loop {
        let body = body(message, routing_key, room).to_string().into_bytes();
        // Letters that JSON writes in six bytes each were counted as two.
        if body.len() <= limits::BODY_BYTES || room == 0 {
            return body;
        }
        room /= 2;
    }
}

fn body(message: &Message, routing_key: &str, room: usize) -> Value {
    let labels = common(message.alerts.iter().map(|alert| &alert.labels));
    let mut places = ["instance", "node", "pod", "namespace", "job"].iter();
    let source = places.find_map(|name| labels.get(name)).unwrap_or("Skopos");
    let began = message.alerts.iter().map(|alert| alert.starts_at).min();
    let mut custom_details = details(message, room);
    if message.may_repeat {
        custom_details.insert("possibly_a_repeat".to_owned(), true.into());
    }
    json!({
        "routing_key": routing_key,
        "payload": {
            "summary": summary(message),
            "source": one_line(source, limits::FIELD),
            "timestamp": rfc3339(began.unwrap_or(message.time)),
            "custom_details": custom_details,
        },
        "links": links(message),
    })
}
