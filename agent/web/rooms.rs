//! What the server may ask of the house: functions and traits, filled by the hall.
//!
//! What a role does not have is `None` and answered with 404 and a sentence: `write` in a role that takes no
//! samples, `peer` without a pair, `silences` where nobody is told. All of these are called on the one thread that
//! serves pages, so whatever takes long moves itself elsewhere.
//!
//! | field | without a pair |
//! |---|---|
//! | `write: Option<Arc<dyn Serve>>` | the receiver, or `None` |
//! | `peer: Option<Arc<dyn Serve>>` | `None` |
//! | `tail: Option<Arc<dyn Serve>>` | the log room's, or `None` |
//! | `handed: Option<Arc<dyn Serve>>` | `None` |
//! | `reserved: bool` | whether this is an agent |
//! | `identify: Arc<dyn Identify>` | `net::Tokens::none()` |
//! | `silences: Option<Silences>` | the notifier's |
//! | `alerting: Option<Alerting>` | the notifier's |
//! | `forward: Arc<dyn Fn(Call) -> BoxFuture<'static, Option<Response>> + Send + Sync>` | `Arc::new(\|_\| Box::pin(async { None }))` |
//! | `graph: View<Graph>` | the house |
//! | `pair: View<Option<Pair>>` | `Arc::new(\|\| None)` |
//! | `senders: View<Vec<Sender>>`, `destinations: View<Vec<Destination>>` | `Arc::new(Vec::new)` |
//!
//! `objects` is `None` where no cluster is asked.

use std::sync::Arc;

use model::outside::{Call, Identify, Response, Serve};
use model::view::{
    Cardinality, Checkup, ConfigState, Destination, Graph, Kept, LogContext, LogPage, LogQuery, LogState,
    NodeState, Own, OwnLines, Pair, PodState, PodsOf, Routing, RuleGroup, ScrapePool, Sender, Source, Target,
    Telling, Trial, Tried, View, Why, Workload,
};
use model::{BoxFuture, Change, Clock, Exemplars, Labels, Matcher, Select, Timestamp};

/// Everything pages and API show. Cloning is cheap.
#[derive(Clone)]
pub struct Rooms {
    pub clock: Arc<dyn Clock>,
    pub select: Arc<dyn Select>,
    pub exemplars: Arc<dyn Exemplars>,
    pub engine: Arc<promql::Engine>,
    pub registry: prometheus::Registry,
    pub targets: View<Vec<Target>>,
    /// What is not scraped of what sections of `scrape_configs` find.
    pub pools: View<Vec<ScrapePool>>,
    pub sources: View<Vec<Source>>,
    pub rules: View<Vec<RuleGroup>>,
    /// Where rules ask, if not `engine`.
    pub datasource: Option<Arc<str>>,
    /// The why tree of one rule's expression (file, group, rule name) for the alert with this fingerprint.
    pub why: Arc<dyn Fn(&str, &str, &str, Option<u64>) -> Vec<Why> + Send + Sync>,
    /// Goes through what is kept with an alert in another form: takes its time, so it is called on a blocking thread, and
    /// ends early once it is told to stop. The error is a sentence. None: no rules are evaluated here.
    pub try_rule: Option<Arc<dyn Fn(&Trial, &promql::Stop) -> Result<Tried, String> + Send + Sync>>,
    pub telling: View<Telling>,
    /// Where alerts go at this time; and one with these labels, if they are given.
    pub routing: Arc<dyn Fn(Option<&Labels>, Timestamp) -> Routing + Send + Sync>,
    /// What is in memory and on disk of the samples.
    pub kept: View<Kept>,
    /// How many series there are, and so many of those that have most in each list.
    pub cardinality: Arc<dyn Fn(usize) -> Cardinality + Send + Sync>,
    /// Searches the segments, and where a pod is named asks the nodes; reads the disk and waits, so it is called on a blocking thread.
    pub logs: Arc<dyn Fn(&LogQuery) -> LogPage + Send + Sync>,
    /// The line of this time with this identity, and so many of its source before and after it; none when it is not kept
    /// here. Reads the disk as well.
    pub around: Arc<dyn Fn(Timestamp, u64, usize) -> Option<LogContext> + Send + Sync>,
    /// The last lines of what an alert with these labels is about, oldest first, so many at most; none where no label says
    /// which lines these are. Reads the disk as well, and may wait a moment for a node.
    pub own_lines: Arc<dyn Fn(&Labels, Timestamp, usize) -> Option<OwnLines> + Send + Sync>,
    pub log_state: View<LogState>,
    pub config: View<ConfigState>,
    pub own: View<Own>,
    /// Why the process does not serve yet, or is stopping.
    pub ready: View<Result<(), String>>,
    /// Reads the configuration again; the error is what is wrong with it.
    pub reload: Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>,
    /// What each room needs and whether it has it; with `true` receivers are asked as well. The error is why nobody
    /// could look.
    pub doctor: Arc<dyn Fn(bool) -> BoxFuture<'static, Result<Vec<Checkup>, String>> + Send + Sync>,
    /// Sends a test message to every receiver; the answer is a sentence.
    pub send_test: Arc<dyn Fn() -> BoxFuture<'static, Result<String, String>> + Send + Sync>,
    /// Runbooks of the shipped rules, as Markdown: anchor → text.
    pub runbook: Arc<dyn Fn(&str) -> Option<String> + Send + Sync>,
    /// Takes what is posted to `/api/v1/write`.
    pub write: Option<Arc<dyn Serve>>,
    /// Answers who asks for the last log lines of a pod on this machine, at `/api/v1/logs/tail`.
    pub tail: Option<Arc<dyn Serve>>,
    /// Answers the agent of a node that asks which targets are its own, at `/api/v1/handed`.
    pub handed: Option<Arc<dyn Serve>>,
    /// Answers the other replica under `/peer/v1/`.
    pub peer: Option<Arc<dyn Serve>>,
    /// Whether callers from elsewhere are shown nothing but probes and metrics, unless they have a token for more: an
    /// agent has the lines of everything on its node.
    pub reserved: bool,
    /// Finds out who calls on these four; asked before a body is read, with a call that has none.
    pub identify: Arc<dyn Identify>,
    pub silences: Option<Silences>,
    pub alerting: Option<Alerting>,
    /// Passes what a person writes to the replica that holds the lease and gives its answer, also when that is that it
    /// cannot be reached. None: this is the holder, do it here.
    pub forward: Arc<dyn Fn(Call) -> BoxFuture<'static, Option<Response>> + Send + Sync>,
    pub graph: View<Graph>,
    /// None: there is no other replica.
    pub pair: View<Option<Pair>>,
    pub senders: View<Vec<Sender>>,
    pub destinations: View<Vec<Destination>>,
    /// What is known of a cluster's objects. None: no cluster is asked here.
    pub objects: Option<Objects>,
}

