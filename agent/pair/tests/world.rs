//! The world of the tests: two processes that can be killed, stopped and cut off, and who acts at every moment.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use journal::Journal;
use model::outside::{Call, Client, ClientError, Files, Identity, Request, Response, Role, Serve};
use model::{
    AlertEvent, AlertState, Arbiter, ArbiterError, BoxFuture, Clock, Labels, Lease, Revision, Share,
    Timestamp,
};
use parking_lot::Mutex;
use prometheus::Registry;
use telemetry::clock::RuntimeClock;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{Config, Fullness, Handle, Keys, Neighbours, Pair};

pub(super) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(super) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Every file in memory; may be full.
#[derive(Default)]
pub(super) struct Memory {
    files: Mutex<BTreeMap<PathBuf, Vec<u8>>>,
    pub(super) is_full: Mutex<bool>,
}

impl Memory {
    fn room(&self) -> io::Result<()> {
        if *self.is_full.lock() {
            Err(io::ErrorKind::StorageFull.into())
        } else {
            Ok(())
        }
    }
}

impl Files for Memory {
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        Ok(self.files.lock().get(path).cloned())
    }
    fn append(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.room()?;
        self.files.lock().entry(path.into()).or_default().extend(bytes);
        Ok(())
    }
    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.room()?;
        self.files.lock().insert(path.into(), bytes.to_vec());
        Ok(())
    }
    fn truncate(&self, path: &Path, length_bytes: u64) -> io::Result<()> {
        let length = usize::try_from(length_bytes).unwrap();
        self.files.lock().get_mut(path).unwrap().truncate(length);
        Ok(())
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.files.lock().remove(path);
        Ok(())
    }
    fn list(&self, _: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(self.files.lock().keys().cloned().collect())
    }
    fn is_instant(&self) -> bool {
        true
    }
}

/// Where the lease lies.
#[derive(Default)]
pub(super) struct Court {
    lease: Mutex<Option<(Lease, u64)>>,
    revisions: Mutex<u64>,
    /// Who does not reach it, by name.
    pub(super) away: Mutex<Vec<&'static str>>,
    /// The next so many writes happen, and their answers are lost.
    pub(super) answers_lost: Mutex<u32>,
    /// The next so many writes find that somebody was quicker.
    pub(super) conflicts: Mutex<u32>,
}

impl Court {
    pub(super) fn lease(&self) -> Option<Lease> {
        self.lease.lock().as_ref().map(|(lease, _)| lease.clone())
    }

    pub(super) fn delete(&self) {
        *self.lease.lock() = None;
    }

    pub(super) fn set_away(&self, names: &[&'static str]) {
        *self.away.lock() = names.to_vec();
    }

    fn write(&self, lease: Lease, over: Option<Revision>) -> Result<Revision, ArbiterError> {
        let mut place = self.lease.lock();
        {
            let mut conflicts = self.conflicts.lock();
            if *conflicts > 0 {
                *conflicts -= 1;
                return Err(ArbiterError::Lost);
            }
        }
        let found = place.as_ref().map(|(_, revision)| Revision(revision.to_string()));
        if found != over {
            return Err(ArbiterError::Lost);
        }
        let mut revisions = self.revisions.lock();
        *revisions += 1;
        *place = Some((lease, *revisions));
        let mut answers_lost = self.answers_lost.lock();
        if *answers_lost > 0 {
            *answers_lost -= 1;
            return Err(ArbiterError::Away("the answer was lost".to_owned()));
        }
        Ok(Revision(revisions.to_string()))
    }
}

struct Way(Arc<Court>, &'static str);

impl Way {
    async fn walk(&self) -> Result<(), ArbiterError> {
        tokio::time::sleep(millis(5)).await;
        if self.0.away.lock().contains(&self.1) {
            tokio::time::sleep(seconds(1)).await;
            return Err(ArbiterError::Away("no route".to_owned()));
        }
        Ok(())
    }
}

impl Arbiter for Way {
    fn read(&self) -> BoxFuture<'_, Result<Option<(Lease, Revision)>, ArbiterError>> {
        Box::pin(async move {
            self.walk().await?;
            let found = self.0.lease.lock().clone();
            Ok(found.map(|(lease, revision)| (lease, Revision(revision.to_string()))))
        })
    }

    fn write(&self, lease: Lease, over: Option<Revision>) -> BoxFuture<'_, Result<Revision, ArbiterError>> {
        Box::pin(async move {
            self.walk().await?;
            self.0.write(lease, over)
        })
    }
}

