//! `/aws` and `/aws/{family}/{name}`: whether all that is watched of AWS is well and can be asked, how full its limits are, what
//! watching it costs.

use std::time::Duration;

use maud::{Markup, html};
use model::view::Health;
use model::view::cloudwatch::{Asks, Aws, Column, Counts, Figure, Row, Table};
use model::{Labels, text};

use super::condition::Condition;
use super::frame::{Place, Sheet, empty, section};
use super::graph::{self, Graph, Line};
use super::objects::{self, ROWS_MAX, bar};
use super::unit::Unit;
use super::visit::{Standing, Visit};
use super::{budget, incident, link, shape, status, words};

const DAY: Duration = Duration::from_hours(24);
const A_YEAR: Duration = Duration::from_hours(365 * 24);

/// Whether an alert is about something of AWS.
fn is_of_aws(labels: &Labels) -> bool {
    !labels.value("account_id").is_empty() || labels.iter().any(|(name, _)| name.starts_with("dimension_"))
}

/// Whether an alert is about this resource: it has all of its labels, and may have more.
fn is_about(labels: &Labels, row: &Row) -> bool {
    row.labels.iter().all(|(name, value)| labels.value(name) == value)
}

fn health(visit: &Visit, row: &Row) -> Health {
    let itself = match row.figures.iter().any(|figure| figure.value.is_some()) {
        true => Health::Good,
        false => Health::Unknown,
    };
    objects::health(&objects::standing(visit, |labels| is_about(labels, row)), itself)
}

/// What cannot be asked, with the permission that is missing where one is.
fn problems(aws: &Aws) -> Vec<String> {
    let of_places = aws.places.iter().flat_map(|place| {
        let said = place.problems.iter();
        said.map(move |problem| (format!("{} {}", place.account, place.region), problem))
    });
    let unknown = aws.problems.iter().cloned();
    unknown
        .chain(of_places.map(|(place, problem)| format!("{place}: {problem}")))
        .collect()
}

/// How many questions AWS does not answer, and the permission that would help; short enough for a sentence.
fn refused(aws: &Aws) -> Option<String> {
    let first = aws.problems.first().map(String::as_str).or_else(|| {
        let problem = aws.places.iter().find_map(|place| place.problems.first())?;
        // What AWS says itself comes behind the colon, and is shown below.
        problem.split(": ").next()
    })?;
    let all = problems(aws).len();
    Some(match first.split_once("; grant ") {
        _ if all == 1 => format!("AWS does not answer: {first}"),
        Some((_, permission)) => format!("AWS does not answer {all} questions: grant {permission} first"),
        None => format!("AWS does not answer {all} questions: {first}"),
    })
}

/// In a few words; the gravest first.
pub(super) fn state(visit: &Visit, aws: &Aws) -> (Health, String) {
    let standing = objects::standing(visit, is_of_aws);
    let alert = standing.first().map(|first| {
        let place = words::place(&first.alert.labels).unwrap_or_default();
        let is_firing = objects::health(&standing, Health::Good) == Health::Bad;
        let word = if is_firing { "firing" } else { "pending" };
        let more = match standing.len() {
            1 => String::new(),
            all => format!(", one of {all} alerts"),
        };
        let health = if is_firing { Health::Bad } else { Health::Pending };
        (health, format!("{} is {word} for {place}{more}", first.rule.name))
    });
    let problem = refused(aws).map(|sentence| (Health::Bad, sentence));
    let told = [alert, problem, budget::stretched(aws)];
    let mut told: Vec<(Health, String)> = told.into_iter().flatten().collect();
    // The order of those that are alike stays.
    told.sort_by_key(|(health, _)| std::cmp::Reverse(*health));
    let series: usize = aws.places.iter().map(|place| place.series).sum();
    match told.into_iter().next() {
        Some((health, sentence)) => (health, status::fit(sentence)),
        None if aws.asks == Asks::Nobody => (
            Health::Pending,
            "Nobody is known to lead: AWS is not asked until somebody is".to_owned(),
        ),
        None if aws.asks == Asks::Other => (
            Health::Good,
            "The other replica asks AWS; nothing is wrong here".to_owned(),
        ),
        None if aws.places.is_empty() => (
            Health::Unknown,
            "AWS has not answered yet which account this is".to_owned(),
        ),
        None if series == 0 => (
            Health::Unknown,
            "AWS is described, and nothing of it is read".to_owned(),
        ),
        None => (
            Health::Good,
            format!(
                "AWS is well: {} series are read, none too late",
                text::count(series as u64)
            ),
        ),
    }
}

