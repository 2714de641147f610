//! A batch on its way: sent, and what was not taken sent again, until OpenSearch has answered for each record.
//!
//! A record is settled when it is stored, or was stored before, or is a dead letter on the disk. Nothing else ends a
//! flight but the end of the process, and then its records are read again.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression as Level;
use flate2::write::GzEncoder;
use model::outside::{Client, ClientError, Method, Request, Response};
use parking_lot::Mutex;
use tokio::time::Instant;
use tracing::{info, warn};

use super::answer::{FILTER, Fate, Outcome, Refusal, judge};
use super::config::{Compression, Config, Ids, Json, Naming};
use super::document::{Documents, Dress, Style};
use super::gate::Gate;
use super::letters::{Letter, Letters};
use super::metrics::Counts;
use crate::account::Account;
use crate::batch::Batch;
use crate::pack::{Book, Packer};

/// Of an answer, for each record: its status, and why not.
const ANSWER_BYTES_A_RECORD: usize = 512;
const ANSWER_BYTES_MIN: usize = 64 << 10;
/// Kinds of refusal that have a label of their own; the rest is `other`.
const KINDS: [&str; 12] = [
    "mapper_parsing_exception",
    "illegal_argument_exception",
    "strict_dynamic_mapping_exception",
    "index_not_found_exception",
    "invalid_index_name_exception",
    "index_closed_exception",
    "cluster_block_exception",
    "document_parsing_exception",
    "parse_exception",
    "parsing_exception",
    "too_large",
    "answer_too_long",
];
/// So often nobody answers before a request is sent in parts: something in it may be what is not answered.
const SILENCES_MAX: u32 = 8;
/// Documents are packed in pieces of so many bytes.
const PIECE_BYTES: usize = 64 << 10;
const PAUSE_DISK: Duration = Duration::from_secs(1);

/// Where batches fly to, and all that they share.
pub(crate) struct Destination {
    pub(crate) config: Config,
    pub(crate) reach: net::Reach,
    pub(crate) client: Arc<dyn Client>,
    /// Names this machine in documents and ids.
    pub(crate) host: String,
    pub(crate) gate: Gate,
    pub(crate) letters: Letters,
    pub(crate) counts: Arc<Counts>,
    pub(crate) account: Arc<Account>,
    pub(crate) trouble: Trouble,
    pub(crate) book: Book,
}

/// Why nothing gets through at the moment.
#[derive(Default)]
pub(crate) struct Trouble(Mutex<Option<String>>);

/// Records that are sent together: their numbers in the batch.
#[derive(Default)]
struct Group {
    rows: Vec<usize>,
    dress: Dress,
    /// How often nobody answered, and how many requests had gone well when that was first so.
    silence: Option<(u32, u64)>,
}

impl Group {
    fn new(rows: Vec<usize>, dress: Dress) -> Self {
        Self {
            rows,
            dress,
            silence: None,
        }
    }

    /// Nobody answered. True when it must be something in these records: others were answered meanwhile, or it has been
    /// tried often.
    fn is_suspect(&mut self, good: u64) -> bool {
        let (count, before) = self.silence.unwrap_or((0, good));
        self.silence = Some((count + 1, before));
        (count > 0 && good > before) || count + 1 >= SILENCES_MAX
    }

    /// In halves; one record alone with less around its text.
    fn parts(mut self) -> Vec<Self> {
        if self.rows.len() < 2 {
            return vec![Self::new(self.rows, Dress::Plain)];
        }
        let rest = self.rows.split_off(self.rows.len() / 2);
        vec![Self::new(rest, self.dress), Self::new(self.rows, self.dress)]
    }
}

/// A batch of which every record is settled.
pub(crate) struct Landed {
    pub(crate) batch: Batch,
    pub(crate) stored: u64,
    pub(crate) letters: u64,
}

impl Trouble {
    pub(crate) fn now(&self) -> Option<String> {
        self.0.lock().clone()
    }

    /// True when it is news.
    fn set(&self, why: Option<String>) -> bool {
        let mut known = self.0.lock();
        let is_news = known.is_some() != why.is_some();
        *known = why;
        is_news
    }
}

impl Destination {
    /// Its address, for people.
    pub(crate) fn target(&self) -> String {
        net::without_secrets(&self.config.url)
    }

