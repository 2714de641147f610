//! Reads a target's bodies, one after the other, into rows for the store.
//!
//! A body is all or nothing: series are asked of the store only once the whole body has been read.

mod families;

use std::sync::Arc;

use model::presence::NODE;
use model::{Exemplar, Keep, KeepError, Labels, SeriesDesc, SeriesRef, TargetRef, Timestamp};

use crate::handing::Home;
use crate::labels::{self, Limits};
use crate::shapes::{Place, Shape, Shapes};
use crate::text::{self, Cursor, Example, Format, Pairs, ParseError, Start};
use families::Families;
use relabel::Verdict;

/// Samples with a time of their own further ahead than this are dropped, as in Prometheus.
const AHEAD_MILLIS: i64 = 10 * 60 * 1000;
/// Scrapes between two attempts at series that the store refused.
const RETRY_SCRAPES: u32 = 8;
/// Lines that may be in the cache beside twice those of the last body.
const SPARE_LINES: usize = 1000;

/// How a target's bodies are read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rules {
    pub(crate) target: Labels,
    /// The node that it is on, where another process may read it or has found it.
    pub(crate) home: Option<Arc<Home>>,
    pub(crate) honor_labels: bool,
    pub(crate) honor_timestamps: bool,
    /// Once a series, not once a sample.
    pub(crate) relabel: relabel::Rules,
    /// Zero is no limit.
    pub(crate) sample_limit: usize,
    pub(crate) limits: Limits,
}

pub(crate) struct Intake {
    rules: Rules,
    store: TargetRef,
    /// Labels of the target's report, which no body may claim.
    reserved: Vec<Labels>,
    shapes: Shapes,
    families: Families,
    scrape: u32,
    refused: bool,
    /// A series is of another node than its target, or of none.
    is_foreign: bool,
    /// Of the body before.
    format: Format,
    rows: Vec<Row>,
    examples: Vec<(Place, Exemplar)>,
    told: Vec<(Place, SeriesDesc)>,
}

#[derive(Clone, Copy)]
struct Row {
    place: Place,
    value: f64,
    time: Option<i64>,
}

/// A body, ready for the store.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) series: Vec<SeriesRef>,
    pub(crate) values: Vec<f64>,
    /// With times of their own, in ascending order.
    pub(crate) stamped: Vec<(i64, SeriesRef, f64)>,
    pub(crate) counts: Counts,
}

/// `samples = series + stamped + relabelled + repeated + refused + out_of_bounds`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) samples: usize,
    /// Series that the scrape before did not have.
    pub(crate) added: usize,
    /// Dropped by `metric_relabel_configs`.
    pub(crate) relabelled: usize,
    pub(crate) repeated: usize,
    pub(crate) refused: usize,
    pub(crate) out_of_bounds: usize,
    /// Kept under another name, because theirs is the report's.
    pub(crate) renamed: usize,
}

impl Counts {
    /// As limits count: without what was dropped, and what came again.
    fn left(&self) -> usize {
        self.samples - self.relabelled - self.repeated
    }
}

/// Why nothing of a body is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Out of a closed set.
    pub(crate) reason: &'static str,
    pub(crate) sentence: String,
    /// Samples read until then, and how many of them rules drop.
    pub(crate) samples: usize,
    pub(crate) relabelled: usize,
}

