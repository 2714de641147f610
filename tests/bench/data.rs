//! The data: what rules read, and a node of 110 pods. Every value follows from its place alone, so that both sides get
//! the same.

use model::{Kind, Labels, SeriesDesc};

/// Between two samples of a series.
pub(crate) const INTERVAL_MS: i64 = 15_000;
/// Series of one pod that rules read: ten paths by ten codes.
pub(crate) const POD_SERIES: usize = 100;
/// Pods in a namespace, so that a namespace has 1,000 series.
pub(crate) const NAMESPACE_PODS: usize = 10;

/// A counter of requests, of one pod, by path and code.
pub(crate) fn requests(pod: usize, nth: usize) -> Labels {
    Labels::from_pairs([
        ("__name__", "http_requests_total".to_owned()),
        ("code", format!("c{}", nth % 10)),
        ("instance", format!("10.0.{}.{}:8080", pod / 250, pod % 250)),
        ("job", "shop".to_owned()),
        ("namespace", format!("ns{}", pod / NAMESPACE_PODS)),
        ("path", format!("/api/v1/orders/{}", nth / 10)),
        ("pod", format!("shop-7d9f8b6c5-{pod}")),
    ])
}

pub(crate) fn requests_value(pod: usize, nth: usize, round: i64) -> f64 {
    (round * ((pod * 31 + nth * 7) % 50) as i64) as f64
}

pub(crate) fn described(labels: Labels) -> SeriesDesc {
    let family = labels.name().into();
    SeriesDesc {
        labels,
        kind: Kind::Counter,
        family,
        help: "Something that is counted.".into(),
        unit: "".into(),
    }
}

/// What a target of a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Page {
    /// All containers, by cgroup: a quarter of all series.
    Containers,
    /// The machine itself: 4 in 100.
    Machine,
    /// One pod's own.
    Pod(usize),
}

const PODS: usize = 110;

/// The label sets of a node with so many series, target by target.
pub(crate) fn node(series: usize) -> Vec<Vec<Labels>> {
    let (containers, machine) = (series / 4, series / 25);
    let pods = series - containers - machine;
    let pages = [(Page::Containers, containers), (Page::Machine, machine)];
    let pods = (0..PODS).map(|pod| (Page::Pod(pod), pods * (pod + 1) / PODS - pods * pod / PODS));
    let all = pages.into_iter().chain(pods);
    all.map(|(page, count)| (0..count).map(|nth| labels(page, nth)).collect())
        .collect()
}

fn pod_name(pod: usize) -> String {
    format!("checkout-7d9f8b6c5-{:05}", pod * 7919)
}

fn labels(page: Page, nth: usize) -> Labels {
    let mut pairs = vec![("node", "ip-10-0-17-23.eu-central-1.compute.internal".to_owned())];
    match page {
        Page::Containers => {
            let pod = nth / 60 % PODS;
            pairs.extend([
                ("__name__", format!("container_something_bytes_total_{}", nth % 60)),
                ("container", "checkout".to_owned()),
                ("device", format!("{}", nth / (60 * PODS))),
                ("id", format!("/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod4f1c2d3e_{pod:04}.slice")),
                ("image", "registry.example.com/shop/checkout:2026.8.1".to_owned()),
                ("instance", "10.0.17.23:10250".to_owned()),
                ("job", "kubelet".to_owned()),
                ("namespace", format!("production-{}", pod % 8)),
                ("pod", pod_name(pod)),
            ]);
        }
        Page::Machine => pairs.extend([
            ("__name__", format!("node_something_seconds_total_{}", nth / 16)),
            ("cpu", format!("{}", nth % 16)),
            ("instance", "10.0.17.23:9100".to_owned()),
            ("job", "node".to_owned()),
        ]),
        Page::Pod(pod) => pairs.extend([
            ("__name__", format!("http_server_something_seconds_{}", nth % 50)),
            ("container", "checkout".to_owned()),
            ("instance", format!("10.0.17.{pod}:8080")),
            ("job", "shop".to_owned()),
            ("method", "GET".to_owned()),
            ("namespace", format!("production-{}", pod % 8)),
            ("path", format!("/api/v1/orders/{}", nth / 50)),
            ("pod", pod_name(pod)),
        ]),
    }
    Labels::from_pairs(pairs)
}

/// The values of a node, round by round: of six series two stand still, one is a small whole number that walks, one
/// counts by small steps, one counts bytes, one is a measured number with all its digits.
pub(crate) struct Values {
    round: u64,
    at: Vec<f64>,
}

impl Values {
    pub(crate) fn of(series: usize) -> Self {
        let at = (0..series).map(|nth| match nth % 6 {
            0 => 1.0,
            1 => nth as f64,
            2 => 40.0,
            3 => (nth % 5_000) as f64,
            4 => (nth * 1_000_003) as f64,
            _ => 0.0,
        });
        Self {
            round: 0,
            at: at.collect(),
        }
    }

    pub(crate) fn next(&mut self) -> &[f64] {
        self.round += 1;
        for (nth, value) in self.at.iter_mut().enumerate() {
            let chance = chance((nth as u64) << 32 | self.round);
            match nth % 6 {
                2 => *value = (*value + (chance % 5) as f64 - 2.0).max(0.0),
                3 => *value += (chance % 6) as f64,
                4 => *value += (chance % 2_000_000) as f64,
                5 => *value = 0.3 + (chance >> 11) as f64 / (1_u64 << 53) as f64,
                _ => {}
            }
        }
        &self.at
    }
}

/// The same number always looks as much by chance.
fn chance(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}
