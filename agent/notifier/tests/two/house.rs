//! The pair and what is around it: an arbiter that says who speaks, a line between the two, receivers.

use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use fastrand::Rng;
use journal::Journal;
use model::outside::{Client, ClientError, Files, Request, Response};
use model::{AlertEvent, BoxFuture, Clock, Leadership, Share, Timestamp};
use prometheus::Registry;
use telemetry::clock::RuntimeClock;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::super::fake::pagerduty::{ROUTING_KEY, Service};
use super::super::world::{Memory, START, config, secs};
use crate::{Handle, Notifier};

pub(super) const SLACK: &str = "http://slack/";
pub(super) const PAGERDUTY: &str = "http://pagerduty/";
pub(super) const HOOK: &str = "http://hook/";

const TICK: Duration = Duration::from_millis(250);
/// As the pair's: how long the lease lasts without renewal, and its holder may rely on it.
const LEASE: Duration = Duration::from_secs(10);
const RELY: Duration = Duration::from_secs(7);

#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    Kill(usize, Duration),
    Both(Duration),
    Pause(usize, Duration),
    /// As soon as its next message has arrived somewhere, before it can know that.
    KillAtArrival(usize, Duration),
    PauseAtArrival(usize, Duration),
    Partition(Duration),
    Arbiter(Duration),
    Receiver(Duration),
    Clock(usize, i64),
}

/// A message that reached its receiver.
#[derive(Clone, Debug)]
pub(super) struct Arrival {
    pub(super) at: Duration,
    pub(super) from: usize,
    pub(super) url: String,
    pub(super) body: Vec<u8>,
}

/// What lies outside, for both.
pub(super) struct Outside {
    started: Instant,
    pub(super) arrivals: Mutex<Vec<Arrival>>,
    pub(super) service: Mutex<Service>,
    random: Mutex<Rng>,
    fails_until: Mutex<Duration>,
    /// Whose next arrival is its last act for a while.
    armed: Mutex<Option<usize>>,
}

impl Outside {
    fn running(&self) -> Duration {
        self.started.elapsed()
    }
}

/// How one replica reaches the receivers.
struct Line {
    half: usize,
    outside: Arc<Outside>,
    ice: Arc<Ice>,
}

impl Client for Line {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, ClientError>> {
        Box::pin(async move {
            let (there, back, fails) = {
                let mut random = self.outside.random.lock().unwrap();
                let fails = self.outside.running() < *self.outside.fails_until.lock().unwrap();
                let fails = fails.then(|| random.u8(..3));
                let slow = if random.u8(..) < 30 { 4_000 } else { 300 };
                (random.u64(..slow), random.u64(..slow), fails)
            };
            tokio::time::sleep(Duration::from_millis(there)).await;
            let answer = match fails {
                Some(0) => return Err(ClientError::Connect("connection refused".to_owned())),
                Some(1) => (503, Vec::new()),
                _ => self.arrives(&request),
            };
            tokio::time::sleep(Duration::from_millis(back)).await;
            // A process that stands still reads its answer later.
            self.ice.thawed().await;
            if fails == Some(2) {
                return Err(ClientError::Broken("connection reset".to_owned()));
            }
            let (status, body) = answer;
            Ok(Response {
                status,
                headers: Vec::new(),
                body,
            })
        })
    }
}

impl Line {
    fn arrives(&self, request: &Request) -> (u16, Vec<u8>) {
        let answer = if request.url == PAGERDUTY {
            let mut service = self.outside.service.lock().unwrap();
            match service.take(&request.body, Instant::now()) {
                Ok(answer) => (202, answer.into_bytes()),
                Err((status, answer)) => panic!("PagerDuty says {status}: {answer}"),
            }
        } else {
            (200, b"ok".to_vec())
        };
        self.outside.arrivals.lock().unwrap().push(Arrival {
            at: self.outside.running(),
            from: self.half,
            url: request.url.clone(),
            body: request.body.to_vec(),
        });
        let mut armed = self.outside.armed.lock().unwrap();
        if *armed == Some(self.half) {
            *armed = None;
            self.ice.freeze();
        }
        answer
    }
}

/// Stops a task as a signal stops a process.
#[derive(Default)]
pub(super) struct Ice {
    is_frozen: AtomicBool,
    waiting: Mutex<Vec<Waker>>,
}

impl Ice {
    fn freeze(&self) {
        self.is_frozen.store(true, Ordering::Relaxed);
    }

