//! What the rest of the house holds of the pair: who leads, what the peer knows, and the way to it.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use journal::Journal;
use model::outside::{Call, Client, Method, Request, Response, Role, Serve};
use model::{BoxFuture, Clock, Leadership, Ledger, Share, view};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};
use tracing::{info, warn};

use crate::beat::{BODY_BYTES_MAX, Beat, PATH};
use crate::config::{Config, Keys};
use crate::core::{Core, Refusal};
use crate::memo::Stand;
use crate::metrics::Metrics;
use crate::pair::Seen;

/// Where a person's write is passed on.
pub(crate) const WRITES: &str = "/peer/v1/write";
/// Longest wait for the peer to know something.
const SHARE_PATIENCE: Duration = Duration::from_secs(1);
const FORWARD_PATIENCE: Duration = Duration::from_secs(5);
/// How long a token that was read from its file is used.
const TOKEN_KEPT: Duration = Duration::from_secs(5);
/// What of a person's request matters to whoever answers it.
const PASSED_HEADERS: [&str; 2] = ["content-type", "accept"];

/// Cheap to clone; all clones speak of the same pair.
#[derive(Clone)]
pub struct Handle(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) core: Mutex<Core>,
    pub(crate) config: Config,
    pub(crate) journal: Journal,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Metrics,
    pub(crate) leads: watch::Sender<Leadership>,
    /// Tells of everything heard; who waits first is woken first.
    progress: Notify,
    pub(crate) poke: Notify,
    /// Known once the task runs.
    pub(crate) near: OnceLock<Near>,
    token: Mutex<Option<(Duration, String)>>,
    /// Whether the disk did not take what the peer told last: said once, not with every beat.
    refuses: AtomicBool,
    /// Whether it was told that samples have to wait.
    holding: Mutex<Option<bool>>,
    pub(crate) memo: Mutex<Stand>,
}

pub(crate) struct Near {
    pub(crate) client: Arc<dyn Client>,
    pub(crate) writes: Arc<dyn Serve>,
    pub(crate) seen: Seen,
}

/// A person's write on its way.
#[derive(Serialize, Deserialize)]
struct Passed {
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Handle {
    pub(crate) fn new(
        config: Config,
        keys: Arc<Keys>,
        journal: Journal,
        clock: Arc<dyn Clock>,
        metrics: Metrics,
    ) -> Self {
        let core = Core::new(config.clone(), keys, journal.clone(), clock.running());
        let leads = watch::Sender::new(core.leadership().clone());
        Self(Arc::new(Inner {
            core: Mutex::new(core),
            config,
            journal,
            clock,
            metrics,
            leads,
            progress: Notify::new(),
            poke: Notify::new(),
            near: OnceLock::new(),
            token: Mutex::new(None),
            refuses: AtomicBool::new(false),
            holding: Mutex::new(None),
            memo: Mutex::default(),
        }))
    }

    /// Changes at every step, for `until` moves on.
    #[must_use]
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.0.leads.subscribe()
    }

    #[must_use]
    pub fn view(&self) -> view::Pair {
        self.0.core.lock().view(self.0.clock.running())
    }

    /// `taken` counts each time that there was something to say of an alert.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        self.0.core.lock().words.ledger()
    }

    /// Whether a person's write belongs here; otherwise see [`Self::forward`].
    #[must_use]
    pub fn takes_writes(&self) -> bool {
        self.0.core.lock().takes_writes(self.0.clock.running())
    }

    /// Where the replica is that leads, if it is known to be the other.
    #[must_use]
    pub fn holder_url(&self) -> Option<String> {
        let core = self.0.core.lock();
        let now = self.0.clock.running();
        let there = !core.takes_writes(now) && core.peer_takes_writes(now);
        there.then(|| self.0.config.peer.clone())?
    }

    /// Passes a person's write to whoever leads, and gives its answer; 503 with a name where that fails.
    #[must_use]
    pub fn forward(&self, call: Call) -> BoxFuture<'static, Response> {
        let inner = Arc::clone(&self.0);
        let url = self.holder_url();
        Box::pin(async move {
            let holder = inner.core.lock().view(inner.clock.running()).holder;
            let count = |outcome| inner.metrics.forwarded.with_label_values(&[outcome]).inc();
            let Some((url, near)) = url.zip(inner.near.get()) else {
                count("nobody");
                return said(503, "nobody is known to lead; try again in a few seconds");
            };
            let holder = holder.unwrap_or_else(|| url.clone());
            let Ok(body) = String::from_utf8(call.body) else {
                count("malformed");
                return said(400, "the body is not text");
            };
            let is_passed = |(name, _): &(String, String)| PASSED_HEADERS.contains(&name.as_str());
            let passed = Passed {
                method: call.method,
                path: call.path,
                query: call.query,
                headers: call.headers.into_iter().filter(is_passed).collect(),
                body,
            };
            let request = inner.request(&url, WRITES, &passed, FORWARD_PATIENCE).await;
            match near.client.send(request).await {
                Ok(answer) => {
                    count("answered");
                    answer
                }
                Err(error) => {
                    count(error.reason());
                    said(503, &format!("{holder} leads and cannot be reached: {error}"))
                }
            }
        })
    }
}

