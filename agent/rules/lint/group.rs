//! `group/interval` and `labels/conflict`: what a group and its labels mean for what comes after.

use std::time::Duration;

use model::text::duration::short;

use super::read::{Group, Source};
use super::report::Severity;
use super::{CONFLICT, Desk, INTERVAL, Look, word};

/// How long a sample answers when no newer one comes.
const LOOKBACK: Duration = Duration::from_secs(300);

pub(super) fn check(desk: &mut Desk<'_>, source: &Source, group: &Group) {
    let Some(interval) = &group.written.interval else {
        return;
    };
    let records = group.rules.iter().any(|rule| !rule.is_alert);
    if records && interval.value.0 > LOOKBACK {
        let message = format!(
            "what this group records is gone for a while before each evaluation: a sample answers for {} only",
            short(LOOKBACK)
        );
        let advice = format!("evaluate it every {} or more often", short(LOOKBACK));
        let said = word(INTERVAL, Severity::Warning, message, advice);
        desk.say_of(
            source,
            (group.line, group.line),
            String::new(),
            source.at(interval),
            said,
        );
    }
}

pub(super) fn labels(desk: &mut Desk<'_>, look: &Look<'_>) {
    let world = desk.world;
    let Some((external, from)) = &world.external_labels else {
        return;
    };
    let own = look
        .group
        .written
        .labels
        .0
        .iter()
        .chain(&look.rule.written.labels.0);
    for (name, value) in own {
        let Some(known) = external.get(&name.value) else {
            continue;
        };
        let (severity, message, advice) = if look.rule.is_alert && known == value.value {
            let message = format!("{from} adds {}={known:?} to every alert anyway", name.value);
            (Severity::Info, message, "leave it out")
        } else {
            let message = format!(
                "{} is an external label of {from}, where it is {known:?}",
                name.value
            );
            (Severity::Warning, message, "take another name")
        };
        desk.say(
            look,
            look.source.at(name),
            word(CONFLICT, severity, message, advice),
        );
    }
}
