//! What rooms show: plain snapshots, given to `web` as functions by the hall.
//!
//! Rooms never render, and `web` never reaches in.

pub mod cloudwatch;
mod inventory;

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::inventory::{NodeExcess, NodeLimit, NodeState, PodState, PodsOf, Usage, Workload};
pub use crate::checkup::{Checkup, Verdict};
use crate::text::duration;
use crate::{AlertState, Labels, Level, LogRecord, Timestamp, Unheard};

/// How well something does; drawn as a shape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    Good,
    /// No data, off, or not tried yet.
    #[default]
    Unknown,
    /// Near a limit, or true but not for long enough.
    Pending,
    Bad,
}

/// One scrape target, or an inner source such as `node`, which is a target like any other.
#[derive(Clone, Debug, Serialize)]
pub struct Target {
    /// `scrape_configs[].job_name`, or the source's name.
    pub job: String,
    /// URL, or a word such as `/proc and /sys`.
    pub url: String,
    /// Labels the target was given before any change.
    pub discovered: Labels,
    pub labels: Labels,
    pub health: Health,
    /// Whole sentence of the last failure, empty after a success.
    pub last_error: String,
    pub last_scrape: Option<Timestamp>,
    pub last_duration: Duration,
    pub interval: Duration,
    pub timeout: Duration,
    pub samples: usize,
    /// Whether it is read over HTTP, and so belongs into `/api/v1/targets`.
    pub http: bool,
    /// The node whose agent reads it; none: this process does.
    pub read_by: Option<String>,
}

/// What becomes of the targets that a section of `scrape_configs` finds, beside those that are scraped.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ScrapePool {
    /// `scrape_configs[].job_name`.
    pub job: String,
    /// What its rules drop: the first of them, and how many they are.
    pub dropped: Vec<Dropped>,
    pub dropped_count: usize,
    /// What cannot be scraped after its rules, each a sentence with its place.
    pub failed: Vec<String>,
}

/// A target that rules drop.
#[derive(Clone, Debug, Serialize)]
pub struct Dropped {
    /// Labels before any change.
    pub discovered: Labels,
    /// Which rule drops it: `relabel_configs[2]`.
    pub rule: String,
}

/// Something that is read, or is not and why: the list *What is read*.
#[derive(Clone, Debug, Serialize)]
pub struct Source {
    pub name: String,
    /// One sentence.
    pub detail: String,
    pub health: Health,
    /// Last time anything came from it.
    pub last: Option<Timestamp>,
    /// Word instead of an age: `off`, `skipped`.
    pub word: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct RuleGroup {
    pub name: String,
    pub file: String,
    pub interval: Duration,
    /// Data is asked for as of so long before an evaluation.
    pub query_offset: Duration,
    pub limit: usize,
    pub rules: Vec<Rule>,
    pub last_evaluation: Option<Timestamp>,
    pub last_duration: Duration,
}

#[derive(Clone, Debug, Serialize)]
pub struct Rule {
    /// Alert or recorded metric.
    pub name: String,
    pub alerting: bool,
    pub expr: String,
    pub hold: Duration,
    pub keep_firing: Duration,
    /// M of N instead of `hold`: it fires while it was true in so many of the last so many evaluations.
    pub datapoints: Option<(u32, u32)>,
    /// `resolve`, `keep` or `alert`, where the file says it.
    pub on_missing: Option<&'static str>,
    pub labels: Labels,
    /// Templates as written, not expanded.
    pub annotations: Labels,
    /// `ok`, `err` or `unknown`.
    pub health: &'static str,
    pub last_error: String,
    pub last_evaluation: Option<Timestamp>,
    pub last_duration: Duration,
    pub alerts: Vec<Alert>,
    pub headroom: Option<Headroom>,
}

/// How near a comparison rule is to being true: the worst series now.
#[derive(Clone, Debug, Serialize)]
pub struct Headroom {
    /// Series that has the worst value, without its name.
    pub labels: Labels,
    pub value: f64,
    /// `>`, `<`, `>=`, `<=`, `==` or `!=`.
    pub op: &'static str,
    pub threshold: f64,
    /// 1 is "at the threshold"; more is past it. None when no share makes sense.
    pub share: Option<f64>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Alert {
    pub fingerprint: u64,
    pub labels: Labels,
    pub annotations: Labels,
    pub state: AlertState,
    pub active_at: Timestamp,
    pub fired_at: Option<Timestamp>,
    pub resolved_at: Option<Timestamp>,
    pub keep_firing_since: Option<Timestamp>,
    pub value: f64,
    /// Whether it was restored after a restart and has not been confirmed since.
    pub restored: bool,
    /// Whether the last evaluation left it as it was, because nothing is known: its sender is silent, or it is we
    /// who do not hear it.
    pub unknown: bool,
}

/// One operator of an expression as it stood at a time: a row of the why tree.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Why {
    pub depth: usize,
    /// `and on (namespace)`, `>= 3`, `rate(…[5m])`, a selector.
    pub text: String,
    /// Series kept here.
    pub series: usize,
    /// Series that came in from below, when fewer were kept.
    pub of: Option<usize>,
    /// Value for the chosen instance.
    pub value: Option<f64>,
    /// In words: `6.13 ≥ 3 holds`, `61 samples`.
    pub reading: String,
    /// Whether this row is what makes the rule true.
    pub holds: bool,
    /// The first few series kept here; those of the chosen instance before others.
    pub elements: Vec<Element>,
    pub is_selector: bool,
    /// Of a selector that finds something: when the newest of its samples was taken.
    pub newest: Option<Timestamp>,
}

/// A series with its value.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Element {
    pub labels: Labels,
    #[serde(with = "crate::text::float::json")]
    pub value: f64,
}

