//! `and`, `or`, `unless`: series of both sides that share the labels matched on.

use super::Eval;
use super::binary::present;
use super::grid::{Grid, HOLE};
use super::key::{Interner, Key};
use super::merge::{Meeting, merged};
use crate::ast::{Binary, Matching, Op};
use crate::error::QueryError;

/// The labels that decide which series of two sides belong together.
pub(super) fn key(matching: Option<&Matching>) -> Key {
    match matching {
        Some(matching) if matching.on => Key::only(&matching.labels),
        Some(matching) => Key::without(&matching.labels),
        None => Key::without(&[]),
    }
}

impl Eval<'_> {
    pub(super) fn set(self, binary: &Binary, left: Grid, right: Grid) -> Result<Grid, QueryError> {
        let key = key(binary.matching.as_ref());
        let names = self.query.names();
        let steps = self.steps.count;
        match binary.op {
            Op::Or => {
                let mut interner = Interner::new(&key, names);
                let there = Presence::of(&mut interner, &left, steps);
                let mut both = left.clone();
                both.one_name = false;
                for (head, cells) in right.rows() {
                    self.query.worked(steps)?;
                    let number = interner.find(head);
                    let free =
                        |(step, cell): (usize, &f64)| if there.at(number, step) { HOLE } else { *cell };
                    both.push(head.clone(), cells.iter().enumerate().map(free));
                }
                merged(both, names, Meeting::Allowed)
            }
            op => {
                let wanted = op == Op::And;
                let mut interner = Interner::new(&key, names);
                let there = Presence::of(&mut interner, &right, steps);
                let mut kept = Grid::with_capacity(steps, left.len());
                kept.one_name = left.one_name;
                for (head, cells) in left.rows() {
                    self.query.worked(steps)?;
                    let number = interner.find(head);
                    let keep = |(step, cell): (usize, &f64)| {
                        if there.at(number, step) == wanted {
                            *cell
                        } else {
                            HOLE
                        }
                    };
                    kept.push(head.clone(), cells.iter().enumerate().map(keep));
                }
                Ok(kept)
            }
        }
    }
}

/// For each number and step, whether a series with it has a value.
struct Presence {
    steps: usize,
    there: Vec<bool>,
}

impl Presence {
    fn of<'g>(interner: &mut Interner<'g>, grid: &'g Grid, steps: usize) -> Self {
        let mut there: Vec<bool> = Vec::new();
        for (head, cells) in grid.rows() {
            let start = interner.number(head) * steps;
            if there.len() < start + steps {
                there.resize(start + steps, false);
            }
            for (step, slot) in there.iter_mut().skip(start).take(steps).enumerate() {
                *slot |= present(cells, step);
            }
        }
        Self { steps, there }
    }

    fn at(&self, number: Option<usize>, step: usize) -> bool {
        number.is_some_and(|number| {
            self.there
                .get(number * self.steps + step)
                .copied()
                .unwrap_or(false)
        })
    }
}
