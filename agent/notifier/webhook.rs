//! Alertmanager's webhook format, version 4, field for field.

use model::{Labels, Timestamp};
use serde::Serialize;

use crate::alert::Alert;
use crate::message::{Message, common};

/// Largest body; alerts that do not fit are counted in `truncatedAlerts`.
const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// In the order in which Alertmanager's encoder writes them.
#[derive(Serialize)]
struct Payload<'a> {
    receiver: &'a str,
    status: &'static str,
    alerts: &'a [Item<'a>],
    notification_reason: &'static str,
    #[serde(rename = "groupLabels")]
    group_labels: &'a Labels,
    #[serde(rename = "commonLabels")]
    common_labels: Labels,
    #[serde(rename = "commonAnnotations")]
    common_annotations: Labels,
    #[serde(rename = "routeLabels")]
    route_labels: Labels,
    #[serde(rename = "externalURL")]
    external_url: &'a str,
    version: &'static str,
    #[serde(rename = "groupKey")]
    group_key: &'a str,
    #[serde(rename = "truncatedAlerts")]
    truncated_alerts: usize,
}

#[derive(Serialize)]
struct Item<'a> {
    status: &'static str,
    labels: &'a Labels,
    annotations: &'a Labels,
    #[serde(rename = "startsAt")]
    starts_at: String,
    #[serde(rename = "endsAt")]
    ends_at: String,
    #[serde(rename = "generatorURL")]
    generator_url: &'a str,
    fingerprint: String,
}

impl<'a> Item<'a> {
    fn new(alert: &'a Alert) -> Self {
        Self {
            status: status(alert.firing()),
            labels: &alert.labels,
            annotations: &alert.annotations,
            starts_at: rfc3339(alert.starts_at),
            // Go's zero time: it has not ended.
            ends_at: alert
                .resolved_at
                .map_or("0001-01-01T00:00:00Z".to_owned(), rfc3339),
            generator_url: &alert.generator_url,
            fingerprint: format!("{:016x}", alert.fingerprint),
        }
    }
}

/// The body for `receiver`; `max_alerts` 0 means all that fit.
pub(crate) fn payload(message: &Message, receiver: &str, max_alerts: usize) -> Vec<u8> {
    let most = if max_alerts == 0 { usize::MAX } else { max_alerts };
    let mut bytes = 0;
    let fitting = message.alerts.iter().take(most).take_while(|alert| {
        bytes += alert.weight();
        bytes <= BODY_BYTES_MAX
    });
    let shown: Vec<&Alert> = fitting.collect();
    let items: Vec<Item<'_>> = shown.iter().map(|alert| Item::new(alert)).collect();
    let payload = Payload {
        receiver,
        status: status(shown.iter().any(|alert| alert.firing())),
        alerts: &items,
        notification_reason: message.reason.text(),
        group_labels: &message.group_labels,
        common_labels: common(shown.iter().map(|alert| &alert.labels)),
        common_annotations: common(shown.iter().map(|alert| &alert.annotations)),
        route_labels: Labels::empty(),
        external_url: &message.external_url,
        version: "4",
        group_key: &message.key,
        truncated_alerts: message.alerts.len() - items.len(),
    };
    // Strings and maps of strings always have a JSON form.
    serde_json::to_vec(&payload).unwrap_or_default()
}

fn status(firing: bool) -> &'static str {
    if firing { "firing" } else { "resolved" }
}

/// As Go prints a UTC time: no more digits of a second than needed.
pub(crate) fn rfc3339(time: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(time.0)
        .unwrap_or_default()
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_printed_as_go_does() {
        assert_eq!(rfc3339(Timestamp(1_795_661_461_000)), "2026-11-26T02:51:01Z");
        assert_eq!(rfc3339(Timestamp(1_795_661_461_500)), "2026-11-26T02:51:01.5Z");
        assert_eq!(rfc3339(Timestamp(0)), "1970-01-01T00:00:00Z");
    }
}
