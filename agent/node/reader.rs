//! One round after the other, on the room's thread: asks each collector, and commits what they gave.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::column::Kept;
use model::{Column, Keep, Labels, Ledger, Report, Round, Said, TargetDesc, Timestamp};
use parking_lot::Mutex;

use crate::collect::{self, At, Collector, Trouble};
use crate::config::Config;
use crate::family::Family;
use crate::file::Buffer;
use crate::known::{Emit, Known};
use crate::metrics::Metrics;

static DURATION: Family = Family::gauge(
    "node_scrape_collector_duration_seconds",
    "How long a collector took.",
    &["collector"],
);
static SUCCESS: Family = Family::gauge(
    "node_scrape_collector_success",
    "Whether a collector gave its series.",
    &["collector"],
);

pub(crate) struct Reader {
    keep: Arc<dyn Keep>,
    collectors: Vec<Slot>,
    known: Known,
    report: Report,
    buffer: Buffer,
    /// Size of the last column, for the memory of the next.
    size: usize,
    metrics: Metrics,
    state: Arc<Mutex<State>>,
}

struct Slot {
    collector: Box<dyn Collector>,
    trouble: Option<Trouble>,
}

/// What others see of the room.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) last: Option<Timestamp>,
    pub(crate) duration: Duration,
    pub(crate) samples: usize,
    /// Collectors that gave something.
    pub(crate) good: usize,
    /// Collectors that failed, with a sentence.
    pub(crate) failing: BTreeMap<&'static str, String>,
    pub(crate) ledger: Ledger,
}

impl Reader {
    pub(crate) fn new(
        config: &Config,
        base: Labels,
        keep: Arc<dyn Keep>,
        metrics: Metrics,
        state: Arc<Mutex<State>>,
    ) -> Self {
        let target = keep.target(&TargetDesc {
            name: "node".into(),
            page: Some("node"),
            staleness: None,
        });
        state.lock().ledger.things = "samples";
        let slot = |collector| Slot {
            collector,
            trouble: None,
        };
        Self {
            collectors: collect::all(config).into_iter().map(slot).collect(),
            report: Report::new(&*keep, "node/report", &base),
            known: Known::new(target, base),
            keep,
            buffer: Buffer::default(),
            size: 0,
            metrics,
            state,
        }
    }

    pub(crate) fn round(&mut self, now: Timestamp) {
        let began = Instant::now();
        let mut emit = Emit {
            keep: &*self.keep,
            known: &mut self.known,
            series: Vec::with_capacity(self.size),
            values: Vec::with_capacity(self.size),
            refused: 0,
        };
        emit.known.begin();
        for slot in &mut self.collectors {
            let mut at = At {
                now,
                buffer: &mut self.buffer,
            };
            slot.collect(&mut at, &mut emit, &self.metrics);
        }
        let Emit {
            series,
            values,
            refused,
            ..
        } = emit;
        self.size = series.len();
        let good = self
            .collectors
            .iter()
            .filter(|slot| slot.trouble.is_none())
            .count();
        let kept = self.keep.commit(Column {
            target: self.known.target(),
            time: now,
            round: Round::Whole,
            series,
            values,
        });
        let duration = began.elapsed();
        let said = Said {
            up: good > 0,
            seconds: duration.as_secs_f64(),
            samples: self.size,
            added: kept.added,
        };
        self.report.commit(&*self.keep, now, &said);
        if kept.unknown > 0 {
            self.known.forget();
        }
        self.account(kept, refused);
        self.metrics.rounds.inc();
        self.metrics.seconds.observe(duration.as_secs_f64());
        let mut state = self.state.lock();
        (state.last, state.duration, state.samples, state.good) = (Some(now), duration, self.size, good);
        state.failing = self.collectors.iter().filter_map(Slot::failing).collect();
    }

    fn account(&self, kept: Kept, refused: u64) {
        let read = self.size as u64 + refused;
        let dropped = [
            ("out_of_order", kept.out_of_order as u64),
            ("duplicate", kept.duplicate as u64),
            ("unknown", kept.unknown as u64),
            ("refused", refused),
        ];
        self.metrics.samples.inc_by(read);
        let mut state = self.state.lock();
        state.ledger.taken += read;
        state.ledger.given += kept.kept as u64;
        for (reason, count) in dropped.into_iter().filter(|(_, count)| *count > 0) {
            self.metrics.dropped.with_label_values(&[reason]).inc_by(count);
            *state.ledger.dropped.entry(reason).or_default() += count;
        }
    }
}

impl Slot {
    fn collect(&mut self, at: &mut At<'_>, emit: &mut Emit<'_>, metrics: &Metrics) {
        let name = self.collector.name();
        let (began, mark) = (Instant::now(), emit.series.len());
        let trouble = self.collector.collect(at, emit).err();
        if trouble.is_some() {
            emit.series.truncate(mark);
            emit.values.truncate(mark);
        }
        emit.put(&DURATION, &[name], began.elapsed().as_secs_f64());
        emit.put(&SUCCESS, &[name], f64::from(trouble.is_none()));
        if let Some(Trouble::Failed(_)) = trouble {
            metrics.failures.with_label_values(&[name]).inc();
        }
        self.tell(name, trouble);
    }

    /// Says once what changed.
    fn tell(&mut self, name: &'static str, trouble: Option<Trouble>) {
        if trouble == self.trouble {
            return;
        }
        match &trouble {
            Some(Trouble::Failed(error)) => tracing::warn!(collector = name, %error, "collector failed"),
            Some(Trouble::Absent(why)) => tracing::debug!(collector = name, why, "not on this machine"),
            None => tracing::info!(collector = name, "collector works again"),
        }
        self.trouble = trouble;
    }

    fn failing(&self) -> Option<(&'static str, String)> {
        match &self.trouble {
            Some(Trouble::Failed(error)) => Some((self.collector.name(), error.clone())),
            _ => None,
        }
    }
}
