//! `/api/v1/targets`, `/scrape_pools`, `/alertmanagers`: who is read, and who is told.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use axum::extract::State;
use axum::response::Response;
use http::Uri;
use model::Labels;
use model::text::duration;
use model::view::{Health, Target};
use serde::Serialize;

use super::answer::success;
use super::rules::{moment, number};
use crate::Rooms;
use crate::form::Form;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Targets {
    active_targets: Vec<Active>,
    dropped_targets: Vec<Dropped>,
    dropped_target_counts: Option<BTreeMap<String, usize>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Dropped {
    discovered_labels: Labels,
    scrape_pool: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Active {
    discovered_labels: Labels,
    labels: Labels,
    scrape_pool: String,
    scrape_url: String,
    global_url: String,
    last_error: String,
    last_scrape: String,
    #[serde(serialize_with = "number")]
    last_scrape_duration: f64,
    health: &'static str,
    scrape_interval: String,
    scrape_timeout: String,
    /// Not Prometheus': the node whose agent reads it, where that is not this process.
    #[serde(skip_serializing_if = "Option::is_none")]
    read_by: Option<String>,
}

pub(super) async fn targets(State(rooms): State<Rooms>, form: Form) -> Response {
    let state = form.first("state").to_ascii_lowercase();
    let asked = |word: &str| state.is_empty() || state == "any" || state == word;
    let known = scraped(&rooms);
    let sifted = match asked("dropped") {
        true => (rooms.pools)(),
        false => Vec::new(),
    };
    let counts = asked("dropped").then(|| {
        let scraped = known.iter().map(|target| (target.job.clone(), 0));
        let dropped = sifted.iter().map(|pool| (pool.job.clone(), pool.dropped_count));
        scraped.chain(dropped).collect()
    });
    let pool = form.first("scrapePool");
    let dropped_targets = sifted
        .into_iter()
        .filter(|sifted| pool.is_empty() || sifted.job == pool)
        .flat_map(|sifted| {
            sifted
                .dropped
                .into_iter()
                .map(move |dropped| (sifted.job.clone(), dropped))
        })
        .map(|(scrape_pool, dropped)| Dropped {
            discovered_labels: dropped.discovered,
            scrape_pool,
        })
        .collect();
    let host = (rooms.own)().name;
    let active_targets = known
        .into_iter()
        .filter(|target| asked("active") && (pool.is_empty() || target.job == pool))
        .map(|target| active(target, &host))
        .collect();
    success(&Targets {
        active_targets,
        dropped_targets,
        dropped_target_counts: counts,
    })
}

pub(super) async fn pools(State(rooms): State<Rooms>) -> Response {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Pools {
        scrape_pools: BTreeSet<String>,
    }
    let scraped = scraped(&rooms).into_iter().map(|target| target.job);
    let scrape_pools = scraped
        .chain((rooms.pools)().into_iter().map(|pool| pool.job))
        .collect();
    success(&Pools { scrape_pools })
}

/// Alerts are told in process; there is no Alertmanager to name.
pub(super) async fn alertmanagers() -> Response {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Alertmanagers {
        active_alertmanagers: [(); 0],
        dropped_alertmanagers: [(); 0],
    }
    success(&Alertmanagers {
        active_alertmanagers: [],
        dropped_alertmanagers: [],
    })
}

/// Targets that are read over HTTP, by job.
fn scraped(rooms: &Rooms) -> Vec<Target> {
    let mut targets = (rooms.targets)();
    targets.retain(|target| target.http);
    targets.sort_by(|one, other| one.job.cmp(&other.job));
    targets
}

fn active(target: Target, host: &str) -> Active {
    Active {
        global_url: global(&target.url, host),
        discovered_labels: target.discovered,
        labels: target.labels,
        scrape_pool: target.job,
        scrape_url: target.url,
        last_error: target.last_error,
        last_scrape: moment(target.last_scrape),
        last_scrape_duration: target.last_duration.as_secs_f64(),
        health: match target.health {
            Health::Good | Health::Pending => "up",
            Health::Bad => "down",
            Health::Unknown => "unknown",
        },
        scrape_interval: duration::short(target.interval),
        scrape_timeout: duration::short(target.timeout),
        read_by: target.read_by,
    }
}

/// The URL as another machine would write it: this machine's name instead of `localhost`.
fn global(url: &str, host: &str) -> String {
    let here = |name: &str| {
        name.eq_ignore_ascii_case("localhost")
            || name
                .trim_start_matches('[')
                .trim_end_matches(']')
                .parse::<IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    };
    match url.parse::<Uri>().as_ref().map(Uri::host) {
        Ok(Some(name)) if here(name) && !host.is_empty() => url.replacen(name, host, 1),
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_machine_reads_this_ones_name() {
        assert_eq!(
            global("http://localhost:9464/metrics", "vm"),
            "http://vm:9464/metrics"
        );
        assert_eq!(
            global("http://[::1]:9464/localhost", "vm"),
            "http://vm:9464/localhost"
        );
        assert_eq!(global("http://shop:8080/", "vm"), "http://shop:8080/");
        assert_eq!(global("not a url", "vm"), "not a url");
    }
}
