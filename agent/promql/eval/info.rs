//! `info`: series get the labels of info series that share their `instance` and `job`.

use std::collections::BTreeSet;

use hashbrown::HashMap;
use model::labels::METRIC_NAME;
use model::{Labels, MatchOp, Matcher};

use super::Eval;
use super::binary::present;
use super::grid::{Grid, HOLE, Head};
use super::merge::{Meeting, merged};
use crate::ast::{Expr, Kind, Selector, When};
use crate::error::QueryError;
use crate::filter::{Filter, accepts_nothing};

/// The labels that say what a series is about.
const IDENTIFYING: [&str; 2] = ["instance", "job"];
/// Of more values than this a pattern is not made; what is read too much is not used.
const VALUES_MAX: usize = 500;

/// What the second argument asks for.
struct Asked {
    /// Matchers of the info metric's name.
    names: Vec<Matcher>,
    /// Matchers of the labels wanted; all labels when there are none.
    data: Vec<Matcher>,
}

impl Asked {
    fn of(args: &[Expr]) -> Self {
        let matchers = match args.get(1).map(|arg| &arg.kind) {
            Some(Kind::Selector(selector)) => selector.all_matchers(),
            _ => Vec::new(),
        };
        let (mut names, data): (Vec<_>, Vec<_>) = matchers
            .into_iter()
            .partition(|matcher| &*matcher.name == METRIC_NAME);
        let positive = |matcher: &Matcher| matches!(matcher.op, MatchOp::Equal | MatchOp::Matches);
        if names.is_empty() {
            names.push(Matcher::equal(METRIC_NAME, "target_info"));
        } else if !names.iter().any(positive) {
            names.insert(0, Matcher::new(METRIC_NAME, MatchOp::Matches, ".+_info"));
        }
        Self { names, data }
    }

    fn wants(&self, label: &str) -> bool {
        label != METRIC_NAME
            && (self.data.is_empty() || self.data.iter().any(|matcher| &*matcher.name == label))
    }

    /// Whether a series stays as it is when no info series belongs to it.
    fn is_content_with_nothing(&self) -> bool {
        self.data.iter().all(accepts_nothing)
    }
}

/// The matchers of the info series that a call with these arguments reads.
pub(crate) fn wanted(args: &[Expr]) -> Vec<Matcher> {
    let asked = Asked::of(args);
    asked.names.into_iter().chain(asked.data).collect()
}

impl Eval<'_> {
    pub(super) fn informed(self, grid: &Grid, args: &[Expr]) -> Result<Grid, QueryError> {
        let asked = Asked::of(args);
        let names = self.query.names();
        let filters: Result<Vec<Filter>, String> = asked.names.iter().map(Filter::new).collect();
        let filters = filters.map_err(QueryError::Execution)?;
        // Info series get no labels from info series.
        let is_info = |head: &Head| {
            let name = names.value(head, METRIC_NAME);
            filters.iter().all(|filter| filter.accepts_value(name))
        };
        let plain: Vec<bool> = grid.heads().iter().map(is_info).collect();
        let heads = || grid.heads().iter().zip(&plain).filter(|(_, plain)| !**plain);
        let stamps = match identified(heads().map(|(head, _)| &head.labels)) {
            Some(matchers) => {
                let when = args.first().and_then(reference).unwrap_or_default();
                let matchers = matchers.into_iter().chain(wanted(args)).collect();
                self.stamped(&Selector {
                    matchers,
                    when,
                    ..Selector::default()
                })?
            }
            None => Grid::new(self.steps.count),
        };
        let infos = self.infos(&stamps, &grid.busy())?;
        let mut result = Grid::with_capacity(self.steps.count, grid.len());
        for ((head, cells), plain) in grid.rows().zip(plain) {
            self.query.worked(cells.len())?;
            if plain {
                result.push(head.clone(), cells.iter().copied());
                continue;
            }
            for (labels, cells) in infos.told(&asked, &names.labels(head), cells)? {
                let nameless = head.nameless && names.delayed;
                result.push(Head { labels, nameless }, cells);
            }
        }
        merged(result, names, Meeting::Allowed)
    }

    /// The newest info series of each name, instance and job, at each step that is busy.
    fn infos<'g>(self, stamps: &'g Grid, busy: &[bool]) -> Result<Infos<'g>, QueryError> {
        let mut infos = Infos {
            stamps,
            names: BTreeSet::new(),
            newest: HashMap::new(),
        };
        for (row, (head, cells)) in stamps.rows().enumerate() {
            self.query.worked(cells.len())?;
            let key = key(head.labels.name(), &head.labels);
            infos.names.insert(head.labels.name());
            let newest = infos.newest.entry(key).or_insert_with(|| vec![None; cells.len()]);
            for (step, slot) in newest.iter_mut().enumerate() {
                if busy.get(step) == Some(&true) && present(cells, step) {
                    *slot = Some(newer(stamps, *slot, row, step)?);
                }
            }
        }
        Ok(infos)
    }
}

