//! What knowing a large cluster costs: memory, requests and CPU time, beside kube-state-metrics over the same objects.
//!
//! In the long run 1,000 nodes and 10,000 pods that kwok pretends; else a few, which say nothing. No figure makes a test fail;
//! the counts do.

use std::time::Duration;

use kubernetes_tests::{ControlPlane, KubeState};

use crate::harness::skopos::is_release;
use crate::harness::{Skopos, long_run};

/// Ticks of a second.
const TICKS: f64 = 100.0;

/// Resident memory in MiB, and CPU time in seconds.
fn costs(pid: u32) -> (f64, f64) {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let kib: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    (kib / 1024.0, ticks / TICKS)
}

/// Peak of resident memory in MiB.
fn peak(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

/// `series_max` is how many series the store takes.
fn start(folder: &std::path::Path, plane: &ControlPlane, state: bool, series_max: u32) -> Skopos {
    let config = format!(
        "logs: {{ enabled: false }}\nrules: {{ shipped: false }}\nstore: {{ retention: {{ time: 2h }}, series_max: {series_max} }}\n\
         kubernetes: {{ kubeconfig: '{}' }}\nkube_state: {{ enabled: {state}, interval: 30s }}\n",
        plane.kubeconfig().display()
    );
    std::fs::write(folder.join("skopos.yaml"), config).unwrap();
    Skopos::start_with(
        folder,
        &[
            "--role",
            "cluster",
            "--config",
            "skopos.yaml",
            "--listen",
            "127.0.0.1:0",
        ],
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_nodes_and_ten_thousand_pods_are_known_whole() {
    let (nodes, pods, changes) = if long_run() {
        (1_000, 10_000, 1_000)
    } else {
        (3, 40, 10)
    };
    let Some(plane) = ControlPlane::start() else {
        return;
    };
    let (Some(()), Some(())) = (plane.fake_nodes(nodes), plane.fake_pods(pods)) else {
        return;
    };
    let patience = Duration::from_secs(600);
    let folders: [_; 3] = std::array::from_fn(|_| tempfile::tempdir().unwrap());
    let bare = start(folders[0].path(), &plane, false, 2_000_000);
    // Its store takes next to nothing: what it has more than the first is the rooms' own.
    let rooms = start(folders[2].path(), &plane, true, 1_000);
    let skopos = start(folders[1].path(), &plane, true, 2_000_000);
    let wanted = f64::from(pods);
    skopos
        .wait_for("all pods are known", patience, async |skopos| {
            skopos.value("count(kube_pod_info)").await == Some(wanted)
        })
        .await;
    let first = costs(skopos.pid());
    let at_start = peak(skopos.pid());
    let series = skopos.value("count({job='kube-state-metrics'})").await.unwrap();
    let requests = skopos.value("sum(skopos_kubernetes_requests_total)").await;
    // A few rounds later it is what it stays.
    tokio::time::sleep(Duration::from_secs(if long_run() { 120 } else { 2 })).await;
    let (steady, _) = costs(skopos.pid());
    let (without, _) = costs(bare.pid());
    let known = format!("skopos_kubernetes_objects{{resource=\"pods\"}} {pods}");
    let page = reqwest::get(rooms.url("/metrics"))
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(page.contains(&known));
    let (alone, highest) = (costs(rooms.pid()).0, peak(rooms.pid()));
    println!(
        "the rooms cluster and kubestate alone: {:.1} MiB, at most {:.1} MiB",
        alone - without,
        highest - without
    );
    for process in [bare, rooms] {
        assert_eq!(process.stop().await, 0);
    }
    let Some(theirs) = KubeState::start(&plane, &["--resources=pods,nodes,namespaces"]) else {
        return;
    };
    while theirs.metrics().matches("\nkube_pod_info{").count() < pods as usize {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let kind = if is_release() { "release" } else { "debug" };
    println!(
        "{kind} build: {nodes} nodes, {pods} pods, {series} series, {requests:?} requests until all was known"
    );
    println!(
        "memory: without kube_state {without:.1} MiB, known {:.1} (peak {at_start:.1}), steady {steady:.1} MiB",
        first.0
    );
    println!("cpu until all was known: {:.2} s", first.1);
    println!(
        "kube-state-metrics, pods and nodes only: {:.1} MiB (peak {:.1})",
        costs(theirs.process()).0,
        peak(theirs.process())
    );

    // Each of so many pods changes once.
    let before = (costs(skopos.pid()).1, costs(theirs.process()).1);
    let begun = std::time::Instant::now();
    for chunk in (0..changes).collect::<Vec<u32>>().chunks(250) {
        let names: Vec<String> = chunk.iter().map(|number| format!("fake-{number}")).collect();
        let mut words = vec!["label", "pod", "-n", "fakes", "--overwrite", "-o", "name"];
        words.extend(names.iter().map(String::as_str));
        words.push("changed=yes");
        plane.kubectl(&words);
    }
    let took = begun.elapsed();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let after = (costs(skopos.pid()).1, costs(theirs.process()).1);
    // What passes without any change, over the same time.
    tokio::time::sleep(took + Duration::from_secs(2)).await;
    let idle = (
        costs(skopos.pid()).1 - after.0,
        costs(theirs.process()).1 - after.1,
    );
    let ours = after.0 - before.0 - idle.0;
    let others = after.1 - before.1 - idle.1;
    println!(
        "{changes} changes in {:.1} s: {ours:.2} s of CPU beside {others:.2} s (idle {:.2} and {:.2}), a ratio of {:.1}",
        took.as_secs_f64(),
        idle.0,
        idle.1,
        others / ours.max(0.01)
    );
    assert_eq!(skopos.value("count(kube_pod_info)").await, Some(wanted));
    skopos.assert_accounts().await;
    assert_eq!(skopos.stop().await, 0);
}
