//! What a sample costs on its way out: CPU time and bytes, and memory for each series that is sent.
//!
//! `cargo bench -p remote --bench encode`; one line a number. CPU time, because other processes share the machine.

#![expect(clippy::print_stdout, reason = "a bench prints its numbers")]
#![expect(clippy::expect_used, reason = "a bench that cannot go on says so by failing")]

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use model::outside::{Client, ClientError, Files, Request, Response};
use model::{
    BoxFuture, Clock, Describe, Fed, Feed, Kind, Labels, SeriesDesc, SeriesRef, TargetRef, Timestamp,
};
use parking_lot::Mutex;
use prometheus::Registry;
use remote::{Config, Destination, Limits, Message, Sender};
use rustix::time::{ClockId, clock_gettime};
use telemetry::clock::RuntimeClock;
use tokio_util::sync::CancellationToken;

const ROUNDS: i64 = 100;

fn cpu_nanos() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

fn anonymous_bytes() -> f64 {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Anonymous:"));
    let kilobytes = line
        .and_then(|rest| rest.trim().strip_suffix(" kB"))
        .and_then(|text| text.trim().parse().ok());
    kilobytes.map_or(f64::NAN, |kilobytes: f64| kilobytes * 1024.0)
}

/// A disk that costs a copy, so that only our own work is measured.
#[derive(Default)]
struct Memory {
    files: Mutex<BTreeMap<PathBuf, Vec<u8>>>,
    bytes: AtomicU64,
}

impl Files for Memory {
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        Ok(self.files.lock().get(path).cloned())
    }
    fn append(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.files
            .lock()
            .entry(path.to_owned())
            .or_default()
            .extend_from_slice(bytes);
        Ok(())
    }
    fn replace(&self, _: &Path, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
    fn truncate(&self, _: &Path, _: u64) -> io::Result<()> {
        Ok(())
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.files.lock().remove(path);
        Ok(())
    }
    fn list(&self, _: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(Vec::new())
    }
    fn is_instant(&self) -> bool {
        true
    }
}

/// Takes everything at once.
#[derive(Default)]
struct Taker {
    bytes: AtomicU64,
    last: Mutex<Vec<u8>>,
}

impl Client for Taker {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, ClientError>> {
        self.bytes.fetch_add(request.body.len() as u64, Ordering::Relaxed);
        *self.last.lock() = request.body.to_vec();
        let written = "x-prometheus-remote-write-samples-written".to_owned();
        Box::pin(std::future::ready(Ok(Response {
            status: 204,
            headers: vec![(written, "999999".to_owned())],
            body: Vec::new(),
        })))
    }
}

/// Which labels and help texts series have.
#[derive(Clone, Copy)]
enum Shape {
    /// As a machine's: 250 families, few labels.
    Node,
    /// As containers': 64 families, an id, an image and names of 330 containers.
    Containers,
}

