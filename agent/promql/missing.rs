//! Why an expression gives nothing: one sentence about the place where the last series was lost.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use model::complaint::nearest;
use model::labels::METRIC_NAME;
use model::text::{count, duration};
use model::{Labels, MatchOp, Matcher, Select, TimeRange, Timestamp, is_stale};

use crate::ast::{At, Binary, Expr, Kind, Matching, Op, Selector, Type};
use crate::error::QueryError;
use crate::eval::{Eval, Query};
use crate::explain::{agreement, shown};
use crate::filter::Filter;
use crate::functions::Function;
use crate::headroom::distance;

/// How far back a series may have ended to be spoken of as one that ended.
const RECENT: Duration = Duration::from_secs(3600);
/// Values of a label that are listed.
const LISTED: usize = 8;
/// To a longer sentence no further side is added.
const SENTENCE_BYTES_MAX: usize = 400;
/// Longer expressions are called by what they are.
const TEXT_CHARS_MAX: usize = 120;

/// Looks for the reason at one time.
pub(crate) struct Missing<'q> {
    pub(crate) eval: Eval<'q>,
    pub(crate) query: &'q Query<'q>,
    pub(crate) select: &'q dyn Select,
    pub(crate) time: Timestamp,
    pub(crate) lookback: Duration,
    /// Only series that do not contradict these are looked for.
    pub(crate) wanted: Option<&'q Labels>,
}

/// What an expression gives.
struct Rows {
    all: Vec<(Labels, f64)>,
    /// Of other instances than the one that is wanted.
    others: Vec<Labels>,
}

