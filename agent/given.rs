//! An agent asks which targets are its own, and reads them.
//!
//! What it is given it reads for as long as nobody tells it otherwise, a day at most: that those who hand out are away stops no reading.
//! The list is on the disk as well, for an agent that starts while they are. A list of an epoch that is over is not heeded.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cluster::Cluster;
use model::outside::{Client, Files, Method, Request};
use model::text::duration::spoken;
use model::view::Checkup;
use model::{Clock, Pods, Timestamp};
use net::{Reach, without_secrets};
use parking_lot::Mutex;
use prometheus::{Gauge, IntCounterVec, Registry};
use scrape::{Given, Pool};
use serde::{Deserialize, Serialize};
use telemetry::metrics::{counters, gauge};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::checkups::Look;
use crate::handing::{Around, EPOCH, HELD, PATH, PERIOD_SECONDS, ROOM};
use crate::relay::Forward;

const PERIOD: Duration = Duration::from_secs(PERIOD_SECONDS);
/// After nobody was there who hands out.
const AGAIN: Duration = Duration::from_secs(2);
/// After nobody was there who could: of an older version, or told not to.
const MUCH_LATER: Duration = Duration::from_secs(60);
const ANSWER_PATIENCE: Duration = Duration::from_secs(5);
const ANSWER_BYTES_MAX: usize = 32 << 20;
/// Whoever stops says so, and waits for no longer than this.
const FAREWELL: Duration = Duration::from_secs(1);
/// So long an agent that starts waits for a list before it takes the one from before.
const FIRST: Duration = Duration::from_secs(20);
/// A list is read by for so long without a word of whoever gave it.
const KEPT: Duration = Duration::from_hours(24);
/// After so long without a word of an epoch, a lower one counts: the Lease and all who knew it may have been made anew.
const OVER: Duration = Duration::from_secs(60);
/// Where samples go is where targets come from.
const WRITE: &str = "/api/v1/write";
/// After so long without a word nobody says that a pod is gone but the API server.
const UNTOLD: Duration = Duration::from_secs(4 * PERIOD_SECONDS);
const FILE: &str = "targets";
const MAGIC: &str = "skopos targets 1\n";
const OUTCOMES: [&str; 6] = ["list", "same", "not_leader", "absent", "old_epoch", "failed"];

pub(crate) struct Taking {
    whom: Vec<Whom>,
    pool: Arc<Pool>,
    node: String,
    client: Arc<dyn Client>,
    files: Arc<dyn Files>,
    clock: Arc<dyn Clock>,
    given: Given,
    tag: Option<String>,
    foreign: usize,
    epoch: u64,
    /// Running time of the last word of somebody who hands out, in the epoch that counts.
    heard: Option<Duration>,
    /// Until when what was given is read without another word.
    kept_until: Duration,
    /// When this agent began to ask; none once it has a list.
    begun: Option<Duration>,
    /// The pods of the node, as the API server tells this agent.
    pods: watch::Receiver<Arc<Pods>>,
    shown: Arc<Mutex<Shown>>,
    metrics: Metrics,
}

/// A replica that may hand out.
struct Whom {
    url: String,
    reach: Result<Reach, String>,
}

/// For doctor.
#[derive(Default)]
struct Shown {
    targets: usize,
    foreign: usize,
    left_out: Vec<String>,
    heard: Option<Duration>,
    /// Why nobody has answered lately.
    why: String,
}

struct Metrics {
    targets: Gauge,
    epoch: Gauge,
    asked: IntCounterVec,
}

/// As it is on the disk.
#[derive(Serialize, Deserialize)]
struct Kept {
    epoch: u64,
    tag: String,
    heard: Timestamp,
    list: String,
}

