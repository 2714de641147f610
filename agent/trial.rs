//! An edited alert over what this process has kept, for the page: the back-test of `skopos backtest`, bounded.
//!
//! One at a time, with less memory than the command may take, and it ends soon once whoever asked has gone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use model::view::{Episode, Fires, Trial, Tried, View};
use model::{BoxFuture, Select, TimeRange};
use parking_lot::Mutex;
use promql::{MatrixSeries, Stop};
use rules::backtest::{Kept, Past, PastError, Read, Report, Settings, Steps, Which, Wrong, edited};
use rules::{Group, Options};

/// Samples that one question reads or gives at a time, 16 bytes each.
const SAMPLES_MAX: usize = 2_000_000;
/// Of the time one question may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Episodes that are handed on.
const EPISODES_MAX: usize = 500;
/// After so long no other waits are tried.
const OTHERS_WITHIN: Duration = Duration::from_secs(5);
/// What one would write into a file; the next shorter and the two next longer ones are tried, too.
const HOLDS: [Duration; 9] = [
    Duration::ZERO,
    Duration::from_mins(1),
    Duration::from_mins(2),
    Duration::from_mins(5),
    Duration::from_mins(10),
    Duration::from_mins(15),
    Duration::from_mins(30),
    Duration::from_hours(1),
    Duration::from_hours(3),
];

/// What a trial is made over.
pub(crate) struct Trials {
    pub(crate) select: Arc<dyn Select>,
    /// Those that are to run.
    pub(crate) groups: View<Arc<[Group]>>,
    pub(crate) options: Options,
    pub(crate) busy: Mutex<()>,
}

impl Trials {
    /// # Errors
    /// A sentence for whoever asked.
    pub(crate) fn make(&self, trial: &Trial, stop: &Stop) -> Result<Tried, String> {
        let Some(_busy) = self.busy.try_lock() else {
            return Err("another back-test is under way: try again when it is done".to_owned());
        };
        if let Some(elsewhere) = &self.options.config.datasource {
            return Err(format!(
                "rules ask {0}, and this process keeps too little to tell: run skopos backtest --url {0}",
                elsewhere.shown()
            ));
        }
        let started = Instant::now();
        let groups = (self.groups)();
        let which = Which {
            file: &trial.file,
            group: &trial.group,
            name: &trial.name,
            labels: &trial.labels,
            expr: &trial.expr,
        };
        let run = |expr: &str, hold: Duration| {
            let groups = edited(&groups, which, expr, hold)?;
            self.run(&groups, trial, stop)
        };
        let report = run(&trial.tried_expr, trial.tried_hold)?;
        let is_same = (&trial.expr, trial.hold) == (&trial.tried_expr, trial.tried_hold);
        let tried = fires(&report);
        let today = if is_same {
            tried.clone()
        } else {
            fires(&run(&trial.expr, trial.hold)?)
        };
        let mut others = Vec::new();
        for hold in near(trial.tried_hold) {
            if started.elapsed() < OTHERS_WITHIN {
                others.push((hold, fires(&run(&trial.tried_expr, hold)?)));
            }
        }
        let failed = report.failures.iter().map(|failure| {
            format!(
                "{} could not be evaluated {} times: {}",
                failure.rule, failure.times, failure.message
            )
        });
        Ok(Tried {
            tried,
            today,
            others,
            notes: failed.chain(report.notes.iter().cloned()).collect(),
            gaps: report.gaps,
            took: started.elapsed(),
        })
    }

