//! Who is heard, and what is said in the place of who is not.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use journal::Change;
use model::column::Kept;
use model::outside::{Identity, Role};
use model::presence::NODE;
use model::time::millis;
use model::{
    Column, Kind, Labels, Presence, Round, STALE, SeriesDesc, SeriesRef, Silence, Silent, TargetDesc,
    TargetRef, Timestamp,
};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::columns::sum;
use super::naming;
use super::receiver::Receiver;
use super::sender::{self, Heard, Sender, State};

const TICK: Duration = Duration::from_secs(1);
/// Ticks further apart mean that this process stood still: then it was deaf, and nobody silent.
const PAUSE_MILLIS: i64 = 5_000;
const REPORT_MILLIS: i64 = 15_000;
const SWEEP_MILLIS: i64 = 600_000;
/// A series that has not come for so long is let go.
const UNUSED_SECONDS: u32 = 3_600;
/// A series that had not come for so long when its sender fell silent had ended before.
const LOOKBACK_SECONDS: u32 = 300;
/// A sender's time is written into the journal at most this often.
const JOURNAL_EVERY: Duration = Duration::from_secs(300);
const JOURNAL_PREFIX: &str = "remote/sender/";

/// One that only the other replica has heard so far should have come here too within this time.
const NEWCOMER: Duration = Duration::from_secs(5);

/// A target that the other replica has sent within this time is read by it.
const LATELY_SECONDS: u32 = 90;

/// How often it is said again that a silent node's targets are down.
const AGAIN_MILLIS: i64 = 60_000;

/// What is said of a silent node.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Say {
    /// Its targets are down, and everything else has ended.
    All,
    /// Its targets are still down.
    Down,
}

/// What the ticks remember.
pub(crate) struct Watch {
    last_tick: i64,
    last_report: Option<i64>,
    last_sweep: i64,
    /// Of each node: whether it is up, and when it was last heard.
    series: BTreeMap<Arc<str>, [SeriesRef; 2]>,
}

