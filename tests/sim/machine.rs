//! A host: its disk and its clock's error outlive the processes that run on it, one after the other.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use model::{Ledger, Timestamp};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::arbiter::Office;
use super::disk::{Disk, Shelf};
use super::net::{Host, Net, Wire};
use super::node::{Ground, Node};
use super::process::{Gate, SimClock, Tasks};
use super::replica::Replica;
use super::world::Log;

/// What every process is connected to.
#[derive(Clone)]
pub struct Around {
    pub log: Arc<Log>,
    pub net: Arc<Net>,
    pub office: Arc<Office>,
    pub wishes: Arc<Wishes>,
    pub grounds: Vec<Arc<Ground>>,
    /// Whether Slack is written to by an app, not by a webhook.
    pub has_app: bool,
    /// Whether a few groups at once are a storm for Slack.
    pub has_storms: bool,
}

/// Processes that died by themselves, waiting to be buried.
#[derive(Default)]
pub struct Wishes {
    dead: Mutex<Vec<&'static str>>,
    new: Notify,
}

impl Wishes {
    fn push(&self, name: &'static str) {
        self.dead.lock().push(name);
        self.new.notify_one();
    }

    pub async fn next(&self) -> &'static str {
        loop {
            let first = {
                let mut dead = self.dead.lock();
                (!dead.is_empty()).then(|| dead.remove(0))
            };
            match first {
                Some(name) => return name,
                None => self.new.notified().await,
            }
        }
    }
}

/// What ends a process from within, at a moment that only it can name.
pub struct Doom {
    name: &'static str,
    gate: Arc<Gate>,
    around: Around,
    at_answer: AtomicBool,
    /// Lets the log's thread write what it was given before; then nothing depends on how fast it is.
    flush: Mutex<Option<Box<dyn Fn() + Send + Sync>>>,
}

impl Doom {
    pub fn strike(&self, why: &str) {
        if self.gate.is_dead() {
            return;
        }
        if let Some(flush) = &*self.flush.lock() {
            flush();
        }
        self.around.log.say(|| format!("{} dies: {why}", self.name));
        self.gate.die();
        self.around.wishes.push(self.name);
    }

    pub fn at_next_answer(&self) {
        self.at_answer.store(true, Ordering::Relaxed);
    }

    fn is_at_answer(&self, host: &str) -> bool {
        let is_receiver = matches!(host, "slack" | "pager");
        let dies = is_receiver && self.at_answer.load(Ordering::Relaxed);
        if dies {
            self.strike("between an answer and its record");
        }
        dies
    }
}

/// One life of a process.
pub struct Life {
    pub gate: Arc<Gate>,
    pub clock: Arc<SimClock>,
    pub doom: Arc<Doom>,
    pub rooms: Rooms,
}

pub enum Rooms {
    Replica(Box<Replica>),
    Node(Box<Node>),
}

impl Rooms {
    pub fn tasks(&mut self) -> &mut Tasks {
        match self {
            Self::Replica(replica) => &mut replica.tasks,
            Self::Node(node) => &mut node.tasks,
        }
    }

    pub fn ledgers(&self) -> Vec<(&'static str, Ledger)> {
        match self {
            Self::Replica(replica) => replica.ledgers(),
            Self::Node(node) => node.ledgers(),
        }
    }

    pub fn sync(&self) {
        if let Self::Replica(replica) = self {
            replica.store.sync();
        }
    }
}

/// What a process is given to live with.
pub struct Outside {
    pub name: &'static str,
    pub clock: Arc<SimClock>,
    pub disk: Arc<Disk>,
    pub wire: Arc<Wire>,
    pub gate: Arc<Gate>,
    pub around: Around,
}

pub struct Machine {
    pub name: &'static str,
    pub shelf: Arc<Mutex<Shelf>>,
    pub skew_millis: i64,
    /// The next death takes what was not safe.
    pub power: bool,
    /// How long it is down after the next death.
    pub down: Duration,
    /// What a node reads; none for a replica.
    pub ground: Option<Arc<Ground>>,
    pub life: Option<Life>,
}

