//! What is known beside rules that are looked at: from a running process, from a data directory, from a configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use model::labels::METRIC_NAME;
use model::outside::{Client, Method, Request};
use model::text::duration;
use model::{Clock, Kind, Labels, Matcher, TimeRange};
use rules::lint::{Intervals, Live, NAMES_WINDOW, SERIES_MAX, SERIES_WINDOW, Sighting, World};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use store::Store;
use telemetry::clock::RuntimeClock;

use crate::archive;
use crate::cli::LintArgs;
use crate::config::{self, Document};

/// Names of metrics and label sets of one; more is no answer.
const ANSWER_BYTES_MAX: usize = 64 << 20;
const TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) fn world(arguments: &LintArgs, metrics: &BTreeSet<&str>) -> anyhow::Result<World> {
    let mut world = World::default();
    if let Some(path) = &arguments.config {
        of_config(path, &mut world)?;
    }
    if let Some(url) = &arguments.url {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(of_process(url, metrics, &mut world))?;
    } else if let Some(folder) = &arguments.data_dir {
        world.live = Ok(of_folder(folder, metrics)?);
    }
    if let Some(interval) = arguments.interval {
        world.scrape = Intervals {
            default: interval,
            jobs: BTreeMap::new(),
            source: "--interval".to_owned(),
        };
    }
    Ok(world)
}

fn of_config(path: &Path, world: &mut World) -> anyhow::Result<()> {
    let name = path.display().to_string();
    let read = config::read(path).and_then(|text| yaml::read::<Document>(&name, &text));
    let document = read.map_err(|complaint| anyhow::anyhow!("{complaint}"))?;
    let jobs = document.scrape_configs.iter().map(|section| {
        let interval = section.scrape_interval.unwrap_or(document.global.scrape_interval);
        (section.job_name.clone(), interval)
    });
    let mut jobs: BTreeMap<String, Duration> = jobs.collect();
    let shortest = jobs.values().min().copied();
    jobs.insert(document.node.job.clone(), document.node.interval);
    world.scrape = Intervals {
        default: shortest.unwrap_or(document.global.scrape_interval),
        jobs,
        source: name.clone(),
    };
    world.evaluation_interval = document.global.evaluation_interval;
    world.retention = Some((document.store.retention.time, name.clone()));
    world.external_labels = Some((document.global.external_labels.clone(), name));
    Ok(())
}

fn of_folder(folder: &Path, metrics: &BTreeSet<&str>) -> anyhow::Result<Live> {
    let samples = archive::samples_in(folder)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    let _time = runtime.enter();
    let time: Arc<dyn Clock> = RuntimeClock::system();
    let look = Store::look(&samples, time).with_context(|| format!("reading {}", samples.display()))?;
    let Some((_, newest)) = look.span else {
        bail!("there are no samples in {}", samples.display());
    };
    // Of a process that has ended, the end is what is looked at.
    let within = |window: Duration| TimeRange {
        after: newest - window,
        until: newest,
    };
    let mut live = Live {
        source: folder.display().to_string(),
        types: look
            .samples
            .metadata()
            .into_iter()
            .map(|one| (one.family.to_string(), one.kind))
            .collect(),
        ..Live::default()
    };
    for labels in look.samples.labels(&[], within(NAMES_WINDOW))? {
        live.names.insert(labels.name().to_owned());
    }
    for name in metrics {
        let mut labels = look
            .samples
            .labels(&[Matcher::equal(METRIC_NAME, name)], within(SERIES_WINDOW))?;
        let complete = labels.len() <= SERIES_MAX;
        labels.truncate(SERIES_MAX);
        live.series
            .insert((*name).to_owned(), Sighting { labels, complete });
    }
    Ok(live)
}

/// Asks a Skopos, or any Prometheus. What only some of them tell is not known of the others.
async fn of_process(url: &str, metrics: &BTreeSet<&str>, world: &mut World) -> anyhow::Result<()> {
    let client = net::HttpClient::new().map_err(|error| anyhow::anyhow!("{error}"))?;
    let asked = Asked {
        client: &*client,
        base: url.trim_end_matches('/'),
        now: jiff::Timestamp::now().as_millisecond() as f64 / 1000.0,
    };
    let mut live = Live {
        source: asked.base.to_owned(),
        ..Live::default()
    };
    live.names = asked
        .get("/api/v1/label/__name__/values", &asked.window(NAMES_WINDOW))
        .await
        .with_context(|| {
            format!(
                "asking {url} for the names of its metrics; name a running Skopos or a Prometheus with --url"
            )
        })?;
    if let Ok(families) = asked
        .get::<BTreeMap<String, Vec<Family>>>("/api/v1/metadata", &[])
        .await
    {
        live.types = families
            .into_iter()
            .filter_map(|(name, told)| Some((name, of_one_kind(&told)?)))
            .collect();
    }
    for name in metrics.iter().filter(|name| live.names.contains(**name)) {
        let mut parameters = asked.window(SERIES_WINDOW);
        let selector = format!("{{{}}}", Matcher::equal(METRIC_NAME, name));
        parameters.push(("match[]", selector));
        parameters.push(("limit", (SERIES_MAX + 1).to_string()));
        let labels: Vec<Labels> = asked
            .get("/api/v1/series", &parameters)
            .await
            .with_context(|| format!("asking {url} for the series of {name}"))?;
        let complete = labels.len() <= SERIES_MAX;
        live.series
            .insert((*name).to_owned(), Sighting { labels, complete });
    }
    asked.intervals(world).await;
    asked.settings(world).await;
    world.live = Ok(live);
    Ok(())
}

