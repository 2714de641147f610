//! What a receiver's answer, or the lack of one, means for the message.

use std::time::Duration;

use model::mail::MailError;
use model::outside::{ClientError, Response};

/// Longest that a receiver may keep us waiting by `Retry-After`.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);
/// Characters kept of what a receiver says.
const WORDS_MAX: usize = 200;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    Taken(String),
    Later {
        /// A label of `failures_total`.
        reason: &'static str,
        words: String,
        /// When the receiver says so itself.
        after: Option<Duration>,
        /// Whether the message may have arrived all the same.
        unsure: bool,
    },
    /// Another try would get the same answer.
    Never {
        reason: &'static str,
        words: String,
    },
    /// Not sent: in the last moment it was no longer for us to speak.
    Held,
}

/// What became of a message that goes out in several parts, each of which may be sent again without harm.
#[derive(Default)]
pub(crate) struct Tally {
    taken: usize,
    words: String,
    refused: Option<(&'static str, String)>,
    end: Option<Verdict>,
}

impl Tally {
    /// Takes in a part's; whether the next one is to be tried.
    pub(crate) fn goes_on(&mut self, verdict: Verdict) -> bool {
        match verdict {
            Verdict::Taken(words) => {
                self.taken += 1;
                self.words = words;
                true
            }
            // One that is wrong does not hold up the others.
            Verdict::Never { reason, words } => {
                tracing::warn!(error = words, "one part of a message was refused");
                self.refused = Some((reason, words));
                true
            }
            end => {
                self.end = Some(end);
                false
            }
        }
    }

