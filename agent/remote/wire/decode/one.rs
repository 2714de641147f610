//! `prometheus.WriteRequest`: each series with all of its labels, and metadata in messages of their own.

use model::Kind;

use super::histogram::Histograms;
use super::labels::{BadLabels, check, text};
use super::{Fields, Malformed, Sample, Value, exemplar, kind};

const SERIES: u32 = 1;
const METADATA: u32 = 3;

/// One thing that lies in a request.
#[derive(Clone, Copy, Debug)]
pub enum Part<'a> {
    /// For [`Series::read`].
    Series(&'a [u8]),
    /// For [`Metadata::read`].
    Metadata(&'a [u8]),
}

/// Walks over a request.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a>(Fields<'a>);

impl<'a> Parts<'a> {
    #[must_use]
    pub fn new(request: &'a [u8]) -> Self {
        Self(Fields::new(request))
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
                (METADATA, Value::Bytes(metadata)) => return Ok(Some(Part::Metadata(metadata))),
                (SERIES | METADATA, _) => return Err(Malformed("a part of the request has another type")),
                _ => {}
            }
        }
        Ok(None)
    }
}

/// What is said of a metric family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metadata<'a> {
    pub family: &'a str,
    pub kind: Kind,
    pub help: &'a str,
    pub unit: &'a str,
}

impl<'a> Metadata<'a> {
    const KIND: u32 = 1;
    const FAMILY: u32 = 2;
    const HELP: u32 = 4;
    const UNIT: u32 = 5;

    /// Text that is not UTF-8 is nothing said.
    ///
    /// # Errors
    /// The bytes are not the message.
    pub fn read(message: &'a [u8]) -> Result<Self, Malformed> {
        let mut metadata = Self::default();
        let mut fields = Fields::new(message);
        while let Some(field) = fields.step()? {
            match (field.number, field.value) {
                (Self::KIND, Value::Varint(number)) => metadata.kind = kind(number),
                (Self::FAMILY, Value::Bytes(bytes)) => metadata.family = text(bytes).unwrap_or_default(),
                (Self::HELP, Value::Bytes(bytes)) => metadata.help = text(bytes).unwrap_or_default(),
                (Self::UNIT, Value::Bytes(bytes)) => metadata.unit = text(bytes).unwrap_or_default(),
                (Self::KIND | Self::FAMILY | Self::HELP | Self::UNIT, _) => {
                    return Err(Malformed("a field of metadata has another type"));
                }
                _ => {}
            }
        }
        Ok(metadata)
    }
}

/// One series of a request, with its labels as they lie there.
#[derive(Clone, Copy, Debug)]
pub struct Series<'a> {
    message: &'a [u8],
    /// The bytes of all of its labels; none when they do not lie together.
    pub labels: Option<&'a [u8]>,
    pub histograms: usize,
    pub exemplars: usize,
}

impl<'a> Series<'a> {
    const LABELS: u32 = 1;
    const SAMPLES: u32 = 2;
    const EXEMPLARS: u32 = 3;
    const HISTOGRAMS: u32 = 4;

    /// Its samples take the place of what `samples` held.
    ///
    /// # Errors
    /// The bytes are not the message.
    #[inline]
    pub fn read(message: &'a [u8], samples: &mut Vec<Sample>) -> Result<Self, Malformed> {
        samples.clear();
        let mut series = Self {
            message,
            labels: None,
            histograms: 0,
            exemplars: 0,
        };
        let mut fields = Fields::new(message);
        let (mut start, mut end, mut together) = (0, 0, true);
        // All labels first, as everybody writes them.
        while fields.short((Self::LABELS << 3 | 2) as u8).is_some() {
            end = message.len() - fields.rest().len();
        }
        loop {
            let before = message.len() - fields.rest().len();
            let Some(field) = fields.step()? else { break };
            match (field.number, field.value) {
                (Self::LABELS, Value::Bytes(_)) => {
                    if end == 0 {
                        start = before;
                    }
                    together &= end == 0 || end == before;
                    end = message.len() - fields.rest().len();
                }
                (Self::SAMPLES, Value::Bytes(sample)) => samples.push(Sample::read(sample)?),
                (Self::EXEMPLARS, Value::Bytes(_)) => series.exemplars += 1,
                (Self::HISTOGRAMS, Value::Bytes(_)) => series.histograms += 1,
                (Self::LABELS..=Self::HISTOGRAMS, _) => {
                    return Err(Malformed("a field of a series has another type"));
                }
                _ => {}
            }
        }
        series.labels = message.get(start..end).filter(|_| together);
        Ok(series)
    }

    /// Calls `visit` with each of its exemplars and its labels, or why those cannot be read.
    ///
    /// # Errors
    /// The bytes are not the message.
    pub fn each_exemplar(
        &self,
        mut visit: impl FnMut(Sample, Result<&[(&'a str, &'a str)], BadLabels>),
    ) -> Result<(), Malformed> {
        let mut labels: Vec<(&str, &str)> = Vec::new();
        let mut fields = Fields::new(self.message);
        while let Some(field) = fields.step()? {
            let (Self::EXEMPLARS, Value::Bytes(message)) = (field.number, field.value) else {
                continue;
            };
            labels.clear();
            let mut readable = Ok(());
            let sample = exemplar(message, |value| {
                let Value::Bytes(label) = value else {
                    return Err(Malformed("an exemplar's label has another type"));
                };
                let (name, value) = pair(label)?;
                match (text(name), text(value)) {
                    (Ok(name), Ok(value)) => labels.push((name, value)),
                    (Err(why), _) | (_, Err(why)) => readable = Err(why),
                }
                Ok(())
            })?;
            visit(sample, readable.map(|()| labels.as_slice()));
        }
        Ok(())
    }

    /// Walks over its histograms.
    #[must_use]
    pub fn each_histogram(&self) -> Histograms<'a> {
        Histograms::new(self.message, Self::HISTOGRAMS)
    }

    /// Puts its labels into `labels`, sorted and checked. The outer error is the request's, the inner the series'.
    ///
    /// # Errors
    /// The bytes are not the message.
    pub fn labels(&self, labels: &mut Vec<(&'a str, &'a str)>) -> Result<Result<(), BadLabels>, Malformed> {
        labels.clear();
        let mut fields = Fields::new(self.message);
        let mut readable = Ok(());
        while let Some(field) = fields.step()? {
            let (Self::LABELS, Value::Bytes(label)) = (field.number, field.value) else {
                continue;
            };
            let (name, value) = pair(label)?;
            match (text(name), text(value)) {
                (Ok(name), Ok(value)) => labels.push((name, value)),
                (Err(why), _) | (_, Err(why)) => readable = Err(why),
            }
        }
        Ok(readable.and_then(|()| check(labels)))
    }
}

fn pair(label: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    const NAME: u32 = 1;
    const VALUE: u32 = 2;
    let (mut name, mut value): (&[u8], &[u8]) = (&[], &[]);
    let mut fields = Fields::new(label);
    while let Some(field) = fields.step()? {
        match (field.number, field.value) {
            (NAME, Value::Bytes(bytes)) => name = bytes,
            (VALUE, Value::Bytes(bytes)) => value = bytes,
            (NAME | VALUE, _) => return Err(Malformed("a field of a label has another type")),
            _ => {}
        }
    }
    Ok((name, value))
}
