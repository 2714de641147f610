//! Alerts that others post, beside a real Alertmanager under the same file: both show the same, and amtool works with
//! ours as it does with its own.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use programs::Running;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::components::{find, free_port, run};
use crate::harness::{Skopos, long_run};

const FILE: &str = r"
route:
  receiver: all
  group_by: [alertname]
  group_wait: 0s
  routes:
  - matchers: [ team=db ]
    receiver: db
    group_by: ['...']
    continue: true
  - matchers: [ 'team=~db|web', severity!=info ]
    receiver: all
    group_by: []
receivers:
- name: all
- name: db
inhibit_rules:
- source_matchers: [ severity=page ]
  target_matchers: [ severity=warn ]
  equal: [ cluster ]
";

/// A real Alertmanager, alone and without a cluster.
pub struct Alertmanager {
    _running: Running,
    pub url: String,
}

impl Alertmanager {
    pub async fn start(folder: &Path, file: &Path) -> Option<Self> {
        Self::start_with(folder, file, &[]).await
    }

    pub async fn start_with(folder: &Path, file: &Path, arguments: &[&str]) -> Option<Self> {
        let program = movable(&find("prometheus-alertmanager")?, folder);
        let port = free_port();
        let child = Command::new(&program.0)
            .current_dir(&program.1)
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.path={}",
                folder.join("alertmanager").display()
            ))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--cluster.listen-address=")
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let running = Running(child);
        let url = format!("http://127.0.0.1:{port}");
        for _ in 0..200 {
            let ready = reqwest::get(format!("{url}/-/ready")).await;
            if ready.is_ok_and(|answer| answer.status().is_success()) {
                return Some(Self {
                    _running: running,
                    url,
                });
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the Alertmanager does not start");
    }
}

/// Debian's reads its templates from below `/usr/share`, wherever it lies itself. A copy that reads them from below the
/// folder it is started in, and that folder.
fn movable(program: &Path, folder: &Path) -> (PathBuf, PathBuf) {
    const FIXED: &[u8] = b"/usr/share/prometheus/alertmanager";
    const HERE: &[u8] = b"usr//share/prometheus/alertmanager";
    let mut bytes = std::fs::read(program).unwrap();
    let mut at = 0;
    while let Some(found) = memchr::memmem::find(&bytes[at..], FIXED) {
        bytes[at + found..][..HERE.len()].copy_from_slice(HERE);
        at += found + HERE.len();
    }
    let copy = folder.join("alertmanager-here");
    std::fs::write(&copy, bytes).unwrap();
    std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o755)).unwrap();
    // …/usr/bin/prometheus-alertmanager
    let root = program.ancestors().nth(3).unwrap();
    (copy, root.to_owned())
}

async fn amtool(amtool: &Path, url: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(amtool);
    command.arg(format!("--alertmanager.url={url}")).args(arguments);
    let shown = format!("{command:?}");
    let (code, text) = tokio::task::spawn_blocking(move || run(&mut command))
        .await
        .unwrap();
    assert_eq!(code, 0, "{shown}: {text}");
    text.trim().to_owned()
}

async fn get(url: &str, path: &str) -> (u16, Value) {
    let answer = reqwest::get(format!("{url}{path}")).await.unwrap();
    let status = answer.status().as_u16();
    (status, answer.json().await.unwrap_or_default())
}

/// Without times, which differ by when each of them heard of it.
fn timeless(mut value: Value) -> Value {
    match &mut value {
        Value::Array(all) => all.iter_mut().for_each(|one| *one = timeless(one.take())),
        Value::Object(map) => {
            // The last is newer than this Alertmanager.
            for key in ["startsAt", "endsAt", "updatedAt", "routeLabels"] {
                map.remove(key);
            }
            for (_, one) in map.iter_mut() {
                *one = timeless(one.take());
            }
        }
        _ => {}
    }
    value
}