impl Watch {
    pub(crate) fn new(running: i64) -> Self {
        Self {
            last_tick: running,
            last_report: None,
            last_sweep: running,
            series: BTreeMap::new(),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Written {
    heard: Timestamp,
}

impl Presence for Receiver {
    fn silent(&self) -> Vec<Silent> {
        let (wall, running) = (self.clock.now(), millis(self.clock.running()));
        let deaf_since = self.deaf_since(running);
        let begun = self.listening.load(Ordering::Relaxed);
        let since_begun = || wall - Duration::from_millis(u64::try_from(running - begun).unwrap_or(0));
        let silent = |sender: &Arc<Sender>| {
            let state = sender.state.lock();
            let known = state.silent.or_else(|| {
                // Nobody can be called silent yet, and nothing be said of who has not come back.
                let deaf_since = deaf_since?;
                let back = match state.heard {
                    Some(_) => state.fresh >= Some(deaf_since),
                    None => running - state.known < millis(NEWCOMER),
                };
                (!back && state.last().is_some()).then(|| match state.elsewhere {
                    Some(_) if state.age_elsewhere(running) < self.config.silence_after => Silence::Here,
                    _ => Silence::Unknown,
                })
            })?;
            // What the process before kept of it was never ended, and is read for as long as a reader looks back.
            let lasts = !state.here && running - begun < 1_000 * i64::from(LOOKBACK_SECONDS);
            let silence = match known {
                Silence::Everywhere if lasts => Silence::Unknown,
                known => known,
            };
            // What the journal says of when it was heard may be minutes old; and of one that was never heard here
            // nothing was there before this process began to listen.
            let heard = state.heard.filter(|heard| heard.running >= begun);
            Some(Silent {
                node: sender.identity.name.clone(),
                silence,
                since: heard.map_or_else(since_begun, |heard| heard.wall),
            })
        };
        self.nodes().iter().filter_map(silent).collect()
    }
}

impl Receiver {
    /// Nodes heard here, for the other replica.
    #[must_use]
    pub fn heard(&self) -> BTreeMap<Arc<str>, Timestamp> {
        let heard = |sender: &Arc<Sender>| {
            let heard = sender.state.lock().heard?;
            Some((sender.identity.name.clone(), heard.wall))
        };
        self.nodes().iter().filter_map(heard).collect()
    }

    /// Nodes that the other replica has heard, by its clock.
    pub fn heard_elsewhere(&self, heard: BTreeMap<Arc<str>, Timestamp>) {
        let (wall, running) = (self.clock.now(), millis(self.clock.running()));
        for (name, heard) in heard {
            let identity = node(name);
            let known = self.senders.read().get(&sender::key(&identity)).cloned();
            // One that was retired here is not brought back by an old story.
            let is_new = || wall.since(heard) < self.config.silence_after;
            let sender = known.or_else(|| is_new().then(|| self.introduce(&identity)).flatten());
            if let Some(sender) = sender {
                sender.hear_elsewhere(heard, wall, running);
            }
        }
    }

    /// The nodes that there are, if somebody knows them. One that is not among them and falls silent is retired without a word;
    /// one that is among them is missed for as long as it is. Those that [`Self::known_besides`] knows are missed as where
    /// nobody knows the nodes.
    pub fn expect(&self, names: Option<Arc<BTreeSet<Arc<str>>>>) {
        *self.expected.lock() = names;
    }

    /// Who may send without being one of the nodes that are listed; the first answer to that stands.
    pub fn known_besides(&self, is_known: Arc<dyn Fn(&str) -> bool + Send + Sync>) {
        drop(self.besides.set(is_known));
    }

    /// Whether there are nodes, and none of them is heard here: then it is likely this replica that is cut off.
    #[must_use]
    pub fn is_deaf(&self) -> bool {
        let states: Vec<State> = self.nodes().iter().map(|node| *node.state.lock()).collect();
        let mut known = states.iter().filter(|state| state.last().is_some()).peekable();
        known.peek().is_some() && known.all(|state| state.silent.is_some())
    }

    /// Whether a node that is not heard here may be called silent. Who can neither ask the other replica nor leads is
    /// no judge: for all it knows the other hears it.
    pub fn judge(&self, may: bool) {
        self.judges.store(may, Ordering::Relaxed);
    }

    /// Looks every second who is heard, until it is told to stop.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        // What the process before said of senders is no longer true, and nothing new is known yet.
        self.keep.retire(self.own_target(), self.clock.now());
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.clock.sleep(TICK) => self.tick(),
            }
        }
    }

    /// What was known before this process began, or what the other replica's journal has brought since. Who is gone
    /// meanwhile is retired like others, once it could have been heard.
    pub(crate) fn recall(&self) {
        let (wall, running) = (self.clock.now(), millis(self.clock.running()));
        for (key, Written { heard }) in self.journal.entries(JOURNAL_PREFIX) {
            let name = key.strip_prefix(JOURNAL_PREFIX).unwrap_or_default();
            let identity = node(name.into());
            if name.is_empty() || self.senders.read().contains_key(&sender::key(&identity)) {
                continue;
            }
            if let Some(sender) = self.introduce(&identity) {
                let mut state = sender.state.lock();
                state.written = Some(heard);
                state.heard = Some(Heard {
                    wall: heard,
                    running: running.saturating_sub(millis(wall.since(heard))),
                });
            }
        }
    }

    /// From when on the series of a silent node say here what it did not.
    pub(crate) fn ended_provisionally(&self, node_name: &str) -> Option<Timestamp> {
        let known = self
            .senders
            .read()
            .get(&sender::key(&node(node_name.into())))
            .cloned()?;
        let state = *known.state.lock();
        state.said
    }

    /// Until when this process could not hear, if that is not long enough ago to judge by: it has just begun, it
    /// copies, or it stood still and has not looked around since.
    fn deaf_since(&self, running: i64) -> Option<i64> {
        let listening = self.listening.load(Ordering::Relaxed);
        // Whoever holds the watch is looking around at this moment.
        let last_tick = self.watch.try_lock().map_or(running, |watch| watch.last_tick);
        if running.saturating_sub(last_tick) > PAUSE_MILLIS {
            return Some(running.saturating_sub(millis(TICK)));
        }
        let listened = running.saturating_sub(listening);
        (listened < millis(self.config.silence_after)).then_some(listening)
    }

