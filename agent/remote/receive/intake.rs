//! Reads one request into columns, commits them, and asks again for what the store has forgotten.
//!
//! A request is walked over whole before anything is committed: of one that breaks off nothing is kept. A series
//! that is bad by itself is counted, and the others go in.

mod histograms;

use std::collections::{BTreeMap, BTreeSet};

use model::column::Kept;
use model::{Exemplar, Keep, Labels, NoExemplar, SeriesDesc, SeriesRef, Timestamp};
use xxhash_rust::xxh3::xxh3_128;

use super::cache::{AGAIN, About, Cache, NONE};
use super::columns::{Columns, Damage, Damaged, sum};
use super::families::{Said, family, stem};
use super::lists::{At, List, Section};
use super::naming::{self, Naming};
use crate::wire::decode::histogram::{Histograms, Reader};
use crate::wire::decode::{BadLabels, Malformed, Sample, one, two};

/// A sample takes at least so many bytes, where it says anything.
const SAMPLE_BYTES_MIN: usize = 8;
const SAMPLES_MAX: usize = 1 << 20;
/// Exemplars kept of one request: labels are long, and what a few bytes ask for must not take many.
const EXEMPLARS_MAX: usize = 1 << 13;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    One,
    Two,
}

/// Why nothing of a request is kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("the request holds more samples, or more different times, than one may")]
    TooMuch,
}

/// What became of a request's samples, histograms among them: `samples` is all the others together.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) samples: usize,
    /// Of floats.
    pub(crate) kept: Kept,
    /// Of histograms, and of ends that were said as one.
    pub(crate) histograms: Kept,
    /// How many samples more the histograms count for by what they hold.
    pub(crate) weight: usize,
    pub(crate) newest: Option<Timestamp>,
    /// Further ahead than the clocks of two machines may be apart.
    pub(crate) out_of_bounds: usize,
    /// Of refused series and histograms, by reason.
    pub(crate) refused: BTreeMap<&'static str, usize>,
    /// Not samples, and so not among them: how many there were, and how many of them are here now.
    pub(crate) exemplars: usize,
    pub(crate) exemplars_kept: usize,
    /// Of the others, by reason; those that were here before among them.
    pub(crate) exemplars_dropped: BTreeMap<&'static str, usize>,
    /// Series whose label `node` claimed another sender's name.
    pub(crate) renamed: usize,
    /// Series whose labels had to be read.
    pub(crate) resolved: usize,
    /// A sentence about the first of them.
    pub(crate) complaint: Option<String>,
}

impl Counts {
    /// Of both kinds.
    pub(crate) fn all(&self) -> Kept {
        sum(&self.kept, &self.histograms)
    }
}

/// Room that is used for one request after the other.
#[derive(Default)]
pub(crate) struct Room {
    pub(crate) body: Vec<u8>,
    columns: Columns,
    samples: Vec<Sample>,
    histograms: Reader,
    exemplars: Vec<(SeriesRef, Exemplar)>,
    symbols: two::Symbols,
    refs: Vec<u32>,
    key: Vec<u8>,
    name: String,
    /// The place of each series of a request of 2.0.
    trace: Vec<u32>,
}

impl Room {
    /// About what it holds on to.
    pub(crate) fn bytes(&self) -> usize {
        self.body.capacity()
            + self.samples.capacity() * size_of::<Sample>()
            + self.exemplars.capacity() * size_of::<(SeriesRef, Exemplar)>()
            + self.symbols.len() * size_of::<u64>()
            + self.columns.bytes()
            + self.histograms.bytes()
            + self.key.capacity()
            + self.trace.capacity() * size_of::<u32>()
    }
}

pub(crate) struct Intake<'a> {
    pub(crate) keep: &'a dyn Keep,
    pub(crate) naming: Naming<'a>,
    pub(crate) cache: &'a mut Cache,
    /// Running second.
    pub(crate) now: u32,
    /// No sample may be later, in milliseconds.
    pub(crate) latest: i64,
    pub(crate) series_max: usize,
    pub(crate) counts: Counts,
}

/// Where a series' samples go.
#[derive(Clone, Copy)]
struct Way {
    /// [`NONE`] when it could not be remembered.
    place: u32,
    target: u32,
    series: SeriesRef,
}

/// Series that the store has forgotten, being asked for again.
#[derive(Default)]
struct Repair {
    damaged: Damaged,
    targets: BTreeSet<u32>,
    asked: BTreeSet<u32>,
    changed: BTreeSet<u32>,
    /// How many are to be committed again.
    samples: usize,
    histograms: usize,
}

