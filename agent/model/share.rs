//! Making sure that the other replica knows.

use crate::BoxFuture;

/// The way to the peer, as a room sees it that must not go on before the peer knows what it has written.
pub trait Share: Send + Sync {
    /// Resolves once the peer has everything that the journal holds now; at the latest after a second, and at once
    /// while the peers are out of step. True if the peer has it.
    fn shared(&self) -> BoxFuture<'static, bool>;
}

/// Nobody to share with.
pub struct Alone;

impl Share for Alone {
    fn shared(&self) -> BoxFuture<'static, bool> {
        Box::pin(std::future::ready(true))
    }
}
