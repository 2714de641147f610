//! What a call for 500 metrics costs the room, and what it holds of 5,000 series.
//!
//! The room runs in a process of its own beside a fake AWS in this one, over sockets and in real time; all of its series are asked for
//! every minute. CPU time and memory are the operating system's figures and hold all that the room does meanwhile: describing, listing,
//! signing, HTTP. What it reads goes nowhere: the store's share is not in it. `SKOPOS_BENCH_SECONDS` is how long it is looked at (180 by
//! default).

#![expect(clippy::print_stdout, reason = "the report")]
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run should say where")]

use std::collections::BTreeSet;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use aws::Signing;
use cloudwatch::catalogue::Catalogue;
use cloudwatch::config::AccountConfig;
use cloudwatch::plan::need::{By, Need};
use cloudwatch::{CloudWatch, Config, Given, Spent, Treasury, names};
use fake_aws::{FakeAws, estate};
use model::column::Kept;
use model::outside::Client;
use model::{Column, Keep, KeepError, Leadership, SeriesDesc, SeriesRef, TargetDesc, TargetRef, Timestamp};
use programs::usage::{cpu_seconds_of_threads, memory_mib};
use prometheus::Registry;
use telemetry::clock::RuntimeClock;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

const CHILD: &str = "SKOPOS_BENCH_CHILD";
/// Each with some 1,350 series.
const REGIONS: [&str; 4] = ["eu-west-1", "eu-central-1", "us-east-1", "us-west-2"];
const EVERY: Duration = Duration::from_secs(60);
const PER_CALL: f64 = 500.0;
/// Until all is described and asked for once.
const START: Duration = Duration::from_secs(300);

fn main() {
    if let Ok(task) = std::env::var(CHILD) {
        return child(&task);
    }
    let seconds = std::env::var("SKOPOS_BENCH_SECONDS");
    let seconds = seconds.ok().and_then(|text| text.parse().ok()).unwrap_or(180);
    let off = {
        let room = Room::start("off");
        std::thread::park_timeout(Duration::from_secs(3));
        memory_mib(room.0.id(), "VmRSS")
    };
    let fake = FakeAws::start(RuntimeClock::system());
    for region in REGIONS {
        estate::sample_at(&fake, region);
    }
    let key = fake.user();
    let room = Room::start(&format!("{} {} {}", fake.url(), key.access_key, key.secret_key));
    let begun = Instant::now();
    let asked = || fake.bill().units("GetMetricData");
    // The first answers have three hours of points; from the third round on it is as it will be.
    let whole = loop {
        let before = asked();
        std::thread::park_timeout(EVERY);
        let a_minute = asked() - before;
        if a_minute > 0 && begun.elapsed() > EVERY * 3 {
            break a_minute;
        }
        assert!(begun.elapsed() < START, "nothing is asked for");
    };
    let (cpu, before, calls) = (
        cpu_seconds_of_threads(room.0.id()),
        asked(),
        fake.count("GetMetricData"),
    );
    std::thread::park_timeout(Duration::from_secs(seconds));
    let (cpu, metrics) = (cpu_seconds_of_threads(room.0.id()) - cpu, asked() - before);
    let calls = fake.count("GetMetricData") - calls;
    assert!(metrics > 0, "nothing was asked for");
    let (now, peak) = (memory_mib(room.0.id(), "VmRSS"), memory_mib(room.0.id(), "VmHWM"));
    println!(
        "{metrics} metrics in {calls} calls over {seconds} s: {:.2} ms of CPU for 500 of them (goal 1.5)",
        cpu * 1_000.0 * PER_CALL / metrics as f64
    );
    println!(
        "{whole} series: {now:.1} MiB, {peak:.1} MiB at most, {off:.1} MiB without the room: {:.1} MiB more (goal 15)",
        peak - off
    );
}

/// The room alone: `<url> <access key> <secret key>`, or `off` without it.
fn child(task: &str) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (client, clock) = (net::HttpClient::new().unwrap(), RuntimeClock::system());
        let registry = Registry::new();
        let inside: Arc<dyn Client> = client.clone();
        let aws = aws::Aws::new(
            aws::Config::default(),
            Arc::clone(&inside),
            clock.clone(),
            &registry,
        );
        let aws = aws.unwrap();
        let mut words = task.split(' ');
        let (Some(url), Some(access_key), Some(secret_key)) = (words.next(), words.next(), words.next())
        else {
            return std::future::pending().await;
        };
        let account = AccountConfig {
            access_key: access_key.to_owned(),
            secret_key: net::Secret::expand(secret_key, |_| None).unwrap(),
            regions: REGIONS.map(str::to_owned).to_vec(),
            ..AccountConfig::default()
        };
        let services = cloudwatch::inventory::operations::Service::ALL;
        let config = Config {
            enabled: true,
            max_usd_per_month: 0.0,
            accounts: vec![account],
            endpoints: services
                .iter()
                .map(|service| (service.word().to_owned(), url.to_owned()))
                .collect(),
            ..Config::default()
        };
        let (_lead, leadership) = watch::channel(Leadership::standalone());
        let (_needs, needs) = watch::channel(everything());
        let (_hot, hot) = watch::channel(Arc::default());
        let given = Given {
            config,
            client: Signing::new(inside, &aws),
            aws,
            keep: Arc::new(Nowhere::default()),
            clock,
            treasury: Arc::new(Bottomless),
            leadership,
            needs,
            hot,
        };
        CloudWatch::new(given, &registry)
            .run(CancellationToken::new())
            .await;
    });
}

/// The first statistic of every metric that is known, each minute.
fn everything() -> Arc<[Need]> {
    let catalogue = Catalogue::with(&[]);
    let mut wanted = BTreeSet::new();
    for entry in catalogue.entries() {
        for (metric, about) in &entry.metrics {
            let statistic = about.statistics.first().map(|statistic| &**statistic);
            wanted.insert(names::metric(
                &entry.namespace,
                metric,
                statistic.unwrap_or("Average"),
            ));
        }
    }
    let need = |name: &String| {
        let by = By::Alert {
            group: "g".into(),
            name: format!("On{name}").into(),
        };
        Need::new(name, &[], Some(EVERY), by)
    };
    wanted.iter().map(need).collect()
}

/// Takes all, and keeps nothing.
#[derive(Default)]
struct Nowhere(AtomicU64);

impl Keep for Nowhere {
    fn target(&self, _: &TargetDesc) -> TargetRef {
        TargetRef(0)
    }

    fn series(&self, _: TargetRef, _: &SeriesDesc) -> Result<SeriesRef, KeepError> {
        Ok(SeriesRef(self.0.fetch_add(1, Ordering::Relaxed)))
    }

    fn commit(&self, column: Column) -> Kept {
        Kept {
            kept: column.values.len(),
            ..Kept::default()
        }
    }

    fn retire(&self, _: TargetRef, _: Timestamp) {}
}

/// Nobody counts.
struct Bottomless;

impl Treasury for Bottomless {
    fn load(&self) -> Option<Spent> {
        None
    }

    fn save(&self, _: Spent) -> Result<(), String> {
        Ok(())
    }
}

/// A process that ends with this.
struct Room(Child);

impl Room {
    fn start(task: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        Self(command.env(CHILD, task).spawn().unwrap())
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        drop((self.0.kill(), self.0.wait()));
    }
}
