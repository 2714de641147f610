//! What asking costs: metrics requested by `GetMetricData`, and requests of the other two. Describing is free.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use model::Timestamp;

/// Of a metric requested by `GetMetricData`, and of any other request.
pub const USD_EACH: f64 = 0.01 / 1000.0;
/// Requests that an account has free in a month.
pub const FREE_A_MONTH: u64 = 1_000_000;

/// Who asked for what.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    pub account: String,
    pub region: String,
    pub operation: &'static str,
    /// Empty where none was named.
    pub namespace: String,
}

/// How much of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Charge {
    /// Metrics of `GetMetricData`, requests of the others.
    pub units: u64,
    /// The same if up to five statistics of one metric in one request were one, as the price list reads.
    pub units_if_packed: u64,
    pub usd: f64,
}

/// A metric that was paid for, and its statistic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bought {
    pub at: Timestamp,
    /// Account, region, namespace, name, dimensions and statistic.
    pub what: String,
}

/// All that was asked for that may cost something.
#[derive(Clone, Debug)]
pub struct Bill {
    pub lines: BTreeMap<Line, Charge>,
    /// Whether each metric of `GetMetricData` is written down; there may be millions.
    pub keeps_bought: bool,
    /// In the order in which they were.
    pub bought: Vec<Bought>,
    /// The pages of an answer after the first are billed as the first was. Nobody has said; not by default.
    pub bills_pages_again: bool,
    /// Requests free in a month.
    pub free_a_month: u64,
    /// By account and month, which is its number since year 0.
    used: BTreeMap<(String, i64), u64>,
}

impl Default for Bill {
    fn default() -> Self {
        Self {
            lines: BTreeMap::new(),
            keeps_bought: false,
            bought: Vec::new(),
            bills_pages_again: false,
            free_a_month: FREE_A_MONTH,
            used: BTreeMap::new(),
        }
    }
}

impl Bill {
    #[must_use]
    pub fn usd(&self) -> f64 {
        self.lines.values().map(|charge| charge.usd).sum()
    }

    /// Units of an operation.
    #[must_use]
    pub fn units(&self, operation: &str) -> u64 {
        let lines = self.lines.iter().filter(|(line, _)| line.operation == operation);
        lines.map(|(_, charge)| charge.units).sum()
    }

    /// Dollars of everything asked for in a namespace.
    #[must_use]
    pub fn usd_of(&self, namespace: &str) -> f64 {
        let lines = self.lines.iter().filter(|(line, _)| line.namespace == namespace);
        lines.map(|(_, charge)| charge.usd).sum()
    }

    pub(crate) fn reset(&mut self) {
        self.lines.clear();
        self.bought.clear();
    }

    /// Metrics of one namespace.
    pub(super) fn metrics(
        &mut self,
        (account, region): (&str, &str),
        namespace: &str,
        units: u64,
        units_if_packed: u64,
    ) {
        let charge = self.line(account, region, "GetMetricData", namespace);
        charge.units += units;
        charge.units_if_packed += units_if_packed;
        charge.usd += units as f64 * USD_EACH;
    }

    pub(super) fn request(
        &mut self,
        (account, region): (&str, &str),
        operation: &'static str,
        namespace: &str,
        now: Timestamp,
    ) {
        let free = self.free_a_month;
        let used = self.used.entry((account.to_owned(), month(now))).or_default();
        *used += 1;
        let usd = if *used > free { USD_EACH } else { 0.0 };
        let charge = self.line(account, region, operation, namespace);
        charge.units += 1;
        charge.units_if_packed += 1;
        charge.usd += usd;
    }

    fn line(&mut self, account: &str, region: &str, operation: &'static str, namespace: &str) -> &mut Charge {
        let line = Line {
            account: account.to_owned(),
            region: region.to_owned(),
            operation,
            namespace: namespace.to_owned(),
        };
        self.lines.entry(line).or_default()
    }
}

fn month(now: Timestamp) -> i64 {
    let time = jiff::Timestamp::from_millisecond(now.millis()).unwrap_or_default();
    let date = time.to_zoned(TimeZone::UTC).date();
    i64::from(date.year()) * 12 + i64::from(date.month())
}
