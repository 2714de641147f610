//! One simulated process: a gate before everything that reaches or leaves it, its clock, and its tasks.
//!
//! A process that is paused is as one under SIGSTOP: time goes on and nothing of it happens. One that is dead
//! has no effect any more from the moment it died, in the midst of whatever it was doing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use model::{BoxFuture, Clock, Timestamp};
use telemetry::clock::RuntimeClock;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const OPEN: u8 = 0;
const PAUSED: u8 = 1;
const DEAD: u8 = 2;

/// What a process waits at before it does anything that can be seen.
#[derive(Default)]
pub struct Gate {
    state: AtomicU8,
    moved: Notify,
}

impl Gate {
    /// Returns while the process runs; never once it is dead.
    pub async fn open(&self) {
        loop {
            let moved = self.moved.notified();
            match self.state.load(Ordering::Relaxed) {
                OPEN => return,
                PAUSED => moved.await,
                _ => std::future::pending().await,
            }
        }
    }

    /// Returns once the process is dead.
    pub async fn death(&self) {
        loop {
            let moved = self.moved.notified();
            if self.is_dead() {
                return;
            }
            moved.await;
        }
    }

    pub fn is_open(&self) -> bool {
        self.state.load(Ordering::Relaxed) == OPEN
    }

    pub fn is_dead(&self) -> bool {
        self.state.load(Ordering::Relaxed) == DEAD
    }

    pub fn pause(&self) {
        self.change(OPEN, PAUSED);
    }

    pub fn resume(&self) {
        self.change(PAUSED, OPEN);
    }

    pub fn die(&self) {
        self.state.store(DEAD, Ordering::Relaxed);
        self.moved.notify_waiters();
    }

    fn change(&self, from: u8, to: u8) {
        let changed = self
            .state
            .compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed);
        if changed.is_ok() {
            self.moved.notify_waiters();
        }
    }
}

/// A clock of one process: its own skew, and no waking while the process is paused.
pub struct SimClock {
    wall: Arc<RuntimeClock>,
    gate: Arc<Gate>,
}

impl SimClock {
    pub fn new(now: Timestamp, gate: Arc<Gate>) -> Arc<Self> {
        let wall = RuntimeClock::starting_at(now);
        Arc::new(Self { wall, gate })
    }

    pub fn skew(&self, millis: i64) {
        self.wall.skew(millis);
    }

    fn gated(&self, wait: BoxFuture<'static, ()>) -> BoxFuture<'static, ()> {
        let gate = Arc::clone(&self.gate);
        Box::pin(async move {
            wait.await;
            gate.open().await;
        })
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        self.wall.now()
    }

    fn running(&self) -> Duration {
        self.wall.running()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.gated(self.wall.sleep(duration))
    }

    fn sleep_until(&self, time: Timestamp) -> BoxFuture<'static, ()> {
        self.gated(self.wall.sleep_until(time))
    }
}

/// The tasks of one life of a process, in the stages in which they stop.
pub struct Tasks {
    stages: Vec<(CancellationToken, JoinSet<()>)>,
}

impl Tasks {
    pub fn new(stages: usize) -> Self {
        let stages = (0..stages).map(|_| (CancellationToken::new(), JoinSet::new()));
        Self {
            stages: stages.collect(),
        }
    }

    pub fn spawn<F>(&mut self, stage: usize, task: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (stop, tasks) = &mut self.stages[stage];
        tasks.spawn(task(stop.clone()));
    }

    /// Stage after stage is told to stop and awaited, as long as all of it takes no longer than `grace`.
    pub async fn stop(&mut self, grace: Duration) {
        let end = tokio::time::Instant::now() + grace;
        for (stop, tasks) in &mut self.stages {
            stop.cancel();
            let all = async { while tasks.join_next().await.is_some() {} };
            _ = tokio::time::timeout_at(end, all).await;
        }
    }

    /// A task that ended by itself is a mistake of the room, or it panicked.
    pub fn ended(&mut self) -> Option<String> {
        for (stop, tasks) in &mut self.stages {
            if stop.is_cancelled() {
                continue;
            }
            if let Some(ended) = tasks.try_join_next() {
                return Some(match ended {
                    Ok(()) => "a task ended by itself".to_owned(),
                    Err(error) => error.to_string(),
                });
            }
        }
        None
    }

    /// Ends all of them where they stand.
    pub async fn kill(&mut self) {
        for (_, tasks) in &mut self.stages {
            tasks.shutdown().await;
        }
    }
}