/// Whether a process stands still, and who waits for it to go on.
#[derive(Default)]
struct Pause {
    on: Mutex<bool>,
    waiting: Mutex<Vec<Waker>>,
}

impl Pause {
    fn set(&self, on: bool) {
        *self.on.lock() = on;
        self.waiting.lock().drain(..).for_each(Waker::wake);
    }

    fn is_over(&self, context: &Context<'_>) -> bool {
        let on = *self.on.lock();
        if on {
            self.waiting.lock().push(context.waker().clone());
        }
        !on
    }
}

/// One life of a process.
pub(super) struct Life {
    pub(super) handle: Handle,
    pub(super) journal: Journal,
    pub(super) registry: Registry,
    pub(super) events: mpsc::Sender<AlertEvent>,
    pub(super) merged: mpsc::Receiver<AlertEvent>,
    stop: CancellationToken,
    task: JoinHandle<()>,
    pause: Arc<Pause>,
}

/// What is left of a world must not go on in the next.
impl Drop for World {
    fn drop(&mut self) {
        for name in ["a", "b"] {
            if self.replica(name).life.is_some() {
                self.kill(name);
            }
        }
    }
}

type Open = Mutex<BTreeMap<&'static str, (Handle, Arc<Pause>)>>;

/// Whom requests reach.
pub(super) struct Net {
    open: Open,
    /// From whom to whom nothing gets through.
    cuts: Mutex<Vec<(&'static str, &'static str)>>,
    pub(super) delay: Mutex<Duration>,
    /// What a person's write reached, and where.
    pub(super) written: Mutex<Vec<(&'static str, Call)>>,
}

struct Line {
    net: Arc<Net>,
    from: &'static str,
}

impl Line {
    async fn carry(&self, from: &'static str, to: &'static str) {
        let delay = *self.net.delay.lock();
        tokio::time::sleep(delay).await;
        if self.net.cuts.lock().contains(&(from, to)) {
            std::future::pending::<()>().await;
        }
    }
}

impl Client for Line {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, ClientError>> {
        Box::pin(async move {
            let to = if request.url.starts_with("http://a/") {
                "a"
            } else {
                "b"
            };
            let limit = request.timeout;
            let exchange = async {
                self.carry(self.from, to).await;
                let found = self.net.open.lock().get(to).cloned();
                let Some((handle, pause)) = found else {
                    return Err(ClientError::Connect("refused".to_owned()));
                };
                let path = request.url.split_once("//").unwrap().1;
                let call = Call {
                    method: "POST".to_owned(),
                    path: path[path.find('/').unwrap()..].to_owned(),
                    body: request.body.to_vec(),
                    from: Some(Identity {
                        role: Role::Replica,
                        name: self.from.into(),
                    }),
                    ..Call::default()
                };
                // It goes on there, whether or not anybody still waits here.
                let answer = tokio::spawn(async move {
                    let mut answer = handle.serve(call);
                    poll_fn(|context| match pause.is_over(context) {
                        true => answer.as_mut().poll(context),
                        false => Poll::Pending,
                    })
                    .await
                });
                let answer = answer.await.unwrap();
                self.carry(to, self.from).await;
                Ok(answer)
            };
            let answer = tokio::time::timeout(limit, exchange).await;
            answer.unwrap_or(Err(ClientError::Timeout(limit)))
        })
    }
}

/// A write of a person that reached a room.
struct Desk(Arc<Net>, &'static str);

impl Serve for Desk {
    fn serve(&self, call: Call) -> BoxFuture<'static, Response> {
        self.0.written.lock().push((self.1, call));
        Box::pin(std::future::ready(Response {
            status: 200,
            headers: vec![],
            body: b"done".to_vec(),
        }))
    }
}

pub(super) struct Replica {
    pub(super) name: &'static str,
    pub(super) files: Arc<Memory>,
    pub(super) clock: Arc<RuntimeClock>,
    pub(super) fullness: Arc<Mutex<Fullness>>,
    pub(super) heard: Arc<Mutex<BTreeMap<Arc<str>, Timestamp>>>,
    pub(super) heard_elsewhere: Arc<Mutex<BTreeMap<Arc<str>, Timestamp>>>,
    pub(super) deaf: Arc<AtomicBool>,
    /// What it was last told.
    pub(super) judges: Arc<AtomicBool>,
    pub(super) holds: Arc<AtomicBool>,
    pub(super) inherited: Arc<Mutex<u32>>,
    /// How long copying takes, and how often it was begun.
    pub(super) copying: Arc<Mutex<(Duration, u32)>>,
    pub(super) life: Option<Life>,
}

pub(super) struct World {
    pub(super) net: Arc<Net>,
    pub(super) court: Arc<Court>,
    pub(super) a: Replica,
    pub(super) b: Replica,
    pub(super) config: Config,
    is_pair: bool,
}

/// For how long who acted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Acted {
    pub(super) nobody_speaks: Duration,
    pub(super) both_speak: Duration,
    pub(super) nobody_leads: Duration,
    pub(super) both_lead: Duration,
}

