//! What people want of a crash, a rotation and a kill for want of memory on a real node; each in the lab that the chart's test has
//! installed it in, since a start costs minutes.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use kubernetes_tests::{Lab, until};
use opensearch_tests::Fake;
use serde_json::Value;

use crate::fakes::slack::Slack;
use crate::harness::root;

/// What a kernel may lack; anything else that is missing is a failure.
const PERMITTED: &str = include_str!("kubernetes/permitted-skips.txt");
/// The rule that is told of, and how it is made quick.
const ALERT: &str = "KubePodCrashLooping";
const PATIENCE: Duration = Duration::from_secs(240);
/// Of a pod that prints for some forty seconds, over several rotations.
const PRINTED: usize = 12_000;
const ROTATIONS: usize = 3;

/// The shipped rule under its own name, as the value `rules` of the chart: it waits for seconds where the shipped one waits for a
/// quarter of an hour, and looks back for one minute where that looks back for five, and for two where that does for ten. Everything
/// else is the shipped text.
pub(crate) fn quick_rule() -> String {
    let shipped = std::fs::read_to_string(root().join("rules/kubernetes-workloads.yaml")).unwrap();
    let begin = shipped.find(&format!("      - alert: {ALERT}\n")).unwrap();
    let rule = &shipped[begin..];
    let rule = &rule[..rule.find("\n\n").unwrap()];
    assert!(rule.contains("for: 15m") && rule.contains("[5m]"), "{rule}");
    let quick = rule
        .replace("for: 15m", "for: 5s")
        .replace("[5m]", "[1m]")
        .replace("[10m]", "[2m]");
    let indented: Vec<String> = quick.lines().map(|line| format!("    {line}")).collect();
    format!(
        "rules:\n  quick:\n    groups:\n      - name: quick\n        interval: 5s\n        rules:\n{}\n",
        indented.join("\n")
    )
}

/// So that nobody waits for minutes: the state of objects is written down, and groups are told, within seconds.
pub(crate) const QUICK: &str = r#"pair.config={"kube_state":{"interval":"5s"},"notifier":{"group_wait":"1s","group_interval":"5s","resolve_wait":"1s"}}"#;

/// The Secret from which the pair knows Slack.
pub(crate) fn make_secret(lab: &Lab, slack: &Slack) {
    let port = slack.url().split(':').nth(2).unwrap();
    let (port, path) = port.split_once('/').unwrap();
    let url = format!("http://{}/{path}", lab.offer(port.parse().unwrap()));
    let secret = format!(
        "{{apiVersion: v1, kind: Secret, metadata: {{name: slack, namespace: monitoring}}, stringData: {{webhook-url: '{url}'}}}}"
    );
    lab.apply("{apiVersion: v1, kind: Namespace, metadata: {name: monitoring}}");
    lab.apply(&secret);
}

/// A crash loop is told with what the pod said last and what Kubernetes says of it, and its end is told after the fix.
pub(crate) fn a_crash_loop_is_told_and_its_end(lab: &Lab, slack: &Slack) {
    let deployment = |command: &str| {
        format!(
            "{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: crasher}}, spec: {{replicas: 1, \
             selector: {{matchLabels: {{app: crasher}}}}, template: {{metadata: {{labels: {{app: crasher}}}}, \
             spec: {{terminationGracePeriodSeconds: 1, containers: [{{name: main, image: 'lab.local/busybox:1', \
             imagePullPolicy: Never, command: [/bin/sh, -c, '{command}']}}]}}}}}}}}"
        )
    };
    let begun = Instant::now();
    lab.apply(&deployment(
        "for i in 1 2 3 4 5; do echo order $i is lost; done; exit 1",
    ));
    let cards = |title: &str| -> Vec<String> {
        let posted = slack.posted().into_iter();
        let of = posted.map(|posted| format!("{}\n{}", posted.text(), posted.lines().join("\n")));
        of.filter(|card| card.contains("default/crasher-") && card.contains(title))
            .collect()
    };
    until("nobody is told of the crash loop", PATIENCE, || {
        match cards("is in a crash loop").first() {
            Some(_) => Ok(()),
            None => Err(format!("{:?} {:?}", slack.posted(), slack.refused())),
        }
    });
    println!(
        "a crash loop is told after {:.0} s",
        begun.elapsed().as_secs_f64()
    );
    let card = cards("is in a crash loop").swap_remove(0);
    println!("{card}");
    assert!(card.contains(ALERT), "{card}");
    for nth in 2..=5 {
        assert!(card.contains(&format!("order {nth} is lost")), "{card}");
    }
    assert!(
        card.contains("Kubernetes says")
            && card.contains("BackOff: Back-off restarting failed container main in pod crasher-"),
        "{card}"
    );
    assert!(!card.contains("did not answer"), "{card}");

    // The fix.
    let begun = Instant::now();
    lab.apply(&deployment("exec /bin/busybox sleep 3600"));
    until("nobody is told of the end", PATIENCE, || {
        match cards("esolved").first() {
            Some(_) => Ok(()),
            None => Err(format!("{:?} {:?}", slack.posted(), slack.refused())),
        }
    });
    println!(
        "its end is told {:.0} s after the fix",
        begun.elapsed().as_secs_f64()
    );
    lab.kubectl(&["delete", "deployment", "crasher", "--timeout=60s"]);
}