    fn thaw(&self) {
        self.is_frozen.store(false, Ordering::Relaxed);
        self.waiting.lock().unwrap().drain(..).for_each(Waker::wake);
    }

    fn is_frozen(&self) -> bool {
        self.is_frozen.load(Ordering::Relaxed)
    }

    fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.is_frozen() {
            self.waiting.lock().unwrap().push(context.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    async fn thawed(&self) {
        std::future::poll_fn(|context| self.poll(context)).await;
    }
}

struct Freezable(Arc<Ice>, Pin<Box<dyn Future<Output = ()> + Send>>);

impl Future for Freezable {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.0.poll(context).is_pending() {
            return Poll::Pending;
        }
        self.1.as_mut().poll(context)
    }
}

/// Whether the other one has everything up to a number of the journal's.
struct Sharing {
    journal: Journal,
    copied: Arc<AtomicU64>,
    in_step: Arc<AtomicBool>,
}

impl Share for Sharing {
    fn shared(&self) -> BoxFuture<'static, bool> {
        let (wanted, copied) = (self.journal.seq(), Arc::clone(&self.copied));
        let in_step = Arc::clone(&self.in_step);
        Box::pin(async move {
            for _ in 0..20 {
                if copied.load(Ordering::Relaxed) >= wanted {
                    return true;
                }
                if !in_step.load(Ordering::Relaxed) {
                    return false;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            false
        })
    }
}

struct Alive {
    journal: Journal,
    handle: Handle,
    events: mpsc::Sender<AlertEvent>,
    task: JoinHandle<()>,
    /// Up to which number the other one has its journal.
    copied: Arc<AtomicU64>,
    in_step: Arc<AtomicBool>,
}

struct Half {
    memory: Arc<Memory>,
    clock: Arc<RuntimeClock>,
    leads: watch::Sender<Leadership>,
    ice: Arc<Ice>,
    alive: Option<Alive>,
    /// When it last heard the other one.
    heard: Duration,
    rises_at: Duration,
    thaws_at: Duration,
}

impl Half {
    fn is_up(&self) -> bool {
        self.alive.is_some() && !self.ice.is_frozen()
    }

    fn speaks(&self, now: Duration) -> bool {
        self.is_up() && self.leads.borrow().may_speak(now)
    }
}

pub(super) struct House {
    pub(super) outside: Arc<Outside>,
    random: Rng,
    halves: [Half; 2],
    /// Who holds the lease, and since when it has not been renewed.
    lease: (Option<usize>, Duration),
    epoch: u64,
    parted_until: Duration,
    away_until: Duration,
    /// Where the two could not reach each other nor the arbiter: both may speak.
    pub(super) blind: Vec<(Duration, Duration)>,
    pub(super) faults: Vec<(Duration, Fault)>,
    pub(super) take_overs: usize,
    /// What follows once the armed one has stopped.
    armed: Option<Fault>,
}

impl House {
    pub(super) fn new(random: Rng) -> Self {
        let outside = Arc::new(Outside {
            started: Instant::now(),
            arrivals: Mutex::default(),
            service: Mutex::default(),
            random: Mutex::new(random.clone()),
            fails_until: Mutex::default(),
            armed: Mutex::default(),
        });
        let half = || Half {
            memory: Arc::default(),
            clock: RuntimeClock::starting_at(START),
            leads: watch::Sender::new(Leadership::unknown()),
            ice: Arc::default(),
            alive: None,
            heard: Duration::ZERO,
            rises_at: Duration::ZERO,
            thaws_at: Duration::ZERO,
        };
        Self {
            outside,
            random,
            halves: [half(), half()],
            lease: (None, Duration::ZERO),
            epoch: 0,
            parted_until: Duration::ZERO,
            away_until: Duration::ZERO,
            blind: Vec::new(),
            faults: Vec::new(),
            take_overs: 0,
            armed: None,
        }
    }

    /// The true time; the replicas' clocks may be off.
    pub(super) fn now(&self) -> Timestamp {
        START + self.running()
    }

    pub(super) fn running(&self) -> Duration {
        self.outside.running()
    }

    pub(super) fn hears(&self, half: usize, event: AlertEvent) {
        if let Some(alive) = &self.halves[half].alive {
            // A full queue loses it, as in the house.
            _ = alive.events.try_send(event);
        }
    }