impl Missing<'_> {
    /// None: it does give something.
    pub(crate) fn sentence(&self, expr: &Expr) -> Result<Option<String>, QueryError> {
        let expr = expr.bare();
        let rows = self.rows(expr)?;
        if !rows.all.is_empty() {
            return Ok(None);
        }
        if !rows.others.is_empty() && !matches!(expr.kind, Kind::Binary(_)) {
            return Ok(Some(self.of_others(expr, &rows.others)));
        }
        self.why(expr).map(Some)
    }

    fn rows(&self, expr: &Expr) -> Result<Rows, QueryError> {
        let before = self.query.held();
        let mut rows = Rows {
            all: Vec::new(),
            others: Vec::new(),
        };
        let mut put = |labels: Labels, value: f64| {
            let agrees = self
                .wanted
                .is_none_or(|wanted| agreement(&labels, wanted).is_some());
            if agrees {
                rows.all.push((labels, value));
            } else {
                rows.others.push(labels);
            }
        };
        if expr.returns() == Type::Matrix {
            for (labels, _, values) in self.eval.samples(expr)? {
                if let Some(value) = values.last() {
                    put(labels, *value);
                }
            }
        } else {
            let grid = self.eval.value(expr)?.into_grid();
            for (head, cells) in grid.rows() {
                if let Some(value) = cells.first() {
                    put(self.query.names().labels(head), *value);
                }
            }
        }
        self.query.settle(before, 0)?;
        Ok(rows)
    }

    fn why(&self, expr: &Expr) -> Result<String, QueryError> {
        match &expr.kind {
            Kind::Selector(selector) => self.unmatched(expr, selector, self.lookback),
            Kind::Range { selector, range } => self.unmatched(expr, selector, *range),
            Kind::Subquery(subquery) => {
                let range = duration::spoken(subquery.range);
                let below = self.sentence(&subquery.expr)?;
                Ok(below.unwrap_or_else(|| format!("{} gives nothing within {range}", text(&subquery.expr))))
            }
            Kind::Unary { expr: inner, .. } => self.below(expr, &[inner]),
            Kind::Aggregate(aggregate) => self.below(expr, &[&aggregate.expr]),
            Kind::Binary(binary) => self.binary(binary),
            Kind::Call { function, args } => self.call(expr, function, args),
            Kind::Paren(inner) => self.why(inner.bare()),
            Kind::Number(_) | Kind::Text(_) => Ok(format!("{} gives nothing", text(expr))),
        }
    }

    /// The first part that gives nothing is to blame; where all give something, it is the whole.
    fn below(&self, expr: &Expr, parts: &[&Expr]) -> Result<String, QueryError> {
        for part in parts {
            if let Some(sentence) = self.sentence(part)? {
                return Ok(sentence);
            }
        }
        Ok(format!("{} gives nothing of what it is given", text(expr)))
    }

    fn call(&self, expr: &Expr, function: &Function, args: &[Expr]) -> Result<String, QueryError> {
        let parts: Vec<&Expr> = args
            .iter()
            .filter(|arg| matches!(arg.returns(), Type::Vector | Type::Matrix))
            .collect();
        if function.name.starts_with("absent") {
            let there = match parts.first() {
                Some(part) => self.rows(part.bare())?.all.len(),
                None => 0,
            };
            let what = parts.first().map_or_else(String::new, |part| text(part));
            return Ok(format!(
                "{} is true only without series, and {} of {what}",
                function.name,
                are(there)
            ));
        }
        for part in &parts {
            if let Some(sentence) = self.sentence(part)? {
                return Ok(sentence);
            }
            if part.returns() == Type::Matrix {
                let given = self.rows(part.bare())?.all.len();
                return Ok(format!(
                    "{} of {}, and none has enough samples in it for {}",
                    are(given),
                    text(part),
                    function.name
                ));
            }
        }
        Ok(format!("{} gives nothing of what it is given", text(expr)))
    }

    fn binary(&self, binary: &Binary) -> Result<String, QueryError> {
        let (left_lost, right_lost) = (self.sentence(&binary.left)?, self.sentence(&binary.right)?);
        match (binary.op, left_lost, right_lost) {
            (Op::Unless, Some(left), _) => Ok(left),
            (_, Some(left), Some(right)) if left.contains(&right) || left.len() > SENTENCE_BYTES_MAX => {
                Ok(left)
            }
            (_, Some(left), Some(right)) => Ok(format!("{left}; and {right}")),
            (_, Some(lost), None) => Ok(lost),
            (op, None, Some(lost)) if op != Op::Or && op != Op::Unless => Ok(lost),
            _ => self.unpaired(binary),
        }
    }

    /// Both sides give something, and nothing comes of it.
    fn unpaired(&self, binary: &Binary) -> Result<String, QueryError> {
        let (left, right) = (
            self.rows(binary.left.bare())?.all,
            self.rows(binary.right.bare())?.all,
        );
        let numbers = (
            binary.left.returns() == Type::Scalar,
            binary.right.returns() == Type::Scalar,
        );
        if binary.op.is_comparison() {
            match (numbers, left.first(), right.first()) {
                ((false, true), _, Some((_, threshold))) => {
                    return Ok(against(&binary.left, &left, binary.op, *threshold));
                }
                ((true, false), Some((_, threshold)), _) => {
                    let op = crate::constant::swapped(binary.op);
                    return Ok(against(&binary.right, &right, op, *threshold));
                }
                _ => {}
            }
        }
        let matching = binary.matching.as_ref();
        let mut fitting: HashMap<Labels, Vec<f64>> = HashMap::new();
        for (labels, value) in &right {
            fitting.entry(key(labels, matching)).or_default().push(*value);
        }
        let pairs: Vec<(&Labels, f64, f64)> = left
            .iter()
            .flat_map(|(labels, one)| {
                let others = fitting.get(&key(labels, matching)).into_iter().flatten();
                others.map(move |other| (labels, *one, *other))
            })
            .collect();
        if pairs.is_empty() {
            return Ok(format!(
                "the left side of {} has {} and the right side {}, but none match {}; the left has for example {}, \
                 the right {}",
                binary.op.text(),
                number(left.len(), "series"),
                right.len(),
                on(matching),
                first(&left),
                first(&right),
            ));
        }
        if binary.op == Op::Unless {
            return Ok(format!(
                "{} on the left of unless, and the right side takes {} away",
                are(left.len()),
                if left.len() == 1 { "it" } else { "all of them" },
            ));
        }
        let near = pairs
            .iter()
            .filter(|(_, one, other)| !one.is_nan() && !other.is_nan());
        let near = near.min_by(|one, two| {
            let far = |(_, left, right): &(&Labels, f64, f64)| distance(binary.op, left - right, 0.0);
            far(one).total_cmp(&far(two))
        });
        Ok(match near {
            Some((labels, one, other)) if binary.op.is_comparison() => format!(
                "{} on both sides, and for none is the left {} the right; the nearest is {} against {} for {labels}",
                are(pairs.len()),
                word(binary.op),
                shown(*one),
                shown(*other),
            ),
            _ => format!(
                "{} on both sides of {}, and nothing comes of it",
                are(pairs.len()),
                binary.op.text()
            ),
        })
    }

    /// There are series, but not of the instance that is asked for.
    fn of_others(&self, expr: &Expr, others: &[Labels]) -> String {
        let lacking = self
            .wanted
            .into_iter()
            .flat_map(Labels::iter)
            .filter(|(name, value)| {
                others
                    .iter()
                    .all(|labels| labels.get(name).is_some_and(|other| other != *value))
            });
        let lacking: Vec<String> = lacking
            .map(|(name, value)| format!("{name}={}", model::text::quote(value)))
            .collect();
        let what = match lacking.is_empty() {
            true => "those labels together".to_owned(),
            false => lacking.join(" or "),
        };
        format!("{} of {}, but none with {what}", are(others.len()), text(expr))
    }

    fn unmatched(&self, expr: &Expr, selector: &Selector, window: Duration) -> Result<String, QueryError> {
        let at = match selector.when.at {
            Some(At::Time(time)) => time,
            _ => self.time,
        };
        let at = Timestamp(at.0.saturating_sub(selector.when.offset));
        let recently = TimeRange {
            after: at - RECENT.max(window),
            until: at,
        };
        let matchers = selector.all_matchers();
        let none = format!("no series match {}", text(expr));
        let ended = self.select.labels(&matchers, recently)?;
        if !ended.is_empty() {
            let newest = self.newest(&matchers, recently)?;
            let ago = newest.map_or_else(
                || "within the last hour".to_owned(),
                |newest| format!("{} before", duration::spoken(at.since(newest))),
            );
            return Ok(format!(
                "{none} then: of {} the last sample was {ago}",
                number(ended.len(), "series that did")
            ));
        }
        let name = matchers
            .iter()
            .find(|matcher| *matcher.name == *METRIC_NAME && matcher.op == MatchOp::Equal);
        let Some(name) = name else {
            return Ok(none);
        };
        let same_name = [name.clone()];
        let there = self.select.labels(&same_name, recently)?;
        if !there.is_empty() {
            return Ok(format!("{none}: {}", excluded(&name.value, &there, &matchers)));
        }
        let ever = TimeRange {
            after: Timestamp::MIN,
            until: at,
        };
        if !self.select.labels(&same_name, ever)?.is_empty() {
            return Ok(format!(
                "{none}: {} is known, but nothing was seen of it within the last hour",
                name.value
            ));
        }
        let all = self.select.labels(&[], recently)?;
        let names: BTreeSet<&str> = all.iter().map(Labels::name).collect();
        Ok(match nearest(&name.value, names) {
            Some(near) => format!("{none}: the metric is not known; did you mean {near}?"),
            None => format!("{none}: the metric is not known, and no other has a name like it"),
        })
    }

    fn newest(&self, matchers: &[Matcher], range: TimeRange) -> Result<Option<Timestamp>, QueryError> {
        let most = self.query.room();
        let found = match self.select.select(matchers, range, most) {
            // That many series are spoken of without the time.
            Err(model::SelectError::TooMany { .. }) => return Ok(None),
            found => found?,
        };
        let times = found.iter().flat_map(|series| {
            let both = series.times.iter().zip(&*series.values);
            both.filter(|(_, value)| !is_stale(**value))
                .map(|(time, _)| *time)
        });
        Ok(times.max())
    }
}

