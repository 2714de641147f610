//! Blocks on their way to another replica and from it: files with sizes, in any order, and a check before they count.

use std::collections::BTreeMap;
use std::fs::{File, create_dir, create_dir_all};
use std::io::{ErrorKind, Read};
use std::path::PathBuf;

use crate::durable::{self, Out, sync_folder};
use crate::error::{At, Error};
use crate::folder::Blocks;
use crate::meta::{self, Meta};
use crate::read::block::Block;
use crate::read::tombstones;
use crate::ulid::Ulid;
use crate::write::{CHUNKS, index, unfinished};

/// What a block consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    pub meta: Meta,
    /// Names within its folder, with sizes in bytes.
    pub files: BTreeMap<String, u64>,
}

impl Blocks {
    /// All blocks with their files. A block may go at any time; its files cannot be opened any more then, but those
    /// that are open can be read to the end.
    #[must_use]
    pub fn snapshot(&self) -> Vec<Listing> {
        let all = self.all();
        all.iter().filter_map(|block| listing(block).ok()).collect()
    }

    /// A file of a block.
    ///
    /// # Errors
    /// [`Error::Unknown`] when there is no such block, or no longer; [`Error::Unfit`] for a name that no block has.
    pub fn open_file(&self, ulid: Ulid, name: &str) -> Result<File, Error> {
        check_name(name)?;
        let all = self.all();
        let block = all.iter().find(|block| block.meta.ulid == ulid);
        let path = block.ok_or(Error::Unknown(ulid))?.folder.join(name);
        match File::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Err(Error::Unknown(ulid)),
            opened => opened.at("opening", &path),
        }
    }

    /// Begins to take a block that another has. Nothing is seen of it before [`Incoming::finish`], and nothing is
    /// left of it when that does not come.
    ///
    /// # Errors
    /// [`Error::Known`] when it is here, or a part of a block that is; [`Error::Io`] is the disk's own, also when the
    /// same block is being received already.
    pub fn receive(&self, ulid: Ulid) -> Result<Incoming<'_>, Error> {
        if self.holds(ulid) {
            return Err(Error::Known(ulid));
        }
        let folder = self.folder().join(ulid.to_string());
        let unfinished = unfinished(&folder);
        create_dir(&unfinished).at("making", &unfinished)?;
        Ok(Incoming {
            blocks: self,
            ulid,
            folder,
            unfinished,
            done: false,
        })
    }
}

fn listing(block: &Block) -> Result<Listing, Error> {
    let mut names = vec![meta::FILE.to_owned(), index::FILE.to_owned()];
    if block.folder.join(tombstones::FILE).exists() {
        names.push(tombstones::FILE.to_owned());
    }
    names.extend((1..=block.chunks.len()).map(|number| format!("{CHUNKS}/{number:06}")));
    let size = |name: String| {
        let path = block.folder.join(&name);
        let about = path.metadata().at("reading", &path)?;
        Ok((name, about.len()))
    };
    Ok(Listing {
        meta: block.meta.clone(),
        files: names.into_iter().map(size).collect::<Result<_, Error>>()?,
    })
}

/// Names come from outside: none but those of a block's files, and none that leads elsewhere.
fn check_name(name: &str) -> Result<(), Error> {
    let number = name.strip_prefix(CHUNKS).and_then(|rest| rest.strip_prefix('/'));
    let is_number = |number: &str| number.len() == 6 && number.bytes().all(|digit| digit.is_ascii_digit());
    let known = [meta::FILE, index::FILE, tombstones::FILE].contains(&name);
    if known || number.is_some_and(is_number) {
        return Ok(());
    }
    Err(Error::Unfit(format!("{name:?} is no file of a block")))
}

/// A block that is being received.
pub struct Incoming<'a> {
    blocks: &'a Blocks,
    ulid: Ulid,
    folder: PathBuf,
    unfinished: PathBuf,
    done: bool,
}

impl Incoming<'_> {
    /// Takes one file, of just so many bytes.
    ///
    /// # Errors
    /// [`Error::Unfit`] for a name that no block has, or when more or fewer bytes come; [`Error::Io`] is the disk's
    /// own, or the reader's.
    pub fn file(&mut self, name: &str, bytes: u64, from: &mut dyn Read) -> Result<(), Error> {
        check_name(name)?;
        let path = self.unfinished.join(name);
        if let Some(parent) = path.parent() {
            create_dir_all(parent).at("making", parent)?;
        }
        let mut out = Out::create(&path)?;
        let mut buffer = vec![0; 64 << 10];
        loop {
            let length = from.read(&mut buffer).at("receiving", &path)?;
            if length == 0 || out.bytes + length as u64 > bytes {
                break;
            }
            out.put(buffer.get(..length).unwrap_or_default())?;
        }
        if out.bytes != bytes {
            return Err(Error::Unfit(format!(
                "{name} has not the {bytes} bytes it should have"
            )));
        }
        out.close().map(drop)
    }

    /// Holds all of it against its checksums, and puts it among the blocks. Blocks here that it was made of go.
    ///
    /// # Errors
    /// [`Error::Broken`] says what is wrong with it; [`Error::Known`] when it came another way meanwhile.
    pub fn finish(mut self) -> Result<Meta, Error> {
        let block = Block::open(&self.unfinished)?;
        if block.meta.ulid != self.ulid {
            return Err(Error::broken(
                &self.unfinished,
                format!("is the block {}", block.meta.ulid),
            ));
        }
        block.verify()?;
        drop(block);
        sync_folder(&self.unfinished.join(CHUNKS))?;
        sync_folder(&self.unfinished)?;
        if self.blocks.holds(self.ulid) {
            return Err(Error::Known(self.ulid));
        }
        durable::rename(&self.unfinished, &self.folder)?;
        self.done = true;
        let block = Block::open(&self.folder)?;
        let meta = block.meta.clone();
        self.blocks.adopt(block);
        Ok(meta)
    }
}

impl Drop for Incoming<'_> {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        if let Err(error) = durable::remove(&self.unfinished) {
            tracing::debug!(%error, "a block that did not arrive is left for the next start");
        }
    }
}
