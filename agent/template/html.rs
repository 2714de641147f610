//! Values put into HTML, each escaped for the place where it lands, as Go's `html/template` does.
//!
//! What a template's author wrote is written as it is, but for comments; what comes from data can neither open a tag,
//! end an attribute, nor make a link that runs something.

use std::fmt::Write;

use crate::error::Problem;

/// What Go writes in place of a value that has no business where it stands.
const UNSAFE: &str = "ZgotmplZ";

#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Text,
    /// `<` and the first letters of a name.
    Name,
    /// Within a tag, between attributes.
    Tag,
    Attribute,
    /// Behind the `=`.
    Equals,
    /// The value of an attribute, and what ends it; none: a blank or the tag's end.
    Value(Option<char>),
    Comment,
    /// What holds no tags, until its own end: a script, a style, a title.
    Raw,
}

/// What an attribute's value is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Meaning {
    Plain,
    Url,
    Style,
    Script,
}

/// How far within a URL.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Part {
    Start,
    Path,
    Query,
}

#[derive(Debug)]
pub(crate) struct Html {
    place: Place,
    element: String,
    attribute: String,
    part: Part,
}

impl Html {
    pub(crate) fn new() -> Self {
        Self {
            place: Place::Text,
            element: String::new(),
            attribute: String::new(),
            part: Part::Start,
        }
    }

    /// What the author wrote, without comments.
    pub(crate) fn literal(&mut self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(letter) = rest.chars().next() {
            if self.place == Place::Comment {
                let Some(end) = rest.find("-->") else {
                    break;
                };
                rest = rest.get(end + 3..).unwrap_or_default();
                self.place = Place::Text;
                continue;
            }
            if self.place == Place::Text && rest.starts_with("<!--") {
                self.place = Place::Comment;
                rest = rest.get(4..).unwrap_or_default();
                continue;
            }
            let before = self.place;
            self.pass(letter, rest);
            if letter == '<' && before == Place::Text && self.place == Place::Text && !rest.starts_with("<!")
            {
                out.push_str("&lt;");
            } else {
                out.push(letter);
            }
            rest = rest.get(letter.len_utf8()..).unwrap_or_default();
        }
        out
    }

    /// One letter of the author's; `rest` begins with it.
    fn pass(&mut self, letter: char, rest: &str) {
        match self.place {
            Place::Text => {
                let mut behind = rest.chars().skip(1);
                if letter == '<'
                    && behind
                        .next()
                        .is_some_and(|next| next.is_ascii_alphabetic() || next == '/')
                {
                    self.place = Place::Name;
                    self.element.clear();
                }
            }
            Place::Raw => {
                let end = format!("</{}", self.element);
                if rest
                    .get(..end.len())
                    .is_some_and(|found| found.eq_ignore_ascii_case(&end))
                {
                    self.place = Place::Name;
                    self.element.clear();
                }
            }
            Place::Name if letter == '>' || letter.is_whitespace() => self.within(letter),
            Place::Name => self.element.push(letter.to_ascii_lowercase()),
            Place::Tag | Place::Attribute if letter == '=' => {
                self.place = Place::Equals;
                self.part = Part::Start;
            }
            Place::Attribute if !letter.is_whitespace() && !matches!(letter, '>' | '/') => {
                self.attribute.push(letter.to_ascii_lowercase());
            }
            Place::Tag if !letter.is_whitespace() && !matches!(letter, '>' | '/') => {
                self.attribute = letter.to_ascii_lowercase().to_string();
                self.place = Place::Attribute;
            }
            Place::Tag | Place::Attribute => self.within(letter),
            Place::Equals if matches!(letter, '"' | '\'') => self.place = Place::Value(Some(letter)),
            Place::Equals if letter.is_whitespace() => {}
            Place::Equals if letter == '>' => self.within(letter),
            Place::Equals => {
                self.place = Place::Value(None);
                self.advance(letter);
            }
            Place::Value(Some(quote)) if letter == quote => self.within(' '),
            Place::Value(None) if letter == '>' || letter.is_whitespace() => self.within(letter),
            Place::Value(_) => self.advance(letter),
            Place::Comment => {}
        }
    }

    /// Back between attributes, or out of the tag.
    fn within(&mut self, letter: char) {
        self.attribute.clear();
        self.place = if letter != '>' {
            Place::Tag
        } else if matches!(self.element.as_str(), "script" | "style" | "title" | "textarea") {
            Place::Raw
        } else {
            Place::Text
        };
    }

