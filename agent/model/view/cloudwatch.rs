//! What AWS is to a page: what is there, what it costs to watch, and for whom.

use std::time::Duration;

use serde::Serialize;

use crate::Timestamp;

/// Which replica asks AWS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Asks {
    Here,
    Other,
    /// Nobody is known to lead: the place where that is found out does not answer.
    #[default]
    Nobody,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Aws {
    pub asks: Asks,
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

impl Aws {
    /// Whether this process asks.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.asks == Asks::Here
    }
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
    /// As AWS calls what it reads: `AWS/RDS`.
    pub namespace: String,
    pub is_alert: bool,
    pub series: usize,
    pub interval: Duration,
    pub monthly: f64,
}

/// Resources of one kind with what is measured of them now, for people to read.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Table {
    /// As its series call it: `rds`.
    pub family: &'static str,
    /// What one of them is called: `database`.
    pub one: &'static str,
    pub columns: Vec<Column>,
    pub rows: Vec<Row>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Column {
    pub word: &'static str,
    pub counts: Counts,
    /// The alert that fires when it is full; empty where there is none.
    pub alert: &'static str,
}

/// What the figures of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Counts {
    /// How full a limit is: 1 is all of it.
    Fill,
    /// A part of 1 that is no limit.
    Share,
    Bytes,
    PerSecond,
    Seconds,
    /// Seconds until nothing is left, as it goes now.
    Left,
    Number,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Row {
    /// Short, for people.
    pub name: String,
    /// What else tells it from others: its class, its engine, its role.
    pub about: Vec<String>,
    /// Labels that all of its series and alerts have; the last ones are its dimensions.
    pub labels: Vec<(&'static str, String)>,
    /// One for each column.
    pub figures: Vec<Figure>,
}

impl Row {
    /// Its dimensions with a slash between them, as it stands in addresses.
    #[must_use]
    pub fn id(&self) -> String {
        let dimensions = self
            .labels
            .iter()
            .filter(|(name, _)| name.starts_with("dimension_"));
        let values: Vec<&str> = dimensions.map(|(_, value)| value.as_str()).collect();
        values.join("/")
    }

    #[must_use]
    pub fn label(&self, wanted: &str) -> &str {
        let found = self.labels.iter().find(|(name, _)| *name == wanted);
        found.map_or("", |(_, value)| value)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Figure {
    /// None: it is not measured.
    pub value: Option<f64>,
    /// The question that it answers, of this resource only.
    pub expr: String,
}
