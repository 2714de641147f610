//! What outlives both disks: written seldom and by the holder alone, and read by whoever begins with nothing.

use std::path::Path;
use std::sync::Arc;

use journal::{Change, Entry, Journal};
use model::{BoxFuture, Memo, Timestamp};
use parking_lot::Mutex;
use prometheus::Registry;
use telemetry::clock::RuntimeClock;
use tokio_util::sync::CancellationToken;

use super::world::{Memory, World, seconds};
use crate::{Config, Handle, Keys, Pair, Rank};

#[derive(Default)]
struct Place {
    is_away: Mutex<bool>,
    bytes: Mutex<Option<Vec<u8>>>,
    /// Epoch of each write.
    writes: Mutex<Vec<u64>>,
}

impl Memo for Place {
    fn read(&self) -> BoxFuture<'_, Result<Option<Vec<u8>>, String>> {
        let read = match *self.is_away.lock() {
            true => Err("away".to_owned()),
            false => Ok(self.bytes.lock().clone()),
        };
        Box::pin(async move { read })
    }

    fn write(&self, bytes: Vec<u8>, epoch: u64) -> BoxFuture<'_, Result<(), String>> {
        let written = match *self.is_away.lock() {
            true => Err("away".to_owned()),
            false => {
                *self.bytes.lock() = Some(bytes);
                self.writes.lock().push(epoch);
                Ok(())
            }
        };
        Box::pin(async move { written })
    }
}

/// What was told first; of alerts those that are not pending.
fn rank(entry: &Entry) -> Option<Rank> {
    let is_told = entry.key().starts_with("notifier/told/");
    let fires = entry.key().starts_with("rules/alert/") && entry.read::<u32>() != Some(0);
    match (is_told, fires) {
        (true, _) => Some(Rank::First),
        (_, true) => Some(Rank::WhileThereIsRoom),
        (false, false) => None,
    }
}

fn remember(handle: Handle, place: &Arc<Place>) -> CancellationToken {
    let stop = CancellationToken::new();
    let (place, token) = (Arc::clone(place), stop.clone());
    tokio::spawn(async move { handle.remember(place, Arc::new(rank), token).await });
    stop
}

/// A replica that begins with nothing, and has been told what there is.
async fn begun(files: Arc<Memory>, place: &Place) -> (Handle, Journal) {
    let journal = Journal::open(files, Path::new("alerts")).unwrap();
    let config = Config {
        name: "a".to_owned(),
        peer: Some("http://b/".to_owned()),
        ..Config::default()
    };
    let clock = RuntimeClock::starting_at(Timestamp(1_700_000_000_000));
    let (_, handle) = Pair::new(config, Keys::default(), journal.clone(), clock, &Registry::new());
    handle.recall(place).await;
    (handle, journal)
}

#[tokio::test(start_paused = true)]
async fn the_holder_alone_writes_it_down_seldom_and_only_what_has_changed() {
    let mut world = World::running().await;
    let place = Arc::new(Place::default());
    let stops = [
        remember(world.a.handle(), &place),
        remember(world.b.handle(), &place),
    ];
    let writes = || place.writes.lock().len();
    for nth in 0..120 {
        world.a.journal().put("notifier/told/1", &nth).unwrap();
        world.wait(seconds(1)).await;
    }
    let most = writes();
    assert!((6..=13).contains(&most), "{most} writes in two minutes");
    world.wait(seconds(30)).await;
    let last = writes();
    // What does not belong there, and what says the same again.
    world.a.journal().put("notifier/queue/1", &1).unwrap();
    world.a.journal().put("rules/alert/pending", &0).unwrap();
    world.wait(seconds(60)).await;
    assert_eq!(writes(), last);
    world.a.journal().put("rules/alert/firing", &1).unwrap();
    world.wait(seconds(15)).await;
    assert_eq!(writes(), last + 1);
    // It is away, and comes back.
    *place.is_away.lock() = true;
    world.a.journal().put("notifier/told/2", &1).unwrap();
    world.wait(seconds(60)).await;
    *place.is_away.lock() = false;
    world.wait(seconds(15)).await;
    assert_eq!(writes(), last + 2);
    // Whoever leads next goes on, in an epoch of its own.
    let before = place.writes.lock().last().copied().unwrap();
    stops[0].cancel();
    world.kill("a");
    world.wait(seconds(20)).await;
    assert!(world.leads("b"));
    world.b.journal().put("notifier/told/3", &1).unwrap();
    world.wait(seconds(15)).await;
    assert!(place.writes.lock().last().copied().unwrap() > before);
    // Whoever stops writes what is new.
    let last = writes();
    world.b.journal().put("notifier/told/4", &1).unwrap();
    stops[1].cancel();
    world.wait(seconds(1)).await;
    assert_eq!(writes(), last + 1);
}

#[tokio::test(start_paused = true)]
async fn whoever_begins_with_nothing_begins_with_what_was_told_and_one_with_a_disk_does_not() {
    let mut world = World::running().await;
    let place = Arc::new(Place::default());
    remember(world.a.handle(), &place);
    let old = world.a.journal().clone();
    for (key, value) in [
        ("notifier/told/1", 1),
        ("rules/alert/firing", 1),
        ("rules/alert/pending", 0),
        ("ours alone", 1),
    ] {
        old.put(key, &value).unwrap();
    }
    world.wait(seconds(15)).await;

    let files: Arc<Memory> = Arc::default();
    let (handle, journal) = begun(files.clone(), &place).await;
    let keys = |journal: &Journal| {
        let (entries, _) = journal.changed_since(0, 0, usize::MAX, |_| true);
        let mut keys: Vec<String> = entries.iter().map(|entry| entry.key().to_owned()).collect();
        keys.sort();
        keys
    };
    assert_eq!(keys(&journal), ["notifier/told/1", "peer/rules/alert/firing"]);
    assert_eq!(journal.get::<u32>("notifier/told/1"), Some(1));
    // It is older than all that is written from now on, and no older than it was.
    let version = |journal: &Journal| {
        let (entries, _) = journal.changed_since(0, 0, usize::MAX, |key| key == "notifier/told/1");
        entries[0].version().clone()
    };
    assert_eq!(version(&journal), version(&old));
    journal.put("notifier/told/1", &2).unwrap();
    assert!(version(&journal) > version(&old));

    // What rules have not taken up after two minutes is nobody's word.
    let stop = remember(handle, &place);
    world.wait(seconds(125)).await;
    assert_eq!(keys(&journal), ["notifier/told/1"]);
    stop.cancel();

    // With a disk nothing is asked.
    journal.change(vec![Change::remove("notifier/told/1")]).unwrap();
    let (_, journal) = begun(files, &place).await;
    assert_eq!(journal.get::<u32>("notifier/told/1"), None);
}

#[tokio::test(start_paused = true)]
async fn nobody_needs_it() {
    let place = Place::default();
    let begun_at = tokio::time::Instant::now();
    let (_, journal) = begun(Arc::default(), &place).await;
    assert_eq!(
        (journal.seq(), begun_at.elapsed()),
        (0, seconds(0)),
        "nothing is there"
    );
    *place.bytes.lock() = Some(b"not ours".to_vec());
    let (_, journal) = begun(Arc::default(), &place).await;
    assert_eq!(journal.seq(), 0);
    *place.is_away.lock() = true;
    let (_, journal) = begun(Arc::default(), &place).await;
    assert_eq!(journal.seq(), 0);
    assert!(begun_at.elapsed() <= seconds(12), "{:?}", begun_at.elapsed());
}