pub(super) const STEP: Duration = Duration::from_millis(50);

impl World {
    /// Both with data, not yet started.
    pub(super) fn new() -> Self {
        let replica = |name| Replica {
            name,
            files: Arc::default(),
            clock: RuntimeClock::starting_at(Timestamp(1_700_000_000_000)),
            fullness: Arc::new(Mutex::new(Fullness {
                oldest: Some(Timestamp(0)),
                series: 10,
                alerts: 0,
            })),
            heard: Arc::default(),
            heard_elsewhere: Arc::default(),
            deaf: Arc::default(),
            judges: Arc::default(),
            holds: Arc::default(),
            inherited: Arc::default(),
            copying: Arc::new(Mutex::new((seconds(5), 0))),
            life: None,
        };
        fastrand::seed(7);
        Self {
            net: Arc::new(Net {
                open: Mutex::default(),
                cuts: Mutex::default(),
                delay: Mutex::new(millis(2)),
                written: Mutex::default(),
            }),
            court: Arc::default(),
            a: replica("a"),
            b: replica("b"),
            config: Config::default(),
            is_pair: true,
        }
    }

    /// One that has nobody.
    pub(super) fn alone() -> Self {
        let mut world = Self::new();
        world.is_pair = false;
        world.start("a");
        world
    }

    /// Both run, and `a` leads.
    pub(super) async fn running() -> Self {
        let mut world = Self::new();
        world.start("a");
        world.wait(seconds(15)).await;
        assert!(world.leads("a"));
        world.start("b");
        world.wait(seconds(5)).await;
        assert!(world.leads("a") && world.speaks("a") && !world.speaks("b"));
        assert!(world.a.view().in_step && world.b.view().in_step);
        world
    }

    pub(super) fn replica(&mut self, name: &str) -> &mut Replica {
        if name == "a" { &mut self.a } else { &mut self.b }
    }

