//! Who has which target: what agents say that they have, and what is read here for want of them.
//!
//! No I/O and no clock: times are given, so that the whole of it is a function of what was said.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use xxhash_rust::xxh3::Xxh3Default;

use super::home::{Home, Reason, Seen, id};
use super::{AWAITED, SILENT, TARGETS_MAX};
use crate::plan::Plan;

/// What an agent is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// The same as long as the list is.
    pub tag: String,
    /// None where the asker has it.
    pub body: Option<String>,
}

/// For doctor and pages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Handed {
    /// Agents that ask.
    pub agents: usize,
    /// Targets that agents have.
    pub targets: usize,
    /// Targets that are read here, by the reason.
    pub kept: BTreeMap<Reason, usize>,
}

/// Who has what.
#[derive(Default)]
pub(crate) struct Desk {
    is_open: bool,
    nodes: HashMap<Arc<str>, Agent>,
    /// By name, so that what has been seen of a target is not forgotten with its place in a list.
    homes: HashMap<Arc<str>, Arc<Home>>,
    handed: Vec<Plan>,
    /// What is read here whatever agents say.
    never: BTreeMap<Reason, usize>,
    /// Who reads what may be otherwise than when it was last looked at.
    is_stale: bool,
}

/// The agent of one node; all times are running times.
#[derive(Default)]
struct Agent {
    /// What is on its node and may be its own, in the same order each time.
    at_home: Vec<(u64, Arc<Home>)>,
    held: HashSet<u64>,
    heard: Option<Duration>,
    /// Until then it is taken to have what is at home there, for somebody else has handed it out.
    awaited: Option<Duration>,
    /// As it was when it was last looked at.
    was_there: bool,
}

impl Agent {
    fn is_there(&self, now: Duration) -> bool {
        self.heard.is_some_and(|heard| now < heard + SILENT) || self.is_awaited(now)
    }

    fn is_awaited(&self, now: Duration) -> bool {
        self.heard.is_none() && self.awaited.is_some_and(|until| now < until)
    }

    /// What it is told of, so many at most.
    fn listed(&self) -> impl Iterator<Item = &Home> {
        let may = |(id, home): &&(u64, Arc<Home>)| match home.seen() {
            Seen::Own => true,
            Seen::Unread => self.held.contains(id),
            Seen::Foreign => false,
        };
        self.at_home
            .iter()
            .filter(may)
            .map(|(_, home)| &**home)
            .take(TARGETS_MAX)
    }
}

impl Desk {
    /// From now on targets are handed out here; these nodes have agents that may have some already.
    pub(crate) fn open(&mut self, expected: impl IntoIterator<Item = Arc<str>>, now: Duration) {
        self.close();
        self.is_open = true;
        for node in expected {
            self.nodes.entry(node).or_default().awaited = Some(now + AWAITED);
        }
    }

    /// Somebody else does.
    pub(crate) fn close(&mut self) {
        self.is_stale |= self.is_open;
        self.is_open = false;
        self.nodes.clear();
    }

