//! Monitors of prometheus-operator (`monitoring.coreos.com`) as sections of `scrape_configs`, and PrometheusRules as rule files.
//!
//! What an object comes to depends on the object alone. One that says anything that cannot be followed is left out as a whole,
//! with the reason; no field is passed over in silence. Secrets and ConfigMaps are never asked for.

mod fields;
mod shapes;
#[cfg(test)]
mod tests;
mod words;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::text::duration;
use model::{Object, Observe, Resource, Wanted};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::Cluster;
use fields::{Fields, Outcome};
pub use fields::{LeftOut, Reason};
use shapes::Monitor;
use words::Manner;

/// Objects of prometheus-operator that say what is scraped and which rules hold, once for the cluster.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Whether they are followed. Left out: where there are such kinds, in the roles `cluster` and `all`.
    pub enabled: Option<bool>,
    /// Whether PrometheusRule objects are rules, beside those of `rule_files`. Left out: where monitors are followed.
    pub rules: Option<bool>,
    /// Which of them by their labels, as the API has it: `release=stack`. Left empty: all.
    pub selector: String,
    /// Where they may lie. Left empty: anywhere.
    pub namespaces: Vec<String>,
    /// Of monitors that say none. Left out: `global.scrape_interval`.
    #[serde(deserialize_with = "duration::deserialize_or_null")]
    pub scrape_interval: Option<Duration>,
    /// By what a ServiceMonitor that does not say it finds what is behind services.
    pub service_discovery_role: Behind,
    /// Whether a monitor may name files of this process, such as its token; whoever may write monitors may then have it sent anywhere.
    pub files: bool,
}

/// What is behind a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Behind {
    /// As prometheus-operator does it.
    #[default]
    Endpoints,
    EndpointSlice,
}

impl Config {
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.enabled.unwrap_or(true)
    }

    #[must_use]
    pub fn wants_rules(&self) -> bool {
        self.rules.unwrap_or_else(|| self.is_wanted())
    }

    pub(crate) fn complaints(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.scrape_interval.is_some_and(|interval| interval.is_zero()) {
            wrong.push("kubernetes.monitors.scrape_interval: is zero".to_owned());
        }
        if let Some(nth) = self.namespaces.iter().position(String::is_empty) {
            wrong.push(format!(
                "kubernetes.monitors.namespaces[{nth}]: is empty; leave namespaces out for all of them"
            ));
        }
        wrong
    }

    fn manner(&self) -> Manner {
        Manner {
            scrape_interval: self.scrape_interval.map(duration::short).unwrap_or_default(),
            files: self.files,
            behind_services: match self.service_discovery_role {
                Behind::Endpoints => "endpoints",
                Behind::EndpointSlice => "endpointslice",
            },
        }
    }
}

/// The kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    ServiceMonitor,
    PodMonitor,
    Probe,
    ScrapeConfig,
    PrometheusRule,
}

impl Kind {
    /// In the order in which the operator writes their sections.
    pub const ALL: [Self; 5] = [
        Self::ServiceMonitor,
        Self::PodMonitor,
        Self::Probe,
        Self::ScrapeConfig,
        Self::PrometheusRule,
    ];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ServiceMonitor => "ServiceMonitor",
            Self::PodMonitor => "PodMonitor",
            Self::Probe => "Probe",
            Self::ScrapeConfig => "ScrapeConfig",
            Self::PrometheusRule => "PrometheusRule",
        }
    }

    fn resource(self) -> Resource {
        let (version, plural) = match self {
            Self::ServiceMonitor => ("v1", "servicemonitors"),
            Self::PodMonitor => ("v1", "podmonitors"),
            Self::Probe => ("v1", "probes"),
            Self::ScrapeConfig => ("v1alpha1", "scrapeconfigs"),
            Self::PrometheusRule => ("v1", "prometheusrules"),
        };
        Resource::new("monitoring.coreos.com", version, self.name(), plural)
    }
}

/// Which object.
pub type Key = (Kind, String, String);

/// What one object comes to.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    pub uid: String,
    pub made: Result<Made, LeftOut>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Made {
    /// Of `scrape_configs`, in Prometheus' words.
    Sections(Vec<Value>),
    /// A rule file.
    Rules { file: String, text: String },
}

/// All of them, as they are now.
pub type All = BTreeMap<Key, Arc<Seen>>;

/// The objects; cheap to clone.
#[derive(Clone)]
pub struct Monitors(Arc<Inner>);

struct Inner {
    config: Config,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<Key, (Arc<Seen>, u64)>,
    /// Kinds that were told of as a whole.
    whole: Vec<Kind>,
}

impl Monitors {
    /// Asks for them; to be said before the room runs.
    #[must_use]
    pub fn new(cluster: &Cluster, config: &Config) -> Self {
        let this = Self::apart(config);
        for (kind, observer) in this.observers() {
            let wanted = Wanted {
                label_selector: config.selector.clone(),
                is_optional: true,
                ..Wanted::all(kind.resource())
            };
            cluster.observe(wanted, observer);
        }
        this
    }

    fn apart(config: &Config) -> Self {
        Self(Arc::new(Inner {
            config: config.clone(),
            state: Mutex::default(),
            changed: Notify::new(),
        }))
    }

