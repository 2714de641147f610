//! What one line of the journal says, and which of two sayings is newer.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::de::{DeserializeOwned, Error};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

const KEY: &str = "k";
const VERSION: &str = "o";
const VALUE: &str = "v";
/// Marks a removal that keeps counting after the key is gone.
const GRAVE: &str = "t";

/// Orders writes of the pair's replicas to the same key: newest wins, the replica's name breaks a tie.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Hash)]
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

/// Fields that a newer program wrote and this one does not know; kept as they are, to the byte.
pub(crate) type Rest = BTreeMap<Arc<str>, Arc<RawValue>>;

/// What a key is, since when and by whom: a line of the file, and what replicas send each other.
#[derive(Clone, Debug)]
pub struct Entry {
    pub(crate) key: Arc<str>,
    pub(crate) version: Version,
    /// None: the key was removed.
    pub(crate) value: Option<Arc<RawValue>>,
    /// Of a removal, whether it keeps counting.
    pub(crate) grave: bool,
    pub(crate) rest: Rest,
}

impl Entry {
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    #[must_use]
    pub fn version(&self) -> &Version {
        &self.version
    }

    #[must_use]
    pub fn is_removal(&self) -> bool {
        self.value.is_none()
    }

    /// The value, if there is one that reads as a `T`.
    #[must_use]
    pub fn read<T: DeserializeOwned>(&self) -> Option<T> {
        let value = self.value.as_ref()?;
        let read = serde_json::from_str(value.get());
        read.inspect_err(
            |error| tracing::warn!(key = &*self.key, %error, "kept value cannot be read and is passed over"),
        )
        .ok()
    }

    /// The same under another key.
    #[must_use]
    pub fn under(mut self, key: &str) -> Self {
        self.key = key.into();
        self
    }

    /// About how long it is when written.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let value = self.value.as_ref().map_or(0, |value| value.get().len());
        let rest = self.rest.iter();
        let rest: usize = rest.map(|(name, value)| name.len() + value.get().len() + 4).sum();
        self.key.len() + self.version.replica.len() + value + rest + 64
    }

    /// Every two sayings that differ have an order, so that replicas that have heard the same agree.
    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        let value = |entry: &Self| entry.value.as_ref().map(|value| value.get().to_owned());
        let rest = |entry: &Self| {
            let rest = entry.rest.iter();
            rest.map(|(name, value)| (Arc::clone(name), value.get().to_owned()))
                .collect::<Vec<_>>()
        };
        self.version
            .cmp(&other.version)
            .then_with(|| value(self).cmp(&value(other)))
            .then_with(|| rest(self).cmp(&rest(other)))
    }
}

impl Serialize for Entry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry(KEY, &self.key)?;
        map.serialize_entry(VERSION, &self.version)?;
        match &self.value {
            Some(value) => map.serialize_entry(VALUE, value)?,
            None if self.grave => map.serialize_entry(GRAVE, &true)?,
            None => {}
        }
        for (name, value) in &self.rest {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields = BTreeMap::<Cow<'de, str>, Box<RawValue>>::deserialize(deserializer)?;
        fn field<T: DeserializeOwned, E: Error>(
            fields: &mut BTreeMap<Cow<'_, str>, Box<RawValue>>,
            name: &'static str,
        ) -> Result<T, E> {
            let value = fields.remove(name).ok_or_else(|| E::missing_field(name))?;
            serde_json::from_str(value.get()).map_err(E::custom)
        }
        Ok(Self {
            key: field(&mut fields, KEY)?,
            version: field(&mut fields, VERSION)?,
            value: fields.remove(VALUE).map(Arc::from),
            grave: fields.remove(GRAVE).is_some(),
            rest: fields
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        })
    }
}
