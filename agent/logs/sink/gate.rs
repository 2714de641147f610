//! How many requests may be under way: one more after each that goes well, fewer when the sink pushes back.
//!
//! All requests wait together: while nothing gets through there is one try at a time, ever more seldom.
//!
//! A sink that is too busy is shared with others, whom nobody knows: who is pushed back leaves it to them for as long as
//! requests take, and who gets through waits half as long the next time. Otherwise who is in would stay in.

use std::time::Duration;

use net::Backoff;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_MOST: Duration = Duration::from_secs(30);
/// Of a sink that answers: it is only busy.
const PAUSE_BUSY_MOST: Duration = Duration::from_secs(5);
const BACK_OFF: f64 = 0.7;
/// Requests more at the same time once as many as now went well.
const STEP: f64 = 0.5;
/// Who is pushed back waits for one to two times what requests take.
const TURNS: u32 = 2;
/// Share of the newest request in what requests take.
const NEWEST: f64 = 0.4;

pub(crate) struct Gate {
    state: Mutex<State>,
    freed: Notify,
    most: f64,
}

struct State {
    under_way: usize,
    /// Requests at the same time; the whole part of it counts.
    limit: f64,
    backoff: Backoff,
    /// Nobody goes before this.
    opens: Instant,
    /// Requests that went well so far.
    good: u64,
    /// What requests that went well take.
    took: Duration,
    /// When the last pause was begun: pushes back of requests that were under way then are the same trouble.
    paused: Instant,
}

/// Leave to send one request; ends with what came of it.
pub(crate) struct Pass<'a> {
    gate: &'a Gate,
    begun: Instant,
}

impl Gate {
    pub(crate) fn new(most: usize) -> Self {
        let now = Instant::now();
        Self {
            state: Mutex::new(State {
                under_way: 0,
                limit: 1.0,
                backoff: Backoff::new(PAUSE_FIRST, PAUSE_MOST),
                opens: now,
                good: 0,
                took: Duration::ZERO,
                paused: now,
            }),
            freed: Notify::new(),
            most: most as f64,
        }
    }

    pub(crate) async fn enter(&self) -> Pass<'_> {
        loop {
            let freed = self.freed.notified();
            let wait = {
                let mut state = self.state.lock();
                let now = Instant::now();
                if state.opens <= now && (state.under_way as f64) + 1.0 <= state.limit {
                    state.under_way += 1;
                    return Pass {
                        gate: self,
                        begun: now,
                    };
                }
                state.opens.saturating_duration_since(now)
            };
            if wait.is_zero() {
                freed.await;
            } else {
                tokio::time::sleep(wait).await;
            }
        }
    }

    /// Requests that went well so far.
    pub(crate) fn good(&self) -> u64 {
        self.state.lock().good
    }

    pub(crate) fn limit(&self) -> f64 {
        self.state.lock().limit.floor()
    }
}

