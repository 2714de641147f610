//! What must hold at the end of a run: what was true against what was told.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::faults::Plan;
use super::node::Ground;
use super::receivers::{Receiver, Told, state_of};
use super::world::{World, clock};

/// Longest way from a fact to a message when all is well: read, evaluated, waited for, handed over.
const LAG: Duration = Duration::from_secs(60);
/// After a fault, until all is as before.
const GRACE: Duration = Duration::from_secs(60);

/// A stretch of time in which an alert's expression was true, as far as its nodes have said.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Episode {
    pub from: Duration,
    /// None: to the end of the run.
    pub until: Option<Duration>,
}

/// One alert of the rules, and when it was true.
pub struct Subject {
    pub name: String,
    /// The rule's `for`.
    pub hold: Duration,
    pub episodes: Vec<Episode>,
}

/// What a run has seen, for the summary.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub messages: usize,
    pub repeats: usize,
    pub incidents: usize,
    pub due: usize,
    pub blows: usize,
}

impl Seen {
    pub fn add(&mut self, other: &Self) {
        self.messages += other.messages;
        self.repeats += other.repeats;
        self.incidents += other.incidents;
        self.due += other.due;
        self.blows += other.blows;
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            messages,
            repeats,
            incidents,
            due,
            blows,
        } = self;
        write!(
            f,
            "{messages} messages, {repeats} marked repeats, {incidents} incidents, {due} that had to be told, \
             {blows} kills and pauses"
        )
    }
}

impl Episode {
    fn covers(&self, at: Duration) -> bool {
        self.from <= at && self.until.is_none_or(|until| at < until)
    }

    fn lasted(&self, end: Duration) -> Duration {
        self.until.unwrap_or(end).saturating_sub(self.from)
    }
}

impl Subject {
    /// The episode that a message at this time can be about: the last that had begun.
    fn episode(&self, at: Duration) -> Option<usize> {
        self.episodes.iter().rposition(|episode| episode.from <= at)
    }
}

/// What was so over time: a node that says nothing is as it last said.
pub fn subjects(grounds: &[std::sync::Arc<Ground>]) -> Vec<Subject> {
    let mut changes: BTreeMap<(Duration, usize), bool> = BTreeMap::new();
    for (nth, ground) in grounds.iter().enumerate() {
        for read in ground.reads.lock().iter() {
            changes.insert((read.at, nth), read.facts.load > 0.5);
        }
    }
    let minute = Duration::from_secs(60);
    let mut subjects: Vec<Subject> = grounds
        .iter()
        .enumerate()
        .map(|(nth, ground)| Subject {
            name: format!("LoadHigh/{}", ground.name),
            hold: minute,
            episodes: episodes(&changes, |states| states.get(&nth) == Some(&true)),
        })
        .collect();
    subjects.push(Subject {
        name: "ManyLoaded".to_owned(),
        hold: minute / 2,
        episodes: episodes(&changes, |states| {
            states.values().filter(|loaded| **loaded).count() >= 2
        }),
    });
    subjects
}

fn episodes(
    changes: &BTreeMap<(Duration, usize), bool>,
    is_true: impl Fn(&BTreeMap<usize, bool>) -> bool,
) -> Vec<Episode> {
    let (mut states, mut episodes) = (BTreeMap::new(), Vec::new());
    let mut from = None;
    for ((at, node), loaded) in changes {
        states.insert(*node, *loaded);
        match (is_true(&states), from) {
            (true, None) => from = Some(*at),
            (false, Some(since)) => {
                episodes.push(Episode {
                    from: since,
                    until: Some(*at),
                });
                from = None;
            }
            _ => {}
        }
    }
    episodes.extend(from.map(|from| Episode { from, until: None }));
    episodes
}

/// All that is wrong, a sentence each; and what was seen.
pub fn check(world: &World, plan: &Plan) -> (Vec<String>, Seen) {
    let mut wrong = world.wrong.clone();
    let mut seen = Seen {
        blows: world.blows.len(),
        incidents: world.pager.incidents().len(),
        ..Seen::default()
    };
    let subjects = subjects(&world.grounds);
    for (name, receiver) in [("slack", &world.slack)] {
        let told = receiver.told();
        seen.messages += told.len();
        wrong.extend(
            receiver
                .refused()
                .into_iter()
                .map(|why| format!("{name} refused: {why}")),
        );
        lost(name, &told, &subjects, plan, &mut wrong, &mut seen);
        false_resolves(name, &told, &subjects, &mut wrong);
        repeats(name, receiver, &subjects, world, &mut wrong, &mut seen);
    }
    for (name, ledger) in world.ledgers() {
        if !ledger.balances() {
            wrong.push(format!("{name}: the ledger does not balance: {ledger:?}"));
        }
    }
    (wrong, seen)
}

