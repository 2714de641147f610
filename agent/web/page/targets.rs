//! `/targets`: everything that is read, when it last answered, and what it said when it did not.

use std::time::Duration;

use maud::{Markup, html};
use model::text::{self, duration};
use model::view::{Health, ScrapePool, Target};

use super::frame::{Place, Sheet, empty, section};
use super::sort::{self, Key};
use super::visit::Visit;
use super::{link, markdown, reading, shape, status, words};

const KEYS: [Key<Target>; 6] = [
    Key {
        name: "job",
        word: "Target",
        numeric: false,
        compare: |a, b| (&a.job, &a.url).cmp(&(&b.job, &b.url)),
    },
    Key {
        name: "url",
        word: "Where",
        numeric: false,
        compare: |a, b| a.url.cmp(&b.url),
    },
    Key {
        name: "samples",
        word: "Samples",
        numeric: true,
        compare: |a, b| a.samples.cmp(&b.samples),
    },
    Key {
        name: "took",
        word: "Took",
        numeric: true,
        compare: |a, b| a.last_duration.cmp(&b.last_duration),
    },
    Key {
        name: "every",
        word: "Every",
        numeric: true,
        compare: |a, b| a.interval.cmp(&b.interval),
    },
    // The oldest is what one looks for.
    Key {
        name: "last",
        word: "Last",
        numeric: true,
        compare: |a, b| b.last_scrape.cmp(&a.last_scrape),
    },
];

pub(super) fn view(visit: &Visit) -> Sheet {
    let (health, sentence) = sentence(&visit.targets);
    let samples: usize = visit.targets.iter().map(|target| target.samples).sum();
    let more = html! {
        p {
            (text::count(samples as u64)) " samples a round, " (text::count(visit.own.series)) " series kept in "
            code { (visit.own.data_dir) } ". Silent targets have " code { "up 0" } " and a last error below."
        }
    };
    let main = html! {
        (status::line(health, &sentence, &more, &html! {}))
        (section("targets", "Targets", &html! { (words::count(visit.targets.len(), "target")) }, &html! {}, &table(visit)))
        (left_out(&(visit.rooms.pools)()))
        (reading::draw(visit, &html! {}))
    };
    Sheet {
        keys: vec![("j", "next"), ("g o", "overview"), ("g x", "explore")],
        ..Sheet::new(Place::Targets, main)
    }
}

fn sentence(targets: &[Target]) -> (Health, String) {
    let of = |health| targets.iter().filter(move |target| target.health == health);
    let all = targets.len();
    match (
        of(Health::Bad).collect::<Vec<_>>().as_slice(),
        of(Health::Unknown).count(),
    ) {
        _ if all == 0 => (Health::Unknown, "There is no target: nothing is read".to_owned()),
        ([only], _) if all == 1 => (
            Health::Bad,
            status::fit(format!("The only target, {}, does not answer", only.job)),
        ),
        ([only], _) => (
            Health::Bad,
            status::fit(format!("{} does not answer, the other {} do", only.job, all - 1)),
        ),
        ([_, _, ..], _) => {
            let down = of(Health::Bad).count();
            (
                Health::Bad,
                format!("{down} of {} do not answer", words::count(all, "target")),
            )
        }
        ([], 0) if all == 1 => (Health::Good, "The only target answers".to_owned()),
        ([], 0) => (Health::Good, format!("All {all} targets answer")),
        ([], waiting) => (
            Health::Unknown,
            format!(
                "{waiting} of {} not tried yet, the others answer",
                words::count(all, "target")
            ),
        ),
    }
}