pub(super) fn view(visit: &Visit) -> Sheet {
    let Some(estate) = visit.rooms.aws.as_ref() else {
        return off();
    };
    let (aws, tables) = ((estate.watched)(), (estate.tables)());
    let (health, sentence) = state(visit, &aws);
    let newest = aws.places.iter().filter_map(|place| place.newest).max();
    let fresh = html! { @if let Some(newest) = newest { "points to " (visit.wall.minute(newest)) ", " (visit.wall.ago(newest)) } };
    let more = html! {
        p { (counts(&tables)) }
        @for place in &aws.places { p { (asked(visit, place)) } }
    };
    let main = html! {
        (status::line(health, &sentence, &more, &fresh))
        (complaints(&aws))
        (alerts(visit))
        (headroom(visit, &aws, &tables))
        (budget::draw(visit, &aws))
    };
    Sheet {
        keys: vec![
            ("j", "next"),
            ("o", "open"),
            ("g b", "budget"),
            ("g o", "overview"),
        ],
        ..Sheet::new(Place::Aws, main)
    }
}

fn off() -> Sheet {
    let how = html! {
        p.panel.empty {
            "Nothing of AWS is asked and nothing is paid. " code { "cloudwatch: {enabled: true}" }
            " in the configuration turns it on where rules are evaluated; " code { "skopos cloudwatch policy" }
            " prints the permissions it needs, " code { "skopos cloudwatch plan" } " what it would cost."
        }
    };
    let main = html! {
        (status::line(Health::Unknown, "AWS is not watched here", &html! {}, &html! {}))
        (section("resources", "Headroom", &html! {}, &html! {}, &how))
    };
    Sheet::new(Place::Aws, main)
}

fn counts(tables: &[Table]) -> String {
    let counted: Vec<String> = tables
        .iter()
        .map(|table| words::count(table.rows.len(), table.one))
        .collect();
    match counted.is_empty() {
        true => "No resource is known yet.".to_owned(),
        false => format!("{}.", words::list(&counted)),
    }
}

fn asked(visit: &Visit, place: &model::view::cloudwatch::Place) -> String {
    let described = match place.described_at {
        Some(at) => format!("described {}", visit.wall.ago(at)),
        None => "not described yet".to_owned(),
    };
    format!(
        "{} in {}: {described}, {} since the start.",
        place.account,
        place.region,
        words::count(usize::try_from(place.calls).unwrap_or(usize::MAX), "call")
    )
}

/// What is refused stands before what is well.
fn complaints(aws: &Aws) -> Markup {
    let problems = problems(aws);
    let body = html! {
        ul.panel.list {
            @for problem in &problems { li data-row data-event { (shape::works(Health::Bad)) div { p { (problem) } } } }
        }
    };
    let right = html! { code { "skopos cloudwatch policy" } };
    html! { @if !problems.is_empty() { (section("refused", "What AWS does not answer", &html! { "the least policy is printed by" }, &right, &body)) } }
}

fn alerts(visit: &Visit) -> Markup {
    let standing = objects::standing(visit, is_of_aws);
    let body = html! { ul.panel.list { @for one in &standing { (incident::row(visit, one)) } } };
    let all = html! { a href="/alerts" { "all alerts" } };
    html! { @if !standing.is_empty() { (section("alerts", "Alerts", &html! {}, &all, &body)) } }
}

fn headroom(visit: &Visit, aws: &Aws, tables: &[Table]) -> Markup {
    let remark = html! { "how full each limit is, and where its alert fires; what is not well first" };
    if tables.is_empty() {
        let why = match aws.leads() {
            true => "No resource is known: none has been described yet, or AWS refuses to describe them.",
            false => "No resource is known yet: the replica that asks AWS has sent nothing of it.",
        };
        return section("resources", "Headroom", &html! {}, &html! {}, &empty(why));
    }
    let body = html! { @for table in tables { (of_kind(visit, table)) } };
    section("resources", "Headroom", &remark, &html! {}, &body)
}

fn of_kind(visit: &Visit, table: &Table) -> Markup {
    let mut rows: Vec<(Health, &Row)> = table.rows.iter().map(|row| (health(visit, row), row)).collect();
    rows.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.name.cmp(&b.1.name)));
    let title = title(table.one);
    let ticks: Vec<Option<f64>> = table.columns.iter().map(|column| tick(visit, column)).collect();
    html! {
        div.panel.cut.kind {
            table.cards.estate {
                caption.unseen { (title) "s" }
                thead {
                    tr {
                        th scope="col" { (title) }
                        th.hide scope="col" { "About" }
                        @for column in &table.columns { th.n scope="col" { (column.word) } }
                    }
                }
                tbody {
                    @for (health, row) in rows.iter().take(ROWS_MAX) {
                        tr data-row data-event[*health > Health::Unknown] {
                            th.name.break scope="row" {
                                (shape::health(*health))
                                a href=(address(table.family, row)) { (row.name) }
                            }
                            td.second.hide { (words::or_dash(&row.about.join(", "))) }
                            @for ((column, figure), tick) in table.columns.iter().zip(&row.figures).zip(&ticks) { (cell(column, figure, *tick)) }
                        }
                    }
                }
            }
            (objects::beyond(table.rows.len(), table.one))
        }
    }
}

