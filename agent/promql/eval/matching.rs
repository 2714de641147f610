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

/// In the place of a row that is not there and whose value is filled in.
const NOBODY: usize = usize::MAX;

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
        let busy = sides.busy();
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
    /// The steps to look at: where one side has nothing at all, nothing can be wrong either.
    fn busy(&self) -> Vec<bool> {
        let (many, one) = (self.many.busy(), self.one.busy());
        let filled = self.matching.fill.is_set();
        let both = |(many, one): (bool, bool)| if filled { many || one } else { many && one };
        many.into_iter().zip(one).map(both).collect()
    }

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
            let number = match self.matching.fill.one {
                Some(_) => Some(interner.number(head)),
                None => interner.find(head),
            };
            let Some(number) = number else {
                continue;
            };
            groups.resize_with(groups.len().max(number + 1), Match::default);
            if let Some(group) = groups.get_mut(number) {
                group.many.push(nth);
            }
        }
        groups
    }

    fn step(&self, group: &Match, step: usize, results: &mut Results) -> Result<(), QueryError> {
        let mut there = group.one.iter().filter(|nth| present(self.one.row(**nth), step));
        let first = there.next().copied();
        if let (Some(first), Some(second)) = (first, there.next()) {
            return Err(self.many_to_many(first, *second));
        }
        let fill = self.matching.fill;
        let other = first.and_then(|one| self.one.row(one).get(step).copied());
        let (one, Some(other)) = (first.unwrap_or(NOBODY), other.or(fill.one)) else {
            return Ok(());
        };
        let mut found = false;
        for many in group.many.iter().copied() {
            let value = self.many.row(many).get(step).copied().unwrap_or(HOLE);
            if is_hole(value) {
                continue;
            }
            if found && self.matching.group == Group::None {
                return Err(QueryError::Execution(
                    "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
                        .to_owned(),
                ));
            }
            found = true;
            self.pair((many, one), (value, other), step, results)?;
        }
        match fill.many {
            Some(value) if !found && first.is_some() => {
                self.pair((NOBODY, one), (value, other), step, results)
            }
            _ => Ok(()),
        }
    }

    /// Computes what two rows of the values `many` and `one` give at a step.
    fn pair(
        &self,
        rows: (usize, usize),
        (many, one): (f64, f64),
        step: usize,
        results: &mut Results,
    ) -> Result<(), QueryError> {
        let (left, right) = if self.swapped { (one, many) } else { (many, one) };
        match kept(self.binary, left, right) {
            Some(value) => results.set(rows, step, value, || self.result(rows.0, rows.1)),
            None => Ok(()),
        }
    }

    /// A row; of one that is filled in, the labels it shares with its partner.
    fn head(&self, side: &Grid, nth: usize, other: &Grid, partner: usize) -> Option<Head> {
        if nth != NOBODY {
            return side.heads().get(nth).cloned();
        }
        let partner = other.heads().get(partner)?;
        Some(Head::new(self.key.labels(self.names, partner)))
    }

    /// What the result of a pair is called.
    fn result(&self, many: usize, one: usize) -> Option<Head> {
        let (many, one) = (
            self.head(self.many, many, self.one, one)?,
            self.head(self.one, one, self.many, many)?,
        );
        let matching = self.matching;
        let named = keeps_name(self.binary);
        // A `bool` comparison is the metric no longer either, but its name goes like a function's.
        let hide = self.names.hides(&many) || (!named && !self.binary.as_bool);
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
                builder.set(label, self.names.value(&one, label));
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
        let mut shown = [first, second].map(|row| shown(self.one, row, self.names));
        shown.sort();
        QueryError::Execution(format!(
            "found duplicate series for the match group {} on the {side} hand-side of the operation: [{}, {}];\
             many-to-many matching not allowed: matching labels must be unique on one side",
            braced(&matched),
            shown[0],
            shown[1],
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
