//! The users' estate, watched: a healthy day raises nothing, and each thing that can go wrong raises the alert that was promised for
//! it, in time, and ends.
//!
//! The rooms are the real ones, with the shipped rules and dashboards; AWS is the fake, and time is the test's.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cloudwatch::config::{AccountConfig, Capacity};
use cloudwatch::{CloudWatch, Config, Given, Spent, Treasury};
use fake_aws::FakeAws;
use fake_aws::estate::{self, Incident, Users};
use journal::{Disk, Journal};
use model::outside::Client;
use model::{AlertState, AllHere, Clock, Leadership, Timestamp};
use parking_lot::Mutex;
use skopos::needs;
use telemetry::Registry;
use telemetry::clock::RuntimeClock;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// The first second of a month.
const START: Timestamp = Timestamp(1_793_491_200_000);
const MINUTE: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Purse(Mutex<Option<Spent>>);

impl Treasury for Purse {
    fn load(&self) -> Option<Spent> {
        *self.0.lock()
    }

    fn save(&self, spent: Spent) -> Result<(), String> {
        *self.0.lock() = Some(spent);
        Ok(())
    }
}

struct House {
    fake: FakeAws,
    users: Users,
    clock: Arc<RuntimeClock>,
    room: CloudWatch,
    rules: rules::Manager,
    stop: CancellationToken,
    _data: tempfile::TempDir,
    // Rules look at them.
    _lead: watch::Sender<Leadership>,
    _needs: watch::Sender<Arc<[cloudwatch::plan::need::Need]>>,
    _hot: watch::Sender<Arc<[cloudwatch::Hot]>>,
}

/// What the owner has said of it.
fn config(fake: &FakeAws) -> Config {
    let key = fake.user();
    let capacity = |name: &str, label: &str, value: f64| Capacity {
        name: name.to_owned(),
        labels: BTreeMap::from([(label.to_owned(), ".+".to_owned())]),
        value,
    };
    Config {
        enabled: true,
        accounts: vec![AccountConfig {
            access_key: key.access_key,
            secret_key: net::Secret::expand(&key.secret_key, |_| None).unwrap(),
            regions: vec![fake_aws::REGION.to_owned()],
            ..AccountConfig::default()
        }],
        capacities: vec![
            capacity(
                "aws_applicationelb_capacity_requests_per_second",
                "dimension_LoadBalancer",
                500.0,
            ),
            capacity(
                "aws_kafka_broker_capacity_bytes_per_second",
                "dimension_Broker_ID",
                1_048_576.0,
            ),
        ],
        ..Config::default()
    }
}

impl House {
    fn open() -> Self {
        let clock = RuntimeClock::starting_at(START);
        let fake = FakeAws::start(clock.clone() as Arc<dyn Clock>);
        let users = estate::users(&fake);
        let data = tempfile::tempdir().unwrap();
        let registry = Registry::new();
        let store = store::Store::open(
            &data.path().join("metrics"),
            store::Config::default(),
            clock.clone(),
            &registry,
        );
        let store = store.unwrap();
        let engine = Arc::new(promql::Engine::new(store.clone(), promql::Options::default()));
        let config = config(&fake);
        let inside: Arc<dyn Client> = fake.client();
        let aws = aws::Aws::new(
            aws::Config::default(),
            Arc::clone(&inside),
            clock.clone(),
            &registry,
        )
        .unwrap();
        let (lead, leads) = watch::channel(Leadership::standalone());
        let (needs, needed) = watch::channel(Arc::default());
        let (hot, heated) = watch::channel(Arc::default());
        let room = CloudWatch::new(
            Given {
                config: config.clone(),
                client: aws::Signing::new(inside, &aws),
                aws,
                keep: store.clone(),
                clock: clock.clone(),
                treasury: Arc::new(Purse::default()),
                leadership: leads.clone(),
                needs: needed,
                hot: heated,
            },
            &registry,
        );
        let files = Disk::new(data.path());
        let (events, mut told) = mpsc::channel(1_024);
        tokio::spawn(async move { while told.recv().await.is_some() {} });
        let manager = rules::Manager::new(
            rules::Neighbours {
                ask: engine,
                keep: store.clone(),
                journal: Journal::open(files, Path::new("alerts")).unwrap(),
                events,
                leadership: leads,
                clock: clock.clone(),
                presence: Arc::new(AllHere),
                late: room.marks(),
            },
            &registry,
            rules::Options {
                evaluation_interval: MINUTE,
                ..rules::Options::default()
            },
        );
        let groups = shipped();
        needs.send_replace(needs::gather(&groups, &config));
        manager.apply(groups);
        let stop = CancellationToken::new();
        tokio::spawn(manager.clone().run(stop.clone()));
        tokio::spawn(room.clone().run(stop.clone()));
        Self {
            fake,
            users,
            clock,
            room,
            rules: manager,
            stop,
            _data: data,
            _lead: lead,
            _needs: needs,
            _hot: hot,
        }
    }

    /// What fires now, with what it says.
    fn firing(&self) -> BTreeMap<String, String> {
        let groups = self.rules.view();
        let rules = groups.iter().flat_map(|group| &group.rules);
        let alerts = rules.flat_map(|rule| rule.alerts.iter().map(move |alert| (rule.name.clone(), alert)));
        let firing = alerts.filter(|(_, alert)| alert.state == AlertState::Firing);
        firing
            .map(|(name, alert)| (name, alert.annotations.value("summary").to_owned()))
            .collect()
    }