    /// Once a part was taken, nobody may believe that nothing arrived.
    pub(crate) fn verdict(self) -> Verdict {
        let is_begun = self.taken > 0;
        match (self.end, self.refused) {
            (Some(Verdict::Held), _) if is_begun => Verdict::Later {
                reason: "broken",
                words: "stopped in the middle: another replica speaks now".to_owned(),
                after: None,
                unsure: true,
            },
            (
                Some(Verdict::Later {
                    reason,
                    words,
                    after,
                    unsure,
                }),
                _,
            ) => Verdict::Later {
                reason,
                words,
                after,
                unsure: unsure || is_begun,
            },
            (Some(end), _) => end,
            (None, Some((reason, words))) if !is_begun => Verdict::Never { reason, words },
            (None, Some((_, words))) => Verdict::Taken(format!("{}, but for a part: {words}", self.words)),
            (None, None) if is_begun => Verdict::Taken(self.words),
            (None, None) => Verdict::Taken("nothing to change".to_owned()),
        }
    }
}

/// The closed set of `failures_total{reason}`.
pub(crate) const REASONS: [&str; 9] = [
    "bad_url",
    "connect",
    "timeout",
    "too_long",
    "broken",
    "throttled",
    "server_error",
    "rejected",
    "secret",
];

pub(crate) fn judge(outcome: &Result<Response, ClientError>) -> Verdict {
    match outcome {
        Ok(answer) => judge_answer(answer),
        Err(error @ ClientError::BadUrl(_)) => Verdict::Never {
            reason: error.reason(),
            words: error.to_string(),
        },
        Err(error) => Verdict::Later {
            reason: error.reason(),
            words: error.to_string(),
            after: None,
            // Without a connection nothing can have arrived; after any other failure nobody knows.
            unsure: !matches!(error, ClientError::Connect(_) | ClientError::Unsigned(_)),
        },
    }
}

/// What a mail server said, or that it said nothing.
pub(crate) fn judge_mail(outcome: &Result<String, MailError>) -> Verdict {
    let error = match outcome {
        Ok(said) => return Verdict::Taken(words(said.as_bytes())),
        Err(error) => error,
    };
    let said = words(error.to_string().as_bytes());
    let later = |reason, unsure| Verdict::Later {
        reason,
        words: said.clone(),
        after: None,
        unsure,
    };
    match error {
        MailError::Bad(_) => Verdict::Never {
            reason: "bad_url",
            words: said,
        },
        MailError::Refused { code: 500.., .. } => Verdict::Never {
            reason: "rejected",
            words: said,
        },
        MailError::Refused { .. } => later("server_error", false),
        MailError::Connect(_) => later("connect", false),
        MailError::Timeout { may_have_arrived, .. } => later("timeout", *may_have_arrived),
        MailError::Broken { may_have_arrived, .. } => later("broken", *may_have_arrived),
    }
}

/// The secret that names the receiver could not be read.
pub(crate) fn no_secret(words: String) -> Verdict {
    Verdict::Later {
        reason: "secret",
        words,
        after: None,
        unsure: false,
    }
}

fn judge_answer(answer: &Response) -> Verdict {
    let said = words(&answer.body);
    let said = if said.is_empty() { said } else { format!(" {said}") };
    let words = format!("{}{said}", answer.status);
    match answer.status {
        200..=299 => judge_content(answer, words),
        429 => Verdict::Later {
            reason: "throttled",
            words: "429".to_owned(),
            after: retry_after(answer),
            unsure: false,
        },
        // These two are said by something in between, which does not know what became of the message.
        502 | 504 => later("server_error", words, answer, true),
        408 | 500..=599 => later("server_error", words, answer, false),
        _ => Verdict::Never {
            reason: "rejected",
            words,
        },
    }
}

/// Slack's newer methods answer 200 with `{"ok":false}`; such a refusal is one.
fn judge_content(answer: &Response, words: String) -> Verdict {
    let refused = answer.body.starts_with(b"{")
        && serde_json::from_slice::<serde_json::Value>(&answer.body)
            .is_ok_and(|body| body.get("ok") == Some(&serde_json::Value::Bool(false)));
    if refused {
        Verdict::Never {
            reason: "rejected",
            words,
        }
    } else {
        Verdict::Taken(answer.status.to_string())
    }
}

/// As [`judge`]; of what Slack's newer methods refuse, some is only for now.
pub(crate) fn judge_slack(outcome: &Result<Response, ClientError>) -> Verdict {
    const FOR_NOW: [&str; 6] = [
        "ratelimited",
        "rate_limited",
        "internal_error",
        "fatal_error",
        "service_unavailable",
        "request_timeout",
    ];
    let verdict = judge(outcome);
    let said = outcome.as_ref().ok().and_then(|answer| {
        let body = serde_json::from_slice::<serde_json::Value>(&answer.body).ok()?;
        Some((answer, body.get("error")?.as_str()?.to_owned()))
    });
    match (verdict, said) {
        (Verdict::Never { words, .. }, Some((answer, error))) if FOR_NOW.contains(&error.as_str()) => {
            let reason = if error.contains("limited") {
                "throttled"
            } else {
                "server_error"
            };
            later(reason, words, answer, false)
        }
        (verdict, _) => verdict,
    }
}

fn later(reason: &'static str, words: String, answer: &Response, unsure: bool) -> Verdict {
    Verdict::Later {
        reason,
        words,
        after: retry_after(answer),
        unsure,
    }
}

fn retry_after(answer: &Response) -> Option<Duration> {
    let seconds: u64 = answer.header("retry-after")?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}

/// The first line of an answer, cut, without anything that could disturb a log.
fn words(body: &[u8]) -> String {
    let head = body.get(..body.len().min(4 * WORDS_MAX)).unwrap_or_default();
    let text = String::from_utf8_lossy(head);
    let line = text.trim().lines().next().unwrap_or_default();
    let plain = line.chars().filter(|letter| !letter.is_control());
    plain.take(WORDS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str, retry_after: Option<&str>) -> Verdict {
        let headers = retry_after.map(|value| ("retry-after".to_owned(), value.to_owned()));
        judge(&Ok(Response {
            status,
            headers: headers.into_iter().collect(),
            body: body.as_bytes().to_vec(),
        }))
    }

    #[test]
    fn what_the_receiver_means_is_understood() {
        assert_eq!(answer(200, "ok", None), Verdict::Taken("200".to_owned()));
        for status in [301, 400, 401, 403, 404, 410] {
            let verdict = answer(status, "no_service\nmore", None);
            let words = format!("{status} no_service");
            assert_eq!(
                verdict,
                Verdict::Never {
                    reason: "rejected",
                    words
                }
            );
        }
        assert!(matches!(
            answer(200, r#"{"ok":false,"error":"no_text"}"#, None),
            Verdict::Never { .. }
        ));
        for (status, unsure_then) in [(500, false), (502, true), (503, false), (504, true)] {
            let verdict = answer(status, "", None);
            assert!(
                matches!(verdict, Verdict::Later { unsure, .. } if unsure == unsure_then),
                "{verdict:?}"
            );
        }
    }

    #[test]
    fn retry_after_is_heeded_and_bounded() {
        for (header, wait) in [("7", Some(7)), ("999999", Some(3600)), ("soon", None)] {
            let expected = wait.map(Duration::from_secs);
            let verdict = answer(429, "", Some(header));
            assert!(
                matches!(verdict, Verdict::Later { after, .. } if after == expected),
                "{verdict:?}"
            );
        }
    }

    #[test]
    fn only_a_failed_connection_is_known_to_have_delivered_nothing() {
        let timeout = ClientError::Timeout(Duration::from_secs(10));
        for (error, sure) in [
            (ClientError::Connect("refused".to_owned()), true),
            (timeout, false),
            (ClientError::Broken("reset".to_owned()), false),
        ] {
            let verdict = judge(&Err(error));
            assert!(
                matches!(verdict, Verdict::Later { unsure, .. } if unsure != sure),
                "{verdict:?}"
            );
        }
    }
}
