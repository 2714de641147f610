//! Rewrites a block at the time it is sent, for those who do not want it as it is: with labels added or changed by rules,
//! without what rules drop, as 1.0, or in parts.

use std::hash::BuildHasher;
use std::ops::Range;
use std::time::Duration;

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};
use model::{Kind, Labels, Timestamp};
use relabel::{Rules, Verdict};
use xxhash_rust::xxh3::xxh3_64;

use crate::wire::decode::two::{Metadata, Part, Parts, Series, Symbols as Table};
use crate::wire::decode::{Malformed, Sample, UnpackError, unpack};
use crate::wire::encode::{SampleField, put_bytes, put_number, put_varint, tag, type_number, varint_bytes};

/// Blocks are of our own making, and none comes near.
const RAW_BYTES_MAX: usize = 256 << 20;
/// How often a receiver of 1.0 is told what a family is.
const TELL_AGAIN: Duration = Duration::from_secs(10 * 60);
/// Most families that are remembered as told.
const FAMILIES_MAX: usize = 10_000;

/// Most series of which is remembered what rules make of them.
const FATES_MAX: usize = 200_000;

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

/// What is done to each series on its way to one destination.
#[derive(Clone, Default)]
pub(crate) struct Changes {
    /// Added where they are missing.
    pub(crate) external: Labels,
    /// Over the labels that there are then.
    pub(crate) rules: Rules,
}

impl Changes {
    pub(crate) fn is_none(&self) -> bool {
        self.external.is_empty() && self.rules.is_empty()
    }
}

/// A request, and how many of the series it was made from rules leave out.
pub(crate) struct Rewritten {
    pub(crate) body: Vec<u8>,
    pub(crate) left_out: usize,
}

/// What rules make of a series.
enum Fate {
    Same,
    Dropped,
    Other(Labels),
}

/// Room that is used again for each block.
pub(crate) struct Transcoder {
    room: Vec<u8>,
    table: Table,
    snappy: snap::raw::Encoder,
    /// By a hash of the list of series and the series' place in it.
    fates: HashMap<u64, Fate>,
    hasher: DefaultHashBuilder,
    /// Of the symbols of the block before: the same hash is the same list of series.
    list: u64,
}

/// What a receiver of 1.0 has been told, by hash, and when: lists of series, and what there is to say of a family.
#[derive(Default)]
pub(crate) struct Families {
    lists: HashMap<u64, Duration>,
    families: HashMap<u64, Duration>,
}

impl Families {
    fn is_due(told: &mut HashMap<u64, Duration>, hash: u64, now: Duration) -> bool {
        if told.len() > FAMILIES_MAX {
            told.clear();
        }
        let is_due = told
            .get(&hash)
            .is_none_or(|last| now.saturating_sub(*last) >= TELL_AGAIN);
        if is_due {
            told.insert(hash, now);
        }
        is_due
    }
}

/// Symbols of a block, and behind them those of the labels that are added.
struct Names<'a> {
    table: &'a Table,
    request: &'a [u8],
    more: Vec<Box<str>>,
    /// Of all of them, once there are many to be looked for.
    index: HashTable<u32>,
    hasher: &'a DefaultHashBuilder,
}

