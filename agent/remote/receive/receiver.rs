//! Answers remote write requests, 2.0 and 1.0.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use journal::Journal;
use model::outside::{Call, Identity, Response, Role};
use model::time::millis;
use model::{Clock, Keep, Labels, Ledger, view};
use parking_lot::{Mutex, RwLock};
use prometheus::Registry;

use super::account::Account;
use super::answer::{self, Refusal};
use super::config::Config;
use super::intake::{Counts, Failure, Intake, Protocol, Room};
use super::naming::Naming;
use super::sender::{Key, Sender, key};
use super::senders::Watch;
use crate::wire::decode::{UnpackError, unpack, unpacked_bytes};

/// Memory that a request takes while it is read, by its length unpacked: samples that take 8 bytes there take 40, and
/// native histograms that take 16 take 200.
const MEMORY_FACTOR: usize = 14;
/// Samples may be so much ahead of this machine's clock, as in Prometheus.
const AHEAD_MILLIS: i64 = 10 * 60 * 1000;
const ROOMS_MAX: usize = 4;
const ROOM_BYTES_MAX: usize = 8 << 20;
const EPOCH: &str = "x-skopos-epoch";

/// Whether whoever has this name is known.
pub(crate) type IsKnown = dyn Fn(&str) -> bool + Send + Sync;

/// Cheap calls from any thread; requests of one sender wait for each other.
pub struct Receiver {
    pub(crate) config: Config,
    pub(crate) keep: Arc<dyn Keep>,
    pub(crate) journal: Journal,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) account: Account,
    pub(crate) senders: RwLock<BTreeMap<Key, Arc<Sender>>>,
    /// Who sends by itself, and how often that has changed.
    nodes: RwLock<BTreeSet<Arc<str>>>,
    nodes_changed: AtomicU64,
    pub(crate) expected: Mutex<Option<Arc<BTreeSet<Arc<str>>>>>,
    pub(crate) besides: OnceLock<Arc<IsKnown>>,
    epoch: OnceLock<Arc<dyn Fn() -> u64 + Send + Sync>>,
    pub(crate) read_here: OnceLock<Arc<dyn Fn() -> Vec<Labels> + Send + Sync>>,
    held: AtomicBool,
    /// Whether it may say of a node that nobody hears it.
    pub(crate) judges: AtomicBool,
    /// Running milliseconds since which senders could have been heard without a break.
    pub(crate) listening: AtomicI64,
    pub(crate) watch: Mutex<Watch>,
    decoding_bytes: AtomicUsize,
    rooms: Mutex<Vec<Room>>,
}

impl Receiver {
    /// Senders that the journal knows are missed if they do not come back.
    #[must_use]
    pub fn new(
        config: Config,
        keep: Arc<dyn Keep>,
        journal: Journal,
        clock: Arc<dyn Clock>,
        registry: &Registry,
    ) -> Arc<Self> {
        let running = millis(clock.running());
        let receiver = Self {
            account: Account::new(registry),
            config,
            keep,
            journal,
            clock,
            senders: RwLock::default(),
            nodes: RwLock::default(),
            nodes_changed: AtomicU64::new(0),
            expected: Mutex::default(),
            besides: OnceLock::new(),
            epoch: OnceLock::new(),
            read_here: OnceLock::new(),
            held: AtomicBool::new(false),
            judges: AtomicBool::new(true),
            listening: AtomicI64::new(running),
            watch: Mutex::new(Watch::new(running)),
            decoding_bytes: AtomicUsize::new(0),
            rooms: Mutex::default(),
        };
        receiver.recall();
        Arc::new(receiver)
    }

    /// Where the highest epoch seen is asked for; whoever carries a lower one is refused. Without it nobody is.
    pub fn epochs_from(&self, epoch: Arc<dyn Fn() -> u64 + Send + Sync>) {
        if self.epoch.set(epoch).is_err() {
            tracing::error!("epochs have been given to the receiver twice; the first stand");
        }
    }

    /// Where the labels of targets are asked for that this process reads itself and that answer: of these it is not said that they
    /// are down because their node is silent.
    pub fn read_here(&self, targets: Arc<dyn Fn() -> Vec<Labels> + Send + Sync>) {
        if self.read_here.set(targets).is_err() {
            tracing::error!(
                "targets that are read here have been named to the receiver twice; the first stand"
            );
        }
    }

    /// While a fresh replica copies its peer's head, what is newer has to wait: 503. Nobody is called silent then.
    pub fn hold(&self, held: bool) {
        self.held.store(held, Ordering::Relaxed);
        self.listen_anew();
    }

