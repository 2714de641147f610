//! Accounts: whatever moves things says where each of them went.

use std::collections::BTreeMap;

use serde::Serialize;

/// `taken = given + dropped + in_flight`, asserted at the end of every test and shown on the page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Ledger {
    /// What is counted: `samples`, `records`, `notifications`.
    pub things: &'static str,
    pub taken: u64,
    pub given: u64,
    pub dropped: BTreeMap<&'static str, u64>,
    pub in_flight: u64,
}

impl Ledger {
    #[must_use]
    pub fn dropped_total(&self) -> u64 {
        self.dropped.values().sum()
    }

    #[must_use]
    pub fn balances(&self) -> bool {
        self.taken == self.given + self.dropped_total() + self.in_flight
    }
}
