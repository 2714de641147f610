//! Asks CloudWatch for points of many series at once, and brings home whatever it gave.
//!
//! Series of any namespace share a call: only the time is common. What is spread over pages is put together by series; a page that
//! fails takes nothing away from those before it.

mod pace;

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{
    Dimension, DimensionFilter, Metric, MetricDataQuery, MetricDataResult, MetricStat, RecentlyActive,
    ScanBy, StatusCode,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use model::outside::ClientError;
use model::{Clock, Timestamp};

use crate::inventory::ask::Refused;
use crate::inventory::operations::{METRIC_DATA, METRICS, Operation};
use crate::plan::Series;
use crate::purse::Unpaid;
use pace::Bucket;

/// Of one call.
pub const QUERIES_MAX: usize = 500;
pub const POINTS_MAX: usize = 100_800;
/// What one point stands for; what is published less often has fewer of them.
pub const PERIOD: Duration = Duration::from_secs(60);
const PAGES_MAX: usize = 100;

/// CloudWatch of one place.
pub struct Reader {
    client: Client,
    clock: Arc<dyn Clock>,
    calls: Bucket,
    points: Bucket,
    lists: Bucket,
}

/// Series that are asked for together, `start` included and `end` not; both on whole minutes.
#[derive(Clone, Debug)]
pub struct Batch {
    pub series: Vec<Arc<Series>>,
    pub start: Timestamp,
    pub end: Timestamp,
}

impl Batch {
    /// How many points it could give.
    #[must_use]
    pub fn points_max(&self) -> usize {
        let minutes = self.end.since(self.start).as_secs() / PERIOD.as_secs();
        usize::try_from(minutes)
            .unwrap_or(usize::MAX)
            .saturating_mul(self.series.len())
    }
}

/// What became of one series.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Got {
    /// In the order of time.
    pub points: Vec<(Timestamp, f64)>,
    /// All there is now. Otherwise there may be more.
    pub is_complete: bool,
    pub why: Option<String>,
}

/// In the order of the batch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    pub got: Vec<Got>,
    /// Each may have cost as much as the first.
    pub pages: usize,
    /// Why there are no more.
    pub refused: Option<Refused>,
}

impl Reader {
    #[must_use]
    pub fn new(client: Client, clock: Arc<dyn Clock>) -> Self {
        Self {
            client,
            clock,
            calls: Bucket::metric_data(),
            points: Bucket::points(),
            lists: Bucket::list(),
        }
    }

    /// All of a batch.
    ///
    /// # Errors
    /// The first page was refused, so that nothing is known and nothing was bought.
    pub async fn read(&self, batch: &Batch) -> Result<Answer, Refused> {
        let mut answer = Answer {
            got: vec![Got::default(); batch.series.len()],
            ..Answer::default()
        };
        let mut token: Option<String> = None;
        while answer.pages < PAGES_MAX {
            self.calls.take(1.0, &*self.clock).await;
            #[expect(clippy::cast_precision_loss, reason = "at most some hundred thousand")]
            self.points.take(batch.points_max() as f64, &*self.clock).await;
            let queries = batch.series.iter().enumerate().map(query);
            let request = self
                .client
                .get_metric_data()
                .set_metric_data_queries(Some(queries.collect()))
                .start_time(DateTime::from_millis(batch.start.millis()))
                .end_time(DateTime::from_millis(batch.end.millis()))
                .scan_by(ScanBy::TimestampAscending)
                .set_next_token(token.take());
            let page = match request.send().await {
                Ok(page) => page,
                Err(error) => {
                    let refused = refused(&METRIC_DATA, &error);
                    if answer.pages == 0 {
                        return Err(refused);
                    }
                    answer.refused = Some(refused);
                    break;
                }
            };
            answer.pages += 1;
            for result in page.metric_data_results() {
                take(&mut answer.got, result);
            }
            token = page
                .next_token()
                .filter(|token| !token.is_empty())
                .map(str::to_owned);
            if token.is_none() {
                break;
            }
        }
        if token.is_some() {
            answer.got.iter_mut().for_each(|got| got.is_complete = false);
        }
        for got in &mut answer.got {
            got.points.sort_by_key(|(time, _)| *time);
            got.points.dedup_by_key(|(time, _)| *time);
        }
        Ok(answer)
    }