#[derive(Deserialize)]
struct Family {
    r#type: String,
}

/// A type, where all targets tell the same.
fn of_one_kind(told: &[Family]) -> Option<Kind> {
    let first = told.first()?;
    let kind = match first.r#type.as_str() {
        "counter" => Kind::Counter,
        "gauge" => Kind::Gauge,
        "histogram" => Kind::Histogram,
        "summary" => Kind::Summary,
        _ => Kind::Unknown,
    };
    told.iter()
        .all(|other| other.r#type == first.r#type)
        .then_some(kind)
}

#[derive(Deserialize)]
struct Targets {
    #[serde(rename = "activeTargets")]
    active: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    #[serde(default)]
    labels: Labels,
    #[serde(rename = "scrapeInterval", default)]
    interval: String,
}

#[derive(Deserialize)]
struct Runtime {
    #[serde(rename = "storageRetention", default)]
    retention: String,
}

#[derive(Deserialize)]
struct Written {
    yaml: String,
}

/// Of the configuration of a Prometheus, which has much more.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Prometheus {
    #[serde(deserialize_with = "yaml::null_default")]
    global: PrometheusGlobal,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PrometheusGlobal {
    #[serde(deserialize_with = "duration::deserialize_some")]
    scrape_interval: Option<Duration>,
    #[serde(deserialize_with = "duration::deserialize_some")]
    evaluation_interval: Option<Duration>,
    #[serde(deserialize_with = "yaml::null_default")]
    external_labels: Labels,
}

struct Asked<'a> {
    client: &'a dyn Client,
    base: &'a str,
    /// Seconds since 1970.
    now: f64,
}

impl Asked<'_> {
    fn window(&self, window: Duration) -> Vec<(&'static str, String)> {
        vec![
            ("start", (self.now - window.as_secs_f64()).to_string()),
            ("end", self.now.to_string()),
        ]
    }

    async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        parameters: &[(&'static str, String)],
    ) -> anyhow::Result<T> {
        #[derive(Deserialize)]
        struct Answer<T> {
            data: Option<T>,
            error: Option<String>,
        }
        let form = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(parameters)
            .finish();
        let request = Request {
            method: Method::Get,
            url: format!("{}{path}?{form}", self.base),
            headers: Vec::new(),
            body: Vec::new().into(),
            timeout: TIMEOUT,
            answer_bytes_max: ANSWER_BYTES_MAX,
        };
        let response = self.client.send(request).await?;
        let answer: Answer<T> = serde_json::from_slice(&response.body)
            .with_context(|| format!("{path} answers {} and not as Prometheus does", response.status))?;
        match (answer.data, answer.error) {
            (Some(data), None) => Ok(data),
            (_, Some(error)) => bail!("{error}"),
            (None, None) => bail!("{path} answers nothing"),
        }
    }

    async fn intervals(&self, world: &mut World) {
        let Ok(targets) = self
            .get::<Targets>("/api/v1/targets", &[("state", "active".to_owned())])
            .await
        else {
            return;
        };
        let mut jobs: BTreeMap<String, Duration> = BTreeMap::new();
        for target in &targets.active {
            let (Some(job), Ok(interval)) = (target.labels.get("job"), duration::parse(&target.interval))
            else {
                continue;
            };
            // Of several targets of a job, those that are read rarely are the ones to mind.
            let known = jobs.entry(job.to_owned()).or_default();
            *known = interval.max(*known);
        }
        if let Some(shortest) = jobs.values().min() {
            world.scrape = Intervals {
                default: *shortest,
                jobs,
                source: self.base.to_owned(),
            };
        }
    }

    async fn settings(&self, world: &mut World) {
        if let Ok(runtime) = self.get::<Runtime>("/api/v1/status/runtimeinfo", &[]).await {
            // `15d or 10GiB`
            let time = runtime.retention.split(' ').next().unwrap_or_default();
            if let Ok(time) = duration::parse(time) {
                world.retention = Some((time, self.base.to_owned()));
            }
        }
        let written = self.get::<Written>("/api/v1/status/config", &[]).await;
        let read = written.map(|written| yaml::read::<Prometheus>(self.base, &written.yaml));
        // A Skopos does not tell what its configuration says.
        let Ok(Ok(Prometheus { global })) = read else {
            return;
        };
        let Some(scraped) = global.scrape_interval else {
            return;
        };
        if world.scrape.jobs.is_empty() {
            world.scrape.default = scraped;
            world.scrape.source = self.base.to_owned();
        }
        if let Some(evaluated) = global.evaluation_interval {
            world.evaluation_interval = evaluated;
        }
        world.external_labels = Some((global.external_labels, self.base.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_one_that_all_tell() {
        let told = |types: &[&str]| {
            let told: Vec<Family> = types
                .iter()
                .map(|one| Family {
                    r#type: (*one).to_owned(),
                })
                .collect();
            of_one_kind(&told)
        };
        assert_eq!(told(&["counter", "counter"]), Some(Kind::Counter));
        assert_eq!(told(&["counter", "gauge"]), None);
        assert_eq!(told(&["unknown"]), Some(Kind::Unknown));
        assert_eq!(told(&[]), None);
    }
}
