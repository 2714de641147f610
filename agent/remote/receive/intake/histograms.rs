//! Native histograms of a request: a second look at the few series that have them.

use std::sync::Arc;

use model::Histogram;

use super::{Failure, Intake, Repair, Room, Way};
use crate::receive::cache::Entry;
use crate::wire::decode::histogram::{Histograms, Unfit};
use crate::wire::decode::{BadLabels, Malformed};

/// So much of what a histogram holds counts as one sample more, and the rest of it as another. The smallest that anybody
/// sends take 15 bytes in a request, the count of a bucket one: there is room for all that are honest.
const SAMPLE_BYTES: usize = 64;

impl Intake<'_> {
    /// Reads those of one series and remembers them until all of the request is read. Tells why the first of them that
    /// is not taken is not.
    pub(super) fn histograms(
        &mut self,
        way: Option<Way>,
        mut messages: Histograms<'_>,
        samples_max: usize,
        room: &mut Room,
    ) -> Result<Option<Unfit>, Failure> {
        let mut first = None;
        while let Some(message) = messages.step()? {
            let read = room.histograms.read(message)?;
            // Otherwise they are counted with their series.
            let Some(way) = way else { continue };
            let histogram = match read.histogram {
                Ok(_) if read.time > self.latest => {
                    self.counts.out_of_bounds += 1;
                    continue;
                }
                Ok(histogram) => histogram,
                Err(why) => {
                    *self.counts.refused.entry("bad_histogram").or_default() += 1;
                    first.get_or_insert(why);
                    continue;
                }
            };
            self.counts.weight += histogram.as_ref().map_or(0, weight);
            if self.counts.samples + self.counts.weight > samples_max {
                return Err(Failure::TooMuch);
            }
            let columns = &mut room.columns;
            if !columns.push_histogram(way.target, way.series, read.time, histogram.map(Arc::new)) {
                return Err(Failure::TooMuch);
            }
        }
        Ok(first)
    }

    /// Says why a histogram of the series with these labels is not taken.
    pub(super) fn complain(&mut self, labels: Result<&[(&str, &str)], BadLabels>, why: Unfit) {
        let named = |(name, _): &&(&str, &str)| *name == "__name__";
        let name = labels.ok().and_then(|labels| labels.iter().find(named));
        let name = name.map_or("a series", |(_, value)| value);
        self.counts.complaint = Some(format!("{name}: {why}"));
    }

    /// As [`Self::mend`] does with samples.
    pub(super) fn mend_histograms(
        repair: &mut Repair,
        place: u32,
        entry: &Entry,
        mut messages: Histograms<'_>,
        room: &mut Room,
    ) -> Result<(), Malformed> {
        if repair.damaged.histograms.is_empty() {
            return Ok(());
        }
        while let Some(message) = messages.step()? {
            let read = room.histograms.read(message)?;
            let damage = repair.damaged.histograms.get(&(entry.target, read.time));
            let (true, Ok(histogram)) = (repair.lost(damage, place), read.histogram) else {
                continue;
            };
            let (columns, histogram) = (&mut room.columns, histogram.map(Arc::new));
            if columns.push_histogram(entry.target, entry.series, read.time, histogram) {
                repair.histograms += 1;
            }
        }
        Ok(())
    }
}

fn weight(histogram: &Histogram) -> usize {
    1 + (histogram.bytes() - size_of::<Histogram>()) / SAMPLE_BYTES
}
