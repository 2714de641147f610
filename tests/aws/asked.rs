//! Requests as they came, and answers as they go.

use std::time::Duration;

use model::Timestamp;
use serde_json::{Value, json};

/// A request, with nothing decoded: a signature is of what was sent.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    pub method: String,
    /// Before the `?`, as it came.
    pub path: String,
    /// After the `?`, as it came.
    pub query: String,
    /// Names in lower case, in the order in which they came.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Asked {
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

#[derive(Clone, Debug, Default)]
pub struct Answer {
    pub status: u16,
    pub kind: &'static str,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    /// It comes so much later, unless there is another one before.
    pub after: Duration,
}

impl Answer {
    #[must_use]
    pub fn empty(status: u16) -> Self {
        Self {
            status,
            ..Self::default()
        }
    }

    #[must_use]
    pub fn json(status: u16, body: &Value) -> Self {
        Self {
            status,
            kind: "application/json",
            body: body.to_string().into_bytes(),
            ..Self::default()
        }
    }

    /// In the protocol awsJson 1.1.
    pub(crate) fn aws_json(body: &Value) -> Self {
        Self {
            kind: "application/x-amz-json-1.1",
            ..Self::json(200, body)
        }
    }

    pub(crate) fn xml(status: u16, body: String) -> Self {
        Self {
            status,
            kind: "text/xml",
            body: body.into_bytes(),
            ..Self::default()
        }
    }
}

/// A refusal by its name and its sentence; each protocol writes it in its own way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

impl Refusal {
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    pub(crate) fn throttled() -> Self {
        Self::new("ThrottlingException", "Rate exceeded")
    }

    /// As awsJson 1.1 has it.
    pub(crate) fn json(&self) -> Answer {
        self.json_as(self.code)
    }

    pub(crate) fn json_as(&self, code: &str) -> Answer {
        let body = json!({"__type": code, "message": self.message});
        Answer {
            status: 400,
            ..Answer::aws_json(&body)
        }
    }

    /// As the query protocol has it; some codes have other names there.
    pub(crate) fn xml(&self) -> Answer {
        self.xml_of("https://sts.amazonaws.com/doc/2011-06-15/")
    }

    pub(crate) fn xml_of(&self, namespace: &str) -> Answer {
        let (status, code) = match self.code {
            "InvalidSignatureException" => (403, "SignatureDoesNotMatch"),
            "UnrecognizedClientException" => (403, "InvalidClientTokenId"),
            "ExpiredTokenException" => (403, "ExpiredToken"),
            "ExpiredIdentityToken" => (400, "ExpiredTokenException"),
            "MissingAuthenticationTokenException" => (403, "MissingAuthenticationToken"),
            "AccessDenied" => (403, "AccessDenied"),
            "ThrottlingException" => (400, "Throttling"),
            other if other.contains("NotFound") => (404, other),
            other => (400, other),
        };
        Answer::xml(
            status,
            format!(
                "<ErrorResponse xmlns=\"{namespace}\"><Error><Type>Sender</Type>\
                 <Code>{code}</Code><Message>{}</Message></Error><RequestId>{REQUEST}</RequestId></ErrorResponse>",
                escaped(&self.message)
            ),
        )
    }

    /// As services with paths of their own have it.
    pub(crate) fn rest(&self) -> Answer {
        Answer::json(403, &json!({"message": self.message}))
    }
}

pub(crate) const REQUEST: &str = "00000000-0000-0000-0000-000000000000";

/// As a header has it.
pub(crate) fn date(now: Timestamp) -> String {
    let date = jiff::Timestamp::from_millisecond(now.millis()).unwrap_or_default();
    date.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
