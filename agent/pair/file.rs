//! A lease in a folder that both replicas see: plain hosts that share one, and tests with real processes.
//!
//! Each state of the lease is a file of its own with the next number, linked into its place whole: a number can be
//! taken once, and the highest is the present state. Nothing is locked, so a process that is stopped at a bad moment
//! keeps nobody waiting. A revision is the number and the content.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use model::{Arbiter, ArbiterError, BoxFuture, Lease, Revision};

const HEAD: &str = "SKOPOS-LEASE 1\n";
/// Longest file read: a lease is a line.
const BYTES_MAX: u64 = 64 * 1024;
/// States kept behind the present one: whoever lists the folder while it changes still finds one of them, and knows
/// that it is not alone.
const KEPT: u64 = 8;
/// How often a state is looked for that vanishes while it is read.
const TRIES: u32 = 5;

pub struct FileArbiter(Arc<Place>);

struct Place {
    path: PathBuf,
    /// Begins the names of what this replica prepares.
    draft: PathBuf,
    drafts: AtomicU64,
}

impl FileArbiter {
    /// `name` is this replica's, and nobody else's.
    #[must_use]
    pub fn new(path: &Path, name: &str) -> Arc<Self> {
        let name = name.replace(|letter: char| !letter.is_ascii_alphanumeric(), "-");
        let place = Place {
            path: path.to_owned(),
            draft: beside(path, &format!("new-{name}_")),
            drafts: AtomicU64::new(0),
        };
        place.tidy_drafts();
        Arc::new(Self(Arc::new(place)))
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
            let written = aside(move || place.write(&lease, over.as_ref())).await?;
            written.ok_or(ArbiterError::Lost)
        })
    }
}

impl Place {
    fn read(&self) -> io::Result<Option<(Lease, Revision)>> {
        for _ in 0..TRIES {
            let Some(number) = self.numbers()?.into_iter().max() else {
                return Ok(None);
            };
            let path = self.state(number);
            let text = match fs::metadata(&path) {
                Ok(about) if about.len() > BYTES_MAX => return Err(foreign(&path)),
                about => about.and_then(|_| fs::read_to_string(&path)),
            };
            let text = match text {
                // Others went far ahead in between, or somebody deleted it.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                text => text?,
            };
            let lease = text.strip_prefix(HEAD).ok_or_else(|| foreign(&path))?;
            let lease = serde_json::from_str(lease).map_err(|_| foreign(&path))?;
            return Ok(Some((lease, Revision(format!("{number} {text}")))));
        }
        Err(io::Error::other("the lease changes faster than it can be read"))
    }

    /// None if somebody else wrote in between.
    fn write(&self, lease: &Lease, over: Option<&Revision>) -> io::Result<Option<Revision>> {
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        let found = self.read()?.map(|(_, revision)| revision);
        if found.as_ref() != over {
            return Ok(None);
        }
        let last = found.and_then(|revision| revision.0.split(' ').next()?.parse().ok());
        let number = last.unwrap_or(0_u64) + 1;
        let text = format!("{HEAD}{}\n", serde_json::to_string(lease)?);
        let draft = self.draft(&text)?;
        let placed = self.place(&draft, number);
        fs::remove_file(&draft)?;
        if !placed? {
            return Ok(None);
        }
        self.tidy(number);
        Ok(Some(Revision(format!("{number} {text}"))))
    }

    fn draft(&self, text: &str) -> io::Result<PathBuf> {
        let nth = self.drafts.fetch_add(1, Ordering::Relaxed);
        let mut path = self.draft.as_os_str().to_owned();
        path.push(format!("{}-{nth}", std::process::id()));
        let path = PathBuf::from(path);
        let mut draft = File::create(&path)?;
        draft.write_all(text.as_bytes())?;
        draft.sync_all()?;
        Ok(path)
    }

