//! What tests elsewhere rely on.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use programs::Running;
use serde_json::{Value, json};

use crate::cluster::PATIENCE;
use crate::{ControlPlane, Image, KubeState, Lab, Operator, busybox, until};

fn config_map(name: &str) -> String {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name }, "data": { "one": "1" } })
        .to_string()
}

#[test]
fn what_is_applied_is_there_and_a_field_that_no_kind_has_is_refused() {
    let Some(plane) = ControlPlane::shared() else {
        return;
    };
    plane.namespace("applied");
    plane.kubectl_reading(&["create", "-n", "applied", "-f", "-"], &config_map("kept"));
    let kept = plane.kubectl(&[
        "get",
        "configmap",
        "kept",
        "-n",
        "applied",
        "-o",
        "jsonpath={.data.one}",
    ]);
    assert_eq!(kept, "1");
    let wrong =
        r#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"a"},"spec":{"replica":1}}"#;
    let refused = plane.try_kubectl(
        &["apply", "--dry-run=server", "--validate=strict", "-f", "-"],
        wrong,
    );
    assert!(refused.unwrap_err().contains("replica"));
    let version: Value = serde_json::from_str(&plane.kubectl(&["version", "-o", "json"])).unwrap();
    assert_eq!(version["serverVersion"]["gitVersion"], "v1.36.4");
}

#[test]
fn a_token_is_reviewed_for_its_audience_and_no_other() {
    let Some(plane) = ControlPlane::shared() else {
        return;
    };
    let token = plane.token("default", "default", "skopos");
    let review = |token: &str, audience: &str| -> Value {
        let asked = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
            "spec": { "token": token, "audiences": [audience] }
        });
        let said = plane.kubectl_reading(&["create", "-f", "-", "-o", "json"], &asked.to_string());
        serde_json::from_str::<Value>(&said).unwrap()["status"].take()
    };
    let known = review(&token, "skopos");
    assert_eq!(
        (&known["authenticated"], &known["user"]["username"]),
        (&json!(true), &json!("system:serviceaccount:default:default"))
    );
    assert_ne!(review(&token, "another")["authenticated"], json!(true));
    assert_ne!(review("no token", "skopos")["authenticated"], json!(true));
}

#[test]
fn an_account_may_do_what_a_role_says_and_the_rest_is_forbidden() {
    let Some(plane) = ControlPlane::shared() else {
        return;
    };
    plane.namespace("rights");
    let config = plane.kubeconfig_for("rights", "default");
    let asks = |kind: &str| {
        let config = format!("--kubeconfig={}", config.display());
        // The first line of what this prints at this level names the status.
        let said = plane.try_kubectl(&["get", kind, "-n", "rights", &config, "-v=6"], "");
        said.map(drop)
    };
    let forbidden = |said: Result<(), String>| said.is_err_and(|said| said.contains("403"));
    assert!(forbidden(asks("configmaps")), "nobody has given it the right");
    plane.kubectl(&[
        "create",
        "role",
        "reader",
        "-n",
        "rights",
        "--verb=get,list",
        "--resource=configmaps",
    ]);
    plane.kubectl(&[
        "create",
        "rolebinding",
        "reader",
        "-n",
        "rights",
        "--role=reader",
        "--serviceaccount=rights:default",
    ]);
    until("the right is not seen", PATIENCE, || asks("configmaps"));
    assert!(forbidden(asks("secrets")));
}

