//! One metric as it really is, and what is seen of it: later, in part at first, and not in every minute.

use std::sync::Arc;
use std::time::Duration;

use model::Timestamp;

const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60;

/// Raw values of a time, each with how often it was measured.
#[derive(Clone, Debug, Default)]
pub struct Samples(pub(super) Vec<(f64, f64)>);

impl Samples {
    pub fn add(&mut self, value: f64) {
        self.0.push((value, 1.0));
    }

    /// The same value many times, as each of 30,000 requests is a 1.
    pub fn add_times(&mut self, value: f64, times: f64) {
        if times > 0.0 {
            self.0.push((value, times));
        }
    }

    /// Keeps the first part of what came after `from`, at least one.
    fn keep(&mut self, from: usize, fraction: f64) {
        let all: f64 = self.0.iter().skip(from).map(|(_, times)| times).sum();
        let mut left = (all * fraction).floor().max(1.0);
        let mut length = from;
        for (_, times) in self.0.iter_mut().skip(from) {
            if left <= 0.0 {
                break;
            }
            *times = times.min(left);
            left -= *times;
            length += 1;
        }
        self.0.truncate(length);
    }
}

/// Minute since the epoch → what is measured in it; the same whenever it is asked.
pub type Values = Arc<dyn Fn(i64, &mut Samples) + Send + Sync>;

/// A metric with its dimensions.
#[derive(Clone)]
pub struct Series {
    pub namespace: String,
    pub metric: String,
    /// By name.
    pub dimensions: Vec<(String, String)>,
    pub unit: &'static str,
    /// A minute is seen so long after its beginning; 60 s by default, which is its end.
    pub lag: Duration,
    /// And shows all of its samples so long after its beginning; a growing part of them before.
    pub settles: Duration,
    /// One of so many minutes is seen only so long after its beginning.
    pub late: Option<(u32, Duration)>,
    /// One of so many minutes has no data at all.
    pub gap_every: Option<u32>,
    /// From which minute on which values are those; none: it has ended.
    pieces: Vec<(i64, Option<Values>)>,
    seed: u64,
    /// The last minute known to have data, and up to where that is known.
    active: (i64, i64),
}

impl Series {
    #[must_use]
    pub fn new(
        namespace: &str,
        metric: &str,
        dimensions: &[(&str, &str)],
        values: impl Fn(i64, &mut Samples) + Send + Sync + 'static,
    ) -> Self {
        let mut dimensions: Vec<(String, String)> = dimensions
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        dimensions.sort();
        let mut series = Self {
            namespace: namespace.to_owned(),
            metric: metric.to_owned(),
            dimensions,
            unit: "None",
            lag: Duration::from_secs(60),
            settles: Duration::from_secs(60),
            late: None,
            gap_every: None,
            pieces: vec![(i64::MIN, Some(Arc::new(values)))],
            seed: 0,
            active: (i64::MIN, i64::MIN),
        };
        series.seed = seed(&series.key());
        series
    }

    #[must_use]
    pub fn unit(mut self, unit: &'static str) -> Self {
        self.unit = unit;
        self
    }

    #[must_use]
    pub fn lag(mut self, lag: Duration) -> Self {
        (self.lag, self.settles) = (lag, self.settles.max(lag));
        self
    }

    #[must_use]
    pub fn settles(mut self, settles: Duration) -> Self {
        self.settles = settles;
        self
    }

    #[must_use]
    pub fn late(mut self, one_of: u32, by: Duration) -> Self {
        self.late = Some((one_of, by));
        self
    }

    #[must_use]
    pub fn gaps(mut self, one_of: u32) -> Self {
        self.gap_every = Some(one_of);
        self
    }

    /// There is nothing before.
    #[must_use]
    pub fn begins(mut self, at: Timestamp) -> Self {
        let from = at.millis().div_euclid(MINUTE);
        if let Some(first) = self.pieces.first_mut() {
            first.0 = from;
        }
        self
    }

    pub(super) fn key(&self) -> String {
        let mut key = String::new();
        let dimensions = self.dimensions.iter();
        let dimensions = dimensions.map(|(name, value)| (name.as_str(), value.as_str()));
        write_key(&mut key, &self.namespace, &self.metric, dimensions);
        key
    }

    pub(super) fn change(&mut self, from: Timestamp, values: Option<Values>) {
        let from = from.millis().div_euclid(MINUTE);
        self.pieces.retain(|(at, _)| *at < from);
        self.pieces.push((from, values));
        self.active = (i64::MIN, i64::MIN);
    }

    /// All that will ever be known of a minute.
    pub(super) fn truth(&self, minute: i64, into: &mut Samples) {
        let piece = self.pieces.iter().rev().find(|(from, _)| *from <= minute);
        let Some((_, Some(values))) = piece else { return };
        if self.gap_every.is_some_and(|every| self.chance(minute, 1, every)) {
            return;
        }
        values(minute, into);
    }

    /// What is known of a minute at `now`.
    pub(super) fn seen(&self, minute: i64, now: Timestamp, into: &mut Samples) {
        let age = now.millis() - minute * MINUTE;
        let lag = match self.late {
            Some((every, by)) if self.chance(minute, 2, every) => by.max(self.lag),
            _ => self.lag,
        };
        if age < model::time::millis(lag) {
            return;
        }
        let from = into.0.len();
        self.truth(minute, into);
        let (lag, settles) = (model::time::millis(self.lag), model::time::millis(self.settles));
        if age < settles && into.0.len() > from {
            into.keep(from, (age - lag) as f64 / (settles - lag) as f64);
        }
    }

    /// Whether anything was seen in the last so many minutes.
    pub(super) fn is_active(&mut self, now: Timestamp, minutes: i64) -> bool {
        let (mut last, known_to) = self.active;
        // What is a day old does not change any more.
        let newest = now.millis().div_euclid(MINUTE);
        let settled = newest - DAY;
        let oldest = newest - minutes;
        let mut samples = Samples::default();
        let mut minute = newest;
        while minute > oldest.max(known_to).max(last) {
            self.seen(minute, now, &mut samples);
            if !samples.0.is_empty() {
                last = minute;
            }
            minute -= 1;
        }
        if oldest <= settled {
            self.active = (last.min(settled), settled);
        }
        last > oldest
    }

    /// Whether a minute is one of so many, in a way of its own for each use.
    fn chance(&self, minute: i64, salt: u64, every: u32) -> bool {
        mix(self.seed ^ salt.rotate_left(40) ^ minute as u64).is_multiple_of(u64::from(every.max(1)))
    }
}

/// Under which name a metric is kept; dimensions come in the order of their names.
pub(super) fn write_key<'a>(
    key: &mut String,
    namespace: &str,
    metric: &str,
    dimensions: impl Iterator<Item = (&'a str, &'a str)>,
) {
    key.clear();
    key.push_str(namespace);
    key.push('\x1f');
    key.push_str(metric);
    for (name, value) in dimensions {
        key.push('\x1f');
        key.push_str(name);
        key.push('\x1e');
        key.push_str(value);
    }
}

/// A number that looks like any other, always the same for the same one.
#[must_use]
pub fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// Of a name.
#[must_use]
pub fn seed(name: &str) -> u64 {
    let bytes = name.bytes();
    bytes.fold(0xcbf2_9ce4_8422_2325, |seed, byte| {
        (seed ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
