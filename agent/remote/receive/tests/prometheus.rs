//! A real Prometheus sends native histograms: what is kept is what it has itself.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use model::histogram::Bucket;
use model::outside::{Call, Response};
use model::{Histogram, Labels, Timestamp};
use parking_lot::Mutex;
use programs::{Prometheus, find, free_port, percent};
use serde_json::Value;

use crate::receive::Receiver;
use crate::receive::fakes::{Bench, writer};

const PATIENCE: Duration = Duration::from_secs(90);
/// Of each job.
const ROUNDS: usize = 6;

/// Answers remote write of whoever comes, one request a connection, until the test's process ends.
fn listen(receiver: Arc<Receiver>) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let refused = Arc::new(Mutex::new(Vec::new()));
    let noted = refused.clone();
    thread::spawn(move || {
        for stream in listener.incoming() {
            // Whoever asks may be killed in the middle.
            let Ok(stream) = stream else { continue };
            let Some(call) = read(&stream) else { continue };
            let answer = receiver.write(&call);
            if answer.status / 100 != 2 {
                let body = String::from_utf8_lossy(&answer.body).into_owned();
                noted.lock().push(format!("{} {body}", answer.status));
            }
            _ = tell(&stream, &answer);
        }
    });
    (address, refused)
}

fn read(stream: &TcpStream) -> Option<Call> {
    let mut reader = BufReader::new(stream);
    let mut call = Call {
        from: Some(writer()),
        ..Call::default()
    };
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split(' ').map(str::to_owned);
    (call.method, call.path) = (words.next()?, words.next()?);
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        call.headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let length = call.header("content-length")?.parse().ok()?;
    call.body = vec![0; length];
    reader.read_exact(&mut call.body).ok()?;
    Some(call)
}

fn tell(mut stream: &TcpStream, answer: &Response) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {} Told\r\nconnection: close\r\n", answer.status);
    for (name, value) in &answer.headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += &format!("content-length: {}\r\n\r\n", answer.body.len());
    stream.write_all(head.as_bytes())?;
    stream.write_all(&answer.body)
}

#[derive(Clone, Debug)]
struct Plain {
    count: f64,
    sum: f64,
    buckets: Vec<Bucket>,
}

impl PartialEq for Plain {
    fn eq(&self, other: &Self) -> bool {
        let buckets = || self.buckets.iter().zip(&other.buckets);
        self.count == other.count
            && self.sum == other.sum
            && self.buckets.len() == other.buckets.len()
            && buckets().all(|(a, b)| {
                let inclusive = |one: &Bucket| (one.lower_inclusive, one.upper_inclusive);
                let bounds = near(a.lower, b.lower) && near(a.upper, b.upper);
                bounds && inclusive(a) == inclusive(b) && a.count == b.count
            })
    }
}

/// The bounds in its table are up to four units in the last place below the powers of two that they stand for.
fn near(a: f64, b: f64) -> bool {
    a == b || (a - b).abs() <= 1e-15 * b.abs()
}

type Plains = BTreeMap<(String, i64), Plain>;

fn job(series: &str) -> &str {
    let jobs = ["native", "custom"].into_iter();
    let mut named = jobs.filter(|job| series.contains(&format!("job=\"{job}\"")));
    named.next().unwrap()
}

fn ours(bench: &Bench) -> Plains {
    let plain = |histogram: &Histogram| Plain {
        count: histogram.count,
        sum: histogram.sum,
        buckets: histogram.buckets(),
    };
    let all = bench.keep.histograms();
    all.iter()
        .map(|(labels, time, histogram)| ((labels.to_string(), *time), plain(histogram)))
        .collect()
}

/// All histograms that its API gives.
fn theirs(prometheus: &Prometheus) -> Plains {
    let query = percent("{job=~\"native|custom\"}[10m]");
    let answer = prometheus.get(&format!("/api/v1/query?query={query}"));
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let number = |value: &Value| -> f64 { value.as_str().unwrap().parse().unwrap() };
    let bucket = |bucket: &Value| {
        let rule = bucket[0].as_u64().unwrap();
        Bucket {
            lower: number(&bucket[1]),
            upper: number(&bucket[2]),
            lower_inclusive: rule == 1 || rule == 3,
            upper_inclusive: rule == 0 || rule == 3,
            count: number(&bucket[3]),
        }
    };
    let mut all = Plains::new();
    for series in answer["data"]["result"].as_array().unwrap() {
        let labels = series["metric"].as_object().unwrap();
        let labels = labels
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str().unwrap()));
        let labels = Labels::from_pairs(labels).to_string();
        for sample in series["histograms"].as_array().into_iter().flatten() {
            let time = (sample[0].as_f64().unwrap() * 1_000.0).round() as i64;
            let buckets = sample[1]["buckets"].as_array().into_iter().flatten();
            let plain = Plain {
                count: number(&sample[1]["count"]),
                sum: number(&sample[1]["sum"]),
                buckets: buckets.map(bucket).collect(),
            };
            all.insert((labels.clone(), time), plain);
        }
    }
    all
}