#[tokio::test]
async fn a_real_alertmanager_shows_the_same_of_what_is_posted() {
    let folder = tempfile::tempdir().unwrap();
    let file: PathBuf = folder.path().join("alertmanager.yml");
    std::fs::write(&file, FILE).unwrap();
    let Some(theirs) = Alertmanager::start(folder.path(), &file).await else {
        return;
    };
    let config =
        "logs: { enabled: false }\nrules: { shipped: false }\nnotifier: { config_file: alertmanager.yml }\n";
    let mut skopos = Skopos::start(folder.path(), config);
    let ours = skopos.url("");
    let alerts = json!([
        { "labels": { "alertname": "Slow", "team": "db", "severity": "warn", "cluster": "a" },
          "annotations": { "summary": "it is slow" }, "generatorURL": "http://example.org/graph" },
        { "labels": { "alertname": "Slow", "team": "web", "severity": "warn", "cluster": "b" } },
        { "labels": { "alertname": "Down", "team": "db", "severity": "page", "cluster": "a" } },
        { "labels": { "alertname": "Note", "team": "web", "severity": "info" } },
        { "labels": { "alertname": "Past" }, "startsAt": "2026-01-01T00:00:00Z", "endsAt": "2026-01-01T01:00:00Z" },
    ]);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let urls = [ours.as_str(), theirs.url.as_str()];
    for url in urls {
        let posted = client.post(format!("{url}/api/v2/alerts")).json(&alerts);
        let answer = posted.send().await.unwrap();
        assert_eq!(answer.status(), 200, "{url}");
        // What is wrong is said, and what is right among it is taken.
        let mixed = json!([{ "labels": {} }, { "labels": { "alertname": "Late", "team": "db" } }]);
        let posted = client.post(format!("{url}/api/v2/alerts")).json(&mixed);
        let answer = posted.send().await.unwrap();
        assert_eq!(answer.status(), 400, "{url}");
        let said: String = answer.json().await.unwrap();
        assert!(said.contains("at least one label pair required"), "{url}: {said}");
    }
    // Both have looked at their groups.
    skopos
        .wait_for("all are told", Duration::from_secs(20), async |_| {
            let (_, alerts) = get(&theirs.url, "/api/v2/alerts?unprocessed=true").await;
            let alerts = alerts.as_array().cloned().unwrap_or_default();
            alerts.len() == 5 && alerts.iter().all(|one| one["status"]["state"] != "unprocessed")
        })
        .await;
    for path in [
        "/api/v2/receivers",
        "/api/v2/alerts",
        "/api/v2/alerts?filter=team%3Ddb",
        "/api/v2/alerts?filter=team%3D~%22d.%22&filter=severity!%3Dpage",
        "/api/v2/alerts?inhibited=false",
        "/api/v2/alerts?active=false",
        "/api/v2/alerts?receiver=d.",
        "/api/v2/alerts/groups",
        "/api/v2/alerts/groups?receiver=db",
        "/api/v2/alerts/groups?filter=severity%3Dwarn",
        "/api/v2/alerts/groups?active=false",
    ] {
        let (ours, theirs) = (get(&ours, path).await, get(&theirs.url, path).await);
        assert_eq!(ours.0, theirs.0, "{path}");
        assert_eq!(timeless(ours.1), timeless(theirs.1), "{path}");
    }
    for path in ["/api/v2/alerts?filter=x", "/api/v2/alerts?receiver=("] {
        let (ours, theirs) = (get(&ours, path).await, get(&theirs.url, path).await);
        assert_eq!(ours.0, theirs.0, "{path}: {ours:?} {theirs:?}");
    }

    let Some(tool) = find("amtool") else { return };
    // Added, shown and ended by amtool, and there after kill -9.
    for url in urls {
        let add = [
            "alert",
            "add",
            "alertname=Made",
            "team=web",
            "--annotation=summary=\"by hand\"",
        ];
        assert_eq!(amtool(&tool, url, &add).await, "");
    }
    skopos.kill_and_restart();
    for query in [
        &["alert", "query", "--output=extended", "alertname=Made"][..],
        &["alert", "query", "--output=simple", "team=db"],
        &["alert", "query", "--inhibited", "--output=simple"],
    ] {
        // Columns of times differ.
        let words = |text: String| {
            let lines = text.lines().map(|line| {
                let words = line
                    .split_whitespace()
                    .filter(|word| !word.contains("2026") && !word.contains(':'));
                words.collect::<Vec<_>>().join(" ")
            });
            let mut lines: Vec<String> = lines.collect();
            lines.sort();
            lines
        };
        let ours = words(amtool(&tool, &ours, query).await);
        assert_eq!(ours, words(amtool(&tool, &theirs.url, query).await), "{query:?}");
        assert!(ours.len() > 1, "{query:?}: {ours:?}");
    }
    // What is in force is told as the file is, and amtool finds its way in it.
    for query in [
        &["config", "routes", "show"][..],
        &["config", "routes", "test", "team=db", "severity=info"],
        &["config", "routes", "test", "team=web"],
    ] {
        let routes = amtool(&tool, &ours, query).await;
        assert_eq!(routes, amtool(&tool, &theirs.url, query).await, "{query:?}");
        assert!(
            routes.contains("all") || routes.contains("db"),
            "{query:?}: {routes}"
        );
    }
    let shown = amtool(&tool, &ours, &["config", "show"]).await;
    assert!(shown.contains("group_by: []"), "{shown}");
    let end = [
        "alert",
        "add",
        "alertname=Made",
        "team=web",
        "--end=2026-11-26T00:00:00Z",
    ];
    amtool(&tool, &ours, &end).await;
    let (_, left) = get(&ours, "/api/v2/alerts?filter=alertname%3DMade").await;
    assert_eq!(left, json!([]));
    assert_eq!(skopos.stop().await, 0);
}