enum Answer {
    Same,
    List { tag: String, list: Vec<u8> },
    Nobody { outcome: &'static str, why: String },
}

impl Taking {
    /// None where samples go to nobody who could hand out targets, or not all of them: whoever reads a target, all of it is kept.
    pub(crate) fn new(around: Around<'_>) -> Option<Self> {
        if around.document.remote.forward == Forward::Used {
            return None;
        }
        let whom: Vec<Whom> = around.document.remote_write.iter().filter_map(whom).collect();
        (!whom.is_empty()).then(|| Self {
            whom,
            pool: Arc::clone(around.pool),
            node: around.host.to_owned(),
            client: Arc::clone(around.client),
            files: Arc::clone(around.files),
            clock: around.clock,
            given: Given::default(),
            tag: None,
            foreign: 0,
            epoch: 0,
            heard: None,
            kept_until: Duration::ZERO,
            begun: None,
            pods: around
                .cluster
                .map_or_else(|| watch::channel(Arc::default()).1, Cluster::pods),
            shown: Arc::default(),
            metrics: Metrics::new(around.registry),
        })
    }

    pub(crate) fn checkup(&self) -> Look {
        let (shown, clock) = (Arc::clone(&self.shown), Arc::clone(&self.clock));
        Box::new(move || vec![told(&shown.lock(), clock.running())])
    }

    pub(crate) async fn run(mut self, stop: CancellationToken) {
        self.begun = Some(self.clock.running());
        let mut nth = 0;
        let mut unanswered = 0;
        loop {
            let answer = tokio::select! {
                () = stop.cancelled() => break,
                answer = self.ask(nth) => answer,
            };
            let pause = match answer {
                Answer::Same => PERIOD,
                Answer::List { tag, list } => {
                    if self.take(nth, tag, &list).await {
                        PERIOD
                    } else {
                        AGAIN
                    }
                }
                Answer::Nobody { outcome, why } => {
                    self.shown.lock().why = why;
                    nth = (nth + 1) % self.whom.len();
                    unanswered += 1;
                    match (unanswered % self.whom.len() == 0, outcome) {
                        (false, _) => Duration::ZERO,
                        (true, "absent") => MUCH_LATER,
                        (true, _) => AGAIN,
                    }
                }
            };
            if pause == PERIOD {
                unanswered = 0;
            }
            self.look_after();
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.clock.sleep(pause) => {}
            }
        }
        // What was read here is read elsewhere from the next moment on.
        self.given = Given::default();
        _ = tokio::time::timeout(FAREWELL, self.ask(nth)).await;
    }

    /// What follows from time alone.
    fn look_after(&mut self) {
        let now = self.clock.running();
        if self.begun.is_some_and(|begun| now >= begun + FIRST) {
            self.begun = None;
            self.recall();
        }
        if now >= self.kept_until && !self.given.is_empty() {
            tracing::warn!("for a day nobody has handed out targets; those that were given are left");
            (self.given, self.tag) = (Given::default(), None);
            self.pool.take(&self.given);
        }
        // Whoever hands out knows which pods there are; while nobody does, this agent knows those of its node.
        let is_told = self.heard.is_some_and(|heard| now < heard + UNTOLD);
        if !is_told && !self.given.is_empty() {
            let pods = Arc::clone(&self.pods.borrow());
            // This agent runs in a pod: where none is known, the API server has not said which there are.
            let is_known = !pods.by_uid.is_empty();
            let is_gone = |uid: &str| is_known && pods.by_uid.get(uid).is_none_or(|pod| pod.is_gone);
            let left = self.given.leave(is_gone);
            if left > 0 {
                tracing::info!(
                    targets = left,
                    "nobody hands out targets; those of pods that are gone are left"
                );
                self.pool.take(&self.given);
            }
        }
        let foreign = self.given.foreign();
        if std::mem::replace(&mut self.foreign, foreign) != foreign {
            self.pool.take(&self.given);
        }
        let targets = self.given.len() - foreign;
        self.metrics.targets.set(targets as f64);
        self.metrics.epoch.set(self.epoch as f64);
        let mut shown = self.shown.lock();
        (shown.targets, shown.foreign, shown.heard) = (targets, foreign, self.heard);
        shown.left_out.clone_from(&self.given.left_out);
    }

