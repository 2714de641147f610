//! Tails log files and keeps their lines: discover ▸ tail ▸ join ▸ filter ▸ batches ▸ parse ▸ ship ▸ local segments,
//! OpenSearch, CloudWatch Logs.
//!
//! Every line once, also when the process is killed at any time: a line and the place reached in its file are one
//! append, or the line has an id that its file gives it (CloudWatch Logs has no ids, and a line may be there twice). Nothing asynchronous per line; while lines cannot be kept,
//! reading waits, and the log files are the buffer. Each sink has a reader of its own, so that none holds up another.
//! Searching needs no running agent.

mod account;
mod batch;
mod bell;
mod board;
mod chance;
mod checkup;
mod cloudwatch;
mod config;
mod cri;
mod days;
mod docker;
mod draft;
mod folders;
mod follow;
mod forward;
mod glob;
mod join;
mod journald;
mod lanes;
mod last;
mod level;
mod lines;
mod mark;
mod multiline;
mod nodes;
mod notes;
mod opensearch;
mod pack;
mod parse;
mod plan;
mod reader;
mod redact;
mod search;
mod segment;
mod ship;
mod sink;
mod source;
mod spool;
mod tail;
mod tally;
mod time;
mod unpack;
mod verify;
mod watch;
mod written;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use aws::Aws;
use futures_util::future::join_all;
use model::outside::{Client, Serve};
use model::view::{LogContext, LogPage, LogQuery, LogSink, LogState};
use model::{Clock, KeepNotes, Ledger, Pods, Timestamp};
use parking_lot::Mutex;
use prometheus::Registry;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::error;

pub use cloudwatch::{
    Config as CloudWatch, Once, SourceConfig as CloudWatchSource, ask as ask_cloudwatch,
    ask_source as ask_cloudwatch_source,
};
pub use config::{Config, ReadFrom, Retention};
pub use follow::Follower;
pub use forward::{Config as Forward, Tls as ForwardTls, User as ForwardUser, texts as forward_texts};
pub use journald::{Config as Journald, Priority, ask as ask_journal, export_texts};
pub use nodes::{FoundNodes, Gathered, Node, Nodes, PATH as TAIL_PATH};
pub use opensearch::{Config as OpenSearch, ask as ask_opensearch};
pub use parse::Config as Parser;
pub use plan::{Filter, Joining, Match, Stream};
pub use redact::{Pattern, Shipped};
pub use search::{around, line, search};
pub use tally::{Config as Metric, MetricKind};
pub use verify::{Found, Lines as LineRange, Verdict, Verify};
pub use written::{File, Format, Stdout};

use account::{Account, Metrics};
use bell::Bell;
use board::Board;
use cloudwatch::source as groups;
use draft::Size;
use reader::{Outlet, Reader};
use segment::write::{Kept, Limits, Writer};
use ship::{Queue, Shipper};
use sink::marks::Clerk;
use sink::{Channel, Destination, Ground};
use spool::Spool;

/// The name of the sink that is on this host.
pub(crate) const SEGMENTS: &str = "segments";
/// Folder of the spool, in the room's own.
const SPOOL: &str = "spool";
/// Batches between the two threads; when they are all full, reading waits.
const QUEUE_BATCHES: usize = 2;
/// A line is counted so long after it was read.
const TALLY_WAIT: Duration = Duration::from_millis(250);
/// Changes are gathered for so long before they are looked at: a busy file is read in pieces and not line by line. A new file
/// is to be read within 250 ms.
const GATHER: Duration = Duration::from_millis(150);

/// Why the room cannot start, or a search not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Config(String),
    #[error("opening log segments in {}", folder.display())]
    Open { folder: PathBuf, source: io::Error },
    #[error("listening for senders on {address} (logs.forward.listen)")]
    Listen { address: String, source: io::Error },
    #[error("searching log segments in {}", folder.display())]
    Search { folder: PathBuf, source: io::Error },
}

impl Error {
    fn open(folder: &Path, source: io::Error) -> Self {
        Self::Open {
            folder: folder.to_owned(),
            source,
        }
    }
}