/// Which matchers keep all series of a metric out.
fn excluded(metric: &str, there: &[Labels], matchers: &[Matcher]) -> String {
    let others = matchers.iter().filter(|matcher| *matcher.name != *METRIC_NAME);
    let said: Vec<String> = others
        .filter(|matcher| {
            Filter::new(matcher).is_ok_and(|filter| !there.iter().any(|labels| filter.accepts(labels)))
        })
        .map(|matcher| {
            let values: BTreeSet<&str> = there
                .iter()
                .filter_map(|labels| labels.get(&matcher.name))
                .collect();
            if values.is_empty() {
                let names = there
                    .iter()
                    .flat_map(|labels| labels.iter().map(|(name, _)| name));
                let names: BTreeSet<&str> = names.filter(|name| *name != METRIC_NAME).collect();
                let advice = match nearest(&matcher.name, names.iter().copied()) {
                    Some(near) => format!("did you mean {near}?"),
                    None => format!("its labels are {}", listed(&names)),
                };
                return format!("none has the label {}; {advice}", matcher.name);
            }
            let advice = match nearest(&matcher.value, values.iter().copied()) {
                Some(near) if *near != *matcher.value => format!("did you mean {near:?}?"),
                _ => format!("its values are {}", listed(&values)),
            };
            format!("none has {matcher}; {advice}")
        })
        .collect();
    let why = match said.is_empty() {
        true => "none has all of these labels together".to_owned(),
        false => said.join("; "),
    };
    format!("{} of {metric}, {why}", are(there.len()))
}

