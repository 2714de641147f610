//! Reads the machine it runs on from /proc and /sys, under the names, types and labels of node_exporter.
//!
//! Never blocks on a hung mount, and never lets one unreadable file take another collector down. A collector
//! gives all of its series in a round or none of them.

pub mod config;

mod adjtimex;
mod checkup;
mod collect;
mod ethtool;
mod family;
mod file;
mod known;
mod machine;
mod metrics;
mod node;
pub mod oom;
mod reader;
mod scan;
mod slots;
mod statfs;

#[cfg(test)]
mod recorder;
#[cfg(test)]
mod tests;

pub use config::Config;
pub use node::{Handle, Node};