/// One message to one receiver, or one that waits.
#[derive(Clone, Debug, Serialize)]
pub struct Told {
    pub time: Timestamp,
    pub receiver: String,
    pub group: Labels,
    /// `new message, 2 alerts`, `resolved`.
    pub message: String,
    /// `200 in 212 ms`, `429, tried again after 1 s`.
    pub answer: String,
    pub health: Health,
    pub took: Duration,
    /// Fingerprints of the alerts in it.
    pub alerts: Vec<u64>,
}

/// The notifier as it stands.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Telling {
    /// `slack`, `webhook …`; empty means that nobody is told.
    pub receivers: Vec<String>,
    /// Newest first.
    pub told: Vec<Told>,
    /// Messages that wait for a receiver.
    pub waiting: usize,
    /// The last error of a receiver that does not take messages now.
    pub failing: Vec<(String, String)>,
}

/// Where alerts go, and when they are told of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Routing {
    /// The tree, a parent before its children.
    pub routes: Vec<RouteLine>,
    /// Of the routes those that the alert one asked about goes by, by their place in `routes`.
    pub ways: Vec<Way>,
    /// The receiver that is told of what another one does not take.
    pub fallback: Option<String>,
    pub storms: Vec<Storm>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RouteLine {
    /// Routes above it.
    pub depth: usize,
    /// `{team="db"}`; `{}` takes everything.
    pub matchers: String,
    pub receiver: String,
    /// What this receiver is, as on `/alerts`: `slack #ops`. Empty: nobody is told.
    pub told: Vec<String>,
    /// None: each alert by itself.
    pub group_by: Option<Vec<String>>,
    pub group_wait: Duration,
    pub group_interval: Duration,
    pub repeat_interval: Duration,
    /// None: an end waits for `group_interval`.
    pub resolve_wait: Option<Duration>,
    /// Whether alerts that go this way go on to the next routes, too.
    pub goes_on: bool,
    /// Named hours that keep messages back, or outside of which they are kept back.
    pub hours: Vec<String>,
    /// Those of them that do now.
    pub muted_by: Vec<String>,
}

