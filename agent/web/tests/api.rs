//! The API's answers, byte for byte. `golden/*.txt` hold questions and answers as one reads them; run with
//! `UPDATE_GOLDEN=1` to write the answers anew, and read the difference.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use model::select::Last;
use model::{Labels, Matcher, Metadata, Select, SelectError, Series, TimeRange};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::house::{Answer, House, NOW, OPEN};
use super::memory::{self, Memory};
use crate::Config;

pub(super) fn engine(select: Arc<dyn Select>) -> Arc<promql::Engine> {
    Arc::new(promql::Engine::new(select, promql::Options::default()))
}

#[tokio::test]
async fn query() {
    golden("query").await;
}

#[tokio::test]
async fn query_range() {
    golden("query_range").await;
}

#[tokio::test]
async fn series() {
    golden("series").await;
}

#[tokio::test]
async fn labels() {
    golden("labels").await;
}

#[tokio::test]
async fn metadata() {
    golden("metadata").await;
}

#[tokio::test]
async fn rules() {
    golden("rules").await;
}

#[tokio::test]
async fn targets() {
    golden("targets").await;
}

#[tokio::test]
async fn status() {
    golden("status").await;
}

#[tokio::test]
async fn the_doctor_looks_at_rooms_and_asks_receivers_only_when_told_to() {
    let told = async |house: &House, method: &str| {
        let answer = house
            .send(method, "/api/v1/doctor", &["content-length: 0"], "")
            .await;
        (answer.status, answer.body)
    };
    let house = House::open();
    let (status, body) = told(&house, "GET").await;
    assert_eq!(status, 200, "{body}");
    let data = &serde_json::from_str::<Value>(&body).unwrap()["data"];
    assert_eq!(data["counts"]["fail"], 1);
    let first = &data["checks"][0];
    assert_eq!(
        (&first["room"], &first["verdict"], &first["more"]),
        (&"scrape".into(), &"fail".into(), &0.into())
    );
    assert!(body.contains("\"web\"") && !body.contains("asked now"), "{body}");
    let (status, body) = told(&house, "POST").await;
    assert_eq!(status, 200, "{body}");
    assert!(body.contains("receivers, asked now"), "{body}");
    // Whoever can be reached from outside is made to do nothing.
    let open = House::furnished(&Config::default(), OPEN, Arc::new(memory::estate(NOW)), |_| {});
    assert_eq!(told(&open, "GET").await.0, 200);
    assert_eq!(told(&open, "POST").await.0, 403);
}

#[tokio::test]
async fn runtime_info_has_what_prometheus_has() {
    let answer = House::open().get("/api/v1/status/runtimeinfo").await;
    let data = &serde_json::from_str::<Value>(&answer.body).unwrap()["data"];
    assert_eq!(data["startTime"], "2015-07-01T20:10:30.781Z");
    assert_eq!(data["reloadConfigSuccess"], true);
    for field in [
        "CWD",
        "hostname",
        "serverTime",
        "lastConfigTime",
        "corruptionCount",
        "GOMAXPROCS",
        "storageRetention",
    ] {
        assert!(!data[field].is_null(), "{field} in {data}");
    }
}

#[tokio::test]
async fn statistics_come_with_an_answer_where_they_are_asked_for() {
    let house = House::open();
    let stats = async |question: &str| {
        let answer = house.get(question).await;
        assert_eq!(answer.status, 200, "{question}: {}", answer.body);
        serde_json::from_str::<Value>(&answer.body).unwrap()["data"]["stats"].clone()
    };
    let range = "/api/v1/query_range?query=up&start=1435781400&end=1435781430&step=15";
    assert!(stats(range).await.is_null());
    let whole = stats(&format!("{range}&stats=true")).await;
    assert!(
        whole["samples"]["totalQueryableSamplesPerStep"].is_null(),
        "{whole}"
    );
    let samples = whole["samples"]["totalQueryableSamples"].as_u64().unwrap();
    assert!(samples > 0, "{whole}");
    let all = stats(&format!("{range}&stats=all")).await;
    let steps = all["samples"]["totalQueryableSamplesPerStep"].as_array().unwrap();
    assert_eq!(steps.len(), 3, "{all}");
    let sum: u64 = steps.iter().map(|step| step[1].as_u64().unwrap()).sum();
    assert_eq!(
        (sum, all["samples"]["totalQueryableSamples"].as_u64()),
        (samples, Some(samples))
    );
    for timing in [
        "evalTotalTime",
        "resultSortTime",
        "queryPreparationTime",
        "innerEvalTime",
        "execQueueTime",
        "execTotalTime",
    ] {
        assert!(all["timings"][timing].is_f64(), "{timing} in {all}");
    }
    let text = stats("/api/v1/query?query=%22text%22&stats=all").await;
    assert_eq!(text["samples"]["totalQueryableSamples"], 0, "{text}");
}

