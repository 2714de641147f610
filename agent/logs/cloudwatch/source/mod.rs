//! CloudWatch Logs as a source: events of log groups, put into the spool, from where every sink reads them.
//!
//! At least once, with the id that AWS has given each event: what is read again after a death is the same document. One
//! replica reads, the one that holds the lease; how far is in the journal, which both have.

mod account;
mod config;
mod group;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aws::Aws;
use aws_sdk_cloudwatchlogs::types::FilteredLogEvent;
use journal::{Change, Journal};
use model::view::LogService;
use model::{Clock, Leadership, Ledger, Timestamp};
use net::Backoff;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::answer::{Failure, failure};
use super::who::Way;
use crate::mark::Facts;
use crate::spool::{Error, Record, Spool};
use account::Account;
pub(crate) use account::Metrics;
pub use config::Config;
pub(crate) use config::{front, matches};
use group::Group;

/// Keys of the journal under which places are; both replicas have them.
pub(crate) const KEY: &str = "logs/source/";
const GROUPS_MAX: usize = 1_000;
/// Between two looks for groups that are new.
const DISCOVER: Duration = Duration::from_secs(300);
/// A place is written so often at most.
const SAVE: Duration = Duration::from_secs(10);
const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_MOST: Duration = Duration::from_secs(60);
/// Between two tries to put events into a spool that takes none, and two looks at whether it is our turn.
const PAUSE: Duration = Duration::from_secs(1);

/// What the hall gives to whoever reads what has to be read once.
#[derive(Clone)]
pub struct Once {
    /// Where places are kept.
    pub journal: Journal,
    /// Whether it is for this process to read.
    pub leadership: watch::Receiver<Leadership>,
}

/// What of the room it works with.
pub(crate) struct Ground {
    pub(crate) aws: Arc<Aws>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) spool: Spool,
    pub(crate) line_bytes_max: usize,
    /// Groups that begin with one of these are our own sinks', and not read.
    pub(crate) own: Vec<String>,
}

/// A source, ready to run.
pub(crate) struct Source {
    config: Config,
    ground: Ground,
    once: Once,
    account: Arc<Account>,
    groups: BTreeMap<String, Followed>,
    /// Not before this the next request goes out.
    next_request: Instant,
    backoff: Backoff,
}

/// What the room asks a source.
#[derive(Clone)]
pub(crate) struct Handle(Arc<Account>);

struct Followed {
    group: Group,
    due: Instant,
    /// When its place was written, and which.
    saved: Option<(Instant, Timestamp)>,
}

/// A place in the journal.
#[derive(Serialize, Deserialize)]
struct Place {
    tip: i64,
}

/// Why reading ends before its time.
enum Stop {
    Failed(Failure),
    /// The process ends, or it is another's turn.
    Over,
}

/// Whether AWS answers, takes our credentials and lets us look for events; nothing is kept.
///
/// # Errors
/// A sentence without secrets.
pub async fn ask(config: &Config, aws: &Arc<Aws>) -> Result<String, String> {
    let way = config.who().way(aws).await?;
    let mut found = Vec::new();
    for pattern in &config.groups {
        let names = matching(&way, pattern).await;
        found.extend(names.map_err(|why| format!("{pattern}: {}", told(&why)))?);
    }
    if let Some(group) = found.first() {
        let asked = way.client.filter_log_events().log_group_name(group).limit(1);
        let answer = asked.send().await.map_err(|error| failure(&error));
        answer.map_err(|why| format!("{group}: {}", told(&why)))?;
    }
    let region = &way.region;
    Ok(match found.len() {
        1 => format!("CloudWatch Logs in {region} answers, 1 log group is to be read"),
        count => format!("CloudWatch Logs in {region} answers, {count} log groups are to be read"),
    })
}

