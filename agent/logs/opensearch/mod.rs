//! OpenSearch as a sink: every line there once, whatever dies in between.
//!
//! Ids come from file and offset, a batch is settled record by record, and watermarks move only behind what OpenSearch has
//! answered for.

mod action;
mod anonymous;
mod answer;
pub(crate) mod config;
mod count;
mod flight;
mod index;
mod setup;
mod size;
mod template;

use std::io;
use std::sync::Arc;

use model::outside::Client;

use crate::segment::write::Kept;
use crate::sink::marks::Clerk;
use crate::sink::{self, Ground, Kind};

use anonymous::Anonymous;
pub use config::Config;
pub(crate) use count::Counts;
pub(crate) use flight::{Destination, REFUSALS};
pub use setup::ask;

/// Opens the place reached at this destination.
///
/// # Errors
/// The disk's own, or a setting that cannot be used.
pub(crate) fn open(
    config: &Config,
    host: &str,
    client: &Arc<dyn Client>,
    ground: &Ground<'_>,
) -> io::Result<(Arc<dyn sink::Destination>, Clerk, Kept)> {
    let reach = config.reach().map_err(io::Error::other)?;
    let (common, clerk, kept) = sink::open(
        Kind::OpenSearch,
        &config.name,
        config.requests_max,
        config.ids != config::Ids::Never,
        ground,
    )?;
    if config.naming == config::Naming::DataStream {
        common.say_note(
            "a data stream: a line that is sent again just after a rollover is there twice, with the same event.id",
        );
    }
    if config.ids == config::Ids::Never {
        common.say_note("ids: never: a line that is sent again is there twice, with the same event.id");
    }
    let destination = Destination {
        common,
        marks: clerk.marks.clone(),
        anonymous: Anonymous::default(),
        config: config.clone(),
        reach,
        client: Arc::clone(client),
        host: host.to_owned(),
        book: crate::pack::Book::default(),
        size: size::Size::default(),
    };
    Ok((Arc::new(destination), clerk, kept))
}
