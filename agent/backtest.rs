//! `skopos backtest`: what alerts would have done over what was kept, on a terminal or as JSON.

use std::fmt::Write as _;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use model::text::{count, duration};
use model::{Clock, Timestamp};
use promql::Options as Engine;
use rules::backtest::{Alert, Episode, Kept, Past, Remote, Report, Settings, Wrong};
use rules::{Group, Options};
use serde_json::{Value as Json, json};
use telemetry::clock::RuntimeClock;

use crate::archive;
use crate::check::number;
use crate::cli::BacktestArgs;
use crate::config;
use crate::query::{URL, moment};

/// As of a rule file that does not run.
const BAD_RULES: u8 = 64;
/// Between two words about how far it is.
const PATIENCE: Duration = Duration::from_secs(10);

/// Ends with 1 when there is no report, and with 64 when a rule file is wrong.
#[must_use]
pub fn run(arguments: &BacktestArgs) -> ExitCode {
    let groups = match load(arguments) {
        Ok(groups) => groups,
        Err(complaints) => {
            for complaint in complaints {
                _ = writeln!(io::stderr(), "{complaint}");
            }
            return ExitCode::from(BAD_RULES);
        }
    };
    match report(arguments, &groups).and_then(|(report, notes)| show(arguments, &report, &notes)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            _ = writeln!(io::stderr(), "skopos: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn load(arguments: &BacktestArgs) -> Result<Vec<Group>, Vec<model::Complaint>> {
    let (mut files, mut complaints) = (Vec::new(), Vec::new());
    for file in &arguments.files {
        match config::read(file) {
            Ok(text) => files.push((file.display().to_string(), text)),
            Err(complaint) => complaints.push(complaint),
        }
    }
    match rules::load(&files) {
        Ok(groups) if complaints.is_empty() => Ok(groups),
        Ok(_) => Err(complaints),
        Err(more) => Err(complaints.into_iter().chain(more).collect()),
    }
}

/// With what is to be said beside it.
fn report(arguments: &BacktestArgs, groups: &[Group]) -> anyhow::Result<(Report, Vec<String>)> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(go_through(arguments, groups))
}

async fn go_through(arguments: &BacktestArgs, groups: &[Group]) -> anyhow::Result<(Report, Vec<String>)> {
    let clock: Arc<dyn Clock> = RuntimeClock::system();
    let (from, until) = span(arguments, clock.now())?;
    let engine = Engine {
        samples_max: arguments.samples_max,
        ..Engine::default()
    };
    let source = Source::open(arguments, clock, engine.clone())?;
    if source.span.is_some_and(|(_, newest)| newest <= from) {
        return Err(source.nothing((from, until)));
    }
    let settings = Settings {
        from,
        // Nothing is known of what came later.
        until: source.span.map_or(until, |(_, newest)| until.min(newest)),
        warm_up: arguments.warm_up,
        options: Options {
            evaluation_interval: arguments.evaluation_interval,
            query_offset: arguments.query_offset,
            ..Options::default()
        },
        engine,
        one_by_one: arguments.one_by_one,
    };
    let is_wanted =
        |name: &str| arguments.run.is_empty() || arguments.run.iter().any(|wanted| wanted.is_match(name));
    let mut progress = Progress::new(&settings);
    let report = rules::backtest::run(groups, source.past.clone(), &settings, is_wanted, &mut |at| {
        progress.tell(at);
    })
    .await;
    progress.end();
    match report {
        Ok(report) => Ok((report, source.notes)),
        Err(Wrong::NoAlerts) if arguments.run.is_empty() => bail!("there are no alerts in these files"),
        Err(Wrong::NoAlerts) => bail!("no alert in these files has a name that matches --run"),
        Err(Wrong::NoHistory) => Err(source.nothing((from, until))),
        Err(Wrong::TooMuch(why)) => bail!("{why} (--run, --samples-max)"),
        Err(Wrong::Unanswered(why)) => bail!("{} does not answer: {why}", source.name),
        Err(Wrong::Away(why)) => Err(anyhow!(
            "{why}; name a running Skopos or a Prometheus with --url, or a data directory with --data-dir"
        )),
    }
}

fn span(arguments: &BacktestArgs, now: Timestamp) -> anyhow::Result<(Timestamp, Timestamp)> {
    let at = |text: &String| moment(text).map(archive::moment);
    let until = arguments.end.as_ref().map_or(Ok(now), at)?;
    let from = match &arguments.start {
        Some(start) => at(start)?,
        None => until - arguments.since,
    };
    if from >= until {
        bail!("the time that is asked for ends before it starts");
    }
    Ok((from, until))
}

/// What is gone through.
struct Source {
    past: Arc<dyn Past>,
    name: String,
    /// From the oldest sample to the newest, where that is known.
    span: Option<(Timestamp, Timestamp)>,
    notes: Vec<String>,
}

impl Source {
    fn open(arguments: &BacktestArgs, clock: Arc<dyn Clock>, engine: Engine) -> anyhow::Result<Self> {
        if let Some(data_dir) = &arguments.data_dir {
            let (folder, look) = archive::open(data_dir, clock)?;
            return Ok(Self {
                name: folder.display().to_string(),
                span: look.span,
                notes: archive::unseen(&look),
                past: Arc::new(Kept::new(look.samples, engine)),
            });
        }
        let url = arguments.url.as_deref().unwrap_or(URL);
        let client = net::HttpClient::new().map_err(|error| anyhow!("{error}"))?;
        Ok(Self {
            past: Arc::new(Remote::new(client, url, arguments.timeout, arguments.samples_max)),
            name: url.to_owned(),
            span: None,
            notes: Vec::new(),
        })
    }

    fn nothing(&self, asked: (Timestamp, Timestamp)) -> anyhow::Error {
        let (name, asked) = (&self.name, between(asked));
        match self.span {
            Some(span) => anyhow!(
                "{name} has no samples from {asked}; it has some from {}: ask for then with --start and --end",
                between(span)
            ),
            None => anyhow!("{name} has no samples from {asked}"),
        }
    }
}

fn between((from, until): (Timestamp, Timestamp)) -> String {
    format!("{} to {}", clock(from), clock(until))
}

fn clock(time: Timestamp) -> String {
    crate::answer::clock(time.seconds())
}

/// Says on a terminal how far it is, and elsewhere now and then.
struct Progress {
    from: Timestamp,
    until: Timestamp,
    on_terminal: bool,
    told: Instant,
    is_open: bool,
}

impl Progress {
    fn new(settings: &Settings) -> Self {
        Self {
            from: settings.from,
            until: settings.until,
            on_terminal: io::stderr().is_terminal(),
            told: Instant::now(),
            is_open: false,
        }
    }

    fn tell(&mut self, at: Timestamp) {
        let pause = if self.on_terminal { PATIENCE / 20 } else { PATIENCE };
        if self.told.elapsed() < pause {
            return;
        }
        self.told = Instant::now();
        let whole = self.until.since(self.from).as_secs_f64().max(1.0);
        let percent = 100.0 * at.since(self.from).as_secs_f64() / whole;
        let words = format!("gone through until {}, {percent:.0} %", clock(at));
        let mut to = io::stderr().lock();
        // Whether anybody reads it is not for this to know.
        _ = if self.on_terminal {
            self.is_open = true;
            write!(to, "\r{words}").and_then(|()| to.flush())
        } else {
            writeln!(to, "{words}")
        };
    }

    fn end(&self) {
        if self.is_open {
            _ = write!(io::stderr(), "\r{:60}\r", "");
        }
    }
}

fn show(arguments: &BacktestArgs, report: &Report, notes: &[String]) -> anyhow::Result<()> {
    let text = if arguments.json {
        format!("{:#}\n", as_json(report))
    } else {
        written(report, arguments.verbose)
    };
    let mut remarks = io::stderr().lock();
    for note in notes.iter().chain(&report.notes) {
        _ = writeln!(remarks, "note: {note}");
    }
    for failure in &report.failures {
        _ = writeln!(
            remarks,
            "warning: rule {} of group {} failed {}, first at {}: {}",
            failure.rule,
            failure.group,
            number(usize::try_from(failure.times).unwrap_or(usize::MAX), "time"),
            clock(failure.first),
            failure.message
        );
    }
    let mut out = BufWriter::new(io::stdout().lock());
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // The reader of our output has had enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("writing the report"),
    }
}