    pub(super) fn start(&mut self, name: &'static str) {
        let (net, court) = (Arc::clone(&self.net), Arc::clone(&self.court));
        let other = if name == "a" { "http://b/" } else { "http://a/" };
        let config = Config {
            name: name.to_owned(),
            peer: self.is_pair.then(|| other.to_owned()),
            ..self.config.clone()
        };
        let arbiter: Option<Arc<dyn Arbiter>> = if self.is_pair {
            Some(Arc::new(Way(court, name)))
        } else {
            None
        };
        let replica = self.replica(name);
        assert!(replica.life.is_none());
        let journal = Journal::open(replica.files.clone(), Path::new("alerts")).unwrap();
        let registry = Registry::new();
        let clock: Arc<dyn Clock> = replica.clock.clone();
        let (pair, handle) = Pair::new(config, Keys::default(), journal.clone(), clock, &registry);
        let (events, inbox) = mpsc::channel(1024);
        let (out, merged) = mpsc::channel(1024);
        let (fullness, heard) = (Arc::clone(&replica.fullness), Arc::clone(&replica.heard));
        let (elsewhere, inherited) = (
            Arc::clone(&replica.heard_elsewhere),
            Arc::clone(&replica.inherited),
        );
        let (deaf, judges) = (Arc::clone(&replica.deaf), Arc::clone(&replica.judges));
        let holds = Arc::clone(&replica.holds);
        let (copying, filled) = (Arc::clone(&replica.copying), Arc::clone(&replica.fullness));
        let near = Neighbours {
            client: Arc::new(Line {
                net: Arc::clone(&net),
                from: name,
            }),
            arbiter,
            events: inbox,
            merged: out,
            heard: Arc::new(move || heard.lock().clone()),
            heard_elsewhere: Arc::new(move |heard| *elsewhere.lock() = heard),
            deaf: Arc::new(move || deaf.load(Ordering::Relaxed)),
            judge: Arc::new(move |may| judges.store(may, Ordering::Relaxed)),
            hold: Arc::new(move |held| holds.store(held, Ordering::Relaxed)),
            fullness: Arc::new(move || *fullness.lock()),
            inherit: Arc::new(move || *inherited.lock() += 1),
            copy: Arc::new(move |_, _, progress| {
                let (copying, filled) = (Arc::clone(&copying), Arc::clone(&filled));
                Box::pin(async move {
                    let takes = {
                        let mut copying = copying.lock();
                        copying.1 += 1;
                        copying.0
                    };
                    progress(0.4);
                    tokio::time::sleep(takes).await;
                    filled.lock().oldest = Some(Timestamp(0));
                    Ok(())
                })
            }),
            writes: Arc::new(Desk(Arc::clone(&net), name)),
        };
        let stop = CancellationToken::new();
        let pause = Arc::new(Pause::default());
        let task = {
            let (stop, pause) = (stop.clone(), Arc::clone(&pause));
            tokio::spawn(async move {
                let mut run = Box::pin(pair.run(near, stop));
                // While it stands still, nothing in it moves.
                poll_fn(|context| match pause.is_over(context) {
                    true => run.as_mut().poll(context),
                    false => Poll::Pending,
                })
                .await;
            })
        };
        net.open.lock().insert(name, (handle.clone(), Arc::clone(&pause)));
        replica.life = Some(Life {
            handle,
            journal,
            registry,
            events,
            merged,
            stop,
            task,
            pause,
        });
    }

    /// As `kill -9`.
    pub(super) fn kill(&mut self, name: &'static str) {
        self.net.open.lock().remove(name);
        let life = self.replica(name).life.take().unwrap();
        life.task.abort();
    }

    /// As a signal to stop, and waiting for it.
    pub(super) async fn stop(&mut self, name: &'static str) {
        let life = self.replica(name).life.take().unwrap();
        life.stop.cancel();
        life.task.await.unwrap();
        self.net.open.lock().remove(name);
    }

    pub(super) fn pause(&mut self, name: &str, on: bool) {
        let pause = &self.replica(name).life.as_ref().unwrap().pause;
        pause.set(on);
    }

    pub(super) fn cut(&self, cuts: &[(&'static str, &'static str)]) {
        *self.net.cuts.lock() = cuts.to_vec();
    }

    pub(super) fn part(&self) {
        self.cut(&[("a", "b"), ("b", "a")]);
    }

    fn of(&self, name: &str) -> &Replica {
        if name == "a" { &self.a } else { &self.b }
    }

