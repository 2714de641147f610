//! Wakes a thread that waits: somebody rings, or its time is up.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

#[derive(Clone, Default)]
pub(crate) struct Bell(Arc<Inner>);

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    rung: Condvar,
}

#[derive(Default)]
struct State {
    ringing: bool,
    stopped: bool,
}

impl Bell {
    pub(crate) fn ring(&self) {
        self.0.state.lock().ringing = true;
        self.0.rung.notify_all();
    }

    /// Whoever waits now or later does not wait any more.
    pub(crate) fn stop(&self) {
        self.0.state.lock().stopped = true;
        self.0.rung.notify_all();
    }

    pub(crate) fn stopped(&self) -> bool {
        self.0.state.lock().stopped
    }

    /// Waits until the bell is rung; a ring since the last wait counts. False once stopped.
    pub(crate) fn wait(&self, most: Duration) -> bool {
        let until = Instant::now() + most;
        let mut state = self.0.state.lock();
        while !state.ringing && !state.stopped {
            if self.0.rung.wait_until(&mut state, until).timed_out() {
                break;
            }
        }
        state.ringing = false;
        !state.stopped
    }

    /// Waits the whole time, whoever rings. False once stopped.
    pub(crate) fn pause(&self, duration: Duration) -> bool {
        let until = Instant::now() + duration;
        let mut state = self.0.state.lock();
        while !state.stopped {
            if self.0.rung.wait_until(&mut state, until).timed_out() {
                break;
            }
        }
        !state.stopped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_before_the_wait_is_heard_once() {
        let bell = Bell::default();
        bell.ring();
        let started = Instant::now();
        assert!(bell.wait(Duration::from_secs(60)));
        assert!(started.elapsed() < Duration::from_secs(30));
        assert!(bell.wait(Duration::from_millis(1)));
        bell.stop();
        assert!(!bell.wait(Duration::from_secs(60)));
        assert!(!bell.pause(Duration::from_secs(60)));
    }
}
