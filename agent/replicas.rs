//! Where the replicas of a cluster are, for whoever asks for them by their names.

use std::net::IpAddr;

use cluster::Cluster;
use net::Names;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::cli::Role;

/// Tells the process' own resolver what the cluster's API says of them.
pub(crate) struct Replicas {
    found: watch::Receiver<Vec<(String, IpAddr)>>,
    names: Names,
}

impl Replicas {
    /// Nothing where no cluster is known; to be made before that runs.
    pub(crate) fn of(role: Role, cluster: Option<&Cluster>) -> Option<Self> {
        let cluster = cluster.filter(|_| role == Role::Cluster)?;
        Some(Self {
            found: cluster.replicas(),
            names: Names::ours(),
        })
    }

    pub(crate) async fn run(mut self, stop: CancellationToken) {
        loop {
            let found = self.found.borrow_and_update().clone();
            self.names.tell(found);
            tokio::select! {
                () = stop.cancelled() => return,
                changed = self.found.changed() => if changed.is_err() {
                    return stop.cancelled().await;
                },
            }
        }
    }
}
