//! `skopos cloudwatch plan` and `policy`: what of AWS would be bought, for whom and for how much, and what has to be allowed.
//!
//! Only what costs nothing is asked; no metric is bought here, and nothing is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use cloudwatch::inventory::Place;
use cloudwatch::outlook::{Outlook, Unmet};
use cloudwatch::plan::need::{By, Need};
use cloudwatch::plan::{Class, Plan, Share, price};
use cloudwatch::{CloudWatch, Given, Spent, Treasury};
use model::column::Kept;
use model::{
    Column, Keep, KeepError, Labels, Leadership, SeriesDesc, SeriesRef, TargetDesc, TargetRef, Timestamp,
};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::cli::{CloudWatchPlanArgs, Lines};
use crate::config::{Config, Document};
use crate::{bill, check, needs};

const TOO_DEAR: u8 = 1;
const NOT_ASKED: u8 = 2;
const BAD_FILE: u8 = 64;

/// Ends with 0, with 1 when what wakes people costs more than the budget, with 2 when AWS cannot be asked, and with 64 when a file
/// has mistakes.
#[must_use]
pub fn plan(arguments: &CloudWatchPlanArgs) -> ExitCode {
    let other = arguments.diff.as_deref().map(|file| look(Some(file)));
    let (looked, other) = match (look(arguments.config.as_deref()), other.transpose()) {
        (Ok(looked), Ok(other)) => (looked, other),
        (Err(code), _) | (_, Err(code)) => return ExitCode::from(code),
    };
    let text = match (&other, arguments.json) {
        (Some(other), true) => pretty(&bill::difference_json(&looked, other)),
        (Some(other), false) => bill::difference(&looked, other),
        (None, true) => pretty(&looked.json(arguments.by)),
        (None, false) => bill::of(&looked, arguments.by),
    };
    if std::io::stdout().write_all(text.as_bytes()).is_err() {
        return ExitCode::FAILURE;
    }
    for problem in looked
        .problems
        .iter()
        .chain(other.iter().flat_map(|other| &other.problems))
    {
        _ = writeln!(std::io::stderr(), "skopos: {problem}");
    }
    let judged = other.as_ref().unwrap_or(&looked);
    if judged.is_too_dear() {
        return ExitCode::from(TOO_DEAR);
    }
    ExitCode::SUCCESS
}

