//! Metrics as they are seen, what asking for them costs, and how often one may ask; all in a time of the test's own.

use std::sync::Arc;
use std::time::Duration;

use model::outside::{Client, ClientError, Method, Request, Response};
use model::{Clock, Timestamp};
use serde_json::Value;
use telemetry::clock::RuntimeClock;

use crate::asked::Asked;
use crate::keys::Key;
use crate::metrics::{Samples, Series, Statistic, Trouble};
use crate::protocol::fields;
use crate::protocol::tree::{Tree, tree};
use crate::signature::{Paths, expected};
use crate::{FakeAws, Fault, REGION};

/// 2026-03-01T12:00:00Z.
const START: Timestamp = Timestamp(1_772_366_400_000);
const MINUTE: Duration = Duration::from_secs(60);
const DB: (&str, &str) = ("DBInstanceIdentifier", "db-1");

/// Somebody who asks without a socket, and signs by the fake's own reading of the manual.
pub(super) struct Caller {
    pub(super) fake: FakeAws,
    pub(super) clock: Arc<RuntimeClock>,
    client: Arc<dyn Client>,
    key: Key,
}

impl Caller {
    pub(super) fn new() -> Self {
        let clock = RuntimeClock::starting_at(START);
        let fake = FakeAws::start(clock.clone());
        let (client, key) = (fake.client(), fake.user());
        Self {
            fake,
            clock,
            client,
            key,
        }
    }

    pub(super) async fn cbor(&self, operation: &str, body: &Tree) -> Result<Response, ClientError> {
        self.send(
            (REGION, "monitoring"),
            &format!("/service/GraniteServiceVersion20100801/operation/{operation}"),
            vec![
                ("smithy-protocol".to_owned(), "rpc-v2-cbor".to_owned()),
                ("content-type".to_owned(), "application/cbor".to_owned()),
            ],
            body.cbor(),
        )
        .await
    }

    /// By the query protocol.
    pub(super) async fn query(
        &self,
        (region, service): (&str, &str),
        version: &str,
        action: &str,
    ) -> Result<Response, ClientError> {
        let kind = "application/x-www-form-urlencoded".to_owned();
        let body = format!("Action={action}&Version={version}").into_bytes();
        let headers = vec![("content-type".to_owned(), kind)];
        self.send((region, service), "/", headers, body).await
    }

    async fn send(
        &self,
        (region, service): (&str, &str),
        path: &str,
        mut headers: Vec<(String, String)>,
        body: Vec<u8>,
    ) -> Result<Response, ClientError> {
        let now = jiff::Timestamp::from_millisecond(self.clock.now().millis()).unwrap();
        let date = now.strftime("%Y%m%dT%H%M%SZ").to_string();
        let host = format!("{service}.{region}.amazonaws.com");
        headers.push(("x-amz-date".to_owned(), date.clone()));
        headers.push(("host".to_owned(), host.clone()));
        let said = |signature: &str| {
            let scope = format!("{}/{region}/{service}/aws4_request", &date[..8]);
            format!(
                "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders=host;x-amz-date, Signature={signature}",
                self.key.access_key
            )
        };
        let mut asked = Asked {
            method: "POST".to_owned(),
            path: path.to_owned(),
            query: String::new(),
            headers: headers.clone(),
            body: body.clone(),
        };
        asked.headers.push(("authorization".to_owned(), said("none")));
        let signature = expected(&asked, &self.key.secret_key, Paths { are_normal: true }).unwrap();
        headers.push(("authorization".to_owned(), said(&signature)));
        let request = Request {
            method: Method::Post,
            url: format!("https://{host}{path}"),
            headers,
            body: body.into(),
            timeout: Duration::from_secs(20),
            answer_bytes_max: 8 << 20,
        };
        self.client.send(request).await
    }

    /// Points of each query, in the order of time.
    async fn data(&self, queries: Vec<Tree>, (start, end): (Timestamp, Timestamp)) -> Result<Value, String> {
        let body = tree! {
            "MetricDataQueries": Tree::members(queries),
            "StartTime": start,
            "EndTime": end,
            "ScanBy": "TimestampAscending",
        };
        let answer = self.cbor("GetMetricData", &body).await.unwrap();
        let value = fields::cbor(&answer.body).unwrap();
        match answer.status {
            200 => Ok(value["MetricDataResults"].clone()),
            // Its name now, and as the query protocol had it.
            _ => {
                let old = answer.header("x-amzn-query-error").unwrap_or_default();
                Err(format!("{}, {old}", value["__type"].as_str().unwrap()))
            }
        }
    }

