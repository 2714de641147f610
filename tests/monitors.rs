//! Objects of prometheus-operator: the same targets as a real Prometheus has by the configuration that a real operator makes of
//! the same objects, pool by pool; and rule objects as rules.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use kubernetes_tests::{ControlPlane, Operator, until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Map, Value, json};

use crate::harness::components::{Prometheus, find_kept};
use crate::harness::{Skopos, long_run};

const NAMESPACES: [&str; 3] = ["shop", "tools", "default"];
const APPS: [&str; 4] = ["web", "api", "db", "odd.name/x"];
const TIERS: [&str; 3] = ["front", "back", ""];

/// Made by a seed: everything that a monitor may look at, and monitors of all shapes.
struct Estate {
    rng: fastrand::Rng,
    objects: Vec<Value>,
    /// Of pods, as their kubelet would say.
    statuses: Vec<(String, String, Value)>,
    monitors: Vec<Value>,
}

impl Estate {
    fn new(seed: u64) -> Self {
        let mut this = Self {
            rng: fastrand::Rng::with_seed(seed),
            objects: Vec::new(),
            statuses: Vec::new(),
            monitors: Vec::new(),
        };
        for (name, zone) in [("n1", "a"), ("n2", "b")] {
            this.objects.push(json!({"apiVersion": "v1", "kind": "Node",
                "metadata": {"name": name, "labels": {"topology.kubernetes.io/zone": zone}}}));
        }
        for namespace in NAMESPACES {
            for nth in 0..5 {
                this.pod(namespace, nth);
            }
            for nth in 0..4 {
                this.service(namespace, nth);
            }
            this.ingress(namespace);
        }
        for nth in 0..26 {
            let spec = this.service_monitor();
            this.monitor("ServiceMonitor", "v1", nth, spec);
        }
        for nth in 0..20 {
            let spec = this.pod_monitor();
            this.monitor("PodMonitor", "v1", nth, spec);
        }
        for nth in 0..12 {
            let spec = this.probe();
            this.monitor("Probe", "v1", nth, spec);
        }
        for nth in 0..12 {
            let spec = this.scrape_config();
            this.monitor("ScrapeConfig", "v1alpha1", nth, spec);
        }
        this
    }

