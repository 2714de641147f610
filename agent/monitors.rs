//! What objects of prometheus-operator ask for, from the room that reads them to those that scrape and evaluate.
//!
//! One object's change is one section's change, and one object's mistake leaves the others as they are. Of a pair, only the holder of
//! the lease scrapes; rules hold on both. Rule objects are remembered on disk: alerts of theirs that are restored at a start would
//! otherwise end before the API server has told of them.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cluster::Cluster;
use cluster::monitors::{All, Key, Kind, LeftOut, Made, Monitors, Reason, Seen};
use model::Leadership;
use model::outside::Files;
use model::view::Checkup;
use parking_lot::Mutex;
use prometheus::{GaugeVec, IntCounterVec, Registry};
use rules::Group;
use scrape::{Global, Pool, ScrapeConfig};
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::checkups::Look;
use crate::config::Document;

/// Changes are gathered for so long: a chart makes many objects at once.
const GATHER: Duration = Duration::from_secs(1);
/// How long after a start without such a memory rule objects may still come.
const PATIENCE: Duration = Duration::from_secs(60);
/// Objects that are left out of which doctor is told more than how many there are.
const LEFT_OUT_MAX: usize = 100;
/// Where rule objects are remembered, and how that file begins.
const REMEMBERED: &str = "rule-objects";
const MAGIC: &str = "skopos rule objects 1\n";

/// All rule groups: those of files, and those of objects beside them.
pub(crate) struct RuleBook {
    rules: rules::Manager,
    parts: Mutex<Parts>,
}

#[derive(Default)]
struct Parts {
    /// None until the configuration is in force.
    files: Option<Vec<Group>>,
    objects: Vec<Group>,
}

impl RuleBook {
    pub(crate) fn new(rules: rules::Manager) -> Arc<Self> {
        Arc::new(Self {
            rules,
            parts: Mutex::default(),
        })
    }

    /// These are the groups of `rule_files` from now on.
    pub(crate) fn files(&self, groups: Vec<Group>) {
        let mut parts = self.parts.lock();
        parts.files = Some(groups);
        self.apply(&parts);
    }

    /// These are the groups of objects from now on.
    fn objects(&self, groups: Vec<Group>) {
        let mut parts = self.parts.lock();
        if parts.objects != groups {
            parts.objects = groups;
            self.apply(&parts);
        }
    }

    fn apply(&self, parts: &Parts) {
        if let Some(files) = &parts.files {
            self.rules
                .apply(files.iter().chain(&parts.objects).cloned().collect());
        }
    }
}

/// What one object came to here.
struct Known {
    seen: Arc<Seen>,
    sections: Vec<Arc<ScrapeConfig>>,
    /// Name and text of a rule file, and its groups: the last that could be read.
    rules: Option<(String, String, Vec<Group>)>,
    left_out: Option<LeftOut>,
}

/// For doctor.
#[derive(Default)]
struct Shown {
    objects: BTreeMap<Kind, usize>,
    sections: usize,
    left_out: Vec<String>,
    left_out_count: usize,
}

/// Takes monitors to the pool and rule objects to the rules.
pub(crate) struct Following {
    monitors: Monitors,
    pool: Arc<Pool>,
    book: Option<Arc<RuleBook>>,
    global: Global,
    leadership: watch::Receiver<Leadership>,
    files: Arc<dyn Files>,
    known: HashMap<Key, Known>,
    remembered: String,
    shown: Arc<Mutex<Shown>>,
    counts: GaugeVec,
    left_out: IntCounterVec,
}

impl Following {
    /// None where no objects of prometheus-operator are followed.
    pub(crate) fn of(
        cluster: Option<&Cluster>,
        document: &Document,
        pool: &Arc<Pool>,
        book: Option<&Arc<RuleBook>>,
        leadership: &watch::Receiver<Leadership>,
        files: &Arc<dyn Files>,
        registry: &Registry,
    ) -> Option<Self> {
        let cluster = cluster.filter(|_| document.kubernetes.wants_monitors())?;
        Some(Self::new(
            Monitors::new(cluster, &document.kubernetes.monitors),
            pool,
            book,
            document.scrape_global(),
            leadership.clone(),
            Arc::clone(files),
            registry,
        ))
    }

