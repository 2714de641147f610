//! The credentials of one account: fetched once for all who ask, kept, and renewed before they expire.
//!
//! While they are good nobody waits for them, and a renewal that fails costs nothing until they expire. After a failure nobody
//! is asked again at once.

use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::Credentials;
use model::signature::Account;
use model::text::duration::spoken;
use model::{Clock, Timestamp};
use parking_lot::Mutex;

use crate::chain::{Find, NotFound, Source};
use crate::clock::timestamp;
use crate::metrics::Metrics;

/// Renewed so long before they expire; those that live shorter than twice that, halfway.
pub(crate) const MARGIN: Duration = Duration::from_secs(300);
/// Whatever is good for less is no longer given away: a request has to arrive before its credentials expire.
const SHORTEST: Duration = Duration::from_secs(10);
/// What does not expire may be replaced where it came from.
const LOOK_AGAIN: Duration = Duration::from_secs(3600);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Longest wait for all places together.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Keeping {
    account: Account,
    find: Arc<dyn Find>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    state: Mutex<State>,
    /// Held by whoever fetches.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    held: Option<Held>,
    failure: Option<Failure>,
    region: Option<String>,
}

struct Held {
    credentials: Credentials,
    source: Source,
    fetched: Timestamp,
    expiry: Option<Timestamp>,
}

struct Failure {
    words: String,
    since: Timestamp,
    pause: Duration,
    /// Running time before which nobody is asked.
    again: Duration,
}

/// What is known of it, for a checkup.
pub(crate) struct Known {
    pub(crate) account: String,
    /// Where it came from, and when it expires.
    pub(crate) good: Option<(Source, Option<Timestamp>)>,
    pub(crate) failure: Option<(String, Timestamp)>,
}

impl Keeping {
    pub(crate) fn new(
        account: Account,
        find: Arc<dyn Find>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            account,
            find,
            clock,
            metrics,
            state: Mutex::default(),
            turn: tokio::sync::Mutex::new(()),
        }
    }

    pub(crate) fn account(&self) -> &Account {
        &self.account
    }

    pub(crate) fn region(&self) -> Option<String> {
        self.state.lock().region.clone()
    }

    pub(crate) fn set_region(&self, region: String) {
        self.state.lock().region = Some(region);
    }

    /// Good ones; the first who asks for some that are not there fetches them for all.
    pub(crate) async fn get(&self) -> Result<Credentials, String> {
        if let Some(good) = self.good() {
            return Ok(good);
        }
        let _turn = self.turn.lock().await;
        if let Some(good) = self.good() {
            return Ok(good);
        }
        if let Some(failure) = &self.state.lock().failure
            && failure.again > self.clock.running()
        {
            return Err(failure.words.clone());
        }
        self.fetch().await
    }

    /// Fetches new ones if it is time.
    pub(crate) async fn renew(&self) {
        let _turn = self.turn.lock().await;
        if self.due() <= self.clock.now() {
            // It is remembered, counted and said.
            _ = self.fetch().await;
        }
    }

    /// When new ones are to be fetched.
    pub(crate) fn due(&self) -> Timestamp {
        let state = self.state.lock();
        let now = self.clock.now();
        let wanted = state.held.as_ref().map_or(now, Held::due);
        match &state.failure {
            Some(failure) => wanted.max(now + failure.again.saturating_sub(self.clock.running())),
            None => wanted,
        }
    }

    pub(crate) fn known(&self) -> Known {
        let state = self.state.lock();
        let now = self.clock.now();
        let held = state.held.as_ref().filter(|held| held.is_good(now));
        Known {
            account: self.account.to_string(),
            good: held.map(|held| (held.source, held.expiry)),
            failure: state
                .failure
                .as_ref()
                .map(|failure| (failure.words.clone(), failure.since)),
        }
    }

    fn good(&self) -> Option<Credentials> {
        let state = self.state.lock();
        let held = state.held.as_ref()?;
        held.is_good(self.clock.now()).then(|| held.credentials.clone())
    }

    async fn fetch(&self) -> Result<Credentials, String> {
        let late = self.clock.sleep(PATIENCE);
        let outcome = tokio::select! {
            found = self.find.find(&self.account) => found,
            () = late => Err(NotFound {
                source: None,
                words: format!("AWS credentials did not come within {}; see whether STS or the agent of this node can be reached", spoken(PATIENCE)),
            }),
        };
        let (now, running) = (self.clock.now(), self.clock.running());
        let mut state = self.state.lock();
        let account = &self.account;
        match outcome {
            Ok(found) => {
                let expiry = found.credentials.expiry().map(timestamp);
                self.metrics.fetched(account, found.source, expiry);
                let known = state.held.as_ref().map(|held| held.source);
                if known != Some(found.source) || state.failure.is_some() {
                    let key = found.credentials.access_key_id();
                    let lasts = expiry.map_or("does not expire".to_owned(), |expiry| {
                        format!("is good for {} and renewed before", spoken(expiry.since(now)))
                    });
                    tracing::info!(%account, access_key = key, "AWS credentials come from {}; what was fetched {lasts}", found.source);
                }
                let credentials = found.credentials;
                state.failure = None;
                state.held = Some(Held {
                    credentials: credentials.clone(),
                    source: found.source,
                    fetched: now,
                    expiry,
                });
                Ok(credentials)
            }
            Err(NotFound { source, words }) => {
                self.metrics.failed(source);
                let before = state.failure.take();
                if before.as_ref().is_none_or(|before| before.words != words) {
                    tracing::warn!(%account, "{words}");
                }
                let pause = before
                    .as_ref()
                    .map_or(FIRST_PAUSE, |before| (before.pause * 2).min(LONGEST_PAUSE));
                state.failure = Some(Failure {
                    words: words.clone(),
                    since: before.map_or(now, |before| before.since),
                    pause,
                    again: running + pause,
                });
                Err(words)
            }
        }
    }
}

impl Held {
    fn is_good(&self, now: Timestamp) -> bool {
        self.expiry.is_none_or(|expiry| now + SHORTEST < expiry)
    }

    fn due(&self) -> Timestamp {
        match self.expiry {
            Some(expiry) => expiry - MARGIN.min(expiry.since(self.fetched) / 2),
            None if self.source == Source::Keys => Timestamp::MAX,
            None => self.fetched + LOOK_AGAIN,
        }
    }
}