    fn run(&self, groups: &[Group], trial: &Trial, stop: &Stop) -> Result<Report, String> {
        let engine = promql::Options {
            samples_max: SAMPLES_MAX,
            timeout: TIMEOUT,
            stop: Some(stop.clone()),
            ..promql::Options::default()
        };
        let settings = Settings {
            from: trial.from,
            until: trial.until,
            warm_up: None,
            options: self.options.clone(),
            engine: engine.clone(),
            one_by_one: false,
        };
        let past = Arc::new(Stoppable {
            kept: Kept::new(Arc::clone(&self.select), engine),
            stop: stop.clone(),
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(|error| format!("the back-test could not begin: {error}"))?;
        let is_wanted = |name: &str| name == trial.name;
        let report = runtime.block_on(rules::backtest::run(
            groups,
            past,
            &settings,
            is_wanted,
            &mut |_| {},
        ));
        report.map_err(|wrong| match wrong {
            Wrong::NoAlerts => format!("no alert {} is loaded any more", trial.name),
            Wrong::NoHistory => "nothing was kept in that time".to_owned(),
            Wrong::TooMuch(why) => {
                format!("that is too much for the page: {why}; `skopos backtest` may take more")
            }
            Wrong::Unanswered(why) | Wrong::Away(why) => why,
        })
    }
}

/// Answers until it is told to stop.
struct Stoppable {
    kept: Kept,
    stop: Stop,
}

impl Stoppable {
    fn check(&self) -> Result<(), PastError> {
        if self.stop.is_set() {
            return Err(PastError::Away(
                "stopped: nobody waits for it any more".to_owned(),
            ));
        }
        Ok(())
    }
}

impl Past for Stoppable {
    fn answers<'a>(
        &'a self,
        expr: &'a str,
        steps: Steps,
    ) -> BoxFuture<'a, Result<Vec<MatrixSeries>, PastError>> {
        Box::pin(async move {
            self.check()?;
            self.kept.answers(expr, steps).await
        })
    }

    fn samples<'a>(&'a self, reads: &'a [Read]) -> BoxFuture<'a, Result<Arc<dyn Select>, PastError>> {
        Box::pin(async move {
            self.check()?;
            self.kept.samples(reads).await
        })
    }

    fn is_blank(&self, range: TimeRange) -> BoxFuture<'_, Result<bool, PastError>> {
        self.kept.is_blank(range)
    }
}

fn near(hold: Duration) -> Vec<Duration> {
    let shorter = HOLDS.iter().rev().find(|other| **other < hold);
    let longer = HOLDS.iter().filter(|other| **other > hold).take(2);
    shorter.into_iter().chain(longer).copied().collect()
}

/// Only one alert of the name is left in what was run.
fn fires(report: &Report) -> Fires {
    let Some(alert) = report.alerts.first() else {
        return Fires::default();
    };
    let mut episodes: Vec<Episode> = alert
        .episodes
        .iter()
        .map(|episode| Episode {
            labels: episode.labels.clone(),
            active_at: episode.active_at,
            fired_at: episode.fired_at,
            ended_at: episode.ended_at,
        })
        .collect();
    episodes.sort_by_key(|episode| episode.fired_at.unwrap_or(episode.active_at));
    let more = episodes.len().saturating_sub(EPISODES_MAX);
    episodes.truncate(EPISODES_MAX);
    Fires {
        fired: alert.fired,
        firing: alert.firing,
        longest: alert.longest,
        only_pending: alert.only_pending,
        episodes,
        unlisted: alert.unlisted + more as u64,
    }
}

#[cfg(test)]
mod tests {
    use model::{Clock, Column, Keep, Kind, Labels, Round, SeriesDesc, TargetDesc, Timestamp};
    use store::Store;
    use telemetry::clock::RuntimeClock;

    use super::*;