impl Names<'_> {
    fn text(&self, number: u32) -> &[u8] {
        let own = self.table.get(self.request, number);
        let more = || {
            let nth = (number as usize).checked_sub(self.table.len())?;
            self.more.get(nth).map(|text| text.as_bytes())
        };
        own.or_else(more).unwrap_or_default()
    }

    fn count(&self) -> u32 {
        (self.table.len() + self.more.len()) as u32
    }

    fn number(&mut self, text: &str) -> u32 {
        let count = self.count();
        let known = (0..count).find(|number| self.text(*number) == text.as_bytes());
        known.unwrap_or_else(|| {
            self.more.push(text.into());
            count
        })
    }

    /// The same, by the index.
    fn indexed(&mut self, text: &str) -> u32 {
        if self.index.is_empty() {
            (0..self.count()).for_each(|number| self.note(number));
        }
        let is_it = |number: &u32| self.text(*number) == text.as_bytes();
        if let Some(known) = self.index.find(self.hasher.hash_one(text.as_bytes()), is_it) {
            return *known;
        }
        let number = self.count();
        self.more.push(text.into());
        self.note(number);
        number
    }

    fn note(&mut self, number: u32) {
        let mut index = std::mem::take(&mut self.index);
        let hash_of = |number: &u32| self.hasher.hash_one(self.text(*number));
        index.insert_unique(hash_of(&number), number, hash_of);
        self.index = index;
    }

    /// A series with these labels, as it is told to rules.
    fn labels(&self, pairs: &[(u32, u32)]) -> Labels {
        let text = |number: u32| std::str::from_utf8(self.text(number)).unwrap_or_default();
        Labels::from_pairs(pairs.iter().map(|(name, value)| (text(*name), text(*value))))
    }
}

/// One series of a block, with all its labels.
struct Whole<'a> {
    /// Symbols of names and values, sorted by name.
    labels: &'a [(u32, u32)],
    samples: &'a [Sample],
    /// As it is in the block.
    metadata: &'a [u8],
}

impl Whole<'_> {
    /// Of `x_bucket`, `x_sum` and `x_count` of a histogram it is `x`.
    fn family<'a>(&self, kind: Kind, names: &'a Names<'_>) -> &'a [u8] {
        let mut own = self.labels.iter();
        let name = own.find(|(name, _)| names.text(*name) == model::labels::METRIC_NAME.as_bytes());
        let name = name.map_or(&[][..], |(_, value)| names.text(*value));
        let suffixes: &[&[u8]] = match kind {
            Kind::Histogram => &[b"_bucket", b"_sum", b"_count"],
            Kind::Summary => &[b"_sum", b"_count"],
            _ => &[],
        };
        let shorter = suffixes.iter().find_map(|suffix| name.strip_suffix(*suffix));
        shorter.unwrap_or(name)
    }
}

/// The symbols of a request of 2.0 that is being written: all that a block has, or those of some of its series.
struct Symbols {
    is_whole: bool,
    encoded: Vec<u8>,
    /// From the block's numbers to ours, where only some are taken over.
    numbers: HashMap<u32, u32>,
}

impl Symbols {
    fn new(is_whole: bool) -> Self {
        Self {
            is_whole,
            encoded: Vec::new(),
            numbers: HashMap::new(),
        }
    }

    /// Before the first series. The first symbol is empty: that is what nothing refers to.
    fn begin(&mut self, names: &Names<'_>) {
        if !self.encoded.is_empty() {
            return;
        }
        if !self.is_whole {
            put_bytes(&mut self.encoded, tag::SYMBOLS, b"");
            return;
        }
        for number in 0..names.count() {
            put_bytes(&mut self.encoded, tag::SYMBOLS, names.text(number));
        }
    }

    fn number(&mut self, names: &Names<'_>, theirs: u32) -> u32 {
        if self.is_whole {
            return theirs;
        }
        let text = names.text(theirs);
        if text.is_empty() {
            return 0;
        }
        let next = self.numbers.len() as u32 + 1;
        let ours = *self.numbers.entry(theirs).or_insert(next);
        if ours == next {
            put_bytes(&mut self.encoded, tag::SYMBOLS, text);
        }
        ours
    }

    fn metadata(&mut self, names: &Names<'_>, theirs: &[u8], out: &mut Vec<u8>) {
        if self.is_whole {
            out.extend_from_slice(theirs);
        } else if let Ok(metadata) = Metadata::read(theirs) {
            put_number(out, tag::TYPE, u64::from(type_number(metadata.kind)));
            put_number(out, tag::HELP_REF, u64::from(self.number(names, metadata.help)));
            put_number(out, tag::UNIT_REF, u64::from(self.number(names, metadata.unit)));
        }
    }
}

