//! A real OpenSearch node over a folder of its own.
//!
//! It ends when it is let go of, and also when the process that started it ends in whatever way; then its folder goes too.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use programs::Running;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::http::{Answer, ask};

/// Longer than this it will not come up.
const PATIENCE: Duration = Duration::from_secs(90);
/// How long shards may take to be there again.
const RECOVERY: Duration = Duration::from_secs(300);
const JSON: (&str, &str) = ("Content-Type", "application/json");
/// As many as one page may have.
const PAGE: usize = 10_000;

/// What `tests/setup` brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    Three,
    Two,
}

impl Version {
    fn folder(self) -> &'static str {
        match self {
            Self::Three => "opensearch/3.8.0",
            Self::Two => "opensearch/2.19.1",
        }
    }
}

pub struct Node {
    port: u16,
    program: PathBuf,
    settings: Vec<String>,
    /// None while it is killed.
    running: Mutex<Option<Running>>,
    folder: TempDir,
}

impl Node {
    /// The newest version, with settings such as `("thread_pool.write.size", "1")`. None, loudly, if it is not here.
    ///
    /// # Panics
    /// It is here and does not start.
    #[must_use]
    pub fn start(settings: &[(&str, &str)]) -> Option<Self> {
        Self::start_version(Version::Three, settings)
    }

    /// The same with a version.
    ///
    /// # Panics
    /// It is here and does not start.
    #[must_use]
    pub fn start_version(version: Version, settings: &[(&str, &str)]) -> Option<Self> {
        let program = programs::file(&format!("{}/main.jar", version.folder()))?;
        let this = Self {
            port: free_port(),
            program: program.parent().expect("its folder").to_owned(),
            settings: settings
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect(),
            running: Mutex::default(),
            folder: tempfile::tempdir().expect("a folder for the node"),
        };
        this.start_again();
        Some(this)
    }

