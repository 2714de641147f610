//! Addresses, and the URL that a target's labels come to.

use std::collections::BTreeMap;
use std::fmt::Write;

use model::Labels;

/// What is wrong with `host:port`, as the rest of a sentence.
pub(super) fn mistake(address: &str) -> Option<&'static str> {
    if address.is_empty() {
        return Some("is empty");
    }
    if address.contains("://") || address.contains('/') {
        return Some("is more than host:port; the rest belongs into scheme and metrics_path");
    }
    if address
        .chars()
        .any(|letter| letter.is_whitespace() || letter.is_control() || "?#@\"\\".contains(letter))
    {
        return Some("has a letter that no host:port has");
    }
    let (host, port) = match address.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((host, "")) => (host, None),
            Some((host, rest)) => (host, Some(rest.strip_prefix(':').unwrap_or_default())),
            None => return Some("has a bracket that is not closed"),
        },
        None => match address.split_once(':') {
            Some((_, port)) if port.contains(':') => return Some("is an IPv6 address; it needs brackets"),
            Some((host, port)) => (host, Some(port)),
            None => (address, None),
        },
    };
    if host.is_empty() {
        return Some("has no host");
    }
    let is_port = |port: &str| {
        port.bytes().all(|digit| digit.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
    };
    match port {
        Some(port) if !is_port(port) => Some("has no port between 1 and 65535 after the colon"),
        _ => None,
    }
}

/// Where a target with these labels is read. Labels stand in place of the first value of a parameter.
pub(super) fn url(labels: &Labels, params: &BTreeMap<String, Vec<String>>) -> String {
    let mut params = params.clone();
    for (name, value) in labels.iter() {
        if let Some(param) = name.strip_prefix("__param_") {
            let values = params.entry(param.to_owned()).or_default();
            match values.first_mut() {
                Some(first) => value.clone_into(first),
                None => values.push(value.to_owned()),
            }
        }
    }
    let (scheme, address) = (labels.value("__scheme__"), labels.value("__address__"));
    let path = labels.value("__metrics_path__");
    let slash = if path.is_empty() || path.starts_with('/') {
        ""
    } else {
        "/"
    };
    let colon = if scheme.is_empty() { "" } else { ":" };
    let mut url = format!("{scheme}{colon}//{address}{slash}");
    escape_path(&mut url, path);
    let mut divider = '?';
    for (name, values) in &params {
        for value in values {
            url.push(divider);
            escape(&mut url, name);
            url.push('=');
            escape(&mut url, value);
            divider = '&';
        }
    }
    url
}

/// As Go writes a path: a `?` or a `%` in it is one of the path.
fn escape_path(url: &mut String, path: &str) {
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~$&+,/:;=@".contains(&byte) {
            url.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            _ = write!(url, "%{byte:02X}");
        }
    }
}

/// As in a query: blanks become `+`, what could be misread `%XX`.
pub(super) fn escape(url: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => url.push(char::from(byte)),
            b' ' => url.push('+'),
            other => {
                // Writing to a string cannot fail.
                _ = write!(url, "%{other:02X}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_host_and_port() {
        for good in [
            "localhost:9090",
            "10.0.0.1:1",
            "example.org",
            "[::1]:9100",
            "[fe80::1%25eth0]",
            "a_b:65535",
        ] {
            assert_eq!(mistake(good), None, "{good}");
        }
        for bad in [
            "",
            "http://a:1",
            "a:1/metrics",
            "a b:1",
            ":9090",
            "a:",
            "a:0",
            "a:65536",
            "a:http",
            "a:+1",
            "::1",
            "[::1",
            "[]:1",
            "[::1]9100",
            "user@a:1",
        ] {
            assert!(mistake(bad).is_some(), "{bad}");
        }
    }
}
