//! A real Prometheus, and what it costs.

use std::ops::Deref;
use std::path::{Path, PathBuf};

use programs::Prometheus;
use programs::usage::{cpu_seconds, memory_bytes};

pub(crate) type Program = PathBuf;

/// Where it is, if it is anywhere.
pub(crate) fn find() -> Option<Program> {
    programs::known("prometheus")
}

/// One that runs until it is let go of.
pub(crate) struct Peer(Prometheus);

impl Deref for Peer {
    type Target = Prometheus;

    fn deref(&self) -> &Prometheus {
        &self.0
    }
}

impl Peer {
    /// Over the data of a folder; returns when it is ready. What it compacts would be counted, so it does not.
    pub(crate) fn start(program: &Program, folder: &Path) -> Self {
        let args = [
            "--web.enable-remote-write-receiver",
            "--web.enable-lifecycle",
            "--storage.tsdb.min-block-duration=2h",
            "--storage.tsdb.max-block-duration=2h",
        ];
        let config = "rule_files: [ 'rules.yml' ]\n";
        Self(Prometheus::start(program, folder, config, &args))
    }

    pub(crate) fn cpu_seconds(&self) -> f64 {
        cpu_seconds(self.process())
    }

    pub(crate) fn resident_bytes(&self) -> f64 {
        memory_bytes(self.process(), "VmRSS") as f64
    }

    pub(crate) fn reload(&self) {
        let (code, text) = self.ask("POST", "/-/reload", &[]).expect("an answer");
        assert_eq!(code, 200, "{text}");
    }

    /// Rules evaluated so far.
    pub(crate) fn evaluations(&self) -> f64 {
        let text = self.get("/metrics");
        let lines = text
            .lines()
            .filter(|line| line.starts_with("prometheus_rule_evaluations_total"));
        lines
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }
}
