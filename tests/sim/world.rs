//! Everything of one run: hosts, network, arbiter, receivers, and the time at which each thing befalls them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use model::{Ledger, Timestamp};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::arbiter::Office;
use super::disk::{Disk, Shelf};
use super::faults::{Act, NODES, Plan, REPLICAS, Who};
use super::net::{self, Net, Wire};
use super::node::{self, Ground};
use super::process::{Gate, SimClock, Tasks};
use super::receivers::{Kind, Receiver};
use super::replica::{self, Replica};

/// 2026-11-26 02:50:00 UTC.
pub const BASE: Timestamp = Timestamp(1_795_661_400_000);

/// What happened, in order; the same seed gives the same text.
pub struct Log {
    started: Instant,
    lines: Mutex<Vec<String>>,
}

impl Log {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            started: Instant::now(),
            lines: Mutex::default(),
        })
    }

    /// Since the run began.
    pub fn now(&self) -> Duration {
        self.started.elapsed()
    }

    pub fn wall(&self) -> Timestamp {
        BASE + self.now()
    }

    pub fn say(&self, line: impl FnOnce() -> String) {
        let line = format!("{} {}", clock(self.now()), line());
        self.lines.lock().push(line);
    }

    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().clone()
    }
}

/// `07:05.250`
pub fn clock(at: Duration) -> String {
    let millis = at.as_millis();
    format!(
        "{:02}:{:02}.{:03}",
        millis / 60_000,
        millis / 1000 % 60,
        millis % 1000
    )
}

/// Processes that died by themselves, waiting to be buried.
#[derive(Default)]
pub struct Wishes {
    dead: Mutex<Vec<Arc<str>>>,
    new: Notify,
}

impl Wishes {
    fn push(&self, name: Arc<str>) {
        self.dead.lock().push(name);
        self.new.notify_one();
    }

    async fn next(&self) -> Arc<str> {
        loop {
            let new = self.new.notified();
            let first = {
                let mut dead = self.dead.lock();
                (!dead.is_empty()).then(|| dead.remove(0))
            };
            match first {
                Some(name) => return name,
                None => new.await,
            }
        }
    }
}

/// What ends a process from within, at a moment that only it can name.
pub struct Doom {
    name: Arc<str>,
    gate: Arc<Gate>,
    wishes: Arc<Wishes>,
    log: Arc<Log>,
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
        self.log.say(|| format!("{} dies: {why}", self.name));
        self.gate.die();
        self.wishes.push(Arc::clone(&self.name));
    }

    fn at_answer(&self, host: &str) -> bool {
        let is_receiver = matches!(host, "slack" | "pager");
        let dies = is_receiver && self.at_answer.load(Ordering::Relaxed);
        if dies {
            self.strike("between an answer and its record");
        }
        dies
    }
}

/// One life of a process.
struct Life {
    gate: Arc<Gate>,
    clock: Arc<SimClock>,
    doom: Arc<Doom>,
    rooms: Rooms,
}

enum Rooms {
    Replica(Box<Replica>),
    Node(Tasks),
}

/// A machine: its disk and its clock's error outlive the process.
struct Machine {
    name: Arc<str>,
    shelf: Arc<Mutex<Shelf>>,
    skew_millis: i64,
    /// The next death takes what was not safe.
    power: bool,
    down: Duration,
    life: Option<Life>,
}

pub struct World {
    pub log: Arc<Log>,
    pub net: Arc<Net>,
    pub office: Arc<Office>,
    pub pager: Arc<Receiver>,
    pub slack: Arc<Receiver>,
    pub grounds: Vec<Arc<Ground>>,
    machines: Vec<Machine>,
    wishes: Arc<Wishes>,
    queue: BTreeMap<(Duration, u64), Act>,
    planned: u64,
    /// What went wrong on the way.
    pub wrong: Vec<String>,
    /// When processes were killed or paused, as it came about.
    pub blows: Vec<(Duration, String)>,
}

const SECURED_EVERY: Duration = Duration::from_secs(5);