    /// One for all tests of this process that change no settings of it and use indices of their own. It is started by the
    /// first that asks.
    ///
    /// # Panics
    /// It is here and does not start.
    #[must_use]
    pub fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Node>> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(&[])).as_ref()
    }

    /// Without a slash at the end; it stays the same.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    #[must_use]
    pub fn process(&self) -> Option<u32> {
        self.running().as_ref().map(|running| running.0.id())
    }

    /// Where it keeps what it has.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Stops it as an operator would, and starts it again over what it has.
    ///
    /// # Panics
    /// It does not stop or start.
    pub fn restart(&self) {
        self.signal(Signal::TERM);
        if let Some(mut running) = self.running().take() {
            running.0.wait().expect("it can be waited for");
        }
        self.start_again();
    }

    /// SIGKILL; what it has stays. Nobody listens until `start_again`.
    pub fn kill(&self) {
        self.running().take();
    }

    /// SIGSTOP: it takes connections, as the kernel does that for it, and answers nothing.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Over what it has, at the same port, with the same settings; nothing if it runs. Returns when it answers.
    ///
    /// # Panics
    /// It does not start.
    pub fn start_again(&self) {
        let mut running = self.running();
        if running.is_some() {
            return;
        }
        let mut child = self.launch().expect("Java starts");
        let begun = Instant::now();
        let ready = self.folder.path().join("http.port");
        while !ready.exists() {
            let ended = child.0.try_wait().expect("it can be asked for").is_some();
            assert!(
                !ended && begun.elapsed() < PATIENCE,
                "OpenSearch does not start:\n{}",
                self.log()
            );
            thread::park_timeout(Duration::from_millis(20));
        }
        *running = Some(child);
        drop(running);
        // What was killed while it was written to reads its log again first, which takes its time beside other work.
        let healthy = "/_cluster/health?wait_for_status=yellow&timeout=30s";
        let is_late = || matches!(self.ask("GET", healthy, &[], b""), Ok(answer) if answer.status == 408);
        while begun.elapsed() < RECOVERY && is_late() {}
        self.get(healthy);
    }

    fn launch(&self) -> io::Result<Running> {
        let folder = self.folder.path();
        let config = folder.join("node_1/config");
        fs::create_dir_all(&config)?;
        fs::write(
            config.join("log4j2.properties"),
            include_str!("java/log4j2.properties"),
        )?;
        if let Err(error) = fs::remove_file(folder.join("http.port"))
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
        let log = File::options()
            .append(true)
            .create(true)
            .open(folder.join("log"))?;
        let archive = self.program.join("start.aot");
        let java = self.program.with_file_name("java").join("bin/java");
        let mut command = Command::new(java);
        command.args([
            "-Xms512m",
            "-Xmx512m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
        ]);
        if archive.exists() {
            command.arg(format!("-XX:AOTCache={}", archive.display()));
        }
        let program = self.program.display();
        let child: Child = command
            .args(["-cp", &format!("{program}/main.jar:{program}/jars/*"), "Main"])
            .arg(folder)
            .arg(self.port.to_string())
            .args(&self.settings)
            // It lives as long as this end is open. An interrupt from the keyboard is not for it: it would not clean up.
            .stdin(Stdio::piped())
            .process_group(0)
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        Ok(Running(child))
    }

    /// The end of what it has printed.
    #[must_use]
    pub fn log(&self) -> String {
        const LINES: usize = 60;
        let text = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines
            .get(lines.len().saturating_sub(LINES)..)
            .unwrap_or_default()
            .join("\n")
    }

    /// A dynamic setting of the node, such as `action.auto_create_index`; null takes it back.
    ///
    /// # Panics
    /// It is refused.
    pub fn set(&self, setting: &str, value: impl Into<Value>) {
        self.put(
            "/_cluster/settings",
            &json!({ "transient": { setting: value.into() } }),
        );
    }

    /// A dynamic setting of an index, such as `index.blocks.write`; null takes it back.
    ///
    /// # Panics
    /// It is refused.
    pub fn set_index(&self, index: &str, setting: &str, value: impl Into<Value>) {
        self.put(&format!("/{index}/_settings"), &json!({ setting: value.into() }));
    }

    /// What has been acknowledged can be found after this.
    ///
    /// # Panics
    /// It cannot.
    pub fn refresh(&self, index: &str) {
        self.send(
            "POST",
            &format!("/{index}/_refresh?ignore_unavailable=true&allow_no_indices=true"),
            "",
        );
    }

    /// # Panics
    /// The question is refused.
    #[must_use]
    pub fn search(&self, index: &str, question: &Value) -> Value {
        self.send("POST", &format!("/{index}/_search"), &question.to_string())
    }

    /// Documents that can be found, after a refresh.
    ///
    /// # Panics
    /// They cannot be counted.
    #[must_use]
    pub fn count(&self, index: &str) -> u64 {
        self.refresh(index);
        let path = format!("/{index}/_count?ignore_unavailable=true&allow_no_indices=true");
        let answer = self.get(&path);
        answer["count"].as_u64().expect("a count")
    }

    /// All that an index, or a pattern of them, holds at this moment: `_id` and `_source`, page by page, in no order.
    ///
    /// # Panics
    /// It cannot be read.
    #[must_use]
    pub fn documents(&self, index: &str) -> Documents<'_> {
        self.refresh(index);
        let path = format!("/{index}/_search?scroll=5m&ignore_unavailable=true&allow_no_indices=true");
        let question = json!({ "size": PAGE, "sort": ["_doc"] });
        let page = self.send("POST", &path, &question.to_string());
        let mut documents = Documents {
            node: self,
            scroll: Value::Null,
            page: Vec::new().into_iter(),
        };
        documents.turn(page);
        documents
    }

    /// # Panics
    /// The answer is not well.
    #[must_use]
    pub fn get_json(&self, path: &str) -> Value {
        self.get(path)
    }

    /// # Panics
    /// The answer is not well.
    pub fn put(&self, path: &str, body: &Value) -> Value {
        self.send("PUT", path, &body.to_string())
    }

    /// Whatever it answers.
    ///
    /// # Errors
    /// It does not.
    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> io::Result<Answer> {
        ask(&self.url(), method, path, headers, body)
    }

    fn get(&self, path: &str) -> Value {
        self.send("GET", path, "")
    }

    /// A node that has no memory left for it, while it is written to, is asked again for a while.
    fn send(&self, method: &str, path: &str, body: &str) -> Value {
        let begun = Instant::now();
        let answer = loop {
            let answer = self.ask(method, path, &[JSON], body.as_bytes());
            let answer = answer.unwrap_or_else(|error| panic!("{method} {path}: {error}\n{}", self.log()));
            if answer.status != 429 || begun.elapsed() > PATIENCE {
                break answer;
            }
            thread::park_timeout(Duration::from_millis(200));
        };
        assert_eq!(answer.status / 100, 2, "{method} {path}: {}", answer.text());
        // One that is well but cannot be read has a source in it with half a surrogate pair, which OpenSearch takes.
        let read = serde_json::from_slice(&answer.body);
        read.unwrap_or_else(|error| panic!("{method} {path}: {error} in {}", answer.text()))
    }

    fn signal(&self, signal: Signal) {
        let pid = self.process().and_then(|pid| Pid::from_raw(pid.cast_signed()));
        if let Some(pid) = pid {
            kill_process(pid, signal).expect("it can be signalled");
        }
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Pages of an index, turned as they are read.
pub struct Documents<'a> {
    node: &'a Node,
    scroll: Value,
    page: std::vec::IntoIter<Value>,
}

