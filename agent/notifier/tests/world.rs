//! A notifier with a clock, a disk and receivers that belong to the test.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use journal::Journal;
use model::mail::{Letter, Mail, MailError, MailServer};
use model::outside::{Client, ClientError, Files, Method, Request, Response};
use model::{
    AlertEvent, AlertState, Alone, BoxFuture, Clock, Evidence, Labels, Leadership, Share, Timestamp,
};
use prometheus::Registry;
use serde_json::Value;
use telemetry::clock::RuntimeClock;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{Config, Handle, Notifier};

/// 2026-11-26 02:51:01 UTC.
pub(crate) const START: Timestamp = Timestamp(1_795_661_461_000);

pub(crate) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) fn minutes(minutes: u64) -> Duration {
    secs(60 * minutes)
}

pub(super) fn config(text: &str) -> Config {
    let config: Config = yaml::read("notifier.yaml", text).unwrap();
    assert_eq!(config.complaints(), Vec::<String>::new());
    config
}

/// How often to repeat what is random: `SKOPOS_TEST_LONG=1` makes it the long run.
pub(super) fn rounds(short: u64) -> u64 {
    if std::env::var_os("SKOPOS_TEST_LONG").is_some() {
        20 * short
    } else {
        short
    }
}

/// One webhook and otherwise the defaults.
pub(super) const HOOK: &str = "webhook: [{ url: 'http://hook/' }]";
pub(super) const SLACK: &str = "slack: { webhook_url: 'http://slack/' }";
pub(super) const BOTH: &str = "slack: { webhook_url: 'http://slack/' }\nwebhook: [{ url: 'http://hook/' }]";

/// What a receiver does with a message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Manner {
    Takes,
    /// Says `ok: false` and why, with status 200, as Slack's methods do.
    Objects(&'static str),
    /// Takes it so long after it was sent.
    TakesAfter(Duration),
    Answers(u16),
    Throttles(u64),
    Refuses,
    /// Never answers, but has read the message.
    HangsAfterReading,
    /// Never answers and has read nothing.
    Hangs,
    Panics,
}

/// One attempt at a receiver.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    pub(super) at: Timestamp,
    pub(super) url: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Value,
    /// Whether the receiver has it.
    pub(super) arrived: bool,
    /// Whether the sender cannot know that.
    pub(super) unsure: bool,
}

impl Attempt {
    /// `firing` or `resolved` by the `n` label of each alert; webhooks only.
    pub(super) fn alerts(&self) -> BTreeMap<String, String> {
        let alerts = self.body["alerts"].as_array().cloned().unwrap_or_default();
        let alerts = alerts
            .iter()
            .map(|alert| (word(&alert["labels"]["n"]), word(&alert["status"])));
        alerts.collect()
    }

    pub(super) fn after(&self, start: Timestamp) -> u64 {
        self.at.since(start).as_secs()
    }
}

fn word(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// All receivers of a test, told apart by their URL.
pub(super) struct Receivers {
    clock: Arc<RuntimeClock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    attempts: Vec<Attempt>,
    manners: BTreeMap<String, Manner>,
    open: BTreeSet<String>,
    /// After so many more requests to an address it behaves otherwise.
    later: BTreeMap<String, (usize, Manner)>,
}

impl Receivers {
    pub(super) fn new(clock: Arc<RuntimeClock>) -> Arc<Self> {
        Arc::new(Self {
            clock,
            state: Mutex::default(),
        })
    }

    pub(super) fn behave(&self, url: &str, manner: Manner) {
        self.state.lock().unwrap().manners.insert(url.to_owned(), manner);
    }

    pub(super) fn behave_after(&self, url: &str, requests: usize, manner: Manner) {
        let later = (requests, manner);
        self.state.lock().unwrap().later.insert(url.to_owned(), later);
    }

    pub(super) fn attempts(&self) -> Vec<Attempt> {
        self.state.lock().unwrap().attempts.clone()
    }

    /// What `url` has got.
    pub(super) fn got(&self, url: &str) -> Vec<Attempt> {
        let attempts = self.attempts().into_iter();
        attempts
            .filter(|attempt| attempt.arrived && attempt.url == url)
            .collect()
    }

    pub(super) fn forget(&self) {
        self.state.lock().unwrap().attempts.clear();
    }

    fn note(&self, request: &Request, arrived: bool, unsure: bool) {
        // A ping has none.
        let body = match &*request.body {
            [] => Value::Null,
            body if request.url.contains("/api/files.") || request.url.contains("/upload/") => {
                String::from_utf8_lossy(body).into()
            }
            body => serde_json::from_slice(body).unwrap(),
        };
        self.state.lock().unwrap().attempts.push(Attempt {
            at: self.clock.now(),
            url: request.url.clone(),
            headers: request.headers.clone(),
            body,
            arrived,
            unsure,
        });
    }

    /// What is answered to a message that was taken.
    fn said(&self, request: &Request) -> Result<Response, ClientError> {
        let body = if request.url.contains("/chat.") {
            // A message is named by how many came before it.
            let nth = self.state.lock().unwrap().attempts.len();
            format!(r#"{{"ok":true,"channel":"C042","ts":"{nth}"}}"#)
        } else if request.url.ends_with("files.getUploadURLExternal") {
            r#"{"ok":true,"upload_url":"http://slack/upload/1","file_id":"F7"}"#.to_owned()
        } else if request.url.contains("/files.") {
            r#"{"ok":true}"#.to_owned()
        } else {
            "ok".to_owned()
        };
        Ok(Response {
            status: 200,
            headers: vec![],
            body: body.into_bytes(),
        })
    }

    /// The sender dies: it may not have read the answers of this moment.
    fn mourn(&self) {
        let now = self.clock.now();
        let mut state = self.state.lock().unwrap();
        let unread = state.attempts.iter_mut().filter(|attempt| attempt.at == now);
        unread.for_each(|attempt| attempt.unsure = true);
    }
}

/// Closes the door behind a message, also when its sender dies: then nobody knows what became of it.
struct Door<'a> {
    receivers: &'a Receivers,
    request: Request,
    is_answered: bool,
}

impl Door<'_> {
    fn note(&mut self, arrived: bool, unsure: bool) {
        self.is_answered = true;
        self.receivers.note(&self.request, arrived, unsure);
    }
}