impl World {
    pub fn new(seed: u64, plan: &Plan) -> Self {
        let log = Log::new();
        let mut rng = fastrand::Rng::with_seed(seed ^ 0x5eed);
        let net = Net::new(rng.u64(..), Arc::clone(&log));
        let office = Office::new(Arc::clone(&net), Arc::clone(&log));
        let pager = Receiver::new(Kind::Pager, Arc::clone(&log));
        let slack = Receiver::new(Kind::Channel, Arc::clone(&log));
        net.is_at("pager", net::Host::Service(pager.clone()));
        net.is_at("slack", net::Host::Service(slack.clone()));
        let names = REPLICAS[..1].iter().chain(&NODES[..plan.nodes]);
        let machines = names.map(|name| Machine {
            name: Arc::from(*name),
            shelf: Shelf::new(rng.u64(..)),
            skew_millis: rng.i64(-300..=300),
            power: false,
            down: Duration::ZERO,
            life: None,
        });
        let machines = machines.collect();
        let grounds = NODES[..plan.nodes].iter().map(|name| Ground::new(name));
        let mut world = Self {
            grounds: grounds.collect(),
            machines,
            wishes: Arc::default(),
            queue: BTreeMap::new(),
            planned: 0,
            wrong: Vec::new(),
            blows: Vec::new(),
            log,
            net,
            office,
            pager,
            slack,
        };
        for (at, act) in &plan.acts {
            world.plan(*at, act.clone());
        }
        world
    }

    fn plan(&mut self, at: Duration, act: Act) {
        self.planned += 1;
        self.queue.insert((at, self.planned), act);
    }

    /// Lives through the plan until its end.
    pub async fn run(&mut self, end: Duration) {
        for nth in 0..self.machines.len() {
            self.start(nth);
        }
        let started = tokio::time::Instant::now();
        let mut secured = SECURED_EVERY;
        loop {
            let planned = self.queue.first_key_value().map(|((at, _), _)| *at);
            let next = planned.unwrap_or(end).min(end).min(secured);
            tokio::select! {
                biased;
                name = self.wishes.next() => self.bury(&name).await,
                () = tokio::time::sleep_until(started + next) => {
                    if self.log.now() >= end {
                        break;
                    }
                    if next == secured {
                        secured += SECURED_EVERY;
                        self.secure();
                    } else if let Some((_, act)) = self.queue.pop_first() {
                        self.log.say(|| format!("! {act:?}"));
                        self.act(act).await;
                    }
                }
            }
        }
    }

    /// What the stores have is safe from here on; a room that ended by itself is a mistake.
    fn secure(&mut self) {
        for machine in &mut self.machines {
            let Some(life) = &mut machine.life else { continue };
            if !life.gate.is_open() {
                continue;
            }
            let tasks = match &mut life.rooms {
                Rooms::Replica(replica) => {
                    replica.store.sync();
                    machine.shelf.lock().secure(Path::new("metrics"));
                    &mut replica.tasks
                }
                Rooms::Node(tasks) => tasks,
            };
            if let Some(ended) = tasks.ended() {
                self.wrong.push(format!("{}: {ended}", machine.name));
            }
        }
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.machines.iter().position(|machine| *machine.name == *name)
    }

    fn who(&self, who: Who) -> Option<usize> {
        match who {
            Who::Is(name) => self.find(name),
            Who::Holder => {
                let holder = self.office.lease().and_then(|lease| lease.holder);
                self.find(holder.as_deref().unwrap_or(REPLICAS[0]))
            }
        }
    }