    /// Goes over to a list. What is no longer on it is left first; what is new is read once whoever gave it knows. False: the list is
    /// none.
    async fn take(&mut self, nth: usize, tag: String, list: &[u8]) -> bool {
        let given = match Given::read(list, &self.node, &self.given) {
            Ok(given) => given,
            Err(why) => {
                self.metrics.asked.with_label_values(&["failed"]).inc();
                self.shown.lock().why = format!("what is handed out cannot be read: {why}");
                return false;
            }
        };
        self.pool.keep_only(&given);
        (self.given, self.tag, self.begun) = (given, Some(tag.clone()), None);
        // Whether this is heard or not: somebody has to read them.
        let answer = self.ask(nth).await;
        self.pool.take(&self.given);
        self.remember(tag, list);
        if let Answer::List { .. } = answer {
            // It has changed meanwhile, and is asked for again.
            self.tag = None;
            return false;
        }
        true
    }

    async fn ask(&mut self, nth: usize) -> Answer {
        let failed = |why: String| Answer::Nobody {
            outcome: "failed",
            why,
        };
        let answer = match self.question(nth).await {
            Ok((200, epoch, tag, list)) => self.heed(epoch, || Answer::List { tag, list }),
            Ok((304, epoch, ..)) => self.heed(epoch, || Answer::Same),
            Ok((404 | 405, ..)) => Answer::Nobody {
                outcome: "absent",
                why: "there is nobody who hands out targets (kubernetes.hand_out)".to_owned(),
            },
            Ok((503, _, _, why)) => Answer::Nobody {
                outcome: "not_leader",
                why: String::from_utf8_lossy(&why).into_owned(),
            },
            Ok((status, ..)) => failed(format!("it answers with status {status}")),
            Err(why) => failed(why),
        };
        let outcome = match &answer {
            Answer::Same => "same",
            Answer::List { .. } => "list",
            Answer::Nobody { outcome, .. } => *outcome,
        };
        self.metrics.asked.with_label_values(&[outcome]).inc();
        answer
    }

    /// Whoever speaks in an epoch that is over is not heeded.
    fn heed(&mut self, epoch: u64, answer: impl FnOnce() -> Answer) -> Answer {
        let now = self.clock.running();
        let is_over = epoch < self.epoch && self.heard.is_some_and(|heard| now < heard + OVER);
        if is_over {
            return Answer::Nobody {
                outcome: "old_epoch",
                why: format!("it hands out in epoch {epoch}, and this is {}", self.epoch),
            };
        }
        (self.epoch, self.heard, self.kept_until) = (epoch, Some(now), now + KEPT);
        answer()
    }

    /// Status, epoch, tag and body.
    async fn question(&self, nth: usize) -> Result<(u16, u64, String, Vec<u8>), String> {
        let whom = self.whom.get(nth).ok_or("there is nobody to ask")?;
        let reach = whom.reach.as_ref().map_err(Clone::clone)?;
        let held = self.given.held();
        let held: Vec<String> = held.into_iter().map(|id| format!("{id:x}")).collect();
        let mut headers = vec![
            (HELD.to_owned(), held.join(",")),
            (EPOCH.to_owned(), self.epoch.to_string()),
        ];
        headers.extend(self.tag.clone().map(|tag| ("if-none-match".to_owned(), tag)));
        let request = Request {
            method: Method::Get,
            url: whom.url.clone(),
            headers,
            body: Vec::new().into(),
            timeout: ANSWER_PATIENCE,
            answer_bytes_max: ANSWER_BYTES_MAX,
        };
        let via = reach.open(&*self.client, &|| true).await?;
        let answer = via.send(request).await.map_err(|error| error.to_string())?;
        let epoch = answer.header(EPOCH).and_then(|text| text.parse().ok());
        let tag = answer.header("etag").unwrap_or_default().to_owned();
        Ok((answer.status, epoch.unwrap_or(0), tag, answer.body))
    }

    fn remember(&self, tag: String, list: &[u8]) {
        let kept = Kept {
            epoch: self.epoch,
            tag,
            heard: self.clock.now(),
            list: String::from_utf8_lossy(list).into_owned(),
        };
        let text = serde_json::to_string(&kept).unwrap_or_default();
        let written = self
            .files
            .replace(Path::new(FILE), format!("{MAGIC}{text}").as_bytes());
        if let Err(error) = written {
            tracing::warn!(%error, "the targets that were given cannot be remembered");
        }
    }

