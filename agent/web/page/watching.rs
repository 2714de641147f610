//! *Rules that are watching*: how near each is to firing, the nearest first.

use maud::{Markup, html};
use model::AlertState;
use model::text::duration;
use model::view::{Headroom, Health, Rule, RuleGroup};

use super::condition::{self, Condition};
use super::unit::Unit;
use super::{link, shape, words};

/// Where a limit stands in a bar that has no natural end.
const TICK: f64 = 80.0;

/// One alert rule as it stands.
#[derive(Clone, Copy)]
pub(super) struct Watching<'a> {
    pub(super) group: &'a RuleGroup,
    pub(super) rule: &'a Rule,
}

impl<'a> Watching<'a> {
    pub(super) fn health(&self) -> Health {
        let any = |state| self.rule.alerts.iter().any(|alert| alert.state == state);
        if any(AlertState::Firing) {
            Health::Bad
        } else if self.rule.health == "err" || any(AlertState::Pending) {
            Health::Pending
        } else if self.rule.health == "ok" {
            Health::Good
        } else {
            Health::Unknown
        }
    }

    /// Share of the way to its threshold; rules that cannot say come last.
    pub(super) fn nearness(&self) -> f64 {
        let share = self.rule.headroom.as_ref().and_then(|headroom| headroom.share);
        share.filter(|share| share.is_finite()).unwrap_or(-1.0)
    }

    /// What is true now: `81 % /home`, or why nothing can be said.
    pub(super) fn now(&self) -> Markup {
        let rule = self.rule;
        if rule.health == "err" {
            return html! { span.wrong { (rule.last_error) } };
        }
        let is_state = rule
            .headroom
            .as_ref()
            .is_none_or(|headroom| matches!(headroom.op, "==" | "!="));
        let mut standing = rule
            .alerts
            .iter()
            .filter(|alert| alert.state != AlertState::Resolved);
        if let (true, Some(alert)) = (is_state, standing.next()) {
            let more = standing.count();
            return html! {
                "true"
                @if let Some(place) = words::place(&alert.labels) { " " span.place { (place) } }
                @if more > 0 { " and " (more) " more" }
            };
        }
        match &rule.headroom {
            // Of a state that is or is not, nothing is near.
            Some(headroom) if !is_state => {
                let (value, _) = condition::figures(rule, headroom);
                html! {
                    (value)
                    @if let Some(place) = words::place(&headroom.labels) { " " span.place { (place) } }
                }
            }
            None if rule.last_evaluation.is_none() => html! { span.dim { "not asked yet" } },
            _ => html! { span.dim { "not true" } },
        }
    }

    pub(super) fn limit(&self) -> String {
        let condition = Condition::near(self.rule);
        condition
            .limit
            .map_or_else(|| "–".to_owned(), |(_, limit)| condition.write(limit))
    }

    pub(super) fn bar(&self) -> Markup {
        match &self.rule.headroom {
            Some(headroom) => bar(self.rule, headroom, self.health()),
            None => html! { span.dim { "–" } },
        }
    }
}

/// Nearest to firing first; what fires or cannot be asked is nearest of all.
pub(super) fn nearest<'a>(rules: impl Iterator<Item = (&'a RuleGroup, &'a Rule)>) -> Vec<Watching<'a>> {
    let mut watching: Vec<_> = rules.map(|(group, rule)| Watching { group, rule }).collect();
    let rank = |watching: &Watching<'_>| match watching.health() {
        Health::Bad => 0,
        Health::Pending => 1,
        Health::Good | Health::Unknown => 2,
    };
    watching.sort_by(|left, right| {
        (rank(left).cmp(&rank(right)))
            .then_with(|| right.nearness().total_cmp(&left.nearness()))
            .then_with(|| left.rule.name.cmp(&right.rule.name))
    });
    watching
}