    pub(crate) fn is_held(&self) -> bool {
        self.held.load(Ordering::Relaxed)
    }

    /// Answers one remote write request. `call.from` is who sends, by its credential. Does not wait for anything,
    /// but takes CPU time in proportion to the body.
    pub fn write(&self, call: &Call) -> Response {
        let role = call.from.as_ref().map_or("none", |from| from.role.word());
        let response = self.try_write(call).unwrap_or_else(|refusal| {
            self.account.refused.with_label_values(&[refusal.reason]).inc();
            let sentence = refusal.sentence.as_str();
            tracing::debug!(role, status = refusal.status, sentence, "request refused");
            refusal.response()
        });
        let status = response.status.to_string();
        self.account
            .requests
            .with_label_values(&[role, status.as_str()])
            .inc();
        response
    }

    fn try_write(&self, call: &Call) -> Result<Response, Refusal> {
        let protocol = answer::protocol(call)?;
        let unknown = || Refusal::new(401, "identity", "who sends is not known");
        let from = call
            .from
            .as_ref()
            .filter(|from| !from.name.is_empty())
            .ok_or_else(unknown)?;
        self.check_epoch(call)?;
        if self.is_held() {
            let why = "this replica has no data yet: what the other one has comes first";
            return Err(Refusal::later("held", why, 2));
        }
        let counts = self.take(from, protocol, &call.body)?;
        Ok(answer::written(&counts, protocol, from.role))
    }

    fn check_epoch(&self, call: &Call) -> Result<(), Refusal> {
        let (Some(text), Some(epoch)) = (call.header(EPOCH), self.epoch.get()) else {
            return Ok(());
        };
        let bad = || Refusal::new(400, "bad_epoch", format!("{EPOCH} is not a number"));
        let said: u64 = text.trim().parse().map_err(|_| bad())?;
        let seen = epoch();
        if said < seen {
            let why = format!("epoch {said} is over, this is {seen}");
            return Err(Refusal::new(409, "old_epoch", why));
        }
        Ok(())
    }

    /// Reads one packed request and commits its samples, also while others are held.
    pub(crate) fn take(&self, from: &Identity, protocol: Protocol, body: &[u8]) -> Result<Counts, Refusal> {
        let bytes_max = self.config.body_bytes_max;
        let unpacked = unpacked_bytes(body, bytes_max).map_err(|why| bad_body(&why))?;
        let _reserved = self.reserve(unpacked.saturating_mul(MEMORY_FACTOR))?;
        let sender = self.sender(from)?;
        let started = self.clock.running();
        let mut room = self.rooms.lock().pop().unwrap_or_default();
        let taken = self.read(&sender, protocol, body, &mut room);
        if room.bytes() <= ROOM_BYTES_MAX {
            let mut rooms = self.rooms.lock();
            if rooms.len() < ROOMS_MAX {
                rooms.push(room);
            }
        }
        let counts = taken?;
        self.account.bytes.inc_by(body.len() as u64);
        self.account.request(&counts);
        let took = self.clock.running().saturating_sub(started);
        self.account.duration.observe(took.as_secs_f64());
        sender.hear(self.clock.now(), millis(self.clock.running()), counts.newest);
        Ok(counts)
    }

    fn read(
        &self,
        sender: &Sender,
        protocol: Protocol,
        body: &[u8],
        room: &mut Room,
    ) -> Result<Counts, Refusal> {
        // Taken out of the room, because the rest of it is written while this is read.
        let mut unpacked = std::mem::take(&mut room.body);
        let counts = unpack(body, self.config.body_bytes_max, &mut unpacked)
            .map_err(|why| bad_body(&why))
            .and_then(|request| {
                let counts = self.intake(sender, protocol, request, room);
                counts.map_err(|why| match why {
                    Failure::Malformed(_) => Refusal::new(400, "malformed", why.to_string()),
                    Failure::TooMuch => Refusal::new(413, "too_much", why.to_string()),
                })
            });
        room.body = unpacked;
        counts
    }

