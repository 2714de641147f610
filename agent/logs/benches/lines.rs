//! Lines per CPU-second from container files to segments, and what a search costs.
//!
//! All of the process's CPU time counts, on all threads; files are in the page cache. Completeness is checked first:
//! a speed at which lines are missing is no speed. `SKOPOS_BENCH_MB` is how much is read (256 by default).

#![expect(clippy::print_stdout, reason = "the report")]
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run should say where")]

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use logs::{Config, Handle, Logs};
use model::Timestamp;
use model::view::LogQuery;
use prometheus::Registry;
use rustix::time::{ClockId, clock_gettime};
use telemetry::clock::RuntimeClock;
use tokio_util::sync::CancellationToken;

const CONTAINERS: usize = 50;
const LINE_BYTES: usize = 216;

fn main() {
    let megabytes: usize = std::env::var("SKOPOS_BENCH_MB")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(256);
    let lines = (megabytes << 20) / LINE_BYTES / CONTAINERS;
    let folder = tempfile::tempdir().unwrap();
    generate(folder.path(), lines);
    for compress in [false, true] {
        let data = folder.path().join(format!("data-{compress}"));
        tail(folder.path(), &data, compress, lines * CONTAINERS);
        for text in ["", "orders", "request=00000777", "no-such-word-anywhere"] {
            find(&data, text);
        }
    }
    idle();
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .unwrap_or_default();
    println!(
        "peak memory of all of it: {}",
        peak.trim_start_matches("VmHWM:").trim()
    );
}

/// Container files of 216-byte lines, a tenth of them JSON with a level.
fn generate(folder: &Path, lines: usize) {
    for container in 0..CONTAINERS {
        let path = folder.join(format!("pods/shop_app-{container}_uid/main"));
        fs::create_dir_all(&path).unwrap();
        let mut file = BufWriter::new(File::create(path.join("0.log")).unwrap());
        for number in 0..lines {
            let (second, nanos) = (number / 1000 % 60, number % 1000 * 1_000_000 + 123_456);
            let mut line = format!(
                "2024-03-01T10:{:02}:{second:02}.{nanos:09}Z stdout F ",
                number / 60_000 % 60
            );
            if number % 10 == 0 {
                line.push_str(&format!(
                    "{{\"level\":\"warn\",\"request\":{number},\"msg\":\"slow\"}}"
                ));
            } else {
                line.push_str(&format!(
                    "INFO request={number:08} GET /api/v1/orders status=200 took={}ms ",
                    number % 997
                ));
            }
            while line.len() < LINE_BYTES - 1 {
                line.push(char::from(
                    b'a' + u8::try_from((line.len() * 7 + number) % 26).unwrap(),
                ));
            }
            line.push('\n');
            file.write_all(line.as_bytes()).unwrap();
        }
        file.flush().unwrap();
    }
}

fn outside() -> logs::Outside {
    let (clock, client) = (RuntimeClock::system(), net::HttpClient::new().unwrap());
    let aws = aws::Aws::new(
        aws::Config::default(),
        client.clone(),
        clock.clone(),
        &prometheus::Registry::new(),
    );
    logs::Outside {
        clock,
        client,
        aws: aws.unwrap(),
        host: "here".to_owned(),
        pods: None,
        once: None,
    }
}

fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap())
}

fn tail(folder: &Path, data: &Path, compress: bool, lines: usize) {
    let config = Config {
        files: Vec::new(),
        containers: folder.join("pods"),
        compress,
        ..Config::default()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let (before, started) = (cpu(), Instant::now());
    let handle = runtime.block_on(async {
        let logs = Logs::new(&config, data.to_owned(), data, outside(), &Registry::new()).unwrap();
        let (handle, stop) = (logs.handle(), CancellationToken::new());
        let running = tokio::spawn(logs.run(stop.clone()));
        wait_for(&handle, lines as u64).await;
        stop.cancel();
        running.await.unwrap();
        handle
    });
    let (used, took) = ((cpu() - before).as_secs_f64(), started.elapsed());
    let query = query("");
    assert_eq!(
        handle.search(&query).unwrap().matched,
        lines as u64,
        "not all lines are there"
    );
    println!(
        "compress={compress}: {lines} lines of {LINE_BYTES} bytes, {used:.3} s of CPU, {took:.3?}: {:.0} lines/CPU-s, {:.0} MB/CPU-s, {} MB on disk",
        lines as f64 / used,
        (lines * LINE_BYTES) as f64 / used / 1e6,
        handle.state().bytes_on_disk / 1_000_000,
    );
}

/// What 2,000 files cost to which nothing is written.
fn idle() {
    let folder = tempfile::tempdir().unwrap();
    for pod in 0..2000 {
        let path = folder.path().join(format!("pods/ns_pod-{pod}_uid/main"));
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join("0.log"), "2024-03-01T10:00:00Z stdout F hello\n").unwrap();
    }
    let config = Config {
        files: Vec::new(),
        containers: folder.path().join("pods"),
        ..Config::default()
    };
    let data = folder.path().join("data");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let logs = Logs::new(&config, data.clone(), &data, outside(), &Registry::new()).unwrap();
        let (handle, stop) = (logs.handle(), CancellationToken::new());
        let running = tokio::spawn(logs.run(stop.clone()));
        wait_for(&handle, 2000).await;
        tokio::time::sleep(Duration::from_secs(10)).await;
        let (before, time) = (cpu(), Duration::from_secs(20));
        tokio::time::sleep(time).await;
        let share = (cpu() - before).as_secs_f64() / time.as_secs_f64();
        println!("2,000 idle files: {:.3} % of a core", share * 100.0);
        stop.cancel();
        running.await.unwrap();
    });
}

async fn wait_for(handle: &Handle, lines: u64) {
    while handle.ledger().given < lines {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn query(text: &str) -> LogQuery {
    LogQuery {
        text: text.to_owned(),
        from: Timestamp::MIN,
        to: Timestamp::MAX,
        lines_max: 500,
        ..LogQuery::default()
    }
}

fn find(data: &Path, text: &str) {
    let (before, started) = (cpu(), Instant::now());
    let page = logs::search(data, &query(text)).unwrap();
    println!(
        "  search {text:?}: {} matched, {:.3} s of CPU, {:.3?}",
        page.matched,
        (cpu() - before).as_secs_f64(),
        started.elapsed()
    );
}
