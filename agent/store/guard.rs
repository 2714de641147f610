//! Keeps the process within its memory: when the budget is nearly used up, new series are refused, those first that can
//! best be done without. What is there already lives on.
//!
//! | of the budget | refused are new series of |
//! |---|---|
//! | 90 % | targets that are scraped, and writers: whoever sends them can send any number |
//! | 95 % | machines as well: this one, and those that nodes send |
//! | 100 % | Skopos itself and its rules as well |

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use model::column::Rank;
use parking_lot::Mutex;
use prometheus::{Gauge, Registry};
use telemetry::metrics::gauge;

/// Hundredths of the budget from which on each rank is refused.
const REFUSED_FROM: [(Rank, u64); 3] = [(Rank::Guest, 90), (Rank::Machine, 95), (Rank::Own, 100)];
/// So many hundredths lower it is taken again, so that it does not come and go.
const SLACK: u64 = 3;
/// Between two lines in the log.
const QUIET: Duration = Duration::from_mins(1);

#[derive(Debug)]
pub(crate) struct Guard {
    /// 0 is none.
    budget: u64,
    /// How many ranks are refused.
    level: AtomicU8,
    taken: AtomicU64,
    told: Mutex<Told>,
    shown: Gauge,
}

#[derive(Debug, Default)]
struct Told {
    /// By the clock that never jumps.
    at: Option<Duration>,
    /// Refused since then.
    refused: u64,
}

impl Guard {
    pub(crate) fn new(budget: u64, registry: &Registry) -> Self {
        let shown = gauge(
            registry,
            "skopos_store_guard_level",
            "Whose new series are refused for want of memory: 0 nobody's, 1 those of senders and targets, 2 of machines \
             as well, 3 all.",
        );
        gauge(
            registry,
            "skopos_store_budget_bytes",
            "Memory of the process beyond which new series are refused; 0 when there is no limit.",
        )
        .set(budget as f64);
        Self {
            budget,
            level: AtomicU8::new(0),
            taken: AtomicU64::new(0),
            told: Mutex::default(),
            shown,
        }
    }

    pub(crate) fn budget(&self) -> u64 {
        self.budget
    }

    /// How many ranks are refused now.
    pub(crate) fn level(&self) -> u8 {
        self.level.load(Ordering::Relaxed)
    }

    /// The process takes so much now.
    pub(crate) fn look(&self, taken: u64) {
        if self.budget == 0 {
            return;
        }
        self.taken.store(taken, Ordering::Relaxed);
        let before = self.level();
        let mut level = 0;
        for (nth, (_, from)) in (1..).zip(REFUSED_FROM) {
            let from = if before >= nth { from - SLACK } else { from };
            if u128::from(taken) * 100 >= u128::from(self.budget) * u128::from(from) {
                level = nth;
            }
        }
        self.level.store(level, Ordering::Relaxed);
        self.shown.set(f64::from(level));
        if level == 0 && before > 0 {
            tracing::info!(
                taken,
                budget = self.budget,
                "there is memory again; new series are taken"
            );
        }
    }

    /// Whether new series of that rank are refused.
    pub(crate) fn refuses(&self, rank: Rank) -> bool {
        let level = usize::from(self.level());
        REFUSED_FROM
            .iter()
            .take(level)
            .any(|(refused, _)| *refused == rank)
    }

    /// Says now and then that some were refused.
    pub(crate) fn refused(&self, running: Duration) {
        let mut told = self.told.lock();
        told.refused += 1;
        if told.at.is_some_and(|at| running.saturating_sub(at) < QUIET) {
            return;
        }
        let refused = std::mem::take(&mut told.refused);
        told.at = Some(running);
        drop(told);
        let (taken, budget, level) = (self.taken.load(Ordering::Relaxed), self.budget, self.level());
        tracing::warn!(
            refused,
            level,
            taken,
            budget,
            "memory runs short: new series are refused, those of senders and targets first; see SkoposMemoryGuard"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(guard: &Guard) -> [bool; 3] {
        REFUSED_FROM.map(|(rank, _)| guard.refuses(rank))
    }

    #[test]
    fn ranks_are_refused_in_order_and_taken_again_with_slack() {
        let guard = Guard::new(1_000, &Registry::new());
        for (taken, wanted) in [
            (0, [false, false, false]),
            (899, [false, false, false]),
            (900, [true, false, false]),
            (949, [true, false, false]),
            (950, [true, true, false]),
            (1_000, [true, true, true]),
            (980, [true, true, true]),
            (969, [true, true, false]),
            (919, [true, false, false]),
            (870, [true, false, false]),
            (869, [false, false, false]),
            (899, [false, false, false]),
            (5_000, [true, true, true]),
        ] {
            guard.look(taken);
            assert_eq!(refused(&guard), wanted, "{taken}");
        }
        assert_eq!(guard.shown.get(), 3.0);
    }

    #[test]
    fn without_a_budget_nothing_is_refused() {
        let guard = Guard::new(0, &Registry::new());
        guard.look(u64::MAX);
        assert_eq!(refused(&guard), [false; 3]);
    }
}
