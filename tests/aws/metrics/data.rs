//! `GetMetricData`: many metrics at a time, in pages that may end in the middle of one.

use std::collections::{BTreeMap, BTreeSet};

use minicbor::Encoder;
use minicbor::data::Tag;
use model::Timestamp;

use super::bill::Bought;
use super::quota::{NEW_POINTS, OLD_POINTS};
use super::series::{Samples, write_key};
use super::wanted::{Query, Wanted};
use super::{HOUR, Span, Statistic, Trouble, invalid};
use crate::asked::{Answer, Refusal};
use crate::protocol::tree::{Tree, tree};
use crate::protocol::{self, page};
use crate::services::Call;
use crate::{Estate, Place};

const QUERIES_MAX: usize = 500;
const POINTS_MAX: i64 = 100_800;

/// What is said once, beside the metrics that it is about.
const BROKEN: (&str, &str) = (
    "InternalError",
    "An internal error occurred for some of the metrics.",
);

fn is_broken(results: &[Answered<'_>]) -> bool {
    results.iter().any(|result| result.status == "InternalError")
}

/// Answer of one query, or a part of it.
struct Answered<'b> {
    id: &'b str,
    label: &'b str,
    points: Vec<(i64, f64)>,
    status: &'static str,
}

/// Where a page begins: at a query, after a time of it.
struct From {
    query: usize,
    after: Option<i64>,
}

/// Results, and the token of the next page.
type Page<'b> = (Vec<Answered<'b>>, Option<String>);

pub(super) fn by_cbor(estate: &Estate, of: (&str, &str), body: &[u8]) -> Result<Answer, Refusal> {
    let (results, next) = get(estate, of, || Wanted::read(body))?;
    Ok(write(&results, next.as_deref()))
}

pub(super) fn by_json(call: &Call<'_>) -> Result<Tree, Refusal> {
    let read = || Ok(Wanted::of(call.fields()));
    let (results, next) = get(call.estate, (call.account, call.region), read)?;
    let shown = results.iter().map(|result| {
        let times = result.points.iter().map(|(time, _)| Timestamp(*time));
        tree! {
            "Id": result.id,
            "Label": result.label,
            "Timestamps": Tree::members(times),
            "Values": Tree::members(result.points.iter().map(|(_, value)| *value)),
            "StatusCode": result.status,
        }
    });
    let broken = tree! {"Code": BROKEN.0, "Value": BROKEN.1};
    let broken = is_broken(&results).then_some(broken);
    Ok(tree! {
        "MetricDataResults": Tree::members(shown),
        "Messages": Tree::members(broken),
        "NextToken": next,
    })
}

fn get<'b>(
    estate: &Estate,
    (account, region): (&str, &str),
    read: impl FnOnce() -> Result<Wanted<'b>, Refusal>,
) -> Result<Page<'b>, Refusal> {
    let now = estate.clock.now();
    let has_turn = |kind, amount| {
        let mut quotas = estate.quotas.lock();
        quotas.take((account, region), kind, amount, now)
    };
    if !has_turn("GetMetricData", 1.0) {
        return Err(Refusal::throttled());
    }
    let wanted = read()?;
    let (start, end) = check(&wanted)?;
    let statistics = statistics(&wanted.queries)?;
    let from = begin(&wanted)?;
    let most = wanted.points_max.unwrap_or(POINTS_MAX);
    let each = wanted.queries.iter();
    let spans: Vec<Span> = each
        .map(|query| Span::new(start, end, query.period, now))
        .collect();
    let points: i64 = spans.iter().map(Span::length).sum();
    let kind = match now.millis() - start.millis() {
        age if age <= 3 * HOUR => NEW_POINTS,
        _ => OLD_POINTS,
    };
    if !has_turn(kind, points.min(most) as f64) {
        return Err(Refusal::throttled());
    }
    bill(
        estate,
        (account, region),
        &wanted.queries,
        wanted.token.is_none(),
        now,
    );
    let mut places = estate.places.lock();
    let links = estate.links.lock();
    let mut desk = Desk {
        places: &mut places,
        own: (account.to_owned(), region.to_owned()),
        linked: links.get(account).map_or(&[][..], Vec::as_slice),
        key: String::new(),
        samples: Samples::default(),
        is_ascending: wanted.scan_by == Some("TimestampAscending"),
        most,
    };
    let mut results = Vec::with_capacity(wanted.queries.len());
    let next = desk.fill(&wanted.queries, &statistics, &spans, &from, &mut results);
    let next = next.map(|from| {
        let after = from.after.map_or_else(String::new, |after| after.to_string());
        page::token("GetMetricData", &format!("{} {after}", from.query))
    });
    Ok((results, next))
}

