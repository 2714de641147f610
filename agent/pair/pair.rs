//! The task: asks the arbiter, beats, takes in what rules say and hands on what both replicas say.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use journal::{Change, FORMAT_HIGHEST, Journal};
use model::outside::{Client, Serve};
use model::{AlertEvent, Arbiter, ArbiterError, BoxFuture, Clock, Lease, Revision, Timestamp};
use prometheus::Registry;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::beat::{Beat, Fullness, Last, PATH};
use crate::config::{Config, Keys, PEER};
use crate::core::{KEPT, Kept};
use crate::elector::Ask;
use crate::handle::{Handle, Inner, Near};
use crate::metrics::Metrics;
use crate::start::Copied;

/// Longest wait for the answer to a beat.
const BEAT_PATIENCE: Duration = Duration::from_secs(1);
/// Words of our rules taken in at once.
const BATCH: usize = 256;
/// Pause before another try at copying.
const COPY_PAUSE: Duration = Duration::from_secs(5);

/// How the rest of the house copies what the peer has: its URL, the token to show it, and whom to tell which share is
/// done. An error is a sentence.
pub type Copying = Arc<
    dyn Fn(String, Option<String>, Arc<dyn Fn(f64) + Send + Sync>) -> BoxFuture<'static, Result<(), String>>
        + Send
        + Sync,
>;

/// Whom the pair knows.
pub struct Neighbours {
    pub client: Arc<dyn Client>,
    /// None: who leads cannot be asked, and only who tells people is settled.
    pub arbiter: Option<Arc<dyn Arbiter>>,
    /// What our own rules say; full: the state comes again.
    pub events: mpsc::Receiver<AlertEvent>,
    /// What both say, for our notifier; full: the newest state waits.
    pub merged: mpsc::Sender<AlertEvent>,
    /// When we last heard each sender.
    pub heard: Arc<dyn Fn() -> BTreeMap<Arc<str>, Timestamp> + Send + Sync>,
    /// Told when the peer did, by our clock; of very many senders not all at once.
    pub heard_elsewhere: Arc<dyn Fn(BTreeMap<Arc<str>, Timestamp>) + Send + Sync>,
    /// Whether there are senders, and we hear none of them.
    pub deaf: Arc<dyn Fn() -> bool + Send + Sync>,
    /// Told whether a sender that we do not hear may be called silent: while the other replica is not heard, only by
    /// the one that speaks.
    pub judge: Arc<dyn Fn(bool) + Send + Sync>,
    /// Told whether samples have to wait, because older ones are to be copied first; until then they should.
    pub hold: Arc<dyn Fn(bool) + Send + Sync>,
    pub fullness: Arc<dyn Fn() -> Fullness + Send + Sync>,
    /// Has our rules adopt what the peer's rules had firing: its table lies in the journal under `peer/`.
    pub inherit: Arc<dyn Fn() + Send + Sync>,
    pub copy: Copying,
    /// Answers a person's write that the peer passed on.
    pub writes: Arc<dyn Serve>,
}

/// What beats tell of the rest of the house.
pub(crate) struct Seen {
    pub(crate) heard: Arc<dyn Fn() -> BTreeMap<Arc<str>, Timestamp> + Send + Sync>,
    pub(crate) heard_elsewhere: Arc<dyn Fn(BTreeMap<Arc<str>, Timestamp>) + Send + Sync>,
    pub(crate) deaf: Arc<dyn Fn() -> bool + Send + Sync>,
    pub(crate) judge: Arc<dyn Fn(bool) + Send + Sync>,
    pub(crate) hold: Arc<dyn Fn(bool) + Send + Sync>,
    pub(crate) fullness: Arc<dyn Fn() -> Fullness + Send + Sync>,
}

pub struct Pair(Handle);

impl Pair {
    /// `config.name` must not be empty: by default it is the host's. Complaints are the caller's to heed.
    #[must_use]
    pub fn new(
        config: Config,
        keys: Keys,
        journal: Journal,
        clock: Arc<dyn Clock>,
        registry: &Registry,
    ) -> (Self, Handle) {
        if config.peer.is_none() {
            // Nobody else reads what we write.
            journal.set_format(FORMAT_HIGHEST);
        }
        let handle = Handle::new(config, Arc::new(keys), journal, clock, Metrics::new(registry));
        (Self(handle.clone()), handle)
    }