const SHADOWED: &str = r"
route:
  receiver: all
  group_by: [history]
  group_wait: 1s
  group_interval: 3s
  repeat_interval: 8s
  routes:
  - matchers: [ team=db ]
    receiver: db
    continue: true
  - matchers: [ team=~db|web ]
    receiver: all
receivers:
- name: all
  webhook_configs: [ { url: http://HERE/all } ]
- name: db
  webhook_configs: [ { url: http://HERE/db } ]
inhibit_rules:
- source_matchers: [ severity=page ]
  target_matchers: [ severity=warn ]
  equal: [ history ]
";

/// Of one history, in order: the group's key, and `firing` or `resolved` by the alerts' names.
type Told = BTreeMap<String, Vec<(String, BTreeMap<String, String>)>>;

/// Takes every webhook.
struct Hook {
    address: String,
    told: Arc<Mutex<Told>>,
}

impl Hook {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let hook = Self {
            address: listener.local_addr().unwrap().to_string(),
            told: Arc::default(),
        };
        let told = Arc::clone(&hook.told);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(take(stream, Arc::clone(&told)));
            }
        });
        hook
    }
}

async fn take(mut stream: TcpStream, told: Arc<Mutex<Told>>) {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 16 * 1024]);
    loop {
        let head = memchr::memmem::find(&bytes, b"\r\n\r\n").map(|end| end + 4);
        let length = head.map(|end| {
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            let (_, rest) = head.split_once("content-length:").unwrap();
            end + rest.lines().next().unwrap().trim().parse::<usize>().unwrap()
        });
        if let (Some(head), Some(length)) = (head, length.filter(|length| *length <= bytes.len())) {
            note(&serde_json::from_slice(&bytes[head..length]).unwrap(), &told);
            bytes.drain(..length);
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
            if stream.write_all(answer).await.is_err() {
                return;
            }
            continue;
        }
        match stream.read(&mut buffer).await {
            Ok(read) if read > 0 => bytes.extend_from_slice(&buffer[..read]),
            _ => return,
        }
    }
}

fn note(message: &Value, told: &Mutex<Told>) {
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    let alerts = message["alerts"].as_array().unwrap().iter();
    let alerts = alerts.map(|alert| (word(&alert["labels"]["alertname"]), word(&alert["status"])));
    let history = word(&message["groupLabels"]["history"]);
    let said = (word(&message["groupKey"]), alerts.collect());
    told.lock().unwrap().entry(history).or_default().push(said);
}

/// An alert of a history: when it fires and ends, in tenths of a second from the history's beginning.
struct Life {
    labels: Value,
    begins: i64,
    ends: i64,
}

/// A silence of one alert of a history.
struct Hush {
    history: String,
    alert: String,
    begins: i64,
    ends: i64,
}

impl Hush {
    /// As it is posted to both.
    fn body(&self, at: impl Fn(i64) -> String) -> Value {
        let is = |name: &str, value: &str| json!({ "name": name, "value": value, "isRegex": false, "isEqual": true });
        json!({
            "matchers": [is("history", &self.history), is("alertname", &self.alert)],
            "startsAt": at(self.begins), "endsAt": at(self.ends), "createdBy": "test", "comment": "a test",
        })
    }
}

