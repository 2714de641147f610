//! Names inside a node: a question asked where its pods ask, at the address of the Service `kube-dns`.
//!
//! Nothing is asked twice: who waits for an answer asks again.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use crate::reach::Network;

/// The Service and who stands behind it, since no pod does.
pub(crate) const SERVICE: &str = include_str!("node/names.yaml");

/// Where the kubelet tells pods to ask.
const ADDRESS: (Ipv4Addr, u16) = (Ipv4Addr::new(10, 96, 0, 10), 53);
const PATIENCE: Duration = Duration::from_millis(500);

/// # Errors
/// Nobody answers, or with an error, or it has no IPv4 address: which, in words.
pub(crate) fn ask(network: &Network, name: &str) -> Result<(), String> {
    let answer = network.inside(|| {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.connect(ADDRESS)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.send(&question(name))?;
        let mut answer = [0; 512];
        let bytes = socket.recv(&mut answer)?;
        if bytes < HEAD_BYTES {
            return Err(io::Error::other("an answer without a head"));
        }
        Ok(answer)
    });
    let answer = answer.map_err(|error| format!("asking for {name}: {error}"))?;
    // Both of RFC 1035's header: the code of the error, and how many records are the answer.
    match (answer[3] & 15, u16::from_be_bytes([answer[6], answer[7]])) {
        (0, 1..) => Ok(()),
        (code, records) => Err(format!("asking for {name}: code {code}, {records} records")),
    }
}

const HEAD_BYTES: usize = 12;

/// One for an address of IPv4: the header, then each label behind its length, type A and class IN.
fn question(name: &str) -> Vec<u8> {
    let mut bytes = vec![0; HEAD_BYTES];
    bytes[5] = 1;
    for label in name.split('.') {
        bytes.push(u8::try_from(label.len()).expect("a label of a name is short"));
        bytes.extend(label.as_bytes());
    }
    bytes.extend([0, 0, 1, 0, 1]);
    bytes
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::cluster::PATIENCE;
    use crate::{Image, Lab, busybox, until};

    #[test]
    fn pods_of_a_set_find_each_other_by_name_before_they_are_ready_and_wherever_they_go() {
        let Some(lab) = Lab::shared() else { return };
        let busybox = busybox().expect("tests/setup brings it for the node");
        let Some(getent) = programs::find("getent") else {
            return;
        };
        lab.load_image(
            &Image::new("lab.local/names:1")
                .entrypoint(&["/bin/busybox"])
                .file("/bin/busybox", &busybox, 0o755)
                .program("/usr/bin/getent", &getent)
                .unwrap(),
        );
        let labels = json!({ "app": "name" });
        let container = json!({
            "name": "main", "image": "lab.local/names:1", "imagePullPolicy": "Never", "args": ["sleep", "3600"],
            "readinessProbe": { "exec": { "command": ["/bin/busybox", "false"] } },
        });
        for object in [
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "names" } }),
            json!({
                "apiVersion": "v1", "kind": "Service", "metadata": { "name": "service", "namespace": "names" },
                "spec": {
                    "clusterIP": "None", "publishNotReadyAddresses": true, "selector": labels, "ports": [{ "port": 80 }],
                },
            }),
            json!({
                "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": { "name": "name", "namespace": "names" },
                "spec": {
                    "replicas": 2, "serviceName": "service", "podManagementPolicy": "Parallel",
                    "selector": { "matchLabels": labels },
                    "template": {
                        "metadata": { "labels": labels },
                        "spec": { "terminationGracePeriodSeconds": 0, "containers": [container] },
                    },
                },
            }),
        ] {
            lab.apply(&object.to_string());
        }
        let of = |pod: &str, path: &str| {
            let path = format!("jsonpath={{.status.{path}}}");
            lab.try_kubectl(&["get", "pod", pod, "-n", "names", "-o", &path], "")
        };
        let runs = |pod: &str| {
            until("it does not run", PATIENCE, || match of(pod, "phase")?.as_str() {
                "Running" => Ok(()),
                other => Err(format!("{pod} is {other}")),
            });
            of(pod, "podIP").unwrap()
        };
        let (first, second) = (runs("name-0"), runs("name-1"));
        let run = |pod: &str, words: &[&str]| {
            let exec = ["exec", pod, "-n", "names", "--"];
            programs::run(lab.command("kubectl").args(exec).args(words))
        };
        // As programs there find them, short names too: nslookup of this busybox leaves those with a dot as they are. A pod has
        // its own name in its /etc/hosts.
        let finds = |pod: &str, name: &str, address: &str| {
            until(name, PATIENCE, || {
                let (_, said) = run(pod, &["/usr/bin/getent", "ahostsv4", name]);
                if said.split_whitespace().next() == Some(address) {
                    Ok(())
                } else {
                    Err(said)
                }
            });
        };
        let asks = |name: &str| run("name-0", &["/bin/busybox", "nslookup", "-type=a", name]).1;
        finds("name-1", "name-0.service.names.svc.cluster.local", &first);
        finds("name-0", "name-1.service", &second);
        finds("name-0", "kubernetes.default", "10.96.0.1");
        for pod in ["name-0", "name-1"] {
            assert_eq!(of(pod, "containerStatuses[0].ready").unwrap(), "false");
        }
        let said = asks("name-0.service.names.svc.cluster.local");
        assert!(said.contains(&format!("Address: {first}\n")), "{said}");
        let nobody = asks("name-2.service.names.svc.cluster.local");
        assert!(nobody.contains("NXDOMAIN"), "{nobody}");
        let foreign = asks("example.com");
        assert!(foreign.contains("REFUSED"), "{foreign}");
        let before = lab.kubectl(&[
            "get",
            "pod",
            "name-1",
            "-n",
            "names",
            "-o",
            "jsonpath={.metadata.uid}",
        ]);
        lab.kubectl(&["delete", "pod", "name-1", "-n", "names", "--timeout=60s"]);
        until("it does not come again", PATIENCE, || {
            let path = "jsonpath={.metadata.uid}";
            let uid = lab.try_kubectl(&["get", "pod", "name-1", "-n", "names", "-o", path], "")?;
            if uid == before { Err(uid) } else { Ok(()) }
        });
        let moved = runs("name-1");
        assert_ne!(moved, second);
        finds("name-0", "name-1.service", &moved);
    }
}