impl Machine {
    pub fn new(name: &'static str, rng: &mut fastrand::Rng, ground: Option<Arc<Ground>>) -> Self {
        Self {
            name,
            shelf: Shelf::new(rng.u64(..)),
            skew_millis: rng.i64(-300..=300),
            power: false,
            down: Duration::ZERO,
            ground,
            life: None,
        }
    }

    fn wall(&self, log: &Log) -> Timestamp {
        Timestamp(log.wall().0 + self.skew_millis)
    }

    /// To so much before or after the true time.
    pub fn jump(&mut self, millis: i64) {
        let by = millis - std::mem::replace(&mut self.skew_millis, millis);
        if let Some(life) = &self.life {
            life.clock.skew(by);
        }
    }

    /// The log's thread meets the disk before and after as it then was, however fast it is.
    pub fn set_full(&self, full: bool) {
        let sync = || self.life.iter().for_each(|life| life.rooms.sync());
        sync();
        self.shelf.lock().set_full(full);
        sync();
    }

    /// What the store has is safe from here on. Tells if a room has ended by itself.
    pub fn secure(&mut self) -> Option<String> {
        let life = self.life.as_mut().filter(|life| life.gate.is_open())?;
        life.rooms.sync();
        self.shelf.lock().secure(Path::new("metrics"));
        life.rooms.tasks().ended()
    }

    /// # Errors
    /// A room cannot start.
    pub fn start(&mut self, around: &Around) -> Result<(), String> {
        if self.life.is_some() {
            return Ok(());
        }
        let gate = Arc::<Gate>::default();
        let clock = SimClock::new(self.wall(&around.log), Arc::clone(&gate));
        let doom = Arc::new(Doom {
            name: self.name,
            gate: Arc::clone(&gate),
            around: around.clone(),
            at_answer: AtomicBool::new(false),
            flush: Mutex::default(),
        });
        self.shelf.lock().unlight();
        let died = {
            let doom = Arc::clone(&doom);
            Arc::new(move || doom.strike("in the midst of a write"))
        };
        let fatal = {
            let doom = Arc::clone(&doom);
            Arc::new(move |host: &str| doom.is_at_answer(host))
        };
        let outside = Outside {
            name: self.name,
            clock: Arc::clone(&clock),
            disk: Disk::new(Arc::clone(&self.shelf), Arc::clone(&gate), died),
            wire: Wire::new(
                Arc::clone(&around.net),
                self.name.into(),
                Arc::clone(&gate),
                fatal,
            ),
            gate: Arc::clone(&gate),
            around: around.clone(),
        };
        around.log.say(|| format!("{} starts", self.name));
        let rooms = match &self.ground {
            Some(ground) => Rooms::Node(Box::new(Node::start(&outside, ground)?)),
            None => {
                let replica = Replica::start(&outside, &around.grounds)?;
                let store = Arc::downgrade(&replica.store);
                *doom.flush.lock() = Some(Box::new(move || {
                    store.upgrade().iter().for_each(|store| _ = store.sync());
                }));
                let host = Host::Process {
                    gate: Arc::clone(&gate),
                    serve: replica.serve(),
                };
                around.net.is_at(self.name, host);
                Rooms::Replica(Box::new(replica))
            }
        };
        self.life = Some(Life {
            gate,
            clock,
            doom,
            rooms,
        });
        Ok(())
    }

    /// Ends what is left of a process that died.
    pub async fn bury(&mut self, around: &Around) {
        around.net.is_gone(self.name);
        let Some(mut life) = self.life.take() else { return };
        life.gate.die();
        life.rooms.tasks().kill().await;
        drop(life);
        if std::mem::take(&mut self.power) {
            let torn = self.shelf.lock().tear();
            around.log.say(|| format!("{} lost {torn:?}", self.name));
        }
    }

    /// Ends it in order, as the hall does on SIGTERM.
    pub async fn stop(&mut self, around: &Around) {
        const GRACE: Duration = Duration::from_secs(25);
        let Some(life) = &mut self.life else { return };
        life.rooms.tasks().stop(GRACE).await;
        life.rooms.sync();
        around.log.say(|| format!("{} has stopped", self.name));
        self.bury(around).await;
    }
}