    async fn act(&mut self, act: Act) {
        match act {
            Act::Kill { who, power, down } => {
                if let Some(machine) = self.who(who).and_then(|nth| self.machines.get_mut(nth)) {
                    (machine.power, machine.down) = (power, down);
                    if let Some(life) = &machine.life {
                        life.doom.strike("killed");
                    }
                }
            }
            Act::KillAtAnswer { who, down } => {
                if let Some(machine) = self.who(who).and_then(|nth| self.machines.get_mut(nth)) {
                    machine.down = down;
                    if let Some(life) = &machine.life {
                        life.doom.at_answer.store(true, Ordering::Relaxed);
                    }
                }
            }
            Act::KillAtWrite { who, writes, down } => {
                if let Some(machine) = self.who(who).and_then(|nth| self.machines.get_mut(nth)) {
                    machine.down = down;
                    machine.shelf.lock().light(writes);
                }
            }
            Act::LoseAll { down } => {
                for machine in self.machines.iter_mut().take(1) {
                    machine.down = down;
                    if let Some(life) = &machine.life {
                        life.doom.strike("killed, with its disk");
                    }
                    machine.shelf.lock().empty();
                }
            }
            Act::Start(name) => {
                if let Some(nth) = self.find(name) {
                    self.start(nth);
                }
            }
            Act::Pause { who, still } => {
                let Some(nth) = self.who(who) else { return };
                let name = Arc::clone(&self.machines[nth].name);
                if let Some(life) = &self.machines[nth].life {
                    life.gate.pause();
                    let at = self.log.now();
                    self.blows.push((at, format!("{name} paused")));
                    self.plan(at + still, Act::Resume(leak(&name)));
                }
            }
            Act::Resume(name) => {
                let nth = self.find(name);
                if let Some(life) = nth.and_then(|nth| self.machines[nth].life.as_ref()) {
                    life.gate.resume();
                }
            }
            Act::Cut { one, other, cut } => {
                self.net.link(one, other, |link| link.cut = cut);
                self.net.link(other, one, |link| link.cut = cut);
            }
            Act::CutOne { from, to, cut } => self.net.link(from, to, |link| link.cut = cut),
            Act::Slow { one, other, by } => {
                self.net.link(one, other, |link| link.slow = by);
                self.net.link(other, one, |link| link.slow = by);
            }
            Act::Lossy {
                from,
                to,
                requests,
                answers,
            } => self.net.link(from, to, |link| {
                (link.loses_requests, link.loses_answers) = (requests, answers);
            }),
            Act::Jump { who, millis } => {
                if let Some(machine) = self.who(who).and_then(|nth| self.machines.get_mut(nth)) {
                    machine.skew_millis += millis;
                    if let Some(life) = &machine.life {
                        life.clock.skew(millis);
                    }
                }
            }
            Act::Full { who, full } => {
                let Some(nth) = self.find(who) else { return };
                let machine = &self.machines[nth];
                let sync = || {
                    if let Some(Life {
                        rooms: Rooms::Replica(replica),
                        ..
                    }) = &machine.life
                    {
                        replica.store.sync();
                    }
                };
                sync();
                machine.shelf.lock().set_full(full);
                sync();
            }
            Act::ArbiterAway(away) => self.office.set_away(away),
            Act::ArbiterSwallows(writes) => self.office.swallow_answers(writes),
            Act::DeleteLease => self.office.delete(),
            Act::Behave { whom, manner } => match whom {
                Kind::Pager => self.pager.behave(manner),
                Kind::Channel => self.slack.behave(manner),
            },
            Act::Upgrade(_) => {}
            Act::Load { node, load } => self.grounds[node].facts.lock().load = load,
        }
    }

