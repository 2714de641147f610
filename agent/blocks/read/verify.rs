//! Reads everything in a block once, for one that came from elsewhere.

use crate::chunk::{Kind, decode};
use crate::error::Error;
use crate::read::block::Block;
use crate::read::chunks::ChunkReader;
use crate::read::index::read_list;
use crate::read::series::SeriesReader;
use crate::read::source::Window;
use crate::xor::BadChunk;

impl Block {
    /// Holds every checksum against its bytes and every chunk against what the index says of it.
    ///
    /// # Errors
    /// [`Error::Broken`] with the first thing that is wrong; [`Error::Io`] is the disk's own.
    pub fn verify(&self) -> Result<(), Error> {
        let ids = self.index.all()?;
        let index = &self.index.source;
        if !ids.is_sorted_by(|a, b| a < b) {
            return Err(index.broken("its list of all series is not in order"));
        }
        if ids.len() as u64 != self.meta.stats.num_series {
            return Err(index.broken("has another number of series than meta.json says"));
        }
        self.verify_series(&ids)?;
        self.verify_lists(&ids)
    }

    fn verify_series(&self, ids: &[u32]) -> Result<(), Error> {
        let mut series = SeriesReader::new(&self.index);
        let mut chunks = ChunkReader::new(&self.chunks);
        let mut last = None;
        for id in ids {
            series.read(*id)?;
            let labels = series.labels()?;
            if last.as_ref().is_some_and(|last| *last >= labels) {
                return Err(self.index.source.broken("its series are not in order"));
            }
            last = Some(labels);
            for place in &series.places {
                let (encoding, data) = chunks.read(*place)?;
                if Kind::of(encoding) == Kind::Foreign {
                    continue;
                }
                let (mut first, mut newest) = (None, None);
                let decoded: Result<(), BadChunk> = decode(encoding, data, |time, _| {
                    first.get_or_insert(time);
                    newest = Some(time);
                    Ok(())
                });
                if decoded.is_err() || (first, newest) != (Some(place.min), Some(place.max)) {
                    return Err(chunks.broken(*place));
                }
            }
        }
        Ok(())
    }

    fn verify_lists(&self, all: &[u32]) -> Result<(), Error> {
        let mut window = Window::new(&self.index.source);
        let (mut places, mut ids) = (Vec::new(), Vec::new());
        for name in self.index.names() {
            places.clear();
            self.index.each_value(name, "", |_, place| {
                places.push(place);
                true
            })?;
            for place in &places {
                ids.clear();
                read_list(&mut window, *place, &mut ids)?;
                if ids.iter().any(|id| all.binary_search(id).is_err()) {
                    let what = format!("the list at {place} names a series that there is not");
                    return Err(self.index.source.broken(what));
                }
            }
        }
        Ok(())
    }
}
