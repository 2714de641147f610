//! A reader whose batches go straight into segments, and whose time is the test's.

use std::cell::RefCell;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::view::{LogPage, LogQuery};
use model::{LogRecord, Timestamp};
use parking_lot::Mutex;
use prometheus::Registry;
use tempfile::TempDir;

use crate::account::{Account, Metrics};
use crate::batch::Batch;
use crate::bell::Bell;
use crate::board::Board;
use crate::config::Config;
use crate::draft::Size;
use crate::reader::{Outlet, Reader};
use crate::search::search_up_to;
use crate::segment::write::{Limits, Writer};
use crate::sink::marks::add_days;
use crate::spool::Spool;

/// Keeps batches at once, or has no room while `full`.
pub(crate) struct Direct {
    writer: Rc<RefCell<Writer>>,
    account: Arc<Account>,
    wall: Timestamp,
    pub(crate) full: bool,
    /// What is to be noted before a batch goes is, and the batch is lost on its way.
    pub(crate) lost: bool,
    /// Texts and times of what was sent.
    pub(crate) sent: Vec<(String, Timestamp)>,
}

impl Outlet for Direct {
    fn offer(&mut self, batch: Batch) -> Result<(), Batch> {
        if self.full {
            return Err(batch);
        }
        self.push(batch);
        Ok(())
    }

    fn push(&mut self, batch: Batch) {
        for nth in 0..batch.rows.len() {
            let (row, text) = batch.record(nth).unwrap();
            self.sent
                .push((String::from_utf8_lossy(text).into_owned(), row.time));
        }
        let mut writer = self.writer.borrow_mut();
        let mut notes = batch
            .new_files
            .iter()
            .map(|mark| (mark.id, mark.clone()))
            .collect();
        add_days(&mut notes, batch.days.clone(), &writer);
        let notes = Batch {
            marks: notes.into_values().collect(),
            ..Batch::default()
        };
        if !notes.marks.is_empty() {
            writer.append(&notes, self.wall).unwrap();
        }
        if self.lost {
            return;
        }
        writer.append(&batch, self.wall).unwrap();
        self.account
            .give(batch.rows.len() as u64, batch.text.len() as u64);
    }

    fn spare(&mut self) -> Option<Batch> {
        None
    }
}

pub(crate) struct Rig {
    pub(crate) config: Config,
    folder: TempDir,
    reader: Option<Reader<Direct>>,
    pub(crate) account: Arc<Account>,
    pub(crate) board: Arc<Board>,
    now: Instant,
    pub(crate) wall: Timestamp,
    /// Read as well when it is there.
    pub(crate) spool: Option<Spool>,
}

