//! `/api/v1/rules` and `/alerts`: what watches, and what it sees.

use axum::extract::State;
use axum::response::Response;
use model::view::{Alert, Rule, RuleGroup};
use model::{AlertState, Labels, Timestamp};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::answer::{Failure, Wrong, bad_data, bad_parameter, success};
use super::matching::{self, Tests};
use super::param;
use crate::Rooms;
use crate::form::Form;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Groups {
    groups: Vec<Group>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group_next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    name: String,
    file: String,
    rules: Vec<Box<RawValue>>,
    #[serde(serialize_with = "number")]
    interval: f64,
    limit: usize,
    #[serde(serialize_with = "number")]
    evaluation_time: f64,
    last_evaluation: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Alerting<'a> {
    id: String,
    state: &'static str,
    name: &'a str,
    query: &'a str,
    #[serde(serialize_with = "number")]
    duration: f64,
    #[serde(serialize_with = "number")]
    keep_firing_for: f64,
    /// Not in Prometheus, like what follows; left out where the rule's file has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    datapoints: Option<Datapoints>,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_missing: Option<&'a str>,
    labels: &'a Labels,
    annotations: &'a Labels,
    /// None where they were asked to be left out.
    alerts: Option<Vec<Active<'a>>>,
    #[serde(flatten)]
    health: Fitness<'a>,
}

#[derive(Serialize)]
struct Datapoints {
    m: u32,
    n: u32,
}

#[derive(Serialize)]
struct Recording<'a> {
    id: String,
    name: &'a str,
    query: &'a str,
    #[serde(skip_serializing_if = "Labels::is_empty")]
    labels: &'a Labels,
    #[serde(flatten)]
    health: Fitness<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Fitness<'a> {
    health: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    last_error: &'a str,
    #[serde(serialize_with = "number")]
    evaluation_time: f64,
    last_evaluation: String,
    r#type: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Active<'a> {
    labels: &'a Labels,
    annotations: &'a Labels,
    state: &'static str,
    active_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    keep_firing_since: Option<String>,
    value: String,
}

pub(super) async fn rules(State(rooms): State<Rooms>, form: Form) -> Result<Response, Failure> {
    let filter = Filter::read(&form)?;
    let limit = page_size(&form)?;
    let mut known = sorted(&rooms);
    let token = form.first("group_next_token");
    if !token.is_empty() {
        let from = known
            .iter()
            .position(|group| page_token(group) == token)
            .ok_or_else(|| {
                bad_parameter(
                    "group_next_token",
                    format!("invalid group_next_token '{token}'. were rule groups changed?"),
                )
            })?;
        known.drain(..from);
    }
    let mut groups = Vec::new();
    let mut group_next_token = None;
    for group in known {
        let next = page_token(&group);
        let Some(group) = filter.group(group)? else {
            continue;
        };
        if limit.is_some_and(|most| groups.len() >= most) {
            group_next_token = Some(next);
            break;
        }
        groups.push(group);
    }
    Ok(success(&Groups {
        groups,
        group_next_token,
    }))
}

pub(super) async fn alerts(State(rooms): State<Rooms>) -> Response {
    #[derive(Serialize)]
    struct Alerts<'a> {
        alerts: Vec<Active<'a>>,
    }
    let groups = sorted(&rooms);
    let alerts = groups
        .iter()
        .flat_map(|group| &group.rules)
        .flat_map(|rule| active(&rule.alerts))
        .collect();
    success(&Alerts { alerts })
}

/// By file and name, as Prometheus has them.
fn sorted(rooms: &Rooms) -> Vec<RuleGroup> {
    let mut groups = (rooms.rules)();
    groups.sort_by(|one, other| (&one.file, &one.name).cmp(&(&other.file, &other.name)));
    groups
}

/// Which rules are asked for.
struct Filter<'a> {
    form: &'a Form,
    alerting: bool,
    recording: bool,
    without_alerts: bool,
    tests: Tests,
}

impl<'a> Filter<'a> {
    fn read(form: &'a Form) -> Result<Self, Failure> {
        let kind = form.first("type").to_ascii_lowercase();
        if !matches!(kind.as_str(), "" | "alert" | "record") {
            let why = format!("not supported value {}", model::text::quote(&kind));
            return Err(bad_parameter("type", why));
        }
        Ok(Self {
            form,
            alerting: kind != "record",
            recording: kind != "alert",
            without_alerts: param::flag(form, "exclude_alerts")?,
            tests: Tests::new(&matching::selectors(form)?)?,
        })
    }

    /// None when it is not asked for, or nothing of it.
    fn group(&self, group: RuleGroup) -> Result<Option<Group>, Failure> {
        if !self.names("rule_group[]", &group.name) || !self.names("file[]", &group.file) {
            return Ok(None);
        }
        let rules = group
            .rules
            .iter()
            .filter(|rule| self.rule(rule))
            .map(|rule| self.written(&group, rule))
            .collect::<Result<Vec<_>, _>>()?;
        Ok((!rules.is_empty()).then(|| Group {
            name: group.name,
            file: group.file,
            rules,
            interval: group.interval.as_secs_f64(),
            limit: group.limit,
            evaluation_time: group.last_duration.as_secs_f64(),
            last_evaluation: moment(group.last_evaluation),
        }))
    }

    fn rule(&self, rule: &Rule) -> bool {
        let kind = if rule.alerting {
            self.alerting
        } else {
            self.recording
        };
        kind && self.names("rule_name[]", &rule.name) && self.tests.hold(&rule.labels)
    }

    /// Whether a parameter that names things names this one, or is not given.
    fn names(&self, parameter: &str, name: &str) -> bool {
        let mut named = self.form.all(parameter).peekable();
        named.peek().is_none() || named.any(|wanted| wanted == name)
    }

