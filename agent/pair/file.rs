//! A lease in a file that both replicas see: plain hosts with a shared folder, and tests with real processes.
//!
//! The file is replaced whole, under a lock beside it that is held for no longer than a comparison and a rename, so
//! that a process stopped at a bad moment hardly ever keeps the other waiting. A revision is the file's content.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use model::{Arbiter, ArbiterError, BoxFuture, Lease, Revision};
use rustix::fs::{FlockOperation, flock};

const HEAD: &str = "SKOPOS-LEASE 1\n";
/// Longest file read: a lease is a line.
const BYTES_MAX: u64 = 64 * 1024;
const LOCK_TRIES: u32 = 50;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

pub struct FileArbiter(Arc<Place>);

struct Place {
    path: PathBuf,
    lock: PathBuf,
    /// Where this replica prepares what it writes.
    draft: PathBuf,
}

enum Outcome {
    Written(Revision),
    Lost,
    /// Somebody else writes at this moment.
    Locked,
}

impl FileArbiter {
    /// `name` is this replica's, and nobody else's.
    #[must_use]
    pub fn new(path: &Path, name: &str) -> Arc<Self> {
        let beside = |ending: &str| {
            let mut beside = path.as_os_str().to_owned();
            beside.push(ending);
            PathBuf::from(beside)
        };
        let name = name.replace(|letter: char| !letter.is_ascii_alphanumeric(), "-");
        Arc::new(Self(Arc::new(Place {
            path: path.to_owned(),
            lock: beside(".lock"),
            draft: beside(&format!(".{name}.new")),
        })))
    }
}

impl Arbiter for FileArbiter {
    fn read(&self) -> BoxFuture<'_, Result<Option<(Lease, Revision)>, ArbiterError>> {
        let place = Arc::clone(&self.0);
        Box::pin(async move { aside(move || place.read()).await })
    }

    fn write(&self, lease: Lease, over: Option<Revision>) -> BoxFuture<'_, Result<Revision, ArbiterError>> {
        let place = Arc::clone(&self.0);
        Box::pin(async move {
            for _ in 0..LOCK_TRIES {
                let (place, lease, over) = (Arc::clone(&place), lease.clone(), over.clone());
                match aside(move || place.write(&lease, over.as_ref())).await? {
                    Outcome::Written(revision) => return Ok(revision),
                    Outcome::Lost => return Err(ArbiterError::Lost),
                    Outcome::Locked => tokio::time::sleep(LOCK_PAUSE).await,
                }
            }
            Err(ArbiterError::Away(
                "another process keeps the file locked".to_owned(),
            ))
        })
    }
}

impl Place {
    fn read(&self) -> io::Result<Option<(Lease, Revision)>> {
        let text = match fs::metadata(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Ok(about) if about.len() > BYTES_MAX => return Err(foreign()),
            about => about.and_then(|_| fs::read_to_string(&self.path)),
        };
        let text = match text {
            // Deleted in between.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            text => text?,
        };
        let lease = text.strip_prefix(HEAD).ok_or_else(foreign)?;
        let lease = serde_json::from_str(lease).map_err(|_| foreign())?;
        Ok(Some((lease, Revision(text))))
    }

    fn write(&self, lease: &Lease, over: Option<&Revision>) -> io::Result<Outcome> {
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        let text = format!("{HEAD}{}\n", serde_json::to_string(lease)?);
        let mut draft = File::create(&self.draft)?;
        draft.write_all(text.as_bytes())?;
        draft.sync_all()?;
        let lock = OpenOptions::new().create(true).append(true).open(&self.lock)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(Outcome::Locked),
            locked => locked?,
        }
        let found = self.read()?.map(|(_, revision)| revision);
        if found.as_ref() != over {
            return Ok(Outcome::Lost);
        }
        fs::rename(&self.draft, &self.path)?;
        drop(lock);
        if let Some(folder) = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            File::open(folder)?.sync_all()?;
        }
        Ok(Outcome::Written(Revision(text)))
    }
}

fn foreign() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, "the file is not a lease of Skopos")
}

/// The disk, and a network behind it perhaps, may take its time.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, ArbiterError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| ArbiterError::Away(error.to_string())),
        Err(error) => Err(ArbiterError::Away(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(holder: &str, renewals: u64) -> Lease {
        Lease {
            holder: Some(holder.into()),
            epoch: 1,
            duration_millis: 10_000,
            renewals,
        }
    }

    #[tokio::test]
    async fn only_who_has_seen_the_present_state_replaces_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shared/lease");
        let (a, b) = (FileArbiter::new(&path, "a"), FileArbiter::new(&path, "b"));
        assert_eq!(a.read().await, Ok(None));
        let first = a.write(lease("a", 1), None).await.unwrap();
        assert_eq!(b.write(lease("b", 1), None).await, Err(ArbiterError::Lost));
        assert_eq!(b.read().await, Ok(Some((lease("a", 1), first.clone()))));
        let second = b.write(lease("b", 2), Some(first.clone())).await.unwrap();
        assert_eq!(a.write(lease("a", 2), Some(first)).await, Err(ArbiterError::Lost));
        fs::remove_file(&path).unwrap();
        assert_eq!(
            a.write(lease("a", 2), Some(second)).await,
            Err(ArbiterError::Lost)
        );
        assert_eq!(a.read().await, Ok(None));
    }

    #[tokio::test]
    async fn of_many_that_write_at_once_one_succeeds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lease");
        let arbiters: Vec<_> = (0..8)
            .map(|nth| FileArbiter::new(&path, &format!("r{nth}")))
            .collect();
        for round in 0..5 {
            let seen = arbiters[0].read().await.unwrap().map(|(_, revision)| revision);
            let writes = arbiters.iter().enumerate().map(|(nth, arbiter)| {
                let (arbiter, seen) = (Arc::clone(arbiter), seen.clone());
                tokio::spawn(async move { arbiter.write(lease(&format!("r{nth}"), round), seen).await })
            });
            let writes: Vec<_> = writes.collect();
            let mut won = 0;
            for write in writes {
                won += usize::from(write.await.unwrap().is_ok());
            }
            assert_eq!(won, 1);
        }
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_away_and_not_free() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lease");
        fs::write(&path, "something else").unwrap();
        let arbiter = FileArbiter::new(&path, "a");
        assert!(matches!(arbiter.read().await, Err(ArbiterError::Away(_))));
        let written = arbiter.write(lease("a", 1), None).await;
        assert!(matches!(written, Err(ArbiterError::Away(_))), "{written:?}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "something else");
    }
}
