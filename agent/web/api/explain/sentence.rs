//! The sentences: of the rule first, then of each alert.

use std::time::Duration;

use model::Labels;
use model::explanation::{Explanation, Standing};
use model::labels::ALERT_NAME;
use model::text::{count, duration};

use super::Teller;

/// Alerts that have a sentence each.
const ALERTS_MAX: usize = 10;

pub(super) fn all(explanation: &Explanation, wanted: Option<&Labels>, teller: &Teller) -> Vec<String> {
    let mut all = vec![rule(explanation, wanted)];
    let alerts = &explanation.alerts;
    all.extend(
        alerts
            .iter()
            .take(ALERTS_MAX)
            .map(|one| alert(explanation, one, teller)),
    );
    if alerts.len() > ALERTS_MAX {
        all.push(format!("and {} more", alerts.len() - ALERTS_MAX));
    }
    all
}

fn rule(explanation: &Explanation, wanted: Option<&Labels>) -> String {
    let newest = explanation.evaluations.first();
    let missing = newest.and_then(|newest| newest.missing.as_deref());
    let given = newest.map_or(0, |newest| newest.series);
    if !explanation.last_error.is_empty() {
        return format!("the rule failed: {}", explanation.last_error);
    }
    if explanation.health == "unknown" {
        let seen = missing.map_or_else(String::new, |missing| {
            format!("; it would give nothing now: {missing}")
        });
        return format!("the rule has not been evaluated yet{seen}");
    }
    if let Some(error) = newest.and_then(|newest| newest.error.as_deref()) {
        return format!("the rule is well, but asking again why fails: {error}");
    }
    if explanation.r#type == "recording" {
        return match missing {
            Some(missing) => format!("it records nothing: {missing}"),
            None => format!("it records {}", series(given)),
        };
    }
    let of = |state: &str| {
        explanation
            .alerts
            .iter()
            .filter(|alert| alert.state == state)
            .count()
    };
    let place = wanted.map_or_else(String::new, |wanted| format!(" for {wanted}"));
    match (of("firing"), of("pending"), missing) {
        (0, 0, Some(missing)) => format!("it does not fire{place}: {missing}"),
        (0, 0, None) => format!(
            "it is not active{place}, and yet its expression gives {} as of its last evaluation: samples came later than \
             that, or the labels of the alert say otherwise",
            series(given)
        ),
        (0, pending, _) => format!("{} pending{place}", alerts(pending)),
        (firing, 0, _) => format!("{} firing{place}", alerts(firing)),
        (firing, pending, _) => format!(
            "{} firing{place}, {} pending",
            alerts(firing),
            count(pending as u64)
        ),
    }
}

fn alert(explanation: &Explanation, alert: &Standing, teller: &Teller) -> String {
    let own = alert.labels.retain(|name| {
        name != ALERT_NAME
            && explanation
                .labels
                .get(name)
                .is_none_or(|text| text.contains("{{"))
    });
    let mut text = if own.is_empty() {
        String::new()
    } else {
        format!("{own} ")
    };
    match alert.state.as_str() {
        "pending" => text.push_str(&match &alert.fires_at {
            Some(fires_at) => format!(
                "pending since {}, fires at {fires_at} if it lasts (for: {})",
                alert.active_at,
                spell(explanation.duration)
            ),
            None => format!(
                "pending since {}, fires once enough of its last evaluations found it (datapoints)",
                alert.active_at
            ),
        }),
        "resolved" => text.push_str(&format!(
            "ended at {}",
            alert.resolved_at.as_deref().unwrap_or(&alert.active_at)
        )),
        _ => text.push_str(&format!(
            "fires since {}, true since {}",
            alert.fired_at.as_deref().unwrap_or(&alert.active_at),
            alert.active_at
        )),
    }
    if let Some(since) = &alert.keep_firing_since {
        text.push_str(&format!(
            "; its condition ended at {since}, and it goes on for {} (keep_firing_for)",
            spell(explanation.keep_firing_for)
        ));
    }
    if alert.unknown {
        text.push_str("; left as it was, because nothing is known of its sender");
    }
    if alert.state != "pending" {
        text.push_str("; ");
        text.push_str(&way(alert, teller));
    }
    text
}

/// Where the alert went.
fn way(alert: &Standing, teller: &Teller) -> String {
    if let Some(silence) = alert.silenced_by.first() {
        return format!(
            "silenced by {} until {} ({}, {})",
            silence.id, silence.ends_at, silence.created_by, silence.comment
        );
    }
    if let Some(source) = alert.inhibited_by.first() {
        return format!("inhibited by {source}");
    }
    if !alert.muted_by.is_empty() {
        return format!("its route is mute now, by {}", alert.muted_by.join(", "));
    }
    let receivers = match teller {
        Teller::Elsewhere(holder) => {
            let name = holder.as_deref().unwrap_or("not known now");
            return format!("the replica that tells is {name}: ask there where it went");
        }
        Teller::Here { receivers } => receivers,
    };
    match &alert.told {
        Some(told) => format!(
            "told to {} at {}: {} ({})",
            told.receiver, told.time, told.message, told.answer
        ),
        None if receivers.is_empty() => "nobody is told: no receiver is configured".to_owned(),
        None if alert.state == "resolved" => "nobody was told of it, or too long ago to be known".to_owned(),
        None => {
            let to = if alert.receivers.is_empty() {
                receivers
            } else {
                &alert.receivers
            };
            format!(
                "not told yet: {} will be, as soon as the group's wait is over",
                to.join(", ")
            )
        }
    }
}

fn alerts(many: usize) -> String {
    match many {
        1 => "1 alert is".to_owned(),
        many => format!("{} alerts are", count(many as u64)),
    }
}

fn series(many: usize) -> String {
    format!("{} series", count(many as u64))
}

fn spell(seconds: f64) -> String {
    Duration::try_from_secs_f64(seconds).map_or_else(|_| seconds.to_string(), duration::short)
}
