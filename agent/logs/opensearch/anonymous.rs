//! Indices that refuse ids of ours: what goes there has its id in the document, and is there at least once.
//!
//! Found out by their own answers, so that whatever refuses ids in these words is known for what it is. Each start, and each
//! day's index, finds it out anew with one request.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::RwLock;

/// Indices remembered; beyond it all are found out anew.
const INDICES_MAX: usize = 4_096;

#[derive(Default)]
pub(crate) struct Anonymous(RwLock<Arc<BTreeSet<String>>>);

impl Anonymous {
    /// As it is now.
    pub(crate) fn now(&self) -> Arc<BTreeSet<String>> {
        Arc::clone(&self.0.read())
    }

    /// These refuse ids.
    pub(crate) fn learn(&self, indices: impl IntoIterator<Item = String>) {
        let mut known = self.0.write();
        let mut all = BTreeSet::clone(&known);
        if all.len() > INDICES_MAX {
            all.clear();
        }
        all.extend(indices);
        *known = Arc::new(all);
    }
}

/// Whether a reason says that documents may not bring their ids.
///
/// OpenSearch Serverless: `Document ID is not supported in create/index operation request`. Indices that are `append_only`:
/// `Operation [INDEX] is not allowed with a custom document id 1 as setting …`; OpenSearch 3.8 takes them with `create`.
pub(crate) fn refuses_ids(reason: &str) -> bool {
    let reason = reason.to_ascii_lowercase();
    reason.contains("document id") && (reason.contains("not supported") || reason.contains("not allowed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_refuses_ids_is_known_by_its_words() {
        assert!(refuses_ids(
            "Document ID is not supported in create/index operation request"
        ));
        assert!(refuses_ids(
            "Validation Failed: 1: Operation [INDEX] is not allowed with a custom document id 9 as setting `index.append_only.enabled` is enabled for this index: ao;"
        ));
        assert!(!refuses_ids("failed to parse field [id] of document with id '1'"));
    }
}
