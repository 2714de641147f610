//! Runs the groups, and changes them by difference: a group that a reload leaves as it is goes on
//! untouched, a changed one hands its state to its successor.
//!
//! After a restart, a restored alert that is missing in an answer is left alone until its target has been
//! heard and the expression's ranges are covered (see `heard.rs`). A rule that gives more alerts than its
//! group's `limit` keeps as many, those that are alerts already first, and raises `RuleLimitExceeded`;
//! a recording rule beyond it records nothing, as in Prometheus. Both count as failed evaluations.

use std::sync::Arc;
use std::time::Duration;

use model::{Ledger, Timestamp, view};
use parking_lot::Mutex;
use prometheus::Registry;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::alert::State;
use crate::config::Options;
use crate::group::Group;
use crate::metrics::Metrics;
use crate::outage::{self, Outage};
use crate::output::Output;
use crate::pool::Pool;
use crate::record::{self, Identity, Record};
use crate::runner::Running;
use crate::state::RuleState;
use crate::unreachable::{HOLD, Unreachable};
use crate::view::of_group;
use crate::world::{Neighbours, World};

/// Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Manager(Arc<Inner>);

struct Inner {
    world: Arc<World>,
    /// None until the first [`Manager::apply`].
    wanted: watch::Sender<Option<Arc<[Group]>>>,
    /// In the order they were given.
    running: Mutex<Vec<Arc<Running>>>,
    /// Alerts whose rules are gone, while their end is still told.
    retired: Mutex<Vec<Record>>,
    unreachable: Unreachable,
    /// Asked for by [`Manager::inherit`].
    inheritance: Notify,
    /// Until then rules may still come that what is inherited belongs to.
    expects_until: Mutex<Option<Timestamp>>,
}

impl Manager {
    #[must_use]
    pub fn new(near: Neighbours, registry: &Registry, options: Options) -> Self {
        let world = World::new(near, options, Metrics::new(registry));
        Self(Arc::new(Inner {
            unreachable: Unreachable::new(&world),
            world: Arc::new(world),
            wanted: watch::Sender::new(None),
            running: Mutex::default(),
            retired: Mutex::default(),
            inheritance: Notify::new(),
            expects_until: Mutex::new(None),
        }))
    }

    /// More rules are expected, from somewhere that takes a while: until then what is inherited of a rule that is
    /// not here waits for it.
    pub fn expect_rules(&self, patience: Duration) {
        *self.0.expects_until.lock() = Some(self.0.world.near.clock.now() + patience);
    }

    /// These groups are to run from now on. Returns at once; [`Self::run`] does it.
    pub fn apply(&self, groups: Vec<Group>) {
        self.0.wanted.send_replace(Some(groups.into()));
    }

    /// The other replica is gone, or its table has come anew: whatever fires there, by the journal, and is not
    /// active here is taken up. Returns at once; [`Self::run`] does it, and does it at its start in any case.
    /// Doing it again changes nothing.
    pub fn inherit(&self) {
        self.0.inheritance.notify_one();
    }

    /// Until `stop`. Ends by itself only when a group's task has died, which is a mistake of ours.
    pub async fn run(self, stop: CancellationToken) {
        let mut wanted = self.0.wanted.subscribe();
        wanted.mark_changed();
        let mut tasks = JoinSet::new();
        let mut restored = false;
        let clock = Arc::clone(&self.0.world.near.clock);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Ok(()) = wanted.changed() => {
                    let groups = wanted.borrow_and_update().clone();
                    if let Some(groups) = groups {
                        self.0.reconcile(&groups, !restored, &mut tasks).await;
                        restored = true;
                    }
                }
                () = self.0.inheritance.notified(), if restored => self.0.inherit().await,
                Some(ended) = tasks.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "a rule group has died");
                        break;
                    }
                }
                () = clock.sleep(self.0.world.options.evaluation_interval), if restored => {
                    let running = self.0.running.lock().clone();
                    self.0.unreachable.look(&self.0.world, &running).await;
                    if self.0.has_waited() {
                        self.0.inherit().await;
                    }
                    self.0.tell_retired().await;
                    outage::note(&self.0.world).await;
                }
            }
        }
        self.0
            .running
            .lock()
            .iter()
            .for_each(|running| running.stop.cancel());
        while tasks.join_next().await.is_some() {}
    }

    /// The groups that are to run; none before the first [`Self::apply`].
    #[must_use]
    pub fn groups(&self) -> Arc<[Group]> {
        self.0.wanted.borrow().clone().unwrap_or_default()
    }

    /// Groups, rules and alerts as they stand.
    #[must_use]
    pub fn view(&self) -> Vec<view::RuleGroup> {
        let running = self.0.running.lock();
        let own = self.0.unreachable.view(self.0.world.options.evaluation_interval);
        running
            .iter()
            .map(|running| of_group(running, &self.0.world))
            .chain(own)
            .collect()
    }

    /// The groups, as they run now.
    pub(crate) fn running(&self) -> Vec<Arc<Running>> {
        self.0.running.lock().clone()
    }

    /// Why the last write of alert state was not taken by the disk, if it was not.
    pub(crate) fn not_durable(&self) -> Option<String> {
        self.0.world.not_durable.lock().clone()
    }

    /// Alert events that were due, and where they went.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        self.0.world.metrics.ledger()
    }
}

