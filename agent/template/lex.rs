//! Text and actions into tokens.
//!
//! A space is no token: each token says whether one stood before it, because `a .b` and `a.b` differ.

use crate::error::Mistake;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    /// Outside of actions, trimmed as the neighbouring actions ask.
    Text(String),
    /// `{{`
    Open,
    /// `}}`
    Close,
    /// A keyword or function.
    Word(String),
    /// `.name`, without the dot.
    Field(String),
    /// `$name`, or `$` alone.
    Variable(String),
    Dot,
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// Quoted, unescaped.
    Quoted(String),
    /// `:=`
    Declare,
    /// `=`
    Assign,
    Comma,
    Pipe,
    Left,
    Right,
    End,
}

#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) at: usize,
    pub(crate) spaced: bool,
}

const SPACES: [char; 4] = [' ', '\t', '\r', '\n'];

pub(crate) fn tokens(source: &str) -> Result<Vec<Token>, Mistake> {
    let mut lexer = Lexer {
        source,
        at: 0,
        tokens: Vec::new(),
    };
    lexer.all()?;
    Ok(lexer.tokens)
}

struct Lexer<'a> {
    source: &'a str,
    at: usize,
    tokens: Vec<Token>,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        self.source.get(self.at..).unwrap_or_default()
    }

    fn push(&mut self, kind: Kind, at: usize, spaced: bool) {
        self.tokens.push(Token { kind, at, spaced });
    }

    fn all(&mut self) -> Result<(), Mistake> {
        let mut trim_next = false;
        loop {
            let rest = self.rest();
            let open = rest.find("{{");
            let text = rest.get(..open.unwrap_or(rest.len())).unwrap_or_default();
            let action = open.and_then(|open| rest.get(open + 2..));
            let trim_this = action.is_some_and(starts_with_trim);
            let start = self.at;
            let mut kept = text;
            if trim_next {
                kept = kept.trim_start_matches(SPACES);
            }
            if trim_this {
                kept = kept.trim_end_matches(SPACES);
            }
            if !kept.is_empty() {
                self.push(Kind::Text(kept.to_owned()), start, false);
            }
            let Some(open) = open else {
                self.at = self.source.len();
                self.push(Kind::End, self.source.len(), false);
                return Ok(());
            };
            let opened_at = start + open;
            self.at = opened_at + 2 + if trim_this { 2 } else { 0 };
            trim_next = if self.rest().starts_with("/*") {
                self.comment(opened_at)?
            } else {
                self.push(Kind::Open, opened_at, false);
                self.action(opened_at)?
            };
        }
    }

    /// Returns whether the text behind is to be trimmed.
    fn comment(&mut self, opened_at: usize) -> Result<bool, Mistake> {
        let rest = self.rest();
        let close = rest
            .find("*/")
            .ok_or_else(|| Mistake::new(opened_at, "unclosed comment"))?;
        let behind = rest.get(close + 2..).unwrap_or_default();
        let (length, trims) = closing(behind)
            .ok_or_else(|| Mistake::new(self.at + close, "a comment must end with */}} or */ -}}"))?;
        self.at += close + 2 + length;
        Ok(trims)
    }

    /// Returns whether the text behind is to be trimmed.
    fn action(&mut self, opened_at: usize) -> Result<bool, Mistake> {
        let mut parens = 0usize;
        loop {
            let rest = self.rest();
            if let Some((length, trims)) = closing(rest) {
                if parens > 0 {
                    return Err(Mistake::new(self.at, "unclosed left parenthesis"));
                }
                self.push(Kind::Close, self.at, false);
                self.at += length;
                return Ok(trims);
            }
            let spaces = rest.len() - rest.trim_start_matches(SPACES).len();
            self.at += spaces;
            if closing(self.rest()).is_some() {
                continue;
            }
            if self.rest().is_empty() {
                return Err(Mistake::new(opened_at, "unclosed action: }} is missing"));
            }
            let (kind, length) = self.token()?;
            match kind {
                Kind::Left => parens += 1,
                Kind::Right => {
                    parens = parens
                        .checked_sub(1)
                        .ok_or_else(|| Mistake::new(self.at, "unexpected right parenthesis"))?;
                }
                _ => {}
            }
            self.push(kind, self.at, spaces > 0);
            self.at += length;
        }
    }

    /// The token at the start of what is left, and its length in bytes.
    fn token(&self) -> Result<(Kind, usize), Mistake> {
        let rest = self.rest();
        let mut letters = rest.chars();
        let first = letters.next().unwrap_or_default();
        let second = letters.next().unwrap_or_default();
        match first {
            ':' if second == '=' => Ok((Kind::Declare, 2)),
            '=' => Ok((Kind::Assign, 1)),
            ',' => Ok((Kind::Comma, 1)),
            '|' => Ok((Kind::Pipe, 1)),
            '(' => Ok((Kind::Left, 1)),
            ')' => Ok((Kind::Right, 1)),
            '"' | '`' | '\'' => self.quoted(first),
            '.' if second.is_ascii_digit() => self.number(),
            '.' => {
                let name = word(rest.get(1..).unwrap_or_default());
                self.terminated(1 + name.len())?;
                let kind = if name.is_empty() {
                    Kind::Dot
                } else {
                    Kind::Field(name.to_owned())
                };
                Ok((kind, 1 + name.len()))
            }
            '$' => {
                let name = word(rest.get(1..).unwrap_or_default());
                self.terminated(1 + name.len())?;
                Ok((Kind::Variable(format!("${name}")), 1 + name.len()))
            }
            '+' | '-' | '0'..='9' => self.number(),
            first if first == '_' || first.is_alphabetic() => {
                let name = word(rest);
                self.terminated(name.len())?;
                let kind = match name {
                    "true" => Kind::Bool(true),
                    "false" => Kind::Bool(false),
                    "nil" => Kind::Nil,
                    other => Kind::Word(other.to_owned()),
                };
                Ok((kind, name.len()))
            }
            other => Err(Mistake::new(
                self.at,
                format!("unexpected character {other:?} in an action"),
            )),
        }
    }

    /// A name must be followed by something that ends it.
    fn terminated(&self, length: usize) -> Result<(), Mistake> {
        let behind = self.rest().get(length..).unwrap_or_default();
        match behind.chars().next() {
            None => Ok(()),
            Some(next) if SPACES.contains(&next) || ".,|:)(".contains(next) => Ok(()),
            Some(_) if behind.starts_with("}}") => Ok(()),
            Some(next) => Err(Mistake::new(
                self.at + length,
                format!("unexpected character {next:?} behind a name"),
            )),
        }
    }

    fn quoted(&self, quote: char) -> Result<(Kind, usize), Mistake> {
        let rest = self.rest();
        let body = rest.get(1..).unwrap_or_default();
        if quote == '`' {
            let end = body
                .find('`')
                .ok_or_else(|| Mistake::new(self.at, "unterminated raw string"))?;
            let text = body.get(..end).unwrap_or_default().replace('\r', "");
            return Ok((Kind::Quoted(text), end + 2));
        }
        let mut escaped = false;
        let end = body
            .char_indices()
            .take_while(|(_, letter)| *letter != '\n')
            .find(|(_, letter)| {
                let ends = *letter == quote && !escaped;
                escaped = *letter == '\\' && !escaped;
                ends
            })
            .map(|(end, _)| end)
            .ok_or_else(|| Mistake::new(self.at, "unterminated quoted string"))?;
        let text =
            unescape(body.get(..end).unwrap_or_default(), quote).map_err(|why| Mistake::new(self.at, why))?;
        if quote == '"' {
            return Ok((Kind::Quoted(text), end + 2));
        }
        let mut letters = text.chars();
        match (letters.next(), letters.next()) {
            (Some(letter), None) => Ok((Kind::Int(i64::from(u32::from(letter))), end + 2)),
            _ => Err(Mistake::new(self.at, "a character constant holds one character")),
        }
    }

    fn number(&self) -> Result<(Kind, usize), Mistake> {
        let rest = self.rest();
        let mut length = 0;
        let mut previous = ' ';
        let hex = rest.trim_start_matches(['+', '-']).to_ascii_lowercase();
        let hex = hex.starts_with("0x");
        for letter in rest.chars() {
            let exponent_sign =
                matches!(letter, '+' | '-') && (length == 0 || (!hex && matches!(previous, 'e' | 'E')));
            if !(letter.is_ascii_alphanumeric() || letter == '.' || letter == '_' || exponent_sign) {
                break;
            }
            previous = letter;
            length += letter.len_utf8();
        }
        let text = rest.get(..length).unwrap_or_default();
        let kind =
            number(text).ok_or_else(|| Mistake::new(self.at, format!("bad number syntax: {text:?}")))?;
        Ok((kind, length))
    }
}

