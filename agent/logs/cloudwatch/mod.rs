//! CloudWatch Logs as a sink: every line there at least once, in a stream of its container, within AWS' limits. And as a
//! source, see [`source`].
//!
//! AWS knows no ids: what is sent again after a lost answer or `kill -9` is there twice, with the same `event.id`. A batch
//! is cut into requests by stream, each is settled by itself, and watermarks move only behind what AWS has answered for.

mod answer;
pub(crate) mod config;
mod cut;
mod event;
mod flight;
mod name;
mod setup;
pub(crate) mod source;
mod who;

use std::io;
use std::sync::Arc;

use aws::Aws;

use crate::segment::write::Kept;
use crate::sink::marks::Clerk;
use crate::sink::{self, Ground, Kind};

pub use config::Config;
pub(crate) use flight::{Destination, REFUSALS};
pub use setup::ask;
pub use source::{Config as SourceConfig, Once, ask as ask_source};

/// Opens the place reached at this destination.
///
/// # Errors
/// The disk's own.
pub(crate) fn open(
    config: &Config,
    host: &str,
    aws: &Arc<Aws>,
    ground: &Ground<'_>,
) -> io::Result<(Arc<dyn sink::Destination>, Clerk, Kept)> {
    let (common, clerk, kept) =
        sink::open(Kind::CloudWatch, &config.name, config.requests_max, false, ground)?;
    let destination = Destination::new(common, config.clone(), host.to_owned(), Arc::clone(aws));
    Ok((Arc::new(destination), clerk, kept))
}