fn wait_for(what: &str, mut there: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !there() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        thread::park_timeout(Duration::from_millis(200));
    }
}

/// How many times of a job there are in those.
fn rounds(all: &Plains, wanted: &str) -> usize {
    let mut times: Vec<i64> = all
        .keys()
        .filter(|(series, _)| job(series) == wanted)
        .map(|(_, time)| *time)
        .collect();
    times.sort_unstable();
    times.dedup();
    times.len()
}

fn compare(message: &str, jobs: &[&str]) {
    let Some(program) = find("prometheus") else { return };
    let bench = Bench::at(Timestamp(jiff::Timestamp::now().as_millisecond()));
    let (receiver, refused) = listen(bench.receiver.clone());
    let data = tempfile::tempdir().unwrap();
    let own = format!("127.0.0.1:{}", free_port());
    let global = "global: { scrape_interval: 1s, scrape_timeout: 1s }\n";
    let sends = format!(
        "remote_write: [{{ url: 'http://{receiver}/api/v1/write', protobuf_message: '{message}', \
         send_native_histograms: true }}]\n"
    );
    let scrapes = |targets: &str| {
        let job = |job: &&str| {
            let how = match *job {
                "custom" => {
                    "scrape_protocols: ['PrometheusText0.0.4'], convert_classic_histograms_to_nhcb: true, "
                }
                _ => "",
            };
            format!("- {{ job_name: {job}, {how}static_configs: [{{ targets: [{targets}] }}] }}\n")
        };
        let jobs: String = jobs.iter().map(job).collect();
        format!("{global}{sends}scrape_configs:\n{jobs}")
    };
    let config = scrapes(&format!("'{own}'"));
    let prometheus = Prometheus::start_at(
        own,
        &program,
        data.path(),
        &config,
        &["--enable-feature=native-histograms", "--web.enable-lifecycle"],
    );

    wait_for("it sends histograms of each job", || {
        let ours = ours(&bench);
        jobs.iter().all(|job| rounds(&ours, job) >= ROUNDS)
    });
    let first = ours(&bench).keys().map(|(_, time)| *time).min().unwrap();
    let mut theirs = theirs(&prometheus);
    // What it has scraped before it had begun to send it never sends.
    theirs.retain(|(_, time), _| *time >= first);
    wait_for("everything that it has comes", || {
        let ours = ours(&bench);
        theirs.keys().all(|key| ours.contains_key(key))
    });
    let ours = ours(&bench);
    for (key, theirs) in &theirs {
        assert_eq!(&ours[key], theirs, "{key:?}");
    }
    let filled = theirs.values().filter(|plain| plain.buckets.len() > 1).count();
    assert!(theirs.len() > 20 && filled > 5, "{} {filled}", theirs.len());

    // What is no longer scraped ends.
    std::fs::write(data.path().join("prometheus.yml"), scrapes("")).unwrap();
    let (status, why) = prometheus.ask("POST", "/-/reload", &[]).unwrap();
    assert_eq!(status, 200, "{why}");
    wait_for("all of their series end", || {
        let ended = bench.keep.ended();
        ours.keys().all(|(series, _)| ended.contains(series))
    });
    assert_eq!(refused.lock().as_slice(), [""; 0]);
    assert!(bench.dropped().is_empty(), "{:?}", bench.dropped());
    let metrics = prometheus.get("/metrics");
    let failed: Vec<&str> = metrics
        .lines()
        .filter(|line| {
            line.starts_with("prometheus_remote_storage_histograms_failed_total")
                || line.starts_with("prometheus_remote_storage_samples_failed_total")
        })
        .collect();
    assert!(
        failed.len() == 2 && failed.iter().all(|line| line.ends_with(" 0")),
        "{failed:?}"
    );
}

#[test]
fn a_real_prometheus_sends_histograms_in_one() {
    // Of those with custom bounds it leaves the bounds out in 1.0.
    compare("prometheus.WriteRequest", &["native"]);
}

#[test]
fn a_real_prometheus_sends_histograms_in_two() {
    compare("io.prometheus.write.v2.Request", &["native", "custom"]);
}