    pub(crate) fn listen_anew(&self) {
        let running = millis(self.clock.running());
        self.listening.store(running, Ordering::Relaxed);
    }

    pub(crate) fn tick(&self) {
        let mut watch = self.watch.lock();
        let running = millis(self.clock.running());
        if running.saturating_sub(watch.last_tick) > PAUSE_MILLIS || self.is_held() {
            self.listen_anew();
        }
        watch.last_tick = running;
        self.look(running);
        if watch
            .last_report
            .is_none_or(|last| running - last >= REPORT_MILLIS)
        {
            watch.last_report = Some(running);
            self.recall();
            self.report(&mut watch);
            let senders = self.senders.read();
            let series = senders
                .values()
                .map(|sender| sender.series.load(Ordering::Relaxed));
            self.account.series.set(series.sum::<usize>() as f64);
        }
        if running - watch.last_sweep >= SWEEP_MILLIS {
            watch.last_sweep = running;
            self.sweep(running);
        }
    }

    fn nodes(&self) -> Vec<Arc<Sender>> {
        let senders = self.senders.read();
        let nodes = senders.values().filter(|sender| sender.is_node());
        nodes.cloned().collect()
    }

    fn look(&self, running: i64) {
        let listened = running.saturating_sub(self.listening.load(Ordering::Relaxed));
        let judging = listened >= millis(self.config.silence_after);
        let mut changes = Vec::new();
        let mut silent = 0_usize;
        for sender in self.nodes() {
            let state = *sender.state.lock();
            let silence = judging.then(|| self.silence(&state, running)).flatten();
            if silence == Some(Silence::Everywhere) && self.is_gone(&sender, &state, running) {
                self.retire(&sender, &state);
                changes.push(Change::remove(journal_key(&sender)));
                continue;
            }
            silent += usize::from(silence.is_some());
            // Heard by another thread since: the next look sees that.
            let fresh = self.note(&sender, &state, silence);
            if fresh && silence == Some(Silence::Everywhere) {
                if state.said.is_none() {
                    self.end_provisionally(&sender, self.silent_from(&state), Say::All);
                    sender.state.lock().said_at = running;
                } else if running - state.said_at >= AGAIN_MILLIS {
                    // A reader looks back five minutes, and a rule may wait for longer than that.
                    self.end_provisionally(&sender, self.clock.now(), Say::Down);
                    sender.state.lock().said_at = running;
                }
            }
            changes.extend(self.due(&sender, &state, silence));
        }
        self.account.silent.set(silent as f64);
        self.write_down(changes);
    }

    fn silence(&self, state: &State, running: i64) -> Option<Silence> {
        let limit = self.config.silence_after;
        let patience = match state.heard {
            Some(_) => limit,
            None => limit.min(NEWCOMER),
        };
        // Who may not judge passes no new judgement; nor does that alone bring anybody back.
        let may_judge = || self.judges.load(Ordering::Relaxed) || state.silent == Some(Silence::Everywhere);
        if state.age(running) < patience || state.last().is_none() {
            // Somebody of whom nothing good ever came is no sender yet.
            None
        } else if state.age_everywhere(running) < limit || !may_judge() {
            Some(Silence::Here)
        } else {
            Some(Silence::Everywhere)
        }
    }

    /// False if the sender was heard meanwhile.
    fn note(&self, sender: &Sender, seen: &State, silence: Option<Silence>) -> bool {
        let mut state = sender.state.lock();
        if state.heard != seen.heard {
            return false;
        }
        if state.silent != silence {
            let node = &*sender.identity.name;
            match silence {
                Some(Silence::Everywhere) => tracing::warn!(node, "sender is silent"),
                Some(Silence::Here) => {
                    tracing::warn!(node, "sender is silent here, and heard by the other replica");
                }
                Some(Silence::Unknown) | None => {}
            }
        }
        state.silent = silence;
        if silence == Some(Silence::Everywhere) {
            // What the other replica says again later, over a slow line, seems younger: that changes nothing here.
            state.said = seen.said.or(Some(self.silent_from(seen)));
        }
        true
    }