    fn intake(
        &self,
        sender: &Sender,
        protocol: Protocol,
        request: &[u8],
        room: &mut Room,
    ) -> Result<Counts, Failure> {
        let sends = |name: &str| self.nodes.read().contains(name);
        let nodes = self.nodes_changed.load(Ordering::Relaxed);
        let naming = match sender.identity.role {
            Role::Node => Naming::Node(&sender.identity.name),
            Role::Replica => Naming::Replica,
            // A reader does not get here; what it sent would be a writer's.
            Role::Writer | Role::Reader => Naming::Writer(&sends),
        };
        let mut cache = sender.cache.lock();
        if sender.identity.role == Role::Writer && cache.nodes != nodes {
            cache.clear();
            cache.nodes = nodes;
        }
        let intake = Intake {
            keep: &*self.keep,
            naming,
            cache: &mut cache,
            now: u32::try_from(self.clock.running().as_secs()).unwrap_or(u32::MAX),
            latest: self.clock.now().0.saturating_add(AHEAD_MILLIS),
            series_max: self.config.sender_series_max,
            counts: Counts::default(),
        };
        let counts = intake.take(protocol, request, room)?;
        sender.series.store(cache.len(), Ordering::Relaxed);
        sender.samples.fetch_add(counts.samples as u64, Ordering::Relaxed);
        Ok(counts)
    }

    /// The sender with that identity, made if there is room for one more.
    fn sender(&self, identity: &Identity) -> Result<Arc<Sender>, Refusal> {
        let key = key(identity);
        if let Some(known) = self.senders.read().get(&key) {
            return Ok(known.clone());
        }
        self.introduce(identity).ok_or_else(|| {
            let why = format!("{} senders are known already", self.config.senders_max);
            Refusal::later("senders", why, 30)
        })
    }

    pub(crate) fn introduce(&self, identity: &Identity) -> Option<Arc<Sender>> {
        let mut senders = self.senders.write();
        if let Some(known) = senders.get(&key(identity)) {
            return Some(known.clone());
        }
        if senders.len() >= self.config.senders_max {
            return None;
        }
        let sender = Arc::new(Sender::new(identity.clone(), millis(self.clock.running())));
        senders.insert(key(identity), sender.clone());
        self.account.senders.set(senders.len() as f64);
        drop(senders);
        if identity.role == Role::Node {
            self.nodes.write().insert(identity.name.clone());
            self.nodes_changed.fetch_add(1, Ordering::Relaxed);
        }
        Some(sender)
    }

    pub(crate) fn dismiss(&self, sender: &Sender) {
        let mut senders = self.senders.write();
        senders.remove(&key(&sender.identity));
        self.account.senders.set(senders.len() as f64);
        drop(senders);
        if sender.is_node() {
            self.nodes.write().remove(&sender.identity.name);
            self.nodes_changed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Lets go of what is remembered of a sender that has said all it will.
    pub(crate) fn forget_sender(&self, identity: &Identity) {
        let known = self.senders.read().get(&key(identity)).cloned();
        if let Some(sender) = known {
            self.dismiss(&sender);
        }
    }

    fn reserve(&self, bytes: usize) -> Result<Reserved<'_>, Refusal> {
        let limit = self.config.decoding_bytes_max;
        let room = |used: usize| {
            // One request alone is within the limit of its length.
            (used == 0 || used.saturating_add(bytes) <= limit).then_some(used.saturating_add(bytes))
        };
        let order = Ordering::Relaxed;
        match self.decoding_bytes.fetch_update(order, order, room) {
            Ok(before) => {
                self.account.decoding.set((before + bytes) as f64);
                Ok(Reserved(self, bytes))
            }
            Err(_) => {
                let why = "as many requests are being read as memory allows";
                Err(Refusal::later("busy", why, 1))
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn reserve_for_test(&self, bytes: usize) -> impl Drop {
        self.reserve(bytes).ok().unwrap()
    }

    #[must_use]
    pub fn ledger(&self) -> Ledger {
        self.account.ledger()
    }

    /// Everybody who has sent lately, nodes first.
    #[must_use]
    pub fn senders(&self) -> Vec<view::Sender> {
        let senders = self.senders.read();
        senders.values().map(|sender| sender.view()).collect()
    }
}

/// Memory set aside for one request.
struct Reserved<'a>(&'a Receiver, usize);

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        let before = self.0.decoding_bytes.fetch_sub(self.1, Ordering::Relaxed);
        self.0.account.decoding.set(before.saturating_sub(self.1) as f64);
    }
}

fn bad_body(why: &UnpackError) -> Refusal {
    match why {
        UnpackError::TooLong { .. } => Refusal::new(413, "too_long", why.to_string()),
        UnpackError::Bomb { .. } => Refusal::new(400, "bomb", why.to_string()),
        UnpackError::Broken(_) => Refusal::new(400, "not_snappy", why.to_string()),
    }
}
