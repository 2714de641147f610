//! What was told, where it outlives the disks of both replicas.
//!
//! The holder of the lease writes down what its map says of open alerts, when that has changed and seldom; a replica that begins with
//! nothing reads it before it does anything else. It is an older state of the map and no more: each entry has its version, so that
//! whatever either replica knows better stands. Nobody needs it: where it cannot be read or written, all goes on.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use journal::{Change, Entry};
use model::{Memo, Timestamp};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::config::PEER;
use crate::core::SWEEP_PAUSE;
use crate::handle::{Handle, Inner};

/// Every memo begins so, with its version.
const HEAD: &str = "skopos memo 1\n";
/// Of one memo. A ConfigMap holds a mebibyte, and in a request it is a third longer.
const BYTES_MAX: usize = 700 * 1024;
/// What a memo may come to when it is unpacked.
const PLAIN_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How long changes are gathered before they are written.
const GATHER: Duration = Duration::from_secs(1);
/// Between two writes; of a long memo more.
const PAUSE: Duration = Duration::from_secs(10);
/// For each of these more a second.
const PAUSE_BYTES: usize = 16 * 1024;
/// How long a replica that begins with nothing tries to read it.
const RECALL_PATIENCE: Duration = Duration::from_secs(10);
const RECALL_PAUSE: Duration = Duration::from_secs(1);
/// For the write of one that stops.
const LAST_PATIENCE: Duration = Duration::from_secs(3);
/// Who told us, for the journal; no replica has this number.
const ORIGIN: u64 = u64::MAX;

/// Whether an entry of the map is written down: what cannot be done without first, then what there is room for.
pub type Keeps = Arc<dyn Fn(&Entry) -> Option<Rank> + Send + Sync>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    First,
    WhileThereIsRoom,
}

/// How it went, for doctor and the page.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stand {
    /// There is such a place.
    pub(crate) is_there: bool,
    pub(crate) written_at: Option<Timestamp>,
    pub(crate) bytes: usize,
    pub(crate) left_out: usize,
    /// Why it could not be read or written last; empty: it could.
    pub(crate) error: String,
}

/// A memo, and how many entries did not fit.
pub(crate) struct Written {
    pub(crate) bytes: Vec<u8>,
    pub(crate) left_out: usize,
}

/// Packs as many as fit; the first ones first.
pub(crate) fn pack(entries: &[&Entry], bytes_max: usize) -> Written {
    let mut count = entries.len();
    loop {
        let (some, _) = entries.split_at(count);
        let bytes = packed(some);
        if bytes.len() <= bytes_max || count == 0 {
            return Written {
                bytes,
                left_out: entries.len() - count,
            };
        }
        // About what fits, a little less, and fewer in any case.
        count = (count * bytes_max / bytes.len()).min(count - 1) * 9 / 10;
    }
}

fn packed(entries: &[&Entry]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    // Into memory, which does not fail; an entry that is no JSON was never one.
    _ = encoder.write_all(HEAD.as_bytes());
    let mut plain_bytes = HEAD.len();
    for entry in entries {
        let Ok(mut line) = serde_json::to_vec(entry) else {
            continue;
        };
        line.push(b'\n');
        plain_bytes += line.len();
        if plain_bytes > PLAIN_BYTES_MAX {
            break;
        }
        _ = encoder.write_all(&line);
    }
    encoder.finish().unwrap_or_default()
}

/// What a memo holds; lines that cannot be read are passed over.
pub(crate) fn unpack(bytes: &[u8]) -> Result<Vec<Entry>, String> {
    let mut plain = Vec::new();
    let limit = PLAIN_BYTES_MAX as u64 + 1;
    GzDecoder::new(bytes)
        .take(limit)
        .read_to_end(&mut plain)
        .map_err(|error| format!("it is no memo: {error}"))?;
    let Some(lines) = plain.strip_prefix(HEAD.as_bytes()) else {
        return Err("it is no memo that this version reads".to_owned());
    };
    let lines = lines.split(|byte| *byte == b'\n');
    let lines = lines.filter(|line| !line.is_empty());
    Ok(lines
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect())
}

