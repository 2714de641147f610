//! A batch on its way: sent, and what was not taken sent again, until OpenSearch has answered for each record.
//!
//! A record is settled when it is stored, or was stored before, or is a dead letter on the disk. Nothing else ends a
//! flight but the end of the process, and then its records are read again.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression as Level;
use flate2::write::GzEncoder;
use model::BoxFuture;
use model::outside::{Client, ClientError, Method, Request, Response};
use tokio::time::Instant;
use tracing::warn;

use super::action::{Actions, Naming as Names};
use super::anonymous::Anonymous;
use super::answer::{FILTER, Fate, Outcome, judge};
use super::config::{Compression, Config, Ids, Naming};
use super::setup;
use super::size::Size;
use crate::batch::Batch;
use crate::pack::{Book, Packer};
use crate::sink::document::{Dress, Style};
use crate::sink::letters::Letter;
use crate::sink::marks::Marks;
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
/// So often records are sent again because their index refuses ids; others on their way may have told it meanwhile.
const NAMELESS_MAX: u32 = 3;
/// Documents are packed in pieces of so many bytes.
const PIECE_BYTES: usize = 64 << 10;

/// Where batches fly to, and all that they share.
pub(crate) struct Destination {
    pub(crate) common: Common,
    pub(crate) marks: Marks,
    pub(crate) anonymous: Anonymous,
    pub(crate) config: Config,
    pub(crate) reach: net::Reach,
    pub(crate) client: Arc<dyn Client>,
    /// Names this machine in documents and ids.
    pub(crate) host: String,
    pub(crate) book: Book,
    pub(crate) size: Size,
}

/// Records that are sent together: their numbers in the batch.
#[derive(Default)]
struct Group {
    rows: Vec<usize>,
    dress: Dress,
    silence: Silence,
    /// How often their index has refused ids.
    nameless: u32,
}

impl Group {
    fn new(rows: Vec<usize>, dress: Dress) -> Self {
        Self {
            rows,
            dress,
            silence: Silence::default(),
            nameless: 0,
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
            let text = batch.text_bytes(&group.rows);
            if group.rows.len() > 1 && !self.size.fits(text) {
                groups.extend(group.parts());
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
                Outcome::Again {
                    reason: "timeout", ..
                } => self.size.was_too_slow(text),
                Outcome::Done | Outcome::Items(_) => self.size.went_well(text),
                Outcome::Again { .. } | Outcome::Parts(_) => {}
            }
            match outcome {
                Outcome::Again { reason, why } => {
                    match reason {
                        "pushed_back" => pass.was_pushed_back(),
                        _ => pass.failed(),
                    }
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
                    self.learn(&batch, &sorted);
                    if sorted.again.is_empty() {
                        pass.went_well();
                        self.common.say_well();
                    } else {
                        pass.was_pushed_back();
                        if sorted.stored == 0 {
                            self.common.say_trouble(sorted.reason, sorted.why.clone());
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
        let has_ids = self.config.ids != Ids::Never;
        let names = Names {
            index: &self.config.index,
            is_daily: self.config.naming == Naming::Daily,
            has_ids,
            anonymous: self.anonymous.now(),
        };
        let style = Style {
            // Of a data stream an id is good for its newest index only.
            says_id: self.config.naming == Naming::DataStream,
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
            nameless: group.nameless,
            reason: "pushed_back",
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
                Fate::WithoutId(_) if self.config.ids == Ids::Auto && group.nameless < NAMELESS_MAX => {
                    sorted.without_id.push(*row);
                }
                Fate::WithoutId(why) if self.config.ids == Ids::Always => {
                    sorted.again.push(*row);
                    sorted.reason = "ids_refused";
                    sorted.why = format!("{why}; set ids of this sink to auto or never");
                }
                Fate::WithoutId(why) => sorted.refused.push((
                    *row,
                    Refusal {
                        status: 400,
                        kind: "illegal_argument_exception".to_owned(),
                        why,
                    },
                )),
                // Perhaps it is a field that is not taken, and the text is.
                Fate::Refused(refusal) if refusal.status == 400 && group.dress == Dress::Full => {
                    sorted.plainer.push(*row);
                }
                Fate::Refused(refusal) => sorted.refused.push((*row, refusal)),
            }
        }
        self.common
            .counts
            .again(sorted.again.len() + sorted.plainer.len() + sorted.without_id.len());
        self.common.counts.known(known);
        sorted
    }

    /// Remembers which indices refuse ids.
    fn learn(&self, batch: &Batch, sorted: &Sorted) {
        if sorted.without_id.is_empty() {
            return;
        }
        let mut actions = self.actions(batch);
        let indices = sorted.without_id.iter().filter_map(|row| actions.index_of(*row));
        let indices: BTreeSet<String> = indices.collect();
        if let Some(first) = indices.first() {
            let front = self.config.index.pattern();
            if self.common.say_note(&format!(
                "indices {front} refuse ids of ours: a line that is sent again is there twice, with the same event.id"
            )) {
                warn!(
                    sink = self.config.name,
                    index = first,
                    "an index refuses ids of ours; its lines are there at least once, and event.id has the id"
                );
            }
        }
        // What is not known there again must be in the watermarks as soon as can be.
        self.marks.hurry();
        self.anonymous.learn(indices);
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
    /// To be sent without their ids.
    without_id: Vec<usize>,
    nameless: u32,
    dress: Dress,
    /// Why nothing was taken, fit for a label, and in words.
    reason: &'static str,
    why: String,
}

impl Sorted {
    fn groups(self) -> [Group; 3] {
        let nameless = self.nameless;
        let group = |rows, dress| Group {
            nameless,
            ..Group::new(rows, dress)
        };
        [
            group(self.plainer, Dress::Plain),
            group(self.again, self.dress),
            Group {
                nameless: nameless + 1,
                ..Group::new(self.without_id, self.dress)
            },
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
