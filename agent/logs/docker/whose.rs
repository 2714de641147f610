//! Whose a container's log is: Docker keeps its name and labels in `config.v2.json` beside it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::Deserialize;

use crate::mark::Facts;
use crate::source;

const NAME: &str = "config.v2.json";
/// Of that file; one that is larger is no file of Docker's.
const BYTES_MAX: u64 = 4 << 20;
/// Labels kept of a container, and of each so many letters.
const LABELS_MAX: usize = 16;
const LETTERS_MAX: usize = 256;
/// Labels that tools put on everything, and that say nothing about whose it is.
const NOISE: [&str; 5] = [
    "com.docker.",
    "desktop.docker.",
    "org.opencontainers.",
    "org.label-schema.",
    "io.kubernetes.",
];

#[derive(Default, Deserialize)]
#[serde(default)]
struct Saved {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "Name")]
    name: String,
    #[serde(rename = "Config")]
    config: Config,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Config {
    #[serde(rename = "Image")]
    image: String,
    #[serde(rename = "Labels")]
    labels: Option<BTreeMap<String, String>>,
}

/// Of the log with this name; `None` for other files. What cannot be read is not known: the name is then that of the
/// folder, which is the container's id.
pub(crate) fn whose(base: &Path) -> Option<Facts> {
    let name = base.file_name()?.to_str()?;
    let id = source::docker_id(name)?;
    Some(facts(id, saved(base.parent()?).unwrap_or_default()))
}

fn saved(folder: &Path) -> Option<Saved> {
    let mut text = Vec::new();
    let file = File::open(folder.join(NAME)).ok()?;
    file.take(BYTES_MAX).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

fn facts(id: &str, saved: Saved) -> Facts {
    let labels = saved.config.labels.unwrap_or_default();
    let label = |name: &str| labels.get(name).cloned().unwrap_or_default();
    let name = saved.name.trim_start_matches('/');
    let known = if saved.id.is_empty() { id } else { &saved.id };
    let short = id.get(..12).unwrap_or(id);
    let name = if name.is_empty() { short } else { name };
    // Where the kubelet has Docker run its containers, they are the kubelet's.
    let pod = ["namespace", "pod", "pod_uid", "container"].map(|fact| {
        let key = match fact {
            "namespace" => "io.kubernetes.pod.namespace",
            "pod" => "io.kubernetes.pod.name",
            "pod_uid" => "io.kubernetes.pod.uid",
            _ => "io.kubernetes.container.name",
        };
        (fact, label(key))
    });
    let source = match &pod {
        [(_, namespace), (_, pod), _, (_, container)] if !pod.is_empty() => {
            format!("{namespace}/{pod}/{container}")
        }
        _ => name.to_owned(),
    };
    let own = [
        ("container.id", known.to_owned()),
        ("container.name", name.to_owned()),
        ("container.image", saved.config.image),
        ("container.project", label("com.docker.compose.project")),
        ("container.service", label("com.docker.compose.service")),
    ];
    let mut facts = Facts::new(&source, pod.into_iter().chain(own));
    let worth = labels.iter().filter(|(name, value)| {
        !NOISE.iter().any(|noise| name.starts_with(noise))
            && !value.is_empty()
            && name.chars().count() <= LETTERS_MAX
    });
    for (name, value) in worth.take(LABELS_MAX) {
        let value = value.chars().take(LETTERS_MAX).collect();
        facts.more.insert(format!("container.labels.{name}"), value);
    }
    facts
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0b1c2d3e4f50617283940b1c2d3e4f50617283940b1c2d3e4f50617283940b1c";

    fn with(config: Option<&str>) -> Facts {
        let folder = tempfile::tempdir().unwrap();
        if let Some(config) = config {
            std::fs::write(folder.path().join(NAME), config).unwrap();
        }
        whose(&folder.path().join(format!("{ID}-json.log"))).unwrap()
    }

    #[test]
    fn a_container_of_compose_has_its_name_image_project_and_service() {
        let facts = with(Some(
            r#"{"StreamConfig":{},"ID":"0b1c2d3e4f50","Name":"/shop-web-1","Config":{"Image":"nginx:1.27","Env":["SECRET=x"],"Labels":{
                "com.docker.compose.project":"shop","com.docker.compose.service":"web","com.docker.compose.version":"2",
                "org.opencontainers.image.source":"https://example.org","team":"blue"}}}"#,
        ));
        assert_eq!(&*facts.source, "shop-web-1");
        assert_eq!(facts.said("container.image"), Some("nginx:1.27"));
        assert_eq!(facts.said("container.project"), Some("shop"));
        assert_eq!(facts.said("container.service"), Some("web"));
        assert_eq!(facts.said("container.labels.team"), Some("blue"));
        assert_eq!(facts.more.len(), 6, "{facts:?}");
    }

    #[test]
    fn a_container_of_the_kubelet_is_its_pods() {
        let facts = with(Some(
            r#"{"Name":"/k8s_web","Config":{"Labels":{"io.kubernetes.pod.namespace":"shop","io.kubernetes.pod.name":"api-0",
                "io.kubernetes.pod.uid":"u","io.kubernetes.container.name":"web"}}}"#,
        ));
        assert_eq!(&*facts.source, "shop/api-0/web");
        assert_eq!(facts.said("pod"), Some("api-0"));
    }

    #[test]
    fn without_what_docker_has_saved_a_container_has_its_id() {
        for config in [None, Some("{"), Some("{}"), Some(r#"{"Config":{"Labels":null}}"#)] {
            let facts = with(config);
            assert_eq!(&*facts.source, "0b1c2d3e4f50");
            assert_eq!(facts.said("container.id"), Some(ID));
        }
        assert_eq!(whose(Path::new("/var/log/pods/a_b_c/d/0.log")), None);
    }
}
