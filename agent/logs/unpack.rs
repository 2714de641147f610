//! What a file packed by gzip holds, looked through without keeping it, or laid out in a file without a name.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::read::MultiGzDecoder;
use rustix::fs::OFlags;

use crate::mark::{CHECK_BYTES, FileMark, HEAD_BYTES, Print};

/// Held in memory at a time.
const PIECE_BYTES: usize = 64 << 10;

/// The first bytes of what `file` holds, as many as tell a file.
pub(crate) fn front(file: &File) -> io::Result<Vec<u8>> {
    let mut front = Vec::new();
    decoder(file)?.take(HEAD_BYTES as u64).read_to_end(&mut front)?;
    Ok(front)
}

/// How many bytes `file` holds, when they go on where `mark` ends.
pub(crate) fn length_of(file: &File, mark: &FileMark) -> io::Result<Option<u64>> {
    let start = mark.read - u64::from(mark.check.bytes).min(mark.read);
    let mut before = Vec::new();
    let length = each(file, |at, piece| {
        keep(&mut before, at, piece, start, mark.read);
        Ok(())
    })?;
    let is_same = length >= mark.read && (mark.check.bytes == 0 || Print::new(&before) == mark.check);
    Ok(is_same.then_some(length))
}

/// How many bytes `file` holds.
pub(crate) fn length(file: &File) -> io::Result<u64> {
    each(file, |_, _| Ok(()))
}

/// A file in `folder`, without a name, that has what `file` holds from `from` on, each byte at its place; of what stands
/// before only as much as tells the file. And how long it is.
pub(crate) fn unpack(file: &File, from: u64, folder: &Path) -> io::Result<(File, u64)> {
    let unpacked = nameless(folder)?;
    let start = from.saturating_sub(CHECK_BYTES as u64);
    let length = each(file, |at, piece| {
        let end = at + piece.len() as u64;
        if at < HEAD_BYTES as u64 || end > start {
            let skip = match at < HEAD_BYTES as u64 {
                true => 0,
                false => usize::try_from(start.saturating_sub(at)).unwrap_or(0),
            };
            unpacked.write_all_at(piece.get(skip..).unwrap_or_default(), at + skip as u64)?;
        }
        Ok(())
    })?;
    Ok((unpacked, length))
}

fn decoder(mut file: &File) -> io::Result<MultiGzDecoder<BufReader<&File>>> {
    file.seek(SeekFrom::Start(0))?;
    Ok(MultiGzDecoder::new(BufReader::with_capacity(PIECE_BYTES, file)))
}

/// Hands out all that `file` holds, piece by piece with the place of each; returns how much it was.
fn each(file: &File, mut take: impl FnMut(u64, &[u8]) -> io::Result<()>) -> io::Result<u64> {
    let (mut decoder, mut piece, mut at) = (decoder(file)?, vec![0; PIECE_BYTES], 0);
    loop {
        let count = match decoder.read(&mut piece) {
            Ok(0) => return Ok(at),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        take(at, piece.get(..count).unwrap_or_default())?;
        at += count as u64;
    }
}

/// Appends what of `piece`, which begins at `at`, lies between `from` and `until`.
fn keep(kept: &mut Vec<u8>, at: u64, piece: &[u8], from: u64, until: u64) {
    let place = |place: u64| {
        usize::try_from(place.saturating_sub(at)).map_or(piece.len(), |place| place.min(piece.len()))
    };
    kept.extend_from_slice(piece.get(place(from)..place(until)).unwrap_or_default());
}

fn nameless(folder: &Path) -> io::Result<File> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    fs::create_dir_all(folder)?;
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    let flags = i32::try_from(OFlags::TMPFILE.bits()).unwrap_or(0);
    if let Ok(file) = options.clone().custom_flags(flags).open(folder) {
        return Ok(file);
    }
    // Not every filesystem has files without a name.
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = folder.join(format!("unpacked-{}-{number}", std::process::id()));
    let file = options.create(true).truncate(true).open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}
