//! A PagerDuty account with one service: it enforces the published limits of the Events API v2, answers with
//! PagerDuty's words, keeps incidents by their key, and misbehaves on command.
//!
//! [`Service`] is the account itself, for tests in virtual time; [`PagerDuty`] puts it behind HTTP.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::slack::read;

const PATH: &str = "/v2/enqueue";
const CHANGES: &str = "/v2/change/enqueue";
pub(crate) const ROUTING_KEY: &str = "0123456789abcdef0123456789abcdef";
const BODY_BYTES_MAX: usize = 512 * 1024;
const SUMMARY_MAX: usize = 1_024;
const KEY_MAX: usize = 255;
const SEVERITIES: [&str; 4] = ["critical", "error", "warning", "info"];

/// How the service treats what comes next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Manner {
    /// By the rules.
    Well,
    /// Takes the event and never answers.
    HangAfterTaking,
    /// Does nothing, for ever.
    Hang,
    /// Closes the connection without an answer; nothing is taken.
    Drop,
    /// Any status; nothing is taken.
    Answer(u16),
}

/// One that people were paged for.
#[derive(Clone, Debug)]
pub(crate) struct Incident {
    pub(crate) key: String,
    pub(crate) opened: Instant,
    pub(crate) resolved: Option<Instant>,
    /// Events that opened or changed it, oldest first.
    pub(crate) triggers: Vec<Value>,
}

/// The account: what it has taken, and what became of it.
#[derive(Debug, Default)]
pub(crate) struct Service {
    /// Oldest first; of one key at most one is open.
    pub(crate) incidents: Vec<Incident>,
    /// Change events, oldest first.
    pub(crate) changes: Vec<Value>,
    /// Resolves of what was not open: accepted and without effect.
    pub(crate) idle: usize,
    pub(crate) refused: Vec<(u16, String)>,
}

impl Service {
    /// The body of a 202, or a status and what is wrong.
    ///
    /// # Errors
    /// The event is not one that PagerDuty takes.
    pub(crate) fn take(&mut self, body: &[u8], at: Instant) -> Result<String, (u16, String)> {
        let judged = judge(body);
        let event = judged.inspect_err(|refusal| self.refused.push(refusal.clone()))?;
        let key = match string(&event, "dedup_key") {
            // The service names what nobody has named.
            "" => format!("{:032x}", self.incidents.len()),
            named => named.to_owned(),
        };
        let open = self
            .incidents
            .iter_mut()
            .find(|incident| incident.key == key && incident.resolved.is_none());
        match (string(&event, "event_action"), open) {
            ("trigger", Some(open)) => open.triggers.push(event),
            ("trigger", None) => self.incidents.push(Incident {
                key: key.clone(),
                opened: at,
                resolved: None,
                triggers: vec![event],
            }),
            ("resolve", Some(open)) => open.resolved = Some(at),
            ("resolve", None) => self.idle += 1,
            _ => {}
        }
        Ok(json!({ "status": "success", "message": "Event processed", "dedup_key": key }).to_string())
    }

    /// As [`Self::take`], for a change event.
    ///
    /// # Errors
    /// It is not one that PagerDuty takes.
    pub(crate) fn take_change(&mut self, body: &[u8]) -> Result<String, (u16, String)> {
        let judged = judge_change(body);
        let event = judged.inspect_err(|refusal| self.refused.push(refusal.clone()))?;
        self.changes.push(event);
        Ok(json!({ "status": "success", "message": "Change event processed" }).to_string())
    }

    /// Those that nobody has ended.
    pub(crate) fn open(&self) -> impl Iterator<Item = &Incident> {
        self.incidents
            .iter()
            .filter(|incident| incident.resolved.is_none())
    }
}

/// What PagerDuty says to an event.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn judge(body: &[u8]) -> Result<Value, (u16, String)> {
    if body.len() > BODY_BYTES_MAX {
        return Err((413, "Request Entity Too Large".to_owned()));
    }
    let event: Value = serde_json::from_slice(body).map_err(|_| invalid("Malformed JSON"))?;
    if string(&event, "routing_key") != ROUTING_KEY {
        return Err(invalid("'routing_key' is invalid"));
    }
    let (action, key) = (string(&event, "event_action"), string(&event, "dedup_key"));
    if key.chars().count() > KEY_MAX {
        return Err(invalid("Length of 'dedup_key' must be less than or equal to 255"));
    }
    match action {
        "trigger" => judge_trigger(&event)?,
        "resolve" | "acknowledge" if key.is_empty() => {
            return Err(invalid("'dedup_key' is missing or blank"));
        }
        "resolve" | "acknowledge" => {}
        _ => return Err(invalid("'event_action' is invalid")),
    }
    Ok(event)
}

/// What PagerDuty says to a change event.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn judge_change(body: &[u8]) -> Result<Value, (u16, String)> {
    if body.len() > BODY_BYTES_MAX {
        return Err((413, "Request Entity Too Large".to_owned()));
    }
    let event: Value = serde_json::from_slice(body).map_err(|_| invalid("Malformed JSON"))?;
    if string(&event, "routing_key") != ROUTING_KEY {
        return Err(invalid("'routing_key' is invalid"));
    }
    let payload = event
        .get("payload")
        .ok_or_else(|| invalid("'payload' is missing or blank"))?;
    let length = string(payload, "summary").chars().count();
    if !(1..=SUMMARY_MAX).contains(&length) {
        return Err(invalid("'payload.summary' is missing, blank or longer than 1024"));
    }
    judge_rest(&event, payload)?;
    Ok(event)
}