    /// Sorts out what is read here. What is handed out stays known.
    pub(crate) fn sort(&mut self, plans: Vec<Plan>, now: Duration) -> Vec<Plan> {
        self.is_stale = false;
        let mut before = std::mem::take(&mut self.homes);
        for agent in self.nodes.values_mut() {
            agent.at_home.clear();
        }
        (self.handed, self.never) = (Vec::new(), BTreeMap::new());
        let mut here = Vec::with_capacity(plans.len());
        let plans = plans.into_iter().map(|mut plan| {
            let id = id(&plan);
            if let Some(home) = &mut plan.rules.home {
                if let Some(known) = before.remove(&plan.name).filter(|known| known == home) {
                    *home = known;
                }
                self.homes.insert(Arc::clone(&plan.name), Arc::clone(home));
                if home.never.is_none() {
                    let agent = self.nodes.entry(Arc::clone(&home.node)).or_default();
                    agent.at_home.push((id, Arc::clone(home)));
                }
            }
            plan
        });
        let plans: Vec<Plan> = plans.collect();
        for agent in self.nodes.values_mut() {
            agent.was_there = agent.is_there(now);
            agent.at_home.sort_unstable_by_key(|(id, _)| *id);
        }
        for plan in plans {
            let home = plan.rules.home.as_ref();
            let never = home.map_or(Some(Reason::NoNode), |home| home.never);
            if let Some(reason) = never {
                *self.never.entry(reason).or_default() += 1;
            }
            let is_handed = home.is_some_and(|home| self.kept_for(id(&plan), home, now).is_none());
            if never.is_none() && is_handed {
                self.handed.push(plan);
            } else {
                here.push(plan);
            }
        }
        self.nodes
            .retain(|_, agent| !agent.at_home.is_empty() || agent.is_there(now));
        here
    }

    /// Why it is read here what an agent might read; none where that does.
    fn kept_for(&self, id: u64, home: &Home, now: Duration) -> Option<Reason> {
        let agent = self.nodes.get(&home.node).filter(|agent| agent.is_there(now));
        let Some(agent) = agent else {
            return Some(Reason::NoAgent);
        };
        match home.seen() {
            Seen::Foreign => Some(Reason::NodeLabel),
            _ if agent.is_awaited(now) || agent.held.contains(&id) => None,
            Seen::Unread => Some(Reason::Unread),
            Seen::Own if agent.at_home.len() > TARGETS_MAX => Some(Reason::Many),
            Seen::Own => Some(Reason::NotTaken),
        }
    }

    /// The agent of this node asks, and says what it has.
    pub(crate) fn heard(&mut self, node: &Arc<str>, held: HashSet<u64>, now: Duration) {
        if !self.is_open {
            return;
        }
        let agent = self.nodes.entry(Arc::clone(node)).or_default();
        self.is_stale |= !agent.was_there || agent.is_awaited(now) || agent.held != held;
        (agent.held, agent.heard) = (held, Some(now));
    }

    /// What the agent of this node is told that has the list with this tag.
    pub(crate) fn list(&self, node: &str, tag: Option<&str>) -> List {
        let listed = || self.nodes.get(node).into_iter().flat_map(Agent::listed);
        let mut hash = Xxh3Default::new();
        for home in listed() {
            hash.update(home.entry.as_bytes());
            hash.update(b"\n");
        }
        let now = format!("\"{:016x}\"", hash.digest());
        let body = (tag != Some(now.as_str())).then(|| {
            let entries: Vec<&str> = listed().map(|home| &*home.entry).collect();
            format!("[{}]", entries.join(",\n"))
        });
        List { tag: now, body }
    }

    /// Whether it has to be sorted out anew who reads what.
    pub(crate) fn is_stale(&self, now: Duration) -> bool {
        let turned = |agent: &Agent| agent.is_there(now) != agent.was_there;
        let is_foreign = |plan: &Plan| {
            let home = plan.rules.home.as_ref();
            home.is_some_and(|home| home.seen() == Seen::Foreign)
        };
        self.is_stale || self.nodes.values().any(turned) || self.handed.iter().any(is_foreign)
    }

    pub(crate) fn handed(&self) -> &[Plan] {
        &self.handed
    }

    pub(crate) fn shown(&self, now: Duration) -> Handed {
        let mut kept = self.never.clone();
        for (id, home) in self.nodes.values().flat_map(|agent| &agent.at_home) {
            if let Some(reason) = self.kept_for(*id, home, now) {
                *kept.entry(reason).or_default() += 1;
            }
        }
        let asks = |agent: &&Agent| agent.heard.is_some() && agent.is_there(now);
        Handed {
            agents: self.nodes.values().filter(asks).count(),
            targets: self.handed.len(),
            kept,
        }
    }
}
