//! Rewrites a block at the time it is sent, for those who do not want it as it is: with labels added, or as 1.0.

use std::time::Duration;

use hashbrown::HashMap;
use model::{Kind, Labels, Timestamp};
use xxhash_rust::xxh3::xxh3_64;

use crate::wire::decode::two::{Metadata, Part, Parts, Series, Symbols as Table};
use crate::wire::decode::{Malformed, Sample, UnpackError, unpack};
use crate::wire::encode::{SampleField, put_bytes, put_number, put_varint, tag, type_number};
use crate::wire::encode_template::Symbols;

/// Blocks are of our own making, and none comes near.
const RAW_BYTES_MAX: usize = 256 << 20;
/// How often a receiver of 1.0 is told what a family is.
const TELL_AGAIN: Duration = Duration::from_secs(10 * 60);
/// Most families that are remembered as told.
const FAMILIES_MAX: usize = 10_000;

/// Field numbers of `prometheus.WriteRequest` and what is in it.
mod one {
    pub(super) const SERIES: u8 = 1 << 3 | 2;
    pub(super) const METADATA: u8 = 3 << 3 | 2;
    pub(super) const LABELS: u8 = 1 << 3 | 2;
    pub(super) const NAME: u8 = 1 << 3 | 2;
    pub(super) const VALUE: u8 = 2 << 3 | 2;
    pub(super) const TYPE: u8 = 1 << 3;
    pub(super) const FAMILY: u8 = 2 << 3 | 2;
    pub(super) const HELP: u8 = 4 << 3 | 2;
    pub(super) const UNIT: u8 = 5 << 3 | 2;
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum TranscodeError {
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("packing it again: {0}")]
    Pack(snap::Error),
}

/// Room that is used again for each block.
pub(crate) struct Transcoder {
    room: Vec<u8>,
    table: Table,
    snappy: snap::raw::Encoder,
}

/// What a receiver of 1.0 has been told, by hash, and when.
#[derive(Default)]
pub(crate) struct Families(HashMap<u64, Duration>);

/// One series of a block, with all its labels.
struct Whole<'a> {
    labels: &'a [(&'a [u8], &'a [u8])],
    samples: &'a [Sample],
    metadata: Metadata,
    help: &'a str,
    unit: &'a str,
}

impl Whole<'_> {
    fn name(&self) -> &[u8] {
        let own = self.labels.iter();
        let mut own = own.filter(|(name, _)| *name == model::labels::METRIC_NAME.as_bytes());
        own.next().map_or(&[], |(_, value)| value)
    }

    /// Of `x_bucket`, `x_sum` and `x_count` of a histogram it is `x`.
    fn family(&self) -> &[u8] {
        let name = self.name();
        let suffixes: &[&[u8]] = match self.metadata.kind {
            Kind::Histogram => &[b"_bucket", b"_sum", b"_count"],
            Kind::Summary => &[b"_sum", b"_count"],
            _ => &[],
        };
        let shorter = suffixes.iter().find_map(|suffix| name.strip_suffix(*suffix));
        shorter.unwrap_or(name)
    }
}

impl Transcoder {
    pub(crate) fn new() -> Self {
        Self {
            room: Vec::new(),
            table: Table::default(),
            snappy: snap::raw::Encoder::new(),
        }
    }

    /// As 2.0, with labels added where they are missing.
    pub(crate) fn two(&mut self, block: &[u8], external: &Labels) -> Result<Vec<u8>, TranscodeError> {
        let (mut symbols, mut series, mut refs, mut message) =
            (Symbols::default(), Vec::new(), Vec::new(), Vec::new());
        self.walk(block, external, |whole| {
            refs.clear();
            message.clear();
            for (name, value) in whole.labels {
                put_varint(&mut refs, u64::from(symbols.of(name)));
                put_varint(&mut refs, u64::from(symbols.of(value)));
            }
            put_bytes(&mut message, tag::LABEL_REFS, &refs);
            put_samples(&mut message, whole.samples);
            refs.clear();
            put_number(&mut refs, tag::TYPE, u64::from(type_number(whole.metadata.kind)));
            put_number(
                &mut refs,
                tag::HELP_REF,
                u64::from(symbols.of(whole.help.as_bytes())),
            );
            put_number(
                &mut refs,
                tag::UNIT_REF,
                u64::from(symbols.of(whole.unit.as_bytes())),
            );
            if !refs.is_empty() {
                put_bytes(&mut message, tag::METADATA, &refs);
            }
            put_bytes(&mut series, tag::SERIES, &message);
        })?;
        let mut request = symbols.encoded;
        request.extend_from_slice(&series);
        self.pack(&request)
    }

