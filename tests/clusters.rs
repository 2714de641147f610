//! In Kubernetes, against a real API server.

use std::fs;
use std::net::{IpAddr, UdpSocket};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use kubernetes_tests::ControlPlane;
use opensearch_tests::Fake;
use serde_json::{Value, json};

use crate::fakes::peer::{Answer, Peer};
use crate::fakes::slack::Slack;
use crate::harness::components::run;
use crate::harness::estate::{Estate, Wish};
use crate::harness::skopos::command;
use crate::harness::{Skopos, long_run};

const PATIENCE: Duration = Duration::from_secs(30);

fn uid(plane: &ControlPlane, pod: &str) -> String {
    plane.kubectl(&["get", "pod", pod, "-o", "jsonpath={.metadata.uid}"])
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_have_the_labels_owner_and_zone_of_their_pod_and_its_annotations_choose_among_them() {
    let Some(plane) = ControlPlane::shared() else {
        return;
    };
    plane.apply(
        r"
apiVersion: v1
kind: Node
metadata: {name: lines-1, labels: {topology.kubernetes.io/zone: eu-west-1c}}
---
apiVersion: v1
kind: Pod
metadata:
  name: web-7d9f-x
  labels: {app.kubernetes.io/name: web, pod-template-hash: 7d9f}
  ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-7d9f, uid: r, controller: true}]
spec: {nodeName: lines-1, containers: [{name: app, image: 'lab.local/app:1'}]}
---
apiVersion: v1
kind: Pod
metadata: {name: quiet, annotations: {fluentbit.io/exclude: 'true'}}
spec: {nodeName: lines-1, containers: [{name: app, image: 'lab.local/app:1'}]}
",
    );
    let (fake, folder) = (Fake::start(), tempfile::tempdir().unwrap());
    let write = |pod: &str| {
        let files = folder
            .path()
            .join(format!("pods/default_{pod}_{}/app", uid(plane, pod)));
        fs::create_dir_all(&files).unwrap();
        let lines: String = (0..50)
            .map(|number| format!("2026-11-27T10:00:00.{number:09}Z stdout F line {number} of {pod}\n"))
            .collect();
        fs::write(files.join("0.log"), lines).unwrap();
    };
    fs::create_dir(folder.path().join("pods")).unwrap();
    let config = format!(
        "node: {{ enabled: false }}\nkubernetes: {{ kubeconfig: '{}', node_name: lines-1 }}\nlogs:\n  files: []\n  \
         containers: {}/pods\n  local: false\n  opensearch: [{{ url: '{}', wait: 50ms }}]\n",
        plane.kubeconfig().display(),
        folder.path().display(),
        fake.url()
    );
    let skopos = Skopos::start(folder.path(), &config);
    // Their files are there before anybody has said whose they are: they are waited for.
    write("quiet");
    write("web-7d9f-x");
    skopos
        .wait_for("the lines of one pod", PATIENCE, async |_| {
            fake.count("logs-skopos-*") >= 50
        })
        .await;
    skopos
        .wait_for("those of the other, left out", PATIENCE, async |skopos| {
            let left_out = skopos
                .value("sum(skopos_logs_dropped_total{reason='excluded'})")
                .await;
            left_out == Some(50.0)
        })
        .await;
    let documents = fake.documents("logs-skopos-*");
    assert_eq!(documents.len(), 50);
    for (_, document) in &documents {
        let about = &document["kubernetes"];
        assert_eq!(about["pod"], "web-7d9f-x", "{document}");
        assert_eq!(about["node"], "lines-1");
        assert_eq!(document["cloud"]["availability_zone"], "eu-west-1c");
        assert_eq!(
            (&about["owner"]["kind"], &about["owner"]["name"]),
            (&"Deployment".into(), &"web".into())
        );
        let labels = serde_json::to_string(&about["labels"]).unwrap();
        assert!(
            labels.contains("\"web\"") && labels.contains("app_kubernetes_io"),
            "{labels}"
        );
    }
    skopos.assert_accounts().await;
    skopos
        .wait_for(
            "what is looked at of the cluster is well",
            PATIENCE,
            async |skopos| {
                let doctor: Value = skopos.api("/api/v1/doctor").await;
                let checks = doctor["checks"].as_array().cloned().unwrap_or_default();
                let is_on = |check: &&Value| check["room"] == "cluster" && check["verdict"] != "off";
                let own = checks.iter().filter(is_on);
                let verdicts: Vec<(&str, bool)> = own
                    .map(|check| (check["name"].as_str().unwrap(), check["verdict"] == "ok"))
                    .collect();
                verdicts
                    == [
                        ("pods", true),
                        ("node", true),
                        ("watches", true),
                        ("rights", true),
                    ]
            },
        )
        .await;
    assert_eq!(skopos.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_that_ask_are_scraped_while_they_run_and_what_cannot_be_is_said() {
    let Some(plane) = ControlPlane::shared() else {
        return;
    };
    let exporter = Peer::start(Answer::Body("shop_orders 7\n".to_owned())).await;
    let (host, port) = exporter.address.rsplit_once(':').unwrap();
    let asks = |name: &str, port: &str| {
        let pod = format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, annotations: {{prometheus.io/scrape: 'true', prometheus.io/port: '{port}'}}}}, \
             spec: {{nodeName: asked-1, containers: [{{name: app, image: 'lab.local/app:1'}}]}}}}"
        );
        plane.apply(&pod);
        // As its kubelet would say.
        let status =
            format!(r#"{{"status":{{"phase":"Running","podIP":"{host}","podIPs":[{{"ip":"{host}"}}]}}}}"#);
        plane.kubectl(&["patch", "pod", name, "--subresource=status", "-p", &status]);
    };
    asks("good", port);
    asks("bad", "metrics");
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "node: {{ enabled: false }}\nlogs: {{ enabled: false }}\nglobal: {{ scrape_interval: 1s, scrape_timeout: 1s }}\n\
         kubernetes: {{ kubeconfig: '{}', node_name: asked-1, scrape_pods: true }}\n",
        plane.kubeconfig().display()
    );
    let skopos = Skopos::start(folder.path(), &config);
    let series = "shop_orders{job='kubernetes-pods', namespace='default', pod='good', node='asked-1'}";
    skopos
        .wait_for("the pod's series", PATIENCE, async |skopos| {
            skopos.value(series).await == Some(7.0)
        })
        .await;
    let doctor = skopos.api("/api/v1/doctor").await.to_string();
    assert!(
        doctor.contains("default/bad: prometheus.io/port: no port: \\\"metrics\\\""),
        "{doctor}"
    );
    plane.kubectl(&["delete", "pod", "good", "--force", "--grace-period=0"]);
    skopos
        .wait_for("it to end", PATIENCE, async |skopos| {
            skopos.value(series).await.is_none()
        })
        .await;
    assert_eq!(skopos.stop().await, 0);
}

