//! `sort` and its kin: the order of an instant answer. A range answer is ordered by labels anyway.

use std::cmp::Ordering;

use super::grid::{Grid, HOLE};
use super::{Eval, notes};
use crate::functions::{Function, Run};
use crate::span::Span;
use crate::stats::nan_first;

impl Eval<'_> {
    /// Says so when a sort is for nothing.
    pub(super) fn check_sort(self, function: &Function, span: Span) {
        let sorts = matches!(function.run, Run::Sort { .. } | Run::SortByLabel { .. });
        if sorts && self.steps.count != 1 {
            self.query.warn(span, notes::IDLE_SORT);
        }
    }

    /// By value, NaN last.
    pub(super) fn sorted(self, grid: Grid, descending: bool) -> Grid {
        if self.steps.count != 1 {
            return grid;
        }
        let value = |row: usize| grid.row(row).first().copied().unwrap_or(HOLE);
        let mut order: Vec<usize> = (0..grid.len()).collect();
        order.sort_by(|one, two| {
            let (one, two) = (value(*one), value(*two));
            match descending {
                true => nan_first(two, one),
                false => one.is_nan().cmp(&two.is_nan()).then(nan_first(one, two)),
            }
        });
        grid.in_order(order)
    }

    /// By the values of some labels, numbers within them by their size; then by all labels.
    pub(super) fn sorted_by_label(self, grid: Grid, labels: &[&str], descending: bool) -> Grid {
        if self.steps.count != 1 {
            return grid;
        }
        let names = self.query.names();
        let heads = grid.heads();
        let mut order: Vec<usize> = (0..grid.len()).collect();
        order.sort_by(|one, two| {
            let (Some(one), Some(two)) = (heads.get(*one), heads.get(*two)) else {
                return Ordering::Equal;
            };
            let order = labels
                .iter()
                .map(|label| natural(names.value(one, label), names.value(two, label)))
                .find(|order| order.is_ne())
                .unwrap_or_else(|| names.labels(one).cmp(&names.labels(two)));
            if descending { order.reverse() } else { order }
        });
        grid.in_order(order)
    }
}

/// Digits compare as numbers, everything else as text: `cpu2` comes before `cpu10`.
fn natural(one: &str, two: &str) -> Ordering {
    let (mut left, mut right) = (one, two);
    loop {
        let ((a, left_rest), (b, right_rest)) = (chunk(left), chunk(right));
        if a.is_empty() || b.is_empty() {
            return a.len().cmp(&b.len()).then_with(|| one.cmp(two));
        }
        let order = match (a.parse::<u64>(), b.parse::<u64>()) {
            (Ok(a), Ok(b)) => a.cmp(&b),
            _ => a.cmp(b),
        };
        if order.is_ne() {
            return order;
        }
        (left, right) = (left_rest, right_rest);
    }
}

/// The longest start that is all digits or has none.
fn chunk(text: &str) -> (&str, &str) {
    let digit = |byte: &u8| byte.is_ascii_digit();
    let first = text.as_bytes().first().is_some_and(digit);
    let length = text.bytes().take_while(|byte| digit(byte) == first).count();
    text.split_at(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_labels_sort_by_size() {
        let mut names = ["cpu10", "cpu2", "cpu", "disk1", "cpu02"];
        names.sort_by(|one, two| natural(one, two));
        assert_eq!(names, ["cpu", "cpu02", "cpu2", "cpu10", "disk1"]);
    }
}
