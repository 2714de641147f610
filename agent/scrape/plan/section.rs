//! One section: what its targets have in common, and what becomes of each that it is given.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use model::discovery::{ObjectTargets, TargetGroup};
use model::presence::NODE;
use model::text::duration;
use model::view::Dropped;
use model::{Labels, LabelsBuilder};
use net::Reach;
use relabel::Verdict;

use super::{Plan, Sifted, address, too_long};
use crate::config::{Global, Protocol, ScrapeConfig, StaticConfig};
use crate::handing::{self, Home, Reason, Settings};
use crate::intake::Rules;
use crate::labels::Limits;

/// Longest body when nothing is said.
pub(super) const BODY_BYTES_MAX: usize = 64 << 20;
/// Dropped targets that are kept to be shown when nothing is said.
const DROPPED_KEPT: usize = 1_000;

pub(crate) struct Section {
    /// Where it stands in the configuration.
    place: String,
    config: Arc<ScrapeConfig>,
    interval: Duration,
    timeout: Duration,
    reach: Option<Arc<Reach>>,
    targets: relabel::Rules,
    series: relabel::Rules,
    /// Why its targets are not for others, wherever they are.
    kept_back: Option<Reason>,
    /// What became of each group when it was last there, by where it lies in memory.
    known: HashMap<usize, Known>,
}

struct Known {
    /// Held, so that no other group comes to lie where it does.
    _group: Arc<TargetGroup>,
    sifted: Arc<Sifted>,
}

/// What was found, by what was to be looked for.
pub(crate) type Found = HashMap<ObjectTargets, Vec<Arc<TargetGroup>>>;

/// What becomes of one target.
enum Fate {
    Scraped(Box<Plan>),
    Dropped(Dropped),
    /// It cannot be scraped: the rest of a sentence.
    Failed(String),
}