    fn written(&self, group: &RuleGroup, rule: &Rule) -> Result<Box<RawValue>, Failure> {
        let health = Fitness {
            health: rule.health,
            last_error: &rule.last_error,
            evaluation_time: rule.last_duration.as_secs_f64(),
            last_evaluation: moment(rule.last_evaluation),
            r#type: if rule.alerting { "alerting" } else { "recording" },
        };
        let text = if rule.alerting {
            serde_json::value::to_raw_value(&Alerting {
                id: rule_id(group, rule),
                state: state(rule),
                name: &rule.name,
                query: &rule.expr,
                duration: rule.hold.as_secs_f64(),
                keep_firing_for: rule.keep_firing.as_secs_f64(),
                datapoints: rule.datapoints.map(|(m, n)| Datapoints { m, n }),
                on_missing: rule.on_missing,
                labels: &rule.labels,
                annotations: &rule.annotations,
                alerts: (!self.without_alerts).then(|| active(&rule.alerts).collect()),
                health,
            })
        } else {
            serde_json::value::to_raw_value(&Recording {
                id: rule_id(group, rule),
                name: &rule.name,
                query: &rule.expr,
                labels: &rule.labels,
                health,
            })
        };
        text.map_err(|error| Failure {
            wrong: Wrong::Internal,
            text: format!("writing rule {}: {error}", rule.name),
        })
    }
}

fn page_size(form: &Form) -> Result<Option<usize>, Failure> {
    let text = form.first("group_limit");
    if text.is_empty() {
        if form.first("group_next_token").is_empty() {
            return Ok(None);
        }
        let why = "group_limit needs to be present in order to paginate over the groups";
        return Err(bad_parameter("group_next_token", why));
    }
    let number = param::whole(text).map_err(|why| {
        bad_parameter(
            "group_limit",
            format!("group_limit needs to be a valid number: strconv.ParseInt: {why}"),
        )
    })?;
    match usize::try_from(number) {
        Ok(most) if most > 0 => Ok(Some(most)),
        _ => Err(bad_data(
            "invalid parameter \"group_limit\": group_limit needs to be greater than 0",
        )),
    }
}

fn page_token(group: &RuleGroup) -> String {
    let mut hash = model::labels::Fnv::default();
    hash.bytes(group.file.as_bytes());
    hash.bytes(b";");
    hash.bytes(group.name.as_bytes());
    format!("{:016x}", hash.0)
}

/// What makes two rules the same, and how each evaluates: file, group, name, labels, expression. Prometheus has no such
/// field, and its clients pass it over.
pub(crate) fn rule_id(group: &RuleGroup, rule: &Rule) -> String {
    let mut hash = model::labels::Fnv::default();
    let own = [&group.file, &group.name, &rule.name, &rule.expr].map(String::as_str);
    let labels = rule.labels.iter().flat_map(|(name, value)| [name, value]);
    for part in own.into_iter().chain(labels) {
        hash.bytes(part.as_bytes());
        hash.bytes(b"\xff");
    }
    format!("{:016x}", hash.0)
}

/// Alerts that are pending or firing.
fn active(alerts: &[Alert]) -> impl Iterator<Item = Active<'_>> {
    alerts.iter().filter_map(|alert| {
        let state = match alert.state {
            AlertState::Pending => "pending",
            AlertState::Firing => "firing",
            AlertState::Resolved => return None,
        };
        Some(Active {
            labels: &alert.labels,
            annotations: &alert.annotations,
            state,
            active_at: moment(Some(alert.active_at)),
            keep_firing_since: alert.keep_firing_since.map(|time| moment(Some(time))),
            value: exponent(alert.value),
        })
    })
}

/// The gravest state of a rule's alerts.
fn state(rule: &Rule) -> &'static str {
    let any = |state| rule.alerts.iter().any(|alert| alert.state == state);
    if any(AlertState::Firing) {
        "firing"
    } else if any(AlertState::Pending) {
        "pending"
    } else {
        "inactive"
    }
}

/// A whole number without `.0`, as Go writes it.
pub(super) fn number<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if value.fract() == 0.0 && value.abs() < 1e15 {
        serializer.serialize_i64(*value as i64)
    } else {
        serializer.serialize_f64(*value)
    }
}

/// RFC 3339 in UTC; Go's zero time when there is none.
pub(crate) fn moment(time: Option<Timestamp>) -> String {
    time.and_then(|time| jiff::Timestamp::from_millisecond(time.millis()).ok())
        .map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), |time| time.to_string())
}

/// A value as Prometheus writes it in alerts (`strconv.FormatFloat(v, 'e', -1, 64)`): `1.5e+02`.
fn exponent(value: f64) -> String {
    if !value.is_finite() {
        return model::text::float::api(value);
    }
    let text = format!("{value:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = exponent
        .strip_prefix('-')
        .map_or(("+", exponent), |rest| ("-", rest));
    format!("{digits}e{sign}{exponent:0>2}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_alerts_carry_an_exponent() {
        for (value, text) in [
            (0.0, "0e+00"),
            (150.0, "1.5e+02"),
            (-0.001, "-1e-03"),
            (1e100, "1e+100"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
        ] {
            assert_eq!(exponent(value), text);
        }
    }

    #[test]
    fn moments_are_rfc_3339_without_idle_zeros() {
        assert_eq!(
            moment(Some(Timestamp(1_795_661_519_719))),
            "2026-11-26T02:51:59.719Z"
        );
        assert_eq!(moment(Some(Timestamp(1_795_661_519_000))), "2026-11-26T02:51:59Z");
        assert_eq!(moment(None), "0001-01-01T00:00:00Z");
    }
}