fn starts_with_trim(action: &str) -> bool {
    let mut letters = action.chars();
    letters.next() == Some('-') && letters.next().is_some_and(|next| SPACES.contains(&next))
}

/// If `rest` is at the end of an action: the length of what closes it, and whether it trims.
fn closing(rest: &str) -> Option<(usize, bool)> {
    if rest.starts_with("}}") {
        return Some((2, false));
    }
    let marked = rest.trim_start_matches(SPACES);
    let spaces = rest.len() - marked.len();
    (spaces > 0 && marked.starts_with("-}}")).then_some((spaces + 3, true))
}

/// The letters, digits and underscores at the start.
fn word(rest: &str) -> &str {
    let end = rest
        .char_indices()
        .find(|(_, letter)| !(letter.is_alphanumeric() || *letter == '_'))
        .map_or(rest.len(), |(end, _)| end);
    rest.get(..end).unwrap_or_default()
}

/// As Go reads a constant: an integer unless it is written with a point or exponent.
fn number(text: &str) -> Option<Kind> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, body) = if let Some(body) = lower.strip_prefix("0x") {
        (16, body)
    } else if let Some(body) = lower.strip_prefix("0b") {
        (2, body)
    } else if let Some(body) = lower.strip_prefix("0o") {
        (8, body)
    } else if lower.len() > 1 && lower.starts_with('0') && lower.bytes().all(|b| b.is_ascii_digit()) {
        (8, lower.get(1..).unwrap_or_default())
    } else {
        (10, lower.as_str())
    };
    let body = body.replace('_', "");
    if let Ok(magnitude) = i128::from_str_radix(&body, radix) {
        let signed = if negative { -magnitude } else { magnitude };
        return i64::try_from(signed).ok().map(Kind::Int);
    }
    let plain = radix == 10 && body.starts_with(|first: char| first.is_ascii_digit() || first == '.');
    let magnitude: f64 = plain.then(|| body.parse().ok()).flatten()?;
    let signed = if negative { -magnitude } else { magnitude };
    signed.is_finite().then_some(Kind::Float(signed))
}

