//! Label sets: sorted, unique, immutable, cheap to clone.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::text;

pub const METRIC_NAME: &str = "__name__";
pub const ALERT_NAME: &str = "alertname";
pub const BUCKET: &str = "le";

/// A label set, sorted by name. All text lies in one string, so that a set is two allocations and its
/// order and equality are a walk over bytes.
#[derive(Clone)]
pub struct Labels(Arc<Packed>);

#[derive(Default)]
struct Packed {
    text: Box<str>,
    /// End of each name and each value in `text`, alternating.
    ends: Box<[u32]>,
}

impl Labels {
    #[must_use]
    pub fn empty() -> Self {
        Self(Arc::default())
    }

    /// From pairs in any order; of a repeated name the last stands, and an empty value removes it.
    pub fn from_pairs<N: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut builder = LabelsBuilder::default();
        for (name, value) in pairs {
            builder.set(name.as_ref(), value.as_ref());
        }
        builder.build()
    }

    /// From pairs that are sorted by name already, each name once, no value empty.
    #[must_use]
    pub fn from_sorted<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)> + Clone) -> Self {
        debug_assert!(pairs.clone().map(|(name, _)| name).is_sorted_by(|a, b| a < b));
        pack(pairs)
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> + Clone {
        (0..self.len()).map(|nth| self.pair(nth))
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.0.ends.len() / 2
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.ends.is_empty()
    }

    /// Whether somebody else holds the very same set.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }

    /// The value, or the empty string, which PromQL does not tell from an absent label.
    #[must_use]
    pub fn value(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    /// The metric's name, or the empty string.
    #[must_use]
    pub fn name(&self) -> &str {
        self.value(METRIC_NAME)
    }

    #[must_use]
    pub fn to_builder(&self) -> LabelsBuilder {
        LabelsBuilder {
            pairs: self
                .iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        }
    }

    #[must_use]
    pub fn without_name(&self) -> Self {
        self.retain(|name| name != METRIC_NAME)
    }

    /// Keeps the labels whose name `keep` accepts.
    #[must_use]
    pub fn retain(&self, keep: impl Fn(&str) -> bool) -> Self {
        if self.iter().all(|(name, _)| keep(name)) {
            return self.clone();
        }
        pack(self.iter().filter(|(name, _)| keep(name)))
    }

    /// The 64-bit FNV-1a fingerprint that Prometheus and Alertmanager print for a label set.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        const SEPARATOR: u8 = 255;
        let mut hash = Fnv::default();
        for (name, value) in self.iter() {
            hash.bytes(name.as_bytes());
            hash.bytes(&[SEPARATOR]);
            hash.bytes(value.as_bytes());
            hash.bytes(&[SEPARATOR]);
        }
        hash.0
    }

    /// The text of the first `parts` names and values, and the part that follows.
    fn split(&self, parts: usize) -> (&str, Option<&str>) {
        let end = |parts: usize| self.0.ends.get(parts).map(|end| *end as usize);
        let start = parts.checked_sub(1).and_then(end).unwrap_or_default();
        let next = end(parts).and_then(|end| self.0.text.get(start..end));
        (self.0.text.get(..start).unwrap_or_default(), next)
    }

    fn pair(&self, nth: usize) -> (&str, &str) {
        let end = |at: usize| self.0.ends.get(at).copied().unwrap_or_default() as usize;
        let start = if nth == 0 { 0 } else { end(2 * nth - 1) };
        let (middle, stop) = (end(2 * nth), end(2 * nth + 1));
        let part = |from: usize, to: usize| self.0.text.get(from..to).unwrap_or_default();
        (part(start, middle), part(middle, stop))
    }
}

fn pack<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)> + Clone) -> Labels {
    let (bytes, count) = pairs.clone().fold((0, 0), |(bytes, count), (name, value)| {
        (bytes + name.len() + value.len(), count + 1)
    });
    let mut text = String::with_capacity(bytes);
    let mut ends = Vec::with_capacity(2 * count);
    for (name, value) in pairs {
        for part in [name, value] {
            text.push_str(part);
            ends.push(u32::try_from(text.len()).unwrap_or(u32::MAX));
        }
    }
    Labels(Arc::new(Packed {
        text: text.into(),
        ends: ends.into(),
    }))
}

/// 64-bit FNV-1a.
#[derive(Clone, Copy, Debug)]
pub struct Fnv(pub u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    pub fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 ^= u64::from(*byte);
            self.0 = self.0.wrapping_mul(0x0100_0000_01b3);
        }
    }
}

/// Labels being changed.
#[derive(Clone, Debug, Default)]
pub struct LabelsBuilder {
    pairs: Vec<(Box<str>, Box<str>)>,
}

