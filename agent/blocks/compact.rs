//! Makes one block of several: chunks are copied as they are where that leaves nothing to wish for.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::TimeRange;

use crate::chunk::{Chunk, Kind};
use crate::error::Error;
use crate::merge::Groups;
use crate::meta::Meta;
use crate::pack::Packer;
use crate::read::answer::Budget;
use crate::read::block::Block;
use crate::read::mixed::unpack;
use crate::read::tombstones::touches;
use crate::read::whole::Whole;
use crate::ulid::Ulid;
use crate::write::Writer;
use crate::write::chunks::FILE_BYTES_MAX;
use crate::xor::CHUNK_SAMPLES;

/// None when all of it was deleted. Memory is bounded as in [`Writer`], by one series of all blocks.
pub(crate) fn compact(
    folder: &Path,
    ulid: Ulid,
    blocks: &[Arc<Block>],
) -> Result<Option<(PathBuf, Meta)>, Error> {
    let metas: Vec<&Meta> = blocks.iter().map(|block| block.meta()).collect();
    let mut writer = Writer::create(folder, Meta::merged(ulid, &metas), FILE_BYTES_MAX)?;
    let streams: Result<Vec<_>, Error> = blocks
        .iter()
        .map(|block| block.wholes(&[], TimeRange::ALL))
        .collect();
    for group in Groups::new(streams?) {
        let group = group?;
        let Some(labels) = group.first().map(|whole| whole.labels.clone()) else {
            continue;
        };
        writer.put(&labels, &merged(group, folder)?)?;
    }
    writer.finish()
}

fn merged(group: Vec<Whole>, folder: &Path) -> Result<Vec<Chunk>, Error> {
    let cut = |whole: &Whole| {
        let touched = |chunk: &Chunk| touches(&whole.deleted, chunk.min, chunk.max);
        whole.chunks.iter().any(touched)
    };
    let all = || group.iter().flat_map(|whole| &whole.chunks);
    let mut spans: Vec<_> = all().map(|chunk| (chunk.min, chunk.max)).collect();
    spans.sort_unstable();
    let apart = spans.is_sorted_by(|(_, max), (min, _)| max < min);
    if group.iter().any(cut) || !apart || is_sparse(&group) {
        return if all().any(|chunk| chunk.kind() == Kind::Foreign) {
            Err(foreign(folder))
        } else {
            repack(&group, folder)
        };
    }
    let mut chunks: Vec<Chunk> = group.into_iter().flat_map(|whole| whole.chunks).collect();
    chunks.sort_by_key(|chunk| chunk.min);
    Ok(chunks)
}

fn foreign(folder: &Path) -> Error {
    Error::Foreign {
        path: folder.to_owned(),
    }
}

/// Every chunk costs about thirty bytes beside its samples: not worth it for less than half a chunk. How histograms are
/// cut follows from what they are.
fn is_sparse(group: &[Whole]) -> bool {
    let chunks = || group.iter().flat_map(|whole| &whole.chunks);
    let samples: usize = chunks().map(|chunk| usize::from(chunk.samples())).sum();
    let count = chunks().count();
    let all_floats = chunks().all(|chunk| chunk.kind() == Kind::Floats);
    all_floats && count > 1 && samples < count * CHUNK_SAMPLES / 2
}

fn repack(group: &[Whole], folder: &Path) -> Result<Vec<Chunk>, Error> {
    let samples = unpack(group, TimeRange::ALL, &Budget::new(usize::MAX))?;
    let mut packer = Packer::default();
    for (time, value) in &samples {
        let put = packer.put(*time, value);
        put.map_err(|why| {
            Error::broken(
                folder,
                format!("holds a native histogram that cannot be one: {why}"),
            )
        })?;
    }
    Ok(packer.finish())
}
