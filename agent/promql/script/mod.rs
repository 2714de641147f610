//! Test scripts in the format of Prometheus' own: `load` samples, `eval` expressions, compare.
//!
//! Native histograms are not kept here; evaluations that touch one are counted as skipped.

mod compare;
mod memory;
mod pin;
mod read;
mod run;
mod series;

#[cfg(test)]
mod tests;

pub use memory::Memory;
pub use run::{Checked, Report, RunOptions, Verdict, run};
pub use series::{Item, labels, line, values};

/// A script that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptError {
    /// From 1.
    pub line: usize,
    pub message: String,
}

impl std::fmt::Display for ScriptError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

impl std::error::Error for ScriptError {}
