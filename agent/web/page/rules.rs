//! `/rules`: everything that watches, by group, nearest to firing first.

use std::cmp::Ordering;
use std::time::Duration;

use maud::{Markup, html};
use model::text::duration;
use model::view::{Health, Rule, RuleGroup};

use super::frame::{Place, Sheet, empty, section};
use super::visit::Visit;
use super::watching::{self, Watching, lasts};
use super::{link, shape, sort, status, words};

/// Of its interval; beyond it a group will soon miss evaluations.
const SLOW: f64 = 0.8;

pub(super) fn view(visit: &Visit) -> Sheet {
    let (health, sentence) = sentence(visit);
    let recorded = visit.all_rules().filter(|(_, rule)| !rule.alerting).count();
    let more = html! {
        p {
            (words::count(visit.rules.len(), "group"))
            @if recorded > 0 { ", " (recorded) " recorded series" }
            ". The bar is how near the worst series is; the mark on it is where the rule fires. A head sorts each group."
        }
    };
    let main = html! {
        (status::line(health, &sentence, &more, &html! {}))
        @if visit.rules.is_empty() {
            (section("groups", "Groups", &html! {}, &html! {},
                &empty("No rule is loaded: name files under rule_files, or start without a configuration to get the shipped ones.")))
        }
        @for (nth, group) in groups(visit).into_iter().enumerate() { (group_of(visit, nth, group)) }
    };
    Sheet {
        keys: vec![("j", "next"), ("g a", "alerts"), ("g x", "explore")],
        ..Sheet::new(Place::Rules, main)
    }
}

fn sentence(visit: &Visit) -> (Health, String) {
    let broken: Vec<&Rule> = visit
        .all_rules()
        .map(|(_, rule)| rule)
        .filter(|rule| rule.health == "err")
        .collect();
    let rules = visit.all_rules().count();
    match broken.as_slice() {
        _ if rules == 0 => (Health::Unknown, "No rule is loaded".to_owned()),
        [only] => (
            Health::Pending,
            status::fit(format!("{} cannot be evaluated, the other rules can", only.name)),
        ),
        [_, _, ..] => (
            Health::Pending,
            format!(
                "{} of {} cannot be evaluated",
                broken.len(),
                words::count(rules, "rule")
            ),
        ),
        [] => match watching::nearest(visit.alert_rules()).first() {
            Some(first) if first.health() == Health::Bad => (
                Health::Bad,
                status::fit(format!(
                    "{} fires; {} are evaluated",
                    first.rule.name,
                    words::count(rules, "rule")
                )),
            ),
            Some(first) => (
                Health::Good,
                status::fit(format!(
                    "{} are evaluated, {} is nearest to firing",
                    words::count(rules, "rule"),
                    first.rule.name
                )),
            ),
            None => (
                Health::Good,
                format!(
                    "{} are evaluated, none of them alerts",
                    words::count(rules, "rule")
                ),
            ),
        },
    }
}

fn group_of(visit: &Visit, nth: usize, group: &RuleGroup) -> Markup {
    let of = |alerting: bool| {
        let rules = group.rules.iter().filter(move |rule| rule.alerting == alerting);
        rules.map(move |rule| (group, rule))
    };
    let mut watching = watching::nearest(of(true));
    sort::sort(visit, &keys(), &mut watching);
    let recording: Vec<&Rule> = of(false).map(|(_, rule)| rule).collect();
    let remark = html! { (link::file_name(&group.file)) ", every " (duration::spoken(group.interval)) };
    let right = html! {
        @match group.last_evaluation {
            Some(last) => span {
                "evaluated " (visit.wall.ago(last)) " in " (took(group.last_duration)) ", "
                span.wrong[share(group.last_duration, group) >= SLOW] { (percent(group.last_duration, group)) " of its interval" }
            },
            None => "not evaluated yet",
        }
    };
    let body = html! {
        @if !watching.is_empty() { (table(visit, &watching)) }
        @if !recording.is_empty() { (recorded(group, &recording)) }
        @if group.rules.is_empty() { (empty("This group holds no rule.")) }
    };
    section(&format!("group-{nth}"), &group.name, &remark, &right, &body)
}

/// As they were loaded; by their cost when that is what is asked for.
fn groups(visit: &Visit) -> Vec<&RuleGroup> {
    let mut groups: Vec<&RuleGroup> = visit.rules.iter().collect();
    if visit.asked("sort") == "-took" {
        groups.sort_by(|one, other| {
            share(other.last_duration, other).total_cmp(&share(one.last_duration, one))
        });
    }
    groups
}

