//! Where questions that need a thread wait for their turn: queries, searches, pages of many series.
//!
//! At most so many run at one time. One that came too late keeps its place until it really ends, so that
//! giving up on slow questions cannot pile them up.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

pub(crate) struct Desk {
    places: Arc<Semaphore>,
    places_max: usize,
    patience: Duration,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unserved {
    /// All places were taken until the time was over.
    Full { places_max: usize },
    /// It ran, and longer than it may.
    Late,
    /// It broke off; its thread says why in the log.
    Broken,
}

impl fmt::Display for Unserved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { places_max } => write!(
                f,
                "query timed out in query queue: {places_max} queries are running and none ended in time"
            ),
            Self::Late => f.write_str("query timed out in expression evaluation"),
            Self::Broken => f.write_str("the query broke off; the log says where"),
        }
    }
}

impl Desk {
    pub(crate) fn new(places_max: usize, patience: Duration) -> Self {
        let places_max = places_max.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            places: Arc::new(Semaphore::new(places_max)),
            places_max,
            patience,
        }
    }

    /// Longest time a question may take.
    pub(crate) fn patience(&self) -> Duration {
        self.patience
    }

    pub(crate) fn places_max(&self) -> usize {
        self.places_max
    }

    /// Runs `work` on a thread that may block, within `patience` (never more than the desk's own).
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        patience: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Unserved> {
        let patience = patience.min(self.patience);
        let end = Instant::now() + patience;
        let places_max = self.places_max;
        let place = timeout_at(end, Arc::clone(&self.places).acquire_owned())
            .await
            .map_err(|_| Unserved::Full { places_max })?
            .map_err(|_| Unserved::Broken)?;
        let running = tokio::task::spawn_blocking(move || {
            let answer = work();
            drop(place);
            answer
        });
        match timeout_at(end, running).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(Unserved::Broken),
            Err(_) => Err(Unserved::Late),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_late_question_keeps_its_place_until_it_ends() {
        let desk = Desk::new(1, LONG);
        let (release, wait) = sync_channel::<()>(1);
        let late = desk
            .ask(Duration::from_millis(20), move || wait.recv().is_ok())
            .await;
        assert_eq!(late, Err(Unserved::Late));

        let full = desk.ask(Duration::from_millis(20), || true).await;
        assert_eq!(full, Err(Unserved::Full { places_max: 1 }));

        release.send(()).unwrap();
        assert_eq!(desk.ask(LONG, || 7).await, Ok(7));
    }

    #[tokio::test]
    async fn a_question_that_panics_frees_its_place() {
        let desk = Desk::new(1, LONG);
        let broken = desk.ask(LONG, || -> u8 { panic!("on purpose") }).await;
        assert_eq!(broken, Err(Unserved::Broken));
        assert_eq!(desk.ask(LONG, || 7).await, Ok(7));
    }
}
