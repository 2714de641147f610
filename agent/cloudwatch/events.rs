//! What AWS says has happened (failovers, full storage, maintenance, its own trouble) and what clusters of Kafka are at, as
//! records beside everybody's logs.
//!
//! How far each place has been told is kept with the records, so that none is told twice and none is left out, over restarts and
//! changes of the holder for as long as AWS remembers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use model::{KeepNotes, Level, Note, NotePlace, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::inventory::ask::{Asker, Refused};
use crate::inventory::happened::{Event, of_health, of_service};
use crate::inventory::operations::{CACHE_EVENTS, DB_EVENTS, HEALTH_EVENTS, Operation, Service};
use crate::inventory::queue::Notice;
use crate::inventory::{Place, Resource};

/// What is told at first, and at most: AWS remembers two weeks.
const FIRST: Duration = Duration::from_secs(3_600);
const LONGEST: Duration = Duration::from_secs(13 * 86_400);
/// Under which name is kept what clusters of Kafka were at.
const KAFKA_STATES: &str = "aws_kafka_states";

/// Whose events are told, and under which name is kept how far.
#[derive(Clone, Copy)]
pub(crate) struct Told {
    pub(crate) operation: Operation,
    input: &'static str,
}

pub(crate) const DATABASES: Told = Told {
    operation: DB_EVENTS,
    input: "aws_database_events",
};
pub(crate) const CACHES: Told = Told {
    operation: CACHE_EVENTS,
    input: "aws_cache_events",
};
pub(crate) const HEALTH: Told = Told {
    operation: HEALTH_EVENTS,
    input: "aws_health_events",
};

/// Hands on what has happened since the last time; how much that was.
///
/// # Errors
/// AWS was not to be asked. What could not be kept is told the next time.
pub(crate) async fn tell(
    ask: &Asker,
    place: &Place,
    told: Told,
    notes: &Arc<dyn KeepNotes>,
    now: Timestamp,
) -> Result<usize, Refused> {
    let key = place.instance();
    let known: BTreeMap<String, i64> = kept(notes, told.input);
    let last = known.get(&key).map_or(now - FIRST, |last| Timestamp(*last));
    let last = last.max(now - LONGEST);
    let happened = match told.operation.service {
        Service::Health => of_health(ask, last).await?,
        _ => {
            // One more, for a minute that was not over.
            let minutes = now.since(last).as_secs() / 60 + 2;
            of_service(ask, &told.operation, minutes).await?
        }
    };
    let new: Vec<Event> = happened.into_iter().filter(|event| event.at > last).collect();
    let Some(newest) = new.last().map(|event| event.at) else {
        return Ok(0);
    };
    // Other places may have told something meanwhile.
    let mut known: BTreeMap<String, i64> = kept(notes, told.input);
    known.insert(key, newest.millis());
    Ok(hand_on(place, &new, told.input, &known, notes).await)
}

/// Hands on which clusters of Kafka are at something else than when they were last looked at; how many these are.
pub(crate) async fn tell_states<'a>(
    place: &Place,
    clusters: impl Iterator<Item = &'a Resource>,
    notes: &Arc<dyn KeepNotes>,
    now: Timestamp,
) -> usize {
    let mut known: BTreeMap<String, BTreeMap<String, String>> = kept(notes, KAFKA_STATES);
    let states = clusters.filter_map(|cluster| {
        let name = cluster.dimensions.first().map(|(_, name)| name.to_string())?;
        let mut info = cluster.info.iter();
        Some((name, info.find(|(key, _)| *key == "state")?.1.clone()))
    });
    let states: BTreeMap<String, String> = states.collect();
    let before = known.insert(place.instance(), states.clone());
    if before.as_ref() == Some(&states) {
        return 0;
    }
    let event = |name: &str, message: String, level| Event {
        at: now,
        family: Service::Kafka.word(),
        level,
        source: name.to_owned(),
        message,
    };
    let was = before.unwrap_or_default();
    let names: BTreeSet<&String> = was.keys().chain(states.keys()).collect();
    let new = names
        .into_iter()
        .filter_map(|name| match (was.get(name), states.get(name)) {
            (Some(was), Some(is)) if was == is => None,
            (Some(was), Some(is)) => {
                let is_bad = matches!(is.as_str(), "HEALING" | "FAILED");
                let level = if is_bad { Level::Warn } else { Level::Info };
                Some(event(name, format!("the cluster is {is}, it was {was}"), level))
            }
            (Some(was), None) => Some(event(
                name,
                format!("the cluster is gone, it was {was}"),
                Level::Warn,
            )),
            (None, is) => Some(event(
                name,
                format!("the cluster is new here, and {}", is.map_or("", String::as_str)),
                Level::Info,
            )),
        });
    let new: Vec<Event> = new.collect();
    hand_on(place, &new, KAFKA_STATES, &known, notes).await
}

fn kept<T: Default + DeserializeOwned>(notes: &Arc<dyn KeepNotes>, input: &str) -> T {
    let at = notes.place(input);
    at.and_then(|at| serde_json::from_str(&at).ok())
        .unwrap_or_default()
}

async fn hand_on(
    place: &Place,
    new: &[Event],
    input: &'static str,
    known: &impl Serialize,
    notes: &Arc<dyn KeepNotes>,
) -> usize {
    let at = serde_json::to_string(known).unwrap_or_default();
    let told: Vec<Note> = new.iter().map(|event| note(place, event)).collect();
    let count = told.len();
    if let Err(why) = notes.keep(told, Some(NotePlace { input, at })).await {
        tracing::warn!(why, "events of AWS cannot be kept; they are told again");
        return 0;
    }
    count
}

/// What is announced of an instance, as a record.
pub(crate) fn note_of(place: &Place, instance: &str, notice: &Notice) -> Note {
    let event = Event {
        at: notice.at,
        family: "ec2",
        level: notice.kind.level(),
        source: instance.to_owned(),
        message: notice.text.clone(),
    };
    note(place, &event)
}

fn note(place: &Place, event: &Event) -> Note {
    Note {
        nanos: event.at.millis().saturating_mul(1_000_000),
        level: event.level,
        source: event.family.to_owned(),
        facts: vec![
            ("aws.account", place.account.to_string()),
            ("aws.region", place.region.to_string()),
            ("aws.resource", event.source.clone()),
        ],
        id: format!(
            "{}/{}/{}/{}",
            place.instance(),
            event.source,
            event.at.millis(),
            event.message
        ),
        text: format!("{}: {}", event.source, event.message),
    }
}