    /// As 1.0, with labels added where they are missing.
    pub(crate) fn one(&mut self, block: &[u8], external: &Labels) -> Result<Vec<u8>, TranscodeError> {
        let (mut request, mut message, mut label) = (Vec::new(), Vec::new(), Vec::new());
        self.walk(block, external, |whole| {
            message.clear();
            for (name, value) in whole.labels {
                label.clear();
                put_bytes(&mut label, one::NAME, name);
                put_bytes(&mut label, one::VALUE, value);
                put_bytes(&mut message, one::LABELS, &label);
            }
            put_samples(&mut message, whole.samples);
            put_bytes(&mut request, one::SERIES, &message);
        })?;
        self.pack(&request)
    }

    /// A request of 1.0 with what is known of the block's families and was not told for a while.
    pub(crate) fn metadata(
        &mut self,
        block: &[u8],
        families: &mut Families,
        now: Duration,
    ) -> Option<Vec<u8>> {
        let (mut request, mut message) = (Vec::new(), Vec::new());
        if families.0.len() > FAMILIES_MAX {
            families.0.clear();
        }
        let walked = self.walk(block, &Labels::empty(), |whole| {
            message.clear();
            put_number(
                &mut message,
                one::TYPE,
                u64::from(type_number(whole.metadata.kind)),
            );
            put_bytes(&mut message, one::FAMILY, whole.family());
            put_bytes(&mut message, one::HELP, whole.help.as_bytes());
            put_bytes(&mut message, one::UNIT, whole.unit.as_bytes());
            let told = families.0.entry(xxh3_64(&message));
            let is_due = match &told {
                hashbrown::hash_map::Entry::Occupied(told) => now.saturating_sub(*told.get()) >= TELL_AGAIN,
                hashbrown::hash_map::Entry::Vacant(_) => true,
            };
            if is_due {
                told.insert(now);
                put_bytes(&mut request, one::METADATA, &message);
            }
        });
        if walked.is_err() || request.is_empty() {
            return None;
        }
        self.pack(&request).ok()
    }

    fn walk(
        &mut self,
        block: &[u8],
        external: &Labels,
        mut each: impl FnMut(&Whole<'_>),
    ) -> Result<(), TranscodeError> {
        let request = unpack(block, RAW_BYTES_MAX, &mut self.room)?;
        self.table.read(request)?;
        let (mut samples, mut refs, mut labels) = (Vec::new(), Vec::new(), Vec::new());
        let mut parts = Parts::new(request);
        while let Some(part) = parts.step()? {
            let Part::Series(message) = part else { continue };
            let series = Series::read(message, &mut samples)?;
            series.refs(&mut refs)?;
            labels.clear();
            let mut added = external.iter().peekable();
            for pair in refs.as_chunks::<2>().0 {
                let symbol = |number| self.table.get(request, number).unwrap_or_default();
                let [name, value] = pair.map(symbol);
                while let Some((extra, text)) = added.next_if(|(extra, _)| extra.as_bytes() < name) {
                    labels.push((extra.as_bytes(), text.as_bytes()));
                }
                // The series' own label stands.
                added.next_if(|(extra, _)| extra.as_bytes() == name);
                labels.push((name, value));
            }
            labels.extend(added.map(|(name, value)| (name.as_bytes(), value.as_bytes())));
            let metadata = Metadata::read(series.metadata)?;
            let (help, unit) = self.table.metadata(request, &metadata);
            each(&Whole {
                labels: &labels,
                samples: &samples,
                metadata,
                help,
                unit,
            });
        }
        Ok(())
    }

    fn pack(&mut self, request: &[u8]) -> Result<Vec<u8>, TranscodeError> {
        self.snappy.compress_vec(request).map_err(TranscodeError::Pack)
    }
}

fn put_samples(message: &mut Vec<u8>, samples: &[Sample]) {
    for sample in samples {
        SampleField::at(Timestamp(sample.time)).put(message, sample.value);
    }
}
