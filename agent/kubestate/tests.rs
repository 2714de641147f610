//! What is told of objects as they come, change and go; that it is what kube-state-metrics says is a test of the whole program.

use std::collections::HashMap;
use std::time::Duration;

use model::column::Kept;
use model::text::float;
use model::{KeepError, Object, SeriesDesc, SeriesRef};
use telemetry::clock::RuntimeClock;

use super::*;

/// A store that remembers what it was told last.
#[derive(Default)]
struct Memory(Mutex<Remembered>);

#[derive(Default)]
struct Remembered {
    targets: Vec<TargetDesc>,
    series: Vec<SeriesDesc>,
    by_labels: HashMap<Labels, u64>,
    last: HashMap<u32, Column>,
    asked: usize,
    /// Refs below are forgotten.
    oldest: u64,
}

impl Memory {
    /// `name{labels} value` of the last round, in order.
    fn lines(&self) -> Vec<String> {
        let memory = self.0.lock();
        let at = memory
            .targets
            .iter()
            .position(|target| &*target.name == "kube-state")
            .unwrap();
        let Some(column) = memory.last.get(&(at as u32)) else {
            return Vec::new();
        };
        let line = |(series, value): (&SeriesRef, &f64)| {
            let labels = memory.series[series.0 as usize]
                .labels
                .retain(|name| name != "job" && name != "instance");
            format!("{labels} {}", float::go(*value))
        };
        let mut lines: Vec<String> = column.series.iter().zip(&column.values).map(line).collect();
        lines.sort();
        lines
    }

    fn asked(&self) -> usize {
        self.0.lock().asked
    }

    fn forget(&self) {
        let mut memory = self.0.lock();
        memory.oldest = memory.series.len() as u64;
        memory.by_labels.clear();
    }
}

impl Keep for Memory {
    fn target(&self, target: &TargetDesc) -> TargetRef {
        let mut memory = self.0.lock();
        let at = memory.targets.iter().position(|known| known.name == target.name);
        let at = at.unwrap_or_else(|| {
            memory.targets.push(target.clone());
            memory.targets.len() - 1
        });
        TargetRef(u32::try_from(at).unwrap())
    }

    fn series(&self, _: TargetRef, series: &SeriesDesc) -> Result<SeriesRef, KeepError> {
        let mut memory = self.0.lock();
        memory.asked += 1;
        if let Some(known) = memory.by_labels.get(&series.labels) {
            return Ok(SeriesRef(*known));
        }
        let at = memory.series.len() as u64;
        memory.series.push(series.clone());
        memory.by_labels.insert(series.labels.clone(), at);
        Ok(SeriesRef(at))
    }

    fn commit(&self, column: Column) -> Kept {
        let mut memory = self.0.lock();
        let unknown = column
            .series
            .iter()
            .filter(|series| series.0 < memory.oldest)
            .count();
        let kept = Kept {
            kept: column.series.len() - unknown,
            unknown,
            ..Kept::default()
        };
        memory.last.insert(column.target.0, column);
        kept
    }

    fn retire(&self, _: TargetRef, _: Timestamp) {}
}

type Observer = Box<dyn Observe>;

/// The room, what it keeps, and whom to tell of namespaces and of quotas.
fn room() -> (KubeState, Arc<Memory>, Observer, Observer) {
    let memory = Arc::new(Memory::default());
    let config = Config {
        resources: vec!["namespaces".to_owned(), "resourcequotas".to_owned()],
        ..Config::default()
    };
    let (room, wanted) = KubeState::new(config, memory.clone(), RuntimeClock::system(), &Registry::new());
    let mut wanted = wanted.into_iter();
    let (namespaces, quotas) = (wanted.next().unwrap(), wanted.next().unwrap());
    assert_eq!(&*namespaces.0.resource.plural, "namespaces");
    (room, memory, namespaces.1, quotas.1)
}