    pub(super) fn leads(&self, name: &str) -> bool {
        self.of(name).may(true)
    }

    pub(super) fn speaks(&self, name: &str) -> bool {
        self.of(name).may(false)
    }

    /// Lets time pass, and says who acted.
    pub(super) async fn wait(&mut self, duration: Duration) -> Acted {
        self.wait_until(duration, |_| false).await.0
    }

    /// Lets time pass until something is so; and after how long it was.
    pub(super) async fn wait_until(
        &mut self,
        longest: Duration,
        is_so: impl Fn(&Self) -> bool,
    ) -> (Acted, Option<Duration>) {
        let mut acted = Acted::default();
        let mut passed = Duration::ZERO;
        while passed < longest {
            if is_so(self) {
                return (acted, Some(passed));
            }
            match (self.speaks("a"), self.speaks("b")) {
                (true, true) => acted.both_speak += STEP,
                (false, false) => acted.nobody_speaks += STEP,
                _ => {}
            }
            match (self.leads("a"), self.leads("b")) {
                (true, true) => acted.both_lead += STEP,
                (false, false) => acted.nobody_leads += STEP,
                _ => {}
            }
            tokio::time::sleep(STEP).await;
            passed += STEP;
        }
        let now = is_so(self).then_some(passed);
        (acted, now)
    }

    /// Every account balances.
    pub(super) fn check(&self) {
        for replica in [&self.a, &self.b] {
            if let Some(life) = &replica.life {
                let ledger = life.handle.ledger();
                assert!(ledger.balances(), "{}: {ledger:?}", replica.name);
            }
        }
    }
}

impl Replica {
    pub(super) fn life(&mut self) -> &mut Life {
        self.life.as_mut().unwrap()
    }

    pub(super) fn view(&self) -> model::view::Pair {
        self.life.as_ref().unwrap().handle.view()
    }

    pub(super) fn journal(&self) -> &Journal {
        &self.life.as_ref().unwrap().journal
    }

    pub(super) fn handle(&self) -> Handle {
        self.life.as_ref().unwrap().handle.clone()
    }

    pub(super) fn shared(&self) -> BoxFuture<'static, bool> {
        self.life.as_ref().unwrap().handle.shared()
    }

    /// Whether it acts: a process that is stopped does nothing.
    fn may(&self, lead: bool) -> bool {
        let Some(life) = self.life.as_ref().filter(|life| !*life.pause.on.lock()) else {
            return false;
        };
        let (known, running) = (life.handle.leadership().borrow().clone(), self.clock.running());
        if lead {
            known.may_lead(running)
        } else {
            known.may_speak(running)
        }
    }

    pub(super) async fn says(&self, event: AlertEvent) {
        // As rules do: an end bears the time at which it was found.
        let event = AlertEvent {
            ends_at: self.clock.now(),
            ..event
        };
        self.life.as_ref().unwrap().events.send(event).await.unwrap();
    }

    /// The last it handed on since it was asked before.
    pub(super) fn told(&mut self) -> Option<AlertEvent> {
        let mut last = None;
        while let Ok(event) = self.life().merged.try_recv() {
            last = Some(event);
        }
        last
    }

    pub(super) fn metric(&self, name: &str) -> f64 {
        let families = self.life.as_ref().unwrap().registry.gather();
        let family = families.iter().find(|family| family.name() == name).unwrap();
        let values = family.get_metric().iter();
        values
            .map(|metric| metric.get_counter().get_value() + metric.get_gauge().get_value())
            .sum()
    }
}

pub(super) fn alert(name: &str, state: AlertState, known: bool) -> AlertEvent {
    let labels = Labels::from_pairs([("alertname", name)]);
    AlertEvent {
        fingerprint: labels.fingerprint(),
        labels,
        annotations: Labels::empty(),
        state,
        active_at: Timestamp(0),
        starts_at: Timestamp(0),
        ends_at: Timestamp(0),
        value: 0.0,
        generator_url: String::new(),
        epoch: 0,
        known,
    }
}