/// Log groups that are read; cheap to clone.
#[derive(Clone)]
pub struct Groups(Vec<groups::Handle>);

impl Groups {
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        let mut all = Ledger {
            things: "events",
            taken: 0,
            given: 0,
            dropped: BTreeMap::new(),
            in_flight: 0,
        };
        for source in &self.0 {
            let ledger = source.ledger();
            all.taken += ledger.taken;
            all.given += ledger.given;
            all.in_flight += ledger.in_flight;
        }
        all
    }
}

/// What lies around the room.
pub struct Outside {
    pub clock: Arc<dyn Clock>,
    pub client: Arc<dyn Client>,
    /// Who we are to AWS.
    pub aws: Arc<Aws>,
    /// This machine's name.
    pub host: String,
    /// Facts of pods, from whoever watches them; none where nobody does.
    pub pods: Option<tokio::sync::watch::Receiver<Arc<Pods>>>,
    /// What it takes to read what one process must read for all; none where others do.
    pub once: Option<Once>,
}

/// The room, ready to run: a lane for each sink.
pub struct Logs {
    shared: Arc<Shared>,
    lanes: Vec<(Arc<Lane>, Work)>,
    sources: Vec<groups::Source>,
    forward: Option<forward::Forward>,
    journal: Option<journald::Journal>,
    clock: Arc<dyn Clock>,
}

/// What the rest of the house asks the room; cheap to clone.
#[derive(Clone)]
pub struct Handle(Arc<Shared>);

/// The input that others send records to; cheap to clone.
#[derive(Clone)]
pub struct Input(forward::Handle);

impl Input {
    /// Taken = in the spool + not kept (and not acknowledged) + in flight.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        self.0.ledger()
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.0.address()
    }
}

/// systemd's journal as it is read; cheap to clone.
#[derive(Clone)]
pub struct Journal(journald::Handle);

impl Journal {
    /// Taken = in the spool + left out by reason + in flight.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        self.0.ledger()
    }
}

struct Shared {
    folder: PathBuf,
    /// Answers others who ask for the last lines of a pod here.
    door: last::Door,
    lanes: Vec<Arc<Lane>>,
    limits: Arc<Mutex<Limits>>,
    spool: Spool,
    /// Of the start; for records of other rooms, which are short.
    line_bytes_max: usize,
    forward: Option<forward::Handle>,
    journal: Option<journald::Handle>,
    /// The part of the configuration that is the same until the next start.
    sinks: Sinks,
    forward_config: Option<forward::Config>,
    journal_config: Option<journald::Config>,
    sources: Vec<groups::Handle>,
    source_configs: Vec<groups::Config>,
}

/// Where lines go.
#[derive(Clone, PartialEq)]
struct Sinks {
    is_local: bool,
    opensearch: Vec<opensearch::Config>,
    cloudwatch: Vec<cloudwatch::Config>,
    metrics: Vec<tally::Config>,
    stdout: Option<written::Stdout>,
    file: Option<written::File>,
}

impl Sinks {
    fn of(config: &Config) -> Self {
        Self {
            is_local: config.local,
            opensearch: config.opensearch.clone(),
            cloudwatch: config.cloudwatch.clone(),
            metrics: config.metrics.clone(),
            stdout: config.stdout.clone(),
            file: config.file.clone(),
        }
    }
}

/// One sink and the reader that feeds it: a slow one holds up no other.
struct Lane {
    sink: String,
    account: Arc<Account>,
    board: Arc<Board>,
    /// A configuration that the reader has not taken up yet.
    config: Mutex<Option<Config>>,
    bell: Bell,
    halt: Bell,
    /// None: lines are kept here.
    destination: Option<Arc<dyn Destination>>,
}

/// The two ends of a lane.
enum Work {
    Segments(Box<Reader<Queue>>, Box<Shipper<Writer>>),
    Elsewhere(Box<Reader<Channel>>, Box<sink::Shipper>),
}

