//! An event of Kubernetes as a record, with an id that is the same whoever reads it and however often.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use model::{Level, Note};
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// What is known of one occurrence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// Of the object, at which the API server orders what it tells.
    pub(super) version: u64,
    pub(super) kind: String,
    pub(super) namespace: String,
    pub(super) reason: String,
    pub(super) severity: String,
    pub(super) note: Note,
}

/// Of `events.k8s.io/v1`, what becomes fields. Events of the older API have their own under `deprecated…`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    metadata: Meta,
    #[serde(default)]
    event_time: Option<String>,
    #[serde(default)]
    series: Option<Series>,
    #[serde(default)]
    reporting_controller: Option<String>,
    #[serde(default)]
    action: Option<String>,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    regarding: Regarding,
    #[serde(default)]
    note: Option<String>,
    #[serde(default, rename = "type")]
    severity: Option<String>,
    #[serde(default)]
    deprecated_source: Option<Source>,
    #[serde(default)]
    deprecated_first_timestamp: Option<String>,
    #[serde(default)]
    deprecated_last_timestamp: Option<String>,
    #[serde(default)]
    deprecated_count: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    uid: String,
    resource_version: String,
    #[serde(default)]
    creation_timestamp: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Series {
    count: u64,
    last_observed_time: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Regarding {
    kind: String,
    namespace: String,
    name: String,
    uid: String,
    field_path: String,
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Source {
    component: String,
    host: String,
}

/// None when this is no event, or says no time.
pub(super) fn read(text: &str) -> Option<Told> {
    let event: Event = serde_json::from_str(text).ok()?;
    let series = event.series.as_ref();
    let created = event.metadata.creation_timestamp.as_deref();
    let observed = series.map(|series| series.last_observed_time.as_str());
    let (at, first_at) = (
        event.event_time.as_deref(),
        event.deprecated_first_timestamp.as_deref(),
    );
    let last_at = event.deprecated_last_timestamp.as_deref();
    let time = |all: [Option<&str>; 4]| {
        all.into_iter()
            .flatten()
            .find_map(|text| text.parse::<jiff::Timestamp>().ok())
    };
    let last = time([observed, last_at, at, first_at]).or_else(|| time([created, None, None, None]))?;
    let first = time([first_at, at, created, None]).unwrap_or(last);
    let count = series
        .map(|series| series.count)
        .max(event.deprecated_count)
        .unwrap_or(1)
        .max(1);
    let source = event.deprecated_source.unwrap_or_default();
    let controller = event
        .reporting_controller
        .filter(|name| !name.is_empty())
        .unwrap_or(source.component);
    let Regarding {
        kind,
        namespace,
        name,
        uid,
        field_path,
    } = event.regarding;
    let severity = event.severity.unwrap_or_default();
    let reason = event.reason.unwrap_or_default();
    let words = event.note.unwrap_or_default();
    let (pod, pod_uid) = match kind.as_str() {
        "Pod" => (name.clone(), uid.clone()),
        _ => Default::default(),
    };
    let node = match kind.as_str() {
        "Node" => name.clone(),
        _ => source.host.clone(),
    };
    let facts = vec![
        ("namespace", namespace.clone()),
        ("pod", pod),
        ("pod_uid", pod_uid),
        ("container", container(&field_path).to_owned()),
        ("node", node),
        ("host", source.host),
        ("object.kind", kind.clone()),
        ("object.name", name.clone()),
        ("object.uid", uid),
        ("event.dataset", "kubernetes.events".to_owned()),
        ("event.reason", reason.clone()),
        ("event.type", severity.clone()),
        ("event.action", event.action.unwrap_or_default()),
        ("event.provider", controller),
        ("event.start", first.to_string()),
        ("event.end", last.to_string()),
        ("event.count", count.to_string()),
    ];
    let nanos = i64::try_from(last.as_nanosecond()).ok()?;
    Some(Told {
        version: event.metadata.resource_version.parse().ok()?,
        note: Note {
            nanos,
            level: match severity.as_str() {
                "Warning" => Level::Warn,
                _ => Level::Info,
            },
            source: source_name(&kind, &namespace, &name),
            facts,
            id: note_id(nanos / 1_000, &format!("{}/{count}", event.metadata.uid)),
            text: match words.trim_end() {
                "" => reason.clone(),
                words => format!("{reason}: {words}"),
            },
        },
        kind,
        namespace,
        reason,
        severity,
    })
}

/// Those of a pod stand among the lines of its containers; names of other kinds have more parts, or a letter in the first one that no
/// namespace has.
fn source_name(kind: &str, namespace: &str, name: &str) -> String {
    match (kind, namespace) {
        ("Pod", _) => format!("{namespace}/{name}/events"),
        (_, "") => format!("{kind}/{name}/events"),
        _ => format!("{namespace}/{kind}/{name}/events"),
    }
}

/// `app` of `spec.containers{app}`.
fn container(path: &str) -> &str {
    let inside = path.split_once('{').map(|(_, rest)| rest);
    inside.and_then(|rest| rest.strip_suffix('}')).unwrap_or_default()
}

/// Rising numbers first, so that OpenSearch finds quickly that it has no such id; then what names the record.
pub fn note_id(rising: i64, name: &str) -> String {
    let mut bytes = rising.to_be_bytes().to_vec();
    bytes.extend(Sha256::digest(name.as_bytes()).iter().take(16));
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn fact(told: &Told, name: &str) -> String {
        let found = told.note.facts.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    }

    /// As a kubelet writes it.
    fn old() -> Value {
        json!({
            "metadata": {"uid": "e1", "resourceVersion": "812", "name": "web-1.17", "namespace": "shop",
                "creationTimestamp": "2026-11-27T10:00:00Z"},
            "eventTime": null, "reportingController": "kubelet", "reportingInstance": "n1", "reason": "BackOff",
            "regarding": {"kind": "Pod", "namespace": "shop", "name": "web-1", "uid": "p1", "fieldPath": "spec.containers{app}"},
            "note": "Back-off restarting failed container\n", "type": "Warning",
            "deprecatedSource": {"component": "kubelet", "host": "n1"},
            "deprecatedFirstTimestamp": "2026-11-27T10:00:00Z", "deprecatedLastTimestamp": "2026-11-27T10:05:00Z",
            "deprecatedCount": 7
        })
    }

    #[test]
    fn a_record_says_what_happened_to_whom_how_often_and_who_says_so() {
        let told = read(&old().to_string()).unwrap();
        assert_eq!(told.note.text, "BackOff: Back-off restarting failed container");
        assert_eq!(
            (told.note.level, told.note.source.as_str()),
            (Level::Warn, "shop/web-1/events")
        );
        let last: jiff::Timestamp = "2026-11-27T10:05:00Z".parse().unwrap();
        assert_eq!(i128::from(told.note.nanos), last.as_nanosecond());
        for (name, want) in [
            ("namespace", "shop"),
            ("pod", "web-1"),
            ("pod_uid", "p1"),
            ("container", "app"),
            ("node", "n1"),
            ("object.kind", "Pod"),
            ("event.reason", "BackOff"),
            ("event.type", "Warning"),
            ("event.provider", "kubelet"),
            ("event.start", "2026-11-27T10:00:00Z"),
            ("event.end", "2026-11-27T10:05:00Z"),
            ("event.count", "7"),
        ] {
            assert_eq!(fact(&told, name), want, "{name}");
        }
        assert_eq!(told.version, 812);
    }

    #[test]
    fn a_record_is_the_same_when_it_is_read_again_and_another_when_it_happened_again() {
        let first = read(&old().to_string()).unwrap();
        let mut again = old();
        again["metadata"]["resourceVersion"] = "900".into();
        assert_eq!(read(&again.to_string()).unwrap().note.id, first.note.id);
        again["deprecatedCount"] = 8.into();
        assert_ne!(read(&again.to_string()).unwrap().note.id, first.note.id);
    }

    #[test]
    fn an_event_of_the_newer_api_has_its_time_and_count_from_its_series() {
        let mut event = old();
        for key in [
            "deprecatedFirstTimestamp",
            "deprecatedLastTimestamp",
            "deprecatedCount",
        ] {
            event[key] = Value::Null;
        }
        event["eventTime"] = "2026-11-27T11:00:00.123456Z".into();
        let once = read(&event.to_string()).unwrap();
        assert_eq!(fact(&once, "event.count"), "1");
        assert_eq!(once.note.nanos % 1_000_000_000, 123_456_000);
        event["series"] = json!({"count": 3, "lastObservedTime": "2026-11-27T11:00:09.000000Z"});
        let again = read(&event.to_string()).unwrap();
        assert_eq!(fact(&again, "event.count"), "3");
        assert_eq!(fact(&again, "event.end"), "2026-11-27T11:00:09Z");
        assert_ne!(once.note.id, again.note.id);
    }

    #[test]
    fn what_is_no_pods_is_not_among_the_lines_of_containers() {
        for (kind, namespace, want) in [
            ("Deployment", "shop", "shop/Deployment/web-1/events"),
            ("Node", "", "Node/web-1/events"),
        ] {
            let mut event = old();
            event["regarding"] = json!({"kind": kind, "name": "web-1", "namespace": namespace});
            let told = read(&event.to_string()).unwrap();
            assert_eq!(told.note.source, want);
            assert_eq!(fact(&told, "pod"), "");
        }
    }

    #[test]
    fn what_says_no_time_or_version_is_no_event() {
        assert!(read("{}").is_none());
        let mut event = old();
        event["metadata"]["resourceVersion"] = "x".into();
        assert!(read(&event.to_string()).is_none());
    }
}