#[test]
fn a_watch_outlives_a_pause_and_what_was_written_outlives_a_stop() {
    let Some(plane) = ControlPlane::start() else {
        return;
    };
    let mut watch = plane.command("kubectl");
    watch.args(["get", "--raw", "/api/v1/namespaces/default/configmaps?watch=true"]);
    let mut watch = Running(
        watch
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let mut lines = BufReader::new(watch.0.stdout.take().unwrap()).lines();
    let mut sees = |name: &str| {
        let line = lines.find(|line| line.as_ref().is_ok_and(|line| line.contains(name)));
        assert!(line.is_some(), "the watch has ended before it saw {name}");
    };
    let make =
        |name: &str| plane.try_kubectl(&["create", "-f", "-", "--request-timeout=1s"], &config_map(name));
    make("before").unwrap();
    sees("before");
    plane.pause_api();
    assert!(make("meanwhile").is_err(), "nobody answers");
    plane.resume_api();
    until("it does not answer again", PATIENCE, || make("after").map(drop));
    sees("after");
    let (url, process) = (plane.url().to_owned(), plane.process());
    plane.stop_api();
    assert!(make("stopped").is_err(), "nobody listens");
    plane.start_api();
    assert_ne!(plane.process(), process);
    assert_eq!(plane.url(), url);
    plane.kubectl(&["get", "configmap", "before", "after"]);
    assert!(plane.try_kubectl(&["get", "configmap", "stopped"], "").is_err());
}

#[test]
fn nothing_outlives_whoever_started_it() {
    let Some(plane) = ControlPlane::start() else {
        return;
    };
    let folder = plane.folder().to_owned();
    let of = |process: Option<rustix::process::Pid>| process.unwrap();
    let processes = [
        of(plane.api().as_ref().unwrap().process()),
        of(plane.etcd().process()),
    ];
    // One that stands still would hear no kind word.
    plane.pause_api();
    plane.api().as_mut().unwrap().let_go();
    plane.etcd().let_go();
    until("something lives on", PATIENCE, || {
        let alive = |process: &&rustix::process::Pid| rustix::process::test_kill_process(**process).is_ok();
        match processes.iter().find(alive) {
            Some(process) => Err(format!("process {process:?}")),
            None if folder.exists() => Err(folder.display().to_string()),
            None => Ok(()),
        }
    });
    thread::park_timeout(Duration::from_millis(100));
    assert!(!folder.exists(), "somebody still writes there");
}

#[test]
fn fake_nodes_are_ready_and_fake_pods_run_and_each_has_its_metrics() {
    let Some(plane) = ControlPlane::start() else {
        return;
    };
    let is_long = std::env::var_os("SKOPOS_TEST_LONG").is_some();
    let (nodes, pods) = if is_long { (1000, 10_000) } else { (20, 300) };
    let Some(()) = plane.fake_nodes(nodes) else { return };
    let Some(()) = plane.fake_pods(pods) else { return };
    let count = |words: &[&str]| {
        plane
            .kubectl(&[&["get"], words, &["-o", "name"]].concat())
            .lines()
            .count()
    };
    assert_eq!(count(&["nodes"]), nodes as usize);
    assert_eq!(count(&["pods", "-n", "fakes"]), pods as usize);
    let on_one = count(&["pods", "-n", "fakes", "--field-selector=spec.nodeName=fake-7"]);
    assert_eq!(on_one, (pods / nodes) as usize);
    // More are added to those that are there.
    let Some(()) = plane.fake_pods(pods + 1) else {
        return;
    };
    assert_eq!(count(&["pods", "-n", "fakes"]), pods as usize + 1);
    let port = plane.fake_kubelets().unwrap();
    let metrics = || {
        let path = "/metrics/nodes/fake-7/metrics/resource";
        let server = format!("--server={port}");
        let said = plane.try_kubectl(&["get", "--raw", path, &server], "")?;
        let lines = said
            .lines()
            .filter(|line| line.starts_with("pod_memory_working_set_bytes{"));
        let count = lines.count();
        if count == on_one {
            Ok(())
        } else {
            Err(format!("{count} pods have metrics"))
        }
    };
    until("a fake kubelet does not tell", PATIENCE, metrics);
}

#[test]
fn both_helms_install_upgrade_roll_back_and_uninstall() {
    let Some(plane) = ControlPlane::shared() else {
        return;
    };
    let chart = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| std::fs::write(chart.path().join(name), content).unwrap();
    std::fs::create_dir(chart.path().join("templates")).unwrap();
    file("Chart.yaml", "apiVersion: v2\nname: small\nversion: 0.1.0\n");
    let template = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: '{{ .Release.Name }}'}\ndata: {word: '{{ .Values.word }}'}\n";
    file("templates/map.yaml", template);
    for (name, version) in [("helm4", "v4.2"), ("helm3", "v3.21")] {
        let Some(_) = crate::program(name) else { continue };
        plane.namespace(name);
        let helm = |words: &[&str]| {
            let (code, said) = programs::run(plane.command(name).args(words).args(["-n", name]));
            assert_eq!(code, 0, "{name} {words:?}: {said}");
            said
        };
        let word = || {
            plane.try_kubectl(
                &[
                    "get",
                    "configmap",
                    "one",
                    "-n",
                    name,
                    "-o",
                    "jsonpath={.data.word}",
                ],
                "",
            )
        };
        let chart = chart.path().to_str().unwrap();
        assert!(helm(&["version", "--short"]).starts_with(version));
        helm(&["install", "one", chart, "--set", "word=first"]);
        assert_eq!(word().unwrap(), "first");
        helm(&["upgrade", "one", chart, "--set", "word=second"]);
        assert_eq!(word().unwrap(), "second");
        helm(&["rollback", "one", "1"]);
        assert_eq!(word().unwrap(), "first");
        helm(&["uninstall", "one"]);
        assert!(word().unwrap_err().contains("NotFound"));
    }
}

