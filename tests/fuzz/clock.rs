//! A clock that stands: the same bytes have the same answer.

use std::time::Duration;

use model::{BoxFuture, Clock, Timestamp};

/// 2023, and all that a log or a request may well speak of.
pub(crate) const NOW: i64 = 1_700_000_000_000;

pub(crate) struct Standing;

impl Clock for Standing {
    fn now(&self) -> Timestamp {
        Timestamp(NOW)
    }

    fn running(&self) -> Duration {
        Duration::from_secs(1_000)
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }

    fn sleep_until(&self, _: Timestamp) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}