impl Share for Handle {
    fn shared(&self) -> BoxFuture<'static, bool> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            if inner.config.peer.is_none() {
                return true;
            }
            let upto = inner.journal.seq();
            let mut patience = inner.clock.sleep(SHARE_PATIENCE);
            inner.poke.notify_one();
            loop {
                // Before the look, so that nothing heard after it is missed.
                let progress = inner.progress.notified();
                {
                    let (mut core, now) = (inner.core.lock(), inner.clock.running());
                    if core.has_shared(upto, now) {
                        return true;
                    }
                    if !core.is_in_step(now) {
                        return false;
                    }
                }
                tokio::select! {
                    biased;
                    () = progress => {}
                    () = &mut patience => return false,
                }
            }
        })
    }
}

impl Serve for Handle {
    fn serve(&self, call: Call) -> BoxFuture<'static, Response> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            let refuse = |reason, status, sentence: &str| {
                inner.metrics.refused.with_label_values(&[reason]).inc();
                said(status, sentence)
            };
            if call.from.as_ref().is_none_or(|from| from.role != Role::Replica) {
                return refuse("identity", 403, "only the other replica may say this");
            }
            let Some(near) = inner.near.get() else {
                return refuse("starting", 503, "this replica is starting");
            };
            if call.path == WRITES {
                return inner.passed(near, &call).await;
            }
            let beat: Beat = match serde_json::from_slice(&call.body) {
                Ok(beat) => beat,
                Err(error) => return refuse("malformed", 400, &format!("not a beat: {error}")),
            };
            match inner.take(beat, None).await {
                Ok(()) => json(&inner.compose(near)),
                Err(Refusal::Namesake) => refuse(
                    "namesake",
                    409,
                    "both replicas have the same name; set pair.name to another on one of them",
                ),
                Err(Refusal::Format) => refuse(
                    "format",
                    409,
                    "there is no format that both replicas read; one of them is too old",
                ),
            }
        })
    }
}

impl Inner {
    /// Looks at everything anew and tells who leads.
    pub(crate) fn tick(&self) {
        let seen = self.near.get().map(|near| &near.seen);
        // First, so that of two that look at once the later one has the last word.
        let mut told = self.holding.lock();
        let deaf = seen.is_some_and(|seen| (seen.deaf)());
        let (mut core, now) = (self.core.lock(), self.clock.running());
        let next = core.tick(now, deaf);
        let (judges, holds) = (core.judges(now), core.start.holds_samples());
        self.metrics.show(&core, &next, now);
        drop(core);
        if let Some(seen) = seen {
            (seen.judge)(judges);
            if told.replace(holds) != Some(holds) {
                (seen.hold)(holds);
            }
        }
        drop(told);
        self.leads.send_if_modified(|known| {
            let changed = *known != next;
            *known = next;
            changed
        });
    }