    /// The list of the process before, if it is not too old.
    fn recall(&mut self) {
        let read = match self.files.read(Path::new(FILE)) {
            Ok(read) => String::from_utf8(read.unwrap_or_default()).unwrap_or_default(),
            Err(error) => return tracing::warn!(%error, "the targets that were given cannot be read"),
        };
        let Some(text) = read.strip_prefix(MAGIC) else {
            if !read.is_empty() {
                tracing::warn!(file = FILE, "is of another version, and is not read");
            }
            return;
        };
        let Ok(kept) = serde_json::from_str::<Kept>(text) else {
            return tracing::warn!(file = FILE, "is damaged, and is not read");
        };
        let age = self.clock.now().since(kept.heard);
        if age >= KEPT {
            return;
        }
        if let Ok(given) = Given::read(kept.list.as_bytes(), &self.node, &self.given) {
            tracing::info!(
                targets = given.len(),
                "nobody hands out targets; those from before are read"
            );
            (self.given, self.epoch, self.tag) = (given, kept.epoch, Some(kept.tag));
            self.kept_until = self.clock.running() + KEPT.saturating_sub(age);
            self.pool.take(&self.given);
        }
    }
}

impl Metrics {
    fn new(registry: &Registry) -> Self {
        let asked = counters(
            registry,
            "skopos_scrape_taken_asked_total",
            "Times that this agent has asked which targets are its own, by what came of it.",
            &["outcome"],
        );
        for outcome in OUTCOMES {
            asked.with_label_values(&[outcome]);
        }
        Self {
            targets: gauge(
                registry,
                "skopos_scrape_taken_targets",
                "Targets that this agent was given and reads.",
            ),
            epoch: gauge(
                registry,
                "skopos_scrape_taken_epoch",
                "Epoch of whoever gave them; 0 before anybody has.",
            ),
            asked,
        }
    }
}

/// Where targets may come from, if samples go there as they do to a replica of ours.
fn whom(entry: &remote::Config) -> Option<Whom> {
    let is_ours = entry.sigv4.is_none() && entry.write_relabel_configs.is_empty();
    let base = entry.url.strip_suffix(WRITE).filter(|_| is_ours)?;
    Some(Whom {
        url: format!("{base}{PATH}"),
        reach: entry.http.read(Path::new("")),
    })
}

