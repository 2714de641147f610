//! Asks node roles for the last lines of a pod: the one that has it, or all of them at the same time.
//!
//! Whatever arrives before the deadline is the answer, with the names of those who did not answer and why. What a node says
//! is believed only as far as it was asked: lines of other pods, and more of them than were wanted, are left out.

mod config;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::iter;
use model::checkup::Checkup;
use model::outside::{Client, Method, Request, Response};
use model::{LogRecord, NodeAddress, Tail, TailQuery, Timestamp, Unheard};
use net::{HttpConfig, Reach, Secret, Token};
use parking_lot::RwLock;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

pub use config::Node;
pub(crate) use config::mistakes;

/// Where a node answers.
pub const PATH: &str = "/api/v1/logs/tail";
const ROOM: &str = "logs";
/// For each of all nodes, when somebody wants to know how they are.
const PROBE_PATIENCE: Duration = Duration::from_secs(5);
/// Nodes asked at the same time.
const AT_ONCE: usize = 32;
const ANSWER_BYTES_MAX: usize = 4 << 20;
/// Of what a node says in the place of an answer.
const WORDS_MAX: usize = 160;

/// All nodes that can be asked.
pub struct Nodes {
    named: RwLock<Vec<Arc<Named>>>,
    found: FoundNodes,
    client: Arc<dyn Client>,
}

/// Those that the cluster knows; whoever is named in the configuration is asked as it says.
pub struct FoundNodes {
    pub addresses: watch::Receiver<Vec<NodeAddress>>,
    /// Shown to each of them, and read again each time; none shows nothing.
    pub token_file: Option<PathBuf>,
}

impl FoundNodes {
    /// Nobody looks for any.
    #[must_use]
    pub fn nobody() -> Self {
        Self {
            addresses: watch::channel(Vec::new()).1,
            token_file: None,
        }
    }

    fn reach(&self) -> Result<Reach, String> {
        let authorization = self.token_file.as_ref().map(|file| Token {
            credentials_file: Some(file.clone()),
            ..Token::default()
        });
        let http = HttpConfig::<Secret> {
            authorization,
            ..HttpConfig::default()
        };
        http.read(Path::new(""))
    }
}

struct Named {
    node: Arc<str>,
    url: String,
    timeout: Duration,
    reach: Result<Reach, String>,
}

/// What has arrived in time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gathered {
    /// Oldest first.
    pub lines: Vec<LogRecord>,
    /// There are more that match.
    pub cut: bool,
    /// Whether a node has the pod.
    pub known: bool,
    /// Nodes that answered.
    pub heard: usize,
    pub unheard: Vec<Unheard>,
}

impl Nodes {
    #[must_use]
    pub fn new(config: &[Node], found: FoundNodes, client: Arc<dyn Client>) -> Self {
        Self {
            named: RwLock::new(named(config)),
            found,
            client,
        }
    }

    /// Takes up another list while running.
    pub fn apply(&self, config: &[Node]) {
        *self.named.write() = named(config);
    }

    /// How many can be asked.
    #[must_use]
    pub fn count(&self) -> usize {
        self.all().len()
    }

    /// Asks the node of this name, or all if there is none of this name; returns at the deadline at the latest.
    pub async fn tail(&self, query: &TailQuery, node: Option<&str>, patience: Duration) -> Gathered {
        let end = Instant::now() + patience;
        let all = self.all();
        let one = node.filter(|node| all.contains_key(*node));
        let asked = all
            .into_iter()
            .filter(|(name, _)| one.is_none_or(|one| one == &**name));
        let mut open: BTreeMap<Arc<str>, Place> = asked.collect();
        let mut gathered = Gathered::default();
        let asking: Vec<_> = open
            .iter()
            .map(|(node, place)| (Arc::clone(node), place.clone()))
            .collect();
        let mut answers = iter(asking)
            .map(|(node, place)| async move {
                let answer = self.ask(&place, query, patience).await;
                (node, answer)
            })
            .buffer_unordered(AT_ONCE);
        while let Ok(Some((node, answer))) = timeout_at(end, answers.next()).await {
            open.remove(&node);
            match answer {
                Ok(tail) => {
                    gathered.heard += 1;
                    gathered.cut |= tail.cut;
                    gathered.known |= tail.known;
                    gathered.lines.extend(tail.lines);
                }
                Err(why) => gathered.unheard.push(Unheard { node, why }),
            }
        }
        drop(answers);
        let late = format!("no answer within {}", model::text::duration::short(patience));
        gathered.unheard.extend(open.into_keys().map(|node| Unheard {
            node,
            why: late.clone(),
        }));
        gathered.unheard.sort_by(|a, b| a.node.cmp(&b.node));
        gathered.lines.sort_by_key(|line| line.time);
        let skipped = gathered.lines.len().saturating_sub(query.lines);
        gathered.lines.drain(..skipped);
        gathered.cut |= skipped > 0;
        gathered
    }

