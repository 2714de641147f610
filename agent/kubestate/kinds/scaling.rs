//! HorizontalPodAutoscalers and PodDisruptionBudgets.

use serde::Deserialize;

use crate::draft::Draft;
use crate::meta::{Condition, Whole, conditions};
use crate::quantity;

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    scale_target_ref: Reference,
    min_replicas: Option<f64>,
    max_replicas: f64,
    metrics: Vec<Metric>,
    behavior: Behaviour,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Reference {
    api_version: String,
    kind: String,
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Behaviour {
    scale_up: Rules,
    scale_down: Rules,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Rules {
    tolerance: Option<String>,
}

/// What is looked at, with what it is to be or what it is.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metric {
    #[serde(rename = "type")]
    kind: String,
    object: Option<Source>,
    pods: Option<Source>,
    resource: Option<Source>,
    container_resource: Option<Source>,
    external: Option<Source>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Source {
    name: String,
    container: String,
    metric: Named,
    target: Amount,
    current: Amount,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Named {
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Amount {
    value: Option<String>,
    average_value: Option<String>,
    average_utilization: Option<f64>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    current_replicas: f64,
    desired_replicas: f64,
    current_metrics: Vec<Metric>,
    conditions: Vec<Condition>,
}

pub(super) fn autoscaler(text: &str, draft: &mut Draft<'_>) -> serde_json::Result<()> {
    let Whole::<Spec, Status> {
        metadata,
        spec,
        status,
    } = serde_json::from_str(text)?;
    draft.of(metadata.within("horizontalpodautoscaler"));
    let target = &spec.scale_target_ref;
    let labels = [
        ("scaletargetref_api_version", target.api_version.as_str()),
        ("scaletargetref_kind", &target.kind),
        ("scaletargetref_name", &target.name),
    ];
    draft.gauge(
        "kube_horizontalpodautoscaler_info",
        "What is scaled.",
        &labels,
        1.0,
    );
    draft.some(
        "kube_horizontalpodautoscaler_created",
        "When it was made.",
        metadata.created(),
    );
    draft.some(
        "kube_horizontalpodautoscaler_deletion_timestamp",
        "When it is to be gone.",
        metadata.deleted(),
    );
    metadata.words(
        draft,
        "kube_horizontalpodautoscaler_labels",
        "kube_horizontalpodautoscaler_annotations",
    );
    let counts = [
        (
            "kube_horizontalpodautoscaler_metadata_generation",
            "How often what is wanted has changed.",
            metadata.generation,
        ),
        (
            "kube_horizontalpodautoscaler_spec_max_replicas",
            "Pods that there may be.",
            spec.max_replicas,
        ),
        (
            "kube_horizontalpodautoscaler_spec_min_replicas",
            "Pods that there are in any case.",
            spec.min_replicas.unwrap_or(1.0),
        ),
        (
            "kube_horizontalpodautoscaler_status_current_replicas",
            "Pods that there are.",
            status.current_replicas,
        ),
        (
            "kube_horizontalpodautoscaler_status_desired_replicas",
            "Pods that it wants.",
            status.desired_replicas,
        ),
    ];
    for (name, help, value) in counts {
        draft.gauge(name, help, &[], value);
    }
    conditions(
        draft,
        "kube_horizontalpodautoscaler_status_condition",
        &status.conditions,
    );
    for metric in &spec.metrics {
        let name = "kube_horizontalpodautoscaler_spec_target_metric";
        amounts(draft, name, "What a number is to be.", metric, |source| {
            &source.target
        });
    }
    for metric in &status.current_metrics {
        let name = "kube_horizontalpodautoscaler_status_target_metric";
        amounts(draft, name, "What a number is.", metric, |source| &source.current);
    }
    for (name, help, rules) in [
        (
            "kube_horizontalpodautoscaler_spec_behavior_scale_up_tolerance",
            "Up to where more is not yet too much.",
            &spec.behavior.scale_up,
        ),
        (
            "kube_horizontalpodautoscaler_spec_behavior_scale_down_tolerance",
            "Down to where less is not yet too little.",
            &spec.behavior.scale_down,
        ),
    ] {
        let tolerance = rules.tolerance.as_deref().and_then(quantity::value);
        draft.some(name, help, tolerance);
    }
    Ok(())
}

fn amounts(draft: &mut Draft<'_>, name: &str, help: &str, metric: &Metric, of: fn(&Source) -> &Amount) {
    let source = match metric.kind.as_str() {
        "Object" => &metric.object,
        "Pods" => &metric.pods,
        "Resource" => &metric.resource,
        "ContainerResource" => &metric.container_resource,
        "External" => &metric.external,
        _ => return,
    };
    let Some(source) = source else { return };
    let called = match source.name.as_str() {
        "" => &source.metric.name,
        name => name,
    };
    let amount = of(source);
    let values = [
        ("value", amount.value.as_deref().and_then(quantity::value)),
        (
            "average",
            amount.average_value.as_deref().and_then(quantity::value),
        ),
        ("utilization", amount.average_utilization),
    ];
    for (kind, value) in values {
        let Some(value) = value else { continue };
        let labels = [
            ("metric_name", called),
            ("metric_target_type", kind),
            ("container", &source.container),
        ];
        draft.gauge(name, help, &labels, value);
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Nothing {}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct BudgetStatus {
    current_healthy: f64,
    desired_healthy: f64,
    disruptions_allowed: f64,
    expected_pods: f64,
    observed_generation: f64,
}

pub(super) fn disruption_budget(text: &str, draft: &mut Draft<'_>) -> serde_json::Result<()> {
    let Whole::<Nothing, BudgetStatus> { metadata, status, .. } = serde_json::from_str(text)?;
    draft.of(metadata.within("poddisruptionbudget"));
    draft.some(
        "kube_poddisruptionbudget_created",
        "When it was made.",
        metadata.created(),
    );
    draft.some(
        "kube_poddisruptionbudget_deletion_timestamp",
        "When it is to be gone.",
        metadata.deleted(),
    );
    metadata.words(
        draft,
        "kube_poddisruptionbudget_labels",
        "kube_poddisruptionbudget_annotations",
    );
    let counts = [
        (
            "kube_poddisruptionbudget_status_current_healthy",
            "Pods that are well.",
            status.current_healthy,
        ),
        (
            "kube_poddisruptionbudget_status_desired_healthy",
            "Pods that have to be well.",
            status.desired_healthy,
        ),
        (
            "kube_poddisruptionbudget_status_pod_disruptions_allowed",
            "Pods that may be taken away now.",
            status.disruptions_allowed,
        ),
        (
            "kube_poddisruptionbudget_status_expected_pods",
            "Pods that it is about.",
            status.expected_pods,
        ),
        (
            "kube_poddisruptionbudget_status_observed_generation",
            "Up to which change its controller has seen it.",
            status.observed_generation,
        ),
    ];
    for (name, help, value) in counts {
        draft.gauge(name, help, &[], value);
    }
    Ok(())
}