    /// Ends when told to: what the peer lacks is told, and the lease is given back.
    pub async fn run(self, near: Neighbours, stop: CancellationToken) {
        let inner = self.0.0;
        let seen = Seen {
            heard: near.heard,
            heard_elsewhere: near.heard_elsewhere,
            deaf: near.deaf,
            judge: near.judge,
            hold: near.hold,
            fullness: near.fullness,
        };
        let now = inner.clock.running();
        inner
            .core
            .lock()
            .begin(now, (seen.fullness)(), near.arbiter.is_some());
        let kept = inner.journal.get(KEPT).unwrap_or_default();
        // A pair runs once: nobody has set it before.
        _ = inner.near.set(Near {
            client: near.client,
            writes: near.writes,
            seen,
        });
        let mut task = Task {
            arbiter: near.arbiter,
            events: Some(near.events),
            merged: near.merged,
            inherit: near.inherit,
            copy: near.copy,
            asking: None,
            beating: None,
            copying: None,
            keeping: None,
            sweeping: None,
            next_beat: now,
            next_copy: now,
            kept,
            changed: inner.journal.watch(),
            inner,
        };
        while task.turn(&stop).await {}
        task.finish().await;
    }
}

type Work<T> = Option<BoxFuture<'static, T>>;

struct Task {
    inner: Arc<Inner>,
    arbiter: Option<Arc<dyn Arbiter>>,
    /// None once rules have ended.
    events: Option<mpsc::Receiver<AlertEvent>>,
    merged: mpsc::Sender<AlertEvent>,
    inherit: Arc<dyn Fn() + Send + Sync>,
    copy: Copying,
    asking: Work<Asked>,
    beating: Work<&'static str>,
    copying: Work<Result<(), String>>,
    keeping: Work<Option<Kept>>,
    sweeping: Work<()>,
    next_beat: Duration,
    next_copy: Duration,
    /// As it lies on the disk.
    kept: Kept,
    changed: watch::Receiver<u64>,
}

/// What the arbiter said to what was asked at a time.
struct Asked {
    at: Duration,
    answer: Answer,
}

enum Answer {
    Read(Result<Option<(Lease, Revision)>, ArbiterError>),
    Wrote {
        lease: Lease,
        takes: bool,
        result: Result<Revision, ArbiterError>,
    },
}

impl Task {
    /// One wait and what follows from it; `false` once it is time to stop.
    async fn turn(&mut self, stop: &CancellationToken) -> bool {
        let wait = self.step();
        let inner = Arc::clone(&self.inner);
        let mut said = Vec::new();
        tokio::select! {
            biased;
            () = stop.cancelled() => return false,
            asked = done(&mut self.asking) => self.asked(asked),
            outcome = done(&mut self.beating) => self.beaten(outcome),
            copied = done(&mut self.copying) => self.copied(copied),
            kept = done(&mut self.keeping) => if let Some(kept) = kept { self.kept = kept },
            () = done(&mut self.sweeping) => {}
            more = hear(&mut self.events, &mut said) => {
                if more {
                    self.tell(said);
                } else {
                    self.events = None;
                }
            }
            Ok(()) = self.changed.changed() => drop(self.changed.borrow_and_update()),
            () = inner.poke.notified() => {}
            () = inner.clock.sleep(wait) => {}
        }
        true
    }

    /// Does what is due; how long there is nothing more.
    fn step(&mut self) -> Duration {
        let inner = Arc::clone(&self.inner);
        self.tell(Vec::new());
        self.hand_on();
        let now = inner.clock.running();
        let mut core = inner.core.lock();
        let mut next = now + core.wait(now);
        if self.arbiter.is_some() && self.asking.is_none() {
            let stand = core.stand(now);
            if let Some(ask) = core.elector.begin(now, stand) {
                self.ask(ask);
            } else {
                next = next.min(core.elector.next());
            }
        }
        let beats = inner.config.peer.is_some() && self.beating.is_none();
        let beats_now = beats && (now >= self.next_beat || core.has_news(now));
        if beats && !beats_now {
            next = next.min(self.next_beat);
        }
        let copies = self.copying.is_none() && now >= self.next_copy && core.wants_copy(now);
        if copies {
            core.start.copied = Copied::Running(0.0);
        }
        if self.copying.is_some() && core.start.is_over(now) {
            warn!("copying from the other replica takes too long; what is here must do");
            self.copying = None;
            core.start.copied = Copied::Done;
        }
        let inherits = core.takes_inherit(now);
        let kept = core.kept();
        let sweeps = core.takes_sweep(now);
        drop(core);
        if beats_now {
            self.beat(now);
        }
        if copies {
            self.begin_copy();
        }
        if inherits {
            (self.inherit)();
        }
        if let Some(incarnation) = sweeps {
            let gone = inner.journal.not_from(PEER, incarnation);
            self.sweeping = Some(Box::pin(sweep(Arc::clone(&inner), gone)));
        }
        if self.keeping.is_none() && kept != self.kept && inner.config.peer.is_some() {
            self.keeping = Some(Box::pin(async move {
                let written = keep(&inner, kept).await;
                if written.is_none() {
                    // Not again at every step.
                    inner.clock.sleep(inner.config.retry).await;
                }
                written
            }));
        }
        next.saturating_sub(now)
    }

