//! The state of a cluster's objects, under the names, types and labels of kube-state-metrics.
//!
//! It asks nobody: whoever watches the API hands it objects. Of each it keeps the series and their values, never the object. A kind
//! is told of only once all of its objects are known, and no longer than somebody hears of them.

mod book;
pub mod config;
mod custom;
mod draft;
mod kinds;
mod meta;
mod metrics;
mod quantity;
#[cfg(test)]
mod tests;

use std::hash::RandomState;
use std::sync::Arc;
use std::time::Duration;

use model::view::{Checkup, Health, Target};
use model::{
    Clock, Column, Keep, Labels, Ledger, Observe, Report, Round, Said, TargetDesc, TargetRef, Timestamp,
    Wanted,
};
use parking_lot::Mutex;
use prometheus::Registry;
use tokio_util::sync::CancellationToken;

use book::{Book, Writer};
pub use config::Config;
use draft::Desk;
use kinds::{KINDS, Reader};
use metrics::Metrics;

/// How often is looked whether a round is due.
const LOOK: Duration = Duration::from_secs(1);

/// A kind that the room wants, and who is to be told of it.
pub type Asked = (Wanted, Box<dyn Observe>);

/// The room; cheap to clone.
#[derive(Clone)]
pub struct KubeState(Arc<Inner>);

struct Inner {
    config: Config,
    labels: Labels,
    target: TargetRef,
    keep: Arc<dyn Keep>,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    shelf: Vec<Shelved>,
    round: Mutex<Rounds>,
}

/// A kind and what is known of it.
struct Shelved {
    plural: Arc<str>,
    /// It may well be that there is none.
    is_optional: bool,
    book: Arc<Mutex<Book>>,
}

impl Shelved {
    /// It should be known, and is not.
    fn is_silent(&self) -> bool {
        let book = self.book.lock();
        !book.is_told() && (book.is_whole || !self.is_optional)
    }
}

struct Rounds {
    report: Report,
    last: Option<Timestamp>,
    /// Kinds that the last round told of.
    told: usize,
    duration: Duration,
    samples: usize,
    ledger: Ledger,
}

/// What is read: kinds that we know, those that are read where a cluster has them, and what a document tells of.
fn kinds(config: &Config) -> Vec<(Wanted, Reader)> {
    let own = KINDS
        .iter()
        .filter(|kind| config.wants(kind.plural, kind.is_usual));
    let own = own.map(|kind| (kind.wanted(), Reader::Own(kind.read)));
    let ready = custom::ready().readings(true).into_iter();
    let ready = ready.filter(|reading| config.wants(&reading.wanted.resource.plural, true));
    let told = config.custom_resource_state.readings(false);
    let custom = ready
        .chain(told)
        .map(|reading| (reading.wanted, Reader::Told(reading.families)));
    own.chain(custom).collect()
}

impl KubeState {
    /// The room, and what it wants to be told of.
    pub fn new(
        config: Config,
        keep: Arc<dyn Keep>,
        clock: Arc<dyn Clock>,
        registry: &Registry,
    ) -> (Self, Vec<Asked>) {
        let labels = Labels::from_pairs([
            ("job", config.job.as_str()),
            ("instance", config.instance.as_str()),
        ]);
        let target = keep.target(&TargetDesc {
            name: "kube-state".into(),
            page: Some("kube-state"),
            staleness: None,
        });
        let desk = Arc::new(Desk {
            keep: Arc::clone(&keep),
            target,
            base: labels.clone(),
            hasher: RandomState::new(),
        });
        let metrics = Metrics::new(registry);
        let (mut shelf, mut wanted) = (Vec::new(), Vec::new());
        for (kind, reader) in kinds(&config) {
            let plural = Arc::clone(&kind.resource.plural);
            let book = Arc::new(Mutex::new(Book::default()));
            let writer = Writer {
                desk: Arc::clone(&desk),
                book: Arc::clone(&book),
                reader,
                labels: Config::allowed(&config.labels, &plural),
                annotations: Config::allowed(&config.annotations, &plural),
                unread: metrics.unread.with_label_values(&[&*plural]),
                unread_values: metrics.unread_values.with_label_values(&[&*plural]),
            };
            shelf.push(Shelved {
                plural,
                is_optional: kind.is_optional,
                book,
            });
            wanted.push((kind, Box::new(writer) as Box<dyn Observe>));
        }
        let round = Rounds {
            report: Report::new(&*keep, "kube-state/report", &labels),
            last: None,
            told: 0,
            duration: Duration::ZERO,
            samples: 0,
            ledger: Ledger {
                things: "samples",
                ..Ledger::default()
            },
        };
        let room = Self(Arc::new(Inner {
            config,
            labels,
            target,
            keep,
            clock,
            metrics,
            shelf,
            round: Mutex::new(round),
        }));
        (room, wanted)
    }

