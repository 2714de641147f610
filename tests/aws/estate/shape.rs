//! How a metric goes in a day, and what becomes of it while something is wrong.

use std::sync::Arc;
use std::time::Duration;

use model::Timestamp;
use parking_lot::RwLock;

use crate::metrics::{Metrics, Samples, Series, mix, seed};

const DAY_MINUTES: i64 = 24 * 60;

/// What can go wrong in the users' estate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Incident {
    /// The database's primary; the standby takes over when it ends.
    PrimaryLost,
    /// The second of three.
    BrokerLost,
    /// The second one, with all that is in it.
    ZoneLost,
    /// 183 of 200.
    ConnectionsExhausted,
    CacheEvicting,
    /// Of the t4g of the database.
    DatabaseCreditsGone,
    /// Of the t3 of the brokers.
    BrokerCreditsGone,
    /// A part of all requests ends in 5xx, of the targets and of the balancer itself.
    BalancerErrors,
    StorageFull,
}

/// From when to when; the end is not known while it lasts.
#[derive(Clone, Default)]
pub(super) struct Incidents(Arc<RwLock<Vec<(Incident, i64, i64)>>>);

impl Incidents {
    pub(super) fn begins(&self, incident: Incident, now: Timestamp) {
        self.0.write().push((incident, minute(now), i64::MAX));
    }

    pub(super) fn ends(&self, incident: Incident, now: Timestamp) {
        for (of, _, to) in self.0.write().iter_mut() {
            if *of == incident && *to == i64::MAX {
                *to = minute(now);
            }
        }
    }

    /// Minutes since it began, while it lasts.
    fn since(&self, incident: Incident, minute: i64) -> Option<i64> {
        let all = self.0.read();
        let found = all
            .iter()
            .find(|(of, from, to)| *of == incident && (*from..*to).contains(&minute));
        found.map(|(_, from, _)| minute - from)
    }

    fn is_empty(&self) -> bool {
        self.0.read().is_empty()
    }
}

fn minute(time: Timestamp) -> i64 {
    time.millis().div_euclid(60_000)
}

/// What becomes of a metric.
#[derive(Clone, Copy, Debug)]
pub(super) enum Turn {
    /// There is none.
    Gone,
    Is(f64),
    /// Goes there in so many minutes.
    Goes(f64, f64),
    Times(f64),
}

/// How its samples of a minute are made of its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// One sample.
    Gauge,
    /// Twelve samples around it, as of many small times.
    Spread,
    /// So many ones; none if it is nothing.
    Count,
    /// Of each of so many who say it, the first has it and the others say 0.
    First(u32),
}

/// A metric of a thing that is well.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    name: &'static str,
    unit: &'static str,
    low: f64,
    high: f64,
    kind: Kind,
    turns: Vec<(Incident, Turn)>,
}

/// Between two values, the higher one by day.
pub(super) fn gauge(name: &'static str, unit: &'static str, low: f64, high: f64) -> Shape {
    Shape {
        name,
        unit,
        low,
        high,
        kind: Kind::Gauge,
        turns: Vec::new(),
    }
}

/// Always the same.
pub(super) fn steady(name: &'static str, unit: &'static str, value: f64) -> Shape {
    gauge(name, unit, value, value)
}

/// Measured many times in a minute.
pub(super) fn spread(name: &'static str, unit: &'static str, low: f64, high: f64) -> Shape {
    Shape {
        kind: Kind::Spread,
        ..gauge(name, unit, low, high)
    }
}

/// So many in a minute.
pub(super) fn count(name: &'static str, low: f64, high: f64) -> Shape {
    Shape {
        kind: Kind::Count,
        ..gauge(name, "Count", low, high)
    }
}

impl Shape {
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// Nothing happens to it.
    pub(super) fn without_turns(mut self) -> Self {
        self.turns.clear();
        self
    }

    pub(super) fn when(mut self, incident: Incident, turn: Turn) -> Self {
        self.turns.push((incident, turn));
        self
    }

    /// One of so many says it, the others say 0.
    pub(super) fn first_of(mut self, many: u32) -> Self {
        self.kind = Kind::First(many);
        self
    }

    pub(super) fn series(
        &self,
        namespace: &str,
        dimensions: &[(&str, &str)],
        incidents: &Incidents,
    ) -> Series {
        let (shape, incidents) = (self.clone(), incidents.clone());
        let named = format!("{namespace}{}{dimensions:?}", self.name);
        let seed = seed(&named);
        let series = Series::new(namespace, self.name, dimensions, move |minute, samples| {
            shape.fill(seed, &incidents, minute, samples);
        });
        // As they were seen to come: nothing of the running minute, half of the last one, a late one now and then.
        series
            .unit(self.unit)
            .lag(Duration::from_secs(75))
            .settles(Duration::from_secs(180))
            .late(97, Duration::from_secs(480))
    }

    fn fill(&self, seed: u64, incidents: &Incidents, minute: i64, samples: &mut Samples) {
        let usual = self.usual(seed, minute);
        let Some(value) = self.turned(usual, incidents, minute) else {
            return;
        };
        match self.kind {
            Kind::Gauge => samples.add(value),
            Kind::Count => samples.add_times(1.0, value.round()),
            Kind::Spread => {
                for nth in 0..12 {
                    samples.add(value * (0.7 + 0.6 * part(mix(seed ^ (nth << 50)) ^ minute as u64)));
                }
            }
            Kind::First(many) => {
                samples.add(value);
                samples.add_times(0.0, f64::from(many) - 1.0);
            }
        }
    }

    fn usual(&self, seed: u64, minute: i64) -> f64 {
        let span = self.high - self.low;
        if span == 0.0 {
            return self.low;
        }
        let unrest = part(mix(seed ^ minute as u64)) - 0.5;
        (self.low + span * (0.05 + 0.9 * day(minute)) + 0.1 * span * unrest)
            .clamp(self.low.min(self.high), self.low.max(self.high))
    }

    fn turned(&self, usual: f64, incidents: &Incidents, minute: i64) -> Option<f64> {
        if self.turns.is_empty() || incidents.is_empty() {
            return Some(usual);
        }
        let mut turns = self.turns.iter();
        let turn = turns.find_map(|(incident, turn)| Some((incidents.since(*incident, minute)?, *turn)));
        match turn {
            None => Some(usual),
            Some((_, Turn::Gone)) => None,
            Some((_, Turn::Is(value))) => Some(value),
            Some((_, Turn::Times(factor))) => Some(usual * factor),
            Some((since, Turn::Goes(value, minutes))) => {
                let gone = (since as f64 / minutes).min(1.0);
                Some(usual + (value - usual) * gone)
            }
        }
    }
}

/// Adds each shape with the same dimensions.
pub(super) fn add(
    metrics: &mut Metrics,
    namespace: &str,
    dimensions: &[(&str, &str)],
    shapes: impl IntoIterator<Item = Shape>,
    incidents: &Incidents,
) {
    for shape in shapes {
        metrics.add(shape.series(namespace, dimensions, incidents));
    }
}

/// From 0 at three at night to 1 in the afternoon, in UTC.
fn day(minute: i64) -> f64 {
    let of_day = minute.rem_euclid(DAY_MINUTES) - 180;
    0.5 - 0.5 * (of_day as f64 / DAY_MINUTES as f64 * std::f64::consts::TAU).cos()
}

/// Between 0 and 1.
fn part(number: u64) -> f64 {
    (number >> 11) as f64 / (1_u64 << 53) as f64
}
