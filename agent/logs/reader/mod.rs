//! Reads log files and hands finished batches on; a plain loop on a thread of its own.
//!
//! Never drops: while the shipper cannot take a batch, reading waits and only names are followed, so that no file
//! goes away unopened. The file is the buffer.

mod admit;
pub(crate) mod danger;
mod facts;
mod packed;
mod read;
mod recall;
mod settle;
mod spooled;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::Timestamp;

use crate::account::Account;
use crate::batch::Batch;
use crate::board::Board;
use crate::config::Config;
use crate::days::day_of;
use crate::draft::{Draft, Held, Size};
use crate::folders::{Entry, FolderId, Folders};
use crate::lines::Lines;
use crate::mark::{FileMark, Form};
use crate::plan::Planner;
use crate::redact::Redaction;
use crate::segment::write::Kept;
use crate::source::Source;
use crate::tail::{End, Phase, Tail};

/// Files followed at most.
const FILES_MAX: usize = 16_384;

/// Where finished batches go.
pub(crate) trait Outlet {
    /// Gives the batch back when there is no room now.
    #[expect(clippy::result_large_err, reason = "once for half a megabyte of lines")]
    fn offer(&mut self, batch: Batch) -> Result<(), Batch>;

    /// Waits until there is room, or nobody is there to take it.
    fn push(&mut self, batch: Batch);

    /// Memory of a batch that was kept, to be used again.
    fn spare(&mut self) -> Option<Batch>;
}

/// How long things are waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Between two regular looks, when all folders are watched (a sixth of them each time), and when not.
    pub(crate) survey: Duration,
    pub(crate) survey_unwatched: Duration,
    /// A file without its name is read until it has been quiet for so long.
    pub(crate) quiet: Duration,
    /// Likewise a container's file when there is a next one.
    pub(crate) quiet_container: Duration,
    /// A rotated file that has been quiet for so long is closed.
    pub(crate) close: Duration,
    /// A file of an earlier run that has not been seen for so long is forgotten.
    pub(crate) forget: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            survey: Duration::from_secs(5),
            survey_unwatched: Duration::from_secs(1),
            quiet: Duration::from_secs(5),
            quiet_container: Duration::from_secs(1),
            close: Duration::from_secs(60),
            forget: Duration::from_secs(3_600),
        }
    }
}

pub(crate) struct Reader<O> {
    config: Config,
    pace: Pace,
    folders: Folders,
    tails: Vec<Option<Tail>>,
    /// Numbers of `tails` that are free.
    free: Vec<usize>,
    by_inode: HashMap<(u64, u64), usize>,
    sources: HashMap<Arc<str>, Source>,
    /// Marks of an earlier run whose files have not been found, by inode number, and since when.
    orphans: HashMap<u64, Vec<(FileMark, Instant)>>,
    /// Files that could not be opened, or not be told from a copy, to be tried again.
    refused: Vec<(FolderId, Entry)>,
    /// Files with bytes to read, in turn.
    dirty: VecDeque<usize>,
    /// Files that are on their way out.
    settling: BTreeSet<usize>,
    /// Rows of the board that have changed.
    changed: BTreeSet<usize>,
    draft: Draft,
    /// Marks of files that are no more, for the next batch.
    gone: Vec<FileMark>,
    /// A finished batch that the shipper had no room for.
    outbox: Option<Batch>,
    outlet: O,
    lines: Lines,
    planner: Planner,
    /// Sources with records of several lines that may go on, and when to look at them again.
    holding: HashMap<Arc<str>, Instant>,
    /// Files that are not read before somebody says whose they are, and for how long.
    waiting: HashMap<usize, Instant>,
    buffer: Vec<u8>,
    account: Arc<Account>,
    board: Arc<Board>,
    first_start: Timestamp,
    /// Whether nothing was ever kept here before.
    fresh: bool,
    own_output: Vec<(u64, u64)>,
    next_survey: Option<Instant>,
    /// Number of the last regular look.
    round: usize,
    said_full: bool,
    /// In days since 1970.
    today: i64,
    spooled: spooled::Spooled,
}

