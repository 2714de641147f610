//! systemd's journal as an input: its entries are put into the spool, from where every sink reads them.
//!
//! Once: an entry and the cursor behind it are one line of the spool, so that after any death reading goes on behind the last
//! entry that is there. While the spool takes nothing nothing is read, and the journal keeps its entries; what it deletes
//! meanwhile is counted by its own numbers. It is read by journalctl, or by HTTP from systemd-journal-gatewayd.

mod account;
pub(crate) mod config;
mod entry;
mod export;
mod gateway;
mod pipe;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use model::outside::Client;
use model::view::LogJournal;
use model::{Clock, Ledger, Timestamp};
use net::Backoff;
use prometheus::Registry;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::config::ReadFrom;
use crate::spool::{Error, Place, Record, Spool};
use account::{Account, Skip};
pub use config::{Config, Priority};
use entry::Position;
use export::{Entry, Export, Item};
use gateway::Gateway;
use pipe::{Heard, Pipe};

/// Its name in the spool and on the page.
const NAME: &str = "journal";
/// Entries that are older than the first start: so many of them are read by `read_from: recent`.
const RECENT: u64 = 1_000;
/// Entries are gathered for so long before they are put into the spool together …
const GATHER: Duration = Duration::from_millis(50);
/// … or until they are so many, or their texts so long.
const ENTRIES_MAX: usize = 2_000;
const TEXT_BYTES_MAX: usize = 1 << 20;
const PIPE_BYTES: usize = 64 << 10;
const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_MOST: Duration = Duration::from_secs(60);
/// A program that has run so long is well, also when the journal has nothing new.
const WELL: Duration = Duration::from_secs(5);
/// Between two tries to put entries into a spool that takes none.
const PAUSE: Duration = Duration::from_secs(1);
/// The place behind entries that are left out is written so often.
const SAVE: Duration = Duration::from_secs(10);
/// For whoever asks whether all is well.
const ASK: Duration = Duration::from_secs(10);

/// What of the room it works with.
pub(crate) struct Ground<'a> {
    pub(crate) client: &'a Arc<dyn Client>,
    pub(crate) clock: &'a Arc<dyn Clock>,
    pub(crate) spool: &'a Spool,
    pub(crate) line_bytes_max: usize,
    pub(crate) read_from: ReadFrom,
}

/// The input, ready to run.
pub(crate) struct Journal {
    config: Config,
    way: Way,
    spool: Spool,
    client: Arc<dyn Client>,
    clock: Arc<dyn Clock>,
    account: Arc<Account>,
    line_bytes_max: usize,
    read_from: ReadFrom,
    /// Of the unit that runs us, whose entries are our own log.
    own_invocation: String,
    export: Export,
    batch: Batch,
    /// Behind this all is in the spool, or left out.
    at: Option<String>,
    /// Whether the next entry is the first one after reading was begun anew: it should be the one at `at`.
    is_resumed: bool,
    /// Whether something that is no entry has come since the last one.
    is_lost: bool,
    /// When a place without records was written.
    saved: Instant,
    backoff: Backoff,
}

enum Way {
    Program,
    Gateway(Box<Gateway>),
}

/// Entries on their way into the spool.
#[derive(Default)]
struct Batch {
    records: Vec<Record>,
    text_bytes: usize,
    begun: Option<Instant>,
}

/// What the room asks the input; cheap to clone.
#[derive(Clone)]
pub(crate) struct Handle(Arc<Account>);

impl Handle {
    pub(crate) fn state(&self) -> LogJournal {
        self.0.state()
    }

    pub(crate) fn ledger(&self) -> Ledger {
        self.0.ledger()
    }
}

/// Whether the journal can be read, and how new it is; nothing is kept.
///
/// # Errors
/// A sentence without secrets.
pub async fn ask(config: &Config, client: &Arc<dyn Client>) -> Result<String, String> {
    let newest = tokio::time::timeout(ASK, newest(config, client)).await;
    let newest = newest.map_err(|_| format!("{} does not answer", config.from()))??;
    Ok(match newest.as_ref().and_then(written) {
        Some(time) => format!("{} answers, its newest entry is of {time:.0}", config.from()),
        None => format!("{} answers, and has no entry", config.from()),
    })
}

