//! One target: when it is due, what becomes of its scrapes, and what is shown of it.

use std::sync::Arc;
use std::time::Duration;

use model::column::Kept;
use model::outside::Client;
use model::view::{Health, Target as View};
use model::{Clock, Column, Keep, Round, SeriesRef, TargetDesc, TargetRef, Timestamp};
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::fetch::{self, Body};
use crate::intake::{Intake, Refusal, Taken};
use crate::ledger::Account;
use crate::metrics::Metrics;
use crate::plan::Plan;
use crate::report::{self, Values};
use crate::slots::Slots;

/// Longer bodies are read on a thread that may block.
const BODY_BYTES_INLINE: usize = 256 << 10;

/// What all targets share.
pub(crate) struct House {
    pub(crate) client: Arc<dyn Client>,
    pub(crate) keep: Arc<dyn Keep>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Metrics,
    pub(crate) account: Account,
}

pub(crate) struct Target {
    pub(crate) plan: Plan,
    house: Arc<House>,
    store: TargetRef,
    gone: CancellationToken,
    /// Locked while a body is read, which may take a while; `state` never is.
    intake: Mutex<Intake>,
    state: Mutex<State>,
}

struct State {
    /// Nothing is committed any more once this is false.
    alive: bool,
    report: report::Series,
    health: Health,
    error: String,
    last: Option<Timestamp>,
    duration: Duration,
    samples: usize,
}

impl Target {
    pub(crate) fn new(plan: Plan, house: Arc<House>) -> Arc<Self> {
        let store = house.keep.target(&TargetDesc {
            name: Arc::clone(&plan.name),
            page: None,
            staleness: None,
        });
        let labels = &plan.rules.target;
        let intake = Intake::new(plan.rules.clone(), store, report::labels(labels));
        // Before any body: of a store that is nearly full, the report gets what is left.
        let mut report = report::Series::default();
        report::ask(&mut report, &*house.keep, store, labels);
        Arc::new(Self {
            house,
            store,
            gone: CancellationToken::new(),
            intake: Mutex::new(intake),
            state: Mutex::new(State {
                alive: true,
                report,
                health: Health::Unknown,
                error: String::new(),
                last: None,
                duration: Duration::ZERO,
                samples: 0,
            }),
            plan,
        })
    }

    /// Scrapes until it is stopped or the target is gone. A stop leaves the series as they are: whoever
    /// starts next goes on with them.
    pub(crate) async fn run(self: Arc<Self>, stop: CancellationToken) {
        let clock = Arc::clone(&self.house.clock);
        let mut slots = Slots::new(&self.plan.name, self.plan.interval, clock.now());
        loop {
            let wait = slots.wait(clock.now());
            let scraped = async {
                clock.sleep(wait).await;
                let began = slots.due(clock.now());
                self.scrape(began).await;
                began
            };
            let began = tokio::select! {
                biased;
                () = stop.cancelled() => return self.leave(),
                () = self.gone.cancelled() => return,
                began = scraped => began,
            };
            let missed = slots.done(began, clock.now());
            self.house.metrics.missed.inc_by(missed);
        }
    }

    /// No more scrapes; what is under way is not committed.
    pub(crate) fn leave(&self) {
        self.state.lock().alive = false;
        self.gone.cancel();
    }

    /// As `leave`, and its series end.
    pub(crate) fn retire(&self) {
        let mut state = self.state.lock();
        state.alive = false;
        self.house.keep.retire(self.store, self.house.clock.now());
        self.gone.cancel();
    }

    async fn scrape(self: &Arc<Self>, time: Timestamp) {
        let began = Instant::now();
        let answer = fetch::fetch(&*self.house.client, &*self.house.clock, &self.plan).await;
        let is_long = answer
            .as_ref()
            .is_ok_and(|body| body.bytes.len() > BODY_BYTES_INLINE);
        if is_long {
            let target = Arc::clone(self);
            let settled = tokio::task::spawn_blocking(move || target.settle(answer, time, began)).await;
            if let Err(error) = settled {
                tracing::error!(%error, url = %self.plan.url, "a body could not be read");
            }
        } else {
            self.settle(answer, time, began);
        }
    }