/// Prints the policy.
#[must_use]
pub fn policy(terraform: bool, queue: Option<&cloudwatch::Queue>) -> ExitCode {
    let policy = cloudwatch::policy(queue);
    let text = if terraform {
        terraformed(&policy)
    } else {
        pretty(&policy)
    };
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// For `skopos check --live`: what it costs, in a sentence.
///
/// # Errors
/// AWS cannot be asked, or the budget is too small for what wakes people.
pub(crate) fn ask(config: &Config) -> Result<String, String> {
    let gathered = needs::gather(&config.groups, &config.document.cloudwatch);
    let looked = Looked::new(&config.document, gathered)?;
    if let Some(problem) = looked.problems.first() {
        return Err(problem.clone());
    }
    match looked.budget {
        Some(budget) if looked.is_too_dear() => Err(format!(
            "what wakes people alone costs ${:.2} a month, more than max_usd_per_month (${budget:.2}); raise it, or watch less \
             (services, only_tags)",
            looked.outlook.monthly[0]
        )),
        _ => Ok(bill::sum(&looked)),
    }
}

fn look(file: Option<&Path>) -> Result<Looked, u8> {
    let config = Config::load(file, None).map_err(|complaints| {
        for complaint in complaints {
            _ = writeln!(std::io::stderr(), "{complaint}");
        }
        BAD_FILE
    })?;
    let gathered = needs::gather(&config.groups, &config.document.cloudwatch);
    Looked::new(&config.document, gathered).map_err(|error| {
        _ = writeln!(std::io::stderr(), "skopos: {error}");
        NOT_ASKED
    })
}

/// What is there, and what it would cost to watch.
pub(crate) struct Looked {
    pub(crate) plans: Vec<(Place, Arc<Plan>)>,
    pub(crate) outlook: Outlook,
    pub(crate) budget: Option<f64>,
    pub(crate) unmet: Vec<Unmet>,
    pub(crate) problems: Vec<String>,
}

impl Looked {
    /// Asks AWS, for free.
    ///
    /// # Errors
    /// A place cannot be asked at all.
    pub(crate) fn new(document: &Document, needs: Arc<[Need]>) -> Result<Self, String> {
        let outside = check::outside(document)?;
        let mut config = document.cloudwatch.clone();
        config.enabled = true;
        let budget = config.budget();
        // The senders are held until the end: who is gone has said his last.
        let (_needs, needed) = watch::channel(needs);
        let (_hot, hot) = watch::channel(Arc::default());
        let (_leadership, leadership) = watch::channel(Leadership::standalone());
        let room = CloudWatch::new(
            Given {
                config,
                aws: outside.aws,
                client: outside.client,
                keep: Arc::new(Nobody),
                clock: telemetry::clock::RuntimeClock::system(),
                treasury: Arc::new(Nobody),
                leadership,
                needs: needed,
                hot,
            },
            &prometheus::Registry::new(),
        );
        let view = outside
            .runtime
            .block_on(room.survey())
            .map_err(|refused| format!("AWS cannot be asked: {refused}"))?;
        let plans = room.plans();
        let places = view.places.into_iter().flat_map(|place| place.problems);
        Ok(Self {
            outlook: Outlook::of(&plans, budget),
            plans,
            budget,
            unmet: room.unmet(),
            problems: view.problems.into_iter().chain(places).collect(),
        })
    }

    pub(crate) fn is_too_dear(&self) -> bool {
        self.budget.is_some_and(|budget| self.outlook.monthly[0] > budget)
    }

    /// Of all places together, who pays for what.
    pub(crate) fn bill(&self) -> BTreeMap<By, Share> {
        let mut bill: BTreeMap<By, Share> = BTreeMap::new();
        for (by, share) in self.plans.iter().flat_map(|(_, plan)| plan.bill()) {
            let all = bill.entry(by).or_insert_with(|| Share {
                namespace: Arc::clone(&share.namespace),
                interval: share.interval,
                ..Share::default()
            });
            all.series += share.series;
            all.dollars += share.dollars;
            all.interval = all.interval.min(share.interval);
        }
        bill
    }

    /// Each series, with who wants it.
    pub(crate) fn series(&self) -> Vec<Line> {
        let planned = self.plans.iter().flat_map(|(_, plan)| {
            plan.planned.iter().map(|planned| {
                let by: BTreeSet<String> = planned
                    .by
                    .iter()
                    .filter_map(|need| Some(plan.needs.get(*need)?.by.word()))
                    .collect();
                Line {
                    labels: planned.series.labels.clone(),
                    class: planned.class,
                    interval: planned.interval,
                    by: by.into_iter().collect(),
                }
            })
        });
        planned.collect()
    }

    /// Namespace and dimensions of each resource, with its number of series and their price.
    pub(crate) fn resources(&self) -> BTreeMap<String, (usize, f64)> {
        let mut resources: BTreeMap<String, (usize, f64)> = BTreeMap::new();
        for (place, plan) in &self.plans {
            for planned in &plan.planned {
                let names = planned.series.dimensions.iter();
                let names: Vec<String> = names.map(|(name, value)| format!("{name}={value}")).collect();
                let name = format!(
                    "{} {} {}",
                    place.instance(),
                    planned.series.namespace,
                    names.join(",")
                );
                let entry = resources.entry(name).or_default();
                entry.0 += 1;
                entry.1 += price::monthly(planned.interval);
            }
        }
        resources
    }

    fn json(&self, by: Lines) -> Value {
        let lines: Vec<Value> = match by {
            Lines::Alert => {
                let bill = self.bill();
                let line = |(by, share): (&By, &Share)| json!({ "by": by.word(), "series": share.series, "interval_seconds": share.interval.as_secs(), "usd_per_month": share.dollars });
                bill.iter().map(line).collect()
            }
            Lines::Series => {
                let line = |line: &Line| json!({ "series": line.labels.to_string(), "class": line.class.word(), "interval_seconds": line.interval.as_secs(), "usd_per_month": price::monthly(line.interval), "by": line.by });
                self.series().iter().map(line).collect()
            }
            Lines::Resource => {
                let resources = self.resources();
                let line = |(name, (series, dollars)): (&String, &(usize, f64))| json!({ "resource": name, "series": series, "usd_per_month": dollars });
                resources.iter().map(line).collect()
            }
        };
        let classes = Class::ALL
            .iter()
            .zip(self.outlook.monthly)
            .zip(self.outlook.stretch);
        let class = |((class, monthly), stretch): ((&Class, f64), f64)| {
            // What is not asked for at all has no number in JSON.
            json!({ "class": class.word(), "usd_per_month": monthly, "stretch": stretch.is_finite().then_some(stretch) })
        };
        let unmet = self.unmet.iter().map(|unmet| {
            let by: Vec<String> = unmet.by.iter().map(By::word).collect();
            json!({ "name": &*unmet.name, "why": unmet.why, "by": by })
        });
        json!({
            "lines": lines,
            "classes": classes.map(class).collect::<Vec<_>>(),
            "series": self.count(),
            "usd_per_month": self.outlook.total(),
            "max_usd_per_month": self.budget,
            "stretched_usd_per_month": self.outlook.stretched(),
            "unmet": unmet.collect::<Vec<_>>(),
            "problems": self.problems,
        })
    }

    pub(crate) fn count(&self) -> usize {
        self.plans.iter().map(|(_, plan)| plan.planned.len()).sum()
    }
}

/// A series in the plan.
pub(crate) struct Line {
    pub(crate) labels: Labels,
    pub(crate) class: Class,
    pub(crate) interval: Duration,
    pub(crate) by: Vec<String>,
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

/// The same as a document of Terraform's provider.
fn terraformed(policy: &Value) -> String {
    let statements = policy["Statement"].as_array().into_iter().flatten();
    let statements: String = statements
        .map(|statement| {
            let actions = statement["Action"].as_array().into_iter().flatten();
            let actions: String = actions.map(|action| format!("      {action},\n")).collect();
            format!(
                "  statement {{\n    sid       = {}\n    effect    = {}\n    actions = [\n{actions}    ]\n    resources = [{}]\n  }}\n",
                statement["Sid"], statement["Effect"], statement["Resource"]
            )
        })
        .collect();
    format!("data \"aws_iam_policy_document\" \"skopos\" {{\n{statements}}}\n")
}

/// Keeps nothing: a survey buys nothing and says nothing.
struct Nobody;

impl Keep for Nobody {
    fn target(&self, _: &TargetDesc) -> TargetRef {
        TargetRef(0)
    }

    fn series(&self, _: TargetRef, _: &SeriesDesc) -> Result<SeriesRef, KeepError> {
        Err(KeepError::SeriesLimit { limit: 0 })
    }

    fn commit(&self, _: Column) -> Kept {
        Kept::default()
    }

    fn retire(&self, _: TargetRef, _: Timestamp) {}
}

impl Treasury for Nobody {
    fn load(&self) -> Option<Spent> {
        None
    }

    fn save(&self, _: Spent) -> Result<(), String> {
        Ok(())
    }
}
