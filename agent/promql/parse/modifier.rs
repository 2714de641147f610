//! What follows an operand or an operator: `[5m]`, `[1h:1m]`, `offset`, `@`, `bool`, `on`, `group_left`.

use std::time::Duration;

use model::Timestamp;

use super::Parser;
use crate::ast::{At, Edges, Expr, Fill, Group, Kind, Matching, Op, Subquery, When};
use crate::error::Mistake;
use crate::formula::{Formula, Formulas};
use crate::lex;
use crate::span::Span;

impl Parser<'_> {
    pub(super) fn modified(&mut self, mut expr: Expr) -> Result<Expr, Mistake> {
        loop {
            expr = if self.sign() == Some("[") {
                self.ranged(expr)?
            } else if self.sign() == Some("@") {
                self.pinned(expr)?
            } else if self.keyword("offset") {
                self.shifted(expr)?
            } else if self.keyword("anchored") {
                self.edged(expr, Edges::Anchored)?
            } else if self.keyword("smoothed") {
                self.edged(expr, Edges::Smoothed)?
            } else {
                return Ok(expr);
            };
        }
    }

    fn ranged(&mut self, expr: Expr) -> Result<Expr, Mistake> {
        let open = self.next().span;
        let (range, formula) = self.length()?;
        if self.takes(":") {
            return self.subquery(expr, range, formula);
        }
        let end = self.expect("]", "or \":\" after the range")?;
        let span = expr.span.to(end);
        match expr.kind {
            Kind::Selector(selector) if selector.when.at.is_some() => {
                Err(self.fail(open, "no @ modifiers allowed before range"))
            }
            Kind::Selector(selector) if is_shifted(selector.when, selector.formulas.as_deref()) => {
                Err(self.fail(open, "no offset modifiers allowed before range"))
            }
            Kind::Selector(mut selector) => {
                if formula.is_some() {
                    selector.formulas.get_or_insert_default().range = formula;
                }
                self.node(Kind::Range { selector, range }, span)
            }
            _ => Err(self.fail(open, "ranges only allowed for vector selectors")),
        }
    }

    /// The rest of a subquery, from its step on.
    fn subquery(&mut self, expr: Expr, range: Duration, computed: Option<Formula>) -> Result<Expr, Mistake> {
        let (mut step, mut formulas) = (None, Formulas::default());
        formulas.range = computed;
        if self.sign() != Some("]") {
            let (length, formula) = self.length()?;
            step = Some(length);
            formulas.step = formula;
        }
        let end = self.expect("]", "to close the subquery")?;
        let span = expr.span.to(end);
        self.checked_subquery(&expr, span)?;
        let subquery = Subquery {
            expr,
            range,
            step,
            when: When::default(),
            formulas: (formulas != Formulas::default()).then(|| Box::new(formulas)),
        };
        self.node(Kind::Subquery(Box::new(subquery)), span)
    }

    fn edged(&mut self, mut expr: Expr, edges: Edges) -> Result<Expr, Mistake> {
        let word = self.next().span;
        let message = match &mut expr.kind {
            Kind::Selector(selector) | Kind::Range { selector, .. } => {
                let first = matches!(selector.edges, Edges::Plain) || selector.edges == edges;
                selector.edges = edges;
                expr.span = expr.span.to(word);
                if first {
                    return Ok(expr);
                }
                "anchored and smoothed modifiers cannot be used together".to_owned()
            }
            Kind::Subquery(_) => format!("{} modifier is not supported for subqueries", edges.text()),
            _ => format!("{} modifier not implemented", edges.text()),
        };
        Err(self.fail(word, message))
    }

    fn shifted(&mut self, expr: Expr) -> Result<Expr, Mistake> {
        let word = self.next().span;
        let (offset, formula) = self.offset()?;
        self.when(expr, word, "offset", |when, formulas| {
            let first = !is_shifted(*when, formulas.as_deref());
            when.offset = offset;
            if formula.is_some() {
                formulas.get_or_insert_default().offset = formula;
            }
            first
        })
    }

    fn pinned(&mut self, expr: Expr) -> Result<Expr, Mistake> {
        let sign = self.next().span;
        let at = self.at_time()?;
        self.when(expr, sign, "@", |when, _| {
            let first = when.at.is_none();
            when.at = Some(at);
            first
        })
    }

    fn at_time(&mut self) -> Result<At, Mistake> {
        for (word, at) in [("start", At::Start), ("end", At::End)] {
            if self.takes_keyword(word) {
                self.expect("(", &format!("after {word}"))?;
                self.expect(")", &format!("after {word}("))?;
                return Ok(at);
            }
        }
        let (seconds, span) = self.signed_number("a timestamp in seconds, start() or end() after @")?;
        // Beyond this, milliseconds do not fit 64 bits.
        if !seconds.is_finite() || seconds.abs() >= i64::MAX as f64 / 1000.0 {
            let message = format!("timestamp out of bounds for @ modifier: {seconds}");
            return Err(self.fail(span, message));
        }
        Ok(At::Time(Timestamp::from_seconds(seconds)))
    }

    /// A number or a duration in seconds, and where it stands without its sign.
    fn signed_number(&mut self, expected: &str) -> Result<(f64, Span), Mistake> {
        let negative = self.takes("-");
        if !negative {
            self.takes("+");
        }
        let token = self.next();
        let number = match token.kind {
            lex::Kind::Number(value) => value,
            lex::Kind::Duration(millis) => millis as f64 / 1000.0,
            lex::Kind::Word if token.span.of(self.text).eq_ignore_ascii_case("inf") => f64::INFINITY,
            // A NaN has no sign that could be seen.
            lex::Kind::Word if token.span.of(self.text).eq_ignore_ascii_case("nan") => {
                return Ok((f64::NAN, token.span));
            }
            _ => return Err(self.unexpected(token, expected)),
        };
        Ok((if negative { -number } else { number }, token.span))
    }

    /// Changes the `When` of a selector, range or subquery; `change` says whether it was unset before.
    fn when(
        &self,
        mut expr: Expr,
        modifier: Span,
        word: &str,
        change: impl FnOnce(&mut When, &mut Option<Box<Formulas>>) -> bool,
    ) -> Result<Expr, Mistake> {
        let (when, formulas) = match &mut expr.kind {
            Kind::Selector(selector) | Kind::Range { selector, .. } => {
                (&mut selector.when, &mut selector.formulas)
            }
            Kind::Subquery(subquery) => (&mut subquery.when, &mut subquery.formulas),
            _ => {
                let message = format!(
                    "{word} modifier must be preceded by an instant vector selector or range vector selector or a subquery"
                );
                return Err(self.fail(modifier, message));
            }
        };
        if !change(when, formulas) {
            return Err(self.fail(modifier, format!("{word} may not be set multiple times")));
        }
        expr.span = expr.span.to(self.last_span().unwrap_or(expr.span));
        Ok(expr)
    }

    /// `bool`, `on`, `ignoring`, `group_left`, `group_right`, `fill` behind an operator.
    pub(super) fn matching(&mut self, op: Op) -> Result<(bool, Option<Matching>), Mistake> {
        let word = self.peek().span;
        let as_bool = self.takes_keyword("bool");
        if as_bool && !op.is_comparison() {
            return Err(self.fail(word, "bool modifier can only be used on comparison operators"));
        }
        let mut matching = self.matched_labels(op)?;
        let word = self.peek().span;
        let fill = self.fill()?;
        if fill.is_set() {
            if op.is_set() {
                return Err(self.fail(word, "filling in missing series not allowed for set operators"));
            }
            matching.get_or_insert_default().fill = fill;
        }
        Ok((as_bool, matching))
    }

    fn matched_labels(&mut self, op: Op) -> Result<Option<Matching>, Mistake> {
        let on = self.keyword("on");
        if !on && !self.keyword("ignoring") {
            return Ok(None);
        }
        self.next();
        let labels = self.label_names("on or ignoring")?;
        let mut matching = Matching {
            on,
            labels,
            ..Matching::default()
        };
        let word = self.peek().span;
        if self.takes_keyword("group_left") {
            matching.group = Group::Left;
        } else if self.takes_keyword("group_right") {
            matching.group = Group::Right;
        }
        if matching.group != Group::None {
            if op.is_set() {
                let message = format!("no grouping allowed for {:?} operation", op.text());
                return Err(self.fail(word, message));
            }
            if self.sign() == Some("(") {
                matching.include = self.label_names("group modifier")?;
            }
            let twice = matching
                .include
                .iter()
                .find(|label| on && matching.labels.contains(label));
            if let Some(label) = twice {
                let message = format!("label {label:?} must not occur in ON and GROUP clause at once");
                return Err(self.fail(word, message));
            }
        }
        Ok(Some(matching))
    }

    /// `fill(0)`, or `fill_left(0)` and `fill_right(0)` in any order.
    fn fill(&mut self) -> Result<Fill, Mistake> {
        let mut fill = Fill::default();
        if let Some(value) = self.filled("fill")? {
            (fill.many, fill.one) = (Some(value), Some(value));
            return Ok(fill);
        }
        fill.many = self.filled("fill_left")?;
        fill.one = self.filled("fill_right")?;
        if fill.many.is_none() {
            fill.many = self.filled("fill_left")?;
        }
        Ok(fill)
    }

    /// The value in the parentheses behind `word`; without them it names a metric.
    fn filled(&mut self, word: &str) -> Result<Option<f64>, Mistake> {
        if !self.keyword(word) || self.peek_second().kind != lex::Kind::Sign("(") {
            return Ok(None);
        }
        self.next();
        self.next();
        let (value, _) = self.signed_number(&format!("a number in {word}"))?;
        self.expect(")", &format!("to close {word}"))?;
        Ok(Some(value))
    }
}

/// Whether an offset is set already.
fn is_shifted(when: When, formulas: Option<&Formulas>) -> bool {
    when.offset != 0 || formulas.is_some_and(|formulas| formulas.offset.is_some())
}
