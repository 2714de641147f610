//! Headers that a configuration adds under `headers`, as Prometheus' `remote_write` has them.

use std::collections::BTreeMap;

use crate::Secret;

/// What is wrong with headers that a configuration adds, each a sentence that begins with `headers`. Nobody may set the
/// `reserved` ones, which are in lower case.
#[must_use]
pub fn check_headers(headers: &BTreeMap<String, Secret>, reserved: &[&str]) -> Vec<String> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let names = headers.keys();
    let wrong = names.filter_map(|name| {
        if name.is_empty() || !name.bytes().all(is_token) {
            return Some(format!("headers: {name:?} cannot be the name of a header"));
        }
        reserved
            .contains(&name.to_ascii_lowercase().as_str())
            .then(|| format!("headers: {name} is set by the protocol and cannot be set here"))
    });
    wrong.collect()
}