    fn advance(&mut self, letter: char) {
        self.part = match (self.part, letter) {
            (_, '?' | '#') | (Part::Query, _) => Part::Query,
            _ => Part::Path,
        };
    }

    fn meaning(&self) -> Meaning {
        match self.attribute.as_str() {
            "style" => Meaning::Style,
            "action" | "background" | "cite" | "data" | "formaction" | "href" | "poster" | "src"
            | "srcset" | "usemap" | "xlink:href" => Meaning::Url,
            name if name.starts_with("on") => Meaning::Script,
            _ => Meaning::Plain,
        }
    }

    /// A value as it may stand here. One that is `written` in HTML by a function of the author's choice stays as it is
    /// in text.
    ///
    /// # Errors
    /// It would become part of a script.
    pub(crate) fn value(&mut self, text: &str, written: bool) -> Result<String, Problem> {
        const SCRIPT: &str = "a value within a script: it cannot be made safe there";
        Ok(match self.place {
            Place::Comment => String::new(),
            Place::Text if written => text.to_owned(),
            Place::Text => escaped(text),
            Place::Raw if self.element == "script" => return Err(SCRIPT.into()),
            Place::Raw if self.element == "style" => style(text).to_owned(),
            Place::Raw => escaped(text),
            Place::Name | Place::Tag | Place::Attribute => {
                let is_word = text
                    .chars()
                    .all(|letter| letter.is_ascii_alphanumeric() || letter == '-');
                if is_word { text } else { UNSAFE }.to_owned()
            }
            Place::Equals | Place::Value(_) => {
                if self.place == Place::Equals {
                    self.place = Place::Value(None);
                }
                let fit = match self.meaning() {
                    Meaning::Script => return Err(SCRIPT.into()),
                    Meaning::Style => style(text).to_owned(),
                    Meaning::Plain => text.to_owned(),
                    Meaning::Url => self.url(text),
                };
                match self.place {
                    Place::Value(None) => unquoted(&fit),
                    _ => escaped(&fit),
                }
            }
        })
    }

    fn url(&mut self, text: &str) -> String {
        match self.part {
            Part::Query => encoded(text, |_| false),
            Part::Path => normal(text),
            Part::Start => {
                self.part = Part::Path;
                let scheme = text.split_once(':').map(|(scheme, _)| scheme);
                let is_known = scheme.is_none_or(|scheme| {
                    scheme.contains('/')
                        || ["http", "https", "mailto"]
                            .iter()
                            .any(|known| scheme.eq_ignore_ascii_case(known))
                });
                if is_known {
                    normal(text)
                } else {
                    format!("#{UNSAFE}")
                }
            }
        }
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\0' => out.push('\u{fffd}'),
            '"' => out.push_str("&#34;"),
            '&' => out.push_str("&amp;"),
            '\'' => out.push_str("&#39;"),
            '+' => out.push_str("&#43;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            other => out.push(other),
        }
    }
    out
}

/// Where a blank would end it.
fn unquoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in escaped(text).chars() {
        match letter {
            '\t' | '\n' | '\x0b' | '\x0c' | '\r' | ' ' | '=' | '`' => {
                // Writing to a string cannot fail.
                _ = write!(out, "&#{};", u32::from(letter));
            }
            other => out.push(other),
        }
    }
    out
}

/// A value of a style sheet, if it can be nothing else.
fn style(text: &str) -> &str {
    let is_plain = text
        .chars()
        .all(|letter| letter.is_alphanumeric() || " #%+,-._!".contains(letter));
    if is_plain { text } else { UNSAFE }
}

/// What stands for itself in a URL stays, also what is encoded already.
fn normal(text: &str) -> String {
    let bytes = text.as_bytes();
    encoded(text, |nth| {
        let is_encoded = || {
            bytes
                .get(nth + 1..nth + 3)
                .is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
        };
        match bytes.get(nth) {
            Some(b'%') => is_encoded(),
            Some(byte) => b"!#$&*+,/:;=?@[]".contains(byte),
            None => false,
        }
    })
}

/// `is_kept` says of which other bytes, by their number.
fn encoded(text: &str, is_kept: impl Fn(usize) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for (nth, byte) in text.bytes().enumerate() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || is_kept(nth) {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            _ = write!(out, "%{byte:02x}");
        }
    }
    out
}