impl Logs {
    /// Opens the segments in `data_folder`. Nothing below `own_data_dir` is ever read as a log.
    ///
    /// # Errors
    /// A value in the configuration that cannot work, or a folder that cannot be written.
    pub fn new(
        config: &Config,
        data_folder: PathBuf,
        own_data_dir: &Path,
        outside: Outside,
        registry: &Registry,
    ) -> Result<Self, Error> {
        config.check().map_err(Error::Config)?;
        raise_descriptors();
        let limits = Arc::new(Mutex::new(limits(config)));
        let folder = data_folder.join(SPOOL);
        let counts = spool::Metrics::new(registry);
        let spool = Spool::open(&folder, config.spool_bytes_max, counts)
            .map_err(|source| Error::open(&folder, source))?;
        let making = Making {
            spool: &spool,
            config,
            own: own_data_dir,
            outside: &outside,
            metrics: Metrics::new(registry),
        };
        let mut lanes = Vec::new();
        if config.local {
            lanes.push(making.segments(&data_folder, &limits)?);
        }
        if config.has_sinks_elsewhere() || !config.metrics.is_empty() {
            let metrics = Arc::new(sink::metrics::Metrics::new(registry));
            let Outside {
                client, aws, host, ..
            } = &outside;
            for sink in &config.opensearch {
                let folder = data_folder.join(&sink.name);
                let open = |ground: &Ground<'_>| opensearch::open(sink, host, client, ground);
                lanes.push(making.elsewhere(&sink.name, sink.wait, &folder, &metrics, open)?);
            }
            for sink in &config.cloudwatch {
                let folder = data_folder.join(&sink.name);
                let open = |ground: &Ground<'_>| cloudwatch::open(sink, host, aws, ground);
                lanes.push(making.elsewhere(&sink.name, sink.wait, &folder, &metrics, open)?);
            }
            if let Some(sink) = &config.stdout {
                let folder = data_folder.join(&sink.name);
                let open = |ground: &Ground<'_>| written::open_stdout(sink, host, ground);
                lanes.push(making.elsewhere(&sink.name, written::WAIT, &folder, &metrics, open)?);
            }
            if let Some(sink) = &config.file {
                let folder = data_folder.join(&sink.name);
                let open = |ground: &Ground<'_>| written::open_file(sink, host, ground);
                lanes.push(making.elsewhere(&sink.name, written::WAIT, &folder, &metrics, open)?);
            }
            if !config.metrics.is_empty() {
                let folder = data_folder.join(tally::NAME);
                let open = |ground: &Ground<'_>| tally::open(&config.metrics, registry, ground);
                lanes.push(making.elsewhere(tally::NAME, TALLY_WAIT, &folder, &metrics, open)?);
            }
        }
        let forward = match &config.forward {
            None => None,
            Some(section) => {
                let around = (&outside.clock, outside.host.as_str());
                let opened = forward::Forward::open(section, config.line_bytes_max, &spool, around, registry);
                Some(opened.map_err(|source| Error::Listen {
                    address: section.listen.clone(),
                    source,
                })?)
            }
        };
        let sources = sources(config, &spool, &outside, registry);
        let beside = journald::Ground {
            client: &outside.client,
            clock: &outside.clock,
            spool: &spool,
            line_bytes_max: config.line_bytes_max,
            read_from: config.read_from,
        };
        let journal = config.journal.as_ref();
        let journal = journal.map(|section| journald::Journal::new(section, &beside, registry));
        let journal = journal.transpose().map_err(Error::Config)?;
        let ground = last::Ground::new(config, &data_folder).map_err(Error::Config)?;
        let shared = Arc::new(Shared {
            door: last::Door::new(ground),
            forward: forward.as_ref().map(forward::Forward::handle),
            journal: journal.as_ref().map(journald::Journal::handle),
            folder: data_folder,
            spool,
            line_bytes_max: config.line_bytes_max,
            lanes: lanes.iter().map(|(lane, _)| Arc::clone(lane)).collect(),
            limits,
            sinks: Sinks::of(config),
            forward_config: config.forward.clone(),
            journal_config: config.journal.clone(),
            sources: sources.iter().map(groups::Source::handle).collect(),
            source_configs: config.cloudwatch_sources.clone(),
        });
        Ok(Self {
            shared,
            sources,
            lanes,
            forward,
            journal,
            clock: outside.clock,
        })
    }

    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle(Arc::clone(&self.shared))
    }

    /// Runs until `stop`; then reading ends, what has been read is kept, and the segment is synced.
    pub async fn run(self, stop: CancellationToken) {
        let lanes = self.lanes.into_iter();
        let lanes = lanes.map(|(lane, work)| lane.run(work, Arc::clone(&self.clock), stop.clone()));
        let forward = async {
            if let Some(forward) = self.forward {
                forward.run(stop.clone()).await;
            }
        };
        let journal = async {
            if let Some(journal) = self.journal {
                journal.run(stop.clone()).await;
            }
        };
        let sources = self.sources.into_iter().map(|source| source.run(stop.clone()));
        tokio::join!(join_all(lanes), forward, journal, join_all(sources));
    }
}

