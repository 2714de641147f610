//! Arithmetic and comparison between two vectors: one to one, or many to one with `group_left/right`.

use hashbrown::HashMap;
use model::Labels;

use super::Eval;
use super::binary::{braced, keeps_name, kept, present, shown};
use super::grid::{Grid, HOLE, Head, Names, is_hole};
use super::key::{Interner, Key};
use super::merge::{Meeting, merged};
use super::sets;
use crate::ast::{Binary, Group, Matching};
use crate::error::QueryError;

/// One match group: its rows on the side of one and on the side of many.
#[derive(Default)]
struct Match {
    one: Vec<usize>,
    many: Vec<usize>,
}

/// A vector-to-vector operation with its sides named by their role.
struct Sides<'g> {
    binary: &'g Binary,
    matching: &'g Matching,
    many: &'g Grid,
    one: &'g Grid,
    /// Whether the many stand on the right, so that values must be swapped back.
    swapped: bool,
    names: Names,
    key: &'g Key,
}

impl Eval<'_> {
    pub(super) fn matched(self, binary: &Binary, left: Grid, right: Grid) -> Result<Grid, QueryError> {
        let plain = Matching::default();
        let matching = binary.matching.as_ref().unwrap_or(&plain);
        let swapped = matching.group == Group::Right;
        let key = sets::key(Some(matching));
        let (many, one) = if swapped { (&right, &left) } else { (&left, &right) };
        let sides = Sides {
            binary,
            matching,
            many,
            one,
            swapped,
            names: self.query.names(),
            key: &key,
        };
        let steps = self.steps.count;
        // Where one side has nothing at all, nothing can be wrong either.
        let busy: Vec<bool> = {
            let any = |grid: &Grid| {
                let mut any = vec![false; steps];
                for (_, cells) in grid.rows() {
                    any.iter_mut()
                        .enumerate()
                        .for_each(|(step, any)| *any |= present(cells, step));
                }
                any
            };
            any(many)
                .into_iter()
                .zip(any(one))
                .map(|(many, one)| many && one)
                .collect()
        };
        let mut results = Results::new(steps, many.len());
        for group in sides.groups() {
            self.query
                .worked(steps.saturating_mul(group.many.len() + group.one.len()))?;
            for step in (0..steps).filter(|step| busy.get(*step) == Some(&true)) {
                sides.step(&group, step, &mut results)?;
            }
        }
        merged(results.into_grid(), self.query.names(), Meeting::Allowed)
    }
}

