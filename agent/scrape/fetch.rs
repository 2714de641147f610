//! One request to a target, and whether what comes back can be read.

use std::path::Path;
use std::time::Duration;

use model::Clock;
use model::outside::{Client, ClientError, Method, Request, Response};
use tokio::io::AsyncReadExt;

use crate::intake::Refusal;
use crate::plan::{Auth, Password, Plan};

/// Asks for what can be read, the newest first, and takes what there is.
const ACCEPT: &str =
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
/// Longest secret read from a file.
const SECRET_BYTES_MAX: u64 = 64 << 10;

/// The body, or why there is none. Takes no longer than the plan's timeout.
pub(crate) async fn fetch(client: &dyn Client, clock: &dyn Clock, plan: &Plan) -> Result<Vec<u8>, Refusal> {
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

fn accepted(answer: Response, plan: &Plan) -> Result<Vec<u8>, Refusal> {
    if answer.status != 200 {
        return Err(refusal(
            "status",
            format!("the server answered with HTTP status {}", answer.status),
        ));
    }
    let kind = answer.header("content-type");
    if is_text(kind) || (plan.fallback && !is_other_format(kind)) {
        return Ok(answer.body);
    }
    let what = match kind {
        None => "no Content-Type".to_owned(),
        Some(kind) => format!("Content-Type {:?}", kind.chars().take(80).collect::<String>()),
    };
    let hint = if plan.fallback {
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

fn is_text(kind: Option<&str>) -> bool {
    kind.is_some_and(|kind| media(kind).eq_ignore_ascii_case("text/plain"))
}

/// A format that says what it is cannot be read as another one.
fn is_other_format(kind: Option<&str>) -> bool {
    let known = ["application/openmetrics-text", "application/vnd.google.protobuf"];
    kind.is_some_and(|kind| known.iter().any(|known| media(kind).eq_ignore_ascii_case(known)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_told_from_other_formats() {
        for kind in [
            "text/plain",
            "text/plain; version=0.0.4; charset=utf-8",
            "Text/Plain;version=1.0.0",
        ] {
            assert!(is_text(Some(kind)), "{kind}");
        }
        for kind in [
            "",
            "text/html",
            "text",
            "application/openmetrics-text; version=1.0.0",
        ] {
            assert!(!is_text(Some(kind)), "{kind}");
        }
        assert!(!is_text(None));
        assert!(is_other_format(Some(
            "application/openmetrics-text; version=1.0.0"
        )));
    }
}
