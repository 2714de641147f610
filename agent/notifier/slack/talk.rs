//! The talk of an app with Slack about one group, or one storm: a card once, then edits of it and replies to it.
//!
//! The edit comes before the reply, since it may be repeated without harm. Where the card is gone, or too old to be
//! edited, there is a new one.

use std::time::Duration;

use model::outside::{Client, ClientError, Method, Request, Response};
use net::Via;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::upload::{self, Fate, Files, Picture, upload};
use super::{reply, with};
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
    /// What became of a picture that followed.
    pub(crate) picture: Option<Fate>,
}

/// What is said, in either of two ways.
pub(crate) struct Words {
    /// How all stands now, without its channel.
    pub(crate) card: Value,
    /// What happened, for where the card stands already.
    pub(crate) reply: Value,
    /// Log lines that follow a card where none stood.
    pub(crate) lines: Option<Value>,
    /// A picture that follows a card where none stood.
    pub(crate) picture: Option<Picture>,
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
    client: &Via<'_>,
    request: Request,
    words: Words,
    asked: &str,
    files: &Files,
    may: impl Fn() -> bool,
) -> Said {
    let Words {
        card,
        reply,
        lines,
        picture,
        thread,
    } = words;
    let line = Line {
        client,
        request: &request,
        may: &may,
    };
    let known = thread.filter(|thread| thread.asked == asked);
    if let Some(thread) = known {
        let body = with(
            with(card.clone(), "channel", thread.channel.as_str()),
            "ts",
            thread.ts.as_str(),
        );
        let Some(answer) = line.call(EDIT, &body, Duration::MAX).await else {
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
            let verdict = match line.call(POST, &body, Duration::MAX).await {
                Some(answer) => judge_slack(&answer),
                None => Verdict::Held,
            };
            return Said::with(verdict, Some(thread));
        }
    }
    let Some(answer) = line
        .call(POST, &with(card, "channel", asked), Duration::MAX)
        .await
    else {
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
    let Some(thread) = said.thread.clone() else {
        return said;
    };
    // The card has arrived: whatever becomes of what follows, it is not sent again.
    if let Some(picture) = picture.filter(|_| files.may_be_sent()) {
        said.picture = Some(match upload(&line, &picture, files).await {
            Err(fate) => fate,
            Ok(file) => {
                let body = reply::beside(lines.clone(), upload::block(&file, &picture), &picture.words);
                if line.follow(&thread, body).await == Some(true) {
                    said.lines = lines.is_some().then_some(true);
                    said.picture = Some(Fate::Shown);
                    return said;
                }
                Fate::Failed
            }
        });
    }
    if let Some(lines) = lines {
        said.lines = line.follow(&thread, lines).await;
    }
    said
}

/// The way to Slack's methods: a request without its body, and who is asked before each.
pub(super) struct Line<'a, M> {
    client: &'a Via<'a>,
    request: &'a Request,
    may: &'a M,
}

/// None: it was no longer for us to speak.
pub(super) type Answer = Option<Result<Response, ClientError>>;

impl<M: Fn() -> bool> Line<'_, M> {
    async fn call(&self, method: &str, body: &Value, most: Duration) -> Answer {
        let mut request = self.request.clone();
        request.url = request.url.replace(POST, method);
        request.body = body.to_string().into();
        self.send(request, most).await
    }

    /// A method with a form in place of JSON.
    pub(super) async fn form(&self, method: &str, form: String, most: Duration) -> Answer {
        let mut request = self.request.clone();
        request.url = request.url.replace(POST, method);
        request.body = form.into();
        of_kind(&mut request, "application/x-www-form-urlencoded");
        self.send(request, most).await
    }

    /// Bytes to an address that Slack gave, which needs no token and gets none.
    pub(super) async fn put(&self, url: &str, body: Vec<u8>, most: Duration) -> Answer {
        let mut request = self.request.clone();
        request.headers.clear();
        url.clone_into(&mut request.url);
        request.body = body.into();
        of_kind(&mut request, "application/octet-stream");
        self.send_by(&self.client.anonymous(), request, most).await
    }

    /// A message in a card's thread; whether it was taken.
    async fn follow(&self, thread: &Thread, body: Value) -> Option<bool> {
        let body = with(
            with(body, "channel", thread.channel.as_str()),
            "thread_ts",
            thread.ts.as_str(),
        );
        let answer = self.call(POST, &body, LINES_TIMEOUT).await;
        answer.map(|answer| matches!(judge_slack(&answer), Verdict::Taken(_)))
    }

    async fn send(&self, request: Request, most: Duration) -> Answer {
        self.send_by(self.client, request, most).await
    }

    async fn send_by(&self, client: &Via<'_>, mut request: Request, most: Duration) -> Answer {
        if !(self.may)() {
            return None;
        }
        request.method = Method::Post;
        request.timeout = request.timeout.min(most);
        Some(client.send(request).await)
    }
}

fn of_kind(request: &mut Request, kind: &str) {
    let is_other = |name: &str| !name.eq_ignore_ascii_case("content-type");
    request.headers.retain(|(name, _)| is_other(name));
    request.headers.push(("content-type".to_owned(), kind.to_owned()));
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
            picture: None,
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
