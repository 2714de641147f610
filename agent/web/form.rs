//! Parameters of a request: those of a form body first, then those of the URL, as Go reads them.

use axum::body::to_bytes;
use axum::extract::{FromRequest, Request};
use http::{Method, header};

use crate::api::{Failure, bad_data};
use crate::guard::BODY_BYTES_MAX;

const FORM: &str = "application/x-www-form-urlencoded";

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    /// # Errors
    /// An escape that is none, or bytes that are not UTF-8.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut pairs = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            pairs.push((unescape(name)?, unescape(value)?));
        }
        Ok(Self(pairs))
    }

    pub(crate) fn of(pairs: Vec<(String, String)>) -> Self {
        Self(pairs)
    }

    /// The first value of that name; empty when there is none.
    pub(crate) fn first(&self, name: &str) -> &str {
        let mut pairs = self.0.iter();
        pairs
            .find(|(known, _)| known == name)
            .map_or("", |(_, value)| value)
    }

    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> + 'a {
        let named = self.0.iter().filter(move |(known, _)| known == name);
        named.map(|(_, value)| value.as_str())
    }

    /// All of it, in order.
    pub(crate) fn pairs(self) -> impl Iterator<Item = (String, String)> {
        self.0.into_iter()
    }
}

impl<S: Sync> FromRequest<S> for Form {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        let wrong = |why: String| bad_data(format!("error parsing form values: {why}"));
        let in_url = Self::parse(request.uri().query().unwrap_or_default()).map_err(wrong)?;
        if request.method() != Method::POST || !is_form(&request) {
            return Ok(in_url);
        }
        let body = to_bytes(request.into_body(), BODY_BYTES_MAX)
            .await
            .map_err(|error| wrong(error.to_string()))?;
        let text = std::str::from_utf8(&body).map_err(|error| wrong(error.to_string()))?;
        let mut form = Self::parse(text).map_err(wrong)?;
        form.0.extend(in_url.0);
        Ok(form)
    }
}

fn is_form(request: &Request) -> bool {
    request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .and_then(|kind| kind.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case(FORM))
}

fn unescape(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let (high, low) = (rest.next(), rest.next());
                hex(high)
                    .zip(hex(low))
                    .map(|(high, low)| high << 4 | low)
                    .ok_or_else(|| format!("invalid URL escape in {}", model::text::quote(text)))?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).map_err(|_| format!("{} is not UTF-8", model::text::quote(text)))
}

fn hex(digit: Option<u8>) -> Option<u8> {
    char::from(digit?)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_unescaped_and_may_repeat() {
        let form = Form::parse("match[]=a%7Bx%3D%22%C3%A4%22%7D&match%5B%5D=b+c&&empty=&bare").unwrap();
        assert_eq!(form.all("match[]").collect::<Vec<_>>(), [r#"a{x="ä"}"#, "b c"]);
        assert_eq!(
            (form.first("empty"), form.first("bare"), form.first("none")),
            ("", "", "")
        );
    }

    #[test]
    fn a_broken_escape_is_named() {
        for text in ["q=%zz", "q=%2", "q=%", "q=%+1"] {
            assert!(
                Form::parse(text).unwrap_err().contains("invalid URL escape"),
                "{text}"
            );
        }
        assert!(Form::parse("q=%ff").unwrap_err().contains("UTF-8"));
    }
}