#[tokio::test]
async fn the_page_shows_native_histograms_and_draws_no_line_through_them() {
    let house = House::open();
    let page = house.get("/explore?expr=shop_duration_seconds").await;
    assert_eq!(page.status, 200);
    let shown = "<b>6</b> observed, their sum 2.7: <code>[-0.001, 0.001] 3 · (0.5, 1] 3</code>";
    assert!(page.body.contains(shown), "{}", page.body);
    assert!(page.body.contains("1 series answers"));
    assert!(!page.body.contains("data-graph") && !page.body.contains("Over time"));
    let made = house.get("/explore?expr=rate(shop_duration_seconds[5m])").await;
    assert!(made.body.contains("are passed over"), "{}", made.body);
}

/// Asks what stands in the file and compares the answers with those that stand there.
async fn golden(name: &str) {
    let house = House::open();
    let path: PathBuf = [
        env!("CARGO_MANIFEST_DIR"),
        "tests",
        "golden",
        &format!("{name}.txt"),
    ]
    .iter()
    .collect();
    let expected = std::fs::read_to_string(&path).unwrap();
    let mut found = String::new();
    for block in expected.split("\n\n").filter(|block| !block.trim().is_empty()) {
        let question: Vec<&str> = block.lines().take_while(|line| !line.starts_with("= ")).collect();
        let answer = ask(&house, &question).await;
        if !found.is_empty() {
            found.push('\n');
        }
        found.push_str(&format!(
            "{}\n= {}\n{}\n",
            question.join("\n"),
            answer.status,
            answer.body
        ));
        assert_eq!(answer.header("content-type"), "application/json", "{question:?}");
        assert!(
            serde_json::from_str::<Value>(&answer.body).is_ok(),
            "not JSON: {}",
            answer.body
        );
    }
    if std::env::var("UPDATE_GOLDEN").is_ok_and(|value| value == "1") {
        std::fs::write(&path, &found).unwrap();
    }
    for (expected, found) in expected.split("\n\n").zip(found.split("\n\n")) {
        assert_eq!(found.trim(), expected.trim(), "in {}", path.display());
    }
}

/// `GET /path`, then a parameter a line: `  name = value`.
async fn ask(house: &House, question: &[&str]) -> Answer {
    let (method, path) = question[0].split_once(' ').unwrap();
    let parameters: Vec<String> = question[1..]
        .iter()
        .map(|line| {
            let (name, value) = line.trim_start().split_once(" = ").unwrap();
            format!("{}={}", escaped(name), escaped(value))
        })
        .collect();
    let parameters = parameters.join("&");
    match method {
        "POST" => house.post(path, &parameters).await,
        _ if parameters.is_empty() => house.get(path).await,
        _ => house.get(&format!("{path}?{parameters}")).await,
    }
}

