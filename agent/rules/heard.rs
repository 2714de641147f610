//! Whether what an answer lacks, or has, may be believed; and with that, which alerts are left as they are.
//!
//! **Taken-up alerts.** An empty answer right after a restart may mean that all is well, or that nothing has
//! been read yet. So an alert that was taken up, from before a restart or from the other replica, and is missing
//! in an answer, is left alone until, for each selector of its expression, its target has sent a newer sample
//! than the moment it was taken up *and* the selector's range is covered by history; at the latest until the
//! longest range and the lookback have passed since that moment.
//!
//! **Silent senders.** A series is *lost* when its sender ([`model::presence::NODE`]) is silent, when it had a
//! sample in the hour before the sender was last heard, and when it is not fresh. Fresh is a series with a sample
//! that is more than [`model::column::GAP`] newer than the sender's last word (clocks differ a little), and that
//! is at most [`FRESH`] old, or half the selector's range if that is less. `up` is never fresh: it is what the
//! receiver says in the sender's place. So what others say about a silent node (`skopos_sender_up`, the series of
//! kube-state) is known as always, and what the node itself sent is not. A sender that was heard again stays in
//! doubt for [`LOOKBACK`] longer, in which those of its series count as lost that have not come back yet.
//!
//! An expression has lost a sender when one of its selectors matches a lost series of it; a recorded metric is
//! seen through. Which senders concern an alert says the sample it comes from: if that has a `node`, only that
//! one, otherwise all. Then:
//! * An alert that is *missing* is left as it is if its expression has lost a sender that concerns it. What stands
//!   right of an `unless` is not looked at: without it more would be true, never less.
//! * Something that is *found* neither begins, ripens nor counts as known if its expression has lost a sender that
//!   concerns it while it is we who are deaf: the other replica hears it, or we have not listened for long. When
//!   nobody hears the sender, what is found fires: `absent(…)` is then as true as it seems.
//! * Of a sender of which the store had nothing when it was last heard (it never was heard here, or the disk was lost)
//!   nobody knows what it would send: any selector that may match its name has lost it, unless it has a fresh series
//!   of it. That counts for what is
//!   found and for taken-up alerts, but not for alerts that began here: they began without it. It counts too for
//!   what is found and itself names a sender that the other replica hears: `absent(job_last_run{node="w1"})` may
//!   have come to be there since.
//!
//! With `on_missing: resolve` a rule does not wait for a sender that nobody hears: what is missing then ends. What only
//! we do not hear is there all the same, and counts as above.
//!
//! Whatever is left so is told as not known. Targets that do not answer are looked at in `down.rs`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::column::GAP;
use model::labels::METRIC_NAME;
use model::presence::NODE;
use model::{Labels, MatchOp, Matcher, Silence, Silent, Timestamp};

use crate::expr::{Expr, Read, written};
use crate::silence::Doubted;
use crate::world::World;

/// How long a sample answers for its series.
pub(crate) const LOOKBACK: Duration = Duration::from_secs(300);

/// What the receiver says in the place of a silent sender.
const UP: &str = "up";

/// How long a sample shows that its series still gets some.
const FRESH: Duration = Duration::from_secs(120);

