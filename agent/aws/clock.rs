//! Our clock, as AWS' SDK wants one.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_smithy_async::rt::sleep::{AsyncSleep, Sleep};
use aws_smithy_async::time::TimeSource;
use model::time::millis;
use model::{BoxFuture, Clock, Timestamp};
use parking_lot::Mutex;

#[derive(Clone)]
pub(crate) struct SdkClock(pub(crate) Arc<dyn Clock>);

impl fmt::Debug for SdkClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a clock")
    }
}

impl TimeSource for SdkClock {
    fn now(&self) -> SystemTime {
        system(self.0.now())
    }
}

impl AsyncSleep for SdkClock {
    fn sleep(&self, duration: Duration) -> Sleep {
        Sleep::new(Shared(Mutex::new(self.0.sleep(duration))))
    }
}

/// Nobody but who polls it has it.
struct Shared(Mutex<BoxFuture<'static, ()>>);

impl Future for Shared {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.get_mut().0.get_mut().as_mut().poll(context)
    }
}

pub(crate) fn system(time: Timestamp) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(time.millis()).unwrap_or(0))
}

pub(crate) fn timestamp(time: SystemTime) -> Timestamp {
    Timestamp(millis(time.duration_since(UNIX_EPOCH).unwrap_or_default()))
}