    /// To be made before the rules of the configuration are in force.
    fn new(
        monitors: Monitors,
        pool: &Arc<Pool>,
        book: Option<&Arc<RuleBook>>,
        global: Global,
        leadership: watch::Receiver<Leadership>,
        files: Arc<dyn Files>,
        registry: &Registry,
    ) -> Self {
        let counts = telemetry::metrics::gauges(
            registry,
            "skopos_cluster_monitors",
            "Objects of prometheus-operator that are followed, by kind.",
            &["kind"],
        );
        let left_out = telemetry::metrics::counters(
            registry,
            "skopos_cluster_monitors_left_out_total",
            "Objects of prometheus-operator that came in a form that is left out as a whole, by reason.",
            &["reason"],
        );
        for reason in Reason::ALL {
            left_out.with_label_values(&[reason.word()]);
        }
        let mut this = Self {
            monitors,
            pool: Arc::clone(pool),
            book: book.cloned(),
            global,
            leadership,
            files,
            known: HashMap::new(),
            remembered: String::new(),
            shown: Arc::default(),
            counts,
            left_out,
        };
        this.recall();
        this
    }

    pub(crate) fn checkup(&self) -> Look {
        let shown = Arc::clone(&self.shown);
        Box::new(move || vec![told(&shown.lock())])
    }

    /// Whether all monitors are known.
    pub(crate) fn is_whole(&self) -> Arc<dyn Fn() -> bool + Send + Sync> {
        let monitors = self.monitors.clone();
        Arc::new(move || {
            Kind::ALL
                .into_iter()
                .all(|kind| !monitors.wants(kind) || monitors.is_whole(kind))
        })
    }

