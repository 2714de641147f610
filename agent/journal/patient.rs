//! A disk that is waited for only so long: one that hangs is one that refuses.
//!
//! A volume that stalls answers neither yes nor no, and whoever waits for it says nothing to anybody. Writing is done by
//! a thread of its own, one thing after the other; what takes too long is an error, and until it has ended so is
//! everything else, at once. What became of it is not known: the next write has to do without knowing.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use model::outside::Files;
use parking_lot::Mutex;

type Work = Box<dyn FnOnce(&dyn Files) -> io::Result<()> + Send>;

pub struct Patient {
    files: Arc<dyn Files>,
    patience: Duration,
    desk: Mutex<Desk>,
}

/// The two ends of the thread that writes.
struct Desk {
    work: SyncSender<Work>,
    done: Receiver<io::Result<()>>,
    /// Something was given up that has not ended.
    is_stuck: bool,
}

impl Patient {
    /// # Errors
    /// The thread cannot be started.
    pub fn new(files: Arc<dyn Files>, patience: Duration) -> io::Result<Arc<Self>> {
        let (work, inbox) = sync_channel::<Work>(1); // never full: nothing is given while something is under way
        let (outbox, done) = sync_channel(1); // nor this: what was done is taken before more is given
        let theirs = Arc::clone(&files);
        thread::Builder::new()
            .name("journal-disk".to_owned())
            .spawn(move || {
                for work in inbox {
                    if outbox.send(work(&*theirs)).is_err() {
                        return;
                    }
                }
            })?;
        Ok(Arc::new(Self {
            files,
            patience,
            desk: Mutex::new(Desk {
                work,
                done,
                is_stuck: false,
            }),
        }))
    }

    fn wait(&self, work: impl FnOnce(&dyn Files) -> io::Result<()> + Send + 'static) -> io::Result<()> {
        let mut desk = self.desk.lock();
        if desk.is_stuck {
            if desk.done.try_recv().is_err() {
                return Err(self.hangs());
            }
            desk.is_stuck = false;
        }
        desk.work
            .send(Box::new(work))
            .map_err(|_| io::Error::other("the thread that writes has ended"))?;
        match desk.done.recv_timeout(self.patience) {
            Ok(result) => result,
            Err(RecvTimeoutError::Timeout) => {
                desk.is_stuck = true;
                Err(self.hangs())
            }
            Err(RecvTimeoutError::Disconnected) => Err(io::Error::other("the thread that writes has ended")),
        }
    }

    fn hangs(&self) -> io::Error {
        io::Error::new(
            ErrorKind::TimedOut,
            format!("the disk has not answered for {:?}", self.patience),
        )
    }
}

impl Files for Patient {
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        self.files.read(path)
    }

    fn append(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let (path, bytes) = (path.to_owned(), bytes.to_owned());
        self.wait(move |files| files.append(&path, &bytes))
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let (path, bytes) = (path.to_owned(), bytes.to_owned());
        self.wait(move |files| files.replace(&path, &bytes))
    }

    fn truncate(&self, path: &Path, length_bytes: u64) -> io::Result<()> {
        let path = path.to_owned();
        self.wait(move |files| files.truncate(&path, length_bytes))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let path = path.to_owned();
        self.wait(move |files| files.remove(&path))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        self.files.list(folder)
    }

    fn is_instant(&self) -> bool {
        self.files.is_instant()
    }
}