impl Drop for Door<'_> {
    fn drop(&mut self) {
        if !self.is_answered {
            self.receivers.note(&self.request, false, true);
        }
        self.receivers
            .state
            .lock()
            .unwrap()
            .open
            .remove(&self.request.url);
    }
}

impl Client for Receivers {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, ClientError>> {
        Box::pin(async move {
            let manner = {
                let mut state = self.state.lock().unwrap();
                let alone = state.open.insert(request.url.clone());
                assert!(alone, "two messages at once on their way to {}", request.url);
                match state.later.get_mut(&request.url) {
                    Some((0, manner)) => {
                        let manner = *manner;
                        state.later.remove(&request.url);
                        state.manners.insert(request.url.clone(), manner);
                    }
                    Some((requests, _)) => *requests -= 1,
                    None => {}
                }
                state.manners.get(&request.url).copied().unwrap_or(Manner::Takes)
            };
            let timeout = request.timeout;
            let mut door = Door {
                receivers: self,
                request,
                is_answered: false,
            };
            let answer = |status: u16, headers: Vec<(String, String)>, body: &str| {
                let body = body.as_bytes().to_vec();
                Ok(Response {
                    status,
                    headers,
                    body,
                })
            };
            match manner {
                Manner::Takes => {
                    door.note(true, false);
                    self.said(&door.request)
                }
                Manner::Objects(word) => {
                    door.note(false, false);
                    answer(200, vec![], &format!(r#"{{"ok":false,"error":"{word}"}}"#))
                }
                Manner::TakesAfter(wait) => {
                    self.clock.sleep(wait).await;
                    door.note(true, false);
                    self.said(&door.request)
                }
                Manner::Answers(status) => {
                    door.note(false, status == 504);
                    answer(status, vec![], "no_service")
                }
                Manner::Throttles(seconds) => {
                    door.note(false, false);
                    answer(
                        429,
                        vec![("retry-after".to_owned(), seconds.to_string())],
                        "rate_limited",
                    )
                }
                Manner::Refuses => {
                    door.note(false, false);
                    Err(ClientError::Connect("connection refused".to_owned()))
                }
                Manner::HangsAfterReading | Manner::Hangs => {
                    door.note(manner == Manner::HangsAfterReading, true);
                    self.clock.sleep(timeout).await;
                    Err(ClientError::Timeout(timeout))
                }
                Manner::Panics => panic!("a client that panics"),
            }
        })
    }
}

/// Mail goes to receivers of the address `mail://<whom>`, who answer with a mail server's numbers.
impl Mail for Receivers {
    fn send(&self, letter: Letter) -> BoxFuture<'_, Result<String, MailError>> {
        Box::pin(async move {
            let text = String::from_utf8(letter.text).unwrap();
            let body = serde_json::json!({ "from": letter.from, "to": letter.to, "text": text });
            let request = Request {
                method: Method::Post,
                url: format!("mail://{}", letter.to.join(",")),
                headers: vec![],
                body: body.to_string().into(),
                timeout: letter.timeout,
                answer_bytes_max: 0,
            };
            let answer = Client::send(self, request).await;
            match answer {
                Ok(answer) if answer.status == 200 => Ok("250 queued".to_owned()),
                Ok(answer) => Err(MailError::Refused {
                    code: answer.status,
                    words: "as told".to_owned(),
                }),
                Err(ClientError::Timeout(after)) => Err(MailError::Timeout {
                    after,
                    may_have_arrived: true,
                }),
                Err(error) => Err(MailError::Connect(error.to_string())),
            }
        })
    }

