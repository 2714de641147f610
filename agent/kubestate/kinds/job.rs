//! Jobs and CronJobs.

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::draft::Draft;
use crate::meta::{Condition, Whole, seconds, states};

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    parallelism: Option<f64>,
    completions: Option<f64>,
    active_deadline_seconds: Option<f64>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    active: f64,
    ready: f64,
    succeeded: f64,
    failed: f64,
    start_time: Option<String>,
    completion_time: Option<String>,
    conditions: Vec<Condition>,
}

/// Why a Job fails; of others none is told.
const REASONS: [&str; 3] = ["BackoffLimitExceeded", "DeadlineExceeded", "Evicted"];

pub(super) fn job(text: &str, draft: &mut Draft<'_>) -> serde_json::Result<()> {
    let Whole::<Spec, Status> {
        metadata,
        spec,
        status,
    } = serde_json::from_str(text)?;
    draft.of(metadata.within("job_name"));
    draft.gauge("kube_job_info", "A Job.", &[], 1.0);
    draft.some("kube_job_created", "When it was made.", metadata.created());
    metadata.words(draft, "kube_job_labels", "kube_job_annotations");
    metadata.owners(draft, "kube_job_owner");
    draft.some(
        "kube_job_spec_parallelism",
        "Pods that may run at once.",
        spec.parallelism,
    );
    draft.some(
        "kube_job_spec_completions",
        "Pods that have to succeed.",
        spec.completions,
    );
    draft.some(
        "kube_job_spec_active_deadline_seconds",
        "How long it may take.",
        spec.active_deadline_seconds,
    );
    draft.gauge(
        "kube_job_status_succeeded",
        "Pods that succeeded.",
        &[],
        status.succeeded,
    );
    draft.gauge("kube_job_status_active", "Pods that run.", &[], status.active);
    draft.gauge("kube_job_status_ready", "Pods that are ready.", &[], status.ready);
    failed(draft, &status);
    for condition in &status.conditions {
        let name = match condition.kind.as_str() {
            "Complete" => "kube_job_complete",
            "Failed" => "kube_job_failed",
            "Suspended" => {
                let is = f64::from(condition.status == "True");
                draft.gauge("kube_job_status_suspended", "Whether it is held up.", &[], is);
                continue;
            }
            _ => continue,
        };
        states(
            draft,
            name,
            "Whether it is at this end.",
            &[],
            "condition",
            &condition.status,
        );
    }
    let times = [
        (
            "kube_job_status_start_time",
            "When it was taken up.",
            &status.start_time,
        ),
        (
            "kube_job_status_completion_time",
            "When it was done.",
            &status.completion_time,
        ),
    ];
    for (name, help, time) in times {
        draft.some(name, help, seconds(time.as_deref()));
    }
    Ok(())
}

/// A series for each known reason, or one with the number of pods where none of them is given.
fn failed(draft: &mut Draft<'_>, status: &Status) {
    const NAME: &str = "kube_job_status_failed";
    const HELP: &str = "Pods that failed, or why the Job did.";
    if status.failed == 0.0 {
        draft.gauge(NAME, HELP, &[], 0.0);
        return;
    }
    let mut is_known = false;
    for condition in status
        .conditions
        .iter()
        .filter(|condition| condition.kind == "Failed")
    {
        for reason in REASONS {
            let is = condition.reason == reason;
            is_known |= is;
            draft.gauge(NAME, HELP, &[("reason", reason)], f64::from(is));
        }
    }
    if !is_known {
        draft.gauge(NAME, HELP, &[("reason", "")], status.failed);
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct CronSpec {
    schedule: String,
    concurrency_policy: String,
    time_zone: Option<String>,
    suspend: bool,
    starting_deadline_seconds: Option<f64>,
    successful_jobs_history_limit: Option<f64>,
    failed_jobs_history_limit: Option<f64>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct CronStatus {
    active: Vec<IgnoredAny>,
    last_schedule_time: Option<String>,
    last_successful_time: Option<String>,
}

pub(super) fn cron_job(text: &str, draft: &mut Draft<'_>) -> serde_json::Result<()> {
    let Whole::<CronSpec, CronStatus> {
        metadata,
        spec,
        status,
    } = serde_json::from_str(text)?;
    draft.of(metadata.within("cronjob"));
    let labels = [
        ("schedule", spec.schedule.as_str()),
        ("concurrency_policy", &spec.concurrency_policy),
        ("timezone", spec.time_zone.as_deref().unwrap_or("local")),
    ];
    draft.gauge("kube_cronjob_info", "When a Job is made.", &labels, 1.0);
    draft.some("kube_cronjob_created", "When it was made.", metadata.created());
    metadata.words(draft, "kube_cronjob_labels", "kube_cronjob_annotations");
    draft.gauge(
        "kube_cronjob_status_active",
        "Jobs of it that run.",
        &[],
        status.active.len() as f64,
    );
    draft.gauge(
        "kube_cronjob_spec_suspend",
        "Whether no Job is made.",
        &[],
        f64::from(spec.suspend),
    );
    let others = [
        (
            "kube_cronjob_status_last_schedule_time",
            "When a Job was made last.",
            seconds(status.last_schedule_time.as_deref()),
        ),
        (
            "kube_cronjob_status_last_successful_time",
            "When a Job of it last succeeded.",
            seconds(status.last_successful_time.as_deref()),
        ),
        (
            "kube_cronjob_spec_starting_deadline_seconds",
            "How late a Job may still be made.",
            spec.starting_deadline_seconds,
        ),
        (
            "kube_cronjob_spec_successful_job_history_limit",
            "Jobs that are kept of those that succeeded.",
            spec.successful_jobs_history_limit,
        ),
        (
            "kube_cronjob_spec_failed_job_history_limit",
            "Jobs that are kept of those that failed.",
            spec.failed_jobs_history_limit,
        ),
        (
            "kube_cronjob_metadata_resource_version",
            "The version of the object.",
            metadata.resource_version.parse().ok(),
        ),
    ];
    for (name, help, value) in others {
        draft.some(name, help, value);
    }
    Ok(())
}
