//! The program under test: started, asked, killed, stopped.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

/// One process with its own data directory. A test ends with [`Self::stop`], which asserts the accounts;
/// a forgotten one is killed.
pub struct Skopos {
    child: Child,
    pub address: String,
    pub folder: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    log: Arc<Mutex<String>>,
}

impl Skopos {
    /// Starts with `config` (may be empty) in `folder`, and waits for the line that says where the page is.
    pub fn start(folder: &Path, config: &str) -> Self {
        std::fs::write(folder.join("skopos.yaml"), config).unwrap();
        Self::start_with(folder, &["--config", "skopos.yaml", "--listen", "127.0.0.1:0"])
    }

    pub fn start_with(folder: &Path, arguments: &[&str]) -> Self {
        Self::start_by(folder, arguments, &[])
    }

    /// As [`Self::start`], with an environment of its own.
    pub fn start_in(folder: &Path, config: &str, environment: &[(&str, &str)]) -> Self {
        std::fs::write(folder.join("skopos.yaml"), config).unwrap();
        let arguments = ["--config", "skopos.yaml", "--listen", "127.0.0.1:0"];
        Self::start_by(folder, &arguments, environment)
    }

    /// By a command that ends in becoming the one that follows it.
    pub fn start_within(folder: &Path, wrapped: &[&str], arguments: &[&str]) -> Self {
        let mut outer = Command::new(wrapped[0]);
        outer
            .args(&wrapped[1..])
            .arg(program())
            .current_dir(folder)
            .env_remove("SKOPOS_LOG")
            .stdin(Stdio::null());
        Self::run(outer, folder, arguments, Vec::new())
    }

    /// With arguments and an environment of its own, which it has after each restart too.
    pub fn start_by(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let environment = environment.iter();
        let environment: Vec<_> = environment
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let mut command = command(folder);
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        Self::run(command, folder, arguments, environment)
    }

    fn run(command: Command, folder: &Path, arguments: &[&str], environment: Vec<(String, String)>) -> Self {
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let (child, address, log) = spawn(command, &arguments);
        Self {
            child,
            address,
            folder: folder.to_owned(),
            arguments,
            environment,
            log,
        }
    }

    /// SIGKILL, then the same command again on the same data; it listens where it listened.
    pub fn kill_and_restart(&mut self) {
        self.restart_by(command(&self.folder));
    }

    /// SIGTERM, and waits for the end.
    pub async fn terminate(&mut self) {
        self.signal("-TERM");
        self.wait_for_end().await;
    }

    /// The same command again on the same data, after [`Self::terminate`]; it listens where it listened.
    pub fn start_again(&mut self) {
        self.restart_by(command(&self.folder));
    }

