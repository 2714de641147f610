//! What a rule would read and does not come, because whoever gives it does not answer: targets whose `up` is 0, and
//! senders that nobody hears.
//!
//! A series is *lost* with its target when `up` of the target (`job`, `instance` and `node`) is 0, when it had a sample
//! within the last hour, and when it has none now. What is said in the target's place, like `up` itself, is always
//! there, and so never lost. An alert that is missing is left as it is if its expression has lost a series that
//! concerns it; if the alert itself names the target, for as long as that is down.

use std::collections::{BTreeMap, BTreeSet};

use model::labels::METRIC_NAME;
use model::presence::NODE;
use model::{Labels, Matcher, Silence, Timestamp};

use crate::expr::{Expr, Read, TARGET_LABELS, written};
use crate::heard::Doubts;
use crate::world::World;

/// What says whether a target answers.
const UP: &str = "up";
/// A series without a sample for longer is not missed.
const LOST_FOR: &str = "1h";

/// What one evaluation does not know because targets are down.
pub(crate) struct Down<'a> {
    world: &'a World,
    expr: &'a Expr,
    at: Timestamp,
    /// None: not asked yet.
    any: Option<bool>,
    /// What was asked already, by what names the target.
    lost: BTreeMap<(Labels, bool), bool>,
}

impl<'a> Down<'a> {
    pub(crate) fn new(world: &'a World, expr: &'a Expr, at: Timestamp) -> Self {
        Self {
            world,
            expr,
            at,
            any: None,
            lost: BTreeMap::new(),
        }
    }

    /// Whether nothing is known of a missing alert whose sample had the labels `source`. `still`: nothing was known of
    /// it at the last evaluation.
    ///
    /// # Errors
    /// There was no answer.
    pub(crate) async fn cover(&mut self, source: &Labels, still: bool) -> Result<bool, String> {
        if !self.is_any_down().await? {
            return Ok(false);
        }
        let target = target(source);
        let still = still && target.get("instance").is_some();
        let key = (target, still);
        if let Some(known) = self.lost.get(&key) {
            return Ok(*known);
        }
        let lost = self.find_lost(&key.0, still).await?;
        self.lost.insert(key, lost);
        Ok(lost)
    }

    async fn find_lost(&self, target: &Labels, still: bool) -> Result<bool, String> {
        let down = down(target);
        if still && !self.is_there(&format!("count({down})")).await? {
            return Ok(false);
        }
        for read in self.reads() {
            let series = read.of_target(target);
            let lost = if still {
                !self.is_there(&format!("count({series})")).await?
            } else {
                self.is_there(&format!("count({})", lost(&series, &down))).await?
            };
            if lost {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whoever is silent and gave something that the expression reads, by the labels that name them. `told` are those of
    /// which that was said already: they need only be silent still.
    ///
    /// # Errors
    /// There was no answer.
    pub(crate) async fn silent(
        &mut self,
        doubts: &mut Doubts<'_>,
        told: &BTreeSet<Labels>,
    ) -> Result<BTreeSet<Labels>, String> {
        let mut silent = BTreeSet::new();
        for doubted in doubts.doubted() {
            let sender = Labels::from_pairs([(NODE, &doubted.silent.node)]);
            // One that is heard again sends the past first.
            let counts = doubted.silent.silence == Silence::Everywhere
                && (doubted.heard_for.is_zero() || told.contains(&sender));
            if counts && doubts.lost_sender(&doubted).await? {
                silent.insert(sender);
            }
        }
        if !self.is_any_down().await? {
            return Ok(silent);
        }
        let by = TARGET_LABELS.join(", ");
        let mut targets = BTreeSet::new();
        for read in self.reads() {
            let lost = lost(&read.of_target(&Labels::empty()), &down(&Labels::empty()));
            let answer = self
                .world
                .ask(&format!("count by ({by}) ({lost})"), self.at)
                .await?;
            targets.extend(answer.points.into_iter().map(|point| target(&point.labels)));
        }
        for known in told.iter().filter(|known| known.get("instance").is_some()) {
            if !targets.contains(known) && self.is_there(&format!("count({})", down(known))).await? {
                targets.insert(known.clone());
            }
        }
        // Of a sender that is silent as a whole, one word is enough.
        let of_sender = |target: &Labels| {
            let node = target.get(NODE);
            node.is_some_and(|node| silent.contains(&Labels::from_pairs([(NODE, node)])))
        };
        targets.retain(|target| !target.is_empty() && !of_sender(target));
        silent.extend(targets);
        Ok(silent)
    }

    fn reads(&self) -> Vec<Read> {
        let mut reads = self.world.reads(self.expr);
        reads.retain(|read| !read.excludes);
        reads
    }

    async fn is_any_down(&mut self) -> Result<bool, String> {
        if let Some(any) = self.any {
            return Ok(any);
        }
        let any = self
            .is_there(&format!("count({})", down(&Labels::empty())))
            .await?;
        self.any = Some(any);
        Ok(any)
    }

    async fn is_there(&self, expr: &str) -> Result<bool, String> {
        Ok(!self.world.ask(expr, self.at).await?.points.is_empty())
    }
}

/// The labels that name a target, of all that a series has.
fn target(labels: &Labels) -> Labels {
    let named = TARGET_LABELS.into_iter();
    Labels::from_pairs(named.filter_map(|name| Some((name, labels.get(name)?))))
}

/// Asks for targets that are down.
fn down(target: &Labels) -> String {
    let matchers = target.iter().map(|(name, value)| Matcher::equal(name, value));
    let up = written([Matcher::equal(METRIC_NAME, UP)].into_iter().chain(matchers));
    format!("({up} == 0)")
}

/// Asks for those of some series that are lost.
fn lost(series: &str, down: &str) -> String {
    let by = TARGET_LABELS.join(", ");
    format!("((last_over_time({series}[{LOST_FOR}]) unless {series}) and on ({by}) {down})")
}
