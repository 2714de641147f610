//! A value that must not be seen: from the file, or by `${NAME}` from the environment.

use std::fmt;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Redacted wherever it is printed. `${NAME}` is replaced by the environment's value when the
/// configuration is read, `$$` by a dollar sign; a name that is not set is an error there.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// What is shown in place of one.
    pub const SHOWN: &str = "<secret>";

    /// # Errors
    /// A name in `${…}` is not set or not closed.
    pub fn expand(text: &str, environment: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let mut value = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            let (before, after) = rest.split_at(at);
            value.push_str(before);
            if let Some(tail) = after.strip_prefix("${") {
                let (name, tail) = tail.split_once('}').ok_or("a \"${\" is not closed by \"}\"")?;
                value.push_str(
                    &environment(name).ok_or_else(|| format!("environment variable {name} is not set"))?,
                );
                rest = tail;
            } else {
                value.push('$');
                rest = after
                    .strip_prefix("$$")
                    .unwrap_or(after.get(1..).unwrap_or_default());
            }
        }
        value.push_str(rest);
        Ok(Self(value))
    }

    /// As it is, for example read from a file.
    #[must_use]
    pub fn plain(value: &str) -> Self {
        Self(value.to_owned())
    }

    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "\"\"" } else { Self::SHOWN })
    }
}

impl AsRef<Self> for Secret {
    fn as_ref(&self) -> &Self {
        self
    }
}

/// As Alertmanager shows one.
impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(if self.0.is_empty() { "" } else { Self::SHOWN })
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::expand(&text, |name| std::env::var(name).ok()).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_filled_in_and_values_are_never_printed() {
        let known = |name: &str| (name == "TOKEN").then(|| "abc".to_owned());
        let secret = Secret::expand("https://x/${TOKEN}?a=$$b$c", known).unwrap();
        assert_eq!(secret.expose(), "https://x/abc?a=$b$c");
        assert_eq!(format!("{secret:?}"), "<secret>");
        assert_eq!(
            Secret::expand("${NONE}", known).unwrap_err(),
            "environment variable NONE is not set"
        );
    }
}
