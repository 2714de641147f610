//! `io.prometheus.write.v2.Request`: symbols once, then series that refer to them.

use model::Kind;

use super::histogram::Histograms;
use super::labels::{BadLabels, check, text};
use super::{Fields, Malformed, Sample, Value, exemplar, kind};

const SYMBOLS: u32 = 4;
const SERIES: u32 = 5;
/// More symbols than any honest request has; a table of them takes 8 MB.
const SYMBOLS_MAX: usize = 1 << 20;

/// Where each symbol of a request lies in it; made once and used for one request after the other.
#[derive(Debug, Default)]
pub struct Symbols {
    places: Vec<(u32, u32)>,
}

impl Symbols {
    /// Reads the table of this request.
    ///
    /// # Errors
    /// The bytes are not protobuf, the table is too long, or does not begin with the empty string.
    pub fn read(&mut self, request: &[u8]) -> Result<(), Malformed> {
        self.places.clear();
        let mut fields = Fields::new(request);
        while let Some(field) = fields.step()? {
            if field.number != SYMBOLS {
                continue;
            }
            let Value::Bytes(symbol) = field.value else {
                return Err(Malformed("a symbol is not a string"));
            };
            if self.places.is_empty() && !symbol.is_empty() {
                return Err(Malformed("the first symbol is not the empty string"));
            }
            if self.places.len() >= SYMBOLS_MAX {
                return Err(Malformed("there are too many symbols"));
            }
            let end = request.len() - fields.rest().len();
            let place = |at: usize| u32::try_from(at).map_err(|_| Malformed("the request is too long"));
            self.places.push((place(end - symbol.len())?, place(end)?));
        }
        Ok(())
    }

    /// The symbol with that number in the request that the table was read from.
    #[must_use]
    pub fn get<'a>(&self, request: &'a [u8], number: u32) -> Option<&'a [u8]> {
        let (start, end) = *self.places.get(usize::try_from(number).ok()?)?;
        request.get(start as usize..end as usize)
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    fn text<'a>(&self, request: &'a [u8], number: u32) -> Result<&'a str, BadLabels> {
        text(self.get(request, number).ok_or(BadLabels::BadSymbol)?)
    }

    /// Puts the labels that `refs` stand for into `labels`, sorted and checked.
    ///
    /// # Errors
    /// See [`BadLabels`].
    pub fn labels<'a>(
        &self,
        request: &'a [u8],
        refs: &[u32],
        labels: &mut Vec<(&'a str, &'a str)>,
    ) -> Result<(), BadLabels> {
        labels.clear();
        self.pairs(request, refs, labels)?;
        check(labels)
    }

    /// Adds what `refs` stand for to `labels`.
    fn pairs<'a>(
        &self,
        request: &'a [u8],
        refs: &[u32],
        labels: &mut Vec<(&'a str, &'a str)>,
    ) -> Result<(), BadLabels> {
        let (pairs, odd) = refs.as_chunks::<2>();
        if !odd.is_empty() {
            return Err(BadLabels::BadSymbol);
        }
        for [name, value] in pairs {
            labels.push((self.text(request, *name)?, self.text(request, *value)?));
        }
        Ok(())
    }

    /// Help and unit of a series. A reference that leads nowhere, or to what is not text, is nothing said.
    #[must_use]
    pub fn metadata<'a>(&self, request: &'a [u8], metadata: &Metadata) -> (&'a str, &'a str) {
        let text = |number| self.text(request, number).unwrap_or_default();
        (text(metadata.help), text(metadata.unit))
    }
}

/// A series' type, and its help and unit as symbols.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    pub kind: Kind,
    pub help: u32,
    pub unit: u32,
}

impl Metadata {
    const KIND: u32 = 1;
    const HELP: u32 = 3;
    const UNIT: u32 = 4;

    /// # Errors
    /// The bytes are not the message.
    pub fn read(message: &[u8]) -> Result<Self, Malformed> {
        let mut metadata = Self::default();
        let mut fields = Fields::new(message);
        while let Some(field) = fields.step()? {
            match (field.number, field.value) {
                (Self::KIND, Value::Varint(number)) => metadata.kind = kind(number),
                (Self::HELP, Value::Varint(number)) => metadata.help = symbol(number),
                (Self::UNIT, Value::Varint(number)) => metadata.unit = symbol(number),
                (Self::KIND | Self::HELP | Self::UNIT, _) => {
                    return Err(Malformed("a field of metadata has another type"));
                }
                _ => {}
            }
        }
        Ok(metadata)
    }
}

/// A number beyond 32 bits refers to nothing, as does the largest.
fn symbol(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// One thing that lies in a request.
#[derive(Clone, Copy, Debug)]
pub enum Part<'a> {
    /// One of the symbols, which [`Symbols::read`] takes together.
    Symbol,
    /// A series, for [`Series::read`].
    Series(&'a [u8]),
}

/// Walks over a request.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a>(Fields<'a>);

impl<'a> Parts<'a> {
    /// `request` may also be the rest of one from where a part begins.
    #[must_use]
    pub fn new(request: &'a [u8]) -> Self {
        Self(Fields::new(request))
    }

    /// What has not been walked over yet.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.0.rest()
    }

    /// None at the end.
    ///
    /// # Errors
    /// The bytes are not the message.
    #[inline]
    pub fn step(&mut self) -> Result<Option<Part<'a>>, Malformed> {
        while let Some(field) = self.0.step()? {
            match (field.number, field.value) {
                (SERIES, Value::Bytes(series)) => return Ok(Some(Part::Series(series))),
                (SYMBOLS, Value::Bytes(_)) => return Ok(Some(Part::Symbol)),
                (SERIES | SYMBOLS, _) => return Err(Malformed("a part of the request has another type")),
                _ => {}
            }
        }
        Ok(None)
    }
}