    fn any<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.rng.usize(..of.len())]
    }

    fn chance(&mut self, of_ten: usize) -> bool {
        self.rng.usize(..10) < of_ten
    }

    fn labels(&mut self) -> Value {
        let mut labels =
            json!({"app.kubernetes.io/name": self.any(&APPS).replace('/', "-"), "tier": self.any(&TIERS)});
        if self.chance(5) {
            labels["team"] = self.any(&["tea", "coffee"]).into();
        }
        labels
    }

    fn pod(&mut self, namespace: &str, nth: usize) {
        let name = format!("pod-{nth}");
        let labels = self.labels();
        let mut containers = vec![json!({"name": "app", "image": "lab.local/app:1",
            "ports": [{"name": "http", "containerPort": 8080}, {"containerPort": 9090}]})];
        if self.chance(5) {
            containers.push(json!({"name": "side", "image": "lab.local/side:1",
                "ports": [{"name": "metrics", "containerPort": 9102}]}));
        }
        let node = self.any(&["n1", "n2"]);
        self.objects.push(json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace, "labels": labels},
            "spec": {"nodeName": node, "containers": containers}}));
        let phase = self.any(&["Running", "Running", "Running", "Succeeded", "Failed"]);
        let ip = Self::ip(namespace, nth);
        self.statuses.push((
            namespace.to_owned(),
            name,
            json!({"status": {"phase": phase, "podIP": ip, "podIPs": [{"ip": ip}],
                "conditions": [{"type": "Ready", "status": "True"}]}}),
        ));
    }

    fn ip(namespace: &str, nth: usize) -> String {
        let of = NAMESPACES.iter().position(|name| *name == namespace).unwrap();
        format!("10.1.{of}.{}", nth + 1)
    }

    /// With what is behind it, by both kinds.
    fn service(&mut self, namespace: &str, nth: usize) {
        let name = format!("service-{nth}");
        let labels = self.labels();
        let meta = |labels: &Value| json!({"name": name, "namespace": namespace, "labels": labels});
        self.objects.push(
            json!({"apiVersion": "v1", "kind": "Service", "metadata": meta(&labels),
            "spec": {"ports": [{"name": "http", "port": 8080}]}}),
        );
        let mut behind = vec![
            ("192.0.2.9".to_owned(), Value::Null),
            ("10.9.9.9".to_owned(), json!({"kind": "Node", "name": "n2"})),
        ];
        for pod in 0..5 {
            if self.chance(4) {
                let target = json!({"kind": "Pod", "namespace": namespace, "name": format!("pod-{pod}")});
                behind.push((Self::ip(namespace, pod), target));
            }
        }
        let ports = json!([{"name": "http", "port": 8080, "protocol": "TCP"}, {"name": "metrics", "port": 9102, "protocol": "TCP"}]);
        let with = |mut whole: Value, target: &Value| {
            if !target.is_null() {
                whole["targetRef"] = target.clone();
            }
            whole
        };
        let addresses: Vec<Value> = behind
            .iter()
            .map(|(ip, target)| with(json!({"ip": ip}), target))
            .collect();
        self.objects.push(
            json!({"apiVersion": "v1", "kind": "Endpoints", "metadata": meta(&labels),
            "subsets": [{"addresses": addresses, "ports": ports}]}),
        );
        let endpoints: Vec<Value> = behind
            .iter()
            .map(|(ip, target)| with(json!({"addresses": [ip], "conditions": {"ready": true}}), target))
            .collect();
        let mut labels = labels;
        labels["kubernetes.io/service-name"] = name.as_str().into();
        let mut slice = meta(&labels);
        slice["name"] = format!("{name}-slice").into();
        self.objects.push(
            json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": slice,
            "addressType": "IPv4", "endpoints": endpoints, "ports": ports}),
        );
    }

    fn ingress(&mut self, namespace: &str) {
        let labels = self.labels();
        let backend = json!({"service": {"name": "service-0", "port": {"number": 8080}}});
        let path = |path: &str| json!({"path": path, "pathType": "Prefix", "backend": backend});
        self.objects
            .push(json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": {"name": "front", "namespace": namespace, "labels": labels},
            "spec": {"tls": [{"hosts": [format!("www.{namespace}.example")]}], "rules": [
                {"host": format!("www.{namespace}.example"), "http": {"paths": [path("/a"), path("/b")]}},
                {"host": format!("plain.{namespace}.example"), "http": {"paths": [path("/")]}}]}}));
    }

    fn monitor(&mut self, kind: &str, version: &str, nth: usize, spec: Value) {
        let namespace = self.any(&NAMESPACES);
        self.monitors.push(json!({"apiVersion": format!("monitoring.coreos.com/{version}"), "kind": kind,
            "metadata": {"name": format!("{}-{nth}", kind.to_lowercase()), "namespace": namespace}, "spec": spec}));
    }

    fn selector(&mut self) -> Value {
        let app = self.any(&APPS).replace('/', "-");
        match self.rng.usize(..6) {
            0 | 1 => json!({}),
            2 => json!({"matchLabels": {"tier": self.any(&TIERS)}}),
            3 => {
                json!({"matchExpressions": [{"key": "app.kubernetes.io/name", "operator": "In", "values": [app, "web"]}]})
            }
            4 => {
                json!({"matchExpressions": [{"key": "app.kubernetes.io/name", "operator": "NotIn", "values": [app]},
                {"key": "team", "operator": "Exists"}]})
            }
            _ => json!({"matchLabels": {"app.kubernetes.io/name": app},
                "matchExpressions": [{"key": "team", "operator": "DoesNotExist"}]}),
        }
    }

    fn places(&mut self) -> Value {
        match self.rng.usize(..3) {
            0 => json!({}),
            1 => json!({"any": true}),
            _ => json!({"matchNames": ["shop", self.any(&NAMESPACES)]}),
        }
    }

    /// What all monitors may say.
    fn common(&mut self, spec: &mut Value) {
        let numbers = [
            "sampleLimit",
            "labelLimit",
            "labelNameLengthLimit",
            "labelValueLengthLimit",
            "keepDroppedTargets",
        ];
        for key in numbers {
            if self.chance(2) {
                spec[key] = 1000.into();
            }
        }
        if self.chance(2) {
            spec["scrapeProtocols"] = json!(["PrometheusText0.0.4", "OpenMetricsText1.0.0"]);
        }
    }

    fn selected(&mut self, spec: &mut Value) {
        spec["selector"] = self.selector();
        spec["namespaceSelector"] = self.places();
        if self.chance(3) {
            spec["selectorMechanism"] = self.any(&["RoleSelector", "RelabelConfig"]).into();
        }
        if self.chance(4) {
            spec["jobLabel"] = self.any(&["team", "app.kubernetes.io/name"]).into();
        }
        if self.chance(4) {
            spec["podTargetLabels"] = json!(["team", "app.kubernetes.io/name"]);
        }
        if self.chance(4) {
            spec["attachMetadata"] = json!({"node": self.rng.bool()});
        }
        if self.chance(3) {
            spec["bodySizeLimit"] = "10MB".into();
        }
    }

    fn relabelings(&mut self) -> Value {
        let all = [
            json!({"sourceLabels": ["__meta_kubernetes_namespace", "__tmp_prometheus_job_name"], "separator": "@", "targetLabel": "where"}),
            json!({"action": "labelmap", "regex": "__meta_kubernetes_(?:pod|service|ingress)_label_(team)", "replacement": "of_$1"}),
            json!({"action": "Drop", "sourceLabels": ["__meta_kubernetes_pod_node_name"], "regex": "n2"}),
            json!({"action": "hashmod", "sourceLabels": ["__address__"], "modulus": 7, "targetLabel": "bucket"}),
            json!({"action": "Lowercase", "sourceLabels": ["job"], "targetLabel": "job"}),
            json!({"targetLabel": "__scrape_interval__", "replacement": "45s"}),
            json!({"action": "labeldrop", "regex": "container"}),
            json!({"sourceLabels": ["nothing"], "targetLabel": "instance", "replacement": "fixed"}),
        ];
        let count = self.rng.usize(..3);
        let chosen: Vec<Value> = (0..count)
            .map(|_| all[self.rng.usize(..all.len())].clone())
            .collect();
        chosen.into()
    }

    fn endpoint(&mut self) -> Value {
        let mut endpoint = json!({"relabelings": self.relabelings()});
        if self.chance(5) {
            endpoint["interval"] = self.any(&["5s", "1m", "90s"]).into();
        }
        for (key, value) in [
            ("scrapeTimeout", json!("3s")),
            ("path", json!("/some/metrics")),
            ("params", json!({"match[]": ["a", "b"], "format": ["text"]})),
            ("honorLabels", json!(true)),
            ("honorTimestamps", json!(false)),
            ("scheme", json!(self.any(&["http", "https", "HTTPS"]))),
            ("filterRunning", json!(false)),
            ("followRedirects", json!(false)),
            ("enableHttp2", json!(false)),
            (
                "tlsConfig",
                json!({"insecureSkipVerify": true, "serverName": "a.example", "minVersion": "TLS12"}),
            ),
            ("proxyUrl", json!("http://proxy.example:3128")),
            ("trackTimestampsStaleness", json!(false)),
            (
                "metricRelabelings",
                json!([{"sourceLabels": ["__name__"], "regex": "go_.*", "action": "drop"}]),
            ),
        ] {
            if self.chance(2) {
                endpoint[key] = value;
            }
        }
        endpoint
    }

    fn service_monitor(&mut self) -> Value {
        let mut spec = json!({});
        self.selected(&mut spec);
        self.common(&mut spec);
        if self.chance(3) {
            spec["targetLabels"] = json!(["tier", "team"]);
        }
        if self.chance(4) {
            spec["serviceDiscoveryRole"] = self.any(&["Endpoints", "EndpointSlice"]).into();
        }
        let count = self.rng.usize(1..4);
        let endpoints: Vec<Value> = (0..count)
            .map(|_| {
                let mut endpoint = self.endpoint();
                match self.rng.usize(..5) {
                    0 => endpoint["targetPort"] = json!(9090),
                    1 => endpoint["targetPort"] = json!("metrics"),
                    2 => {}
                    3 => endpoint["port"] = json!("metrics"),
                    _ => endpoint["port"] = json!("http"),
                }
                endpoint
            })
            .collect();
        spec["endpoints"] = endpoints.into();
        spec
    }

    fn pod_monitor(&mut self) -> Value {
        let mut spec = json!({});
        self.selected(&mut spec);
        self.common(&mut spec);
        let count = self.rng.usize(1..4);
        let endpoints: Vec<Value> = (0..count)
            .map(|_| {
                let mut endpoint = self.endpoint();
                match self.rng.usize(..6) {
                    0 => endpoint["targetPort"] = json!(9102),
                    1 => endpoint["targetPort"] = json!("http"),
                    2 => endpoint["portNumber"] = json!(9090),
                    3 => {}
                    4 => endpoint["port"] = json!("metrics"),
                    _ => endpoint["port"] = json!("http"),
                }
                endpoint
            })
            .collect();
        spec["podMetricsEndpoints"] = endpoints.into();
        spec
    }

    fn probe(&mut self) -> Value {
        let mut spec =
            json!({"prober": {"url": "prober.tools.svc:9115"}, "interval": self.any(&["30s", "1m"])});
        self.common(&mut spec);
        for (key, value) in [
            ("jobName", json!("probes")),
            ("module", json!("http_2xx")),
            (
                "params",
                json!([{"name": "debug", "values": ["true"]}, {"name": "module", "values": ["other"]}]),
            ),
            ("scrapeTimeout", json!("4s")),
        ] {
            if self.chance(4) {
                spec[key] = value;
            }
        }
        if self.chance(4) {
            spec["prober"]["path"] = "/probe/it".into();
            spec["prober"]["scheme"] = "HTTPS".into();
        }
        let rules = self.relabelings();
        spec["targets"] = match self.chance(5) {
            true => {
                let mut named =
                    json!({"static": ["https://one.example/a?b", "two.example"], "relabelingConfigs": rules});
                if self.chance(5) {
                    named["labels"] = json!({"team": "tea", "namespace": "mine"});
                }
                json!({"staticConfig": named})
            }
            false => {
                json!({"ingress": {"selector": self.selector(), "namespaceSelector": self.places(), "relabelingConfigs": rules}})
            }
        };
        spec
    }

    fn scrape_config(&mut self) -> Value {
        let mut spec = json!({});
        // Of two objects that come to the same target, Prometheus shows either one's labels.
        let of = [
            "namespace",
            "endpoints_name",
            "endpointslice_name",
            "ingress_path",
        ];
        let of = of.map(|name| format!("__meta_kubernetes_{name}"));
        let mut rules = vec![json!({"sourceLabels": of, "targetLabel": "of"})];
        if let Value::Array(more) = self.relabelings() {
            rules.extend(more);
        }
        spec["relabelings"] = rules.into();
        self.common(&mut spec);
        for (key, value) in [
            ("jobName", json!("named")),
            ("honorLabels", json!(true)),
            ("honorTimestamps", json!(true)),
            ("metricsPath", json!("/m")),
            ("scrapeInterval", json!("20s")),
            ("scrapeTimeout", json!("2s")),
            ("scheme", json!("HTTPS")),
            ("params", json!({"a": ["b"]})),
            ("enableCompression", json!(true)),
            ("enableHTTP2", json!(false)),
            ("tlsConfig", json!({"insecureSkipVerify": true})),
        ] {
            if self.chance(3) {
                spec[key] = value;
            }
        }
        if self.chance(5) {
            spec["staticConfigs"] = json!([{"targets": ["10.2.0.1:9100", "host.example:9100"], "labels": {"rack": "r1"}},
                {"targets": ["10.2.0.2:9100"]}]);
        }
        let role = self.any(&["Pod", "Node", "Service", "Endpoints", "EndpointSlice", "Ingress"]);
        let mut look = json!({"role": role});
        if self.chance(5) {
            look["namespaces"] = json!({"names": ["shop", "tools"]});
        }
        if self.chance(4) {
            look["selectors"] =
                json!([{"role": role, "label": self.any(&["tier=front", "team", "tier notin (back)"])}]);
        }
        if self.chance(4) && matches!(role, "Pod" | "Endpoints" | "EndpointSlice") {
            look["attachMetadata"] = json!({"node": true});
        }
        spec["kubernetesSDConfigs"] = json!([look]);
        spec
    }
}

