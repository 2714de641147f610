//! Asks file systems for their sizes on a side thread, because a hung mount hangs whoever asks.
//!
//! A mount that does not answer in time is left alone, with its thread, until it answers after all; the
//! others are asked by a new thread. There are never more than `THREADS_MAX` of them.

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Threads at most, hung ones included.
const THREADS_MAX: usize = 8;
/// All mounts together may take this many times what one may.
const ROUND_FACTOR: u32 = 4;
/// Answers under way at most; a fuller channel makes the side thread wait.
const ANSWERS_MAX: usize = 1024;

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Sizes {
    pub(crate) size_bytes: f64,
    pub(crate) free_bytes: f64,
    pub(crate) avail_bytes: f64,
    pub(crate) files: f64,
    pub(crate) files_free: f64,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    Sizes(Sizes),
    /// In the words of the label `device_error`.
    Error(String),
}

impl Answer {
    fn late() -> Self {
        Self::Error("mountpoint timeout".to_owned())
    }
}

pub(crate) struct Statfs {
    ask: Asking,
    timeout: Duration,
    worker: Option<Worker>,
    /// Mounts that some thread is asking just now; between two rounds these are the hung ones.
    in_hand: InHand,
    /// One clone for each living thread.
    living: Arc<()>,
}

type Asking = Arc<dyn Fn(&Path) -> io::Result<Sizes> + Send + Sync>;
type InHand = Arc<Mutex<HashSet<Arc<Path>>>>;

struct Worker {
    jobs: SyncSender<Vec<(usize, Arc<Path>)>>,
    answers: Receiver<(usize, Answer)>,
}

impl Statfs {
    pub(crate) fn new(timeout: Duration) -> Self {
        Self::with(timeout, Arc::new(ask))
    }

    pub(crate) fn with(timeout: Duration, ask: Asking) -> Self {
        Self {
            ask,
            timeout,
            worker: None,
            in_hand: InHand::default(),
            living: Arc::default(),
        }
    }

    /// An answer for each path, within a few timeouts at the worst.
    pub(crate) fn all(&mut self, paths: &[Arc<Path>]) -> Vec<Answer> {
        let mut answers = vec![Answer::late(); paths.len()];
        let mut waiting: Vec<(usize, Arc<Path>)> = paths.iter().cloned().enumerate().collect();
        let deadline = Instant::now() + self.timeout * ROUND_FACTOR;
        loop {
            let in_hand = self.in_hand.lock().clone();
            waiting.retain(|(_, path)| !in_hand.contains(path));
            if waiting.is_empty() || Instant::now() >= deadline {
                return answers;
            }
            let Some(worker) = self.worker.take().or_else(|| self.hire()) else {
                return answers;
            };
            if worker.jobs.send(waiting.clone()).is_ok() {
                let answered = self.gather(worker, waiting.len(), deadline, &mut answers);
                waiting.drain(..answered.min(waiting.len()));
            }
        }
    }

    /// Takes answers, which come in the order of the job, until all are there or one is late; then the
    /// thread is left to itself, and ends once it finds nobody listening.
    fn gather(&mut self, worker: Worker, count: usize, deadline: Instant, answers: &mut [Answer]) -> usize {
        for answered in 0..count {
            let patience = self
                .timeout
                .min(deadline.saturating_duration_since(Instant::now()));
            let Ok((nth, answer)) = worker.answers.recv_timeout(patience) else {
                return answered;
            };
            if let Some(place) = answers.get_mut(nth) {
                *place = answer;
            }
        }
        self.worker = Some(worker);
        count
    }

    fn hire(&self) -> Option<Worker> {
        if Arc::strong_count(&self.living) > THREADS_MAX {
            return None;
        }
        let (jobs, inbox) = sync_channel::<Vec<(usize, Arc<Path>)>>(1);
        let (outbox, answers) = sync_channel(ANSWERS_MAX);
        let (ask, in_hand, alive) = (
            Arc::clone(&self.ask),
            Arc::clone(&self.in_hand),
            Arc::clone(&self.living),
        );
        let run = move || {
            let _alive = alive;
            work(&inbox, &outbox, &ask, &in_hand);
        };
        std::thread::Builder::new()
            .name("statfs".to_owned())
            .spawn(run)
            .ok()?;
        Some(Worker { jobs, answers })
    }
}