    /// Two hours of a series that is 9 for half an hour in the middle of it, and 1 otherwise.
    fn trials(folder: &std::path::Path, clock: &Arc<dyn Clock>) -> (Trials, Trial) {
        let registry = prometheus::Registry::new();
        let store = Store::open(folder, store::Config::default(), Arc::clone(clock), &registry).unwrap();
        let target = store.target(&TargetDesc {
            name: "node".into(),
            page: None,
            staleness: None,
        });
        let desc = SeriesDesc {
            labels: Labels::from_pairs([("__name__", "x"), ("job", "shop")]),
            kind: Kind::Gauge,
            family: "x".into(),
            help: "".into(),
            unit: "".into(),
        };
        let series = store.series(target, &desc).unwrap();
        let from = Timestamp(clock.now().millis() / 60_000 * 60_000) - Duration::from_hours(2);
        for minute in 0..=120_u32 {
            store.commit(Column {
                target,
                time: from + Duration::from_mins(1) * minute,
                round: Round::Whole,
                series: vec![series],
                values: vec![if (45..75).contains(&minute) { 9.0 } else { 1.0 }],
            });
        }
        let text = "groups: [{name: g, interval: 1m, rules: [{alert: High, expr: 'x > 100', for: 5m}]}]";
        let groups: Arc<[Group]> = rules::load(&[("a.yaml", text)]).unwrap().into();
        let trials = Trials {
            select: store,
            groups: Arc::new(move || Arc::clone(&groups)),
            options: Options::default(),
            busy: Mutex::default(),
        };
        let trial = Trial {
            file: "a.yaml".to_owned(),
            group: "g".to_owned(),
            name: "High".to_owned(),
            labels: Labels::empty(),
            expr: "x > 100".to_owned(),
            hold: Duration::from_mins(5),
            tried_expr: "x > 5".to_owned(),
            tried_hold: Duration::from_mins(10),
            from,
            until: from + Duration::from_hours(2),
        };
        (trials, trial)
    }

    #[tokio::test]
    async fn an_edited_alert_is_gone_through_beside_the_one_that_runs() {
        let clock: Arc<dyn Clock> = RuntimeClock::system();
        let folder = tempfile::tempdir().unwrap();
        let (trials, trial) = trials(folder.path(), &clock);
        // As the server does, on a thread that may block.
        let answers = tokio::task::spawn_blocking(move || {
            let stop = Stop::default();
            let whole = trials.make(&trial, &stop).unwrap();
            let mistake = trials.make(
                &Trial {
                    tried_expr: "x >".to_owned(),
                    ..trial.clone()
                },
                &stop,
            );
            let second = {
                let _first = trials.busy.lock();
                trials.make(&trial, &stop).unwrap_err()
            };
            stop.set();
            let stopped = trials.make(&trial, &stop).unwrap_err();
            (whole, mistake.unwrap_err(), second, stopped)
        });
        let (whole, mistake, second, stopped) = answers.await.unwrap();
        assert_eq!((whole.tried.fired, whole.today.fired), (1, 0));
        let firing = whole.tried.firing.as_secs() / 60;
        assert!((19..=21).contains(&firing), "{firing} of 20 minutes");
        let episode = &whole.tried.episodes[0];
        assert_eq!(episode.labels.value("job"), "shop");
        assert!(episode.ended_at.is_some());
        let others: Vec<(u64, u64)> = whole
            .others
            .iter()
            .map(|(hold, fires)| (hold.as_secs() / 60, fires.fired))
            .collect();
        assert_eq!(others, [(5, 1), (15, 1), (30, 0)]);
        assert!(mistake.starts_with("line 1, column "), "{mistake}");
        assert!(second.contains("another back-test is under way"), "{second}");
        assert!(stopped.contains("stopped"), "{stopped}");
    }

    #[test]
    fn the_next_shorter_and_two_longer_waits_are_tried() {
        let minutes = |minutes: &[u64]| {
            minutes
                .iter()
                .map(|one| Duration::from_mins(*one))
                .collect::<Vec<_>>()
        };
        assert_eq!(near(Duration::from_mins(5)), minutes(&[2, 10, 15]));
        assert_eq!(near(Duration::ZERO), minutes(&[1, 2]));
        assert_eq!(near(Duration::from_mins(7)), minutes(&[5, 10, 15]));
        assert_eq!(near(Duration::from_hours(9)), minutes(&[180]));
    }
}