/// Makes lanes.
struct Making<'a> {
    config: &'a Config,
    own: &'a Path,
    outside: &'a Outside,
    metrics: Metrics,
    spool: &'a Spool,
}

impl Making<'_> {
    fn lane(&self, sink: &str) -> Lane {
        Lane {
            sink: sink.to_owned(),
            account: Arc::new(Account::new(&self.metrics, sink)),
            board: Arc::new(Board::default()),
            config: Mutex::new(None),
            bell: Bell::default(),
            halt: Bell::default(),
            destination: None,
        }
    }

    fn segments(&self, folder: &Path, limits: &Arc<Mutex<Limits>>) -> Result<(Arc<Lane>, Work), Error> {
        let clock = &self.outside.clock;
        let opened = Writer::open(folder, Arc::clone(limits), clock.now());
        let (mut segments, kept) = opened.map_err(|source| Error::open(folder, source))?;
        let lane = Arc::new(self.lane(SEGMENTS));
        let (news, cursor) = self.spool.books().lane(lane.bell.clone());
        segments.tell(cursor);
        let (batches, inbox) = sync_channel(QUEUE_BATCHES); // full: reading waits, the log files are the buffer
        let (spare, spares) = sync_channel(QUEUE_BATCHES); // full: the memory is freed
        let outlet = Queue {
            batches,
            spare: spares,
        };
        let shipper = Shipper {
            sink: segments,
            inbox,
            spare,
            room: lane.bell.clone(),
            halt: lane.halt.clone(),
            account: Arc::clone(&lane.account),
            board: Arc::clone(&lane.board),
            clock: Arc::clone(clock),
        };
        let reader = self.reader(kept, (outlet, Size::default()), &lane, news);
        Ok((lane, Work::Segments(Box::new(reader), Box::new(shipper))))
    }

    /// A sink that is not on this host. A line waits for others for as long as `wait`.
    fn elsewhere(
        &self,
        name: &str,
        wait: Duration,
        folder: &Path,
        metrics: &Arc<sink::metrics::Metrics>,
        open: impl FnOnce(&Ground<'_>) -> io::Result<(Arc<dyn Destination>, Clerk, Kept)>,
    ) -> Result<(Arc<Lane>, Work), Error> {
        let mut lane = self.lane(name);
        let ground = Ground {
            folder,
            clock: &self.outside.clock,
            account: &lane.account,
            metrics,
        };
        let (destination, mut clerk, kept) = open(&ground).map_err(|source| Error::open(folder, source))?;
        lane.destination = Some(Arc::clone(&destination));
        let lane = Arc::new(lane);
        let (news, cursor) = self.spool.books().lane(lane.bell.clone());
        clerk.log.tell(cursor);
        let (batches, inbox) = mpsc::channel(1); // full: reading waits, the log files are the buffer
        let (spare, spares) = sync_channel(destination.requests_max()); // full: the memory is freed
        let outlet = Channel {
            batches,
            spare: spares,
        };
        let shipper = sink::Shipper {
            destination,
            inbox,
            spare,
            clerk,
            room: lane.bell.clone(),
        };
        let size = Size {
            bytes: sink::ship::BATCH_BYTES,
            wait,
        };
        let reader = self.reader(kept, (outlet, size), &lane, news);
        Ok((lane, Work::Elsewhere(Box::new(reader), Box::new(shipper))))
    }

    fn reader<O: Outlet>(&self, kept: Kept, outlet: (O, Size), lane: &Lane, news: spool::News) -> Reader<O> {
        let (account, board) = (Arc::clone(&lane.account), Arc::clone(&lane.board));
        let mut reader = Reader::new(
            self.config.without_own_output(),
            self.own,
            kept,
            outlet,
            account,
            board,
            Instant::now(),
        );
        if let Some(pods) = &self.outside.pods {
            reader.hear_of(pods.clone());
        }
        reader.follow(news);
        reader
    }
}

