//! What AWS says has happened is handed on once.

use std::sync::Arc;
use std::time::Duration;

use fake_aws::FakeAws;
use fake_aws::estate::{self, Incident};
use model::{BoxFuture, KeepNotes, Level, Note, NotePlace};
use parking_lot::Mutex;

use super::house::{House, config};

#[derive(Default)]
struct Notes {
    kept: Mutex<Vec<Note>>,
    places: Mutex<Vec<NotePlace>>,
    is_full: Mutex<bool>,
}

impl KeepNotes for Notes {
    fn keep(&self, notes: Vec<Note>, place: Option<NotePlace>) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            if *self.is_full.lock() {
                return Err("the disk is full".to_owned());
            }
            self.kept.lock().extend(notes);
            self.places.lock().extend(place);
            Ok(())
        })
    }

    fn place(&self, input: &str) -> Option<String> {
        let places = self.places.lock();
        let mut of = places.iter().rev().filter(|place| place.input == input);
        of.next().map(|place| place.at.clone())
    }
}

#[tokio::test(start_paused = true)]
async fn a_failover_is_told_once_also_when_it_could_not_be_kept_at_first() {
    let users = Arc::new(Mutex::new(None));
    let fill = |fake: &FakeAws| *users.lock() = Some(estate::users(fake));
    let mut house = House::with(fill, config());
    let notes = Arc::new(Notes::default());
    house.room.notes_to(Arc::clone(&notes) as Arc<dyn KeepNotes>);
    house.open();
    house.pass(Duration::from_secs(600)).await;
    let users = users.lock().take().unwrap();
    *notes.is_full.lock() = true;
    users.begins(&house.fake, Incident::PrimaryLost);
    house.pass(Duration::from_secs(900)).await;
    assert!(notes.kept.lock().is_empty());
    *notes.is_full.lock() = false;
    house.pass(Duration::from_secs(3_600)).await;
    let kept = notes.kept.lock().clone();
    let of: Vec<&Note> = kept
        .iter()
        .filter(|note| note.text.contains("failover started"))
        .collect();
    assert_eq!(of.len(), 1, "{kept:?}");
    assert_eq!((of[0].level, of[0].source.as_str()), (Level::Warn, "rds"));
    assert!(
        of[0]
            .facts
            .iter()
            .any(|(name, value)| *name == "aws.resource" && !value.is_empty())
    );
    house.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_the_account_may_have_is_said_beside_what_it_has() {
    let fill = |fake: &FakeAws| {
        estate::users(fake);
        // Two pages of one service.
        fake.page_size("servicequotas:ListServiceQuotas", 1);
    };
    let mut house = House::with(fill, config());
    house.open();
    house.pass(Duration::from_secs(600)).await;
    let said = |name: &str, code: &str| {
        let named = house.memory.named(name);
        let mut of = named
            .iter()
            .filter(|(labels, _)| labels.value("quota_code") == code);
        of.next()
            .and_then(|(_, points)| Some(points.last_key_value()?.1.0))
    };
    let databases = house.memory.named("aws_rds_info").len();
    let stored: f64 = house
        .memory
        .named("aws_rds_allocated_storage_bytes")
        .iter()
        .filter_map(|(_, points)| Some(points.last_key_value()?.1.0))
        .sum();
    for (code, quota, used) in [
        ("L-7B6409FD", 40.0, databases as f64),
        ("L-7ADDB58A", 100_000.0, stored / 1_073_741_824.0),
        ("L-0F5FD6E8", 90.0, 3.0),
        ("L-53DA6B97", 50.0, 1.0),
    ] {
        assert_eq!(said("aws_service_quota", code), Some(quota), "{code}");
        assert_eq!(said("aws_service_quota_usage", code), Some(used), "{code}");
    }
    house.close().await;
}
