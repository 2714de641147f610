//! Operands: literals, selectors, calls, aggregations, parentheses.

use model::complaint::nearest;
use model::labels::METRIC_NAME;
use model::{MatchOp, Matcher, text};

use super::Parser;
use crate::ast::{Aggregate, Aggregation, Expr, Grouping, Kind, Selector};
use crate::error::Mistake;
use crate::functions::{self, Function, Run};
use crate::lex::{self, Token};
use crate::span::Span;

/// Keywords that cannot name a metric.
const RESERVED: [&str; 5] = ["bool", "on", "ignoring", "group_left", "group_right"];

/// What begins with a word.
enum Word {
    Number(f64),
    Aggregation(Aggregation),
    Call,
    Selector,
}

impl Parser<'_> {
    /// An operand without the ranges, `@` and `offset` behind it.
    pub(super) fn operand(&mut self) -> Result<Expr, Mistake> {
        match self.peek().kind {
            lex::Kind::Sign("(") => self.parenthesis(),
            lex::Kind::Word => match self.word()? {
                Word::Aggregation(op) => self.aggregate(op),
                Word::Call => self.call(),
                Word::Number(number) => self.number(number),
                Word::Selector => self.named_selector(),
            },
            _ => self.literal(),
        }
    }

    fn literal(&mut self) -> Result<Expr, Mistake> {
        let token = self.peek();
        match &token.kind {
            lex::Kind::Number(value) => self.number(*value),
            lex::Kind::Duration(millis) => self.number(*millis as f64 / 1000.0),
            lex::Kind::Sign("{") => self.selector(None, token.span),
            lex::Kind::Text { value, valid: true } => {
                self.next();
                self.node(Kind::Text(value.clone()), token.span)
            }
            lex::Kind::Text { .. } => Err(self.not_text(token)),
            _ => Err(self.unexpected(token, "an expression")),
        }
    }

    fn number(&mut self, number: f64) -> Result<Expr, Mistake> {
        let span = self.next().span;
        self.node(Kind::Number(number), span)
    }

    fn not_text(&self, token: &Token) -> Mistake {
        let message = format!("string {} is not valid UTF-8", token.span.of(self.text));
        self.fail(token.span, message)
    }

    fn parenthesis(&mut self) -> Result<Expr, Mistake> {
        let start = self.next().span;
        let inner = self.expr(0)?;
        let end = self.expect(")", "to close the parenthesis")?;
        self.node(Kind::Paren(Box::new(inner)), start.to(end))
    }

    /// What the word that comes next begins.
    fn word(&self) -> Result<Word, Mistake> {
        let token = self.peek();
        let word = token.span.of(self.text);
        if let Some(number) = number_word(word) {
            return Ok(Word::Number(number));
        }
        let second = self.peek_second();
        let opens = second.kind == lex::Kind::Sign("(");
        let aggregation = Aggregation::ALL
            .into_iter()
            .find(|op| op.text().eq_ignore_ascii_case(word));
        if let Some(op) = aggregation {
            let grouped = second.kind == lex::Kind::Word
                && ["by", "without"]
                    .iter()
                    .any(|by| second.span.of(self.text).eq_ignore_ascii_case(by));
            if opens || grouped {
                return Ok(Word::Aggregation(op));
            }
        }
        if opens {
            return Ok(Word::Call);
        }
        if RESERVED
            .iter()
            .any(|reserved| reserved.eq_ignore_ascii_case(word))
        {
            return Err(self.unexpected(token, "an expression"));
        }
        Ok(Word::Selector)
    }

    fn aggregate(&mut self, op: Aggregation) -> Result<Expr, Mistake> {
        let start = self.next().span;
        let grouping = self.grouping()?;
        let args = self.arguments(None)?;
        self.aggregated((op, start), grouping, args)
    }

    fn aggregated(
        &mut self,
        (op, start): (Aggregation, Span),
        mut grouping: Option<Grouping>,
        (mut args, mut end): (Vec<Expr>, Span),
    ) -> Result<Expr, Mistake> {
        if grouping.is_none() {
            grouping = self.grouping()?;
            // What was consumed last is the closing parenthesis of the labels.
            end = self.last_span().unwrap_or(end);
        }
        let span = start.to(end);
        let wanted = 1 + usize::from(op.param().is_some());
        if args.len() != wanted {
            let message = format!(
                "wrong number of arguments for aggregate expression provided, expected {wanted}, got {}",
                args.len()
            );
            return Err(self.fail(span, message));
        }
        let expr = args.pop();
        let param = args.pop();
        let Some(expr) = expr else {
            return Err(self.fail(span, "no arguments for aggregate expression provided"));
        };
        let aggregate = Aggregate {
            op,
            expr,
            param,
            grouping: grouping.unwrap_or(Grouping {
                without: false,
                labels: Vec::new(),
            }),
        };
        self.checked_aggregate(&aggregate)?;
        self.node(Kind::Aggregate(Box::new(aggregate)), span)
    }

    fn grouping(&mut self) -> Result<Option<Grouping>, Mistake> {
        let without = self.keyword("without");
        if !without && !self.keyword("by") {
            return Ok(None);
        }
        self.next();
        let labels = self.label_names("grouping")?;
        Ok(Some(Grouping { without, labels }))
    }

    fn call(&mut self) -> Result<Expr, Mistake> {
        let name = self.next().span;
        let function = self.function(name)?;
        let (args, end) = self.arguments(Some(function))?;
        let span = name.to(end);
        self.checked_call(function, &args, span)?;
        self.node(Kind::Call { function, args }, span)
    }

    fn function(&self, name: Span) -> Result<&'static Function, Mistake> {
        let word = name.of(self.text);
        functions::find(word).ok_or_else(|| {
            let known = functions::functions().chain(Aggregation::ALL.map(Aggregation::text));
            let mut mistake = self.fail(name, format!("unknown function with name {word:?}"));
            mistake.suggestion = nearest(word, known).map(|near| format!("did you mean {near:?}?"));
            mistake
        })
    }

    /// `(a, b)` and where it ends.
    fn arguments(&mut self, of: Option<&Function>) -> Result<(Vec<Expr>, Span), Mistake> {
        self.expect("(", "before arguments")?;
        let mut args = Vec::new();
        if self.sign() == Some(")") {
            return Ok((args, self.next().span));
        }
        loop {
            self.valid_label_argument(args.len())?;
            let wants_labels = args.len() == 1 && of.is_some_and(|of| matches!(of.run, Run::Info));
            args.push(match self.sign() {
                // Which labels are wanted: these may well match series without them.
                Some("{") if wants_labels => self.wanted_labels()?,
                _ => self.expr(0)?,
            });
            if !self.takes(",") {
                let end = self.expect(")", "or \",\" after an argument")?;
                return Ok((args, end));
            }
        }
    }

    /// The braces behind the comma of `info`, where a name is a matcher like others.
    fn wanted_labels(&mut self) -> Result<Expr, Mistake> {
        let mut expr = self.braces(None, self.peek().span)?;
        if let Kind::Selector(selector) = &mut expr.kind {
            let name = selector.name.take();
            let name = name.map(|name| Matcher::equal(METRIC_NAME, &name));
            selector.matchers.splice(0..0, name);
        }
        self.modified(expr)
    }

    /// Strings that are no UTF-8 stand only where a label is named; there the error says so.
    fn valid_label_argument(&self, nth: usize) -> Result<(), Mistake> {
        let token = self.peek();
        if !matches!(token.kind, lex::Kind::Text { valid: false, .. }) || nth > 1 {
            return Ok(());
        }
        let message = format!("invalid label name {}", token.span.of(self.text));
        Err(self.fail(token.span, message))
    }

    /// `(a, b, "c.d")`, with a comma at the end if one likes.
    pub(super) fn label_names(&mut self, place: &str) -> Result<Vec<String>, Mistake> {
        self.expect("(", &format!("before labels in {place}"))?;
        let mut names = Vec::new();
        while !self.takes(")") {
            names.push(self.label_name(place)?);
            if !self.takes(",") {
                self.expect(")", &format!("or \",\" in {place}"))?;
                break;
            }
        }
        Ok(names)
    }

    fn label_name(&mut self, place: &str) -> Result<String, Mistake> {
        let token = self.next();
        let word = token.span.of(self.text);
        match &token.kind {
            lex::Kind::Word if text::is_legacy_label_name(word) => Ok(word.to_owned()),
            lex::Kind::Text { value, valid: true } if !value.is_empty() => Ok(value.clone()),
            _ => Err(self.unexpected(token, &format!("a label in {place}"))),
        }
    }

    fn named_selector(&mut self) -> Result<Expr, Mistake> {
        let span = self.next().span;
        self.selector(Some(span.of(self.text).to_owned()), span)
    }

    /// The rest of a selector whose name, if it stood before the braces, is read.
    fn selector(&mut self, name: Option<String>, start: Span) -> Result<Expr, Mistake> {
        let expr = self.braces(name, start)?;
        if let Kind::Selector(selector) = &expr.kind {
            self.checked_selector(selector, expr.span)?;
        }
        Ok(expr)
    }

    fn braces(&mut self, name: Option<String>, start: Span) -> Result<Expr, Mistake> {
        let mut selector = Selector {
            name,
            ..Selector::default()
        };
        let mut end = start;
        if self.takes("{") {
            loop {
                if self.sign() == Some("}") {
                    end = self.next().span;
                    break;
                }
                self.matcher(&mut selector)?;
                if !self.takes(",") {
                    end = self.expect("}", "or \",\" in label matching")?;
                    break;
                }
            }
        }
        let span = start.to(end);
        self.node(Kind::Selector(Box::new(selector)), span)
    }

    /// One matcher, or a quoted metric name alone.
    fn matcher(&mut self, selector: &mut Selector) -> Result<(), Mistake> {
        let token = self.peek();
        let name = self.label_name("label matching")?;
        let quoted = matches!(token.kind, lex::Kind::Text { .. });
        if quoted && matches!(self.sign(), Some("," | "}")) {
            if let Some(first) = &selector.name {
                let message = format!("metric name must not be set twice: {first:?} or {name:?}");
                return Err(self.fail(token.span, message));
            }
            selector.name = Some(name);
            return Ok(());
        }
        let op = match self.sign() {
            Some("=") => MatchOp::Equal,
            Some("!=") => MatchOp::NotEqual,
            Some("=~") => MatchOp::Matches,
            Some("!~") => MatchOp::NotMatches,
            _ => return Err(self.unexpected(self.peek(), "a label matching operator (=, !=, =~, !~)")),
        };
        self.next();
        let value = self.next();
        let lex::Kind::Text { value: wanted, valid } = &value.kind else {
            return Err(self.unexpected(value, "a string in label matching"));
        };
        if !valid {
            return Err(self.not_text(value));
        }
        let matcher = Matcher::new(&name, op, wanted);
        self.checked_matcher(&matcher, token, value)?;
        selector.matchers.push(matcher);
        Ok(())
    }

    fn checked_matcher(&self, matcher: &Matcher, name: &Token, value: &Token) -> Result<(), Mistake> {
        if matcher.op == MatchOp::Equal && &*matcher.name == METRIC_NAME && matcher.value.is_empty() {
            return Ok(());
        }
        crate::filter::Filter::new(matcher)
            .map(drop)
            .map_err(|why| self.fail(name.span.to(value.span), why))
    }
}

fn number_word(word: &str) -> Option<f64> {
    if word.eq_ignore_ascii_case("inf") {
        return Some(f64::INFINITY);
    }
    word.eq_ignore_ascii_case("nan").then_some(f64::NAN)
}
