//! Asks an engine behind Prometheus' HTTP API what rules ask, in the place of the evaluator beside them.
//!
//! No answer is better than half of one: what an engine could not see looks as if it had ended. So an answer with a
//! warning is none unless the configuration says otherwise (Thanos and Mimir warn when a store is away; Prometheus' own
//! remarks about an expression are no such warnings), and one that breaks off, or is no answer of the API, is none either.
//! The API is <https://prometheus.io/docs/prometheus/latest/querying/api/#instant-queries>.

mod answer;
mod config;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use model::outside::{Client, ClientError, Method, Request, Response};
use model::{Answer, Ask, AskError, BoxFuture, Timestamp};
use net::{Backoff, Reach, Via};
use prometheus::{Histogram, IntCounter, IntCounterVec, Registry};
use telemetry::metrics::{counter, counters, histogram};
use tokio::sync::Semaphore;

pub use config::Config;

/// Longest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// Letters kept of what is no answer of the API.
const WORDS_MAX: usize = 200;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// An engine elsewhere.
pub struct Datasource {
    config: Config,
    /// How it is reached, or why it cannot be.
    reach: Result<Reach, String>,
    client: Arc<dyn Client>,
    url: String,
    places: Semaphore,
    metrics: Metrics,
}

struct Metrics {
    questions: IntCounterVec,
    retries: IntCounter,
    took: Histogram,
}

/// What became of one try.
enum Tried {
    Done(Result<Answer, AskError>),
    /// Worth another, after so long if the engine says it.
    Passing {
        why: String,
        after: Option<Duration>,
    },
}

impl Datasource {
    #[must_use]
    pub fn new(config: Config, client: Arc<dyn Client>, registry: &Registry) -> Self {
        Self {
            url: format!("{}/api/v1/query", config.url.trim_end_matches('/')),
            places: Semaphore::new(config.concurrency),
            reach: config.reach(),
            config,
            client,
            metrics: Metrics {
                questions: counters(
                    registry,
                    "skopos_rules_datasource_questions_total",
                    "Questions of rules to the data source elsewhere: answered, bad_question or no_answer.",
                    &["outcome"],
                ),
                retries: counter(
                    registry,
                    "skopos_rules_datasource_retries_total",
                    "Questions that were asked again.",
                ),
                took: histogram(
                    registry,
                    "skopos_rules_datasource_duration_seconds",
                    "How long an answer took, with its retries.",
                ),
            },
        }
    }

    async fn answer(&self, expr: &str, time: Timestamp) -> Result<Answer, AskError> {
        let _place = self.places.acquire().await;
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        let mut left = self.config.retries;
        loop {
            let (why, after) = match self.once(expr, time).await {
                Tried::Done(outcome) => return outcome,
                Tried::Passing { why, after } => (why, after),
            };
            if left == 0 {
                return Err(self.no_answer(&why));
            }
            left -= 1;
            self.metrics.retries.inc();
            let pause = backoff.next();
            tokio::time::sleep(after.map_or(pause, |after| after.clamp(pause, LONGEST_PAUSE))).await;
        }
    }

    async fn once(&self, expr: &str, time: Timestamp) -> Tried {
        let via = match self.open().await {
            Ok(via) => via,
            Err(why) => return Tried::Done(Err(self.no_answer(&why))),
        };
        match via.send(self.request(expr, time)).await {
            Ok(response) => self.judge(&response),
            // The same question would be as long.
            Err(error @ (ClientError::TooLong { .. } | ClientError::BadUrl(_))) => {
                Tried::Done(Err(self.no_answer(&error.to_string())))
            }
            Err(error) => Tried::Passing {
                why: error.to_string(),
                after: None,
            },
        }
    }

    async fn open(&self) -> Result<Via<'_>, String> {
        let reach = self.reach.as_ref().map_err(Clone::clone)?;
        reach.open(&*self.client, &|| true).await
    }

    fn request(&self, expr: &str, time: Timestamp) -> Request {
        let own = [("query", expr.to_owned()), ("time", answer::seconds(time))];
        let form = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(own)
            .extend_pairs(&self.config.query_params)
            .finish();
        let mut headers = vec![(
            "Content-Type".to_owned(),
            "application/x-www-form-urlencoded".to_owned(),
        )];
        for (name, value) in &self.config.headers {
            headers.push((name.clone(), value.expose().to_owned()));
        }
        Request {
            method: Method::Post,
            url: self.url.clone(),
            headers,
            body: form.into(),
            timeout: self.config.timeout,
            answer_bytes_max: ANSWER_BYTES_MAX,
        }
    }

    fn judge(&self, response: &Response) -> Tried {
        let status = response.status;
        let read = answer::read(&response.body);
        match (status, read) {
            (200..=299, Ok(read)) => Tried::Done(self.whole(read)),
            // RFC 9110, 10.2.3; engines send seconds.
            (429 | 500.., read) => Tried::Passing {
                why: match read {
                    Err(answer::Wrong::Refused { error, .. }) => format!("it answers {status}: {error}"),
                    _ => format!("it answers {status}"),
                },
                after: response
                    .header("retry-after")
                    .and_then(|text| text.trim().parse().ok())
                    .map(Duration::from_secs),
            },
            (_, Err(answer::Wrong::Refused { kind, error })) if kind == "bad_data" => {
                Tried::Done(Err(AskError::BadQuestion(error)))
            }
            (_, Err(answer::Wrong::Refused { error, .. })) => Tried::Done(Err(self.no_answer(&error))),
            (_, Err(answer::Wrong::Question(why))) => Tried::Done(Err(AskError::BadQuestion(why))),
            (400..=499, Err(answer::Wrong::NoAnswer(_))) => {
                let words = said(&response.body);
                Tried::Done(Err(self.no_answer(&format!("it answers {status} {words}"))))
            }
            (_, Err(answer::Wrong::NoAnswer(why))) => {
                Tried::Done(Err(self.no_answer(&format!("it answers {status} and {why}"))))
            }
            (_, Ok(_)) => Tried::Done(Err(self.no_answer(&format!("it answers {status}")))),
        }
    }

    fn whole(&self, read: answer::Read) -> Result<Answer, AskError> {
        match read.partial {
            Some(warning) if !self.config.partial_answers => Err(self.no_answer(&format!(
                "the answer may be a part only ({warning}); rules.datasource.partial_answers takes it all the same"
            ))),
            _ => Ok(read.answer),
        }
    }

    fn no_answer(&self, why: &str) -> AskError {
        AskError::NoAnswer(format!("asking {}: {why}", self.config.shown()))
    }
}

/// The first line of an answer that is none of the API: what stands before the engine knows best what it refuses.
fn said(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty());
    let letters = line.unwrap_or_default().chars();
    letters
        .filter(|letter| !letter.is_control())
        .take(WORDS_MAX)
        .collect()
}

impl Ask for Datasource {
    fn ask<'a>(&'a self, expr: &'a str, time: Timestamp) -> BoxFuture<'a, Result<Answer, AskError>> {
        Box::pin(async move {
            let begun = Instant::now();
            let outcome = self.answer(expr, time).await;
            self.metrics.took.observe(begun.elapsed().as_secs_f64());
            let word = match &outcome {
                Ok(_) => "answered",
                Err(AskError::BadQuestion(_)) => "bad_question",
                Err(AskError::NoAnswer(_)) => "no_answer",
            };
            self.metrics.questions.with_label_values(&[word]).inc();
            outcome
        })
    }
}