    pub(crate) async fn run(mut self, stop: CancellationToken) {
        loop {
            let leads = self.leadership.borrow_and_update().here;
            self.take(self.monitors.all());
            self.pass_on(leads);
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.monitors.changed() => {}
                Ok(()) = self.leadership.changed() => continue,
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(GATHER) => {}
            }
        }
    }

    /// Reads those that are new or other than before.
    fn take(&mut self, all: All) {
        let monitors = self.monitors.clone();
        // What was remembered stands until all of its kind is known.
        self.known
            .retain(|key, _| all.contains_key(key) || !monitors.is_whole(key.0));
        for (key, seen) in all {
            let before = self.known.remove(&key);
            let known = match before {
                Some(known) if Arc::ptr_eq(&known.seen, &seen) => known,
                before => self.read(&key, seen, before),
            };
            self.known.insert(key, known);
        }
    }

    fn read(&self, key: &Key, seen: Arc<Seen>, before: Option<Known>) -> Known {
        let (said, rules) = before.map_or((None, None), |before| (before.left_out, before.rules));
        let mut known = Known {
            seen: Arc::clone(&seen),
            sections: Vec::new(),
            rules: None,
            left_out: None,
        };
        match &seen.made {
            Err(left_out) => known.left_out = Some(left_out.clone()),
            Ok(Made::Sections(sections)) => match self.sections(sections) {
                Ok(sections) => known.sections = sections,
                Err(left_out) => known.left_out = Some(left_out),
            },
            Ok(Made::Rules { file, text }) => match rules::load(&[(file, text)]) {
                Ok(groups) => known.rules = Some((file.clone(), text.clone(), groups)),
                Err(complaints) => {
                    let complaints: Vec<String> = complaints.iter().map(ToString::to_string).collect();
                    known.left_out = Some(LeftOut::invalid(complaints.join("; ")));
                    // An object of that name that was made anew is another.
                    known.rules = rules.filter(|(known, ..)| known == file);
                }
            },
        }
        if let Some(left_out) = known
            .left_out
            .as_ref()
            .filter(|left_out| said.as_ref() != Some(*left_out))
        {
            let (kind, namespace, name) = key;
            self.left_out.with_label_values(&[left_out.reason.word()]).inc();
            tracing::warn!(
                kind = kind.name(),
                namespace,
                name,
                why = left_out.why,
                "an object of prometheus-operator is left out"
            );
        }
        known
    }

    /// All of an object's sections, or none.
    fn sections(&self, sections: &[Value]) -> Result<Vec<Arc<ScrapeConfig>>, LeftOut> {
        let read = |section: &Value| {
            let config: ScrapeConfig = serde_json::from_value(section.clone()).map_err(LeftOut::invalid)?;
            let mistakes = scrape::check(std::slice::from_ref(&config), &self.global);
            match mistakes.first() {
                None => Ok(Arc::new(config)),
                Some(mistake) => {
                    let (job, mistake) = (&config.job_name, mistake.trim_start_matches("scrape_configs[0]."));
                    Err(LeftOut::invalid(format!("{job}: {mistake}")))
                }
            }
        };
        sections.iter().map(read).collect()
    }

    fn pass_on(&mut self, leads: bool) {
        let mut keys: Vec<&Key> = self.known.keys().collect();
        keys.sort_unstable();
        let (mut shown, mut sections, mut groups, mut texts) =
            (Shown::default(), Vec::new(), Vec::new(), Vec::new());
        for key in keys {
            let Some(known) = self.known.get(key) else {
                continue;
            };
            let (kind, namespace, name) = key;
            *shown.objects.entry(*kind).or_default() += 1;
            sections.extend(known.sections.iter().cloned());
            if let Some((file, text, of_file)) = &known.rules {
                groups.extend(of_file.iter().cloned());
                texts.push((namespace, name, file, text));
            }
            if let Some(left_out) = &known.left_out {
                shown.left_out_count += 1;
                if shown.left_out.len() < LEFT_OUT_MAX {
                    let still = match known.rules {
                        Some(_) => "; its last good rules hold",
                        None => "",
                    };
                    let (kind, why) = (kind.name(), &left_out.why);
                    shown
                        .left_out
                        .push(format!("{kind} {namespace}/{name}: {why}{still}"));
                }
            }
        }
        shown.sections = sections.len();
        for kind in Kind::ALL {
            let count = shown.objects.get(&kind).copied().unwrap_or_default();
            self.counts.with_label_values(&[kind.name()]).set(count as f64);
        }
        if self.monitors.is_whole(Kind::PrometheusRule) {
            let text = serde_json::to_string(&texts).unwrap_or_default();
            if text != self.remembered {
                match self
                    .files
                    .replace(Path::new(REMEMBERED), format!("{MAGIC}{text}").as_bytes())
                {
                    Ok(()) => self.remembered = text,
                    Err(error) => tracing::warn!(%error, "rule objects cannot be remembered"),
                }
            }
        }
        if let Some(book) = &self.book {
            book.objects(groups);
        }
        if !leads {
            sections.clear();
        }
        for mistake in self.pool.observe(&sections) {
            shown.left_out_count += 1;
            if shown.left_out.len() < LEFT_OUT_MAX {
                shown.left_out.push(mistake);
            }
        }
        *self.shown.lock() = shown;
    }

    /// Rules of objects as they were when this process ended.
    fn recall(&mut self) {
        let Some(book) = self.book.clone().filter(|_| self.monitors.wants_rules()) else {
            return;
        };
        let read = match self.files.read(Path::new(REMEMBERED)) {
            Ok(read) => read.unwrap_or_default(),
            Err(error) => {
                return tracing::warn!(%error, "the rule objects that were remembered cannot be read");
            }
        };
        let text = String::from_utf8(read).unwrap_or_default();
        if text.is_empty() {
            // What is told as firing by a rule that is still to come has not ended.
            book.rules.expect_rules(PATIENCE);
        }
        let Some(text) = text.strip_prefix(MAGIC) else {
            if !text.is_empty() {
                tracing::warn!(file = REMEMBERED, "is of another version, and is not read");
            }
            return;
        };
        let Ok(all) = serde_json::from_str::<Vec<(String, String, String, String)>>(text) else {
            return tracing::warn!(file = REMEMBERED, "is damaged, and is not read");
        };
        for (namespace, name, file, text) in all {
            // One that cannot be read by this version is told of when the object comes.
            if let Ok(groups) = rules::load(&[(&file, &text)]) {
                let made = Made::Rules {
                    file: file.clone(),
                    text: text.clone(),
                };
                let known = Known {
                    seen: Arc::new(Seen {
                        uid: String::new(),
                        made: Ok(made),
                    }),
                    sections: Vec::new(),
                    rules: Some((file, text, groups)),
                    left_out: None,
                };
                self.known.insert((Kind::PrometheusRule, namespace, name), known);
            }
        }
        text.clone_into(&mut self.remembered);
        let mut keys: Vec<&Key> = self.known.keys().collect();
        keys.sort_unstable();
        let rules = keys
            .into_iter()
            .filter_map(|key| self.known.get(key)?.rules.as_ref());
        book.objects(rules.flat_map(|(.., groups)| groups.clone()).collect());
    }
}

fn told(shown: &Shown) -> Checkup {
    const ROOM: &str = "cluster";
    const NAME: &str = "monitors";
    let all: usize = shown.objects.values().sum();
    if all == 0 && shown.left_out_count == 0 {
        return Checkup::off(ROOM, NAME, "no objects of prometheus-operator are known");
    }
    let rules = shown
        .objects
        .get(&Kind::PrometheusRule)
        .copied()
        .unwrap_or_default();
    let seen = format!(
        "{} monitors come to {} sections, and there are {rules} rule objects",
        all - rules,
        shown.sections
    );
    match shown.left_out_count {
        0 => Checkup::ok(ROOM, NAME, seen),
        count => Checkup::warn(ROOM, NAME, format!("{seen}; {count} are left out"))
            .advise("correct them, or write a section of scrape_configs in their place; agent/cluster/monitors.md says what is followed")
            .list(shown.left_out.clone()),
    }
}
