//! Writes the files of chunks, one after the other.

use std::path::{Path, PathBuf};

use crate::bytes::put_uvarint;
use crate::chunk::{Chunk, HEADER_BYTES, MAGIC, Place, VERSION};
use crate::durable::{Out, sync_folder};
use crate::error::{At, Error};

/// Longest file of chunks, as Prometheus has it.
pub(crate) const FILE_BYTES_MAX: u64 = 512 << 20;

pub(crate) struct ChunkWriter {
    folder: PathBuf,
    out: Option<Out>,
    /// Files begun.
    files: u64,
    file_bytes_max: u64,
    scratch: Vec<u8>,
}

impl ChunkWriter {
    /// In a folder that is made for them.
    pub(crate) fn create(folder: PathBuf, file_bytes_max: u64) -> Result<Self, Error> {
        std::fs::create_dir(&folder).at("making", &folder)?;
        Ok(Self {
            folder,
            out: None,
            files: 0,
            file_bytes_max,
            scratch: Vec::new(),
        })
    }

    pub(crate) fn put(&mut self, chunk: &Chunk) -> Result<Place, Error> {
        self.scratch.clear();
        put_uvarint(&mut self.scratch, chunk.data.len() as u64);
        let checked = self.scratch.len();
        self.scratch.push(chunk.encoding);
        self.scratch.extend_from_slice(&chunk.data);
        let crc = crc32c::crc32c(self.scratch.get(checked..).unwrap_or_default());
        self.scratch.extend_from_slice(&crc.to_be_bytes());

        let length = self.scratch.len() as u64;
        let fits = |out: &Out| out.bytes + length <= self.file_bytes_max || out.bytes == HEADER_BYTES;
        if !self.out.as_ref().is_some_and(fits) {
            self.next_file()?;
        }
        let offset = match &mut self.out {
            Some(out) => {
                let offset = out.bytes;
                out.put(&self.scratch)?;
                offset
            }
            None => 0,
        };
        Ok(Place {
            min: chunk.min,
            max: chunk.max,
            reference: (self.files - 1) << 32 | offset,
        })
    }

    fn next_file(&mut self) -> Result<(), Error> {
        self.close()?;
        self.files += 1;
        let mut out = Out::create(&path(&self.folder, self.files))?;
        out.put(&MAGIC.to_be_bytes())?;
        out.put(&[VERSION, 0, 0, 0])?;
        self.out = Some(out);
        Ok(())
    }

    fn close(&mut self) -> Result<(), Error> {
        self.out.take().map_or(Ok(()), |out| out.close().map(drop))
    }

    pub(crate) fn finish(mut self) -> Result<(), Error> {
        self.close()?;
        sync_folder(&self.folder)
    }
}

/// Files are numbered from 1; references from 0.
pub(crate) fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:06}"))
}
