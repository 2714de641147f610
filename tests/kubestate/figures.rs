//! What knowing a large cluster costs: memory, requests and CPU time, beside kube-state-metrics over the same objects.
//!
//! In the long run 1,000 nodes and 10,000 pods that kwok pretends; else a few, which say nothing. No figure makes a test fail;
//! the counts do.

use std::path::{Path, PathBuf};
use std::time::Duration;

use kubernetes_tests::{ControlPlane, KubeState};
use programs::usage::{cpu_seconds, memory_mib};

use crate::fakes::meter::Meter;
use crate::harness::skopos::is_release;
use crate::harness::{Skopos, long_run};

/// Resident memory in MiB, and CPU time in seconds.
fn costs(process: u32) -> (f64, f64) {
    (memory_mib(process, "VmRSS"), cpu_seconds(process))
}

/// Peak of resident memory in MiB.
fn peak(process: u32) -> f64 {
    memory_mib(process, "VmHWM")
}

/// A kubeconfig whose API server is reached through the meter.
async fn measured(plane: &ControlPlane, folder: &Path) -> (Meter, PathBuf) {
    let server = plane.url().trim_start_matches("https://").parse().unwrap();
    let meter = Meter::start(server).await;
    let text = std::fs::read_to_string(plane.kubeconfig()).unwrap();
    let file = folder.join("kubeconfig");
    let through = format!("https://127.0.0.1:{}", meter.port);
    std::fs::write(&file, text.replace(plane.url(), &through)).unwrap();
    (meter, file)
}

async fn page(skopos: &Skopos) -> String {
    let answer = reqwest::get(skopos.url("/metrics")).await.unwrap();
    answer.text().await.unwrap()
}

/// To the API server, as they are counted by whoever asks.
fn requests(page: &str) -> u64 {
    page.lines()
        .filter(|line| line.starts_with("skopos_kubernetes_requests_total"))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
        .sum()
}

/// `series_max` is how many series the store takes.
fn start(folder: &Path, kubeconfig: &Path, state: bool, series_max: u32) -> Skopos {
    let config = format!(
        "logs: {{ enabled: false }}\nrules: {{ shipped: false }}\nstore: {{ retention: {{ time: 2h }}, series_max: {series_max} }}\n\
         kubernetes: {{ kubeconfig: '{}' }}\nkube_state: {{ enabled: {state}, interval: 30s }}\n",
        kubeconfig.display()
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

/// What an agent of a node asks of the API server until it knows its pods, and within the minute after it.
async fn node_at_start(plane: &ControlPlane) {
    let own = "--field-selector=spec.nodeName=fake-1";
    let pods = plane
        .kubectl(&["get", "pods", "-A", own, "-o", "name"])
        .lines()
        .count();
    let folder = tempfile::tempdir().unwrap();
    let (meter, _) = measured(plane, folder.path()).await;
    let config = "node: { enabled: false }\nlogs: { files: [], containers: containers }\nkubernetes: { kubeconfig: kubeconfig, node_name: fake-1 }\n";
    std::fs::create_dir(folder.path().join("containers")).unwrap();
    std::fs::write(folder.path().join("skopos.yaml"), config).unwrap();
    let words = [
        "--role",
        "node",
        "--config",
        "skopos.yaml",
        "--listen",
        "127.0.0.1:0",
    ];
    let skopos = Skopos::start_with(folder.path(), &words);
    let known = format!("skopos_kubernetes_objects{{resource=\"pods\"}} {pods}\n");
    let mut seen = String::new();
    for _ in 0..240 {
        seen = page(&skopos).await;
        if seen.contains(&known) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    assert!(seen.contains(&known), "{pods} pods are not known");
    let (sent, received) = meter.kib();
    let first = requests(&seen);
    tokio::time::sleep(Duration::from_secs(if long_run() { 60 } else { 1 })).await;
    let (later_sent, later_received) = meter.kib();
    println!(
        "a node's agent with {pods} pods: {first} requests over {} connections, {sent:.1} KiB sent and {received:.1} KiB received until \
         they were known; in the minute after it {} requests, {:.1} and {:.1} KiB",
        meter.connections(),
        requests(&page(&skopos).await) - first,
        later_sent - sent,
        later_received - received,
    );
    assert_eq!(skopos.stop().await, 0);
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
    node_at_start(&plane).await;
    let patience = Duration::from_secs(600);
    let folders: [_; 3] = std::array::from_fn(|_| tempfile::tempdir().unwrap());
    let bare = start(folders[0].path(), &plane.kubeconfig(), false, 2_000_000);
    // Its store takes next to nothing: what it has more than the first is the rooms' own.
    let rooms = start(folders[2].path(), &plane.kubeconfig(), true, 1_000);
    let (meter, through) = measured(&plane, folders[1].path()).await;
    let skopos = start(folders[1].path(), &through, true, 2_000_000);
    let wanted = f64::from(pods);
    skopos
        .wait_for("all pods are known", patience, async |skopos| {
            skopos.value("count(kube_pod_info)").await == Some(wanted)
        })
        .await;
    let first = costs(skopos.pid());
    let at_start = peak(skopos.pid());
    let series = skopos.value("count({job='kube-state-metrics'})").await.unwrap();
    let (_, received) = meter.kib();
    println!(
        "a replica: {} requests over {} connections and {:.1} MiB until all was known, {:.1} KiB a node",
        requests(&page(&skopos).await),
        meter.connections(),
        received / 1024.0,
        received / f64::from(nodes),
    );
    // A few rounds later it is what it stays.
    tokio::time::sleep(Duration::from_secs(if long_run() { 120 } else { 2 })).await;
    let (steady, _) = costs(skopos.pid());
    let (without, _) = costs(bare.pid());
    let known = format!("skopos_kubernetes_objects{{resource=\"pods\"}} {pods}");
    assert!(page(&rooms).await.contains(&known));
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
    println!("{kind} build: {nodes} nodes, {pods} pods, {series} series");
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