/// Patterns for the identifying labels that any of the series has.
fn identified<'l>(all: impl Iterator<Item = &'l Labels>) -> Option<Vec<Matcher>> {
    let mut values: [BTreeSet<&str>; 2] = Default::default();
    for labels in all {
        for (name, values) in IDENTIFYING.into_iter().zip(&mut values) {
            values.extend(labels.get(name));
        }
    }
    let of = |(name, values): (&str, &BTreeSet<&str>)| {
        let pattern = match values.len() {
            0 => return None,
            1..=VALUES_MAX => values
                .iter()
                .map(|value| regex::escape(value))
                .collect::<Vec<_>>()
                .join("|"),
            _ => ".+".to_owned(),
        };
        Some(Matcher::new(name, MatchOp::Matches, &pattern))
    };
    let matchers: Vec<Matcher> = IDENTIFYING.into_iter().zip(&values).filter_map(of).collect();
    (!matchers.is_empty()).then_some(matchers)
}

/// The times at which the first selector of an expression looks: info series are looked at then, too.
fn reference(expr: &Expr) -> Option<When> {
    match &expr.kind {
        Kind::Selector(selector) | Kind::Range { selector, .. } => Some(selector.when),
        Kind::Subquery(subquery) => {
            let mut when = reference(&subquery.expr)?;
            if when.at.is_none() {
                when.at = subquery.when.at;
                when.offset = when.offset.saturating_add(subquery.when.offset);
            }
            Some(when)
        }
        other => {
            let mut found = None;
            other.each_child(&mut |child| found = found.or_else(|| reference(child)));
            found
        }
    }
}

type Key<'g> = (&'g str, &'g str, &'g str);

fn key<'g>(name: &'g str, labels: &'g Labels) -> Key<'g> {
    let [instance, job] = IDENTIFYING.map(|label| labels.value(label));
    (name, instance, job)
}

/// Of two info series the one with the newer sample.
fn newer(stamps: &Grid, known: Option<usize>, row: usize, step: usize) -> Result<usize, QueryError> {
    let Some(known) = known else {
        return Ok(row);
    };
    let stamp = |row: usize| stamps.row(row).get(step).copied().unwrap_or(HOLE);
    if stamp(known) != stamp(row) {
        return Ok(if stamp(known) > stamp(row) { known } else { row });
    }
    let shown = |row: usize| stamps.heads().get(row).map(|head| head.labels.to_string());
    Err(QueryError::Execution(format!(
        "found duplicate series for info metric: existing {} @ {time}, new {} @ {time}",
        shown(known).unwrap_or_default(),
        shown(row).unwrap_or_default(),
        time = (stamp(row) * 1000.0).round(),
    )))
}

struct Infos<'g> {
    /// The info series, with the times of their samples as values.
    stamps: &'g Grid,
    names: BTreeSet<&'g str>,
    /// For each step a row.
    newest: HashMap<Key<'g>, Vec<Option<usize>>>,
}

/// The info series that belong to a series at a step, one for each info metric.
type Chosen = Vec<Option<usize>>;

impl Infos<'_> {
    /// The series with the labels it is told, which may change from step to step.
    fn told(
        &self,
        asked: &Asked,
        base: &Labels,
        cells: &[f64],
    ) -> Result<Vec<(Labels, Vec<f64>)>, QueryError> {
        let newest: Vec<&Vec<Option<usize>>> = self
            .names
            .iter()
            .filter_map(|name| self.newest.get(&key(name, base)))
            .collect();
        let mut rows: Vec<(Chosen, Vec<f64>)> = Vec::new();
        for (step, cell) in cells.iter().enumerate().filter(|(step, _)| present(cells, *step)) {
            let chosen: Chosen = newest
                .iter()
                .map(|rows| rows.get(step).copied().flatten())
                .collect();
            if chosen.iter().all(Option::is_none) && !asked.is_content_with_nothing() {
                continue;
            }
            let nth = rows
                .iter()
                .position(|(known, _)| *known == chosen)
                .unwrap_or_else(|| {
                    rows.push((chosen, vec![HOLE; cells.len()]));
                    rows.len() - 1
                });
            if let Some(slot) = rows.get_mut(nth).and_then(|(_, row)| row.get_mut(step)) {
                *slot = *cell;
            }
        }
        rows.into_iter()
            .map(|(chosen, row)| Ok((self.labels(asked, base, &chosen)?, row)))
            .collect()
    }

    fn labels(&self, asked: &Asked, base: &Labels, chosen: &Chosen) -> Result<Labels, QueryError> {
        let mut told: Vec<(&str, &str)> = Vec::new();
        let infos = chosen
            .iter()
            .flatten()
            .filter_map(|row| self.stamps.heads().get(*row));
        for (name, value) in infos.flat_map(|head| head.labels.iter()) {
            if !asked.wants(name) || base.get(name).is_some() {
                continue;
            }
            match told.iter().find(|(known, _)| *known == name) {
                Some((_, known)) if *known != value => {
                    return Err(QueryError::Execution(format!("conflicting label: {name}")));
                }
                Some(_) => {}
                None => told.push((name, value)),
            }
        }
        let mut labels = base.to_builder();
        for (name, value) in told {
            labels.set(name, value);
        }
        Ok(labels.build())
    }
}