impl Transcoder {
    pub(crate) fn new() -> Self {
        Self {
            room: Vec::new(),
            table: Table::default(),
            snappy: snap::raw::Encoder::new(),
            fates: HashMap::new(),
            hasher: DefaultHashBuilder::default(),
            list: 0,
        }
    }

    /// As 2.0, changed; of the block's series only these. The symbols of a whole block keep their numbers; a part, and what
    /// rules leave, has those that it needs.
    pub(crate) fn two(
        &mut self,
        block: &[u8],
        changes: &Changes,
        part: Option<&Range<usize>>,
    ) -> Result<Rewritten, TranscodeError> {
        let (mut series, mut refs, mut metadata) = (Vec::new(), Vec::new(), Vec::new());
        let mut symbols = Symbols::new(part.is_none() && changes.rules.is_empty());
        let left_out = self.walk(block, changes, part, |names, whole| {
            symbols.begin(names);
            refs.clear();
            for (name, value) in whole.labels {
                put_varint(&mut refs, u64::from(symbols.number(names, *name)));
                put_varint(&mut refs, u64::from(symbols.number(names, *value)));
            }
            metadata.clear();
            symbols.metadata(names, whole.metadata, &mut metadata);
            let metadata_bytes = match metadata.len() {
                0 => 0,
                length => field_bytes(length),
            };
            let message_bytes = field_bytes(refs.len()) + samples_bytes(whole.samples) + metadata_bytes;
            series.push(tag::SERIES);
            put_varint(&mut series, message_bytes as u64);
            put_bytes(&mut series, tag::LABEL_REFS, &refs);
            put_samples(&mut series, whole.samples);
            if metadata_bytes > 0 {
                put_bytes(&mut series, tag::METADATA, &metadata);
            }
        })?;
        let mut request = symbols.encoded;
        request.extend_from_slice(&series);
        let body = self.pack(&request)?;
        Ok(Rewritten { body, left_out })
    }

    /// As 1.0, changed; of the block's series only these.
    pub(crate) fn one(
        &mut self,
        block: &[u8],
        changes: &Changes,
        part: Option<&Range<usize>>,
    ) -> Result<Rewritten, TranscodeError> {
        let mut request = Vec::new();
        let left_out = self.walk(block, changes, part, |names, whole| {
            let label_bytes = |name: &u32, value: &u32| {
                field_bytes(names.text(*name).len()) + field_bytes(names.text(*value).len())
            };
            let labels = whole.labels.iter();
            let labels: usize = labels
                .map(|(name, value)| field_bytes(label_bytes(name, value)))
                .sum();
            request.push(one::SERIES);
            put_varint(&mut request, (labels + samples_bytes(whole.samples)) as u64);
            for (name, value) in whole.labels {
                request.push(one::LABELS);
                put_varint(&mut request, label_bytes(name, value) as u64);
                put_bytes(&mut request, one::NAME, names.text(*name));
                put_bytes(&mut request, one::VALUE, names.text(*value));
            }
            put_samples(&mut request, whole.samples);
        })?;
        let body = self.pack(&request)?;
        Ok(Rewritten { body, left_out })
    }

    /// A request of 1.0 with what is known of the families of the block that was rewritten last, if there is any
    /// that was not told for a while.
    pub(crate) fn metadata(&mut self, block: &[u8], told: &mut Families, now: Duration) -> Option<Vec<u8>> {
        if !Families::is_due(&mut told.lists, self.list, now) {
            return None;
        }
        let (mut request, mut message) = (Vec::new(), Vec::new());
        let walked = self.walk(block, &Changes::default(), None, |names, whole| {
            let metadata = Metadata::read(whole.metadata).unwrap_or_default();
            message.clear();
            put_number(&mut message, one::TYPE, u64::from(type_number(metadata.kind)));
            put_bytes(&mut message, one::FAMILY, whole.family(metadata.kind, names));
            put_bytes(&mut message, one::HELP, names.text(metadata.help));
            put_bytes(&mut message, one::UNIT, names.text(metadata.unit));
            if Families::is_due(&mut told.families, xxh3_64(&message), now) {
                put_bytes(&mut request, one::METADATA, &message);
            }
        });
        if walked.is_err() || request.is_empty() {
            return None;
        }
        self.pack(&request).ok()
    }

