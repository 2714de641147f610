//! The chart on a real Kubernetes: installed, and what people want of it there.

use std::process::Command;
use std::time::{Duration, Instant};

use kubernetes_tests::{Cluster, ControlPlane, Image, Lab, busybox, program, until};
use opensearch_tests::Fake;
use serde_json::Value;

use crate::fakes::gates::given;
use crate::fakes::slack::Slack;
use crate::harness::root;
use crate::{image, lab};

const IMAGE: [&str; 6] = [
    "--set",
    "image.repository=lab.local/skopos",
    "--set",
    "image.tag=1",
    "--set",
    "image.pullPolicy=Never",
];
const LINES: usize = 3_000;
/// How long helm waits; on a machine with other work an image takes its time.
const PATIENCE: &str = "8m";

fn chart() -> String {
    root().join("helm/skopos").display().to_string()
}

fn helm(cluster: &Cluster, name: &str, words: &[&str]) -> Result<String, String> {
    let mut command: Command = cluster.command(name);
    let (code, said) = programs::run(command.args(words));
    if code == 0 { Ok(said) } else { Err(said) }
}

pub(crate) fn rendered(cluster: &Cluster, name: &str, more: &[&str]) -> String {
    let chart = chart();
    let words = [
        "template",
        "skopos",
        &chart,
        "-n",
        "monitoring",
        "--kube-version",
        "1.36.0",
    ];
    let mut command: Command = cluster.command(name);
    // That it follows links it says beside what it renders.
    let done = command.args(words).args(more).output().unwrap();
    let (text, said) = (
        String::from_utf8(done.stdout).unwrap(),
        String::from_utf8_lossy(&done.stderr),
    );
    assert!(done.status.success(), "{said}");
    text
}

/// Objects of a render, by kind and name.
pub(crate) fn objects(cluster: &Cluster, text: &str) -> Vec<Value> {
    let said = cluster.kubectl_reading(&["create", "--dry-run=client", "-o", "json", "-f", "-"], text);
    // One JSON document after the other.
    let read = serde_json::Deserializer::from_str(&said).into_iter::<Value>();
    read.map(Result::unwrap)
        .flat_map(|object| match object["items"].as_array() {
            Some(items) => items.clone(),
            None => vec![object],
        })
        .collect()
}

