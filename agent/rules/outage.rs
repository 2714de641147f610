//! Slots that were missed while this process was not there are evaluated afterwards, from what senders kept meanwhile.
//!
//! A sender that finds this process gone keeps its samples and sends them when it is back, oldest first. So after a short
//! outage a group waits until those have come, [`WAIT`] at most, and then evaluates the slots that it missed, in order,
//! before it goes on: recorded series have no gap, and a `for` counts from when its condition began. Nobody is told of
//! what began and ended in between.
//!
//! A rule is evaluated at a missed slot only where that says something: all series that it read when the process was last
//! there have newer samples by that slot. Where this process scrapes them itself, nobody has; such rules are left out, and
//! where nothing is sent here nobody waits. Taken-up alerts do not end by it (`heard.rs`).

use std::collections::BTreeMap;
use std::time::Duration;

use journal::{Change, Journal};
use model::Timestamp;
use model::presence::NODE;

use crate::expr::Read;
use crate::group::Rule;
use crate::heard::LOOKBACK;
use crate::runner::Running;
use crate::schedule::Schedule;
use crate::tell;
use crate::world::World;

/// When rules were last evaluated, as the journal has it.
const KEY: &str = "rules/evaluated";
/// After a longer outage groups go on where they are. Senders and lookback would bear more, but everybody waits for what
/// is evaluated here.
const LONGEST: Duration = LOOKBACK;
/// How long a group waits for what senders kept, and how long it may take over it then.
const WAIT: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// From the last evaluation that is sure, to the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outage {
    pub(crate) from: Timestamp,
    pub(crate) until: Timestamp,
}

impl Outage {
    /// The one that ends now, if it was short. `interval` is how often [`note`] is called.
    pub(crate) fn ended(journal: &Journal, now: Timestamp, interval: Duration) -> Option<Self> {
        let noted: Timestamp = journal.get(KEY)?;
        // Up to the next note there may have been slots that were evaluated.
        let from = noted + interval;
        (from < now && now.since(from) <= LONGEST).then_some(Self { from, until: now })
    }
}

/// Notes that rules are evaluated now. Where nobody sends there would be nothing to do afterwards, and nothing is written.
pub(crate) async fn note(world: &World) {
    let at = world.near.clock.now();
    if count(world, &format!("count(up{{{NODE}!=\"\"}})"), at).await > 0.0 {
        world.save(vec![Change::put(KEY.to_owned(), &at)]).await;
    }
}

impl Running {
    /// Evaluates what the group missed, and returns how many slots that were.
    pub(crate) async fn catch_up(&self, world: &World, schedule: &Schedule, outage: Outage) -> u64 {
        if !self.have_come(world, outage).await {
            return 0;
        }
        let mut known = BTreeMap::new();
        let mut evaluated = 0;
        let mut slot = schedule.after(outage.from);
        // Slots that passed while it waited are missed, too. A group that is slower than its slots come would never be done:
        // what is not evaluated within as long again stays a gap, and the group goes on.
        let begun = world.near.clock.now();
        let is_late = || world.near.clock.now().since(begun) >= WAIT;
        while slot <= begun && !is_late() && !self.stop.is_cancelled() {
            let mut any = false;
            for (nth, (rule, state)) in self.group.rules.iter().zip(&self.states).enumerate() {
                let at = slot - self.group.query_offset.unwrap_or(world.options.query_offset);
                let before = match known.get(&nth) {
                    Some(before) => before,
                    None => known.entry(nth).or_insert(read_before(world, rule, outage).await),
                };
                if !is_covered(world, before, outage, at).await {
                    continue;
                }
                any = true;
                // What fails now will fail, and be said, at the next slot.
                if self.evaluation(world, (rule, state), slot).run().await.is_ok() {
                    state.lock().ended(slot, Duration::ZERO, None);
                }
            }
            evaluated += u64::from(any);
            slot = schedule.following(slot);
        }
        if evaluated > 0 {
            tell::publish(world, &self.states, self.interval, world.near.clock.now()).await;
        }
        evaluated
    }

    /// Whether senders have sent what they kept, or enough time has passed; not if nobody sends anything here.
    async fn have_come(&self, world: &World, outage: Outage) -> bool {
        let senders = format!("max by ({NODE}) (timestamp(up{{{NODE}!=\"\"}}))");
        let Ok(before) = world.ask(&senders, outage.from).await else {
            return false;
        };
        if before.points.is_empty() {
            return false;
        }
        let begun = outage.until.seconds();
        loop {
            let now = world.near.clock.now();
            let heard = world.ask(&senders, now).await.unwrap_or_default();
            let heard = heard.points.iter().filter(|point| point.value >= begun).count();
            if heard >= before.points.len() || now.since(outage.until) >= WAIT {
                return heard > 0;
            }
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return false,
                () = world.near.clock.sleep(LOOK_AGAIN) => {}
            }
        }
    }
}

/// What a rule reads, and how many series of it there were before the outage.
async fn read_before(world: &World, rule: &Rule, outage: Outage) -> Vec<(Read, f64)> {
    let mut all = Vec::new();
    for read in world.reads(&rule.expr) {
        let count = count(world, &format!("count({})", read.narrowed([])), outage.from).await;
        all.push((read, count));
    }
    all
}

/// Whether each of them has a sample by then that is newer than what there was before the outage.
async fn is_covered(world: &World, before: &[(Read, f64)], outage: Outage, at: Timestamp) -> bool {
    for (read, count_before) in before {
        let selector = read.narrowed([]);
        let newer = format!("count(timestamp({selector}) > {})", outage.from.seconds());
        if *count_before == 0.0 || count(world, &newer, at).await < *count_before {
            return false;
        }
    }
    !before.is_empty()
}

async fn count(world: &World, expr: &str, at: Timestamp) -> f64 {
    let answer = world.ask(expr, at).await.unwrap_or_default();
    answer.points.first().map_or(0.0, |point| point.value)
}
