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

/// What may be spent.
enum Money {
    Enough,
    /// Of a month's budget, so much.
    Left {
        budget: f64,
        dollars: f64,
    },
}

/// A sum of the month that `now` is in.
fn spent(now: Timestamp, dollars: f64) -> Spent {
    let date = jiff::Timestamp::from_millisecond(now.millis()).unwrap();
    let date = date.to_zoned(jiff::tz::TimeZone::UTC);
    let month = i32::from(date.year()) * 12 + i32::from(date.month()) - 1;
    serde_json::from_value(serde_json::json!({"month": month, "dollars": dollars, "requests": 0})).unwrap()
}

struct House {
    fake: FakeAws,
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
    fn open() -> (Self, Users) {
        Self::over(START, Money::Enough, estate::users)
    }

    /// Over an estate, from a time on.
    fn over<T>(start: Timestamp, money: Money, estate: impl FnOnce(&FakeAws) -> T) -> (Self, T) {
        let clock = RuntimeClock::starting_at(start);
        let fake = FakeAws::start(clock.clone() as Arc<dyn Clock>);
        let estate = estate(&fake);
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
        let mut config = config(&fake);
        let purse = Purse::default();
        match money {
            Money::Enough => config.max_usd_per_month = 0.0,
            Money::Left { budget, dollars } => {
                config.max_usd_per_month = budget;
                *purse.0.lock() = Some(spent(start, budget - dollars));
            }
        }
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
                treasury: Arc::new(purse),
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
        let house = Self {
            fake,
            clock,
            room,
            rules: manager,
            stop,
            _data: data,
            _lead: lead,
            _needs: needs,
            _hot: hot,
        };
        (house, estate)
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

    fn now(&self) -> Timestamp {
        self.clock.now()
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
    let (house, _) = House::open();
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
        within: 45,
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
    let (house, users) = House::open();
    house.pass(60).await;
    let mut wrong = Vec::new();
    for promise in PROMISES {
        let incident = promise.incident;
        users.begins(&house.fake, incident);
        let (mut said, mut after) = (None, 0);
        let is_it = |(name, _): &(String, String)| promise.alerts.contains(&name.as_str());
        while said.is_none() && after < promise.within + 30 {
            house.pass(1).await;
            after += 1;
            said = house.firing().into_iter().find(is_it);
        }
        let all: Vec<String> = house.firing().into_keys().collect();
        users.ends(&house.fake, incident);
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

/// Hours of a month as AWS' price list reckons.
const MONTH: u32 = 720;

#[tokio::test(start_paused = true)]
async fn the_sample_estate_costs_forty_dollars_a_month_at_most_with_every_rule_and_dashboard() {
    let (house, ()) = House::over(START, Money::Enough, estate::sample);
    // What is bought once at the start, and what is found never to have a point, is no cost of a month.
    house.pass(100).await;
    house.fake.reset_bill();
    let hours = if is_long() { 24 } else { 2 };
    house.pass(hours * 60).await;
    let billed = house.fake.bill().usd();
    let month = billed * f64::from(MONTH) / f64::from(hours);
    let view = house.room.view().unwrap();
    let series: usize = view.places.iter().map(|place| place.series).sum();
    let planned: f64 = view.places.iter().map(|place| place.monthly).sum();
    println!(
        "{series} series; {billed:.4} dollars billed in {hours} hours, {month:.2} a month; {planned:.2} planned"
    );
    assert!(series > 400, "{series}");
    assert!(month <= 40.0, "{month}");
    house.stop.cancel();
}

/// Of these, one begins every so often; all are told by what wakes people.
const WAKING: [Incident; 3] = [
    Incident::ConnectionsExhausted,
    Incident::StorageFull,
    Incident::BalancerErrors,
];

#[tokio::test(start_paused = true)]
async fn a_month_for_25_dollars_is_not_passed_and_what_wakes_people_fires_on_time_to_the_last_hour() {
    const BUDGET: f64 = 25.0;
    // November has 30 days. What is simulated is its end, with as much money as is due to it.
    let hours = if is_long() { MONTH } else { 9 };
    let start = START + Duration::from_secs(3_600) * (MONTH - hours);
    let dollars = BUDGET * f64::from(hours) / f64::from(MONTH);
    let both = |fake: &FakeAws| {
        estate::sample(fake);
        estate::users(fake)
    };
    let left = Money::Left {
        budget: BUDGET,
        dollars,
    };
    let (house, users) = House::over(start, left, both);
    let mut wrong = Vec::new();
    let every = hours / 3;
    for nth in 0..3_u32 {
        // The last begins three quarters of an hour before the money of a new month.
        let pause = if nth == 2 {
            every * 60 - 45
        } else {
            every * 60 - 150
        };
        house.pass(if nth == 2 { pause } else { pause.max(30) }).await;
        let incident = WAKING[nth as usize];
        let promise = PROMISES
            .iter()
            .find(|promise| promise.incident == incident)
            .unwrap();
        users.begins(&house.fake, incident);
        let is_told = || {
            promise
                .alerts
                .iter()
                .any(|alert| house.firing().contains_key(*alert))
        };
        let mut after = 0;
        while !is_told() && after < promise.within + 30 {
            house.pass(1).await;
            after += 1;
        }
        let stretch = house.room.view().unwrap().stretch;
        println!(
            "{incident:?}: told after {after} of {} min; stretched {stretch:?}",
            promise.within
        );
        if after > promise.within {
            wrong.push(format!("{incident:?} after {after} min"));
        }
        users.ends(&house.fake, incident);
        if nth < 2 {
            house.pass(150 - after).await;
        } else {
            house.pass(40 - after).await;
        }
    }
    let billed = house.fake.bill().usd();
    let said = house.room.view().unwrap();
    println!(
        "{billed:.4} of {dollars:.4} dollars billed in {hours} hours; {:.4} of {BUDGET:.2} said to be spent",
        said.spent
    );
    assert!(house.now() < START + Duration::from_secs(3_600) * MONTH);
    assert!(
        billed <= dollars && said.spent <= BUDGET,
        "{billed} {}",
        said.spent
    );
    // It was tight.
    assert!(said.stretch[2] > 1.0, "{:?}", said.stretch);
    assert_eq!(wrong, [""; 0]);
    house.stop.cancel();
}
