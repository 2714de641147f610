//! Makes one block of several: chunks are copied as they are where that leaves nothing to wish for.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::{Labels, Series, Timestamp};

use crate::chunk::{Chunk, pack};
use crate::error::Error;
use crate::merge::{Groups, Labeled, in_order};
use crate::meta::Meta;
use crate::read::answer::{Whole, decode};
use crate::read::block::Block;
use crate::read::tombstones::{covers, touches};
use crate::ulid::Ulid;
use crate::write::Writer;
use crate::write::chunks::FILE_BYTES_MAX;
use crate::xor::CHUNK_SAMPLES;

impl Labeled for Whole {
    fn labels(&self) -> &Labels {
        &self.labels
    }
}

/// None when all of it was deleted. Memory is bounded as in [`Writer`], by one series of all blocks.
pub(crate) fn compact(
    folder: &Path,
    ulid: Ulid,
    blocks: &[Arc<Block>],
) -> Result<Option<(PathBuf, Meta)>, Error> {
    let metas: Vec<&Meta> = blocks.iter().map(|block| block.meta()).collect();
    let mut writer = Writer::create(folder, Meta::merged(ulid, &metas), FILE_BYTES_MAX)?;
    let streams: Result<Vec<_>, Error> = blocks.iter().map(|block| block.wholes()).collect();
    for group in Groups::new(streams?) {
        let group = group?;
        let Some(labels) = group.first().map(|whole| whole.labels.clone()) else {
            continue;
        };
        let first = blocks.first().map(|block| block.folder.as_path());
        let chunks = merged(&labels, group, first.unwrap_or(folder))?;
        writer.put(&labels, &chunks)?;
    }
    writer.finish()
}

fn merged(labels: &Labels, group: Vec<Whole>, folder: &Path) -> Result<Vec<Chunk>, Error> {
    let cut = |whole: &Whole| {
        let touched = |chunk: &Chunk| touches(&whole.deleted, chunk.min, chunk.max);
        whole.chunks.iter().any(touched)
    };
    let all_floats = group.iter().flat_map(|whole| &whole.chunks).all(Chunk::is_float);
    if group.iter().any(cut) {
        return if all_floats {
            repack(labels, &group, folder)
        } else {
            Err(foreign(folder))
        };
    }
    let mut chunks: Vec<Chunk> = group.into_iter().flat_map(|whole| whole.chunks).collect();
    chunks.sort_by_key(|chunk| chunk.min);
    let apart = chunks.is_sorted_by(|a, b| a.max < b.min);
    if apart && !(all_floats && is_sparse(&chunks)) {
        return Ok(chunks);
    }
    if !all_floats {
        return Err(foreign(folder));
    }
    let whole = Whole {
        labels: labels.clone(),
        chunks,
        deleted: Vec::new(),
    };
    repack(labels, &[whole], folder)
}

fn foreign(folder: &Path) -> Error {
    Error::Foreign {
        path: folder.to_owned(),
    }
}

/// Every chunk costs about thirty bytes beside its samples: not worth it for less than half a chunk.
fn is_sparse(chunks: &[Chunk]) -> bool {
    let samples: usize = chunks.iter().map(|chunk| usize::from(chunk.samples())).sum();
    chunks.len() > 1 && samples < chunks.len() * CHUNK_SAMPLES / 2
}

fn repack(labels: &Labels, group: &[Whole], folder: &Path) -> Result<Vec<Chunk>, Error> {
    let mut samples: Vec<(Timestamp, f64)> = Vec::new();
    for whole in group {
        for chunk in &whole.chunks {
            let decoded = decode(&chunk.data, |time, value| {
                if !covers(&whole.deleted, time) {
                    samples.push((time, value));
                }
            });
            decoded.map_err(|_| Error::broken(folder, format!("a chunk of {labels} does not decode")))?;
        }
    }
    let (times, values): (Vec<_>, Vec<_>) = in_order(samples).into_iter().unzip();
    Ok(pack(&Series {
        labels: labels.clone(),
        times: times.into(),
        values: values.into(),
        staleness: None,
    }))
}
