//! Whose silence is missed: that of nodes which are there to stay, and of whoever the file of tokens names.

use std::collections::BTreeSet;
use std::sync::Arc;

use cluster::Cluster;
use model::outside;
use net::Tokens;
use remote::receive::Receiver;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::cli::Role;

/// Tells the receiver of samples which nodes there are.
pub(crate) struct Missed {
    staying: watch::Receiver<Option<Arc<BTreeSet<Arc<str>>>>>,
    receiver: Arc<Receiver>,
}

impl Missed {
    /// Nothing where no cluster is known; to be made before that runs.
    pub(crate) fn of(
        role: Role,
        cluster: Option<&Cluster>,
        receiver: Option<&Arc<Receiver>>,
        tokens: &Arc<Tokens>,
    ) -> Option<Self> {
        let (cluster, receiver) = (cluster.filter(|_| role == Role::Cluster)?, receiver?);
        let tokens = Arc::clone(tokens);
        // A machine outside of the cluster is on no list.
        receiver.known_besides(Arc::new(move |name| tokens.names(outside::Role::Node, name)));
        Some(Self {
            staying: cluster.staying(),
            receiver: Arc::clone(receiver),
        })
    }

    pub(crate) async fn run(mut self, stop: CancellationToken) {
        loop {
            let staying = self.staying.borrow_and_update().clone();
            self.receiver.expect(staying);
            tokio::select! {
                () = stop.cancelled() => return,
                changed = self.staying.changed() => if changed.is_err() {
                    return stop.cancelled().await;
                },
            }
        }
    }
}
