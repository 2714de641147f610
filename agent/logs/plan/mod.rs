//! What is done with the lines of a source: which parser reads them, which are joined, which are left out.
//!
//! Filters of the configuration in their order, then annotations of the pod; of two that say the same thing the later one
//! counts. Made once for a source and again when something about it has changed, never per line.

mod filter;
mod limit;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use model::{Pod, Pods};
use tokio::sync::watch;

use crate::config::Config;
use crate::mark::{Facts, Form};
use crate::multiline::Mode;
use crate::parse::{Parser, Pattern};
use crate::source::Container;
pub use filter::{Filter, Joining, Match, Stream};
pub(crate) use limit::Bucket;
pub(crate) use limit::Rate;

/// What is done with the lines of one source.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// By stream: neither, stdout, stderr.
    ways: [Way; 3],
    /// The pod whose lines they are, where somebody knows it.
    pub(crate) pod: Option<Arc<Pod>>,
}

/// What is done with the lines of one stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Way {
    pub(crate) parser: Parser,
    pub(crate) mode: Mode,
    pub(crate) is_excluded: bool,
    /// Of 2^32 lines that are not grave so many are kept; none: all of them.
    pub(crate) sample: Option<u32>,
    pub(crate) rate: Option<Rate>,
}

impl Plan {
    pub(crate) fn way(&self, stream: u8) -> &Way {
        static NONE: Way = Way {
            parser: Parser::Auto,
            mode: Mode::None,
            is_excluded: false,
            sample: None,
            rate: None,
        };
        self.ways.get(usize::from(stream)).unwrap_or(&NONE)
    }

    /// Whether no line of it is wanted.
    pub(crate) fn is_excluded(&self) -> bool {
        self.ways.iter().all(|way| way.is_excluded)
    }
}

/// What a source's path, or whoever keeps it, says of it.
pub(crate) struct Whose<'a> {
    path: &'a Path,
    /// Of Docker's containers it is Compose's project.
    pub(crate) namespace: Option<&'a str>,
    pub(crate) pod: Option<&'a str>,
    uid: Option<&'a str>,
    pub(crate) container: Option<&'a str>,
    facts: Option<&'a Facts>,
}

impl<'a> Whose<'a> {
    pub(crate) fn of(form: Form, base: &'a str, facts: Option<&'a Facts>) -> Self {
        let container = (form == Form::Cri).then(|| Container::of(base)).flatten();
        let said = |name: &str| facts.and_then(|facts| facts.said(name));
        Self {
            path: Path::new(base),
            namespace: (container.as_ref().map(|container| container.namespace))
                .or_else(|| said("namespace"))
                .or_else(|| said("container.project")),
            pod: container
                .as_ref()
                .map(|container| container.pod)
                .or_else(|| said("pod")),
            uid: container
                .as_ref()
                .map(|container| container.uid)
                .or_else(|| said("pod_uid")),
            container: (container.as_ref().map(|container| container.name))
                .or_else(|| said("container"))
                .or_else(|| said("container.name")),
            facts,
        }
    }

    /// Its pod's, or its container's.
    fn label(&self, pod: Option<&'a Pod>, key: &str) -> Option<&'a str> {
        let of_pod = pod.and_then(|pod| pod.labels.get(key));
        let facts = self.facts;
        of_pod
            .map(String::as_str)
            .or_else(|| facts?.said(&format!("container.labels.{key}")))
    }
}

/// Makes plans.
pub(crate) struct Planner {
    filters: Vec<Filter>,
    parsers: BTreeMap<String, Parser>,
    hears_annotations: bool,
    pods: Option<watch::Receiver<Arc<Pods>>>,
    /// Annotations that cannot be followed, and have been complained of.
    complaints: HashMap<String, String>,
    usual: Arc<Plan>,
}

/// Complaints that are remembered, so that each is made once.
const COMPLAINTS_MAX: usize = 1_000;

/// Own annotations; each may end in `-<container>`.
const EXCLUDE: &str = "skopos.io/log-exclude";
const PARSER: &str = "skopos.io/log-parser";
const MULTILINE: &str = "skopos.io/log-multiline";
const SAMPLE: &str = "skopos.io/log-sample";
const RATE: &str = "skopos.io/log-rate";

impl Planner {
    pub(crate) fn new(config: &Config, pods: Option<watch::Receiver<Arc<Pods>>>) -> Self {
        let mut planner = Self {
            filters: Vec::new(),
            parsers: BTreeMap::new(),
            hears_annotations: true,
            pods,
            complaints: HashMap::new(),
            usual: Arc::default(),
        };
        planner.configure(config);
        planner
    }

    pub(crate) fn configure(&mut self, config: &Config) {
        self.filters.clone_from(&config.filters);
        // They were looked at when the configuration was read.
        let parsers = config.parsers.iter().filter_map(|parser| {
            let pattern = Pattern::new(parser).ok()?;
            Some((parser.name.clone(), Parser::Pattern(Arc::new(pattern))))
        });
        self.parsers = parsers.collect();
        self.hears_annotations = config.annotations;
        self.complaints.clear();
    }

