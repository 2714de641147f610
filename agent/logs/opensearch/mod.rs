//! OpenSearch as a sink: every line there once, whatever dies in between.
//!
//! A reader of its own follows the files, so that a slow OpenSearch holds up nobody else. Ids come from file and
//! offset, a batch is settled record by record, and watermarks move only behind what OpenSearch has answered for.

mod answer;
pub(crate) mod config;
mod document;
mod flight;
mod gate;
mod index;
mod json;
mod letters;
mod marks;
pub(crate) mod metrics;
mod setup;
pub(crate) mod ship;
mod template;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use model::Clock;
use model::outside::Client;
use parking_lot::Mutex;

use crate::account::Account;
use crate::config::Retention;
use crate::segment::write::{Kept, Limits, Writer};

pub use config::Config;
pub(crate) use document::escape;
pub(crate) use flight::Destination;
pub(crate) use marks::Clerk;
pub use setup::ask;
pub(crate) use ship::{Channel, Shipper};

/// The log of watermarks is begun anew so often; the one before goes.
const MARKS: Limits = Limits {
    segment_bytes: 1 << 20,
    retention: Retention {
        size: 2 << 20,
        time: Duration::from_secs(86_400),
    },
    compress: false,
};

/// What a destination shares with the room.
pub(crate) struct Ground<'a> {
    /// Where its watermarks and dead letters lie.
    pub(crate) folder: &'a Path,
    pub(crate) host: &'a str,
    pub(crate) client: &'a Arc<dyn Client>,
    pub(crate) clock: &'a Arc<dyn Clock>,
    pub(crate) account: &'a Arc<Account>,
    pub(crate) metrics: &'a Arc<metrics::Metrics>,
}

/// Opens the place reached at this destination.
///
/// # Errors
/// The disk's own, or a setting that cannot be used.
pub(crate) fn open(config: &Config, ground: &Ground<'_>) -> io::Result<(Arc<Destination>, Clerk, Kept)> {
    let limits = Arc::new(Mutex::new(MARKS));
    let (log, kept) = Writer::open(ground.folder, limits, ground.clock.now())?;
    let counts = Arc::new(metrics::Counts::new(&config.name, Arc::clone(ground.metrics)));
    let destination = Destination {
        reach: config.reach().map_err(io::Error::other)?,
        client: Arc::clone(ground.client),
        host: ground.host.to_owned(),
        gate: gate::Gate::new(config.requests_max),
        letters: letters::Letters::new(ground.folder),
        counts: Arc::clone(&counts),
        account: Arc::clone(ground.account),
        trouble: flight::Trouble::default(),
        book: crate::pack::Book::default(),
        config: config.clone(),
    };
    let clerk = Clerk {
        marks: marks::Marks::default(),
        log,
        clock: Arc::clone(ground.clock),
        counts,
        sink: config.name.clone(),
    };
    Ok((Arc::new(destination), clerk, kept))
}