    fn is_gone(&self, sender: &Sender, state: &State, running: i64) -> bool {
        let name = &sender.identity.name;
        let is_besides = || self.besides.get().is_some_and(|is_known| is_known(name));
        let expected = self.expected.lock().clone();
        match expected {
            Some(expected) if expected.contains(name) => false,
            Some(_) if !is_besides() => true,
            _ => state.age_everywhere(running) >= self.config.forget_after,
        }
    }

    /// When a sender that was last heard then counted as silent.
    fn silent_from(&self, state: &State) -> Timestamp {
        state.last().unwrap_or_else(|| self.clock.now()) + self.config.silence_after
    }

    /// Says of each of its targets that it is down, and of their other series that they have ended; not of those that somebody else
    /// reads in its place.
    fn end_provisionally(&self, sender: &Sender, time: Timestamp, what: Say) {
        let elsewhere = self.read_elsewhere();
        let cache = sender.cache.lock();
        let last = cache.entries().map(|(_, entry)| entry.used).max().unwrap_or(0);
        let living = last.saturating_sub(LOOKBACK_SECONDS);
        let mut columns: BTreeMap<u32, Column> = BTreeMap::new();
        for (number, target) in cache.targets() {
            if elsewhere.contains(&*target.desc.name) {
                continue;
            }
            let column = Column {
                target: target.id,
                time,
                round: Round::Provisional,
                series: Vec::new(),
                values: Vec::new(),
            };
            columns.insert(number, column);
        }
        for (place, entry) in cache.entries().filter(|(_, entry)| entry.used >= living) {
            if let Some(column) = columns.get_mut(&entry.target) {
                let up = cache.is_up(entry.target, place);
                if !up && what == Say::Down {
                    continue;
                }
                column.series.push(entry.series);
                column.values.push(if up { 0.0 } else { STALE });
            }
        }
        drop(cache);
        let (mut samples, mut all) = (0, Kept::default());
        for column in columns.into_values().filter(|column| !column.series.is_empty()) {
            samples += column.series.len();
            all = sum(&all, &self.keep.commit(column));
        }
        self.account.own(samples, &all);
    }

    /// Names of targets that this process reads itself, or that the other replica has sent lately: it sends what it reads itself.
    fn read_elsewhere(&self) -> HashSet<String> {
        let here = self.read_here.get().map(|targets| targets()).unwrap_or_default();
        let mut name = String::new();
        let here = here.iter().map(|labels| {
            naming::target(labels, &mut name);
            name.clone()
        });
        let mut all: HashSet<String> = here.collect();
        let running = u32::try_from(self.clock.running().as_secs()).unwrap_or(u32::MAX);
        let lately = running.saturating_sub(LATELY_SECONDS);
        let senders: Vec<Arc<Sender>> = self.senders.read().values().cloned().collect();
        for replica in senders
            .iter()
            .filter(|sender| sender.identity.role == Role::Replica)
        {
            let cache = replica.cache.lock();
            let targets: HashSet<u32> = cache
                .entries()
                .filter(|(place, entry)| entry.used >= lately && cache.is_up(entry.target, *place))
                .map(|(_, entry)| entry.target)
                .collect();
            let targets = cache.targets().filter(|(number, _)| targets.contains(number));
            all.extend(targets.map(|(_, target)| target.desc.name.to_string()));
        }
        all
    }

    /// Nobody misses it: its series end.
    fn retire(&self, sender: &Sender, state: &State) {
        tracing::info!(node = &*sender.identity.name, "sender is gone, its series end");
        let time = self.silent_from(state);
        for (_, target) in sender.cache.lock().targets() {
            self.keep.retire(target.id, time);
        }
        self.dismiss(sender);
    }

    /// What the journal should know of a sender by now.
    fn due(&self, sender: &Sender, state: &State, silence: Option<Silence>) -> Option<Change> {
        let heard = state.last()?;
        let fell_silent = silence == Some(Silence::Everywhere) && state.said.is_none();
        let due = state
            .written
            .is_none_or(|written| heard.since(written) >= JOURNAL_EVERY);
        let news = state.written != Some(heard) && (due || fell_silent);
        news.then(|| {
            sender.state.lock().written = Some(heard);
            Change::put(journal_key(sender), &Written { heard })
        })
    }

