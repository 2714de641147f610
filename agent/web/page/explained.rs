//! Why a rule fires or does not, in sentences, and its last evaluations: what `/api/v1/rules/{id}/explain` says, drawn.

use maud::{Markup, html};
use model::explanation::{Evaluation, Explanation};
use model::view::{Rule, RuleGroup};
use model::{AlertState, Labels};

use super::visit::Visit;
use super::{alert, words};
use crate::Rooms;
use crate::api::{explanation, rule_id};
use crate::desk::Desk;
use crate::form::Form;

/// Rules of one name that are explained; a file that has more is not read as a page.
const RULES_MAX: usize = 6;

/// A rule by its id, and of whose alert it is to be told; none is any.
pub(super) type Wanted = (String, Option<Labels>);

/// Asked for before a view is drawn.
#[derive(Default)]
pub(super) struct Explained(Vec<(String, Result<Explanation, String>)>);

impl Explained {
    pub(super) async fn ask(rooms: &Rooms, desk: &Desk, wanted: Vec<Wanted>) -> Self {
        let mut all = Vec::new();
        for (id, labels) in wanted.into_iter().take(RULES_MAX) {
            let label = |(name, value): (&str, &str)| ("label".to_owned(), format!("{name}={value}"));
            let form = Form::of(
                labels
                    .iter()
                    .flat_map(|labels| labels.iter().map(label))
                    .collect(),
            );
            let explained = explanation(rooms, desk, id.clone(), &form).await;
            all.push((id, explained.map_err(|failure| failure.text)));
        }
        Self(all)
    }

    fn of(&self, group: &RuleGroup, rule: &Rule) -> Option<&Result<Explanation, String>> {
        let id = rule_id(group, rule);
        self.0
            .iter()
            .find(|(known, _)| *known == id)
            .map(|(_, explained)| explained)
    }

    /// Fingerprints of the alerts that stood in the last hours.
    pub(super) fn alerts(&self, group: &RuleGroup, rule: &Rule) -> Vec<u64> {
        match self.of(group, rule) {
            Some(Ok(explanation)) => explanation
                .timeline
                .iter()
                .map(|span| span.labels.fingerprint())
                .collect(),
            _ => Vec::new(),
        }
    }
}

/// The rule of the alert with this name: of the one with this fingerprint, else of the gravest.
pub(super) fn of_alert(rooms: &Rooms, name: &str, fingerprint: Option<u64>) -> Vec<Wanted> {
    let grade = |state| match state {
        AlertState::Firing => 0,
        AlertState::Pending => 1,
        AlertState::Resolved => 2,
    };
    let groups = (rooms.rules)();
    let rules = groups
        .iter()
        .flat_map(|group| group.rules.iter().map(move |rule| (group, rule)))
        .filter(|(_, rule)| rule.alerting && rule.name == name);
    let alerts = rules.clone().flat_map(|(group, rule)| {
        let alerts = rule.alerts.iter();
        alerts
            .filter(|alert| fingerprint.is_none_or(|wanted| alert.fingerprint == wanted))
            .map(move |alert| (grade(alert.state), rule_id(group, rule), alert.labels.clone()))
    });
    match alerts.min_by_key(|(grade, ..)| *grade) {
        Some((_, id, labels)) => vec![(id, Some(labels))],
        None if fingerprint.is_some() => Vec::new(),
        None => rules.map(|(group, rule)| (rule_id(group, rule), None)).collect(),
    }
}

/// Those with this name in this file.
pub(super) fn of_rules(rooms: &Rooms, file: &str, name: &str) -> Vec<Wanted> {
    let groups = (rooms.rules)();
    let found = groups
        .iter()
        .filter(|group| group.file == file || super::link::file_name(&group.file) == file)
        .flat_map(|group| group.rules.iter().map(move |rule| (group, rule)))
        .filter(|(_, rule)| rule.name == name);
    found.map(|(group, rule)| (rule_id(group, rule), None)).collect()
}