    /// How many of the wanted series rules leave out.
    fn walk(
        &mut self,
        block: &[u8],
        changes: &Changes,
        wanted: Option<&Range<usize>>,
        mut each: impl FnMut(&Names<'_>, &Whole<'_>),
    ) -> Result<usize, TranscodeError> {
        if self.fates.len() > FATES_MAX {
            self.fates.clear();
        }
        let request = unpack(block, RAW_BYTES_MAX, &mut self.room)?;
        self.table.read(request)?;
        let mut names = Names {
            table: &self.table,
            request,
            more: Vec::new(),
            index: HashTable::new(),
            hasher: &self.hasher,
        };
        let mut left_out = 0;
        let external: Vec<(&str, u32, u32)> = changes
            .external
            .iter()
            .map(|(name, value)| (name, names.number(name), names.number(value)))
            .collect();
        let (mut samples, mut refs, mut labels) = (Vec::new(), Vec::new(), Vec::new());
        let mut parts = Parts::new(request);
        let (mut is_first, mut nth) = (true, 0..);
        while let Some(part) = parts.step()? {
            let Part::Series(message) = part else { continue };
            if is_first {
                let symbols = request.len() - parts.rest().len() - message.len();
                self.list = xxh3_64(request.get(..symbols).unwrap_or_default());
                is_first = false;
            }
            let nth = nth.next();
            if wanted.is_some_and(|wanted| nth.is_none_or(|nth: usize| !wanted.contains(&nth))) {
                continue;
            }
            let series = Series::read(message, &mut samples)?;
            series.refs(&mut refs)?;
            labels.clear();
            let mut added = external.iter().peekable();
            for [name, value] in refs.as_chunks::<2>().0 {
                // The series' own label stands.
                while let Some((extra, number, text)) =
                    added.next_if(|(extra, ..)| extra.as_bytes() <= names.text(*name))
                {
                    if extra.as_bytes() < names.text(*name) {
                        labels.push((*number, *text));
                    }
                }
                labels.push((*name, *value));
            }
            labels.extend(added.map(|(_, name, value)| (*name, *value)));
            if !changes.rules.is_empty() {
                let key = self.hasher.hash_one((self.list, labels.as_slice()));
                let fate = self
                    .fates
                    .entry(key)
                    .or_insert_with(|| fate(&changes.rules, &names.labels(&labels)));
                match fate {
                    Fate::Same => {}
                    Fate::Dropped => {
                        left_out += 1;
                        continue;
                    }
                    Fate::Other(other) => {
                        labels.clear();
                        labels.extend(
                            other
                                .iter()
                                .map(|(name, value)| (names.indexed(name), names.indexed(value))),
                        );
                    }
                }
            }
            let whole = Whole {
                labels: &labels,
                samples: &samples,
                metadata: series.metadata,
            };
            each(&names, &whole);
        }
        Ok(left_out)
    }

    fn pack(&mut self, request: &[u8]) -> Result<Vec<u8>, TranscodeError> {
        self.snappy.compress_vec(request).map_err(TranscodeError::Pack)
    }
}

fn fate(rules: &Rules, labels: &Labels) -> Fate {
    match rules.apply(labels) {
        Verdict::Dropped(_) => Fate::Dropped,
        // Without labels it is nobody's.
        Verdict::Kept(other) if other.is_empty() => Fate::Dropped,
        Verdict::Kept(same) if same == *labels => Fate::Same,
        Verdict::Kept(other) => Fate::Other(other),
    }
}

/// A length-delimited field with a tag of one byte.
fn field_bytes(content_bytes: usize) -> usize {
    1 + varint_bytes(content_bytes as u64) + content_bytes
}