    fn write_down(&self, changes: Vec<Change>) {
        if let Err(error) = self.journal.change(changes) {
            // The next change of the same sender comes within minutes.
            tracing::warn!(%error, "when senders were heard is not written down");
        }
    }

    /// Commits the series about senders. One that was not heard since the start is left out until it counts as
    /// silent, because nothing is known of it.
    fn report(&self, watch: &mut Watch) {
        let mut rows = BTreeMap::new();
        for sender in self.nodes() {
            let state = *sender.state.lock();
            let known = state.here || state.elsewhere.is_some() || state.silent.is_some();
            if let Some(last) = state.last().filter(|_| known) {
                let up = state.silent != Some(Silence::Everywhere);
                rows.insert(
                    sender.identity.name.clone(),
                    [f64::from(u8::from(up)), last.seconds()],
                );
            }
        }
        if rows.is_empty() && watch.series.is_empty() {
            return;
        }
        watch.series.retain(|name, _| rows.contains_key(name));
        let mut kept = self.commit_report(watch, &rows, Round::Whole);
        if kept.unknown > 0 {
            // Forgotten by the store: all are asked for again, and what is missing is added.
            watch.series.clear();
            kept = self.commit_report(watch, &rows, Round::Part);
        }
        self.account.own(2 * watch.series.len(), &kept);
    }

    fn commit_report(&self, watch: &mut Watch, rows: &BTreeMap<Arc<str>, [f64; 2]>, round: Round) -> Kept {
        let target = self.own_target();
        let mut column = Column {
            target,
            time: self.clock.now(),
            round,
            series: Vec::with_capacity(2 * rows.len()),
            values: Vec::with_capacity(2 * rows.len()),
        };
        for (name, values) in rows {
            if !watch.series.contains_key(name) {
                let ask = |(metric, help)| self.keep.series(target, &self.describe(metric, help, name)).ok();
                if let [Some(up), Some(heard)] = OWN.map(ask) {
                    watch.series.insert(name.clone(), [up, heard]);
                }
            }
            if let Some(series) = watch.series.get(name) {
                column.series.extend(series);
                column.values.extend(values);
            }
        }
        self.keep.commit(column)
    }

    /// What series about senders belong to.
    fn own_target(&self) -> TargetRef {
        self.keep.target(&TargetDesc {
            name: "senders".into(),
            page: None,
            staleness: None,
        })
    }

    fn describe(&self, metric: &str, help: &str, node: &str) -> SeriesDesc {
        let pairs = [
            ("__name__", metric),
            ("instance", &self.config.instance),
            ("job", "skopos"),
            (NODE, node),
        ];
        SeriesDesc {
            labels: Labels::from_pairs(pairs),
            kind: Kind::Gauge,
            family: metric.into(),
            help: help.into(),
            unit: "".into(),
        }
    }

    /// Lets go of series that no longer come, and of senders that are not missed.
    fn sweep(&self, running: i64) {
        let seconds = |running: i64| u32::try_from(running / 1_000).unwrap_or(0);
        let senders: Vec<_> = self.senders.read().values().cloned().collect();
        let mut bytes = 0;
        for sender in senders {
            let state = *sender.state.lock();
            let missed = sender.is_node() && state.last().is_some();
            if !missed && state.age(running) >= self.config.forget_after {
                self.dismiss(&sender);
                continue;
            }
            // What a silent node had is needed until it is retired.
            let last = state.heard.map_or(running, |heard| heard.running);
            let cutoff = seconds(last).saturating_sub(UNUSED_SECONDS);
            let mut cache = sender.cache.lock();
            cache.sweep(cutoff, seconds(running));
            sender.series.store(cache.len(), Ordering::Relaxed);
            bytes += cache.bytes();
        }
        self.account.cache.set(bytes as f64);
    }
}

const OWN: [(&str, &str); 2] = [
    (
        "skopos_sender_up",
        "Whether a node that sends its samples here is heard.",
    ),
    (
        "skopos_sender_last_heard_timestamp_seconds",
        "When a node that sends its samples here was last heard.",
    ),
];

fn node(name: Arc<str>) -> Identity {
    Identity {
        role: Role::Node,
        name,
    }
}

fn journal_key(sender: &Sender) -> String {
    format!("{JOURNAL_PREFIX}{}", sender.identity.name)
}
