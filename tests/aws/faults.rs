//! Failures on demand: by operation, a number of times.

use std::collections::BTreeMap;
use std::collections::VecDeque;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// 500, and nothing is done.
    Broken,
    /// 400 with `ThrottlingException`, and nothing is done.
    Throttled,
    /// The connection stays open without an answer, and nothing is done.
    Hangs,
    /// All is done, and the connection ends before the answer.
    LosesAnswer,
}

#[derive(Default)]
pub(crate) struct Faults(BTreeMap<String, VecDeque<Fault>>);

impl Faults {
    pub(crate) fn add(&mut self, operation: &str, times: usize, fault: Fault) {
        let waiting = self.0.entry(operation.to_owned()).or_default();
        waiting.extend(std::iter::repeat_n(fault, times));
    }

    pub(crate) fn next(&mut self, operation: &str) -> Option<Fault> {
        self.0.get_mut(operation)?.pop_front()
    }
}