#[test]
fn every_form_of_the_chart_is_taken_as_it_is_by_an_api_server_and_is_the_same_each_time() {
    let Some(plane) = ControlPlane::shared() else {
        return;
    };
    plane.namespace("monitoring");
    let forms: [&[&str]; 5] = [
        &[],
        &[
            "--set",
            "pair.persistence.enabled=true",
            "--set",
            "pair.persistence.storageClassName=gp3",
        ],
        &[
            "--set",
            "notifiers.slack.existingSecret=slack",
            "--set",
            "notifiers.pagerduty.existingSecret=pager",
            "--set",
            "logs.opensearch[0].url=https://search.example.com",
            "--set",
            "aws.roleArn=arn:aws:iam::123456789012:role/skopos",
            "--set",
            "aws.cloudwatch.enabled=true",
            "--set-json",
            r#"rules={"shop":{"groups":[{"name":"shop","rules":[{"alert":"A","expr":"up == 0"}]}]}}"#,
        ],
        &[
            "--set",
            "pair.replicas=1",
            "--set",
            "fullnameOverride=watcher",
            "--set",
            "node.hostNetwork=true",
        ],
        &[
            "--set",
            "dashboards.datasource=true",
            "--set",
            "networkPolicy.enabled=true",
            "--set-json",
            r#"networkPolicy.from=[{"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"grafana"}}}]"#,
        ],
    ];
    for form in forms {
        let mut texts = Vec::new();
        for name in ["helm4", "helm3"] {
            let Some(_) = program(name) else { continue };
            let text = rendered(plane, name, form);
            assert_eq!(text, rendered(plane, name, form), "two renders by {name} differ");
            texts.push(text);
        }
        for text in &texts {
            plane.kubectl_reading(
                &[
                    "apply",
                    "--dry-run=server",
                    "--validate=strict",
                    "-n",
                    "monitoring",
                    "-f",
                    "-",
                ],
                text,
            );
        }
    }
    // Nobody is given what nobody may have.
    let Some(_) = program("helm4") else { return };
    let all = objects(plane, &rendered(plane, "helm4", &[]));
    let roles: Vec<&Value> = all
        .iter()
        .filter(|object| matches!(object["kind"].as_str(), Some("Role" | "ClusterRole")))
        .collect();
    assert_eq!(roles.len(), 3);
    for role in roles {
        let rules = role["rules"].to_string();
        for forbidden in [
            "\"*\"",
            "nodes/proxy",
            "secrets",
            "escalate",
            "impersonate",
            "pods/exec",
            "\"delete\"",
        ] {
            assert!(!rules.contains(forbidden), "{forbidden} in {rules}");
        }
    }
    // In the network of nodes agents are found by addresses only.
    let template = ["template", "skopos", &chart(), "--kube-version", "1.36.0"];
    let on_nodes = [
        "--set",
        "node.hostNetwork=true",
        "--set",
        "networkPolicy.enabled=true",
    ];
    let said = helm(plane, "helm4", &[&template[..], &on_nodes].concat());
    assert!(said.unwrap_err().contains("networkPolicy.from"));
    // A misspelt value is refused by its name.
    let said = helm(
        plane,
        "helm4",
        &[
            "template",
            "skopos",
            &chart(),
            "--kube-version",
            "1.36.0",
            "--set",
            "node.tolerrations=[]",
        ],
    );
    assert!(said.unwrap_err().contains("tolerrations"));
    // Dashboards are there word for word.
    let maps: Vec<&Value> = all
        .iter()
        .filter(|object| object["kind"] == "ConfigMap")
        .collect();
    for entry in std::fs::read_dir(root().join("dashboards")).unwrap() {
        let file = entry.unwrap().path();
        let name = file.file_name().unwrap().to_str().unwrap();
        let told = maps.iter().find_map(|map| map["data"][name].as_str());
        assert_eq!(
            told,
            Some(std::fs::read_to_string(&file).unwrap().as_str()),
            "{name}"
        );
    }
    // What the configuration of the two roles comes to is right by our own word; so is one that watches AWS.
    let watching = [
        "--set",
        "aws.cloudwatch.enabled=true",
        "--set",
        "aws.cloudwatch.maxUsdPerMonth=12.5",
    ];
    let watching = objects(plane, &rendered(plane, "helm4", &watching));
    let sums = watching
        .iter()
        .filter_map(|object| object["data"]["skopos.yaml"].as_str())
        .filter(|text| text.contains("max_usd_per_month: 12.5"));
    assert_eq!(sums.count(), 1, "the pair alone watches AWS");
    for object in maps
        .into_iter()
        .chain(&watching)
        .filter(|map| map["data"]["skopos.yaml"].is_string())
    {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("skopos.yaml");
        std::fs::write(&file, object["data"]["skopos.yaml"].as_str().unwrap()).unwrap();
        let (code, said) = programs::run(
            Command::new(env!("CARGO_BIN_EXE_skopos"))
                .arg("check")
                .arg(&file)
                // As in a pod, where the API server says who leads.
                .env("KUBERNETES_SERVICE_HOST", "10.96.0.1"),
        );
        let is_pair = object["metadata"]["name"] == "skopos-cluster";
        assert!(
            code == 0 || (is_pair && said.contains("pair.lease_file")),
            "{said}"
        );
    }
}

/// What one of the pods answers, by the program in it.
fn ask(lab: &Lab, pod: &str, expression: &str) -> String {
    let words = [
        "exec",
        "-n",
        "monitoring",
        pod,
        "-c",
        "skopos",
        "--",
        "/skopos",
        "query",
        "--url",
        "http://127.0.0.1:9464",
        expression,
    ];
    lab.try_kubectl(&words, "").unwrap_or_else(|said| said)
}

/// The pod of the agent that runs.
fn agent_of(lab: &Lab) -> String {
    let agent = lab.kubectl(&[
        "get",
        "pods",
        "-n",
        "monitoring",
        "-l",
        "app.kubernetes.io/component=node",
        "-o",
        "name",
    ]);
    agent.trim().trim_start_matches("pod/").to_owned()
}

/// Prints numbered lines, some of them while the agent is away.
fn printer(name: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, labels: {{app: {name}}}}}, spec: {{restartPolicy: Never, \
         terminationGracePeriodSeconds: 1, containers: [{{name: main, image: 'lab.local/busybox:1', imagePullPolicy: Never, \
         command: [/bin/sh, -c, 'i=0; while [ $i -lt {LINES} ]; do echo line $i of {name}; i=$((i+1)); \
         [ $((i % 100)) -eq 0 ] && /bin/busybox sleep 0.5; done; /bin/busybox sleep 3600']}}]}}}}"
    )
}

