//! What befalls a run, decided by its seed before it begins.

use std::fmt;
use std::time::Duration;

use super::receivers::{Kind as Whom, Manner};
use super::world::clock;

/// Who is meant, by host name; or whoever holds the lease when it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    Is(&'static str),
    Holder,
}

/// One thing done to the world at one moment.
#[derive(Clone, Debug)]
pub enum Act {
    /// As `kill -9`; with `power`, as if the plug was pulled. Starts again after the time.
    Kill {
        who: Who,
        power: bool,
        down: Duration,
    },
    /// At the next answer of a receiver, before it is seen.
    KillAtAnswer {
        who: Who,
        down: Duration,
    },
    /// At one of the next writes to its disk, in the midst of it.
    KillAtWrite {
        who: Who,
        writes: u32,
        down: Duration,
    },
    /// Its disk is gone with it.
    LoseOne {
        who: Who,
        down: Duration,
    },
    /// All replicas at once, and their disks are gone.
    LoseAll {
        down: Duration,
    },
    Start(&'static str),
    Pause {
        who: Who,
        still: Duration,
    },
    Resume(&'static str),
    /// Both directions.
    Cut {
        one: &'static str,
        other: &'static str,
        cut: bool,
    },
    CutOne {
        from: &'static str,
        to: &'static str,
        cut: bool,
    },
    Slow {
        one: &'static str,
        other: &'static str,
        by: Duration,
    },
    Lossy {
        from: &'static str,
        to: &'static str,
        requests: u8,
        answers: u8,
    },
    /// The clock jumps to so much before or after the true time.
    Jump {
        who: Who,
        millis: i64,
    },
    Full {
        who: &'static str,
        full: bool,
    },
    ArbiterAway(bool),
    ArbiterSwallows(u32),
    DeleteLease,
    Behave {
        whom: Whom,
        manner: Manner,
    },
    /// Stops it in order and starts its next version.
    Upgrade(&'static str),
    Load {
        node: usize,
        load: f64,
    },
    Job {
        node: usize,
        there: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Crash,
    CrashAtAnswer,
    CrashAtWrite,
    LoseOne,
    LoseAll,
    Pause,
    Partition,
    Deaf,
    ClockJump,
    DiskFull,
    Slow,
    ArbiterDown,
    HolderDies,
    LeaseDeleted,
    LostAnswers,
    ReceiverFails,
    Upgrade,
    NodeDown,
    /// Writes of the lease happen and are not answered.
    LeaseUnanswered,
}

const KINDS: [Kind; 19] = [
    Kind::Crash,
    Kind::CrashAtAnswer,
    Kind::CrashAtWrite,
    Kind::LoseOne,
    Kind::LoseAll,
    Kind::Pause,
    Kind::Partition,
    Kind::Deaf,
    Kind::ClockJump,
    Kind::DiskFull,
    Kind::Slow,
    Kind::ArbiterDown,
    Kind::HolderDies,
    Kind::LeaseDeleted,
    Kind::LeaseUnanswered,
    Kind::LostAnswers,
    Kind::ReceiverFails,
    Kind::Upgrade,
    Kind::NodeDown,
];

/// One fault with its time; what lies outside of all of them is calm.
#[derive(Clone, Debug)]
pub struct Fault {
    pub kind: Kind,
    pub from: Duration,
    pub until: Duration,
    pub words: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, until) = (clock(self.from), clock(self.until));
        write!(f, "{from} to {until} {:?}: {}", self.kind, self.words)
    }
}

pub struct Plan {
    pub nodes: usize,
    pub faults: Vec<Fault>,
    pub acts: Vec<(Duration, Act)>,
    pub end: Duration,
}

pub const REPLICAS: [&str; 2] = ["a", "b"];
pub const NODES: [&str; 3] = ["n1", "n2", "n3"];
/// No fault begins before, so that every run has once been well.
const FIRST: u64 = 90;
/// Every fault is over by then.
const LAST: u64 = 20 * 60;
const END: u64 = 30 * 60;
const END_LONG: u64 = 45 * 60;
/// How far a clock is from the true time at most.
const SKEW_MILLIS: i64 = 4_000;

struct Maker {
    rng: fastrand::Rng,
    plan: Plan,
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

impl Plan {
    pub fn new(seed: u64) -> Self {
        let plan = Self {
            nodes: NODES.len(),
            faults: Vec::new(),
            acts: Vec::new(),
            end: secs(END),
        };
        let mut maker = Maker {
            rng: fastrand::Rng::with_seed(seed),
            plan,
        };
        // Now and then the arbiter is away for half an hour, and whoever led when it went dies meanwhile.
        if maker.rng.u8(0..25) == 0 {
            maker.plan.end = secs(END_LONG);
            maker.long_absence();
        }
        maker.loads();
        for _ in 0..maker.rng.usize(2..=5) {
            maker.fault();
        }
        let mut plan = maker.plan;
        // Stable: what was planned first happens first.
        plan.acts.sort_by_key(|(at, _)| *at);
        plan.faults.sort_by_key(|fault| (fault.from, fault.kind));
        plan
    }
}

impl Maker {
    fn act(&mut self, at: Duration, act: Act) {
        self.plan.acts.push((at, act));
    }

    fn seconds(&mut self, range: std::ops::RangeInclusive<u64>) -> Duration {
        Duration::from_millis(self.rng.u64(range.start() * 1000..=range.end() * 1000))
    }

    fn replica(&mut self) -> &'static str {
        REPLICAS[self.rng.usize(0..REPLICAS.len())]
    }

    fn who(&mut self) -> Who {
        if self.rng.bool() {
            Who::Holder
        } else {
            Who::Is(self.replica())
        }
    }

    fn long_absence(&mut self) {
        let (from, until) = (self.seconds(FIRST..=240), self.seconds(33 * 60..=36 * 60));
        self.act(from, Act::ArbiterAway(true));
        self.act(until, Act::ArbiterAway(false));
        let (dies, down) = (self.seconds(6 * 60..=25 * 60), self.seconds(30..=600));
        let (who, power) = (Who::Holder, self.rng.bool());
        self.act(dies, Act::Kill { who, power, down });
        self.plan.faults.push(Fault {
            kind: Kind::HolderDies,
            from,
            until,
            words: format!("at {} for {down:?}", clock(dies)),
        });
    }

    /// Each node is well and unwell in turn, each time for long enough to be told; all is as it stays for the
    /// last minutes of the run.
    fn loads(&mut self) {
        for node in 0..self.plan.nodes {
            let mut at = self.seconds(20..=240);
            let mut loaded = false;
            while at + secs(6 * 60) < self.plan.end {
                loaded = !loaded;
                let load = if loaded { 1.0 } else { 0.0 };
                self.act(at, Act::Load { node, load });
                at += self.seconds(150..=420);
            }
        }
        let mut at = self.seconds(60..=400);
        let mut there = true;
        while at + secs(6 * 60) < self.plan.end {
            there = !there;
            self.act(at, Act::Job { node: 0, there });
            at += self.seconds(150..=420);
        }
    }

    fn fault(&mut self) {
        let kind = KINDS[self.rng.usize(0..KINDS.len())];
        let from = self.seconds(FIRST..=LAST - 5 * 60);
        let (until, words) = match kind {
            Kind::Crash | Kind::CrashAtAnswer | Kind::CrashAtWrite | Kind::LoseOne | Kind::Pause => {
                self.blow(kind, from)
            }
            Kind::LoseAll | Kind::HolderDies | Kind::NodeDown | Kind::Upgrade => self.blows(kind, from),
            Kind::Partition | Kind::Deaf | Kind::Slow | Kind::LostAnswers => self.network(kind, from),
            _ => self.other(kind, from),
        };
        self.plan.faults.push(Fault {
            kind,
            from,
            until,
            words,
        });
    }

    /// One replica dies or stands still.
    fn blow(&mut self, kind: Kind, from: Duration) -> (Duration, String) {
        let (who, down) = (self.who(), self.seconds(1..=120));
        let act = match kind {
            Kind::Crash => Act::Kill {
                who,
                power: self.rng.bool(),
                down,
            },
            Kind::CrashAtAnswer => Act::KillAtAnswer { who, down },
            Kind::LoseOne => Act::LoseOne { who, down },
            Kind::CrashAtWrite => Act::KillAtWrite {
                who,
                writes: self.rng.u32(0..40),
                down,
            },
            _ => Act::Pause {
                who,
                still: self.seconds(2..=180),
            },
        };
        let words = format!("{act:?}");
        self.act(from, act);
        // When it really came about is in the world's own book.
        (from, words)
    }

    /// More than one thing happens.
    fn blows(&mut self, kind: Kind, from: Duration) -> (Duration, String) {
        match kind {
            Kind::LoseAll => {
                let down = self.seconds(1..=60);
                self.act(from, Act::LoseAll { down });
                (from, format!("for {down:?}"))
            }
            Kind::HolderDies => {
                self.act(from, Act::ArbiterAway(true));
                let (dies, down) = (from + self.seconds(5..=120), self.seconds(5..=240));
                let (who, power) = (Who::Holder, self.rng.bool());
                self.act(dies, Act::Kill { who, power, down });
                let until = dies + self.seconds(30..=300);
                self.act(until, Act::ArbiterAway(false));
                (until, format!("at {} for {down:?}", clock(dies)))
            }
            Kind::NodeDown => {
                let (node, down) = (NODES[self.rng.usize(0..self.plan.nodes)], self.seconds(5..=300));
                let (who, power) = (Who::Is(node), self.rng.bool());
                self.act(from, Act::Kill { who, power, down });
                (from + down, node.to_owned())
            }
            _ => {
                let first = self.rng.usize(0..2);
                let then = from + self.seconds(20..=180);
                self.act(from, Act::Upgrade(REPLICAS[first]));
                self.act(then, Act::Upgrade(REPLICAS[1 - first]));
                (then, format!("{} first", REPLICAS[first]))
            }
        }
    }

    fn network(&mut self, kind: Kind, from: Duration) -> (Duration, String) {
        let until = from + self.seconds(5..=240);
        let replica = self.replica();
        match kind {
            Kind::Partition => {
                let pairs = [
                    (REPLICAS[0], REPLICAS[1]),
                    (replica, "arbiter"),
                    (replica, "slack"),
                    (replica, "pager"),
                    (NODES[self.rng.usize(0..self.plan.nodes)], replica),
                ];
                let (one, other) = pairs[self.rng.usize(0..pairs.len())];
                let one_way = self.rng.u8(0..3) == 0;
                let set = |cut| match one_way {
                    true => Act::CutOne {
                        from: one,
                        to: other,
                        cut,
                    },
                    false => Act::Cut { one, other, cut },
                };
                self.act(from, set(true));
                self.act(until, set(false));
                let way = if one_way { "to" } else { "and" };
                (until, format!("{one} {way} {other}"))
            }
            Kind::Deaf => {
                for node in NODES.iter().take(self.plan.nodes) {
                    let (one, other) = (*node, replica);
                    self.act(
                        from,
                        Act::Cut {
                            one,
                            other,
                            cut: true,
                        },
                    );
                    self.act(
                        until,
                        Act::Cut {
                            one,
                            other,
                            cut: false,
                        },
                    );
                }
                (until, replica.to_owned())
            }
            Kind::Slow => {
                let by = Duration::from_millis(self.rng.u64(100..=2_500));
                let (one, other) = (REPLICAS[0], REPLICAS[1]);
                self.act(from, Act::Slow { one, other, by });
                let none = Duration::ZERO;
                self.act(until, Act::Slow { one, other, by: none });
                (until, format!("{by:?}"))
            }
            _ => {
                let to = ["pager", "slack", REPLICAS[0], REPLICAS[1]][self.rng.usize(0..4)];
                let from_whom = if to == replica { NODES[0] } else { replica };
                let (requests, answers) = (self.rng.u8(0..50), self.rng.u8(0..50));
                let lossy = |requests, answers| Act::Lossy {
                    from: from_whom,
                    to,
                    requests,
                    answers,
                };
                self.act(from, lossy(requests, answers));
                self.act(until, lossy(0, 0));
                let words = format!("{from_whom} to {to}: {requests} % of requests, {answers} % of answers");
                (until, words)
            }
        }
    }

    fn other(&mut self, kind: Kind, from: Duration) -> (Duration, String) {
        let until = from + self.seconds(5..=240);
        match kind {
            Kind::ClockJump => {
                let who = if self.rng.u8(0..4) == 0 {
                    Who::Is(NODES[self.rng.usize(0..self.plan.nodes)])
                } else {
                    self.who()
                };
                let millis = self.rng.i64(-SKEW_MILLIS..=SKEW_MILLIS);
                self.act(from, Act::Jump { who, millis });
                (from, format!("{who:?} to {millis} ms"))
            }
            Kind::DiskFull => {
                let who = [REPLICAS[0], REPLICAS[1], NODES[0]][self.rng.usize(0..3)];
                self.act(from, Act::Full { who, full: true });
                self.act(until, Act::Full { who, full: false });
                (until, who.to_owned())
            }
            Kind::ReceiverFails => {
                let whom = [Whom::Pager, Whom::Channel][self.rng.usize(0..2)];
                let manners = [
                    Manner::Status(503),
                    Manner::Throttles(self.rng.u64(1..=40)),
                    Manner::Hangs,
                    Manner::TakesAndHangs,
                ];
                let manner = manners[self.rng.usize(0..manners.len())];
                self.act(from, Act::Behave { whom, manner });
                let well = Manner::Well;
                self.act(until, Act::Behave { whom, manner: well });
                (until, format!("{whom:?} {manner:?}"))
            }
            Kind::ArbiterDown => {
                self.act(from, Act::ArbiterAway(true));
                self.act(until, Act::ArbiterAway(false));
                (until, String::new())
            }
            Kind::LeaseDeleted => {
                self.act(from, Act::DeleteLease);
                (from, String::new())
            }
            _ => {
                let writes = self.rng.u32(1..=5);
                self.act(from, Act::ArbiterSwallows(writes));
                (from, format!("{writes} of the arbiter's answers"))
            }
        }
    }
}
