//! Whether receivers can be reached and take us for whom we say we are, without telling anybody anything.
//!
//! Each is asked something that it answers only to whom it knows, and that shows nowhere: Slack's `auth.test`, an empty
//! message that a webhook of Slack refuses, the end of an incident that PagerDuty does not have, a mail server's greeting.

use std::sync::Arc;
use std::time::Duration;

use model::Timestamp;
use model::mail::Mail;
use model::outside::{Client, ClientError, Method, Request, Response};
use serde_json::{Value, json};

use crate::config::Config;
use crate::email::Email;
use crate::message::Message;
use crate::plan::Plan;
use crate::receiver::{Kind, Receiver, Ways};
use crate::slack::POST;
use crate::verdict::{Verdict, judge, judge_slack};

/// What one receiver said.
#[derive(Clone, Debug)]
pub struct Probed {
    /// As on the page.
    pub receiver: String,
    /// A sentence either way.
    pub outcome: Result<String, String>,
}

/// Sends each receiver whose title or name passes `is_wanted` a message that says that it is a test, one after another, and
/// hands over what each answered.
pub async fn test(
    config: &Config,
    client: Arc<dyn Client>,
    mail: Arc<dyn Mail>,
    now: Timestamp,
    is_wanted: impl Fn(&str) -> bool,
    mut answered: impl FnMut(Probed),
) {
    let message = Message::test(now, &config.external_url.as_str().into());
    let ways = Ways { client, mail };
    for receiver in Plan::of(config).receivers {
        let names = [&*receiver.title(), &*receiver.team, &*receiver.name];
        // All of them are asked for: whoever asks counts which were met.
        if names.map(&is_wanted).contains(&true) {
            answered(Probed {
                receiver: receiver.title(),
                outcome: tell(&receiver, &ways, &message).await,
            });
        }
    }
}

/// Past the queue, and once.
pub(crate) async fn tell(receiver: &Receiver, ways: &Ways, message: &Message) -> Result<String, String> {
    match receiver.send(ways, message, || true).await.verdict {
        Verdict::Taken(words) => Ok(words),
        Verdict::Later { words, .. } | Verdict::Never { words, .. } => Err(words),
        Verdict::Held => Err("not sent".to_owned()),
    }
}

/// Asks them one after another; a sentence for each.
pub async fn probe(config: &Config, client: &dyn Client, mail: &dyn Mail) -> Vec<Probed> {
    probe_all(&Plan::of(config).receivers, client, mail).await
}

pub(crate) async fn probe_all(
    receivers: &[Arc<Receiver>],
    client: &dyn Client,
    mail: &dyn Mail,
) -> Vec<Probed> {
    let mut all = Vec::new();
    for receiver in receivers {
        let outcome = match receiver.kind() {
            Kind::Email(email) => greet(email, receiver.timeout(), mail).await,
            _ => ask(receiver, client).await,
        };
        all.push(Probed {
            receiver: receiver.title(),
            outcome,
        });
    }
    all
}

/// Says hello, logs in and goes away again.
async fn greet(email: &Email, timeout: Duration, mail: &dyn Mail) -> Result<String, String> {
    let server = email.server.read().await?;
    mail.greet(server, timeout)
        .await
        .map_err(|error| error.to_string())
}

async fn ask(receiver: &Receiver, client: &dyn Client) -> Result<String, String> {
    let via = receiver.open(client, &|| true).await?;
    let client: &dyn Client = &via;
    let mut request = receiver.request().await?;
    let is_app = request.url.ends_with(POST);
    match receiver.kind() {
        Kind::Slack { .. } if is_app => {
            request.url = request.url.replace(POST, "auth.test");
            request.body = (&b"{}"[..]).into();
            let answer = client.send(request).await;
            let who = said(&answer);
            taken(judge_slack(&answer))?;
            let of = |key: &str| who[key].as_str().unwrap_or("?").to_owned();
            let lacks = if lacks_files(&answer) {
                "; it lacks the scope files:write, so values are shown as text and not as pictures"
            } else {
                ""
            };
            Ok(format!(
                "the token is that of {} in {}; whether it may write to the channel only a test message shows{lacks}",
                of("user"),
                of("team")
            ))
        }
        Kind::Slack { .. } => {
            request.body = (&b"{}"[..]).into();
            let answer = client.send(request).await;
            match &answer {
                Ok(response) if response.status == 400 && is_empty_refused(&response.body) => {
                    Ok("the webhook is there".to_owned())
                }
                _ => taken(judge_slack(&answer)).map(|words| format!("answers {words}")),
            }
        }
        Kind::PagerDuty { routing_key, .. } => {
            let key = routing_key.read().await?;
            let event = json!({
                "routing_key": key.expose(), "event_action": "resolve", "dedup_key": "skopos-check",
            });
            request.body = event.to_string().into();
            taken(judge(&client.send(request).await))?;
            Ok("takes events of this key".to_owned())
        }
        Kind::Webhook { .. } => reached(client, request).await,
        Kind::Email(_) => Err("mail is not sent by HTTP".to_owned()),
    }
}

/// A webhook of whatever kind: that it answers at all. Only a message would show more.
async fn reached(client: &dyn Client, request: Request) -> Result<String, String> {
    let request = Request {
        method: Method::Get,
        ..request
    };
    match client.send(request).await {
        Ok(answer) if answer.status < 500 => Ok(format!("answers ({} to a GET)", answer.status)),
        Ok(answer) => Err(format!("answers {}", answer.status)),
        Err(error) => Err(error.to_string()),
    }
}

/// Slack has looked at what was sent, and at the address before.
fn is_empty_refused(body: &[u8]) -> bool {
    [
        "no_text",
        "invalid_payload",
        "missing_text_or_fallback_or_attachments",
    ]
    .iter()
    .any(|word| body.starts_with(word.as_bytes()))
}

/// Slack names the scopes of a token beside each answer; where it does not, nothing is said of them.
fn lacks_files(answer: &Result<Response, ClientError>) -> bool {
    let scopes = answer.as_ref().ok();
    let scopes = scopes.and_then(|answer| answer.header("x-oauth-scopes"));
    scopes.is_some_and(|scopes| !scopes.split(',').any(|scope| scope.trim() == "files:write"))
}

fn said(answer: &Result<Response, ClientError>) -> Value {
    let body = answer.as_ref().map(|answer| answer.body.as_slice());
    serde_json::from_slice(body.unwrap_or_default()).unwrap_or_default()
}

fn taken(verdict: Verdict) -> Result<String, String> {
    match verdict {
        Verdict::Taken(words) => Ok(words),
        Verdict::Later { words, .. } | Verdict::Never { words, .. } => Err(words),
        Verdict::Held => Err("not sent".to_owned()),
    }
}