    /// Sets of dimensions with exactly these names under which a metric has had points in the last three hours; each page is paid
    /// for before it is asked for.
    ///
    /// # Errors
    /// They cannot all be had.
    pub(crate) async fn list(
        &self,
        namespace: &str,
        metric: &str,
        names: &[Arc<str>],
        mut pay: impl FnMut() -> Result<(), Unpaid> + Send,
    ) -> Result<Vec<Vec<(Arc<str>, Arc<str>)>>, Refused> {
        let filters = names
            .iter()
            .map(|name| DimensionFilter::builder().name(&**name).build());
        let filters: Vec<DimensionFilter> = filters.collect();
        let (mut found, mut token) = (Vec::new(), None::<String>);
        for _ in 0..PAGES_MAX {
            self.lists.take(1.0, &*self.clock).await;
            pay().map_err(|unpaid| Refused::Unpaid {
                operation: METRICS.name,
                why: unpaid.to_string(),
            })?;
            let request = self
                .client
                .list_metrics()
                .namespace(namespace)
                .metric_name(metric)
                .set_dimensions((!filters.is_empty()).then(|| filters.clone()))
                .recently_active(RecentlyActive::Pt3H)
                .set_next_token(token.take());
            let page = request.send().await.map_err(|error| refused(&METRICS, &error))?;
            found.extend(page.metrics().iter().filter_map(|metric| exactly(metric, names)));
            token = page
                .next_token()
                .filter(|token| !token.is_empty())
                .map(str::to_owned);
            if token.is_none() {
                break;
            }
        }
        found.sort();
        found.dedup();
        Ok(found)
    }
}

/// In the order of the catalogue, if it has these dimensions and no other.
fn exactly(metric: &Metric, names: &[Arc<str>]) -> Option<Vec<(Arc<str>, Arc<str>)>> {
    if metric.dimensions().len() != names.len() {
        return None;
    }
    let mut said: HashMap<&str, &str> = HashMap::new();
    for dimension in metric.dimensions() {
        said.insert(dimension.name()?, dimension.value()?);
    }
    let set = names
        .iter()
        .map(|name| Some((Arc::clone(name), Arc::from(*said.get(&**name)?))));
    set.collect()
}

fn query((number, series): (usize, &Arc<Series>)) -> MetricDataQuery {
    let dimensions = series
        .dimensions
        .iter()
        .map(|(name, value)| Dimension::builder().name(&**name).value(&**value).build());
    let metric = Metric::builder()
        .namespace(&*series.namespace)
        .metric_name(&*series.metric)
        .set_dimensions(Some(dimensions.collect()))
        .build();
    let period = i32::try_from(PERIOD.as_secs()).unwrap_or(60);
    let statistic = MetricStat::builder()
        .metric(metric)
        .period(period)
        .stat(&*series.statistic)
        .build();
    MetricDataQuery::builder()
        .id(format!("q{number}"))
        .metric_stat(statistic)
        .build()
}

fn take(got: &mut [Got], result: &MetricDataResult) {
    let number = result
        .id()
        .and_then(|id| id.strip_prefix('q')?.parse::<usize>().ok());
    let Some(got) = number.and_then(|number| got.get_mut(number)) else {
        return;
    };
    let times = result.timestamps().iter().zip(result.values());
    got.points
        .extend(times.filter_map(|(time, value)| Some((Timestamp(time.to_millis().ok()?), *value))));
    match result.status_code() {
        Some(StatusCode::Complete) => got.is_complete = true,
        // More of it is on a later page.
        Some(StatusCode::PartialData) | None => got.is_complete = false,
        Some(other) => {
            got.is_complete = false;
            let said = result.messages().iter().find_map(|message| message.value());
            got.why = Some(said.unwrap_or(other.as_str()).to_owned());
        }
    }
}

/// What the SDK has to say, in our words.
fn refused<E>(operation: &Operation, error: &SdkError<E, HttpResponse>) -> Refused
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let status = error.raw_response().map_or(0, |raw| raw.status().as_u16());
    let name = operation.name;
    match error {
        SdkError::ServiceError(said) => {
            let (code, message) = (said.err().code(), said.err().message());
            Refused::said(
                operation,
                status,
                code.unwrap_or_default(),
                message.unwrap_or_default(),
            )
        }
        SdkError::ResponseError(_) if status >= 500 => Refused::Away {
            operation: name,
            why: format!("{status}"),
        },
        SdkError::ResponseError(_) => Refused::Garbled {
            operation: name,
            why: aws::innermost(error),
        },
        SdkError::TimeoutError(_) => Refused::Away {
            operation: name,
            why: "no answer in time".to_owned(),
        },
        other => match aws::cause::<ClientError>(other) {
            Some(ClientError::Unsigned(why)) => Refused::Unknown {
                operation: name,
                why: why.clone(),
            },
            Some(error) => Refused::Away {
                operation: name,
                why: error.to_string(),
            },
            // Credentials, or what the SDK does not send.
            None => Refused::Unknown {
                operation: name,
                why: aws::innermost(other),
            },
        },
    }
}