#[test]
fn kube_state_metrics_says_what_is_there() {
    let Some(plane) = ControlPlane::shared() else {
        return;
    };
    plane.namespace("stated");
    plane.kubectl(&[
        "create",
        "deployment",
        "many",
        "-n",
        "stated",
        "--image=lab.local/none:1",
        "--replicas=7",
    ]);
    let Some(state) = KubeState::start(plane, &["--resources=deployments"]) else {
        return;
    };
    let series = "kube_deployment_spec_replicas{namespace=\"stated\",deployment=\"many\"} ";
    let says = |value: &str| {
        let said = state.metrics();
        let line = said
            .lines()
            .find_map(|line| line.strip_prefix(series))
            .unwrap_or("nothing");
        if line == value {
            Ok(())
        } else {
            Err(format!("{series}{line}"))
        }
    };
    until("it does not see the deployment", PATIENCE, || says("7"));
    plane.kubectl(&["scale", "deployment", "many", "-n", "stated", "--replicas=9"]);
    until("it does not see the change", PATIENCE, || says("9"));
}

#[test]
fn prometheus_operator_turns_a_monitor_into_a_job() {
    // Others are not to find its kinds.
    let Some(plane) = ControlPlane::start() else {
        return;
    };
    let Some(operator) = Operator::start(&plane) else {
        return;
    };
    let prometheus = r#"{
        "apiVersion": "monitoring.coreos.com/v1", "kind": "Prometheus", "metadata": { "name": "one", "namespace": "default" },
        "spec": { "serviceMonitorSelector": {}, "podMonitorSelector": {}, "scrapeInterval": "17s" }
    }"#;
    let monitor = r#"{
        "apiVersion": "monitoring.coreos.com/v1", "kind": "PodMonitor", "metadata": { "name": "some", "namespace": "default" },
        "spec": { "selector": { "matchLabels": { "app": "some" } }, "podMetricsEndpoints": [{ "port": "metrics" }] }
    }"#;
    plane.apply(prometheus);
    plane.apply(monitor);
    until("there is no job", PATIENCE, || {
        let text = operator.configuration(&plane, "default", "one")?;
        let wanted = [
            "job_name: podMonitor/default/some/0",
            "scrape_interval: 17s",
            "regex: metrics",
        ];
        match wanted.iter().find(|wanted| !text.contains(*wanted)) {
            None => Ok(()),
            Some(missing) => Err(format!("{missing} is not in {text}")),
        }
    });
    let misspelt = monitor.replace("podMetricsEndpoints", "podMetricEndpoints");
    let refused = plane.try_kubectl(
        &["apply", "--dry-run=server", "--validate=strict", "-f", "-"],
        &misspelt,
    );
    assert!(refused.unwrap_err().contains("podMetricEndpoints"));
}