impl Repair {
    /// Whether what a series had at that time did not get in, by what was damaged there.
    fn lost(&self, damage: Option<&Damage>, place: u32) -> bool {
        match damage {
            Some(Damage::Whole) => true,
            Some(Damage::Some) => self.changed.contains(&place),
            None => false,
        }
    }
}

impl Intake<'_> {
    pub(crate) fn take(
        mut self,
        protocol: Protocol,
        request: &[u8],
        room: &mut Room,
    ) -> Result<Counts, Failure> {
        room.columns.clear();
        room.exemplars.clear();
        match protocol {
            Protocol::Two => self.two(request, room)?,
            Protocol::One => self.one(request, room)?,
        }
        let cache = &*self.cache;
        let committed = room.columns.commit(self.keep, |target| cache.id(target));
        self.counts.kept = committed.kept;
        self.counts.histograms = committed.histograms;
        self.counts.newest = committed.newest;
        if committed.damaged.targets().next().is_some() {
            self.repair(protocol, request, room, committed.damaged)?;
        }
        self.keep_exemplars(room);
        Ok(self.counts)
    }

    fn two(&mut self, request: &[u8], room: &mut Room) -> Result<(), Failure> {
        let found = self.cache.lists.expected(request);
        let (section, found) = match found {
            Some((at, list)) => (list.section(), Some((at, list))),
            None => {
                let section = Section::new(request, symbols_bytes(request)?);
                (section, self.cache.lists.find(&section))
            }
        };
        let walked = self.walk_two(request, room, section.bytes, found.as_ref().map(|(_, list)| list));
        let had = found.is_some();
        if let Some((at, list)) = found {
            self.cache.lists.put_back(at, list, self.now);
        }
        let walk = walked?;
        let news = !had || walk.missed;
        if news && walk.regular && self.cache.lists.seen(&section) {
            self.remember_list(request, room, &section)?;
        }
        Ok(())
    }

    fn walk_two(
        &mut self,
        request: &[u8],
        room: &mut Room,
        symbols_bytes: usize,
        list: Option<&List>,
    ) -> Result<Walk, Failure> {
        let series_bytes = request.get(symbols_bytes..).unwrap_or_default();
        let (mut walk, mut at) = (Walk::default(), At::default());
        let (mut labels, mut symbols_read) = (Vec::new(), false);
        let samples_max = samples_max(request);
        room.trace.clear();
        let mut parts = two::Parts::new(series_bytes);
        while let Some(part) = parts.step()? {
            let two::Part::Series(message) = part else {
                walk.regular = false;
                continue;
            };
            let series = two::Series::read(message, &mut room.samples)?;
            self.count(&room.samples, series.histograms, series.exemplars, samples_max)?;
            let expected = series
                .packed
                .and_then(|packed| list?.expect(&mut at, packed, series.metadata));
            let known = expected.and_then(|place| self.touch(place));
            let way = match known {
                Some(way) => Some(way),
                None if room.samples.is_empty() && series.exemplars + series.histograms == 0 => None,
                None => {
                    if !symbols_read {
                        room.symbols.read(request)?;
                        symbols_read = true;
                    }
                    walk.missed = true;
                    series.refs(&mut room.refs)?;
                    let good = room.symbols.labels(request, &room.refs, &mut labels);
                    let metadata = two::Metadata::read(series.metadata)?;
                    let (help, unit) = room.symbols.metadata(request, &metadata);
                    let said = Said {
                        kind: metadata.kind,
                        help,
                        unit,
                    };
                    let samples = room.samples.len() + series.histograms;
                    self.known_or_new(good, &labels, samples, Some(said), room)
                }
            };
            room.trace.push(way.map_or(NONE, |way| way.place));
            if series.exemplars > 0 {
                if !symbols_read {
                    room.symbols.read(request)?;
                    symbols_read = true;
                }
                let exemplars = &mut room.exemplars;
                series.each_exemplar((request, &room.symbols), |sample, labels| {
                    self.exemplar(way, sample, labels, exemplars);
                })?;
            }
            self.push(way, room)?;
            if series.histograms > 0
                && let Some(why) = self.histograms(way, series.each_histogram(), samples_max, room)?
                && self.counts.complaint.is_none()
            {
                if !symbols_read {
                    room.symbols.read(request)?;
                    symbols_read = true;
                }
                series.refs(&mut room.refs)?;
                let readable = room.symbols.labels(request, &room.refs, &mut labels);
                self.complain(readable.map(|()| labels.as_slice()), why);
            }
        }
        Ok(walk)
    }

    /// Remembers the request that was just read as a list.
    fn remember_list(&mut self, request: &[u8], room: &mut Room, section: &Section) -> Result<(), Failure> {
        let mut list = List::new(section);
        let mut parts = two::Parts::new(request.get(section.bytes..).unwrap_or_default());
        let mut places = room.trace.iter();
        while let Some(part) = parts.step()? {
            let two::Part::Series(message) = part else {
                continue;
            };
            let place = places.next().copied().unwrap_or(NONE);
            let series = two::Series::read(message, &mut room.samples)?;
            if let Some(packed) = series.packed.filter(|_| place != NONE) {
                list.push(packed, series.metadata, place);
            }
        }
        self.cache.lists.keep(list, self.now);
        Ok(())
    }

    fn one(&mut self, request: &[u8], room: &mut Room) -> Result<(), Failure> {
        let mut labels = Vec::new();
        let samples_max = samples_max(request);
        self.hear_metadata(request)?;
        let mut parts = one::Parts::new(request);
        while let Some(part) = parts.step()? {
            let one::Part::Series(message) = part else {
                continue;
            };
            let series = one::Series::read(message, &mut room.samples)?;
            self.count(&room.samples, series.histograms, series.exemplars, samples_max)?;
            if room.samples.is_empty() && series.exemplars + series.histograms == 0 {
                continue;
            }
            let known = series
                .labels
                .and_then(|labels| self.cache.follow(xxh3_128(labels)))
                .filter(|place| self.cache.entry(*place).is_some_and(|entry| entry.said != AGAIN))
                .and_then(|place| self.touch(place));
            let way = match known {
                Some(way) => Some(way),
                None => {
                    let good = series.labels(&mut labels)?;
                    let samples = room.samples.len() + series.histograms;
                    let way = self.known_or_new(good, &labels, samples, None, room);
                    if let Some(way) = way.filter(|way| way.place != NONE) {
                        self.cache.came(way.place);
                    }
                    way
                }
            };
            if series.exemplars > 0 {
                let exemplars = &mut room.exemplars;
                series.each_exemplar(|sample, labels| self.exemplar(way, sample, labels, exemplars))?;
            }
            self.push(way, room)?;
            if series.histograms > 0
                && let Some(why) = self.histograms(way, series.each_histogram(), samples_max, room)?
                && self.counts.complaint.is_none()
            {
                let readable = series.labels(&mut labels)?;
                self.complain(readable.map(|()| labels.as_slice()), why);
            }
        }
        Ok(())
    }

    /// First, so that what a request says of a family holds for its series already.
    fn hear_metadata(&mut self, request: &[u8]) -> Result<(), Failure> {
        let mut news = Vec::new();
        let mut parts = one::Parts::new(request);
        while let Some(part) = parts.step()? {
            let one::Part::Metadata(message) = part else {
                continue;
            };
            let said = one::Metadata::read(message)?;
            if self.cache.families.hear(&said) {
                news.push(stem(said.family));
            }
        }
        if !news.is_empty() {
            self.cache.describe_again(&news);
        }
        Ok(())
    }

    #[inline]
    fn count(
        &mut self,
        samples: &[Sample],
        histograms: usize,
        exemplars: usize,
        samples_max: usize,
    ) -> Result<(), Failure> {
        let counts = &mut self.counts;
        counts.samples += samples.len() + histograms;
        counts.exemplars += exemplars;
        if counts.samples + counts.weight > samples_max {
            return Err(Failure::TooMuch);
        }
        Ok(())
    }

    #[inline]
    fn touch(&mut self, place: u32) -> Option<Way> {
        let entry = self.cache.touch(place, self.now)?;
        Some(Way {
            place,
            target: entry.target,
            series: entry.series,
        })
    }

    #[inline]
    fn push(&mut self, way: Option<Way>, room: &mut Room) -> Result<(), Failure> {
        let Some(way) = way else { return Ok(()) };
        for sample in &room.samples {
            if sample.time > self.latest {
                self.counts.out_of_bounds += 1;
            } else if !room
                .columns
                .push(way.target, way.series, sample.time, sample.value)
            {
                return Err(Failure::TooMuch);
            }
        }
        Ok(())
    }

    /// Remembers an exemplar until the samples of its request are in.
    fn exemplar(
        &mut self,
        way: Option<Way>,
        Sample { time, value, .. }: Sample,
        labels: Result<&[(&str, &str)], BadLabels>,
        exemplars: &mut Vec<(SeriesRef, Exemplar)>,
    ) {
        let why = match (way, labels) {
            (_, Err(why)) => why.reason(),
            (None, Ok(_)) => NoExemplar::UnknownSeries.reason(),
            (Some(_), Ok(_)) if exemplars.len() >= EXEMPLARS_MAX => "too_many",
            (Some(way), Ok(labels)) => {
                let exemplar = Exemplar {
                    labels: Labels::from_pairs(labels.iter().copied()),
                    value,
                    time: Timestamp(time),
                    timed: true,
                };
                return exemplars.push((way.series, exemplar));
            }
        };
        *self.counts.exemplars_dropped.entry(why).or_default() += 1;
    }

    fn keep_exemplars(&mut self, room: &mut Room) {
        for (series, exemplar) in room.exemplars.drain(..) {
            match self.keep.exemplar(series, exemplar) {
                Ok(()) => self.counts.exemplars_kept += 1,
                Err(why) => *self.counts.exemplars_dropped.entry(why.reason()).or_default() += 1,
            }
        }
    }

    /// The way of a series whose labels had to be read; none when it is refused.
    fn known_or_new(
        &mut self,
        good: Result<(), BadLabels>,
        labels: &[(&str, &str)],
        samples: usize,
        said: Option<Said<'_>>,
        room: &mut Room,
    ) -> Option<Way> {
        self.counts.resolved += 1;
        if let Err(why) = good {
            let name = labels.iter().find(|(name, _)| *name == "__name__");
            let name = name.map_or("a series", |(_, value)| value);
            self.refuse(why.reason(), samples, || format!("{name}: {why}"));
            return None;
        }
        let key = key(labels, &mut room.key);
        let mark = said.map_or(0, |said| said.mark());
        if let Some(place) = self.cache.find(key)
            && let Some(entry) = self.cache.entry(place)
            && entry.said != AGAIN
            && (mark == 0 || mark == entry.said)
        {
            return self.touch(place);
        }
        match self.resolve(key, labels, said, &mut room.name) {
            Ok(way) => Some(way),
            Err((reason, why)) => {
                self.refuse(reason, samples, || why);
                None
            }
        }
    }

    fn refuse(&mut self, reason: &'static str, samples: usize, why: impl FnOnce() -> String) {
        *self.counts.refused.entry(reason).or_default() += samples;
        self.counts.complaint.get_or_insert_with(why);
    }

    /// Asks the store for a series.
    fn resolve(
        &mut self,
        key: u128,
        pairs: &[(&str, &str)],
        said: Option<Said<'_>>,
        name: &mut String,
    ) -> Result<Way, (&'static str, String)> {
        let (labels, renamed) = naming::labels(pairs, &self.naming);
        self.counts.renamed += usize::from(renamed);
        naming::target(&labels, name);
        let target = self.cache.target(name, self.keep).ok_or_else(|| {
            (
                "target_limit",
                "more jobs and instances than one sender may have".to_owned(),
            )
        })?;
        let said = said.unwrap_or_else(|| self.cache.families.of(labels.name()));
        let about = About {
            now: self.now,
            said: said.mark(),
            stem: stem(labels.name()),
            is_up: labels.name() == "up",
        };
        let desc = SeriesDesc {
            kind: said.kind,
            family: family(labels.name(), said.kind).into(),
            help: said.help.into(),
            unit: said.unit.into(),
            labels,
        };
        let id = self.cache.id(target);
        let asked = self.keep.series(id, &desc).or_else(|_| {
            // The store may have retired the target, or forgotten it.
            self.cache.introduce(target, self.keep);
            self.keep.series(self.cache.id(target), &desc)
        });
        let series = asked.map_err(|why| (why.reason(), format!("{}: {why}", desc.labels)))?;
        let place = self.cache.remember(key, series, target, about, self.series_max);
        Ok(Way {
            place: place.unwrap_or(NONE),
            target,
            series,
        })
    }

    /// Walks over the request once more, asks for the series that the store may have forgotten, and commits the
    /// samples of those that it had.
    fn repair(
        &mut self,
        protocol: Protocol,
        request: &[u8],
        room: &mut Room,
        damaged: Damaged,
    ) -> Result<(), Failure> {
        let mut repair = Repair {
            targets: damaged.targets().collect(),
            damaged,
            ..Repair::default()
        };
        for target in &repair.targets {
            self.cache.introduce(*target, self.keep);
        }
        let mut labels = Vec::new();
        match protocol {
            Protocol::Two => {
                room.symbols.read(request)?;
                let mut parts = two::Parts::new(request);
                while let Some(part) = parts.step()? {
                    let two::Part::Series(message) = part else {
                        continue;
                    };
                    let series = two::Series::read(message, &mut room.samples)?;
                    series.refs(&mut room.refs)?;
                    let metadata = two::Metadata::read(series.metadata)?;
                    let (help, unit) = room.symbols.metadata(request, &metadata);
                    let kind = metadata.kind;
                    let said = Some(Said { kind, help, unit });
                    if room.symbols.labels(request, &room.refs, &mut labels).is_ok() {
                        self.mend(&mut repair, &labels, said, series.each_histogram(), room)?;
                    }
                }
            }
            Protocol::One => {
                let mut parts = one::Parts::new(request);
                while let Some(part) = parts.step()? {
                    let one::Part::Series(message) = part else {
                        continue;
                    };
                    let series = one::Series::read(message, &mut room.samples)?;
                    if series.labels(&mut labels)?.is_ok() {
                        self.mend(&mut repair, &labels, None, series.each_histogram(), room)?;
                    }
                }
            }
        }
        let cache = &*self.cache;
        let again = room.columns.commit(self.keep, |target| cache.id(target));
        let counts = &mut self.counts;
        for (kept, pushed, again) in [
            (&mut counts.kept, repair.samples, again.kept),
            (&mut counts.histograms, repair.histograms, again.histograms),
        ] {
            kept.unknown = kept.unknown.saturating_sub(pushed);
            *kept = sum(kept, &again);
        }
        Ok(())
    }

    /// Puts together what of a series is to be committed again.
    fn mend(
        &mut self,
        repair: &mut Repair,
        labels: &[(&str, &str)],
        said: Option<Said<'_>>,
        histograms: Histograms<'_>,
        room: &mut Room,
    ) -> Result<(), Malformed> {
        let key = key(labels, &mut room.key);
        let Some(place) = self.cache.find(key) else {
            return Ok(());
        };
        let Some(entry) = self.cache.entry(place).copied() else {
            return Ok(());
        };
        if !repair.targets.contains(&entry.target) {
            return Ok(());
        }
        if repair.asked.insert(place) {
            self.counts.resolved += 1;
            let asked = self.resolve(key, labels, said, &mut room.name);
            if asked.is_ok_and(|way| way.series != entry.series) {
                repair.changed.insert(place);
            }
        }
        let Some(entry) = self.cache.entry(place).copied() else {
            return Ok(());
        };
        for sample in &room.samples {
            let damage = repair.damaged.samples.get(&(entry.target, sample.time));
            let columns = &mut room.columns;
            if repair.lost(damage, place)
                && columns.push(entry.target, entry.series, sample.time, sample.value)
            {
                repair.samples += 1;
            }
        }
        Self::mend_histograms(repair, place, &entry, histograms, room)
    }
}

