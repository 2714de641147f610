//! A real kube-state-metrics over a cluster, for whatever claims to say the same.

use std::ffi::OsString;
use std::sync::{Mutex, PoisonError};

use crate::cluster::{Cluster, PATIENCE};
use crate::control_plane::free_port;
use crate::guard::Guarded;
use crate::http::ask;
use crate::{program, until};

/// Ends when it is let go of.
pub struct KubeState {
    running: Mutex<Guarded>,
    port: u16,
}

impl KubeState {
    /// Over everything that the administrator sees, with more options, such as `--metric-labels-allowlist=pods=[*]`. What it
    /// has not listed yet is missing at first. None, loudly, if it is not here.
    ///
    /// # Panics
    /// It is here and does not start.
    #[must_use]
    pub fn start(cluster: &Cluster, options: &[&str]) -> Option<Self> {
        let program = program("kube-state-metrics")?;
        let (port, own) = (free_port(), free_port());
        let words = [
            program.display().to_string(),
            format!("--kubeconfig={}", cluster.kubeconfig().display()),
            "--host=127.0.0.1".to_owned(),
            format!("--port={port}"),
            "--telemetry-host=127.0.0.1".to_owned(),
            format!("--telemetry-port={own}"),
        ];
        let words = words
            .into_iter()
            .chain(options.iter().map(|word| (*word).to_owned()));
        let words: Vec<OsString> = words.map(OsString::from).collect();
        let name = format!("kube-state-metrics-{port}");
        let this = Self {
            running: Mutex::new(Guarded::start(cluster.folder(), &name, &[], "", &words)),
            port,
        };
        until("kube-state-metrics is not ready", PATIENCE, || {
            let mut running = this.running.lock().unwrap_or_else(PoisonError::into_inner);
            running.lives().unwrap_or_else(|said| panic!("{said}"));
            match ask(own, "/readyz") {
                Some((200, _)) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
        Some(this)
    }

    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its number, for who wants to know what it costs.
    ///
    /// # Panics
    /// It has ended.
    #[must_use]
    pub fn process(&self) -> u32 {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let process = running.process().expect("it runs");
        u32::try_from(process.as_raw_nonzero().get()).expect("a number")
    }

    /// What it shows now.
    ///
    /// # Panics
    /// It shows nothing.
    #[must_use]
    pub fn metrics(&self) -> String {
        let (code, text) = ask(self.port, "/metrics").expect("an answer");
        assert_eq!(code, 200, "{text}");
        text
    }
}