impl Pass<'_> {
    /// The sink took it.
    pub(crate) fn went_well(self) {
        let mut state = self.gate.state.lock();
        state.good += 1;
        state.took = match self.begun.elapsed() {
            first if state.good == 1 => first,
            newest => state.took.mul_f64(1.0 - NEWEST) + newest.mul_f64(NEWEST),
        };
        state.limit = (state.limit + STEP / state.limit).min(self.gate.most);
        state.backoff.ease();
    }

    /// It is too busy for it, or for all of it.
    pub(crate) fn was_pushed_back(self) {
        self.pause(PAUSE_BUSY_MOST, TURNS);
    }

    /// It did not, or nobody answered.
    pub(crate) fn failed(self) {
        self.pause(PAUSE_MOST, 0);
    }

    fn pause(self, most: Duration, turns: u32) {
        let mut state = self.gate.state.lock();
        // What was under way when the last pause began tells nothing new.
        if self.begun < state.paused {
            return;
        }
        state.limit = (state.limit * BACK_OFF).max(1.0);
        let now = Instant::now();
        let turn = (state.took * turns).min(PAUSE_MOST);
        let pause = state.backoff.next_within(turn, most);
        state.opens = state.opens.max(now + pause);
        state.paused = now;
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let mut state = self.gate.state.lock();
        state.under_way = state.under_way.saturating_sub(1);
        drop(state);
        // More than one may fit now, and each that does not waits again.
        self.gate.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn more_requests_go_at_once_while_all_is_well_and_never_too_many() {
        let gate = Arc::new(Gate::new(4));
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let tasks = (0..100).map(|_| {
            let (gate, now, most) = (Arc::clone(&gate), Arc::clone(&now), Arc::clone(&most));
            tokio::spawn(async move {
                let pass = gate.enter().await;
                let count = now.fetch_add(1, Ordering::SeqCst) + 1;
                most.fetch_max(count, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(10)).await;
                now.fetch_sub(1, Ordering::SeqCst);
                pass.went_well();
            })
        });
        futures_util::future::join_all(tasks).await;
        assert_eq!(most.load(Ordering::SeqCst), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn while_nothing_gets_through_there_is_one_try_at_a_time_ever_more_seldom() {
        let gate = Gate::new(8);
        for _ in 0..80 {
            gate.enter().await.went_well();
        }
        assert_eq!(gate.limit(), 8.0);
        let begun = Instant::now();
        let mut tries = 0;
        while begun.elapsed() < Duration::from_secs(600) {
            gate.enter().await.failed();
            tries += 1;
        }
        assert!((20..60).contains(&tries), "{tries} tries in ten minutes");
        assert_eq!(gate.limit(), 1.0);
        for _ in 0..3 {
            gate.enter().await.went_well();
        }
        assert_eq!(gate.limit(), 2.0);
    }

    #[tokio::test(start_paused = true)]
    async fn requests_that_were_under_way_together_are_one_trouble() {
        let gate = Gate::new(8);
        for _ in 0..80 {
            gate.enter().await.went_well();
        }
        let mut passes = Vec::new();
        for _ in 0..8 {
            passes.push(gate.enter().await);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
        for pass in passes {
            pass.was_pushed_back();
        }
        assert_eq!(gate.limit(), 5.0);
    }
    /// Takes one request at a time, each for a while, and lets one more wait.
    struct Busy {
        here: AtomicUsize,
        worker: tokio::sync::Mutex<()>,
    }

    impl Busy {
        async fn take(&self) -> bool {
            if self.here.fetch_add(1, Ordering::SeqCst) >= 2 {
                self.here.fetch_sub(1, Ordering::SeqCst);
                return false;
            }
            let working = self.worker.lock().await;
            tokio::time::sleep(Duration::from_millis(300)).await;
            drop(working);
            self.here.fetch_sub(1, Ordering::SeqCst);
            true
        }
    }

    #[tokio::test(start_paused = true)]
    async fn senders_who_know_nothing_of_each_other_share_a_busy_sink() {
        const SENDERS: usize = 6;
        const TIME: Duration = Duration::from_secs(600);
        fastrand::seed(7);
        let sink = Arc::new(Busy {
            here: AtomicUsize::new(0),
            worker: tokio::sync::Mutex::default(),
        });
        let begun = Instant::now();
        let senders = (0..SENDERS).map(|_| {
            let (gate, taken) = (Arc::new(Gate::new(8)), Arc::new(AtomicUsize::new(0)));
            let hands = (0..8).map(|_| {
                let (gate, taken, sink) = (Arc::clone(&gate), Arc::clone(&taken), Arc::clone(&sink));
                tokio::spawn(async move {
                    while begun.elapsed() < TIME {
                        let pass = gate.enter().await;
                        if sink.take().await {
                            pass.went_well();
                            taken.fetch_add(1, Ordering::SeqCst);
                        } else {
                            pass.was_pushed_back();
                        }
                    }
                })
            });
            let hands: Vec<_> = hands.collect();
            async move {
                futures_util::future::join_all(hands).await;
                taken.load(Ordering::SeqCst)
            }
        });
        let taken = futures_util::future::join_all(senders).await;
        let all: usize = taken.iter().sum();
        // Three a second are all that it can take.
        assert!(all >= 1_500, "{taken:?}: it stood idle");
        for one in &taken {
            assert!(
                *one * SENDERS * 3 >= all,
                "{taken:?}: somebody has less than a third of his share"
            );
        }
    }
}