    /// False if the number was taken, or the others are further already: then this process stood still since it read.
    fn place(&self, draft: &Path, number: u64) -> io::Result<bool> {
        let path = self.state(number);
        match fs::hard_link(draft, &path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(false),
            linked => linked?,
        }
        if self.numbers()?.into_iter().max() != Some(number) {
            fs::remove_file(&path)?;
            return Ok(false);
        }
        if let Some(folder) = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            File::open(folder)?.sync_all()?;
        }
        Ok(true)
    }

    fn state(&self, number: u64) -> PathBuf {
        beside(&self.path, &number.to_string())
    }

    /// What follows the lease's name and a dot in the names of the files beside it.
    fn endings(&self) -> io::Result<Vec<String>> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let entries = match fs::read_dir(folder.unwrap_or_else(|| Path::new("."))) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let mut endings = Vec::new();
        for entry in entries {
            let found = entry?.file_name();
            let found = found.to_string_lossy();
            let ending = found.strip_prefix(&*name).and_then(|rest| rest.strip_prefix('.'));
            endings.extend(ending.map(str::to_owned));
        }
        Ok(endings)
    }

    fn numbers(&self) -> io::Result<Vec<u64>> {
        let endings = self.endings()?;
        Ok(endings.iter().filter_map(|ending| ending.parse().ok()).collect())
    }

    /// Somebody else does it if we cannot.
    fn tidy(&self, number: u64) {
        let old = self.numbers().unwrap_or_default().into_iter();
        for old in old.filter(|old| old + KEPT < number) {
            let _gone = fs::remove_file(self.state(old));
        }
    }

    /// What an earlier life of this replica prepared and did not live to place.
    fn tidy_drafts(&self) {
        let own = self
            .draft
            .extension()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        for ending in self.endings().unwrap_or_default() {
            if ending.starts_with(&own) {
                let _gone = fs::remove_file(beside(&self.path, &ending));
            }
        }
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".");
    beside.push(ending);
    PathBuf::from(beside)
}

fn foreign(path: &Path) -> io::Error {
    let words = format!("{} is not a lease of Skopos", path.display());
    io::Error::new(ErrorKind::InvalidData, words)
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
        for number in 1..=2 {
            fs::remove_file(beside(&path, &number.to_string())).unwrap();
        }
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
        let first = beside(&path, "1");
        fs::write(&first, "something else").unwrap();
        let arbiter = FileArbiter::new(&path, "a");
        assert!(matches!(arbiter.read().await, Err(ArbiterError::Away(_))));
        let written = arbiter.write(lease("a", 1), None).await;
        assert!(matches!(written, Err(ArbiterError::Away(_))), "{written:?}");
        assert_eq!(fs::read_to_string(&first).unwrap(), "something else");
    }

    #[tokio::test]
    async fn who_stood_still_in_the_midst_of_it_keeps_nobody_waiting_and_comes_too_late() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lease");
        let (a, b) = (FileArbiter::new(&path, "a"), FileArbiter::new(&path, "b"));
        let mut seen = a.write(lease("a", 1), None).await.unwrap();
        // It has read the first state and prepared the second.
        let draft = a.0.draft("SKOPOS-LEASE 1\n").unwrap();
        for renewals in 2..40 {
            seen = b.write(lease("b", renewals), Some(seen)).await.unwrap();
        }
        assert!(!a.0.place(&draft, 2).unwrap());
        assert_eq!(a.read().await, Ok(Some((lease("b", 39), seen))));
        assert_eq!(a.0.numbers().unwrap().len() as u64, KEPT + 1);
        // Its next life does not find what it left.
        drop(FileArbiter::new(&path, "a"));
        assert!(!draft.exists());
    }

    #[tokio::test]
    async fn a_name_in_the_present_folder_will_do() {
        let place = FileArbiter::new(Path::new("lease-of-nobody"), "a");
        assert_eq!(place.read().await, Ok(None));
    }
}
