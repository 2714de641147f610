//! Writes what inputs bring, on a thread of its own: everything that waits goes to the disk together.
//!
//! An answer is given only behind fdatasync. After an error the file is closed at the last byte that is sure, and the
//! next write begins another one.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use tokio::sync::mpsc;
use tracing::{info, warn};

use crate::chance::chance;

use super::{Books, Error, FILE_BYTES, MAGIC, Place, Request, VERSION, path};

pub(super) struct Writer {
    books: Arc<Books>,
    /// The file being written.
    tip: Option<Tip>,
    next: u64,
    /// Whether the disk takes nothing, or the spool is full: said once.
    said: Option<&'static str>,
}

struct Tip {
    file: File,
    number: u64,
    /// End of what has been written.
    bytes: u64,
    /// Of that, what is on the disk for good.
    durable: u64,
}

impl Writer {
    pub(super) fn new(books: Arc<Books>, next: u64) -> Self {
        Self {
            books,
            tip: None,
            next,
            said: None,
        }
    }

    pub(super) fn run(mut self, mut inbox: mpsc::Receiver<Request>) {
        while let Some(first) = inbox.blocking_recv() {
            let mut bytes = first.lines.len() as u64;
            let mut group = vec![first];
            while bytes < FILE_BYTES
                && let Ok(request) = inbox.try_recv()
            {
                bytes += request.lines.len() as u64;
                group.push(request);
            }
            self.keep(group);
        }
    }

    pub(super) fn keep(&mut self, group: Vec<Request>) {
        if self.tip.as_ref().is_some_and(|tip| tip.bytes >= FILE_BYTES) {
            self.close();
        }
        let mut written = Vec::new();
        let mut more = 0;
        for request in group {
            let Request {
                lines,
                records,
                place,
                done,
            } = request;
            if lines.is_empty() {
                _ = done.send(self.put(place));
                continue;
            }
            if !self.books.has_room(more + lines.len() as u64) {
                self.refuse("full", None);
                // With nobody there to hear it, the sender keeps its records as well.
                _ = done.send(Err(Error::Full));
                continue;
            }
            match self.write(&lines) {
                Ok(()) => {
                    more += lines.len() as u64;
                    written.push((records, place, done));
                }
                Err(error) => {
                    self.refuse("disk", Some(&error));
                    _ = done.send(Err(Error::Disk(error)));
                }
            }
        }
        if written.is_empty() {
            // So that it can go once it is read: a spool that is full of one open file would stay full.
            if self.said == Some("full") {
                self.close();
            }
            return;
        }
        let synced = self.sync();
        if let Err(error) = &synced {
            self.refuse("disk", Some(error));
        } else if self.said.take().is_some() {
            info!("the spool takes records again");
        }
        for (records, place, done) in written {
            let answer = match &synced {
                Ok(()) => {
                    self.books.kept(records);
                    if let Some(Place { input, at }) = place {
                        self.books.put_place(input.to_owned(), at);
                    }
                    Ok(())
                }
                Err(error) => Err(Error::Disk(io::Error::new(error.kind(), error.to_string()))),
            };
            _ = done.send(answer);
        }
    }

    /// A place without records.
    fn put(&self, place: Option<Place>) -> Result<(), Error> {
        if let Some(Place { input, at }) = place {
            self.books.put_place(input.to_owned(), at);
        }
        self.books.save().map_err(Error::Disk)
    }

    fn refuse(&mut self, reason: &'static str, error: Option<&io::Error>) {
        self.books.refused(reason);
        if self.said.replace(reason) != Some(reason) {
            match error {
                Some(error) => warn!(%error, "the spool cannot be written; senders keep their records"),
                None => warn!(
                    "the spool is full, since a sink is behind; senders keep their records until it has caught up"
                ),
            }
        }
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        let tip = match &mut self.tip {
            Some(tip) => tip,
            None => {
                let tip = begin(&self.books, self.next)?;
                self.next += 1;
                self.tip.insert(tip)
            }
        };
        if let Err(error) = tip.file.write_all_at(lines, tip.bytes) {
            // No reader has seen it. If it stays it is overwritten, or found torn at the next start.
            _ = tip.file.set_len(tip.bytes);
            return Err(error);
        }
        tip.bytes += lines.len() as u64;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let Some(tip) = &mut self.tip else {
            return Ok(());
        };
        match tip.file.sync_data() {
            Ok(()) => {
                tip.durable = tip.bytes;
                self.books.durable(tip.number, tip.bytes);
                Ok(())
            }
            Err(error) => {
                // What the disk holds now is not known, and asking again would not tell. What was not acknowledged comes
                // again, and should not be found here at the next start.
                _ = tip.file.set_len(tip.durable);
                self.close();
                Err(error)
            }
        }
    }

    pub(super) fn close(&mut self) {
        if let Some(tip) = self.tip.take() {
            self.books.close(tip.number);
        }
    }

    #[cfg(test)]
    pub(super) fn tip(&mut self) -> Option<&mut File> {
        self.tip.as_mut().map(|tip| &mut tip.file)
    }
}

fn begin(books: &Books, number: u64) -> io::Result<Tip> {
    fs::create_dir_all(&books.folder)?;
    let path = path(&books.folder, number);
    let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
    // So that no two files begin alike.
    let print = u64::from_le_bytes(chance()?);
    let title = format!("{MAGIC}{VERSION}{number:010} {print:016x}\n");
    let written = file
        .write_all_at(title.as_bytes(), 0)
        .and_then(|()| file.sync_all())
        .and_then(|()| File::open(&books.folder)?.sync_all());
    if let Err(error) = written {
        _ = fs::remove_file(&path);
        return Err(error);
    }
    let bytes = title.len() as u64;
    books.durable(number, bytes);
    Ok(Tip {
        file,
        number,
        bytes,
        durable: bytes,
    })
}
