//! What of the control plane is scraped: each API server, and on EKS the scheduler and the controller manager, which have no pods
//! there and are shown by the API server under paths of their own.
//!
//! Jobs have the names that kubernetes-mixin looks for. Of some hundred families those are kept that rules and dashboards ask for.

use std::sync::Arc;
use std::time::Duration;

use cluster::{Cluster, ControlPlane, Profile, Right};
use model::discovery::{Namespaces, ObjectRole, ObjectTargets, Selector};
use net::{HttpConfig, TlsConfig, Token};
use scrape::{ScrapeConfig, StaticConfig};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// The Service through which pods reach the API server.
const SERVICE: &str = "kubernetes";
const NAMESPACE: &str = "default";
/// What EKS shows: the job, and its place in the path.
const EKS: [(&str, &str); 2] = [("kube-scheduler", "ksh"), ("kube-controller-manager", "kcm")];
const EKS_GROUP: &str = "metrics.eks.amazonaws.com";
/// Of the time that requests took these bounds are left out: neither the shares that are promised nor the usual quantiles need them.
const BOUNDS_LEFT_OUT: &str = r"apiserver_request_sli_duration_seconds_bucket;(0\.05|0\.6|0\.8|1\.25|1\.5|2(\.0)?|3(\.0)?|4(\.0)?|6(\.0)?|8(\.0)?|15(\.0)?|20(\.0)?|45(\.0)?)";

/// How long an API server may take for its page.
const PATIENCE: Duration = Duration::from_secs(30);
/// Until the API server is asked again what it is.
const ASK_AGAIN: Duration = Duration::from_secs(30);

/// What is scraped of the control plane, by whoever there is once; more of it once the API server has said that it is EKS's.
pub(crate) struct Sections {
    cluster: Cluster,
    config: ControlPlane,
    told: watch::Sender<Arc<[ScrapeConfig]>>,
}

impl Sections {
    /// None where it is not scraped.
    pub(crate) fn new(cluster: &Cluster, config: &cluster::Config) -> Option<Self> {
        config.scrapes_control_plane().then(|| {
            let purpose = "nothing is known of how the API server does";
            cluster.want(Right::new("get", "", "/metrics", purpose));
            Self {
                cluster: cluster.clone(),
                config: config.control_plane.clone(),
                told: watch::Sender::new([api_servers(&config.control_plane)].into()),
            }
        })
    }

    /// What is scraped now and from now on; nothing where there are no sections.
    pub(crate) fn told_by(sections: Option<&Self>) -> watch::Receiver<Arc<[ScrapeConfig]>> {
        sections.map_or_else(|| watch::channel(Arc::default()).1, Self::told)
    }

    fn told(&self) -> watch::Receiver<Arc<[ScrapeConfig]>> {
        self.told.subscribe()
    }

