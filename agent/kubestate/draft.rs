//! The series of one object while they are written down.
//!
//! A series that the object had before is known by a hash of its name and labels, so that an object that changes costs labels only
//! for what is new about it.

use std::hash::{BuildHasher, RandomState};

use model::{Keep, Kind, Labels, SeriesDesc, SeriesRef, TargetRef};

/// Where series are asked for, and what all of them have.
pub(crate) struct Desk {
    pub(crate) keep: std::sync::Arc<dyn Keep>,
    pub(crate) target: TargetRef,
    /// `job` and `instance`.
    pub(crate) base: Labels,
    pub(crate) hasher: RandomState,
}

/// A series of an object, and its value.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    hash: u64,
    /// None if the store refused it.
    pub(crate) series: Option<SeriesRef>,
    pub(crate) value: f64,
}

pub(crate) struct Draft<'a> {
    desk: &'a Desk,
    allowed: &'a Allowed<'a>,
    /// What the object had before, in the same order unless much has changed.
    before: &'a [Entry],
    cursor: usize,
    own: Vec<(&'static str, String)>,
    seed: u64,
    entries: Vec<Entry>,
    mistakes: u64,
    mistake: Option<String>,
}

/// Which labels and annotations of a kind become labels of series.
#[derive(Default)]
pub(crate) struct Allowed<'a> {
    pub(crate) labels: &'a [String],
    pub(crate) annotations: &'a [String],
}

impl<'a> Draft<'a> {
    pub(crate) fn new(desk: &'a Desk, allowed: &'a Allowed<'a>, before: &'a [Entry]) -> Self {
        Self {
            desk,
            allowed,
            before,
            cursor: 0,
            own: Vec::new(),
            seed: 0,
            entries: Vec::with_capacity(before.len()),
            mistakes: 0,
            mistake: None,
        }
    }

    pub(crate) fn allowed(&self) -> &'a Allowed<'a> {
        self.allowed
    }

    /// The labels that tell which object it is.
    pub(crate) fn of(&mut self, own: Vec<(&'static str, String)>) {
        self.seed = self.desk.hasher.hash_one(&own);
        self.own = own;
    }

    pub(crate) fn gauge(&mut self, name: &str, help: &str, labels: &[(&str, &str)], value: f64) {
        self.put(Kind::Gauge, name, help, labels, value);
    }

    pub(crate) fn counter(&mut self, name: &str, help: &str, labels: &[(&str, &str)], value: f64) {
        self.put(Kind::Counter, name, help, labels, value);
    }

    /// Nothing where there is no value.
    pub(crate) fn some(&mut self, name: &str, help: &str, value: Option<f64>) {
        if let Some(value) = value {
            self.gauge(name, help, &[], value);
        }
    }

    fn put(&mut self, kind: Kind, name: &str, help: &str, labels: &[(&str, &str)], value: f64) {
        let hash = self.desk.hasher.hash_one((self.seed, name, labels));
        // An object may say a thing twice.
        if self.entries.iter().any(|entry| entry.hash == hash) {
            return;
        }
        let series = match self.known(hash) {
            Some(series) => Some(series),
            None => self.ask(kind, name, help, labels),
        };
        self.entries.push(Entry { hash, series, value });
    }

    fn known(&mut self, hash: u64) -> Option<SeriesRef> {
        let at = match self.before.get(self.cursor) {
            Some(entry) if entry.hash == hash => self.cursor,
            _ => self.before.iter().position(|entry| entry.hash == hash)?,
        };
        self.cursor = at + 1;
        self.before.get(at)?.series
    }

    fn ask(&self, kind: Kind, name: &str, help: &str, labels: &[(&str, &str)]) -> Option<SeriesRef> {
        let mut all = self.desk.base.to_builder();
        all.set(model::labels::METRIC_NAME, name);
        for (label, value) in &self.own {
            all.set(label, value);
        }
        for (label, value) in labels {
            all.set(label, value);
        }
        let desc = SeriesDesc {
            labels: all.build(),
            kind,
            family: name.into(),
            help: help.into(),
            unit: "".into(),
        };
        let series = self.desk.keep.series(self.desk.target, &desc);
        series
            .inspect_err(|error| tracing::debug!(%error, series = %desc.labels, "series refused"))
            .ok()
    }

    /// A value of the object that is not what it should be; of many the first is told.
    pub(crate) fn mistake(&mut self, why: impl FnOnce() -> String) {
        self.mistakes += 1;
        self.mistake.get_or_insert_with(why);
    }

    /// How many values were not what they should be, and the first of them.
    pub(crate) fn mistakes(&mut self) -> (u64, Option<String>) {
        (self.mistakes, self.mistake.take())
    }

    pub(crate) fn done(self) -> Box<[Entry]> {
        self.entries.into()
    }
}
