//! A fresh replica copies what its peer's store has in memory, slice by slice, oldest first.
//!
//! An answer: `SKOPHEAD`, format (u32), the time up to which it goes (i64, milliseconds), then blocks of length (u32)
//! and a packed request of remote write 2.0; numbers are little-endian. What a peer said provisionally in the place
//! of a silent sender is left out: here it would be taken for a sample, and late samples could no longer come.

use std::time::Duration;

use model::outside::{Client, ClientError, Identity, Method, Request, Response, Role};
use model::presence::NODE;
use model::select::Mixed;
use model::{Clock, Labels, Select, SelectError, Series, TimeRange, Timestamp, Value};

use crate::receive::{Counts, Families, Protocol, Receiver, Said};
use crate::wire::decode::one;
use crate::wire::encode::{SampleField, put_bytes, put_number, put_varint, tag, type_number};
use crate::wire::encode_histogram::put_histogram;
use crate::wire::encode_template::Symbols;

const MAGIC: &[u8; 8] = b"SKOPHEAD";
const FORMAT: u32 = 1;
const HEAD_BYTES: usize = 20;

/// A longer answer is cut in time.
pub(crate) struct Limits {
    pub(crate) bytes: usize,
    pub(crate) samples: usize,
}

impl Limits {
    const ANSWER: Self = Self {
        bytes: 16 << 20,
        samples: 1 << 20,
    };
    const NONE: Self = Self {
        bytes: usize::MAX,
        samples: usize::MAX,
    };
}

/// A slice that is not cut any further, however much it holds.
const SLICE_MILLIS_MIN: i64 = 1_000;
const BLOCK_SERIES_MAX: usize = 5_000;
const BLOCK_SAMPLES_MAX: usize = 50_000;
/// A histogram may be long, and a block is a request: 32 MiB by default.
const BLOCK_BYTES_MAX: usize = 8 << 20;

const SLICE_MILLIS_FIRST: i64 = 60_000;
const SLICE_MILLIS_MAX: i64 = 3_600_000;
/// Longer than any answer of a peer of ours.
const READ_BYTES_MAX: usize = 256 << 20;
const TIMEOUT: Duration = Duration::from_secs(30);
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_secs(1);

impl Receiver {
    /// Answers `GET /peer/v1/head?after=<ms>&until=<ms>`: all samples in that slice, or in the beginning of it.
    #[must_use]
    pub fn head(&self, select: &dyn Select, query: &str) -> Response {
        self.head_within(select, query, &Limits::ANSWER)
    }

    pub(crate) fn head_within(&self, select: &dyn Select, query: &str, limits: &Limits) -> Response {
        let plain = |status, sentence: String| Response {
            status,
            headers: vec![("content-type".to_owned(), "text/plain; charset=utf-8".to_owned())],
            body: (sentence + "\n").into_bytes(),
        };
        let Some(range) = range(query) else {
            return plain(
                400,
                "after and until are milliseconds, and until is later".to_owned(),
            );
        };
        match Slice::read(select, range, |labels| self.provisional_from(labels), limits) {
            Ok(body) => Response {
                status: 200,
                headers: vec![("content-type".to_owned(), "application/octet-stream".to_owned())],
                body,
            },
            Err(why) => plain(500, why.to_string()),
        }
    }

    /// From when on what is said of a series here is not what its sender said.
    fn provisional_from(&self, labels: &Labels) -> Timestamp {
        let silent = labels.get(NODE).and_then(|node| self.ended_provisionally(node));
        silent.unwrap_or(Timestamp::MAX)
    }
}

fn range(query: &str) -> Option<TimeRange> {
    let number = |name: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let (_, number) = pairs.find(|(known, _)| *known == name)?;
        number.parse().ok().map(Timestamp)
    };
    let (after, until) = (number("after")?, number("until")?);
    (after < until).then_some(TimeRange { after, until })
}

/// One answer being written.
struct Slice {
    body: Vec<u8>,
    symbols: Symbols,
    messages: Vec<u8>,
    series: usize,
    samples: usize,
    packer: snap::raw::Encoder,
    message: Vec<u8>,
    refs: Vec<u8>,
}

impl Slice {
    /// As much of the range, from its beginning, as one answer may hold.
    fn read(
        select: &dyn Select,
        mut range: TimeRange,
        ends: impl Fn(&Labels) -> Timestamp,
        limits: &Limits,
    ) -> Result<Vec<u8>, SelectError> {
        let mut families = Families::default();
        for known in select.metadata() {
            families.hear(&one::Metadata {
                family: &known.family,
                kind: known.kind,
                help: &known.help,
                unit: &known.unit,
            });
        }
        loop {
            let length = range.until.0.saturating_sub(range.after.0);
            let limits = if length <= SLICE_MILLIS_MIN {
                &Limits::NONE
            } else {
                limits
            };
            let mixed = select.mixed(&[], range, limits.samples);
            let found = mixed.and_then(|mixed| Ok((select.select(&[], range, limits.samples)?, mixed)));
            let found = match found {
                Err(SelectError::TooMany { .. }) => None,
                found => Some(found?),
            };
            let write = |(found, mixed): (Vec<Series>, Vec<Mixed>)| {
                Self::write((&found, &mixed), &range, &families, &ends, limits.bytes)
            };
            if let Some(body) = found.and_then(write) {
                return Ok(body);
            }
            range.until = Timestamp(range.after.0 + length / 2);
        }
    }

