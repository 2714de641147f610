//! What happened, of the last two weeks.

use std::time::Duration;

use super::{invalid, paged};
use crate::asked::Refusal;
use crate::place::arn;
use crate::protocol::tree::{Tree, tree};
use crate::services::Call;

const KEPT: Duration = Duration::from_secs(14 * 24 * 3600);
const TYPES: [&str; 9] = [
    "db-instance",
    "db-parameter-group",
    "db-security-group",
    "db-snapshot",
    "db-cluster",
    "db-cluster-snapshot",
    "custom-engine-version",
    "db-proxy",
    "blue-green-deployment",
];

/// Without times: the last hour, or the last `Duration` minutes.
pub(super) fn events(call: &Call<'_>) -> Result<Tree, Refusal> {
    let (fields, now) = (call.fields(), call.now);
    let (source, source_type) = (fields.text("SourceIdentifier"), fields.text("SourceType"));
    if source.is_some() && source_type.is_none() {
        return Err(Refusal::new(
            "InvalidParameterCombination",
            "SourceType must be specified if SourceIdentifier is specified.",
        ));
    }
    if let Some(unknown) = source_type.filter(|name| !TYPES.contains(name)) {
        return Err(invalid(format!("Invalid source type: {unknown}")));
    }
    let minutes = u64::try_from(fields.whole("Duration").unwrap_or(60)).unwrap_or(0);
    let end = fields.time("EndTime").unwrap_or(now);
    let start = fields
        .time("StartTime")
        .unwrap_or(end - Duration::from_secs(minutes * 60));
    if start > end {
        return Err(Refusal::new(
            "InvalidParameterCombination",
            "The specified start time is after the end time.",
        ));
    }
    let start = start.max(now - KEPT);
    let categories = fields.texts("EventCategories");
    let (account, region) = (call.account, call.region);
    let found: Vec<(String, Tree)> = call.place(|place| {
        let all = place.rds.events.iter().enumerate();
        let mut found: Vec<(String, Tree)> = all
            .filter(|(_, event)| {
                event.at >= start
                    && event.at <= end
                    && event.at <= now
                    && source.is_none_or(|source| source == event.source)
                    && source_type.is_none_or(|wanted| wanted == event.source_type)
                    && (categories.is_empty()
                        || event
                            .categories
                            .iter()
                            .any(|own| categories.contains(&own.as_str())))
            })
            .map(|(nth, event)| {
                let kind = match event.source_type.as_str() {
                    "db-instance" => "db",
                    "db-cluster" => "cluster",
                    other => other,
                };
                let said = tree! {
                    "SourceIdentifier": &event.source,
                    "SourceType": &event.source_type,
                    "Message": &event.message,
                    "EventCategories": Tree::list("EventCategory", &event.categories),
                    "Date": event.at,
                    "SourceArn": arn("rds", region, account, &format!("{kind}:{}", event.source)),
                };
                (format!("{:020} {nth:08}", event.at.millis()), said)
            })
            .collect();
        found.sort_by(|one, other| one.0.cmp(&other.0));
        found
    });
    paged(call, ("Events", "Event"), found)
}