    async fn sums(&self, from: Duration, to: Duration) -> Vec<(i64, f64)> {
        let results = self
            .data(vec![sum("a")], (START + from, START + to))
            .await
            .unwrap();
        let values = |name: &str| {
            let values = results[0][name].as_array().unwrap().iter();
            values.map(|value| value.as_f64().unwrap()).collect::<Vec<_>>()
        };
        let times = values("Timestamps").into_iter();
        let minutes = times.map(|time| (Timestamp::from_seconds(time).millis() - START.millis()) / 60_000);
        minutes.zip(values("Values")).collect()
    }
}

pub(super) fn query(id: &str, metric: &str, statistic: &str, dimensions: &[(&str, &str)]) -> Tree {
    let dimensions = dimensions.iter();
    let dimensions = dimensions.map(|(name, value)| tree! {"Name": *name, "Value": *value});
    let metric = tree! {
        "Namespace": "AWS/RDS",
        "MetricName": metric,
        "Dimensions": Tree::members(dimensions),
    };
    tree! {
        "Id": id,
        "MetricStat": tree! {"Metric": metric, "Period": 60_i64, "Stat": statistic},
    }
}

fn sum(id: &str) -> Tree {
    query(id, "Hits", "Sum", &[DB])
}

/// A hundred hits in each minute, in ten samples.
fn hits() -> Series {
    let values = |_: i64, samples: &mut Samples| (0..10).for_each(|_| samples.add(10.0));
    Series::new("AWS/RDS", "Hits", &[DB], values)
}

fn minutes(count: u32) -> Duration {
    MINUTE * count
}

#[tokio::test(start_paused = true)]
async fn a_minute_is_seen_late_then_in_part_then_whole() {
    let caller = Caller::new();
    let series = hits()
        .lag(Duration::from_secs(90))
        .settles(Duration::from_secs(300))
        .begins(START);
    caller.fake.metrics(|metrics| metrics.add(series));
    let mut seen = Vec::new();
    for _ in 0..12 {
        tokio::time::sleep(Duration::from_secs(30)).await;
        let found = caller.sums(minutes(0), minutes(1)).await;
        seen.push(found.first().map(|(_, value)| *value));
    }
    let part = |samples: f64| Some(samples * 10.0);
    // At 30 s and 60 s nothing; from 90 s on ever more of ten samples; all at 300 s.
    assert_eq!(seen[..2], [None, None]);
    assert_eq!(seen[2..6], [part(1.0), part(1.0), part(2.0), part(4.0)]);
    assert_eq!(seen[8..], [part(8.0), part(10.0), part(10.0), part(10.0)]);
    let truth = caller.fake.metrics(|metrics| {
        let times = (START - minutes(5), START + minutes(5));
        metrics.truth("AWS/RDS", "Hits", &[DB], Statistic::Sum, times)
    });
    let all: Vec<(Timestamp, f64)> = (0..5).map(|nth| (START + minutes(nth), 100.0)).collect();
    assert_eq!(truth, all, "nothing before it begins");
}

#[tokio::test(start_paused = true)]
async fn some_minutes_come_late_some_never_and_the_truth_knows_which() {
    let caller = Caller::new();
    let series = hits().late(7, minutes(12)).gaps(11).begins(START);
    caller.fake.metrics(|metrics| metrics.add(series));
    tokio::time::sleep(minutes(100)).await;
    let times = (START, START + minutes(100));
    let truth = caller
        .fake
        .metrics(|metrics| metrics.truth("AWS/RDS", "Hits", &[DB], Statistic::Sum, times));
    assert!((80..98).contains(&truth.len()), "gaps: {}", truth.len());
    let young = caller.sums(minutes(0), minutes(100)).await;
    let late = |seen: &[(i64, f64)]| {
        let known = truth
            .iter()
            .map(|(time, _)| (time.millis() - START.millis()) / 60_000);
        known
            .filter(|minute| !seen.iter().any(|(seen, _)| seen == minute))
            .collect::<Vec<_>>()
    };
    let waiting = late(&young);
    assert!(
        !waiting.is_empty() && waiting.iter().all(|minute| *minute > 87),
        "{waiting:?}"
    );
    tokio::time::sleep(minutes(12)).await;
    assert_eq!(
        late(&caller.sums(minutes(0), minutes(100)).await),
        Vec::<i64>::new()
    );
}

