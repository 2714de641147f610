//! Reads metrics from HTTP targets and commits them to the store, a target at a time.
//!
//! A scrape is all or nothing. Whatever happens to it, `up` and the other series of its report stand, and
//! what the target no longer sends ends. No two scrapes of a target overlap; a slow one skips slots.

pub mod config;
pub mod text;

mod checkup;
mod fetch;
mod handing;
mod intake;
mod labels;
mod ledger;
mod metrics;
mod plan;
mod pool;
mod report;
mod shapes;
mod slots;
mod target;

#[cfg(test)]
mod fakes;
#[cfg(test)]
mod reach;
#[cfg(test)]
mod tests;

pub use config::{Global, ScrapeConfig, StaticConfig, Translation};
pub use handing::{AWAITED, Given, Handed, List, Reason, SILENT, TARGETS_MAX};
pub use plan::{check, notes};
pub use pool::Pool;