impl LabelsBuilder {
    /// Sets a label; an empty value removes it.
    pub fn set(&mut self, name: &str, value: &str) -> &mut Self {
        match self.pairs.iter().position(|(known, _)| &**known == name) {
            Some(at) if value.is_empty() => drop(self.pairs.remove(at)),
            Some(at) => {
                if let Some((_, old)) = self.pairs.get_mut(at) {
                    *old = value.into();
                }
            }
            None if value.is_empty() => {}
            None => self.pairs.push((name.into(), value.into())),
        }
        self
    }

    pub fn remove(&mut self, name: &str) -> &mut Self {
        self.set(name, "")
    }

    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs
            .iter()
            .find(|(known, _)| &**known == name)
            .map(|(_, value)| &**value)
    }

    #[must_use]
    pub fn build(mut self) -> Labels {
        self.pairs.sort_unstable();
        pack(self.pairs.iter().map(|(name, value)| (&**name, &**value)))
    }
}

impl Default for Labels {
    fn default() -> Self {
        Self::empty()
    }
}

impl PartialEq for Labels {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || (self.0.text == other.0.text && self.0.ends == other.0.ends)
    }
}

impl Eq for Labels {}

impl Hash for Labels {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.text.hash(state);
        self.0.ends.hash(state);
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Labels {
    fn cmp(&self, other: &Self) -> Ordering {
        // As long as names and values are equally long in both, the order of the text is theirs.
        let ends = self.0.ends.iter().zip(&other.0.ends);
        let alike = ends.take_while(|(one, other)| one == other).count();
        let [(one, one_next), (other, other_next)] = [self, other].map(|labels| labels.split(alike));
        one.cmp(other).then_with(|| one_next.cmp(&other_next))
    }
}

/// As PromQL writes it: `up{job="node"}`.
impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name();
        let plain = text::is_legacy_metric_name(name);
        if plain {
            f.write_str(name)?;
        }
        let mut rest = self.iter().filter(|(name, _)| *name != METRIC_NAME).peekable();
        let quoted_name = !plain && !name.is_empty();
        if rest.peek().is_none() && plain {
            return Ok(());
        }
        f.write_str("{")?;
        let mut comma = "";
        if quoted_name {
            write!(f, "{}", text::quote(name))?;
            comma = ", ";
        }
        for (name, value) in rest {
            if text::is_legacy_label_name(name) {
                write!(f, "{comma}{name}={}", text::quote(value))?;
            } else {
                write!(f, "{comma}{}={}", text::quote(name), text::quote(value))?;
            }
            comma = ", ";
        }
        f.write_str("}")
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Labels {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.len()))?;
        for (name, value) in self.iter() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Labels;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of label names to values")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Labels, A::Error> {
                let mut builder = LabelsBuilder::default();
                while let Some((name, value)) = map.next_entry::<String, String>()? {
                    builder.set(&name, &value);
                }
                Ok(builder.build())
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_sorted_and_an_empty_value_is_no_label() {
        let labels = Labels::from_pairs([("job", "node"), ("a", ""), ("__name__", "up")]);
        assert_eq!(labels.to_string(), r#"up{job="node"}"#);
        assert_eq!(labels.len(), 2);
        assert_eq!(labels.value("a"), "");
    }

    #[test]
    fn sorted_pairs_make_the_same_set() {
        let pairs = [("a", "1"), ("b", "2")];
        let sorted = Labels::from_sorted(pairs.into_iter());
        assert_eq!(sorted, Labels::from_pairs([("b", "2"), ("a", "1")]));
    }

    #[test]
    fn order_is_that_of_the_pairs() {
        let text = ["", "a", "b", "aa", "ab", "a\u{e4}"];
        let mut all = Vec::new();
        for nth in 0..text.len().pow(3) {
            let part = |by: usize| text[nth / text.len().pow(by as u32) % text.len()];
            all.push(Labels::from_pairs([
                ("a", part(0)),
                ("aa", part(1)),
                (part(2), "x"),
            ]));
        }
        for (one, other) in all
            .iter()
            .flat_map(|one| all.iter().map(move |other| (one, other)))
        {
            assert_eq!(one.cmp(other), one.iter().cmp(other.iter()), "{one} {other}");
        }
    }

    #[test]
    fn order_is_by_pairs_and_not_by_joined_text() {
        let (short, long) = (
            Labels::from_pairs([("a", "b")]),
            Labels::from_pairs([("a", "bc")]),
        );
        assert!(short < long);
        assert_ne!(
            Labels::from_pairs([("ab", "c")]),
            Labels::from_pairs([("a", "bc")])
        );
    }

    #[test]
    fn fingerprints_are_those_of_prometheus() {
        // An empty set is the FNV-1a offset basis, as in prometheus/common model/signature.go.
        assert_eq!(Labels::empty().fingerprint(), 14_695_981_039_346_656_037);
    }
}
