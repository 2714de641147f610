//! The network between hosts: slow, cut, deaf in one direction, and now and then it loses an answer.
//!
//! A request that has left its process arrives or is lost whatever becomes of the process; it is served by the
//! target's own tasks, so that a caller who gives up does not undo what was done.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::BoxFuture;
use model::outside::{Call, Client, ClientError, Identity, Method, Request, Response, Role, Serve};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::faults::REPLICAS;
use super::process::Gate;
use super::world::Log;

/// Longest that opening a connection takes before it is given up.
const CONNECT: Duration = Duration::from_secs(5);

/// What lies at the other end of a name.
#[derive(Clone)]
pub enum Host {
    Process {
        gate: Arc<Gate>,
        serve: Arc<dyn Serve>,
    },
    /// Somebody else's service, always there.
    Service(Arc<dyn Service>),
}

/// A service of the world outside. None: it has read the request and never answers.
pub trait Service: Send + Sync {
    fn answer(&self, from: &str, request: Request) -> BoxFuture<'static, Option<Response>>;
}

/// One direction between two hosts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Link {
    pub cut: bool,
    /// Added to every message.
    pub slow: Duration,
    /// Of a hundred requests.
    pub loses_requests: u8,
    /// Of a hundred requests, those whose answer is lost.
    pub loses_answers: u8,
}

pub struct Net {
    state: Mutex<State>,
    log: Arc<Log>,
}

struct State {
    seed: u64,
    hosts: BTreeMap<Arc<str>, Host>,
    links: BTreeMap<(Arc<str>, Arc<str>), Path>,
    unheard: BTreeMap<Arc<str>, usize>,
}

/// Each direction has its own luck: what others send at the same moment does not change it.
struct Path {
    link: Link,
    rng: fastrand::Rng,
}

