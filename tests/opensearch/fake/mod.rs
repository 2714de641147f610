//! An OpenSearch that keeps what it is sent in memory, holds it to the real one's rules and misbehaves on demand.
//!
//! Its answers have the real one's statuses and types, which `alike.rs` holds against a real node; reasons are shorter. Index
//! State Management is held to its documented form instead, as no node for tests has it. It knows neither updates nor aliases
//! nor component templates, and says so.

mod answer;
mod bulk;
pub mod faults;
mod filter;
mod json;
mod leaf;
mod mapping;
mod policies;
mod problem;
mod search;
mod serve;
mod store;
mod templates;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde_json::Value;

use faults::Plan;
use problem::Problem;
use store::Store;

/// What it holds everybody to.
#[derive(Clone, Debug)]
pub struct Rules {
    /// As it says of itself.
    pub version: String,
    /// Longest body, as it comes and unpacked; longer ones are answered with 413.
    pub body_bytes_max: usize,
    /// Longest body as it comes, and what is said of longer ones: a proxy's limit.
    pub proxy: Option<(usize, String)>,
    /// Whether it makes all ids itself, as time series collections of OpenSearch Serverless do.
    pub makes_ids: bool,
    /// Documents that cannot be indexed as they are.
    pub poison: Option<Poison>,
    /// Each bulk request takes at least this long.
    pub latency: Duration,
    /// User and password that every request must name.
    pub login: Option<(String, String)>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            version: "3.8.0".to_owned(),
            body_bytes_max: 100 * 1024 * 1024,
            proxy: None,
            makes_ids: false,
            poison: None,
            latency: Duration::ZERO,
            login: None,
        }
    }
}

impl Rules {
    /// Bodies above 10 MiB, as Amazon's small domains answer them.
    #[must_use]
    pub fn small_domain() -> Self {
        const BYTES_MAX: usize = 10_485_760;
        let text = format!("{{\"Message\":\"Request size exceeded {BYTES_MAX} bytes\"}}");
        Self {
            proxy: Some((BYTES_MAX, text)),
            ..Self::default()
        }
    }
}

/// A document whose source has the marker in it is a 400, `mapper_parsing_exception`.
#[derive(Clone, Debug)]
pub struct Poison {
    pub marker: String,
    /// It is taken once it has no other fields than these; None: never.
    pub harmless: Option<Vec<String>>,
}

impl Poison {
    /// Taken when its message and its time are all that is left.
    #[must_use]
    pub fn curable(marker: &str) -> Self {
        Self {
            marker: marker.to_owned(),
            harmless: Some(vec!["message".to_owned(), "@timestamp".to_owned()]),
        }
    }

    #[must_use]
    pub fn deadly(marker: &str) -> Self {
        Self {
            marker: marker.to_owned(),
            harmless: None,
        }
    }
}

/// What has come in so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counters {
    pub connections: u64,
    pub requests: u64,
    /// Requests to `_bulk`, whatever became of them.
    pub bulks: u64,
    /// Of those that were read.
    pub items: u64,
    /// By the status that their item was answered with, sent or not.
    pub items_by_status: BTreeMap<u16, u64>,
    /// Bodies as they came, and unpacked.
    pub wire_bytes: u64,
    pub body_bytes: u64,
    pub wire_bytes_max: u64,
    pub body_bytes_max: u64,
    pub bulks_at_once_max: u64,
    /// By the word before the bracket of a fault's name.
    pub faults: BTreeMap<String, u64>,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Seen {
    pub at: Instant,
    pub method: String,
    /// With its query.
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub wire_bytes: usize,
    /// What it was answered with, or should have been; none if it was not looked at.
    pub status: Option<u16>,
}

impl Seen {
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// Requests that are remembered; older ones are forgotten.
const SEEN_MAX: usize = 10_000;

/// Documents are read as deep as they are nested.
const STACK_BYTES: usize = 8 * 1024 * 1024;

struct Plans {
    bulks: Plan,
    others: Plan,
    /// Draws items and shapes.
    random: Rng,
}

#[derive(Default)]
struct Gate {
    is_closed: bool,
    /// How often it was opened: who belongs to an earlier time has nothing to wait for.
    opening: u64,
    sockets: HashMap<u64, TcpStream>,
    connections: u64,
    bulks_now: u64,
}

struct State {
    store: Mutex<Store>,
    rules: Mutex<Rules>,
    plans: Mutex<Plans>,
    counters: Mutex<Counters>,
    seen: Mutex<VecDeque<Seen>>,
    gate: Mutex<Gate>,
    closing: Condvar,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    /// Waits so long; false when the fake closes before.
    fn wait(&self, opening: u64, duration: Duration) -> bool {
        let is_open = |gate: &Gate| !gate.is_closed && gate.opening == opening;
        let gate = lock(&self.gate);
        let waited = self
            .closing
            .wait_timeout_while(gate, duration, |gate| is_open(gate));
        is_open(&waited.unwrap_or_else(PoisonError::into_inner).0)
    }

    fn count(&self, change: impl FnOnce(&mut Counters)) {
        change(&mut lock(&self.counters));
    }
}

pub struct Fake {
    state: Arc<State>,
    address: SocketAddr,
    listening: Mutex<Option<JoinHandle<()>>>,
}

impl Fake {
    /// On a free port of the loopback.
    ///
    /// # Panics
    /// There is none.
    #[must_use]
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let plans = Plans {
            bulks: Plan::well(),
            others: Plan::well(),
            random: Rng::with_seed(1),
        };
        let state = State {
            store: Mutex::default(),
            rules: Mutex::default(),
            plans: Mutex::new(plans),
            counters: Mutex::default(),
            seen: Mutex::default(),
            gate: Mutex::default(),
            closing: Condvar::new(),
        };
        let this = Self {
            state: Arc::new(state),
            address: listener.local_addr().expect("its address"),
            listening: Mutex::default(),
        };
        this.accept(listener);
        this
    }

