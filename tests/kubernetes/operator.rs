//! A real prometheus-operator over a cluster, which says what Prometheus would be told for the monitors that are there.

use std::ffi::OsString;
use std::io::Read;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;

use crate::cluster::{Cluster, PATIENCE};
use crate::control_plane::free_port;
use crate::guard::Guarded;
use crate::http::ask;
use crate::{program, until};

impl Cluster {
    /// The kinds of prometheus-operator (PodMonitor, ServiceMonitor, Probe, ScrapeConfig, PrometheusRule and others), from now
    /// on. None, loudly, if `tests/setup` could not bring them.
    ///
    /// # Panics
    /// They are refused.
    pub fn monitoring_kinds(&self) -> Option<()> {
        let file = programs::file("kubernetes/monitoring-kinds.yaml")?;
        let file = file.display().to_string();
        // They are too long for the annotation that a plain apply leaves.
        self.kubectl(&["apply", "--server-side", "-f", &file]);
        let established = "--for=condition=Established";
        self.kubectl(&["wait", established, "--timeout=60s", "-f", &file]);
        Some(())
    }
}

/// Ends when it is let go of.
pub struct Operator {
    running: Mutex<Guarded>,
}

impl Operator {
    /// With its kinds. None, loudly, if it is not here.
    ///
    /// # Panics
    /// It is here and does not start.
    #[must_use]
    pub fn start(cluster: &Cluster) -> Option<Self> {
        let program = program("prometheus-operator")?;
        cluster.monitoring_kinds()?;
        let (port, keys) = (free_port(), cluster.keys());
        let words = [
            program.display().to_string(),
            format!("-apiserver={}", cluster.url()),
            format!("-ca-file={}", cluster.ca().display()),
            format!("-cert-file={}", keys.join("admin.crt").display()),
            format!("-key-file={}", keys.join("admin.key").display()),
            format!("-web.listen-address=127.0.0.1:{port}"),
        ];
        let name = format!("prometheus-operator-{port}");
        let running = Guarded::start(cluster.folder(), &name, &[], "", &words.map(OsString::from));
        let this = Self {
            running: Mutex::new(running),
        };
        until("prometheus-operator is not ready", PATIENCE, || {
            this.live();
            match ask(port, "/healthz") {
                Some((200, _)) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
        Some(this)
    }

    /// The configuration that it has made for a Prometheus object, if it has made one yet.
    ///
    /// # Errors
    /// It has not.
    ///
    /// # Panics
    /// It has ended, or made something else.
    pub fn configuration(&self, cluster: &Cluster, namespace: &str, name: &str) -> Result<String, String> {
        self.live();
        let secret = format!("prometheus-{name}");
        let path = "jsonpath={.data.prometheus\\.yaml\\.gz}";
        let packed = cluster.try_kubectl(&["get", "secret", &secret, "-n", namespace, "-o", path], "")?;
        let packed = STANDARD.decode(packed).map_err(|error| error.to_string())?;
        let mut text = String::new();
        GzDecoder::new(packed.as_slice())
            .read_to_string(&mut text)
            .map_err(|error| error.to_string())?;
        Ok(text)
    }

    fn live(&self) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.lives().unwrap_or_else(|said| panic!("{said}"));
    }
}