    /// Takes in what the peer says, in answer to what we said at `asked`, or unasked. When it returns, what is to be
    /// kept of it is on the disk.
    pub(crate) async fn take(&self, beat: Beat, asked: Option<Duration>) -> Result<(), Refusal> {
        // What was heard before this process stood still must not look fresh.
        self.tick();
        let heard = self
            .core
            .lock()
            .hear(beat, self.clock.running(), self.clock.now())?;
        if let (Some(senders), Some(near)) = (heard.senders, self.near.get()) {
            (near.seen.heard_elsewhere)(senders);
            self.core.lock().named(heard.incarnation);
        }
        self.tick();
        let count = |outcome, entries: usize| {
            let merged = self.metrics.map_merged.with_label_values(&[outcome]);
            merged.inc_by(entries as u64);
        };
        count("refused", heard.refused);
        match self.journal.merge_aside(heard.entries, heard.incarnation).await {
            Ok(merged) => {
                if let Some(stretch) = heard.stretch {
                    let now = self.clock.running();
                    self.core.lock().took(heard.incarnation, stretch, asked, now);
                }
                if self.refuses.swap(false, Ordering::Relaxed) {
                    info!("what the other replica tells can be kept again");
                }
                count("taken", merged.taken);
                count("old", merged.old);
                count("same", merged.same);
            }
            Err(error) => {
                self.metrics.journal_failures.inc();
                if !self.refuses.swap(true, Ordering::Relaxed) {
                    warn!(%error, "what the other replica told cannot be kept; it will tell again");
                }
            }
        }
        self.tick();
        self.progress.notify_waiters();
        self.poke.notify_one();
        Ok(())
    }

    pub(crate) fn compose(&self, near: &Near) -> Beat {
        let (now, wall) = (self.clock.running(), self.clock.now());
        let fullness = (near.seen.fullness)();
        let names = self.core.lock().names_senders(now);
        let heard = names.then(|| (near.seen.heard)());
        let heard = heard.map(|heard| self.core.lock().some_of(heard));
        Beat {
            heard,
            ..self.core.lock().compose(now, wall, fullness)
        }
    }

    pub(crate) async fn request(
        &self,
        url: &str,
        path: &str,
        body: &impl Serialize,
        timeout: Duration,
    ) -> Request {
        let mut headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        if let Some(token) = self.bearer().await {
            headers.push(("authorization".to_owned(), format!("Bearer {token}")));
        }
        Request {
            method: Method::Post,
            url: format!("{}{path}", url.trim_end_matches('/')),
            headers,
            // Beats hold nothing that JSON cannot say.
            body: serde_json::to_vec(body).unwrap_or_default().into(),
            timeout,
            answer_bytes_max: BODY_BYTES_MAX,
        }
    }

    /// The token to show the peer, if there is one.
    pub(crate) async fn bearer(&self) -> Option<String> {
        let file = self.config.token_file.as_ref()?;
        let now = self.clock.running();
        let known = self.token.lock().clone();
        if let Some((_, token)) = known.filter(|(read_at, _)| now.saturating_sub(*read_at) < TOKEN_KEPT) {
            return Some(token);
        }
        match tokio::fs::read_to_string(file).await {
            Ok(text) => {
                let token = text.trim().to_owned();
                *self.token.lock() = Some((now, token.clone()));
                Some(token)
            }
            Err(error) => {
                warn!(%error, path = %file.display(), "the token for the other replica cannot be read");
                None
            }
        }
    }

    async fn passed(&self, near: &Near, call: &Call) -> Response {
        if !self.core.lock().takes_writes(self.clock.running()) {
            return said(
                503,
                "this replica does not lead either; try again in a few seconds",
            );
        }
        match serde_json::from_slice::<Passed>(&call.body) {
            Ok(passed) => {
                let call = Call {
                    method: passed.method,
                    path: passed.path,
                    query: passed.query,
                    headers: passed.headers,
                    body: passed.body.into_bytes(),
                    local: false,
                    from: call.from.clone(),
                };
                near.writes.serve(call).await
            }
            Err(error) => said(400, &format!("not a write that was passed on: {error}")),
        }
    }
}

/// The paths that [`Handle`] serves.
pub const PATHS: [&str; 2] = [PATH, WRITES];

fn json(body: &impl Serialize) -> Response {
    Response {
        status: 200,
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: serde_json::to_vec(body).unwrap_or_default(),
    }
}

fn said(status: u16, sentence: &str) -> Response {
    Response {
        status,
        headers: vec![("content-type".to_owned(), "text/plain; charset=utf-8".to_owned())],
        body: format!("{sentence}\n").into_bytes(),
    }
}
