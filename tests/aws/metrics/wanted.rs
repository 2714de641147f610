//! What `GetMetricData` is asked for: read out of CBOR without copies, or out of JSON.

use minicbor::Decoder;
use minicbor::data::Type;
use model::Timestamp;

use super::invalid;
use crate::asked::Refusal;
use crate::protocol::fields::{Fields, more, real, unreadable};

#[derive(Debug, Default)]
pub(super) struct Wanted<'b> {
    pub(super) queries: Vec<Query<'b>>,
    pub(super) start: Option<Timestamp>,
    pub(super) end: Option<Timestamp>,
    pub(super) token: Option<&'b str>,
    pub(super) scan_by: Option<&'b str>,
    pub(super) points_max: Option<i64>,
}

#[derive(Debug, Default)]
pub(super) struct Query<'b> {
    pub(super) id: &'b str,
    pub(super) namespace: &'b str,
    pub(super) metric: &'b str,
    /// By name.
    pub(super) dimensions: Vec<(&'b str, &'b str)>,
    pub(super) period: i64,
    pub(super) statistic: &'b str,
    pub(super) account: Option<&'b str>,
    pub(super) label: Option<&'b str>,
    pub(super) is_returned: bool,
    is_stat: bool,
    is_expression: bool,
}

type Read<T> = Result<T, minicbor::decode::Error>;

impl<'b> Wanted<'b> {
    pub(super) fn read(body: &'b [u8]) -> Result<Self, Refusal> {
        let mut wanted = Self::default();
        map(&mut Decoder::new(body), &mut |name, from| {
            match name {
                "MetricDataQueries" => array(from, &mut |from| {
                    wanted.queries.push(Query::read(from)?);
                    Ok(())
                })?,
                "StartTime" => wanted.start = Some(Timestamp::from_seconds(real(from)?)),
                "EndTime" => wanted.end = Some(Timestamp::from_seconds(real(from)?)),
                "NextToken" => wanted.token = text(from)?,
                "ScanBy" => wanted.scan_by = text(from)?,
                "MaxDatapoints" => wanted.points_max = Some(from.i64()?),
                _ => from.skip()?,
            }
            Ok(())
        })
        .map_err(unreadable)?;
        Ok(wanted)
    }
}

impl<'b> Wanted<'b> {
    /// The same out of JSON.
    pub(super) fn of(fields: Fields<'b>) -> Self {
        let queries = fields.list("MetricDataQueries").into_iter();
        Self {
            queries: queries.map(Query::of).collect(),
            start: fields.time("StartTime"),
            end: fields.time("EndTime"),
            token: fields.text("NextToken"),
            scan_by: fields.text("ScanBy"),
            points_max: fields.whole("MaxDatapoints"),
        }
    }
}

impl<'b> Query<'b> {
    fn of(fields: Fields<'b>) -> Self {
        let stat = fields.part("MetricStat");
        let metric = stat.and_then(|stat| stat.part("Metric"));
        let dimensions = metric.map_or_else(Vec::new, |metric| metric.list("Dimensions"));
        let dimensions = dimensions.into_iter().map(|dimension| {
            let text = |name| dimension.text(name).unwrap_or_default();
            (text("Name"), text("Value"))
        });
        let mut query = Self {
            id: fields.text("Id").unwrap_or_default(),
            namespace: metric
                .and_then(|metric| metric.text("Namespace"))
                .unwrap_or_default(),
            metric: metric
                .and_then(|metric| metric.text("MetricName"))
                .unwrap_or_default(),
            dimensions: dimensions.collect(),
            period: stat.and_then(|stat| stat.whole("Period")).unwrap_or_default(),
            statistic: stat.and_then(|stat| stat.text("Stat")).unwrap_or_default(),
            account: fields.text("AccountId"),
            label: fields.text("Label"),
            is_returned: fields.flag("ReturnData").unwrap_or(true),
            is_stat: stat.is_some(),
            is_expression: fields.text("Expression").is_some(),
        };
        query.dimensions.sort_unstable();
        query
    }