impl Rig {
    /// Reads `*.log` of its folder and container files below `pods`.
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("in")).unwrap();
        let mut config = Config {
            files: vec![format!("{}/in/*.log", folder.path().display())],
            containers: folder.path().join("pods"),
            docker: folder.path().join("docker"),
            segment_bytes: 256 << 10,
            ..Config::default()
        };
        change(&mut config);
        let account = Arc::new(Account::new(&Metrics::new(&Registry::new()), "rig"));
        let mut rig = Self {
            config,
            folder,
            reader: None,
            account,
            board: Arc::default(),
            now: Instant::now(),
            // Older than every file a test makes, and newer than the times in its lines.
            wall: Timestamp(1_717_200_000_000),
            spool: None,
        };
        rig.start();
        rig
    }

    pub(crate) fn root(&self) -> &Path {
        self.folder.path()
    }

    /// A path in the folder that is read.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root().join("in").join(name)
    }

    pub(crate) fn segments(&self) -> PathBuf {
        self.root().join("segments")
    }

    pub(crate) fn start(&mut self) {
        let limits = Limits {
            segment_bytes: self.config.segment_bytes,
            retention: self.config.retention,
            compress: self.config.compress,
        };
        let limits = Arc::new(Mutex::new(limits));
        let (mut writer, kept) = Writer::open(&self.segments(), limits, self.wall).unwrap();
        let news = self.spool.as_ref().map(|spool| {
            let (news, cursor) = spool.books().lane(Bell::default());
            writer.tell(cursor);
            news
        });
        self.account = Arc::new(Account::new(&Metrics::new(&Registry::new()), "rig"));
        self.board = Arc::default();
        let outlet = Direct {
            writer: Rc::new(RefCell::new(writer)),
            account: Arc::clone(&self.account),
            wall: self.wall,
            full: false,
            lost: false,
            sent: Vec::new(),
        };
        let (config, own) = (self.config.clone(), self.root().join("own"));
        let (account, board) = (Arc::clone(&self.account), Arc::clone(&self.board));
        self.reader = Some(Reader::new(
            config,
            &own,
            kept,
            (outlet, Size::default()),
            account,
            board,
            self.now,
        ));
        if let Some(news) = news {
            self.reader().follow(news);
        }
    }

    pub(crate) fn reader(&mut self) -> &mut Reader<Direct> {
        self.reader.as_mut().unwrap()
    }

    /// As after `kill -9`: whatever is not in a segment is forgotten.
    pub(crate) fn kill(&mut self) {
        self.reader = None;
    }

    pub(crate) fn stop(&mut self) {
        self.reader.take().unwrap().finish();
        assert!(self.account.ledger().balances());
    }

    pub(crate) fn restart(&mut self) {
        self.kill();
        self.start();
    }

    pub(crate) fn full(&mut self, full: bool) {
        self.reader().outlet().full = full;
    }

    pub(crate) fn turn(&mut self) -> Duration {
        let (now, wall) = (self.now, self.wall);
        let rest = self.reader().turn(now, wall);
        // The shipper's thread does this within a second.
        self.reader().outlet().writer.borrow_mut().sync().unwrap();
        rest
    }

    /// Lets time go by in which the reader sleeps.
    pub(crate) fn sleep(&mut self, time: Duration) {
        self.now += time;
    }

    /// Lets time go by in steps of 100 ms.
    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            while self.turn().is_zero() {}
            if self.now >= end {
                return;
            }
            self.now += Duration::from_millis(100);
        }
    }

    /// Long enough for everything that was written to be kept.
    pub(crate) fn settle(&mut self) {
        self.run(Duration::from_secs(2));
    }

    pub(crate) fn page(&self, text: &str) -> LogPage {
        let query = LogQuery {
            text: text.to_owned(),
            from: Timestamp::MIN,
            to: Timestamp::MAX,
            lines_max: usize::MAX,
            ..LogQuery::default()
        };
        search_up_to(&self.segments(), &query, None, u64::MAX).unwrap()
    }

    pub(crate) fn records(&self) -> Vec<LogRecord> {
        self.page("").lines
    }

    /// All texts, sorted.
    pub(crate) fn texts(&self) -> Vec<String> {
        let mut texts: Vec<String> = self.records().into_iter().map(|record| record.text).collect();
        texts.sort_unstable();
        texts
    }

    /// A file of container `c` of pod `p`.
    pub(crate) fn container(&self, name: &str) -> PathBuf {
        let folder = self.root().join("pods/ns_p_uid/c");
        fs::create_dir_all(&folder).unwrap();
        folder.join(name)
    }
}

pub(crate) fn append(path: &Path, text: &str) -> File {
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

/// `name 0\nname 1\n…`
pub(crate) fn numbered(name: &str, numbers: std::ops::Range<usize>) -> String {
    numbers.map(|number| format!("{name} {number:05}\n")).collect()
}

pub(crate) fn lines_of(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort_unstable();
    lines
}

/// A line as a container runtime writes it.
pub(crate) fn cri(stream: &str, tag: &str, text: &str) -> String {
    format!("2024-03-01T10:00:00.123456789Z {stream} {tag} {text}\n")
}

/// Packs a file as the kubelet does: under another name until it is whole, and then in place of the file.
pub(crate) fn pack(path: &Path) -> PathBuf {
    let name = path.to_string_lossy();
    let (half, whole) = (
        PathBuf::from(format!("{name}.tmp")),
        PathBuf::from(format!("{name}.gz")),
    );
    let mut encoder =
        flate2::write::GzEncoder::new(File::create(&half).unwrap(), flate2::Compression::fast());
    encoder.write_all(&fs::read(path).unwrap()).unwrap();
    encoder.finish().unwrap();
    fs::rename(&half, &whole).unwrap();
    fs::remove_file(path).unwrap();
    whole
}