    /// Without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What happens to bulk requests from now on.
    pub fn plan(&self, plan: Plan) {
        lock(&self.state.plans).bulks = plan;
    }

    /// What happens to all others.
    pub fn plan_others(&self, plan: Plan) {
        lock(&self.state.plans).others = plan;
    }

    /// Steps of the script for bulk requests that are still to come.
    #[must_use]
    pub fn steps_left(&self) -> usize {
        lock(&self.state.plans).bulks.left()
    }

    /// Changes what everybody is held to.
    pub fn rules(&self, change: impl FnOnce(&mut Rules)) {
        change(&mut lock(&self.state.rules));
    }

    #[must_use]
    pub fn counters(&self) -> Counters {
        lock(&self.state.counters).clone()
    }

    /// The last requests, oldest first.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        lock(&self.state.seen).iter().cloned().collect()
    }

    /// `_id` and `_source` of all that indices of a name or a pattern hold, in the order in which they came to each.
    #[must_use]
    pub fn documents(&self, pattern: &str) -> Vec<(String, Value)> {
        let mut all = Vec::new();
        self.each(pattern, |id, source| {
            all.push((id.to_owned(), serde_json::from_slice(source).unwrap_or_default()))
        });
        all
    }

    /// The same without a copy; sources are as they were sent.
    pub fn each(&self, pattern: &str, mut look: impl FnMut(&str, &[u8])) {
        let store = lock(&self.state.store);
        for name in store.meant(pattern) {
            let Some(index) = store.indices.get(name) else {
                continue;
            };
            let mut documents: Vec<_> = index.documents.iter().collect();
            documents.sort_by_key(|(_, document)| document.seq_no);
            documents
                .into_iter()
                .for_each(|(id, document)| look(id, &document.source));
        }
    }

    #[must_use]
    pub fn count(&self, pattern: &str) -> usize {
        let store = lock(&self.state.store);
        store
            .meant(pattern)
            .into_iter()
            .filter_map(|name| store.indices.get(name))
            .map(|index| index.documents.len())
            .sum()
    }

    /// Names of all indices, with the backing ones of data streams.
    #[must_use]
    pub fn indices(&self) -> Vec<String> {
        lock(&self.state.store).indices.keys().cloned().collect()
    }

    /// Each item into an index of this name is answered so, until it is taken back with None: 403 as when writing is blocked,
    /// 429 as when its disk is full, 400 as when it is closed.
    ///
    /// # Panics
    /// No index is blocked with that status.
    pub fn block(&self, index: &str, status: Option<u16>) {
        let blocked = status.map(|status| match status {
            400 => Problem::new(400, "index_closed_exception", "closed"),
            403 => Problem::new(403, "cluster_block_exception", format!("index [{index}] blocked by: [FORBIDDEN/8/index write (api)];")),
            429 => Problem::new(429, "cluster_block_exception", format!("index [{index}] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark, index has read-only-allow-delete block];")),
            other => panic!("no index is blocked with {other}"),
        });
        lock(&self.state.store)
            .indices
            .entry(index.to_owned())
            .or_default()
            .blocked = blocked;
    }

    /// Whether indices that are not there are made when something is written to them, as `action.auto_create_index`.
    pub fn make_indices(&self, makes: bool) {
        lock(&self.state.store).refuses_new = !makes;
    }

    /// A new backing index for a data stream.
    pub fn roll(&self, stream: &str) -> String {
        lock(&self.state.store).roll(stream)
    }

    /// Nobody listens any more, and connections end; what it holds stays.
    pub fn close(&self) {
        let mut gate = lock(&self.state.gate);
        gate.is_closed = true;
        // Those that have ended already cannot be shut.
        gate.sockets
            .drain()
            .for_each(|(_, socket)| drop(socket.shutdown(Shutdown::Both)));
        drop(gate);
        self.state.closing.notify_all();
        // Whoever waits for a connection is given one.
        drop(TcpStream::connect(self.address));
        if let Some(listening) = lock(&self.listening).take() {
            drop(listening.join());
        }
    }

    /// Listens again, at the same port, with all that it holds.
    ///
    /// # Panics
    /// The port is taken.
    pub fn open(&self) {
        let listener = TcpListener::bind(self.address).expect("its port is free");
        let mut gate = lock(&self.state.gate);
        gate.is_closed = false;
        gate.opening += 1;
        gate.bulks_now = 0;
        drop(gate);
        self.accept(listener);
    }

    fn accept(&self, listener: TcpListener) {
        let state = Arc::clone(&self.state);
        let listening = thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if lock(&state.gate).is_closed {
                    return;
                }
                let state = Arc::clone(&state);
                let connection = thread::Builder::new().stack_size(STACK_BYTES);
                let connection = connection.spawn(move || serve::connection(stream, &state));
                drop(connection.expect("a thread for the connection"));
            }
        });
        *lock(&self.listening) = Some(listening);
    }

    /// Asks it something itself.
    ///
    /// # Errors
    /// It does not answer.
    pub fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<crate::Answer> {
        crate::ask(&self.url(), method, path, headers, body)
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.close();
    }
}
