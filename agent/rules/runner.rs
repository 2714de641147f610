//! The life of one group: wait for the slot, evaluate the rules one after another, make the alert state
//! durable, tell the notifier.

use std::sync::Arc;
use std::time::Duration;

use model::Timestamp;
use model::late::Mark;
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::evaluate::Evaluation;
use crate::group::{Group, Rule};
use crate::late::{self, Behind};
use crate::metrics::Iteration;
use crate::outage::Outage;
use crate::schedule::Schedule;
use crate::state::{RuleState, identities};
use crate::tell;
use crate::world::World;

/// A group that runs. Its rules' states are its own; others only look.
pub(crate) struct Running {
    pub(crate) group: Group,
    pub(crate) interval: Duration,
    pub(crate) states: Vec<Mutex<RuleState>>,
    /// Of each rule how far it is where what it reads comes late.
    behind: Vec<Mutex<Behind>>,
    pub(crate) last: Mutex<Last>,
    pub(crate) stop: CancellationToken,
    /// Cancelled once the task has ended.
    pub(crate) ended: CancellationToken,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Last {
    pub(crate) evaluation: Option<Timestamp>,
    pub(crate) duration: Duration,
    /// Rounds left out since the start, and when the last one was.
    pub(crate) missed: u64,
    pub(crate) missed_at: Option<Timestamp>,
}

impl Last {
    fn ended(&mut self, slot: Timestamp, missed: u64, took: Duration) {
        (self.evaluation, self.duration) = (Some(slot), took);
        if missed > 0 {
            self.missed += missed;
            self.missed_at = Some(slot);
        }
    }
}

impl Running {
    pub(crate) fn new(group: &Group, world: &World) -> Self {
        let keep = &*world.near.keep;
        let states = group.rules.iter().zip(identities(group)).map(|(rule, identity)| {
            let generator_url = world.generator_url(rule.expr.canonical());
            Mutex::new(RuleState::new(identity, generator_url, keep))
        });
        Self {
            behind: group.rules.iter().map(|_| Mutex::default()).collect(),
            states: states.collect(),
            interval: group.interval.unwrap_or(world.options.evaluation_interval),
            group: group.clone(),
            last: Mutex::new(Last::default()),
            stop: CancellationToken::new(),
            ended: CancellationToken::new(),
        }
    }

    /// `outage` is what lies behind, if this group has missed slots.
    pub(crate) async fn run(self: Arc<Self>, world: Arc<World>, outage: Option<Outage>) {
        let _ended = self.ended.clone().drop_guard();
        let label = self.group.label();
        world.metrics.group(&label, self.interval, self.group.rules.len());
        let schedule = Schedule::new(self.interval, &self.group.file, &self.group.name);
        if let Some(outage) = outage {
            let replayed = self.catch_up(&world, &schedule, outage).await;
            world.metrics.replayed(&label, replayed);
        }
        let mut slot = schedule.after(world.near.clock.now());
        while let Some(reached) = self.wait(&world, &schedule, slot).await {
            let due = schedule.due(reached, world.near.clock.now());
            let begun = Instant::now();
            world.metrics.begin(&label, due.slot);
            let (rules_took, samples) = self.evaluate(&world, due.slot).await;
            tell::publish(&world, &self.states, self.interval, due.slot).await;
            let took = begun.elapsed();
            self.last.lock().ended(due.slot, due.missed, took);
            let iteration = Iteration {
                missed: due.missed,
                took,
                rules_took,
                samples,
            };
            world.metrics.end(&label, iteration);
            slot = schedule.following(due.slot);
        }
    }

    /// The slot, once it is reached, or `None` to stop. A clock that went back by more than an interval
    /// does not silence the group: it goes on with the slots of the new time.
    async fn wait(&self, world: &World, schedule: &Schedule, slot: Timestamp) -> Option<Timestamp> {
        let clock = &world.near.clock;
        let mut slot = slot;
        loop {
            let now = clock.now();
            if schedule.is_lost(slot, now) {
                tracing::warn!(group = %self.group.name, "the clock went back; the group goes on in the new time");
                slot = schedule.after(now);
            }
            if self.stop.is_cancelled() {
                return None;
            }
            if slot <= now {
                return Some(slot);
            }
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return None,
                () = clock.sleep_until(slot) => {}
                () = clock.sleep(slot.since(now)) => {}
            }
        }
    }

    /// Returns how long the rules took in all, and how many samples came out.
    pub(crate) async fn evaluate(&self, world: &World, at: Timestamp) -> (Duration, usize) {
        let (mut rules_took, mut samples) = (Duration::ZERO, 0);
        let label = self.group.label();
        let rules = self.group.rules.iter().zip(&self.states).zip(&self.behind);
        for ((rule, state), behind) in rules {
            let mark = late::mark(world, rule);
            if mark == Some(Mark::NEVER) {
                // Its word alone counts: what was found here before would hold up for ever what has ended since.
                let mut state = state.lock();
                state.alerts.doubt();
                state.no_data.doubt();
            }
            let slots = behind.lock().due(mark, at, self.interval);
            for slot in slots {
                let begun = Instant::now();
                let result = tokio::select! {
                    biased;
                    () = self.stop.cancelled() => return (rules_took, samples),
                    result = self.evaluation(world, (rule, state), slot).run() => result,
                };
                let took = begun.elapsed();
                rules_took += took;
                world.metrics.rule(&label, took, result.is_err());
                samples += result.as_ref().copied().unwrap_or_default();
                self.ended(rule, &mut state.lock(), slot, took, result.err());
            }
        }
        (rules_took, samples)
    }

    fn ended(
        &self,
        rule: &Rule,
        state: &mut RuleState,
        slot: Timestamp,
        took: Duration,
        error: Option<String>,
    ) {
        if let Some(error) = &error
            && *error != state.last_error
        {
            // Said once for each change, not at every evaluation; the page and the API have it all along.
            tracing::warn!(rule = %rule.name, group = %self.group.name, %error, "evaluating a rule");
        }
        state.ended(slot, took, error);
    }

    /// One evaluation of one of its rules, to be run.
    pub(crate) fn evaluation<'r>(
        &'r self,
        world: &'r World,
        (rule, state): (&'r Rule, &'r Mutex<RuleState>),
        at: Timestamp,
    ) -> Evaluation<'r> {
        Evaluation {
            world,
            group: &self.group,
            rule,
            state,
            at,
            offset: self.group.query_offset.unwrap_or(world.options.query_offset),
        }
    }
}
