//! What a kubelet says under `/stats/summary`, as metrics text: the storage of pods, containers and volumes, which no other
//! page of it has with containerd.
//!
//! Families and labels are those of kube-summary-exporter; a container is named by `container`, as everywhere, and by `name`, as
//! there. A volume that is a claim is left out: `kubelet_volume_stats_…` says the same of it on `/metrics`. What a kubelet does not
//! say of something is left out, too.

use std::fmt::Write;

use serde::Deserialize;

/// Bodies that are longer are refused: a node with 110 pods has some 400 KB.
pub const BODY_BYTES_MAX: usize = 16 << 20;

/// What is used, of bytes and inodes; what is free is the file system's, and the same for all that lie on it.
///
/// # Errors
/// It is no summary: a sentence.
pub fn used(body: &[u8]) -> Result<Vec<u8>, String> {
    read(body, false)
}

/// What is used, what is free and how much there is.
///
/// # Errors
/// It is no summary: a sentence.
pub fn whole(body: &[u8]) -> Result<Vec<u8>, String> {
    read(body, true)
}

#[derive(Deserialize)]
struct Summary {
    node: Node,
    #[serde(default)]
    pods: Vec<Pod>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Node {
    #[serde(default)]
    runtime: Option<Runtime>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Runtime {
    #[serde(default)]
    image_fs: Option<Storage>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Pod {
    #[serde(rename = "podRef")]
    reference: Reference,
    #[serde(default)]
    containers: Vec<Container>,
    #[serde(default, rename = "volume")]
    volumes: Vec<Volume>,
    #[serde(default)]
    ephemeral_storage: Option<Storage>,
}

#[derive(Deserialize)]
struct Reference {
    name: String,
    namespace: String,
}

#[derive(Deserialize)]
struct Container {
    name: String,
    #[serde(default)]
    rootfs: Option<Storage>,
    #[serde(default)]
    logs: Option<Storage>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Volume {
    name: String,
    #[serde(default)]
    pvc_ref: Option<serde::de::IgnoredAny>,
    #[serde(flatten)]
    storage: Storage,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Storage {
    #[serde(default)]
    used_bytes: Option<u64>,
    #[serde(default)]
    available_bytes: Option<u64>,
    #[serde(default)]
    capacity_bytes: Option<u64>,
    #[serde(default)]
    inodes_used: Option<u64>,
    #[serde(default)]
    inodes_free: Option<u64>,
    #[serde(default)]
    inodes: Option<u64>,
}

/// What is said of a storage: the end of the family's name, what it means, and whether it is of the file system.
type Fact = (&'static str, &'static str, bool, fn(Storage) -> Option<u64>);

const FACTS: [Fact; 6] = [
    ("used_bytes", "Bytes in use", false, |storage| storage.used_bytes),
    ("inodes_used", "Inodes in use", false, |storage| {
        storage.inodes_used
    }),
    ("available_bytes", "Bytes free", true, |storage| {
        storage.available_bytes
    }),
    ("capacity_bytes", "Bytes of the file system", true, |storage| {
        storage.capacity_bytes
    }),
    ("inodes_free", "Inodes free", true, |storage| storage.inodes_free),
    ("inodes", "Inodes of the file system", true, |storage| {
        storage.inodes
    }),
];

/// A storage, and the labels of what has it, written down.
type Row = (String, Storage);

fn read(body: &[u8], is_whole: bool) -> Result<Vec<u8>, String> {
    let summary: Summary = serde_json::from_slice(body)
        .map_err(|error| format!("the kubelet's summary cannot be read: {error}"))?;
    let (mut pods, mut roots, mut logs, mut volumes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for pod in &summary.pods {
        let Reference { name, namespace } = &pod.reference;
        let of_pod = labels(&[("namespace", namespace), ("pod", name)]);
        pods.extend(pod.ephemeral_storage.map(|storage| (of_pod.clone(), storage)));
        for container in &pod.containers {
            let own = labels(&[("container", &container.name), ("name", &container.name)]);
            let own = format!("{of_pod},{own}");
            roots.extend(container.rootfs.map(|storage| (own.clone(), storage)));
            logs.extend(container.logs.map(|storage| (own, storage)));
        }
        // The token of its account, which each pod has and none can fill.
        let told = pod.volumes.iter().filter(|volume| {
            volume.pvc_ref.is_none() && (is_whole || !volume.name.starts_with("kube-api-access-"))
        });
        volumes.extend(told.map(|volume| {
            let own = labels(&[("volume", &volume.name)]);
            (format!("{of_pod},{own}"), volume.storage)
        }));
    }
    let image = summary.node.runtime.and_then(|runtime| runtime.image_fs);
    let image: Vec<Row> = image
        .map(|storage| (String::new(), storage))
        .into_iter()
        .collect();
    let mut text = String::with_capacity(body.len() / 2);
    for (subject, what, rows, is_whole) in [
        (
            "node_runtime_imagefs",
            "the file system of images and containers",
            &image,
            true,
        ),
        (
            "pod_ephemeral_storage",
            "the ephemeral storage of a pod",
            &pods,
            is_whole,
        ),
        (
            "container_rootfs",
            "the writable layer of a container",
            &roots,
            is_whole,
        ),
        ("container_logs", "the log files of a container", &logs, is_whole),
        (
            "pod_volume_storage",
            "a volume of a pod that is no claim",
            &volumes,
            is_whole,
        ),
    ] {
        write(&mut text, subject, what, rows, is_whole);
    }
    Ok(text.into_bytes())
}

fn write(text: &mut String, subject: &str, what: &str, rows: &[Row], is_whole: bool) {
    for (end, meaning, of_the_file_system, value) in FACTS {
        let told = rows
            .iter()
            .filter_map(|(labels, storage)| Some((labels, value(*storage)?)));
        let mut told = told.peekable();
        if (of_the_file_system && !is_whole) || told.peek().is_none() {
            continue;
        }
        let name = format!("kube_summary_{subject}_{end}");
        // Writing to a string does not fail.
        _ = writeln!(text, "# HELP {name} {meaning}: {what}.\n# TYPE {name} gauge");
        for (labels, value) in told {
            _ = match labels.as_str() {
                "" => writeln!(text, "{name} {value}"),
                labels => writeln!(text, "{name}{{{labels}}} {value}"),
            };
        }
    }
}

fn labels(pairs: &[(&str, &str)]) -> String {
    let written = pairs.iter().map(|(name, value)| {
        let value = value
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('\n', "\\n");
        format!("{name}=\"{value}\"")
    });
    written.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a kubelet of 1.36 says it, cut short.
    const SUMMARY: &str = r#"{
     "node": {
      "nodeName": "n1", "startTime": "2026-11-22T16:00:00Z",
      "cpu": {"time": "2026-11-22T16:18:39Z", "usageNanoCores": 31415926},
      "fs": {"time": "2026-11-22T16:18:39Z", "availableBytes": 50, "capacityBytes": 80, "usedBytes": 30},
      "runtime": {
       "imageFs": {"time": "2026-11-22T16:18:39Z", "availableBytes": 9000, "capacityBytes": 20000, "usedBytes": 700, "inodesFree": 11, "inodes": 20, "inodesUsed": 9},
       "containerFs": {"availableBytes": 9000}
      }
     },
     "pods": [
      {
       "podRef": {"name": "web-1", "namespace": "shop", "uid": "u1"},
       "startTime": "2026-11-22T16:01:00Z",
       "containers": [
        {"name": "main", "rootfs": {"usedBytes": 4096, "inodesUsed": 14, "availableBytes": 9000, "capacityBytes": 20000, "inodes": 20, "inodesFree": 11},
         "logs": {"usedBytes": 512, "inodesUsed": 1, "availableBytes": 9000, "capacityBytes": 20000}, "userDefinedMetrics": null},
        {"name": "starting"}
       ],
       "volume": [
        {"time": "2026-11-22T16:18:39Z", "usedBytes": 12288, "inodesUsed": 9, "name": "kube-api-access-x7k2p"},
        {"time": "2026-11-22T16:18:39Z", "usedBytes": 1048576, "inodesUsed": 2, "availableBytes": 9000, "name": "cache"},
        {"time": "2026-11-22T16:18:39Z", "usedBytes": 5, "name": "data", "pvcRef": {"name": "data-web-1", "namespace": "shop"}, "volumeHealthStats": {"abnormal": false}}
       ],
       "ephemeral-storage": {"usedBytes": 1053184, "inodesUsed": 17, "availableBytes": 9000, "capacityBytes": 20000, "inodes": 20, "inodesFree": 11}
      },
      {"podRef": {"name": "young", "namespace": "shop", "uid": "u2"}, "startTime": "2026-11-22T16:18:00Z", "containers": []}
     ]
    }"#;

    fn samples(text: &[u8]) -> Vec<&str> {
        let lines = std::str::from_utf8(text).unwrap().lines();
        lines.filter(|line| !line.starts_with('#')).collect()
    }

    #[test]
    fn what_is_used_is_told_of_pods_containers_and_volumes() {
        let text = used(SUMMARY.as_bytes()).unwrap();
        assert_eq!(
            samples(&text),
            [
                "kube_summary_node_runtime_imagefs_used_bytes 700",
                "kube_summary_node_runtime_imagefs_inodes_used 9",
                "kube_summary_node_runtime_imagefs_available_bytes 9000",
                "kube_summary_node_runtime_imagefs_capacity_bytes 20000",
                "kube_summary_node_runtime_imagefs_inodes_free 11",
                "kube_summary_node_runtime_imagefs_inodes 20",
                r#"kube_summary_pod_ephemeral_storage_used_bytes{namespace="shop",pod="web-1"} 1053184"#,
                r#"kube_summary_pod_ephemeral_storage_inodes_used{namespace="shop",pod="web-1"} 17"#,
                r#"kube_summary_container_rootfs_used_bytes{namespace="shop",pod="web-1",container="main",name="main"} 4096"#,
                r#"kube_summary_container_rootfs_inodes_used{namespace="shop",pod="web-1",container="main",name="main"} 14"#,
                r#"kube_summary_container_logs_used_bytes{namespace="shop",pod="web-1",container="main",name="main"} 512"#,
                r#"kube_summary_container_logs_inodes_used{namespace="shop",pod="web-1",container="main",name="main"} 1"#,
                r#"kube_summary_pod_volume_storage_used_bytes{namespace="shop",pod="web-1",volume="cache"} 1048576"#,
                r#"kube_summary_pod_volume_storage_inodes_used{namespace="shop",pod="web-1",volume="cache"} 2"#,
            ]
        );
    }

    #[test]
    fn the_whole_of_it_has_what_is_free_and_every_volume_but_claims() {
        let text = whole(SUMMARY.as_bytes()).unwrap();
        let samples = samples(&text);
        for line in [
            r#"kube_summary_pod_ephemeral_storage_capacity_bytes{namespace="shop",pod="web-1"} 20000"#,
            r#"kube_summary_container_rootfs_inodes_free{namespace="shop",pod="web-1",container="main",name="main"} 11"#,
            r#"kube_summary_container_logs_available_bytes{namespace="shop",pod="web-1",container="main",name="main"} 9000"#,
            r#"kube_summary_pod_volume_storage_used_bytes{namespace="shop",pod="web-1",volume="kube-api-access-x7k2p"} 12288"#,
            r#"kube_summary_pod_volume_storage_available_bytes{namespace="shop",pod="web-1",volume="cache"} 9000"#,
        ] {
            assert!(samples.contains(&line), "{line}: {samples:#?}");
        }
        assert!(
            !samples.iter().any(|line| line.contains("\"data\"")),
            "{samples:#?}"
        );
    }

    #[test]
    fn a_node_that_says_little_has_few_and_another_page_is_refused() {
        let text = used(br#"{"node": {"nodeName": "n1"}, "pods": []}"#).unwrap();
        assert!(text.is_empty());
        let nameless = r#"{"node": {}, "pods": [{"podRef": {"name": "a\"b", "namespace": "n"}, "ephemeral-storage": {"usedBytes": 1}}]}"#;
        let text = used(nameless.as_bytes()).unwrap();
        assert_eq!(
            samples(&text),
            [r#"kube_summary_pod_ephemeral_storage_used_bytes{namespace="n",pod="a\"b"} 1"#]
        );
        for other in ["", "Forbidden (user=x, verb=get)", "[]", r#"{"pods": 1}"#] {
            let why = used(other.as_bytes()).unwrap_err();
            assert!(why.starts_with("the kubelet's summary cannot be read: "), "{why}");
        }
    }
}
