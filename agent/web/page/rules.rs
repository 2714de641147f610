//! `/rules`: everything that watches, by group, nearest to firing first.

use maud::{Markup, html};
use model::text::duration;
use model::view::{Health, Rule, RuleGroup};

use super::frame::{Place, Sheet, empty, section};
use super::visit::Visit;
use super::watching;
use super::{link, shape, status, words};

pub(super) fn view(visit: &Visit) -> Sheet {
    let (health, sentence) = sentence(visit);
    let recorded = visit.all_rules().filter(|(_, rule)| !rule.alerting).count();
    let more = html! {
        p {
            (words::count(visit.rules.len(), "group"))
            @if recorded > 0 { ", " (recorded) " recorded series" }
            ". The bar is how near the worst series is; the mark on it is where the rule fires."
        }
    };
    let main = html! {
        (status::line(health, &sentence, &more, &html! {}))
        @if visit.rules.is_empty() {
            (section("groups", "Groups", &html! {}, &html! {},
                &empty("No rule is loaded: name files under rule_files, or start without a configuration to get the shipped ones.")))
        }
        @for (nth, group) in visit.rules.iter().enumerate() { (group_of(visit, nth, group)) }
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
    let watching = watching::nearest(of(true));
    let recording: Vec<&Rule> = of(false).map(|(_, rule)| rule).collect();
    let remark = html! { (link::file_name(&group.file)) ", every " (duration::spoken(group.interval)) };
    let right = html! {
        @match group.last_evaluation {
            Some(last) => { "evaluated " (visit.wall.ago(last)) " in " (group.last_duration.as_millis()) " ms" },
            None => "not evaluated yet",
        }
    };
    let body = html! {
        @if !watching.is_empty() { (watching::table(&watching)) }
        @if !recording.is_empty() { (recorded(group, &recording)) }
        @if group.rules.is_empty() { (empty("This group holds no rule.")) }
    };
    section(&format!("group-{nth}"), &group.name, &remark, &right, &body)
}

fn recorded(group: &RuleGroup, rules: &[&Rule]) -> Markup {
    html! {
        div.panel.cut.next {
            table.cards {
                caption.unseen { "Recorded series" }
                thead { tr { th scope="col" { "Records" } th scope="col" { "Expression" } } }
                tbody {
                    @for rule in rules {
                        tr data-row {
                            th.name scope="row" {
                                (shape::works(if rule.health == "err" { Health::Bad } else { Health::Good }))
                                a href=(link::rule(group, rule)) { (rule.name) }
                            }
                            td.wide.second.break { code { (words::cut(&rule.expr, 300).0) } }
                        }
                        @if !rule.last_error.is_empty() { tr.under { td colspan="2" { span.wrong { (rule.last_error) } } } }
                    }
                }
            }
        }
    }
}