fn table(visit: &Visit) -> Markup {
    if visit.targets.is_empty() {
        return empty("No target: the machine cannot be read, and scrape_configs is empty.");
    }
    let mut targets = visit.targets.clone();
    // What fails stands first until another order is asked for.
    targets.sort_by(|a, b| b.health.cmp(&a.health).then_with(|| a.job.cmp(&b.job)));
    sort::sort(visit, &KEYS, &mut targets);
    html! {
        div.panel.cut {
            table.cards {
                caption.unseen { "Targets" }
                thead { tr { (sort::heads(visit, &KEYS)) } }
                tbody { @for target in &targets { (row(visit, target)) } }
            }
        }
    }
}

fn row(visit: &Visit, target: &Target) -> Markup {
    html! {
        tr data-row data-event[target.health == Health::Bad] {
            th.name scope="row" {
                (shape::works(target.health))
                a href=(link::explore(&own_series(target))) { (target.job) }
            }
            td.wide.second.break {
                @if markdown::is_safe(&target.url) {
                    a href=(target.url) rel="noopener noreferrer" { (target.url) }
                } @else { (target.url) }
                @if let Some(node) = &target.read_by { " by the agent of " (node) }
            }
            td.n data-label="Samples" { (text::count(target.samples as u64)) }
            td.n data-label="Took" { (took(target.last_duration)) }
            td.n data-label="Every" { (duration::short(target.interval)) }
            td.n data-label="Last" { (target.last_scrape.map_or_else(|| "not yet".to_owned(), |last| visit.wall.ago(last))) }
        }
        @if !target.last_error.is_empty() {
            tr.under { td colspan="6" { span.wrong { (target.last_error) } } }
        }
    }
}

/// Dropped targets that are listed for one section; the API has more of them.
const DROPPED_SHOWN: usize = 5;

/// What was found and is not scraped, and why.
fn left_out(pools: &[ScrapePool]) -> Markup {
    let count: usize = pools
        .iter()
        .map(|pool| pool.dropped_count + pool.failed.len())
        .sum();
    if count == 0 {
        return html! {};
    }
    let concerned = pools
        .iter()
        .filter(|pool| pool.dropped_count + pool.failed.len() > 0);
    let body = html! {
        div.panel.cut {
            table.cards {
                caption.unseen { "Found and not scraped" }
                thead { tr { th scope="col" { "Job" } th scope="col" { "Address" } th scope="col" { "Why" } } }
                tbody { @for pool in concerned { (pool_rows(pool)) } }
            }
        }
    };
    let aside = html! { (words::count(count, "target")) };
    section("left-out", "Found and not scraped", &aside, &html! {}, &body)
}

fn pool_rows(pool: &ScrapePool) -> Markup {
    let shown = pool.dropped.len().min(DROPPED_SHOWN);
    html! {
        @for failed in &pool.failed {
            tr data-row {
                th.name scope="row" { (shape::works(Health::Bad)) span { (pool.job) } }
                td.wide.break colspan="2" { span.wrong { (failed) } }
            }
        }
        @for dropped in pool.dropped.iter().take(shown) {
            tr data-row {
                th.name scope="row" { (shape::works(Health::Unknown)) span { (pool.job) } }
                td.wide.second.break data-label="Address" { (dropped.discovered.value("__address__")) }
                td data-label="Why" { "dropped by " code { (dropped.rule) } }
            }
        }
        @if pool.dropped_count > shown {
            tr data-row {
                th.name scope="row" { span { (pool.job) } }
                td.second colspan="2" { "and " (text::count((pool.dropped_count - shown) as u64)) " more that its rules drop" }
            }
        }
    }
}

/// `up{job="…", instance="…"}`.
fn own_series(target: &Target) -> String {
    let mut builder = target
        .labels
        .retain(|name| matches!(name, "job" | "instance"))
        .to_builder();
    builder.set(model::labels::METRIC_NAME, "up");
    builder.build().to_string()
}

fn took(time: Duration) -> String {
    match time.as_micros() {
        0 => "–".to_owned(),
        1..=999 => "<1 ms".to_owned(),
        1000..=999_999 => format!("{} ms", time.as_millis()),
        _ => format!("{:.1} s", time.as_secs_f64()),
    }
}