impl Handle {
    /// Takes what the last pair left, if this replica begins with nothing. To be awaited before rules and messages begin where an
    /// earlier life ended.
    pub async fn recall(&self, memo: &dyn Memo) {
        let inner = &self.0;
        inner.memo.lock().is_there = true;
        let has_map = inner.journal.seq() > 0;
        if has_map {
            return;
        }
        let begun = inner.clock.running();
        let found = loop {
            match memo.read().await {
                Ok(found) => break found.map_or_else(|| Ok(Vec::new()), |bytes| unpack(&bytes)),
                Err(error) if inner.clock.running().saturating_sub(begun) >= RECALL_PATIENCE => {
                    break Err(error);
                }
                Err(_) => inner.clock.sleep(RECALL_PAUSE).await,
            }
        };
        let entries = match found {
            Ok(entries) if entries.is_empty() => return,
            Ok(entries) => entries,
            Err(error) => {
                warn!(error, "what was told before cannot be read; it may be told again");
                inner.core.lock().forgets();
                return;
            }
        };
        let keys = inner.core.lock().keys();
        let kept = |entry: Entry| {
            let is_shared = keys.is_shared(entry.key()) && !entry.is_removal();
            let key = keys.kept_as(entry.key()).filter(|_| is_shared)?;
            Some(entry.under(&key))
        };
        let entries: Vec<Entry> = entries.into_iter().filter_map(kept).collect();
        let count = entries.len();
        match inner.journal.merge_aside(entries, ORIGIN).await {
            Ok(_) => info!(
                entries = count,
                "begins with what was told before both disks were lost"
            ),
            Err(error) => {
                inner.metrics.journal_failures.inc();
                warn!(%error, "what was told before cannot be kept; it may be told again");
            }
        }
        // What was told after the last write is not in it.
        inner.core.lock().forgets();
    }

    /// Writes it down until it is asked to stop, and what is new then once more.
    pub async fn remember(self, memo: Arc<dyn Memo>, keeps: Keeps, stop: CancellationToken) {
        let writer = Writer {
            inner: self.0,
            memo,
            keeps,
            seen: 0,
            written: 0,
            leads: None,
        };
        writer.run(&stop).await;
    }
}

struct Writer {
    inner: Arc<Inner>,
    memo: Arc<dyn Memo>,
    keeps: Keeps,
    /// Up to which of the journal's changes we have looked.
    seen: u64,
    /// Hash of what was written last.
    written: u64,
    /// In which epoch we held the lease when we last looked.
    leads: Option<u64>,
}