    pub(crate) async fn run(self, stop: CancellationToken) {
        let version = async {
            loop {
                match self.cluster.version().await {
                    Ok(version) => break version,
                    Err(why) => tracing::debug!(why, "the API server does not say what it is"),
                }
                tokio::time::sleep(ASK_AGAIN).await;
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            version = version => if is_eks(&version) {
                self.want_rights_of_eks();
                self.told.send_modify(|told| {
                    *told = told.iter().cloned().chain(of_eks(&self.config)).collect();
                });
            },
        }
        // What was told stands for as long as this does.
        stop.cancelled().await;
    }

    fn want_rights_of_eks(&self) {
        for (_, part) in EKS {
            let purpose = "nothing is known of how the scheduler and the controller manager do";
            let resource = format!("{part}/metrics");
            self.cluster
                .want(Right::new("get", EKS_GROUP, &resource, purpose));
        }
    }
}

/// Each API server by its own address: behind the Service's one address counters of several would be mixed.
fn api_servers(config: &ControlPlane) -> ScrapeConfig {
    let only = |role: ObjectRole, label: &str, field: &str| Selector {
        role: Some(role),
        label: label.to_owned(),
        field: field.to_owned(),
    };
    let found = ObjectTargets {
        role: Some(ObjectRole::EndpointSlice),
        namespaces: Namespaces {
            own_namespace: false,
            names: vec![NAMESPACE.to_owned()],
        },
        selectors: vec![
            only(
                ObjectRole::EndpointSlice,
                &format!("kubernetes.io/service-name={SERVICE}"),
                "",
            ),
            only(ObjectRole::Service, "", &format!("metadata.name={SERVICE}")),
            // They have none.
            only(ObjectRole::Pod, "", &format!("metadata.name={SERVICE}")),
        ],
        ..ObjectTargets::default()
    };
    ScrapeConfig {
        job_name: "kube-apiserver".to_owned(),
        kubernetes_sd_configs: vec![found],
        relabel_configs: vec![keep(&["__meta_kubernetes_endpointslice_port_name"], "https")],
        ..section(config)
    }
}

/// Whatever an API server says its version is.
fn is_eks(version: &str) -> bool {
    version.contains("-eks-")
}

fn of_eks(config: &ControlPlane) -> Vec<ScrapeConfig> {
    let sections = EKS.iter().map(|(job, part)| ScrapeConfig {
        job_name: (*job).to_owned(),
        metrics_path: format!("/apis/{EKS_GROUP}/v1/{part}/container/metrics"),
        static_configs: vec![StaticConfig {
            targets: vec![format!("{SERVICE}.{NAMESPACE}.svc:443")],
            ..StaticConfig::default()
        }],
        ..section(config)
    });
    sections.collect()
}

fn section(config: &ControlPlane) -> ScrapeConfig {
    let mut rules = Vec::new();
    if config.profile != Profile::Full {
        rules.push(keep(
            &[model::labels::METRIC_NAME],
            &ControlPlane::FAMILIES.join("|"),
        ));
        rules.push(relabel::Config {
            action: relabel::Action::Drop,
            ..keep(&[model::labels::METRIC_NAME, "le"], BOUNDS_LEFT_OUT)
        });
    }
    ScrapeConfig {
        scheme: "https".to_owned(),
        scrape_interval: Some(config.interval),
        scrape_timeout: Some(config.interval.min(PATIENCE)),
        metric_relabel_configs: rules,
        http: HttpConfig {
            authorization: Some(Token {
                credentials_file: Some(config.token_file.clone()),
                ..Token::default()
            }),
            tls_config: Some(TlsConfig {
                ca_file: Some(config.ca_file.clone()),
                server_name: (!config.server_name.is_empty()).then(|| config.server_name.clone()),
                ..TlsConfig::default()
            }),
            ..HttpConfig::default()
        },
        ..ScrapeConfig::default()
    }
}

fn keep(labels: &[&str], regex: &str) -> relabel::Config {
    relabel::Config {
        source_labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        regex: Some(regex.to_owned()),
        action: relabel::Action::Keep,
        ..relabel::Config::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_right_and_on_eks_there_are_two_more() {
        let config = ControlPlane::default();
        let mut all = vec![api_servers(&config)];
        all.extend(of_eks(&config));
        assert_eq!(scrape::check(&all, &scrape::Global::default()), [""; 0]);
        let jobs: Vec<&str> = all.iter().map(|section| section.job_name.as_str()).collect();
        assert_eq!(
            jobs,
            ["kube-apiserver", "kube-scheduler", "kube-controller-manager"]
        );
        assert_eq!(
            all[1].metrics_path,
            "/apis/metrics.eks.amazonaws.com/v1/ksh/container/metrics"
        );
        assert!(is_eks("v1.33.5-eks-3025e55") && !is_eks("v1.36.4"));
    }

    #[test]
    fn the_full_profile_leaves_nothing_out() {
        let config = ControlPlane {
            profile: Profile::Full,
            ..ControlPlane::default()
        };
        assert!(api_servers(&config).metric_relabel_configs.is_empty());
    }
}