#[test]
fn installed_on_a_node_the_agent_and_the_pair_work_and_each_line_of_a_pod_is_there_once() {
    let Some(lab) = Lab::start() else { return };
    let (Some(_), Some(busybox)) = (program("helm4"), busybox()) else {
        return;
    };
    lab.load_archive(&image::archive(lab.folder(), &given("ca.pem")));
    lab.load_image(
        &Image::new("lab.local/busybox:1")
            .file("/bin/busybox", &busybox, 0o755)
            .file("/bin/sh", &busybox, 0o755),
    );
    let fake = Fake::start();
    let port = fake
        .url()
        .rsplit(':')
        .next()
        .unwrap()
        .trim_matches('/')
        .parse()
        .unwrap();
    let sink = format!("logs.opensearch[0].url=http://{}", lab.offer(port));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let slack = runtime.block_on(Slack::start()).unwrap();
    lab::make_secret(&lab, &slack);
    let quick = lab.folder().join("quick.yaml");
    std::fs::write(&quick, lab::quick_rule()).unwrap();
    let quick = quick.display().to_string();
    let chart = chart();
    let place = ["-n", "monitoring"];
    let release: Vec<&str> = [
        &["skopos", &chart][..],
        &place,
        &IMAGE,
        &["--set", &sink, "--set", "cluster.name=lab"],
        &["--set", "notifiers.slack.existingSecret=slack"],
        &["-f", &quick, "--set-json", lab::QUICK],
    ]
    .concat();
    let begun = Instant::now();
    helm(
        &lab,
        "helm4",
        &[
            &["install"][..],
            &release,
            &["--create-namespace", "--wait", "--timeout", PATIENCE],
        ]
        .concat(),
    )
    .unwrap();
    println!("installed and ready after {:.1} s", begun.elapsed().as_secs_f64());

    // What the agent reads is with both replicas, under the node that its token names.
    for replica in ["skopos-cluster-0", "skopos-cluster-1"] {
        for series in [
            "node_uname_info{node='lab-node', nodename='lab-node'}",
            "up{job='kubelet', metrics_path='/metrics', node='lab-node'} == 1",
            "up{job='kubelet', metrics_path='/metrics/probes', node='lab-node'} == 1",
            "up{job='cadvisor', node='lab-node'} == 1",
            "up{job='kubelet-resource', node='lab-node'} == 1",
            "up{job='kubelet-summary', metrics_path='/stats/summary', node='lab-node'} == 1",
            "kube_summary_pod_ephemeral_storage_used_bytes{node='lab-node', namespace='monitoring', pod='skopos-cluster-0'}",
            "kube_summary_container_logs_used_bytes{node='lab-node', namespace='monitoring', container='skopos'} > 0",
            "up{job='kube-apiserver'} == 1",
            "apiserver_request_total{job='kube-apiserver', verb='LIST'}",
            "container_memory_working_set_bytes{node='lab-node', namespace='monitoring', container='skopos'}",
        ] {
            until("a series of the node", Duration::from_secs(300), || {
                let said = ask(&lab, replica, &format!("count({series})"));
                if said
                    .trim_start()
                    .starts_with(|first: char| first.is_ascii_digit() && first != '0')
                {
                    Ok(())
                } else {
                    Err(format!("{replica} {series}: {said}"))
                }
            });
        }
    }
    let holder = lab.kubectl(&[
        "get",
        "lease",
        "skopos",
        "-n",
        "monitoring",
        "-o",
        "jsonpath={.spec.holderIdentity}",
    ]);
    assert!(holder.starts_with("skopos-cluster-"), "{holder}");
    let agent = agent_of(&lab);
    let doctor = lab.try_kubectl(
        &[
            "exec",
            "-n",
            "monitoring",
            &agent,
            "-c",
            "skopos",
            "--",
            "/skopos",
            "doctor",
        ],
        "",
    );
    let doctor = doctor.unwrap_or_else(|said| said);
    assert!(
        doctor.contains("lab-node: m7i.large, eu-west-1a, ng1") && !doctor.contains(" fail "),
        "{doctor}"
    );

    // Lines, through the death of the agent.
    lab.apply(&printer("talker"));
    let lines = || -> Vec<usize> {
        let documents = fake.documents("logs-skopos-*").into_iter();
        let own = documents.filter(|(_, document)| {
            // Events of the pod are there, too.
            document["kubernetes"]["pod"] == "talker" && document["event"]["dataset"].is_null()
        });
        let numbers = own.map(|(_, document)| {
            assert_eq!(document["kubernetes"]["labels"]["app"], "talker", "{document}");
            assert_eq!(document["cloud"]["availability_zone"], "eu-west-1a", "{document}");
            let text = document["message"].as_str().unwrap().to_owned();
            text.split(' ').nth(1).unwrap().parse().unwrap()
        });
        numbers.collect()
    };
    until("some lines", Duration::from_secs(180), || match lines().len() {
        0..300 => Err("too few".to_owned()),
        _ => Ok(()),
    });
    lab.kubectl(&[
        "delete",
        "pod",
        &agent,
        "-n",
        "monitoring",
        "--force",
        "--grace-period=0",
    ]);
    until("all lines", Duration::from_secs(300), || {
        let count = lines().len();
        if count >= LINES {
            Ok(())
        } else {
            Err(format!("{count} of {LINES}"))
        }
    });
    let mut seen = lines();
    seen.sort_unstable();
    assert_eq!(seen, (0..LINES).collect::<Vec<_>>());

    let agent = agent_of(&lab);
    lab::an_agent_shows_lines_to_the_pair_alone(&lab, &agent);
    let eats = lab::begin_to_eat(&lab);
    lab::a_crash_loop_is_told_and_its_end(&lab, &slack);
    lab::a_rotation_loses_no_line(&lab, &fake);
    if eats {
        lab::a_killed_child_is_counted(&lab, &|expression| ask(&lab, "skopos-cluster-0", expression));
    }

    // By its own word; then another form of it, back, and away.
    let said = helm(&lab, "helm4", &[&["test", "skopos"][..], &place].concat()).unwrap();
    assert!(said.contains("Succeeded"), "{said}");
    let upgrade = [
        &["upgrade"][..],
        &release,
        &[
            "--set",
            "commonLabels.team=platform",
            "--wait",
            "--timeout",
            PATIENCE,
        ],
    ]
    .concat();
    helm(&lab, "helm4", &upgrade).unwrap();
    helm(
        &lab,
        "helm4",
        &[
            &["rollback", "skopos", "1", "--wait", "--timeout", PATIENCE][..],
            &place,
        ]
        .concat(),
    )
    .unwrap();
    // What it had went with its pod: it has it from the other replica or the agent.
    until(
        "the node's series after the way back",
        Duration::from_secs(300),
        || {
            let said = ask(&lab, "skopos-cluster-0", "count(node_uname_info)");
            match said.trim_start().starts_with('1') {
                true => Ok(()),
                false => Err(said),
            }
        },
    );
    helm(
        &lab,
        "helm4",
        &[&["uninstall", "skopos", "--wait"][..], &place].concat(),
    )
    .unwrap();
    let left = lab.kubectl(&[
        "get",
        "clusterroles,clusterrolebindings",
        "-l",
        "app.kubernetes.io/name=skopos",
        "-o",
        "name",
    ]);
    assert_eq!(left, "");
}

