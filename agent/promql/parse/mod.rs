//! Reads an expression: a Pratt parser over the tokens of [`crate::lex`].
//!
//! Whatever is given, it returns soon and on a small stack: text, nesting and height of the tree are bounded.

mod check;
mod duration;
mod modifier;
mod operand;
#[cfg(test)]
mod round_trip;
#[cfg(test)]
mod tests;

use crate::ast::{Binary, Expr, Kind, Matching, Op};
use crate::error::{Mistake, ParseError};
use crate::lex::{self, Token};
use crate::span::Span;

/// Longest expression, in bytes.
pub const TEXT_BYTES_MAX: usize = 64 * 1024;
/// Deepest nesting of brackets, signs and right-hand sides: what half a MiB of stack holds even in a build
/// without optimisation.
pub const NESTING_MAX: usize = 160;
/// Tallest tree; a chain `a or b or c` grows by one for each link.
pub const HEIGHT_MAX: u16 = 500;

/// # Errors
/// The first mistake in `text`.
pub fn parse(text: &str) -> Result<Expr, ParseError> {
    if text.len() > TEXT_BYTES_MAX {
        let message = format!(
            "expression of {} bytes, expected at most {TEXT_BYTES_MAX}",
            text.len()
        );
        return Err(ParseError::at(text, Span::default(), message));
    }
    let tokens = lex::tokens(text)?;
    whole(text, &tokens).map_err(|mistake| *mistake)
}

fn whole(text: &str, tokens: &[Token]) -> Result<Expr, Mistake> {
    let mut parser = Parser {
        text,
        tokens,
        at: 0,
        depth: 0,
    };
    if parser.peek().kind == lex::Kind::End {
        return Err(parser.fail(parser.peek().span, "no expression found in input"));
    }
    let expr = parser.expr(0)?;
    match parser.peek() {
        Token {
            kind: lex::Kind::End, ..
        } => Ok(expr),
        more => Err(parser.unexpected(more, "an operator or the end")),
    }
}

struct Parser<'t> {
    text: &'t str,
    /// The last is always `End`.
    tokens: &'t [Token],
    at: usize,
    depth: usize,
}

const END: Token = Token {
    kind: lex::Kind::End,
    span: Span { start: 0, end: 0 },
};

/// What stands between two operands.
struct Middle {
    op: Op,
    span: Span,
    as_bool: bool,
    matching: Option<Matching>,
}

/// Binding of a sign before its operand: that of `*`, so that `-x ^ 2` is `-(x ^ 2)`.
const UNARY_BINDING: u8 = 5;

impl<'t> Parser<'t> {
    // What calls itself again holds little: anything with text to build stands in a function of its own.

    /// An expression whose operators bind at least as tightly as `binding`.
    fn expr(&mut self, binding: u8) -> Result<Expr, Mistake> {
        self.deeper()?;
        let mut left = self.prefixed()?;
        while let Some(op) = self.operator().filter(|op| op.binding() >= binding) {
            let middle = self.middle(op)?;
            // `^` is the only operator that takes its own kind on the right.
            let right = self.expr(op.binding() + u8::from(op != Op::Pow))?;
            left = self.joined(left, *middle, right)?;
        }
        self.depth -= 1;
        Ok(left)
    }

    /// The operator and what belongs to it.
    fn middle(&mut self, op: Op) -> Result<Box<Middle>, Mistake> {
        let span = self.next().span;
        let (as_bool, matching) = self.matching(op)?;
        Ok(Box::new(Middle {
            op,
            span,
            as_bool,
            matching,
        }))
    }

    fn joined(&self, left: Expr, middle: Middle, right: Expr) -> Result<Expr, Mistake> {
        let span = left.span.to(right.span);
        let binary = Binary {
            op: middle.op,
            left,
            right,
            as_bool: middle.as_bool,
            matching: middle.matching,
        };
        let binary = self.checked_binary(binary, middle.span)?;
        self.node(Kind::Binary(Box::new(binary)), span)
    }

    /// Signs before an operand, nearest applied first.
    fn prefixed(&mut self) -> Result<Expr, Mistake> {
        let start = self.peek().span;
        let negative = match self.sign() {
            Some("-") => true,
            Some("+") => false,
            _ => {
                let operand = self.operand()?;
                return self.modified(operand);
            }
        };
        self.next();
        let expr = self.expr(UNARY_BINDING + 1)?;
        self.signed(start, negative, expr)
    }