impl<O: Outlet> Reader<O> {
    /// `own` is the agent's own data; `kept` is what an earlier run has left.
    pub(crate) fn new(
        config: Config,
        own: &Path,
        kept: Kept,
        (outlet, size): (O, Size),
        account: Arc<Account>,
        board: Arc<Board>,
        now: Instant,
    ) -> Self {
        let mut orphans: HashMap<u64, Vec<(FileMark, Instant)>> = HashMap::new();
        for mark in kept.marks {
            orphans.entry(mark.inode.ino).or_default().push((mark, now));
        }
        Self {
            pace: Pace::default(),
            folders: Folders::new(&config, own),
            tails: Vec::new(),
            free: Vec::new(),
            by_inode: HashMap::new(),
            sources: HashMap::new(),
            orphans,
            refused: Vec::new(),
            dirty: VecDeque::new(),
            settling: BTreeSet::new(),
            changed: BTreeSet::new(),
            draft: Draft::new(size),
            gone: Vec::new(),
            outbox: None,
            outlet,
            lines: Lines::new(Arc::clone(&account), redaction(&config), config.line_bytes_max),
            planner: Planner::new(&config, None),
            holding: HashMap::new(),
            waiting: HashMap::new(),
            buffer: Vec::new(),
            account,
            board,
            first_start: kept.first_start,
            fresh: kept.fresh,
            own_output: own_output(),
            next_survey: None,
            round: 0,
            said_full: false,
            today: 0,
            spooled: spooled::Spooled::default(),
            config,
        }
    }

    pub(crate) fn folders(&self) -> &Folders {
        &self.folders
    }

    #[cfg(test)]
    pub(crate) fn blind(&mut self) {
        self.folders.blind();
    }

    #[cfg(test)]
    pub(crate) fn outlet(&mut self) -> &mut O {
        &mut self.outlet
    }

    /// Does what there is to do now; returns for how long there is nothing more, zero when there is.
    pub(crate) fn turn(&mut self, now: Instant, wall: Timestamp) -> Duration {
        self.lines.now = wall;
        self.lines.running = now;
        let mut written = Vec::new();
        let lost = self.folders.events(|file| written.push(file));
        for file in written {
            self.wake(file);
        }
        if lost || self.next_survey.is_none_or(|due| due <= now) {
            self.survey(now, lost);
        }
        self.turn_day(now, wall);
        self.look_around(now);
        self.look_at_spool(now);
        self.look_at_pods(now);
        self.deliver();
        self.read_all(now);
        self.end_quiet(now);
        self.settle(now);
        if self.draft.due().is_some_and(|due| due <= now) {
            self.seal();
        }
        self.deliver();
        self.publish();
        self.rest(now)
    }

    /// At midnight the day of files is noted whether or not they are written to: after a restart what is new in them shall
    /// not be of the day on which they were written to last.
    fn turn_day(&mut self, now: Instant, wall: Timestamp) {
        let today = day_of(wall);
        if std::mem::replace(&mut self.today, today) == today {
            return;
        }
        for (file, tail) in self.tails.iter_mut().enumerate() {
            if tail.as_mut().is_some_and(|tail| tail.turn_day(wall)) {
                self.draft.touch(file, now);
            }
        }
    }

    fn rest(&self, now: Instant) -> Duration {
        if self.outbox.is_none() && !self.dirty.is_empty() {
            return Duration::ZERO;
        }
        let mut rest = self
            .next_survey
            .map_or(Duration::ZERO, |due| due.saturating_duration_since(now));
        if let Some(due) = self.draft.due() {
            rest = rest.min(due.saturating_duration_since(now));
        }
        // While a batch cannot be handed on nothing is ended.
        let holding = self.holding.values().filter(|_| self.outbox.is_none());
        if let Some(due) = holding.chain(self.waiting.values()).min() {
            rest = rest.min(due.saturating_duration_since(now));
        }
        if !self.settling.is_empty() {
            rest = rest.min(Duration::from_millis(200));
        }
        if self.outbox.is_some() {
            rest = rest.min(Duration::from_secs(1));
        }
        rest.max(Duration::from_millis(1))
    }

    /// Reads by another configuration from now on. Files that it does not name are let go; their marks stay a while.
    pub(crate) fn apply(&mut self, config: Config, now: Instant) {
        self.folders.configure(&config);
        self.lines.line_bytes_max = config.line_bytes_max;
        self.lines.redaction = redaction(&config);
        self.planner.configure(&config);
        self.config = config;
        self.plan_anew();
        self.refused.clear();
        for file in 0..self.tails.len() {
            self.lose(file, now);
        }
        self.next_survey = None;
    }