    /// Writes down what is known at every interval, and at once when a kind has become known, until it is stopped.
    pub async fn run(self, stop: CancellationToken) {
        let clock = Arc::clone(&self.0.clock);
        let interval = self.0.config.interval.max(LOOK);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = clock.sleep(LOOK.min(interval)) => {}
            }
            let now = clock.now();
            if self.is_due(now, interval) {
                let room = self.clone();
                // Of ten thousand pods there are hundreds of thousands of series.
                if tokio::task::spawn_blocking(move || room.0.write(now))
                    .await
                    .is_err()
                {
                    tracing::error!("a round of the state of objects has come to grief");
                }
            }
        }
    }

    fn is_due(&self, now: Timestamp, interval: Duration) -> bool {
        let told = self.0.told();
        let rounds = self.0.round.lock();
        match rounds.last {
            None => told > 0,
            // A clock that was set back must not hold it up.
            Some(last) => told > rounds.told || now < last || now.since(last) >= interval,
        }
    }

    /// The cluster as a target like any other.
    #[must_use]
    pub fn view(&self) -> Target {
        let Inner {
            config,
            labels,
            shelf,
            ..
        } = &*self.0;
        let rounds = self.0.round.lock();
        let silent: Vec<&str> = shelf
            .iter()
            .filter(|kind| kind.is_silent())
            .map(|kind| &*kind.plural)
            .collect();
        let health = match (rounds.last, silent.len()) {
            (None, _) => Health::Unknown,
            (_, 0) => Health::Good,
            (_, count) if count == shelf.len() => Health::Bad,
            _ => Health::Pending,
        };
        Target {
            job: config.job.clone(),
            url: "the Kubernetes API".to_owned(),
            discovered: labels.clone(),
            labels: labels.clone(),
            health,
            last_error: match silent.is_empty() {
                true => String::new(),
                false => format!("not known: {}", silent.join(", ")),
            },
            last_scrape: rounds.last,
            last_duration: rounds.duration,
            interval: config.interval,
            timeout: config.interval,
            samples: rounds.samples,
            http: false,
            read_by: None,
        }
    }

    /// Where the samples went.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        self.0.round.lock().ledger.clone()
    }

    #[must_use]
    pub fn checkups(&self) -> Vec<Checkup> {
        const ROOM: &str = "kubestate";
        const NAME: &str = "objects";
        let (mut objects, mut refused, mut wrong) = (0, 0, Vec::new());
        for kind in &self.0.shelf {
            let book = kind.book.lock();
            objects += book.count();
            refused += book.refused;
            if let Some(mistake) = &book.mistake {
                wrong.push(format!("{} {mistake}", kind.plural));
            }
            if book.is_doubtful {
                wrong.push(format!(
                    "{}: nothing heard for minutes; its series have ended",
                    kind.plural
                ));
            }
        }
        let samples = self.0.round.lock().samples;
        let seen = format!("{objects} objects, {samples} series");
        vec![match (wrong.is_empty(), refused) {
            (true, 0) => Checkup::ok(ROOM, NAME, seen),
            (true, refused) => Checkup::warn(ROOM, NAME, format!("{seen}; the store refused {refused}"))
                .advise("raise store.series_max, or read fewer kinds (kube_state.resources)"),
            (false, _) => Checkup::warn(ROOM, NAME, seen)
                .advise("see check *watches*; an object that cannot be read is a mistake of ours, or of kube_state.custom_resource_state")
                .list(wrong),
        }]
    }
}

impl Inner {
    fn told(&self) -> usize {
        self.shelf
            .iter()
            .filter(|kind| kind.book.lock().is_told())
            .count()
    }

    fn write(&self, now: Timestamp) {
        let began = std::time::Instant::now();
        let size = self.round.lock().samples;
        let (mut series, mut values) = (Vec::with_capacity(size), Vec::with_capacity(size));
        let mut told = 0;
        for kind in &self.shelf {
            let book = kind.book.lock();
            if book.is_told() {
                told += 1;
                book.copy(&mut series, &mut values);
            }
        }
        let samples = series.len();
        let kept = self.keep.commit(Column {
            target: self.target,
            time: now,
            round: Round::Whole,
            series,
            values,
        });
        if kept.unknown > 0 {
            // The store has forgotten some: all objects are asked for again.
            for kind in &self.shelf {
                kind.book.lock().forget();
            }
        }
        let duration = began.elapsed();
        let mut rounds = self.round.lock();
        let said = Said {
            up: told > 0,
            seconds: duration.as_secs_f64(),
            samples,
            added: kept.added,
        };
        rounds.report.commit(&*self.keep, now, &said);
        self.metrics.rounds.inc();
        self.metrics.seconds.observe(duration.as_secs_f64());
        self.metrics.samples.inc_by(samples as u64);
        rounds.ledger.taken += samples as u64;
        rounds.ledger.given += kept.kept as u64;
        for (reason, count) in [
            ("out_of_order", kept.out_of_order),
            ("duplicate", kept.duplicate),
            ("unknown", kept.unknown),
        ] {
            if count > 0 {
                self.metrics
                    .dropped
                    .with_label_values(&[reason])
                    .inc_by(count as u64);
                *rounds.ledger.dropped.entry(reason).or_default() += count as u64;
            }
        }
        (rounds.last, rounds.told) = (Some(now), told);
        (rounds.duration, rounds.samples) = (duration, samples);
    }
}
