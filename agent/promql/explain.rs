//! Why an expression holds or does not: a row for each operator, with what came through it.

use model::labels::METRIC_NAME;
use model::view::{Element, Why};
use model::{Labels, Timestamp, text};

use crate::ast::{Aggregate, Binary, Expr, Kind, Op, Selector, Type};
use crate::bounds::Bounds;
use crate::constant::{constant, swapped};
use crate::engine::{Engine, Options};
use crate::error::QueryError;
use crate::eval::{Eval, Grid, Query, Steps, compares};
use crate::functions::{Function, Run};
use crate::missing::Missing;
use crate::print;

/// Rows shown at most; what is below is evaluated but not listed.
const ROWS_MAX: usize = 100;
/// Series shown of each row.
const ELEMENTS_MAX: usize = 5;

/// An expression taken apart at one time.
#[derive(Clone, Debug, Default)]
pub struct Examined {
    /// One row per operator, parents first.
    pub rows: Vec<Why>,
    /// Why it gives nothing; none when it gives something.
    pub missing: Option<String>,
    /// What evaluating it had to say, with positions.
    pub remarks: Vec<String>,
}

impl Engine {
    /// One row per operator, parents first. Values are those of the instance `chosen`, an alert's labels
    /// for example; without one, of the first series in the answer.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub fn explain(
        &self,
        expr: &str,
        time: Timestamp,
        chosen: Option<&Labels>,
    ) -> Result<Vec<Why>, QueryError> {
        let bounds = Bounds::at(time);
        let parsed = self.parsed(expr, bounds)?;
        let query = self.query(expr, self.options(), bounds);
        rows(&parsed, &query, time, chosen)
    }

    /// The same by other options, and why nothing is there of `wanted`: of anything, when that is none.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub fn examine(
        &self,
        expr: &str,
        time: Timestamp,
        (chosen, wanted): (Option<&Labels>, Option<&Labels>),
        options: &Options,
    ) -> Result<Examined, QueryError> {
        let bounds = Bounds::at(time);
        let parsed = self.parsed(expr, bounds)?;
        let query = self.query(expr, options, bounds);
        let rows = rows(&parsed, &query, time, chosen)?;
        let (warnings, infos) = query.ended().0.into_sentences();
        // Nobody wants to be warned a second time.
        let query = self.query(expr, options, bounds);
        let missing = Missing {
            eval: Eval::new(&query, Steps::once(time)),
            query: &query,
            select: self.samples(),
            time,
            lookback: options.lookback,
            wanted,
        };
        let missing = match parsed.returns() {
            Type::Scalar | Type::Vector => missing.sentence(&parsed)?,
            Type::Matrix | Type::Text => None,
        };
        Ok(Examined {
            rows,
            missing,
            remarks: warnings.into_iter().chain(infos).collect(),
        })
    }
}

fn rows(
    parsed: &Expr,
    query: &Query<'_>,
    time: Timestamp,
    chosen: Option<&Labels>,
) -> Result<Vec<Why>, QueryError> {
    let eval = Eval::new(query, Steps::once(time));
    if parsed.returns() == Type::Matrix || parsed.returns() == Type::Text {
        return Ok(Vec::new());
    }
    let chosen = match chosen {
        Some(chosen) => Some(chosen.clone()),
        None => {
            let answer = eval.finished(parsed)?.into_grid();
            answer.heads().first().map(|head| head.labels.clone())
        }
    };
    let mut tree = Tree {
        eval,
        query,
        time,
        chosen,
        rows: Vec::new(),
    };
    tree.add(parsed, 0)?;
    Ok(tree.rows)
}

struct Tree<'q> {
    eval: Eval<'q>,
    query: &'q Query<'q>,
    time: Timestamp,
    chosen: Option<Labels>,
    rows: Vec<Why>,
}

/// What is said about a row.
#[derive(Default)]
struct Said {
    text: String,
    reading: String,
    holds: bool,
    /// Series that came in, where some may have been left out.
    of: Option<usize>,
    newest: Option<Timestamp>,
}