    /// Whether pods have changed since this was last asked.
    pub(crate) fn has_news(&mut self) -> bool {
        let Some(pods) = &mut self.pods else {
            return false;
        };
        let is_news = pods.has_changed().unwrap_or(false);
        if is_news {
            pods.mark_unchanged();
        }
        is_news
    }

    /// Whether somebody may still say whose lines these are.
    pub(crate) fn may_hear_of(&self, form: Form, base: &str, facts: Option<&Facts>) -> bool {
        let Some(pods) = &self.pods else {
            return false;
        };
        let whose = Whose::of(form, base, facts);
        whose
            .uid
            .is_some_and(|uid| !pods.borrow().by_uid.contains_key(uid))
    }

    /// What is done with the lines of a source.
    pub(crate) fn plan(&mut self, form: Form, base: &str, facts: Option<&Facts>) -> Arc<Plan> {
        // Whoever has given these has joined them, and left out what he wanted to.
        if form == Form::Spool {
            return Arc::clone(&self.usual);
        }
        let whose = Whose::of(form, base, facts);
        let pod = whose.uid.and_then(|uid| {
            let pods = self.pods.as_ref()?.borrow();
            pods.by_uid.get(uid).map(Arc::clone)
        });
        let mut ways: [Way; 3] = Default::default();
        let mut is_usual = pod.is_none();
        for filter in &self.filters {
            if !filter.matches.is_of(&whose, pod.as_deref()) {
                continue;
            }
            is_usual = false;
            for (stream, way) in ways.iter_mut().enumerate() {
                if filter.matches.is_of_stream(stream) {
                    filter.apply(way, &self.parsers);
                }
            }
        }
        if self.hears_annotations
            && let (Some(container), Some(pod)) = (whose.container, &pod)
        {
            for complaint in follow(&mut ways, pod, container, &self.parsers) {
                self.complain(pod, complaint);
            }
        }
        match is_usual {
            true => Arc::clone(&self.usual),
            false => Arc::new(Plan { ways, pod }),
        }
    }

    fn complain(&mut self, pod: &Pod, complaint: String) {
        let known = self.complaints.get(&pod.uid);
        if known == Some(&complaint) || self.complaints.len() >= COMPLAINTS_MAX {
            return;
        }
        tracing::warn!(
            namespace = pod.namespace,
            pod = pod.name,
            complaint,
            "an annotation about log lines is not followed"
        );
        self.complaints.insert(pod.uid.clone(), complaint);
    }
}

/// Does what a pod's annotations say, Fluent Bit's first. Returns what cannot be done.
fn follow(
    ways: &mut [Way; 3],
    pod: &Pod,
    container: &str,
    parsers: &BTreeMap<String, Parser>,
) -> Vec<String> {
    let mut wrong = Vec::new();
    for (way, stream) in ways.iter_mut().skip(1).zip(["stdout", "stderr"]) {
        let of_stream = |key: &str| {
            let narrow = pod.annotation(&format!("{key}_{stream}"), container);
            narrow.or_else(|| pod.annotation(key, container))
        };
        if let Some(said) = of_stream("fluentbit.io/exclude") {
            way.is_excluded = said == "true";
        }
        if let Some(name) = of_stream("fluentbit.io/parser") {
            match filter::parser(name, parsers) {
                Some(parser) => way.parser = parser,
                None => wrong.push(filter::unknown_parser("fluentbit.io/parser", name, parsers)),
            }
        }
        let own = |key: &str| pod.annotation(key, container);
        let mut not =
            |key: &str, said: &str, want: &str| wrong.push(format!("{key}: {said:?} is not {want}"));
        match own(EXCLUDE) {
            Some(said @ ("true" | "false")) => way.is_excluded = said == "true",
            Some(said) => not(EXCLUDE, said, "true or false"),
            None => {}
        }
        match own(MULTILINE) {
            Some("auto") => way.mode = Mode::Auto,
            Some("none") => way.mode = Mode::None,
            Some(said) => not(MULTILINE, said, "auto or none"),
            None => {}
        }
        if let Some(said) = own(SAMPLE) {
            match said.parse().ok().and_then(filter::threshold) {
                Some(threshold) => way.sample = Some(threshold),
                None => not(SAMPLE, said, "a share of 0 to 1"),
            }
        }
        if let Some(said) = own(RATE) {
            match said.parse().ok().filter(|lines| *lines > 0) {
                Some(lines) => way.rate = Some(Rate::new(lines, None)),
                None => not(RATE, said, "a number of lines a second"),
            }
        }
        if let Some(name) = own(PARSER) {
            match filter::parser(name, parsers) {
                Some(parser) => way.parser = parser,
                None => wrong.push(filter::unknown_parser(PARSER, name, parsers)),
            }
        }
    }
    wrong.dedup();
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "/var/log/pods/shop_api-7f_u-1/web/0.log";

    fn planner(filters: &str, pods: Option<Pods>) -> Planner {
        let config =
            format!(r#"{{"filters": {filters}, "parsers": [{{"name": "mine", "regex": "(?<a>x)"}}]}}"#);
        let config: Config = serde_json::from_str(&config).unwrap();
        config.check().unwrap();
        Planner::new(&config, pods.map(|pods| watch::channel(Arc::new(pods)).1))
    }

    fn pods(annotations: &[(&str, &str)], labels: &[(&str, &str)]) -> Pods {
        let owned = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter();
            pairs
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect()
        };
        let pod = Pod {
            uid: "u-1".to_owned(),
            annotations: owned(annotations),
            labels: owned(labels),
            ..Pod::default()
        };
        Pods {
            by_uid: [("u-1".to_owned(), Arc::new(pod))].into(),
        }
    }

    #[test]
    fn without_filters_and_pods_all_sources_share_one_plan() {
        let mut planner = planner("[]", None);
        let (left, right) = (
            planner.plan(Form::Cri, BASE, None),
            planner.plan(Form::Plain, "/a.log", None),
        );
        assert!(Arc::ptr_eq(&left, &right));
        assert!(matches!(left.way(1).mode, Mode::Auto));
    }

    #[test]
    fn filters_match_by_place_and_labels_and_the_later_one_counts() {
        let filters = r#"[
            {"match": {"namespace": ["shop", "pay"]}, "parser": "logfmt", "multiline": "none"},
            {"match": {"pod": "api-*", "container": "web", "stream": "stderr"}, "parser": "mine"},
            {"match": {"labels": {"app": "ap*"}}, "exclude": true},
            {"match": {"path": "/var/log/*.log"}, "rate": 5}
        ]"#;
        let mut planner_one = planner(filters, None);
        let plan = planner_one.plan(Form::Cri, BASE, None);
        assert!(matches!(plan.way(1).parser, Parser::Logfmt));
        assert!(matches!(plan.way(2).parser, Parser::Pattern(_)));
        assert!(matches!(plan.way(2).mode, Mode::None));
        assert!(!plan.is_excluded() && plan.way(1).rate.is_none());
        assert!(
            planner_one
                .plan(Form::Plain, "/var/log/a.log", None)
                .way(0)
                .rate
                .is_some()
        );
        let mut labelled = planner(filters, Some(pods(&[], &[("app", "api")])));
        assert!(labelled.plan(Form::Cri, BASE, None).is_excluded());
        let mut other = planner(filters, Some(pods(&[], &[("app", "web")])));
        assert!(!other.plan(Form::Cri, BASE, None).is_excluded());
    }

