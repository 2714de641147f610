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
        let step = self.step.min(self.most);
        self.step = step.saturating_mul(2).min(self.most);
        step.mul_f64(0.5 + fastrand::f64() / 2.0)
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
}
