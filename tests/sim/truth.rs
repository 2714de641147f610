//! What was really so in a run, and what stood in the way of telling it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::faults::{Kind, Plan, REPLICAS};
use super::node::Ground;
use super::world::World;

/// A sender is silent once nobody has heard it for so long.
pub const SILENT: Duration = Duration::from_secs(30);
/// A series that nobody has ended is read for so long.
const LOOKBACK: Duration = Duration::from_secs(300);
/// A node has read everything once so long after its start.
const FIRST_READ: Duration = Duration::from_secs(20);

/// A stretch of time in which an alert's expression was true, as far as its nodes have said.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Episode {
    pub from: Duration,
    /// None: to the end of the run.
    pub until: Option<Duration>,
    /// From when on it could be known.
    pub due: Duration,
}

/// One alert of the rules, and when it was true.
pub struct Subject {
    pub name: String,
    /// The node it is about; none: all of them.
    pub node: Option<&'static str>,
    /// The rule's `for`.
    pub hold: Duration,
    pub episodes: Vec<Episode>,
}

/// Something that was not as it should be.
#[derive(Clone, Debug)]
pub struct Trouble {
    pub from: Duration,
    pub until: Duration,
    /// The pair tells all the same, a little later.
    pub bearable: bool,
    /// Only this receiver is concerned.
    pub receiver: Option<&'static str>,
    /// Only what is said of this node is concerned.
    pub node: Option<&'static str>,
    pub words: String,
}

impl Episode {
    pub fn covers(&self, at: Duration) -> bool {
        self.from <= at && self.until.is_none_or(|until| at < until)
    }

    pub fn end(&self, end: Duration) -> Duration {
        self.until.unwrap_or(end)
    }
}

impl Subject {
    /// The episode that a message at this time can be about: the last that had begun.
    pub fn episode(&self, at: Duration) -> Option<usize> {
        self.episodes.iter().rposition(|episode| episode.from <= at)
    }
}

type Changes = BTreeMap<(Duration, usize), bool>;

/// What was so over time: a node that says nothing is as it last said.
pub fn subjects(world: &World) -> Vec<Subject> {
    let grounds = &world.grounds;
    let mut load = changes(grounds, |facts| facts.load > 0.5);
    forget(&mut load, world);
    let gone = changes(grounds, |facts| !facts.job);
    let second = Duration::from_secs(1);
    let mut subjects = Vec::new();
    for (nth, ground) in grounds.iter().enumerate() {
        let node = ground.name;
        let about = |name: &str, hold: u32, episodes| Subject {
            name: format!("{name}/{node}"),
            node: Some(node),
            hold: second * hold,
            episodes,
        };
        let is = |states: &BTreeMap<usize, bool>| states.get(&nth) == Some(&true);
        subjects.push(about("LoadHigh", 60, episodes(&load, is)));
        subjects.push(about("AgentSilent", 0, silences(&ground.heard.lock())));
        if nth == 0 {
            // What a silent node would have sent is as gone as it seems.
            let mut gone = either(episodes(&gone, is), silences(&ground.heard.lock()));
            for episode in &mut gone {
                episode.due = unnoticed(episode.from, node, world);
            }
            subjects.push(about("JobGone", 30, gone));
        }
    }
    let many = |states: &BTreeMap<usize, bool>| states.values().filter(|loaded| **loaded).count() >= 2;
    subjects.push(Subject {
        name: "ManyLoaded".to_owned(),
        node: None,
        hold: second * 30,
        episodes: episodes(&load, many),
    });
    subjects
}

fn changes(grounds: &[Arc<Ground>], is: impl Fn(&super::node::Facts) -> bool) -> Changes {
    let mut changes = BTreeMap::new();
    for (nth, ground) in grounds.iter().enumerate() {
        for read in ground.reads.lock().iter() {
            changes.insert((read.at, nth), is(&read.facts));
        }
    }
    changes
}