    fn read(from: &mut Decoder<'b>) -> Read<Self> {
        let mut query = Self {
            is_returned: true,
            ..Self::default()
        };
        map(from, &mut |name, from| {
            match name {
                "Id" => query.id = from.str()?,
                "MetricStat" => {
                    query.is_stat = true;
                    query.read_stat(from)?;
                }
                "AccountId" => query.account = text(from)?,
                "Label" => query.label = text(from)?,
                "ReturnData" => query.is_returned = from.bool()?,
                "Expression" => {
                    query.is_expression = text(from)?.is_some();
                }
                _ => from.skip()?,
            }
            Ok(())
        })?;
        Ok(query)
    }

    fn read_stat(&mut self, from: &mut Decoder<'b>) -> Read<()> {
        map(from, &mut |name, from| {
            match name {
                "Metric" => self.read_metric(from)?,
                "Period" => self.period = from.i64()?,
                "Stat" => self.statistic = from.str()?,
                _ => from.skip()?,
            }
            Ok(())
        })
    }

    fn read_metric(&mut self, from: &mut Decoder<'b>) -> Read<()> {
        map(from, &mut |name, from| {
            match name {
                "Namespace" => self.namespace = from.str()?,
                "MetricName" => self.metric = from.str()?,
                "Dimensions" => array(from, &mut |from| {
                    let mut dimension = ("", "");
                    map(from, &mut |name, from| {
                        match name {
                            "Name" => dimension.0 = from.str()?,
                            "Value" => dimension.1 = from.str()?,
                            _ => from.skip()?,
                        }
                        Ok(())
                    })?;
                    self.dimensions.push(dimension);
                    Ok(())
                })?,
                _ => from.skip()?,
            }
            Ok(())
        })?;
        self.dimensions.sort_unstable();
        Ok(())
    }

    pub(super) fn check(&self) -> Result<(), Refusal> {
        let mut letters = self.id.bytes();
        let is_id = letters.next().is_some_and(|first| first.is_ascii_lowercase())
            && letters.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !is_id || self.id.len() > 255 {
            return Err(invalid(format!(
                "The value {} for parameter Id is not matching the expected pattern ^[a-z][a-zA-Z0-9_]*$.",
                self.id
            )));
        }
        if self.is_expression {
            return Err(invalid(format!(
                "Error in expression '{}': the fake knows no expressions.",
                self.id
            )));
        }
        if !self.is_stat {
            return Err(invalid(format!(
                "The parameter MetricStat or Expression is required for the query {}.",
                self.id
            )));
        }
        if self.namespace.is_empty() || self.metric.is_empty() {
            return Err(invalid(
                "The parameters Namespace and MetricName of MetricStat.Metric are required.",
            ));
        }
        if self.dimensions.len() > 30 {
            return Err(invalid(
                "The collection Dimensions must not have a size greater than 30.",
            ));
        }
        if !super::is_period(self.period) {
            return Err(invalid(
                "The parameter Period must be a value of 1, 5, 10, 20, 30 or any multiple of 60.",
            ));
        }
        Ok(())
    }
}

fn text<'b>(from: &mut Decoder<'b>) -> Read<Option<&'b str>> {
    if from.datatype()? == Type::Null {
        from.skip()?;
        return Ok(None);
    }
    from.str().map(Some)
}

fn map<'b>(from: &mut Decoder<'b>, field: &mut dyn FnMut(&'b str, &mut Decoder<'b>) -> Read<()>) -> Read<()> {
    let length = from.map()?;
    let mut count = 0;
    while more(from, length, count)? {
        let name = from.str()?;
        field(name, from)?;
        count += 1;
    }
    Ok(())
}

fn array<'b>(from: &mut Decoder<'b>, item: &mut dyn FnMut(&mut Decoder<'b>) -> Read<()>) -> Read<()> {
    let length = from.array()?;
    let mut count = 0;
    while more(from, length, count)? {
        item(from)?;
        count += 1;
    }
    Ok(())
}
