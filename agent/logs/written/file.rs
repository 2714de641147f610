//! A file of JSON lines as a sink: each line once.
//!
//! How long the file is is noted with the watermarks, in one append, once a batch is in it. What a start finds behind that was
//! written and not noted: it is cut off, and its lines are read and written again. Nothing is begun anew before the length
//! of the file in front of it is noted.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use model::BoxFuture;
use net::Backoff;
use parking_lot::Mutex;
use tracing::{info, warn};

use super::config::{File as Config, Format};
use super::line::lines;
use crate::batch::Batch;
use crate::mark::{FileId, FileMark, Form, Inode, Print};
use crate::segment::write::Kept;
use crate::sink::document::Style;
use crate::sink::marks::{Clerk, Marks};
use crate::sink::{self, Common, Ground, Json, Kind, Landed, aside};

/// Of the note how long the file is, among the watermarks of files that are read.
const NOTE: FileId = FileId(0x6f75_7470_7574_2031);
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_MOST: Duration = Duration::from_secs(10);

struct Destination {
    common: Common,
    config: Config,
    host: String,
    marks: Marks,
    /// What an earlier run has noted.
    noted: Option<FileMark>,
    tip: Mutex<Option<Tip>>,
    /// Whether the length of the file was noted before anything was added to it.
    is_noted: AtomicBool,
}

/// The file being written.
struct Tip {
    file: fs::File,
    inode: Inode,
    bytes: u64,
}

/// # Errors
/// The disk's own.
pub(crate) fn open(
    config: &Config,
    host: &str,
    ground: &Ground<'_>,
) -> io::Result<(Arc<dyn sink::Destination>, Clerk, Kept)> {
    let (common, clerk, mut kept) = sink::open(Kind::File, &config.name, 1, false, ground)?;
    let at = kept.marks.iter().position(|mark| mark.id == NOTE);
    let destination = Destination {
        common,
        config: config.clone(),
        host: host.to_owned(),
        marks: clerk.marks.clone(),
        noted: at.map(|at| kept.marks.swap_remove(at)),
        tip: Mutex::default(),
        is_noted: AtomicBool::new(at.is_some()),
    };
    Ok((Arc::new(destination), clerk, kept))
}

impl sink::Destination for Destination {
    fn common(&self) -> &Common {
        &self.common
    }

    fn target(&self) -> String {
        self.config.path.display().to_string()
    }

    fn requests_max(&self) -> usize {
        1
    }

    fn batches_max(&self) -> usize {
        1
    }

    fn prepare(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            let mut backoff = Backoff::new(PAUSE_FIRST, PAUSE_MOST);
            loop {
                match resume(&self.config, self.noted.as_ref()) {
                    Ok(tip) => return *self.tip.lock() = Some(tip),
                    Err(error) => self.trouble(&error),
                }
                tokio::time::sleep(backoff.next()).await;
            }
        })
    }

    fn fly(self: Arc<Self>, batch: Batch) -> BoxFuture<'static, Landed> {
        Box::pin(self.keep(batch))
    }
}

impl Destination {
    fn trouble(&self, error: &io::Error) {
        let path = self.config.path.display();
        self.common.say_trouble("disk", format!("{path}: {error}"));
    }

    async fn keep(self: Arc<Self>, mut batch: Batch) -> Landed {
        let style = Style {
            says_id: true,
            reads_fields: self.config.json == Json::Fields,
            says_place: true,
            host: &self.host,
        };
        let text = Arc::new(lines(&batch, Format::Json, style));
        let mut backoff = Backoff::new(PAUSE_FIRST, PAUSE_MOST);
        let note = loop {
            if let Some(noted) = self.due().and_then(|note| self.marks.begin(&[note], &[])) {
                // The thread that notes it may have ended with the house.
                _ = noted.await;
                self.is_noted.store(true, Ordering::Relaxed);
            }
            let (us, text) = (Arc::clone(&self), Arc::clone(&text));
            match aside(move || us.append(&text)).await {
                Ok(note) => break note,
                Err(error) => self.trouble(&error),
            }
            tokio::time::sleep(backoff.next()).await;
        };
        self.common.say_well();
        batch.marks.push(note);
        Landed {
            stored: batch.rows.len() as u64,
            letters: 0,
            batch,
        }
    }