    fn errors(&self) -> BTreeSet<String> {
        let groups = self.rules.view();
        let rules = groups.iter().flat_map(|group| &group.rules);
        rules
            .filter(|rule| !rule.last_error.is_empty())
            .map(|rule| format!("{}: {}", rule.name, rule.last_error))
            .collect()
    }

    async fn pass(&self, minutes: u32) {
        self.clock.sleep(MINUTE * minutes).await;
    }
}

/// All rules of AWS, as they ship.
fn shipped() -> Vec<rules::Group> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with("aws-") {
            files.push((format!("rules/{name}"), std::fs::read_to_string(&path).unwrap()));
        }
    }
    files.sort();
    assert!(files.len() >= 7, "{files:?}");
    rules::load(&files).unwrap()
}

fn is_long() -> bool {
    std::env::var_os("SKOPOS_TEST_LONG").is_some()
}

#[tokio::test(start_paused = true)]
async fn a_healthy_day_raises_nothing_and_what_it_costs_is_said() {
    let house = House::open();
    let hours = if is_long() { 24 } else { 3 };
    let mut raised = BTreeMap::new();
    for _ in 0..hours * 4 {
        house.pass(15).await;
        raised.extend(house.firing());
    }
    assert_eq!(house.errors(), BTreeSet::new());
    let view = house.room.view().unwrap();
    let planned: usize = view.places.iter().map(|place| place.series).sum();
    let monthly: f64 = view.places.iter().map(|place| place.monthly).sum();
    println!(
        "{hours} healthy hours: {} raised; {planned} series, {monthly:.2} dollars a month, {:.4} billed, {} calls",
        raised.len(),
        house.fake.bill().usd(),
        house.fake.count("GetMetricData"),
    );
    assert_eq!(raised, BTreeMap::new());
    assert!(planned > 100, "{planned}");
    house.stop.cancel();
}

/// What is promised: which alerts may say it, within how many minutes, and a part of what one of them says.
struct Promise {
    incident: Incident,
    alerts: &'static [&'static str],
    within: u32,
    says: &'static str,
}

const PROMISES: &[Promise] = &[
    Promise {
        incident: Incident::ConnectionsExhausted,
        alerts: &["RdsConnectionsHigh"],
        within: 15,
        says: "183 of 200",
    },
    Promise {
        incident: Incident::BalancerErrors,
        alerts: &["AlbServerErrors", "AlbTargetErrors"],
        within: 15,
        says: "",
    },
    Promise {
        incident: Incident::BrokerLost,
        alerts: &[
            "MskOfflinePartitions",
            "MskUnderReplicated",
            "MskBrokerSilent",
            "MskHealing",
        ],
        within: 15,
        says: "",
    },
    Promise {
        incident: Incident::StorageFull,
        alerts: &["RdsStorageFull"],
        within: 10,
        says: "",
    },
    Promise {
        incident: Incident::PrimaryLost,
        alerts: &[
            "RdsFailover",
            "RdsInstanceFailed",
            "RdsProxyTargetNotAvailable",
            "RdsProxyWithoutTarget",
        ],
        within: 10,
        says: "",
    },
    Promise {
        incident: Incident::CacheEvicting,
        alerts: &["ElastiCacheEvictions"],
        within: 25,
        says: "",
    },
    Promise {
        incident: Incident::DatabaseCreditsGone,
        alerts: &["RdsCpuCreditsLow"],
        within: 40,
        says: "",
    },
    Promise {
        incident: Incident::BrokerCreditsGone,
        alerts: &["MskCpuCreditsLow"],
        within: 40,
        says: "",
    },
    Promise {
        incident: Incident::ZoneLost,
        alerts: &["AlbUnhealthyTargets"],
        within: 25,
        says: "",
    },
];

#[tokio::test(start_paused = true)]
async fn what_goes_wrong_is_told_in_time_with_the_number_that_matters_and_ends() {
    let house = House::open();
    house.pass(60).await;
    let mut wrong = Vec::new();
    for promise in PROMISES {
        let incident = promise.incident;
        house.users.begins(&house.fake, incident);
        let (mut said, mut after) = (None, 0);
        let is_it = |(name, _): &(String, String)| promise.alerts.contains(&name.as_str());
        while said.is_none() && after < promise.within + 30 {
            house.pass(1).await;
            after += 1;
            said = house.firing().into_iter().find(is_it);
        }
        let all: Vec<String> = house.firing().into_keys().collect();
        house.users.ends(&house.fake, incident);
        let mut ended = 0;
        while house.firing().into_iter().any(|alert| is_it(&alert)) && ended < 120 {
            house.pass(1).await;
            ended += 1;
        }
        println!("{incident:?}: {said:?} after {after} min, ended {ended} min after its end; also {all:?}");
        match &said {
            None => wrong.push(format!("{incident:?} is not told; {all:?} fire")),
            Some(_) if after > promise.within => {
                wrong.push(format!("{incident:?} is told after {after} min"))
            }
            Some((_, said)) if !said.contains(promise.says) => wrong.push(format!("{incident:?}: {said}")),
            Some(_) if ended >= 120 => wrong.push(format!("{incident:?} does not end")),
            Some(_) => {}
        }
        // What hangs on for longer ends, too.
        house.pass(90).await;
    }
    assert_eq!(house.errors(), BTreeSet::new());
    assert_eq!(wrong, [""; 0]);
    house.stop.cancel();
}
