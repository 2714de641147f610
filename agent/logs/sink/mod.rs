//! Sinks elsewhere: what is the same for all of them, wherever a batch flies to.
//!
//! A reader of its own follows the files, so that a slow sink holds up nobody else. A batch has landed when each of its
//! records is settled: taken, or a dead letter on the disk. Watermarks move only behind batches that have landed.

pub(crate) mod civil;
pub(crate) mod document;
pub(crate) mod escape;
pub(crate) mod gate;
pub(crate) mod json;
pub(crate) mod letters;
pub(crate) mod marks;
pub(crate) mod metrics;
pub(crate) mod ship;
mod silence;

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use model::Clock;
use parking_lot::Mutex;
use tracing::{info, warn};

use crate::account::Account;
use crate::config::Retention;
use crate::segment::write::{Kept, Limits, Writer};
use gate::Gate;
use letters::{Letter, Letters};
use marks::{Clerk, Marks};
use metrics::{Counts, Metrics};

pub(crate) use json::Json;
pub(crate) use ship::{Channel, Destination, Landed, Shipper};
pub(crate) use silence::Silence;

/// The log of watermarks is begun anew so often; the one before goes.
const MARKS: Limits = Limits {
    segment_bytes: 1 << 20,
    retention: Retention {
        size: 2 << 20,
        time: Duration::from_secs(86_400),
    },
    compress: false,
};
const PAUSE_DISK: Duration = Duration::from_secs(1);

/// What kinds of sinks there are elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    OpenSearch,
    CloudWatch,
    /// Series that lines make.
    Metrics,
    Stdout,
    File,
}

impl Kind {
    /// The key of its section, and the name of its check.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::OpenSearch => "opensearch",
            Self::CloudWatch => "cloudwatch",
            Self::Metrics => "metrics",
            Self::Stdout => "stdout",
            Self::File => "file",
        }
    }

    /// Its name in sentences.
    fn word(self) -> &'static str {
        match self {
            Self::OpenSearch => "OpenSearch",
            Self::CloudWatch => "CloudWatch Logs",
            Self::Metrics => "logs.metrics",
            Self::Stdout => "standard output",
            Self::File => "the file",
        }
    }

    /// Kinds of refusal that have a label of their own; the rest is `other`.
    fn refusals(self) -> &'static [&'static str] {
        match self {
            Self::OpenSearch => &crate::opensearch::REFUSALS,
            Self::CloudWatch => &crate::cloudwatch::REFUSALS,
            Self::Metrics => &[],
            // They refuse nothing.
            Self::Stdout | Self::File => &[],
        }
    }
}

/// What a destination shares with the room.
pub(crate) struct Ground<'a> {
    /// Where its watermarks and dead letters lie.
    pub(crate) folder: &'a Path,
    pub(crate) clock: &'a Arc<dyn Clock>,
    pub(crate) account: &'a Arc<Account>,
    pub(crate) metrics: &'a Arc<Metrics>,
}

/// What every destination has.
pub(crate) struct Common {
    pub(crate) kind: Kind,
    /// The sink's, in metrics and on the page.
    pub(crate) name: String,
    pub(crate) gate: Gate,
    letters: Arc<Letters>,
    pub(crate) counts: Arc<Counts>,
    pub(crate) account: Arc<Account>,
    /// Why nothing gets through at the moment.
    trouble: Mutex<Option<String>>,
    /// What is less than promised there, for people.
    notes: Mutex<BTreeSet<String>>,
}

/// Why a record is not taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    /// The sink's own word for it, such as `mapper_parsing_exception`.
    pub(crate) kind: String,
    pub(crate) why: String,
}

