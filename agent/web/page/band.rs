//! State bands: when each alert of a rule was pending and when it fired, one row a label set.
//!
//! Read from the series `ALERTS` that the rules keep, so that it reaches as far back as the samples do.

use std::time::Duration;

use maud::{Markup, html};
use model::{AlertState, Labels, Matcher, TimeRange, Timestamp, labels};

use super::graph::marks;
use super::visit::{Standing, Visit};
use super::when::Range;
use super::{link, shape, words};

/// Rows drawn; the chosen alert is always among them.
const ROWS_MAX: usize = 12;
const SAMPLES_MAX: usize = 200_000;
/// Label of `ALERTS` that tells pending from firing.
pub(super) const STATE: &str = "alertstate";

/// A stretch of time in one state.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Stretch {
    state: AlertState,
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
}

struct Row {
    labels: Labels,
    stretches: Vec<Stretch>,
    now: Option<AlertState>,
}

pub(super) fn draw(visit: &Visit, range: &Range, chosen: &Standing<'_>) -> Markup {
    let rows = rows(visit, range, chosen);
    html! {
        @for row in &rows {
            div.lane {
                p.gutter {
                    (row.now.map_or_else(|| shape::health(model::view::Health::Good), shape::alert))
                    @if row.labels == chosen.alert.labels {
                        b { (named(row, &rows)) }
                    } @else {
                        a href=(other(chosen, row)) { (named(row, &rows)) }
                    }
                }
                svg.band role="img" aria-label=(spoken(visit, row, &rows)) width="100%" height="16" {
                    rect.track x="0" y="0" width="100%" height="16" {}
                    @for stretch in &row.stretches { (drawn(range, stretch)) }
                }
            }
        }
    }
}

/// Words under all lanes.
pub(super) fn axis(visit: &Visit, range: &Range) -> Markup {
    html! {
        div.lane.axis {
            p.gutter {}
            svg width="100%" height="20" aria-hidden="true" {
                @for (at, word) in marks(&visit.wall, range, 6) {
                    text x={ (format!("{at:.2}")) "%" } y="14" text-anchor="middle" { (word) }
                }
            }
        }
    }
}

/// The pattern that pending is drawn with; once in a document.
pub(super) fn patterns() -> Markup {
    html! {
        svg.unseen width="0" height="0" aria-hidden="true" {
            defs {
                pattern id="hatch" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(30)" {
                    rect.stripe width="3.5" height="7" {}
                }
            }
        }
    }
}

fn named(row: &Row, rows: &[Row]) -> String {
    let all: Vec<&Labels> = rows.iter().map(|row| &row.labels).collect();
    match words::apart(&row.labels, &all) {
        name if name.is_empty() => "this rule".to_owned(),
        name => name,
    }
}

fn other(chosen: &Standing<'_>, row: &Row) -> String {
    format!(
        "/alerts/{}/{:016x}",
        link::encode(&chosen.rule.name),
        row.labels.fingerprint()
    )
}

fn spoken(visit: &Visit, row: &Row, rows: &[Row]) -> String {
    let parts: Vec<String> = row
        .stretches
        .iter()
        .map(|stretch| {
            let word = if stretch.state == AlertState::Firing {
                "firing"
            } else {
                "pending"
            };
            format!(
                "{word} {} to {}",
                visit.wall.second(stretch.from),
                visit.wall.second(stretch.to)
            )
        })
        .collect();
    if parts.is_empty() {
        return format!("{}: not true in this time", named(row, rows));
    }
    format!("{}: {}", named(row, rows), parts.join(", "))
}

fn drawn(range: &Range, stretch: &Stretch) -> Markup {
    let window = range.window().as_secs_f64().max(0.001);
    let place = |at: Timestamp| at.since(range.from).as_secs_f64() / window * 100.0;
    let (from, to) = (place(stretch.from).min(100.0), place(stretch.to).min(100.0));
    let class = if stretch.state == AlertState::Firing {
        "firing"
    } else {
        "pending"
    };
    html! {
        rect class=(class) x={ (format!("{from:.3}")) "%" } y="0" width={ (format!("{:.3}", (to - from).max(0.3))) "%" } height="16" {}
    }
}

