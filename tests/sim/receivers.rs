//! Where people are told: a pager that knows incidents by their keys, and a channel that knows nothing.
//!
//! Both keep a book of all they have taken, and misbehave when asked to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use model::BoxFuture;
use model::outside::{Request, Response};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::time::Instant;

use super::net::Service;
use super::world::Log;
use crate::fakes::slack::{self, Posted};

/// Of `DatasourceUnreachable`, which is about no ground truth but about what is known; the room's own tests hold it.
const FROZEN: &str = "senders are silent, and alerts of";

/// How a receiver treats what comes next.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Manner {
    #[default]
    Well,
    Status(u16),
    /// 429, and when to come again.
    Throttles(u64),
    /// Reads the message, does nothing, never answers.
    Hangs,
    /// Takes the message and never answers.
    TakesAndHangs,
}

/// One message that a receiver took.
#[derive(Clone, Debug)]
pub struct Told {
    pub at: Duration,
    /// The process that said it.
    pub from: String,
    pub firing: BTreeSet<String>,
    pub resolved: BTreeSet<String>,
    /// It says of itself that it may be a repeat.
    pub marked: bool,
    /// The receiver never answered, so that its sender cannot know.
    pub unanswered: bool,
}

/// What the pager holds open, or held.
#[derive(Clone, Debug)]
pub struct Incident {
    pub key: String,
    pub subject: String,
    pub opened: Duration,
    pub closed: Option<Duration>,
    pub triggers: usize,
}

#[derive(Default)]
struct State {
    manner: Manner,
    told: Vec<Told>,
    incidents: Vec<Incident>,
    refused: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Pager,
    Channel,
}

pub struct Receiver {
    kind: Kind,
    state: Arc<Mutex<State>>,
    log: Arc<Log>,
}

impl Receiver {
    pub fn new(kind: Kind, log: Arc<Log>) -> Arc<Self> {
        Arc::new(Self {
            kind,
            state: Arc::default(),
            log,
        })
    }

    pub fn behave(&self, manner: Manner) {
        self.state.lock().manner = manner;
    }

    pub fn told(&self) -> Vec<Told> {
        self.state.lock().told.clone()
    }

    pub fn incidents(&self) -> Vec<Incident> {
        self.state.lock().incidents.clone()
    }

    /// What was against the rules of the service; each is a mistake of the sender's.
    pub fn refused(&self) -> Vec<String> {
        self.state.lock().refused.clone()
    }
}

impl Service for Receiver {
    fn answer(&self, from: &str, request: Request) -> BoxFuture<'static, Option<Response>> {
        let (state, log) = (Arc::clone(&self.state), Arc::clone(&self.log));
        let (kind, from) = (self.kind, from.to_owned());
        Box::pin(async move {
            let manner = state.lock().manner;
            match manner {
                Manner::Status(status) => return Some(status_only(status)),
                Manner::Throttles(seconds) => {
                    let mut response = status_only(429);
                    response
                        .headers
                        .push(("retry-after".to_owned(), seconds.to_string()));
                    return Some(response);
                }
                Manner::Hangs => return None,
                Manner::Well | Manner::TakesAndHangs => {}
            }
            let unanswered = manner == Manner::TakesAndHangs;
            let taken = state
                .lock()
                .take(kind, &from, &request.body, log.now(), unanswered);
            log.say(|| match &taken {
                Ok(words) => format!(
                    "{kind:?} took from {from}: {words}{}",
                    if unanswered { ", no answer" } else { "" }
                ),
                Err(why) => format!("{kind:?} refused from {from}: {why}"),
            });
            if taken.is_err() {
                return Some(status_only(400));
            }
            if unanswered {
                return None;
            }
            Some(match kind {
                Kind::Pager => Response {
                    body: br#"{"status":"success","message":"Event processed"}"#.to_vec(),
                    ..status_only(202)
                },
                Kind::Channel => Response {
                    body: b"ok".to_vec(),
                    ..status_only(200)
                },
            })
        })
    }
}

