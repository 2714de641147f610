//! What AWS is to a page: what is there, what it costs to watch, and for whom.

use std::time::Duration;

use serde::Serialize;

use crate::Timestamp;

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Aws {
    /// Whether this process asks; otherwise another replica does.
    pub leads: bool,
    /// Of this calendar month, in dollars.
    pub spent: f64,
    pub forecast: f64,
    pub budget: Option<f64>,
    /// How much longer than planned each class waits: what wakes people, what rules read, what only dashboards show.
    pub stretch: [f64; 3],
    /// Places that cannot be asked at all.
    pub problems: Vec<String>,
    pub places: Vec<Place>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Place {
    pub account: String,
    pub region: String,
    pub problems: Vec<String>,
    pub described_at: Option<Timestamp>,
    /// Of the newest point of any series.
    pub newest: Option<Timestamp>,
    pub series: usize,
    /// Dollars in 30 days, as planned.
    pub monthly: f64,
    pub calls: u64,
    pub resources: Vec<Resource>,
    pub shares: Vec<Share>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Resource {
    /// `rds`, `elasticache`, `kafka`.
    pub family: String,
    pub name: String,
    pub is_live: bool,
    pub info: Vec<(String, String)>,
}

/// What one rule or dashboard has of the plan.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Share {
    pub by: String,
    pub is_alert: bool,
    pub series: usize,
    pub interval: Duration,
    pub monthly: f64,
}