/// `Load balancer`.
fn title(one: &str) -> String {
    let mut letters = one.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

fn address(family: &str, row: &Row) -> String {
    let path = format!("/aws/{}/{}", link::encode(family), link::encode(&row.id()));
    link::to(
        &path,
        &[
            ("account", row.label("account_id")),
            ("region", row.label("region")),
        ],
    )
}

/// Where the least grave alert of a column fires, as a share of what is full.
fn tick(visit: &Visit, column: &Column) -> Option<f64> {
    let rules = visit.rules.iter().flat_map(|group| &group.rules);
    let named = rules.filter(|rule| rule.name == column.alert);
    named.filter_map(Condition::fill).min_by(f64::total_cmp)
}

/// Each number leads to its graph.
fn cell(column: &Column, figure: &Figure, tick: Option<f64>) -> Markup {
    html! {
        td.n data-label=(column.word) {
            @match (figure.value, column.counts) {
                (None, _) => span.dim { "–" },
                (Some(value), Counts::Fill) => a.figure href=(link::explore(&figure.expr)) { (bar(value, tick)) },
                (Some(value), counts) => a.figure href=(link::explore(&figure.expr)) { (written(counts, value)) },
            }
        }
    }
}

fn written(counts: Counts, value: f64) -> String {
    match counts {
        Counts::Left if value > A_YEAR.as_secs_f64() => "over 1 y".to_owned(),
        _ => unit(counts).write(value),
    }
}

fn unit(counts: Counts) -> Unit {
    match counts {
        Counts::Fill | Counts::Share => Unit::Share,
        Counts::Bytes => Unit::Bytes,
        Counts::Seconds | Counts::Left => Unit::Seconds,
        Counts::PerSecond | Counts::Number => Unit::Plain,
    }
}

/// One resource: its alerts, and a graph for each of its figures.
pub(super) fn one(visit: &Visit, family: &str, name: &str) -> Sheet {
    let Some(estate) = visit.rooms.aws.as_ref() else {
        return off();
    };
    let (account, region) = (visit.asked("account"), visit.asked("region"));
    let is_meant = |row: &Row| {
        row.id() == name
            && (account.is_empty() || row.label("account_id") == account)
            && (region.is_empty() || row.label("region") == region)
    };
    let tables = (estate.tables)();
    let found = tables
        .iter()
        .filter(|table| table.family == family)
        .find_map(|table| Some((table, table.rows.iter().find(|row| is_meant(row))?)));
    let Some((table, row)) = found else {
        let more = html! { p { "It may be gone, or not described yet. " a href="/aws" { "All of AWS" } } };
        return Sheet::missing(
            Place::Aws,
            &status::fit(format!("Nothing of AWS is called {name} here")),
            &more,
        );
    };
    let standing = objects::standing(visit, |labels| is_about(labels, row));
    let health = health(visit, row);
    let range = visit.range(DAY);
    let more = html! {
        p { (title(table.one)) @if !row.about.is_empty() { ", " (row.about.join(", ")) } "; account " (row.label("account_id")) ", " (row.label("region")) "." }
    };
    let main = html! {
        nav.crumbs aria-label="Path" { a href="/aws" data-keys="u" { "AWS" } }
        (status::line(health, &sentence(row, &standing, health), &more, &html! {}))
        (graphs(visit, &range, table, row))
        (objects::alerts(visit, &standing, table.one))
    };
    Sheet {
        title: row.name.clone(),
        keys: vec![("u", "up"), ("[", "earlier"), ("]", "later"), ("g m", "AWS")],
        range: Some(range),
        ..Sheet::new(Place::Aws, main)
    }
}

fn sentence(row: &Row, standing: &[Standing<'_>], health: Health) -> String {
    let name = &row.name;
    status::fit(match (standing.first(), health) {
        (Some(first), Health::Bad) => format!("{} is firing for {name}", first.rule.name),
        (Some(first), _) => format!("{} is pending for {name}", first.rule.name),
        (None, Health::Unknown) => format!("Nothing is measured of {name} now"),
        (None, _) => format!("No alert is true for {name}"),
    })
}

fn graphs(visit: &Visit, range: &super::when::Range, table: &Table, row: &Row) -> Markup {
    let drawn = table
        .columns
        .iter()
        .zip(&row.figures)
        .map(|(column, figure)| Graph {
            title: column.word.to_owned(),
            unit: String::new(),
            kind: unit(column.counts),
            lines: vec![Line {
                label: "value",
                expr: figure.expr.clone(),
            }],
            most: (column.counts == Counts::Fill).then_some(1.0),
            least: None,
            threshold: None,
            chosen: None,
            readings: None,
        });
    let body = html! {
        div.panel.two.resource { @for graph in drawn { (graph::figure(visit, range, &graph)) } }
    };
    section(
        "graphs",
        "Measured",
        &html! { (range.spoken(&visit.wall)) },
        &html! {},
        &body,
    )
}
