//! Files of the kernel, kept open and read again from the start, round after round.

use std::borrow::Cow;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

/// Longest file read; what is longer is an error of its collector.
const BYTES_MAX: usize = 16 << 20;
/// Enough for any attribute of sysfs, which are at most a page.
const BYTES_FIRST: usize = 8 << 10;

/// Memory that all reads of a thread share.
#[derive(Default)]
pub(crate) struct Buffer(Vec<u8>);

/// A file by its path, opened when first read and again after an error.
pub(crate) struct File {
    path: PathBuf,
    open: Option<fs::File>,
    kept: bool,
}

impl File {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            path,
            open: None,
            kept: true,
        }
    }

    /// Closed after each read: for files of which there may be many, or that others replace.
    pub(crate) fn passing(path: PathBuf) -> Self {
        Self {
            kept: false,
            ..Self::new(path)
        }
    }

    /// Whole content; bytes that are no UTF-8 come as U+FFFD.
    pub(crate) fn read<'b>(&mut self, buffer: &'b mut Buffer) -> Result<Cow<'b, str>, ReadError> {
        self.read_by(buffer, fill)
    }

    /// Content of a file that the kernel gives in one piece, such as an attribute; without the line's end.
    pub(crate) fn attribute<'b>(&mut self, buffer: &'b mut Buffer) -> Result<Cow<'b, str>, ReadError> {
        Ok(match self.read_by(buffer, fill_once)? {
            Cow::Borrowed(text) => Cow::Borrowed(text.trim_end()),
            Cow::Owned(text) => Cow::Owned(text.trim_end().to_owned()),
        })
    }

    fn read_by<'b>(
        &mut self,
        buffer: &'b mut Buffer,
        fill: fn(&fs::File, &mut Vec<u8>) -> io::Result<usize>,
    ) -> Result<Cow<'b, str>, ReadError> {
        let filled = self.filled(buffer, fill).map_err(|error| ReadError {
            path: self.path.clone(),
            error,
        })?;
        Ok(String::from_utf8_lossy(
            buffer.0.get(..filled).unwrap_or_default(),
        ))
    }

    fn filled(
        &mut self,
        buffer: &mut Buffer,
        fill: fn(&fs::File, &mut Vec<u8>) -> io::Result<usize>,
    ) -> io::Result<usize> {
        // A descriptor kept from before may be that of a device that went away and came back under its name.
        if let Some(file) = self.open.take()
            && let Ok(filled) = fill(&file, &mut buffer.0)
        {
            self.open = Some(file);
            return Ok(filled);
        }
        let file = fs::File::open(&self.path)?;
        let filled = fill(&file, &mut buffer.0)?;
        self.open = self.kept.then_some(file);
        Ok(filled)
    }
}

fn fill(file: &fs::File, bytes: &mut Vec<u8>) -> io::Result<usize> {
    let mut filled = 0;
    loop {
        if filled == bytes.len() {
            if filled >= BYTES_MAX {
                return Err(io::Error::new(ErrorKind::FileTooLarge, "longer than 16 MiB"));
            }
            bytes.resize((filled * 2).max(BYTES_FIRST), 0);
        }
        match read_at(file, bytes, filled)? {
            0 => return Ok(filled),
            count => filled += count,
        }
    }
}

fn fill_once(file: &fs::File, bytes: &mut Vec<u8>) -> io::Result<usize> {
    if bytes.len() < BYTES_FIRST {
        bytes.resize(BYTES_FIRST, 0);
    }
    read_at(file, bytes, 0)
}

fn read_at(file: &fs::File, bytes: &mut [u8], from: usize) -> io::Result<usize> {
    loop {
        match file.read_at(bytes.get_mut(from..).unwrap_or_default(), from as u64) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("reading {}: {error}", path.display())]
pub(crate) struct ReadError {
    path: PathBuf,
    #[source]
    pub(crate) error: io::Error,
}

impl ReadError {
    pub(crate) fn is_absent(&self) -> bool {
        self.error.kind() == ErrorKind::NotFound
    }

    /// Whether the kernel has this file but nothing to say in it: a link that is down has no carrier.
    pub(crate) fn is_silent(&self) -> bool {
        use ErrorKind::{InvalidInput, NotFound, PermissionDenied, Unsupported};
        matches!(
            self.error.kind(),
            NotFound | PermissionDenied | InvalidInput | Unsupported
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_again_from_its_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stat");
        let (mut file, mut buffer) = (File::new(path.clone()), Buffer::default());
        assert!(file.read(&mut buffer).unwrap_err().is_absent());
        fs::write(&path, "one\n").unwrap();
        assert_eq!(file.read(&mut buffer).unwrap(), "one\n");
        let long = "long line\n".repeat(10_000);
        fs::write(&path, &long).unwrap();
        assert_eq!(file.read(&mut buffer).unwrap(), long);
        fs::write(&path, "two\n").unwrap();
        assert_eq!(file.read(&mut buffer).unwrap(), "two\n");
        assert_eq!(file.attribute(&mut buffer).unwrap(), "two");
    }

    #[test]
    fn bytes_that_are_no_text_do_no_harm() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("odd");
        fs::write(&path, b"a\xffb").unwrap();
        assert_eq!(
            File::new(path).read(&mut Buffer::default()).unwrap(),
            "a\u{fffd}b"
        );
    }
}