    /// As [`Self::kill_and_restart`] where no file can grow, as on a full disk.
    pub fn kill_and_restart_on_a_full_disk(&mut self) {
        let mut full = Command::new("sh");
        full.args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$@\"", "sh"])
            .arg(program())
            .current_dir(&self.folder)
            .env_remove("SKOPOS_LOG")
            .stdin(Stdio::null());
        self.restart_by(full);
    }

    fn restart_by(&mut self, mut command: Command) {
        self.kill();
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let listen = self.arguments.iter().position(|argument| argument == "--listen");
        if let Some(listen) = listen {
            self.arguments[listen + 1] = self.address.clone();
        }
        let (child, address, log) = spawn(command, &self.arguments);
        (self.child, self.address, self.log) = (child, address, log);
    }

    pub fn kill(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }

    pub fn signal(&self, signal: &str) {
        let status = Command::new("kill")
            .args([signal, &self.child.id().to_string()])
            .status();
        assert!(status.is_ok_and(|status| status.success()));
    }

    /// Asserts that every account balances, then SIGTERM; returns the exit code.
    pub async fn stop(self) -> i32 {
        self.assert_accounts().await;
        self.signal("-TERM");
        self.stop_status().await
    }

    /// Waits until the process has ended, which somebody has asked it to.
    pub async fn wait_for_end(&mut self) {
        let until = Instant::now() + Duration::from_secs(30);
        while self.child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < until, "still running\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits for the end, however it was asked for; returns the exit code.
    pub async fn stop_status(mut self) -> i32 {
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            assert!(
                Instant::now() < until,
                "still running 30 s after SIGTERM\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to its log so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub async fn get(&self, path: &str) -> (u16, String) {
        let answer = client().get(self.url(path)).send().await;
        let answer = answer.unwrap_or_else(|error| panic!("GET {path}: {error:?}\n{}", self.log()));
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// What a reader sees of a view: its text without any markup.
    pub async fn page(&self, path: &str) -> String {
        let (status, html) = self.get(path).await;
        assert_eq!(status, 200, "{path}: {html}");
        let text = regex::Regex::new("<[^>]*>")
            .unwrap()
            .replace_all(&html, "")
            .into_owned();
        text.replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&quot;", "\"")
            .replace("&amp;", "&")
    }

    pub async fn post(&self, path: &str) -> (u16, String) {
        let answer = client().post(self.url(path)).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// `data` of an API answer.
    pub async fn api(&self, path: &str) -> Value {
        let (status, text) = self.get(path).await;
        let mut answer: Value =
            serde_json::from_str(&text).unwrap_or_else(|_| panic!("{path}: {status} {text}"));
        assert_eq!(answer["status"], "success", "{path}: {text}");
        answer["data"].take()
    }

    /// The instant vector: labels and value of each point.
    pub async fn query(&self, expr: &str) -> Vec<(BTreeMap<String, String>, f64)> {
        let url = reqwest::Url::parse_with_params(&self.url("/api/v1/query"), [("query", expr)]).unwrap();
        let path = format!("{}?{}", url.path(), url.query().unwrap_or_default());
        let data = self.api(&path).await;
        let points = data["result"].as_array().cloned().unwrap_or_default();
        let point = |point: &Value| {
            let labels = serde_json::from_value(point["metric"].clone()).unwrap();
            let value = point["value"][1].as_str().unwrap();
            (labels, value.parse().unwrap_or(f64::NAN))
        };
        points.iter().map(point).collect()
    }

    /// A metric of the process' own, all of its series added up; none where it has none, or does not answer soon.
    pub async fn own(&self, name: &str) -> Option<f64> {
        let answer = quick().get(self.url("/metrics")).send().await.ok()?;
        let text = answer.text().await.ok()?;
        let of = text.lines().filter(|line| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with([' ', '{']))
        });
        let mut values = of
            .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
            .peekable();
        values.peek()?;
        Some(values.sum())
    }

    /// The one value of an expression, or none.
    pub async fn value(&self, expr: &str) -> Option<f64> {
        self.query(expr).await.first().map(|(_, value)| *value)
    }

    /// Asks again until `holds`, or fails saying what did not come true.
    pub async fn wait_for(&self, what: &str, limit: Duration, holds: impl AsyncFn(&Self) -> bool) {
        let until = Instant::now() + limit;
        while !holds(self).await {
            assert!(
                Instant::now() < until,
                "not within {limit:?}: {what}\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// in = out + dropped by reason + in flight, for everything that moves.
    pub async fn assert_accounts(&self) {
        let (_, text) = self.get("/metrics").await;
        let mut accounts: BTreeMap<String, f64> = BTreeMap::new();
        for line in text.lines().filter(|line| line.starts_with("skopos_ledger_")) {
            let (name, value) = line.rsplit_once(' ').unwrap();
            let things = name
                .split("room=\"")
                .nth(1)
                .and_then(|rest| rest.split('"').next())
                .unwrap();
            let sign = if name.starts_with("skopos_ledger_taken_total") {
                1.0
            } else {
                -1.0
            };
            *accounts.entry(things.to_owned()).or_default() += sign * value.parse::<f64>().unwrap();
        }
        assert!(!accounts.is_empty(), "no accounts on /metrics");
        assert!(
            accounts.values().all(|left| *left == 0.0),
            "accounts do not balance: {accounts:?}\n{text}"
        );
    }
}

impl Drop for Skopos {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A client that gives up soon: who is stopped does not answer.
pub fn quick() -> reqwest::Client {
    reqwest::Client::builder()
        .timeout(Duration::from_millis(800))
        .no_proxy()
        .build()
        .unwrap()
}

fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .timeout(Duration::from_secs(20))
        .no_proxy()
        .build()
        .unwrap()
}

/// The program under test. Figures are taken of a release build, which the tests themselves need not be.
fn program() -> PathBuf {
    let program = std::env::var_os("SKOPOS_TEST_PROGRAM");
    program.map_or_else(|| env!("CARGO_BIN_EXE_skopos").into(), PathBuf::from)
}

/// Whether the program is one whose figures mean something.
pub fn is_release() -> bool {
    !program().components().any(|folder| folder.as_os_str() == "debug")
}

/// A command for the program, in `folder`, without anything of the caller's environment that it would read.
pub fn command(folder: &Path) -> Command {
    let mut command = Command::new(program());
    command
        .current_dir(folder)
        .env_remove("SKOPOS_LOG")
        .stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("AWS_") {
            command.env_remove(name);
        }
    }
    command
}

fn spawn(mut command: Command, arguments: &[String]) -> (Child, String, Arc<Mutex<String>>) {
    let mut child = command
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let log = Arc::new(Mutex::new(String::new()));
    let (sink, lines) = (
        Arc::clone(&log),
        BufReader::new(child.stderr.take().unwrap()).lines(),
    );
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            let mut log = sink.lock().unwrap();
            log.push_str(&line);
            log.push('\n');
        }
    });
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    let address = line
        .trim()
        .rsplit_once("http://")
        .map(|(_, rest)| rest.trim_end_matches('/').to_owned());
    let Some(address) = address else {
        let status = child.wait();
        #[expect(clippy::disallowed_methods, reason = "gives the log reader its last lines")]
        std::thread::sleep(Duration::from_millis(200));
        panic!(
            "no page address in {line:?}, ended {status:?}\n{}",
            log.lock().unwrap()
        );
    };
    std::thread::spawn(move || for _ in output.lines() {});
    (child, address, log)
}