/// What happens lies half a tick of both groups away from when they look: the first alert of each comes at a whole
/// second or a third after it, everything else two thirds after. Nothing ends before it can have been told: of such
/// an end Alertmanager tells, and Skopos does not.
fn history(nth: usize, rng: &mut Rng) -> (Vec<Life>, Option<Hush>) {
    let kinds = [
        ("db", "page"),
        ("web", "warn"),
        ("db", "warn"),
        ("web", "info"),
        ("none", "info"),
    ];
    let mut seen: Vec<&str> = Vec::new();
    let mut lives = Vec::new();
    for alert in 0..rng.usize(1..5) {
        let (team, severity) = kinds[rng.usize(..kinds.len())];
        // Of several sources Alertmanager heeds one.
        let has_page = lives.iter().any(|life: &Life| life.labels["severity"] == "page");
        let severity = if has_page && severity == "page" {
            "info"
        } else {
            severity
        };
        let team = if alert == 0 { "db" } else { team };
        let is_first = !seen.contains(&team);
        seen.push(team);
        let begins = match (alert, is_first) {
            (0, _) => 0,
            // The root's own group.
            (_, true) if team == "none" => 10 * rng.i64(0..6) + 3,
            _ => 10 * rng.i64(0..6) + 6,
        };
        let ends = begins + 10 * rng.i64(5..12) + (6 - begins % 10).rem_euclid(10);
        lives.push(Life {
            labels: json!({
                "alertname": format!("A{alert}"), "history": format!("h{nth:03}"), "team": team,
                "severity": severity,
            }),
            begins,
            ends,
        });
    }
    settle(&mut lives);
    let has_page = lives.iter().any(|life| life.labels["severity"] == "page");
    let hush = (!has_page && rng.bool()).then(|| hush(&mut lives, rng));
    (lives, hush)
}

/// Silences one of them for a while. What [`settle`] says of pages holds of a silence, too.
fn hush(lives: &mut [Life], rng: &mut Rng) -> Hush {
    let nth = rng.usize(..lives.len());
    let life = &mut lives[nth];
    let begins = 10 * rng.i64(0..10) + 6;
    let ends = begins + 10 * rng.i64(2..10);
    let is_told = life.begins < begins + 10;
    if life.ends > begins - 40 && life.begins < ends + 10 && (is_told || life.ends > ends - 40) {
        life.ends = life.ends.max(ends + 60);
    }
    let word = |name: &str| life.labels[name].as_str().unwrap().to_owned();
    Hush {
        history: word("history"),
        alert: word("alertname"),
        begins,
        ends,
    }
}

/// Of what ends while it is muted Alertmanager never tells the end, and of what ends just after that it tells it although
/// it never told the beginning. So whatever a page mutes ends well before the page, or well after.
fn settle(lives: &mut [Life]) {
    let is = |life: &Life, severity: &str| life.labels["severity"] == severity;
    let pages: Vec<(i64, i64)> = lives
        .iter()
        .filter(|life| is(life, "page"))
        .map(|life| (life.begins, life.ends))
        .collect();
    let (Some(first), Some(last)) = (
        pages.iter().map(|page| page.0).min(),
        pages.iter().map(|page| page.1).max(),
    ) else {
        return;
    };
    let muted = lives.iter_mut().filter(|life| is(life, "warn"));
    for life in muted.filter(|life| life.begins < last + 10) {
        let is_told = life.begins < first + 10;
        if is_told || life.ends > last - 40 {
            life.ends = life.ends.max(last + 60 + (6 - last % 10));
        }
    }
}