fn listed(all: &BTreeSet<&str>) -> String {
    let mut shown: Vec<&str> = all.iter().copied().take(LISTED).collect();
    if all.len() > LISTED {
        shown.push("…");
    }
    shown.join(", ")
}

/// Values against a number.
fn against(expr: &Expr, rows: &[(Labels, f64)], op: Op, threshold: f64) -> String {
    let near = rows
        .iter()
        .filter(|(_, value)| !value.is_nan())
        .min_by(|one, two| distance(op, one.1, threshold).total_cmp(&distance(op, two.1, threshold)));
    let Some((labels, value)) = near else {
        return format!("{} of {}, and none is a number", are(rows.len()), text(expr));
    };
    let limit = format!("{} {}", word(op), shown(threshold));
    let place = match labels.without_name() {
        labels if labels.is_empty() => String::new(),
        labels => format!(" for {labels}"),
    };
    if rows.len() == 1 {
        return format!("{} is {}{place}, and not {limit}", text(expr), shown(*value));
    }
    format!(
        "{} of {}, none {limit}; the nearest is {}{place}",
        number(rows.len(), "values"),
        text(expr),
        shown(*value),
    )
}

fn word(op: Op) -> &'static str {
    match op {
        Op::Lt => "below",
        Op::Le => "at most",
        Op::Gt => "above",
        Op::Ge => "at least",
        Op::Ne => "other than",
        _ => "equal to",
    }
}

fn key(labels: &Labels, matching: Option<&Matching>) -> Labels {
    match matching {
        Some(matching) if matching.on => labels.retain(|name| matching.labels.iter().any(|one| one == name)),
        Some(matching) => {
            labels.retain(|name| name != METRIC_NAME && !matching.labels.iter().any(|one| one == name))
        }
        None => labels.without_name(),
    }
}

fn on(matching: Option<&Matching>) -> String {
    match matching {
        Some(matching) if matching.on => format!("on ({})", matching.labels.join(", ")),
        Some(matching) if !matching.labels.is_empty() => {
            format!("in all labels but ({})", matching.labels.join(", "))
        }
        _ => "in all labels".to_owned(),
    }
}

fn first(rows: &[(Labels, f64)]) -> String {
    rows.first()
        .map_or_else(String::new, |(labels, _)| labels.to_string())
}

/// `1 series is there`, `12 series are there`.
fn are(many: usize) -> String {
    let verb = if many == 1 { "is" } else { "are" };
    format!("{} {verb} there", number(many, "series"))
}

fn number(many: usize, what: &str) -> String {
    format!("{} {what}", count(many as u64))
}

