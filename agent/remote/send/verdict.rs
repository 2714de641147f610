//! What a receiver's answer, or the lack of one, means for what was sent.

use std::time::Duration;

use model::Timestamp;
use model::outside::{ClientError, Response};

use crate::send::config::Message;

/// Longest that a receiver may keep us waiting by `Retry-After`.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(5 * 60);
/// Characters kept of what a receiver says.
const WORDS_MAX: usize = 300;
const WRITTEN: &str = "x-prometheus-remote-write-samples-written";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It has it, or all of it that it will ever take: as many samples, none means all.
    Taken(Option<u64>),
    /// Another try would get the same answer; some of it may have been taken.
    Never { words: String, taken: u64 },
    /// It would take less at once.
    TooLarge { words: String },
    /// It does not speak this version of the protocol.
    OtherVersion { words: String },
    Later {
        /// A label of `retries_total`.
        reason: &'static str,
        words: String,
        /// When the receiver says so itself.
        after: Option<Duration>,
        /// Nothing but somebody's change will mend it: a token, a path.
        is_refused: bool,
    },
}

/// `has_spoken`: it has answered this version well before.
pub(crate) fn judge(
    outcome: &Result<Response, ClientError>,
    message: Message,
    has_spoken: bool,
    now: Timestamp,
) -> Verdict {
    match outcome {
        Ok(answer) => judge_answer(answer, message, has_spoken, now),
        Err(error) => Verdict::Later {
            reason: error.reason(),
            words: error.to_string(),
            after: None,
            is_refused: matches!(error, ClientError::BadUrl(_)),
        },
    }
}

fn judge_answer(answer: &Response, message: Message, has_spoken: bool, now: Timestamp) -> Verdict {
    let written = answer
        .header(WRITTEN)
        .map(|text| text.trim().parse::<u64>().unwrap_or(0));
    let words = words(answer);
    match (answer.status, message) {
        // A receiver of 1.0 that does not look at the content type finds nothing in a request of 2.0, and is content.
        (200..=299, Message::Two) if written.is_none() => Verdict::OtherVersion {
            words: format!("{words}, without saying how many samples it wrote: it speaks remote write 1.0"),
        },
        (200..=299, Message::Two) => Verdict::Taken(written),
        (200..=299, Message::One) => Verdict::Taken(None),
        (413, _) => Verdict::TooLarge { words },
        (415, _) => Verdict::OtherVersion { words },
        // So says an old receiver that cannot read the bytes.
        (400, Message::Two) if written.is_none() && !has_spoken => Verdict::OtherVersion { words },
        (429, _) => Verdict::Later {
            reason: "throttled",
            words,
            after: retry_after(answer, now),
            is_refused: false,
        },
        (300..=399 | 401 | 403 | 404, _) => Verdict::Later {
            reason: "refused",
            words,
            after: retry_after(answer, now),
            is_refused: true,
        },
        (408, _) | (500..=599, _) => Verdict::Later {
            reason: "server_error",
            words,
            after: retry_after(answer, now),
            is_refused: false,
        },
        (400..=499, _) => Verdict::Never {
            words,
            taken: written.unwrap_or(0),
        },
        _ => Verdict::Later {
            reason: "server_error",
            words,
            after: None,
            is_refused: false,
        },
    }
}

/// Its first line, as it is: the receiver knows best what is wrong.
fn words(answer: &Response) -> String {
    let text = String::from_utf8_lossy(&answer.body);
    let line = text
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or_default();
    let said: String = line
        .chars()
        .filter(|letter| !letter.is_control())
        .take(WORDS_MAX)
        .collect();
    if said.is_empty() {
        answer.status.to_string()
    } else {
        format!("{} {said}", answer.status)
    }
}

/// In seconds, or as a date.
fn retry_after(answer: &Response, now: Timestamp) -> Option<Duration> {
    let text = answer.header("retry-after")?.trim();
    let after = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let date = jiff::fmt::rfc2822::parse(text).ok()?;
            Timestamp(date.timestamp().as_millisecond()).since(now)
        }
    };
    Some(after.min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(784_111_777_000);

    fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Result<Response, ClientError> {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Ok(Response {
            status,
            headers: headers.iter().map(own).collect(),
            body: body.into(),
        })
    }

    fn two(status: u16, headers: &[(&str, &str)], body: &str) -> Verdict {
        judge(&answer(status, headers, body), Message::Two, true, NOW)
    }

    #[test]
    fn only_who_says_how_much_it_wrote_speaks_2_0() {
        assert_eq!(two(204, &[(WRITTEN, "7")], ""), Verdict::Taken(Some(7)));
        assert!(matches!(two(204, &[], ""), Verdict::OtherVersion { .. }));
        assert!(matches!(two(415, &[], ""), Verdict::OtherVersion { .. }));
        let one = judge(&answer(204, &[], ""), Message::One, false, NOW);
        assert_eq!(one, Verdict::Taken(None));
        let first = judge(&answer(400, &[], "snappy"), Message::Two, false, NOW);
        assert!(matches!(first, Verdict::OtherVersion { .. }));
    }

    #[test]
    fn a_refusal_of_the_samples_is_final_and_one_of_the_sender_is_not() {
        let body = "\n out of order sample\nmore";
        let never = |taken| Verdict::Never {
            words: "400 out of order sample".to_owned(),
            taken,
        };
        assert_eq!(two(400, &[(WRITTEN, "3")], body), never(3));
        assert_eq!(two(400, &[], body), never(0));
        assert!(matches!(two(413, &[], ""), Verdict::TooLarge { .. }));
        for status in [422, 410] {
            assert!(matches!(two(status, &[], ""), Verdict::Never { .. }), "{status}");
        }
        for (status, refused) in [
            (301, true),
            (401, true),
            (403, true),
            (404, true),
            (408, false),
            (429, false),
            (500, false),
            (503, false),
        ] {
            let verdict = two(status, &[], "");
            assert!(
                matches!(verdict, Verdict::Later { is_refused, .. } if is_refused == refused),
                "{status}: {verdict:?}"
            );
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_never_long() {
        let after = |text| match two(429, &[("retry-after", text)], "") {
            Verdict::Later { after, .. } => after.map(|after| after.as_secs()),
            _ => None,
        };
        assert_eq!(after("7"), Some(7));
        assert_eq!(after("86400"), Some(300));
        assert_eq!(after("Sun, 06 Nov 1994 08:50:07 GMT"), Some(30));
        assert_eq!(after("Sun, 06 Nov 1994 08:49:00 GMT"), Some(0));
        assert_eq!(after("Sat, 06 Nov 2094 08:49:00 GMT"), Some(300));
        assert_eq!(after("soon"), None);
    }
}