/// What events and changes have in common.
fn judge_rest(event: &Value, payload: &Value) -> Result<(), (u16, String)> {
    let is_time = |text: &str| text.len() >= 20 && text.contains('T');
    if payload
        .get("timestamp")
        .is_some_and(|time| !time.as_str().is_some_and(is_time))
    {
        return Err(invalid("'payload.timestamp' is invalid"));
    }
    if payload
        .get("custom_details")
        .is_some_and(|details| !details.is_object())
    {
        return Err(invalid("'payload.custom_details' is invalid"));
    }
    let links = event.get("links").and_then(Value::as_array);
    if links
        .into_iter()
        .flatten()
        .any(|link| !string(link, "href").starts_with("http"))
    {
        return Err(invalid("'links' is invalid"));
    }
    Ok(())
}

fn judge_trigger(event: &Value) -> Result<(), (u16, String)> {
    let payload = event
        .get("payload")
        .ok_or_else(|| invalid("'payload' is missing or blank"))?;
    let within = |name: &str, most: usize| {
        let length = string(payload, name).chars().count();
        if (1..=most).contains(&length) {
            Ok(())
        } else {
            Err(invalid(&format!(
                "'payload.{name}' is missing, blank or longer than {most}"
            )))
        }
    };
    within("summary", SUMMARY_MAX)?;
    within("source", SUMMARY_MAX)?;
    if !SEVERITIES.contains(&string(payload, "severity")) {
        return Err(invalid(
            "'payload.severity' is invalid (must be one of the following: 'critical', 'warning', 'error' or 'info')",
        ));
    }
    for name in ["component", "group", "class"] {
        if payload.get(name).is_some() {
            within(name, SUMMARY_MAX)?;
        }
    }
    judge_rest(event, payload)
}

fn invalid(why: &str) -> (u16, String) {
    let body = json!({ "status": "invalid event", "message": "Event object is invalid", "errors": [why] });
    (400, body.to_string())
}

fn string<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The service behind HTTP, on a free port of the loopback.
pub(crate) struct PagerDuty {
    url: String,
    state: Arc<Mutex<(Service, Manner)>>,
    server: AbortHandle,
}

impl PagerDuty {
    /// # Errors
    /// There is no port.
    pub(crate) async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}{PATH}", listener.local_addr()?);
        let state = Arc::new(Mutex::new((Service::default(), Manner::Well)));
        let shared = Arc::clone(&state);
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&shared);
                tokio::spawn(async move { serve(stream, &state).await });
            }
        });
        let server = server.abort_handle();
        Ok(Self { url, state, server })
    }

    #[must_use]
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn behave(&self, manner: Manner) {
        lock(&self.state).1 = manner;
    }

    /// Oldest first.
    #[must_use]
    pub(crate) fn incidents(&self) -> Vec<Incident> {
        lock(&self.state).0.incidents.clone()
    }

    /// Whether an incident is open whose first event has all of these words.
    #[must_use]
    pub(crate) fn has_open(&self, words: &[&str]) -> bool {
        let state = lock(&self.state);
        let mut open = state
            .0
            .incidents
            .iter()
            .filter(|incident| incident.resolved.is_none());
        open.any(|incident| {
            let text = incident
                .triggers
                .first()
                .map(ToString::to_string)
                .unwrap_or_default();
            words.iter().all(|word| text.contains(word))
        })
    }

    #[must_use]
    pub(crate) fn changes(&self) -> Vec<Value> {
        lock(&self.state).0.changes.clone()
    }

    #[must_use]
    pub(crate) fn refused(&self) -> Vec<(u16, String)> {
        lock(&self.state).0.refused.clone()
    }
}

impl Drop for PagerDuty {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn lock(state: &Mutex<(Service, Manner)>) -> MutexGuard<'_, (Service, Manner)> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves one connection until it ends, breaks or has to be dropped.
async fn serve(mut stream: TcpStream, state: &Mutex<(Service, Manner)>) {
    while let Some((line, body)) = read(&mut stream).await {
        let manner = lock(state).1;
        let (status, answer) = match manner {
            Manner::Drop => return,
            Manner::Hang => std::future::pending().await,
            Manner::HangAfterTaking => {
                // Whatever it would have said: nobody hears it.
                _ = lock(state).0.take(&body, Instant::now());
                std::future::pending().await
            }
            Manner::Answer(status) => (status, String::new()),
            Manner::Well if line == format!("POST {CHANGES} HTTP/1.1") => {
                match lock(state).0.take_change(&body) {
                    Ok(answer) => (202, answer),
                    Err(refusal) => refusal,
                }
            }
            Manner::Well if line != format!("POST {PATH} HTTP/1.1") => (404, String::new()),
            Manner::Well => match lock(state).0.take(&body, Instant::now()) {
                Ok(answer) => (202, answer),
                Err(refusal) => refusal,
            },
        };
        let answer = format!(
            "HTTP/1.1 {status} PagerDuty\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{answer}",
            answer.len()
        );
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}
