//! Waiting longer after each failure, never twice the same.

use std::time::Duration;

/// Exponential back-off with full jitter: each pause is drawn between half of and the whole current step.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    most: Duration,
    step: Duration,
}

impl Backoff {
    #[must_use]
    pub fn new(first: Duration, most: Duration) -> Self {
        Self {
            first,
            most,
            step: first,
        }
    }

    /// The pause before the next try.
    #[expect(
        clippy::should_implement_trait,
        reason = "it never ends, so it is no iterator"
    )]
    pub fn next(&mut self) -> Duration {
        self.next_within(Duration::ZERO, self.most)
    }

    /// As [`Self::next`], of a step that is `least` at least and grows to `most` only.
    pub fn next_within(&mut self, least: Duration, most: Duration) -> Duration {
        let step = self.step.min(most);
        self.step = step.saturating_mul(2).min(most);
        step.max(least).mul_f64(0.5 + fastrand::f64() / 2.0)
    }

    /// After one success among failures.
    pub fn ease(&mut self) {
        self.step = (self.step / 2).max(self.first);
    }

    /// After a success.
    pub fn reset(&mut self) {
        self.step = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_start_again() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(5));
        let pauses: Vec<f64> = (0..5).map(|_| backoff.next().as_secs_f64()).collect();
        for (pause, step) in pauses.iter().zip([1.0, 2.0, 4.0, 5.0, 5.0]) {
            assert!((step / 2.0..=step).contains(pause), "{pause} of {step}");
        }
        backoff.reset();
        assert!(backoff.next() <= Duration::from_secs(1));
    }
    #[test]
    fn a_success_halves_the_pause_and_a_lower_limit_holds_at_once() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
        for _ in 0..5 {
            backoff.next();
        }
        let pause = backoff.next_within(Duration::ZERO, Duration::from_secs(4));
        assert!(pause <= Duration::from_secs(4));
        let pause = backoff.next_within(Duration::from_secs(20), Duration::from_secs(4));
        assert!((10.0..=20.0).contains(&pause.as_secs_f64()), "{pause:?}");
        backoff.ease();
        assert!(backoff.next() <= Duration::from_secs(2));
        for _ in 0..9 {
            backoff.ease();
        }
        assert!(backoff.next() <= Duration::from_secs(1));
    }
}
