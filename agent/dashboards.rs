//! What of the shipped dashboards is empty, and why: a line of doctor for each dashboard.

use std::collections::{BTreeMap, BTreeSet};

use model::view::Checkup;

use crate::shipped;
use crate::used::Used;

const ROOM: &str = "dashboards";
/// Families named in one line.
const NAMED: usize = 5;
/// Of these there is none while all is well.
const WHEN_SOMETHING_IS: [&str; 2] = ["ALERTS", "ALERTS_FOR_STATE"];

/// Whose pages have the families that begin so, and what it takes to read them.
const JOBS: [(&[&str], &str, &str); 5] = [
    (&["container_", "machine_"], "cadvisor", "kubernetes.kubelet"),
    (
        &["kube_summary_"],
        "kubelet-summary",
        "kubernetes.kubelet, with a profile that is not minimal",
    ),
    (
        &["kubelet_", "storage_operation_", "volume_manager_"],
        "kubelet",
        "kubernetes.kubelet",
    ),
    (
        &["apiserver_", "workqueue_", "rest_client_", "aggregator_"],
        "kube-apiserver",
        "kubernetes.control_plane",
    ),
    (
        &["scheduler_"],
        "kube-scheduler",
        "kubernetes.control_plane, on EKS",
    ),
];

/// What is known beside the families.
pub(crate) struct Sight<'a> {
    /// Whether a family has series, or had lately.
    pub(crate) was_seen: &'a dyn Fn(&str) -> bool,
    /// Whether somebody has ever tried to read a target of this job.
    pub(crate) has_job: &'a dyn Fn(&str) -> bool,
    pub(crate) has_cluster: bool,
    /// Whether the state of objects becomes series here.
    pub(crate) has_state: bool,
}

/// One for each dashboard.
pub(crate) fn checkups(sight: &Sight<'_>) -> Vec<Checkup> {
    let dashboards = shipped::dashboards();
    let dashboards = dashboards.into_iter().map(|(name, expressions)| {
        let families = families(&expressions);
        checkup(name, &families, sight)
    });
    dashboards.collect()
}

fn families(expressions: &[String]) -> BTreeSet<String> {
    let mut used = Used::default();
    for expression in expressions {
        used.expression(expression);
    }
    let names = used.into_names().into_iter();
    names
        .filter(|name| !WHEN_SOMETHING_IS.contains(&name.as_str()))
        .collect()
}

fn checkup(name: &'static str, families: &BTreeSet<String>, sight: &Sight<'_>) -> Checkup {
    let empty: Vec<&str> = families
        .iter()
        .map(String::as_str)
        .filter(|family| !(sight.was_seen)(family))
        .collect();
    let all = families.len();
    if empty.is_empty() {
        return Checkup::ok(
            ROOM,
            name,
            format!("all {all} families that it asks for have series"),
        );
    }
    let mut reasons: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for family in &empty {
        reasons.entry(why(family, sight)).or_default().push(family);
    }
    let lines = reasons.iter().map(|(why, families)| line(families, why));
    if empty.len() == all {
        return Checkup::off(ROOM, name, "it is empty").list(lines);
    }
    let seen = format!(
        "{} of the {all} families that it asks for have no series",
        empty.len()
    );
    Checkup::ok(ROOM, name, seen).list(lines)
}

fn line(families: &[&str], why: &str) -> String {
    let named = families
        .get(..families.len().min(NAMED))
        .unwrap_or_default()
        .join(", ");
    match families.len().saturating_sub(NAMED) {
        0 => format!("{named}: {why}"),
        more => format!("{named} and {more} more: {why}"),
    }
}

/// Why a family has no series, as far as its name says whose it is.
fn why(family: &str, sight: &Sight<'_>) -> String {
    let begins = |fronts: &[&str]| fronts.iter().any(|front| family.starts_with(front));
    if family.contains(':') {
        return "rules/kubernetes-recorded.yaml records it once what it is made of is there".to_owned();
    }
    if let Some((_, job, key)) = JOBS.iter().find(|(fronts, ..)| begins(fronts)) {
        return match (sight.has_cluster, (sight.has_job)(job)) {
            (_, true) => format!("the pages of job {job} that were read do not have it"),
            (false, false) => "no cluster is asked here".to_owned(),
            (true, false) => format!("no target of job {job} was read ({key})"),
        };
    }
    if begins(&["kube_"]) {
        return match (sight.has_cluster, sight.has_state) {
            (false, _) => "no cluster is asked here".to_owned(),
            (true, false) => "the state of objects is not read here (kube_state.enabled)".to_owned(),
            (true, true) => {
                "the cluster has no such object, or its kind is not among kube_state.resources".to_owned()
            }
        };
    }
    if begins(&["awscni_", "aws_ebs_csi_", "coredns_", "node_ethtool_"]) {
        return "nobody has read it: agent/cluster/kubernetes.md, \"Hidden limits\", says who gives it"
            .to_owned();
    }
    if begins(&["node_"]) {
        return "no machine was read that has it (node.enabled, or what its kernel shows)".to_owned();
    }
    if begins(&["skopos_"]) {
        return "it has not happened yet, or another role tells of it".to_owned();
    }
    "nobody has sent it".to_owned()
}

#[cfg(test)]
mod tests {
    use model::view::Verdict;

    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn what_is_empty_is_told_by_its_reason() {
        let families = set(&[
            "kube_pod_info",
            "container_a",
            "container_b",
            "kubelet_c",
            "x:y",
            "coredns_d",
            "there",
        ]);
        let sight = Sight {
            was_seen: &|family| family == "there",
            has_job: &|job| job == "kubelet",
            has_cluster: true,
            has_state: true,
        };
        let told = checkup("cluster", &families, &sight);
        assert_eq!((told.verdict, &*told.name), (Verdict::Ok, "cluster"));
        assert_eq!(told.seen, "6 of the 7 families that it asks for have no series");
        let found = told.findings.join("\n");
        for part in [
            "container_a, container_b: no target of job cadvisor was read (kubernetes.kubelet)",
            "kubelet_c: the pages of job kubelet that were read do not have it",
            "kube_pod_info: the cluster has no such object",
            "x:y: rules/kubernetes-recorded.yaml",
            "coredns_d: nobody has read it",
        ] {
            assert!(found.contains(part), "{part}: {found}");
        }
        let whole = checkup("node", &set(&["there"]), &sight);
        assert_eq!((whole.verdict, whole.findings.len()), (Verdict::Ok, 0));
    }

    #[test]
    fn each_shipped_dashboard_has_its_line_and_without_a_cluster_its_reason() {
        let sight = Sight {
            was_seen: &|family| {
                family.starts_with("node_") && !family.contains("ethtool") && !family.contains(':')
            },
            has_job: &|_| false,
            has_cluster: false,
            has_state: false,
        };
        let told = checkups(&sight);
        let names: Vec<&str> = told.iter().map(|one| &*one.name).collect();
        assert!(
            names.contains(&"limits") && names.contains(&"pod") && names.len() >= 9,
            "{names:?}"
        );
        let pod = told.iter().find(|one| &*one.name == "pod").unwrap();
        assert_eq!(pod.verdict, Verdict::Off);
        assert!(
            pod.findings
                .iter()
                .any(|line| line.ends_with(": no cluster is asked here")),
            "{pod:?}"
        );
        let node = told.iter().find(|one| &*one.name == "node").unwrap();
        assert_eq!(node.verdict, Verdict::Ok, "{node:?}");
    }
}
