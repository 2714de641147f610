//! Alerts that others post: what is required of them, in Alertmanager's words, and what they become.

use std::collections::BTreeMap;
use std::time::Duration;

use model::{AlertEvent, AlertState, Labels, Timestamp};
use serde::Deserialize;

/// Longest body: some thousand alerts.
const BODY_BYTES_MAX: usize = 4 << 20;
/// Alerts in one body; Prometheus posts 256.
const ALERTS_MAX: usize = 4_096;
const LABELS_MAX: usize = 64;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Posted {
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    #[serde(default)]
    starts_at: Option<String>,
    #[serde(default)]
    ends_at: Option<String>,
    #[serde(default, rename = "generatorURL")]
    generator_url: String,
}

/// What is right of a body, as events; and what is wrong with the rest, a sentence each.
///
/// # Errors
/// Status and sentence: nothing of it can be read.
pub(crate) fn read(
    body: &[u8],
    resolve_timeout: Duration,
    now: Timestamp,
) -> Result<(Vec<AlertEvent>, Vec<String>), (u16, String)> {
    let unreadable = |why: &str| {
        (
            400,
            format!("parsing alerts body from \"\" failed, because {why}"),
        )
    };
    if body.len() > BODY_BYTES_MAX {
        return Err((413, format!("the body is longer than {BODY_BYTES_MAX} bytes")));
    }
    let posted: Vec<Posted> = serde_json::from_slice(body).map_err(|error| unreadable(&error.to_string()))?;
    if posted.len() > ALERTS_MAX {
        return Err((413, format!("more than {ALERTS_MAX} alerts in one body")));
    }
    let (mut events, mut wrong) = (Vec::new(), Vec::new());
    for alert in posted {
        let (starts, ends) = match (time(alert.starts_at.as_deref()), time(alert.ends_at.as_deref())) {
            (Ok(starts), Ok(ends)) => (starts, ends),
            (Err(why), _) | (_, Err(why)) => return Err(unreadable(&why)),
        };
        match event(alert, (starts, ends), resolve_timeout, now) {
            Ok(event) => events.push(event),
            Err(why) => wrong.push(why),
        }
    }
    Ok((events, wrong))
}

fn event(
    alert: Posted,
    (starts, ends): (Option<Timestamp>, Option<Timestamp>),
    resolve_timeout: Duration,
    now: Timestamp,
) -> Result<AlertEvent, String> {
    let starts_at = starts.or(ends).unwrap_or(now);
    // Whoever does not say when it ends says it again in time.
    let ends_at = ends.unwrap_or(now + resolve_timeout);
    if ends_at < starts_at {
        return Err("start time must be before end time".to_owned());
    }
    let pairs = alert.labels.iter().filter(|(_, value)| !value.is_empty());
    let labels = Labels::from_pairs(pairs);
    if labels.iter().next().is_none() {
        return Err("at least one label pair required".to_owned());
    }
    if labels.iter().count() > LABELS_MAX {
        return Err(format!("more than {LABELS_MAX} labels"));
    }
    let names = alert.labels.keys().chain(alert.annotations.keys());
    if names.into_iter().any(String::is_empty) {
        return Err("invalid label set: invalid name \"\"".to_owned());
    }
    Ok(AlertEvent {
        fingerprint: labels.fingerprint(),
        labels,
        annotations: Labels::from_pairs(&alert.annotations),
        state: if ends_at <= now {
            AlertState::Resolved
        } else {
            AlertState::Firing
        },
        active_at: starts_at,
        starts_at,
        ends_at,
        value: f64::NAN,
        generator_url: alert.generator_url,
        epoch: 0,
        known: true,
    })
}

/// Go's zero time is none.
fn time(text: Option<&str>) -> Result<Option<Timestamp>, String> {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let read: jiff::Timestamp = text
        .parse()
        .map_err(|_| format!("parsing time {text:?}: not a time of RFC 3339"))?;
    let zero = jiff::Timestamp::from_second(-62_135_596_800).unwrap_or_default();
    Ok((read > zero).then(|| Timestamp(read.as_millisecond())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::world::{START, secs};

    fn posted(body: &str) -> Result<(Vec<AlertEvent>, Vec<String>), (u16, String)> {
        read(body.as_bytes(), secs(300), START)
    }

    #[test]
    fn times_that_are_not_said_are_those_of_alertmanager() {
        let body = r#"[{"labels":{"alertname":"A","empty":""}},
            {"labels":{"alertname":"B"},"endsAt":"2026-11-26T02:00:00Z"},
            {"labels":{"alertname":"C"},"startsAt":"2026-11-26T02:00:00Z","endsAt":"0001-01-01T00:00:00Z"}]"#;
        let (events, wrong) = posted(body).unwrap();
        assert!(wrong.is_empty());
        assert_eq!(events[0].labels, Labels::from_pairs([("alertname", "A")]));
        assert_eq!(
            (events[0].starts_at, events[0].ends_at),
            (START, START + secs(300))
        );
        assert_eq!(events[0].state, AlertState::Firing);
        assert_eq!(
            (events[1].starts_at, events[1].state),
            (events[1].ends_at, AlertState::Resolved)
        );
        assert_eq!(events[2].ends_at, START + secs(300));
        assert!(events[2].starts_at < START);
    }

    #[test]
    fn the_good_are_taken_and_the_others_named() {
        let body = r#"[{"labels":{}},{"labels":{"a":"b"}},
            {"labels":{"a":"c"},"startsAt":"2026-11-26T03:00:00Z","endsAt":"2026-11-26T02:00:00Z"}]"#;
        let (events, wrong) = posted(body).unwrap();
        assert_eq!(events.len(), 1);
        assert_eq!(
            wrong,
            [
                "at least one label pair required",
                "start time must be before end time"
            ]
        );
        for bad in ["", "{}", "[1]", r#"[{"labels":{"a":"b"},"startsAt":"now"}]"#] {
            assert_eq!(posted(bad).unwrap_err().0, 400, "{bad}");
        }
    }
}