impl Tree<'_> {
    fn add(&mut self, expr: &Expr, depth: usize) -> Result<Grid, QueryError> {
        let expr = expr.bare();
        let before = self.query.held();
        let grid = match &expr.kind {
            // Below a function of a range the selector's newest samples are what can be looked at.
            Kind::Range { selector, .. } => {
                let newest = Expr::new(Kind::Selector(selector.clone()), expr.span);
                return self.add(&newest, depth);
            }
            Kind::Subquery(subquery) => return self.add(&subquery.expr, depth),
            _ => self.eval.value(expr)?.into_grid(),
        };
        self.query.settle(before, 0)?;
        if self.rows.len() >= ROWS_MAX || constant(expr).is_some() {
            return Ok(grid);
        }
        let nth = self.rows.len();
        self.rows.push(Why {
            depth,
            series: grid.len(),
            value: self.pick(&grid),
            elements: self.elements(&grid),
            is_selector: matches!(expr.kind, Kind::Selector(_)),
            ..Why::default()
        });
        let said = self.said(expr, &grid, depth + 1)?;
        if let Some(row) = self.rows.get_mut(nth) {
            row.of = said.of.filter(|of| *of > row.series);
            row.text = said.text;
            row.reading = said.reading;
            row.holds = said.holds;
            row.newest = said.newest;
        }
        Ok(grid)
    }

    fn said(&mut self, expr: &Expr, grid: &Grid, depth: usize) -> Result<Said, QueryError> {
        match &expr.kind {
            Kind::Binary(binary) => self.binary(binary, grid, depth),
            Kind::Aggregate(aggregate) => self.aggregate(aggregate, depth),
            Kind::Call { function, args } => self.call(function, args, depth),
            Kind::Unary { negative, expr } => {
                self.add(expr, depth)?;
                Ok(Said {
                    text: if *negative { "-…" } else { "+…" }.to_owned(),
                    ..Said::default()
                })
            }
            Kind::Selector(selector) => {
                let (reading, newest) = self.age(selector, grid)?;
                Ok(Said {
                    text: expr.to_string(),
                    reading,
                    newest,
                    ..Said::default()
                })
            }
            _ => Ok(Said {
                text: expr.to_string(),
                ..Said::default()
            }),
        }
    }

    fn binary(&mut self, binary: &Binary, grid: &Grid, depth: usize) -> Result<Said, QueryError> {
        let (left_number, right_number) = (constant(&binary.left), constant(&binary.right));
        let (left, right) = (self.add(&binary.left, depth)?, self.add(&binary.right, depth)?);
        let text = match (left_number, right_number) {
            (_, Some(number)) => format!("{} {}", binary.op.text(), shown(number)),
            (Some(number), _) if binary.op.is_comparison() => {
                format!("{} {}", swapped(binary.op).text(), shown(number))
            }
            (Some(number), None) => format!("{} {} …", shown(number), binary.op.text()),
            (None, None) => {
                let mut operator = String::new();
                // Writing to a string cannot fail.
                _ = binary.operator(&mut operator);
                operator.trim_start().to_owned()
            }
        };
        let mut said = Said {
            text,
            ..Said::default()
        };
        let values = (
            left_number.or_else(|| self.pick(&left)),
            right_number.or_else(|| self.pick(&right)),
        );
        if binary.op.is_set() {
            let kept = self.pick(grid).is_some();
            let (word, holds) = set_reading(binary.op, kept, values.0.is_some(), values.1.is_some());
            (said.reading, said.holds) = (word.to_owned(), holds);
        } else if let (Some(one), Some(two)) = values {
            if binary.op.is_comparison() {
                let (op, one, two) = match left_number {
                    Some(_) => (swapped(binary.op), two, one),
                    None => (binary.op, one, two),
                };
                said.holds = compares(op, one, two);
                let verdict = if said.holds { "holds" } else { "does not hold" };
                said.reading = format!("{} {} {} {verdict}", shown(one), sign(op), shown(two));
            } else {
                said.reading = format!("{} {} {}", shown(one), sign(binary.op), shown(two));
            }
        }
        let many = if left_number.is_some() {
            right.len()
        } else {
            left.len()
        };
        if binary.op != Op::Or
            && binary
                .matching
                .as_ref()
                .is_none_or(|matching| matching.include.is_empty())
        {
            said.of = Some(many);
        }
        Ok(said)
    }

    fn aggregate(&mut self, aggregate: &Aggregate, depth: usize) -> Result<Said, QueryError> {
        let mut text = format!("{}(", aggregate.head());
        if let Some(param) = &aggregate.param {
            text.push_str(&format!("{param}, "));
        }
        text.push_str("…)");
        let inner = self.add(&aggregate.expr, depth)?;
        let members = self.candidates(&inner).len();
        let reading = match members {
            0 => String::new(),
            1 => "of 1 series".to_owned(),
            many => format!("of {} series", text::count(many as u64)),
        };
        Ok(Said {
            text,
            reading,
            ..Said::default()
        })
    }

    fn call(&mut self, function: &Function, args: &[Expr], depth: usize) -> Result<Said, QueryError> {
        let mut said = Said::default();
        let mut words = Vec::new();
        for (nth, arg) in args.iter().enumerate() {
            let arg = arg.bare();
            if nth > 0 && matches!(function.run, Run::Info) {
                // It only says which labels are wanted.
                words.push(arg.to_string());
                continue;
            }
            words.push(match &arg.kind {
                Kind::Range { range, selector } => {
                    let computed = selector.formulas.as_ref().and_then(|all| all.range.as_ref());
                    format!("…[{}]", print::length(*range, computed))
                }
                Kind::Subquery(subquery) => format!("…[{}]", subquery.lengths()),
                _ if arg.returns() == Type::Vector => "…".to_owned(),
                _ => arg.to_string(),
            });
            if arg.returns() == Type::Matrix {
                said.reading = self.samples(arg)?;
            }
            if matches!(arg.returns(), Type::Vector | Type::Matrix) {
                self.add(arg, depth)?;
            }
        }
        said.text = format!("{}({})", function.name, words.join(", "));
        Ok(said)
    }

    /// `61 samples, no gap`: how much a range holds for the instance.
    fn samples(&self, ranged: &Expr) -> Result<String, QueryError> {
        let before = self.query.held();
        let rows = self.eval.samples(ranged)?;
        self.query.settle(before, 0)?;
        let labels: Vec<&Labels> = rows.iter().map(|(labels, ..)| labels).collect();
        let Some((_, times, _)) = self.meant(&labels).and_then(|nth| rows.get(nth)) else {
            return Ok(String::new());
        };
        let mut gaps: Vec<i64> = times
            .iter()
            .zip(times.iter().skip(1))
            .map(|(one, two)| two.0.saturating_sub(one.0))
            .collect();
        gaps.sort_unstable();
        let count = text::count(times.len() as u64);
        let usual = gaps.get(gaps.len() / 2).copied();
        Ok(match (gaps.last(), usual) {
            (Some(longest), Some(usual)) if *longest > usual.saturating_mul(3) / 2 => {
                let longest = std::time::Duration::from_millis(longest.unsigned_abs());
                format!("{count} samples, a gap of {}", text::duration::spoken(longest))
            }
            (Some(_), _) => format!("{count} samples, no gap"),
            (None, _) => "1 sample".to_owned(),
        })
    }

    /// `2 s old`: how old the instance's newest sample is; and when the newest of all was taken.
    fn age(&self, selector: &Selector, grid: &Grid) -> Result<(String, Option<Timestamp>), QueryError> {
        if grid.len() == 0 {
            return Ok(("no such series now".to_owned(), None));
        }
        let stamps = self.eval.stamped(selector)?;
        let stamp = |nth: usize| {
            let seconds = stamps.row(nth).first()?;
            Some(Timestamp::from_seconds(*seconds))
        };
        let newest = (0..stamps.len()).filter_map(stamp).max();
        let labels: Vec<&Labels> = grid.heads().iter().map(|head| &head.labels).collect();
        let time = self.meant(&labels).and_then(stamp);
        let reading = time.map_or(String::new(), |time| {
            format!("{} old", text::duration::spoken(self.time.since(time)))
        });
        Ok((reading, newest))
    }

    /// The first few series, those of the chosen instance before others.
    fn elements(&self, grid: &Grid) -> Vec<Element> {
        let chosen = self.candidates(grid);
        let others = (0..grid.len()).filter(|nth| chosen.binary_search(nth).is_err());
        let shown = chosen.iter().copied().chain(others).take(ELEMENTS_MAX);
        let heads = grid.heads();
        let element = |nth: usize| {
            Some(Element {
                labels: self.query.names().labels(heads.get(nth)?),
                value: *grid.row(nth).first()?,
            })
        };
        shown.filter_map(element).collect()
    }

    /// The value of the chosen instance, if one row can be meant.
    fn pick(&self, grid: &Grid) -> Option<f64> {
        let labels: Vec<&Labels> = grid.heads().iter().map(|head| &head.labels).collect();
        grid.row(self.meant(&labels)?).first().copied()
    }

    /// The only row that agrees with the chosen instance best.
    fn meant(&self, rows: &[&Labels]) -> Option<usize> {
        let Some(chosen) = &self.chosen else {
            return (rows.len() == 1).then_some(0);
        };
        let scores: Vec<Option<usize>> = rows.iter().map(|labels| agreement(labels, chosen)).collect();
        let best = scores.iter().flatten().max()?;
        let mut winners = scores
            .iter()
            .enumerate()
            .filter(|(_, score)| score.as_ref() == Some(best));
        match (winners.next(), winners.next()) {
            (Some((nth, _)), None) => Some(nth),
            _ => None,
        }
    }

    /// The rows that do not contradict the chosen instance.
    fn candidates(&self, grid: &Grid) -> Vec<usize> {
        let agrees = |labels: &Labels| match &self.chosen {
            Some(chosen) => agreement(labels, chosen).is_some(),
            None => true,
        };
        let heads = grid.heads().iter().enumerate();
        heads
            .filter(|(_, head)| agrees(&head.labels))
            .map(|(nth, _)| nth)
            .collect()
    }
}

