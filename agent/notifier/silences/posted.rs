//! A silence as it is posted: what is required of it, and what is said about one that is not right, in the words of
//! Alertmanager 0.33.

use model::{MatchOp, Matcher, Timestamp};
use serde::Deserialize;

use super::{Refusal, Silence, sentence};
use crate::matching::Test;

/// Longest body; a silence is a few lines.
const BODY_BYTES_MAX: usize = 64 * 1024;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Posted {
    #[serde(default)]
    id: String,
    comment: Option<String>,
    created_by: Option<String>,
    starts_at: Option<String>,
    ends_at: Option<String>,
    matchers: Option<Vec<PostedMatcher>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PostedMatcher {
    name: Option<String>,
    value: Option<String>,
    is_regex: Option<bool>,
    is_equal: Option<bool>,
}

pub(super) fn read(body: &[u8], now: Timestamp) -> Result<Silence, Refusal> {
    if body.len() > BODY_BYTES_MAX {
        let (length, limit) = (body.len(), BODY_BYTES_MAX);
        let why = format!("silence exceeded maximum size: {length} bytes (limit: {limit} bytes)");
        return Err(sentence(400, &why));
    }
    if body.trim_ascii().is_empty() {
        return Err(missing("silence"));
    }
    let posted: Posted = serde_json::from_slice(body).map_err(|error| unreadable(&error.to_string()))?;
    let (starts, ends) = (
        time(posted.starts_at.as_deref())?,
        time(posted.ends_at.as_deref())?,
    );
    let comment = posted.comment.ok_or_else(|| missing("comment"))?;
    let created_by = posted.created_by.ok_or_else(|| missing("createdBy"))?;
    let ends_at = ends.ok_or_else(|| missing("endsAt"))?;
    let matchers = matchers(posted.matchers)?;
    let starts_at = starts.ok_or_else(|| missing("startsAt"))?;
    if starts_at >= ends_at {
        let why = "Failed to create silence: start time must be before end time";
        return Err(sentence(400, why));
    }
    if ends_at < now {
        return Err(sentence(
            400,
            "Failed to create silence: end time can't be in the past",
        ));
    }
    judge(&matchers).map_err(|why| sentence(400, &format!("invalid silence: {why}")))?;
    Ok(Silence {
        id: posted.id,
        matchers,
        starts_at,
        ends_at,
        updated_at: now,
        created_by,
        comment,
    })
}

fn matchers(posted: Option<Vec<PostedMatcher>>) -> Result<Vec<Matcher>, Refusal> {
    let posted = posted.ok_or_else(|| missing("matchers"))?;
    if posted.is_empty() {
        return Err(sentence(422, "matchers in body should have at least 1 items"));
    }
    let matchers = posted.into_iter().enumerate().map(|(nth, posted)| {
        let lacks = |what: &str| missing(&format!("matchers.{nth}.{what}"));
        let is_regex = posted.is_regex.ok_or_else(|| lacks("isRegex"))?;
        let op = match (posted.is_equal.unwrap_or(true), is_regex) {
            (true, false) => MatchOp::Equal,
            (false, false) => MatchOp::NotEqual,
            (true, true) => MatchOp::Matches,
            (false, true) => MatchOp::NotMatches,
        };
        let name = posted.name.ok_or_else(|| lacks("name"))?;
        let value = posted.value.ok_or_else(|| lacks("value"))?;
        Ok(Matcher::new(&name, op, &value))
    });
    matchers.collect()
}

/// Whether they can be run, and silence not simply everything.
fn judge(matchers: &[Matcher]) -> Result<(), String> {
    let mut is_bounded = false;
    for (nth, matcher) in matchers.iter().enumerate() {
        let wrong = |why: String| format!("invalid label matcher {nth} in set 0: {why}");
        if matcher.name.is_empty() {
            return Err(wrong("invalid label name \"\"".to_owned()));
        }
        let test = Test::new(matcher).map_err(wrong)?;
        is_bounded |= !test.accepts("");
    }
    let why = "matcher set 0: at least one matcher must not match the empty string";
    if is_bounded { Ok(()) } else { Err(why.to_owned()) }
}

/// Also without an offset, and a day alone, as Alertmanager's reader allows; both are UTC.
fn time(text: Option<&str>) -> Result<Option<Timestamp>, Refusal> {
    let Some(text) = text else {
        return Ok(None);
    };
    let utc = |time: jiff::civil::DateTime| time.to_zoned(jiff::tz::TimeZone::UTC).ok();
    let read = text.parse::<jiff::Timestamp>().ok();
    let read = read.or_else(|| Some(utc(text.parse().ok()?)?.timestamp()));
    let read = read.ok_or_else(|| unreadable(&format!("parsing time {text:?}: not a time of RFC 3339")))?;
    Ok(Some(Timestamp(read.as_millisecond())))
}

fn unreadable(why: &str) -> Refusal {
    let why = format!("parsing silence body from \"\" failed, because {why}");
    sentence(400, &why)
}

fn missing(what: &str) -> Refusal {
    sentence(422, &format!("{what} in body is required"))
}