#[tokio::test(start_paused = true)]
async fn values_change_and_end_at_run_time_and_the_past_stays() {
    let caller = Caller::new();
    caller.fake.metrics(|metrics| metrics.add(hits().begins(START)));
    tokio::time::sleep(minutes(3)).await;
    caller.fake.metrics(|metrics| {
        assert!(
            metrics.set("AWS/RDS", "Hits", &[DB], START + minutes(3), |_, samples| samples
                .add(7.0))
        );
        assert!(!metrics.remove("AWS/RDS", "Misses", &[DB], START));
    });
    tokio::time::sleep(minutes(2)).await;
    caller
        .fake
        .metrics(|metrics| metrics.remove_all(DB.0, DB.1, START + minutes(5)));
    tokio::time::sleep(minutes(5)).await;
    let found = caller.sums(minutes(0), minutes(10)).await;
    let wanted = [(0, 100.0), (1, 100.0), (2, 100.0), (3, 7.0), (4, 7.0)];
    assert_eq!(found, wanted);
}

#[tokio::test(start_paused = true)]
async fn old_data_is_kept_at_a_coarser_resolution_only() {
    let caller = Caller::new();
    caller.fake.metrics(|metrics| metrics.add(hits()));
    let ago = async |days: u32| {
        let start = START - Duration::from_secs(86_400) * days;
        let results = caller
            .data(vec![sum("a")], (start, start + minutes(10)))
            .await
            .unwrap();
        results[0]["Values"].as_array().unwrap().len()
    };
    assert_eq!((ago(1).await, ago(14).await, ago(16).await), (10, 10, 0));
}

#[tokio::test(start_paused = true)]
async fn every_metric_asked_for_is_billed_and_describing_is_free() {
    let caller = Caller::new();
    caller.fake.metrics(|metrics| metrics.add(hits()));
    tokio::time::sleep(minutes(10)).await;
    let times = (START, START + minutes(10));
    let five = ["Sum", "Average", "Minimum", "Maximum", "SampleCount", "p99"];
    let five = five.iter().enumerate();
    let queries: Vec<Tree> = five
        .map(|(nth, statistic)| query(&format!("q{nth}"), "Hits", statistic, &[DB]))
        .collect();
    let results = caller.data(queries, times).await.unwrap();
    let values: Vec<f64> = (0..6)
        .map(|nth| results[nth]["Values"][0].as_f64().unwrap())
        .collect();
    assert_eq!(values, [100.0, 10.0, 10.0, 10.0, 10.0, 10.0]);
    // A metric that is not there costs as much.
    caller
        .data(vec![query("none", "None", "Sum", &[])], times)
        .await
        .unwrap();
    let described = caller
        .query((REGION, "rds"), "2014-10-31", "DescribeDBInstances")
        .await;
    assert_eq!(described.unwrap().status, 200);
    let bill = caller.fake.bill();
    assert_eq!(bill.units("GetMetricData"), 7);
    assert!((bill.usd() - 0.00007).abs() < 1e-12 && (bill.usd_of("AWS/RDS") - 0.00007).abs() < 1e-12);
    let packed: u64 = bill.lines.values().map(|charge| charge.units_if_packed).sum();
    assert_eq!(packed, 3, "six statistics of one metric would be two");
    caller.fake.reset_bill();
    caller.fake.billing(|bill| bill.free_a_month = 3);
    for _ in 0..5 {
        assert_eq!(
            caller
                .cbor("ListMetrics", &tree! {"Namespace": "AWS/RDS"})
                .await
                .unwrap()
                .status,
            200
        );
    }
    let bill = caller.fake.bill();
    assert_eq!(bill.units("ListMetrics"), 5);
    assert!((bill.usd() - 0.00002).abs() < 1e-12, "three of five were free");
}

