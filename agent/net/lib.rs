//! HTTP and mail out of the process: one client, one TLS provider, how long to wait before trying again; who calls in,
//! by a shared token.

mod acceptor;
mod backoff;
mod basic;
mod client;
mod headers;
pub mod http_config;
mod mail;
mod names;
mod no_proxy;
mod oauth;
mod place;
mod plain;
mod reach;
mod secret;
mod sigv4;
mod tls;
pub mod token;
mod url;
mod watched;
mod way;

pub use acceptor::{Acceptor, Guest};
pub use backoff::Backoff;
pub use basic::basic;
pub use client::HttpClient;
pub use headers::check_headers;
pub use http_config::{HttpConfig, TlsConfig, Token};
pub use mail::Mailer;
pub use names::Names;
pub use place::Place;
pub use reach::{Credential, Reach, Via, is_redirect};
pub use secret::Secret;
pub use sigv4::SigV4Config;
pub use token::Tokens;
pub use url::{is_http, without_password, without_secrets};
pub use watched::Watched;