/// Above the tree: why it is so. Of one alert only what is its own.
pub(super) fn sentences(
    visit: &Visit,
    explained: &Explained,
    group: &RuleGroup,
    rule: &Rule,
    of_alert: bool,
) -> Markup {
    match explained.of(group, rule) {
        Some(Ok(explanation)) => {
            let skipped = usize::from(of_alert && explanation.why.len() > 1);
            html! {
                ul.panel.because {
                    @for (nth, sentence) in explanation.why.iter().skip(skipped).enumerate() {
                        li.strong[nth == 0] { (alert::ended_with_stop(&upper(&visit.wall.read_out(bare(sentence, of_alert))))) }
                    }
                }
            }
        }
        Some(Err(why)) => html! { p.panel.empty { "Why it is so cannot be said now: " (why) "." } },
        None => html! {},
    }
}

/// Its labels are on the page of the alert already.
fn bare(sentence: &str, of_alert: bool) -> &str {
    let rest = sentence.split_once("\"} ").map(|(_, rest)| rest);
    rest.filter(|_| of_alert && sentence.starts_with('{'))
        .unwrap_or(sentence)
}

fn upper(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// Below the tree: the last evaluations, the newest first; and how to make a unit test of them.
pub(super) fn evaluations(
    visit: &Visit,
    explained: &Explained,
    group: &RuleGroup,
    rule: &Rule,
    nth: usize,
) -> Markup {
    let Some(Ok(explanation)) = explained.of(group, rule) else {
        return html! {};
    };
    html! {
        div.panel.cut.next {
            table.cards.evaluations {
                caption.unseen { "Last evaluations, newest first" }
                thead {
                    tr {
                        th scope="col" { "Evaluated" }
                        th.n scope="col" { "Series" }
                        th.n scope="col" { "Value" }
                        th scope="col" { "Reading" }
                    }
                }
                tbody { @for evaluation in &explanation.evaluations { (row(visit, evaluation)) } }
            }
            @if explanation.r#type == "alerting" { (test(visit, explanation, rule, nth)) }
        }
    }
}

fn row(visit: &Visit, evaluation: &Evaluation) -> Markup {
    let root = evaluation.operators.first();
    let value = root
        .and_then(|root| root.value.as_deref())
        .and_then(|value| value.parse().ok());
    let reading = root.map_or("", |root| root.reading.as_str());
    html! {
        tr {
            td.time {
                (visit.wall.read_out(&evaluation.time))
                @if evaluation.data_time != evaluation.time { span.small { " data of " (visit.wall.read_out(&evaluation.data_time)) } }
            }
            td.n data-label="Series" { (evaluation.series) }
            td.n data-label="Value" { (value.map_or_else(|| "–".to_owned(), words::plain)) }
            td.wide.second {
                @match (&evaluation.error, &evaluation.missing) {
                    (Some(error), _) => span.wrong { (error) },
                    (None, Some(missing)) => (missing),
                    (None, None) => (reading),
                }
                @for remark in &evaluation.remarks { " " span.dim { (remark) } }
            }
        }
    }
}

/// The command: only it can look up all samples that the rule has read.
fn test(visit: &Visit, explanation: &Explanation, rule: &Rule, nth: usize) -> Markup {
    let is_alone = visit
        .all_rules()
        .filter(|(_, other)| other.name == rule.name)
        .count()
        == 1;
    let name = if is_alone { &rule.name } else { &explanation.id };
    let quoted = format!("'{}'", name.replace('\'', r"'\''"));
    let id = format!("as-test-{nth}");
    html! {
        div.note.as-test {
            code id=(id) { "skopos explain " (quoted) " --as-test --url " span data-origin data-keep { "http://127.0.0.1:9464" } }
            button.button.small type="button" data-copy={ "#" (id) } data-keys=[(nth == 0).then_some("t")] {
                "Copy as a test" @if nth == 0 { kbd { "t" } }
            }
        }
    }
}
