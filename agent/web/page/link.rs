//! Addresses of views: whatever a name contains, its link leads back to it.

use std::fmt::Write;

use model::view::{Alert, Rule, RuleGroup};
use model::{Labels, Timestamp, labels};

use super::when::Wall;

/// One part of a path, or one value of a query.
pub(super) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b':' | b',') {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// `path?name=value&…`; pairs without a value are left out.
pub(super) fn to(path: &str, pairs: &[(&str, &str)]) -> String {
    let mut address = path.to_owned();
    let mut joint = '?';
    for (name, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
        _ = write!(address, "{joint}{name}={}", encode(value));
        joint = '&';
    }
    address
}

pub(super) fn alert(name: &str, alert: &Alert) -> String {
    format!("/alerts/{}/{:016x}", encode(name), alert.fingerprint)
}

pub(super) fn rule(group: &RuleGroup, rule: &Rule) -> String {
    format!("/rules/{}/{}", encode(file_name(&group.file)), encode(&rule.name))
}

pub(super) fn explore(expr: &str) -> String {
    to("/explore", &[("expr", expr)])
}

pub(super) fn explore_between(expr: &str, from: Timestamp, until: Timestamp) -> String {
    to(
        "/explore",
        &[
            ("expr", expr),
            ("from", &Wall::absolute(from)),
            ("to", &Wall::absolute(until)),
        ],
    )
}

/// `ALERTS{alertname="…", …}`: the alert's own series.
pub(super) fn series_of(labels: &Labels) -> String {
    let mut builder = labels.to_builder();
    builder.set(labels::METRIC_NAME, "ALERTS");
    builder.build().to_string()
}

/// Last part of a path.
pub(super) fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_name_contains_it_stays_one_part_of_the_path() {
        assert_eq!(encode("a/b?c#d é"), "a%2Fb%3Fc%23d%20%C3%A9");
        assert_eq!(to("/logs", &[("q", "a&b=c"), ("level", "")]), "/logs?q=a%26b%3Dc");
    }
}