    fn signed(&self, start: Span, negative: bool, expr: Expr) -> Result<Expr, Mistake> {
        let span = start.to(expr.span);
        match expr.kind {
            // A NaN has no sign that could be seen.
            Kind::Number(value) if value.is_nan() => self.node(Kind::Number(f64::NAN), span),
            Kind::Number(value) => self.node(Kind::Number(if negative { -value } else { value }), span),
            _ => {
                self.checked_unary(&expr)?;
                let expr = Box::new(expr);
                self.node(Kind::Unary { negative, expr }, span)
            }
        }
    }

    fn operator(&self) -> Option<Op> {
        let token = self.peek();
        let text = token.span.of(self.text);
        match token.kind {
            lex::Kind::Sign(_) => Op::ALL.into_iter().find(|op| op.text() == text),
            lex::Kind::Word => Op::ALL
                .into_iter()
                .find(|op| op.text().eq_ignore_ascii_case(text)),
            _ => None,
        }
    }

    /// A finished node, unless the tree has grown too tall.
    fn node(&self, kind: Kind, span: Span) -> Result<Expr, Mistake> {
        let expr = Expr::new(kind, span);
        if expr.height() > HEIGHT_MAX {
            let message = format!("expression of more than {HEIGHT_MAX} levels of operators");
            return Err(self.fail(span, message));
        }
        Ok(expr)
    }

    fn deeper(&mut self) -> Result<(), Mistake> {
        self.depth += 1;
        if self.depth > NESTING_MAX {
            return Err(self.fail(self.peek().span, format!("nested more than {NESTING_MAX} deep")));
        }
        Ok(())
    }

    fn peek(&self) -> &'t Token {
        self.tokens.get(self.at).or(self.tokens.last()).unwrap_or(&END)
    }

    fn peek_second(&self) -> &'t Token {
        self.tokens
            .get(self.at + 1)
            .or(self.tokens.last())
            .unwrap_or(&END)
    }

    fn next(&mut self) -> &'t Token {
        let token = self.peek();
        self.at += 1;
        token
    }

    /// Where the token consumed last stands.
    fn last_span(&self) -> Option<Span> {
        let last = self.at.checked_sub(1).and_then(|at| self.tokens.get(at));
        last.map(|token| token.span)
    }

    /// The punctuation that comes next, if it is any.
    fn sign(&self) -> Option<&'static str> {
        match self.peek().kind {
            lex::Kind::Sign(sign) => Some(sign),
            _ => None,
        }
    }

    fn takes(&mut self, sign: &str) -> bool {
        let found = self.sign() == Some(sign);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, sign: &str, place: &str) -> Result<Span, Mistake> {
        if self.sign() == Some(sign) {
            return Ok(self.next().span);
        }
        Err(self.unexpected(self.peek(), &format!("{sign:?} {place}")))
    }

    /// Whether the next token is this keyword, in any case.
    fn keyword(&self, word: &str) -> bool {
        let token = self.peek();
        token.kind == lex::Kind::Word && token.span.of(self.text).eq_ignore_ascii_case(word)
    }

    fn takes_keyword(&mut self, word: &str) -> bool {
        let found = self.keyword(word);
        self.at += usize::from(found);
        found
    }

    fn fail(&self, span: Span, message: impl Into<String>) -> Mistake {
        Box::new(ParseError::at(self.text, span, message))
    }

    fn unexpected(&self, token: &Token, expected: &str) -> Mistake {
        let text = token.span.of(self.text);
        let found = match token.kind {
            lex::Kind::Number(_) => format!("number {text:?}"),
            lex::Kind::Duration(_) => format!("duration {text:?}"),
            lex::Kind::Text { .. } => format!("string {text}"),
            lex::Kind::Word => format!("identifier {text:?}"),
            lex::Kind::Sign(sign) => format!("{sign:?}"),
            lex::Kind::End => "end of input".to_owned(),
        };
        self.fail(token.span, format!("unexpected {found}, expected {expected}"))
    }
}
