//! What the pages show of a cluster's objects: what the watches have seen change.

use std::sync::Arc;

use cluster::ChangesHandle;

/// None where no cluster is asked.
pub(crate) fn objects(has_cluster: bool, changes: Option<&ChangesHandle>) -> Option<web::Objects> {
    has_cluster.then(|| web::Objects {
        changes: changes.cloned().map(|changes| {
            let since = move |time| changes.since(time);
            Arc::new(since) as _
        }),
    })
}