fn told(shown: &Shown, now: Duration) -> Checkup {
    const NAME: &str = "handing";
    let lately = shown.heard.filter(|heard| now < *heard + 4 * PERIOD);
    let targets = match shown.targets {
        1 => "1 target that was given is read".to_owned(),
        count => format!("{count} targets that were given are read"),
    };
    let checkup = match (lately, shown.heard) {
        (Some(_), _) if shown.left_out.is_empty() => Checkup::ok(ROOM, NAME, targets),
        (Some(_), _) => Checkup::warn(
            ROOM,
            NAME,
            format!("{targets}; {} cannot be read here", shown.left_out.len()),
        )
        .advise("see whether agents and replicas are of the same version; whoever leads reads these"),
        (None, Some(heard)) => {
            let age = spoken(now.saturating_sub(heard));
            Checkup::warn(
                ROOM,
                NAME,
                format!("{targets}; for {age} nobody has handed out any: {}", shown.why),
            )
            .advise("see whether a replica leads, and whether this agent reaches it; what was given is read for a day")
        }
        (None, None) => Checkup::off(
            ROOM,
            NAME,
            format!("nobody has handed out targets: {}", shown.why),
        ),
    };
    checkup.list(shown.left_out.iter().map(|why| without_secrets(why)))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use journal::Disk;
    use model::BoxFuture;
    use model::outside::{ClientError, Response};
    use telemetry::clock::RuntimeClock;

    use super::*;

    const NOW: Timestamp = Timestamp(1_795_661_484_250);
    const LIST: &str = r#"[{"targets": ["a:80"], "labels": {"job": "shop", "instance": "a:80", "node": "n1", "__scheme__": "http",
        "__metrics_path__": "/metrics", "__scrape_interval__": "15s", "__scrape_timeout__": "10s",
        "__meta_skopos_pod": "uid-a", "__meta_skopos_settings": "{\"job_name\": \"shop\", \"is_node_added\": true}"}}]"#;

    /// Status, epoch and list of each.
    type Answers = [Option<(u16, u64, &'static str)>; 2];

    /// Two replicas: what each answers now, and what the agent said that it has.
    #[derive(Default)]
    struct Replicas {
        answers: Mutex<Answers>,
        asked: Mutex<Vec<(usize, HashSet<String>)>>,
    }

    impl Replicas {
        fn answer(&self, answers: Answers) {
            *self.answers.lock() = answers;
        }

        /// Who was asked last, and how much the agent had.
        fn last(&self) -> (usize, usize) {
            let asked = self.asked.lock();
            asked.last().map(|(nth, held)| (*nth, held.len())).unwrap()
        }
    }

    impl Client for Replicas {
        fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, ClientError>> {
            let nth = usize::from(request.url.starts_with("http://two/"));
            let header = |name: &str| {
                let found = request.headers.iter().find(|(known, _)| known == name);
                found.map(|(_, value)| value.clone()).unwrap_or_default()
            };
            let held = header(HELD);
            let held = held.split(',').filter(|id| !id.is_empty()).map(str::to_owned);
            self.asked.lock().push((nth, held.collect()));
            let answer = self.answers.lock()[nth];
            let answer = answer.map(|(status, epoch, body)| {
                let tag = format!("\"{}\"", body.len());
                let is_same = status == 200 && header("if-none-match") == tag;
                Response {
                    status: if is_same { 304 } else { status },
                    headers: vec![(EPOCH.to_owned(), epoch.to_string()), ("etag".to_owned(), tag)],
                    body: if is_same { Vec::new() } else { body.into() },
                }
            });
            Box::pin(async move { answer.ok_or(ClientError::Connect("nobody".to_owned())) })
        }
    }

    struct Agent {
        replicas: Arc<Replicas>,
        pool: Arc<Pool>,
        shown: Arc<Mutex<Shown>>,
        pods: watch::Sender<Arc<Pods>>,
        stop: CancellationToken,
    }

    /// The pod of the target on the list.
    fn pod(is_gone: bool) -> Arc<Pods> {
        let pod = model::pods::Pod {
            uid: "uid-a".to_owned(),
            is_gone,
            ..model::pods::Pod::default()
        };
        Arc::new(Pods {
            by_uid: [(pod.uid.clone(), Arc::new(pod))].into(),
        })
    }

    fn agent(folder: &Path) -> Agent {
        let registry = Registry::new();
        let clock = RuntimeClock::starting_at(NOW);
        let store = store::Config {
            history: store::History::None,
            ..store::Config::default()
        };
        let store = store::Store::open(&folder.join("metrics"), store, clock.clone(), &registry).unwrap();
        let replicas = Arc::new(Replicas::default());
        let pool = Pool::new(replicas.clone(), store, clock.clone(), &registry);
        let whom = [
            "http://one/api/v1/write",
            "http://two/api/v1/write",
            "http://other/push",
        ];
        let whom = whom.map(|url| remote::Config {
            url: url.to_owned(),
            ..remote::Config::default()
        });
        let (pods, known) = watch::channel(pod(false));
        let taking = Taking {
            pods: known,
            whom: whom.iter().filter_map(super::whom).collect(),
            pool: pool.clone(),
            node: "n1".to_owned(),
            client: replicas.clone(),
            files: Disk::new(folder),
            clock,
            given: Given::default(),
            tag: None,
            foreign: 0,
            epoch: 0,
            heard: None,
            kept_until: Duration::ZERO,
            begun: None,
            shown: Arc::default(),
            metrics: Metrics::new(&registry),
        };
        let (shown, stop) = (Arc::clone(&taking.shown), CancellationToken::new());
        tokio::spawn(taking.run(stop.clone()));
        Agent {
            replicas,
            pool,
            shown,
            pods,
            stop,
        }
    }

    async fn later(seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_given_is_read_while_nobody_says_otherwise_and_no_epoch_that_is_over_counts() {
        let folder = tempfile::tempdir().unwrap();
        let agent = agent(folder.path());
        let targets = || agent.pool.view().len();
        agent.replicas.answer([Some((503, 3, "two leads")), None]);
        later(10).await;
        assert_eq!(targets(), 0);
        agent
            .replicas
            .answer([Some((503, 3, "two leads")), Some((200, 3, LIST))]);
        later(10).await;
        assert_eq!((targets(), agent.replicas.last()), (1, (1, 1)));
        // Nobody is there.
        agent.replicas.answer([None, None]);
        later(3_600).await;
        assert_eq!(targets(), 1);
        assert!(
            agent.shown.lock().why.contains("nobody"),
            "{}",
            agent.shown.lock().why
        );
        // The one that leads comes back, and one that led before as well, which does not know it.
        agent.replicas.answer([None, Some((200, 3, LIST))]);
        later(10).await;
        agent.replicas.answer([Some((200, 2, "[]")), None]);
        later(30).await;
        assert_eq!(targets(), 1, "its epoch is over");
        agent.replicas.answer([Some((200, 4, "[]")), None]);
        later(10).await;
        assert_eq!(targets(), 0);
        // The Lease has been made anew: after a minute a lower epoch counts.
        agent.replicas.answer([None, Some((200, 1, LIST))]);
        later(30).await;
        assert_eq!(targets(), 0);
        later(60).await;
        assert_eq!(targets(), 1);
        // Whoever stops says that it has nothing any more.
        agent.stop.cancel();
        later(2).await;
        assert_eq!(agent.replicas.last().1, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn an_agent_that_starts_while_nobody_leads_reads_what_it_had_for_a_day_at_most() {
        let folder = tempfile::tempdir().unwrap();
        let before = agent(folder.path());
        before.replicas.answer([Some((200, 3, LIST)), None]);
        later(10).await;
        assert_eq!(before.pool.view().len(), 1);
        before.stop.cancel();
        later(2).await;
        drop(before);
        let folder_of_store = tempfile::tempdir().unwrap();
        std::fs::copy(folder.path().join(FILE), folder_of_store.path().join(FILE)).unwrap();
        let after = agent(folder_of_store.path());
        later(10).await;
        assert_eq!(after.pool.view().len(), 0, "somebody may answer yet");
        later(20).await;
        assert_eq!(after.pool.view().len(), 1);
        later(25 * 3_600).await;
        assert_eq!(after.pool.view().len(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_target_whose_pod_goes_while_nobody_leads_is_left_and_not_before() {
        let folder = tempfile::tempdir().unwrap();
        let agent = agent(folder.path());
        let targets = || agent.pool.view().len();
        agent.replicas.answer([Some((200, 3, LIST)), None]);
        later(10).await;
        agent.pods.send_replace(pod(true));
        later(60).await;
        assert_eq!(targets(), 1, "whoever leads says what there is");
        agent.pods.send_replace(pod(false));
        agent.replicas.answer([None, None]);
        later(60).await;
        assert_eq!(targets(), 1, "its pod is there");
        // Nothing is known of any pod: the API server is away.
        agent.pods.send_replace(Arc::default());
        later(60).await;
        assert_eq!(targets(), 1);
        agent.pods.send_replace(pod(true));
        later(10).await;
        assert_eq!((targets(), agent.replicas.last().1), (0, 0));
    }

    #[test]
    fn targets_come_from_where_samples_go_in_the_way_of_a_replica() {
        let of = |url: &str| {
            let entry = remote::Config {
                url: url.to_owned(),
                ..remote::Config::default()
            };
            whom(&entry).map(|whom| whom.url)
        };
        let replica = of("http://skopos-pair-0.skopos-pair.shop.svc:9464/api/v1/write");
        let wanted = "http://skopos-pair-0.skopos-pair.shop.svc:9464/api/v1/handed";
        assert_eq!(replica.as_deref(), Some(wanted));
        assert_eq!(
            of("https://aps.example/workspaces/ws-1/api/v1/remote_write"),
            None
        );
    }
}
