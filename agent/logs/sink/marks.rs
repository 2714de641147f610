//! The watermarks of a sink that keeps its lines elsewhere: a log of them, written by a thread of its own.
//!
//! On the disk within a second. While the disk takes none they stay in memory, one for each file, and lines go on: a
//! restart sends more again, which a sink that has ids knows by them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use model::Clock;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tracing::{info, warn};

use super::metrics::Counts;
use crate::batch::Batch;
use crate::bell::Bell;
use crate::days::Days;
use crate::mark::{FileId, FileMark, renew};
use crate::segment::write::Writer;

/// What was acknowledged is on the disk after this at the latest.
const SYNC: Duration = Duration::from_secs(1);

/// Where watermarks are handed in; cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Marks(Arc<Desk>);

#[derive(Default)]
struct Desk {
    /// Whether what is handed in is written at once and not within a second: the sink knows no ids, and after `kill -9` has
    /// twice whatever was acknowledged and not written.
    is_urgent: AtomicBool,
    waiting: Mutex<Waiting>,
    bell: Bell,
}

#[derive(Default)]
struct Waiting {
    marks: HashMap<FileId, FileMark>,
    /// Of files that are in the log or in `marks`, in the order of their batches.
    days: Vec<(FileId, Days)>,
    /// Who waits until the log has what they have handed in, or cannot have it.
    asked: Vec<oneshot::Sender<()>>,
}

/// The thread's end.
pub(crate) struct Clerk {
    pub(crate) marks: Marks,
    pub(crate) log: Writer,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) counts: Arc<Counts>,
    pub(crate) sink: String,
}

impl Marks {
    pub(crate) fn new(is_urgent: bool) -> Self {
        Self(Arc::new(Desk {
            is_urgent: AtomicBool::new(is_urgent),
            ..Desk::default()
        }))
    }

    /// Notes files before their first line is sent, and days before their first line is, so that it has the same id and
    /// index if it has to be sent again. Ends when the
    /// log has them, or the disk has refused them.
    pub(crate) fn begin(&self, files: &[FileMark], days: &[(FileId, Days)]) -> Option<oneshot::Receiver<()>> {
        if files.is_empty() && days.is_empty() {
            return None;
        }
        let (asked, noted) = oneshot::channel();
        let mut waiting = self.0.waiting.lock();
        for mark in files {
            note(&mut waiting.marks, mark.clone());
        }
        waiting.days.extend_from_slice(days);
        waiting.asked.push(asked);
        drop(waiting);
        self.0.bell.ring();
        Some(noted)
    }

    /// What has been acknowledged up to these marks.
    pub(crate) fn add(&self, marks: &[FileMark]) {
        let mut waiting = self.0.waiting.lock();
        for mark in marks {
            renew(&mut waiting.marks, mark.clone());
        }
        drop(waiting);
        if self.0.is_urgent.load(Ordering::Relaxed) {
            self.0.bell.ring();
        }
    }

    /// From now on what is handed in is written at once.
    pub(crate) fn hurry(&self) {
        self.0.is_urgent.store(true, Ordering::Relaxed);
    }

    /// No more will come: the thread writes what there is and ends.
    pub(crate) fn close(&self) {
        self.0.bell.stop();
    }
}

/// Adds what is not newer than what is there.
fn note(marks: &mut HashMap<FileId, FileMark>, mark: FileMark) {
    match marks.entry(mark.id) {
        Entry::Occupied(mut newer) => {
            let newer = newer.get_mut();
            newer.know_front(mark.head);
            newer.days.know(mark.days);
        }
        Entry::Vacant(free) => {
            free.insert(mark);
        }
    }
}

/// Adds days to the marks of their files, which the log has where they are not among these.
pub(crate) fn add_days(marks: &mut HashMap<FileId, FileMark>, days: Vec<(FileId, Days)>, log: &Writer) {
    for (id, days) in days {
        let mark = match marks.entry(id) {
            Entry::Occupied(mark) => Some(mark.into_mut()),
            Entry::Vacant(free) => log.mark(id).map(|mark| free.insert(mark.clone())),
        };
        if let Some(mark) = mark {
            mark.days.know(days);
        }
    }
}