fn desc(shape: Shape, nth: u64) -> SeriesDesc {
    let (family, labels) = match shape {
        Shape::Node => {
            let family = format!("node_something_{}_seconds_total", nth / 2);
            let labels = Labels::from_pairs([
                ("__name__", family.clone()),
                ("device", format!("nvme{}n1", nth % 2)),
                (
                    "instance",
                    "ip-10-0-12-34.eu-central-1.compute.internal".to_owned(),
                ),
                ("job", "node-exporter".to_owned()),
                ("node", "ip-10-0-12-34.eu-central-1.compute.internal".to_owned()),
            ]);
            (family, labels)
        }
        Shape::Containers => {
            let (container, family) = (nth / 64, format!("container_something_{}_total", nth % 64));
            let hash = |salt: u64| format!("{:016x}", (container + salt).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let id: String = [1, 2, 3, 4].map(hash).concat();
            let labels = Labels::from_pairs([
                ("__name__", family.clone()),
                ("container", format!("app-{}", container % 3)),
                (
                    "id",
                    format!(
                        "/kubepods.slice/kubepods-burstable.slice/pod{}.slice/cri-{id}.scope",
                        hash(9)
                    ),
                ),
                (
                    "image",
                    format!(
                        "123456789012.dkr.ecr.eu-central-1.amazonaws.com/team/app-{}:v1.2.3",
                        container % 40
                    ),
                ),
                ("instance", "10.0.12.34:10250".to_owned()),
                ("job", "kubelet".to_owned()),
                ("metrics_path", "/metrics/cadvisor".to_owned()),
                ("name", id),
                ("namespace", format!("team-{}", container % 12)),
                ("node", "ip-10-0-12-34.eu-central-1.compute.internal".to_owned()),
                ("pod", format!("app-{}-7d9f8b6c5-{}", container / 3, hash(5))),
            ]);
            (family, labels)
        }
    };
    SeriesDesc {
        labels,
        kind: Kind::Counter,
        help: format!("What is counted by {family}, in so many words as people use.").into(),
        family: family.into(),
        unit: "".into(),
    }
}

struct Catalogue(Shape);

impl Describe for Catalogue {
    fn describe(&self, series: &[SeriesRef]) -> Vec<Option<SeriesDesc>> {
        series.iter().map(|series| Some(desc(self.0, series.0))).collect()
    }
}

/// Values as a machine has them: of five series two stand still, one counts, one counts hundredths, one is noise.
fn value(series: usize, round: i64) -> f64 {
    match series % 5 {
        0 | 1 => series as f64,
        2 => (round * (series as i64 % 90_000)) as f64,
        3 => (round * (series as i64 % 1500)) as f64 / 100.0,
        _ => ((series as f64) * 0.37 + round as f64).sin(),
    }
}

fn gauge(registry: &Registry, name: &str) -> f64 {
    let families = registry.gather();
    let family = families.iter().find(|family| family.name() == name);
    family
        .and_then(|family| family.get_metric().first())
        .map_or(f64::NAN, |metric| metric.get_gauge().get_value())
}

async fn run(name: &str, shape: Shape, series: usize, message: Option<Message>, external: &[(&str, &str)]) {
    let clock = RuntimeClock::starting_at(Timestamp(1_790_000_000_000));
    let (disk, taker, registry) = (Arc::<Memory>::default(), Arc::<Taker>::default(), Registry::new());
    let destination = Destination {
        config: Config {
            url: "http://receiver/api/v1/write".to_owned(),
            protobuf_message: message,
            ..Config::default()
        },
        external_labels: Labels::from_pairs(external.iter().copied()),
    };
    let wall: Arc<dyn Clock> = Arc::<RuntimeClock>::clone(&clock);
    let client: Arc<dyn Client> = Arc::<Taker>::clone(&taker);
    let files: Arc<dyn Files> = Arc::<Memory>::clone(&disk);
    let sender = Sender::open(
        &[destination],
        Limits::default(),
        files,
        Path::new(""),
        &client,
        wall,
        &registry,
    )
    .expect("opens");
    let (handle, stop) = (sender.handle(), CancellationToken::new());
    let task = tokio::spawn(sender.run(Arc::new(Catalogue(shape)), stop.clone()));
    let refs: Arc<[SeriesRef]> = (0..series as u64).map(SeriesRef).collect();
    let rows: Vec<Arc<[f64]>> = (0..ROUNDS)
        .map(|round| (0..series).map(|nth| value(nth, round)).collect())
        .collect();
    let (mut first, mut rest) = (0.0, 0.0);
    let before = anonymous_bytes();
    for (round, values) in rows.iter().enumerate() {
        let start = cpu_nanos();
        handle.fed(Fed {
            name: "scrape/shop/a:1".into(),
            target: TargetRef(0),
            time: clock.now(),
            shape: 1,
            series: Arc::clone(&refs),
            values: Arc::clone(values),
        });
        while !handle.is_drained() {
            tokio::task::yield_now().await;
        }
        let took = cpu_nanos() - start;
        if round == 0 {
            first = took
        } else {
            rest += took
        }
        clock.sleep(Duration::from_secs(15)).await;
    }
    let memory = anonymous_bytes() - before - disk.files.lock().values().map(Vec::len).sum::<usize>() as f64;
    stop.cancel();
    task.await.expect("ends");
    let samples = (ROUNDS * series as i64) as f64;
    assert_eq!(handle.ledger().given, samples as u64);
    println!("{name}: {series} series");
    println!(
        "  first row, with labels      {:8.0} ns/sample",
        first / series as f64
    );
    println!(
        "  encode, queue and send      {:8.1} ns/sample",
        rest / (samples - series as f64)
    );
    println!(
        "  in the queue                {:8.1} B/sample",
        disk.bytes.load(Ordering::Relaxed) as f64 / samples
    );
    println!(
        "  on the wire                 {:8.1} B/sample",
        taker.bytes.load(Ordering::Relaxed) as f64 / samples
    );
    println!(
        "  templates                   {:8.1} B/series",
        gauge(&registry, "skopos_remote_template_bytes") / series as f64
    );
    println!(
        "  anonymous memory            {:8.1} B/series, {:.2} MB",
        memory / series as f64,
        memory / 1e6
    );
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let labels = [("cluster", "eks"), ("region", "eu-central-1")];
        run("node, 2.0", Shape::Node, 504, None, &[]).await;
        run("containers, 2.0", Shape::Containers, 21_120, None, &[]).await;
        run("containers, 80k", Shape::Containers, 80_000, None, &[]).await;
        run(
            "containers, 2.0 with labels added",
            Shape::Containers,
            21_120,
            None,
            &labels,
        )
        .await;
        run(
            "containers, 1.0",
            Shape::Containers,
            21_120,
            Some(Message::One),
            &labels,
        )
        .await;
    });
}