fn all_of(objects: &[Value]) -> String {
    json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string()
}

/// What neither side says of itself, as in the comparison of discovery.
fn labels(of: &Value) -> String {
    let all = of.as_object().cloned().unwrap_or_default();
    let is_compared = |name: &str| {
        !name.starts_with("__meta_kubernetes_node_condition_") && !name.contains("last_applied_configuration")
    };
    let compared: Map<String, Value> = all.into_iter().filter(|(name, _)| is_compared(name)).collect();
    Value::Object(compared).to_string()
}

/// Active targets by pool: where they are read, their labels, and the labels that they were found with.
fn pools(data: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let mut pools: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for target in data["activeTargets"].as_array().unwrap() {
        let pool = target["scrapePool"].as_str().unwrap();
        if pool == "skopos" {
            continue;
        }
        let said = format!(
            "{} {} {}",
            target["scrapeUrl"].as_str().unwrap(),
            labels(&target["labels"]),
            labels(&target["discoveredLabels"])
        );
        let is_new = pools.entry(pool.to_owned()).or_default().insert(said);
        assert!(is_new, "{pool} has a target twice");
    }
    pools
}

/// The operator's configuration, as a Prometheus outside of a pod can read it: the shard by its number, where the config-reloader
/// would write it, and the cluster by a kubeconfig in place of the pod's ServiceAccount. Nothing else is changed.
fn adapted(text: &str, kubeconfig: &str) -> String {
    let (mut made, mut is_looking) = (String::new(), false);
    for line in text.replace("$(SHARD)", "0").lines() {
        match line {
            "  kubernetes_sd_configs:" => is_looking = true,
            _ if line.starts_with("  ") && !line.starts_with("   ") && !line.starts_with("  - ") => {
                is_looking = false
            }
            _ => {}
        }
        match line.strip_prefix("  - ").filter(|_| is_looking) {
            Some(first) => writeln!(made, "  - kubeconfig_file: '{kubeconfig}'\n    {first}").unwrap(),
            None => writeln!(made, "{line}").unwrap(),
        }
    }
    made
}