/// How many labels both have with equal values; none when any differs.
pub(crate) fn agreement(labels: &Labels, chosen: &Labels) -> Option<usize> {
    let mut agreed = 0;
    for (name, value) in labels.iter().filter(|(name, _)| *name != METRIC_NAME) {
        match chosen.get(name) {
            Some(wanted) if wanted == value => agreed += 1,
            Some(_) => return None,
            None => {}
        }
    }
    Some(agreed)
}

fn set_reading(op: Op, kept: bool, left: bool, right: bool) -> (&'static str, bool) {
    match (op, kept) {
        (Op::And, true) => ("both sides hold", true),
        (Op::And, false) if left => ("the right side does not hold", false),
        (Op::And, false) if right => ("the left side does not hold", false),
        (Op::And, false) => ("neither side holds", false),
        (Op::Unless, true) => ("nothing on the right", true),
        (Op::Unless, false) if left => ("taken away by the right side", false),
        (Op::Unless, false) => ("the left side does not hold", false),
        (_, true) if left => ("the left side holds", true),
        (_, true) => ("the right side holds", true),
        (_, false) => ("neither side holds", false),
    }
}

/// As people write operators.
fn sign(op: Op) -> &'static str {
    match op {
        Op::Ge => "≥",
        Op::Le => "≤",
        Op::Eq => "=",
        Op::Ne => "≠",
        Op::Mul => "×",
        Op::Div => "÷",
        Op::Sub => "−",
        other => other.text(),
    }
}

