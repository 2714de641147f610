//! The fields of an object, taken one after another: whatever nobody took at the end is named.

use std::fmt;

use serde_json::{Map, Value};

/// Why an object is left out as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// It needs a Secret or a ConfigMap, and those are not read.
    Secret,
    /// It names a file of the process that scrapes, which `kubernetes.monitors.files` does not allow.
    File,
    /// It says something that has no counterpart here.
    Field,
    /// It cannot be.
    Invalid,
}

impl Reason {
    pub const ALL: [Self; 4] = [Self::Secret, Self::File, Self::Field, Self::Invalid];

    /// As the label of a metric has it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::File => "file",
            Self::Field => "field",
            Self::Invalid => "invalid",
        }
    }
}

/// An object that is left out, and the sentence that says why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    pub reason: Reason,
    pub why: String,
}

impl LeftOut {
    pub fn invalid(why: impl fmt::Display) -> Self {
        let (reason, why) = (Reason::Invalid, why.to_string());
        Self { reason, why }
    }

    pub(super) fn field(why: impl fmt::Display) -> Self {
        let (reason, why) = (Reason::Field, why.to_string());
        Self { reason, why }
    }
}

pub(super) type Outcome<T> = Result<T, LeftOut>;

/// What is left of a part of an object.
#[derive(Debug)]
pub(super) struct Fields {
    place: String,
    map: Map<String, Value>,
}

impl Fields {
    pub(super) fn new(place: impl Into<String>, value: Value) -> Outcome<Self> {
        let place = place.into();
        match value {
            Value::Object(map) => Ok(Self { place, map }),
            _ => Err(LeftOut::invalid(format!("{place}: has no fields"))),
        }
    }

    /// Where a field stands.
    pub(super) fn place(&self, key: &str) -> String {
        format!("{}.{key}", self.place)
    }

    pub(super) fn take(&mut self, key: &str) -> Option<Value> {
        self.map.remove(key).filter(|value| !value.is_null())
    }

    pub(super) fn keys(&self) -> Vec<String> {
        self.map.keys().cloned().collect()
    }

    fn wrong(&self, key: &str, what: &str) -> LeftOut {
        LeftOut::invalid(format!("{}: is not {what}", self.place(key)))
    }

    pub(super) fn text(&mut self, key: &str) -> Outcome<Option<String>> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.wrong(key, "a text")),
        }
    }

    /// One that says something.
    pub(super) fn word(&mut self, key: &str) -> Outcome<Option<String>> {
        Ok(self.text(key)?.filter(|text| !text.is_empty()))
    }

    /// A text or a number, as the API's IntOrString is; true if it is a number.
    pub(super) fn number_or_text(&mut self, key: &str) -> Outcome<Option<(String, bool)>> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some((text, false))),
            Some(Value::Number(number)) => Ok(Some((number.to_string(), true))),
            Some(_) => Err(self.wrong(key, "a text or a number")),
        }
    }

    pub(super) fn truth(&mut self, key: &str) -> Outcome<Option<bool>> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Bool(truth)) => Ok(Some(truth)),
            Some(_) => Err(self.wrong(key, "true or false")),
        }
    }

    pub(super) fn number(&mut self, key: &str) -> Outcome<Option<u64>> {
        match self.take(key) {
            None => Ok(None),
            Some(value) => match value.as_u64() {
                Some(number) => Ok(Some(number)),
                None => Err(self.wrong(key, "a number that is 0 or more")),
            },
        }
    }

    pub(super) fn texts(&mut self, key: &str) -> Outcome<Vec<String>> {
        let Some(list) = self.take(key) else {
            return Ok(Vec::new());
        };
        serde_json::from_value(list).map_err(|_| self.wrong(key, "a list of texts"))
    }

    pub(super) fn inner(&mut self, key: &str) -> Outcome<Option<Self>> {
        let place = self.place(key);
        self.take(key).map(|value| Self::new(place, value)).transpose()
    }

    /// Empty where there is none.
    pub(super) fn inner_or_empty(&mut self, key: &str) -> Outcome<Self> {
        let place = self.place(key);
        let inner = self.inner(key)?;
        Ok(inner.unwrap_or(Self {
            place,
            map: Map::new(),
        }))
    }

    pub(super) fn list(&mut self, key: &str) -> Outcome<Vec<Self>> {
        let place = self.place(key);
        match self.take(key) {
            None => Ok(Vec::new()),
            Some(Value::Array(list)) => list
                .into_iter()
                .enumerate()
                .map(|(nth, value)| Self::new(format!("{place}[{nth}]"), value))
                .collect(),
            Some(_) => Err(self.wrong(key, "a list")),
        }
    }

    /// Passes a field on as it is.
    pub(super) fn pass(&mut self, key: &str, to: &mut Map<String, Value>, name: &str) {
        if let Some(value) = self.take(key) {
            to.insert(name.to_owned(), value);
        }
    }

    /// What is in there is in a Secret or a ConfigMap. One that names nothing says nothing.
    pub(super) fn no_secret(&mut self, key: &str) -> Outcome<()> {
        let place = self.place(key);
        let is_empty = |value: &Value| match value {
            Value::Object(map) => map.is_empty(),
            _ => false,
        };
        match self.take(key).filter(|value| !is_empty(value)) {
            None => Ok(()),
            Some(_) => Err(LeftOut {
                reason: Reason::Secret,
                why: format!("{place}: is in a Secret or a ConfigMap, and Skopos reads neither"),
            }),
        }
    }

    /// A field that Skopos follows only where it says what holds anyway.
    pub(super) fn only(
        &mut self,
        key: &str,
        harmless: impl Fn(&Value) -> bool,
        instead: &str,
    ) -> Outcome<()> {
        let place = self.place(key);
        match self.take(key).filter(|value| !harmless(value)) {
            None => Ok(()),
            Some(value) => Err(LeftOut::field(format!(
                "{place}: {value} is not followed; {instead}"
            ))),
        }
    }

    /// Whatever nobody took has no counterpart.
    pub(super) fn end(self) -> Outcome<()> {
        match self.map.iter().find(|(_, value)| !value.is_null()) {
            None => Ok(()),
            Some((key, _)) => Err(LeftOut::field(format!(
                "{}: is a field that Skopos does not follow",
                self.place(key)
            ))),
        }
    }
}
