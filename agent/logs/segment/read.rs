//! Walks the frames of a segment, which may be growing or torn at its end.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::frame::{Frame, HEADER_BYTES as FRAME_HEADER_BYTES, Header};
use super::{HEADER_BYTES, Title, VERSION, VERSION_SPOOL};

pub(crate) struct Reader {
    file: File,
    pub(crate) title: Title,
    /// Where the next frame begins.
    pub(crate) at: u64,
}

impl Reader {
    /// `None` when the file is no segment, or not one yet.
    ///
    /// # Errors
    /// The disk's own, or the segment was written by a version whose format is not known here.
    pub(crate) fn open(path: &Path) -> io::Result<Option<Self>> {
        let file = File::open(path)?;
        let mut header = [0; HEADER_BYTES];
        match file.read_exact_at(&mut header, 0) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
        let Some(title) = Title::decode(&header) else {
            return Ok(None);
        };
        if !(VERSION..=VERSION_SPOOL).contains(&title.version) {
            let version = title.version;
            let why = format!(
                "{} has format {version}, and only {VERSION} to {VERSION_SPOOL} are known",
                path.display()
            );
            return Err(io::Error::new(io::ErrorKind::Unsupported, why));
        }
        Ok(Some(Self {
            file,
            title,
            at: HEADER_BYTES as u64,
        }))
    }

    /// The header of the next frame; `None` at the end, be it clean or torn.
    pub(crate) fn header(&self) -> io::Result<Option<Header>> {
        let mut bytes = [0; FRAME_HEADER_BYTES];
        Ok(self
            .read(&mut bytes, self.at)?
            .and_then(|()| Header::decode(&bytes).ok()))
    }

    /// Steps over the frame that `header` heads.
    pub(crate) fn skip(&mut self, header: &Header) {
        self.at += header.frame_bytes();
    }

    /// Reads the body of the frame at `at`; false when it is not whole.
    pub(crate) fn body(&self, at: u64, header: &Header, frame: &mut Frame) -> io::Result<bool> {
        let whole = self
            .read(frame.body(header), at + FRAME_HEADER_BYTES as u64)?
            .is_some();
        Ok(whole && frame.open(header).is_ok())
    }

    fn read(&self, bytes: &mut [u8], at: u64) -> io::Result<Option<()>> {
        match self.file.read_exact_at(bytes, at) {
            Ok(()) => Ok(Some(())),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }
}
