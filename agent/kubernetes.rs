//! What of Kubernetes a role asks for, and what is scraped because it is there: the kubelet, and pods that ask for it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use cluster::{Cluster, Kubelet, Right, Scope, summary};
use model::outside::{Call, Identify, Identity};
use model::pods::{Node, Pod};
use model::text::duration;
use model::view::Checkup;
use model::{BoxFuture, Clock, Keep, Pods};
use net::{HttpConfig, TlsConfig, Token, Tokens};
use parking_lot::Mutex;
use prometheus::Registry;
use scrape::{Global, Pool, ScrapeConfig, StaticConfig, Translation};
use tokio_util::sync::CancellationToken;

use crate::checkups::Look;
use crate::cli::Role;
use crate::daemon::hostname;

/// Changes are gathered for so long: a deployment makes many pods at once.
const GATHER: Duration = Duration::from_secs(1);
/// A kubelet listens here unless it is told otherwise.
const KUBELET_PORT: u16 = 10250;
/// It looks at volumes once a minute.
const SUMMARY_INTERVAL: Duration = Duration::from_secs(60);
/// What pods say of themselves begins so.
const ANNOTATION: &str = "prometheus.io/";
/// Pods whose annotations cannot be followed that are remembered for doctor.
const WRONG_MAX: usize = 100;

/// What this machine is called: an agent in Kubernetes reads the node that it is on and not its own pod.
pub(crate) fn host(config: &cluster::Config, role: Role) -> String {
    let host = hostname();
    match config.is_wanted() && role != Role::Cluster {
        true => config.node_name(&host),
        false => host,
    }
}

/// The cluster that the configuration means, or that this process finds itself in; none outside of any.
///
/// # Errors
/// It is meant, and cannot be asked.
pub(crate) async fn cluster(
    config: &cluster::Config,
    role: Role,
    host: &str,
    clock: Arc<dyn Clock>,
    registry: &Registry,
) -> anyhow::Result<Option<Cluster>> {
    if !config.is_wanted() {
        return Ok(None);
    }
    let scope = match role {
        Role::All | Role::Node => Scope::Node,
        Role::Cluster => Scope::Cluster,
    };
    let made = Cluster::new(config.clone(), scope, host, clock, registry).await;
    Ok(Some(made?))
}

/// The state of the cluster's objects, told by the watches of `cluster`.
pub(crate) fn state(
    cluster: &Cluster,
    config: &kubestate::Config,
    keep: Arc<dyn Keep>,
    clock: Arc<dyn Clock>,
    registry: &Registry,
) -> kubestate::KubeState {
    let (state, wanted) = kubestate::KubeState::new(config.clone(), keep, clock, registry);
    for (wanted, observer) in wanted {
        cluster.observe(wanted, observer);
    }
    state
}

/// The agents of all nodes, if the configuration says by what they are found.
pub(crate) fn agents(cluster: Option<&Cluster>, config: &cluster::Config) -> logs::FoundNodes {
    let agents = &config.agents;
    match cluster.filter(|_| !agents.service.is_empty()) {
        Some(cluster) => logs::FoundNodes {
            addresses: cluster.agents(),
            token_file: Some(agents.token_file.clone()),
        },
        None => logs::FoundNodes::nobody(),
    }
}

/// Who may call: whoever has a token of the file, and in Kubernetes agents and replicas with those of their pods.
pub(crate) fn guests(
    tokens: Arc<Tokens>,
    cluster: Option<&Cluster>,
    role: Role,
    listens: SocketAddr,
    registry: &Registry,
) -> Arc<dyn Identify> {
    let reviews = match role {
        Role::Cluster => true,
        // Nobody from elsewhere reaches the others: there is no right to ask for.
        Role::Node => !listens.ip().to_canonical().is_loopback(),
        Role::All => false,
    };
    match cluster.filter(|_| reviews) {
        Some(cluster) => Arc::new(Guests {
            tokens,
            reviews: cluster.reviews(registry),
        }),
        None => tokens,
    }
}