    /// None when it would be too long.
    fn write(
        (found, mixed): (&[Series], &[Mixed]),
        range: &TimeRange,
        families: &Families,
        ends: impl Fn(&Labels) -> Timestamp,
        bytes_max: usize,
    ) -> Option<Vec<u8>> {
        let mut slice = Self {
            body: Vec::new(),
            symbols: Symbols::default(),
            messages: Vec::new(),
            series: 0,
            samples: 0,
            packer: snap::raw::Encoder::new(),
            message: Vec::new(),
            refs: Vec::new(),
        };
        slice.body.extend(MAGIC);
        slice.body.extend(FORMAT.to_le_bytes());
        slice.body.extend(range.until.0.to_le_bytes());
        let floats = found
            .iter()
            // What is said of those among the floats is said with the histograms, too.
            .filter(|series| {
                mixed
                    .binary_search_by(|one| one.labels.cmp(&series.labels))
                    .is_err()
            })
            .map(|series| {
                let values = series.values.iter().copied().map(Value::Float);
                let samples = series.times.iter().copied().zip(values);
                (&series.labels, samples.collect::<Vec<_>>())
            });
        let mixed = mixed.iter().map(|one| (&one.labels, one.samples.clone()));
        for (labels, samples) in floats.chain(mixed) {
            slice.add(labels, &samples, range, &families.of(labels.name()), ends(labels));
            if slice.series >= BLOCK_SERIES_MAX
                || slice.samples >= BLOCK_SAMPLES_MAX
                || slice.messages.len() >= BLOCK_BYTES_MAX
            {
                slice.close();
            }
            if slice.body.len() > bytes_max {
                return None;
            }
        }
        slice.close();
        (slice.body.len() <= bytes_max).then_some(slice.body)
    }

    fn add(
        &mut self,
        labels: &Labels,
        samples: &[(Timestamp, Value)],
        range: &TimeRange,
        said: &Said<'_>,
        end: Timestamp,
    ) {
        self.message.clear();
        self.refs.clear();
        let before = self.samples;
        // A series with a staleness of its own begins earlier than was asked.
        let asked = |(time, _): &&(Timestamp, Value)| range.contains(*time) && *time < end;
        for (time, value) in samples.iter().filter(asked) {
            match value {
                Value::Float(value) => SampleField::at(*time).put(&mut self.message, *value),
                Value::Histogram(histogram) => put_histogram(&mut self.message, *time, histogram),
            }
            self.samples += 1;
        }
        if self.samples == before {
            return;
        }
        self.series += 1;
        for (name, value) in labels.iter() {
            for text in [name, value] {
                put_varint(&mut self.refs, u64::from(self.symbols.of(text.as_bytes())));
            }
        }
        put_bytes(&mut self.message, tag::LABEL_REFS, &self.refs);
        self.refs.clear();
        put_number(&mut self.refs, tag::TYPE, u64::from(type_number(said.kind)));
        for (tag, text) in [(tag::HELP_REF, said.help), (tag::UNIT_REF, said.unit)] {
            let symbol = self.symbols.of(text.as_bytes());
            put_number(&mut self.refs, tag, u64::from(symbol));
        }
        if !self.refs.is_empty() {
            put_bytes(&mut self.message, tag::METADATA, &self.refs);
        }
        put_bytes(&mut self.messages, tag::SERIES, &self.message);
    }

    fn close(&mut self) {
        if self.series == 0 {
            return;
        }
        let mut request = std::mem::take(&mut self.symbols).encoded;
        request.append(&mut self.messages);
        // Fails only for more than 4 GiB, which no block is.
        let block = self.packer.compress_vec(&request).unwrap_or_default();
        let length = u32::try_from(block.len()).unwrap_or(u32::MAX);
        self.body.extend(length.to_le_bytes());
        self.body.extend(block);
        (self.series, self.samples) = (0, 0);
    }
}

/// What a copy has brought so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Everything until here is copied.
    pub until: Timestamp,
    /// Samples that are new here.
    pub samples: usize,
    /// Samples that were here already.
    pub duplicates: usize,
    /// Samples that this store did not take.
    pub refused: usize,
}

/// Why a copy ends early; what was copied until then stays.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    #[error("asking the peer for its samples at {url}")]
    Ask { url: String, source: ClientError },
    #[error("the peer answered {status}: {sentence}")]
    Status { status: u16, sentence: String },
    #[error("the peer's answer is not one: {0}")]
    Broken(&'static str),
    #[error("the peer sends samples in format {found}, this process reads up to {FORMAT}")]
    Newer { found: u32 },
    #[error("a block of the peer is refused: {0}")]
    Refused(String),
}