#[tokio::test(start_paused = true)]
async fn who_asks_too_often_or_for_too_much_is_throttled_until_the_bucket_fills() {
    let caller = Caller::new();
    caller.fake.metrics(|metrics| metrics.add(hits()));
    let times = (START - minutes(5), START);
    let mut taken = 0;
    while caller.data(vec![sum("a")], times).await.is_ok() {
        taken += 1;
    }
    assert_eq!(taken, 50);
    assert_eq!(
        caller.data(vec![sum("a")], times).await.unwrap_err(),
        "ThrottlingException, Throttling;Sender"
    );
    tokio::time::sleep(Duration::from_millis(100)).await;
    let again = (
        caller.data(vec![sum("a")], times).await,
        caller.fake.bill().units("GetMetricData"),
    );
    assert!(again.0.is_ok());
    // Nobody pays for a refusal.
    assert_eq!(again.1, 51);
    tokio::time::sleep(minutes(1)).await;
    // 500 queries of three hours are 90,000 points: two calls a second, estimated, whatever there is.
    let queries = || {
        (0..500)
            .map(|nth| query(&format!("q{nth}"), "None", "Sum", &[]))
            .collect()
    };
    let hours = (START - minutes(178), START);
    let mut taken = 0;
    while caller.data(queries(), hours).await.is_ok() {
        taken += 1;
    }
    assert_eq!(taken, 2);
}

#[tokio::test(start_paused = true)]
async fn trouble_with_one_metric_is_said_beside_the_others() {
    let caller = Caller::new();
    caller.fake.metrics(|metrics| {
        metrics.add(hits());
        metrics.add(Series::new("AWS/RDS", "Other", &[DB], |_, samples| {
            samples.add(1.0)
        }));
        metrics.troubles("AWS/RDS", "Other", Trouble::InternalError, 1);
    });
    let times = (START - minutes(20), START - minutes(10));
    let both = || vec![sum("a"), query("b", "Other", "Sum", &[DB])];
    let results = caller.data(both(), times).await.unwrap();
    assert_eq!(results[0]["StatusCode"], "Complete");
    assert_eq!(
        (
            &results[1]["StatusCode"],
            results[1]["Values"].as_array().unwrap().len()
        ),
        (&"InternalError".into(), 0)
    );
    let results = caller.data(both(), times).await.unwrap();
    assert_eq!(results[1]["Values"].as_array().unwrap().len(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_region_dies_for_an_hour_and_the_others_go_on() {
    let caller = Caller::new();
    caller.fake.opens("us-east-1");
    let until = START + minutes(60);
    caller.fake.region_fails("us-east-1", until, Fault::Hangs);
    let there = async || {
        caller
            .query(("us-east-1", "rds"), "2014-10-31", "DescribeDBInstances")
            .await
    };
    let here = async || {
        caller
            .query((REGION, "rds"), "2014-10-31", "DescribeDBInstances")
            .await
    };
    let before = caller.clock.now();
    assert_eq!(
        there().await.unwrap_err(),
        ClientError::Timeout(Duration::from_secs(20))
    );
    assert_eq!(caller.clock.now().since(before), Duration::from_secs(20));
    assert_eq!(here().await.unwrap().status, 200);
    caller
        .fake
        .fails_until("rds:*", START + minutes(30), Fault::Throttled);
    assert_eq!(here().await.unwrap().status, 400);
    tokio::time::sleep(minutes(31)).await;
    assert_eq!(here().await.unwrap().status, 200);
    tokio::time::sleep(minutes(31)).await;
    assert_eq!(there().await.unwrap().status, 200);
    caller.fake.fails("rds:DescribeDBInstances", 1, Fault::Garbage);
    assert!(here().await.unwrap().body.starts_with(b"<html>"));
    caller
        .fake
        .fails("rds:DescribeDBInstances", 1, Fault::LosesAnswer);
    assert!(matches!(here().await, Err(ClientError::Broken(_))));
    let nowhere = caller
        .query(("mars-north-1", "rds"), "2014-10-31", "DescribeDBInstances")
        .await;
    assert_eq!(nowhere.unwrap().status, 403);
    assert_eq!(caller.fake.count("rds:*"), 8);
}
