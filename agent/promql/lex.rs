//! Cuts an expression into tokens. Comments and white space go; everything else keeps its place.

use crate::error::ParseError;
use crate::literal;
use crate::span::Span;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    Number(f64),
    /// Milliseconds.
    Duration(i64),
    Text {
        value: String,
        /// False when escapes made bytes that are not UTF-8.
        valid: bool,
    },
    /// Identifier or keyword; its text is the span's.
    Word,
    /// Punctuation or operator.
    Sign(&'static str),
    End,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) span: Span,
}

/// Longest first, so that `>=` is not read as `>`.
const SIGNS: [&str; 26] = [
    "==", "!=", "=~", "!~", "<=", ">=", "</", ">/", "(", ")", "{", "}", "[", "]", ",", "+", "-", "*", "/",
    "%", "^", "<", ">", "=", "@", ":",
];

pub(crate) fn tokens(text: &str) -> Result<Vec<Token>, ParseError> {
    let mut lexer = Lexer {
        text,
        at: 0,
        // Within brackets and braces a colon is no part of a word.
        plain_words: false,
    };
    let mut tokens = Vec::with_capacity(text.len() / 4 + 1);
    loop {
        let token = lexer.next()?;
        let end = token.kind == Kind::End;
        tokens.push(token);
        if end {
            return Ok(tokens);
        }
    }
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
    plain_words: bool,
}

impl<'t> Lexer<'t> {
    fn next(&mut self) -> Result<Token, ParseError> {
        self.skip();
        let start = self.at;
        let Some(first) = self.rest().bytes().next() else {
            return Ok(self.token(Kind::End, start));
        };
        match first {
            b'"' | b'\'' | b'`' => self.string(first),
            b'0'..=b'9' => self.number(),
            b'.' if self.rest().as_bytes().get(1).is_some_and(u8::is_ascii_digit) => self.number(),
            _ if self.word_byte(first) => {
                let length = self
                    .rest()
                    .bytes()
                    .take_while(|byte| self.word_byte(*byte))
                    .count();
                self.at += length;
                Ok(self.token(Kind::Word, start))
            }
            _ => self.sign(),
        }
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn token(&self, kind: Kind, start: usize) -> Token {
        Token {
            kind,
            span: Span::new(start, self.at),
        }
    }

    fn fail(&self, start: usize, message: impl Into<String>) -> ParseError {
        ParseError::at(self.text, Span::new(start, self.at), message)
    }

    fn skip(&mut self) {
        loop {
            let rest = self.rest();
            let blank = rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
            let comment = if rest.get(blank..).is_some_and(|rest| rest.starts_with('#')) {
                rest.get(blank..)
                    .map_or(0, |rest| rest.find('\n').unwrap_or(rest.len()))
            } else {
                0
            };
            if blank + comment == 0 {
                return;
            }
            self.at += blank + comment;
        }
    }

    fn word_byte(&self, byte: u8) -> bool {
        byte.is_ascii_alphanumeric() || byte == b'_' || (byte == b':' && !self.plain_words)
    }

    fn sign(&mut self) -> Result<Token, ParseError> {
        let (start, rest) = (self.at, self.rest());
        let Some(sign) = SIGNS.into_iter().find(|sign| rest.starts_with(sign)) else {
            let letter = rest.chars().next().unwrap_or_default();
            return Err(self.fail(start, format!("unexpected character {letter:?}")));
        };
        match sign {
            "[" | "{" => self.plain_words = true,
            "]" | "}" => self.plain_words = false,
            _ => {}
        }
        self.at += sign.len();
        Ok(self.token(Kind::Sign(sign), start))
    }

    fn string(&mut self, quote: u8) -> Result<Token, ParseError> {
        let start = self.at;
        let mut escaped = false;
        let mut end = None;
        for (at, byte) in self.rest().bytes().enumerate().skip(1) {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quote != b'`' => escaped = true,
                b'\n' if quote != b'`' => break,
                _ if byte == quote => {
                    end = Some(at + 1);
                    break;
                }
                _ => {}
            }
        }
        let Some(end) = end else {
            self.at = start + 1;
            return Err(self.fail(start, "unterminated quoted string"));
        };
        let quoted = self.rest().get(..end).unwrap_or_default();
        self.at += end;
        let (value, valid) = literal::unquote(quoted).map_err(|why| self.fail(start, why))?;
        Ok(self.token(Kind::Text { value, valid }, start))
    }

    fn number(&mut self) -> Result<Token, ParseError> {
        let (start, rest) = (self.at, self.rest());
        let run = rest
            .bytes()
            .take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_' || *byte == b'.')
            .count();
        // `1e-3` and `1e+3` hold a sign that the run above stops at.
        let signed = rest.as_bytes().get(..run).is_some_and(|run| {
            matches!(run.last(), Some(b'e' | b'E')) && !run.starts_with(b"0x") && !run.starts_with(b"0X")
        }) && matches!(rest.as_bytes().get(run), Some(b'+' | b'-'));
        let tail = if signed {
            1 + rest
                .bytes()
                .skip(run + 1)
                .take_while(|byte| byte.is_ascii_alphanumeric())
                .count()
        } else {
            0
        };
        let text = rest.get(..run + tail).unwrap_or_default();
        self.at += run + tail;
        let kind = if let Some(value) = literal::number(text) {
            Kind::Number(value)
        } else if let Some(millis) = literal::duration(text) {
            Kind::Duration(millis)
        } else {
            return Err(self.fail(start, format!("bad number or duration syntax: {text:?}")));
        };
        Ok(self.token(kind, start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<Kind> {
        tokens(text)
            .map(|tokens| tokens.into_iter().map(|token| token.kind).collect())
            .unwrap_or_default()
    }

    #[test]
    fn a_colon_belongs_to_names_but_not_in_brackets() {
        use Kind::{Duration, End, Sign, Word};
        let range = [
            Word,
            Sign("["),
            Duration(300_000),
            Sign(":"),
            Duration(60_000),
            Sign("]"),
            End,
        ];
        assert_eq!(kinds("job:up:sum[5m:1m] # why"), range);
        assert_eq!(kinds(":a{b:c}").len(), 7);
    }

    #[test]
    fn exponents_keep_their_sign() {
        use Kind::{End, Number, Sign};
        assert_eq!(kinds("1e-3-2"), [Number(0.001), Sign("-"), Number(2.0), End]);
        assert_eq!(kinds("0xe-1"), [Number(14.0), Sign("-"), Number(1.0), End]);
    }

    #[test]
    fn mistakes_have_a_place() {
        let place = |text: &str| tokens(text).err().map(|error| (error.line, error.column));
        assert_eq!(place("up == \"x"), Some((1, 7)));
        assert_eq!(place("up\n + 1abc"), Some((2, 4)));
        assert_eq!(place("up ~ 1"), Some((1, 4)));
        assert_eq!(place("ü"), Some((1, 1)));
    }
}
