//! A silence as Alertmanager's API shows it.

use std::cmp::Reverse;

use model::{MatchOp, Timestamp};
use serde::Serialize;

use super::{Silence, State};

/// In the order in which Alertmanager's encoder writes them.
#[derive(Serialize)]
struct Shown<'a> {
    id: &'a str,
    status: Status,
    #[serde(rename = "updatedAt")]
    updated_at: String,
    comment: &'a str,
    #[serde(rename = "createdBy")]
    created_by: &'a str,
    #[serde(rename = "endsAt")]
    ends_at: String,
    matchers: Vec<ShownMatcher<'a>>,
    #[serde(rename = "startsAt")]
    starts_at: String,
}

#[derive(Serialize)]
struct Status {
    state: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownMatcher<'a> {
    is_equal: bool,
    is_regex: bool,
    name: &'a str,
    value: &'a str,
}

impl<'a> Shown<'a> {
    fn new(silence: &'a Silence, now: Timestamp) -> Self {
        let matchers = silence.matchers.iter().map(|matcher| ShownMatcher {
            is_equal: matches!(matcher.op, MatchOp::Equal | MatchOp::Matches),
            is_regex: matches!(matcher.op, MatchOp::Matches | MatchOp::NotMatches),
            name: &matcher.name,
            value: &matcher.value,
        });
        Self {
            id: &silence.id,
            status: Status {
                state: silence.state(now).word(),
            },
            updated_at: time(silence.updated_at),
            comment: &silence.comment,
            created_by: &silence.created_by,
            ends_at: time(silence.ends_at),
            matchers: matchers.collect(),
            starts_at: time(silence.starts_at),
        }
    }
}

pub(super) fn one(silence: &Silence, now: Timestamp) -> String {
    json(&Shown::new(silence, now))
}

/// First those that silence something now, soonest to end first; then those that will, and those that did,
/// the newest first.
pub(super) fn list(mut silences: Vec<Silence>, now: Timestamp) -> String {
    silences.sort_by_cached_key(|silence| {
        let state = silence.state(now);
        let (first, last) = match state {
            State::Active => (silence.ends_at.0, Reverse(0)),
            State::Pending => (silence.starts_at.0, Reverse(0)),
            State::Expired => (0, Reverse(silence.ends_at.0)),
        };
        (state, first, last, silence.id.clone())
    });
    let shown: Vec<Shown<'_>> = silences.iter().map(|silence| Shown::new(silence, now)).collect();
    json(&shown)
}

fn json(value: &impl Serialize) -> String {
    // Strings, numbers and lists of them always have a JSON form.
    serde_json::to_string(value).unwrap_or_default()
}

fn time(time: Timestamp) -> String {
    let time = jiff::Timestamp::from_millisecond(time.0).unwrap_or_default();
    format!("{time:.3}")
}
