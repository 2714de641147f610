//! What the server may ask of the house: functions and traits, filled by the hall.

use std::sync::Arc;

use model::view::{
    ConfigState, LogPage, LogQuery, LogState, Own, RuleGroup, Source, Target, Telling, View, Why,
};
use model::{BoxFuture, Clock, Select};

/// Everything pages and API show. Cloning is cheap.
#[derive(Clone)]
pub struct Rooms {
    pub clock: Arc<dyn Clock>,
    pub select: Arc<dyn Select>,
    pub engine: Arc<promql::Engine>,
    pub registry: prometheus::Registry,
    pub targets: View<Vec<Target>>,
    pub sources: View<Vec<Source>>,
    pub rules: View<Vec<RuleGroup>>,
    /// The why tree of one rule's expression (file, group, rule name) for the alert with this fingerprint.
    pub why: Arc<dyn Fn(&str, &str, &str, Option<u64>) -> Vec<Why> + Send + Sync>,
    pub telling: View<Telling>,
    /// Searches the segments; reads the disk, so it is called on a blocking thread.
    pub logs: Arc<dyn Fn(&LogQuery) -> LogPage + Send + Sync>,
    pub log_state: View<LogState>,
    pub config: View<ConfigState>,
    pub own: View<Own>,
    /// Why the process does not serve yet, or is stopping.
    pub ready: View<Result<(), String>>,
    /// Reads the configuration again; the error is what is wrong with it.
    pub reload: Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>,
    /// Sends a test message to every receiver; the answer is a sentence.
    pub send_test: Arc<dyn Fn() -> BoxFuture<'static, Result<String, String>> + Send + Sync>,
    /// Runbooks of the shipped rules, as Markdown: anchor → text.
    pub runbook: Arc<dyn Fn(&str) -> Option<String> + Send + Sync>,
}