impl RouteLine {
    /// `first told 30 s after it fires, of more alerts every 5 min, …`
    #[must_use]
    pub fn when(&self) -> String {
        let after = |time: Duration, what: &str| match time {
            Duration::ZERO => "at once".to_owned(),
            time => format!("{} after {what}", duration::spoken(time)),
        };
        let every = |time: Duration| match time {
            Duration::ZERO => "at once".to_owned(),
            time => format!("every {}", duration::spoken(time)),
        };
        let end = match self.resolve_wait {
            Some(wait) => after(wait, "its end"),
            None => "of its end with the next of those messages".to_owned(),
        };
        format!(
            "first told {}, of more alerts {}, again {} while it fires, and {end}",
            after(self.group_wait, "it fires"),
            every(self.group_interval),
            every(self.repeat_interval),
        )
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Way {
    pub route: usize,
    /// What it shares a message by.
    pub group: Labels,
    /// Receivers that were told of this group within a storm, as on `/alerts`.
    pub storms: Vec<String>,
}

/// A receiver for which so many groups became due at once that they share a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Storm {
    /// As on `/alerts`.
    pub receiver: String,
    pub began: Timestamp,
    /// Whether new groups still join it.
    pub is_open: bool,
    /// That were told within it and have no message of their own.
    pub groups: usize,
}

/// An alert in the form somebody wants to try, over a time that is kept.
#[derive(Clone, Debug)]
pub struct Trial {
    pub file: String,
    pub group: String,
    pub name: String,
    /// As written; with name and expression they tell it from others.
    pub labels: Labels,
    pub expr: String,
    pub hold: Duration,
    /// What is tried in the place of these two.
    pub tried_expr: String,
    pub tried_hold: Duration,
    pub from: Timestamp,
    pub until: Timestamp,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Tried {
    pub tried: Fires,
    /// The rule as it is.
    pub today: Fires,
    /// The expression that was tried with other waits, as far as there was time.
    pub others: Vec<(Duration, Fires)>,
    /// Where nothing was kept.
    pub gaps: Vec<(Timestamp, Timestamp)>,
    /// What is worth knowing beside it.
    pub notes: Vec<String>,
    pub took: Duration,
}

/// What one alert would have done.
#[derive(Clone, Debug, Default)]
pub struct Fires {
    pub fired: u64,
    /// How long in all.
    pub firing: Duration,
    pub longest: Duration,
    pub only_pending: u64,
    /// In the order in which they began; of very many only the first.
    pub episodes: Vec<Episode>,
    pub unlisted: u64,
}

/// From when an alert began to be true until it was no longer.
#[derive(Clone, Debug)]
pub struct Episode {
    pub labels: Labels,
    pub active_at: Timestamp,
    /// None: it was pending only.
    pub fired_at: Option<Timestamp>,
    /// None: it was still so at the end.
    pub ended_at: Option<Timestamp>,
}

/// A question to the kept log lines.
#[derive(Clone, Debug)]
pub struct LogQuery {
    /// Every word must occur, case ignored; empty is everything.
    pub text: String,
    /// Only lines at least this grave.
    pub level: Option<Level>,
    /// A regular expression that must match somewhere in a line; empty is everything.
    pub pattern: String,
    /// Only sources that contain this.
    pub source: String,
    pub pods: PodQuery,
    pub from: Timestamp,
    pub to: Timestamp,
    /// Lines returned at most, the newest.
    pub lines_max: usize,
}

/// Whose lines are asked for; what is empty is everybody's. With anything in it, lines of files are not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodQuery {
    pub namespace: String,
    /// How the pod's name begins: a Deployment's name finds its pods.
    pub pod: String,
    pub container: String,
}

impl PodQuery {
    /// `source` is `namespace/pod/container` where it is a container.
    #[must_use]
    pub fn has(&self, source: &str) -> bool {
        if *self == Self::default() {
            return true;
        }
        let mut parts = source.splitn(3, '/');
        let (Some(namespace), Some(pod), Some(container)) = (parts.next(), parts.next(), parts.next()) else {
            return false;
        };
        (self.namespace.is_empty() || self.namespace == namespace)
            && pod.starts_with(&self.pod)
            && (self.container.is_empty() || self.container == container)
    }
}

impl Default for LogQuery {
    /// Everything.
    fn default() -> Self {
        Self {
            text: String::new(),
            level: None,
            pattern: String::new(),
            source: String::new(),
            pods: PodQuery::default(),
            from: Timestamp(0),
            to: Timestamp::MAX,
            lines_max: 1_000,
        }
    }
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct LogPage {
    /// Oldest first.
    pub lines: Vec<LogRecord>,
    /// How many matched in all, as far as was looked.
    pub matched: u64,
    /// Whether more match than are here.
    pub cut: bool,
    /// Where looking ended, if it ended before the beginning of the asked time: older lines were not looked at.
    pub looked_from: Option<Timestamp>,
    /// Lines per bucket and level over the asked time: all, then warnings and worse, then errors.
    pub histogram: Vec<LogBucket>,
    /// What nodes had to do with it.
    pub nodes: Asked,
}

/// Nodes that were asked for the lines of their pods.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Asked {
    /// That answered.
    pub heard: usize,
    pub unheard: Vec<Unheard>,
    /// Whether one of them has the pod.
    pub known: bool,
}

/// The last lines of what an alert is about.
#[derive(Clone, Debug, Default)]
pub struct OwnLines {
    /// Oldest first.
    pub lines: Vec<LogRecord>,
    pub nodes: Asked,
}

/// A line and what its source said just before and after it, oldest first.
#[derive(Clone, Debug)]
pub struct LogContext {
    pub before: Vec<LogRecord>,
    pub line: LogRecord,
    pub after: Vec<LogRecord>,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct LogBucket {
    pub start: Timestamp,
    pub lines: u64,
    /// Of these, warnings and worse.
    pub grave: u64,
    /// Of these, errors and worse.
    pub errors: u64,
}

/// The log room as it stands.
#[derive(Clone, Debug, Default, Serialize)]
pub struct LogState {
    pub files: Vec<LogFile>,
    /// Kept in segments since start.
    pub lines: u64,
    pub bytes_on_disk: u64,
    /// Node roles that are asked for the last lines of a pod.
    pub nodes: usize,
    /// Where lines go; the first is the one that `files` and `lines` are about.
    pub sinks: Vec<LogSink>,
    /// Where records come from that no file holds.
    pub inputs: Vec<LogInput>,
    /// systemd's journal, where it is read.
    pub journal: Option<LogJournal>,
    /// Services whose log groups are read.
    pub services: Vec<LogService>,
    /// Of the spool: records of inputs that not every sink has.
    pub spool_bytes: u64,
    pub spool_bytes_max: u64,
}

/// An input that others send records to, and how it goes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LogInput {
    pub name: String,
    pub address: String,
    pub connections: u64,
    /// Kept since start.
    pub records: u64,
    pub in_flight: u64,
    /// Connections closed, by reason.
    pub refused: Vec<(String, u64)>,
    /// Why nothing is taken at the moment.
    pub trouble: Option<String>,
}

/// systemd's journal as it is read, and how it goes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LogJournal {
    /// The command that prints it, or the URL where it is asked for.
    pub from: String,
    /// Kept since start.
    pub entries: u64,
    /// Left out, by reason.
    pub skipped: Vec<(String, u64)>,
    /// Deleted by the journal before they were read.
    pub missing: u64,
    /// Why it cannot be read, or its entries not be kept, at the moment.
    pub trouble: Option<String>,
    /// What the command says beside entries, for example that it may not see all of them.
    pub remark: String,
}