impl Inner {
    /// Ends what is no longer wanted, hands its alerts on, and starts what is new. All of the journal's
    /// alerts are taken up before the first group evaluates.
    async fn reconcile(&self, wanted: &[Group], first: bool, tasks: &mut JoinSet<()>) {
        let begun = tokio::time::Instant::now();
        let before = std::mem::take(&mut *self.running.lock());
        let (same, gone): (Vec<_>, Vec<_>) = before.into_iter().partition(|old| wanted.contains(&old.group));
        gone.iter().for_each(|old| old.stop.cancel());
        for old in &gone {
            old.ended.cancelled().await;
        }
        let at = self.world.near.clock.now();
        let mut pool = Pool::default();
        if first {
            pool.restore(
                &self.world.near.journal,
                at,
                self.world.options.config.outage_tolerance,
            );
        }
        gone.iter().for_each(|old| pool.harvest(old));
        self.retired.lock().drain(..).for_each(|record| pool.add(record));

        let mut groups = Vec::new();
        for group in wanted {
            match same.iter().find(|old| old.group == *group) {
                Some(old) => groups.push((Arc::clone(old), false)),
                None => groups.push((Arc::new(Running::new(group, &self.world)), true)),
            }
        }
        let states = groups.iter_mut().filter(|(_, new)| *new);
        let states = states.filter_map(|(running, _)| Arc::get_mut(running));
        {
            let [unreachable] = &self.unreachable.states;
            let mut unreachable = unreachable.lock();
            let states = states.flat_map(|running| running.states.iter_mut().map(Mutex::get_mut));
            pool.give(states.chain([&mut *unreachable]));
        }
        *self.retired.lock() = pool.retire(at);
        self.end_outputs(&gone, &groups);
        self.world.save(pool.changes).await;
        *self.running.lock() = groups.iter().map(|(running, _)| Arc::clone(running)).collect();
        self.world.note_recorded(wanted);
        if first || self.expects(at) {
            self.inherit().await;
        }
        let interval = self.world.options.evaluation_interval;
        let outage = Outage::ended(&self.world.near.journal, at, interval).filter(|_| first);
        for (running, new) in groups {
            if new {
                if first {
                    self.world
                        .metrics
                        .restored(&running.group.label(), begun.elapsed());
                }
                tasks.spawn(running.run(Arc::clone(&self.world), outage));
            }
        }
        self.tell_retired().await;
    }

    /// Takes up what fires at the other replica. Evaluations go on meanwhile.
    async fn inherit(&self) {
        let at = self.world.near.clock.now();
        let running = self.running.lock().clone();
        let mut lost = Pool::default();
        let mut inherited = 0;
        for mut record in record::of_peer(&self.world.near.journal) {
            if record.alert.state != State::Firing {
                continue;
            }
            let [unreachable] = &self.unreachable.states;
            let own = *unreachable.lock().identity == record.rule;
            match own
                .then_some((unreachable, HOLD))
                .or_else(|| heir(&running, &record.rule))
            {
                Some((state, hold)) => {
                    inherited += u32::from(state.lock().inherit(&record.alert, hold, at));
                }
                None if self.expects(at) => {}
                None if self.retired.lock().iter().any(|known| known.is_of(&record)) => {}
                None => {
                    record.alert.last_sent_at = None;
                    lost.add(record);
                }
            }
        }
        if inherited > 0 {
            tracing::info!(inherited, "alerts of the other replica are taken up");
        }
        self.retired.lock().extend(lost.retire(at));
        self.world.save(lost.changes).await;
        self.tell_retired().await;
    }

    fn expects(&self, at: Timestamp) -> bool {
        self.expects_until.lock().is_some_and(|until| at < until)
    }

    /// Whether rules were expected until just now.
    fn has_waited(&self) -> bool {
        let at = self.world.near.clock.now();
        let ended = self.expects_until.lock().take_if(|until| at >= *until);
        ended.is_some()
    }

    /// The series of rules that are gone end now; those of groups that are gone leave the metrics.
    fn end_outputs(&self, gone: &[Arc<Running>], groups: &[(Arc<Running>, bool)]) {
        let near = &self.world.near;
        let live: Vec<_> = groups
            .iter()
            .flat_map(|(running, _)| {
                running
                    .states
                    .iter()
                    .map(|state| Arc::clone(&state.lock().identity))
            })
            .collect();
        for old in gone {
            let offset = old.group.query_offset.unwrap_or(self.world.options.query_offset);
            for state in &old.states {
                let identity = Arc::clone(&state.lock().identity);
                if !live.contains(&identity) {
                    Output::open(&*near.keep, &identity.target())
                        .retire(&*near.keep, near.clock.now() - offset);
                }
            }
            let label = old.group.label();
            if !groups.iter().any(|(running, _)| running.group.label() == label) {
                self.world.metrics.forget(&label);
            }
        }
    }

    async fn tell_retired(&self) {
        let at = self.world.near.clock.now();
        let resend_delay = self.world.options.config.resend_delay;
        let mut changes = Vec::new();
        {
            let mut retired = self.retired.lock();
            retired.retain_mut(|record| {
                if record.alert.is_forgotten(at) {
                    changes.push(record.remove());
                    return false;
                }
                let due = record.alert.is_due(at, resend_delay);
                if due && self.world.tell(&record.alert, &record.generator_url, at) {
                    record.alert.last_sent_at = Some(at);
                    changes.push(record.put());
                }
                true
            });
        }
        self.world.save(changes).await;
    }
}

/// The state of the rule that an alert belongs to, and its `for`: the same rule at the same place, or one with the
/// same name and labels elsewhere.
fn heir<'r>(running: &'r [Arc<Running>], rule: &Identity) -> Option<(&'r Mutex<RuleState>, Duration)> {
    let all = || {
        running
            .iter()
            .flat_map(|running| running.states.iter().zip(&running.group.rules))
    };
    let same = all().find(|(state, _)| *state.lock().identity == *rule);
    let found = same.or_else(|| all().find(|(state, _)| state.lock().identity.is_like(rule)));
    found.map(|(state, rule)| {
        (
            state,
            rule.alerting().map(|alerting| alerting.hold).unwrap_or_default(),
        )
    })
}