impl Lane {
    async fn run(self: Arc<Self>, work: Work, clock: Arc<dyn Clock>, stop: CancellationToken) {
        match work {
            Work::Segments(reader, shipper) => {
                let Some(shipping) = thread("logs-ship", move || shipper.run()) else {
                    return;
                };
                self.read_until(*reader, clock, &stop, move |reading| {
                    tokio::task::spawn_blocking(move || {
                        // The reader first: the shipper runs until the reader's end of the queue is gone.
                        let reading = reading.is_none_or(|reading| reading.join().is_ok());
                        reading && shipping.join().is_ok()
                    })
                })
                .await;
            }
            Work::Elsewhere(reader, shipper) => {
                let shipping = tokio::spawn(shipper.run(stop.clone()));
                self.read_until(*reader, clock, &stop, move |reading| {
                    tokio::spawn(async move {
                        let joined = tokio::task::spawn_blocking(move || {
                            reading.is_none_or(|reading| reading.join().is_ok())
                        });
                        matches!(joined.await, Ok(true)) && shipping.await.is_ok()
                    })
                })
                .await;
            }
        }
    }

    /// Reads until `stop`, and then until `end` says that both ends have ended, and whether well.
    async fn read_until<O: Outlet + Send + 'static>(
        self: &Arc<Self>,
        reader: Reader<O>,
        clock: Arc<dyn Clock>,
        stop: &CancellationToken,
        end: impl FnOnce(Option<JoinHandle<()>>) -> tokio::task::JoinHandle<bool>,
    ) {
        let descriptor = reader.folders().descriptor();
        let lane = Arc::clone(self);
        let reading = thread("logs-read", move || read(reader, &lane, &*clock));
        ring_on_events(descriptor, &self.bell, stop).await;
        stop.cancelled().await;
        self.bell.stop();
        self.halt.stop();
        if !matches!(end(reading).await, Ok(true)) {
            error!(sink = self.sink, "a thread of the log room has failed");
        }
    }

    fn state(&self) -> LogSink {
        let ledger = self.account.ledger();
        let trouble = match &self.destination {
            Some(destination) => destination.common().trouble(),
            None => (self.account.ship_blocked.get() > 0.0).then(|| "the disk takes no lines".to_owned()),
        };
        LogSink {
            name: self.sink.clone(),
            kind: self
                .destination
                .as_ref()
                .map_or(SEGMENTS, |destination| destination.common().kind.key()),
            target: self.destination.as_ref().map(|destination| destination.target()),
            lines: ledger.given,
            in_flight: ledger.in_flight,
            dropped: ledger
                .dropped
                .iter()
                .map(|(why, count)| ((*why).to_owned(), *count))
                .collect(),
            unread_bytes: self.account.lag.get(),
            trouble,
            notes: self
                .destination
                .as_ref()
                .map(|destination| destination.common().notes())
                .unwrap_or_default(),
        }
    }
}