fn rows(visit: &Visit, range: &Range, chosen: &Standing<'_>) -> Vec<Row> {
    let name = &chosen.rule.name;
    let matchers = [
        Matcher::equal(labels::METRIC_NAME, "ALERTS"),
        Matcher::equal(labels::ALERT_NAME, name),
    ];
    let time = TimeRange {
        after: range.from,
        until: range.to,
    };
    let series = visit
        .rooms
        .select
        .select(&matchers, time, SAMPLES_MAX)
        .unwrap_or_default();
    let longest = chosen.group.interval.max(Duration::from_secs(1)) * 5 / 2;
    let mut rows: Vec<Row> = Vec::new();
    for one in &series {
        let state = match one.labels.value(STATE) {
            "firing" => AlertState::Firing,
            _ => AlertState::Pending,
        };
        let set = one
            .labels
            .retain(|label| label != STATE && label != labels::METRIC_NAME);
        let samples = one.times.iter().copied().zip(one.values.iter().copied());
        row_of(&mut rows, set)
            .stretches
            .extend(stretches(state, samples, longest));
    }
    for alert in &chosen.rule.alerts {
        let row = row_of(&mut rows, alert.labels.clone());
        row.now = Some(alert.state);
        row.stretches.extend(known(alert, range, visit.now));
    }
    for row in &mut rows {
        row.stretches = joined(std::mem::take(&mut row.stretches));
    }
    rows.sort_by_key(|row| {
        let begin = row
            .stretches
            .first()
            .map_or(Timestamp::MAX, |stretch| stretch.from);
        (row.labels != chosen.alert.labels, begin, row.labels.clone())
    });
    rows.truncate(ROWS_MAX);
    rows
}

fn row_of(rows: &mut Vec<Row>, labels: Labels) -> &mut Row {
    let at = rows
        .iter()
        .position(|row| row.labels == labels)
        .unwrap_or_else(|| {
            rows.push(Row {
                labels,
                stretches: Vec::new(),
                now: None,
            });
            rows.len() - 1
        });
    &mut rows[at]
}

/// What the rule itself remembers of an alert; samples may not have been kept.
fn known(alert: &model::view::Alert, range: &Range, now: Timestamp) -> Vec<Stretch> {
    let end = alert.resolved_at.unwrap_or(now).min(range.to);
    let fired = alert.fired_at.unwrap_or(end).min(end);
    let pending = Stretch {
        state: AlertState::Pending,
        from: alert.active_at.max(range.from),
        to: fired,
    };
    let firing = Stretch {
        state: AlertState::Firing,
        from: fired.max(range.from),
        to: end,
    };
    [pending, firing]
        .into_iter()
        .filter(|stretch| stretch.from < stretch.to)
        .collect()
}

/// Samples that follow each other closely are one stretch; a marker or a gap ends it.
pub(super) fn stretches(
    state: AlertState,
    samples: impl Iterator<Item = (Timestamp, f64)>,
    longest: Duration,
) -> Vec<Stretch> {
    let mut stretches: Vec<Stretch> = Vec::new();
    let mut open = false;
    for (time, value) in samples {
        let stale = model::is_stale(value);
        match stretches
            .last_mut()
            .filter(|last| open && time.since(last.to) <= longest)
        {
            Some(last) => last.to = time,
            None if stale => {}
            None => stretches.push(Stretch {
                state,
                from: time,
                to: time,
            }),
        }
        open = !stale;
    }
    stretches
}

/// In order of time, touching stretches of one state made one; firing wins over pending.
fn joined(mut stretches: Vec<Stretch>) -> Vec<Stretch> {
    stretches.sort_by_key(|stretch| (stretch.state != AlertState::Pending, stretch.from));
    let mut joined: Vec<Stretch> = Vec::new();
    for stretch in stretches {
        match joined
            .last_mut()
            .filter(|last| last.state == stretch.state && stretch.from <= last.to)
        {
            Some(last) => last.to = last.to.max(stretch.to),
            None => joined.push(stretch),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use model::STALE;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp(seconds * 1000)
    }

    #[test]
    fn a_gap_or_a_marker_ends_a_stretch() {
        let samples = [(0, 1.0), (15, 1.0), (30, STALE), (45, 1.0), (60, 1.0), (600, 1.0)];
        let found = stretches(
            AlertState::Firing,
            samples.into_iter().map(|(time, value)| (at(time), value)),
            Duration::from_secs(40),
        );
        let found: Vec<_> = found.iter().map(|one| (one.from, one.to)).collect();
        assert_eq!(found, [(at(0), at(30)), (at(45), at(60)), (at(600), at(600))]);
    }

    #[test]
    fn what_is_known_twice_is_drawn_once() {
        let one = |from, to| Stretch {
            state: AlertState::Firing,
            from: at(from),
            to: at(to),
        };
        assert_eq!(
            joined(vec![one(10, 20), one(0, 12), one(30, 40)]),
            [one(0, 20), one(30, 40)]
        );
    }
}