fn written(report: &Report, verbose: bool) -> String {
    let mut rows = vec![
        [
            "alert",
            "fired",
            "firing",
            "longest",
            "first",
            "last",
            "only pending",
        ]
        .map(str::to_owned),
    ];
    rows.extend(report.alerts.iter().map(row));
    let mut widths = [0; 7];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    let alerts = std::iter::once(None).chain(report.alerts.iter().map(Some));
    for (row, alert) in rows.iter().zip(alerts) {
        let mut line = String::new();
        for (nth, (cell, width)) in row.iter().zip(widths).enumerate() {
            // Counts stand right, under each other.
            _ = if [1, 6].contains(&nth) {
                write!(line, "{cell:>width$}  ")
            } else {
                write!(line, "{cell:<width$}  ")
            };
        }
        text.push_str(line.trim_end());
        text.push('\n');
        if let Some(alert) = alert.filter(|_| verbose) {
            alert
                .episodes
                .iter()
                .for_each(|one| episode(one, report, &mut text));
            if alert.unlisted > 0 {
                _ = writeln!(text, "    and {} more", count(alert.unlisted));
            }
        }
    }
    text.push_str(&summary(report));
    text
}

fn row(alert: &Alert) -> [String; 7] {
    let spoken = |time: Duration| {
        if alert.fired == 0 {
            String::new()
        } else {
            duration::short(whole_seconds(time))
        }
    };
    let at = |time: Option<Timestamp>| time.map(clock).unwrap_or_default();
    [
        alert.name.to_string(),
        alert.fired.to_string(),
        spoken(alert.firing),
        spoken(alert.longest),
        at(alert.first),
        at(alert.last),
        alert.only_pending.to_string(),
    ]
}