/// How a request of 2.0 went.
struct Walk {
    /// Labels had to be read.
    missed: bool,
    /// All symbols come first.
    regular: bool,
}

impl Default for Walk {
    fn default() -> Self {
        Self {
            missed: false,
            regular: true,
        }
    }
}

/// Where a request's symbols end, and its series begin.
fn symbols_bytes(request: &[u8]) -> Result<usize, Malformed> {
    let mut parts = two::Parts::new(request);
    loop {
        let rest = parts.rest().len();
        match parts.step()? {
            Some(two::Part::Symbol) => {}
            Some(two::Part::Series(_)) | None => return Ok(request.len() - rest),
        }
    }
}

fn samples_max(request: &[u8]) -> usize {
    (request.len() / SAMPLE_BYTES_MIN + 1_000).min(SAMPLES_MAX)
}

/// Hash of labels as they lie in a request of 1.0, so that a sender's series are the same in both.
fn key(labels: &[(&str, &str)], bytes: &mut Vec<u8>) -> u128 {
    const LABEL: u8 = 1 << 3 | 2;
    const NAME: u8 = 1 << 3 | 2;
    const VALUE: u8 = 2 << 3 | 2;
    bytes.clear();
    for (name, value) in labels {
        let text = |text: &str| 1 + varint_bytes(text.len()) + text.len();
        bytes.push(LABEL);
        varint(text(name) + text(value), bytes);
        for (tag, text) in [(NAME, name), (VALUE, value)] {
            bytes.push(tag);
            varint(text.len(), bytes);
            bytes.extend_from_slice(text.as_bytes());
        }
    }
    xxh3_128(bytes)
}

fn varint(mut number: usize, bytes: &mut Vec<u8>) {
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn varint_bytes(number: usize) -> usize {
    let bits = usize::BITS - number.leading_zeros();
    (bits.max(1)).div_ceil(7) as usize
}