async fn agree(
    what: &str,
    prometheus: &Prometheus,
    skopos: &Skopos,
    holds: impl Fn(&BTreeMap<String, BTreeSet<String>>) -> bool,
) -> usize {
    let mut both = (BTreeMap::new(), BTreeMap::new());
    for _ in 0..120 {
        let theirs: Value = serde_json::from_str(&prometheus.get("/api/v1/targets?state=active")).unwrap();
        both = (
            pools(&theirs["data"]),
            pools(&skopos.api("/api/v1/targets").await),
        );
        if both.0 == both.1 && holds(&both.0) {
            return both.0.values().map(BTreeSet::len).sum();
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let (theirs, ours) = both;
    let mut said = String::new();
    for pool in theirs.keys().chain(ours.keys()).collect::<BTreeSet<_>>() {
        let none = BTreeSet::new();
        let (theirs, ours) = (theirs.get(pool).unwrap_or(&none), ours.get(pool).unwrap_or(&none));
        if theirs != ours {
            writeln!(
                said,
                "{pool}: {} of theirs, {} of ours\n only theirs: {:#?}\n only ours: {:#?}",
                theirs.len(),
                ours.len(),
                theirs.difference(ours).take(1).collect::<Vec<_>>(),
                ours.difference(theirs).take(1).collect::<Vec<_>>()
            )
            .unwrap();
        }
    }
    panic!("{what}: {said}\n{}", skopos.log());
}

/// The configuration that the operator has made once it holds all of this, and nothing that is gone.
fn configuration(plane: &ControlPlane, operator: &Operator, is_whole: impl Fn(&str) -> bool) -> String {
    let mut whole = String::new();
    until(
        "the operator does not make the configuration",
        Duration::from_secs(60),
        || {
            whole = operator.configuration(plane, "default", "one")?;
            match is_whole(&whole) {
                true => Ok(()),
                false => Err(whole.clone()),
            }
        },
    );
    whole
}

async fn check(skopos: &Skopos) -> Value {
    let doctor = skopos.api("/api/v1/doctor").await;
    let checks = doctor["checks"].as_array().unwrap();
    let is_it = |check: &&Value| check["room"] == "cluster" && check["name"] == "monitors";
    checks.iter().find(is_it).cloned().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn monitors_come_to_the_targets_that_a_prometheus_of_the_operator_has() {
    let seeds = if long_run() { 5 } else { 1 };
    for seed in 1..=seeds {
        let (Some(program), Some(plane)) = (find_kept("prometheus"), ControlPlane::start()) else {
            return;
        };
        let Some(operator) = Operator::start(&plane) else {
            return;
        };
        with_seed(seed, &program, &plane, &operator).await;
    }
}

async fn with_seed(seed: u64, program: &std::path::Path, plane: &ControlPlane, operator: &Operator) {
    let estate = Estate::new(seed);
    for namespace in ["shop", "tools"] {
        plane.namespace(namespace);
    }
    plane.apply(&all_of(&estate.objects));
    for (namespace, pod, status) in &estate.statuses {
        let status = status.to_string();
        plane.kubectl(&[
            "-n",
            namespace,
            "patch",
            "pod",
            pod,
            "--subresource=status",
            "-p",
            &status,
        ]);
    }
    plane.apply(&all_of(&estate.monitors));
    // Secrets that are not there, and what cannot be: neither follows these.
    let endpoint =
        |fields: Value| json!({"selector": {}, "namespaceSelector": {"any": true}, "endpoints": [fields]});
    let left_out = [
        (
            "secret",
            endpoint(
                json!({"basicAuth": {"username": {"name": "s", "key": "u"}, "password": {"name": "s", "key": "p"}}}),
            ),
        ),
        (
            "authority",
            endpoint(json!({"tlsConfig": {"ca": {"configMap": {"name": "c", "key": "k"}}}})),
        ),
        (
            "hasty",
            endpoint(json!({"interval": "5s", "scrapeTimeout": "10s"})),
        ),
        ("class", {
            let mut spec = endpoint(json!({}));
            spec["scrapeClass"] = "none".into();
            spec
        }),
    ];
    let object = |name: &str, spec: &Value| {
        json!({"apiVersion": "monitoring.coreos.com/v1", "kind": "ServiceMonitor",
            "metadata": {"name": name, "namespace": "shop"}, "spec": spec})
    };
    plane.apply(&all_of(
        &left_out
            .iter()
            .map(|(name, spec)| object(name, spec))
            .collect::<Vec<_>>(),
    ));
    let version = std::process::Command::new(program)
        .arg("--version")
        .output()
        .unwrap();
    let version = String::from_utf8_lossy(&[version.stdout, version.stderr].concat()).into_owned();
    let version: String = version
        .split("version ")
        .nth(1)
        .unwrap()
        .chars()
        .take_while(|of| of.is_ascii_digit() || *of == '.')
        .collect();
    let all = json!({});
    plane.apply(&json!({"apiVersion": "monitoring.coreos.com/v1", "kind": "Prometheus", "metadata": {"name": "one", "namespace": "default"},
        "spec": {"version": format!("v{version}"), "scrapeInterval": "30s",
            "serviceMonitorSelector": all, "serviceMonitorNamespaceSelector": all, "podMonitorSelector": all, "podMonitorNamespaceSelector": all,
            "probeSelector": all, "probeNamespaceSelector": all, "scrapeConfigSelector": all, "scrapeConfigNamespaceSelector": all}}).to_string());

    let job = |monitor: &Value| {
        let (kind, meta) = (monitor["kind"].as_str().unwrap(), &monitor["metadata"]);
        let (first, rest) = kind.split_at(1);
        format!(
            "job_name: {}{rest}/{}/{}",
            first.to_lowercase(),
            meta["namespace"].as_str().unwrap(),
            meta["name"].as_str().unwrap()
        )
    };
    let whole = |text: &str| estate.monitors.iter().all(|monitor| text.contains(&job(monitor)));
    let text = configuration(plane, operator, whole);
    assert!(
        !text.contains("/shop/secret/") && !text.contains("/shop/hasty/"),
        "the operator leaves them out, too"
    );
    let kubeconfig = plane.kubeconfig().display().to_string();
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let prometheus = Prometheus::start(program, data.path(), &adapted(&text, &kubeconfig), &[]);
    let config = format!(
        "node: {{ enabled: false }}\nlogs: {{ enabled: false }}\nkube_state: {{ enabled: false }}\n\
         kubernetes: {{ kubeconfig: '{kubeconfig}', node_name: n1, events: false, changes: {{ enabled: false }}, monitors: {{ scrape_interval: 30s }} }}\n"
    );
    let skopos = Skopos::start(folder.path(), &config);
    let sections = text.matches("job_name: ").count();
    let count = agree("at first", &prometheus, &skopos, |pools| {
        pools.len() * 2 > sections
    })
    .await;
    println!(
        "seed {seed}: {} monitors, {sections} sections, {count} targets",
        estate.monitors.len()
    );
    assert!(estate.monitors.len() >= 60 && count > 200, "{count}");

    // Each that is left out is named with its reason.
    let said = check(&skopos).await;
    assert_eq!(said["verdict"], "warn", "{said}");
    for (name, why) in [
        ("secret", "spec.endpoints[0].basicAuth: is in a Secret"),
        (
            "authority",
            "spec.endpoints[0].tlsConfig.ca: is in a Secret or a ConfigMap",
        ),
        ("hasty", "scrape_timeout"),
        ("class", "spec.scrapeClass"),
    ] {
        let start = format!("ServiceMonitor shop/{name}: ");
        let findings = said["findings"].as_array().unwrap();
        let found = findings
            .iter()
            .filter_map(Value::as_str)
            .find(|finding| finding.starts_with(&start));
        assert!(found.is_some_and(|found| found.contains(why)), "{name}: {said}");
    }

    // A reload of the file leaves them; one that changes, one that goes and one that is mended are followed.
    std::fs::write(
        folder.path().join("skopos.yaml"),
        format!("{config}scrape_configs: []\n"),
    )
    .unwrap();
    let (gone, changed) = (&estate.monitors[30], &estate.monitors[3]);
    let meta = |monitor: &Value, key: &str| monitor["metadata"][key].as_str().unwrap().to_owned();
    plane.kubectl(&[
        "-n",
        &meta(gone, "namespace"),
        "delete",
        "podmonitor",
        &meta(gone, "name"),
    ]);
    let mut changed = changed.clone();
    changed["spec"]["endpoints"][0]["path"] = "/changed".into();
    plane.apply(&changed.to_string());
    plane.apply(&object("hasty", &endpoint(json!({"interval": "5s", "path": "/mended"}))).to_string());
    plane.kubectl(&[
        "-n",
        "shop",
        "label",
        "service",
        "service-0",
        "team=changed",
        "--overwrite",
    ]);
    let text = configuration(plane, operator, |text| {
        !text.contains(&format!("{}/0", job(gone))) && text.contains("/changed") && text.contains("/mended")
    });
    std::fs::write(data.path().join("prometheus.yml"), adapted(&text, &kubeconfig)).unwrap();
    kill_process(
        Pid::from_raw(prometheus.process().cast_signed()).unwrap(),
        Signal::HUP,
    )
    .unwrap();
    let has = |pools: &BTreeMap<String, BTreeSet<String>>, word: &str| {
        pools.values().flatten().any(|said| said.contains(word))
    };
    agree("after changes", &prometheus, &skopos, |pools| {
        has(pools, "/mended")
    })
    .await;
    assert_eq!(skopos.stop().await, 0);
}

const RULES: &str = r#"{"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule", "metadata": {"name": "NAME", "namespace": "shop"},
    "spec": {"groups": [{"name": "of-NAME", "interval": "1s", "rules": [
        {"record": "shop:one:NAME", "expr": 1}, {"alert": "OneIsThere", "expr": "EXPR", "labels": {"severity": "none"}}]}]}}"#;

fn rule_object(name: &str, expr: &str) -> String {
    RULES.replace("NAME", name).replace("EXPR", expr)
}

async fn rules_of(skopos: &Skopos) -> Vec<(String, String)> {
    let data = skopos.api("/api/v1/rules").await;
    let groups = data["groups"].as_array().unwrap().clone();
    let ours = groups
        .iter()
        .filter(|group| group["file"].as_str().unwrap().starts_with("shop-"));
    ours.map(|group| {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&group["file"]), text(&group["rules"][1]["query"]))
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_objects_are_rules_and_a_mistake_leaves_the_last_good_ones() {
    const PATIENCE: Duration = Duration::from_secs(40);
    let Some(plane) = ControlPlane::start() else {
        return;
    };
    if plane.monitoring_kinds().is_none() {
        return;
    }
    plane.namespace("shop");
    plane.apply(&rule_object("good", "vector(1)"));
    plane.apply(&rule_object("other", "vector(2)"));
    let uid = plane.kubectl(&[
        "-n",
        "shop",
        "get",
        "prometheusrule",
        "good",
        "-o",
        "jsonpath={.metadata.uid}",
    ]);
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "node: {{ enabled: false }}\nlogs: {{ enabled: false }}\nkube_state: {{ enabled: false }}\n\
         kubernetes: {{ kubeconfig: '{}', node_name: n1, events: false, changes: {{ enabled: false }} }}\n",
        plane.kubeconfig().display()
    );
    let skopos = Skopos::start(folder.path(), &config);
    skopos
        .wait_for("both are rules", PATIENCE, async |skopos| {
            rules_of(skopos).await.len() == 2
        })
        .await;
    let file = format!("shop-good-{uid}.yaml");
    assert!(
        rules_of(&skopos)
            .await
            .contains(&(file.clone(), "vector(1)".to_owned()))
    );
    skopos
        .wait_for("it records", PATIENCE, async |skopos| {
            skopos
                .query("shop:one:good")
                .await
                .iter()
                .any(|(_, value)| *value == 1.0)
        })
        .await;
    // A bad one is refused with the reason, and what was good holds; the other goes on to follow its object.
    plane.apply(&rule_object("good", "sum(by"));
    plane.apply(&rule_object("other", "vector(3)"));
    let holds = async |skopos: &Skopos| {
        let said = check(skopos).await;
        let findings = said["findings"].to_string();
        let rules = rules_of(skopos).await;
        findings.contains("PrometheusRule shop/good: ")
            && findings.contains("its last good rules hold")
            && rules.contains(&(file.clone(), "vector(1)".to_owned()))
            && rules.iter().any(|(_, query)| query == "vector(3)")
    };
    skopos.wait_for("the last good ones hold", PATIENCE, holds).await;
    assert_eq!(skopos.stop().await, 0);

    // They are there at the next start, though the API server is away: no alert of theirs ends by that. The page may answer a
    // moment before any rule runs.
    plane.stop_api();
    let skopos = Skopos::start(folder.path(), &config);
    skopos
        .wait_for("both are remembered", PATIENCE, async |skopos| {
            rules_of(skopos).await.len() == 2
        })
        .await;
    plane.start_api();
    plane.kubectl(&["-n", "shop", "delete", "prometheusrule", "good"]);
    skopos
        .wait_for("one is gone", PATIENCE, async |skopos| {
            rules_of(skopos).await.len() == 1
        })
        .await;
    assert_eq!(skopos.stop().await, 0);
}

/// How often the API server was asked for objects of this kind, and failed or refused to tell.
async fn asked_for(skopos: &Skopos, kind: &str) -> f64 {
    let page = skopos.page("/metrics").await;
    let of_kind = page.lines().filter(|line| {
        let is_counted = line.starts_with("skopos_kubernetes_requests_total{")
            || line.starts_with("skopos_kubernetes_watch_failures_total{");
        is_counted && line.contains(kind)
    });
    let counts = of_kind.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    counts.sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn kinds_that_are_taken_away_and_brought_back_take_their_targets_with_them_and_nothing_spins() {
    const PATIENCE: Duration = Duration::from_secs(120);
    /// As long as nobody asks more often than that, nothing spins.
    const A_MINUTE_AT_MOST: f64 = 30.0;
    let Some(plane) = ControlPlane::start() else {
        return;
    };
    if plane.monitoring_kinds().is_none() {
        return;
    }
    plane.namespace("shop");
    let make = || {
        let pods = json!({"apiVersion": "monitoring.coreos.com/v1", "kind": "PodMonitor",
            "metadata": {"name": "shop", "namespace": "shop"},
            "spec": {"selector": {"matchLabels": {"app": "shop"}}, "podMetricsEndpoints": [{"port": "http"}]}});
        let probe = json!({"apiVersion": "monitoring.coreos.com/v1", "kind": "Probe",
            "metadata": {"name": "door", "namespace": "shop"},
            "spec": {"prober": {"url": "127.0.0.1:9"}, "targets": {"staticConfig": {"static": ["127.0.0.1:9"]}}}});
        plane.apply(&pods.to_string());
        plane.apply(&probe.to_string());
        plane.apply(&rule_object("good", "vector(1)"));
    };
    make();
    let pod = json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "web-0", "namespace": "shop", "labels": {"app": "shop"}},
        "spec": {"nodeName": "n1", "containers": [{"name": "app", "image": "lab.local/app:1", "ports": [{"name": "http", "containerPort": 8080}]}]}});
    plane.apply(&pod.to_string());
    let status = r#"{"status":{"phase":"Running","podIP":"127.0.0.1","podIPs":[{"ip":"127.0.0.1"}]}}"#;
    plane.kubectl(&[
        "-n",
        "shop",
        "patch",
        "pod",
        "web-0",
        "--subresource=status",
        "-p",
        status,
    ]);

    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "node: {{ enabled: false }}\nlogs: {{ enabled: false }}\nkube_state: {{ enabled: false }}\n\
         kubernetes: {{ kubeconfig: '{}', node_name: n1, events: false, changes: {{ enabled: false }} }}\n",
        plane.kubeconfig().display()
    );
    let skopos = Skopos::start(folder.path(), &config);
    let found = async |skopos: &Skopos| {
        let data = skopos.api("/api/v1/targets?state=active").await;
        let pools = data["activeTargets"].as_array().unwrap().iter();
        let ours = pools.filter(|target| target["labels"]["job"].as_str().unwrap().contains("shop"));
        (ours.count(), rules_of(skopos).await.len())
    };
    let wait = async |what: &str, wanted: (usize, usize)| {
        skopos
            .wait_for(what, PATIENCE, async |skopos| found(skopos).await == wanted)
            .await;
    };
    wait("the targets of both monitors, and the rules", (2, 1)).await;

    for round in 0..2 {
        // With a kind its objects go.
        for kind in ["podmonitors", "probes", "prometheusrules"] {
            let name = format!("{kind}.monitoring.coreos.com");
            plane.kubectl(&["delete", "crd", &name]);
        }
        wait("all of it to end", (0, 0)).await;
        let (before, begun) = (asked_for(&skopos, "podmonitors").await, std::time::Instant::now());
        tokio::time::sleep(Duration::from_secs(40)).await;
        let asked = asked_for(&skopos, "podmonitors").await - before;
        let minutes = begun.elapsed().as_secs_f64() / 60.0;
        println!(
            "round {round}: asked or refused {asked} times in {:.0} s without the kind",
            minutes * 60.0
        );
        assert!(
            asked <= A_MINUTE_AT_MOST * minutes,
            "{asked} in {minutes:.1} minutes"
        );
        plane.monitoring_kinds().unwrap();
        make();
        wait("they come back", (2, 1)).await;
    }
    let pairs = [("monitors", "ok"), ("watches", "ok")];
    skopos
        .wait_for("all of it is well", PATIENCE, async |skopos| {
            let doctor = skopos.api("/api/v1/doctor").await;
            let checks = doctor["checks"].as_array().unwrap().clone();
            pairs.iter().all(|(name, verdict)| {
                let check = checks.iter().find(|check| check["name"] == *name);
                check.is_some_and(|check| check["verdict"] == *verdict)
            })
        })
        .await;
    skopos.assert_accounts().await;
    assert_eq!(skopos.stop().await, 0);
}