fn whole_seconds(time: Duration) -> Duration {
    Duration::from_secs(time.as_secs())
}

fn episode(one: &Episode, report: &Report, text: &mut String) {
    let end = one.ended_at.unwrap_or(report.until);
    let length = |since: Timestamp| duration::short(whole_seconds(end.since(since)));
    let still = if one.ended_at.is_none() { ", still" } else { "" };
    let labels = one.labels.iter();
    let labels = labels.filter(|(name, _)| *name != model::labels::ALERT_NAME);
    let labels = model::Labels::from_pairs(labels);
    _ = match one.fired_at {
        Some(fired_at) => writeln!(
            text,
            "    {}  fired for {}{still}  {labels}",
            clock(fired_at),
            length(fired_at)
        ),
        None => writeln!(
            text,
            "    {}  pending for {}{still}  {labels}",
            clock(one.active_at),
            length(one.active_at)
        ),
    };
}

/// `2 of 12 alerts would have fired, 5 times in all, from … to …`, and what was not looked at.
fn summary(report: &Report) -> String {
    let fired = report.alerts.iter().filter(|alert| alert.fired > 0).count();
    let times: u64 = report.alerts.iter().map(|alert| alert.fired).sum();
    let mut text = format!(
        "\n{fired} of {} would have fired, {} in all, from {}\n",
        number(report.alerts.len(), "alert"),
        number(usize::try_from(times).unwrap_or(usize::MAX), "time"),
        between((report.from, report.until))
    );
    let still: u64 = report.alerts.iter().map(|alert| alert.still_firing).sum();
    if still > 0 {
        _ = writeln!(text, "{still} of them fired at the end");
    }
    for gap in &report.gaps {
        _ = writeln!(text, "nothing was kept from {}", between(*gap));
    }
    text
}

fn as_json(report: &Report) -> Json {
    let at = |time: Timestamp| exact(time);
    let maybe = |time: Option<Timestamp>| time.map(exact);
    let episode = |one: &Episode| {
        let labels: serde_json::Map<_, _> = one
            .labels
            .iter()
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect();
        json!({
            "labels": labels,
            "activeAt": at(one.active_at),
            "firedAt": maybe(one.fired_at),
            "endedAt": maybe(one.ended_at),
        })
    };
    let alert = |alert: &Alert| {
        json!({
            "file": &*alert.file,
            "group": &*alert.group,
            "name": &*alert.name,
            "fired": alert.fired,
            "firingSeconds": alert.firing.as_secs_f64(),
            "longestSeconds": alert.longest.as_secs_f64(),
            "first": maybe(alert.first),
            "last": maybe(alert.last),
            "atOnce": alert.at_once,
            "stillFiring": alert.still_firing,
            "onlyPending": alert.only_pending,
            "episodes": alert.episodes.iter().map(episode).collect::<Vec<_>>(),
            "unlisted": alert.unlisted,
        })
    };
    let failure = |failure: &rules::backtest::Failure| {
        json!({
            "file": &*failure.file,
            "group": &*failure.group,
            "rule": &*failure.rule,
            "times": failure.times,
            "first": at(failure.first),
            "message": failure.message,
        })
    };
    let gap = |(from, until): &(Timestamp, Timestamp)| json!({"from": at(*from), "until": at(*until)});
    json!({
        "from": at(report.from),
        "until": at(report.until),
        "warmedUpFrom": at(report.warmed_up_from),
        "evaluations": report.evaluations,
        "gaps": report.gaps.iter().map(gap).collect::<Vec<_>>(),
        "alerts": report.alerts.iter().map(alert).collect::<Vec<_>>(),
        "failures": report.failures.iter().map(failure).collect::<Vec<_>>(),
        "notes": report.notes,
    })
}

/// To the millisecond.
fn exact(time: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(time.millis()).map_or_else(
        |_| time.seconds().to_string(),
        |time| time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
    )
}