/// What is told of random histories, silences among them, beside an Alertmanager that hears the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_alertmanager_tells_the_same_of_random_histories() {
    let histories = if long_run() { 300 } else { 24 };
    let folder = tempfile::tempdir().unwrap();
    let hooks = [Hook::start().await, Hook::start().await];
    let [ours, theirs] = ["ours.yml", "theirs.yml"].map(|name| folder.path().join(name));
    for (file, hook) in [&ours, &theirs].into_iter().zip(&hooks) {
        std::fs::write(file, SHADOWED.replace("HERE", &hook.address)).unwrap();
    }
    let Some(alertmanager) = Alertmanager::start(folder.path(), &theirs).await else {
        return;
    };
    let skopos = Skopos::start(
        folder.path(),
        "logs: { enabled: false }\nrules: { shipped: false }\nnode: { enabled: false }\n\
         notifier: { config_file: ours.yml, resolve_wait: null, repeat_on_tick: true, tell_after_silence: false }\n",
    );
    let urls = [
        skopos.url("/api/v2/alerts"),
        format!("{}/api/v2/alerts", alertmanager.url),
    ];
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let seed = if long_run() { fastrand::u64(..100_000) } else { 6 };
    println!("seed {seed}");
    let mut rng = Rng::with_seed(seed);
    // Three begin each second.
    let (mut lives, mut hushes) = (Vec::new(), Vec::new());
    for nth in 0..histories {
        let offset = 10 * (nth as i64 / 3);
        let (own, hush) = history(nth, &mut rng);
        lives.extend(own.into_iter().map(|life| Life {
            begins: life.begins + offset,
            ends: life.ends + offset,
            ..life
        }));
        hushes.extend(hush.map(|hush| Hush {
            begins: hush.begins + offset,
            ends: hush.ends + offset,
            ..hush
        }));
    }
    let end = lives.iter().map(|life| life.ends).max().unwrap() + 60;
    let began = tokio::time::Instant::now() + Duration::from_secs(1);
    let wall = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(1);
    let at = |tenth: i64| (wall + jiff::SignedDuration::from_millis(100 * tenth)).to_string();
    for tenth in 0..end {
        let changed = lives
            .iter()
            .filter(|life| life.begins == tenth || life.ends == tenth);
        let alerts: Vec<Value> = changed
            .map(|life| {
                let ends = if life.ends == tenth {
                    at(tenth)
                } else {
                    at(end + 6_000)
                };
                json!({ "labels": life.labels, "startsAt": at(life.begins), "endsAt": ends })
            })
            .collect();
        tokio::time::sleep_until(began + Duration::from_millis(100 * tenth.unsigned_abs())).await;
        for hush in hushes.iter().filter(|hush| hush.begins == tenth) {
            for url in &urls {
                let url = url.replace("alerts", "silences");
                let posted = client.post(url).json(&hush.body(at)).send().await.unwrap();
                assert_eq!(posted.status(), 200, "{}", posted.text().await.unwrap());
            }
        }
        if alerts.is_empty() {
            continue;
        }
        let posts = urls.each_ref().map(|url| client.post(url).json(&alerts).send());
        let [ours, theirs] = posts;
        let (ours, theirs) = tokio::join!(ours, theirs);
        let (ours, theirs) = (ours.unwrap().status(), theirs.unwrap().status());
        assert_eq!((ours.as_u16(), theirs.as_u16()), (200, 200));
    }
    let [ours, theirs] = hooks.each_ref().map(|hook| hook.told.lock().unwrap().clone());
    let messages: usize = theirs.values().map(Vec::len).sum();
    let mut differing = Vec::new();
    for nth in 0..histories {
        let name = format!("h{nth:03}");
        let of = |told: &Told, group: &str| {
            let all = told.get(&name).into_iter().flatten();
            all.filter(|(known, _)| known == group)
                .map(|(_, alerts)| alerts.clone())
                .collect::<Vec<_>>()
        };
        let told = [&ours, &theirs].into_iter().filter_map(|told| told.get(&name));
        let groups: BTreeSet<&String> = told.flatten().map(|(group, _)| group).collect();
        for group in groups {
            let (ours, theirs) = (of(&ours, group), of(&theirs, group));
            if ours != theirs {
                let lives: Vec<String> = lives
                    .iter()
                    .filter(|life| life.labels["history"] == name.as_str())
                    .map(|life| format!("{} {}..{}", life.labels, life.begins, life.ends))
                    .chain(
                        hushes
                            .iter()
                            .filter(|hush| hush.history == name)
                            .map(|hush| format!("{} is silenced {}..{}", hush.alert, hush.begins, hush.ends)),
                    )
                    .collect();
                differing.push(format!(
                    "{name} in {group}:\n  {}\n  ours   {ours:?}\n  theirs {theirs:?}",
                    lives.join("\n  ")
                ));
            }
        }
    }
    println!(
        "{histories} histories, {} silences, {messages} messages, {} histories differ",
        hushes.len(),
        differing.len()
    );
    assert!(messages > 2 * histories, "{messages}");
    assert!(
        differing.is_empty(),
        "{}",
        differing[..differing.len().min(5)].join("\n")
    );
    assert_eq!(skopos.stop().await, 0);
}