/// Groups that a name or pattern stands for. A name without `*` is taken as it is.
async fn matching(way: &Way, pattern: &str) -> Result<Vec<String>, Failure> {
    if !pattern.contains('*') {
        return Ok(vec![pattern.to_owned()]);
    }
    let front = config::front(pattern);
    let (mut found, mut token) = (Vec::new(), None);
    loop {
        let asked = way.client.describe_log_groups().set_next_token(token);
        let asked = asked.set_log_group_name_prefix((!front.is_empty()).then(|| front.to_owned()));
        let page = asked.send().await.map_err(|error| failure(&error))?;
        let names = page
            .log_groups()
            .iter()
            .filter_map(|group| group.log_group_name());
        found.extend(
            names
                .filter(|name| config::matches(pattern, name))
                .map(str::to_owned),
        );
        token = page.next_token().map(str::to_owned);
        // Beyond that they are cut anyway.
        if token.is_none() || found.len() > GROUPS_MAX {
            return Ok(found);
        }
    }
}

impl Handle {
    pub(crate) fn state(&self) -> LogService {
        self.0.state()
    }

    pub(crate) fn ledger(&self) -> Ledger {
        self.0.ledger()
    }
}

impl Source {
    pub(crate) fn new(config: Config, ground: Ground, once: Once, metrics: &Arc<Metrics>) -> Self {
        Self {
            account: Arc::new(Account::new(&config.name, metrics)),
            config,
            ground,
            once,
            groups: BTreeMap::new(),
            next_request: Instant::now(),
            backoff: Backoff::new(PAUSE_FIRST, PAUSE_MOST),
        }
    }

    pub(crate) fn handle(&self) -> Handle {
        Handle(Arc::clone(&self.account))
    }

