//! Alerts that others post, beside a real Alertmanager under the same file: both show the same, and amtool works with
//! ours as it does with its own.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use programs::Running;
use serde_json::{Value, json};

use crate::harness::Skopos;
use crate::harness::components::{find, free_port, run, start};

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
    running: Running,
    /// The program, and the folder it is started in.
    program: (PathBuf, PathBuf),
    arguments: Vec<String>,
    pub url: String,
}

impl Alertmanager {
    pub async fn start(folder: &Path, file: &Path) -> Option<Self> {
        Self::start_with(folder, file, &[]).await
    }

    pub async fn start_with(folder: &Path, file: &Path, arguments: &[&str]) -> Option<Self> {
        let program = movable(&find("prometheus-alertmanager")?, folder);
        let port = free_port();
        let mut all = vec![
            format!("--config.file={}", file.display()),
            format!("--storage.path={}", folder.join("alertmanager").display()),
            format!("--web.listen-address=127.0.0.1:{port}"),
            "--cluster.listen-address=".to_owned(),
        ];
        all.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        let mut started = Self {
            running: launch(&program, &all),
            program,
            arguments: all,
            url: format!("http://127.0.0.1:{port}"),
        };
        started.is_ready().await;
        Some(started)
    }

    async fn is_ready(&mut self) {
        let until = Instant::now() + Duration::from_secs(10);
        while Instant::now() < until {
            let ready = reqwest::get(format!("{}/-/ready", self.url)).await;
            // Whoever answers at this port is the one that was started only if that one is there.
            let ended = self.running.0.try_wait().unwrap();
            assert!(ended.is_none(), "the Alertmanager ended: {ended:?}");
            if ready.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the Alertmanager does not start");
    }

    /// SIGTERM, on which it writes down silences and what it has told, and waits for its end.
    pub async fn stop(&mut self) {
        let pid = self.running.0.id().to_string();
        let status = Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        assert!(status.success());
        let until = Instant::now() + Duration::from_secs(10);
        while self.running.0.try_wait().unwrap().is_none() {
            assert!(Instant::now() < until, "the Alertmanager does not stop");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The same once more, after [`Self::stop`].
    pub async fn start_again(&mut self) {
        self.running = launch(&self.program, &self.arguments);
        self.is_ready().await;
    }
}

fn launch((program, folder): &(PathBuf, PathBuf), arguments: &[String]) -> Running {
    start(Command::new(program).current_dir(folder).args(arguments))
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