    fn observers(&self) -> Vec<(Kind, Box<dyn Observe>)> {
        let observer = |kind| {
            let observer = Observer {
                kind,
                room: Arc::clone(&self.0),
                round: 0,
                is_whole: false,
            };
            (kind, Box::new(observer) as Box<dyn Observe>)
        };
        Kind::ALL
            .into_iter()
            .filter(|kind| self.wants(*kind))
            .map(observer)
            .collect()
    }

    /// Returns when something may have changed since the last time; of a kind nothing is told before all of it is known.
    pub async fn changed(&self) {
        self.0.changed.notified().await;
    }

    /// All that are known. What is still the same is the same allocation.
    #[must_use]
    pub fn all(&self) -> All {
        let state = self.0.state.lock();
        let known = state
            .objects
            .iter()
            .filter(|((kind, ..), _)| state.whole.contains(kind));
        known
            .map(|(key, (seen, _))| (key.clone(), Arc::clone(seen)))
            .collect()
    }

    /// Whether PrometheusRules are asked for.
    #[must_use]
    pub fn wants_rules(&self) -> bool {
        self.0.config.wants_rules()
    }

    /// Whether objects of this kind are followed.
    #[must_use]
    pub fn wants(&self, kind: Kind) -> bool {
        let config = &self.0.config;
        match kind {
            Kind::PrometheusRule => config.wants_rules(),
            _ => config.is_wanted(),
        }
    }

    /// Whether all objects of this kind are known.
    #[must_use]
    pub fn is_whole(&self, kind: Kind) -> bool {
        self.0.state.lock().whole.contains(&kind)
    }
}

/// Told by the task that watches.
struct Observer {
    kind: Kind,
    room: Arc<Inner>,
    round: u64,
    is_whole: bool,
}

impl Observer {
    fn key(&self, object: &Object<'_>) -> Key {
        (self.kind, object.namespace.to_owned(), object.name.to_owned())
    }

    fn tell(&self) {
        if self.is_whole {
            self.room.changed.notify_one();
        }
    }
}

impl Observe for Observer {
    fn begun(&mut self) {
        self.round += 1;
    }

    fn here(&mut self, object: &Object<'_>) {
        let config = &self.room.config;
        if !config.namespaces.is_empty() && !config.namespaces.iter().any(|name| name == object.namespace) {
            return;
        }
        let seen = Seen {
            uid: object.uid.to_owned(),
            made: translate(self.kind, object, &config.manner()),
        };
        let key = self.key(object);
        let mut state = self.room.state.lock();
        match state.objects.get_mut(&key) {
            Some((known, round)) if **known == seen => *round = self.round,
            _ => {
                state.objects.insert(key, (Arc::new(seen), self.round));
                drop(state);
                self.tell();
            }
        }
    }

    fn gone(&mut self, object: &Object<'_>) {
        let removed = self.room.state.lock().objects.remove(&self.key(object));
        if removed.is_some() {
            self.tell();
        }
    }

    fn whole(&mut self) {
        let mut state = self.room.state.lock();
        let (kind, now) = (self.kind, self.round);
        state
            .objects
            .retain(|(of, ..), (_, round)| *of != kind || *round == now);
        if !state.whole.contains(&kind) {
            state.whole.push(kind);
        }
        drop(state);
        self.is_whole = true;
        self.tell();
    }
}

/// What an object comes to.
fn translate(kind: Kind, object: &Object<'_>, manner: &Manner) -> Outcome<Made> {
    let whole: Value = serde_json::from_str(object.text).map_err(LeftOut::invalid)?;
    let mut whole = Fields::new("", whole)?;
    let spec = whole.take("spec").unwrap_or_else(|| json!({}));
    if kind == Kind::PrometheusRule {
        let (namespace, name, uid) = (object.namespace, object.name, object.uid);
        return Ok(Made::Rules {
            file: format!("{namespace}-{name}-{uid}.yaml"),
            text: rules(spec)?,
        });
    }
    let monitor = Monitor {
        namespace: object.namespace,
        name: object.name,
        spec: Fields::new("spec", spec)?,
    };
    let made = match kind {
        Kind::ServiceMonitor => shapes::service_monitor(monitor, manner),
        Kind::PodMonitor => shapes::pod_monitor(monitor, manner),
        Kind::Probe => shapes::probe(monitor, manner),
        Kind::ScrapeConfig | Kind::PrometheusRule => shapes::scrape_config(monitor, manner),
    };
    Ok(Made::Sections(made?.into_iter().map(Value::Object).collect()))
}

/// A rule file: the spec, with what only Thanos knows taken away, and expressions as texts.
fn rules(mut spec: Value) -> Outcome<String> {
    let groups = spec.get_mut("groups").and_then(Value::as_array_mut);
    for group in groups.into_iter().flatten().filter_map(Value::as_object_mut) {
        group.remove("partial_response_strategy");
        let rules = group.get_mut("rules").and_then(Value::as_array_mut);
        for rule in rules.into_iter().flatten().filter_map(Value::as_object_mut) {
            if let Some(expr) = rule.get_mut("expr").filter(|expr| expr.is_number()) {
                *expr = Value::String(expr.to_string());
            }
        }
    }
    serde_json::to_string_pretty(&spec).map_err(LeftOut::invalid)
}