/// Opens the place reached at a destination. `requests_max` may be under way at a time; one that knows no ids has its
/// watermarks written at once.
///
/// # Errors
/// The disk's own.
pub(crate) fn open(
    kind: Kind,
    name: &str,
    requests_max: usize,
    knows_ids: bool,
    ground: &Ground<'_>,
) -> io::Result<(Common, Clerk, Kept)> {
    let limits = Arc::new(Mutex::new(MARKS));
    let (log, kept) = Writer::open(ground.folder, limits, ground.clock.now())?;
    let counts = Arc::new(Counts::new(name, Arc::clone(ground.metrics)));
    let common = Common {
        kind,
        name: name.to_owned(),
        gate: Gate::new(requests_max),
        letters: Arc::new(Letters::new(ground.folder)),
        counts: Arc::clone(&counts),
        account: Arc::clone(ground.account),
        trouble: Mutex::default(),
        notes: Mutex::default(),
    };
    let clerk = Clerk {
        marks: Marks::new(!knows_ids),
        log,
        clock: Arc::clone(ground.clock),
        counts,
        sink: name.to_owned(),
    };
    Ok((common, clerk, kept))
}

impl Common {
    /// Why nothing gets through at the moment.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.trouble.lock().clone()
    }

    pub(crate) fn notes(&self) -> Vec<String> {
        self.notes.lock().iter().cloned().collect()
    }

    /// Says what is less than promised there; true when it was not said before.
    pub(crate) fn say_note(&self, words: &str) -> bool {
        self.notes.lock().insert(words.to_owned())
    }

    pub(crate) fn say_trouble(&self, reason: &str, why: String) {
        self.account.ship_failures.inc();
        let is_news = self.trouble.lock().replace(why.clone()).is_none();
        if is_news {
            self.account.ship_blocked.set(1.0);
            let whom = self.kind.word();
            warn!(
                sink = self.name,
                reason, why, "{whom} takes no lines; the log files hold them until it does"
            );
        }
    }

    pub(crate) fn say_well(&self) {
        if self.trouble.lock().take().is_some() {
            self.account.ship_blocked.set(0.0);
            info!(sink = self.name, "{} takes lines again", self.kind.word());
        }
    }

    /// Keeps what is refused for good; tries until the disk takes it. Returns how many these are.
    pub(crate) async fn bury(&self, letters: Vec<Letter>) -> u64 {
        let Some(first) = letters.first() else {
            return 0;
        };
        warn!(
            sink = self.name,
            records = letters.len(),
            status = first.status,
            kind = first.kind,
            reason = first.reason,
            "{} never takes these lines; they go to the dead-letter file",
            self.kind.word()
        );
        let letters = Arc::new(letters);
        while let Err(error) = self.add(&letters).await {
            self.say_trouble("disk", format!("dead letters cannot be kept: {error}"));
            tokio::time::sleep(PAUSE_DISK).await;
        }
        for letter in letters.iter() {
            let mut known = self.kind.refusals().iter();
            self.counts
                .letter(known.find(|kind| **kind == letter.kind).unwrap_or(&"other"));
        }
        letters.len() as u64
    }

    /// On a thread that may wait for the disk.
    async fn add(&self, letters: &Arc<Vec<Letter>>) -> io::Result<()> {
        let (file, letters) = (Arc::clone(&self.letters), Arc::clone(letters));
        let adding = tokio::task::spawn_blocking(move || file.add(&letters));
        adding.await.unwrap_or_else(|error| Err(io::Error::other(error)))
    }
}

/// Does `work` on a thread that may take its time.
pub(crate) async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        // Only a panic in it ends it otherwise.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Takes back what others hold only for a moment.
pub(crate) async fn alone<T>(mut shared: Arc<T>) -> T {
    loop {
        match Arc::try_unwrap(shared) {
            Ok(own) => return own,
            Err(still) => shared = still,
        }
        tokio::task::yield_now().await;
    }
}

/// What is wrong with a sink's name, which is a folder's and a label: sentences that begin with the key.
pub(crate) fn name_mistakes(name: &str) -> Vec<String> {
    let fit = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    let mut wrong = Vec::new();
    if name.is_empty() || name.len() > 64 || !name.chars().all(fit) || name.starts_with('.') {
        wrong.push(format!(
            "name: {name:?} is not of letters, digits, '-', '_' and '.', 64 at most"
        ));
    }
    if [crate::SEGMENTS, crate::SPOOL, crate::tally::NAME].contains(&name) {
        wrong.push(format!("name: {name:?} is a folder of ours; take another"));
    }
    wrong
}
