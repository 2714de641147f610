//! What Skopos says about itself: logs, metrics, the process's own figures, and the clock they are stamped with.

pub mod clock;
pub mod logs;
pub mod metrics;
pub mod process;

pub use prometheus::Registry;