/// Events as a kubelet writes them.
fn happen(plane: &ControlPlane, names: std::ops::Range<usize>) {
    let items: Vec<Value> = names
        .map(|nth| {
            json!({
                "apiVersion": "v1", "kind": "Event", "metadata": {"name": format!("web-1.{nth}"), "namespace": "default"},
                "involvedObject": {"kind": "Pod", "namespace": "default", "name": "web-1", "uid": "p1", "fieldPath": "spec.containers{app}"},
                "reason": "BackOff", "message": format!("restart {nth}"), "type": "Warning", "count": 1,
                "firstTimestamp": "2026-11-27T10:00:00Z", "lastTimestamp": "2026-11-27T10:00:00Z",
                "source": {"component": "kubelet", "host": "n1"}
            })
        })
        .collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string();
    plane.kubectl_reading(&["create", "-o", "name", "-f", "-"], &list);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_is_a_document_once_over_a_kill_and_again_when_it_happens_again() {
    let Some(plane) = ControlPlane::start() else {
        return;
    };
    let (fake, folder) = (Fake::start(), tempfile::tempdir().unwrap());
    let config = format!(
        "node: {{ enabled: false }}\nkube_state: {{ enabled: false }}\nkubernetes: {{ kubeconfig: '{}' }}\n\
         logs: {{ files: [], opensearch: [{{ url: '{}', wait: 50ms }}] }}\n",
        plane.kubeconfig().display(),
        fake.url()
    );
    // Some happened before anybody listened.
    happen(&plane, 0..20);
    let mut skopos = Skopos::start(folder.path(), &config);
    let has = async |skopos: &Skopos, most: usize| {
        skopos
            .wait_for(&format!("{most} events"), PATIENCE, async |_| {
                fake.count("logs-skopos-*") >= most
            })
            .await;
    };
    has(&skopos, 20).await;
    happen(&plane, 20..50);
    has(&skopos, 50).await;
    // Some are heard and not yet written, and some come while nobody listens.
    happen(&plane, 50..80);
    skopos.kill();
    happen(&plane, 80..90);
    skopos.kill_and_restart();
    has(&skopos, 90).await;
    let again = r#"{"count":5,"lastTimestamp":"2026-11-27T10:09:00Z"}"#;
    plane.kubectl(&["patch", "event", "web-1.3", "--type=merge", "-p", again]);
    has(&skopos, 91).await;
    tokio::time::sleep(Duration::from_secs(2)).await;

    let documents = fake.documents("logs-skopos-*");
    let of = |text: &str| -> Vec<&Value> {
        let documents = documents.iter().map(|(_, document)| document);
        documents.filter(|document| document["message"] == text).collect()
    };
    for nth in 0..90 {
        let times = if nth == 3 { 2 } else { 1 };
        assert_eq!(
            of(&format!("BackOff: restart {nth}")).len(),
            times,
            "restart {nth}"
        );
    }
    assert_eq!(documents.len(), 91);
    let third = of("BackOff: restart 3");
    let counts: Vec<&Value> = third.iter().map(|document| &document["event"]["count"]).collect();
    assert!(
        counts.contains(&&json!(1)) && counts.contains(&&json!(5)),
        "{third:?}"
    );
    let one = of("BackOff: restart 4")[0];
    assert_eq!(one["@timestamp"], "2026-11-27T10:00:00.000Z", "{one}");
    assert_eq!(
        (&one["level"], &one["event"]["reason"]),
        (&json!("warn"), &json!("BackOff"))
    );
    assert_eq!(one["event"]["provider"], "kubelet");
    let about = &one["kubernetes"];
    assert_eq!(
        (&about["pod"], &about["container"]),
        (&json!("web-1"), &json!("app"))
    );
    assert_eq!(
        (&about["node"], &about["object"]["kind"]),
        (&json!("n1"), &json!("Pod"))
    );
    let counted = skopos.page("/metrics").await;
    let line = "skopos_kubernetes_events_total{kind=\"Pod\",namespace=\"default\",reason=\"BackOff\",type=\"Warning\"}";
    assert!(counted.lines().any(|found| found.starts_with(line)), "{counted}");
    skopos.assert_accounts().await;
    assert_eq!(skopos.stop().await, 0);
    // The segments know no ids, and there are no more all the same.
    let search = ["logs", "--since", "520w", "-n", "1000", "restart"];
    let (_, kept) = run(command(folder.path()).args(search));
    assert_eq!(
        kept.lines()
            .filter(|line| line.contains("BackOff: restart"))
            .count(),
        91,
        "{kept}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_changed_is_on_the_card_of_an_alert_about_it_and_among_the_lines() {
    let Some(plane) = ControlPlane::start() else {
        return;
    };
    for name in ["web", "cart"] {
        let labels = format!("{{app: {name}}}");
        plane.apply(&format!(
            "{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: {name}}}, spec: {{replicas: 2, selector: {{matchLabels: {labels}}}, \
             template: {{metadata: {{labels: {labels}}}, spec: {{containers: [{{name: app, image: 'shop/{name}:1.2'}}]}}}}}}}}"
        ));
    }
    let (fake, slack) = (Fake::start(), Slack::start().await.unwrap());
    let folder = tempfile::tempdir().unwrap();
    let rules = "groups: [{name: changes, interval: 1s, rules: [{alert: ManyPods, expr: 'kube_deployment_spec_replicas == 7'}]}]";
    fs::write(folder.path().join("changes.yaml"), rules).unwrap();
    let config = format!(
        "node: {{ enabled: false }}\nkube_state: {{ interval: 1s }}\nkubernetes: {{ kubeconfig: '{}' }}\nrule_files: [changes.yaml]\n\
         rules: {{ shipped: false }}\nlogs: {{ files: [], local: false, opensearch: [{{ url: '{}', wait: 50ms }}] }}\n\
         notifier: {{ group_wait: 0s, group_interval: 1s, slack: {{ webhook_url: '{}' }} }}\n",
        plane.kubeconfig().display(),
        fake.url(),
        slack.url()
    );
    let skopos = Skopos::start(folder.path(), &config);
    skopos
        .wait_for("the deployments", PATIENCE, async |skopos| {
            let known = "count(kube_deployment_spec_replicas)";
            skopos.value(known).await == Some(2.0)
        })
        .await;
    for name in ["web", "cart"] {
        let (place, image) = (format!("deployment/{name}"), format!("app=shop/{name}:1.3"));
        plane.kubectl(&["set", "image", &place, &image]);
    }
    plane.kubectl(&["scale", "deployment/web", "--replicas=7"]);
    skopos
        .wait_for("the card", PATIENCE, async |_| !slack.posted().is_empty())
        .await;
    let card = slack.posted()[0].lines().join("\n");
    assert!(card.contains("Changed in the last 30m"), "{card}");
    assert!(card.contains("web: image shop/web:1.2 → 1.3"), "{card}");
    assert!(card.contains("web: replicas 2 → 7"), "{card}");
    assert!(!card.contains("cart") && !card.contains("created"), "{card}");
    assert!(slack.refused().is_empty(), "{:?}", slack.refused());
    skopos
        .wait_for("three documents", PATIENCE, async |_| {
            fake.count("logs-skopos-*") >= 3
        })
        .await;
    let documents = fake.documents("logs-skopos-*");
    let mut messages: Vec<&str> = documents
        .iter()
        .filter_map(|(_, document)| document["message"].as_str())
        .collect();
    messages.sort_unstable();
    let want = [
        "cart: image shop/cart:1.2 → 1.3",
        "web: image shop/web:1.2 → 1.3",
        "web: replicas 2 → 7",
    ];
    assert_eq!(messages, want);
    for (_, document) in &documents {
        assert_eq!(document["event"]["dataset"], "kubernetes.changes", "{document}");
        assert_eq!(document["kubernetes"]["object"]["kind"], "Deployment");
    }
    let series =
        "skopos_last_change_timestamp_seconds{kind=\"scale\",namespace=\"default\",workload=\"web\"}";
    let shown = skopos.page("/metrics").await;
    assert!(shown.lines().any(|line| line.starts_with(series)), "{shown}");
    skopos.assert_accounts().await;
    assert_eq!(skopos.stop().await, 0);
}

/// What the Lease says: its holder, and its epoch.
fn lease(plane: &ControlPlane) -> Option<(String, u64)> {
    let shown = plane
        .try_kubectl(&["get", "lease", "skopos", "-o", "json"], "")
        .ok()?;
    let shown: Value = serde_json::from_str(&shown).ok()?;
    let epoch = shown["metadata"]["annotations"]["skopos.io/epoch"]
        .as_str()?
        .parse()
        .ok()?;
    Some((shown["spec"]["holderIdentity"].as_str()?.to_owned(), epoch))
}

/// How often people were paged for a queue.
fn paged(estate: &Estate) -> usize {
    let incidents = estate.pagerduty.incidents();
    let of_queues = |incident: &&crate::fakes::pagerduty::Incident| {
        incident
            .triggers
            .iter()
            .any(|trigger| trigger.to_string().contains("QueueLong"))
    };
    incidents.iter().filter(of_queues).count()
}

/// An address of this machine that is not loopback, which no endpoint may have.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").and_then(|socket| {
        // Nothing is sent there.
        socket.connect("192.0.2.1:9").map(|()| socket)
    });
    let at = socket.and_then(|socket| socket.local_addr()).ok();
    if at.is_none() {
        programs::skipped(
            "two replicas that find each other by endpoints (this machine has no address but loopback)",
        );
    }
    at.map(|at| at.ip())
}

