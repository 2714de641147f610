//! What rules cost: `cargo bench -p relabel`. Time of the processor, not of the wall.

use std::hint::black_box;

use model::Labels;
use relabel::{Config, Rules};

/// As a cluster's `prometheus.yml` has them for pods that ask by annotations.
const OF_PODS: &str = "
- {source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_scrape], action: keep, regex: true}
- {source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_scheme], action: replace, regex: (https?), target_label: __scheme__}
- {source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_path], action: replace, target_label: __metrics_path__, regex: (.+)}
- {source_labels: [__address__, __meta_kubernetes_pod_annotation_prometheus_io_port], action: replace, regex: '(.+?)(?::\\d+)?;(\\d+)', replacement: '$1:$2', target_label: __address__}
- {action: labelmap, regex: __meta_kubernetes_pod_annotation_prometheus_io_param_(.+), replacement: __param_$1}
- {action: labelmap, regex: __meta_kubernetes_pod_label_(.+)}
- {source_labels: [__meta_kubernetes_namespace], action: replace, target_label: namespace}
- {source_labels: [__meta_kubernetes_pod_name], action: replace, target_label: pod}
- {source_labels: [__meta_kubernetes_pod_phase], regex: Pending|Succeeded|Failed|Completed, action: drop}
- {source_labels: [__meta_kubernetes_pod_node_name], action: replace, target_label: node}
";

/// As they keep what is wanted of cAdvisor, and drop by expressions.
const OF_SERIES: [(&str, &str); 3] = [
    (
        "keep by 35 names",
        "[{source_labels: [__name__], action: keep, regex: NAMES}]",
    ),
    (
        "drop by an expression",
        "[{source_labels: [__name__], action: drop, regex: 'container_(network_tcp_usage_total|tasks_state|memory_failures_total).*'}]",
    ),
    (
        "drop by two labels",
        "[{source_labels: [container, __name__], action: drop, regex: ';(container_fs_.*|container_spec_.*)'}]",
    ),
];

fn rules(text: &str) -> Rules {
    let configs: Vec<Config> = yaml::read("rules.yaml", text).unwrap_or_default();
    Rules::new(&configs).unwrap_or_default()
}

fn pod(nth: usize) -> Labels {
    let more = (0..12).flat_map(|label| {
        let name = format!("app_kubernetes_io_part_{label}");
        [
            (
                format!("__meta_kubernetes_pod_label_{name}"),
                format!("value-{label}-{}", nth % 7),
            ),
            (
                format!("__meta_kubernetes_pod_labelpresent_{name}"),
                "true".to_owned(),
            ),
        ]
    });
    let own = [
        ("__address__", format!("10.0.{}.{}:8080", nth / 250, nth % 250)),
        ("__scheme__", "http".to_owned()),
        ("__metrics_path__", "/metrics".to_owned()),
        ("job", "kubernetes-pods".to_owned()),
        ("__meta_kubernetes_namespace", format!("team-{}", nth % 20)),
        ("__meta_kubernetes_pod_name", format!("web-7d9f8c6b5-{nth:05}")),
        ("__meta_kubernetes_pod_phase", "Running".to_owned()),
        (
            "__meta_kubernetes_pod_node_name",
            format!("ip-10-0-{}-7", nth % 90),
        ),
        (
            "__meta_kubernetes_pod_annotation_prometheus_io_port",
            "9102".to_owned(),
        ),
        (
            "__meta_kubernetes_pod_annotation_prometheus_io_scrape",
            if nth.is_multiple_of(3) { "true" } else { "false" }.to_owned(),
        ),
    ];
    let own = own.into_iter().map(|(name, value)| (name.to_owned(), value));
    Labels::from_pairs(own.chain(more))
}

fn series(nth: usize) -> Labels {
    let name = [
        "container_memory_rss",
        "container_tasks_state",
        "container_fs_reads_total",
        "container_cpu_usage_seconds_total",
    ];
    Labels::from_pairs([
        (
            "__name__",
            name.get(nth % 4).copied().unwrap_or_default().to_owned(),
        ),
        ("container", "app".to_owned()),
        (
            "id",
            format!("/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{nth:032}.slice"),
        ),
        (
            "image",
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop/web:1.2.3".to_owned(),
        ),
        ("namespace", "shop".to_owned()),
        ("pod", format!("web-7d9f8c6b5-{nth:05}")),
        ("instance", "10.0.0.7:10250".to_owned()),
        ("job", "cadvisor".to_owned()),
    ])
}

fn seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

#[expect(clippy::print_stdout, reason = "its figures are what it is for")]
fn measure(what: &str, rules: &Rules, labels: &[Labels]) {
    let rounds = 20;
    let began = seconds();
    for _ in 0..rounds {
        for labels in labels {
            black_box(rules.apply(black_box(labels)));
        }
    }
    let each = (seconds() - began) / (rounds * labels.len()) as f64;
    println!("{what}: {:.0} ns", each * 1e9);
}

fn main() {
    let pods: Vec<Labels> = (0..5_000).map(pod).collect();
    measure("ten rules of pods, a target of 34 labels", &rules(OF_PODS), &pods);
    let all: Vec<Labels> = (0..5_000).map(series).collect();
    let names: Vec<String> = (0..33)
        .map(|nth| format!("container_some_family_{nth}_total"))
        .collect();
    let names = format!(
        "container_memory_rss|{}|container_cpu_usage_seconds_total",
        names.join("|")
    );
    for (what, text) in OF_SERIES {
        measure(what, &rules(&text.replace("NAMES", &names)), &all);
    }
}
