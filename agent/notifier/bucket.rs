//! A token bucket: so many messages at once, then so many a second.

use std::time::Duration;

use model::Timestamp;

#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    /// Time that one message costs.
    price: Duration,
    /// Most messages at once.
    burst: u32,
    /// When it will be, or was, full.
    full_at: Timestamp,
}

impl Bucket {
    pub(crate) fn new(price: Duration, burst: u32) -> Self {
        Self {
            price,
            burst,
            full_at: Timestamp::MIN,
        }
    }

    /// When the next message may go; not after `now` means at once.
    pub(crate) fn ready_at(&self) -> Timestamp {
        if self.full_at == Timestamp::MIN {
            return Timestamp::MIN;
        }
        self.full_at - self.price * self.burst.saturating_sub(1)
    }

    pub(crate) fn take(&mut self, now: Timestamp) {
        self.full_at = self.full_at.max(now) + self.price;
    }

    pub(crate) fn clock_went_back(&mut self, by: Duration) {
        if self.full_at != Timestamp::MIN {
            self.full_at = self.full_at - by;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_at_once_and_then_one_a_second() {
        let mut bucket = Bucket::new(Duration::from_secs(1), 3);
        let (start, mut now, mut sent) = (Timestamp(1_000_000), Timestamp(1_000_000), Vec::new());
        while sent.len() < 6 {
            now = now.max(bucket.ready_at());
            bucket.take(now);
            sent.push(now.since(start).as_millis());
        }
        assert_eq!(sent, [0, 0, 0, 1000, 2000, 3000]);
    }

    #[test]
    fn a_rest_fills_it_again_and_no_further() {
        let mut bucket = Bucket::new(Duration::from_secs(1), 3);
        for _ in 0..3 {
            bucket.take(Timestamp(0));
        }
        let later = Timestamp(3_600_000);
        for _ in 0..3 {
            assert!(bucket.ready_at() <= later);
            bucket.take(later);
        }
        assert!(bucket.ready_at() > later);
    }
}
