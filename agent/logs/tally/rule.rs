//! One metric that lines make: which of them it is about, and what it takes from each.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use model::Level;
use prometheus::{CounterVec, HistogramOpts, HistogramVec, Opts, Registry};
use regex::bytes::{Regex, RegexBuilder};

use super::config::{Config, Kind};
use super::label::{Label, Place};
use crate::batch::{Batch, Row, level_of};
use crate::mark::FileMark;
use crate::parse::{Parser, Reading};
use crate::plan::{Match, Whose};

/// Longest compiled pattern; what needs more would not be quick.
const PROGRAM_BYTES_MAX: usize = 1 << 20;
/// A series that has not been counted for so long may make room for another.
const IDLE: Duration = Duration::from_secs(900);

pub(super) struct Rule {
    pub(super) name: String,
    matches: Match,
    level: Option<Level>,
    text: Option<Regex>,
    value: Option<String>,
    labels: Vec<Label>,
    needs_fields: bool,
    series_max: usize,
    series: Series,
    /// Of each series, when it was last counted.
    used: HashMap<Vec<String>, Instant>,
}

enum Series {
    Counter(CounterVec),
    Histogram(HistogramVec),
}

/// What came of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is not about such lines.
    Other,
    Counted,
    /// Its value is no number, or less than nothing in a counter.
    NoNumber,
    /// It would be a series more than there may be.
    Full,
}

impl Rule {
    /// # Errors
    /// A sentence that begins with the key.
    pub(super) fn new(config: &Config, registry: &Registry) -> Result<Self, String> {
        let help = match config.help.as_str() {
            "" => "Lines of logs, by a rule of logs.metrics.",
            help => help,
        };
        let names: Vec<&str> = config.labels.keys().map(String::as_str).collect();
        let clash = |error: prometheus::Error| format!("name: {:?} cannot be used: {error}", config.name);
        let series = match config.kind {
            Kind::Counter => {
                let counter = CounterVec::new(Opts::new(&config.name, help), &names).map_err(clash)?;
                registry.register(Box::new(counter.clone())).map_err(clash)?;
                Series::Counter(counter)
            }
            Kind::Histogram => {
                let options = HistogramOpts::new(&config.name, help).buckets(config.buckets.clone());
                let histogram = HistogramVec::new(options, &names).map_err(clash)?;
                registry.register(Box::new(histogram.clone())).map_err(clash)?;
                Series::Histogram(histogram)
            }
        };
        let labels = config
            .labels
            .iter()
            .map(|(name, said)| Label::new(said).map_err(|why| format!("labels.{name}: {why}")));
        let labels = labels.collect::<Result<Vec<_>, _>>()?;
        let text = config.text.as_deref().map(regex).transpose();
        Ok(Self {
            name: config.name.clone(),
            matches: config.matches.clone(),
            level: config.level,
            text: text.map_err(|why| format!("text: {why}"))?,
            value: config.value.clone(),
            needs_fields: config.value.is_some() || labels.iter().any(Label::needs_fields),
            labels,
            series_max: config.series_max,
            series,
            used: HashMap::new(),
        })
    }

    /// Whether it is about any lines of a file.
    pub(super) fn is_about(&self, batch: &Batch, nth: usize, mark: &FileMark) -> bool {
        let pod = batch.plan(nth).and_then(|plan| plan.pod.as_deref());
        self.matches.is_of(&whose(mark), pod)
    }

