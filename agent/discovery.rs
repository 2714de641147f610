//! Targets among the objects of the cluster, from the room that finds them to the one that scrapes them.
//!
//! A change is passed on within a second. Where there are so many objects that going through them takes its time, changes are
//! gathered for longer, so that this never takes more than a twentieth of a core.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cluster::{Cluster, Finder};
use model::discovery::{ObjectRole, ObjectTargets};
use scrape::Pool;
use tokio_util::sync::CancellationToken;

use crate::cli::Role;

/// Changes are gathered for so long at least: a deployment makes many pods at once.
const GATHER: Duration = Duration::from_secs(1);
/// … and for so many times as long as it takes to go through all of them.
const GATHER_TIMES: u32 = 20;

pub(crate) struct ObjectDiscovery {
    finder: Finder,
    pool: Arc<Pool>,
    is_node: bool,
}

impl ObjectDiscovery {
    /// An agent of a node finds the pods on it, and nothing else: what there is once is for who is there once.
    pub(crate) fn new(cluster: &Cluster, role: Role, host: &str, pool: &Arc<Pool>) -> Self {
        let is_node = role == Role::Node;
        Self {
            finder: Finder::new(cluster, is_node.then(|| host.to_owned())),
            pool: Arc::clone(pool),
            is_node,
        }
    }

    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut wanted = self.pool.looked_for();
        let mut passed_on = Vec::new();
        let mut said: Arc<[ObjectTargets]> = Arc::default();
        loop {
            let all = wanted.borrow_and_update().clone();
            if self.is_node && all != said {
                tell_left_out(&all);
            }
            said = Arc::clone(&all);
            self.finder.look_for(&all);
            let began = Instant::now();
            let mut found = Vec::with_capacity(all.len());
            for objects in all.iter() {
                // What is not known yet is not nothing: targets from before a reload stay until it is.
                if let Some(groups) = self.finder.find(objects) {
                    found.push((objects.clone(), groups));
                }
            }
            if found != passed_on {
                self.pool.found(found.clone());
                passed_on = found;
            }
            let gather = GATHER.max(began.elapsed() * GATHER_TIMES);
            tokio::select! {
                () = stop.cancelled() => return,
                Ok(()) = wanted.changed() => continue,
                () = self.finder.changed() => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(gather) => {}
            }
        }
    }
}

fn tell_left_out(all: &[ObjectTargets]) {
    for role in all.iter().filter_map(|objects| objects.role) {
        if role != ObjectRole::Pod {
            tracing::warn!(
                role = role.name(),
                "kubernetes_sd_configs: an agent of a node finds pods alone"
            );
        }
    }
}
