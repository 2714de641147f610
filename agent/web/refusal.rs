//! Why a request is not answered: the status, a word for the account, and the sentence that says what to do.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{self, HeaderName, HeaderValue};

use crate::measure::Measure;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    /// A closed set, fit for a label.
    reason: &'static str,
    text: String,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, reason: &'static str, text: impl Into<String>) -> Self {
        Self {
            status,
            reason,
            text: text.into(),
        }
    }

    pub(crate) fn too_long(limit_bytes: usize) -> Self {
        let text = format!("the body is longer than {limit_bytes} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_long", text)
    }

    pub(crate) fn slow(timeout: Duration) -> Self {
        let text = format!(
            "the body did not arrive within {}",
            model::text::duration::short(timeout)
        );
        Self::new(StatusCode::REQUEST_TIMEOUT, "slow", text)
    }

    pub(crate) fn broken() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "broken", "the body broke off")
    }

    /// The answer, once it is on the account.
    pub(crate) fn counted(self, measure: &Measure) -> Response {
        tracing::debug!(status = self.status.as_u16(), why = self.text, "request refused");
        measure.requests_refused.with_label_values(&[self.reason]).inc();
        let mut response = (self.status, format!("{}\n", self.text)).into_response();
        if let Some((name, value)) = self.more() {
            response
                .headers_mut()
                .insert(name, HeaderValue::from_static(value));
        }
        response
    }

    /// What the status obliges to.
    fn more(&self) -> Option<(HeaderName, &'static str)> {
        match self.status {
            StatusCode::UNAUTHORIZED => Some((header::WWW_AUTHENTICATE, "Bearer")),
            StatusCode::SERVICE_UNAVAILABLE => Some((header::RETRY_AFTER, "1")),
            _ => None,
        }
    }
}
