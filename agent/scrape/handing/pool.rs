//! What the pool of targets does of handing out, and of taking.

use std::collections::HashSet;
use std::sync::Arc;

use model::view;

use super::desk::{Handed, List};
use super::given::Given;
use super::home::{Seen, id};
use crate::plan::Plan;
use crate::pool::Pool;

/// Handing out.
impl Pool {
    /// To be said before anything is to be scraped: what is found on a node has that node's name from now on.
    pub fn hand_out(&self) {
        self.wanted.lock().hands_out = true;
    }

    /// From now on it is this process that hands out; these nodes have agents that may have some already.
    pub fn lead(&self, expected: impl IntoIterator<Item = Arc<str>>) {
        let now = self.house.clock.running();
        self.desk.lock().open(expected, now);
    }

    /// It is another process from now on.
    pub fn follow(&self) {
        self.desk.lock().close();
    }

    /// Whether all is known of where targets are to be found, so that what is in no list is nowhere.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let wanted = self.wanted.lock();
        let mut looked_for = wanted.looks_for().into_iter();
        looked_for.all(|objects| wanted.objects.contains_key(&objects))
    }

    /// The agent of this node asks, and says what it has.
    pub fn heard(&self, node: &Arc<str>, held: HashSet<u64>) {
        let now = self.house.clock.running();
        self.desk.lock().heard(node, held, now);
    }

    /// What the agent of this node is told that has the list with this tag.
    #[must_use]
    pub fn list(&self, node: &str, tag: Option<&str>) -> List {
        self.desk.lock().list(node, tag)
    }

    /// Goes over to reading what nobody else reads; false where nothing has changed.
    pub fn look_again(&self) -> bool {
        let now = self.house.clock.running();
        if !self.desk.lock().is_stale(now) {
            return false;
        }
        let mut wanted = self.wanted.lock();
        let sum = wanted.sum();
        // What is wrong has been said when it came.
        self.go_over(&wanted, sum);
        true
    }

    #[must_use]
    pub fn handed(&self) -> Handed {
        let now = self.house.clock.running();
        self.desk.lock().shown(now)
    }

    /// What is to be read here, and the names of what is not.
    pub(crate) fn keep_back(&self, plans: Vec<Plan>) -> (Vec<Plan>, HashSet<Arc<str>>) {
        let now = self.house.clock.running();
        let mut desk = self.desk.lock();
        let here = desk.sort(plans, now);
        let handed = desk.handed().iter().map(|plan| Arc::clone(&plan.name));
        (here, handed.collect())
    }

    /// How they are is for the agent to say.
    pub(crate) fn read_by_agents(&self) -> Vec<view::Target> {
        let desk = self.desk.lock();
        let shown = desk.handed().iter().map(|plan| view::Target {
            job: plan.job.clone(),
            url: plan.url.clone(),
            discovered: plan.discovered.clone(),
            labels: plan.rules.target.clone(),
            health: view::Health::Unknown,
            last_error: String::new(),
            last_scrape: None,
            last_duration: std::time::Duration::ZERO,
            interval: plan.interval,
            timeout: plan.timeout,
            samples: 0,
            http: true,
            read_by: plan.rules.home.as_ref().map(|home| home.node.to_string()),
        });
        shown.collect()
    }
}

/// Taking.
impl Pool {
    /// Goes over to these targets that were given, beside all others. What it cannot read as whoever gave it would, it leaves.
    pub fn take(&self, given: &Given) {
        let mut wanted = self.wanted.lock();
        wanted.given = given.plans.iter().filter(|plan| is_ours(plan)).cloned().collect();
        let sum = wanted.sum();
        self.go_over(&wanted, sum);
    }

    /// Lets go of those that are not among these; how the others are read stays as it is.
    pub fn keep_only(&self, given: &Given) {
        let names: HashSet<&str> = given.plans.iter().map(|plan| &*plan.name).collect();
        let mut wanted = self.wanted.lock();
        wanted.given.retain(|plan| names.contains(&*plan.name));
        let sum = wanted.sum();
        self.go_over(&wanted, sum);
    }
}

/// No series of it has turned out to be another's.
pub(super) fn is_ours(plan: &Plan) -> bool {
    let home = plan.rules.home.as_ref();
    home.is_none_or(|home| home.seen() != Seen::Foreign)
}

/// What plans are called between processes.
pub(super) fn ids(plans: &[Plan]) -> HashSet<u64> {
    let ours = plans.iter().filter(|plan| is_ours(plan));
    ours.map(id).collect()
}
