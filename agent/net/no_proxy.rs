//! Which hosts are reached without a proxy, in the words of `NO_PROXY` as Go's programs read them.

use std::net::IpAddr;

/// A list such as `localhost, .internal, 10.0.0.0/8, example.org:8443`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct NoProxy {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq)]
enum Entry {
    All,
    Network(IpAddr, u8),
    Address(IpAddr, Option<u16>),
    /// With a dot before it; `itself` is whether it means the name alone as well.
    Domain {
        suffix: String,
        itself: bool,
        port: Option<u16>,
    },
}

impl NoProxy {
    /// What is none of these names nothing and is passed over.
    pub(crate) fn new(text: &str) -> Self {
        let entries = text.split(',').map(|entry| entry.trim().to_lowercase());
        Self {
            entries: entries.filter_map(|entry| Entry::new(&entry)).collect(),
        }
    }

    /// `host` is without brackets. A list of any kind keeps what lies on this machine from the proxy.
    pub(crate) fn has(&self, host: &str, port: u16) -> bool {
        if self.entries.is_empty() {
            return false;
        }
        let host = host.trim_end_matches('.').to_lowercase();
        let address: Option<IpAddr> = host.parse().ok();
        if host == "localhost" || address.is_some_and(|address| address.is_loopback()) {
            return true;
        }
        self.entries.iter().any(|entry| match entry {
            Entry::All => true,
            Entry::Network(network, bits) => address.is_some_and(|address| lies_in(address, *network, *bits)),
            Entry::Address(known, only) => address == Some(*known) && only.is_none_or(|only| only == port),
            Entry::Domain {
                suffix,
                itself,
                port: only,
            } => {
                let is_meant =
                    host.ends_with(suffix) || *itself && Some(host.as_str()) == suffix.strip_prefix('.');
                is_meant && only.is_none_or(|only| only == port)
            }
        })
    }
}

impl Entry {
    fn new(text: &str) -> Option<Self> {
        match text {
            "" => return None,
            "*" => return Some(Self::All),
            _ => {}
        }
        if let Some((network, bits)) = text.split_once('/')
            && let (Ok(network), Ok(bits)) = (network.parse(), bits.parse())
        {
            return Some(Self::Network(network, bits));
        }
        let bare = text.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = bare.parse() {
            return Some(Self::Address(address, None));
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().ok()?)),
            None => (text, None),
        };
        if let Ok(address) = host.trim_start_matches('[').trim_end_matches(']').parse() {
            return Some(Self::Address(address, port));
        }
        let host = host
            .strip_prefix('*')
            .filter(|rest| rest.starts_with('.'))
            .unwrap_or(host);
        let itself = !host.starts_with('.');
        let dot = if itself { "." } else { "" };
        (!host.is_empty()).then(|| Self::Domain {
            suffix: format!("{dot}{host}"),
            itself,
            port,
        })
    }
}

fn lies_in(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    let same =
        |left: u128, right: u128, all: u8| bits <= all && (bits == 0 || (left ^ right) >> (all - bits) == 0);
    match (address.to_canonical(), network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            same(u128::from(address.to_bits()), u128::from(network.to_bits()), 32)
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => same(address.to_bits(), network.to_bits(), 128),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_means_what_it_means_to_go() {
        let list = NoProxy::new(
            "corp.example, .only.example, *.star.example, 10.0.0.0/8, 192.0.2.7:8443, fd00::/8, port.example:81, ::1",
        );
        for (host, port, is_direct) in [
            ("corp.example", 443, true),
            ("a.b.corp.example", 443, true),
            ("notcorp.example", 443, false),
            ("only.example", 443, false),
            ("a.only.example", 443, true),
            ("a.STAR.example", 443, true),
            ("star.example", 443, false),
            ("10.9.8.7", 80, true),
            ("11.9.8.7", 80, false),
            ("192.0.2.7", 8443, true),
            ("192.0.2.7", 443, false),
            ("fd12::1", 443, true),
            ("fe80::1", 443, false),
            ("port.example", 81, true),
            ("port.example", 80, false),
            ("localhost", 80, true),
            ("127.0.0.1", 80, true),
        ] {
            assert_eq!(list.has(host, port), is_direct, "{host}:{port}");
        }
    }

    #[test]
    fn without_a_list_everything_goes_by_the_proxy() {
        assert!(!NoProxy::new(" , ").has("localhost", 80));
        assert!(NoProxy::new("*").has("anything.example", 1));
    }
}
