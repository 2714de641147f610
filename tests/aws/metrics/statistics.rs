//! `GetMetricStatistics`: one metric, up to 1,440 points, in no order.

use super::series::{Samples, mix};
use super::{Span, Statistic, invalid, is_period, key};
use crate::asked::Refusal;
use crate::protocol::tree::{Tree, tree};
use crate::services::Call;

const POINTS_MAX: i64 = 1440;

pub(super) fn get(call: &Call<'_>) -> Result<Tree, Refusal> {
    let at = (call.account, call.region);
    let (fields, now) = (call.fields(), call.now);
    if !call
        .estate
        .quotas
        .lock()
        .take(at, "GetMetricStatistics", 1.0, now)
    {
        return Err(Refusal::throttled());
    }
    let missing = |name: &str| {
        Refusal::new(
            "MissingRequiredParameterException",
            format!("The parameter {name} is required."),
        )
    };
    let namespace = fields.text("Namespace").ok_or_else(|| missing("Namespace"))?;
    let metric = fields.text("MetricName").ok_or_else(|| missing("MetricName"))?;
    let start = fields.time("StartTime").ok_or_else(|| missing("StartTime"))?;
    let end = fields.time("EndTime").ok_or_else(|| missing("EndTime"))?;
    let period = fields.whole("Period").ok_or_else(|| missing("Period"))?;
    let (plain, extended) = (fields.texts("Statistics"), fields.texts("ExtendedStatistics"));
    if plain.is_empty() && extended.is_empty() {
        return Err(missing("Statistics or ExtendedStatistics"));
    }
    if start >= end {
        return Err(Refusal::new(
            "InvalidParameterValueException",
            "The parameter StartTime must be less than the parameter EndTime.",
        ));
    }
    if !is_period(period) {
        return Err(Refusal::new(
            "InvalidParameterValueException",
            "The parameter Period must be a value of 1, 5, 10, 20, 30 or any multiple of 60.",
        ));
    }
    let span = Span::new(start, end, period, now);
    if span.length() > POINTS_MAX {
        return Err(Refusal::new(
            "InvalidParameterCombinationException",
            format!(
                "You have requested up to {} datapoints, which exceeds the limit of {POINTS_MAX}. You may reduce the \
                 datapoints requested by increasing Period, or decreasing the time range.",
                span.length()
            ),
        ));
    }
    let plain = plain_of(&plain)?;
    let extended = extended_of(&extended)?;
    call.estate
        .bill
        .lock()
        .request(at, "GetMetricStatistics", namespace, now);
    let dimensions = fields.list("Dimensions").into_iter();
    let dimensions: Vec<(&str, &str)> = dimensions
        .filter_map(|dimension| Some((dimension.text("Name")?, dimension.text("Value")?)))
        .collect();
    let mut points: Vec<(i64, Tree)> = call.place(|place| {
        let Some(series) = place.metrics.series.get(&key(namespace, metric, &dimensions)) else {
            return Vec::new();
        };
        let mut samples = Samples::default();
        let points = (0..span.length()).filter_map(|nth| {
            let begin = span.begin(nth);
            span.fill(series, begin, &mut samples);
            if samples.0.is_empty() {
                return None;
            }
            let mut point = tree! {"Timestamp": model::Timestamp(begin), "Unit": series.unit};
            for (name, statistic) in &plain {
                point = point.with(name, statistic.of(&mut samples));
            }
            if !extended.is_empty() {
                let extended = extended.iter();
                let values = extended
                    .map(|(name, statistic)| ((*name).to_owned(), Tree::from(statistic.of(&mut samples))));
                point = point.with("ExtendedStatistics", Tree::Named(values.collect()));
            }
            Some((begin, point))
        });
        points.collect()
    });
    // AWS promises no order, so nobody may count on one.
    points.sort_by_key(|(begin, _)| mix(*begin as u64));
    Ok(tree! {
        "Label": metric,
        "Datapoints": Tree::members(points.into_iter().map(|(_, point)| point)),
    })
}

fn plain_of<'a>(names: &[&'a str]) -> Result<Vec<(&'static str, Statistic)>, Refusal> {
    let known = ["SampleCount", "Average", "Sum", "Minimum", "Maximum"];
    let read = |name: &&'a str| {
        let name = known.into_iter().find(|known| known == name);
        let read = name.and_then(|name| Some((name, Statistic::read(name)?)));
        read.ok_or_else(|| invalid("The parameter Statistics.member.1 must be one of the five statistics."))
    };
    names.iter().map(read).collect()
}

fn extended_of<'a>(names: &[&'a str]) -> Result<Vec<(&'a str, Statistic)>, Refusal> {
    let read = |name: &&'a str| {
        let read = Statistic::read(name).filter(|_| name.starts_with(['p', 't', 'T', 'I']));
        read.map(|read| (*name, read)).ok_or_else(|| {
            Refusal::new(
                "InvalidParameterValueException",
                format!("The value {name} for parameter ExtendedStatistics.member.1 is not supported."),
            )
        })
    };
    names.iter().map(read).collect()
}