struct Guests {
    tokens: Arc<dyn Identify>,
    reviews: Arc<dyn Identify>,
}

impl Identify for Guests {
    fn identify<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<Identity, String>> {
        // Those of ServiceAccounts have dots. One of the file may have some, too.
        let has_dots = call.bearer().is_some_and(|token| token.contains('.'));
        Box::pin(async move {
            if !has_dots {
                let known = self.tokens.identify(call).await;
                return match known {
                    Ok(who) => Ok(who),
                    // Nobody is asked: it is said what a caller may show.
                    Err(_) => self.reviews.identify(call).await,
                };
            }
            match self.reviews.identify(call).await {
                Ok(who) => Ok(who),
                Err(why) => self.tokens.identify(call).await.map_err(|_| why),
            }
        })
    }
}

/// Tells the pool what is there to be scraped.
pub(crate) struct Discovery {
    cluster: Cluster,
    config: cluster::Config,
    global: Global,
    pool: Arc<Pool>,
    wrong: Arc<Mutex<Vec<String>>>,
}

impl Discovery {
    /// None where nothing is scraped by what is found.
    pub(crate) fn new(
        cluster: &Cluster,
        config: &cluster::Config,
        global: Global,
        pool: &Arc<Pool>,
    ) -> Option<Self> {
        if config.scrapes_kubelet() {
            let purpose = "the kubelet's pages, cAdvisor's among them, cannot be read";
            cluster.want(Right::new("get", "", "nodes/metrics", purpose));
            if config.kubelet.pages().any(|page| page == Kubelet::SUMMARY) {
                let purpose = "the storage of pods and containers is not known";
                cluster.want(Right::new("get", "", "nodes/stats", purpose));
            }
        }
        (config.scrapes_pods() || config.scrapes_kubelet()).then(|| Self {
            cluster: cluster.clone(),
            config: config.clone(),
            global,
            pool: Arc::clone(pool),
            wrong: Arc::default(),
        })
    }

    /// What is wrong with the annotations of pods, for doctor.
    pub(crate) fn checkup(&self) -> Look {
        let wrong = Arc::clone(&self.wrong);
        let scrapes = self.config.scrapes_pods();
        Box::new(move || {
            const NAME: &str = "annotations";
            let wrong = wrong.lock().clone();
            vec![match (scrapes, wrong.len()) {
                (false, _) => Checkup::off("cluster", NAME, "pods are not scraped by their annotations"),
                (true, 0) => Checkup::ok("cluster", NAME, "pods that ask to be scraped can be"),
                (true, count) => Checkup::warn(
                    "cluster",
                    NAME,
                    format!("{count} pods ask to be scraped in a way that cannot be"),
                )
                .advise("correct their annotations prometheus.io/…")
                .list(wrong),
            }]
        })
    }

    pub(crate) async fn run(self, stop: CancellationToken) {
        let (mut pods, mut node) = (self.cluster.pods(), self.cluster.node());
        loop {
            let sections = self.sections(
                &node.borrow_and_update().clone(),
                &pods.borrow_and_update().clone(),
            );
            // What is wrong has been left out already.
            for mistake in self.pool.find(sections) {
                tracing::warn!(mistake, "not scraped");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                Ok(()) = pods.changed() => {}
                Ok(()) = node.changed() => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(GATHER) => {}
            }
        }
    }

