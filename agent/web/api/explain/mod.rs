//! `/api/v1/rules/{id}/explain`: why a rule fires or does not.
//!
//! Nothing is recorded for it: the last evaluations are done again from what is kept, so that a rule costs the same
//! whether anybody will ask or not. They take a place at the desk as one query, and its time.

mod past;
mod sentence;
mod standing;

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use model::explanation::{Explanation, Message, Standing};
use model::view::{Alert, Health, Rule, RuleGroup, Telling, Told};
use model::{AlertState, Labels};

use self::past::Past;
use self::standing::Standings;
use super::answer::{Failure, Wrong, bad_parameter, success};
use super::query::options;
use super::rules::{moment, rule_id};
use crate::Rooms;
use crate::desk::Desk;
use crate::form::Form;

/// Evaluations that are done again when nobody says how many, and at most.
const EVALUATIONS: usize = 5;
const EVALUATIONS_MAX: usize = 50;
/// How far back the timeline goes when nobody says how far.
const SINCE: Duration = Duration::from_secs(6 * 3600);
/// Alerts and messages shown; a rule that has more is not read as a list.
const SHOWN_MAX: usize = 50;

pub(super) async fn explain(
    State(rooms): State<Rooms>,
    Extension(desk): Extension<Arc<Desk>>,
    Path(id): Path<String>,
    form: Form,
) -> Result<Response, Failure> {
    Ok(success(&explanation(&rooms, &desk, id, &form).await?))
}

/// Of the rule with this id, as the parameters of the request want it.
pub(crate) async fn explanation(
    rooms: &Rooms,
    desk: &Desk,
    id: String,
    form: &Form,
) -> Result<Explanation, Failure> {
    let count = evaluations(form)?;
    let wanted = wanted(form)?;
    let since = match form.first("since") {
        "" => SINCE,
        text => model::text::duration::parse(text).map_err(|why| bad_parameter("since", why))?,
    };
    let (options, _leash) = options(form, &rooms.engine, desk)?;
    let groups = (rooms.rules)();
    let (group, rule) = found(groups, &id)?;
    let past = Past {
        engine: Arc::clone(&rooms.engine),
        chosen: chosen(&rule, wanted.as_ref()),
        wanted: wanted.clone(),
        now: rooms.clock.now(),
        options,
    };
    let standings = Standings::ask(rooms).await;
    let patience = past.options.timeout;
    let (past, group, rule) = desk
        .ask(patience, move || {
            let seen = past.look(&group, &rule, count, since);
            (seen, group, rule)
        })
        .await?;
    let alerts: Vec<&Alert> = rule
        .alerts
        .iter()
        .filter(|alert| wanted.as_ref().is_none_or(|wanted| has(&alert.labels, wanted)))
        .take(SHOWN_MAX)
        .collect();
    let telling = (rooms.telling)();
    let standing = alerts.iter().map(|alert| {
        let told = telling
            .told
            .iter()
            .find(|told| told.alerts.contains(&alert.fingerprint));
        Standing {
            told: told.map(message),
            ..standings.of(alert, &rule)
        }
    });
    let standing: Vec<Standing> = standing.collect();
    let told = told(&telling, &alerts, &past.alerts);
    let state = match (rule.alerting, alerts.iter().map(|alert| grade(alert.state)).max()) {
        (false, _) => "recording",
        (true, Some(2)) => "firing",
        (true, Some(1)) => "pending",
        (true, _) => "inactive",
    };
    let mut explanation = Explanation {
        id,
        file: group.file,
        group: group.name,
        name: rule.name,
        r#type: if rule.alerting { "alerting" } else { "recording" }.to_owned(),
        query: rule.expr,
        interval: group.interval.as_secs_f64(),
        query_offset: group.query_offset.as_secs_f64(),
        duration: rule.hold.as_secs_f64(),
        keep_firing_for: rule.keep_firing.as_secs_f64(),
        labels: rule.labels,
        annotations: rule.annotations,
        health: rule.health.to_owned(),
        last_error: rule.last_error,
        state: state.to_owned(),
        why: Vec::new(),
        evaluations: past.evaluations,
        alerts: standing,
        timeline: past.timeline,
        timeline_from: moment(Some(past.begins)),
        told,
    };
    explanation.why = sentence::all(&explanation, wanted.as_ref(), &teller(rooms, telling));
    if let Some(elsewhere) = &rooms.datasource {
        explanation.why.insert(
            0,
            format!(
                "The rule asks {elsewhere}; its evaluations are done again here from what this process keeps, which may \
                 be less."
            ),
        );
    }
    Ok(explanation)
}

