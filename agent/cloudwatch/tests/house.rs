//! The room beside a fake AWS, in a time of its own, and what it hands to the store.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use aws::Signing;
use fake_aws::FakeAws;
use model::column::Kept;
use model::outside::Client;
use model::{
    Clock, Column, Keep, KeepError, Labels, Leadership, Matcher, Round, SeriesDesc, SeriesRef, TargetDesc,
    TargetRef, Timestamp,
};
use parking_lot::Mutex;
use prometheus::Registry;
use telemetry::clock::RuntimeClock;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::AccountConfig;
use crate::plan::need::{By, Need};
use crate::{CloudWatch, Config, Given, Hot, Spent, Treasury};

/// The first second of a month.
pub(super) const START: Timestamp = Timestamp(1_793_491_200_000);

/// A point, and whether it still may change.
pub(super) type Points = BTreeMap<Timestamp, (f64, bool)>;

/// Keeps all that it is given, and is strict about the order of what stands.
#[derive(Default)]
pub(super) struct Memory {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    targets: Vec<String>,
    series: Vec<(Labels, TargetRef)>,
    by_labels: HashMap<(Labels, u32), SeriesRef>,
    points: HashMap<Labels, Points>,
    /// Of each series the newest point that stands.
    last: HashMap<SeriesRef, Timestamp>,
}

impl Keep for Memory {
    fn target(&self, target: &TargetDesc) -> TargetRef {
        let mut known = self.known.lock();
        let place = known.targets.iter().position(|name| **name == *target.name);
        let place = place.unwrap_or_else(|| {
            known.targets.push(target.name.to_string());
            known.targets.len() - 1
        });
        TargetRef(u32::try_from(place).unwrap())
    }

    fn series(&self, target: TargetRef, series: &SeriesDesc) -> Result<SeriesRef, KeepError> {
        let mut known = self.known.lock();
        let key = (series.labels.clone(), target.0);
        if let Some(found) = known.by_labels.get(&key) {
            return Ok(*found);
        }
        let new = SeriesRef(known.series.len() as u64);
        known.series.push((series.labels.clone(), target));
        known.by_labels.insert(key, new);
        Ok(new)
    }

    fn commit(&self, column: Column) -> Kept {
        let mut known = self.known.lock();
        let mut kept = Kept::default();
        for (series, value) in column.series.into_iter().zip(column.values) {
            let labels = known.series[usize::try_from(series.0).unwrap()].0.clone();
            let last = known.last.get(&series).copied();
            if last.is_some_and(|last| column.time <= last) {
                kept.out_of_order += 1;
                continue;
            }
            let stands = column.round != Round::Provisional;
            if stands {
                known.last.insert(series, column.time);
            }
            known
                .points
                .entry(labels)
                .or_default()
                .insert(column.time, (value, stands));
            kept.kept += 1;
        }
        kept
    }

    fn retire(&self, _: TargetRef, _: Timestamp) {}
}

impl Memory {
    pub(super) fn points(&self, labels: &Labels) -> Points {
        self.known.lock().points.get(labels).cloned().unwrap_or_default()
    }

    /// All series with this name.
    pub(super) fn named(&self, name: &str) -> Vec<(Labels, Points)> {
        let known = self.known.lock();
        let named = known.points.iter().filter(|(labels, _)| labels.name() == name);
        named
            .map(|(labels, points)| (labels.clone(), points.clone()))
            .collect()
    }
}

/// A sum that survives the room, and whether it cannot be written down.
#[derive(Default)]
pub(super) struct Purse(pub(super) Mutex<Option<Spent>>, pub(super) Mutex<bool>);

impl Treasury for Purse {
    fn load(&self) -> Option<Spent> {
        *self.0.lock()
    }

    fn save(&self, spent: Spent) -> Result<(), String> {
        if *self.1.lock() {
            return Err("no space left on device".to_owned());
        }
        *self.0.lock() = Some(spent);
        Ok(())
    }
}