    /// The note of the file, when another one is to be begun, or it was never noted.
    fn due(&self) -> Option<FileMark> {
        let is_noted = self.is_noted.load(Ordering::Relaxed);
        let tip = self.tip.lock();
        let tip = tip.as_ref()?;
        (!is_noted || tip.bytes >= self.config.bytes_max).then(|| note(&self.config.path, tip))
    }

    /// All of it, on the disk, or nothing.
    fn append(&self, text: &[u8]) -> io::Result<FileMark> {
        let mut held = self.tip.lock();
        let mut tip = match held.take() {
            Some(tip) if tip.bytes >= self.config.bytes_max => {
                rotate(&self.config)?;
                begin(&self.config.path)?
            }
            // Somebody has moved or removed it.
            Some(tip) if !is_at(&self.config.path, tip.inode) => begin(&self.config.path)?,
            Some(tip) => tip,
            None => begin(&self.config.path)?,
        };
        let written = tip
            .file
            .write_all_at(text, tip.bytes)
            .and_then(|()| tip.file.sync_data());
        if written.is_ok() {
            tip.bytes += text.len() as u64;
        } else {
            _ = tip.file.set_len(tip.bytes);
        }
        let note = note(&self.config.path, &tip);
        *held = Some(tip);
        written.map(|()| note)
    }
}

fn note(path: &Path, tip: &Tip) -> FileMark {
    let path: Arc<str> = path.to_string_lossy().into();
    FileMark {
        id: NOTE,
        form: Form::Plain,
        source: "output".into(),
        base: Arc::clone(&path),
        path,
        inode: tip.inode,
        generation: 0,
        head: Print::default(),
        read: tip.bytes,
        check: Print::default(),
        done: [tip.bytes; 3],
        copy: false,
        packed: false,
        gone: false,
        facts: None,
        days: crate::days::Days::default(),
    }
}

/// Opens it, or makes it; writing goes on behind what is there.
fn begin(path: &Path) -> io::Result<Tip> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    let meta = file.metadata()?;
    Ok(Tip {
        inode: Inode::of(&meta),
        bytes: meta.len(),
        file,
    })
}

fn is_at(path: &Path, inode: Inode) -> bool {
    fs::metadata(path).is_ok_and(|meta| is_same(Inode::of(&meta), inode))
}

/// Device numbers may change when the machine starts anew.
fn is_same(one: Inode, other: Inode) -> bool {
    (one.ino, one.born) == (other.ino, other.born)
}

/// Moves the files up by one; the oldest goes.
fn rotate(config: &Config) -> io::Result<()> {
    for nth in (0..=config.files).rev() {
        let moved = match nth == config.files {
            true => fs::remove_file(config.nth(nth)),
            false => fs::rename(config.nth(nth), config.nth(nth + 1)),
        };
        match moved {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Opens the file with nothing in it that was not noted.
fn resume(config: &Config, noted: Option<&FileMark>) -> io::Result<Tip> {
    let Some(noted) = noted else {
        return begin(&config.path);
    };
    let cut = |nth: usize| -> io::Result<bool> {
        let path = config.nth(nth);
        if !is_at(&path, noted.inode) {
            return Ok(false);
        }
        let file = OpenOptions::new().write(true).open(&path)?;
        let surplus = file.metadata()?.len().saturating_sub(noted.read);
        if surplus > 0 {
            info!(path = %path.display(), bytes = surplus, "lines that were not noted are written again");
            file.set_len(noted.read)?;
        }
        Ok(true)
    };
    if cut(0)? {
        return begin(&config.path);
    }
    if cut(1)? {
        // The file was begun anew after the note, and nothing in it is noted.
        match fs::remove_file(&config.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    } else {
        warn!(path = %config.path.display(), "somebody else has moved or removed the file; the last lines may be there twice");
    }
    begin(&config.path)
}
