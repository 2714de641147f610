//! A world with nobody around: nothing outlives it, nobody is silent, nobody is told. For unit tests and back-tests.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use journal::Journal;
use model::outside::Files;
use model::{AllHere, Ask, Keep, Leadership, Timestamp};
use prometheus::Registry;
use telemetry::clock::RuntimeClock;
use tokio::sync::{mpsc, watch};

use crate::config::Options;
use crate::group::OnMissing;
use crate::metrics::Metrics;
use crate::world::{Neighbours, World};

impl World {
    /// `options` says what the whole agent would say.
    ///
    /// # Errors
    /// A sentence; nothing can fail here but by our own mistake.
    pub(crate) fn alone(
        ask: Arc<dyn Ask>,
        keep: Arc<dyn Keep>,
        options: Options,
        start: Timestamp,
    ) -> Result<Self, String> {
        let near = Neighbours {
            ask,
            keep,
            journal: Journal::open(Arc::new(NoDisk), Path::new("")).map_err(|error| error.to_string())?,
            events: mpsc::channel(1).0,
            leadership: watch::channel(Leadership::standalone()).1,
            clock: RuntimeClock::starting_at(start),
            presence: Arc::new(AllHere),
            late: Arc::new(model::late::Never),
        };
        let world = Self::new(near, options, Metrics::new(&Registry::new()));
        // Prometheus' verdicts, where a file says nothing else.
        Ok(Self {
            on_missing: OnMissing::Resolve,
            ..world
        })
    }
}

struct NoDisk;

impl Files for NoDisk {
    fn read(&self, _: &Path) -> io::Result<Option<Vec<u8>>> {
        Ok(None)
    }

    fn append(&self, _: &Path, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn replace(&self, _: &Path, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn truncate(&self, _: &Path, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn remove(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, _: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(Vec::new())
    }

    fn is_instant(&self) -> bool {
        true
    }
}
