//! What AWS asks for its metrics: spent, expected, allowed, and what each alert and dashboard has of it.

use std::collections::BTreeMap;
use std::time::Duration;

use maud::{Markup, html};
use model::text::{self, duration};
use model::view::Health;
use model::view::cloudwatch::{Asks, Aws, Share};

use super::frame::{empty, section};
use super::visit::Visit;
use super::{link, words};

/// What dashboards alone read, whatever it is of.
const PAGES: &str = "Dashboards only";

/// What has to wait longer than planned, in the order of [`Aws::stretch`].
const CLASSES: [&str; 3] = [
    "What wakes people",
    "What other rules read",
    "What only dashboards show",
];

/// `$23.10`, and less than a cent as such.
pub(super) fn dollars(sum: f64) -> String {
    if sum > 0.0 && sum < 0.01 {
        "< $0.01".to_owned()
    } else {
        format!("${sum:.2}")
    }
}

/// Spent, expected, allowed, in one sentence.
pub(super) fn said(aws: &Aws) -> String {
    let (spent, expected) = (dollars(aws.spent), dollars(aws.forecast));
    match (aws.budget, aws.leads()) {
        (Some(budget), true) => {
            format!("{spent} of {} this month, {expected} expected", dollars(budget))
        }
        (None, true) => format!("{spent} this month, {expected} expected"),
        (Some(budget), false) => format!("{spent} of {} this month", dollars(budget)),
        (None, false) => format!("{spent} this month"),
    }
}

/// The worst that the budget does to what is asked, if it does anything.
pub(super) fn stretched(aws: &Aws) -> Option<(Health, String)> {
    let worst = CLASSES.iter().zip(aws.stretch).find(|(_, by)| *by > 1.0);
    let (class, by) = worst.filter(|_| aws.leads())?;
    let health = match *class == CLASSES[0] {
        true => Health::Bad,
        false => Health::Pending,
    };
    Some((health, format!("{class} {}: the budget is too small", waits(by))))
}

fn waits(by: f64) -> String {
    match by.is_finite() {
        true => format!("is asked for {} times less often", words::plain(by)),
        false => "is not asked for".to_owned(),
    }
}

pub(super) fn draw(visit: &Visit, aws: &Aws) -> Markup {
    let shares = shares(aws);
    let is_nothing = shares.is_empty();
    let monthly: f64 = aws.places.iter().map(|place| place.monthly).sum();
    let series: usize = aws.places.iter().map(|place| place.series).sum();
    let body = html! {
        div.panel.cut {
            div.budget {
                p.money { (said(aws)) }
                (bar(aws))
                div.small {
                    @if aws.leads() {
                        p {
                            b { (dollars(monthly / 30.0)) " a day" } " for " (text::count(series as u64)) " series"
                            ", as planned. " (patience(aws))
                        }
                    } @else {
                        p {
                            @match aws.asks {
                                Asks::Nobody => "Nobody is known to lead: AWS is not asked until somebody is.",
                                _ => "The other replica asks AWS; its page says what for.",
                            }
                        }
                    }
                    @if aws.budget.is_none() {
                        p { code { "cloudwatch.max_usd_per_month" } " is 0: there is no limit." }
                    }
                }
            }
            @if !is_nothing { (table(&groups(shares), visit.asked("of"))) }
        }
        @if is_nothing && aws.leads() {
            (empty("Nothing is paid for: no rule and no dashboard reads a metric of AWS."))
        }
    };
    section(
        "budget",
        "CloudWatch budget",
        &html! { "this month, in dollars before tax" },
        &html! { code { "skopos cloudwatch plan" } },
        &body,
    )
}

/// What gives way to the budget, and what would first.
fn patience(aws: &Aws) -> String {
    let waiting: Vec<String> = CLASSES
        .iter()
        .zip(aws.stretch)
        .filter(|(_, by)| *by > 1.0)
        .map(|(class, by)| format!("{class} {}.", waits(by)))
        .collect();
    match (waiting.is_empty(), aws.budget) {
        (false, _) => waiting.join(" "),
        (true, Some(budget)) => format!(
            "Nothing waits. Were more than {} expected, dashboards would wait first, then other rules, what wakes people last.",
            dollars(budget)
        ),
        (true, None) => "Nothing waits.".to_owned(),
    }
}

/// Spent is full, expected a tick, the end of the bar is what may be spent.
fn bar(aws: &Aws) -> Markup {
    let Some(budget) = aws.budget.filter(|budget| *budget > 0.0) else {
        return html! {};
    };
    let percent = |sum: f64| (sum / budget * 100.0).clamp(0.0, 100.0);
    let (spent, expected) = (percent(aws.spent), percent(aws.forecast));
    let said = match aws.leads() {
        true => {
            format!("{spent:.0} % of the budget is spent, {expected:.0} % expected by the end of the month")
        }
        false => format!("{spent:.0} % of the budget is spent"),
    };
    let class = if aws.spent >= budget { "bad" } else { "fine" };
    html! {
        svg.hr role="img" width="100%" height="16" aria-label=(said) {
            rect.track x="0" y="2" width="100%" height="12" rx="2" {}
            rect class=(class) x="0" y="2" width={ (format!("{spent:.1}")) "%" } height="12" rx="2" {}
            @if aws.leads() {
                rect.tick x={ (format!("{:.1}", expected.min(99.8))) "%" } y="0" width="2" height="16" {}
            }
        }
    }
}