/// One series of a request, with what it says as it lies there.
#[derive(Clone, Copy, Debug)]
pub struct Series<'a> {
    message: &'a [u8],
    /// The packed numbers of its labels; none when they do not lie together, which only [`Self::refs`] then finds.
    pub packed: Option<&'a [u8]>,
    /// For [`Metadata::read`]; empty when there is none.
    pub metadata: &'a [u8],
    pub histograms: usize,
    pub exemplars: usize,
}

impl<'a> Series<'a> {
    const LABELS: u32 = 1;
    const SAMPLES: u32 = 2;
    const HISTOGRAMS: u32 = 3;
    const EXEMPLARS: u32 = 4;
    const METADATA: u32 = 5;

    /// Its samples take the place of what `samples` held.
    ///
    /// # Errors
    /// The bytes are not the message.
    #[inline]
    pub fn read(message: &'a [u8], samples: &mut Vec<Sample>) -> Result<Self, Malformed> {
        samples.clear();
        let mut series = Self {
            message,
            packed: Some(&[]),
            metadata: &[],
            histograms: 0,
            exemplars: 0,
        };
        let mut fields = Fields::new(message);
        // Labels, a sample and metadata in this order, as everybody writes them, make one straight line.
        if let Some(packed) = fields.short((Self::LABELS << 3 | 2) as u8) {
            series.packed = Some(packed);
            if let Some(sample) = fields.short((Self::SAMPLES << 3 | 2) as u8) {
                samples.push(Sample::read(sample)?);
            }
            if let Some(metadata) = fields.short((Self::METADATA << 3 | 2) as u8) {
                series.metadata = metadata;
            }
        }
        while let Some(field) = fields.step()? {
            match (field.number, field.value) {
                (Self::LABELS, Value::Bytes(packed)) => {
                    series.packed = series.packed.filter(|known| known.is_empty()).map(|_| packed);
                }
                (Self::LABELS, Value::Varint(_)) => series.packed = None,
                (Self::SAMPLES, Value::Bytes(sample)) => samples.push(Sample::read(sample)?),
                (Self::HISTOGRAMS, Value::Bytes(_)) => series.histograms += 1,
                (Self::EXEMPLARS, Value::Bytes(_)) => series.exemplars += 1,
                (Self::METADATA, Value::Bytes(metadata)) => series.metadata = metadata,
                (Self::LABELS..=Self::METADATA, _) => {
                    return Err(Malformed("a field of a series has another type"));
                }
                _ => {}
            }
        }
        Ok(series)
    }

    /// Calls `visit` with each of its exemplars and its labels, or why those cannot be read.
    ///
    /// # Errors
    /// The bytes are not the message.
    pub fn each_exemplar<'r>(
        &self,
        (request, symbols): (&'r [u8], &Symbols),
        mut visit: impl FnMut(Sample, Result<&[(&'r str, &'r str)], BadLabels>),
    ) -> Result<(), Malformed> {
        let (mut refs, mut labels) = (Vec::new(), Vec::new());
        let mut fields = Fields::new(self.message);
        while let Some(field) = fields.step()? {
            let (Self::EXEMPLARS, Value::Bytes(message)) = (field.number, field.value) else {
                continue;
            };
            refs.clear();
            labels.clear();
            let sample = exemplar(message, |value| numbers(value, &mut refs))?;
            let readable = symbols.pairs(request, &refs, &mut labels);
            visit(sample, readable.map(|()| labels.as_slice()));
        }
        Ok(())
    }

    /// Walks over its histograms.
    #[must_use]
    pub fn each_histogram(&self) -> Histograms<'a> {
        Histograms::new(self.message, Self::HISTOGRAMS)
    }

    /// The numbers of its labels' symbols, name and value in turn, however they were written.
    ///
    /// # Errors
    /// The bytes are not the message.
    pub fn refs(&self, refs: &mut Vec<u32>) -> Result<(), Malformed> {
        refs.clear();
        let mut fields = Fields::new(self.message);
        while let Some(field) = fields.step()? {
            if field.number == Self::LABELS {
                numbers(field.value, refs)?;
            }
        }
        Ok(())
    }
}

/// One symbol's number, or several packed.
fn numbers(value: Value<'_>, refs: &mut Vec<u32>) -> Result<(), Malformed> {
    match value {
        Value::Varint(number) => refs.push(symbol(number)),
        Value::Bytes(packed) => {
            let mut numbers = Fields::new(packed);
            while !numbers.rest().is_empty() {
                refs.push(symbol(numbers.varint()?));
            }
        }
        _ => return Err(Malformed("a label's symbol has another type")),
    }
    Ok(())
}
