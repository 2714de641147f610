//! One request to a target, and whether what comes back can be read.

use std::path::Path;
use std::time::Duration;

use model::Clock;
use model::outside::{Client, ClientError, Method, Request, Response};
use tokio::io::AsyncReadExt;

use crate::intake::Refusal;
use crate::plan::{Auth, Password, Plan};
use crate::text::Format;

/// Asks for what can be read, in Prometheus' order, and takes what there is. Not for its protobuf, the only one that has
/// native histograms.
const ACCEPT: &str = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.8,\
     application/openmetrics-text;version=0.0.1;q=0.7,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.6,\
     text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
/// Longest secret read from a file.
const SECRET_BYTES_MAX: u64 = 64 << 10;

/// What a target says, and in which language.
#[derive(Debug)]
pub(crate) struct Body {
    pub(crate) bytes: Vec<u8>,
    pub(crate) format: Format,
}

/// The body, or why there is none. Takes no longer than the plan's timeout.
pub(crate) async fn fetch(client: &dyn Client, clock: &dyn Clock, plan: &Plan) -> Result<Body, Refusal> {
    let asked = async {
        let request = request(plan).await?;
        let answer = client
            .send(request)
            .await
            .map_err(|error| refusal(error.reason(), error.to_string()))?;
        accepted(answer, plan)
    };
    // The client keeps the time itself; this holds for one that does not.
    tokio::select! {
        biased;
        answer = asked => answer,
        () = clock.sleep(plan.timeout) => {
            let error = ClientError::Timeout(plan.timeout);
            Err(refusal(error.reason(), error.to_string()))
        }
    }
}

fn refusal(reason: &'static str, sentence: String) -> Refusal {
    Refusal {
        reason,
        sentence,
        samples: 0,
    }
}

async fn request(plan: &Plan) -> Result<Request, Refusal> {
    let mut headers = vec![
        ("Accept".to_owned(), ACCEPT.to_owned()),
        (
            "X-Prometheus-Scrape-Timeout-Seconds".to_owned(),
            seconds(plan.timeout),
        ),
    ];
    let authorization = match &plan.auth {
        Auth::None => None,
        Auth::Basic { username, password } => Some(net::basic(username, &secret(password).await?)),
        Auth::Header { kind, credentials } => Some(format!("{kind} {}", secret(credentials).await?)),
    };
    headers.extend(authorization.map(|value| ("Authorization".to_owned(), value)));
    Ok(Request {
        method: Method::Get,
        url: plan.url.clone(),
        headers,
        body: Vec::new(),
        timeout: plan.timeout,
        answer_bytes_max: plan.body_bytes_max,
    })
}

fn seconds(timeout: Duration) -> String {
    model::text::float::go(timeout.as_secs_f64())
}

async fn secret(password: &Password) -> Result<String, Refusal> {
    match password {
        Password::Given(secret) => Ok(secret.expose().to_owned()),
        Password::File(path) => read(path).await.map_err(|error| {
            refusal(
                "credentials",
                format!("reading the secret in {}: {error}", path.display()),
            )
        }),
    }
}

async fn read(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    let file = tokio::fs::File::open(path).await?;
    file.take(SECRET_BYTES_MAX).read_to_string(&mut text).await?;
    Ok(text.trim().to_owned())
}

fn accepted(answer: Response, plan: &Plan) -> Result<Body, Refusal> {
    if answer.status != 200 {
        return Err(refusal(
            "status",
            format!("the server answered with HTTP status {}", answer.status),
        ));
    }
    let kind = answer.header("content-type");
    let format = format(kind).or_else(|| plan.fallback.filter(|_| !is_protobuf(kind)));
    if let Some(format) = format {
        let bytes = answer.body;
        return Ok(Body { bytes, format });
    }
    let what = match kind {
        None => "no Content-Type".to_owned(),
        Some(kind) => format!("Content-Type {:?}", kind.chars().take(80).collect::<String>()),
    };
    let hint = if plan.fallback.is_some() {
        ""
    } else {
        "; fallback_scrape_protocol can say how to read it"
    };
    Err(refusal(
        "content_type",
        format!("the server answered with {what}, which is no metrics text{hint}"),
    ))
}

fn media(kind: &str) -> &str {
    kind.split(';').next().unwrap_or_default().trim()
}

fn format(kind: Option<&str>) -> Option<Format> {
    let is = |known: &str| kind.is_some_and(|kind| media(kind).eq_ignore_ascii_case(known));
    if is("application/openmetrics-text") {
        return Some(Format::OpenMetrics);
    }
    is("text/plain").then_some(Format::Text)
}

/// It says what it is, and cannot be read as text.
fn is_protobuf(kind: Option<&str>) -> bool {
    kind.is_some_and(|kind| media(kind).eq_ignore_ascii_case("application/vnd.google.protobuf"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_what_they_say_they_are() {
        for (kind, wanted) in [
            ("text/plain", Some(Format::Text)),
            ("text/plain; version=0.0.4; charset=utf-8", Some(Format::Text)),
            ("Text/Plain;version=1.0.0", Some(Format::Text)),
            (
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
                Some(Format::OpenMetrics),
            ),
            ("", None),
            ("text/html", None),
            ("text", None),
            (
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily",
                None,
            ),
        ] {
            assert_eq!(format(Some(kind)), wanted, "{kind}");
        }
        assert_eq!(format(None), None);
        assert!(is_protobuf(Some(
            "application/vnd.google.protobuf; encoding=delimited"
        )));
    }
}
