//! Groups and alerts as the page and the API show them.

use model::{AlertState, view};

use crate::alert::{Alert, State};
use crate::group::{OnMissing, Rule};
use crate::runner::Running;
use crate::state::RuleState;
use crate::world::World;

pub(crate) fn of_group(running: &Running, world: &World) -> view::RuleGroup {
    let last = *running.last.lock();
    let rules = running.group.rules.iter().zip(&running.states);
    view::RuleGroup {
        name: running.group.name.to_string(),
        file: running.group.file.to_string(),
        interval: running.interval,
        query_offset: running.group.query_offset.unwrap_or(world.options.query_offset),
        limit: running.group.limit,
        rules: rules.map(|(rule, state)| of_rule(rule, &state.lock())).collect(),
        last_evaluation: last.evaluation,
        last_duration: last.duration,
    }
}

fn of_rule(rule: &Rule, state: &RuleState) -> view::Rule {
    let alerting = rule.alerting();
    view::Rule {
        name: rule.name.to_string(),
        alerting: alerting.is_some(),
        expr: rule.expr.canonical().to_owned(),
        hold: alerting.map(|alerting| alerting.hold).unwrap_or_default(),
        keep_firing: alerting.map(|alerting| alerting.keep_firing).unwrap_or_default(),
        datapoints: alerting
            .and_then(|alerting| alerting.datapoints)
            .map(|points| (points.m, points.n)),
        on_missing: alerting
            .and_then(|alerting| alerting.on_missing)
            .map(OnMissing::word),
        labels: rule.labels_written(),
        annotations: rule.annotations_written(),
        health: state.health(),
        last_error: state.last_error.clone(),
        last_evaluation: state.last_evaluation,
        last_duration: state.last_duration,
        alerts: state.all().map(of_alert).collect(),
        headroom: None,
    }
}

pub(crate) fn of_alert(alert: &Alert) -> view::Alert {
    // A pending alert may still carry an earlier firing, which is over.
    let shown = |time| (alert.state != State::Pending).then_some(time).flatten();
    view::Alert {
        fingerprint: alert.labels.fingerprint(),
        labels: alert.labels.clone(),
        annotations: alert.annotations.clone(),
        state: match alert.state {
            State::Pending => AlertState::Pending,
            State::Firing => AlertState::Firing,
            State::Resolved => AlertState::Resolved,
        },
        active_at: alert.active_at,
        fired_at: shown(alert.fired_at),
        resolved_at: shown(alert.resolved_at),
        keep_firing_since: alert.keep_firing_since,
        value: alert.value,
        restored: alert.restored.is_some(),
        unknown: alert.unknown,
    }
}