    /// Takes a line of a file that it is about.
    pub(super) fn take(
        &mut self,
        row: &Row,
        text: &[u8],
        mark: &FileMark,
        parser: &Parser,
        now: Instant,
    ) -> Outcome {
        let level = level_of(row.level);
        if !self.matches.is_of_stream(usize::from(row.stream))
            || self.level.is_some_and(|least| level < least)
        {
            return Outcome::Other;
        }
        let found = match &self.text {
            None => None,
            Some(regex) => match regex.captures(text) {
                None => return Outcome::Other,
                found => found,
            },
        };
        let line = self.needs_fields.then(|| Line::read(parser, text));
        let field = |name: &str| {
            let group = found.as_ref().and_then(|found| found.name(name));
            match group {
                Some(group) => Some(String::from_utf8_lossy(group.as_bytes()).into_owned()),
                None => line.as_ref()?.field(name),
            }
        };
        let value = match &self.value {
            None => 1.0,
            Some(name) => match field(name).and_then(|value| value.trim().parse::<f64>().ok()) {
                Some(value) if value.is_finite() => value,
                _ => return Outcome::NoNumber,
            },
        };
        if value < 0.0 && matches!(self.series, Series::Counter(_)) {
            return Outcome::NoNumber;
        }
        let whose = whose(mark);
        let labels = self.labels.iter().map(|label| {
            label.filled(|place| match place {
                Place::Namespace => whose.namespace.map(str::to_owned),
                Place::Pod => whose.pod.map(str::to_owned),
                Place::Container => whose.container.map(str::to_owned),
                Place::Stream => ["", "stdout", "stderr"]
                    .get(usize::from(row.stream))
                    .map(|stream| (*stream).to_owned()),
                Place::Level => Some(level.word().to_lowercase()),
                Place::File => Some(mark.base.to_string()),
                Place::Field(name) => field(name),
            })
        });
        let labels: Vec<String> = labels.collect();
        self.count(labels, value, now)
    }

    fn count(&mut self, labels: Vec<String>, value: f64, now: Instant) -> Outcome {
        if let Some(used) = self.used.get_mut(&labels) {
            *used = now;
        } else if self.used.len() < self.series_max || self.make_room(now) {
            self.used.insert(labels.clone(), now);
        } else {
            return Outcome::Full;
        }
        let values: Vec<&str> = labels.iter().map(String::as_str).collect();
        match &self.series {
            Series::Counter(counter) => counter.with_label_values(&values).inc_by(value),
            Series::Histogram(histogram) => histogram.with_label_values(&values).observe(value),
        }
        Outcome::Counted
    }

    /// Lets go of series that are not counted any more.
    fn make_room(&mut self, now: Instant) -> bool {
        let idle = |used: &Instant| now.saturating_duration_since(*used) >= IDLE;
        for (labels, _) in self.used.extract_if(|_, used| idle(used)) {
            let values: Vec<&str> = labels.iter().map(String::as_str).collect();
            // It is there, since it has been counted.
            _ = match &self.series {
                Series::Counter(counter) => counter.remove_label_values(&values),
                Series::Histogram(histogram) => histogram.remove_label_values(&values),
            };
        }
        self.used.len() < self.series_max
    }
}

pub(super) fn regex(pattern: &str) -> Result<Regex, String> {
    let built = RegexBuilder::new(pattern).size_limit(PROGRAM_BYTES_MAX).build();
    built.map_err(|error| crate::redact::why(&error))
}

fn whose(mark: &FileMark) -> Whose<'_> {
    Whose::of(mark.form, &mark.base, mark.facts.as_deref())
}

/// A line taken apart.
enum Line<'t> {
    Json(serde_json::Value),
    Fields(crate::parse::Fields<'t>),
    Text,
}

impl<'t> Line<'t> {
    fn read(parser: &Parser, text: &'t [u8]) -> Self {
        match parser.read(text) {
            Some(Reading::Json(_)) => serde_json::from_slice(text).map_or(Self::Text, Self::Json),
            Some(Reading::Fields(fields)) => Self::Fields(fields),
            // An object without a message is one all the same.
            None if text.first() == Some(&b'{') && !matches!(parser, Parser::Text) => {
                serde_json::from_slice(text).map_or(Self::Text, Self::Json)
            }
            None => Self::Text,
        }
    }

    /// `a.b` is `b` in `a`, where no field has that name itself.
    fn field(&self, name: &str) -> Option<String> {
        match self {
            Self::Text => None,
            Self::Fields(fields) => {
                let value = fields.get(name.as_bytes())?;
                Some(String::from_utf8_lossy(value).into_owned())
            }
            Self::Json(object) => {
                let value = object.get(name).or_else(|| {
                    let mut steps = name.split('.');
                    steps.try_fold(object, |value, step| value.get(step))
                })?;
                match value {
                    serde_json::Value::String(text) => Some(text.clone()),
                    serde_json::Value::Number(_) | serde_json::Value::Bool(_) => Some(value.to_string()),
                    _ => None,
                }
            }
        }
    }
}