    fn ask(&mut self, ask: Ask) {
        let Some(arbiter) = self.arbiter.clone() else {
            return;
        };
        let inner = Arc::clone(&self.inner);
        let at = inner.clock.running();
        let limit = inner.config.renew_deadline / 2;
        self.asking = Some(Box::pin(async move {
            let answer = match ask {
                Ask::Read => Answer::Read(within(limit, arbiter.read()).await),
                Ask::Write { lease, over, takes } => {
                    let result = within(limit, arbiter.write(lease.clone(), over)).await;
                    if result.is_ok() && takes {
                        // Before anything is done with it. A disk that does not take it silences nobody: the
                        // epoch is in the lease too.
                        _ = keep(
                            &inner,
                            Kept {
                                epoch: lease.epoch,
                                last: last(&lease),
                            },
                        )
                        .await;
                    }
                    Answer::Wrote { lease, takes, result }
                }
            };
            Asked { at, answer }
        }));
    }

    fn asked(&mut self, Asked { at, answer }: Asked) {
        let now = self.inner.clock.running();
        let mut core = self.inner.core.lock();
        let error = match &answer {
            Answer::Read(Err(ArbiterError::Away(why)))
            | Answer::Wrote {
                result: Err(ArbiterError::Away(why)),
                ..
            } => why.clone(),
            _ => String::new(),
        };
        if !error.is_empty() {
            self.inner.metrics.arbiter_failures.inc();
            if core.arbiter_error.is_empty() {
                warn!(error, "who leads cannot be asked");
            }
        } else if !core.arbiter_error.is_empty() {
            info!("who leads can be asked again");
        }
        core.arbiter_error = error;
        let next = match answer {
            Answer::Read(read) => {
                let stand = core.stand(now);
                core.elector.read(at, now, read, stand)
            }
            Answer::Wrote { lease, takes, result } => {
                if result.is_ok() {
                    core.learn(&last(&lease));
                }
                core.elector.wrote(at, now, (lease, takes), result);
                None
            }
        };
        drop(core);
        if let Some(ask) = next {
            self.ask(ask);
        }
    }

    fn beat(&mut self, now: Duration) {
        self.next_beat = now + self.inner.config.beat;
        let inner = Arc::clone(&self.inner);
        let (Some(near), Some(peer)) = (inner.near.get(), inner.config.peer.clone()) else {
            return;
        };
        let beat = inner.compose(near);
        let client = Arc::clone(&near.client);
        let inner = Arc::clone(&self.inner);
        self.beating = Some(Box::pin(async move {
            let request = inner.request(&peer, PATH, &beat, BEAT_PATIENCE).await;
            let answer = match client.send(request).await {
                Ok(answer) => answer,
                Err(error) => return error.reason(),
            };
            if answer.status != 200 {
                return match answer.status {
                    401 | 403 | 409 => "refused",
                    _ => "status",
                };
            }
            match serde_json::from_slice::<Beat>(&answer.body) {
                Ok(beat) => inner
                    .take(beat, Some(now))
                    .await
                    .map_or("refused", |()| "answered"),
                Err(_) => "malformed",
            }
        }));
    }

    fn beaten(&self, outcome: &'static str) {
        self.inner.metrics.beats.with_label_values(&[outcome]).inc();
    }

    fn begin_copy(&mut self) {
        let inner = Arc::clone(&self.inner);
        let Some(peer) = inner.config.peer.clone() else {
            return;
        };
        let copy = Arc::clone(&self.copy);
        info!(peer, "this replica has no data; it copies from the other");
        self.copying = Some(Box::pin(async move {
            let token = inner.bearer().await;
            let progress = move |share: f64| {
                let copied = &mut inner.core.lock().start.copied;
                if matches!(copied, Copied::Running(_)) {
                    *copied = Copied::Running(share);
                }
            };
            copy(peer, token, Arc::new(progress)).await
        }));
    }

    fn copied(&mut self, copied: Result<(), String>) {
        let now = self.inner.clock.running();
        let mut core = self.inner.core.lock();
        match copied {
            Ok(()) => {
                info!("copied what the other replica has");
                core.start.copied = Copied::Done;
            }
            Err(error) => {
                warn!(error, "copying from the other replica failed");
                core.start.copied = Copied::Wanted;
                self.next_copy = now + COPY_PAUSE;
            }
        }
    }

