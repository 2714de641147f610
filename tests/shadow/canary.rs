//! Whether the machine's disk stands still: a small write once in a while, and how long the longest took.
//!
//! Skopos keeps what it tells before it tells it, Alertmanager does not: on a disk that stands still they differ, and
//! that says nothing of either.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Between two writes.
const PAUSE: Duration = Duration::from_millis(20);

pub struct Canary {
    longest_millis: Arc<AtomicU64>,
    ends: Arc<AtomicBool>,
}

impl Canary {
    pub fn start(folder: &Path) -> Self {
        let mut file = File::create(folder.join("canary")).unwrap();
        let (longest_millis, ends) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let canary = Self {
            longest_millis: Arc::clone(&longest_millis),
            ends: Arc::clone(&ends),
        };
        std::thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                let begun = Instant::now();
                // The folder may be gone already.
                _ = file.write_all(b".").and_then(|()| file.sync_data());
                let took = u64::try_from(begun.elapsed().as_millis()).unwrap();
                longest_millis.fetch_max(took, Ordering::Relaxed);
                std::thread::park_timeout(PAUSE);
            }
        });
        canary
    }

    pub fn longest(&self) -> Duration {
        Duration::from_millis(self.longest_millis.load(Ordering::Relaxed))
    }
}

impl Drop for Canary {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
    }
}