fn written(entry: &Entry) -> Option<jiff::Timestamp> {
    let micros = entry.text("__REALTIME_TIMESTAMP").parse().ok()?;
    jiff::Timestamp::from_microsecond(micros).ok()
}

/// The last entry there is.
async fn newest(config: &Config, client: &Arc<dyn Client>) -> Result<Option<Entry>, String> {
    let (mut export, mut found) = (Export::new(PIPE_BYTES), None);
    let mut keep = |item| {
        if let Item::Entry(entry) = item {
            found = Some(entry);
        }
    };
    if config.url.is_empty() {
        let mut pipe = Pipe::start(&config.command, &arguments(&["--lines=1"]))?;
        let mut bytes = vec![0; PIPE_BYTES];
        loop {
            match pipe.read(&mut bytes).await.map_err(|error| error.to_string())? {
                Heard::Bytes(count) => export.push(bytes.get(..count).unwrap_or_default(), &mut keep),
                Heard::Words => {}
                Heard::End => break,
            }
        }
        if found.is_none() {
            let told = pipe.farewell().await;
            // One that has no entry yet ends well.
            return match told.is_good() {
                true => Ok(None),
                false => Err(format!("{}: {told}", config.from())),
            };
        }
    } else {
        let page = Gateway::new(config, client)?.look(None, Some(1)).await;
        let page = page.map_err(|why| format!("{}: {why}", config.from()))?;
        export.push(&page.bytes, &mut keep);
    }
    Ok(found)
}

fn arguments(more: &[&str]) -> Vec<String> {
    let fixed = ["--output=export", "--no-pager"];
    fixed.iter().chain(more).map(|word| (*word).to_owned()).collect()
}

impl Journal {
    /// # Errors
    /// A setting that cannot be used.
    pub(crate) fn new(config: &Config, ground: &Ground<'_>, registry: &Registry) -> Result<Self, String> {
        let way = match config.url.is_empty() {
            true => Way::Program,
            false => Way::Gateway(Box::new(Gateway::new(config, ground.client)?)),
        };
        Ok(Self {
            account: Arc::new(Account::new(config.from(), registry)),
            way,
            spool: ground.spool.clone(),
            client: Arc::clone(ground.client),
            clock: Arc::clone(ground.clock),
            line_bytes_max: ground.line_bytes_max,
            read_from: ground.read_from,
            own_invocation: std::env::var("INVOCATION_ID").unwrap_or_default(),
            export: Export::new(ground.line_bytes_max),
            batch: Batch::default(),
            at: ground.spool.place(NAME),
            is_resumed: false,
            is_lost: false,
            saved: Instant::now(),
            backoff: Backoff::new(PAUSE_FIRST, PAUSE_MOST),
            config: config.clone(),
        })
    }

    pub(crate) fn handle(&self) -> Handle {
        Handle(Arc::clone(&self.account))
    }