impl Handle {
    #[must_use]
    pub fn state(&self) -> LogState {
        let first = self.0.lanes.first();
        let (spool_bytes, spool_bytes_max) = self.0.spool.books().bytes();
        LogState {
            // Whoever asks them adds how many there are.
            nodes: 0,
            files: first.map(|lane| lane.board.files()).unwrap_or_default(),
            lines: first.map_or(0, |lane| lane.account.kept()),
            bytes_on_disk: self.0.lanes.iter().map(|lane| lane.board.bytes_on_disk()).sum(),
            sinks: self.0.lanes.iter().map(|lane| lane.state()).collect(),
            services: self.0.sources.iter().map(groups::Handle::state).collect(),
            inputs: self.0.forward.iter().map(forward::Handle::state).collect(),
            journal: self.0.journal.as_ref().map(journald::Handle::state),
            spool_bytes,
            spool_bytes_max,
        }
    }

    /// Whether every folder has been looked at since the start: a file that is there by now is followed, even
    /// if it is rotated away in the next moment.
    #[must_use]
    pub fn looked(&self) -> bool {
        self.0
            .lanes
            .iter()
            .all(|lane| lane.board.looked.load(Ordering::Relaxed))
    }

    /// Blocks while it reads from the disk: call it from a thread that may.
    ///
    /// # Errors
    /// The segments cannot be read.
    pub fn search(&self, query: &LogQuery) -> Result<LogPage, Error> {
        search(&self.0.folder, query)
    }

    /// The line of that time with that identity, with up to `most` lines of its source before and after it; none when it
    /// is no longer kept. Blocks like [`Self::search`].
    ///
    /// # Errors
    /// The segments cannot be read.
    pub fn context(&self, time: Timestamp, identity: u64, most: usize) -> Result<Option<LogContext>, Error> {
        let folder = &self.0.folder;
        let Some(line) = line(folder, time, identity)? else {
            return Ok(None);
        };
        let [before, after] = around(folder, &line, most, most)?;
        Ok(Some(LogContext { before, line, after }))
    }

    /// Answers others who ask for the last lines of a pod: `GET` of [`TAIL_PATH`]. Who calls must be known before.
    #[must_use]
    pub fn door(&self) -> Arc<dyn Serve> {
        Arc::new(self.0.door.clone())
    }

    /// Keeps records of other rooms of this process: every sink gets them.
    #[must_use]
    pub fn notes(&self) -> Arc<dyn KeepNotes> {
        Arc::new(notes::Notes {
            spool: self.0.spool.clone(),
            line_bytes_max: self.0.line_bytes_max,
        })
    }

    /// What senders have brought; none when nobody is listened to.
    #[must_use]
    pub fn input(&self) -> Option<Input> {
        self.0.forward.clone().map(Input)
    }

    /// What was read of systemd's journal; none when it is not read.
    #[must_use]
    pub fn journal(&self) -> Option<Journal> {
        self.0.journal.clone().map(Journal)
    }

    /// Of the events of log groups that this process reads: taken = in the spool + in flight; none where it reads none.
    #[must_use]
    pub fn groups(&self) -> Option<Groups> {
        (!self.0.sources.is_empty()).then(|| Groups(self.0.sources.clone()))
    }

