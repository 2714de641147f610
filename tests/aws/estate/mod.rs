//! Two estates, ready to be watched: the one that users described, and a larger one whose price is known.
//!
//! A healthy day raises no alert in either: all values stay below the thresholds of anybody's list. What can go wrong in the
//! first is started and ended by a test, and shows in metrics, in what is described, and in events.

mod catalogue;
mod incidents;
mod sample;
mod shape;
mod users;

pub use sample::{SAMPLE_KNOWN, SAMPLE_SERIES, STOPPED, sample, sample_at};
pub use shape::Incident;
pub use users::{Users, users};
