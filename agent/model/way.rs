//! How a server is reached where the usual way is not meant: which proxy, whose certificates.
//!
//! All of it is here, the secrets too: whoever has read them says how, and a client goes that way.

use std::fmt;

/// Two that are equal may share connections. What it prints shows no secret.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Way {
    pub proxy: Proxy,
    pub tls: Tls,
}

/// What stands in between.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Proxy {
    /// Whatever the process' environment says, which may be nothing.
    #[default]
    Environment,
    /// Nothing, whatever the environment says.
    None,
    At(Box<ProxyServer>),
}

#[derive(Clone, Default, PartialEq, Eq)]
pub struct ProxyServer {
    /// `http://` or `https://`, with user and password where it wants to know who we are.
    pub url: String,
    /// Hosts that are reached without it, with commas between them.
    pub no_proxy: String,
    /// Sent to the proxy when it is asked for a tunnel.
    pub connect_headers: Vec<(String, String)>,
}

/// Whose certificate is taken, and which one we show.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// Certificates of authorities in PEM, in place of the machine's.
    pub authorities: Option<String>,
    /// Our own certificate, with those that vouch for it, and its key, in PEM.
    pub identity: Option<Identity>,
    /// The name that is asked for and that the certificate has to hold, where it is not the host's.
    pub server_name: Option<String>,
    /// Any certificate is taken: whoever is in between reads along.
    pub takes_any: bool,
    pub oldest: Option<TlsVersion>,
    pub newest: Option<TlsVersion>,
}

#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    pub certificate: String,
    pub key: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    V12,
    V13,
}

impl Way {
    /// Whether it is the one that every request takes.
    #[must_use]
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.proxy {
            Proxy::Environment => "as the environment says",
            Proxy::None => "without a proxy",
            Proxy::At(_) => "by a proxy",
        })
    }
}
