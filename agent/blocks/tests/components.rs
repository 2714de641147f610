//! Prometheus and promtool over the folders of these tests.

use std::path::Path;
use std::process::Command;

pub(crate) use programs::{Prometheus, find};
use serde_json::Value;

/// Runs it to its end and gives what it printed, which must be no complaint.
pub(crate) fn run(command: &mut Command) -> String {
    let (code, text) = programs::run(command);
    assert_eq!(code, 0, "{command:?}: {text}");
    text
}

/// Over the data of a folder.
pub(crate) fn start(data: &Path) -> Option<Prometheus> {
    let program = find("prometheus")?;
    let args = ["--web.enable-admin-api"];
    Some(Prometheus::start(&program, data, "global: {}\n", &args))
}

pub(crate) fn query(prometheus: &Prometheus, query: &str) -> Value {
    let body = prometheus.get(&format!("/api/v1/query?{query}"));
    let answer: Value = serde_json::from_str(&body).expect("JSON");
    answer["data"]["result"].clone()
}