    /// All sinks together: a line is taken once for each.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        let mut all = Ledger {
            things: "records",
            taken: 0,
            given: 0,
            dropped: BTreeMap::new(),
            in_flight: 0,
        };
        for lane in &self.0.lanes {
            let ledger = lane.account.ledger();
            all.taken += ledger.taken;
            all.given += ledger.given;
            all.in_flight += ledger.in_flight;
            for (why, count) in ledger.dropped {
                *all.dropped.entry(why).or_default() += count;
            }
        }
        all
    }

    /// Takes up another configuration while running; nothing that is being read is read twice.
    ///
    /// # Errors
    /// A value that cannot work, or sinks other than those at the start; the old configuration stays.
    pub fn apply(&self, config: &Config) -> Result<(), Error> {
        config.check().map_err(Error::Config)?;
        if Sinks::of(config) != self.0.sinks {
            return Err(Error::Config(
                "logs.opensearch, logs.cloudwatch, logs.stdout, logs.file and logs.local are read at the start only: restart to change where lines go"
                    .to_owned(),
            ));
        }
        if config.cloudwatch_sources != self.0.source_configs {
            return Err(Error::Config(
                "logs.cloudwatch_sources is read at the start only: restart to change which log groups are read"
                    .to_owned(),
            ));
        }
        if config.forward != self.0.forward_config {
            return Err(Error::Config(
                "logs.forward is read at the start only: restart to change who may send".to_owned(),
            ));
        }
        if config.journal != self.0.journal_config {
            return Err(Error::Config(
                "logs.journal is read at the start only: restart to change how the journal is read"
                    .to_owned(),
            ));
        }
        let ground = last::Ground::new(config, &self.0.folder).map_err(Error::Config)?;
        *self.0.door.ground.write() = Arc::new(ground);
        *self.0.limits.lock() = limits(config);
        if let Some(forward) = &self.0.forward {
            forward.set_line_bytes_max(config.line_bytes_max);
        }
        self.0.spool.books().set_bytes_max(config.spool_bytes_max);
        for lane in &self.0.lanes {
            *lane.config.lock() = Some(config.without_own_output());
            lane.bell.ring();
        }
        Ok(())
    }
}

/// Those that this process may have to read.
fn sources(config: &Config, spool: &Spool, outside: &Outside, registry: &Registry) -> Vec<groups::Source> {
    let Some(once) = outside
        .once
        .as_ref()
        .filter(|_| !config.cloudwatch_sources.is_empty())
    else {
        return Vec::new();
    };
    let metrics = groups::Metrics::new(registry);
    let sources = config.cloudwatch_sources.iter().map(|section| {
        let ground = groups::Ground {
            aws: Arc::clone(&outside.aws),
            clock: Arc::clone(&outside.clock),
            spool: spool.clone(),
            line_bytes_max: config.line_bytes_max,
            own: config.own_groups(),
        };
        groups::Source::new(section.clone(), ground, once.clone(), &metrics)
    });
    sources.collect()
}

fn limits(config: &Config) -> Limits {
    Limits {
        segment_bytes: config.segment_bytes,
        retention: config.retention,
        compress: config.compress,
    }
}

/// The reader's thread.
fn read<O: Outlet>(mut reader: Reader<O>, lane: &Lane, clock: &dyn Clock) {
    while !lane.bell.stopped() {
        if let Some(config) = lane.config.lock().take() {
            reader.apply(config, Instant::now());
        }
        let rest = reader.turn(Instant::now(), clock.now());
        lane.board.looked.store(true, Ordering::Relaxed);
        if !rest.is_zero() {
            lane.bell.wait(rest);
        }
    }
    reader.finish();
}

fn thread(name: &str, body: impl FnOnce() + Send + 'static) -> Option<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .inspect_err(|error| error!(%error, name, "thread cannot be started"))
        .ok()
}

/// Wakes the reader when inotify has something to tell, but not more often than it pays.
async fn ring_on_events(descriptor: Option<Arc<OwnedFd>>, bell: &Bell, stop: &CancellationToken) {
    let Some(descriptor) = descriptor else { return };
    loop {
        // Registered anew each time: while the reader gathers, events wake nobody.
        #[expect(
            deprecated,
            reason = "its successor is unsafe because a descriptor might be closed too early; an Arc<OwnedFd> is not"
        )]
        let events = AsyncFd::with_interest(Arc::clone(&descriptor), Interest::READABLE);
        let Ok(events) = events else { return };
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            ready = events.readable() => if ready.is_err() { return },
        }
        drop(events);
        bell.ring();
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(GATHER) => {}
        }
    }
}

/// Every followed file is held open, so that a deleted one can still be read to its end.
fn raise_descriptors() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    let want = limit.maximum.unwrap_or(u64::MAX).min(65_536);
    if limit.current.is_some_and(|current| current < want) {
        limit.current = Some(want);
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::warn!(%error, "the limit of open files stays as it is");
        }
    }
}