    fn tell(&mut self, mut said: Vec<AlertEvent>) {
        // Notices whether this process stood still.
        self.inner.tick();
        if self.inner.core.lock().takes_woken() {
            while let Some(Ok(event)) = self.events.as_mut().map(mpsc::Receiver::try_recv) {
                said.push(event);
            }
            for event in &mut said {
                event.known = false;
            }
        }
        let (now, wall) = (self.inner.clock.running(), self.inner.clock.now());
        let mut core = self.inner.core.lock();
        for event in said {
            core.words.own(event, now, wall);
        }
    }

    /// Hands on what both say, as far as there is room.
    fn hand_on(&self) {
        let now = self.inner.clock.running();
        let mut core = self.inner.core.lock();
        let epoch = core.leadership().epoch;
        while let Some(event) = core.words.next(now, epoch) {
            let (fingerprint, state) = (event.fingerprint, event.state);
            if self.merged.try_send(event).is_err() {
                break;
            }
            core.words.handed_on(fingerprint, state);
        }
    }

    async fn finish(mut self) {
        let inner = Arc::clone(&self.inner);
        inner.core.lock().stop();
        inner.tick();
        if let Some(events) = &mut self.events {
            let mut said = Vec::new();
            while let Ok(event) = events.try_recv() {
                said.push(event);
            }
            self.tell(said);
        }
        self.hand_on();
        self.last_beats().await;
        if let Some(asking) = self.asking.take()
            && let Ok(asked) = tokio::time::timeout(inner.config.retry, asking).await
        {
            self.asked(asked);
        }
        let given = inner.core.lock().elector.give_back();
        if let (Some(arbiter), Some((lease, over))) = (&self.arbiter, given) {
            match within(inner.config.retry, arbiter.write(lease, over)).await {
                Ok(_) => info!("the lease is given back"),
                Err(error) => warn!(%error, "the lease is not given back; it runs out by itself"),
            }
        }
    }

    /// The peer hears that we no longer act, and what it does not know yet, before it can take the lease.
    async fn last_beats(&mut self) {
        let inner = Arc::clone(&self.inner);
        let all = async {
            if let Some(beating) = self.beating.take() {
                let outcome = beating.await;
                self.beaten(outcome);
            }
            loop {
                let now = inner.clock.running();
                self.beat(now);
                let Some(beating) = self.beating.take() else {
                    break;
                };
                let outcome = beating.await;
                self.beaten(outcome);
                let upto = inner.journal.seq();
                if outcome != "answered" || inner.core.lock().has_shared(upto, now) {
                    break;
                }
            }
        };
        // Nobody waits longer for a peer that does not answer.
        _ = tokio::time::timeout(BEAT_PATIENCE * 2, all).await;
    }
}

fn last(lease: &Lease) -> Last {
    Last {
        epoch: lease.epoch,
        holder: lease.holder.clone(),
    }
}

/// Makes the epoch durable; none if the disk does not take it.
async fn keep(inner: &Inner, kept: Kept) -> Option<Kept> {
    let written = inner.journal.write(vec![Change::put(KEPT, &kept)]).await;
    if let Err(error) = written {
        inner.metrics.journal_failures.inc();
        warn!(%error, epoch = kept.epoch, "the epoch cannot be kept");
        return None;
    }
    Some(kept)
}

/// Lets go of what is no more in the peer's own tables.
async fn sweep(inner: Arc<Inner>, gone: Vec<String>) {
    let changes = gone.into_iter().map(Change::remove).collect();
    if let Err(error) = inner.journal.write(changes).await {
        // They are no harm, and go with the next life of the peer.
        inner.metrics.journal_failures.inc();
        warn!(%error, "what an earlier life of the other replica left stays");
    }
}

async fn within<T>(
    limit: Duration,
    asking: BoxFuture<'_, Result<T, ArbiterError>>,
) -> Result<T, ArbiterError> {
    let answer = tokio::time::timeout(limit, asking).await;
    answer.unwrap_or_else(|_| {
        let limit = model::text::duration::short(limit);
        Err(ArbiterError::Away(format!("no answer within {limit}")))
    })
}

/// Waits for a piece of work, if there is one.
async fn done<T>(work: &mut Work<T>) -> T {
    let Some(running) = work else {
        return pending().await;
    };
    let done = running.await;
    *work = None;
    done
}

/// Waits for words of our rules; false once there are no more.
async fn hear(events: &mut Option<mpsc::Receiver<AlertEvent>>, said: &mut Vec<AlertEvent>) -> bool {
    match events {
        Some(events) => events.recv_many(said, BATCH).await > 0,
        None => pending().await,
    }
}
