//! A batch on its way: sent, and what was not taken sent again, until OpenSearch has answered for each record.
//!
//! A record is settled when it is stored, or was stored before, or is a dead letter on the disk. Nothing else ends a
//! flight but the end of the process, and then its records are read again.

use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression as Level;
use flate2::write::GzEncoder;
use model::BoxFuture;
use model::outside::{Client, ClientError, Method, Request, Response};
use tokio::time::Instant;

use super::action::{Actions, Naming as Names};
use super::answer::{FILTER, Fate, Outcome, judge};
use super::config::{Compression, Config, Ids, Naming};
use super::setup;
use crate::batch::Batch;
use crate::pack::{Book, Packer};
use crate::sink::document::{Dress, Style};
use crate::sink::letters::Letter;
use crate::sink::{self, Common, Json, Landed, Refusal, Silence, alone, aside};

/// Of an answer, for each record: its status, and why not.
const ANSWER_BYTES_A_RECORD: usize = 512;
const ANSWER_BYTES_MIN: usize = 64 << 10;
/// Kinds of refusal that have a label of their own; the rest is `other`.
pub(crate) const REFUSALS: [&str; 12] = [
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
/// Documents are packed in pieces of so many bytes.
const PIECE_BYTES: usize = 64 << 10;

/// Where batches fly to, and all that they share.
pub(crate) struct Destination {
    pub(crate) common: Common,
    pub(crate) config: Config,
    pub(crate) reach: net::Reach,
    pub(crate) client: Arc<dyn Client>,
    /// Names this machine in documents and ids.
    pub(crate) host: String,
    pub(crate) book: Book,
}

/// Records that are sent together: their numbers in the batch.
#[derive(Default)]
struct Group {
    rows: Vec<usize>,
    dress: Dress,
    silence: Silence,
}

impl Group {
    fn new(rows: Vec<usize>, dress: Dress) -> Self {
        Self {
            rows,
            dress,
            silence: Silence::default(),
        }
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

impl sink::Destination for Destination {
    fn common(&self) -> &Common {
        &self.common
    }

    fn target(&self) -> String {
        net::without_secrets(&self.config.url)
    }

    fn requests_max(&self) -> usize {
        self.config.requests_max
    }

    fn prepare(&self) -> BoxFuture<'_, ()> {
        Box::pin(setup::prepare(self))
    }

    fn fly(self: Arc<Self>, batch: Batch) -> BoxFuture<'static, Landed> {
        Box::pin(self.send(batch))
    }
}

impl Destination {
    async fn send(self: Arc<Self>, batch: Batch) -> Landed {
        let (mut stored, mut letters) = (0, 0);
        let batch = Arc::new(batch);
        let mut groups = vec![Group::new((0..batch.rows.len()).collect(), Dress::Full)];
        while let Some(group) = groups.pop() {
            if group.rows.is_empty() {
                continue;
            }
            let (mut group, body) = self.body(&batch, group).await;
            let bytes = body.len();
            let pass = self.common.gate.enter().await;
            let begun = Instant::now();
            let answer = self.exchange(body, group.rows.len()).await;
            let outcome = judge(&answer, group.rows.len());
            self.common
                .counts
                .request(result(&outcome), begun.elapsed().as_secs_f64(), bytes);
            match outcome {
                Outcome::Again { reason, why } => {
                    pass.was_pushed_back();
                    self.common.say_trouble(reason, why);
                    self.common.counts.again(group.rows.len());
                    let is_silent = matches!(reason, "timeout" | "broken");
                    if is_silent && group.silence.is_suspect(self.common.gate.good()) {
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
                    self.common.say_well();
                    stored += group.rows.len() as u64;
                }
                Outcome::Items(fates) => {
                    let sorted = self.sort(&group, fates);
                    if sorted.again.is_empty() {
                        pass.went_well();
                        self.common.say_well();
                    } else {
                        pass.was_pushed_back();
                        if sorted.stored == 0 {
                            self.common.say_trouble("pushed_back", sorted.why.clone());
                        }
                    }
                    stored += sorted.stored;
                    letters += self.bury(&batch, &sorted.refused).await;
                    groups.extend(sorted.groups());
                }
            }
            self.common.counts.limit(self.common.gate.limit());
        }
        Landed {
            // Others hold it only while they encode.
            batch: alone(batch).await,
            stored,
            letters,
        }
    }

    /// The body of a request, encoded on a thread that may take its time.
    async fn body(self: &Arc<Self>, batch: &Arc<Batch>, group: Group) -> (Group, Bytes) {
        let (us, shared) = (Arc::clone(self), Arc::clone(batch));
        aside(move || {
            let body = us.encode(&shared, &group);
            (group, body)
        })
        .await
    }

    fn encode(&self, batch: &Batch, group: &Group) -> Bytes {
        let mut actions = self.actions(batch);
        match self.config.compression {
            Compression::None => {
                let mut plain = Vec::with_capacity(3 * batch.text.len());
                for row in &group.rows {
                    actions.write(&mut plain, *row, group.dress);
                }
                plain.into()
            }
            Compression::Gzip => {
                let mut packer = Packer::new(&self.book);
                for row in &group.rows {
                    if let Some((file, own, tail)) = actions.write_front(packer.plain(), *row, group.dress) {
                        packer.record(file, own, tail);
                    }
                }
                packer.finish()
            }
            Compression::Zlib => by_zlib(actions, batch, group).into(),
        }
    }

    fn actions<'a>(&'a self, batch: &'a Batch) -> Actions<'a> {
        let has_ids = self.config.ids == Ids::Position;
        let names = Names {
            index: &self.config.index,
            is_daily: self.config.naming == Naming::Daily,
            has_ids,
        };
        let style = Style {
            says_id: !has_ids,
            reads_fields: self.config.json == Json::Fields,
            says_place: true,
            host: &self.host,
        };
        Actions::new(batch, names, style)
    }

    async fn exchange(&self, body: Bytes, records: usize) -> Result<Response, ClientError> {
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
            body,
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
        self.common
            .counts
            .again(sorted.again.len() + sorted.plainer.len());
        self.common.counts.known(known);
        sorted
    }

    /// Keeps what is refused for good.
    async fn bury(&self, batch: &Batch, refused: &[(usize, Refusal)]) -> u64 {
        if refused.is_empty() {
            return 0;
        }
        let mut actions = self.actions(batch);
        let letters = refused.iter().map(|(row, refusal)| {
            let (place, id, document) = actions.letter(*row);
            Letter::new(place, id, refusal, document)
        });
        let letters = letters.collect();
        self.common.bury(letters).await
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

fn by_zlib(mut actions: Actions<'_>, batch: &Batch, group: &Group) -> Vec<u8> {
    let mut plain = Vec::new();
    // Packed piece by piece: the whole of it never lies in memory.
    let mut packed = GzEncoder::new(Vec::with_capacity(batch.text.len() / 2), Level::new(1));
    for row in &group.rows {
        actions.write(&mut plain, *row, group.dress);
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