/// What was printed, as the kubelet's files have it: a time, a stream, a mark, the line.
const PRINTED: &str = " stdout F a line of a pod";

#[test]
fn a_pod_of_a_static_program_becomes_ready_and_its_log_is_a_file() {
    // The kubelet wants other values of some.
    let settings = || {
        ["vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops"]
            .map(|name| std::fs::read(format!("/proc/sys/{name}")).unwrap())
    };
    let before = settings();
    let begun = Instant::now();
    let Some(lab) = Lab::start() else { return };
    let started = begun.elapsed();
    let busybox = busybox().expect("tests/setup brings it for the node");
    let busybox_here = busybox.display().to_string();
    lab.load_image(
        &Image::new("lab.local/busybox:1")
            .entrypoint(&["/bin/sh", "-c"])
            .user("65532:0")
            .folder("/tmp", 0o777)
            .file("/bin/busybox", &busybox, 0o755)
            .file("/bin/sh", &busybox, 0o755)
            .program("/usr/bin/openssl", &programs::find("openssl").unwrap())
            .unwrap(),
    );
    let command =
        "echo a line of a pod; trap 'exit 0' TERM; /bin/busybox nc -ll -p 8080 -e /bin/busybox cat & wait";
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "one" },
        "spec": {
            "terminationGracePeriodSeconds": 5,
            "containers": [{
                "name": "main", "image": "lab.local/busybox:1", "imagePullPolicy": "Never", "args": [command],
                "resources": { "limits": { "memory": "32Mi" } },
                "readinessProbe": { "exec": { "command": ["/bin/busybox", "true"] }, "periodSeconds": 1 },
                "securityContext": {
                    "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "runAsNonRoot": true,
                    "capabilities": { "drop": ["ALL"] }, "seccompProfile": { "type": "RuntimeDefault" },
                },
            }],
        },
    });
    lab.apply(&pod.to_string());
    lab.kubectl(&["wait", "--for=condition=Ready", "pod/one", "--timeout=60s"]);
    eprintln!("node after {started:?}, pod Ready after {:?}", begun.elapsed());
    assert_eq!(lab.kubectl(&["logs", "one"]), "a line of a pod\n");
    let linked = lab.kubectl(&["exec", "one", "--", "/usr/bin/openssl", "version"]);
    assert!(linked.starts_with("OpenSSL "), "{linked}");
    let of = |path: &str| lab.kubectl(&["get", "pod", "one", "-o", &format!("jsonpath={{{path}}}")]);
    let folder = lab
        .outside("/var/log/pods")
        .join(format!("default_one_{}", of(".metadata.uid")));
    let log = std::fs::read_to_string(folder.join("main/0.log")).unwrap();
    assert!(log.trim_end().ends_with(PRINTED), "{log}");
    assert_eq!(settings(), before, "the machine's settings are its own");
    let stats = lab.kubectl(&["get", "--raw", "/api/v1/nodes/lab-node/proxy/metrics/cadvisor"]);
    assert!(
        stats.contains("container_memory_working_set_bytes{container=\"main\""),
        "{stats}"
    );
    // The API server has the address that it has in every cluster, for the node and for what runs in the pod's network.
    let kubectl = crate::program("kubectl").unwrap().display().to_string();
    let version = ["get", "--raw", "/version", "--server=https://10.96.0.1"];
    let from_node = [[kubectl.as_str()].as_slice(), &version].concat();
    until("the API server's service is not there", PATIENCE, || {
        let (code, said) = programs::run(lab.command_in(&kubectl).args(version));
        if code == 0 { Ok(()) } else { Err(said) }
    });
    let network = lab.run_in(&["ls", "/run/netns"]);
    let network = format!("--net=/run/netns/{}", network.trim());
    let from_pod = [["nsenter", network.as_str()].as_slice(), &from_node].concat();
    assert!(lab.run_in(&from_pod).contains("v1.36.4"));
    // What listens in a pod is heard here, and what listens here is heard in a pod.
    let says = |address: &str, word: &str| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(word.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut heard = String::new();
        stream.read_to_string(&mut heard).unwrap();
        heard
    };
    let reached = lab.reach(&format!("{}:8080", of(".status.podIP")));
    assert_eq!(says(&reached.to_string(), "one word\n"), "one word\n");
    let here = TcpListener::bind("127.0.0.1:0").unwrap();
    let offered = lab.offer(here.local_addr().unwrap().port());
    let heard = thread::spawn(move || {
        let mut word = String::new();
        here.accept().unwrap().0.read_to_string(&mut word).unwrap();
        word
    });
    let (port, busybox) = (offered.port().to_string(), "/bin/busybox");
    let said = "echo another word | /bin/busybox nc 10.99.0.1 ".to_owned() + &port;
    lab.kubectl(&["exec", "one", "--", busybox, "sh", "-c", &said]);
    assert_eq!(heard.join().unwrap(), "another word\n");
    oom_kills_are_counted(&lab);
    // Names end with who answers for them, and come again.
    let answer = || {
        let name = "kubernetes.default.svc.cluster.local";
        let words = ["nslookup", "-type=a", name, "10.96.0.10"];
        programs::run(lab.command_in(&busybox_here).args(words))
    };
    lab.stop("dns");
    assert_ne!(answer().0, 0);
    lab.start_again("dns");
    until("names do not come again", PATIENCE, || match answer() {
        (0, _) => Ok(()),
        (_, said) => Err(said),
    });
    // What a part leaves behind when it is killed is found by the next one.
    lab.stop("kubelet");
    lab.start_again("kubelet");
    lab.kubectl(&["delete", "pod", "one", "--timeout=60s"]);
    let (folder, groups) = (
        lab.folder().to_owned(),
        std::fs::read_to_string(lab.folder().join("cgroups")).unwrap(),
    );
    drop(lab);
    assert!(!folder.exists());
    let left = groups.lines().find(|group| std::path::Path::new(group).exists());
    assert_eq!(left, None);
}