fn text(expr: &Expr) -> String {
    let text = expr.bare().to_string();
    match text.char_indices().nth(TEXT_CHARS_MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::{Memory, line};
    use crate::{Engine, Options};

    const NOW: Timestamp = Timestamp(20 * 60_000);

    fn engine() -> Engine {
        let memory = Memory::shared();
        for text in [
            "load{instance=\"a\"} 5+0x20",
            "load{instance=\"b\"} 11.2+0x20",
            "load{instance=\"c\"} NaN+0x20",
            "seconds_total{mode=\"idle\", instance=\"a\"} 0+60x20",
            "seconds_total{mode=\"user\", instance=\"a\"} 0+1x20",
            "cores{node=\"a\"} 4+0x20",
            "limit{instance=\"a\"} 9+0x20",
            "limit{instance=\"b\"} 20+0x20",
            "gone{instance=\"a\"} 1+0x8 stale",
            "once{instance=\"a\"} _x18 3",
        ] {
            let (labels, items) = line(text).unwrap();
            memory.add_items(&labels, &items, Timestamp(0), Duration::from_secs(60));
        }
        Engine::new(memory, Options::default())
    }

    fn why(expr: &str, wanted: &[(&str, &str)]) -> Option<String> {
        let engine = engine();
        let wanted = Labels::from_pairs(wanted.iter().copied());
        let wanted = (!wanted.is_empty()).then_some(&wanted);
        engine
            .examine(expr, NOW, (None, wanted), engine.options())
            .unwrap()
            .missing
    }

    #[track_caller]
    fn check(expr: &str, sentence: &str) {
        assert_eq!(why(expr, &[]).as_deref(), Some(sentence), "{expr}");
    }

    #[test]
    fn what_gives_something_is_not_missing() {
        for expr in [
            "load",
            "load > 10",
            "absent(nothing)",
            "1",
            "load > bool 50",
            "up or load",
        ] {
            assert_eq!(why(expr, &[]), None, "{expr}");
        }
    }

    #[test]
    fn a_threshold_that_nothing_reaches_names_the_nearest() {
        check(
            "load > 20",
            "3 values of load, none above 20; the nearest is 11.2 for {instance=\"b\"}",
        );
        check(
            "20 <= load",
            "3 values of load, none at least 20; the nearest is 11.2 for {instance=\"b\"}",
        );
        check("cores < 2", "cores is 4 for {node=\"a\"}, and not below 2");
        check("sum(cores) == 5", "sum(cores) is 4, and not equal to 5");
        check(
            "load > scalar(cores) * 9",
            "3 values of load, none above 36; the nearest is 11.2 for {instance=\"b\"}",
        );
        check(
            "load{instance=\"c\"} > 1",
            "1 series is there of load{instance=\"c\"}, and none is a number",
        );
    }

    #[test]
    fn a_selector_that_matches_nothing_says_what_is_there_instead() {
        check(
            "sum(rate(second_total[5m])) > 1",
            "no series match second_total[5m]: the metric is not known; did you mean seconds_total?",
        );
        check(
            "zzz > 1",
            "no series match zzz: the metric is not known, and no other has a name like it",
        );
        check(
            "rate(seconds_total{mode=\"idel\"}[5m]) < 1",
            "no series match seconds_total{mode=\"idel\"}[5m]: 2 series are there of seconds_total, none has \
             mode=\"idel\"; did you mean \"idle\"?",
        );
        check(
            "cores{instance=\"a\"}",
            "no series match cores{instance=\"a\"}: 1 series is there of cores, none has the label instance; its labels \
             are node",
        );
        check(
            "seconds_total{mode=\"idle\",instance!=\"a\"}",
            "no series match seconds_total{mode=\"idle\", instance!=\"a\"}: 2 series are there of seconds_total, none has \
             instance!=\"a\"; its values are a",
        );
        check(
            "gone == 1",
            "no series match gone then: of 1 series that did the last sample was 12 min before",
        );
        check(
            "rate(once[5m]) > 0",
            "1 series is there of once[5m], and none has enough samples in it for rate",
        );
    }

    #[test]
    fn sides_that_do_not_meet_are_shown() {
        check(
            "load > on (instance) cores",
            "the left side of > has 3 series and the right side 1, but none match on (instance); the left has for \
             example load{instance=\"a\"}, the right cores{node=\"a\"}",
        );
        check(
            "load and cores",
            "the left side of and has 3 series and the right side 1, but none match in all labels; the left has for \
             example load{instance=\"a\"}, the right cores{node=\"a\"}",
        );
        check(
            "load > limit",
            "2 series are there on both sides, and for none is the left above the right; the nearest is 5 against 9 for \
             load{instance=\"a\"}",
        );
        check(
            "limit unless on (instance) load",
            "2 series are there on the left of unless, and the right side takes all of them away",
        );
        check(
            "load > 1 and on (instance) limit > 30",
            "2 values of limit, none above 30; the nearest is 20 for {instance=\"b\"}",
        );
        check(
            "absent(load)",
            "absent is true only without series, and 3 series are there of load",
        );
    }

    #[test]
    fn one_instance_is_told_from_the_others() {
        assert_eq!(
            why("load > 10", &[("instance", "b"), ("alertname", "Load")]),
            None
        );
        assert_eq!(
            why("load > 10", &[("instance", "a")]).unwrap(),
            "load is 5 for {instance=\"a\"}, and not above 10"
        );
        assert_eq!(
            why("load > 10", &[("instance", "x")]).unwrap(),
            "3 series are there of load, but none with instance=\"x\""
        );
    }

    #[test]
    fn long_expressions_are_looked_at_on_a_usual_stack() {
        let thread = std::thread::Builder::new().stack_size(2 * 1024 * 1024);
        let run = || {
            for text in [
                format!("{}x", "x or ".repeat(usize::from(crate::HEIGHT_MAX) - 2)),
                format!(
                    "{}x{}",
                    "abs(".repeat(crate::NESTING_MAX - 2),
                    ")".repeat(crate::NESTING_MAX - 2)
                ),
            ] {
                let sentence = why(&text, &[]).unwrap();
                assert!(sentence.len() < 2_000, "{sentence}");
            }
        };
        thread.spawn(run).unwrap().join().unwrap();
    }
}
