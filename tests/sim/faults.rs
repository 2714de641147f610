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
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Crash,
    CrashAtAnswer,
    CrashAtWrite,
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
}

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

    /// Each node is well and unwell in turn, each time for long enough to be told; all is as it stays for the
    /// last minutes of the run.
    fn loads(&mut self) {
        for node in 0..self.plan.nodes {
            let mut at = self.seconds(20..=240);
            let mut loaded = false;
            while at < secs(END - 6 * 60) {
                loaded = !loaded;
                let load = if loaded { 1.0 } else { 0.0 };
                self.act(at, Act::Load { node, load });
                at += self.seconds(150..=420);
            }
        }
    }

    fn fault(&mut self) {
        let from = self.seconds(FIRST..=LAST - 5 * 60);
        const KINDS: [Kind; 7] = [
            Kind::Crash,
            Kind::CrashAtAnswer,
            Kind::CrashAtWrite,
            Kind::Pause,
            Kind::ClockJump,
            Kind::ReceiverFails,
            Kind::LostAnswers,
        ];
        let kind = KINDS[self.rng.usize(0..KINDS.len())];
        let (until, words) = self.make(kind, from);
        self.plan.faults.push(Fault {
            kind,
            from,
            until,
            words,
        });
    }

    /// Plans a fault of this kind; says until when it lasts, and what it is.
    fn make(&mut self, kind: Kind, from: Duration) -> (Duration, String) {
        match kind {
            Kind::Crash => {
                let (who, down, power) = (self.who(), self.seconds(1..=120), self.rng.bool());
                self.act(from, Act::Kill { who, power, down });
                (from + down, format!("{who:?}, power {power}"))
            }
            Kind::CrashAtAnswer => {
                let (who, down) = (self.who(), self.seconds(1..=60));
                self.act(from, Act::KillAtAnswer { who, down });
                (secs(LAST) + down, format!("{who:?}"))
            }
            Kind::CrashAtWrite => {
                let (who, down, writes) = (self.who(), self.seconds(1..=60), self.rng.u32(0..40));
                self.act(from, Act::KillAtWrite { who, writes, down });
                (secs(LAST) + down, format!("{who:?}, after {writes} writes"))
            }
            Kind::Pause => {
                let (who, still) = (self.who(), self.seconds(2..=180));
                self.act(from, Act::Pause { who, still });
                (from + still, format!("{who:?}"))
            }
            Kind::ClockJump => {
                let (who, millis) = (self.who(), self.rng.i64(-20_000..=20_000));
                self.act(from, Act::Jump { who, millis });
                (from + secs(60), format!("{who:?} by {millis} ms"))
            }
            Kind::DiskFull => {
                let (who, until) = (self.replica(), from + self.seconds(5..=240));
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
                let until = from + self.seconds(5..=180);
                self.act(from, Act::Behave { whom, manner });
                self.act(
                    until,
                    Act::Behave {
                        whom,
                        manner: Manner::Well,
                    },
                );
                (until, format!("{whom:?} {manner:?}"))
            }
            _ => {
                let to = ["pager", "slack"][self.rng.usize(0..2)];
                let (who, until) = (self.replica(), from + self.seconds(30..=240));
                let (requests, answers) = (self.rng.u8(0..50), self.rng.u8(0..50));
                self.act(
                    from,
                    Act::Lossy {
                        from: who,
                        to,
                        requests,
                        answers,
                    },
                );
                self.act(
                    until,
                    Act::Lossy {
                        from: who,
                        to,
                        requests: 0,
                        answers: 0,
                    },
                );
                (
                    until,
                    format!("{who} to {to}: {requests} % of requests, {answers} % of answers"),
                )
            }
        }
    }
}