impl Documents<'_> {
    fn turn(&mut self, mut answer: Value) {
        let hits = answer["hits"]["hits"].take();
        let Value::Array(hits) = hits else {
            panic!("no hits in {answer}");
        };
        self.page = hits.into_iter();
        self.scroll = answer["_scroll_id"].take();
    }
}

impl Iterator for Documents<'_> {
    type Item = (String, Value);

    fn next(&mut self) -> Option<Self::Item> {
        // Of no index there is nothing to turn.
        if self.page.as_slice().is_empty() && !self.scroll.is_null() {
            let question = json!({ "scroll": "5m", "scroll_id": self.scroll });
            let answer = self.node.send("POST", "/_search/scroll", &question.to_string());
            self.turn(answer);
        }
        let mut hit = self.page.next()?;
        let id = hit["_id"].as_str().unwrap_or_default().to_owned();
        Some((id, hit["_source"].take()))
    }
}

impl Drop for Documents<'_> {
    fn drop(&mut self) {
        // The node forgets it by itself in five minutes.
        let body = json!({ "scroll_id": self.scroll }).to_string();
        drop(
            self.node
                .ask("DELETE", "/_search/scroll", &[JSON], body.as_bytes()),
        );
    }
}

/// Below those that the kernel gives to connections, so that it is free again after a restart.
fn free_port() -> u16 {
    let mut ports = std::iter::repeat_with(|| fastrand::u16(15_000..32_000));
    let is_free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
    ports.find(is_free).expect("a free port")
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    fn bulk(node: &Node, index: &str, ids: std::ops::Range<u32>) -> Value {
        let mut body = String::new();
        for id in ids {
            writeln!(body, "{{\"create\":{{\"_id\":\"{id}\"}}}}\n{{\"line\":{id}}}").unwrap();
        }
        node.send("POST", &format!("/{index}/_bulk"), &body)
    }

    #[test]
    fn what_was_acknowledged_outlives_a_kill_and_a_restart_but_not_its_owner() {
        let small = [
            ("thread_pool.write.size", "1"),
            ("thread_pool.write.queue_size", "1"),
        ];
        let Some(node) = Node::start(&small) else { return };
        let url = node.url();
        assert_eq!(bulk(&node, "kept", 0..500)["errors"], false);
        // A queue that is small in truth, a node that stands still, and a setting that changes meanwhile.
        let begun = Instant::now();
        while !spread(&node)
            .is_some_and(|statuses| statuses.contains(&json!(429)) && statuses.contains(&json!(201)))
        {
            assert!(begun.elapsed() < PATIENCE, "nothing is refused");
        }
        node.pause();
        assert_eq!(spread(&node), None);
        node.resume();
        node.set("action.auto_create_index", false);
        assert_eq!(bulk(&node, "new", 0..1)["items"][0]["create"]["status"], 404);
        node.kill();
        assert!(node.ask("GET", "/", &[], b"").is_err(), "nobody listens");
        node.start_again();
        assert_eq!(node.count("kept"), 500);
        assert_eq!(bulk(&node, "kept", 500..501)["errors"], false);
        node.restart();
        assert_eq!((node.count("kept"), node.url()), (501, url));
        // Whoever started it ends: so does it, and its folder.
        let (process, folder) = (node.process().unwrap(), node.folder().to_owned());
        drop(node.running().as_mut().unwrap().0.stdin.take());
        let begun = Instant::now();
        while folder.exists() || node.running().as_mut().unwrap().0.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < PATIENCE, "{process} lives on");
            thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// Statuses of a bulk over several indices, or none if there is no answer for a while.
    fn spread(node: &Node) -> Option<Vec<Value>> {
        let line = |number: usize| format!("{{\"create\":{{\"_index\":\"spread-{}\"}}}}\n{{}}\n", number % 8);
        let body: String = (0..800).map(line).collect();
        let patience = Duration::from_secs(2);
        let answer = crate::ask_within(patience, &node.url(), "POST", "/_bulk", &[JSON], body.as_bytes());
        let answer = answer.ok()?.json();
        let items = answer["items"].as_array()?.iter();
        Some(items.map(|item| item["create"]["status"].clone()).collect())
    }

    #[test]
    fn every_document_of_an_index_is_read_once() {
        let Some(node) = Node::shared() else { return };
        let count = 2 * u32::try_from(PAGE).unwrap() + 1;
        assert_eq!(bulk(node, "pages-1", 0..count / 2)["errors"], false);
        assert_eq!(bulk(node, "pages-2", count / 2..count)["errors"], false);
        let mut seen = vec![0; count as usize];
        for (id, source) in node.documents("pages-*") {
            let line: u32 = id.parse().unwrap();
            assert_eq!(source, json!({ "line": line }));
            seen[line as usize] += 1;
        }
        assert!(seen.iter().all(|times| *times == 1));
        assert_eq!(node.documents("nowhere-*").count(), 0);
    }
}