    /// Whether each node answers and takes our credentials; a sentence either way.
    pub async fn probe(&self, patience: Duration) -> Vec<(Arc<str>, Result<String, String>)> {
        // There need not be such a pod: what counts is that we may ask.
        let query = TailQuery {
            namespace: "default".to_owned(),
            pod: "skopos-check".to_owned(),
            container: String::new(),
            text: String::new(),
            level: None,
            from: Timestamp(0),
            to: Timestamp::MAX,
            lines: 1,
        };
        let query = &query;
        let probes = iter(self.all()).map(|(node, place)| async move {
            let end = Instant::now() + patience;
            let answer = timeout_at(end, self.ask(&place, query, patience)).await;
            let late = || {
                Err(format!(
                    "no answer within {}",
                    model::text::duration::short(patience)
                ))
            };
            let said = answer.unwrap_or_else(|_| late());
            (
                node,
                said.map(|_| "it answers, and shows us the last lines of its pods".to_owned()),
            )
        });
        let mut said: Vec<_> = probes.buffer_unordered(AT_ONCE).collect().await;
        said.sort_by(|a, b| a.0.cmp(&b.0));
        said
    }

    /// What `skopos doctor` is told of them; none where there is none.
    pub async fn checkup(&self) -> Option<Checkup> {
        const NAME: &str = "nodes, asked now";
        let said = self.probe(PROBE_PATIENCE).await;
        if said.is_empty() {
            return None;
        }
        let wrong: Vec<String> = said
            .iter()
            .filter_map(|(node, said)| Some(format!("{node}: {}", said.as_ref().err()?)))
            .collect();
        if wrong.is_empty() {
            return Some(Checkup::ok(
                ROOM,
                NAME,
                format!("{} of {} answer", said.len(), said.len()),
            ));
        }
        let seen = format!("{} of {} do not show us their lines", wrong.len(), said.len());
        let advice = "see whether the node runs and knows our token: one of logs.nodes as a reader in its web.tokens_file, an agent of kubernetes.agents by its right to create tokenreviews";
        Some(Checkup::warn(ROOM, NAME, seen).advise(advice).list(wrong))
    }

    /// By name.
    fn all(&self) -> BTreeMap<Arc<str>, Place> {
        let found = self.found.addresses.borrow();
        let mut all: BTreeMap<Arc<str>, Place> = found
            .iter()
            .map(|address| (Arc::clone(&address.node), Place::Found(Arc::clone(&address.url))))
            .collect();
        let named = self.named.read();
        all.extend(
            named
                .iter()
                .map(|named| (Arc::clone(&named.node), Place::Named(Arc::clone(named)))),
        );
        all
    }

    async fn ask(&self, place: &Place, query: &TailQuery, patience: Duration) -> Result<Tail, String> {
        let found;
        let (url, patience, reach) = match place {
            Place::Named(named) => {
                let reach = named.reach.as_ref().map_err(Clone::clone)?;
                (named.url.as_str(), patience.min(named.timeout), reach)
            }
            Place::Found(url) => {
                found = self.found.reach()?;
                (&**url, patience, &found)
            }
        };
        let request = Request {
            method: Method::Get,
            url: format!("{}{PATH}?{}", url.trim_end_matches('/'), written(query)),
            headers: Vec::new(),
            body: bytes::Bytes::new(),
            timeout: patience,
            answer_bytes_max: ANSWER_BYTES_MAX,
        };
        let via = reach.open(&*self.client, &|| true).await?;
        let response = via.send(request).await.map_err(|error| error.to_string())?;
        judge(&response, query)
    }
}

/// How a node is reached.
#[derive(Clone)]
enum Place {
    Named(Arc<Named>),
    Found(Arc<str>),
}

fn named(config: &[Node]) -> Vec<Arc<Named>> {
    let named = config.iter().map(|node| {
        Arc::new(Named {
            node: node.node.as_str().into(),
            url: node.url.clone(),
            timeout: node.timeout,
            reach: node.reach(),
        })
    });
    named.collect()
}

fn judge(response: &Response, query: &TailQuery) -> Result<Tail, String> {
    if response.status != 200 {
        let said = String::from_utf8_lossy(&response.body);
        let said: String = said
            .lines()
            .next()
            .unwrap_or_default()
            .chars()
            .take(WORDS_MAX)
            .collect();
        return Err(match response.status {
            401 | 403 => format!("it does not let us ({}): {said}", response.status),
            404 => format!("it has no log lines to show (404): {said}"),
            status => format!("it answers {status}: {said}"),
        });
    }
    let mut tail: Tail = serde_json::from_slice(&response.body)
        .map_err(|_| "its answer is not that of a Skopos".to_owned())?;
    tail.lines.retain(|line| query.has(&line.source));
    Ok(tail)
}

/// The question as an address has it.
fn written(query: &TailQuery) -> String {
    let mut written = form_urlencoded::Serializer::new(String::new());
    for (name, value) in [
        ("namespace", &query.namespace),
        ("pod", &query.pod),
        ("container", &query.container),
        ("text", &query.text),
    ] {
        if !value.is_empty() {
            written.append_pair(name, value);
        }
    }
    written.append_pair("lines", &query.lines.clamp(1, crate::last::LINES_MAX).to_string());
    if let Some(level) = query.level {
        written.append_pair("level", &level.word().to_lowercase());
    }
    for (name, time, open) in [
        ("from", query.from, Timestamp(0)),
        ("to", query.to, Timestamp::MAX),
    ] {
        if time != open {
            written.append_pair(name, &time.seconds().to_string());
        }
    }
    written.finish()
}
