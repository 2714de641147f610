//! What one line of the journal says, and which of two sayings is newer.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Orders writes of the pair's replicas to the same key: newest wins, the replica's name breaks a tie.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Version {
    pub epoch: u64,
    pub version: u64,
    pub replica: Arc<str>,
}

/// One key's new value, or its end.
#[derive(Clone, Debug)]
pub struct Change {
    pub(crate) key: String,
    /// `None` removes the key.
    pub(crate) value: Option<Result<Box<RawValue>, Arc<serde_json::Error>>>,
}

impl Change {
    #[must_use]
    pub fn put(key: impl Into<String>, value: &impl Serialize) -> Self {
        let value = serde_json::value::to_raw_value(value).map_err(Arc::new);
        Self {
            key: key.into(),
            value: Some(value),
        }
    }

    #[must_use]
    pub fn remove(key: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            value: None,
        }
    }
}

/// As it lies in the file; unknown fields of a newer format are kept with the value.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Entry<'a> {
    #[serde(rename = "k", borrow)]
    pub(crate) key: std::borrow::Cow<'a, str>,
    #[serde(rename = "o")]
    pub(crate) version: Version,
    #[serde(rename = "v", default, skip_serializing_if = "Option::is_none")]
    pub(crate) value: Option<Box<RawValue>>,
}