/// Also when it is a child that is killed and the container goes on.
fn oom_kills_are_counted(lab: &Lab) {
    // The inode of the first of them is the same on every machine.
    let namespace = std::fs::read_link("/proc/self/ns/cgroup").unwrap_or_default();
    if namespace.as_os_str() != "cgroup:[4026531835]" || std::fs::File::open("/dev/kmsg").is_err() {
        return programs::skipped(
            "kills for want of memory, which only the first cgroup namespace and the kernel's log tell of",
        );
    }
    let command = "(/bin/busybox tail /dev/zero); echo it has ended with $?; exec /bin/busybox sleep 1000";
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "hungry" },
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [{
                "name": "main", "image": "lab.local/busybox:1", "imagePullPolicy": "Never", "args": [command],
                "resources": { "limits": { "memory": "20Mi" } },
            }],
        },
    });
    lab.apply(&pod.to_string());
    until("no kill is counted", PATIENCE, || {
        let path = "/api/v1/nodes/lab-node/proxy/metrics/cadvisor";
        let said = lab.try_kubectl(&["get", "--raw", path], "")?;
        let mut lines = said
            .lines()
            .filter(|line| line.starts_with("container_oom_events_total{container=\"main\""));
        let line = lines.find(|line| line.contains("pod=\"hungry\""));
        match line.and_then(|line| line.split("} ").nth(1)?.split(' ').next()) {
            Some("1") => Ok(()),
            _ => Err(format!("{line:?}")),
        }
    });
    // Which of the two streams comes first nobody knows.
    let said = lab.kubectl(&["logs", "hungry"]);
    assert!(said.contains("it has ended with 137\n"), "{said}");
    lab.kubectl(&["delete", "pod", "hungry", "--timeout=60s"]);
}