/// As a headless Service of two pods has it.
fn slice(plane: &ControlPlane, at: IpAddr) {
    plane.apply(&format!(
        "{{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4, ports: [{{port: 9464}}], \
         metadata: {{name: skopos-pair-1, labels: {{kubernetes.io/service-name: skopos-pair}}}}, \
         endpoints: [{{addresses: ['{at}'], hostname: skopos-0}}, {{addresses: ['{at}'], hostname: skopos-1}}]}}"
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_replicas_holds_the_lease_whatever_becomes_of_it_and_an_outage_of_the_api_silences_nobody()
{
    let Some(plane) = ControlPlane::start() else {
        return;
    };
    let Some(at) = own_address() else {
        return;
    };
    // No server of names knows these: the API does.
    slice(&plane, at);
    let arbiter = format!(
        "kubernetes: {{ kubeconfig: '{}', replicas: {{ service: skopos-pair }} }}\npair: {{ retry: 2s",
        plane.kubeconfig().display()
    );
    let estate = Estate::build_as(&Wish {
        nodes: 1,
        arbiter: &arbiter,
        place: Some((
            at,
            [
                "skopos-0.skopos-pair.default.svc",
                "skopos-1.skopos-pair.default.svc",
            ],
        )),
        ..Wish::default()
    })
    .await;
    for replica in &estate.replicas {
        replica
            .wait_for("both are in step", PATIENCE, async |replica| {
                replica.own("skopos_pair_in_step").await == Some(1.0)
            })
            .await;
    }
    let (first, _) = estate.wait_for_leader(None).await;
    let (holder, epoch) = lease(&plane).unwrap();
    assert_eq!(holder, format!("skopos-{first}"));

    // The holder stands still: the other leads, and the first sees that it does not any more before it says anything.
    estate.replicas[first].signal("-STOP");
    let (second, took) = estate.wait_for_leader(Some(first)).await;
    println!("the other led after {:.1} s", took.as_secs_f64());
    assert!(took < Duration::from_secs(20), "{took:?}");
    estate.replicas[first].signal("-CONT");
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(estate.leader().await, Some(second));
    let (holder, taken) = lease(&plane).unwrap();
    assert_eq!(holder, format!("skopos-{second}"));
    assert!(taken > epoch);

    // The API server is away for longer than a lease, and something happens meanwhile.
    plane.stop_api();
    let away = Instant::now();
    tokio::time::sleep(Duration::from_secs(12)).await;
    estate.breach(0, true);
    estate.replicas[second]
        .wait_for(
            "it is told although nobody can say who leads",
            PATIENCE,
            async |_| estate.tells_of("web-0"),
        )
        .await;
    println!("told {:.1} s into an outage", away.elapsed().as_secs_f64());
    plane.start_api();
    estate.wait_for_leader(None).await;
    assert_eq!(paged(&estate), 1, "{:?}", estate.pagerduty.incidents());

    // Somebody deletes the Lease.
    let (_, before) = lease(&plane).unwrap();
    plane.kubectl(&["delete", "lease", "skopos"]);
    let begun = Instant::now();
    while lease(&plane).is_none() {
        assert!(begun.elapsed() < PATIENCE, "nobody makes a new one");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let (_, after) = lease(&plane).unwrap();
    assert!(after >= before, "{after} after {before}");
    estate.wait_for_leader(None).await;
    estate.breach(0, false);
    estate.replicas[second]
        .wait_for("it is resolved", PATIENCE, async |_| !estate.tells_of("web-0"))
        .await;
    assert_eq!(paged(&estate), 1, "{:?}", estate.pagerduty.incidents());
    estate.stop().await;
}

/// What the ConfigMap of the pair holds, as text; empty where there is nothing.
fn memo(plane: &ControlPlane) -> String {
    let path = "jsonpath={.binaryData.told}";
    let told = plane.try_kubectl(&["get", "configmap", "skopos-told", "-o", path], "");
    let mut unpacked = Command::new("sh")
        .args(["-c", "base64 -d | gzip -dc"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let input = unpacked.stdin.take().unwrap();
    std::io::Write::write_all(&mut { input }, told.unwrap_or_default().as_bytes()).unwrap();
    String::from_utf8(unpacked.wait_with_output().unwrap().stdout).unwrap()
}

/// Cards in Slack about the queue of a node: those that say that it is long, and those that say that it no longer is.
fn cards(estate: &Estate, name: &str) -> (usize, usize) {
    let posted = estate.slack.posted();
    let about = posted.iter().map(|card| card.lines().join("\n"));
    let about: Vec<String> = about
        .filter(|text| text.contains("QueueLong") && text.contains(name))
        .collect();
    let ended = about.iter().filter(|text| text.contains("esolved")).count();
    (about.len() - ended, ended)
}

#[tokio::test(flavor = "multi_thread")]
async fn when_both_lose_their_disks_at_once_nothing_is_told_again_and_what_ended_meanwhile_is_told() {
    let Some(plane) = ControlPlane::start() else {
        return;
    };
    let arbiter = format!(
        "kubernetes: {{ kubeconfig: '{}' }}\npair: {{ retry: 2s",
        plane.kubeconfig().display()
    );
    let mut estate = Estate::build_with(3, &arbiter).await;
    let (leader, _) = estate.wait_for_leader(None).await;
    for node in 0..2 {
        estate.breach(node, true);
    }
    let told = async |estate: &Estate, what: &str, name: &str, wanted: bool| {
        estate.replicas[leader]
            .wait_for(what, PATIENCE * 3, async |_| estate.tells_of(name) == wanted)
            .await;
    };
    for name in ["web-0", "web-1"] {
        told(&estate, "it is told", name, true).await;
    }
    let is_noted = |name: &str, memo: &str| {
        let mut lines = memo.lines().filter(|line| line.contains(name));
        lines.any(|line| line.contains("notifier/told/")) && memo.contains("rules/alert/")
    };
    let begun = Instant::now();
    loop {
        let memo = memo(&plane);
        if ["web-0", "web-1"].iter().all(|name| is_noted(name, &memo)) {
            println!("the memo has {} bytes unpacked", memo.len());
            break;
        }
        assert!(begun.elapsed() < PATIENCE * 2, "not written down: {memo}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }

    // Both at once, with all that they had. One queue is short again before anybody looks.
    for replica in &mut estate.replicas {
        replica.kill();
    }
    for replica in &estate.replicas {
        fs::remove_dir_all(replica.folder.join("data")).unwrap();
    }
    estate.breach(1, false);
    for replica in &mut estate.replicas {
        replica.start_again();
    }
    estate.wait_for_leader(None).await;
    told(&estate, "what ended meanwhile is told", "web-1", false).await;
    // What is new is told as ever, once.
    estate.breach(2, true);
    told(&estate, "what begins then is told", "web-2", true).await;
    // Rules have looked often enough to say all that they have to say again.
    tokio::time::sleep(Duration::from_secs(15)).await;
    assert!(estate.tells_of("web-0"), "it goes on");
    for node in [0, 2] {
        estate.breach(node, false);
        told(&estate, "it ends", &format!("web-{node}"), false).await;
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    for name in ["web-0", "web-1", "web-2"] {
        println!("{name}: {:?} cards of beginnings and ends", cards(&estate, name));
        assert_eq!(
            cards(&estate, name),
            (1, 1),
            "{name}: {:?}",
            estate.slack.posted()
        );
    }
    assert_eq!(paged(&estate), 3, "{:?}", estate.pagerduty.incidents());
    let incidents = estate.pagerduty.incidents();
    assert!(
        incidents.iter().all(|incident| incident.triggers.len() == 1),
        "{incidents:?}"
    );
    assert!(estate.slack.refused().is_empty(), "{:?}", estate.slack.refused());
    estate.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_outage_of_the_api_loses_no_incident_and_doubles_none() {
    // Half an hour in the long run; here for longer than four leases.
    let outage = Duration::from_secs(if long_run() { 1_800 } else { 48 });
    let Some(plane) = ControlPlane::start() else {
        return;
    };
    let arbiter = format!(
        "kubernetes: {{ kubeconfig: '{}' }}\npair: {{ retry: 2s",
        plane.kubeconfig().display()
    );
    let mut estate = Estate::build_with(2, &arbiter).await;
    let (leader, _) = estate.wait_for_leader(None).await;
    plane.stop_api();
    let away = Instant::now();
    let told = async |estate: &Estate, what: &str, name: &str, wanted: bool| {
        estate.replicas[leader]
            .wait_for(what, PATIENCE * 2, async |_| estate.tells_of(name) == wanted)
            .await;
    };
    tokio::time::sleep(outage / 4).await;
    estate.breach(0, true);
    told(&estate, "one is told in the outage", "web-0", true).await;
    println!("told {:.0} s into an outage", away.elapsed().as_secs_f64());
    // Whoever told of it dies in the middle, and comes back to the other, which goes on.
    tokio::time::sleep((outage / 2).saturating_sub(away.elapsed())).await;
    estate.replicas[leader].kill_and_restart();
    estate.breach(1, true);
    told(&estate, "another is told by whoever is left", "web-1", true).await;
    tokio::time::sleep((outage * 3 / 4).saturating_sub(away.elapsed())).await;
    estate.breach(0, false);
    told(&estate, "the first is resolved in the outage", "web-0", false).await;
    tokio::time::sleep(outage.saturating_sub(away.elapsed())).await;
    plane.start_api();
    println!(
        "the API server was away for {:.0} s",
        away.elapsed().as_secs_f64()
    );
    estate.wait_for_leader(None).await;
    estate.breach(1, false);
    told(&estate, "the other is resolved", "web-1", false).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let incidents = estate.pagerduty.incidents();
    let of = |name: &str| {
        let of_it = incidents.iter().filter(|incident| {
            incident
                .triggers
                .iter()
                .any(|trigger| trigger.to_string().contains(name))
        });
        of_it.count()
    };
    println!(
        "incidents of web-0: {}, of web-1: {}, in all {}",
        of("web-0"),
        of("web-1"),
        incidents.len()
    );
    assert_eq!(
        (of("web-0"), of("web-1"), paged(&estate)),
        (1, 1, 2),
        "{incidents:?}"
    );
    estate.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_leaves_is_not_missed_and_one_that_falls_silent_is() {
    let Some(plane) = ControlPlane::start() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let start = |role: &str, name: &str, more: &str| {
        let own = folder.path().join(name);
        fs::create_dir_all(&own).unwrap();
        let config = format!(
            "global: {{ scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }}\nlogs: {{ enabled: false }}\n\
             kube_state: {{ enabled: false }}\nkubernetes: {{ kubeconfig: '{}', node_name: {name} }}\n{more}",
            plane.kubeconfig().display()
        );
        fs::write(own.join("skopos.yaml"), config).unwrap();
        let words = [
            "--role",
            role,
            "--config",
            "skopos.yaml",
            "--listen",
            "127.0.0.1:0",
        ];
        Skopos::start_with(&own, &words)
    };
    let replica = start(
        "cluster",
        "replica",
        "remote: { receive: { silence_after: 10s } }\n",
    );
    plane.apply("{apiVersion: v1, kind: ServiceAccount, metadata: {name: skopos-node}}");
    let mut agents = Vec::new();
    for node in ["stays", "deleted", "cordoned", "disrupted"] {
        plane.apply(&format!(
            "{{apiVersion: v1, kind: Node, metadata: {{name: {node}}}}}"
        ));
        plane.apply(&format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: agent-{node}}}, spec: {{nodeName: {node}, \
             serviceAccountName: skopos-node, containers: [{{name: app, image: 'lab.local/app:1'}}]}}}}"
        ));
        let pod = format!("agent-{node}");
        let bound = ["--bound-object-kind=Pod", "--bound-object-name", &pod];
        let words = ["create", "token", "skopos-node", "--audience", "skopos"];
        let token = plane.kubectl(&[&words[..], &bound].concat());
        fs::create_dir(folder.path().join(node)).unwrap();
        fs::write(folder.path().join(node).join("token"), token.trim()).unwrap();
        let url = replica.url("/api/v1/write");
        let sink = format!(
            "node: {{ interval: 1s }}\nremote_write: [{{ url: '{url}', authorization: {{ credentials_file: token }} }}]\n"
        );
        agents.push(start("node", node, &sink));
    }
    let nodes = async |path: &str, result: &str| -> Vec<String> {
        let answer = replica.api(path).await;
        let all = answer[result].as_array().cloned().unwrap_or_default();
        let about = all.iter().filter_map(|one| {
            let labels = if result == "alerts" {
                &one["labels"]
            } else {
                &one["metric"]
            };
            let is_it = result != "alerts" || labels["alertname"] == "AgentSilent";
            is_it.then(|| labels["node"].as_str().unwrap_or_default().to_owned())
        });
        let mut names: Vec<String> = about.collect();
        names.sort();
        names
    };
    let heard = async || nodes("/api/v1/query?query=skopos_sender_up==1", "result").await;
    let silent = async || nodes("/api/v1/alerts", "alerts").await;
    replica
        .wait_for("all agents are heard", PATIENCE * 3, async |_| {
            heard().await.len() == 4
        })
        .await;

    plane.kubectl(&["cordon", "cordoned"]);
    plane.kubectl(&["taint", "node", "disrupted", "karpenter.sh/disrupted:NoSchedule"]);
    plane.kubectl(&["delete", "node", "deleted", "--wait=false"]);
    // They are heard while they are there, whatever is said of them.
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(heard().await.len(), 4);
    for agent in &mut agents {
        agent.kill();
    }
    replica
        .wait_for("the node that stays is missed", PATIENCE * 3, async |_| {
            silent().await == ["stays"]
        })
        .await;
    // What is said of senders is written each 15 s.
    let known = async || nodes("/api/v1/query?query=skopos_sender_up", "result").await;
    replica
        .wait_for("the others are not known any more", PATIENCE, async |_| {
            known().await == ["stays"]
        })
        .await;
    assert_eq!(silent().await, ["stays"]);
    plane.kubectl(&["delete", "node", "stays", "--wait=false"]);
    // Its alert looks back for five minutes, as all do that are about senders.
    let (what, patience) = match long_run() {
        true => ("AgentSilent ends", Duration::from_secs(420)),
        false => ("nothing more is said of it", PATIENCE * 3),
    };
    replica
        .wait_for(what, patience, async |_| {
            known().await.is_empty() && (!long_run() || silent().await.is_empty())
        })
        .await;
    replica.stop().await;
}