/// A reason out of a closed set, and a sentence.
type Mistake = (&'static str, String);

impl Intake {
    pub(crate) fn new(rules: Rules, store: TargetRef, reserved: Vec<Labels>) -> Self {
        Self {
            rules,
            store,
            reserved,
            shapes: Shapes::new(),
            families: Families::default(),
            scrape: 1,
            refused: false,
            is_foreign: false,
            format: Format::Text,
            rows: Vec::new(),
            examples: Vec::new(),
            told: Vec::new(),
        }
    }

    /// The scrape gave no body: what comes next is new.
    pub(crate) fn missed(&mut self) {
        self.scrape += 2;
    }

    /// The store has forgotten some series: all are asked for again.
    pub(crate) fn forget(&mut self) {
        self.shapes.forget_homes();
        self.families.turn();
    }

    pub(crate) fn take(
        &mut self,
        (body, format): (&[u8], Format),
        now: Timestamp,
        keep: &dyn Keep,
    ) -> Result<Taken, Refusal> {
        if std::mem::replace(&mut self.format, format) != format {
            // The same comments say something else.
            self.families.forget();
            self.families.turn();
        }
        let known = self.shapes.len();
        self.scrape += 1;
        self.rows.reserve_exact(known);
        let taken = match self.walk(body, now) {
            Ok(counts) => {
                if let Some(home) = &self.rules.home {
                    home.see(self.is_foreign);
                }
                Ok(self.settle(counts, keep))
            }
            Err(refusal) => {
                self.shapes.truncate(known);
                // Descriptions that were not told have to be told another time.
                self.families.turn();
                self.missed();
                Err(refusal)
            }
        };
        // Most of the time a target is not being read, and there are many: none keeps what only reading needs.
        (self.rows, self.told, self.examples) = (Vec::new(), Vec::new(), Vec::new());
        self.shapes.shrink();
        taken
    }

    fn walk(&mut self, body: &[u8], now: Timestamp) -> Result<Counts, Refusal> {
        let mut counts = Counts::default();
        let unread = |error: ParseError, counts: &Counts| Refusal {
            reason: "parse",
            sentence: error.to_string(),
            samples: counts.samples,
            relabelled: counts.relabelled,
        };
        let text = text::body(body).map_err(|error| unread(error, &counts))?;
        let mut cursor = Cursor::new(text, self.format);
        let mut is_over = false;
        let mut pairs = Pairs::new();
        let mut last = None;
        self.families.begin();
        loop {
            match cursor.start().map_err(|error| unread(error, &counts))? {
                Start::End => break,
                _ if is_over => {
                    return Err(unread(
                        cursor.mistake_here("something comes after # EOF"),
                        &counts,
                    ));
                }
                Start::Comment => {
                    let comment = cursor.comment();
                    is_over = comment.is_end();
                    self.families
                        .comment(&comment)
                        .map_err(|error| unread(error, &counts))?;
                }
                Start::Sample => {
                    if let Some((place, value, time)) = self.warm(&mut cursor, last) {
                        let example = cursor.example().map_err(|error| unread(error, &counts))?;
                        self.row(place, value, time, now, &mut counts);
                        self.example(place, example, time, now);
                        last = Some(place);
                        continue;
                    }
                    let series = cursor
                        .series(&mut pairs)
                        .map_err(|error| unread(error, &counts))?;
                    let (value, time) = cursor.value().map_err(|error| unread(error, &counts))?;
                    let example = cursor.example().map_err(|error| unread(error, &counts))?;
                    let place = self
                        .cold(&series, &mut pairs, &counts)
                        .map_err(|(reason, sentence)| Refusal {
                            reason,
                            sentence,
                            samples: counts.samples,
                            relabelled: counts.relabelled,
                        })?;
                    let Some(place) = place else {
                        // Read on to say how many there are, but remember nothing.
                        counts.samples += 1;
                        continue;
                    };
                    self.shapes.follow(last, place);
                    self.row(place, value, time, now, &mut counts);
                    self.example(place, example, time, now);
                    last = Some(place);
                }
            }
        }
        if self.format == Format::OpenMetrics && !is_over {
            return Err(unread(
                cursor.mistake_here("the body ends without # EOF"),
                &counts,
            ));
        }
        self.families.end();
        let limit = self.rules.sample_limit;
        if limit > 0 && counts.left() > limit {
            let all = counts.samples - counts.relabelled;
            return Err(Refusal {
                reason: "sample_limit",
                sentence: format!("{all} samples are more than sample_limit {limit}"),
                samples: counts.samples,
                relabelled: counts.relabelled,
            });
        }
        Ok(counts)
    }

    /// A line where it was expected, with the value that it has now.
    fn warm(&self, cursor: &mut Cursor<'_>, last: Option<Place>) -> Option<(Place, f64, Option<i64>)> {
        let (place, key) = self.shapes.expected(last)?;
        let before = cursor.clone();
        if !cursor.take(key, self.shapes.keys()) {
            return None;
        }
        let is_told = self
            .shapes
            .get(place)
            .is_some_and(|shape| shape.edition == self.families.edition());
        match cursor.value() {
            Ok((value, time)) if is_told => Some((place, value, time)),
            // The slow way finds out what is wrong, and where.
            _ => {
                cursor.back_to(&before);
                None
            }
        }
    }

    /// A line that was not expected here, or that has to be told again; none when there is no room for it.
    fn cold(
        &mut self,
        series: &text::Series<'_>,
        pairs: &mut Pairs<'_>,
        counts: &Counts,
    ) -> Result<Option<Place>, Mistake> {
        let edition = self.families.edition();
        let known = self.shapes.find(series.key);
        if let Some(place) = known
            && self
                .shapes
                .get(place)
                .is_some_and(|shape| shape.edition == edition)
        {
            return Ok(known);
        }
        let is_one_too_many = known.is_none() && self.is_full(counts);
        if is_one_too_many && self.rules.relabel.is_empty() {
            return Ok(None);
        }
        let mut family = self.families.of(&series.name);
        labels::normalise(family.kind, pairs);
        let Some((labels, renamed)) = self.labels(series, pairs)? else {
            let place = known.unwrap_or_else(|| self.shapes.add(series.key));
            self.shapes.drop(place, edition);
            return Ok(Some(place));
        };
        if is_one_too_many {
            return Ok(None);
        }
        self.rules.limits.check(&labels)?;
        if let Some(home) = &self.rules.home {
            self.is_foreign |= home.is_foreign(&labels);
        }
        if !self.rules.relabel.is_empty() && !renamed {
            family = family.moved(&series.name, labels.name());
        }
        let place = known.unwrap_or_else(|| self.shapes.add(series.key));
        let desc = SeriesDesc {
            labels,
            kind: family.kind,
            family: family.name,
            help: family.help,
            unit: family.unit,
        };
        self.told.push((place, desc));
        if let Some(shape) = self.shapes.get_mut(place) {
            shape.edition = edition;
            shape.renamed = renamed;
        }
        Ok(Some(place))
    }

    /// With the target's and after all rules; none when these drop it. Whether it was renamed because it had those of the
    /// target's report.
    fn labels(
        &self,
        series: &text::Series<'_>,
        pairs: &Pairs<'_>,
    ) -> Result<Option<(Labels, bool)>, Mistake> {
        let gives_way = self
            .rules
            .home
            .as_ref()
            .filter(|home| home.is_added)
            .map(|_| NODE);
        let (target, honor) = (&self.rules.target, self.rules.honor_labels);
        let joined = labels::joined(&series.name, pairs, target, honor, gives_way);
        let labels = match self.rules.relabel.apply(&joined) {
            Verdict::Kept(labels) => labels,
            Verdict::Dropped(_) => return Ok(None),
        };
        if labels.is_empty() {
            return Ok(None);
        }
        if labels.name().is_empty() {
            let sentence =
                format!("metric_relabel_configs leave {joined} without a name; keep its label __name__");
            return Err(("relabel", sentence));
        }
        if self.reserved.contains(&labels) {
            return Ok(Some((labels::renamed(&labels), true)));
        }
        Ok(Some((labels, false)))
    }

    fn row(&mut self, place: Place, value: f64, time: Option<i64>, now: Timestamp, counts: &mut Counts) {
        let time = time.filter(|_| self.rules.honor_timestamps);
        counts.samples += 1;
        let Some(shape) = self.shapes.get_mut(place) else {
            return;
        };
        if shape.is_dropped() {
            shape.seen = self.scrape;
            counts.relabelled += 1;
            return;
        }
        if time.is_some_and(|time| time > now.0.saturating_add(AHEAD_MILLIS)) {
            counts.out_of_bounds += 1;
            return;
        }
        if time.is_none() && std::mem::replace(&mut shape.plain, self.scrape) == self.scrape {
            counts.repeated += 1;
            return;
        }
        let before = std::mem::replace(&mut shape.seen, self.scrape);
        if before != self.scrape {
            counts.added += usize::from(before + 1 != self.scrape);
        }
        counts.renamed += usize::from(shape.renamed);
        self.rows.push(Row { place, value, time });
    }

    /// Remembers an event until the store has been asked for its series.
    fn example(&mut self, place: Place, example: Option<Example<'_>>, sample: Option<i64>, now: Timestamp) {
        let Some(Example { pairs, value, time }) = example else {
            return;
        };
        let exemplar = Exemplar {
            labels: Labels::from_pairs(pairs),
            value,
            time: time.or(sample).map_or(now, Timestamp),
            timed: time.is_some(),
        };
        self.examples.push((place, exemplar));
    }

    /// Whether a line that is not known would be one too many.
    fn is_full(&self, counts: &Counts) -> bool {
        self.rules.sample_limit > 0 && counts.left() >= self.rules.sample_limit
    }

    /// Asks the store for what is new, and hands over the rows.
    fn settle(&mut self, mut counts: Counts, keep: &dyn Keep) -> Taken {
        self.tell(keep);
        for (place, exemplar) in std::mem::take(&mut self.examples) {
            if let Some(series) = self.shapes.get(place).and_then(Shape::series) {
                // The store counts what it does not keep, and no scrape fails for it.
                _ = keep.exemplar(series, exemplar);
            }
        }
        let mut taken = Taken {
            series: Vec::with_capacity(self.rows.len()),
            values: Vec::with_capacity(self.rows.len()),
            ..Taken::default()
        };
        for row in std::mem::take(&mut self.rows) {
            let Some((series, home)) = self
                .shapes
                .get(row.place)
                .map(|shape| (shape.series(), shape.home))
            else {
                continue;
            };
            let Some(series) = series else {
                counts.refused += 1;
                continue;
            };
            if let Some(time) = row.time {
                taken.stamped.push((time, series, row.value));
            } else if self.is_given(home) {
                // Another spelling of a series that has had its sample.
                counts.repeated += 1;
            } else {
                taken.series.push(series);
                taken.values.push(row.value);
            }
        }
        // Equal times stay in the order of the body, so that the first of two stands.
        taken.stamped.sort_by_key(|(time, series, _)| (*time, *series));
        let stamped = taken.stamped.len();
        taken.stamped.dedup_by_key(|(time, series, _)| (*time, *series));
        counts.repeated += stamped - taken.stamped.len();
        taken.counts = counts;
        self.tidy(counts.samples);
        taken
    }

    /// Whether it was before; from now on it is.
    fn is_given(&mut self, home: Place) -> bool {
        let shape = self.shapes.get_mut(home);
        shape.is_some_and(|shape| std::mem::replace(&mut shape.given, self.scrape) == self.scrape)
    }

    fn tell(&mut self, keep: &dyn Keep) {
        for (place, desc) in std::mem::take(&mut self.told) {
            let series = keep.series(self.store, &desc);
            if let Err(error) = &series {
                self.refused = true;
                note(error, &desc);
            }
            self.shapes.settle(place, series.ok());
        }
    }

    /// Forgets lines that are gone, and lets refused ones be told again now and then.
    fn tidy(&mut self, lines: usize) {
        if self.refused && self.scrape.is_multiple_of(RETRY_SCRAPES) {
            self.refused = false;
            let refused = |shape: &&mut Shape| shape.series().is_none() && !shape.is_dropped();
            for shape in self.shapes.iter_mut().filter(refused) {
                shape.edition = 0;
            }
        }
        if self.shapes.len() > 2 * lines + SPARE_LINES {
            self.shapes.retain(self.scrape);
            self.families.forget();
        }
    }

    #[cfg(test)]
    pub(crate) fn lines_known(&self) -> usize {
        self.shapes.len()
    }
}

/// The count is a metric; the series is worth a line only to somebody who looks for it.
fn note(error: &KeepError, desc: &SeriesDesc) {
    tracing::debug!(%error, series = %desc.labels, "series refused");
}

#[cfg(test)]
mod tests;
