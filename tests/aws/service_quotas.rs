//! Service Quotas: how much of something an account may have in a region.

use crate::asked::Refusal;
use crate::protocol::page::Pages;
use crate::protocol::tree::{Tree, tree};
use crate::services::Call;

/// One that applies.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServiceQuota {
    /// `rds`.
    pub service: String,
    /// `L-7B6409FD`.
    pub code: String,
    pub name: String,
    pub value: f64,
    pub is_adjustable: bool,
    /// Metric of `AWS/Usage` that says how much is used: pairs of dimensions.
    pub usage: Option<Vec<(String, String)>>,
}

const PAGES: Pages = Pages {
    token: "NextToken",
    next: "NextToken",
    size: "MaxResults",
    usual: 100,
    least: 1,
    most: 100,
    wrong_token: "InvalidPaginationTokenException",
    wrong_size: "IllegalArgumentException",
};

pub(crate) const OPERATIONS: [&str; 2] = ["ListServiceQuotas", "GetServiceQuota"];

pub(crate) fn answer(call: &Call<'_>) -> Result<Tree, Refusal> {
    match call.operation() {
        "ListServiceQuotas" => list(call),
        "GetServiceQuota" => get(call),
        _ => Err(call.spoken.no_operation()),
    }
}

fn of(call: &Call<'_>) -> Result<Vec<ServiceQuota>, Refusal> {
    let service = call.fields().needed("ServiceCode")?;
    let mut found = call.place(|place| place.quotas.clone());
    found.retain(|quota| quota.service == service);
    if found.is_empty() {
        return Err(Refusal::new(
            "NoSuchResourceException",
            format!("The service code {service} does not exist."),
        ));
    }
    Ok(found)
}

fn list(call: &Call<'_>) -> Result<Tree, Refusal> {
    let code = call.fields().text("QuotaCode");
    let found = of(call)?.into_iter();
    let found = found.filter(|quota| code.is_none_or(|code| code == quota.code));
    let found = found.map(|quota| (quota.code.clone(), shown(call, &quota)));
    call.paged(&PAGES, ("Quotas", ""), found.collect())
}

fn get(call: &Call<'_>) -> Result<Tree, Refusal> {
    let code = call.fields().needed("QuotaCode")?;
    let found = of(call)?.into_iter().find(|quota| quota.code == code);
    let missing = || {
        Refusal::new(
            "NoSuchResourceException",
            format!("The request failed because the specified quota {code} does not exist."),
        )
    };
    Ok(tree! {"Quota": shown(call, &found.ok_or_else(missing)?)})
}

fn shown(call: &Call<'_>, quota: &ServiceQuota) -> Tree {
    let usage = quota.usage.as_ref().map(|dimensions| {
        let dimensions = dimensions.iter();
        let dimensions = dimensions.map(|(name, value)| (name.clone(), Tree::from(value)));
        tree! {
            "MetricNamespace": "AWS/Usage",
            "MetricName": "ResourceCount",
            "MetricDimensions": Tree::Named(dimensions.collect()),
            "MetricStatisticRecommendation": "Maximum",
        }
    });
    tree! {
        "ServiceCode": &quota.service,
        "ServiceName": &quota.service,
        "QuotaArn": call.arn("servicequotas", &format!("{}/{}", quota.service, quota.code)),
        "QuotaCode": &quota.code,
        "QuotaName": &quota.name,
        "Value": quota.value,
        "Unit": "None",
        "Adjustable": quota.is_adjustable,
        "GlobalQuota": false,
        "UsageMetric": usage,
        "QuotaAppliedAtLevel": "ACCOUNT",
    }
}
