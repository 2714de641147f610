//! The talk of an app with Slack about one group, or one storm: a card once, then edits of it and replies to it.
//!
//! The edit comes before the reply, since it may be repeated without harm. Where the card is gone, or too old to be
//! edited, there is a new one.

use std::time::Duration;

use model::outside::{Client, ClientError, Method, Request, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::with;
use crate::verdict::{Verdict, judge_slack};

/// The end of the address by which messages are posted.
pub(crate) const POST: &str = "chat.postMessage";
const EDIT: &str = "chat.update";

/// Where a group's card stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Thread {
    /// The channel as it was asked for; another one gets a card of its own.
    pub(crate) asked: String,
    /// As Slack calls it.
    pub(crate) channel: String,
    /// Slack's name of the card.
    pub(crate) ts: String,
}

/// What became of it, and where the card stands now.
pub(crate) struct Said {
    pub(crate) verdict: Verdict,
    pub(crate) thread: Option<Thread>,
    /// Whether Slack took the log lines that followed; none where nothing followed.
    pub(crate) lines: Option<bool>,
}

/// What is said, in either of two ways.
pub(crate) struct Words {
    /// How all stands now, without its channel.
    pub(crate) card: Value,
    /// What happened, for where the card stands already.
    pub(crate) reply: Value,
    /// Log lines that follow a card where none stood.
    pub(crate) lines: Option<Value>,
    /// Where the card stands already.
    pub(crate) thread: Option<Thread>,
}

/// Log lines are not worth more waiting: what comes next for this receiver waits for them.
const LINES_TIMEOUT: Duration = Duration::from_secs(2);

/// What Slack answers to a message that was taken.
#[derive(Deserialize)]
struct Posted {
    channel: String,
    ts: String,
}

/// `request` has no body yet. Asks `may` before each request.
pub(crate) async fn talk(
    client: &dyn Client,
    request: Request,
    words: Words,
    asked: &str,
    may: impl Fn() -> bool,
) -> Said {
    let Words {
        card,
        reply,
        lines,
        thread,
    } = words;
    let send = async |method: &str, body: Value, most: Duration| -> Option<Result<Response, ClientError>> {
        if !may() {
            return None;
        }
        let mut request = request.clone();
        if method != POST {
            request.url = request.url.replace(POST, method);
        }
        request.method = Method::Post;
        request.timeout = request.timeout.min(most);
        request.body = body.to_string().into_bytes();
        Some(client.send(request).await)
    };
    let known = thread.filter(|thread| thread.asked == asked);
    if let Some(thread) = known {
        let body = with(
            with(card.clone(), "channel", thread.channel.as_str()),
            "ts",
            thread.ts.as_str(),
        );
        let Some(answer) = send(EDIT, body, Duration::MAX).await else {
            return Said::held(Some(thread));
        };
        if !is_gone(&answer) {
            let verdict = judge_slack(&answer);
            if !matches!(verdict, Verdict::Taken(_)) {
                return Said::with(sure(verdict), Some(thread));
            }
            let body = with(
                with(reply, "channel", thread.channel.as_str()),
                "thread_ts",
                thread.ts.as_str(),
            );
            let verdict = match send(POST, body, Duration::MAX).await {
                Some(answer) => judge_slack(&answer),
                None => Verdict::Held,
            };
            return Said::with(verdict, Some(thread));
        }
    }
    let Some(answer) = send(POST, with(card, "channel", asked), Duration::MAX).await else {
        return Said::held(None);
    };
    let verdict = judge_slack(&answer);
    let posted = answer.ok().filter(|_| matches!(verdict, Verdict::Taken(_)));
    let posted = posted.and_then(|answer| serde_json::from_slice::<Posted>(&answer.body).ok());
    let thread = posted.map(|posted| Thread {
        asked: asked.to_owned(),
        channel: posted.channel,
        ts: posted.ts,
    });
    let mut said = Said::with(verdict, thread);
    if let (Some(thread), Some(lines)) = (&said.thread, lines) {
        let body = with(
            with(lines, "channel", thread.channel.as_str()),
            "thread_ts",
            thread.ts.as_str(),
        );
        // The card has arrived: whatever becomes of this, it is not sent again.
        let answer = send(POST, body, LINES_TIMEOUT).await;
        said.lines = answer.map(|answer| matches!(judge_slack(&answer), Verdict::Taken(_)));
    }
    said
}

impl Said {
    /// Of what has no threads.
    pub(crate) fn only(verdict: Verdict) -> Self {
        Self::with(verdict, None)
    }

    fn with(verdict: Verdict, thread: Option<Thread>) -> Self {
        Self {
            verdict,
            thread,
            lines: None,
        }
    }

    fn held(thread: Option<Thread>) -> Self {
        Self::with(Verdict::Held, thread)
    }
}

/// Slack says that there is no such message, or none that may still be edited.
fn is_gone(answer: &Result<Response, ClientError>) -> bool {
    const GONE: [&str; 5] = [
        "message_not_found",
        "edit_window_closed",
        "cant_update_message",
        "channel_not_found",
        "thread_not_found",
    ];
    #[derive(Deserialize)]
    struct Refused {
        ok: bool,
        #[serde(default)]
        error: String,
    }
    let Ok(answer) = answer else {
        return false;
    };
    let refused = serde_json::from_slice::<Refused>(&answer.body);
    refused.is_ok_and(|refused| !refused.ok && GONE.contains(&refused.error.as_str()))
}

/// An edit that may have arrived has told nobody.
fn sure(verdict: Verdict) -> Verdict {
    match verdict {
        Verdict::Later {
            reason, words, after, ..
        } => Verdict::Later {
            reason,
            words,
            after,
            unsure: false,
        },
        other => other,
    }
}