    pub(crate) async fn fly(self: Arc<Self>, batch: Batch) -> Landed {
        let (mut stored, mut letters) = (0, 0);
        let mut batch = Arc::new(batch);
        let mut groups = vec![Group::new((0..batch.rows.len()).collect(), Dress::Full)];
        while let Some(group) = groups.pop() {
            if group.rows.is_empty() {
                continue;
            }
            let (mut group, body) = self.body(&batch, group).await;
            let bytes = body.len();
            let pass = self.gate.enter().await;
            let begun = Instant::now();
            let answer = self.exchange(body, group.rows.len()).await;
            let outcome = judge(&answer, group.rows.len());
            self.counts
                .request(result(&outcome), begun.elapsed().as_secs_f64(), bytes);
            match outcome {
                Outcome::Again { reason, why } => {
                    pass.was_pushed_back();
                    self.say_trouble(reason, why);
                    self.counts.again(group.rows.len());
                    let is_silent = matches!(reason, "timeout" | "broken");
                    if is_silent && group.is_suspect(self.gate.good()) {
                        groups.extend(group.parts());
                    } else {
                        groups.push(group);
                    }
                }
                Outcome::Parts(_) if group.rows.len() > 1 => {
                    pass.went_well();
                    groups.extend(group.parts());
                }
                Outcome::Parts(refusal) => {
                    pass.went_well();
                    let sorted = self.sort(&group, vec![Fate::Refused(refusal)]);
                    letters += self.bury(&batch, &sorted.refused).await;
                    groups.extend(sorted.groups());
                }
                Outcome::Done => {
                    pass.went_well();
                    self.say_well();
                    stored += group.rows.len() as u64;
                }
                Outcome::Items(fates) => {
                    let sorted = self.sort(&group, fates);
                    if sorted.again.is_empty() {
                        pass.went_well();
                        self.say_well();
                    } else {
                        pass.was_pushed_back();
                        if sorted.stored == 0 {
                            self.say_trouble("pushed_back", sorted.why.clone());
                        }
                    }
                    stored += sorted.stored;
                    letters += self.bury(&batch, &sorted.refused).await;
                    groups.extend(sorted.groups());
                }
            }
            self.counts.limit(self.gate.limit());
        }
        loop {
            // Others hold it only while they encode.
            match Arc::try_unwrap(batch) {
                Ok(batch) => {
                    return Landed {
                        batch,
                        stored,
                        letters,
                    };
                }
                Err(shared) => batch = shared,
            }
            tokio::task::yield_now().await;
        }
    }

