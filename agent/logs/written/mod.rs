//! Sinks for people who look for a mistake: standard output, and a file of JSON lines.
//!
//! They stand beside the others with watermarks of their own. A batch is written after the other, in the order of each file.
//! Of the file each line is there once, also after `kill -9`: how long it was is kept in the same append as the watermarks,
//! and what lies behind that is cut off and written again. Of standard output each line is there at least once.

pub(crate) mod config;
mod file;
mod line;
mod stdout;

pub(crate) use config::WAIT;
pub use config::{File, Format, Stdout};
pub(crate) use file::open as open_file;
pub(crate) use stdout::open as open_stdout;
