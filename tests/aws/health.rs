//! AWS Health: what AWS itself says is wrong, to those who pay for support.

use model::Timestamp;

use crate::asked::Refusal;
use crate::protocol::fields::Fields;
use crate::protocol::page::Pages;
use crate::protocol::tree::{Tree, tree};
use crate::services::Call;

/// Of an account; it is asked in one place for all regions.
#[derive(Clone, Debug, Default)]
pub struct Health {
    /// Without a support plan nobody is told anything.
    pub is_subscribed: bool,
    pub events: Vec<HealthEvent>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HealthEvent {
    /// `RDS`.
    pub service: String,
    /// `AWS_RDS_OPERATIONAL_ISSUE`.
    pub code: String,
    /// `issue`, `accountNotification`, `scheduledChange`.
    pub category: String,
    pub region: String,
    pub start: Timestamp,
    pub end: Option<Timestamp>,
    /// `open`, `closed`, `upcoming`.
    pub status: String,
}

impl HealthEvent {
    fn updated(&self) -> Timestamp {
        self.end.unwrap_or(self.start)
    }
}

const PAGES: Pages = Pages {
    token: "nextToken",
    next: "nextToken",
    size: "maxResults",
    usual: 10,
    least: 1,
    most: 100,
    wrong_token: "InvalidPaginationToken",
    wrong_size: "ValidationException",
};

pub(crate) const OPERATIONS: [&str; 1] = ["DescribeEvents"];

pub(crate) fn answer(call: &Call<'_>) -> Result<Tree, Refusal> {
    match call.operation() {
        "DescribeEvents" => events(call),
        _ => Err(call.spoken.no_operation()),
    }
}

fn events(call: &Call<'_>) -> Result<Tree, Refusal> {
    let health = call.place(|place| place.health.clone());
    if !health.is_subscribed {
        return Err(Refusal::new("SubscriptionRequiredException", ""));
    }
    let empty = serde_json::Value::Null;
    let filter = Fields(call.wish.get("filter").unwrap_or(&empty));
    let allows = |name: &str, own: &str| {
        let wanted = filter.texts(name);
        wanted.is_empty() || wanted.contains(&own)
    };
    let (begins, updates) = (filter.list("startTimes"), filter.list("lastUpdatedTimes"));
    let found = health.events.iter().enumerate().filter(|(_, event)| {
        event.start <= call.now
            && allows("services", &event.service)
            && allows("eventTypeCodes", &event.code)
            && allows("eventTypeCategories", &event.category)
            && allows("regions", &event.region)
            && allows("eventStatusCodes", &event.status)
            && is_in(&begins, event.start)
            && is_in(&updates, event.updated())
    });
    let found = found.map(|(nth, event)| {
        let arn = format!(
            "arn:aws:health:{}::event/{}/{}/{}_{nth}",
            event.region, event.service, event.code, event.code
        );
        let said = tree! {
            "arn": arn,
            "service": &event.service,
            "eventTypeCode": &event.code,
            "eventTypeCategory": &event.category,
            "region": &event.region,
            "startTime": event.start,
            "endTime": event.end,
            "lastUpdatedTime": event.updated(),
            "statusCode": &event.status,
            "eventScopeCode": "ACCOUNT_SPECIFIC",
        };
        (format!("{:020} {nth:08}", event.start.millis()), said)
    });
    call.paged(&PAGES, ("events", ""), found.collect())
}

/// Whether a time is in one of these ranges, if there are any.
fn is_in(ranges: &[Fields<'_>], time: Timestamp) -> bool {
    ranges.is_empty()
        || ranges.iter().any(|range| {
            range.time("from").is_none_or(|from| time >= from) && range.time("to").is_none_or(|to| time <= to)
        })
}
