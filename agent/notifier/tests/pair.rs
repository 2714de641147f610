//! One of a pair: when it may speak, what it leaves alone, what it takes over.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use journal::{Change, Journal};
use model::outside::Files;
use model::{BoxFuture, Clock, Leadership, Share};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::world::{BOTH, HOOK, Manner, SLACK, START, World, config, firing, minutes, secs};

/// A map that somebody else writes to as well, and what this process is told of who speaks.
struct Half {
    world: World,
    journal: Journal,
}

fn leads(epoch: u64, until: Option<Duration>) -> Leadership {
    Leadership {
        holder: Some("here".into()),
        here: true,
        speaks: true,
        epoch,
        until,
    }
}

fn follows(epoch: u64) -> Leadership {
    Leadership {
        holder: Some("there".into()),
        here: false,
        speaks: false,
        epoch,
        until: None,
    }
}

/// Far enough away to be no matter.
const LONG: Option<Duration> = Some(Duration::from_secs(1_000_000));

impl Half {
    fn new(text: &str, leadership: Leadership) -> Self {
        Self::sharing(text, leadership, Arc::new(model::Alone))
    }

    fn sharing(text: &str, leadership: Leadership, share: Arc<dyn Share>) -> Self {
        let clock = telemetry::clock::RuntimeClock::starting_at(START);
        let receivers = super::world::Receivers::new(Arc::clone(&clock));
        let memory: Arc<super::world::Memory> = Arc::default();
        let files: Arc<dyn Files> = Arc::<super::world::Memory>::clone(&memory);
        let journal = Journal::open(files, Path::new("alerts")).unwrap();
        let (leads, _) = watch::channel(leadership);
        let world = World::over(
            leads,
            config(text),
            (clock, receivers, memory),
            journal.clone(),
            share,
        );
        Self { world, journal }
    }

    async fn hears(&self, leadership: Leadership) {
        self.world.leads.send(leadership).unwrap();
        self.world.wait(Duration::from_millis(10)).await;
    }

    /// Everything below `notifier/`, as it lies in the map.
    fn map(&self) -> Vec<(String, Value)> {
        self.journal.entries("notifier/")
    }

    fn holds(&self, prefix: &str) -> bool {
        self.map().iter().any(|(key, _)| key.starts_with(prefix))
    }
}

fn repeats(got: &[super::world::Attempt]) -> usize {
    let marked = got.iter().filter(|got| got.body.to_string().contains("possibly a repeat"));
    marked.count()
}
