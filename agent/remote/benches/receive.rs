//! What a received sample costs: unpacked, read, and committed to a real store, by a sender that is known.
//!
//! `cargo bench -p remote --bench receive`; one line a number. CPU time, because other processes share the machine.

#![expect(clippy::print_stdout, reason = "a bench prints its numbers")]
#![expect(clippy::expect_used, reason = "a bench that cannot go on says so by failing")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use model::column::Kept;
use model::outside::{Call, Identity, Role};
use model::{
    BoxFuture, Clock, Column, Keep, KeepError, SeriesDesc, SeriesRef, TargetDesc, TargetRef, Timestamp,
};
use prometheus::Registry;
use remote::receive::{Config, Receiver};
use rustix::time::{ClockId, clock_gettime};
use store::Store;

const SERIES: u8 = 5 << 3 | 2;
const SYMBOL: u8 = 4 << 3 | 2;
const BYTES_1: u8 = 1 << 3 | 2;
const BYTES_2: u8 = 2 << 3 | 2;
const METADATA: u8 = 5 << 3 | 2;
const START: i64 = 1_795_661_484_250;

struct HandClock(AtomicI64);

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }

    fn running(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.now().0 - START).unwrap_or(0))
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }

    fn sleep_until(&self, _: Timestamp) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

/// Keeps nothing, so that what is left is the receiver's own.
#[derive(Default)]
struct Nothing(AtomicI64);

impl Keep for Nothing {
    fn target(&self, _: &TargetDesc) -> TargetRef {
        TargetRef(0)
    }

    fn series(&self, _: TargetRef, _: &SeriesDesc) -> Result<SeriesRef, KeepError> {
        let next = self.0.fetch_add(1, Ordering::Relaxed);
        Ok(SeriesRef(next.cast_unsigned()))
    }

    fn commit(&self, column: Column) -> Kept {
        Kept {
            kept: column.values.len(),
            ..Kept::default()
        }
    }

    fn retire(&self, _: TargetRef, _: Timestamp) {}
}

fn cpu_nanos() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