fn evaluations(form: &Form) -> Result<usize, Failure> {
    let text = form.first("evaluations");
    if text.is_empty() {
        return Ok(EVALUATIONS);
    }
    let count = text
        .parse()
        .ok()
        .filter(|count| (1..=EVALUATIONS_MAX).contains(count));
    count.ok_or_else(|| {
        bad_parameter(
            "evaluations",
            format!("a number from 1 to {EVALUATIONS_MAX} is wanted"),
        )
    })
}

/// `label=name=value`, again and again; none is any instance.
fn wanted(form: &Form) -> Result<Option<Labels>, Failure> {
    let pairs = form.all("label").map(|text| text.split_once('=').ok_or(text));
    let pairs: Vec<(&str, &str)> = pairs
        .collect::<Result<_, _>>()
        .map_err(|text| bad_parameter("label", format!("{text:?} is no name=value")))?;
    Ok((!pairs.is_empty()).then(|| Labels::from_pairs(pairs)))
}

fn found(groups: Vec<RuleGroup>, id: &str) -> Result<(RuleGroup, Rule), Failure> {
    for mut group in groups {
        let nth = group.rules.iter().position(|rule| rule_id(&group, rule) == id);
        if let Some(nth) = nth {
            let rule = group.rules.swap_remove(nth);
            return Ok((group, rule));
        }
    }
    Err(Failure {
        wrong: Wrong::NotFound,
        text: format!("no rule has the id {id:?}; those that are loaded stand in /api/v1/rules"),
    })
}

/// The instance whose values are shown: the one asked for, else the gravest alert, else the one nearest to firing.
fn chosen(rule: &Rule, wanted: Option<&Labels>) -> Option<Labels> {
    let active = rule
        .alerts
        .iter()
        .filter(|alert| wanted.is_none_or(|wanted| has(&alert.labels, wanted)))
        .max_by_key(|alert| grade(alert.state));
    let active = active.map(|alert| alert.labels.clone());
    let nearest = || rule.headroom.as_ref().map(|headroom| headroom.labels.clone());
    active.or_else(|| wanted.cloned()).or_else(nearest)
}

fn grade(state: AlertState) -> u8 {
    match state {
        AlertState::Firing => 2,
        AlertState::Pending => 1,
        AlertState::Resolved => 0,
    }
}

/// Whether all of `wanted` is there.
fn has(labels: &Labels, wanted: &Labels) -> bool {
    wanted.iter().all(|(name, value)| labels.value(name) == value)
}

/// What was told of alerts that stand, or that stood within the timeline.
fn told(telling: &Telling, alerts: &[&Alert], past: &[u64]) -> Vec<Message> {
    let is_meant = |told: &&Told| {
        told.alerts
            .iter()
            .any(|one| past.contains(one) || alerts.iter().any(|alert| alert.fingerprint == *one))
    };
    telling
        .told
        .iter()
        .filter(is_meant)
        .take(SHOWN_MAX)
        .map(message)
        .collect()
}

fn message(told: &Told) -> Message {
    Message {
        time: moment(Some(told.time)),
        receiver: told.receiver.clone(),
        group: told.group.clone(),
        message: told.message.clone(),
        answer: told.answer.clone(),
        health: match told.health {
            Health::Good => "good",
            Health::Pending => "pending",
            Health::Bad => "bad",
            Health::Unknown => "unknown",
        }
        .to_owned(),
        took: told.took.as_secs_f64(),
    }
}

/// Who tells people.
enum Teller {
    /// This process, by way of these; none is nobody.
    Here { receivers: Vec<String> },
    /// The other replica, if it is known.
    Elsewhere(Option<String>),
}

fn teller(rooms: &Rooms, telling: Telling) -> Teller {
    match (rooms.pair)() {
        Some(pair) if !pair.speaks => Teller::Elsewhere(pair.holder),
        _ => Teller::Here {
            receivers: telling.receivers,
        },
    }
}
