//! Durations behind `[`, `:` and `offset`: plain ones, and formulas as in `[2 * step()]`.

use std::time::Duration;

use model::complaint::nearest;

use super::{Parser, UNARY_BINDING};
use crate::ast::Op;
use crate::bounds::Bounds;
use crate::error::Mistake;
use crate::formula::{self, Formula, Kind};
use crate::lex;
use crate::span::Span;

/// Tallest formula.
const HEIGHT_MAX: u16 = 100;

/// What a formula may call.
const KNOWN: [&str; 4] = ["step", "range", "min_of", "max_of"];

const EXPECTED: &str = "a number, a duration such as 5m, step(), range(), min_of or max_of";

impl Parser<'_> {
    /// A range or step: more than nothing, and the formula if it is one.
    pub(super) fn length(&mut self) -> Result<(Duration, Option<Formula>), Mistake> {
        let formula = self.formula(0)?;
        if let Some(millis) = self.plain(&formula)? {
            return match millis {
                millis if millis > 0 => Ok((Duration::from_millis(millis.unsigned_abs()), None)),
                _ => Err(self.fail(formula.span, formula::NOT_POSITIVE)),
            };
        }
        let length = match formula.length(Bounds::default()) {
            Ok(length) => length,
            // Each query says what it is.
            Err(_) if formula.is_of_query() => Duration::ZERO,
            Err((span, what)) => return Err(self.fail(span, what)),
        };
        Ok((length, Some(formula)))
    }

    /// Milliseconds. An operator behind it belongs to the expression: `x offset 5m + 1` is one more than
    /// `x` was. Only behind a parenthesis, or two signs, Prometheus reads on: `x offset (5m) * 2` is ten
    /// minutes back.
    pub(super) fn offset(&mut self) -> Result<(i64, Option<Formula>), Mistake> {
        let second = self.peek_second().span.of(self.text);
        let reads_on = match self.sign() {
            Some("(") => true,
            Some("+" | "-") => matches!(second, "+" | "-"),
            _ => false,
        };
        let start = self.peek().span;
        let formula = if reads_on {
            let formula = self.formula(0)?;
            match formula.kind {
                // Two signs may come to nothing; then only parentheses keep it together.
                Kind::Binary(..) if start.of(self.text) != "(" => {
                    let span = formula.span;
                    self.bounded(Kind::Paren(Box::new(formula)), span)?
                }
                _ => formula,
            }
        } else {
            self.signed_formula(u8::MAX)?
        };
        if let Some(millis) = self.plain(&formula)? {
            return Ok((millis, None));
        }
        let millis = match formula.millis(Bounds::default()) {
            Ok(millis) => millis,
            Err(_) if formula.is_of_query() => 0,
            Err((span, what)) => return Err(self.fail(span, what)),
        };
        Ok((millis, Some(formula)))
    }

    /// Milliseconds of a duration that is just written down.
    fn plain(&self, formula: &Formula) -> Result<Option<i64>, Mistake> {
        const LONGEST_MS: f64 = (i64::MAX / 1_000_000) as f64;
        match formula.kind {
            Kind::Duration(millis) => Ok(Some(millis)),
            Kind::Number(seconds) if (seconds * 1000.0).abs() <= LONGEST_MS => {
                Ok(Some((seconds * 1000.0).round() as i64))
            }
            Kind::Number(_) => Err(self.fail(formula.span, formula::OUT_OF_RANGE)),
            _ => Ok(None),
        }
    }

    /// A formula whose operators bind at least as tightly as `binding`.
    fn formula(&mut self, binding: u8) -> Result<Formula, Mistake> {
        self.deeper()?;
        let mut left = self.signed_formula(UNARY_BINDING + 1)?;
        while let Some(op) = self
            .operator()
            .filter(|op| is_arithmetic(*op) && op.binding() >= binding)
        {
            self.next();
            let right = self.formula(op.binding() + u8::from(op != Op::Pow))?;
            left = self.joined_formulas(op, left, right)?;
        }
        self.depth -= 1;
        Ok(left)
    }

    fn joined_formulas(&self, op: Op, left: Formula, right: Formula) -> Result<Formula, Mistake> {
        let by_zero = matches!(right.kind, Kind::Number(0.0) | Kind::Duration(0));
        match op {
            Op::Div if by_zero => return Err(self.fail(right.span, formula::DIVISION_BY_ZERO)),
            Op::Mod if by_zero => return Err(self.fail(right.span, formula::MODULO_BY_ZERO)),
            _ => {}
        }
        let span = left.span.to(right.span);
        self.bounded(Kind::Binary(op, Box::new((left, right))), span)
    }

    /// A sign takes what follows as far as operators bind tighter than `binding`.
    fn signed_formula(&mut self, binding: u8) -> Result<Formula, Mistake> {
        self.deeper()?;
        let start = self.peek().span;
        let formula = match self.sign() {
            Some("-") => {
                self.next();
                let inner = self.behind_sign(binding)?;
                self.negative(inner, start)?
            }
            Some("+") => {
                self.next();
                let inner = self.behind_sign(binding)?;
                match inner.kind {
                    Kind::Paren(_) if binding == u8::MAX => {
                        let span = start.to(inner.span);
                        self.bounded(Kind::Positive(Box::new(inner)), span)?
                    }
                    _ => inner,
                }
            }
            _ => self.formula_operand()?,
        };
        self.depth -= 1;
        Ok(formula)
    }

    fn behind_sign(&mut self, binding: u8) -> Result<Formula, Mistake> {
        if binding == u8::MAX {
            return self.formula_operand();
        }
        self.formula(binding)
    }

    fn negative(&self, inner: Formula, start: Span) -> Result<Formula, Mistake> {
        let span = start.to(inner.span);
        match inner.kind {
            Kind::Number(seconds) => self.bounded(Kind::Number(-seconds), span),
            Kind::Duration(millis) => self.bounded(Kind::Duration(-millis), span),
            _ => self.bounded(Kind::Negative(Box::new(inner)), span),
        }
    }

    fn formula_operand(&mut self) -> Result<Formula, Mistake> {
        let token = self.next();
        let kind = match token.kind {
            lex::Kind::Number(seconds) => Kind::Number(seconds),
            lex::Kind::Duration(millis) => Kind::Duration(millis),
            lex::Kind::Sign("(") => {
                let inner = self.formula(0)?;
                let end = self.expect(")", "to close the parenthesis")?;
                return self.bounded(Kind::Paren(Box::new(inner)), token.span.to(end));
            }
            lex::Kind::Word => return self.formula_call(token),
            _ => return Err(self.unexpected(token, EXPECTED)),
        };
        self.bounded(kind, token.span)
    }

    /// `step()`, `range()`, `min_of(a, b)`, `max_of(a, b)`.
    fn formula_call(&mut self, name: &lex::Token) -> Result<Formula, Mistake> {
        let word = name.span.of(self.text).to_ascii_lowercase();
        let wanted = KNOWN.into_iter().find(|known| *known == word);
        let Some(word) = wanted else {
            let mut mistake = self.unexpected(name, EXPECTED);
            mistake.suggestion = nearest(&word, KNOWN).map(|near| format!("did you mean {near:?}?"));
            return Err(mistake);
        };
        self.expect("(", &format!("after {word}"))?;
        let kind = match word {
            "step" => Kind::Step,
            "range" => Kind::Range,
            _ => {
                let first = self.formula(0)?;
                self.expect(",", &format!("after the first argument of {word}"))?;
                let sides = Box::new((first, self.formula(0)?));
                if word == "min_of" {
                    Kind::Least(sides)
                } else {
                    Kind::Most(sides)
                }
            }
        };
        let end = self.expect(")", &format!("to close {word}"))?;
        self.bounded(kind, name.span.to(end))
    }

    fn bounded(&self, kind: Kind, span: Span) -> Result<Formula, Mistake> {
        let formula = Formula::new(kind, span);
        if formula.height() > HEIGHT_MAX {
            return Err(self.fail(
                span,
                format!("duration of more than {HEIGHT_MAX} levels of operators"),
            ));
        }
        Ok(formula)
    }
}

fn is_arithmetic(op: Op) -> bool {
    matches!(op, Op::Add | Op::Sub | Op::Mul | Op::Div | Op::Mod | Op::Pow)
}