impl Clerk {
    pub(crate) fn run(mut self) {
        let (mut synced, mut is_failing) = (Instant::now(), false);
        loop {
            let goes_on = self.marks.0.bell.wait(SYNC);
            let mut done = self.append();
            if !goes_on || synced.elapsed() >= SYNC {
                done = done.and_then(|()| self.log.sync());
                synced = Instant::now();
            }
            self.tell(done, &mut is_failing);
            if !goes_on {
                return;
            }
        }
    }

    fn append(&mut self) -> io::Result<()> {
        let Waiting {
            mut marks,
            days,
            asked,
        } = std::mem::take(&mut *self.marks.0.waiting.lock());
        add_days(&mut marks, days, &self.log);
        let mut batch = Batch {
            marks: marks.into_values().collect(),
            ..Batch::default()
        };
        let done = match batch.marks.is_empty() {
            true => Ok(()),
            false => self.log.append(&batch, self.clock.now()),
        };
        if done.is_err() {
            let mut waiting = self.marks.0.waiting.lock();
            for mark in batch.marks.drain(..) {
                note(&mut waiting.marks, mark);
            }
        }
        for asked in asked {
            // Whoever asked may be gone.
            _ = asked.send(());
        }
        done
    }

    fn tell(&self, done: io::Result<()>, is_failing: &mut bool) {
        let sink = &self.sink;
        match done {
            Ok(()) if std::mem::take(is_failing) => {
                info!(sink, "places reached in log files are on the disk again")
            }
            Ok(()) => {}
            Err(error) => {
                self.counts.checkpoint_failed(1);
                if !std::mem::replace(is_failing, true) {
                    warn!(sink, %error, "places reached in log files cannot be written; a restart would send lines again");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use prometheus::Registry;
    use telemetry::clock::RuntimeClock;

    use super::*;
    use crate::config::Retention;
    use crate::mark::{Form, Inode, Print};
    use crate::segment::write::{Kept, Limits};
    use crate::sink::metrics::Metrics;

    fn mark(id: u64, read: u64) -> FileMark {
        FileMark {
            id: FileId(id),
            form: Form::Plain,
            source: "".into(),
            base: "/a".into(),
            path: "/a".into(),
            inode: Inode {
                dev: 1,
                ino: id,
                born: 1,
            },
            generation: 0,
            head: Print::default(),
            read,
            check: Print::default(),
            done: [read; 3],
            copy: false,
            packed: false,
            gone: false,
            facts: None,
            days: crate::days::Days::default(),
        }
    }

    fn open(folder: &std::path::Path) -> (Writer, Vec<(u64, u64)>) {
        let (log, kept) = open_log(folder);
        let mut places: Vec<(u64, u64)> = kept.marks.iter().map(|mark| (mark.id.0, mark.read)).collect();
        places.sort_unstable();
        (log, places)
    }

    fn open_log(folder: &std::path::Path) -> (Writer, Kept) {
        let limits = Limits {
            segment_bytes: 1 << 20,
            retention: Retention::default(),
            compress: false,
        };
        let now = RuntimeClock::system().now();
        Writer::open(folder, Arc::new(Mutex::new(limits)), now).unwrap()
    }

    fn clerk(log: Writer, marks: &Marks) -> Clerk {
        let metrics = Arc::new(Metrics::new(&Registry::new()));
        Clerk {
            marks: marks.clone(),
            log,
            clock: RuntimeClock::system(),
            counts: Arc::new(Counts::new("s", metrics)),
            sink: "s".to_owned(),
        }
    }

    #[test]
    fn what_is_handed_in_is_in_the_log_and_a_file_is_noted_before_its_first_line_goes() {
        let folder = tempfile::tempdir().unwrap();
        let marks = Marks::default();
        let clerk = clerk(open(folder.path()).0, &marks);
        let running = std::thread::spawn(move || clerk.run());
        let noted = marks.begin(&[mark(1, 0), mark(2, 0)], &[]).unwrap();
        noted.blocking_recv().unwrap();
        marks.add(&[mark(1, 10)]);
        marks.add(&[mark(1, 20)]);
        marks.close();
        running.join().unwrap();
        assert_eq!(open(folder.path()).1, [(1, 20), (2, 0)]);
        assert!(marks.begin(&[], &[]).is_none());
    }

    #[test]
    fn what_was_said_of_an_empty_file_does_not_undo_that_its_front_is_noted() {
        let folder = tempfile::tempdir().unwrap();
        let front = |id| FileMark {
            head: Print::new(b"front"),
            ..mark(id, 0)
        };
        let marks = Marks::default();
        let mut clerk = clerk(open(folder.path()).0, &marks);
        // Of both the first batch had no line; it is acknowledged before the file is noted, or afterwards.
        marks.add(&[mark(1, 0)]);
        _ = marks.begin(&[front(1)], &[]).unwrap();
        _ = marks.begin(&[front(2)], &[]).unwrap();
        clerk.append().unwrap();
        marks.add(&[mark(1, 0), mark(2, 0)]);
        clerk.append().unwrap();
        drop(clerk);
        let (_, kept) = open_log(folder.path());
        assert_eq!(kept.marks.len(), 2);
        assert!(kept.marks.iter().all(|mark| mark.head == Print::new(b"front")));
    }

    #[test]
    fn a_day_is_noted_without_moving_a_place_and_no_older_mark_undoes_it() {
        let folder = tempfile::tempdir().unwrap();
        let marks = Marks::default();
        let mut clerk = clerk(open(folder.path()).0, &marks);
        marks.add(&[mark(1, 10)]);
        clerk.append().unwrap();
        let mut days = Days::default();
        days.turn(20, 7);
        _ = marks
            .begin(
                &[mark(2, 0)],
                &[(FileId(1), days.clone()), (FileId(2), days.clone())],
            )
            .unwrap();
        clerk.append().unwrap();
        // What was sent before is acknowledged now.
        marks.add(&[mark(1, 15)]);
        clerk.append().unwrap();
        // Nobody knows of it: a mark of it would be a guess.
        _ = marks.begin(&[], &[(FileId(3), days.clone())]).unwrap();
        clerk.append().unwrap();
        drop(clerk);
        let (_, kept) = open_log(folder.path());
        let mut kept: Vec<_> = kept
            .marks
            .into_iter()
            .map(|mark| (mark.id.0, mark.read, mark.days))
            .collect();
        kept.sort_unstable_by_key(|(id, ..)| *id);
        assert_eq!(kept, [(1, 15, days.clone()), (2, 0, days)]);
    }

    #[test]
    fn what_is_urgent_is_written_at_once() {
        let written_within = |is_urgent: bool, patience: Duration| {
            let folder = tempfile::tempdir().unwrap();
            let marks = Marks::new(is_urgent);
            let clerk = clerk(open(folder.path()).0, &marks);
            let running = std::thread::spawn(move || clerk.run());
            let size = || {
                let file = folder.path().join("0000000001.segment");
                std::fs::metadata(file).unwrap().len()
            };
            let (before, begun) = (size(), Instant::now());
            marks.add(&[mark(1, 10)]);
            while size() == before && begun.elapsed() < patience {
                std::thread::yield_now();
            }
            let is_written = size() > before;
            marks.close();
            running.join().unwrap();
            is_written
        };
        assert!(written_within(true, Duration::from_secs(10)));
        assert!(!written_within(false, Duration::from_millis(50)));
    }

    #[test]
    fn while_the_disk_takes_nothing_the_newest_places_wait_and_nobody_is_held_up() {
        let folder = tempfile::tempdir().unwrap();
        let marks = Marks::default();
        let mut clerk = clerk(open(folder.path()).0, &marks);
        let full = File::open(folder.path().join("0000000001.segment")).unwrap();
        let real = clerk.log.replace_file(full);
        let noted = marks.begin(&[mark(1, 0)], &[]).unwrap();
        assert!(clerk.append().is_err(), "it is open for reading only");
        noted.blocking_recv().unwrap();
        marks.add(&[mark(1, 10), mark(2, 5)]);
        assert!(clerk.append().is_err());
        clerk.log.replace_file(real);
        clerk.append().unwrap();
        clerk.log.sync().unwrap();
        assert_eq!(open(folder.path()).1, [(1, 10), (2, 5)]);
    }
}
