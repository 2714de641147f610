//! What the room costs a node: 10,000 lines a second of 100 containers, and 200 full files while the sink is down.
//!
//! The room runs in a process of its own, whose CPU time and memory are the operating system's figures; containers and
//! sink are in this one. Completeness is checked before anything is said. `SKOPOS_BENCH_SECONDS` is how long it is
//! looked at (60 by default).

#![expect(clippy::print_stdout, reason = "the report")]
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run should say where")]

#[path = "../tests/load/mod.rs"]
mod load;

use std::fs;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use load::{LINE_BYTES, Load, Sink, rest};
use logs::{Config, Logs, OpenSearch};
use programs::usage::{cpu_seconds, memory_mib};
use prometheus::Registry;
use telemetry::clock::RuntimeClock;
use tokio_util::sync::CancellationToken;

const CHILD: &str = "SKOPOS_BENCH_CHILD";
const LINES_PER_SECOND: usize = 10_000;
const CONTAINERS: usize = 100;
const FULL_FILES: usize = 200;
const FULL_BYTES: usize = 10 << 20;

fn main() {
    if let Ok(task) = std::env::var(CHILD) {
        return child(&task);
    }
    let seconds = std::env::var("SKOPOS_BENCH_SECONDS");
    let seconds = seconds.ok().and_then(|text| text.parse().ok()).unwrap_or(60);
    steady(Duration::from_secs(seconds));
    saturated();
}

/// The room alone: `<folder> <port>`, or `<folder> off` without it.
fn child(task: &str) {
    let (folder, port) = task.rsplit_once(' ').unwrap();
    let folder = Path::new(folder);
    let sink = OpenSearch {
        url: format!("http://127.0.0.1:{port}"),
        template: false,
        ..OpenSearch::default()
    };
    let config = Config {
        enabled: port != "off",
        files: Vec::new(),
        containers: folder.join("pods"),
        docker: folder.join("docker"),
        local: false,
        opensearch: vec![sink],
        ..Config::default()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (client, clock) = (net::HttpClient::new().unwrap(), RuntimeClock::system());
        let aws = aws::Aws::new(
            aws::Config::default(),
            client.clone(),
            clock.clone(),
            &Registry::new(),
        );
        let outside = logs::Outside {
            pods: None,
            clock,
            client,
            aws: aws.unwrap(),
            host: "node".to_owned(),
            once: None,
        };
        if port == "off" {
            return std::future::pending().await;
        }
        let data = folder.join("data");
        let logs = Logs::new(&config, data.clone(), &data, outside, &Registry::new()).unwrap();
        logs.run(CancellationToken::new()).await;
    });
}

/// A process that ends with this.
struct Room(Child);

impl Room {
    fn start(folder: &Path, port: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        Self(
            command
                .env(CHILD, format!("{} {port}", folder.display()))
                .spawn()
                .unwrap(),
        )
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        drop((self.0.kill(), self.0.wait()));
    }
}

fn steady(time: Duration) {
    let (folder, sink) = (tempfile::tempdir().unwrap(), Sink::start());
    let pods = folder.path().join("pods");
    let mut load = Load::new(&pods, CONTAINERS, 5, true);
    let room = Room::start(folder.path(), &sink.port.to_string());
    let bytes_per_second = LINES_PER_SECOND * usize::try_from(LINE_BYTES).unwrap();
    // The kubelet's 10 MiB at this speed.
    let every = Duration::from_secs_f64((10 << 20) as f64 / bytes_per_second as f64);
    load.run(bytes_per_second, every, Duration::from_secs(5));
    let (cpu, before) = (cpu_seconds(room.0.id()), load.written().iter().sum::<usize>());
    load.run(bytes_per_second, every, time);
    let used = (cpu_seconds(room.0.id()) - cpu) / time.as_secs_f64();
    let (now, peak) = (memory_mib(room.0.id(), "VmRSS"), memory_mib(room.0.id(), "VmHWM"));
    rest(Duration::from_secs(5));
    let written = load.written();
    let report = sink.tally.lock().unwrap().report(&written, "steady");
    assert_eq!(
        (report.lost, report.doubled),
        (0, 0),
        "no figure of a run that is not complete"
    );
    println!(
        "{:.0} lines a second from {CONTAINERS} containers: {used:.4} of a core (goal 0.02), {now:.1} MiB, {peak:.1} MiB at most (goal 25)",
        (written.iter().sum::<usize>() - before) as f64 / time.as_secs_f64()
    );
}

fn saturated() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..FULL_FILES {
        let home = folder.path().join(format!("pods/full_app-{number}_uid/main"));
        fs::create_dir_all(&home).unwrap();
        let mut text = String::with_capacity(FULL_BYTES + 512);
        let mut line = 0;
        while text.len() < FULL_BYTES {
            text.push_str(&format!(
                "{} stdout F {}\n",
                load::time(line),
                load::text(number, line)
            ));
            line += 1;
        }
        fs::write(home.join("0.log"), text).unwrap();
    }
    let off = {
        let room = Room::start(folder.path(), "off");
        rest(Duration::from_secs(3));
        memory_mib(room.0.id(), "VmRSS")
    };
    // Nobody listens there.
    let room = Room::start(folder.path(), "1");
    rest(Duration::from_secs(30));
    let (now, peak) = (memory_mib(room.0.id(), "VmRSS"), memory_mib(room.0.id(), "VmHWM"));
    println!(
        "{FULL_FILES} full files, the sink down: {now:.1} MiB, {peak:.1} MiB at most, {off:.1} MiB without the room: {:.1} MiB more (goal 30)",
        peak - off
    );
}