/// What is known of a cluster's objects.
#[derive(Clone)]
pub struct Objects {
    /// What changed since a time, the oldest first. None: nobody looks for changes here.
    pub changes: Option<Arc<dyn Fn(Timestamp) -> Vec<Change> + Send + Sync>>,
    /// These ask the samples, so they are called on a blocking thread.
    pub workloads: View<Vec<Workload>>,
    pub pods: Arc<dyn Fn(&PodsOf) -> Vec<PodState> + Send + Sync>,
    pub nodes: View<Vec<NodeState>>,
}

/// The silences, as JSON in the form of Alertmanager's API: the room that keeps them also knows what is valid.
#[derive(Clone)]
pub struct Silences {
    /// A JSON array of those whose matchers fit all filters (`name="value"`, `name=~"…"`); the error is what is wrong
    /// with a filter.
    pub list: Arc<dyn Fn(&[String]) -> Result<String, String> + Send + Sync>,
    /// The one with this id as a JSON object.
    pub get: Arc<dyn Fn(&str) -> Option<String> + Send + Sync>,
    /// Takes a postable silence and gives its id.
    pub put: Arc<dyn Fn(String) -> BoxFuture<'static, Result<String, SilenceError>> + Send + Sync>,
    /// Ends the one with this id.
    pub delete: Arc<dyn Fn(String) -> BoxFuture<'static, Result<(), SilenceError>> + Send + Sync>,
    /// Matchers as people write them, with commas between, in braces or without; the error is what is wrong.
    pub read: Arc<dyn Fn(&str) -> Result<Vec<Matcher>, String> + Send + Sync>,
    /// Tells by an alert's labels whether a silence with these matchers covers it; the error is why none may have them.
    pub covering: Arc<dyn Fn(&[Matcher]) -> Result<Covers, String> + Send + Sync>,
}

/// Whether an alert with these labels is covered.
pub type Covers = Arc<dyn Fn(&Labels) -> bool + Send + Sync>;

/// What the notifier is about to tell, as JSON in the form of Alertmanager's API; a refusal is a status and a sentence.
#[derive(Clone)]
pub struct Alerting {
    /// `alerts`, `alerts/groups` or `receivers`, with the parameters of the request.
    pub list: Arc<dyn Fn(&str, &[(String, String)]) -> Answered<String> + Send + Sync>,
    /// The configuration in force, in the words of Alertmanager's file and without secrets.
    pub original: Arc<dyn Fn() -> String + Send + Sync>,
    /// Takes alerts that others post.
    pub post: Arc<dyn Fn(Vec<u8>) -> Answered<()> + Send + Sync>,
}

pub type Answered<T> = BoxFuture<'static, Result<T, (u16, String)>>;

/// Why a silence was not taken or not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SilenceError {
    /// What is wrong with it; answered with 400.
    Bad(String),
    /// There is none with its id; answered with 404.
    Unknown,
    /// It is right and could not be kept; answered with 500.
    Failed(String),
}
