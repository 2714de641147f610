//! What a series costs where only last values are kept: the store of a node, with its labels and its index.
//!
//! `cargo bench -p store --bench lean`; bytes as the allocator hands them out, its own rounding left out.

#![expect(clippy::print_stdout, reason = "a bench prints its numbers")]
#![expect(clippy::expect_used, reason = "a bench that cannot go on says so by failing")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use model::{
    BoxFuture, Clock, Column, Keep, Kind, Labels, Matcher, Round, Select, SeriesDesc, SeriesRef, TargetDesc,
    TargetRef, TimeRange, Timestamp,
};
use prometheus::Registry;
use rustix::time::{ClockId, clock_gettime};
use store::{Config, History, Store};

struct Counting;

static BYTES: AtomicUsize = AtomicUsize::new(0);
static BLOCKS: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

#[expect(unsafe_code, reason = "an allocator that counts has no other face")]
// SAFETY: every call goes on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = BYTES.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(held, Ordering::Relaxed);
        BLOCKS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size(), Ordering::Relaxed);
        BLOCKS.fetch_sub(1, Ordering::Relaxed);
        // SAFETY: the caller's promise is the same.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const TARGETS: usize = 110;
const SERIES: usize = 80_000;

struct HandClock(AtomicI64);

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }

    fn running(&self) -> Duration {
        Duration::ZERO
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }

    fn sleep_until(&self, _: Timestamp) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

/// CPU time of this thread: other processes share the machine.
fn cpu_nanos() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// A pod's own metrics: histograms by method and path, with what the cluster says of the pod.
fn desc(target: usize, nth: usize) -> SeriesDesc {
    let family = format!("http_server_requests_{}_seconds", nth / 120);
    let mut pairs = vec![
        ("__name__", format!("{family}_bucket")),
        ("container", "app".to_owned()),
        (
            "instance",
            format!("10.12.{}.{}:8080", target / 200, target % 200),
        ),
        ("job", format!("shop/service-{}", target % 25)),
        ("namespace", format!("shop-{}", target % 7)),
        ("node", "ip-10-12-7-33.eu-central-1.compute.internal".to_owned()),
        ("pod", format!("service-{}-7d9fbc4c5d-{target:05x}", target % 25)),
        ("le", format!("0.{:02}", nth % 12)),
        ("uri", format!("/api/v1/things/{}", nth % 120 / 12)),
    ];
    let row = nth / 12;
    if !row.is_multiple_of(3) {
        pairs.push(("method", ["GET", "POST", "PUT"][row % 3].to_owned()));
    }
    if row % 3 == 2 {
        pairs.push(("status", ["200", "404", "500"][row / 3 % 3].to_owned()));
        pairs.push(("revision", format!("r{row}")));
    }
    SeriesDesc {
        labels: Labels::from_pairs(pairs),
        kind: Kind::Histogram,
        family: family.into(),
        help: "How long requests took.".into(),
        unit: "seconds".into(),
    }
}

fn main() {
    let clock = Arc::new(HandClock(AtomicI64::new(1_000_000)));
    let config = Config {
        history: History::None,
        ..Config::default()
    };
    let registry = Registry::new();
    let store = Store::open(Path::new("/nonexistent"), config, clock.clone(), &registry).expect("opens");
    let (bytes, blocks) = (BYTES.load(Ordering::Relaxed), BLOCKS.load(Ordering::Relaxed));
    let mut targets: Vec<(TargetRef, Vec<SeriesRef>)> = Vec::new();
    let mut pairs = 0;
    for target in 0..TARGETS {
        let of = store.target(&TargetDesc {
            name: format!("pods/{target}").into(),
            page: Some("pods"),
            staleness: None,
        });
        let count = SERIES * (target + 1) / TARGETS - SERIES * target / TARGETS;
        let mut refs = Vec::with_capacity(count);
        for nth in 0..count {
            let desc = desc(target, nth);
            pairs += desc.labels.len();
            refs.push(store.series(of, &desc).expect("within the limits"));
        }
        targets.push((of, refs));
    }
    let own = SERIES * size_of::<SeriesRef>();
    let a_series = |bytes: usize| bytes as f64 / SERIES as f64;
    let held = |before: usize| BYTES.load(Ordering::Relaxed) - before - own;
    println!(
        "{SERIES} series of {TARGETS} targets, {:.1} labels each",
        a_series(pairs)
    );
    println!(
        "  asked for                   {:8.0} B/series",
        a_series(held(bytes))
    );
    for nth in 1..=5 {
        for (target, refs) in &targets {
            let column = Column {
                target: *target,
                time: Timestamp(1_000_000 + nth * 15_000),
                round: Round::Whole,
                series: refs.clone(),
                values: vec![nth as f64; refs.len()],
            };
            assert_eq!(store.commit(column).kept, refs.len());
        }
    }
    store.maintain();
    println!(
        "  with five rounds            {:8.0} B/series in {:.2} blocks",
        a_series(held(bytes)),
        a_series(BLOCKS.load(Ordering::Relaxed) - blocks)
    );
    let asked = cpu_nanos();
    let matcher = Matcher::equal("__name__", "http_server_requests_2_seconds_bucket");
    let found = store
        .select(&[matcher], TimeRange::ALL, usize::MAX)
        .expect("reads");
    println!(
        "  select {:6} by name        {:8.0} µs",
        found.len(),
        (cpu_nanos() - asked) / 1e3
    );
    drop(found);
    MOST.store(BYTES.load(Ordering::Relaxed), Ordering::Relaxed);
    let asked = cpu_nanos();
    let shown: usize = store.last(None).iter().map(|last| last.series.len()).sum();
    println!(
        "  all last values             {:8.0} ns/series",
        (cpu_nanos() - asked) / shown as f64
    );
    println!(
        "  with all of them shown      {:8.0} B/series at most",
        a_series(MOST.load(Ordering::Relaxed) - bytes - own)
    );
    churn(&store, &clock);
    println!(
        "  of those                    {:8.0} B/series",
        held(bytes) as f64 / store.series_count() as f64
    );
    assert!(store.ledger().balances());
}

/// Every quarter of an hour a tenth of the targets goes and others take their place, as rollouts do.
fn churn(store: &Store, clock: &HandClock) {
    let desc_of = |name: String| TargetDesc {
        name: name.into(),
        page: Some("pods"),
        staleness: None,
    };
    let mut ages = [0_usize; TARGETS];
    for turn in 0..20_usize {
        let now = Timestamp(1_000_000 + (turn as i64 + 1) * 900_000);
        clock.0.store(now.0, Ordering::Relaxed);
        for (target, age) in ages.iter_mut().enumerate() {
            let name = |age: usize| format!("pods/{target}{}", "/next".repeat(age));
            if target % 10 == turn % 10 {
                store.retire(store.target(&desc_of(name(*age))), now);
                *age += 1;
            }
            let of = store.target(&desc_of(name(*age)));
            let count = SERIES * (target + 1) / TARGETS - SERIES * target / TARGETS;
            let ask = |nth| {
                let desc = desc(target + TARGETS * *age, nth);
                store.series(of, &desc).expect("within the limits")
            };
            let series: Vec<SeriesRef> = (0..count).map(ask).collect();
            let values = vec![1.0; series.len()];
            let column = Column {
                target: of,
                time: now,
                round: Round::Whole,
                series,
                values,
            };
            assert_eq!(store.commit(column).kept, count);
        }
        for _ in 0..4 {
            store.maintain();
        }
    }
    println!("  {} series held after 20 turns of churn", store.series_count());
}