/// Of all places together, the dearest first.
fn shares(aws: &Aws) -> Vec<Share> {
    let mut all: BTreeMap<&str, Share> = BTreeMap::new();
    let given = aws.places.iter().flat_map(|place| &place.shares);
    for share in given.filter(|_| aws.leads()) {
        all.entry(&share.by)
            .and_modify(|known| {
                known.series += share.series;
                known.monthly += share.monthly;
                known.interval = known.interval.min(share.interval);
            })
            .or_insert_with(|| share.clone());
    }
    let mut all: Vec<Share> = all.into_values().collect();
    all.sort_by(|one, other| {
        other
            .monthly
            .total_cmp(&one.monthly)
            .then_with(|| one.by.cmp(&other.by))
    });
    all
}

/// Those who buy of one service, the dearest first.
struct Group {
    word: String,
    shares: Vec<Share>,
}

impl Group {
    fn monthly(&self) -> f64 {
        self.shares.iter().map(|share| share.monthly).sum()
    }

    fn series(&self) -> usize {
        self.shares.iter().map(|share| share.series).sum()
    }

    /// The shortest of all.
    fn interval(&self) -> Duration {
        let intervals = self.shares.iter().map(|share| share.interval);
        intervals.min().unwrap_or_default()
    }

    /// `RDS, 9 alerts`.
    fn title(&self) -> String {
        match self.shares.iter().filter(|share| share.is_alert).count() {
            0 => self.word.clone(),
            alerts => format!("{}, {}", self.word, words::count(alerts, "alert")),
        }
    }
}

fn groups(shares: Vec<Share>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for share in shares {
        let word = service(&share);
        match groups.iter_mut().find(|group| group.word == word) {
            Some(group) => group.shares.push(share),
            None => groups.push(Group {
                word,
                shares: vec![share],
            }),
        }
    }
    groups.sort_by(|one, other| {
        other
            .monthly()
            .total_cmp(&one.monthly())
            .then_with(|| one.word.cmp(&other.word))
    });
    groups
}

/// As people call what it is bought of.
fn service(share: &Share) -> String {
    if share.by.starts_with("dashboard ") {
        return PAGES.to_owned();
    }
    match share.namespace.as_str() {
        "AWS/Kafka" => "MSK",
        "AWS/ApplicationELB" => "ALB",
        "AWS/NetworkELB" => "NLB",
        "AWS/NATGateway" => "NAT",
        "" => "Other",
        other => other.trim_start_matches("AWS/"),
    }
    .to_owned()
}

/// A row for each service, and one for each buyer of the one that is open.
fn table(groups: &[Group], open: &str) -> Markup {
    let all: f64 = groups.iter().map(Group::monthly).sum();
    let part = |sum: f64| super::objects::share(Some(sum), Some(all));
    html! {
        table.cards {
            caption.unseen { "What it buys" }
            thead {
                tr {
                    th scope="col" { "What it buys" }
                    th.n scope="col" { "Series" }
                    th.n scope="col" { "Read every" }
                    th.n scope="col" aria-sort="descending" { "A month" }
                    th.n.hide scope="col" { "Share" }
                }
            }
            tbody {
                @for group in groups {
                    tr data-row {
                        th.name.break scope="row" {
                            @if group.word == open {
                                a href="/aws#budget" aria-expanded="true" { (group.title()) }
                            } @else {
                                a href={ (link::to("/aws", &[("of", &group.word)])) "#budget" } aria-expanded="false" { (group.title()) }
                            }
                        }
                        td.n data-label="Series" { (group.series()) }
                        td.n data-label="Read every" { (duration::spoken(group.interval())) }
                        td.n data-label="A month" { (dollars(group.monthly())) }
                        td.n.hide { (part(group.monthly())) }
                    }
                    @for share in group.shares.iter().filter(|_| group.word == open) {
                        tr.below data-row {
                            th.name.break scope="row" { (buyer(share)) }
                            td.n data-label="Series" { (share.series) }
                            td.n data-label="Read every" { (duration::spoken(share.interval)) }
                            td.n data-label="A month" { (dollars(share.monthly)) }
                            td.n.hide { (part(share.monthly)) }
                        }
                    }
                }
            }
        }
        p.note.small { "A series that several read counts for each of them and is paid for once: they share its price." }
    }
}

/// What is bought by several is counted where it is read most often.
fn buyer(share: &Share) -> Markup {
    let (kind, name) = share.by.split_once(' ').unwrap_or(("", &share.by));
    html! {
        @if share.is_alert {
            a href={ "/alerts/" (link::encode(name)) } { (name) } " " span.place { (kind) }
        } @else { (name) @if !kind.is_empty() { " " span.place { (kind) } } }
    }
}