    fn sections(&self, node: &Node, pods: &Pods) -> Vec<ScrapeConfig> {
        let mut sections = Vec::new();
        if self.config.scrapes_kubelet() {
            sections.extend(kubelet(&self.config.kubelet, node));
        }
        let mut wrong = Vec::new();
        if self.config.scrapes_pods() {
            let mut asking: Vec<&Arc<Pod>> = pods.by_uid.values().filter(|pod| asks(pod)).collect();
            // In the same order each time.
            asking.sort_unstable_by_key(|pod| (&pod.namespace, &pod.name, &pod.uid));
            for pod in asking {
                let made = section(pod).and_then(|section| {
                    let mistakes = scrape::check(std::slice::from_ref(&section), &self.global);
                    match mistakes.into_iter().next() {
                        None => Ok(section),
                        Some(mistake) => Err(mistake.trim_start_matches("scrape_configs[0].").to_owned()),
                    }
                });
                match made {
                    Ok(section) => sections.push(section),
                    Err(mistake) if wrong.len() < WRONG_MAX => {
                        wrong.push(format!("{}/{}: {mistake}", pod.namespace, pod.name));
                    }
                    Err(_) => {}
                }
            }
        }
        *self.wrong.lock() = wrong;
        sections
    }
}

/// Jobs have the names that kubernetes-mixin's rules and dashboards look for.
fn kubelet(kubelet: &Kubelet, node: &Node) -> Vec<ScrapeConfig> {
    let address = match (kubelet.address.as_str(), node.address.as_str()) {
        // Its address is not known yet.
        ("", "") => return Vec::new(),
        ("", address) => host_port(address, KUBELET_PORT),
        (told, _) => told.to_owned(),
    };
    let job = |path: &str| match path {
        "/metrics/cadvisor" => "cadvisor",
        // It has names of cadvisor's, with fewer labels.
        "/metrics/resource" => "kubelet-resource",
        Kubelet::SUMMARY => "kubelet-summary",
        _ => "kubelet",
    };
    let sections = kubelet.pages().map(|path| ScrapeConfig {
        job_name: job(path).to_owned(),
        metric_relabel_configs: match job(path) {
            "cadvisor" => profile(kubelet.profile),
            _ => Vec::new(),
        },
        scheme: "https".to_owned(),
        metrics_path: path.to_owned(),
        // What a container is called counts more than what the target is called.
        honor_labels: true,
        static_configs: vec![StaticConfig {
            targets: vec![address.clone()],
            labels: labels(&[("node", &node.name), ("metrics_path", path)]),
        }],
        http: HttpConfig {
            authorization: Some(Token {
                credentials_file: Some(kubelet.token_file.clone()),
                ..Token::default()
            }),
            tls_config: Some(TlsConfig {
                ca_file: Some(kubelet.ca_file.clone()),
                server_name: (!kubelet.server_name.is_empty()).then(|| kubelet.server_name.clone()),
                insecure_skip_verify: kubelet.insecure_skip_verify,
                ..TlsConfig::default()
            }),
            ..HttpConfig::default()
        },
        ..ScrapeConfig::default()
    });
    let sections = sections.map(|section| match section.metrics_path.as_str() {
        Kubelet::SUMMARY => of_summary(section, kubelet.profile),
        _ => section,
    });
    sections.collect()
}

/// It is no metrics text, and its figures are of the last minute.
fn of_summary(section: ScrapeConfig, profile: cluster::Profile) -> ScrapeConfig {
    let translation = match profile {
        cluster::Profile::Full => Translation {
            name: "summary, whole",
            read: summary::whole,
        },
        _ => Translation {
            name: "summary",
            read: summary::used,
        },
    };
    ScrapeConfig {
        scrape_interval: Some(SUMMARY_INTERVAL),
        body_size_limit: summary::BODY_BYTES_MAX,
        translation: Some(translation),
        ..section
    }
}

/// The rule that keeps what a profile names.
fn profile(profile: cluster::Profile) -> Vec<relabel::Config> {
    let rule = |families: Vec<&str>| relabel::Config {
        source_labels: vec![model::labels::METRIC_NAME.to_owned()],
        regex: Some(families.join("|")),
        action: relabel::Action::Keep,
        ..relabel::Config::default()
    };
    profile.families().map(rule).into_iter().collect()
}

fn asks(pod: &Pod) -> bool {
    let says = |key: &str| {
        pod.annotations
            .get(&format!("{ANNOTATION}{key}"))
            .map(String::as_str)
    };
    says("scrape") == Some("true") && pod.phase == "Running" && !pod.is_gone && !pod.ip.is_empty()
}