    fn rise(&mut self, nth: usize) {
        let half = &mut self.halves[nth];
        half.leads.send_replace(Leadership::unknown());
        half.ice.thaw();
        let files: Arc<dyn Files> = Arc::<Memory>::clone(&half.memory);
        let journal = Journal::open(files, Path::new("alerts")).unwrap();
        journal.set_shared(vec!["notifier/".to_owned(), "silences/".to_owned()]);
        journal.set_author(["a", "b"][nth].into(), 1);
        let (events, inbox) = mpsc::channel(1024);
        let (copied, in_step) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let share = Sharing {
            journal: journal.clone(),
            copied: Arc::clone(&copied),
            in_step: Arc::clone(&in_step),
        };
        let line = Line {
            half: nth,
            outside: Arc::clone(&self.outside),
            ice: Arc::clone(&half.ice),
        };
        let text = format!(
            "slack: {{ webhook_url: '{SLACK}' }}\nwebhook: [{{ url: '{HOOK}' }}]\n\
             pagerduty: {{ routing_key: {ROUTING_KEY}, url: '{PAGERDUTY}' }}\ngroup_interval: 1m\nrepeat_interval: 12h"
        );
        let clock: Arc<dyn Clock> = Arc::<RuntimeClock>::clone(&half.clock);
        let (notifier, handle) = Notifier::new(
            &config(&text),
            inbox,
            journal.clone(),
            Arc::new(line),
            clock,
            half.leads.subscribe(),
            Arc::new(share),
            &Registry::new(),
        );
        let run = notifier.run(CancellationToken::new());
        half.alive = Some(Alive {
            journal,
            handle,
            events,
            task: tokio::spawn(Freezable(Arc::clone(&half.ice), Box::pin(run))),
            copied,
            in_step,
        });
        half.heard = self.outside.running();
        if let Some(other) = &self.halves[1 - nth].alive {
            other.copied.store(0, Ordering::Relaxed);
        }
    }

    async fn fall(&mut self, nth: usize, time: Duration) {
        let now = self.running();
        let half = &mut self.halves[nth];
        half.rises_at = now + time;
        if let Some(alive) = half.alive.take() {
            assert!(alive.handle.ledger().balances(), "{:?}", alive.handle.ledger());
            alive.task.abort();
            _ = alive.task.await;
        }
    }

    pub(super) async fn suffers(&mut self, fault: Fault) {
        let now = self.running();
        self.faults.push((now, fault));
        match fault {
            Fault::Kill(half, time) => self.fall(half, time).await,
            Fault::Both(time) => {
                self.fall(0, time).await;
                self.fall(1, time / 2).await;
            }
            Fault::Pause(half, time) => {
                self.halves[half].thaws_at = now + time;
                self.halves[half].ice.freeze();
            }
            Fault::KillAtArrival(half, time) => self.arm(half, Fault::Kill(half, time)),
            Fault::PauseAtArrival(half, time) => self.arm(half, Fault::Pause(half, time)),
            Fault::Partition(time) => self.parted_until = now + time,
            Fault::Arbiter(time) => self.away_until = now + time,
            Fault::Receiver(time) => *self.outside.fails_until.lock().unwrap() = now + time,
            Fault::Clock(half, millis) => self.halves[half].clock.skew(millis),
        }
    }

    fn arm(&mut self, half: usize, fault: Fault) {
        if self.halves[half].is_up() {
            *self.outside.armed.lock().unwrap() = Some(half);
            self.armed = Some(fault);
        }
    }

    pub(super) async fn heals(&mut self) {
        let now = self.running();
        *self.outside.armed.lock().unwrap() = None;
        self.armed = None;
        (self.parted_until, self.away_until) = (now, now);
        *self.outside.fails_until.lock().unwrap() = now;
        for half in &mut self.halves {
            (half.rises_at, half.thaws_at) = (now, now);
            let ahead = half.clock.now().0 - (START + now).0;
            half.clock.skew(-ahead);
        }
        self.tick().await;
    }

