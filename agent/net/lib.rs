//! HTTP and mail out of the process: one client, one TLS provider, how long to wait before trying again; who calls in,
//! by a shared token.

mod auth;
mod backoff;
mod basic;
mod client;
mod mail;
mod plain;
mod secret;
pub mod token;
mod url;
mod watched;

pub use auth::{Auth, Authorization, BasicAuth, check_headers};
pub use backoff::Backoff;
pub use basic::basic;
pub use client::HttpClient;
pub use mail::Mailer;
pub use secret::Secret;
pub use token::Tokens;
pub use url::{is_http, without_secrets};
pub use watched::Watched;