    fn greet(&self, _: MailServer, _: Duration) -> BoxFuture<'_, Result<String, MailError>> {
        Box::pin(async { Ok("it answers".to_owned()) })
    }
}

/// A disk in memory that can be full, and that remembers its content after each write.
#[derive(Default)]
pub(super) struct Memory {
    files: Mutex<BTreeMap<PathBuf, Vec<u8>>>,
    pub(super) is_full: std::sync::atomic::AtomicBool,
    /// Called after each write, while the writer still waits for it.
    pub(super) watch: Mutex<Option<Watch>>,
}

type Watch = Box<dyn Fn(&Memory) + Send>;

impl Memory {
    pub(super) fn content(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        self.files.lock().unwrap().clone()
    }

    pub(super) fn holding(content: BTreeMap<PathBuf, Vec<u8>>) -> Arc<Self> {
        Arc::new(Self {
            files: Mutex::new(content),
            ..Self::default()
        })
    }

    fn write(&self, change: impl FnOnce(&mut BTreeMap<PathBuf, Vec<u8>>)) -> io::Result<()> {
        if self.is_full.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        change(&mut self.files.lock().unwrap());
        if let Some(watch) = &*self.watch.lock().unwrap() {
            watch(self);
        }
        Ok(())
    }
}

impl Files for Memory {
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        Ok(self.files.lock().unwrap().get(path).cloned())
    }

    fn append(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.write(|files| files.entry(path.to_owned()).or_default().extend(bytes))
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.write(|files| drop(files.insert(path.to_owned(), bytes.to_vec())))
    }

    fn truncate(&self, path: &Path, length_bytes: u64) -> io::Result<()> {
        let length = usize::try_from(length_bytes).unwrap();
        self.write(|files| files.entry(path.to_owned()).or_default().truncate(length))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.write(|files| drop(files.remove(path)))
    }

    fn list(&self, _folder: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(self.files.lock().unwrap().keys().cloned().collect())
    }
}