fn samples_bytes(samples: &[Sample]) -> usize {
    let fields = samples
        .iter()
        .map(|sample| SampleField::at(Timestamp(sample.time)).bytes());
    fields.sum()
}

fn put_samples(message: &mut Vec<u8>, samples: &[Sample]) {
    for sample in samples {
        SampleField::at(Timestamp(sample.time)).put(message, sample.value);
    }
}

#[cfg(test)]
mod tests {
    use model::{STALE, SeriesDesc};

    use super::*;
    use crate::wire::encode_plain::{plain_one, plain_two};
    use crate::wire::encode_template::Maker;

    fn block(series: &[(&str, Kind)], values: &[f64]) -> Vec<u8> {
        let mut maker = Maker::default();
        for (name, kind) in series {
            let desc = SeriesDesc {
                labels: Labels::from_pairs([("__name__", *name), ("job", "a")]),
                kind: *kind,
                family: "".into(),
                help: "Help.".into(),
                unit: "".into(),
            };
            maker.add(Some(desc), |_| true);
        }
        let mut raw = Vec::new();
        maker.finish().parts[0].fill(Timestamp(1_790_000_000_000), values, &mut raw);
        snap::raw::Encoder::new().compress_vec(&raw).unwrap()
    }

    fn with(external: &[(&str, &str)], rules: &str) -> Changes {
        let configs: Vec<relabel::Config> = yaml::read("rules.yaml", rules).unwrap();
        Changes {
            external: Labels::from_pairs(external.iter().copied()),
            rules: Rules::new(&configs).unwrap(),
        }
    }

    fn unpacked(packed: &[u8]) -> Vec<u8> {
        snap::raw::Decoder::new().decompress_vec(packed).unwrap()
    }

    #[test]
    fn a_stale_marker_stays_one_in_both_versions() {
        let block = block(&[("up", Kind::Gauge), ("x", Kind::Unknown)], &[STALE, -0.0]);
        let labels = with(&[("cluster", "a")], "[]");
        let mut transcoder = Transcoder::new();
        let two = plain_two(&unpacked(&transcoder.two(&block, &labels, None).unwrap().body));
        let one = plain_one(&unpacked(&transcoder.one(&block, &labels, None).unwrap().body)).0;
        for series in [two, one] {
            let bits: Vec<u64> = series.iter().map(|series| series.samples[0].0).collect();
            assert_eq!(bits, [0x7ff0_0000_0000_0002, 1 << 63]);
            assert!(
                series
                    .iter()
                    .all(|series| series.labels.len() == 3 && series.samples[0].1 == 1_790_000_000_000)
            );
        }
    }