fn work(
    inbox: &Receiver<Vec<(usize, Arc<Path>)>>,
    outbox: &SyncSender<(usize, Answer)>,
    ask: &Asking,
    in_hand: &InHand,
) {
    while let Ok(job) = inbox.recv() {
        for (nth, path) in job {
            in_hand.lock().insert(Arc::clone(&path));
            let answer = match ask(&path) {
                Ok(sizes) => Answer::Sizes(sizes),
                Err(error) => Answer::Error(words(&error)),
            };
            in_hand.lock().remove(&path);
            if outbox.send((nth, answer)).is_err() {
                return;
            }
        }
    }
}

fn ask(path: &Path) -> io::Result<Sizes> {
    let found = rustix::fs::statfs(path)?;
    // The preferred block size, not the fragment's: it is what node_exporter counts in.
    let block = found.f_bsize as f64;
    Ok(Sizes {
        size_bytes: found.f_blocks as f64 * block,
        free_bytes: found.f_bfree as f64 * block,
        avail_bytes: found.f_bavail as f64 * block,
        files: found.f_files as f64,
        files_free: found.f_ffree as f64,
    })
}

/// `permission denied`, as Go words it.
fn words(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_ascii_lowercase());
    first.into_iter().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_millis(40);

    fn paths(names: &[&str]) -> Vec<Arc<Path>> {
        names.iter().map(|name| Arc::from(Path::new(name))).collect()
    }

    fn sizes(bytes: f64) -> Sizes {
        Sizes {
            size_bytes: bytes,
            ..Sizes::default()
        }
    }

    /// Answers at once, but for `/hung`, which answers when `gate` is opened.
    fn statfs(gate: &Arc<(Mutex<bool>, parking_lot::Condvar)>) -> Statfs {
        let gate = Arc::clone(gate);
        let ask = move |path: &Path| {
            if path == Path::new("/hung") {
                let mut open = gate.0.lock();
                gate.1.wait_while(&mut open, |open| !*open);
            }
            if path == Path::new("/gone") {
                return Err(io::Error::from_raw_os_error(2));
            }
            Ok(sizes(path.as_os_str().len() as f64))
        };
        Statfs::with(PATIENCE, Arc::new(ask))
    }

    #[test]
    fn a_hung_mount_costs_one_timeout_and_the_others_answer() {
        let gate = Arc::default();
        let mut statfs = statfs(&gate);
        let paths = paths(&["/", "/hung", "/gone", "/abc"]);
        let hung = [
            Answer::Sizes(sizes(1.0)),
            Answer::late(),
            Answer::Error("no such file or directory".to_owned()),
            Answer::Sizes(sizes(4.0)),
        ];
        assert_eq!(statfs.all(&paths), hung);
        let began = Instant::now();
        assert_eq!(statfs.all(&paths), hung);
        assert!(
            began.elapsed() < PATIENCE,
            "a mount known to hang is not waited for"
        );
        *gate.0.lock() = true;
        gate.1.notify_all();
        let mut answers = Vec::new();
        while answers.get(1) != Some(&Answer::Sizes(sizes(5.0))) {
            assert!(
                began.elapsed() < Duration::from_secs(20),
                "a mount that recovers is asked again"
            );
            answers = statfs.all(&paths);
        }
    }

    #[test]
    fn threads_are_bounded_when_everything_hangs() {
        let gate = Arc::default();
        let mut statfs = statfs(&gate);
        statfs.timeout = Duration::from_millis(1);
        for _ in 0..THREADS_MAX * 3 {
            // As if each round met another hung mount.
            statfs.in_hand.lock().clear();
            statfs.all(&paths(&["/hung"]));
        }
        assert_eq!(Arc::strong_count(&statfs.living), THREADS_MAX + 1);
        *gate.0.lock() = true;
        gate.1.notify_all();
    }

    #[test]
    fn the_root_has_sizes() {
        let answers = Statfs::new(Duration::from_secs(5)).all(&paths(&["/"]));
        assert!(matches!(&answers[..], [Answer::Sizes(sizes)] if sizes.size_bytes >= sizes.avail_bytes));
    }
}