fn varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn bytes(tag: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// As an application has them: a tenth of the names, each with the same labels and other values.
fn labels(target: usize, nth: usize) -> Vec<(String, String)> {
    [
        (
            "__name__",
            format!("application_requests_duration_seconds_{}", nth / 10),
        ),
        ("code", format!("{}", 200 + nth % 10)),
        ("instance", format!("10.17.3.{target}:8080")),
        ("job", format!("shop/application-{}", target % 7)),
        ("method", "GET".to_owned()),
        ("path", format!("/api/v1/things/{}", nth % 10)),
        ("pod", format!("application-7d9f8b6c5-{target:05}")),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

fn sample(time: i64, value: f64, out: &mut Vec<u8>) {
    let mut message = vec![1 << 3 | 1];
    message.extend(value.to_bits().to_le_bytes());
    message.push(2 << 3);
    varint(time.cast_unsigned(), &mut message);
    bytes(BYTES_2, &message, out);
}

/// One target's round, as our own sender writes it.
fn two(target: usize, series: usize, round: i64) -> Vec<u8> {
    let mut symbols = std::collections::BTreeMap::new();
    let (mut table, mut messages) = (Vec::new(), Vec::new());
    let mut symbol = |text: &str| -> u64 {
        let next = symbols.len() as u64;
        *symbols.entry(text.to_owned()).or_insert_with(|| {
            bytes(SYMBOL, text.as_bytes(), &mut table);
            next
        })
    };
    symbol("");
    for nth in 0..series {
        let (mut message, mut refs, mut metadata) = (Vec::new(), Vec::new(), vec![1 << 3, 1, 3 << 3]);
        for (name, value) in labels(target, nth) {
            varint(symbol(&name), &mut refs);
            varint(symbol(&value), &mut refs);
        }
        bytes(BYTES_1, &refs, &mut message);
        sample(START + round * 15_000, (nth as i64 * round) as f64, &mut message);
        varint(symbol("How long requests took."), &mut metadata);
        bytes(METADATA, &metadata, &mut message);
        bytes(SERIES, &message, &mut messages);
    }
    table.append(&mut messages);
    table
}

/// Some of all series, in the order in which a Prometheus has scraped them.
fn one(series: std::ops::Range<usize>, per_target: usize, round: i64) -> Vec<u8> {
    let mut request = Vec::new();
    for nth in series {
        let mut message = Vec::new();
        for (name, value) in labels(nth / per_target, nth % per_target) {
            let mut label = Vec::new();
            bytes(BYTES_1, name.as_bytes(), &mut label);
            bytes(BYTES_2, value.as_bytes(), &mut label);
            bytes(BYTES_1, &label, &mut message);
        }
        let offset = (nth / per_target) as i64 * 31;
        sample(
            START + round * 15_000 + offset,
            (nth as i64 * round) as f64,
            &mut message,
        );
        bytes(BYTES_1, &message, &mut request);
    }
    request
}

fn call(role: Role, two: bool, request: &[u8]) -> Call {
    let kind = if two {
        "application/x-protobuf;proto=io.prometheus.write.v2.Request"
    } else {
        "application/x-protobuf"
    };
    Call {
        method: "POST".to_owned(),
        headers: vec![("content-type".to_owned(), kind.to_owned())],
        body: snap::raw::Encoder::new().compress_vec(request).expect("packs"),
        from: Some(Identity {
            role,
            name: "worker-1".into(),
        }),
        ..Call::default()
    }
}

struct Bench {
    _folder: tempfile::TempDir,
    clock: Arc<HandClock>,
    store: Option<Arc<Store>>,
    receiver: Arc<Receiver>,
    registry: Registry,
}

impl Bench {
    fn new(stored: bool) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let clock = Arc::new(HandClock(AtomicI64::new(START)));
        let registry = Registry::new();
        let open = || Store::open(folder.path(), store::Config::default(), clock.clone(), &registry);
        let store = stored.then(|| open().expect("opens"));
        let disk = journal::Disk::new(folder.path());
        let journal = journal::Journal::open(disk, Path::new("state")).expect("opens");
        let keep: Arc<dyn Keep> = match &store {
            Some(store) => store.clone(),
            None => Arc::new(Nothing::default()),
        };
        let receiver = Receiver::new(Config::default(), keep, journal, clock.clone(), &registry);
        Self {
            _folder: folder,
            clock,
            store,
            receiver,
            registry,
        }
    }

    /// Nanoseconds a sample of all calls of one round.
    fn round(&self, round: i64, calls: &[Call], samples: usize) -> f64 {
        self.clock
            .0
            .store(START + round * 15_000 + 10_000, Ordering::Relaxed);
        let start = cpu_nanos();
        for call in calls {
            assert_eq!(self.receiver.write(call).status, 204);
        }
        let nanos = cpu_nanos() - start;
        if let Some(store) = self.store.as_ref().filter(|_| round % 4 == 0) {
            store.maintain();
            assert!(store.sync());
        }
        nanos / samples as f64
    }

    fn resolved(&self) -> f64 {
        let families = self.registry.gather();
        let resolved = families
            .iter()
            .find(|family| family.name() == "skopos_remote_received_series_resolved_total");
        resolved.map_or(0.0, |family| family.get_metric()[0].get_counter().get_value())
    }
}

/// Mean and least of the rounds, and the first.
fn measure(stored: bool, rounds: i64, samples: usize, calls: &dyn Fn(i64) -> Vec<Call>) -> [f64; 3] {
    let bench = Bench::new(stored);
    let first = bench.round(1, &calls(1), samples);
    for round in 2..6 {
        bench.round(round, &calls(round), samples);
    }
    let resolved = bench.resolved();
    let warm: Vec<f64> = (6..6 + rounds)
        .map(|round| bench.round(round, &calls(round), samples))
        .collect();
    assert!((bench.resolved() - resolved).abs() < 0.5, "labels were read");
    assert!(bench.receiver.ledger().balances());
    let mean = warm.iter().sum::<f64>() / warm.len() as f64;
    [mean, warm.into_iter().fold(f64::INFINITY, f64::min), first]
}

fn unpacking(samples: usize, calls: &[Call]) -> f64 {
    let mut room = vec![0; 32 << 20];
    let mut least = f64::INFINITY;
    for _ in 0..20 {
        let start = cpu_nanos();
        for call in calls {
            snap::raw::Decoder::new()
                .decompress(&call.body, &mut room)
                .expect("unpacks");
        }
        least = least.min(cpu_nanos() - start);
    }
    least / samples as f64
}

fn run(name: &str, rounds: i64, samples: usize, calls: impl Fn(i64) -> Vec<Call>) {
    let sent = calls(7);
    let packed: usize = sent.iter().map(|call| call.body.len()).sum();
    let [mean, least, first] = measure(true, rounds, samples, &calls);
    let [_, alone, first_alone] = measure(false, rounds, samples, &calls);
    println!("{name}, {:.1} B/sample packed", packed as f64 / samples as f64);
    println!("  decode and commit           {mean:8.1} ns/sample, at least {least:.1}");
    println!("  without a store             {alone:8.1} ns/sample at least");
    println!(
        "  of which unpacking          {:8.1} ns/sample at least",
        unpacking(samples, &sent)
    );
    println!("  the first time              {first:8.1} ns/sample, without a store {first_alone:.1}");
}

fn main() {
    run("2.0, a request of 504 series", 200, 504, |round| {
        vec![call(Role::Node, true, &two(1, 504, round))]
    });
    run("2.0, a request of 5,000 series", 60, 5_000, |round| {
        vec![call(Role::Node, true, &two(1, 5_000, round))]
    });
    run(
        "2.0, 110 requests of 504 series in turn",
        30,
        110 * 504,
        |round| {
            (0..110)
                .map(|target| call(Role::Node, true, &two(target, 504, round)))
                .collect()
        },
    );
    run("1.0, 25 requests of 2,000 of 100 targets", 20, 50_000, |round| {
        (0..25)
            .map(|part| {
                call(
                    Role::Writer,
                    false,
                    &one(part * 2_000..(part + 1) * 2_000, 500, round),
                )
            })
            .collect()
    });
}