/// A number with the digits that matter: `6.13`, `0.0042`, `1234.5`.
pub(crate) fn shown(value: f64) -> String {
    if value.fract() == 0.0 || !value.is_finite() {
        return text::float::api(value);
    }
    let magnitude = value.abs().log10().floor();
    let decimals = (2.0 - magnitude.min(0.0)).clamp(0.0, 9.0) as usize;
    let fixed = format!("{value:.decimals$}");
    fixed.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Options;
    use crate::script::{Memory, line};

    fn engine() -> Engine {
        let memory = Memory::shared();
        for text in [
            "restarts_total{ns=\"shop\", pod=\"a\"} 100+0x10 101+1x9",
            "restarts_total{ns=\"shop\", pod=\"b\"} 5+0x20",
            "waiting{ns=\"shop\", pod=\"a\", reason=\"loop\"} 1+0x20",
            "waiting{ns=\"shop\", pod=\"b\", reason=\"loop\"} 0+0x20",
        ] {
            let (labels, items) = line(text).unwrap();
            memory.add_items(&labels, &items, Timestamp(0), Duration::from_secs(60));
        }
        Engine::new(memory, Options::default())
    }

    /// `depth text | series of | value | reading | holds`.
    fn rows(expr: &str, chosen: Option<&Labels>) -> Vec<String> {
        let time = Timestamp(20 * 60_000 + 2_000);
        let rows = engine().explain(expr, time, chosen).unwrap();
        rows.iter()
            .map(|row| {
                let of = row.of.map(|of| format!(" of {of}")).unwrap_or_default();
                let value = row.value.map(shown).unwrap_or_default();
                let holds = if row.holds { "!" } else { "" };
                format!(
                    "{} {} | {}{of} | {value} | {}{holds}",
                    row.depth, row.text, row.series, row.reading
                )
            })
            .collect()
    }

    #[test]
    fn every_operator_says_what_came_through_it() {
        let expr = "increase(restarts_total[5m]) >= 3 and on (ns, pod) waiting{reason=\"loop\"} == 1";
        let chosen = Labels::from_pairs([("alertname", "Loop"), ("ns", "shop"), ("pod", "a")]);
        assert_eq!(
            rows(expr, Some(&chosen)),
            [
                "0 and on (ns, pod) | 1 | 5 | both sides hold!",
                "1 >= 3 | 1 of 2 | 5 | 5 ≥ 3 holds!",
                "2 increase(…[5m]) | 2 | 5 | 5 samples, no gap",
                "3 restarts_total | 2 | 110 | 2 s old",
                "1 == 1 | 1 of 2 | 1 | 1 = 1 holds!",
                "2 waiting{reason=\"loop\"} | 2 | 1 | 2 s old",
            ]
        );
    }

    #[test]
    fn what_does_not_hold_is_told_from_what_is_not_there() {
        let chosen = Labels::from_pairs([("ns", "shop"), ("pod", "b")]);
        assert_eq!(
            rows(
                "increase(restarts_total[5m]) > 3 and on (pod) nothing",
                Some(&chosen)
            ),
            [
                "0 and on (pod) | 0 of 1 |  | neither side holds",
                "1 > 3 | 1 of 2 |  | 0 > 3 does not hold",
                "2 increase(…[5m]) | 2 | 0 | 5 samples, no gap",
                "3 restarts_total | 2 | 5 | 2 s old",
                "1 nothing | 0 |  | no such series now",
            ]
        );
    }

    #[test]
    fn a_sum_names_its_members_and_no_single_value() {
        let chosen = Labels::from_pairs([("ns", "shop")]);
        assert_eq!(
            rows("2 < sum by (ns) (waiting * 3)", Some(&chosen)),
            [
                "0 > 2 | 1 | 3 | 3 > 2 holds!",
                "1 sum by (ns) (…) | 1 | 3 | of 2 series",
                "2 * 3 | 2 |  | ",
                "3 waiting | 2 |  | ",
            ]
        );
    }

    #[test]
    fn without_a_choice_the_first_series_is_meant() {
        let first = rows("waiting == 1", None);
        assert_eq!(
            first.first().map(String::as_str),
            Some("0 == 1 | 1 of 2 | 1 | 1 = 1 holds!")
        );
        assert_eq!(
            rows("absent(nothing)", None),
            ["0 absent(…) | 1 | 1 | ", "1 nothing | 0 |  | no such series now"]
        );
    }
}