    /// The body of a request, encoded on a thread that may take its time.
    async fn body(self: &Arc<Self>, batch: &Arc<Batch>, group: Group) -> (Group, Vec<u8>) {
        let (us, shared) = (Arc::clone(self), Arc::clone(batch));
        let encoding = tokio::task::spawn_blocking(move || {
            let body = us.encode(&shared, &group);
            (group, body)
        });
        match encoding.await {
            Ok(encoded) => encoded,
            // Only a panic in it ends it otherwise.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    fn encode(&self, batch: &Batch, group: &Group) -> Vec<u8> {
        let mut documents = self.documents(batch);
        match self.config.compression {
            Compression::None => {
                let mut plain = Vec::with_capacity(3 * batch.text.len());
                for row in &group.rows {
                    documents.write(&mut plain, *row, group.dress);
                }
                plain
            }
            Compression::Gzip => {
                let mut packer = Packer::new(&self.book, batch.text.len() / 2);
                for row in &group.rows {
                    let (file, own) = documents.write(packer.plain(), *row, group.dress);
                    packer.record(file, own);
                }
                packer.finish()
            }
            Compression::Zlib => encode_by_zlib(documents, batch, group),
        }
    }

    fn documents<'a>(&'a self, batch: &'a Batch) -> Documents<'a> {
        let style = Style {
            index: &self.config.index,
            is_daily: self.config.naming == Naming::Daily,
            has_ids: self.config.ids == Ids::Position,
            reads_json: self.config.json == Json::Fields,
            host: &self.host,
        };
        Documents::new(batch, style)
    }

    async fn exchange(&self, body: Vec<u8>, records: usize) -> Result<Response, ClientError> {
        let via = self
            .reach
            .open(&*self.client, &|| true)
            .await
            .map_err(ClientError::Connect)?;
        let mut headers = vec![("content-type".to_owned(), "application/x-ndjson".to_owned())];
        if self.config.compression != Compression::None {
            headers.push(("content-encoding".to_owned(), "gzip".to_owned()));
        }
        via.send(Request {
            method: Method::Post,
            url: format!("{}/_bulk?{FILTER}", self.config.url.trim_end_matches('/')),
            headers,
            body: body.into(),
            timeout: self.config.timeout,
            answer_bytes_max: ANSWER_BYTES_MIN.max(records * ANSWER_BYTES_A_RECORD),
        })
        .await
    }

    /// What is to be done with each record of a group.
    fn sort(&self, group: &Group, fates: Vec<Fate>) -> Sorted {
        let mut sorted = Sorted {
            dress: group.dress,
            ..Sorted::default()
        };
        let mut known = 0;
        for (row, fate) in group.rows.iter().zip(fates) {
            match fate {
                Fate::Done => sorted.stored += 1,
                Fate::Known => {
                    sorted.stored += 1;
                    known += 1;
                }
                Fate::Again(why) => {
                    sorted.again.push(*row);
                    sorted.why = why;
                }
                // Perhaps it is a field that is not taken, and the text is.
                Fate::Refused(refusal) if refusal.status == 400 && group.dress == Dress::Full => {
                    sorted.plainer.push(*row);
                }
                Fate::Refused(refusal) => sorted.refused.push((*row, refusal)),
            }
        }
        self.counts.again(sorted.again.len() + sorted.plainer.len());
        self.counts.known(known);
        sorted
    }

    /// Keeps what is refused for good; tries until the disk takes it.
    async fn bury(self: &Arc<Self>, batch: &Batch, refused: &[(usize, Refusal)]) -> u64 {
        if refused.is_empty() {
            return 0;
        }
        let mut documents = self.documents(batch);
        let letters: Vec<Letter> = refused
            .iter()
            .filter_map(|(row, refusal)| {
                Letter::new(documents.place(*row), refusal, documents.document(*row))
            })
            .collect();
        let letters = Arc::new(letters);
        while let Err(error) = self.add(&letters).await {
            self.say_trouble("disk", format!("dead letters cannot be kept: {error}"));
            tokio::time::sleep(PAUSE_DISK).await;
        }
        for (_, refusal) in refused {
            let kind = KINDS
                .into_iter()
                .find(|kind| *kind == refusal.kind)
                .unwrap_or("other");
            self.counts.letter(kind);
        }
        if let Some((_, refusal)) = refused.first() {
            warn!(
                sink = self.config.name,
                records = refused.len(),
                status = refusal.status,
                kind = refusal.kind,
                reason = refusal.why,
                "OpenSearch never takes these lines; they are in the dead-letter file"
            );
        }
        refused.len() as u64
    }

    /// On a thread that may wait for the disk.
    async fn add(self: &Arc<Self>, letters: &Arc<Vec<Letter>>) -> io::Result<()> {
        let (us, letters) = (Arc::clone(self), Arc::clone(letters));
        let adding = tokio::task::spawn_blocking(move || us.letters.add(&letters));
        adding.await.unwrap_or_else(|error| Err(io::Error::other(error)))
    }

    pub(crate) fn say_trouble(&self, reason: &str, why: String) {
        self.account.ship_failures.inc();
        if self.trouble.set(Some(why.clone())) {
            self.account.ship_blocked.set(1.0);
            warn!(
                sink = self.config.name,
                reason, why, "OpenSearch takes no lines; the log files hold them until it does"
            );
        }
    }

    fn say_well(&self) {
        if self.trouble.set(None) {
            self.account.ship_blocked.set(0.0);
            info!(sink = self.config.name, "OpenSearch takes lines again");
        }
    }
}

/// What an answer has left.
#[derive(Default)]
struct Sorted {
    stored: u64,
    again: Vec<usize>,
    /// To be sent with less around the text.
    plainer: Vec<usize>,
    refused: Vec<(usize, Refusal)>,
    dress: Dress,
    why: String,
}

impl Sorted {
    fn groups(self) -> [Group; 2] {
        [
            Group::new(self.plainer, Dress::Plain),
            Group::new(self.again, self.dress),
        ]
    }
}

fn encode_by_zlib(mut documents: Documents<'_>, batch: &Batch, group: &Group) -> Vec<u8> {
    let mut plain = Vec::new();
    // Packed piece by piece: the whole of it never lies in memory.
    let mut packed = GzEncoder::new(Vec::with_capacity(batch.text.len() / 2), Level::new(1));
    for row in &group.rows {
        documents.write(&mut plain, *row, group.dress);
        if plain.len() >= PIECE_BYTES {
            // Writing to memory cannot fail.
            _ = packed.write_all(&plain);
            plain.clear();
        }
    }
    _ = packed.write_all(&plain);
    packed.finish().unwrap_or_default()
}

fn result(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "ok",
        Outcome::Items(fates) if fates.iter().all(|fate| matches!(fate, Fate::Done | Fate::Known)) => "ok",
        Outcome::Items(_) => "partial",
        Outcome::Again { reason, .. } => reason,
        Outcome::Parts(_) => "refused",
    }
}