impl Sides<'_> {
    fn groups(&self) -> Vec<Match> {
        let mut interner = Interner::new(self.key, self.names);
        let mut groups: Vec<Match> = Vec::new();
        for (nth, head) in self.one.heads().iter().enumerate() {
            let number = interner.number(head);
            groups.resize_with(groups.len().max(number + 1), Match::default);
            if let Some(group) = groups.get_mut(number) {
                group.one.push(nth);
            }
        }
        for (nth, head) in self.many.heads().iter().enumerate() {
            if let Some(group) = interner.find(head).and_then(|number| groups.get_mut(number)) {
                group.many.push(nth);
            }
        }
        groups
    }

    fn step(&self, group: &Match, step: usize, results: &mut Results) -> Result<(), QueryError> {
        let mut there = group.one.iter().filter(|nth| present(self.one.row(**nth), step));
        let Some(one) = there.next().copied() else {
            return Ok(());
        };
        if let Some(second) = there.next() {
            return Err(self.many_to_many(one, *second));
        }
        let other = self.one.row(one).get(step).copied().unwrap_or(HOLE);
        let one_to_one = self.matching.group == Group::None;
        let mut found = false;
        for many in &group.many {
            let value = self.many.row(*many).get(step).copied().unwrap_or(HOLE);
            if is_hole(value) {
                continue;
            }
            let (left, right) = if self.swapped {
                (other, value)
            } else {
                (value, other)
            };
            let Some(result) = kept(self.binary, left, right) else {
                continue;
            };
            if one_to_one && found {
                return Err(QueryError::Execution(
                    "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
                        .to_owned(),
                ));
            }
            found = true;
            results.set((*many, one), step, result, || self.result(*many, one))?;
        }
        Ok(())
    }

    /// What the result of a pair is called.
    fn result(&self, many: usize, one: usize) -> Option<Head> {
        let (many, one) = (self.many.heads().get(many)?, self.one.heads().get(one)?);
        let matching = self.matching;
        let named = keeps_name(self.binary);
        // A `bool` comparison is the metric no longer either, but its name goes like a function's.
        let hide = self.names.hides(many) || (!named && !self.binary.as_bool);
        let head = Head {
            labels: many.labels.clone(),
            nameless: hide,
        };
        let base = Names { delayed: false };
        let mut labels = base.labels(&head);
        if matching.group == Group::None {
            let listed = |name: &str| matching.labels.iter().any(|label| label == name);
            labels = labels.retain(|name| listed(name) == matching.on);
        }
        if !matching.include.is_empty() {
            let mut builder = labels.to_builder();
            for label in &matching.include {
                builder.set(label, self.names.value(one, label));
            }
            labels = builder.build();
        }
        Some(Head {
            labels,
            nameless: self.binary.as_bool || (many.nameless && self.names.delayed),
        })
    }

    fn many_to_many(&self, first: usize, second: usize) -> QueryError {
        let side = if self.swapped { "left" } else { "right" };
        let matched = self
            .one
            .heads()
            .get(second)
            .map(|head| self.key.labels(self.names, head))
            .unwrap_or_default();
        QueryError::Execution(format!(
            "found duplicate series for the match group {} on the {side} hand-side of the operation: [{}, {}];\
             many-to-many matching not allowed: matching labels must be unique on one side",
            braced(&matched),
            shown(self.one, second, self.names),
            shown(self.one, first, self.names),
        ))
    }
}

/// The pair of series that met, and what came of it.
struct Row {
    pair: (usize, usize),
    head: Head,
    cells: Vec<f64>,
}

/// Rows being filled, one for each pair.
struct Results {
    steps: usize,
    by_pair: HashMap<(usize, usize), usize>,
    rows: Vec<Row>,
    /// For each label set, the rows that have it: there may be only one of them at a step.
    by_labels: HashMap<Labels, Vec<usize>>,
}

impl Results {
    fn new(steps: usize, rows: usize) -> Self {
        Self {
            steps,
            by_pair: HashMap::with_capacity(rows),
            rows: Vec::with_capacity(rows),
            by_labels: HashMap::with_capacity(rows),
        }
    }

    fn set(
        &mut self,
        pair: (usize, usize),
        step: usize,
        value: f64,
        head: impl FnOnce() -> Option<Head>,
    ) -> Result<(), QueryError> {
        let nth = match self.by_pair.get(&pair) {
            Some(nth) => *nth,
            None => {
                let Some(head) = head() else {
                    return Ok(());
                };
                let nth = self.rows.len();
                self.by_pair.insert(pair, nth);
                self.by_labels.entry(head.labels.clone()).or_default().push(nth);
                let cells = vec![HOLE; self.steps];
                self.rows.push(Row { pair, head, cells });
                nth
            }
        };
        let twins = self
            .rows
            .get(nth)
            .and_then(|row| self.by_labels.get(&row.head.labels))
            .is_some_and(|rows| {
                let mut others = rows.iter().filter(|other| **other != nth);
                others.any(|other| self.rows.get(*other).is_some_and(|row| present(&row.cells, step)))
            });
        if twins {
            return Err(QueryError::Execution(
                "multiple matches for labels: grouping labels must ensure unique matches".to_owned(),
            ));
        }
        if let Some(cell) = self.rows.get_mut(nth).and_then(|row| row.cells.get_mut(step)) {
            *cell = value;
        }
        Ok(())
    }

    /// The rows in the order of the side of many.
    fn into_grid(mut self) -> Grid {
        self.rows.sort_unstable_by_key(|row| row.pair);
        let mut grid = Grid::with_capacity(self.steps, self.rows.len());
        for row in self.rows {
            grid.push(row.head, row.cells);
        }
        grid
    }
}
