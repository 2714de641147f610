//! Evaluates rule files as Prometheus does, and tells the notifier what fires.
//!
//! Three things are different, all of them on purpose. The whole alert table is durable and taken up again
//! before the first evaluation, so a restart neither resolves nor forgets. Missing data is not recovery: a
//! rule that fails, an alert whose sender is silent or whose target is down, and a restored alert whose senders have not
//! been heard yet, change nothing, unless the rule says so (`keys.md`); and a replica that is deaf does not take for true what it only fails to hear. And a
//! `limit` cuts instead of resolving everything; see [`Manager`].

mod alert;
mod alone;
pub mod backtest;
mod checkup;
mod config;
mod datasource;
mod down;
mod durations;
mod evaluate;
mod expand;
mod expr;
mod file;
mod group;
mod heard;
mod late;
pub mod lint;
mod load;
mod manager;
mod metrics;
mod no_data;
mod outage;
mod output;
mod place;
mod points;
mod pool;
#[cfg(test)]
mod promises;
mod record;
mod runner;
mod schedule;
#[cfg(test)]
mod shipped;
mod silence;
pub mod slo;
mod state;
mod tell;
pub mod unit;
mod unreachable;
mod view;
mod world;

pub use checkup::Sight;
pub use config::{Config, Options};
pub use datasource::{Config as DatasourceConfig, Datasource};
pub use expr::Expr;
pub use group::{Alerting, Group, Kind, OnMissing, Rule, Text};
pub use load::load;
pub use manager::Manager;
pub use points::Datapoints;
pub use record::fires;
pub use world::Neighbours;
