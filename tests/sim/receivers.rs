//! Where people are told: a pager that knows incidents by their keys, and a channel that knows nothing.
//!
//! Both keep a book of all they have taken, and misbehave when asked to. The channel is written to by a webhook, or by an
//! app that edits its cards and replies to them: an edit tells nobody anything, but must be true.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use model::BoxFuture;
use model::outside::{Request, Response};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::net::Service;
use super::world::Log;
use crate::fakes::slack::{self, Posted};

/// Of `DatasourceUnreachable`, which is about no ground truth but about what is known; the room's own tests hold it.
const FROZEN: &str = "senders are silent, and alerts of";

/// How a reply begins that is about a storm.
const STORM: &str = "*Storm";

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
    /// An edit: whoever looks sees it, and no phone rings.
    pub quiet: bool,
    /// It is about many groups at once.
    pub in_storm: bool,
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
    /// An app's cards, by Slack's name of each.
    cards: BTreeMap<String, Card>,
}

/// What a card says now.
#[derive(Clone, Debug, Default)]
struct Card {
    firing: BTreeSet<String>,
    resolved: BTreeSet<String>,
    in_storm: bool,
}

/// A message that was taken, and what is answered.
struct Taken {
    firing: BTreeSet<String>,
    resolved: BTreeSet<String>,
    marked: bool,
    quiet: bool,
    in_storm: bool,
    answer: Response,
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
            let taken = state.lock().take(kind, &from, &request, log.now(), unanswered);
            log.say(|| match &taken {
                Ok((words, _)) => format!(
                    "{kind:?} took from {from}: {words}{}",
                    if unanswered { ", no answer" } else { "" }
                ),
                Err(why) => format!("{kind:?} refused from {from}: {why}"),
            });
            match taken {
                Err(_) => Some(status_only(400)),
                Ok(_) if unanswered => None,
                Ok((_, answer)) => Some(answer),
            }
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
        request: &Request,
        at: Duration,
        unanswered: bool,
    ) -> Result<(String, Response), String> {
        let taken = match kind {
            Kind::Channel if request.url.contains("/api/") => self.app(request),
            Kind::Channel => {
                card(&request.body, false).map(|(card, marked)| Taken::by(card, marked, body(200, "ok")))
            }
            Kind::Pager => self.page(&request.body, at).map(|(card, marked)| {
                let answer = r#"{"status":"success","message":"Event processed"}"#;
                Taken::by(card, marked, body(202, answer))
            }),
        };
        let taken = taken.inspect_err(|why| self.refused.push(why.clone()))?;
        let Taken {
            firing,
            resolved,
            marked,
            quiet,
            in_storm,
            answer,
        } = taken;
        let words = format!(
            "firing {firing:?} resolved {resolved:?}{}{}{}",
            if marked { " marked" } else { "" },
            if in_storm { " in a storm" } else { "" },
            if quiet { " by an edit" } else { "" }
        );
        self.told.push(Told {
            at,
            from: from.to_owned(),
            firing,
            resolved,
            marked,
            unanswered,
            quiet,
            in_storm,
        });
        Ok((words, answer))
    }

    /// A call of Slack's web API by the app: a card, an edit of one, or a reply to one.
    fn app(&mut self, request: &Request) -> Result<Taken, String> {
        let knows = request.headers.iter().any(|(name, value)| {
            name.eq_ignore_ascii_case("authorization") && *value == format!("Bearer {}", slack::TOKEN)
        });
        if !knows {
            return Err("invalid_auth".to_owned());
        }
        let asked: Value = serde_json::from_slice(&request.body).map_err(|error| error.to_string())?;
        let word = |name: &str| asked[name].as_str().unwrap_or_default();
        let ts = format!("{}.000000", 1_700_000_000 + self.cards.len());
        let answer = |ts: &str| body(200, &json!({ "ok": true, "channel": "C1", "ts": ts }).to_string());
        if request.url.ends_with("chat.update") {
            if !self.cards.contains_key(word("ts")) {
                // A sender's mistake or not, the real one only says this.
                let gone = json!({ "ok": false, "error": "message_not_found" }).to_string();
                return Ok(Taken {
                    quiet: true,
                    ..Taken::by(Card::default(), false, body(200, &gone))
                });
            }
            let (card, marked) = card(&request.body, true)?;
            self.cards.insert(word("ts").to_owned(), card.clone());
            return Ok(Taken {
                quiet: true,
                ..Taken::by(card, marked, answer(word("ts")))
            });
        }
        if !request.url.ends_with("chat.postMessage") {
            return Err(format!("unknown_method {}", request.url));
        }
        if !word("thread_ts").is_empty() {
            let kept = self.cards.get(word("thread_ts")).ok_or("thread_not_found")?;
            let marked = word("text").contains("possibly a repeat");
            // Of a storm a reply says only what is new.
            let card = if word("text").starts_with(STORM) {
                card(&request.body, false)?.0
            } else {
                kept.clone()
            };
            return Ok(Taken::by(card, marked, answer(&ts)));
        }
        let (card, marked) = card(&request.body, false)?;
        self.cards.insert(ts.clone(), card.clone());
        Ok(Taken::by(card, marked, answer(&ts)))
    }

    /// An event of PagerDuty's Events API, version 2.
    fn page(&mut self, body: &[u8], at: Duration) -> Result<(Card, bool), String> {
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
        match (action.as_str(), open) {
            ("trigger", open) => {
                let summary = event["payload"]["summary"].as_str().unwrap_or_default();
                if summary.contains(FROZEN) {
                    return Ok((Card::default(), false));
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
                let firing = BTreeSet::from([subject]);
                let resolved = BTreeSet::new();
                Ok((Card::of(firing, resolved), false))
            }
            ("resolve", open) => {
                let resolved = open.map(|open| {
                    open.closed = Some(at);
                    open.subject.clone()
                });
                let resolved = resolved.into_iter().collect();
                let firing = BTreeSet::new();
                Ok((Card::of(firing, resolved), false))
            }
            _ => Err(format!("unknown action: {event}")),
        }
    }
}

impl Card {
    fn of(firing: BTreeSet<String>, resolved: BTreeSet<String>) -> Self {
        Self {
            firing,
            resolved,
            in_storm: false,
        }
    }
}

impl Taken {
    fn by(card: Card, marked: bool, answer: Response) -> Self {
        Self {
            firing: card.firing,
            resolved: card.resolved,
            marked,
            quiet: false,
            in_storm: card.in_storm,
            answer,
        }
    }
}

fn body(status: u16, text: &str) -> Response {
    Response {
        body: text.as_bytes().to_vec(),
        ..status_only(status)
    }
}

/// A card in the channel, and whether it may be a repeat; what it says of each alert stands behind a shape. What a storm
/// says to be as it was counts only where asked for: nobody is told that.
fn card(body: &[u8], with_unchanged: bool) -> Result<(Card, bool), String> {
    let payload = slack::judge(body).map_err(|(status, word)| format!("{status} {word}"))?;
    let posted = Posted {
        at: Instant::now(),
        payload,
    };
    let (mut card, mut marked) = (Card::default(), false);
    let mut is_unchanged = false;
    for line in posted.lines() {
        marked |= line.contains("possibly a repeat");
        card.in_storm |= line.contains("Storm");
        is_unchanged |= line == "*Unchanged*";
        if is_unchanged && !with_unchanged {
            continue;
        }
        let Some(subject) = subject(&line) else { continue };
        if line.starts_with('●') {
            card.resolved.insert(subject);
        } else {
            card.firing.insert(subject);
        }
    }
    Ok((card, marked))
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
