//! HTTP out of the process: one client, one TLS provider, how long to wait before trying again; and who calls in,
//! by a shared token.

mod backoff;
mod basic;
mod client;
mod plain;
mod secret;
pub mod token;
mod watched;

pub use backoff::Backoff;
pub use basic::basic;
pub use client::HttpClient;
pub use secret::Secret;
pub use token::Tokens;
pub use watched::Watched;