/// Go's escapes of an interpreted string.
fn unescape(body: &str, quote: char) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(body.len());
    let mut letters = body.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            bytes.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        let escape = letters.next().unwrap_or_default();
        let simple = match escape {
            'a' => 7,
            'b' => 8,
            'f' => 12,
            'n' => b'\n',
            'r' => b'\r',
            't' => b'\t',
            'v' => 11,
            '\\' => b'\\',
            other if other == quote => quote as u8,
            'x' => hex(&mut letters, 2)?.try_into().unwrap_or_default(),
            '0'..='7' => octal(escape, &mut letters)?,
            'u' | 'U' => {
                let code = hex(&mut letters, if escape == 'u' { 4 } else { 8 })?;
                let letter = char::from_u32(code).ok_or("escape is no character")?;
                bytes.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
            other => return Err(format!("unknown escape \\{other} in a string")),
        };
        bytes.push(simple);
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn hex(letters: &mut std::str::Chars<'_>, digits: usize) -> Result<u32, String> {
    let text: String = letters.take(digits).collect();
    let all_hex = text.len() == digits && text.bytes().all(|digit| digit.is_ascii_hexdigit());
    let code = u32::from_str_radix(&text, 16).ok().filter(|_| all_hex);
    code.ok_or_else(|| format!("an escape in a string needs {digits} hexadecimal digits"))
}

fn octal(first: char, letters: &mut std::str::Chars<'_>) -> Result<u8, String> {
    let mut text = first.to_string();
    text.extend(letters.take(2));
    let code = u8::from_str_radix(&text, 8).ok().filter(|_| text.len() == 3);
    code.ok_or_else(|| "an octal escape in a string needs three digits up to \\377".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(source: &str) -> Vec<Kind> {
        tokens(source)
            .unwrap()
            .into_iter()
            .map(|token| token.kind)
            .collect()
    }

    #[test]
    fn numbers_are_integers_unless_written_as_floats() {
        let cases = [
            ("1", Kind::Int(1)),
            ("-0x10", Kind::Int(-16)),
            ("017", Kind::Int(15)),
            ("1_000", Kind::Int(1000)),
            ("1.5", Kind::Float(1.5)),
            (".5", Kind::Float(0.5)),
            ("1e3", Kind::Float(1000.0)),
            ("1e-3", Kind::Float(0.001)),
            ("+2.", Kind::Float(2.0)),
        ];
        for (text, kind) in cases {
            assert_eq!(number(text), Some(kind), "{text}");
        }
        for text in ["", "-", "1x", "inf", "nan", "1e999", "0x", "99999999999999999999"] {
            assert_eq!(number(text), None, "{text:?}");
        }
    }

    #[test]
    fn trim_markers_need_their_space() {
        assert_eq!(
            kinds("a {{- 1 -}} b"),
            [
                Kind::Text("a".into()),
                Kind::Open,
                Kind::Int(1),
                Kind::Close,
                Kind::Text("b".into()),
                Kind::End
            ]
        );
        assert_eq!(
            kinds("a {{-1}} b"),
            [
                Kind::Text("a ".into()),
                Kind::Open,
                Kind::Int(-1),
                Kind::Close,
                Kind::Text(" b".into()),
                Kind::End
            ]
        );
    }

    #[test]
    fn comments_leave_nothing() {
        assert_eq!(
            kinds("a{{/* }} */}}b"),
            [Kind::Text("a".into()), Kind::Text("b".into()), Kind::End]
        );
    }

    #[test]
    fn strings_are_unescaped_as_go_does() {
        assert_eq!(unescape(r#"a\n\x41\u00e9\101\""#, '"'), Ok("a\nAéA\"".to_owned()));
        assert!(unescape(r"\q", '"').is_err());
    }
}