    pub(super) async fn tick(&mut self) {
        let now = self.running();
        let has_struck = self.outside.armed.lock().unwrap().is_none();
        match self.armed.take_if(|_| has_struck) {
            Some(Fault::Kill(half, time)) => self.fall(half, time).await,
            Some(Fault::Pause(half, time)) => self.halves[half].thaws_at = now + time,
            _ => {}
        }
        for nth in 0..2 {
            if self.halves[nth].alive.is_none() && now >= self.halves[nth].rises_at {
                self.rise(nth);
            }
            if self.halves[nth].ice.is_frozen() && now >= self.halves[nth].thaws_at {
                self.halves[nth].ice.thaw();
            }
        }
        let both_up = self.halves.iter().all(Half::is_up);
        let linked = both_up && now >= self.parted_until;
        if linked {
            self.halves.iter_mut().for_each(|half| half.heard = now);
        }
        self.copy(linked);
        self.arbitrate(now);
        let is_blind = now < self.parted_until && now < self.away_until;
        match self.blind.last_mut() {
            Some((_, end)) if is_blind && now <= *end + TICK * 2 => *end = now,
            _ if is_blind => self.blind.push((now, now)),
            _ => {}
        }
        for half in &self.halves {
            if let Some(alive) = &half.alive {
                let ledger = alive.handle.ledger();
                assert!(ledger.balances(), "{ledger:?}");
            }
        }
        tokio::time::sleep(TICK).await;
    }

    /// Each tells the other what it has learned; now and then a word needs longer.
    fn copy(&mut self, linked: bool) {
        for nth in 0..2 {
            let late = self.random.u8(..) < 60;
            let (Some(from), Some(to)) = (&self.halves[nth].alive, &self.halves[1 - nth].alive) else {
                if let Some(alive) = &self.halves[nth].alive {
                    alive.in_step.store(false, Ordering::Relaxed);
                }
                continue;
            };
            from.in_step.store(linked, Ordering::Relaxed);
            if !linked || late {
                continue;
            }
            let (entries, upto) =
                from.journal
                    .changed_since(from.copied.load(Ordering::Relaxed), 1, usize::MAX, |_| true);
            to.journal.merge(entries, 1).unwrap();
            from.copied.store(upto, Ordering::Relaxed);
        }
    }

    /// Who speaks, by the rules of the pair.
    fn arbitrate(&mut self, now: Duration) {
        let is_away = now < self.away_until;
        for nth in 0..2 {
            if !self.halves[nth].is_up() {
                continue;
            }
            let is_holder = self.lease.0 == Some(nth);
            let peer_speaks = self.halves[1 - nth].speaks(now) && now >= self.parted_until;
            let may = if !is_away {
                let is_free = now - self.lease.1 >= LEASE || self.lease.0.is_none();
                if is_free {
                    if !is_holder || self.epoch == 0 {
                        self.take_overs += 1;
                    }
                    self.epoch += 1;
                    self.lease = (Some(nth), now);
                } else if is_holder {
                    self.lease.1 = now;
                }
                self.lease.0 == Some(nth)
            } else {
                // The last holder goes on, unless another acts; and so does who hears nobody.
                let goes_on = self.halves[nth].speaks(now) && (is_holder || !peer_speaks);
                let is_alone = now - self.halves[nth].heard >= LEASE;
                goes_on || !peer_speaks && (is_holder || is_alone)
            };
            let before = self.halves[nth].leads.borrow().clone();
            // Without the arbiter nobody hears of an epoch.
            let epoch = if is_away { before.epoch } else { self.epoch };
            let epoch = if epoch == 0 { self.epoch } else { epoch };
            let leadership = Leadership {
                holder: self.lease.0.map(|holder| ["a", "b"][holder].into()),
                here: may && !is_away,
                speaks: may,
                epoch,
                until: may.then(|| now + RELY),
                unaware: false,
            };
            if let Some(alive) = &self.halves[nth].alive {
                alive.journal.set_author(["a", "b"][nth].into(), epoch.max(1));
            }
            self.halves[nth].leads.send_replace(leadership);
        }
    }

    /// Nobody waits for anything any more, and nothing is remembered that is over.
    pub(super) fn is_empty(&self) {
        for half in &self.halves {
            let alive = half.alive.as_ref().unwrap();
            let ledger = alive.handle.ledger();
            assert_eq!(ledger.in_flight, 0, "{ledger:?}");
            let map: Vec<(String, serde_json::Value)> = alive.journal.entries("notifier/");
            let left = map.iter().filter(|(key, _)| !key.starts_with("notifier/said/"));
            let left: Vec<_> = left.collect();
            assert!(left.is_empty(), "{left:#?}");
        }
    }
}

/// Whether a moment lies in one of the times when both may have spoken, or so soon after that they had not found
/// each other yet.
pub(super) fn is_within(blind: &[(Duration, Duration)], at: Duration) -> bool {
    blind
        .iter()
        .any(|(begin, end)| *begin <= at && at <= *end + secs(60))
}
