//! CPU time per sample of whole rounds, from the body to the column: 110 targets of 727 series that stay as they are,
//! which together are more than fits into a processor's caches. Run it optimised: `cargo bench -p scrape --bench round`.

#![expect(clippy::print_stdout, reason = "a benchmark prints its result")]

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use model::column::Kept;
use model::outside::{Client, ClientError, Request, Response};
use model::{BoxFuture, Column, Keep, KeepError, SeriesDesc, SeriesRef, TargetDesc, TargetRef, Timestamp};
use prometheus::Registry;
use rustix::time::{ClockId, clock_gettime};
use scrape::config::{Global, StaticConfig};
use scrape::{Pool, ScrapeConfig};
use telemetry::clock::RuntimeClock;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

const TARGETS: usize = 110;
const SERIES: usize = 727;
const ROUNDS: u32 = 100;
const INTERVAL: Duration = Duration::from_secs(15);

/// Every target has the same series, told apart by its own labels.
struct Peer(String);

impl Client for Peer {
    fn send(&self, _: Request) -> BoxFuture<'_, Result<Response, ClientError>> {
        let body = self.0.clone().into_bytes();
        let kind = ("content-type".to_owned(), "text/plain; version=0.0.4".to_owned());
        let answer = Response {
            status: 200,
            headers: vec![kind],
            body,
        };
        Box::pin(async { Ok(answer) })
    }
}

/// Gives out a ref for each question, and counts what comes.
#[derive(Default)]
struct Count {
    refs: AtomicU64,
    samples: AtomicU64,
}

impl Keep for Count {
    fn target(&self, _: &TargetDesc) -> TargetRef {
        TargetRef(0)
    }

    fn series(&self, _: TargetRef, _: &SeriesDesc) -> Result<SeriesRef, KeepError> {
        Ok(SeriesRef(self.refs.fetch_add(1, Ordering::Relaxed)))
    }

    fn commit(&self, column: Column) -> Kept {
        self.samples
            .fetch_add(column.values.len() as u64, Ordering::Relaxed);
        Kept::default()
    }

    fn retire(&self, _: TargetRef, _: Timestamp) {}
}

fn main() {
    for (name, line) in [
        ("node", node as fn(usize) -> String),
        ("application", application),
        ("container", container),
    ] {
        let mut body = String::new();
        for nth in 0..SERIES {
            // Writing to a string cannot fail.
            _ = writeln!(body, "{} {}", line(nth), nth * 131);
        }
        let bytes = body.len() / SERIES;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build();
        match runtime.map(|runtime| runtime.block_on(rounds(body))) {
            Ok(nanos) => println!("{name:<12} {bytes:>4} B/line  {nanos:>6.1} ns/sample"),
            Err(error) => println!("{name}: {error}"),
        }
    }
}

fn node(nth: usize) -> String {
    format!(
        "node_cpu_seconds_total{{cpu=\"{}\",mode=\"m{}\"}}",
        nth / 8,
        nth % 8
    )
}

fn application(nth: usize) -> String {
    format!(
        "http_server_requests_seconds_count_{}{{container=\"shop\",method=\"GET\",namespace=\"production\",path=\"/api/v1/orders/{}\",pod=\"shop-7d9f8b6c5-abcde\",status=\"200\"}}",
        nth % 50,
        nth / 50
    )
}

fn container(nth: usize) -> String {
    format!(
        "container_memory_working_set_bytes{{container=\"c{nth}\",id=\"/kubepods.slice/pod{nth:032x}.slice/cri-{nth:064x}.scope\",image=\"registry.example.org/team/app@sha256:{nth:064x}\",name=\"{nth:064x}\",namespace=\"shop\",pod=\"app-{nth:010x}-abcde\"}}"
    )
}

/// Without the first round, in which everything is new.
async fn rounds(body: String) -> f64 {
    let count = Arc::new(Count::default());
    let pool = Pool::new(
        Arc::new(Peer(body)),
        count.clone(),
        RuntimeClock::system(),
        &Registry::new(),
    );
    let config = ScrapeConfig {
        job_name: "shop".to_owned(),
        static_configs: vec![StaticConfig {
            targets: (0..TARGETS).map(|nth| format!("10.0.0.{nth}:8080")).collect(),
            ..StaticConfig::default()
        }],
        ..ScrapeConfig::default()
    };
    let global = Global {
        scrape_interval: INTERVAL,
        ..Global::default()
    };
    assert_eq!(pool.apply(&[config], &global), Ok(()));
    let stop = CancellationToken::new();
    let running = tokio::spawn(pool.run(stop.clone()));
    sleep(INTERVAL * 2).await;
    let (samples, began) = (count.samples.load(Ordering::Relaxed), cpu());
    sleep(INTERVAL * ROUNDS).await;
    let (samples, took) = (
        count.samples.load(Ordering::Relaxed) - samples,
        cpu().saturating_sub(began),
    );
    stop.cancel();
    assert!(running.await.is_ok());
    took.as_nanos() as f64 / samples as f64
}

/// Wall time on a shared machine says little.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or_default(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    )
}