/// Copies the samples of a peer with `from < time <= to`, also while the receiver is held. `url` is the peer's, without
/// a path; `progress` is told after each slice.
///
/// # Errors
/// See [`CopyError`]; a peer that does not answer is asked five times.
pub async fn copy(
    client: &dyn Client,
    url: &str,
    bearer: Option<&str>,
    receiver: &Receiver,
    (from, to): (Timestamp, Timestamp),
    progress: &(dyn Fn(Copied) + Send + Sync),
) -> Result<Copied, CopyError> {
    let mut copied = Copied {
        until: from,
        samples: 0,
        duplicates: 0,
        refused: 0,
    };
    let mut slice_millis = SLICE_MILLIS_FIRST;
    while copied.until < to {
        let after = copied.until;
        let until = Timestamp(after.0.saturating_add(slice_millis)).min(to);
        let url = format!("{url}/peer/v1/head?after={}&until={}", after.0, until.0);
        let body = ask(client, &url, bearer, &*receiver.clock).await?;
        let (reached, mut rest) = open(&body)?;
        if reached <= after || reached > until {
            return Err(CopyError::Broken("it is about another time"));
        }
        while let Some(block) = next(&mut rest)? {
            let counts = take(receiver, block).await?;
            let kept = counts.all();
            copied.samples += kept.kept;
            copied.duplicates += kept.duplicate;
            copied.refused += counts.samples - kept.kept - kept.duplicate;
            // A block takes milliseconds; others wait for this thread.
            tokio::task::yield_now().await;
        }
        slice_millis = if reached == until {
            (slice_millis * 2).min(SLICE_MILLIS_MAX)
        } else {
            reached.0.saturating_sub(after.0).max(SLICE_MILLIS_MIN)
        };
        copied.until = reached;
        progress(copied);
    }
    receiver.forget_sender(&identity());
    Ok(copied)
}

async fn take(receiver: &Receiver, block: &[u8]) -> Result<Counts, CopyError> {
    let mut tries = 0;
    loop {
        tries += 1;
        match receiver.take(&identity(), Protocol::Two, block) {
            Ok(counts) => return Ok(counts),
            // So many others are being read just now.
            Err(refusal) if refusal.status == 503 && tries < TRIES => receiver.clock.sleep(PAUSE).await,
            Err(refusal) => return Err(CopyError::Refused(refusal.sentence)),
        }
    }
}

/// Its series are remembered for as long as the copy takes.
fn identity() -> Identity {
    Identity {
        role: Role::Replica,
        name: "copy".into(),
    }
}

async fn ask(
    client: &dyn Client,
    url: &str,
    bearer: Option<&str>,
    clock: &dyn Clock,
) -> Result<Vec<u8>, CopyError> {
    let mut tries = 0;
    loop {
        tries += 1;
        let authorization = bearer.map(|bearer| ("authorization".to_owned(), format!("Bearer {bearer}")));
        let request = Request {
            method: Method::Get,
            url: url.to_owned(),
            headers: authorization.into_iter().collect(),
            body: Vec::new().into(),
            timeout: TIMEOUT,
            answer_bytes_max: READ_BYTES_MAX,
        };
        let error = match client.send(request).await {
            Ok(answer) if answer.status == 200 => return Ok(answer.body),
            Ok(answer) => CopyError::Status {
                status: answer.status,
                sentence: String::from_utf8_lossy(&answer.body).trim().to_owned(),
            },
            Err(source) => CopyError::Ask {
                url: url.to_owned(),
                source,
            },
        };
        let again = !matches!(error, CopyError::Status { status: ..500, .. });
        if !again || tries >= TRIES {
            return Err(error);
        }
        clock.sleep(PAUSE).await;
    }
}

fn open(body: &[u8]) -> Result<(Timestamp, &[u8]), CopyError> {
    const SHORT: CopyError = CopyError::Broken("it is cut off");
    let (head, rest) = body.split_at_checked(HEAD_BYTES).ok_or(SHORT)?;
    let (magic, head) = head.split_first_chunk::<8>().ok_or(SHORT)?;
    let (format, time) = head.split_first_chunk::<4>().ok_or(SHORT)?;
    if magic != MAGIC {
        return Err(CopyError::Broken("it begins otherwise"));
    }
    let found = u32::from_le_bytes(*format);
    if found > FORMAT {
        return Err(CopyError::Newer { found });
    }
    let time = time.try_into().map_err(|_| SHORT)?;
    Ok((Timestamp(i64::from_le_bytes(time)), rest))
}

fn next<'a>(rest: &mut &'a [u8]) -> Result<Option<&'a [u8]>, CopyError> {
    const SHORT: CopyError = CopyError::Broken("it is cut off");
    if rest.is_empty() {
        return Ok(None);
    }
    let (length, tail) = rest.split_first_chunk().ok_or(SHORT)?;
    let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| SHORT)?;
    let (block, tail) = tail.split_at_checked(length).ok_or(SHORT)?;
    *rest = tail;
    Ok(Some(block))
}
