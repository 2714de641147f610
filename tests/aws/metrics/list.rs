//! `ListMetrics`: which metrics there are, 500 a page, of the last two weeks or the last three hours.

use model::Timestamp;

use super::{Metrics, invalid};
use crate::asked::Refusal;
use crate::protocol::page;
use crate::protocol::tree::{Tree, tree};
use crate::services::Call;

const PAGE: usize = 500;
const TWO_WEEKS: i64 = 14 * 24 * 60;
const THREE_HOURS: i64 = 3 * 60;

struct Filter<'a> {
    namespace: Option<&'a str>,
    metric: Option<&'a str>,
    dimensions: Vec<(&'a str, Option<&'a str>)>,
    minutes: i64,
}

pub(super) fn list(call: &Call<'_>) -> Result<Tree, Refusal> {
    let at = (call.account, call.region);
    let (fields, now) = (call.fields(), call.now);
    if !call.estate.quotas.lock().take(at, "ListMetrics", 1.0, now) {
        return Err(Refusal::throttled());
    }
    let minutes = match fields.text("RecentlyActive") {
        None => TWO_WEEKS,
        Some("PT3H") => THREE_HOURS,
        Some(_) => return Err(invalid("The parameter RecentlyActive must be PT3H.")),
    };
    let dimensions = fields.list("Dimensions").into_iter();
    let dimensions: Option<Vec<_>> = dimensions
        .map(|dimension| Some((dimension.text("Name")?, dimension.text("Value"))))
        .collect();
    let filter = Filter {
        namespace: fields.text("Namespace"),
        metric: fields.text("MetricName"),
        dimensions: dimensions
            .ok_or_else(|| invalid("The parameter Dimensions.member.1.Name is required."))?,
        minutes,
    };
    if filter.dimensions.len() > 10 {
        return Err(invalid(
            "The collection Dimensions must not have a size greater than 10.",
        ));
    }
    let refused = || invalid("The parameter NextToken is invalid.");
    let after = call.after(fields.text("NextToken"), refused)?;
    let namespace = filter.namespace.unwrap_or_default();
    call.estate.bill.lock().request(at, "ListMetrics", namespace, now);
    let accounts = accounts(call);
    let mut found: Vec<(String, (String, Tree))> = Vec::new();
    let mut places = call.estate.places.lock();
    for account in &accounts {
        let place = places.get_mut(&(account.clone(), call.region.to_owned()));
        if let Some(place) = place {
            let listed = place.metrics.listed(&filter, now);
            found.extend(listed.map(|(key, said)| (format!("{account}\x1f{key}"), (account.clone(), said))));
        }
    }
    let (listed, more) = page::page(found, after.as_deref(), call.page_size(PAGE));
    let is_linked = fields.flag("IncludeLinkedAccounts") == Some(true);
    let (owners, metrics): (Vec<String>, Vec<Tree>) = listed.into_iter().unzip();
    let owners = is_linked.then(|| Tree::members(owners));
    Ok(tree! {
        "Metrics": Tree::members(metrics),
        "NextToken": call.token(more),
        "OwningAccounts": owners,
    })
}

/// Whose metrics are listed, in the order of their numbers.
fn accounts(call: &Call<'_>) -> Vec<String> {
    let fields = call.fields();
    let mut accounts = vec![call.account.to_owned()];
    if fields.flag("IncludeLinkedAccounts") == Some(true) {
        let links = call.estate.links.lock();
        accounts.extend(links.get(call.account).into_iter().flatten().cloned());
        if let Some(owner) = fields.text("OwningAccount") {
            accounts.retain(|account| account == owner);
        }
    }
    accounts.sort();
    accounts.dedup();
    accounts
}

impl Metrics {
    fn listed(&mut self, filter: &Filter<'_>, now: Timestamp) -> impl Iterator<Item = (String, Tree)> {
        self.series.iter_mut().filter_map(move |(key, series)| {
            let fits = filter.namespace.is_none_or(|wanted| wanted == series.namespace)
                && filter.metric.is_none_or(|wanted| wanted == series.metric)
                && filter.dimensions.iter().all(|(name, value)| {
                    let mut own = series.dimensions.iter();
                    own.any(|(known, is)| known == name && value.is_none_or(|value| value == is))
                });
            if !fits || !series.is_active(now, filter.minutes) {
                return None;
            }
            let dimensions = series.dimensions.iter();
            let dimensions = dimensions.map(|(name, value)| tree! {"Name": name, "Value": value});
            let said = tree! {
                "Namespace": &series.namespace,
                "MetricName": &series.metric,
                "Dimensions": Tree::members(dimensions),
            };
            Some((key.clone(), said))
        })
    }
}