fn status_only(status: u16) -> Response {
    Response {
        status,
        headers: Vec::new(),
        body: Vec::new(),
    }
}

impl State {
    fn take(
        &mut self,
        kind: Kind,
        from: &str,
        body: &[u8],
        at: Duration,
        unanswered: bool,
    ) -> Result<String, String> {
        let taken = match kind {
            Kind::Channel => self.post(body),
            Kind::Pager => self.page(body, at),
        };
        let (firing, resolved, marked) = taken.inspect_err(|why| self.refused.push(why.clone()))?;
        let words = format!(
            "firing {firing:?} resolved {resolved:?}{}",
            if marked { " marked" } else { "" }
        );
        self.told.push(Told {
            at,
            from: from.to_owned(),
            firing,
            resolved,
            marked,
            unanswered,
        });
        Ok(words)
    }

    /// A card in the channel; what it says of each alert stands behind a shape.
    fn post(&mut self, body: &[u8]) -> Result<(BTreeSet<String>, BTreeSet<String>, bool), String> {
        let payload = slack::judge(body).map_err(|(status, word)| format!("{status} {word}"))?;
        let card = Posted {
            at: Instant::now(),
            payload,
        };
        let (mut firing, mut resolved, mut marked) = (BTreeSet::new(), BTreeSet::new(), false);
        for line in card.lines() {
            marked |= line.contains("possibly a repeat");
            let Some(subject) = subject(&line) else { continue };
            if line.starts_with('●') {
                resolved.insert(subject);
            } else {
                firing.insert(subject);
            }
        }
        Ok((firing, resolved, marked))
    }

    /// An event of PagerDuty's Events API, version 2.
    fn page(
        &mut self,
        body: &[u8],
        at: Duration,
    ) -> Result<(BTreeSet<String>, BTreeSet<String>, bool), String> {
        let event: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let word = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
        let (key, action) = (word("dedup_key"), word("event_action"));
        if word("routing_key").is_empty() || key.is_empty() || key.chars().count() > 255 {
            return Err(format!("bad keys: {event}"));
        }
        let open = self
            .incidents
            .iter_mut()
            .find(|incident| incident.key == key && incident.closed.is_none());
        let none = BTreeSet::new();
        match (action.as_str(), open) {
            ("trigger", open) => {
                let summary = event["payload"]["summary"].as_str().unwrap_or_default();
                if summary.contains(FROZEN) {
                    return Ok((BTreeSet::new(), none, false));
                }
                let subject = subject_in(summary).ok_or_else(|| format!("no subject: {event}"))?;
                match open {
                    Some(open) => open.triggers += 1,
                    None => self.incidents.push(Incident {
                        key,
                        subject: subject.clone(),
                        opened: at,
                        closed: None,
                        triggers: 1,
                    }),
                }
                Ok((BTreeSet::from([subject]), none, false))
            }
            ("resolve", open) => {
                let resolved = open.map(|open| {
                    open.closed = Some(at);
                    open.subject.clone()
                });
                Ok((none, resolved.into_iter().collect(), false))
            }
            _ => Err(format!("unknown action: {event}")),
        }
    }
}

/// `LoadHigh/n1` from `▲ *sim/LoadHigh/n1* (…)`.
fn subject(line: &str) -> Option<String> {
    let is_alert = line.starts_with(['▲', '●', '○']);
    is_alert.then(|| subject_in(line)).flatten()
}

fn subject_in(text: &str) -> Option<String> {
    let rest = text.split_once("sim/")?.1;
    let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '/'));
    Some(rest[..end.unwrap_or(rest.len())].to_owned())
}

/// What each subject was last said to be, in the order of the book.
pub fn state_of(told: &[Told]) -> BTreeMap<String, bool> {
    let mut states = BTreeMap::new();
    for told in told {
        for subject in &told.firing {
            states.insert(subject.clone(), true);
        }
        for subject in &told.resolved {
            states.insert(subject.clone(), false);
        }
    }
    states
}