fn check(wanted: &Wanted<'_>) -> Result<(Timestamp, Timestamp), Refusal> {
    let (Some(start), Some(end)) = (wanted.start, wanted.end) else {
        return Err(invalid("The parameters StartTime and EndTime are required."));
    };
    if start >= end {
        return Err(invalid(
            "The parameter StartTime must be less than the parameter EndTime.",
        ));
    }
    if wanted.queries.is_empty() {
        return Err(invalid("The parameter MetricDataQueries is required."));
    }
    if wanted.queries.len() > QUERIES_MAX {
        return Err(invalid(format!(
            "The collection MetricDataQueries must not have a size greater than {QUERIES_MAX}."
        )));
    }
    if wanted
        .points_max
        .is_some_and(|most| !(1..=POINTS_MAX).contains(&most))
    {
        return Err(invalid(format!(
            "The parameter MaxDatapoints must be between 1 and {POINTS_MAX}."
        )));
    }
    let orders = [None, Some("TimestampAscending"), Some("TimestampDescending")];
    if !orders.contains(&wanted.scan_by) {
        return Err(invalid(
            "The parameter ScanBy must be TimestampDescending or TimestampAscending.",
        ));
    }
    let mut ids = BTreeSet::new();
    for query in &wanted.queries {
        query.check()?;
        if !ids.insert(query.id) {
            return Err(invalid(
                "The values for parameter Id in MetricDataQueries must be unique.",
            ));
        }
    }
    Ok((start, end))
}

fn statistics(queries: &[Query<'_>]) -> Result<Vec<Statistic>, Refusal> {
    let read = |query: &Query<'_>| {
        Statistic::read(query.statistic).ok_or_else(|| {
            invalid(format!(
                "The value {} for parameter Stat is not supported.",
                query.statistic
            ))
        })
    };
    queries.iter().map(read).collect()
}

fn begin(wanted: &Wanted<'_>) -> Result<From, Refusal> {
    let Some(token) = wanted.token else {
        return Ok(From {
            query: 0,
            after: None,
        });
    };
    let refused = || Refusal::new("InvalidNextToken", "The next token specified is invalid.");
    let text = page::after("GetMetricData", token).ok_or_else(refused)?;
    let (query, after) = text.split_once(' ').ok_or_else(refused)?;
    let query = query.parse().ok().filter(|query| *query < wanted.queries.len());
    Ok(From {
        query: query.ok_or_else(refused)?,
        after: after.parse().ok(),
    })
}

/// Namespace, name and dimensions.
type Metric<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)]);

fn bill(estate: &Estate, of: (&str, &str), queries: &[Query<'_>], is_first: bool, at: Timestamp) {
    let mut bill = estate.bill.lock();
    if !is_first && !bill.bills_pages_again {
        return;
    }
    if bill.keeps_bought {
        let items = queries.iter().map(|query| Bought {
            at,
            what: format!(
                "{} {} {} {} {:?} {}",
                of.0, of.1, query.namespace, query.metric, query.dimensions, query.statistic
            ),
        });
        bill.bought.extend(items);
    }
    let mut units: BTreeMap<&str, u64> = BTreeMap::new();
    let mut same: BTreeMap<Metric<'_>, u64> = BTreeMap::new();
    for query in queries {
        *units.entry(query.namespace).or_default() += 1;
        let metric = (query.namespace, query.metric, query.dimensions.as_slice());
        *same.entry(metric).or_default() += 1;
    }
    for (namespace, units) in units {
        let packed = same.iter().filter(|((of, _, _), _)| *of == namespace);
        let packed = packed.map(|(_, statistics)| statistics.div_ceil(5)).sum();
        bill.metrics(of, namespace, units, packed);
    }
}

/// What is needed to look up one query after another.
struct Desk<'a> {
    places: &'a mut BTreeMap<(String, String), Place>,
    own: (String, String),
    linked: &'a [String],
    key: String,
    samples: Samples,
    is_ascending: bool,
    /// Points of a page.
    most: i64,
}