/// Every firing that lasted through a calm time was told, and at the end everybody knows how things stand.
fn lost(
    receiver: &str,
    told: &[Told],
    subjects: &[Subject],
    plan: &Plan,
    wrong: &mut Vec<String>,
    seen: &mut Seen,
) {
    let states = state_of(told);
    for subject in subjects {
        let name = &subject.name;
        for episode in &subject.episodes {
            let due = subject.hold + LAG;
            if calm(episode, plan) < due {
                continue;
            }
            seen.due += 1;
            let until = episode.until.unwrap_or(plan.end) + LAG;
            let heard = told
                .iter()
                .any(|told| told.firing.contains(name) && episode.from <= told.at && told.at <= until);
            // One that was told before and never taken back is known already.
            let known = told
                .iter()
                .rfind(|told| {
                    told.at < episode.from && (told.firing.contains(name) || told.resolved.contains(name))
                })
                .is_some_and(|told| told.firing.contains(name));
            if !heard && !known {
                wrong.push(format!(
                    "lost: {receiver} never heard of {name}, true from {} for {:?}",
                    clock(episode.from),
                    episode.lasted(plan.end)
                ));
            }
        }
        let fires = subject
            .episodes
            .last()
            .is_some_and(|episode| episode.until.is_none() && episode.lasted(plan.end) > subject.hold + LAG);
        let said = states.get(name).copied().unwrap_or(false);
        if fires != said {
            wrong.push(format!(
                "lost: at the end {name} is {}, and {receiver} believes {}",
                if fires { "firing" } else { "not firing" },
                if said { "that it fires" } else { "that it does not" }
            ));
        }
    }
}

/// Longest time without a fault within an episode.
fn calm(episode: &Episode, plan: &Plan) -> Duration {
    let until = episode.until.unwrap_or(plan.end);
    let (mut from, mut longest) = (episode.from, Duration::ZERO);
    let mut faults: Vec<_> = plan
        .faults
        .iter()
        .map(|fault| (fault.from, fault.until + GRACE))
        .collect();
    faults.sort();
    for (begins, ends) in faults {
        longest = longest.max(begins.min(until).saturating_sub(from));
        from = from.max(ends);
    }
    longest.max(until.saturating_sub(from))
}

/// Nothing is said to be over that was true all the time.
fn false_resolves(receiver: &str, told: &[Told], subjects: &[Subject], wrong: &mut Vec<String>) {
    for told in told {
        for name in &told.resolved {
            let Some(subject) = subjects.iter().find(|subject| subject.name == *name) else {
                wrong.push(format!("{receiver} heard of {name}, which there is not"));
                continue;
            };
            let during = subject.episodes.iter().find(|episode| episode.covers(told.at));
            if let Some(during) = during.filter(|during| during.from + LAG < told.at) {
                wrong.push(format!(
                    "false resolve: {receiver} heard at {} from {} that {name} is over, true since {}",
                    clock(told.at),
                    told.from,
                    clock(during.from)
                ));
            }
        }
    }
}

/// Each firing and each end is told once; again only with a mark, and only as often as something was killed,
/// paused, cut or left without an answer.
fn repeats(
    name: &str,
    receiver: &Receiver,
    subjects: &[Subject],
    world: &World,
    wrong: &mut Vec<String>,
    seen: &mut Seen,
) {
    let told = receiver.told();
    let unanswered = told.iter().filter(|told| told.unanswered).count();
    let allowed = world.blows.len() + unanswered;
    for subject in subjects {
        let mut known: BTreeMap<usize, (bool, bool)> = BTreeMap::new();
        let mut marked = 0;
        for told in &told {
            let fires = told.firing.contains(&subject.name);
            let ends = told.resolved.contains(&subject.name);
            if !fires && !ends {
                continue;
            }
            let last_fired = known.iter().rfind(|(_, (fired, _))| *fired).map(|(nth, _)| *nth);
            let nth = if fires {
                subject.episode(told.at)
            } else {
                last_fired
            };
            let Some(nth) = nth else {
                wrong.push(format!(
                    "{name} heard at {} of {}, of which it should know nothing",
                    clock(told.at),
                    subject.name
                ));
                continue;
            };
            let (fired, ended) = known.entry(nth).or_default();
            let before = std::mem::replace(if fires { fired } else { ended }, true);
            if !before {
                continue;
            }
            seen.repeats += 1;
            marked += 1;
            if !told.marked {
                wrong.push(format!(
                    "unmarked repeat: {name} heard again at {} from {} that {} {}",
                    clock(told.at),
                    told.from,
                    subject.name,
                    if fires { "fires" } else { "is over" }
                ));
            }
        }
        if marked > allowed {
            wrong.push(format!(
                "{marked} repeats for {} to {name}, where {allowed} were to be borne",
                subject.name
            ));
        }
    }
}