/// A target for each port that the pod has, or for the one that its annotation names.
fn section(pod: &Pod) -> Result<ScrapeConfig, String> {
    let says = |key: &str| {
        pod.annotations
            .get(&format!("{ANNOTATION}{key}"))
            .map(String::as_str)
    };
    let declared = pod
        .containers
        .iter()
        .flat_map(|container| container.ports.iter().map(move |port| (port, container)))
        .filter(|(port, _)| port.protocol == "TCP");
    let ports: Vec<(u16, &str)> = match says("port") {
        Some(text) => {
            let number: u16 = text
                .parse()
                .ok()
                .filter(|number| *number > 0)
                .ok_or_else(|| format!("{ANNOTATION}port: no port: {text:?}"))?;
            let of = declared.into_iter().find(|(port, _)| port.number == number);
            vec![(number, of.map_or("", |(_, container)| &container.name))]
        }
        None => declared
            .map(|(port, container)| (port.number, container.name.as_str()))
            .collect(),
    };
    if ports.is_empty() {
        return Err(format!(
            "{ANNOTATION}port: is not there, and no container names a TCP port"
        ));
    }
    let time = |key: &str| {
        says(key)
            .map(|text| duration::parse(text).map_err(|why| format!("{ANNOTATION}{key}: {why}")))
            .transpose()
    };
    let params = pod.annotations.iter().filter_map(|(key, value)| {
        let name = key.strip_prefix(ANNOTATION)?.strip_prefix("param_")?;
        Some((name.to_owned(), vec![value.clone()]))
    });
    let groups = ports.into_iter().map(|(port, container)| StaticConfig {
        targets: vec![host_port(&pod.ip, port)],
        labels: labels(&[
            ("namespace", &pod.namespace),
            ("pod", &pod.name),
            ("container", container),
            ("node", &pod.node),
        ]),
    });
    Ok(ScrapeConfig {
        job_name: "kubernetes-pods".to_owned(),
        scheme: says("scheme").unwrap_or("http").to_owned(),
        metrics_path: says("path").unwrap_or("/metrics").to_owned(),
        params: params.collect(),
        scrape_interval: time("interval")?,
        scrape_timeout: time("timeout")?,
        static_configs: groups.collect(),
        ..ScrapeConfig::default()
    })
}

