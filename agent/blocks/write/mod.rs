//! Writes a block: chunks as they come, then the index, then what it is; and gives it its name last.
//!
//! Memory is bounded by the distinct label texts, twelve bytes for every label of every series, and one series. The
//! same series with the same name make the same bytes.

pub(crate) mod chunks;
pub(crate) mod index;
pub(crate) mod spool;

use std::path::{Path, PathBuf};

use model::Labels;

use self::chunks::ChunkWriter;
use self::spool::Spool;
use crate::chunk::{Chunk, Kind};
use crate::durable::{self, sync_folder};
use crate::error::{At, Error};
use crate::meta::{self, Meta, Span, Stats};
use crate::read::tombstones;

/// What is not whole yet has this behind its name, as in Prometheus, which removes it as we do.
pub(crate) const UNFINISHED: &str = ".tmp-for-creation";
pub(crate) const CHUNKS: &str = "chunks";
const SPOOL: &str = "series.spool";

pub(crate) struct Writer {
    /// The folder it will be.
    folder: PathBuf,
    unfinished: PathBuf,
    chunks: Option<ChunkWriter>,
    spool: Option<Spool>,
    meta: Meta,
    last: Option<Labels>,
    done: bool,
}

/// Where a block is while it is being written.
pub(crate) fn unfinished(folder: &Path) -> PathBuf {
    let mut path = folder.as_os_str().to_owned();
    path.push(UNFINISHED);
    path.into()
}

impl Writer {
    /// Of the block `meta.ulid` among the blocks of a folder.
    pub(crate) fn create(blocks: &Path, meta: Meta, file_bytes_max: u64) -> Result<Self, Error> {
        let folder = blocks.join(meta.ulid.to_string());
        let unfinished = unfinished(&folder);
        std::fs::create_dir_all(&unfinished).at("making", &unfinished)?;
        Ok(Self {
            chunks: Some(ChunkWriter::create(unfinished.join(CHUNKS), file_bytes_max)?),
            spool: Some(Spool::create(&unfinished.join(SPOOL))?),
            folder,
            unfinished,
            meta,
            last: None,
            done: false,
        })
    }

    /// Adds a series that comes after all those before; one without chunks is left out.
    pub(crate) fn put(&mut self, labels: &Labels, chunks: &[Chunk]) -> Result<(), Error> {
        if chunks.is_empty() {
            return Ok(());
        }
        if self.last.as_ref().is_some_and(|last| last >= labels) {
            return Err(Error::Unfit(format!("{labels} does not come in order")));
        }
        check(labels, chunks, self.meta.span())?;
        let (Some(out), Some(spool)) = (&mut self.chunks, &mut self.spool) else {
            return Ok(());
        };
        let places: Result<Vec<_>, _> = chunks.iter().map(|chunk| out.put(chunk)).collect();
        spool.put(labels, &places?)?;
        count(&mut self.meta.stats, chunks);
        self.last = Some(labels.clone());
        Ok(())
    }

    /// The block is there once this returns, whatever happens then. None when nothing was put in.
    pub(crate) fn finish(mut self) -> Result<Option<(PathBuf, Meta)>, Error> {
        let (Some(chunks), Some(spool)) = (self.chunks.take(), self.spool.take()) else {
            return Ok(None);
        };
        if self.meta.stats.num_series == 0 {
            return Ok(None);
        }
        chunks.finish()?;
        index::write(&self.unfinished.join(index::FILE), spool)?;
        let spooled = self.unfinished.join(SPOOL);
        std::fs::remove_file(&spooled).at("removing", &spooled)?;
        durable::write_file(&self.unfinished.join(tombstones::FILE), &tombstones::none())?;
        durable::write_file(&self.unfinished.join(meta::FILE), &self.meta.to_json())?;
        sync_folder(&self.unfinished)?;
        durable::rename(&self.unfinished, &self.folder)?;
        self.done = true;
        Ok(Some((self.folder.clone(), self.meta.clone())))
    }
}

/// What did not become a block leaves nothing behind.
impl Drop for Writer {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        (self.chunks, self.spool) = (None, None);
        if let Err(error) = durable::remove(&self.unfinished) {
            tracing::debug!(%error, "an unfinished block is left for the next start");
        }
    }
}

fn check(labels: &Labels, chunks: &[Chunk], span: Span) -> Result<(), Error> {
    if labels.is_empty() {
        return Err(Error::Unfit("a series has no labels".into()));
    }
    let ordered = chunks.is_sorted_by(|a, b| a.max < b.min);
    let inside =
        |chunk: &Chunk| span.contains(chunk.min) && span.contains(chunk.max) && chunk.min <= chunk.max;
    if !ordered || !chunks.iter().all(inside) {
        return Err(Error::Unfit(format!(
            "{labels} has samples out of order or out of the range"
        )));
    }
    Ok(())
}

fn count(stats: &mut Stats, chunks: &[Chunk]) {
    stats.num_series += 1;
    stats.num_chunks += chunks.len() as u64;
    for chunk in chunks {
        let samples = u64::from(chunk.samples());
        stats.num_samples += samples;
        match chunk.kind() {
            Kind::Floats => stats.num_float_samples += samples,
            Kind::Histograms => stats.num_histogram_samples += samples,
            Kind::Foreign => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pack::Samples;
    use crate::read::block::Block;
    use crate::ulid::Ulid;
    use model::{Series, TimeRange, Timestamp};

    fn series(nth: i64) -> Series {
        Series {
            labels: Labels::from_pairs([("nth", format!("{nth:03}"))]),
            times: (0..300).map(Timestamp).collect(),
            values: (0..300).map(|time| (time * nth) as f64).collect(),
            staleness: None,
        }
    }

    #[test]
    fn chunks_go_on_in_the_next_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let span = Span {
            start: Timestamp(0),
            end: Timestamp(300),
        };
        let meta = Meta::new(Ulid::new(Timestamp(1), 1), span);
        let mut writer = Writer::create(folder.path(), meta, 2000).expect("begun");
        for nth in 0..50 {
            let series = series(nth);
            let chunks = Samples::from(series.clone()).pack().expect("packed");
            writer.put(&series.labels, &chunks).expect("written");
        }
        let (path, _) = writer.finish().expect("finished").expect("a block");
        let block = Block::open(&path).expect("opened");
        assert!(block.chunks.len() > 5, "{}", block.chunks.len());
        assert!(block.chunks.iter().all(|file| file.bytes <= 2000));
        block.verify().expect("whole");
        let all = block.select(&[], TimeRange::ALL, usize::MAX).expect("read");
        for (nth, got) in (0..).zip(&all) {
            assert_eq!(
                (&got.labels, &got.values),
                (&series(nth).labels, &series(nth).values)
            );
        }
        assert_eq!(all.len(), 50);
    }
}