/// Log groups of a service that are read, and how it goes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LogService {
    pub name: String,
    /// Empty before it is known.
    pub region: String,
    /// Whether it is this process that reads them.
    pub reads: bool,
    pub groups: u64,
    /// Kept since start.
    pub events: u64,
    /// Groups that cannot be read, and why; with an empty name none can.
    pub troubles: Vec<(String, String)>,
}

/// Where lines go, and how it goes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LogSink {
    pub name: String,
    /// `segments`, `opensearch`, `cloudwatch`, `metrics`, `stdout` or `file`.
    pub kind: &'static str,
    /// Its address without secrets; none for this host.
    pub target: Option<String>,
    /// Kept there since start.
    pub lines: u64,
    pub in_flight: u64,
    pub dropped: Vec<(String, u64)>,
    pub unread_bytes: f64,
    /// Why nothing gets there at the moment.
    pub trouble: Option<String>,
    /// What is less than promised there.
    pub notes: Vec<String>,
}

impl LogSink {
    /// Lines that its reader was told to leave out.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.dropped_for(true).map(|(_, count)| count).sum()
    }

    /// Lines that it should have, by reason.
    pub fn lost(&self) -> impl Iterator<Item = &(String, u64)> {
        self.dropped_for(false)
    }

    fn dropped_for(&self, wish: bool) -> impl Iterator<Item = &(String, u64)> {
        let is_wish = |reason: &str| ["excluded", "sampled", "limited"].contains(&reason);
        self.dropped
            .iter()
            .filter(move |(reason, _)| is_wish(reason) == wish)
    }
}

#[derive(Clone, Debug, Serialize)]
pub struct LogFile {
    pub path: String,
    pub health: Health,
    /// Why it is not read: `permission denied`.
    pub error: String,
    pub size_bytes: u64,
    pub offset_bytes: u64,
    pub last: Option<Timestamp>,
}

/// The configuration in force, and a newer one that was refused.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ConfigState {
    /// Path, or `built-in defaults`.
    pub file: String,
    pub loaded_at: Timestamp,
    /// Complaints about the newest file, which is not in force; empty when it is.
    pub refused: Vec<String>,
}

/// The process itself and the machine it runs on.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Own {
    pub version: &'static str,
    pub revision: &'static str,
    pub role: &'static str,
    /// Name shown in the bar: the host's, or the cluster's.
    pub name: String,
    /// `Debian 13, Linux 6.12, 8 cores, 31 GiB`.
    pub machine: String,
    pub started: Timestamp,
    pub data_dir: String,
    pub data_bytes: u64,
    pub memory_bytes: u64,
    pub memory_limit_bytes: u64,
    pub series: u64,
    pub accounts: Vec<(&'static str, crate::Ledger)>,
}

