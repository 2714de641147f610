//! Who acts outside: buys from AWS, sends to people.

use std::sync::Arc;

/// Newest wins; handed out on a `watch` channel. Standalone holds it always, with epoch 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leadership {
    /// Name of the replica that holds it, if anybody is known to.
    pub holder: Option<Arc<str>>,
    /// Whether that is this process.
    pub here: bool,
    /// Rises with every change of holder; what carries a lower one is ignored.
    pub epoch: u64,
}

impl Leadership {
    #[must_use]
    pub fn standalone() -> Self {
        Self {
            holder: None,
            here: true,
            epoch: 1,
        }
    }
}
