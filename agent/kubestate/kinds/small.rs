//! Namespaces, quotas, ranges, ConfigMaps, accounts and Leases.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::draft::Draft;
use crate::meta::{Condition, Meta, Whole, boolean, conditions, seconds};
use crate::quantity;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Nothing {}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NamespaceStatus {
    phase: String,
    conditions: Vec<Condition>,
}

pub(super) fn namespace(text: &str, draft: &mut Draft<'_>) -> serde_json::Result<()> {
    let Whole::<Nothing, NamespaceStatus> { metadata, status, .. } = serde_json::from_str(text)?;
    draft.of(metadata.alone("namespace"));
    draft.some("kube_namespace_created", "When it was made.", metadata.created());
    metadata.words(draft, "kube_namespace_labels", "kube_namespace_annotations");
    for phase in ["Active", "Terminating"] {
        let is = f64::from(status.phase == phase);
        draft.gauge(
            "kube_namespace_status_phase",
            "Whether it is about to end.",
            &[("phase", phase)],
            is,
        );
    }
    conditions(draft, "kube_namespace_status_condition", &status.conditions);
    Ok(())
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct QuotaStatus {
    hard: BTreeMap<String, String>,
    used: BTreeMap<String, String>,
}

pub(super) fn quota(text: &str, draft: &mut Draft<'_>) -> serde_json::Result<()> {
    let Whole::<Nothing, QuotaStatus> { metadata, status, .. } = serde_json::from_str(text)?;
    draft.of(metadata.within("resourcequota"));
    draft.some(
        "kube_resourcequota_created",
        "When it was made.",
        metadata.created(),
    );
    metadata.words(
        draft,
        "kube_resourcequota_labels",
        "kube_resourcequota_annotations",
    );
    for (kind, amounts) in [("hard", &status.hard), ("used", &status.used)] {
        for (resource, amount) in amounts {
            let Some(value) = quantity::value(amount) else {
                continue;
            };
            let labels = [("resource", resource.as_str()), ("type", kind)];
            draft.gauge(
                "kube_resourcequota",
                "What a namespace may have, and has.",
                &labels,
                value,
            );
        }
    }
    Ok(())
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RangeSpec {
    limits: Vec<Limit>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Limit {
    #[serde(rename = "type")]
    kind: String,
    min: BTreeMap<String, String>,
    max: BTreeMap<String, String>,
    #[serde(rename = "default")]
    usual: BTreeMap<String, String>,
    default_request: BTreeMap<String, String>,
    max_limit_request_ratio: BTreeMap<String, String>,
}

pub(super) fn limit_range(text: &str, draft: &mut Draft<'_>) -> serde_json::Result<()> {
    let Whole::<RangeSpec, Nothing> { metadata, spec, .. } = serde_json::from_str(text)?;
    draft.of(metadata.within("limitrange"));
    draft.some("kube_limitrange_created", "When it was made.", metadata.created());
    for limit in &spec.limits {
        for (constraint, amounts) in [
            ("min", &limit.min),
            ("max", &limit.max),
            ("default", &limit.usual),
            ("defaultRequest", &limit.default_request),
            ("maxLimitRequestRatio", &limit.max_limit_request_ratio),
        ] {
            for (resource, amount) in amounts {
                let Some(value) = quantity::value(amount) else {
                    continue;
                };
                let labels = [
                    ("resource", resource.as_str()),
                    ("type", &limit.kind),
                    ("constraint", constraint),
                ];
                draft.gauge("kube_limitrange", "What pods may ask for.", &labels, value);
            }
        }
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Account {
    metadata: Meta,
    automount_service_account_token: Option<bool>,
    #[serde(default)]
    secrets: Vec<Named>,
    #[serde(default)]
    image_pull_secrets: Vec<Named>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Named {
    name: String,
}

pub(super) fn account(text: &str, draft: &mut Draft<'_>) -> serde_json::Result<()> {
    let account: Account = serde_json::from_str(text)?;
    let metadata = &account.metadata;
    let mut own = metadata.within("serviceaccount");
    own.push(("uid", metadata.uid.clone()));
    draft.of(own);
    let mounts = account.automount_service_account_token.map_or("", boolean);
    draft.gauge(
        "kube_serviceaccount_info",
        "An account of pods.",
        &[("automount_token", mounts)],
        1.0,
    );
    draft.some(
        "kube_serviceaccount_created",
        "When it was made.",
        metadata.created(),
    );
    draft.some(
        "kube_serviceaccount_deleted",
        "When it is to be gone.",
        metadata.deleted(),
    );
    metadata.words(
        draft,
        "kube_serviceaccount_labels",
        "kube_serviceaccount_annotations",
    );
    for (name, help, secrets) in [
        (
            "kube_serviceaccount_secret",
            "Secrets that it names.",
            &account.secrets,
        ),
        (
            "kube_serviceaccount_image_pull_secret",
            "Secrets with which images are pulled.",
            &account.image_pull_secrets,
        ),
    ] {
        for secret in secrets {
            draft.gauge(name, help, &[("name", secret.name.as_str())], 1.0);
        }
    }
    Ok(())
}

/// By metadata alone: what is in it is nobody's business.
pub(super) fn config_map(text: &str, draft: &mut Draft<'_>) -> serde_json::Result<()> {
    let Whole::<Nothing, Nothing> { metadata, .. } = serde_json::from_str(text)?;
    draft.of(metadata.within("configmap"));
    draft.gauge("kube_configmap_info", "A ConfigMap.", &[], 1.0);
    draft.some("kube_configmap_created", "When it was made.", metadata.created());
    metadata.words(draft, "kube_configmap_labels", "kube_configmap_annotations");
    draft.some(
        "kube_configmap_metadata_resource_version",
        "The version of the object.",
        metadata.resource_version.parse().ok(),
    );
    Ok(())
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct LeaseSpec {
    holder_identity: String,
    renew_time: Option<String>,
}

pub(super) fn lease(text: &str, draft: &mut Draft<'_>) -> serde_json::Result<()> {
    let Whole::<LeaseSpec, Nothing> { metadata, spec, .. } = serde_json::from_str(text)?;
    draft.of(metadata.within("lease"));
    const OWNER: &str = "Who has a Lease.";
    let of = |kind: &'_ str, name: &'_ str| {
        [
            ("owner_kind", kind.to_owned()),
            ("owner_name", name.to_owned()),
            ("lease_holder", spec.holder_identity.clone()),
        ]
    };
    let mut owners: Vec<_> = metadata
        .owner_references
        .iter()
        .map(|owner| of(&owner.kind, &owner.name))
        .collect();
    if owners.is_empty() {
        owners.push(of("", ""));
    }
    for owner in owners {
        let labels: Vec<(&str, &str)> = owner.iter().map(|(key, value)| (*key, value.as_str())).collect();
        draft.gauge("kube_lease_owner", OWNER, &labels, 1.0);
    }
    draft.some(
        "kube_lease_renew_time",
        "When it was renewed last.",
        seconds(spec.renew_time.as_deref()),
    );
    Ok(())
}