impl State {
    fn path(&mut self, from: &str, to: &str) -> &mut Path {
        let seed = self.seed;
        self.links.entry((from.into(), to.into())).or_insert_with(|| {
            let name = from.bytes().chain(*b" > ").chain(to.bytes());
            let own = name.fold(seed, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
            Path {
                link: Link::default(),
                rng: fastrand::Rng::with_seed(own),
            }
        })
    }
}

/// How one exchange goes, decided when it begins.
struct Fate {
    there: Duration,
    back: Duration,
    request_lost: bool,
    answer_lost: bool,
    /// Whether a loss is noticed as a broken connection, or not at all.
    noticed: bool,
}

enum Lost {
    Silently,
    Connect(&'static str),
    Broken(&'static str),
}

impl Net {
    pub fn new(seed: u64, log: Arc<Log>) -> Arc<Self> {
        let state = State {
            seed,
            hosts: BTreeMap::new(),
            links: BTreeMap::new(),
            unheard: BTreeMap::new(),
        };
        Arc::new(Self {
            state: Mutex::new(state),
            log,
        })
    }

    pub fn is_at(&self, name: &str, host: Host) {
        self.state.lock().hosts.insert(name.into(), host);
    }

    pub fn is_gone(&self, name: &str) {
        self.state.lock().hosts.remove(name);
    }

    /// Changes one direction.
    pub fn link(&self, from: &str, to: &str, change: impl FnOnce(&mut Link)) {
        change(&mut self.state.lock().path(from, to).link);
    }

    pub fn is_cut(&self, from: &str, to: &str) -> bool {
        self.state.lock().path(from, to).link.cut
    }

    /// Lets go of all that holds on to it.
    pub fn end(&self) {
        self.state.lock().hosts.clear();
    }

    /// How long one message takes now.
    pub fn latency(&self, from: &str, to: &str) -> Duration {
        let mut state = self.state.lock();
        let path = state.path(from, to);
        Duration::from_millis(path.rng.u64(1..=20)) + path.link.slow
    }

    fn fate(&self, from: &str, to: &str) -> Fate {
        let (there, back) = (self.latency(from, to), self.latency(to, from));
        let mut state = self.state.lock();
        let Path { link, rng } = state.path(from, to);
        Fate {
            there,
            back,
            request_lost: rng.u8(0..100) < link.loses_requests,
            answer_lost: rng.u8(0..100) < link.loses_answers,
            noticed: rng.bool(),
        }
    }

    /// From the moment that the request has left its process.
    async fn exchange(
        self: Arc<Self>,
        from: Arc<str>,
        to: Arc<str>,
        request: Request,
    ) -> Result<Response, Lost> {
        let fate = self.fate(&from, &to);
        tokio::time::sleep(fate.there).await;
        // Half of them have a connection already; to open one needs both directions.
        if self.is_cut(&from, &to) || self.is_cut(&to, &from) && fate.noticed {
            if fate.noticed {
                tokio::time::sleep(CONNECT).await;
                return Err(Lost::Connect("timed out"));
            }
            return Err(Lost::Silently);
        }
        if fate.request_lost {
            return Err(if fate.noticed {
                Lost::Broken("reset before the answer")
            } else {
                Lost::Silently
            });
        }
        let host = self.state.lock().hosts.get(&to).cloned();
        let answer = match host {
            None => return Err(Lost::Connect("refused")),
            Some(Host::Process { gate, .. }) if gate.is_dead() => return Err(Lost::Connect("refused")),
            Some(Host::Process { gate, serve }) => {
                let (answer, answered) = oneshot::channel();
                let call = call(&from, &request);
                tokio::spawn(async move {
                    let work = async {
                        // A paused process finds the request in its socket when it goes on.
                        gate.open().await;
                        let response = serve.serve(call).await;
                        gate.open().await;
                        response
                    };
                    tokio::select! {
                        biased;
                        () = gate.death() => {}
                        response = work => drop(answer.send(response)),
                    }
                });
                answered
                    .await
                    .map_err(|_| Lost::Broken("reset before the answer"))?
            }
            Some(Host::Service(service)) => match service.answer(&from, request).await {
                Some(response) => response,
                None => return Err(Lost::Silently),
            },
        };
        if fate.answer_lost {
            self.unheard(&to);
            return Err(if fate.noticed {
                Lost::Broken("reset before the answer")
            } else {
                Lost::Silently
            });
        }
        tokio::time::sleep(fate.back).await;
        if self.is_cut(&to, &from) {
            self.unheard(&to);
            return Err(Lost::Silently);
        }
        Ok(answer)
    }

    fn unheard(&self, host: &Arc<str>) {
        *self.state.lock().unheard.entry(Arc::clone(host)).or_default() += 1;
    }

    /// Answers of a host that were lost on their way back.
    pub fn lost_answers(&self, host: &str) -> usize {
        self.state.lock().unheard.get(host).copied().unwrap_or_default()
    }
}

/// One process's way to the network.
pub struct Wire {
    net: Arc<Net>,
    from: Arc<str>,
    gate: Arc<Gate>,
    /// Asked when an answer has come, before the process sees it: true, and it never does.
    fatal: Arc<dyn Fn(&str) -> bool + Send + Sync>,
}

impl Wire {
    pub fn new(
        net: Arc<Net>,
        from: Arc<str>,
        gate: Arc<Gate>,
        fatal: Arc<dyn Fn(&str) -> bool + Send + Sync>,
    ) -> Arc<Self> {
        Arc::new(Self {
            net,
            from,
            gate,
            fatal,
        })
    }
}

impl Client for Wire {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, ClientError>> {
        Box::pin(async move {
            self.gate.open().await;
            let Some((to, path)) = parts(&request.url) else {
                return Err(ClientError::BadUrl(request.url));
            };
            let (to, path): (Arc<str>, String) = (to.into(), path.to_owned());
            let (timeout, bytes) = (request.timeout, request.body.len());
            let limit = request.answer_bytes_max;
            let (answer, answered) = oneshot::channel();
            let exchange = Arc::clone(&self.net).exchange(Arc::clone(&self.from), Arc::clone(&to), request);
            tokio::spawn(async move { answer.send(exchange.await) });
            let end = tokio::time::Instant::now() + timeout;
            let outcome = match tokio::time::timeout_at(end, answered).await {
                Ok(Ok(Ok(response))) if response.body.len() > limit => {
                    Err(ClientError::TooLong { limit_bytes: limit })
                }
                Ok(Ok(Ok(response))) => Ok(response),
                Ok(Ok(Err(Lost::Connect(why)))) => Err(ClientError::Connect(why.to_owned())),
                Ok(Ok(Err(Lost::Broken(why)))) => Err(ClientError::Broken(why.to_owned())),
                // Nobody will ever say anything: the caller's patience ends it.
                Ok(Ok(Err(Lost::Silently)) | Err(_)) | Err(_) => {
                    tokio::time::sleep_until(end).await;
                    Err(ClientError::Timeout(timeout))
                }
            };
            self.gate.open().await;
            self.net.log.say(|| {
                let end = match &outcome {
                    Ok(response) => response.status.to_string(),
                    Err(error) => error.to_string(),
                };
                format!("net {} > {to}{path} {bytes} B: {end}", self.from)
            });
            if outcome.is_ok() && (self.fatal)(&to) {
                std::future::pending::<()>().await;
            }
            outcome
        })
    }
}

/// Host and path of `http://host/path`; a port is left out.
fn parts(url: &str) -> Option<(&str, &str)> {
    let rest = url.split_once("://")?.1;
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    Some((host.split(':').next()?, path))
}

/// Who it comes from is known, as by a credential.
fn call(from: &Arc<str>, request: &Request) -> Call {
    let path = parts(&request.url).map_or("", |(_, path)| path);
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let headers = request.headers.iter();
    Call {
        method: match request.method {
            Method::Get => "GET".to_owned(),
            Method::Post => "POST".to_owned(),
            Method::Put => "PUT".to_owned(),
        },
        path: path.to_owned(),
        query: query.to_owned(),
        headers: headers
            .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
            .collect(),
        body: request.body.to_vec(),
        local: false,
        from: Some(Identity {
            role: if REPLICAS.contains(&&**from) {
                Role::Replica
            } else {
                Role::Node
            },
            name: Arc::clone(from),
        }),
    }
}