pub(super) struct World {
    pub(super) clock: Arc<RuntimeClock>,
    pub(super) memory: Arc<Memory>,
    pub(super) receivers: Arc<Receivers>,
    pub(super) config: Config,
    pub(super) leads: watch::Sender<Leadership>,
    pub(super) events: mpsc::Sender<AlertEvent>,
    pub(super) handle: Handle,
    pub(super) registry: Registry,
    /// The notifier's own, as the other replica would write to it.
    pub(super) journal: Journal,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl World {
    pub(super) fn new(text: &str) -> Self {
        let clock = RuntimeClock::starting_at(START);
        let receivers = Receivers::new(Arc::clone(&clock));
        Self::with(config(text), clock, receivers, Arc::default())
    }

    pub(super) fn with(
        config: Config,
        clock: Arc<RuntimeClock>,
        receivers: Arc<Receivers>,
        memory: Arc<Memory>,
    ) -> Self {
        let (leads, _) = watch::channel(Leadership::standalone());
        Self::led_by(leads, config, clock, receivers, memory)
    }

    pub(super) fn led_by(
        leads: watch::Sender<Leadership>,
        config: Config,
        clock: Arc<RuntimeClock>,
        receivers: Arc<Receivers>,
        memory: Arc<Memory>,
    ) -> Self {
        Self::sharing(leads, config, (clock, receivers, memory), Arc::new(Alone))
    }

    pub(super) fn sharing(
        leads: watch::Sender<Leadership>,
        config: Config,
        (clock, receivers, memory): (Arc<RuntimeClock>, Arc<Receivers>, Arc<Memory>),
        share: Arc<dyn Share>,
    ) -> Self {
        Self::build(leads, config, (clock, receivers, memory), share, None)
    }

    /// With somebody who knows about alerts.
    pub(super) fn asking(text: &str, evidence: Arc<dyn Evidence>) -> Self {
        let clock = RuntimeClock::starting_at(START);
        let outside = (Arc::clone(&clock), Receivers::new(clock), Arc::default());
        let (leads, _) = watch::channel(Leadership::standalone());
        Self::build(leads, config(text), outside, Arc::new(Alone), Some(evidence))
    }

    fn build(
        leads: watch::Sender<Leadership>,
        config: Config,
        (clock, receivers, memory): (Arc<RuntimeClock>, Arc<Receivers>, Arc<Memory>),
        share: Arc<dyn Share>,
        evidence: Option<Arc<dyn Evidence>>,
    ) -> Self {
        let (events, inbox) = mpsc::channel(1024);
        let registry = Registry::new();
        let files: Arc<dyn Files> = Arc::<Memory>::clone(&memory);
        let journal = Journal::open(files, Path::new("alerts")).unwrap();
        let client: Arc<dyn Client> = Arc::<Receivers>::clone(&receivers);
        let wall: Arc<dyn Clock> = Arc::<RuntimeClock>::clone(&clock);
        let (mut notifier, handle) = Notifier::new(
            &config,
            inbox,
            journal.clone(),
            client,
            wall,
            leads.subscribe(),
            share,
            &registry,
        );
        if let Some(evidence) = evidence {
            notifier.evidence_from(evidence);
        }
        let mail: Arc<dyn Mail> = Arc::<Receivers>::clone(&receivers);
        let stop = CancellationToken::new();
        let task = tokio::spawn(notifier.with_mail(mail).run(stop.clone()));
        Self {
            clock,
            memory,
            receivers,
            config,
            leads,
            events,
            handle,
            registry,
            journal,
            stop,
            task,
        }
    }

    /// As `kill -9`: nothing is finished, and what the disk holds is all that is left.
    pub(super) async fn crash(self) -> Self {
        self.task.abort();
        _ = self.task.await;
        self.receivers.mourn();
        Self::led_by(self.leads, self.config, self.clock, self.receivers, self.memory)
    }

    pub(super) async fn stop(self) -> (Arc<Memory>, Arc<Receivers>, Arc<RuntimeClock>) {
        self.stop.cancel();
        self.task.await.unwrap();
        (self.memory, self.receivers, self.clock)
    }

    pub(super) async fn restart(self) -> Self {
        let (leads, config) = (self.leads.clone(), self.config.clone());
        let (memory, receivers, clock) = self.stop().await;
        Self::led_by(leads, config, clock, receivers, memory)
    }

    pub(super) async fn wait(&self, duration: Duration) {
        self.clock.sleep(duration).await;
    }

    pub(super) async fn fires(&self, name: &str, n: &str) {
        let event = firing(name, n, self.clock.now());
        self.says(event).await;
    }

    /// Resolves what began to fire at `since`.
    pub(super) async fn resolves(&self, name: &str, n: &str, since: Timestamp) {
        let event = resolved(name, n, since, self.clock.now());
        self.says(event).await;
    }

    pub(super) async fn says(&self, event: AlertEvent) {
        self.events.send(event).await.unwrap();
        // The notifier takes it in before any time passes.
        for _ in 0..4 {
            tokio::task::yield_now().await;
        }
    }

    pub(super) fn hook(&self) -> Vec<Attempt> {
        self.receivers.got("http://hook/")
    }

    pub(super) fn slack(&self) -> Vec<Attempt> {
        self.receivers.got("http://slack/")
    }

    pub(super) fn balances(&self) {
        let ledger = self.handle.ledger();
        assert!(ledger.balances(), "{ledger:?}");
    }

    pub(super) fn metric(&self, line: &str) -> f64 {
        let text = prometheus::TextEncoder::new()
            .encode_to_string(&self.registry.gather())
            .unwrap();
        let value = text
            .lines()
            .find_map(|found| found.strip_prefix(line)?.strip_prefix(' '));
        value
            .unwrap_or_else(|| panic!("no {line} in\n{text}"))
            .parse()
            .unwrap()
    }
}

pub(super) fn labels(name: &str, n: &str) -> Labels {
    Labels::from_pairs([
        ("alertname", name),
        ("n", n),
        ("severity", "critical"),
        ("job", "shop"),
    ])
}

pub(crate) fn firing(name: &str, n: &str, now: Timestamp) -> AlertEvent {
    let labels = labels(name, n);
    AlertEvent {
        fingerprint: labels.fingerprint(),
        annotations: Labels::from_pairs([("summary", format!("{name} on {n}"))]),
        labels,
        state: AlertState::Firing,
        active_at: now,
        starts_at: now,
        ends_at: now + secs(240),
        value: f64::NAN,
        generator_url: "http://skopos/explore?expr=up".to_owned(),
        epoch: 1,
        known: true,
    }
}

pub(crate) fn resolved(name: &str, n: &str, since: Timestamp, now: Timestamp) -> AlertEvent {
    AlertEvent {
        state: AlertState::Resolved,
        ends_at: now,
        ..firing(name, n, since)
    }
}