impl Section {
    /// # Errors
    /// Everything that is wrong, each a sentence with its place.
    pub(crate) fn new(place: String, config: &ScrapeConfig, global: &Global) -> Result<Self, Vec<String>> {
        let mut wrong = Vec::new();
        let interval = config.scrape_interval.unwrap_or(global.scrape_interval);
        if interval.is_zero() {
            wrong.push(format!("{place}.scrape_interval: is zero"));
        }
        // The global timeout gives way to a shorter interval; one that was written here is a mistake.
        let timeout = config
            .scrape_timeout
            .unwrap_or_else(|| global.scrape_timeout.min(interval));
        if timeout > interval {
            wrong.push(too_long(&place, timeout, interval));
        } else if timeout.is_zero() && !interval.is_zero() {
            wrong.push(format!("{place}.scrape_timeout: is zero"));
        }
        if !matches!(config.scheme.as_str(), "http" | "https") {
            wrong.push(format!(
                "{place}.scheme: {:?} is neither http nor https",
                config.scheme
            ));
        }
        if config.metrics_path.contains(['?', '#']) {
            wrong.push(format!(
                "{place}.metrics_path: what follows the \"?\" belongs into params"
            ));
        }
        if config.fallback_scrape_protocol == Some(Protocol::Proto) {
            wrong.push(format!(
                "{place}.fallback_scrape_protocol: protobuf is not read; PrometheusText0.0.4 or OpenMetricsText1.0.0 is"
            ));
        }
        // Paths are meant from where we run: the hall has made them so.
        let reach = config.http.read(Path::new("")).unwrap_or_else(|mistake| {
            wrong.push(format!("{place}.{mistake}"));
            Reach::default()
        });
        let mut rules = |key: &str, configs: &[relabel::Config]| {
            relabel::Rules::new(configs).unwrap_or_else(|mistakes| {
                wrong.extend(
                    mistakes
                        .into_iter()
                        .map(|mistake| format!("{place}.{key}{mistake}")),
                );
                relabel::Rules::default()
            })
        };
        let targets = rules("relabel_configs", &config.relabel_configs);
        let series = rules("metric_relabel_configs", &config.metric_relabel_configs);
        for (nth, group) in config.static_configs.iter().enumerate() {
            let place = format!("{place}.static_configs[{nth}]");
            // What rules are given may be anything; what they make of it is looked at then.
            wrong.extend(mistakes(&place, group, config.relabel_configs.is_empty()));
        }
        for (nth, objects) in config.kubernetes_sd_configs.iter().enumerate() {
            let mistake = objects.mistake();
            wrong.extend(mistake.map(|mistake| format!("{place}.kubernetes_sd_configs[{nth}].{mistake}")));
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        Ok(Self {
            place,
            config: Arc::new(config.clone()),
            interval,
            timeout,
            reach: (reach != Reach::default()).then(|| Arc::new(reach)),
            targets,
            series,
            kept_back: handing::kept_back(&config.http),
            known: HashMap::new(),
        })
    }

    pub(crate) fn job(&self) -> &str {
        &self.config.job_name
    }

    pub(crate) fn looks_for(&self) -> &[ObjectTargets] {
        &self.config.kubernetes_sd_configs
    }

    /// All of its targets: those that it names and those that were found for it. Where targets are handed out, the latter have a home.
    pub(crate) fn sift(&mut self, found: &Found, hands_out: bool) -> Sifted {
        let mut sifted = self.sift_named();
        let mut known = HashMap::new();
        for (nth, objects) in self.config.kubernetes_sd_configs.iter().enumerate() {
            for group in found.get(objects).into_iter().flatten() {
                let key = Arc::as_ptr(group).addr();
                // A cluster has thousands, of which few change at a time. What is not shown is not kept either.
                let room = self.dropped_kept().saturating_sub(sifted.dropped.len());
                let of_group = match self.known.remove(&key) {
                    Some(before) => before.sifted,
                    None => Arc::new(self.sift_group(nth, group, room, hands_out)),
                };
                sifted.add(&of_group, self.dropped_kept());
                let _group = Arc::clone(group);
                known.insert(
                    key,
                    Known {
                        _group,
                        sifted: of_group,
                    },
                );
            }
        }
        self.known = known;
        sifted
    }

    fn sift_group(&self, nth: usize, group: &TargetGroup, dropped_kept: usize, hands_out: bool) -> Sifted {
        let mut sifted = Sifted::default();
        for target in &group.targets {
            let address = target.value("__address__");
            let place = || {
                let (place, source) = (&self.place, &group.source);
                format!("{place}.kubernetes_sd_configs[{nth}]: {source}: {address:?}")
            };
            let fate = self.fate(target, &group.labels, hands_out);
            sifted.meet(fate, dropped_kept, place);
        }
        sifted
    }

    fn dropped_kept(&self) -> usize {
        match self.config.keep_dropped_targets {
            Some(0) => usize::MAX,
            Some(most) => most,
            None => DROPPED_KEPT,
        }
    }

    pub(crate) fn sift_named(&self) -> Sifted {
        let mut sifted = Sifted::default();
        for (nth, group) in self.config.static_configs.iter().enumerate() {
            let shared = Labels::from_pairs(&group.labels);
            for (at, target) in group.targets.iter().enumerate() {
                let own = Labels::from_pairs([("__address__", target)]);
                let place = || format!("{}.static_configs[{nth}].targets[{at}]: {target:?}", self.place);
                sifted.meet(self.fate(&own, &shared, false), self.dropped_kept(), place);
            }
        }
        sifted
    }

    fn fate(&self, own: &Labels, shared: &Labels, hands_out: bool) -> Fate {
        let discovered = self.discovered(own, shared);
        let labels = match self.targets.apply(&discovered) {
            Verdict::Kept(labels) => labels,
            Verdict::Dropped(rule) => {
                let rule = format!("relabel_configs[{rule}]");
                return Fate::Dropped(Dropped { discovered, rule });
            }
        };
        match self.plan(discovered, &labels, hands_out) {
            Ok(plan) => Fate::Scraped(Box::new(plan)),
            Err(why) => Fate::Failed(why),
        }
    }

    /// A target that another process has found and relabelled for this node.
    pub(crate) fn given(&self, labels: Labels, node: &str, is_node_added: bool) -> Result<Plan, String> {
        let mut plan = self.plan(labels.clone(), &labels, false)?;
        plan.rules.home = Some(Arc::new(Home::new(node, is_node_added, None, "")));
        Ok(plan)
    }

    /// From the labels as the rules left them, which say where and how often, too.
    fn plan(&self, discovered: Labels, labels: &Labels, hands_out: bool) -> Result<Plan, String> {
        let config = &self.config;
        let address = labels.value("__address__");
        if let Some(mistake) = address::mistake(address) {
            return Err(match discovered.value("__address__") == address {
                true => mistake.to_owned(),
                false => format!("has after relabelling the address {address:?}, which {mistake}"),
            });
        }
        let interval = time(labels, "__scrape_interval__")?;
        let timeout = time(labels, "__scrape_timeout__")?;
        if timeout > interval {
            let (timeout, interval) = (duration::short(timeout), duration::short(interval));
            return Err(format!(
                "has after relabelling a __scrape_timeout__ of {timeout}, which is longer than its __scrape_interval__ of {interval}"
            ));
        }
        let mut target = labels.retain(|name| !name.starts_with("__"));
        if target.get("instance").is_none() {
            let mut with = target.to_builder();
            with.set("instance", address);
            target = with.build();
        }
        let home = match hands_out {
            true => self.home(&discovered, labels, &mut target),
            false => None,
        };
        let url = address::url(labels, &config.params);
        Ok(Plan {
            name: name(&config.job_name, &url, address, &target),
            job: config.job_name.clone(),
            url,
            interval,
            timeout,
            reach: self.reach.clone(),
            body_bytes_max: match config.body_size_limit {
                0 => BODY_BYTES_MAX,
                limit => limit,
            },
            fallback: config.fallback_scrape_protocol.map(Protocol::format),
            translation: config.translation,
            rules: Rules {
                target,
                home,
                honor_labels: config.honor_labels,
                honor_timestamps: config.honor_timestamps,
                relabel: self.series.clone(),
                sample_limit: config.sample_limit,
                limits: Limits {
                    labels: config.label_limit,
                    name_length: config.label_name_length_limit,
                    value_length: config.label_value_length_limit,
                },
            },
            discovered,
        })
    }

    /// The node that it is on, if it is on one; where an agent there may read it, the target has its name in the label `node`.
    fn home(&self, discovered: &Labels, labels: &Labels, target: &mut Labels) -> Option<Arc<Home>> {
        let node = handing::node(discovered)?;
        let host = |labels: &Labels| handing::host(labels.value("__address__")).to_owned();
        let is_elsewhere = host(discovered) != host(labels);
        let said = target.get(NODE);
        let is_other = said.is_some_and(|said| said != node);
        let never = self
            .kept_back
            .or_else(|| is_elsewhere.then_some(Reason::Elsewhere))
            .or_else(|| is_other.then_some(Reason::NodeLabel));
        let is_added = never.is_none() && said.is_none();
        let mut entry = String::new();
        if never.is_none() {
            let mut named = labels.to_builder();
            named.set(NODE, node).set("instance", target.value("instance"));
            let pod = discovered.value("__meta_kubernetes_pod_uid");
            entry = handing::entry(&named.build(), pod, &Settings::of(&self.config, is_added));
        }
        if is_added {
            let mut named = target.to_builder();
            named.set(NODE, node);
            *target = named.build();
        }
        Some(Arc::new(Home::new(node, is_added, never, &entry)))
    }

    /// As Prometheus shows it: what the target says of itself stands before what its group says, and that before what the
    /// section says.
    fn discovered(&self, own: &Labels, shared: &Labels) -> Labels {
        let mut all = LabelsBuilder::default();
        for (name, value) in shared.iter().chain(own.iter()) {
            all.set(name, value);
        }
        let config = &self.config;
        let (interval, timeout) = (duration::short(self.interval), duration::short(self.timeout));
        let defaults = [
            ("job", config.job_name.as_str()),
            ("__scheme__", &config.scheme),
            ("__metrics_path__", &config.metrics_path),
            ("__scrape_interval__", &interval),
            ("__scrape_timeout__", &timeout),
        ];
        for (name, value) in defaults {
            if all.get(name).is_none() {
                all.set(name, value);
            }
        }
        for (name, values) in &config.params {
            let name = format!("__param_{name}");
            if let (None, Some(first)) = (all.get(&name), values.first()) {
                all.set(&name, first);
            }
        }
        all.build()
    }
}

impl Sifted {
    fn meet(&mut self, fate: Fate, dropped_kept: usize, place: impl FnOnce() -> String) {
        match fate {
            Fate::Scraped(plan) => self.plans.push(*plan),
            Fate::Dropped(dropped) => {
                self.dropped_count += 1;
                if self.dropped.len() < dropped_kept {
                    self.dropped.push(dropped);
                }
            }
            Fate::Failed(why) => self.failed.push(format!("{} {why}", place())),
        }
    }
}

/// What no group may say.
fn mistakes(place: &str, group: &StaticConfig, are_addresses: bool) -> Vec<String> {
    let mut wrong = Vec::new();
    if group.labels.keys().any(String::is_empty) {
        wrong.push(format!("{place}.labels: a name is empty"));
    }
    let targets = group.targets.iter().enumerate().filter(|_| are_addresses);
    wrong.extend(targets.filter_map(|(nth, target)| {
        let mistake = address::mistake(target)?;
        Some(format!("{place}.targets[{nth}]: {target:?} {mistake}"))
    }));
    wrong
}

fn time(labels: &Labels, name: &str) -> Result<Duration, String> {
    let text = labels.value(name);
    match duration::parse(text) {
        Ok(Duration::ZERO) => Err(format!("has after relabelling a {name} of zero")),
        Ok(time) => Ok(time),
        Err(why) => Err(format!("has after relabelling a {name} that is none: {why}")),
    }
}

/// With the labels' fingerprint when they are not told by job and address.
fn name(job_name: &str, url: &str, target: &str, labels: &Labels) -> Arc<str> {
    let place = url.split_once("://").map_or(url, |(_, place)| place);
    let plain = labels.len() == 2 && labels.value("job") == job_name && labels.value("instance") == target;
    if plain {
        return format!("scrape/{job_name}/{place}").into();
    }
    format!("scrape/{job_name}/{place}#{:016x}", labels.fingerprint()).into()
}
