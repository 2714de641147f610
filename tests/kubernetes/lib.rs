//! A real Kubernetes that tests are held to.
//!
//! `ControlPlane` is etcd and kube-apiserver on loopback: enough for whatever speaks with the API server only, and up in some
//! seconds. kwok makes nodes and pods on it that only pretend; `KubeState` and `Operator` are a real kube-state-metrics and a
//! real prometheus-operator beside it. `Lab` is a whole one, with a node where pods run and find each other by name: it needs
//! root and some ten seconds. Everything here blocks, and runs on threads and processes of its own, so that tests of any kind can
//! use it, with a runtime or without. All of it ends, its folder included, when it is let go of and also when the process that
//! started it ends in whatever way.
//!
//! ```
//! let Some(plane) = ControlPlane::shared() else { return }; // or ControlPlane::start(): one of its own, to be cut off
//! plane.apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: one}}");
//! let config = plane.kubeconfig_for("default", "default"); // nobody has given it any rights
//! plane.stop_api();
//!
//! let Some(lab) = Lab::start() else { return };
//! lab.load_image(&Image::new("lab.local/skopos:1").entrypoint(&["/skopos"]).user("65532:0").file("/skopos", &built, 0o755));
//! lab.run_in(&["helm4", "install", "skopos", chart, "--wait"]);
//! let lines = fs::read_to_string(lab.outside("/var/log/pods").join(log));
//! ```
//!
//! `tests/setup` brings the programs, some minutes' work the first time. By hand: `cargo run -p kubernetes-tests --example lab`
//! starts a whole one, says how it is asked and keeps it until it is interrupted; with `-- plane 100 1000` it is a control plane
//! with a hundred fake nodes and a thousand fake pods, with `-- lab.local/skopos:1=target/debug/skopos` pods can run that.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test whose peer fails has failed, and says why"
)]

pub mod cluster;
pub mod control_plane;
mod fakes;
mod guard;
mod http;
mod keys;
pub mod kube_state;
pub mod lab;
mod names;
pub mod operator;
pub mod parts;
mod reach;

#[cfg(test)]
mod behaves;

pub use ::image::Image;
pub use cluster::Cluster;
pub use control_plane::ControlPlane;
pub use kube_state::KubeState;
pub use lab::Lab;
pub use operator::Operator;
pub use parts::busybox;

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

/// Where `tests/setup` puts them, in the order in which they are looked for.
const FOLDERS: [&str; 2] = ["kubernetes/bin", "kubernetes/debian/usr/bin"];

/// One of the programs that `tests/setup` brings. None, loudly, if it is not here.
#[must_use]
pub fn program(name: &str) -> Option<PathBuf> {
    known(name).or_else(|| programs::file(&format!("{}/{name}", FOLDERS[0])))
}

fn known(name: &str) -> Option<PathBuf> {
    let mut found = FOLDERS
        .iter()
        .filter_map(|folder| programs::known_in_cache(&format!("{folder}/{name}")));
    found.next()
}

/// Waits until it holds, looking again and again.
///
/// # Panics
/// It does not for so long; what it last said is told.
pub fn until(what: &str, patience: Duration, mut holds: impl FnMut() -> Result<(), String>) {
    let begun = Instant::now();
    while let Err(said) = holds() {
        assert!(begun.elapsed() < patience, "{what}: {said}");
        thread::park_timeout(Duration::from_millis(50));
    }
}