fn escaped(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b".-_~".contains(byte);
    text.bytes()
        .map(|byte| {
            if plain(&byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

#[tokio::test]
async fn a_broken_escape_is_refused() {
    let house = House::open();
    for path in ["/api/v1/query?query=%zz", "/api/v1/series?match[]=%ff"] {
        let answer = house.get(path).await;
        assert_eq!(answer.status, 400);
        assert!(
            answer.body.contains("error parsing form values"),
            "{}",
            answer.body
        );
    }
}

#[tokio::test]
async fn a_form_is_read_before_the_url() {
    let house = House::open();
    let answer = house.post("/api/v1/query?query=2&time=5", "query=1").await;
    assert_eq!(
        answer.body,
        r#"{"status":"success","data":{"resultType":"scalar","result":[5,"1"]}}"#
    );
    let kind = "content-type: application/json";
    let other = house
        .send("POST", "/api/v1/query?query=2&time=5", &[kind], "{}")
        .await;
    assert_eq!(
        other.body,
        r#"{"status":"success","data":{"resultType":"scalar","result":[5,"2"]}}"#
    );
}

#[tokio::test]
async fn what_is_not_there_is_json_too() {
    let house = House::open();
    let answer = house.get("/api/v1/nothing/here").await;
    let text =
        r#"{"status":"error","errorType":"not_found","error":"there is no /api/v1/nothing/here here"}"#;
    assert_eq!((answer.status, answer.body.as_str()), (404, text));
    assert_eq!(house.post("/api/v1/label/job/values", "a=b").await.status, 405);
    assert_eq!(house.send("POST", "/api/v1/rules", &[], "").await.status, 405);
}

#[tokio::test]
async fn a_large_answer_is_whole() {
    let names: Vec<String> = (0..20_000).map(|nth| format!("{nth:05}")).collect();
    let memory = names.iter().fold(Memory::default(), |memory, name| {
        memory.series(&[("__name__", "x"), ("n", name)], NOW, &[1.0])
    });
    let house = House::over(&Config::default(), Arc::new(memory));
    let answer = house.get("/api/v1/series?match[]=x").await;
    assert_eq!(answer.header("transfer-encoding"), "chunked");
    let whole: Value = serde_json::from_str(&answer.body).unwrap();
    let series = whole["data"].as_array().unwrap();
    assert_eq!(series.len(), names.len());
    assert!(
        series
            .iter()
            .zip(&names)
            .all(|(series, name)| series["n"] == **name)
    );
}

/// A store whose reads take their time, and are counted.
struct Slow {
    takes: Duration,
    reads: Arc<AtomicUsize>,
}

impl Slow {
    fn house(config: &Config, takes: Duration) -> (House, Arc<AtomicUsize>) {
        let reads = Arc::<AtomicUsize>::default();
        let slow = Self {
            takes,
            reads: Arc::clone(&reads),
        };
        (House::over(config, Arc::new(slow)), reads)
    }
}

impl Select for Slow {
    fn select(&self, _: &[Matcher], _: TimeRange, _: usize) -> Result<Vec<Series>, SelectError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let (_hold, wait) = std::sync::mpsc::sync_channel::<()>(0);
        let _late = wait.recv_timeout(self.takes);
        Ok(Vec::new())
    }
    fn labels(&self, matchers: &[Matcher], range: TimeRange) -> Result<Vec<Labels>, SelectError> {
        self.select(matchers, range, 0).map(|_| Vec::new())
    }
    fn metadata(&self) -> Vec<Metadata> {
        Vec::new()
    }
    fn last(&self, _: Option<&str>) -> Vec<Last> {
        Vec::new()
    }
}

#[tokio::test]
async fn a_question_ends_when_nobody_waits_for_its_answer() {
    let takes = Duration::from_millis(300);
    let (house, reads) = Slow::house(&Config::default(), takes);
    let mut client = TcpStream::connect(house.address).await.unwrap();
    let question = "GET /api/v1/query?query=a%2Bb%2Bc%2Bd%2Be HTTP/1.1\r\nhost: localhost\r\n\r\n";
    client.write_all(question.as_bytes()).await.unwrap();
    while reads.load(Ordering::Relaxed) == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drop(client);
    tokio::time::sleep(takes * 6).await;
    let read = reads.load(Ordering::Relaxed);
    assert!(read <= 2, "{read} of 5 selectors were read");
}

#[tokio::test]
async fn slow_questions_end_in_time_and_do_not_block_the_rest() {
    let config = Config {
        queries_max: 1,
        query_timeout: Duration::from_millis(200),
        ..Config::default()
    };
    let (house, _) = Slow::house(&config, Duration::from_secs(2));
    let late = house.get("/api/v1/query?query=up&timeout=50ms").await;
    assert_eq!(late.status, 503);
    assert!(
        late.body
            .contains(r#""errorType":"timeout","error":"query timed out in expression evaluation"#),
        "{}",
        late.body
    );
    let full = house.get("/api/v1/labels").await;
    assert_eq!(full.status, 503);
    assert!(
        full.body
            .contains("query timed out in query queue: 1 queries are running"),
        "{}",
        full.body
    );
    assert_eq!(house.get("/-/healthy").await.status, 200);
    assert_eq!(house.get("/metrics/all").await.status, 200);
}