    #[test]
    fn annotations_count_more_than_filters_and_those_of_fluent_bit_are_known() {
        let plan = |annotations: &[(&str, &str)]| {
            let filters = r#"[{"match": {}, "parser": "text", "rate": 5}]"#;
            planner(filters, Some(pods(annotations, &[]))).plan(Form::Cri, BASE, None)
        };
        let bit = plan(&[
            ("fluentbit.io/parser", "nginx"),
            ("fluentbit.io/exclude_stderr", "true"),
        ]);
        assert!(matches!(bit.way(1).parser, Parser::Access));
        assert!(bit.way(2).is_excluded && !bit.way(1).is_excluded);
        let own = plan(&[
            ("skopos.io/log-parser-web", "mine"),
            ("skopos.io/log-parser", "json"),
            ("skopos.io/log-sample", "0.5"),
            ("skopos.io/log-rate", "nonsense"),
            ("skopos.io/log-multiline", "none"),
        ]);
        assert!(matches!(own.way(1).parser, Parser::Pattern(_)));
        assert_eq!(own.way(1).sample, Some(1 << 31));
        assert!(own.way(1).rate.is_some(), "the filter's");
        assert!(matches!(own.way(2).mode, Mode::None));
    }

    #[test]
    fn containers_of_docker_are_known_by_name_project_and_label() {
        let facts = [
            ("container.name", "shop-web-1"),
            ("container.project", "shop"),
            ("container.labels.team", "blue"),
        ];
        let facts = Facts::new("shop-web-1", facts.map(|(name, value)| (name, value.to_owned())));
        let base = "/var/lib/docker/containers/4f/4f-json.log";
        for (filter, want) in [
            (
                r#"{"container": "shop-*", "namespace": "shop", "labels": {"team": "blue"}}"#,
                true,
            ),
            (r#"{"labels": {"team": "red"}}"#, false),
            (r#"{"pod": "*"}"#, false),
        ] {
            let filters = format!(r#"[{{"match": {filter}, "exclude": true}}]"#);
            let plan = planner(&filters, None).plan(Form::Cri, base, Some(&facts));
            assert_eq!(plan.is_excluded(), want, "{filter}");
        }
    }

    #[test]
    fn whose_lines_are_unknown_may_be_told_soon_if_anybody_tells() {
        let known = planner("[]", Some(pods(&[], &[])));
        assert!(!known.may_hear_of(Form::Cri, BASE, None));
        let unknown = planner("[]", Some(Pods::default()));
        assert!(unknown.may_hear_of(Form::Cri, BASE, None));
        assert!(!unknown.may_hear_of(Form::Plain, "/var/log/a.log", None));
        assert!(!planner("[]", None).may_hear_of(Form::Cri, BASE, None));
    }
}