pub(super) struct House {
    pub(super) fake: FakeAws,
    pub(super) clock: Arc<RuntimeClock>,
    pub(super) memory: Arc<Memory>,
    pub(super) purse: Arc<Purse>,
    pub(super) room: CloudWatch,
    pub(super) needs: watch::Sender<Arc<[Need]>>,
    pub(super) hot: watch::Sender<Arc<[Hot]>>,
    pub(super) lead: watch::Sender<Leadership>,
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
}

/// For all that costs nothing to say.
pub(super) fn config() -> Config {
    Config {
        enabled: true,
        max_usd_per_month: 0.0,
        ..Config::default()
    }
}

impl House {
    /// With an estate in the fake; nothing is asked before [`House::open`].
    pub(super) fn with(estate: impl FnOnce(&FakeAws), config: Config) -> Self {
        let clock = RuntimeClock::starting_at(START);
        let fake = FakeAws::start(clock.clone() as Arc<dyn Clock>);
        estate(&fake);
        Self::beside(
            fake,
            clock,
            Arc::default(),
            Arc::default(),
            Leadership::standalone(),
            config,
        )
    }

    /// Where AWS has a clock of its own.
    pub(super) fn apart(estate: impl FnOnce(&FakeAws), config: Config) -> Self {
        let fake = FakeAws::start(RuntimeClock::starting_at(START) as Arc<dyn Clock>);
        estate(&fake);
        Self::beside(
            fake,
            RuntimeClock::starting_at(START),
            Arc::default(),
            Arc::default(),
            Leadership::standalone(),
            config,
        )
    }

    pub(super) fn beside(
        fake: FakeAws,
        clock: Arc<RuntimeClock>,
        memory: Arc<Memory>,
        purse: Arc<Purse>,
        leadership: Leadership,
        config: Config,
    ) -> Self {
        let key = fake.user();
        let (needs, needed) = watch::channel(Arc::default());
        let (hot, heated) = watch::channel(Arc::default());
        let (lead, led) = watch::channel(leadership);
        let registry = Registry::new();
        let inside: Arc<dyn Client> = fake.client();
        let aws = aws::Aws::new(
            aws::Config::default(),
            Arc::clone(&inside),
            clock.clone() as Arc<dyn Clock>,
            &registry,
        );
        let aws = aws.unwrap();
        let account = AccountConfig {
            access_key: key.access_key,
            secret_key: net::Secret::expand(&key.secret_key, |_| None).unwrap(),
            regions: match config.regions.as_slice() {
                [] => vec![fake_aws::REGION.to_owned()],
                regions => regions.to_vec(),
            },
            ..AccountConfig::default()
        };
        let config = Config {
            accounts: vec![account],
            regions: Vec::new(),
            ..config
        };
        let given = Given {
            config,
            client: Signing::new(inside, &aws),
            aws,
            keep: memory.clone(),
            clock: clock.clone(),
            treasury: purse.clone(),
            leadership: led,
            needs: needed,
            hot: heated,
        };
        Self {
            room: CloudWatch::new(given, &registry),
            fake,
            clock,
            memory,
            purse,
            needs,
            hot,
            lead,
            stop: CancellationToken::new(),
            task: None,
        }
    }

    pub(super) fn open(&mut self) {
        self.task = Some(tokio::spawn(self.room.clone().run(self.stop.clone())));
    }

    pub(super) async fn close(&mut self) {
        self.stop.cancel();
        if let Some(task) = self.task.take() {
            task.await.unwrap();
        }
        let ledger = self.room.ledger();
        assert!(ledger.balances(), "{ledger:?}");
    }

    pub(super) fn wants(&self, needs: Vec<Need>) {
        self.needs.send_replace(needs.into());
    }

    pub(super) async fn pass(&self, time: Duration) {
        self.clock.sleep(time).await;
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// As an alert with this `for` would want it.
pub(super) fn alert(name: &str, hold: Duration) -> Need {
    let by = By::Alert {
        group: "g".into(),
        name: format!("On{name}").into(),
    };
    Need::new(
        name,
        &[] as &[Matcher],
        Some(crate::plan::need::interval(hold)),
        by,
    )
}