    /// The end: what has been read goes out with the last batch.
    pub(crate) fn finish(mut self) {
        for tail in self.tails.iter_mut().flatten() {
            tail.look(self.lines.running);
            if matches!(tail.phase, Phase::Deleted(_)) {
                self.account.unread_at_unlink.inc_by(tail.unread());
            }
        }
        for _ in 0..2 {
            if let Some(batch) = self.outbox.take() {
                self.outlet.push(batch);
            }
            self.seal();
        }
    }

    fn tail(&mut self, file: usize) -> Option<&mut Tail> {
        self.tails.get_mut(file)?.as_mut()
    }

    /// There is something to read in a file.
    fn wake(&mut self, file: usize) {
        if let Some(tail) = self.tail(file)
            && !std::mem::replace(&mut tail.dirty, true)
        {
            self.dirty.push_back(file);
        }
    }

    /// Makes the draft a batch, if anything is in it and the last one is out.
    fn seal(&mut self) {
        if self.outbox.is_some() || (self.draft.is_empty() && self.gone.is_empty()) {
            return;
        }
        let (mut batch, files) = self.draft.finish(self.outlet.spare());
        let mut ended = Vec::new();
        for row in batch.rows.iter().filter(|row| !row.is_timed) {
            let held = files.get(usize::from(row.file)).map(|held| held.file);
            if let Some(tail) = held.and_then(|file| self.tails.get_mut(file)?.as_mut()) {
                tail.has_undated = true;
            }
        }
        for Held { file, facts } in files {
            let Some(tail) = self.tails.get_mut(file).and_then(Option::as_mut) else {
                continue;
            };
            let source = self.sources.get(&tail.base);
            let open = source.map_or([None; 3], |source| source.open_in(file));
            let plan = source.map(|source| Arc::clone(&source.plan));
            // While a record is open in it, a file has to be found again after a restart.
            let free = open.iter().all(Option::is_none);
            let end = tail.end.filter(|_| free);
            batch.new_files.extend(tail.begun());
            batch.days.extend(tail.turned().map(|days| (tail.id, days)));
            let mut mark = tail.mark(open, end == Some(End::Gone));
            if let Some(facts) = facts {
                mark.source = Arc::clone(&facts.source);
                mark.facts = Some(facts);
            }
            if end == Some(End::Released) {
                let since = self.lines.running;
                self.orphans
                    .entry(mark.inode.ino)
                    .or_default()
                    .push((mark.bare(), since));
            }
            batch.marks.push(mark);
            batch.plans.push(plan.unwrap_or_default());
            if end.is_some() {
                ended.push(file);
            }
        }
        for file in ended {
            self.discard(file);
        }
        batch.marks.append(&mut self.gone);
        self.account.take(batch.rows.len() as u64);
        self.outbox = Some(batch);
    }

    fn discard(&mut self, file: usize) {
        let Some(tail) = self.tails.get_mut(file).and_then(Option::take) else {
            return;
        };
        self.free.push(file);
        self.waiting.remove(&file);
        self.changed.remove(&file);
        self.board.remove(file);
        if let Some(source) = self.sources.get_mut(&tail.base) {
            source.remove(file);
            if source.files.is_empty() {
                self.sources.remove(&tail.base);
            }
        }
    }

    fn deliver(&mut self) {
        if let Some(batch) = self.outbox.take() {
            self.outbox = self.outlet.offer(batch).err();
        }
    }

    fn publish(&mut self) {
        for file in std::mem::take(&mut self.changed) {
            if let Some(tail) = self.tails.get(file).and_then(Option::as_ref)
                && !tail.copy
                && tail.form != Form::Spool
            {
                self.board.show(file, tail);
            }
        }
    }
}

/// Its patterns were looked at when the configuration was read.
fn redaction(config: &Config) -> Redaction {
    config.redaction().unwrap_or_else(|why| {
        tracing::error!(why, "nothing is taken out of log lines");
        Redaction::default()
    })
}

/// Files that our own output goes to: reading them would make lines of lines for ever.
fn own_output() -> Vec<(u64, u64)> {
    let (out, err) = (std::io::stdout(), std::io::stderr());
    [rustix::fs::fstat(&out), rustix::fs::fstat(&err)]
        .into_iter()
        .flatten()
        .map(|stat| (stat.st_dev, stat.st_ino))
        .collect()
}