fn episodes(changes: &Changes, is_true: impl Fn(&BTreeMap<usize, bool>) -> bool) -> Vec<Episode> {
    let (mut states, mut episodes) = (BTreeMap::new(), Vec::new());
    let mut from = None;
    for ((at, node), is) in changes {
        states.insert(*node, *is);
        match (is_true(&states), from) {
            (true, None) => from = Some(*at),
            (false, Some(since)) => {
                episodes.push(Episode {
                    from: since,
                    until: Some(*at),
                    due: since,
                });
                from = None;
            }
            _ => {}
        }
    }
    let last = from.map(|from| Episode {
        from,
        until: None,
        due: from,
    });
    episodes.extend(last);
    episodes
}

/// Of a node that was down when all that was known of it was lost, nothing is so until it comes back.
fn forget(changes: &mut Changes, world: &World) {
    for loss in world.blows.iter().filter(|blow| blow.all) {
        for (nth, ground) in world.grounds.iter().enumerate() {
            let after = loss.at..loss.until.unwrap_or(loss.at) + SILENT;
            if !ground.heard.lock().iter().any(|at| after.contains(at)) {
                changes.insert((loss.at, nth), false);
            }
        }
    }
}

/// What went away while its node was down is not noticed: the node no longer knows that it was there, and nobody ends it.
fn unnoticed(from: Duration, node: &str, world: &World) -> Duration {
    let downs = world.blows.iter().filter(|blow| blow.name == node);
    let mut hidden = downs.filter(|down| {
        let back = down.until.unwrap_or(Duration::MAX);
        back <= from && from <= back.saturating_add(FIRST_READ)
    });
    hidden.next().map_or(from, |down| down.at + LOOKBACK)
}

/// Times in which neither replica heard a node, that had been heard before.
fn silences(heard: &[Duration]) -> Vec<Episode> {
    let pairs = heard.iter().zip(heard.iter().skip(1));
    pairs
        .filter(|(last, next)| **next > **last + SILENT)
        .map(|(last, next)| Episode {
            from: *last + SILENT,
            until: Some(*next),
            due: *last + SILENT,
        })
        .collect()
}

/// Times in which one or the other is true.
fn either(one: Vec<Episode>, other: Vec<Episode>) -> Vec<Episode> {
    let mut all = [one, other].concat();
    all.sort_by_key(|episode| episode.from);
    let mut joined: Vec<Episode> = Vec::new();
    for next in all {
        match joined.last_mut() {
            Some(last) if last.until.is_none_or(|until| next.from <= until) => {
                let until = last.until.zip(next.until).map(|(one, other)| one.max(other));
                last.until = until;
            }
            _ => joined.push(next),
        }
    }
    joined
}

/// All that stood in the way, as planned and as it came about.
pub fn troubles(world: &World, plan: &Plan) -> Vec<Trouble> {
    let mut troubles = Vec::new();
    for fault in &plan.faults {
        let mut trouble = Trouble {
            from: fault.from,
            until: fault.until,
            bearable: true,
            receiver: None,
            node: None,
            words: fault.to_string(),
        };
        match fault.kind {
            // These are in the world's own book, when they came about.
            Kind::Crash
            | Kind::CrashAtAnswer
            | Kind::CrashAtWrite
            | Kind::Pause
            | Kind::Upgrade
            | Kind::NodeDown
            | Kind::LoseOne
            | Kind::LoseAll => continue,
            // Whoever speaks goes on.
            Kind::ArbiterDown | Kind::HolderDies | Kind::LeaseDeleted | Kind::LeaseUnanswered => continue,
            Kind::Partition | Kind::LostAnswers | Kind::ReceiverFails => {
                let words = fault.words.to_ascii_lowercase().replace("channel", "slack");
                trouble.receiver = ["slack", "pager"].into_iter().find(|name| words.contains(name));
                trouble.bearable = trouble.receiver.is_none();
            }
            Kind::Deaf | Kind::ClockJump | Kind::DiskFull | Kind::Slow => {}
        }
        troubles.push(trouble);
    }
    for blow in &world.blows {
        let node = blow.name;
        let is_node = !REPLICAS.contains(&node);
        troubles.push(Trouble {
            from: blow.at,
            until: blow.until.unwrap_or(plan.end),
            bearable: !is_node && !blow.all,
            receiver: None,
            node: is_node.then_some(node),
            words: format!("{} {}", blow.name, blow.words),
        });
    }
    troubles.sort_by_key(|trouble| trouble.from);
    troubles
}