/// The samples that are kept: in memory, in the log beside it, in blocks on disk.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Kept {
    pub series: u64,
    /// Memory that samples take, without labels and index.
    pub samples_bytes: u64,
    pub oldest: Option<Timestamp>,
    pub log_bytes: u64,
    pub exemplars: u64,
    /// Whether there is anything on disk at all.
    pub has_blocks: bool,
    /// By their beginnings.
    pub blocks: Vec<Block>,
    /// Set aside, or left out, because they cannot be read.
    pub broken: u64,
    pub retention: Duration,
    /// 0 is no limit.
    pub retention_bytes: u64,
    /// Times that a series was refused since the start, by reason.
    pub refused: Vec<(&'static str, u64)>,
    /// Memory of the process beyond which new series are refused; 0 is none.
    pub budget_bytes: u64,
    /// How many ranks of targets are refused now for want of memory.
    pub guard_level: u8,
}

/// A block of samples on disk.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Block {
    pub name: String,
    pub start: Timestamp,
    pub end: Timestamp,
    pub bytes: u64,
    pub series: u64,
    pub samples: u64,
    /// How often blocks were made one on the way to it, from 1.
    pub level: u32,
}

/// A room or an outside thing in the picture of the house.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Place {
    pub name: String,
    /// Row of the drawing, from 0: sources, engines, rooms that act, the outside.
    pub row: usize,
    pub outside: bool,
}

/// What lies between two places: a queue, or a call.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Joint {
    pub from: String,
    pub to: String,
    /// `columns`, `alert events`, `blocks on disk`.
    pub carries: String,
    /// What happens when it is full; empty for a call that returns at once.
    pub when_full: String,
    /// Most it holds, and of what: `1,024 events`, `1 GiB`. Empty for a call.
    pub size: String,
    /// Filled right now, from 0 to 1; none where nothing can be filled.
    pub fill: Option<f64>,
    /// What there is to say of it now: `12 waiting`, `last answer 200`.
    pub now: String,
    pub health: Health,
}

/// The house as it runs: rooms, and the queues between them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Graph {
    pub role: String,
    pub places: Vec<Place>,
    pub joints: Vec<Joint>,
}

/// Who leads, and how the other replica is.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Pair {
    pub name: String,
    pub peer: String,
    /// Holder of the lease, as far as is known.
    pub holder: Option<String>,
    pub here: bool,
    pub speaks: bool,
    pub epoch: u64,
    /// Heard within 2 s, in both directions.
    pub in_step: bool,
    pub peer_heard: Option<Timestamp>,
    pub peer_speaks: bool,
    /// Why the lease cannot be asked for; empty while it can.
    pub arbiter_error: String,
    /// Changes of the shared map that the peer does not have yet.
    pub unshared: usize,
    /// `starting`, `copying 40 %`, `ready`.
    pub state: String,
}

/// Somebody who sends samples to this process.
#[derive(Clone, Debug, Serialize)]
pub struct Sender {
    pub name: String,
    /// `node`, `replica`, `writer`, `reader`.
    pub role: String,
    pub heard: Option<Timestamp>,
    /// When the other replica heard it.
    pub heard_elsewhere: Option<Timestamp>,
    pub silent: bool,
    pub series: usize,
    pub samples: u64,
}

/// Somebody this process sends samples to.
#[derive(Clone, Debug, Serialize)]
pub struct Destination {
    pub name: String,
    pub url: String,
    /// `2.0`, `1.0`.
    pub protocol: String,
    pub waiting_bytes: u64,
    pub waiting_samples: u64,
    /// Time of the oldest sample that waits.
    pub oldest: Option<Timestamp>,
    pub last_success: Option<Timestamp>,
    /// Of the last attempt, empty after a success.
    pub last_error: String,
    pub health: Health,
}

/// What the label index holds, counted; each list has the greatest first.
#[derive(Clone, Debug, Default)]
pub struct Cardinality {
    pub series: u64,
    /// Different pairs of a label and a value.
    pub pairs: u64,
    /// Pieces of the past in memory, of one series each.
    pub chunks: u64,
    pub oldest: Option<Timestamp>,
    pub newest: Option<Timestamp>,
    /// Series of each metric.
    pub by_metric: Vec<Counted>,
    /// Values of each label.
    pub values_by_label: Vec<Counted>,
    /// Bytes of each label's values, counted in every series that has one.
    pub bytes_by_label: Vec<Counted>,
    /// Series of each `label=value`.
    pub by_pair: Vec<Counted>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Counted {
    pub name: String,
    pub value: u64,
}

/// A function that gives the newest view of a room.
pub type View<T> = Arc<dyn Fn() -> T + Send + Sync>;
