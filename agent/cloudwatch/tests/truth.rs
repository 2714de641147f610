//! What is kept is what was true: every minute of every series, late and revised ones too, and for what was forecast.

use std::collections::BTreeSet;
use std::time::Duration;

use fake_aws::estate;
use fake_aws::metrics::Statistic;
use model::{Labels, Matcher, Timestamp};

use super::house::{House, START, alert, config};
use crate::catalogue::Catalogue;
use crate::names;
use crate::plan::need::{By, Need};
use crate::plan::{Plan, Series};

const HOUR: Duration = Duration::from_secs(3_600);

fn hours(few: u64, many: u64) -> Duration {
    let is_long = std::env::var_os("SKOPOS_TEST_LONG").is_some();
    HOUR * u32::try_from(if is_long { many } else { few }).unwrap()
}

/// Every metric that the fake has, by the first statistic of the catalogue.
pub(super) fn everything(house: &House) -> Vec<Need> {
    let catalogue = Catalogue::with(&[]);
    let known: BTreeSet<(String, String)> = house.fake.metrics(|metrics| {
        let all = metrics.all();
        all.map(|series| (series.namespace.clone(), series.metric.clone()))
            .collect()
    });
    let mut names: BTreeSet<String> = BTreeSet::new();
    for entry in catalogue.entries() {
        for (metric, about) in &entry.metrics {
            if known.contains(&(entry.namespace.to_string(), metric.to_string())) {
                let statistic = about.statistics.first().map(|statistic| &**statistic);
                let name = names::metric(&entry.namespace, metric, statistic.unwrap_or("Average"));
                names.insert(name);
            }
        }
    }
    names
        .iter()
        .map(|name| alert(name, Duration::from_secs(600)))
        .collect()
}

/// Minutes that are other than the truth, each with what was kept.
fn wrong(house: &House, series: &Series, from: Timestamp, until: Timestamp) -> Vec<String> {
    let dimensions: Vec<(&str, &str)> = series
        .dimensions
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    let statistic = Statistic::read(&series.statistic).unwrap();
    let truth = house.fake.metrics(|metrics| {
        metrics.truth(
            &series.namespace,
            &series.metric,
            &dimensions,
            statistic,
            (from, until),
        )
    });
    let kept = house.memory.points(&series.labels);
    let mut minute = from;
    let mut wrong = Vec::new();
    while minute < until {
        let true_value = truth
            .iter()
            .find(|(time, _)| *time == minute)
            .map(|(_, value)| *value);
        let expected = true_value.or(series.zero_when_silent.then_some(0.0));
        let kept = kept.get(&minute).map(|(value, _)| *value);
        if expected != kept {
            wrong.push(format!(
                "{} at {minute:?}: {kept:?} instead of {expected:?}",
                series.labels
            ));
        }
        minute = minute + Duration::from_secs(60);
    }
    wrong
}

#[tokio::test(start_paused = true)]
async fn every_minute_of_every_series_is_true_and_costs_what_was_forecast() {
    let mut house = House::with(estate::sample, config());
    house.wants(everything(&house));
    house.open();
    // What is planned and has never had a point is known after an hour.
    house.pass(HOUR + HOUR / 3).await;
    let plan = whole(&house);
    println!(
        "{} series are planned, {:.2} dollars a month",
        plan.planned.len(),
        plan.monthly()
    );
    house.fake.reset_bill();
    let said = house.room.view().unwrap();
    let rest = crate::budget::rest_of_month(house.now());
    let (begin, calls) = (house.now(), house.fake.count("GetMetricData"));
    let span = hours(2, 48);
    house.pass(span).await;
    let calls = house.fake.count("GetMetricData") - calls;
    let billed = house.fake.bill().usd();

    let forecast = (said.forecast - said.spent) * span.as_secs_f64() / rest.as_secs_f64();
    let off = (billed - forecast) / forecast;
    println!(
        "{} calls in {} hours; {billed:.4} dollars billed, {forecast:.4} forecast, {:+.2} %",
        calls,
        span.as_secs() / 3_600,
        off * 100.0
    );
    assert!(off.abs() < 0.05, "{billed} billed, {forecast} forecast");
    let until = house.now() - Duration::from_secs(1_500);
    let mut all = Vec::new();
    let mut minutes = 0;
    for planned in &plan.planned {
        all.extend(wrong(&house, &planned.series, START - HOUR, until));
        minutes += until.since(START - HOUR).as_secs() / 60;
    }
    println!("{minutes} minutes of series compared, {} wrong", all.len());
    assert_eq!(all.len(), 0, "{:#?}", &all[..all.len().min(20)]);
    assert!(begin > START);
    house.close().await;
}

fn whole(house: &House) -> std::sync::Arc<Plan> {
    let plans = house.room.plans();
    assert_eq!(plans.len(), 1);
    plans.into_iter().map(|(_, plan)| plan).next().unwrap()
}

#[tokio::test(start_paused = true)]
async fn nothing_is_asked_of_what_is_stopped_and_no_zero_is_made_up_for_it() {
    let mut house = House::with(estate::sample, config());
    house.wants(vec![alert("aws_rds_free_storage_space_minimum", HOUR)]);
    house.open();
    house.pass(HOUR * 2).await;
    let of = |labels: &Labels| labels.value("dimension_DBInstanceIdentifier").to_owned();
    let kept: BTreeSet<String> = house
        .memory
        .named("aws_rds_free_storage_space_minimum")
        .iter()
        .map(|(labels, _)| of(labels))
        .collect();
    assert_eq!(kept.len(), 9, "{kept:?}");
    assert!(!kept.contains(estate::STOPPED));
    let said: Vec<(String, f64)> = house
        .memory
        .named("aws_rds_available")
        .iter()
        .filter_map(|(labels, points)| Some((of(labels), points.last_key_value()?.1.0)))
        .collect();
    assert!(said.contains(&(estate::STOPPED.to_owned(), 0.0)), "{said:?}");
    house.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_only_dashboards_show_is_bought_hourly_and_at_once_when_somebody_looks() {
    let mut house = House::with(estate::sample, config());
    let name = "aws_rds_cpuutilization_average";
    let by = By::Dashboard { title: "RDS".into() };
    house.wants(vec![Need::new(name, &[] as &[Matcher], None, by)]);
    house.open();
    house.pass(Duration::from_secs(600)).await;
    let calls = house.fake.count("GetMetricData");
    house.pass(HOUR * 3).await;
    assert_eq!(house.fake.count("GetMetricData") - calls, 3);
    house.room.looked(&std::iter::once(name.into()).collect());
    house.pass(Duration::from_secs(20)).await;
    assert_eq!(house.fake.count("GetMetricData") - calls, 4);
    let newest = house
        .memory
        .named(name)
        .iter()
        .filter_map(|(_, points)| Some(*points.last_key_value()?.0))
        .max();
    assert!(
        house.now().since(newest.unwrap()) < Duration::from_secs(420),
        "{newest:?}"
    );
    house.close().await;
}