#[test]
fn both_helms_install_upgrade_roll_back_and_uninstall() {
    let Some(plane) = ControlPlane::start() else {
        return;
    };
    let chart = chart();
    for name in ["helm4", "helm3"] {
        let Some(_) = program(name) else { continue };
        let place = ["-n", name];
        plane.namespace(name);
        let run = |words: &[&str]| helm(&plane, name, &[words, &place].concat()).unwrap();
        let labelled = || {
            let words = [
                "get",
                "daemonsets,statefulsets",
                "-n",
                name,
                "-l",
                "team=platform",
                "-o",
                "name",
            ];
            plane.kubectl(&words).lines().count()
        };
        let memo = ["configmap", "skopos-told", "-n", name];
        let noted = || {
            let words = ["get", "-o", "jsonpath={.binaryData.told}"];
            plane.kubectl(&[&words[..1], &memo, &words[1..]].concat())
        };
        run(&["install", "skopos", &chart]);
        let words = ["--type=merge", "-p", r#"{"binaryData":{"told":"c2tvcG9z"}}"#];
        plane.kubectl(&[&["patch"][..], &memo, &words].concat());
        run(&["upgrade", "skopos", &chart, "--set", "commonLabels.team=platform"]);
        assert_eq!((labelled(), noted().as_str()), (2, "c2tvcG9z"));
        run(&["rollback", "skopos", "1"]);
        assert_eq!((labelled(), noted().as_str()), (0, "c2tvcG9z"));
        run(&["uninstall", "skopos"]);
        let kinds = "daemonsets,statefulsets,services,configmaps,serviceaccounts,roles,rolebindings,clusterroles,clusterrolebindings,poddisruptionbudgets";
        let left = plane.kubectl(&[
            "get",
            kinds,
            "-A",
            "-l",
            "app.kubernetes.io/name=skopos",
            "-o",
            "name",
        ]);
        assert_eq!(left, "", "{name} leaves nothing");
    }
}