fn namespace(observer: &mut Observer, name: &str, phase: &str) {
    let text = format!(r#"{{"metadata":{{"name":"{name}"}},"status":{{"phase":"{phase}"}}}}"#);
    observer.here(&object(name, &text));
}

fn object<'a>(name: &'a str, text: &'a str) -> Object<'a> {
    Object {
        namespace: "",
        name,
        uid: "u",
        text,
    }
}

fn phases(name: &str, active: u8) -> [String; 2] {
    let line = |phase: &str, value: u8| {
        format!("kube_namespace_status_phase{{namespace=\"{name}\", phase=\"{phase}\"}} {value}")
    };
    [line("Active", active), line("Terminating", 1 - active)]
}

#[test]
fn a_kind_is_told_of_when_all_of_it_is_known_and_as_it_changes() {
    let (room, memory, mut namespaces, _) = room();
    namespaces.begun();
    namespace(&mut namespaces, "a", "Active");
    room.0.write(Timestamp(1_000));
    assert_eq!(memory.lines(), [""; 0], "half a list is none");
    namespace(&mut namespaces, "b", "Active");
    namespaces.whole();
    room.0.write(Timestamp(2_000));
    assert_eq!(memory.lines(), [phases("a", 1), phases("b", 1)].concat());
    let asked = memory.asked();
    namespace(&mut namespaces, "a", "Terminating");
    room.0.write(Timestamp(3_000));
    assert_eq!(memory.lines(), [phases("a", 0), phases("b", 1)].concat());
    namespaces.gone(&object("b", "{}"));
    room.0.write(Timestamp(4_000));
    assert_eq!(memory.lines(), phases("a", 0));
    // Only the report about the rounds, if anything, asked for series: those of objects were known.
    assert_eq!(memory.asked(), asked);

    // A list says anew what there is; what was known stands until it is whole.
    namespaces.begun();
    namespace(&mut namespaces, "c", "Active");
    room.0.write(Timestamp(5_000));
    assert_eq!(memory.lines(), [phases("a", 0), phases("c", 1)].concat());
    namespaces.whole();
    room.0.write(Timestamp(6_000));
    assert_eq!(memory.lines(), phases("c", 1));
}

#[test]
fn what_is_in_doubt_is_not_told_until_it_is_heard_of_again() {
    let (room, memory, mut namespaces, mut quotas) = room();
    for observer in [&mut namespaces, &mut quotas] {
        observer.begun();
        observer.whole();
    }
    namespace(&mut namespaces, "a", "Active");
    namespaces.doubtful(true);
    room.0.write(Timestamp(1_000));
    assert_eq!(memory.lines(), [""; 0]);
    assert_eq!(room.view().health, Health::Pending);
    assert!(room.checkups()[0].findings[0].starts_with("namespaces: nothing heard"));
    namespaces.doubtful(false);
    room.0.write(Timestamp(2_000));
    assert_eq!(memory.lines(), phases("a", 1));
    assert_eq!(room.view().health, Health::Good);
}

#[test]
fn an_object_that_is_no_object_is_named_and_the_others_are_told() {
    let (room, memory, mut namespaces, _) = room();
    namespaces.begun();
    namespace(&mut namespaces, "a", "Active");
    namespaces.here(&object("bad", r#"{"metadata":{"name":7}}"#));
    namespaces.whole();
    room.0.write(Timestamp(1_000));
    assert_eq!(memory.lines(), phases("a", 1));
    let said = &room.checkups()[0].findings[0];
    assert!(said.starts_with("namespaces /bad: invalid type"), "{said}");
}

#[test]
fn a_store_that_has_forgotten_makes_the_room_ask_for_all_once_more() {
    let (room, memory, mut namespaces, _) = room();
    namespaces.begun();
    namespace(&mut namespaces, "a", "Active");
    namespaces.whole();
    room.0.write(Timestamp(1_000));
    assert!(!namespaces.wants_all());
    memory.forget();
    room.0.write(Timestamp(2_000));
    assert!(namespaces.wants_all());
    namespaces.begun();
    assert!(!namespaces.wants_all());
    namespace(&mut namespaces, "a", "Active");
    namespaces.whole();
    room.0.write(Timestamp(3_000));
    assert_eq!(memory.lines(), phases("a", 1));
    assert_eq!(room.ledger().dropped["unknown"], 2);
}

#[tokio::test(start_paused = true)]
async fn rounds_come_each_interval_and_at_once_when_a_kind_becomes_known() {
    let (room, memory, mut namespaces, mut quotas) = room();
    let stop = CancellationToken::new();
    let running = tokio::spawn(room.clone().run(stop.clone()));
    let rounds = || room.0.metrics.rounds.get();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(rounds(), 0, "nothing is known, and nothing told");
    for (observer, count) in [(&mut namespaces, 1), (&mut quotas, 2)] {
        observer.begun();
        observer.whole();
        for _ in 0..50 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            tokio::task::yield_now().await;
        }
        assert_eq!(rounds(), count);
    }
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert!((5..=7).contains(&rounds()), "{}", rounds());
    assert_eq!(memory.lines(), [""; 0]);
    stop.cancel();
    running.await.unwrap();
}