/// Every line is there once while the kubelet itself rotates the file that it is written to.
pub(crate) fn a_rotation_loses_no_line(lab: &Lab, fake: &Fake) {
    lab.apply(&format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: spinner, labels: {{app: spinner}}}}, spec: {{restartPolicy: Never, \
         terminationGracePeriodSeconds: 1, containers: [{{name: main, image: 'lab.local/busybox:1', imagePullPolicy: Never, \
         command: [/bin/sh, -c, 'i=0; while [ $i -lt {PRINTED} ]; do echo line $i {filler}; i=$((i+1)); \
         [ $((i % 100)) -eq 0 ] && /bin/busybox sleep 0.3; done; /bin/busybox sleep 3600']}}]}}}}",
        filler = "x".repeat(120)
    ));
    let uid = lab.kubectl(&["get", "pod", "spinner", "-o", "jsonpath={.metadata.uid}"]);
    let folder = lab.outside(&format!("/var/log/pods/default_spinner_{uid}/main"));
    let numbers = || -> Vec<usize> {
        let own = fake
            .documents("logs-skopos-*")
            .into_iter()
            .filter(|(_, document)| {
                document["kubernetes"]["pod"] == "spinner" && document["event"]["dataset"].is_null()
            });
        let numbers = own.map(|(_, document)| {
            let text = document["message"].as_str().unwrap().to_owned();
            text.split(' ').nth(1).unwrap().parse().unwrap()
        });
        numbers.collect()
    };
    let mut rotated = BTreeSet::new();
    until("not all lines of all files have come", PATIENCE, || {
        rotated.extend(rotations(&folder));
        let count = numbers().len();
        match count >= PRINTED {
            true => Ok(()),
            false => Err(format!("{count} of {PRINTED} over {rotated:?}")),
        }
    });
    println!("{PRINTED} lines over {} rotations by the kubelet", rotated.len());
    assert!(
        rotated.len() >= ROTATIONS,
        "too few rotations to mean anything: {rotated:?}"
    );
    let mut seen = numbers();
    seen.sort_unstable();
    assert_eq!(seen, (0..PRINTED).collect::<Vec<_>>());
    lab.kubectl(&["delete", "pod", "spinner", "--timeout=60s"]);
}

/// Files that the kubelet has put aside, by the second in which it did so.
fn rotations(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let times = names.filter_map(|name| {
        let rest = name.strip_prefix("0.log.")?;
        Some(rest.split('.').next().unwrap_or_default().to_owned())
    });
    times.collect()
}

/// A pod of which a child is killed for want of memory, after it has been there for a while; whether the kernel lets somebody see it.
pub(crate) fn begin_to_eat(lab: &Lab) -> bool {
    if !kernel_log_tells_of_cgroups() {
        lacks(
            "the kernel's log, which alone says that a child of a container was killed (container_oom_events_total)",
        );
        return false;
    }
    lab.apply(
        "{apiVersion: v1, kind: Pod, metadata: {name: hungry}, spec: {terminationGracePeriodSeconds: 0, containers: [{name: main, \
         image: 'lab.local/busybox:1', imagePullPolicy: Never, resources: {limits: {memory: 32Mi}}, \
         command: [/bin/sh, -c, '/bin/busybox sleep 45; /bin/busybox tail /dev/zero; echo it has ended with $?; exec /bin/busybox sleep 3600']}]}}",
    );
    true
}

/// The kill is counted, the pair has the count and sees it rise, and the container went on.
pub(crate) fn a_killed_child_is_counted(lab: &Lab, ask: &dyn Fn(&str) -> String) {
    let count = "sum(container_oom_events_total{pod='hungry', container='main', node='lab-node'})";
    until("no kill is counted", PATIENCE, || {
        let said = ask(count);
        match said.trim_start().starts_with('1') {
            true => Ok(()),
            false => Err(said),
        }
    });
    // The agent saw it too, by the count of the container's cgroup: as a user without rights it cannot read the kernel's log.
    let seen = "sum(skopos_oom_kills_total{namespace='default', pod='hungry', container='main'})";
    until("the agent has not seen the kill", PATIENCE, || {
        let said = ask(seen);
        match said.trim_start().starts_with('1') {
            true => Ok(()),
            false => Err(said),
        }
    });
    let limit = "skopos_oom_last_kill_limit_bytes{namespace='default', pod='hungry', container='main'} == 32 * 2 ^ 20";
    until("the limit at the kill is not known", PATIENCE, || {
        let said = ask(limit);
        match said.contains("hungry") {
            true => Ok(()),
            false => Err(said),
        }
    });
    let running = "jsonpath={.status.containerStatuses[0].restartCount} {.status.phase}";
    assert_eq!(lab.kubectl(&["get", "pod", "hungry", "-o", running]), "0 Running");
    assert!(lab.kubectl(&["logs", "hungry"]).contains("it has ended with 137"));
    // The expression of the shipped rule has it: the counter was seen at nought before.
    let rule = "sum by (namespace, pod, container) (increase(container_oom_events_total{container!='', pod='hungry'}[15m])) > 0";
    until("the shipped expression is not true", PATIENCE, || {
        let said = ask(rule);
        match said.contains("hungry") {
            true => Ok(()),
            false => Err(said),
        }
    });
    lab.kubectl(&["delete", "pod", "hungry", "--timeout=60s"]);
}