/// Without those that are empty.
fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let told = pairs.iter().filter(|(_, value)| !value.is_empty());
    told.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn host_port(host: &str, port: u16) -> String {
    match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use model::Labels;
    use model::outside::Role as Caller;
    use model::pods::{Container, Port};

    use super::*;

    fn pod(annotations: &[(&str, &str)], ports: &[(&str, u16, &str)]) -> Pod {
        let containers = ports.iter().map(|(container, number, protocol)| Container {
            name: (*container).to_owned(),
            ports: vec![Port {
                name: String::new(),
                number: *number,
                protocol: (*protocol).to_owned(),
            }],
            ..Container::default()
        });
        Pod {
            uid: "u".to_owned(),
            namespace: "shop".to_owned(),
            name: "web-1".to_owned(),
            node: "n1".to_owned(),
            ip: "10.0.0.9".to_owned(),
            phase: "Running".to_owned(),
            annotations: annotations
                .iter()
                .map(|(key, value)| (format!("{ANNOTATION}{key}"), (*value).to_owned()))
                .collect(),
            containers: containers.collect(),
            ..Pod::default()
        }
    }

    fn targets(section: &ScrapeConfig) -> Vec<(String, String)> {
        let groups = section.static_configs.iter();
        groups
            .map(|group| {
                let container = group.labels.get("container").cloned().unwrap_or_default();
                (group.targets[0].clone(), container)
            })
            .collect()
    }

    fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
        all.iter()
            .map(|(one, other)| ((*one).to_owned(), (*other).to_owned()))
            .collect()
    }

    const PORTS: [(&str, u16, &str); 3] = [("app", 8080, "TCP"), ("dns", 53, "UDP"), ("side", 9102, "TCP")];

    #[test]
    fn a_pod_is_scraped_at_each_of_its_tcp_ports_or_at_the_one_that_it_names() {
        let all = section(&pod(&[("scrape", "true")], &PORTS)).unwrap();
        assert_eq!(
            targets(&all),
            pairs(&[("10.0.0.9:8080", "app"), ("10.0.0.9:9102", "side")])
        );
        let one = section(&pod(
            &[
                ("port", "9102"),
                ("path", "/m"),
                ("scheme", "https"),
                ("param_format", "x"),
            ],
            &PORTS,
        ));
        let one = one.unwrap();
        assert_eq!(targets(&one), pairs(&[("10.0.0.9:9102", "side")]));
        assert_eq!((one.metrics_path.as_str(), one.scheme.as_str()), ("/m", "https"));
        assert_eq!(one.params["format"], ["x"]);
        let hidden = section(&pod(
            &[("port", "1234"), ("interval", "1m"), ("timeout", "5s")],
            &PORTS,
        ))
        .unwrap();
        assert_eq!(targets(&hidden), pairs(&[("10.0.0.9:1234", "")]));
        assert_eq!(hidden.scrape_interval, Some(Duration::from_secs(60)));
        let labels = &hidden.static_configs[0].labels;
        assert_eq!(labels["namespace"], "shop");
        assert_eq!(labels["pod"], "web-1");
        assert_eq!(labels["node"], "n1");
        let six = Pod {
            ip: "fd00::9".to_owned(),
            ..pod(&[("port", "80")], &[])
        };
        assert_eq!(targets(&section(&six).unwrap()), pairs(&[("[fd00::9]:80", "")]));
    }

    #[test]
    fn of_cadvisor_is_kept_what_the_profile_names() {
        let node = Node {
            name: "n1".to_owned(),
            address: "10.0.0.1".to_owned(),
            ..Node::default()
        };
        for (profile, kept) in [
            (cluster::Profile::Minimal, 1),
            (cluster::Profile::Community, 2),
            (cluster::Profile::Full, 3),
        ] {
            let told = Kubelet {
                profile,
                ..Kubelet::default()
            };
            for section in kubelet(&told, &node) {
                let rules = relabel::Rules::new(&section.metric_relabel_configs).unwrap();
                let is_kept = |name: &&str| {
                    let labels = Labels::from_pairs([("__name__", *name), ("pod", "web-1")]);
                    rules.apply(&labels) == relabel::Verdict::Kept(labels)
                };
                let names = [
                    "container_memory_rss",
                    "container_last_seen",
                    "container_tasks_state",
                ];
                let count = names.iter().filter(|name| is_kept(name)).count();
                let wanted = if section.job_name == "cadvisor" { kept } else { 3 };
                assert_eq!(count, wanted, "{profile:?} {}", section.metrics_path);
            }
        }
    }

    #[test]
    fn the_summary_is_read_once_a_minute_unless_the_profile_is_minimal() {
        let node = Node {
            name: "n1".to_owned(),
            address: "10.0.0.1".to_owned(),
            ..Node::default()
        };
        for (profile, read) in [
            (cluster::Profile::Minimal, None),
            (cluster::Profile::Community, Some("summary")),
            (cluster::Profile::Full, Some("summary, whole")),
        ] {
            let told = Kubelet {
                profile,
                ..Kubelet::default()
            };
            let sections = kubelet(&told, &node);
            let translated = sections.iter().filter_map(|section| section.translation);
            assert_eq!(translated.map(|one| one.name).next(), read, "{profile:?}");
            let summary = sections
                .iter()
                .find(|section| section.metrics_path == "/stats/summary");
            assert_eq!(summary.is_some(), read.is_some());
            assert!(summary.is_none_or(|section| {
                section.job_name == "kubelet-summary"
                    && section.scrape_interval == Some(Duration::from_secs(60))
                    && section.body_size_limit == 16 << 20
            }));
            assert!(scrape::check(&sections[sections.len() - 1..], &Global::default()).is_empty());
        }
    }

    #[test]
    fn annotations_that_cannot_be_followed_are_said() {
        for (annotations, ports, want) in [
            (
                &[("port", "http")][..],
                &PORTS[..],
                "prometheus.io/port: no port: \"http\"",
            ),
            (&[("port", "0")], &PORTS, "no port: \"0\""),
            (&[("interval", "often")], &PORTS, "prometheus.io/interval: "),
            (&[("scrape", "true")], &[], "no container names a TCP port"),
        ] {
            let said = section(&pod(annotations, ports)).unwrap_err();
            assert!(said.contains(want), "{said}");
        }
    }

    #[test]
    fn only_a_running_pod_with_an_address_that_asks_is_scraped() {
        let asking = pod(&[("scrape", "true")], &PORTS);
        assert!(asks(&asking));
        assert!(!asks(&pod(&[("scrape", "false")], &PORTS)));
        assert!(!asks(&pod(&[], &PORTS)));
        assert!(!asks(&Pod {
            phase: "Pending".to_owned(),
            ..asking.clone()
        }));
        assert!(!asks(&Pod {
            is_gone: true,
            ..asking.clone()
        }));
        assert!(!asks(&Pod {
            ip: String::new(),
            ..asking
        }));
    }

    #[test]
    fn a_kubelet_has_a_target_for_each_page_once_its_address_is_known() {
        let config = cluster::Kubelet::default();
        assert!(kubelet(&config, &Node::default()).is_empty());
        let node = Node {
            name: "n1".to_owned(),
            address: "10.0.0.4".to_owned(),
            ..Node::default()
        };
        let sections = kubelet(&config, &node);
        let jobs: Vec<(&str, &str, &str)> = sections
            .iter()
            .map(|section| {
                let group = &section.static_configs[0];
                (
                    section.job_name.as_str(),
                    section.metrics_path.as_str(),
                    group.targets[0].as_str(),
                )
            })
            .collect();
        let at = "10.0.0.4:10250";
        assert_eq!(
            jobs,
            [
                ("kubelet", "/metrics", at),
                ("cadvisor", "/metrics/cadvisor", at),
                ("kubelet", "/metrics/probes", at),
                ("kubelet-resource", "/metrics/resource", at),
                ("kubelet-summary", "/stats/summary", at)
            ]
        );
        assert!(
            sections
                .iter()
                .all(|section| section.scheme == "https" && section.static_configs[0].labels["node"] == "n1")
        );
        let told = cluster::Kubelet {
            address: "127.0.0.1:7".to_owned(),
            ..config
        };
        assert_eq!(
            kubelet(&told, &Node::default())[0].static_configs[0].targets,
            ["127.0.0.1:7"]
        );
    }

    /// Knows one token.
    struct Knows(&'static str);

    impl Identify for Knows {
        fn identify<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<Identity, String>> {
            let known = call.bearer() == Some(self.0);
            let who = known.then(|| Identity {
                role: Caller::Node,
                name: self.0.into(),
            });
            Box::pin(std::future::ready(who.ok_or_else(|| format!("not {}", self.0))))
        }
    }

    #[tokio::test]
    async fn tokens_of_the_file_are_taken_beside_those_of_accounts_also_with_dots() {
        for ours in ["plain", "with.dots"] {
            let guests = Guests {
                tokens: Arc::new(Knows(ours)),
                reviews: Arc::new(Knows("a.b.c")),
            };
            let ask = async |token: &str| {
                let call = Call {
                    headers: vec![("authorization".to_owned(), format!("Bearer {token}"))],
                    ..Call::default()
                };
                guests.identify(&call).await.map(|who| who.name.to_string())
            };
            assert_eq!(ask(ours).await.as_deref(), Ok(ours));
            assert_eq!(ask("a.b.c").await.as_deref(), Ok("a.b.c"));
            assert_eq!(ask("x.y.z").await, Err("not a.b.c".to_owned()));
        }
    }
}