fn key<'a>(
    name: &'static str,
    word: &'static str,
    numeric: bool,
    compare: fn(&Watching<'a>, &Watching<'a>) -> Ordering,
) -> sort::Key<Watching<'a>> {
    sort::Key {
        name,
        word,
        numeric,
        compare,
    }
}

fn keys<'a>() -> [sort::Key<Watching<'a>>; 7] {
    [
        key("name", "Rule", false, |one, other| {
            one.rule.name.cmp(&other.rule.name)
        }),
        key("health", "Now", false, |one, other| {
            one.health().cmp(&other.health())
        }),
        key("near", "Headroom", false, |one, other| {
            one.nearness().total_cmp(&other.nearness())
        }),
        key("limit", "Fires at", true, |one, other| {
            let limit =
                |one: &Watching<'_>| one.rule.headroom.as_ref().map_or(f64::NAN, |room| room.threshold);
            limit(one).total_cmp(&limit(other))
        }),
        key("for", "If it lasts", true, |one, other| {
            one.rule.hold.cmp(&other.rule.hold)
        }),
        key("took", "Took", true, |one, other| {
            one.rule.last_duration.cmp(&other.rule.last_duration)
        }),
        key("share", "Of interval", true, |one, other| {
            let share = |one: &Watching<'_>| share(one.rule.last_duration, one.group);
            share(one).total_cmp(&share(other))
        }),
    ]
}

fn table(visit: &Visit, rules: &[Watching<'_>]) -> Markup {
    html! {
        div.panel.cut {
            table.cards.watch.all-of-it {
                caption.unseen { "Rules of this group" }
                thead { tr { (sort::heads(visit, &keys())) } }
                tbody {
                    @for watching in rules {
                        @let address = link::rule(watching.group, watching.rule);
                        tr data-row {
                            th.name scope="row" {
                                (shape::health(watching.health()))
                                a href=(address) { (watching.rule.name) }
                            }
                            td.wide.second {
                                (watching.now()) " "
                                a.small href={ (address) "#why-0" } aria-label={ "why, " (watching.rule.name) } { "why" }
                            }
                            td data-label="Headroom" { (watching.bar()) }
                            td.n data-label="Fires at" { (watching.limit()) }
                            td.n data-label="If it lasts" { (lasts(watching.rule)) }
                            (cost(watching.group, watching.rule))
                        }
                    }
                }
            }
        }
    }
}

/// What its last evaluation took, and how much of the time there is.
fn cost(group: &RuleGroup, rule: &Rule) -> Markup {
    let is_slow = share(rule.last_duration, group) >= SLOW;
    html! {
        @if rule.last_evaluation.is_some() {
            td.n data-label="Took" { (took(rule.last_duration)) }
            td.n data-label="Of interval" { span.wrong[is_slow] { (percent(rule.last_duration, group)) } }
        } @else {
            td.n data-label="Took" { "–" }
            td.n data-label="Of interval" { "–" }
        }
    }
}

fn share(took: Duration, group: &RuleGroup) -> f64 {
    took.as_secs_f64() / group.interval.as_secs_f64().max(0.001)
}

fn percent(took: Duration, group: &RuleGroup) -> String {
    let percent = share(took, group) * 100.0;
    if percent < 0.1 {
        "< 0.1 %".to_owned()
    } else {
        format!("{} %", words::plain(percent))
    }
}

fn took(took: Duration) -> String {
    match took.as_secs_f64() * 1000.0 {
        millis if millis < 0.1 => "< 0.1 ms".to_owned(),
        millis if millis < 1000.0 => format!("{} ms", words::plain(millis)),
        millis => format!("{} s", words::plain(millis / 1000.0)),
    }
}

fn recorded(group: &RuleGroup, rules: &[&Rule]) -> Markup {
    html! {
        div.panel.cut.next {
            table.cards {
                caption.unseen { "Recorded series" }
                thead {
                    tr {
                        th scope="col" { "Records" }
                        th scope="col" { "Expression" }
                        th.n scope="col" { "Took" }
                        th.n scope="col" { "Of interval" }
                    }
                }
                tbody {
                    @for rule in rules {
                        tr data-row {
                            th.name scope="row" {
                                (shape::works(if rule.health == "err" { Health::Bad } else { Health::Good }))
                                a href=(link::rule(group, rule)) { (rule.name) }
                            }
                            td.wide.second.break { code { (words::cut(&rule.expr, 300).0) } }
                            (cost(group, rule))
                        }
                        @if !rule.last_error.is_empty() { tr.under { td colspan="4" { span.wrong { (rule.last_error) } } } }
                    }
                }
            }
        }
    }
}