/// It names cgroups by their whole path only to who is in the first namespace of them.
fn kernel_log_tells_of_cgroups() -> bool {
    // The inode of the first of them is the same on every machine.
    let namespace = std::fs::read_link("/proc/self/ns/cgroup").unwrap_or_default();
    namespace.as_os_str() == "cgroup:[4026531835]" && std::fs::File::open("/dev/kmsg").is_ok()
}

/// Counted as skipped, if it may be.
fn lacks(feature: &str) {
    let is_permitted = PERMITTED.lines().any(|line| line == feature);
    assert!(is_permitted, "{feature}: not among those of permitted-skips.txt");
    programs::skipped(feature);
}

/// An agent shows others nothing but probes and metrics; a replica by its token the last lines, and nobody by another one.
pub(crate) fn an_agent_shows_lines_to_the_pair_alone(lab: &Lab, agent: &str) {
    let address = lab.kubectl(&[
        "get",
        "pod",
        agent,
        "-n",
        "monitoring",
        "-o",
        "jsonpath={.status.podIP}",
    ]);
    let reached = lab.reach(&format!("{address}:9464"));
    let get = |path: &str, token: Option<&str>| -> (u16, String) {
        let url = format!("http://{reached}{path}");
        let mut words = vec!["-s", "-w", "\n%{http_code}", "--max-time", "10", url.as_str()];
        let header = token.map(|token| format!("Authorization: Bearer {token}"));
        if let Some(header) = &header {
            words.extend(["-H", header]);
        }
        let (code, said) = programs::run(std::process::Command::new("curl").args(&words));
        assert_eq!(code, 0, "{said}");
        let (body, status) = said.rsplit_once('\n').unwrap();
        (status.parse().unwrap(), body.to_owned())
    };
    for path in ["/metrics", "/metrics/node", "/-/healthy", "/-/ready"] {
        assert_eq!(get(path, None).0, 200, "{path}");
    }
    for path in [
        "/",
        "/logs",
        "/api/v1/query?query=up",
        "/config",
        "/api/v1/doctor",
    ] {
        let (status, said) = get(path, None);
        assert_eq!(status, 403, "{path}: {said}");
    }
    let tail = "/api/v1/logs/tail?namespace=default&pod=talker&lines=3";
    assert_eq!(get(tail, None).0, 401);
    let token = |account: &str, pod: &str, audience: &str| {
        let words = [
            "create",
            "token",
            account,
            "-n",
            "monitoring",
            "--audience",
            audience,
            "--bound-object-kind=Pod",
            "--bound-object-name",
            pod,
        ];
        lab.kubectl(&words).trim().to_owned()
    };
    // Of the wrong audience, and of the wrong account.
    let others = [
        token("skopos-cluster", "skopos-cluster-0", "skopos"),
        token("skopos-node", agent, "skopos-node"),
        "an-older-token-0123456789".to_owned(),
    ];
    for other in &others {
        let (status, said) = get(tail, Some(other));
        assert!(
            matches!(status, 401 | 403) && !said.contains("line "),
            "{status} {said}"
        );
    }
    let own = token("skopos-cluster", "skopos-cluster-0", "skopos-node");
    let (status, said) = get(tail, Some(&own));
    assert_eq!(status, 200, "{said}");
    let tail: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(tail["lines"].as_array().unwrap().len(), 3, "{tail}");
    // That token shows nothing more.
    assert_eq!(get("/logs", Some(&own)).0, 403);
    // And doctor, asked in a replica, asks the agents.
    let doctor = |words: &[&str]| {
        let exec = [
            "exec",
            "-n",
            "monitoring",
            "skopos-cluster-0",
            "-c",
            "skopos",
            "--",
            "/skopos",
            "doctor",
        ];
        lab.try_kubectl(&[&exec, words].concat(), "")
            .unwrap_or_else(|said| said)
    };
    let said = doctor(&["--live"]);
    assert!(
        said.contains("1 of 1 answer") && said.contains("1 nodes have one that can be asked"),
        "{said}"
    );
}