pub(super) fn table(rules: &[Watching<'_>]) -> Markup {
    html! {
        div.panel.cut {
            table.cards.watch {
                caption.unseen { "Rules, nearest to firing first" }
                thead {
                    tr {
                        th scope="col" { "Rule" }
                        th scope="col" { "Now" }
                        th scope="col" aria-sort="descending" { "Headroom" }
                        th.n scope="col" { "Fires at" }
                        th.n scope="col" { "If it lasts" }
                    }
                }
                tbody {
                    @for watching in rules {
                        tr data-row {
                            th.name scope="row" {
                                (shape::health(watching.health()))
                                a href=(link::rule(watching.group, watching.rule)) { (watching.rule.name) }
                            }
                            td.wide.second {
                                (watching.now()) " "
                                a.small href={ (link::rule(watching.group, watching.rule)) "#why-0" }
                                    aria-label={ "why, " (watching.rule.name) } { "why" }
                            }
                            td data-label="Headroom" { (watching.bar()) }
                            td.n data-label="Fires at" { (watching.limit()) }
                            td.n data-label="If it lasts" { (lasts(watching.rule)) }
                        }
                    }
                }
            }
        }
    }
}

pub(super) fn lasts(rule: &Rule) -> String {
    match rule.datapoints {
        Some((m, n)) => format!("{m} of {n}"),
        None if rule.hold.is_zero() => "at once".to_owned(),
        None => duration::short(rule.hold),
    }
}

/// Fill is the share of the limit, the tick is where it fires.
fn bar(rule: &Rule, headroom: &Headroom, health: Health) -> Markup {
    let (fill, tick) = lengths(Condition::near(rule).unit, headroom);
    let colour = match health {
        Health::Bad => "bad",
        Health::Pending => "near",
        Health::Good | Health::Unknown => "fine",
    };
    let (value, limit) = condition::figures(rule, headroom);
    html! {
        svg.hr role="img" aria-label={ (value) ", fires " (words::condition(headroom.op, &limit)) } width="72" height="12" {
            rect.track x="0" y="2" width="100%" height="8" rx="1" {}
            rect class=(colour) x="0" y="2" width={ (format!("{fill:.1}")) "%" } height="8" rx="1" {}
            rect.tick x={ (format!("{tick:.1}")) "%" } y="0" width="2" height="12" {}
        }
    }
}

/// Per cent of the bar that is filled, and where the tick stands.
fn lengths(unit: Unit, headroom: &Headroom) -> (f64, f64) {
    // A share that may not rise past a limit is drawn as it is; all else is scaled to its limit.
    if let (Some(whole), true) = (unit.most(), headroom.op.starts_with('>')) {
        let (value, limit) = (headroom.value / whole * 100.0, headroom.threshold / whole * 100.0);
        if (60.0..100.0).contains(&limit) {
            return (value.clamp(0.0, 100.0), limit);
        }
    }
    let share = headroom.share.filter(|share| share.is_finite()).unwrap_or(0.0);
    ((share * TICK).clamp(0.0, 100.0), TICK)
}

#[cfg(test)]
mod tests {
    use model::Labels;

    use super::*;

    fn headroom(value: f64, op: &'static str, threshold: f64, share: f64) -> Headroom {
        Headroom {
            labels: Labels::empty(),
            value,
            op,
            threshold,
            share: Some(share),
        }
    }

    #[test]
    fn a_bar_never_leaves_its_track() {
        assert_eq!(lengths(Unit::Share, &headroom(0.81, ">", 0.9, 0.9)), (81.0, 90.0));
        assert_eq!(
            lengths(Unit::Percent, &headroom(250.0, ">", 90.0, 2.7)),
            (100.0, 90.0)
        );
        assert_eq!(
            lengths(Unit::Bytes, &headroom(27.0, ">", 54.0, 0.5)),
            (40.0, 80.0)
        );
        assert_eq!(lengths(Unit::Share, &headroom(0.5, "<", 0.1, 0.2)), (16.0, 80.0));
        assert_eq!(
            lengths(Unit::Plain, &headroom(f64::NAN, ">", 1.0, f64::NAN)),
            (0.0, 80.0)
        );
    }
}
