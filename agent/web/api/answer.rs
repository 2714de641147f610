//! The envelope of every answer: `{"status":"success","data":…}` or an error with its type.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, Uri, header};
use serde::Serialize;

use crate::desk::Unserved;
use crate::json;

pub(crate) const TRUNCATED: &str = "results truncated due to limit";

/// What went wrong, by Prometheus' names; the name decides the status code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    BadData,
    Execution,
    Timeout,
    Canceled,
    NotFound,
    Internal,
}

impl Wrong {
    fn text(self) -> &'static str {
        match self {
            Self::BadData => "bad_data",
            Self::Execution => "execution",
            Self::Timeout => "timeout",
            Self::Canceled => "canceled",
            Self::NotFound => "not_found",
            Self::Internal => "internal",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::BadData => StatusCode::BAD_REQUEST,
            Self::Execution => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Timeout => StatusCode::SERVICE_UNAVAILABLE,
            // nginx' number for a client that went away, as in Prometheus.
            Self::Canceled => StatusCode::from_u16(499).unwrap_or(StatusCode::REQUEST_TIMEOUT),
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) wrong: Wrong,
    pub(crate) text: String,
}

pub(crate) fn bad_data(text: impl Into<String>) -> Failure {
    Failure {
        wrong: Wrong::BadData,
        text: text.into(),
    }
}

/// As Prometheus words a parameter it cannot use.
pub(crate) fn bad_parameter(name: &str, why: impl std::fmt::Display) -> Failure {
    bad_data(format!("invalid parameter \"{name}\": {why}"))
}

impl From<Unserved> for Failure {
    fn from(unserved: Unserved) -> Self {
        let wrong = match unserved {
            Unserved::Full { .. } | Unserved::Late => Wrong::Timeout,
            Unserved::Broken => Wrong::Internal,
        };
        Self {
            wrong,
            text: unserved.to_string(),
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Text<'a> {
            status: &'a str,
            error_type: &'a str,
            error: &'a str,
        }
        let text = Text {
            status: "error",
            error_type: self.wrong.text(),
            error: &self.text,
        };
        let mut response = object(&text);
        *response.status_mut() = self.wrong.status();
        response
    }
}

/// Remarks beside the data; left out when empty.
#[derive(Clone, Debug, Default)]
pub(crate) struct Remarks {
    pub(crate) warnings: Vec<String>,
    pub(crate) infos: Vec<String>,
}

impl Remarks {
    /// Everything after the data, the closing brace included.
    pub(crate) fn tail(&self) -> String {
        let mut text = String::new();
        for (name, remarks) in [("warnings", &self.warnings), ("infos", &self.infos)] {
            if remarks.is_empty() {
                continue;
            }
            text.push_str(",\"");
            text.push_str(name);
            text.push_str("\":[");
            for (nth, remark) in remarks.iter().enumerate() {
                if nth > 0 {
                    text.push(',');
                }
                json::string(&mut text, remark);
            }
            text.push(']');
        }
        text.push('}');
        text
    }
}

/// A small answer.
pub(crate) fn success(data: &impl Serialize) -> Response {
    #[derive(Serialize)]
    struct Whole<'a, T> {
        status: &'a str,
        data: &'a T,
    }
    object(&Whole {
        status: "success",
        data,
    })
}

/// A list that may be long, cut to `limit` (0 is no limit).
pub(crate) fn success_list<T: Send + 'static>(
    mut items: Vec<T>,
    limit: usize,
    write: impl Fn(&mut String, &T) + Send + 'static,
) -> Response {
    let mut remarks = Remarks::default();
    truncate(&mut items, limit, &mut remarks);
    let head = "{\"status\":\"success\",\"data\":[".to_owned();
    json(json::list(head, items, write, format!("]{}", remarks.tail())))
}

/// Cuts and says so.
pub(crate) fn truncate<T>(items: &mut Vec<T>, limit: usize, remarks: &mut Remarks) {
    if limit > 0 && items.len() > limit {
        items.truncate(limit);
        remarks.warnings.push(TRUNCATED.to_owned());
    }
}

pub(crate) fn json(body: Body) -> Response {
    let mut response = Response::new(body);
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn object(data: &impl Serialize) -> Response {
    match serde_json::to_string(data) {
        Ok(text) => json(Body::from(text)),
        Err(error) => {
            tracing::error!(%error, "an answer could not be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Answers what is asked under `/api/v1` and is not there.
pub(crate) async fn no_such_door(uri: Uri) -> Failure {
    Failure {
        wrong: Wrong::NotFound,
        text: format!("there is no {} here", uri.path()),
    }
}