    #[test]
    fn parts_hold_together_what_the_whole_holds_and_no_symbol_more() {
        let names: Vec<String> = (0..7).map(|nth| format!("metric_{nth}")).collect();
        let series: Vec<(&str, Kind)> = names.iter().map(|name| (name.as_str(), Kind::Counter)).collect();
        let block = block(&series, &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let labels = with(&[("cluster", "a")], "[]");
        let mut transcoder = Transcoder::new();
        for version in [1, 2] {
            let mut rewrite = |part: Option<&Range<usize>>| {
                if version == 2 {
                    let raw = unpacked(&transcoder.two(&block, &labels, part).unwrap().body);
                    (plain_two(&raw), raw.len())
                } else {
                    let raw = unpacked(&transcoder.one(&block, &labels, part).unwrap().body);
                    (plain_one(&raw).0, raw.len())
                }
            };
            let (whole, whole_bytes) = rewrite(None);
            let parts: Vec<_> = [0..3, 3..4, 4..7]
                .iter()
                .map(|part| rewrite(Some(part)))
                .collect();
            let together: Vec<_> = parts.iter().flat_map(|(series, _)| series).collect();
            assert_eq!(
                format!("{together:?}"),
                format!("{:?}", whole.iter().collect::<Vec<_>>()),
                "version {version}"
            );
            assert!(
                parts[1].1 * 3 < whole_bytes,
                "{} of {whole_bytes} bytes for one series of seven",
                parts[1].1
            );
        }
    }

    #[test]
    fn rules_drop_and_change_series_after_labels_were_added() {
        let block = block(
            &[
                ("a", Kind::Counter),
                ("noise", Kind::Gauge),
                ("b", Kind::Gauge),
                ("c", Kind::Gauge),
            ],
            &[1.0, 2.0, 3.0, 4.0],
        );
        let changes = with(
            &[("cluster", "x")],
            "[{source_labels: [__name__], regex: noise, action: drop}, {source_labels: [cluster, __name__], regex: 'x;(b|c)', target_label: zone, replacement: 'z-$1'}, \
             {source_labels: [zone], regex: 'z-.*', target_label: job, replacement: ''}]",
        );
        let mut transcoder = Transcoder::new();
        // The second time from what was remembered, and then in parts.
        for (version, part, wanted, left_out) in [
            (2, None, "abc", 1),
            (2, None, "abc", 1),
            (1, None, "abc", 1),
            (2, Some(1..3), "b", 1),
            (1, Some(1..2), "", 1),
            (2, Some(3..4), "c", 0),
        ] {
            let made = match version {
                2 => transcoder.two(&block, &changes, part.as_ref()).unwrap(),
                _ => transcoder.one(&block, &changes, part.as_ref()).unwrap(),
            };
            let raw = unpacked(&made.body);
            let series = match version {
                2 => plain_two(&raw),
                _ => plain_one(&raw).0,
            };
            let shown: Vec<String> = series
                .iter()
                .map(|series| format!("{:?} {}", series.labels, f64::from_bits(series.samples[0].0)))
                .collect();
            let line = |name: char| {
                let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
                let own = pair("__name__", &name.to_string());
                let (labels, value) = match name {
                    'a' => (vec![own, pair("cluster", "x"), pair("job", "a")], 1),
                    'b' => (vec![own, pair("cluster", "x"), pair("zone", "z-b")], 3),
                    _ => (vec![own, pair("cluster", "x"), pair("zone", "z-c")], 4),
                };
                format!("{labels:?} {value}")
            };
            assert_eq!(
                shown,
                wanted.chars().map(line).collect::<Vec<_>>(),
                "{version} {part:?}"
            );
            assert_eq!(made.left_out, left_out);
        }
    }

    #[test]
    fn metadata_is_told_once_a_family_and_by_the_familys_name() {
        let block = block(
            &[
                ("h_bucket", Kind::Histogram),
                ("h_sum", Kind::Histogram),
                ("h_count", Kind::Histogram),
                ("s_count", Kind::Summary),
                ("c_count", Kind::Counter),
            ],
            &[0.0; 5],
        );
        let (mut transcoder, mut told) = (Transcoder::new(), Families::default());
        transcoder.one(&block, &Changes::default(), None).unwrap();
        let mut tell = |seconds| {
            let body = transcoder.metadata(&block, &mut told, Duration::from_secs(seconds))?;
            let families = plain_one(&unpacked(&body)).1.into_iter();
            Some(
                families
                    .map(|(kind, family, ..)| (kind, family))
                    .collect::<Vec<_>>(),
            )
        };
        let all = [(3, "h"), (5, "s"), (1, "c_count")].map(|(kind, family)| (kind, family.to_owned()));
        assert_eq!(tell(0).as_deref(), Some(&all[..]));
        assert_eq!(tell(599), None);
        assert_eq!(tell(600).as_deref(), Some(&all[..]));
    }

    #[test]
    fn bytes_that_are_no_block_are_an_error() {
        let mut transcoder = Transcoder::new();
        for bytes in [&b""[..], b"nonsense", &[0xff; 40]] {
            assert!(transcoder.one(bytes, &Changes::default(), None).is_err());
            assert!(transcoder.two(bytes, &Changes::default(), None).is_err());
        }
    }
}