    /// Runs until `stop`; what has been read then is in the spool.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut discover = Instant::now();
        while !stop.is_cancelled() {
            if !self.is_ours() {
                // Whoever reads meanwhile moves the places.
                self.groups.clear();
                self.account.reads(false, "", 0);
                self.account.forget(|_| false);
                self.account.behind(0.0);
                discover = Instant::now();
                pause(PAUSE, &stop).await;
                continue;
            }
            let way = match self.config.who().way(&self.ground.aws).await {
                Ok(way) => way,
                Err(why) => {
                    self.say("", &why);
                    pause(self.backoff.next(), &stop).await;
                    continue;
                }
            };
            if discover <= Instant::now() {
                match self.discover(&way, &stop).await {
                    Ok(()) => {
                        self.account.well("");
                        self.backoff.reset();
                        discover = Instant::now() + DISCOVER;
                    }
                    Err(Stop::Failed(why)) => {
                        self.say("", &told(&why));
                        pause(self.backoff.next(), &stop).await;
                        continue;
                    }
                    Err(Stop::Over) => continue,
                }
            }
            self.account.reads(true, &way.region, self.groups.len());
            let Some(name) = self.due() else {
                pause(
                    PAUSE.min(discover.saturating_duration_since(Instant::now())),
                    &stop,
                )
                .await;
                continue;
            };
            self.look(&way, &name, &stop).await;
        }
        self.save(true).await;
    }

    fn is_ours(&self) -> bool {
        let running = self.ground.clock.running();
        self.once.leadership.borrow().may_lead(running)
    }

    /// The group that has waited longest, if one is due.
    fn due(&self) -> Option<String> {
        let now = Instant::now();
        let due = self.groups.iter().filter(|(_, followed)| followed.due <= now);
        due.min_by_key(|(_, followed)| followed.due)
            .map(|(name, _)| name.clone())
    }

    /// Finds the groups that are to be read.
    async fn discover(&mut self, way: &Way, stop: &CancellationToken) -> Result<(), Stop> {
        let mut found = Vec::new();
        for pattern in self.config.groups.clone() {
            self.take_turn(stop).await?;
            found.extend(matching(way, &pattern).await.map_err(Stop::Failed)?);
        }
        found.sort_unstable();
        found.dedup();
        let own = &self.ground.own;
        found.retain(|name| !own.iter().any(|front| name.starts_with(front)));
        if found.len() > GROUPS_MAX {
            warn!(
                source = self.config.name,
                groups = found.len(),
                "more log groups than can be read; those behind the first {GROUPS_MAX} are not"
            );
            found.truncate(GROUPS_MAX);
        }
        self.groups.retain(|name, _| found.binary_search(name).is_ok());
        self.account
            .forget(|group| group.is_empty() || self.groups.contains_key(group));
        for name in found {
            if !self.groups.contains_key(&name) {
                let followed = self.begin(&name);
                self.groups.insert(name, followed);
            }
        }
        Ok(())
    }

    /// Where reading of a group goes on, or begins.
    fn begin(&self, name: &str) -> Followed {
        let lateness = self.config.lateness;
        let now = self.ground.clock.now();
        let group = match self.once.journal.get::<Place>(&self.key(name)) {
            Some(place) => Group::new(Timestamp(place.tip), lateness),
            None => Group::since(now - self.config.read_back, lateness),
        };
        info!(source = self.config.name, group = name, "reading a log group");
        Followed {
            group,
            due: Instant::now(),
            saved: None,
        }
    }

    fn key(&self, group: &str) -> String {
        format!("{KEY}{}/{group}", self.config.name)
    }

    /// Reads what is new in a group.
    async fn look(&mut self, way: &Way, name: &str, stop: &CancellationToken) {
        let Some(mut followed) = self.groups.remove(name) else {
            return;
        };
        match self.read(way, name, &mut followed.group, stop).await {
            Ok(()) => {
                self.backoff.reset();
                if self.account.well(name) {
                    info!(source = self.config.name, group = name, "log group is read again");
                }
                let pause = followed.group.pause(self.config.poll, self.ground.clock.now());
                followed.due = Instant::now() + pause;
            }
            Err(Stop::Failed(Failure::Missing(why))) => {
                self.say(name, &why);
                followed.due = Instant::now() + DISCOVER;
            }
            Err(Stop::Failed(why)) => {
                self.say(name, &told(&why));
                let pause = self.backoff.next();
                followed.due = Instant::now() + pause;
                // AWS counts all requests together.
                self.next_request = self.next_request.max(Instant::now() + pause);
            }
            Err(Stop::Over) => {}
        }
        self.groups.insert(name.to_owned(), followed);
        self.save(false).await;
    }

    /// Reads a window to its end; only then the place moves.
    async fn read(
        &mut self,
        way: &Way,
        name: &str,
        group: &mut Group,
        stop: &CancellationToken,
    ) -> Result<(), Stop> {
        let window = group.window(self.ground.clock.now());
        let (mut token, mut all) = (None, 0);
        loop {
            self.take_turn(stop).await?;
            let asked = way
                .client
                .filter_log_events()
                .log_group_name(name)
                .start_time(window.from.0)
                .end_time(window.until.0)
                .set_next_token(token);
            let page = match asked.send().await.map_err(|error| failure(&error)) {
                Ok(page) => page,
                Err(why) => {
                    self.account.request(match &why {
                        Failure::Again { reason, .. } => reason,
                        Failure::Missing(_) => "not_found",
                        Failure::Invalid(_) | Failure::Exists => "refused",
                    });
                    return Err(Stop::Failed(why));
                }
            };
            self.account.request("ok");
            all += self.keep(way, name, group, page.events(), stop).await?;
            // Pages may be empty and go on all the same.
            token = page.next_token().map(str::to_owned);
            if token.is_none() {
                break;
            }
        }
        group.read(window, all);
        Ok(())
    }

    /// Puts the new ones among these events into the spool; waits while it takes none.
    async fn keep(
        &self,
        way: &Way,
        name: &str,
        group: &mut Group,
        events: &[FilteredLogEvent],
        stop: &CancellationToken,
    ) -> Result<u64, Stop> {
        let mut facts: BTreeMap<&str, Arc<Facts>> = BTreeMap::new();
        let is_new = |event: &&FilteredLogEvent| event.event_id().is_none_or(|id| group.is_new(id));
        let new: Vec<&FilteredLogEvent> = events.iter().filter(is_new).collect();
        let records = new.iter().map(|event| {
            let stream = event.log_stream_name().unwrap_or_default();
            let facts = facts.entry(stream).or_insert_with(|| {
                let more = [
                    ("log_group", name),
                    ("log_stream", stream),
                    ("region", &way.region),
                ];
                let more = more.map(|(key, value)| (key, value.to_owned()));
                Arc::new(Facts::new(name, more))
            });
            Record {
                nanos: event.timestamp().unwrap_or_default().saturating_mul(1_000_000),
                facts: Arc::clone(facts),
                id: event.event_id().map(str::to_owned),
                text: event.message().unwrap_or_default().as_bytes().to_vec(),
                ..Record::default()
            }
        });
        let records: Vec<Record> = records.collect();
        let count = records.len() as u64;
        self.account.take(count, (events.len() - records.len()) as u64);
        while let Err(error) = self
            .ground
            .spool
            .append(&records, self.ground.line_bytes_max)
            .await
        {
            let is_closed = matches!(error, Error::Closed);
            self.say(name, &error.to_string());
            if is_closed || stop.is_cancelled() || !self.is_ours() {
                self.account.give_back(count);
                return Err(Stop::Over);
            }
            pause(PAUSE, stop).await;
        }
        self.account.give(count);
        for event in new {
            if let Some(id) = event.event_id() {
                group.keep(id, Timestamp(event.timestamp().unwrap_or_default()));
            }
        }
        Ok(count)
    }

    /// Waits until a request may go out.
    async fn take_turn(&mut self, stop: &CancellationToken) -> Result<(), Stop> {
        tokio::select! {
            () = stop.cancelled() => return Err(Stop::Over),
            () = tokio::time::sleep_until(self.next_request) => {}
        }
        if !self.is_ours() {
            return Err(Stop::Over);
        }
        self.next_request = Instant::now() + Duration::from_secs(1) / self.config.requests_per_second.max(1);
        Ok(())
    }

    /// Writes places that have moved, `all` of them or those that are due. What is not written is read again by whoever
    /// goes on.
    async fn save(&mut self, all: bool) {
        let now = Instant::now();
        let mut changes = Vec::new();
        let mut behind = Duration::ZERO;
        let wall = self.ground.clock.now();
        let keys: Vec<String> = self.groups.keys().map(|name| self.key(name)).collect();
        for (followed, key) in self.groups.values_mut().zip(keys) {
            behind = behind.max(wall.since(followed.group.tip()));
            let tip = followed.group.tip();
            let is_due = match followed.saved {
                Some((saved, place)) => place != tip && (all || saved + SAVE <= now),
                None => true,
            };
            if is_due {
                followed.saved = Some((now, tip));
                changes.push(Change::put(&key, &Place { tip: tip.0 }));
            }
        }
        self.account.behind(behind.as_secs_f64());
        if !changes.is_empty()
            && let Err(error) = self.once.journal.write(changes).await
        {
            warn!(source = self.config.name, %error, "places in log groups cannot be written; a restart would read events again");
        }
    }

    fn say(&self, group: &str, why: &str) {
        if self.account.trouble(group, why) {
            let source = &self.config.name;
            warn!(source, group, why, "log groups are not read; it is tried again");
        }
    }
}

fn told(failure: &Failure) -> String {
    match failure {
        Failure::Again { why, .. } | Failure::Missing(why) => why.clone(),
        Failure::Invalid(refusal) => refusal.why.clone(),
        Failure::Exists => "an answer to another question".to_owned(),
    }
}

async fn pause(time: Duration, stop: &CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = tokio::time::sleep(time) => {}
    }
}
