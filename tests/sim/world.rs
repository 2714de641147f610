//! Everything of one run: hosts, network, arbiter, receivers, and the time at which each thing befalls them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::{Ledger, Timestamp};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::arbiter::Office;
use super::faults::{Act, NODES, Plan, REPLICAS, Who};
use super::machine::{Around, Machine, Rooms};
use super::net::{Host, Net};
use super::node::Ground;
use super::receivers::{Kind, Receiver};
use super::replica::Replica;

/// 2026-11-26 02:50:00 UTC.
pub const BASE: Timestamp = Timestamp(1_795_661_400_000);
/// How often what stores hold is made safe from a power failure.
const SECURED_EVERY: Duration = Duration::from_secs(5);
/// A process that cannot start is tried again, as by its supervisor.
const START_AGAIN: Duration = Duration::from_secs(5);

/// What happened, in order; the same seed gives the same text.
pub struct Log {
    started: Instant,
    lines: Mutex<Vec<String>>,
    /// Says each line at once; for a run that does not end.
    loud: bool,
}

impl Log {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            started: Instant::now(),
            lines: Mutex::default(),
            loud: std::env::var_os("SKOPOS_SIM_LOUD").is_some(),
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
        if self.loud {
            println!("{line}");
        }
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

/// A process was killed, paused or stopped.
#[derive(Clone, Debug)]
pub struct Blow {
    pub at: Duration,
    /// None: it has not come back.
    pub until: Option<Duration>,
    pub name: &'static str,
    pub words: &'static str,
    /// All replicas at once, and what they knew is gone.
    pub all: bool,
    /// What was not safe on its disk is gone, or all of it.
    pub loses: bool,
    /// The other replica still has everything.
    pub emptied: bool,
}

pub struct World {
    pub around: Around,
    pub pager: Arc<Receiver>,
    pub slack: Arc<Receiver>,
    pub grounds: Vec<Arc<Ground>>,
    /// What went wrong on the way.
    pub wrong: Vec<String>,
    /// As they came about.
    pub blows: Vec<Blow>,
    machines: Vec<Machine>,
    queue: BTreeMap<(Duration, u64), Act>,
    planned: u64,
    skew_most: i64,
}

impl World {
    pub fn new(seed: u64, plan: &Plan) -> Self {
        let log = Log::new();
        let mut rng = fastrand::Rng::with_seed(seed ^ 0x5eed);
        let net = Net::new(rng.u64(..), Arc::clone(&log));
        let grounds: Vec<_> = NODES[..plan.nodes].iter().map(|name| Ground::new(name)).collect();
        let around = Around {
            grounds: grounds.clone(),
            has_app: seed % 2 == 1,
            has_storms: seed % 4 >= 2,
            office: Office::new(Arc::clone(&net), Arc::clone(&log)),
            wishes: Arc::default(),
            net,
            log,
        };
        let pager = Receiver::new(Kind::Pager, Arc::clone(&around.log));
        let slack = Receiver::new(Kind::Channel, Arc::clone(&around.log));
        around.net.is_at("pager", Host::Service(pager.clone()));
        around.net.is_at("slack", Host::Service(slack.clone()));
        let replicas = REPLICAS.iter().map(|name| Machine::new(name, &mut rng, None));
        let mut machines: Vec<_> = replicas.collect();
        for (name, ground) in NODES.iter().zip(&grounds) {
            machines.push(Machine::new(name, &mut rng, Some(Arc::clone(ground))));
        }
        let mut world = Self {
            grounds,
            machines,
            queue: BTreeMap::new(),
            planned: 0,
            skew_most: 0,
            wrong: Vec::new(),
            blows: Vec::new(),
            around,
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
        let started = Instant::now();
        let mut secured = SECURED_EVERY;
        let around = self.around.clone();
        loop {
            let planned = self.queue.first_key_value().map(|((at, _), _)| *at);
            let next = planned.unwrap_or(end).min(end).min(secured);
            tokio::select! {
                biased;
                name = around.wishes.next() => self.bury(name).await,
                () = tokio::time::sleep_until(started + next) => {
                    if around.log.now() >= end {
                        break;
                    }
                    if next == secured {
                        secured += SECURED_EVERY;
                        self.secure();
                    } else if let Some((_, act)) = self.queue.pop_first() {
                        around.log.say(|| format!("! {act:?}"));
                        self.act(act).await;
                    }
                }
            }
        }
    }

    fn secure(&mut self) {
        for machine in &mut self.machines {
            if let Some(ended) = machine.secure() {
                self.wrong.push(format!("{}: {ended}", machine.name));
            }
        }
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.machines.iter().position(|machine| machine.name == name)
    }

    fn who(&mut self, who: Who) -> Option<&mut Machine> {
        let nth = match who {
            Who::Is(name) => self.find(name),
            Who::Holder => {
                let holder = self.around.office.lease().and_then(|lease| lease.holder);
                self.find(holder.as_deref().unwrap_or(REPLICAS[0]))
            }
        };
        nth.and_then(|nth| self.machines.get_mut(nth))
    }

    fn blow(&mut self, name: &'static str, words: &'static str, all: bool) {
        self.blows.push(Blow {
            at: self.around.log.now(),
            until: None,
            name,
            words,
            all,
            loses: all,
            emptied: false,
        });
    }

    fn recovered(&mut self, name: &str) {
        let now = self.around.log.now();
        for blow in self.blows.iter_mut().filter(|blow| blow.name == name) {
            blow.until.get_or_insert(now);
        }
    }

    async fn act(&mut self, act: Act) {
        let net = Arc::clone(&self.around.net);
        match act {
            Act::Kill { who, power, down } => {
                if let Some(machine) = self.who(who) {
                    (machine.power, machine.down) = (power, down);
                    machine.life.iter().for_each(|life| life.doom.strike("killed"));
                }
            }
            Act::KillAtAnswer { who, down } => {
                if let Some(machine) = self.who(who) {
                    machine.down = down;
                    machine.life.iter().for_each(|life| life.doom.at_next_answer());
                }
            }
            Act::KillAtWrite { who, writes, down } => {
                if let Some(machine) = self.who(who) {
                    machine.down = down;
                    machine.shelf.lock().light(writes);
                }
            }
            Act::LoseOne { who, down } => {
                let lost = self.who(who).map(|machine| {
                    machine.down = down;
                    let lives = machine.life.iter();
                    lives.for_each(|life| life.doom.strike("killed, and its disk is gone"));
                    machine.shelf.lock().empty();
                    machine.name
                });
                if let Some(name) = lost {
                    self.blow(name, "killed, and its disk is gone", false);
                    self.blows
                        .iter_mut()
                        .last()
                        .into_iter()
                        .for_each(|blow| blow.emptied = true);
                }
            }
            Act::LoseAll { down } => {
                for name in REPLICAS {
                    self.blow(name, "lost all it had", true);
                    if let Some(machine) = self.who(Who::Is(name)) {
                        machine.down = down;
                        machine
                            .life
                            .iter()
                            .for_each(|life| life.doom.strike("killed, and its disk is gone"));
                        machine.shelf.lock().empty();
                    }
                }
            }
            Act::Start(name) => {
                if let Some(nth) = self.find(name) {
                    self.start(nth);
                }
            }
            Act::Pause { who, still } => self.pause(who, still),
            Act::Resume(name) => {
                self.recovered(name);
                if let Some(machine) = self.who(Who::Is(name)) {
                    machine.life.iter().for_each(|life| life.gate.resume());
                }
            }
            Act::Upgrade(name) => self.upgrade(name).await,
            Act::Jump { who, millis } => {
                let jumped = self.who(who).map(|machine| {
                    machine.jump(millis);
                    machine.skew_millis.abs()
                });
                self.skew_most = self.skew_most.max(jumped.unwrap_or(0));
            }
            Act::Full { who, full } => self
                .who(Who::Is(who))
                .into_iter()
                .for_each(|machine| machine.set_full(full)),
            Act::Cut { one, other, cut } => {
                net.link(one, other, |link| link.cut = cut);
                net.link(other, one, |link| link.cut = cut);
            }
            Act::CutOne { from, to, cut } => net.link(from, to, |link| link.cut = cut),
            Act::Slow { one, other, by } => {
                net.link(one, other, |link| link.slow = by);
                net.link(other, one, |link| link.slow = by);
            }
            Act::Lossy {
                from,
                to,
                requests,
                answers,
            } => net.link(from, to, |link| {
                (link.loses_requests, link.loses_answers) = (requests, answers)
            }),
            Act::ArbiterAway(away) => self.around.office.set_away(away),
            Act::ArbiterSwallows(writes) => self.around.office.swallow_answers(writes),
            Act::DeleteLease => self.around.office.delete(),
            Act::Behave { whom, manner } => match whom {
                Kind::Pager => self.pager.behave(manner),
                Kind::Channel => self.slack.behave(manner),
            },
            Act::Load { node, load } => self.grounds[node].facts.lock().load = load,
            Act::Job { node, there } => self.grounds[node].facts.lock().job = there,
        }
    }

    fn pause(&mut self, who: Who, still: Duration) {
        let paused = self.who(who).and_then(|machine| {
            let life = machine.life.as_ref()?;
            life.gate.pause();
            Some(machine.name)
        });
        if let Some(name) = paused {
            self.blow(name, "paused", false);
            self.plan(self.around.log.now() + still, Act::Resume(name));
        }
    }

    /// One after the other, as a rolling upgrade stops and starts them; the versions are the same.
    async fn upgrade(&mut self, name: &'static str) {
        let around = self.around.clone();
        let Some(machine) = self.who(Who::Is(name)) else {
            return;
        };
        if machine.life.as_ref().is_none_or(|life| !life.gate.is_open()) {
            return;
        }
        self.blow(name, "stopped for its next version", false);
        if let Some(machine) = self.who(Who::Is(name)) {
            machine.stop(&around).await;
        }
        self.plan(around.log.now() + Duration::from_secs(2), Act::Start(name));
    }

    fn start(&mut self, nth: usize) {
        let machine = &mut self.machines[nth];
        let name = machine.name;
        match machine.start(&self.around) {
            Ok(()) => self.recovered(name),
            Err(why) => {
                self.around.log.say(|| format!("{name} cannot start: {why}"));
                self.plan(self.around.log.now() + START_AGAIN, Act::Start(name));
            }
        }
    }

    async fn bury(&mut self, name: &'static str) {
        let around = self.around.clone();
        let at = around.log.now();
        if !self.blows.iter().any(|blow| blow.name == name && blow.at == at) {
            self.blow(name, "killed", false);
        }
        let Some(machine) = self.who(Who::Is(name)) else {
            return;
        };
        let (down, power) = (machine.down, machine.power);
        machine.bury(&around).await;
        for blow in self
            .blows
            .iter_mut()
            .filter(|blow| blow.name == name && blow.at == at)
        {
            blow.loses |= power;
        }
        self.plan(at + down, Act::Start(name));
    }

    /// Every account of every process that lives.
    pub fn ledgers(&self) -> Vec<(String, Ledger)> {
        let lives = self
            .machines
            .iter()
            .filter_map(|machine| Some((machine.name, machine.life.as_ref()?)));
        let named =
            lives.flat_map(|(name, life)| life.rooms.ledgers().into_iter().map(move |own| (name, own)));
        named
            .map(|(name, (room, ledger))| (format!("{name} {room}"), ledger))
            .collect()
    }

    pub fn replica(&self, name: &str) -> Option<&Replica> {
        match &self.machines[self.find(name)?].life.as_ref()?.rooms {
            Rooms::Replica(replica) => Some(replica),
            Rooms::Node(_) => None,
        }
    }

    /// Farthest that a clock was from the true time.
    pub fn skew_most(&self) -> Duration {
        Duration::from_millis(self.skew_most.unsigned_abs())
    }

    /// Ends everything and lets go of it.
    pub async fn end(mut self) {
        let around = self.around.clone();
        for machine in &mut self.machines {
            machine.bury(&around).await;
        }
        around.net.end();
    }
}
