//! The reader against real files and real segments, turn by turn in a time of its own.

mod danger;
mod days;
mod docker;
mod model;
mod names;
mod packed;
mod plans;
mod records;
pub(crate) mod rig;
mod scale;
