//! One request to a target, and whether what comes back can be read.

use std::time::Duration;

use model::Clock;
use model::outside::{Client, ClientError, Method, Request, Response};
use net::{Reach, Via};

use crate::intake::Refusal;
use crate::plan::Plan;
use crate::text::Format;

/// Asks for what can be read, in Prometheus' order, and takes what there is. Not for its protobuf, the only one that has
/// native histograms.
const ACCEPT: &str = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.8,\
     application/openmetrics-text;version=0.0.1;q=0.7,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.6,\
     text/plain;version=0.0.4;q=0.5,*/*;q=0.1";

/// What a target says, and in which language.
#[derive(Debug)]
pub(crate) struct Body {
    pub(crate) bytes: Vec<u8>,
    pub(crate) format: Format,
}

/// The body, or why there is none. Takes no longer than the plan's timeout.
pub(crate) async fn fetch(client: &dyn Client, clock: &dyn Clock, plan: &Plan) -> Result<Body, Refusal> {
    let asked = async {
        let answer = match &plan.reach {
            None => usual(client, plan).await?,
            Some(reach) => {
                let via = open(reach, client).await?;
                via.send(request(plan)).await.map_err(failed)?
            }
        };
        accepted(answer, plan)
    };
    // The client keeps the time itself; this holds for one that does not.
    tokio::select! {
        biased;
        answer = asked => answer,
        () = clock.sleep(plan.timeout) => {
            Err(failed(ClientError::Timeout(plan.timeout)))
        }
    }
}

fn refusal(reason: &'static str, sentence: String) -> Refusal {
    Refusal {
        reason,
        sentence,
        samples: 0,
        relabelled: 0,
    }
}

#[expect(clippy::needless_pass_by_value, reason = "map_err gives it away")]
fn failed(error: ClientError) -> Refusal {
    refusal(error.reason(), error.to_string())
}

/// The way of nearly all targets: one request, and more only where the answer is a redirect.
async fn usual(client: &dyn Client, plan: &Plan) -> Result<Response, Refusal> {
    let answer = client.send(request(plan)).await.map_err(failed)?;
    if !net::is_redirect(answer.status) {
        return Ok(answer);
    }
    let reach = Reach::default();
    let via = open(&reach, client).await?;
    via.go_on(request(plan), answer).await.map_err(failed)
}

/// Scraping needs nobody's leave, however often.
async fn open<'a>(reach: &'a Reach, client: &'a dyn Client) -> Result<Via<'a>, Refusal> {
    let opened = reach.open(client, &|| true).await;
    opened.map_err(|why| refusal("credentials", why))
}

fn request(plan: &Plan) -> Request {
    let timeout = seconds(plan.timeout);
    Request {
        method: Method::Get,
        url: plan.url.clone(),
        headers: vec![
            ("Accept".to_owned(), ACCEPT.to_owned()),
            ("X-Prometheus-Scrape-Timeout-Seconds".to_owned(), timeout),
        ],
        body: Vec::new().into(),
        timeout: plan.timeout,
        answer_bytes_max: plan.body_bytes_max,
    }
}

fn seconds(timeout: Duration) -> String {
    model::text::float::go(timeout.as_secs_f64())
}

fn accepted(answer: Response, plan: &Plan) -> Result<Body, Refusal> {
    if answer.status != 200 {
        return Err(refusal(
            "status",
            format!("the server answered with HTTP status {}", answer.status),
        ));
    }
    if plan.translation.is_some() {
        return Ok(Body {
            bytes: answer.body,
            format: Format::Text,
        });
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