    fn settle(&self, answer: Result<Body, Refusal>, time: Timestamp, began: Instant) {
        let read = self.read(answer, time);
        let House { metrics, account, .. } = &*self.house;
        let mut state = self.state.lock();
        if !state.alive {
            account.late(
                read.map_or_else(|refusal| refusal.samples, |taken| taken.counts.samples),
                metrics,
            );
            return;
        }
        let duration = began.elapsed();
        metrics.duration.observe(duration.as_secs_f64());
        let (samples, refusal, unknown) = match read {
            Ok(taken) => {
                let counts = taken.counts;
                let (reported, kept) = self.commit(&mut state.report, taken, time, duration, true);
                account.scrape(&counts, reported, &kept, metrics);
                (counts.samples, None, kept.unknown)
            }
            Err(refusal) => {
                let mut nothing = Taken::default();
                (nothing.counts.samples, nothing.counts.relabelled) = (refusal.samples, refusal.relabelled);
                let (reported, kept) = self.commit(&mut state.report, nothing, time, duration, false);
                account.failure(refusal.samples, reported, &kept, metrics);
                metrics.failures.with_label_values(&[refusal.reason]).inc();
                (refusal.samples, Some(refusal), kept.unknown)
            }
        };
        self.tell(&mut state, refusal);
        (state.last, state.duration, state.samples) = (Some(time), duration, samples);
        drop(state);
        if unknown > 0 {
            self.intake.lock().forget();
        }
    }

    fn read(&self, answer: Result<Body, Refusal>, time: Timestamp) -> Result<Taken, Refusal> {
        let mut intake = self.intake.lock();
        match answer {
            Ok(Body { bytes, format }) => {
                let text = match self.plan.translation {
                    None => bytes,
                    Some(translation) => match (translation.read)(&bytes) {
                        Ok(text) => text,
                        Err(sentence) => {
                            intake.missed();
                            return Err(Refusal {
                                reason: "parse",
                                sentence,
                                samples: 0,
                                relabelled: 0,
                            });
                        }
                    },
                };
                intake.take((&text, format), time, &*self.house.keep)
            }
            Err(refusal) => {
                intake.missed();
                Err(refusal)
            }
        }
    }

    /// Points with times of their own go first, so that a series that turns to them ends behind its old
    /// points and not on top of its new ones. A failed scrape is a whole round of the report alone: all
    /// other series end. Returns how many samples the report has, and what became of all.
    fn commit(
        &self,
        report: &mut report::Series,
        taken: Taken,
        time: Timestamp,
        duration: Duration,
        up: bool,
    ) -> (usize, Kept) {
        let keep = &self.house.keep;
        report::ask(report, &**keep, self.store, &self.plan.rules.target);
        let Taken {
            mut series,
            mut values,
            stamped,
            counts,
        } = taken;
        let mut kept = Kept::default();
        for column in self.stamped(&stamped) {
            add(&mut kept, keep.commit(column));
        }
        let own = series.len();
        let (samples, seconds) = (counts.samples as f64, duration.as_secs_f64());
        let left = (counts.samples - counts.relabelled) as f64;
        let values_reported: Values = [f64::from(up), seconds, samples, left, counts.added as f64];
        for (known, value) in report.iter().zip(values_reported) {
            if let Some(known) = known {
                series.push(*known);
                values.push(value);
            }
        }
        let reported = series.len() - own;
        let whole = Column {
            target: self.store,
            time,
            round: Round::Whole,
            series,
            values,
        };
        add(&mut kept, keep.commit(whole));
        if kept.unknown > 0 {
            *report = report::Series::default();
        }
        (reported, kept)
    }

    fn stamped(&self, stamped: &[(i64, SeriesRef, f64)]) -> impl Iterator<Item = Column> {
        stamped
            .chunk_by(|left, right| left.0 == right.0)
            .map(|at_once| Column {
                target: self.store,
                time: Timestamp(at_once.first().map_or(0, |(time, ..)| *time)),
                round: Round::Part,
                series: at_once.iter().map(|(_, series, _)| *series).collect(),
                values: at_once.iter().map(|(.., value)| *value).collect(),
            })
    }

    /// Says once what changed.
    fn tell(&self, state: &mut State, refusal: Option<Refusal>) {
        let (job, url) = (&self.plan.job, &self.plan.url);
        match &refusal {
            Some(refusal) if refusal.sentence != state.error => {
                tracing::warn!(job, url, error = refusal.sentence, "scrape failed");
            }
            None if state.health == Health::Bad => tracing::info!(job, url, "scrape works again"),
            _ => {}
        }
        state.health = if refusal.is_some() {
            Health::Bad
        } else {
            Health::Good
        };
        state.error = refusal.map(|refusal| refusal.sentence).unwrap_or_default();
    }

    pub(crate) fn view(&self) -> View {
        let state = self.state.lock();
        let plan = &self.plan;
        View {
            job: plan.job.clone(),
            url: plan.url.clone(),
            discovered: plan.discovered.clone(),
            labels: plan.rules.target.clone(),
            health: state.health,
            last_error: state.error.clone(),
            last_scrape: state.last,
            last_duration: state.duration,
            interval: plan.interval,
            timeout: plan.timeout,
            samples: state.samples,
            http: true,
            read_by: None,
        }
    }
}

fn add(sum: &mut Kept, kept: Kept) {
    sum.kept += kept.kept;
    sum.added += kept.added;
    sum.ended += kept.ended;
    sum.out_of_order += kept.out_of_order;
    sum.duplicate += kept.duplicate;
    sum.unknown += kept.unknown;
}
