//! Requests a second, by operation, in any second.

use std::collections::{BTreeMap, VecDeque};

use model::Timestamp;

/// As the quotas of a new account had them in 2026; `PutLogEvents` has a far higher one.
const USUAL: [(&str, usize); 7] = [
    ("CreateLogGroup", 10),
    ("CreateLogStream", 50),
    ("DescribeLogGroups", 10),
    ("DescribeLogStreams", 5),
    ("FilterLogEvents", 5),
    ("GetLogEvents", 10),
    ("PutRetentionPolicy", 10),
];

#[derive(Default)]
pub(super) struct Limits {
    set: BTreeMap<&'static str, usize>,
    taken: BTreeMap<String, VecDeque<i64>>,
}

impl Limits {
    pub(super) fn set(&mut self, operation: &'static str, per_second: usize) {
        self.set.insert(operation, per_second);
    }

    /// Whether there is room for one more.
    pub(super) fn take(&mut self, operation: &str, now: Timestamp) -> bool {
        let usual = || {
            USUAL
                .iter()
                .find(|(name, _)| *name == operation)
                .map(|(_, most)| *most)
        };
        let Some(most) = self.set.get(operation).copied().or_else(usual) else {
            return true;
        };
        let taken = self.taken.entry(operation.to_owned()).or_default();
        while taken.front().is_some_and(|at| now.millis() - at >= 1000) {
            taken.pop_front();
        }
        let has_room = taken.len() < most;
        if has_room {
            taken.push_back(now.millis());
        }
        has_room
    }
}
