//! What AWS says has happened to databases and caches (failovers, full storage, maintenance), as records beside everybody's logs.
//!
//! How far each place has been told is kept with the records, so that none is told twice and none is left out, over restarts and
//! changes of the holder for as long as AWS remembers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::{KeepNotes, Level, Note, NotePlace, Timestamp};

use crate::inventory::ask::{Asker, Refused};
use crate::inventory::operations::{CACHE_EVENTS, DB_EVENTS, Operation};
use crate::inventory::{Event, Place, events};

/// What is told at first, and at most: AWS remembers two weeks.
const FIRST: Duration = Duration::from_secs(3_600);
const LONGEST: Duration = Duration::from_secs(13 * 86_400);
/// Whose events are told, and under which name is kept how far.
pub(crate) const TOLD: [(&Operation, &str); 2] = [
    (&DB_EVENTS, "aws_database_events"),
    (&CACHE_EVENTS, "aws_cache_events"),
];

/// Hands on what has happened since the last time; how much that was.
///
/// # Errors
/// AWS was not to be asked. What could not be kept is told the next time.
pub(crate) async fn tell(
    ask: &Asker,
    place: &Place,
    (operation, input): (&Operation, &'static str),
    notes: &Arc<dyn KeepNotes>,
    now: Timestamp,
) -> Result<usize, Refused> {
    let mut known: BTreeMap<String, i64> = notes
        .place(input)
        .and_then(|at| serde_json::from_str(&at).ok())
        .unwrap_or_default();
    let key = place.instance();
    let last = known.get(&key).map_or(now - FIRST, |last| Timestamp(*last));
    let last = last.max(now - LONGEST);
    // One more, for a minute that was not over.
    let minutes = now.since(last).as_secs() / 60 + 2;
    let happened = events(ask, operation, minutes).await?;
    let new: Vec<Event> = happened.into_iter().filter(|event| event.at > last).collect();
    let Some(newest) = new.last().map(|event| event.at) else {
        return Ok(0);
    };
    known.insert(key, newest.millis());
    let at = serde_json::to_string(&known).unwrap_or_default();
    let told: Vec<Note> = new.iter().map(|event| note(place, event)).collect();
    let count = told.len();
    if let Err(why) = notes.keep(told, Some(NotePlace { input, at })).await {
        tracing::warn!(why, "events of AWS cannot be kept; they are told again");
        return Ok(0);
    }
    Ok(count)
}

fn note(place: &Place, event: &Event) -> Note {
    let is_bad = ["fail", "exhausted", "unavailable", "unable", "error"]
        .iter()
        .any(|word| event.message.to_ascii_lowercase().contains(word));
    Note {
        nanos: event.at.millis().saturating_mul(1_000_000),
        level: if is_bad { Level::Warn } else { Level::Info },
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
