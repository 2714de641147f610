//! HTTP out of the process: one client, one TLS provider, and how long to wait before trying again.

mod backoff;
mod client;
mod secret;

pub use backoff::Backoff;
pub use client::HttpClient;
pub use secret::Secret;