impl Desk<'_> {
    /// One page; returns where the next begins.
    fn fill<'b>(
        &mut self,
        queries: &[Query<'b>],
        statistics: &[Statistic],
        spans: &[Span],
        from: &From,
        results: &mut Vec<Answered<'b>>,
    ) -> Option<From> {
        let mut left = usize::try_from(self.most).unwrap_or(usize::MAX);
        let each = queries.iter().zip(statistics).zip(spans).enumerate();
        for (nth, ((query, statistic), span)) in each.skip(from.query) {
            if !query.is_returned {
                continue;
            }
            if left == 0 {
                return Some(From {
                    query: nth,
                    after: None,
                });
            }
            let after = from.after.filter(|_| nth == from.query);
            let (mut points, trouble) = self.points(query, *statistic, span, after);
            let mut status = match trouble {
                None => "Complete",
                Some(Trouble::PartialData) => "PartialData",
                Some(Trouble::InternalError) => "InternalError",
                Some(Trouble::Forbidden) => "Forbidden",
            };
            let is_cut = points.len() > left;
            if is_cut {
                points.truncate(left);
                status = "PartialData";
            }
            left -= points.len();
            let last = points.last().map(|(time, _)| *time);
            results.push(Answered {
                id: query.id,
                label: query.label.unwrap_or(query.metric),
                points,
                status,
            });
            if is_cut {
                return Some(From {
                    query: nth,
                    after: last,
                });
            }
        }
        None
    }

    fn points(
        &mut self,
        query: &Query<'_>,
        statistic: Statistic,
        span: &Span,
        after: Option<i64>,
    ) -> (Vec<(i64, f64)>, Option<Trouble>) {
        let other = query.account.filter(|account| *account != self.own.0);
        let place = match other {
            None => self.places.get_mut(&self.own),
            Some(account) if self.linked.iter().any(|linked| linked == account) => {
                self.places.get_mut(&(account.to_owned(), self.own.1.clone()))
            }
            Some(_) => return (Vec::new(), Some(Trouble::Forbidden)),
        };
        let Some(place) = place else {
            return (Vec::new(), None);
        };
        let trouble = place.metrics.trouble(query.namespace, query.metric);
        if matches!(trouble, Some(Trouble::InternalError | Trouble::Forbidden)) {
            return (Vec::new(), trouble);
        }
        write_key(
            &mut self.key,
            query.namespace,
            query.metric,
            query.dimensions.iter().copied(),
        );
        let Some(series) = place.metrics.series.get(&self.key) else {
            return (Vec::new(), trouble);
        };
        let length = span.length();
        let mut points = Vec::with_capacity(usize::try_from(length).unwrap_or(0).min(1024));
        for nth in 0..length {
            let begin = span.begin(if self.is_ascending { nth } else { length - 1 - nth });
            let is_over = after.is_some_and(|after| match self.is_ascending {
                true => begin <= after,
                false => begin >= after,
            });
            if is_over {
                continue;
            }
            span.fill(series, begin, &mut self.samples);
            if let Some(value) = statistic.of(&mut self.samples) {
                points.push((begin, value));
            }
        }
        if trouble == Some(Trouble::PartialData) {
            points.truncate(points.len() / 2);
        }
        (points, trouble)
    }
}

fn write(results: &[Answered<'_>], next: Option<&str>) -> Answer {
    let mut to = Encoder::new(Vec::with_capacity(results.len() * 256));
    encode(results, next, &mut to).expect("a vector takes whatever is written to it");
    protocol::cbor(200, to.into_writer())
}

fn encode(
    results: &[Answered<'_>],
    next: Option<&str>,
    to: &mut Encoder<Vec<u8>>,
) -> Result<(), minicbor::encode::Error<std::convert::Infallible>> {
    let is_broken = is_broken(results);
    to.map(2 + u64::from(next.is_some()))?;
    to.str("MetricDataResults")?.array(results.len() as u64)?;
    for result in results {
        to.map(5)?;
        to.str("Id")?.str(result.id)?;
        to.str("Label")?.str(result.label)?;
        to.str("Timestamps")?.array(result.points.len() as u64)?;
        for (time, _) in &result.points {
            to.tag(Tag::new(1))?.f64(Timestamp(*time).seconds())?;
        }
        to.str("Values")?.array(result.points.len() as u64)?;
        for (_, value) in &result.points {
            to.f64(*value)?;
        }
        to.str("StatusCode")?.str(result.status)?;
    }
    to.str("Messages")?.array(u64::from(is_broken))?;
    if is_broken {
        to.map(2)?.str("Code")?.str(BROKEN.0)?;
        to.str("Value")?.str(BROKEN.1)?;
    }
    if let Some(next) = next {
        to.str("NextToken")?.str(next)?;
    }
    Ok(())
}
