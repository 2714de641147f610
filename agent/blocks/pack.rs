//! How samples of one series are cut into chunks: by what they are, and then by their number.

use std::sync::Arc;

use model::histogram::{BadHistogram, Histogram, Reset};
use model::{STALE, Series, Timestamp, Value, is_stale};

use crate::chunk::Chunk;
use crate::error::Error;
use crate::histogram::{self, Header, is_reset};
use crate::xor::{self, CHUNK_SAMPLES};

/// One series on its way into a block.
#[derive(Clone, Debug)]
pub struct Samples {
    pub series: Series,
    /// In the order of their times, none of which a float of the series has, too.
    pub histograms: Vec<(Timestamp, Arc<Histogram>)>,
}

impl From<Series> for Samples {
    fn from(series: Series) -> Self {
        Self {
            series,
            histograms: Vec::new(),
        }
    }
}

impl Samples {
    pub(crate) fn pack(&self) -> Result<Vec<Chunk>, Error> {
        let Self { series, histograms } = self;
        let unfit = |what: &str| Error::Unfit(format!("{} has {what}", series.labels));
        let has_float = |time| series.times.binary_search(time).is_ok();
        let ordered = series.times.is_sorted_by(|a, b| a < b)
            && series.times.len() == series.values.len()
            && histograms.is_sorted_by(|(a, _), (b, _)| a < b)
            && !histograms.iter().any(|(time, _)| has_float(time));
        if !ordered {
            return Err(unfit("samples out of order"));
        }
        let mut packer = Packer::default();
        let mut floats = series.times.iter().zip(series.values.iter()).peekable();
        for (time, histogram) in histograms {
            while let Some((time, value)) = floats.next_if(|(earlier, _)| *earlier < time) {
                packer.put_float(*time, *value);
            }
            let put = packer.put_histogram(*time, histogram);
            put.map_err(|why| unfit(&format!("a native histogram that cannot be one: {why}")))?;
        }
        floats.for_each(|(time, value)| packer.put_float(*time, *value));
        Ok(packer.finish())
    }
}

/// Takes samples in the order of their times.
#[derive(Default)]
pub(crate) struct Packer {
    chunks: Vec<Chunk>,
    open: Option<Open>,
    /// The sample before, when it was a histogram.
    before: Option<Arc<Histogram>>,
}

/// The chunk that is being filled.
struct Open {
    min: Timestamp,
    max: Timestamp,
    encoder: Encoder,
}

enum Encoder {
    Floats(xor::Encoder),
    Histograms(Box<histogram::Encoder>),
}

impl Packer {
    pub(crate) fn put(&mut self, time: Timestamp, value: &Value) -> Result<(), BadHistogram> {
        match value {
            Value::Float(value) => {
                self.put_float(time, *value);
                Ok(())
            }
            Value::Histogram(histogram) => self.put_histogram(time, histogram),
        }
    }

    pub(crate) fn put_float(&mut self, time: Timestamp, value: f64) {
        self.before = None;
        if let Some(Open {
            max,
            encoder: Encoder::Floats(encoder),
            ..
        }) = &mut self.open
            && usize::from(encoder.count()) < CHUNK_SAMPLES
        {
            encoder.append(time.0, value);
            *max = time;
            return;
        }
        let mut encoder = xor::Encoder::default();
        encoder.append(time.0, value);
        self.begin(time, Encoder::Floats(encoder));
    }

    /// What ends a series is a float, however it came.
    pub(crate) fn put_histogram(
        &mut self,
        time: Timestamp,
        histogram: &Arc<Histogram>,
    ) -> Result<(), BadHistogram> {
        if is_stale(histogram.sum) {
            self.put_float(time, STALE);
            return Ok(());
        }
        let before = self.before.replace(histogram.clone());
        let is_gauge = |histogram: &Histogram| histogram.reset == Reset::Gauge;
        let reset = before.as_ref().and_then(|before| is_reset(before, histogram));
        let goes_on = match &before {
            Some(before) if is_gauge(before) => is_gauge(histogram),
            Some(_) => !is_gauge(histogram) && reset == Some(false),
            None => false,
        };
        if let Some(Open {
            max,
            encoder: Encoder::Histograms(encoder),
            ..
        }) = &mut self.open
            && goes_on
            && usize::from(encoder.count()) < CHUNK_SAMPLES
            && encoder.fits(histogram)
        {
            encoder.append(time.0, histogram);
            *max = time;
            return Ok(());
        }
        histogram::check(histogram)?;
        let header = match reset {
            _ if is_gauge(histogram) => Header::Gauge,
            _ if histogram.reset == Reset::Yes => Header::Reset,
            Some(true) => Header::Reset,
            Some(false) => Header::NotReset,
            None => Header::Unknown,
        };
        let encoder = histogram::Encoder::begin(time.0, histogram, header);
        self.begin(time, Encoder::Histograms(Box::new(encoder)));
        Ok(())
    }

    fn begin(&mut self, time: Timestamp, encoder: Encoder) {
        self.close();
        self.open = Some(Open {
            min: time,
            max: time,
            encoder,
        });
    }

    fn close(&mut self) {
        let Some(Open { min, max, encoder }) = self.open.take() else {
            return;
        };
        let (encoding, data) = match encoder {
            Encoder::Floats(encoder) => (xor::ENCODING, encoder.finish()),
            Encoder::Histograms(encoder) => (encoder.encoding(), encoder.finish()),
        };
        self.chunks.push(Chunk {
            min,
            max,
            encoding,
            data,
        });
    }

    pub(crate) fn finish(mut self) -> Vec<Chunk> {
        self.close();
        self.chunks
    }
}