/// Whether an alert taken up at `restored`, whose sample had the labels `source`, may end at `at`.
///
/// # Errors
/// There was no answer: nothing is known.
pub(crate) async fn is_heard(
    world: &World,
    expr: &Expr,
    source: &Labels,
    restored: Timestamp,
    at: Timestamp,
) -> Result<bool, String> {
    if at.since(restored) >= expr.longest() + LOOKBACK {
        return Ok(true);
    }
    for read in expr.reads().iter().filter(|read| !read.excludes) {
        let selector = read.of_target(source);
        let newest = newest(world, &format!("max(timestamp({selector}))"), at).await?;
        if newest.is_none_or(|newest| newest <= restored) {
            return Ok(false);
        }
        let begins = at - read.back;
        let covered = read.back.is_zero()
            || begins >= restored
            || is_there(world, &format!("count({selector})"), begins).await?;
        if !covered {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn newest(world: &World, expr: &str, at: Timestamp) -> Result<Option<Timestamp>, String> {
    let answer = world.ask(expr, at).await?;
    Ok(answer
        .points
        .first()
        .map(|point| Timestamp::from_seconds(point.value)))
}

/// Whether there is anything at all at `at`.
async fn is_there(world: &World, expr: &str, at: Timestamp) -> Result<bool, String> {
    Ok(!world.ask(expr, at).await?.points.is_empty())
}

/// For what it is asked whether a sender is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum About {
    /// Something that is true now, as it seems.
    Found,
    /// An alert that began here and is no longer true, as it seems.
    Missing,
    /// The same with an alert that was taken up.
    Restored,
}

/// What one evaluation does not know because senders are silent.
pub(crate) struct Doubts<'a> {
    world: &'a World,
    reads: Vec<Read>,
    doubted: Vec<Doubted>,
    at: Timestamp,
    /// Whether an alert stays as it is while nobody hears its sender.
    keeps: bool,
    /// What was asked already: one question for each sender is enough for all of a rule's alerts.
    lost: BTreeMap<(Arc<str>, (About, bool)), bool>,
}

impl<'a> Doubts<'a> {
    pub(crate) fn new(world: &'a World, expr: &Expr, at: Timestamp, keeps: bool) -> Self {
        let doubted = world.doubted();
        let reads = if doubted.is_empty() {
            Vec::new()
        } else {
            world.reads(expr)
        };
        Self {
            world,
            reads,
            doubted,
            at,
            keeps,
            lost: BTreeMap::new(),
        }
    }

    /// Whether nothing is known of an alert whose sample has, or had, the labels `source`.
    ///
    /// # Errors
    /// There was no answer.
    pub(crate) async fn cover(&mut self, source: &Labels, about: About) -> Result<bool, String> {
        for nth in 0..self.doubted.len() {
            let doubted = self.doubted[nth].clone();
            let silent = &doubted.silent;
            let concerns = source.get(NODE).is_none_or(|node| *node == *silent.node);
            let counts = silent.silence != Silence::Everywhere || (about != About::Found && self.keeps);
            // What we never had may have begun where we do not hear it.
            let named = about == About::Found
                && silent.silence == Silence::Here
                && source.get(NODE) == Some(&*silent.node);
            if concerns && counts && self.has_lost(&doubted, (about, named)).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(crate) fn doubted(&self) -> Vec<Doubted> {
        self.doubted.clone()
    }

    /// Whether the sender gave something that the expression reads, and gives it no more.
    ///
    /// # Errors
    /// There was no answer.
    pub(crate) async fn lost_sender(&mut self, doubted: &Doubted) -> Result<bool, String> {
        self.has_lost(doubted, (About::Missing, false)).await
    }

    async fn has_lost(&mut self, doubted: &Doubted, about: (About, bool)) -> Result<bool, String> {
        let key = (Arc::clone(&doubted.silent.node), about);
        if let Some(known) = self.lost.get(&key) {
            return Ok(*known);
        }
        let lost = self.find_lost(doubted, about).await?;
        self.lost.insert(key, lost);
        Ok(lost)
    }

    async fn find_lost(&self, doubted: &Doubted, (about, named): (About, bool)) -> Result<bool, String> {
        let silent = &doubted.silent;
        let stranger = named || about != About::Missing && self.is_stranger(doubted).await?;
        for read in &self.reads {
            if (about != About::Found && read.excludes) || !read.allows(&silent.node) {
                continue;
            }
            let longest = match read.back / 2 {
                Duration::ZERO => FRESH,
                half => half.min(FRESH),
            };
            let select = |more: Vec<Matcher>| read.narrowed(more);
            let fresh = self.fresh(doubted, longest, &select);
            let is_lost = if stranger {
                let fresh = fresh.join(" or ");
                fresh.is_empty() || !self.is_there(&format!("count({fresh})")).await?
            } else {
                self.is_there(&without(&known(silent, &select), &fresh)).await?
            };
            if is_lost {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether nothing that the sender sent itself was here when it was last heard.
    async fn is_stranger(&self, doubted: &Doubted) -> Result<bool, String> {
        let silent = &doubted.silent;
        if self.world.silence.has_met(silent) {
            return Ok(false);
        }
        let known = known(silent, &written);
        // While it is silent, what is fresh comes from others.
        let others = if doubted.heard_for.is_zero() {
            self.fresh(doubted, FRESH, &written)
        } else {
            Vec::new()
        };
        let met = self.is_there(&without(&known, &others)).await?;
        if met {
            self.world.silence.meet(silent);
        }
        Ok(!met)
    }

    async fn is_there(&self, expr: &str) -> Result<bool, String> {
        is_there(self.world, expr, self.at).await
    }

    /// Asks for the series of the sender that are fresh: all but `up`, and `up`.
    fn fresh(
        &self,
        doubted: &Doubted,
        longest: Duration,
        select: &impl Fn(Vec<Matcher>) -> String,
    ) -> Vec<String> {
        let silent = &doubted.silent;
        let longest = longest.min(self.at.since(silent.since).saturating_sub(GAP));
        let parts = [
            (MatchOp::NotEqual, longest),
            (MatchOp::Equal, longest.min(doubted.heard_for)),
        ];
        let parts = parts.into_iter().filter(|(_, longest)| longest.as_millis() > 0);
        let ask = |(op, longest): (MatchOp, Duration)| {
            let ups = Matcher::new(METRIC_NAME, op, UP);
            let series = select(vec![Matcher::equal(NODE, &silent.node), ups]);
            format!("last_over_time({series}[{}ms])", longest.as_millis())
        };
        parts.map(ask).collect()
    }
}

/// Asks for the series that a selector had of a sender when it was last heard.
fn known(silent: &Silent, select: &impl Fn(Vec<Matcher>) -> String) -> String {
    let series = select(vec![Matcher::equal(NODE, &silent.node)]);
    let since = silent.since.millis().max(0);
    format!(
        "last_over_time({series}[1h] @ {}.{:03})",
        since / 1000,
        since % 1000
    )
}

fn without(all: &str, some: &[String]) -> String {
    let some: String = some.iter().map(|part| format!(" unless {part}")).collect();
    format!("count({all}{some})")
}