    /// Runs until `stop`; what has been read then is in the spool, or is read again.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        info!(from = self.config.from(), "reading the journal");
        while !stop.is_cancelled() {
            let ended = self.read(&stop).await;
            self.forget();
            if let Err(why) = ended {
                if stop.is_cancelled() {
                    break;
                }
                if self.account.fail(&why) {
                    warn!(
                        from = self.config.from(),
                        why, "the journal is not read; it is tried again"
                    );
                }
                pause(self.backoff.next(), &stop).await;
            }
        }
    }

    /// What has been read and is not in the spool is read again.
    fn forget(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        if !batch.records.is_empty() {
            self.account.give_back(batch.records.len() as u64);
            self.at = self.spool.place(NAME);
        }
        self.export = Export::new(self.line_bytes_max);
        self.is_lost = false;
    }

    /// Reads until something ends it.
    async fn read(&mut self, stop: &CancellationToken) -> Result<(), String> {
        if self.at.is_none() && self.read_from == ReadFrom::End {
            // From the newest entry on, also when the next start comes before another one.
            let found = tokio::select! {
                found = newest(&self.config, &self.client) => found?,
                () = stop.cancelled() => return Ok(()),
            };
            if let Some(entry) = found {
                let cursor = entry.text("__CURSOR").to_owned();
                self.put_place(&cursor).await.map_err(|error| error.to_string())?;
                self.at = Some(cursor);
            }
        }
        self.is_resumed = self.at.is_some();
        match self.way {
            Way::Program => self.follow(stop).await,
            Way::Gateway(_) => self.poll(stop).await,
        }
    }

    async fn follow(&mut self, stop: &CancellationToken) -> Result<(), String> {
        let from = match (&self.at, self.read_from) {
            // Not `--after-cursor`: if that entry is gone, some versions leave out the next one.
            (Some(cursor), _) => vec!["--no-tail".to_owned(), format!("--cursor={cursor}")],
            (None, ReadFrom::Recent) => vec![format!("--lines={RECENT}")],
            // With `end`, the journal was empty a moment ago.
            (None, ReadFrom::Beginning | ReadFrom::End) => vec!["--no-tail".to_owned()],
        };
        let arguments = [arguments(&["--follow"]), from].concat();
        let mut pipe = Pipe::start(&self.config.command, &arguments)?;
        let (mut bytes, begun) = (vec![0; PIPE_BYTES], Instant::now());
        loop {
            let flush = self.batch.begun.map(|begun| begun + GATHER);
            let wake = flush.unwrap_or_else(|| (begun + WELL).max(Instant::now() + PAUSE));
            tokio::select! {
                () = stop.cancelled() => return self.flush(stop).await,
                heard = pipe.read(&mut bytes) => match heard.map_err(|error| error.to_string())? {
                    Heard::Bytes(count) => {
                        self.take(bytes.get(..count).unwrap_or_default());
                        self.is_well();
                    }
                    Heard::Words => self.account.remark(&pipe.words()),
                    Heard::End => {
                        self.flush(stop).await?;
                        return Err(pipe.farewell().await.to_string());
                    }
                },
                () = tokio::time::sleep_until(wake) => {
                    if begun.elapsed() >= WELL {
                        self.is_well();
                    }
                }
            }
            if self.batch.is_full() || flush.is_some_and(|flush| flush <= Instant::now()) {
                self.flush(stop).await?;
            }
            self.save().await;
        }
    }

    async fn poll(&mut self, stop: &CancellationToken) -> Result<(), String> {
        loop {
            self.is_resumed = self.at.is_some();
            let last = (self.read_from == ReadFrom::Recent).then_some(RECENT);
            let Way::Gateway(gateway) = &mut self.way else {
                return Ok(());
            };
            let page = tokio::select! {
                page = gateway.look(self.at.as_deref(), last) => page?,
                () = stop.cancelled() => return Ok(()),
            };
            let entries = self.take(&page.bytes);
            if !self.export.is_between() {
                return Err("its answer ends in the middle of an entry".to_owned());
            }
            self.is_well();
            self.flush(stop).await?;
            self.save().await;
            if entries < page.asked {
                pause(self.config.poll, stop).await;
            }
            if stop.is_cancelled() {
                return Ok(());
            }
        }
    }

    fn is_well(&mut self) {
        self.backoff.reset();
        if self.account.well() {
            info!(from = self.config.from(), "the journal is read again");
        }
    }

    /// Takes what has come; returns how many entries it had.
    fn take(&mut self, bytes: &[u8]) -> u64 {
        let mut items = Vec::new();
        self.export.push(bytes, |item| items.push(item));
        let mut entries = 0;
        for item in items {
            match item {
                Item::Entry(entry) => {
                    entries += 1;
                    self.arrive(&entry);
                }
                Item::Malformed => {
                    self.is_lost = true;
                    self.account.skip(Skip::Malformed);
                    warn!(
                        from = self.config.from(),
                        "something in the journal's output is no entry, and is left out"
                    );
                }
            }
        }
        entries
    }

    fn arrive(&mut self, entry: &Entry) {
        let cursor = entry.text("__CURSOR");
        if std::mem::take(&mut self.is_resumed) {
            match &self.at {
                // It is in the spool.
                Some(at) if at == cursor => return,
                Some(at) => self.look_for_missing(at, cursor),
                None => {}
            }
        }
        if std::mem::take(&mut self.is_lost)
            && let Some((known, next)) = self
                .at
                .as_deref()
                .and_then(Position::of)
                .zip(Position::of(cursor))
        {
            // One of them is what was no entry.
            let between = known.missing_before(next).unwrap_or(0);
            self.account.missing(between.saturating_sub(1));
        }
        if cursor.is_empty() {
            return self.account.skip(Skip::Malformed);
        }
        let skip = if !self.own_invocation.is_empty()
            && entry.text("_SYSTEMD_INVOCATION_ID") == self.own_invocation
        {
            Some(Skip::Own)
        } else if !self.config.wants(entry) {
            Some(Skip::Filtered)
        } else if entry.bytes("MESSAGE").is_none_or(<[u8]>::is_empty) {
            Some(Skip::NoMessage)
        } else {
            None
        };
        let record = match skip {
            None => entry::record(entry, NAME).ok_or(Skip::Malformed),
            Some(skip) => Err(skip),
        };
        match record {
            Ok(record) => {
                self.account.take(1);
                self.batch.push(record);
            }
            Err(skip) => self.account.skip(skip),
        }
        self.at = Some(cursor.to_owned());
    }

    /// The entry that was read last is not there any more.
    fn look_for_missing(&self, at: &str, cursor: &str) {
        let (known, next) = (Position::of(at), Position::of(cursor));
        match known
            .zip(next)
            .and_then(|(known, next)| known.missing_before(next))
        {
            Some(0) => {}
            Some(entries) => {
                self.account.missing(entries);
                warn!(
                    from = self.config.from(),
                    entries, "the journal has deleted entries before they were read; it keeps too little"
                );
            }
            None => warn!(
                from = self.config.from(),
                "the journal was begun anew since it was read; how many entries are missing cannot be told"
            ),
        }
    }

    /// Puts what was gathered into the spool, and waits while it takes nothing: meanwhile nothing is read.
    async fn flush(&mut self, stop: &CancellationToken) -> Result<(), String> {
        let batch = std::mem::take(&mut self.batch);
        let entries = batch.records.len() as u64;
        let Some(last) = batch.records.last() else {
            return Ok(());
        };
        let millis = last.nanos / 1_000_000;
        while let Err(error) = self.spool.append_whole(&batch.records, self.line_bytes_max).await {
            let is_closed = matches!(error, Error::Closed);
            if self.account.trouble(&error.to_string()) {
                warn!(%error, "entries of the journal are not kept; it holds them until they can be");
            }
            if is_closed || stop.is_cancelled() {
                self.account.give_back(entries);
                return Err(error.to_string());
            }
            pause(PAUSE, stop).await;
        }
        let behind = self.clock.now().since(Timestamp(millis));
        self.account.give(entries, behind.as_secs_f64());
        self.is_well();
        self.saved = Instant::now();
        Ok(())
    }

    /// Writes the place behind entries that were left out now and then, so that a restart need not read them all again.
    async fn save(&mut self) {
        if !self.batch.records.is_empty() || self.saved.elapsed() < SAVE {
            return;
        }
        self.saved = Instant::now();
        if let Some(at) = self.at.clone()
            && self.spool.place(NAME).as_ref() != Some(&at)
            && let Err(error) = self.put_place(&at).await
        {
            warn!(%error, "the place reached in the journal cannot be written; a restart looks at more of it again");
        }
    }

    async fn put_place(&self, at: &str) -> Result<(), Error> {
        let place = Place {
            input: NAME,
            at: at.to_owned(),
        };
        self.spool.put_place(place).await
    }
}

impl Batch {
    fn push(&mut self, record: Record) {
        self.text_bytes += record.text.len();
        self.begun.get_or_insert_with(Instant::now);
        self.records.push(record);
    }

    fn is_full(&self) -> bool {
        self.records.len() >= ENTRIES_MAX || self.text_bytes >= TEXT_BYTES_MAX
    }
}

async fn pause(time: Duration, stop: &CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = tokio::time::sleep(time) => {}
    }
}

/// The texts of all entries in the Journal Export Format that can be kept, each with its cursor, and how much of the rest is
/// no entry.
#[must_use]
pub fn export_texts(bytes: &[u8], piece_bytes: usize) -> (Vec<(String, Vec<u8>)>, u64) {
    let mut export = Export::new(PIPE_BYTES);
    let (mut texts, mut malformed) = (Vec::new(), 0);
    for piece in bytes.chunks(piece_bytes.max(1)) {
        export.push(piece, |item| match item {
            Item::Entry(entry) => {
                if let Some(Record {
                    text,
                    place: Some(place),
                    ..
                }) = entry::record(&entry, NAME)
                {
                    texts.push((place.at, text));
                }
            }
            Item::Malformed => malformed += 1,
        });
    }
    (texts, malformed)
}