    fn start(&mut self, nth: usize) {
        let machine = &mut self.machines[nth];
        if machine.life.is_some() {
            return;
        }
        let gate = Arc::<Gate>::default();
        let skew = Duration::from_millis(machine.skew_millis.unsigned_abs());
        let wall = self.log.wall();
        let wall = if machine.skew_millis < 0 {
            wall - skew
        } else {
            wall + skew
        };
        let clock = SimClock::new(wall, Arc::clone(&gate));
        let doom = Arc::new(Doom {
            name: Arc::clone(&machine.name),
            gate: Arc::clone(&gate),
            wishes: Arc::clone(&self.wishes),
            log: Arc::clone(&self.log),
            at_answer: AtomicBool::new(false),
            flush: Mutex::default(),
        });
        machine.shelf.lock().unlight();
        let disk = {
            let doom = Arc::clone(&doom);
            let died = Arc::new(move || doom.strike("in the midst of a write"));
            Disk::new(Arc::clone(&machine.shelf), Arc::clone(&gate), died)
        };
        let wire = {
            let doom = Arc::clone(&doom);
            let fatal = Arc::new(move |host: &str| doom.at_answer(host));
            Wire::new(
                Arc::clone(&self.net),
                Arc::clone(&machine.name),
                Arc::clone(&gate),
                fatal,
            )
        };
        self.log.say(|| format!("{} starts", machine.name));
        let ground = self.grounds.iter().find(|ground| ground.name == machine.name);
        let rooms = match ground {
            Some(ground) => {
                let driver = node::Driver {
                    ground: Arc::clone(ground),
                    clock: Arc::clone(&clock),
                    wire,
                    replicas: vec![REPLICAS[0].to_owned()],
                    log: Arc::clone(&self.log),
                };
                let mut tasks = Tasks::new(1);
                tasks.spawn(0, |stop| driver.run(stop));
                Rooms::Node(tasks)
            }
            None => {
                let outside = replica::Outside {
                    name: Arc::clone(&machine.name),
                    clock: Arc::clone(&clock),
                    disk,
                    wire,
                };
                match Replica::start(&outside) {
                    Ok(replica) => {
                        let store = Arc::downgrade(&replica.store);
                        *doom.flush.lock() = Some(Box::new(move || {
                            if let Some(store) = store.upgrade() {
                                store.sync();
                            }
                        }));
                        let host = net::Host::Process {
                            gate: Arc::clone(&gate),
                            serve: replica.serve(),
                        };
                        self.net.is_at(&machine.name, host);
                        Rooms::Replica(Box::new(replica))
                    }
                    Err(why) => {
                        // As a supervisor would: tried again in a while.
                        self.log.say(|| format!("{} cannot start: {why}", machine.name));
                        let name = leak(&machine.name);
                        self.plan(self.log.now() + Duration::from_secs(5), Act::Start(name));
                        return;
                    }
                }
            }
        };
        machine.life = Some(Life {
            gate,
            clock,
            doom,
            rooms,
        });
    }

    /// What is left of a process that died.
    async fn bury(&mut self, name: &str) {
        let Some(nth) = self.find(name) else { return };
        self.net.is_gone(name);
        let at = self.log.now();
        self.blows.push((at, format!("{name} killed")));
        let machine = &mut self.machines[nth];
        let Some(mut life) = machine.life.take() else {
            return;
        };
        match &mut life.rooms {
            Rooms::Replica(replica) => replica.tasks.kill().await,
            Rooms::Node(tasks) => tasks.kill().await,
        }
        drop(life);
        if std::mem::take(&mut machine.power) {
            let torn = machine.shelf.lock().tear();
            self.log.say(|| format!("{name} lost {torn:?}"));
        }
        let again = at + machine.down;
        self.plan(again, Act::Start(leak(name)));
    }

    /// Every account of every process that lives.
    pub fn ledgers(&self) -> Vec<(String, Ledger)> {
        let mut all = Vec::new();
        for machine in &self.machines {
            if let Some(Life {
                rooms: Rooms::Replica(replica),
                ..
            }) = &machine.life
            {
                let named = replica.ledgers().into_iter();
                all.extend(named.map(|(room, ledger)| (format!("{} {room}", machine.name), ledger)));
            }
        }
        all
    }

    pub fn replica(&self, name: &str) -> Option<&Replica> {
        match &self.machines[self.find(name)?].life.as_ref()?.rooms {
            Rooms::Replica(replica) => Some(replica),
            Rooms::Node(_) => None,
        }
    }

    /// Ends everything and lets go of it.
    pub async fn end(mut self) {
        self.net.end();
        for machine in &mut self.machines {
            if let Some(mut life) = machine.life.take() {
                life.gate.die();
                match &mut life.rooms {
                    Rooms::Replica(replica) => replica.tasks.kill().await,
                    Rooms::Node(tasks) => tasks.kill().await,
                }
            }
        }
    }
}

/// The plan speaks of hosts by constants.
fn leak(name: &str) -> &'static str {
    let known = REPLICAS.iter().chain(&NODES);
    known.copied().find(|known| *known == name).unwrap_or_default()
}