impl Writer {
    async fn run(mut self, stop: &CancellationToken) {
        let inner = Arc::clone(&self.inner);
        let begun = inner.clock.running();
        let mut sweeps_at = Some(begun + SWEEP_PAUSE);
        let mut next = begun;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = inner.clock.sleep(GATHER) => {}
            }
            let now = inner.clock.running();
            if sweeps_at.take_if(|at| now >= *at).is_some() {
                self.sweep().await;
            }
            let leads = {
                let leads = inner.leads.borrow();
                leads.may_lead(now).then_some(leads.epoch)
            };
            if leads != self.leads {
                // What another wrote meanwhile is not known.
                (self.leads, self.seen, self.written) = (leads, 0, 0);
                inner.memo.lock().error.clear();
            }
            if now >= next && self.write().await {
                let bytes = inner.memo.lock().bytes;
                next = inner.clock.running() + PAUSE + Duration::from_secs((bytes / PAUSE_BYTES) as u64);
            }
        }
        // Whoever leads next may have nothing but this.
        _ = tokio::time::timeout(LAST_PATIENCE, self.write()).await;
    }

    /// Writes what is new, if anything is and it is for us to write. Returns whether it was tried.
    async fn write(&mut self) -> bool {
        let inner = Arc::clone(&self.inner);
        let Some(epoch) = self.leads else {
            return false;
        };
        let keys = inner.core.lock().keys();
        let since = |seen| {
            let (entries, upto) = inner
                .journal
                .changed_since(seen, 0, usize::MAX, |key| keys.is_shared(key));
            (entries, upto)
        };
        let (news, upto) = since(self.seen);
        let is_news = |entry: &Entry| entry.is_removal() || (self.keeps)(entry).is_some();
        if !news.iter().any(is_news) {
            self.seen = upto;
            return false;
        }
        let (entries, upto) = since(0);
        // The newest first: of what there is no room for the oldest is left out.
        let ranked = entries.iter().rev().filter(|entry| !entry.is_removal());
        let mut ranked: Vec<(Rank, &Entry)> = ranked
            .filter_map(|entry| Some(((self.keeps)(entry)?, entry)))
            .collect();
        ranked.sort_by_key(|(rank, _)| *rank);
        let entries: Vec<&Entry> = ranked.into_iter().map(|(_, entry)| entry).collect();
        let Written { bytes, left_out } = pack(&entries, BYTES_MAX);
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        let hash = hasher.finish();
        if hash == self.written {
            self.seen = upto;
            return false;
        }
        let length = bytes.len();
        let outcome = self.memo.write(bytes, epoch).await;
        inner.metrics.memo_written(outcome.is_ok(), length, left_out);
        let mut stand = inner.memo.lock();
        match outcome {
            Ok(()) => {
                (self.seen, self.written) = (upto, hash);
                if !std::mem::take(&mut stand.error).is_empty() {
                    info!("what was told can be written down again outside of both replicas");
                }
                (stand.bytes, stand.left_out) = (length, left_out);
                stand.written_at = Some(inner.clock.now());
            }
            Err(error) => {
                if stand.error.is_empty() {
                    warn!(
                        error,
                        "what was told cannot be written down outside of both replicas"
                    );
                }
                stand.error = error;
            }
        }
        true
    }

    /// By now rules have taken up what the last pair had firing; it is nobody's word any more.
    async fn sweep(&self) {
        let journal = &self.inner.journal;
        let others: BTreeSet<String> = journal.not_from(PEER, ORIGIN).into_iter().collect();
        let all = journal.not_from(PEER, 0).into_iter();
        let gone = all.filter(|key| !others.contains(key));
        let changes = gone.map(Change::remove).collect();
        if let Err(error) = journal.write(changes).await {
            // They are no harm, and go with the first life of the peer.
            self.inner.metrics.journal_failures.inc();
            warn!(%error, "what the last pair left stays");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use journal::{Disk, Journal};

    use super::*;

    /// Entries whose values do not pack well.
    fn entries(count: usize) -> (tempfile::TempDir, Vec<Entry>) {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(Disk::new(folder.path()), Path::new("alerts")).unwrap();
        let noise = |nth: usize| -> String {
            let mut random = fastrand::Rng::with_seed(nth as u64);
            std::iter::repeat_with(|| random.alphanumeric())
                .take(200)
                .collect()
        };
        let changes = (0..count).map(|nth| Change::put(format!("notifier/told/{nth:05}"), &noise(nth)));
        journal.change(changes.collect()).unwrap();
        let (entries, _) = journal.changed_since(0, 0, usize::MAX, |_| true);
        (folder, entries)
    }

    #[test]
    fn what_is_packed_comes_out_as_it_was() {
        let (_folder, entries) = entries(50);
        let all: Vec<&Entry> = entries.iter().collect();
        let packed = pack(&all, BYTES_MAX);
        assert_eq!(packed.left_out, 0);
        let text = |entries: &[Entry]| serde_json::to_string(entries).unwrap();
        assert_eq!(text(&unpack(&packed.bytes).unwrap()), text(&entries));
        let nothing = pack(&[], BYTES_MAX);
        assert_eq!(unpack(&nothing.bytes).unwrap().len(), 0);
    }

    #[test]
    fn of_too_many_the_first_are_written_and_the_rest_is_counted() {
        let (_folder, entries) = entries(20_000);
        let all: Vec<&Entry> = entries.iter().collect();
        let packed = pack(&all, BYTES_MAX);
        println!(
            "{} of {} entries in {} bytes",
            all.len() - packed.left_out,
            all.len(),
            packed.bytes.len()
        );
        assert!(packed.bytes.len() <= BYTES_MAX && packed.bytes.len() > BYTES_MAX / 2);
        let kept = unpack(&packed.bytes).unwrap();
        assert_eq!(kept.len() + packed.left_out, all.len());
        assert_eq!(kept.first().map(Entry::key), all.first().map(|entry| entry.key()));
        assert_eq!(pack(&all, 0).left_out, all.len());
    }

    #[test]
    fn what_is_no_memo_is_said_and_nothing_is_taken_from_it() {
        assert!(unpack(b"").is_err() && unpack(b"alerts: []").is_err());
        let mut other = GzEncoder::new(Vec::new(), Compression::fast());
        other
            .write_all(
                b"skopos memo 7
{}",
            )
            .unwrap();
        let error = unpack(&other.finish().unwrap()).unwrap_err();
        assert_eq!(error, "it is no memo that this version reads");
    }
}
