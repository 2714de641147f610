//! Cgroups of containers that a kubelet made, and how many processes of each the kernel has ended: version 2 and version 1.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::Kill;

/// How deep the kubelet's own cgroup may lie, in a node that is itself a container, and how deep a container's in that.
const ABOVE_MAX: usize = 8;
const BELOW_MAX: usize = 5;
/// Looks between two searches for the kubelet's cgroup, which on a node of many services takes longer than the looks.
const SEARCH_EVERY: u64 = 15;
/// Containers of one node that are looked at.
const CONTAINERS_MAX: usize = 2_000;
/// Digits of a container's id.
const ID_LENGTH: usize = 64;

pub(super) struct Cgroups {
    root: PathBuf,
    files: &'static Files,
    /// Of the last search.
    kubelets: Vec<PathBuf>,
    known: HashMap<String, Known>,
    round: u64,
}

/// What is read in a cgroup.
struct Files {
    /// Holds a line `oom_kill` and a number.
    kills: &'static str,
    /// The most that was used; an old kernel of version 2 has only what is used now.
    usage: [&'static str; 2],
    limit: &'static str,
}

const SECOND: Files = Files {
    kills: "memory.events",
    usage: ["memory.peak", "memory.current"],
    limit: "memory.max",
};
const FIRST: Files = Files {
    kills: "memory.oom_control",
    usage: ["memory.max_usage_in_bytes", "memory.usage_in_bytes"],
    limit: "memory.limit_in_bytes",
};

struct Known {
    /// What its count was when we began; of one that came later nothing.
    before: u64,
    last: u64,
    round: u64,
}

impl Cgroups {
    pub(super) fn new(mounted: &Path) -> Self {
        let is_second = mounted.join("cgroup.controllers").exists();
        let (root, files) = match is_second {
            true => (mounted.to_owned(), &SECOND),
            false => (mounted.join("memory"), &FIRST),
        };
        Self {
            root,
            files,
            kubelets: Vec::new(),
            known: HashMap::new(),
            round: 0,
        }
    }

    pub(super) fn count(&self) -> usize {
        self.known.len()
    }

    pub(super) fn has(&self, container_id: &str) -> bool {
        self.known.contains_key(container_id)
    }

    /// Containers whose count has risen since the last look, each with all that it has counted since we began.
    pub(super) fn look(&mut self) -> Vec<Kill> {
        self.round += 1;
        let is_first = self.round == 1;
        if is_first || self.round.is_multiple_of(SEARCH_EVERY) {
            self.kubelets.clear();
            kubelets(&self.root, ABOVE_MAX, &mut self.kubelets);
        }
        let mut containers = Vec::new();
        for kubelet in &self.kubelets {
            descend(kubelet, BELOW_MAX, &mut containers);
        }
        let mut risen = Vec::new();
        for folder in containers.into_iter().take(CONTAINERS_MAX) {
            let Some(id) = container_id(&folder) else { continue };
            let Some(kills) = kills(&folder.join(self.files.kills)) else {
                continue;
            };
            let known = self.known.entry(id.clone()).or_insert(Known {
                before: if is_first { kills } else { 0 },
                last: if is_first { kills } else { 0 },
                round: 0,
            });
            known.round = self.round;
            if kills > known.last {
                known.last = kills;
                risen.push(Kill {
                    pod_uid: pod_uid(&folder),
                    container_id: id,
                    count: kills.saturating_sub(known.before),
                    process: None,
                    usage_bytes: self
                        .files
                        .usage
                        .iter()
                        .find_map(|name| number(&folder.join(name))),
                    limit_bytes: number(&folder.join(self.files.limit)).filter(|limit| is_limit(*limit)),
                });
            }
        }
        let round = self.round;
        self.known.retain(|_, known| known.round == round);
        risen
    }
}

/// Folders that a kubelet has made for all of its pods.
fn kubelets(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    for (name, path) in folders(folder) {
        if name.contains("kubepods") {
            found.push(path);
        } else if depth > 1 {
            kubelets(&path, depth - 1, found);
        }
    }
}

/// Folders of containers: below them nothing is looked for.
fn descend(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    for (_, path) in folders(folder) {
        if container_id(&path).is_some() {
            found.push(path);
        } else if depth > 1 {
            descend(&path, depth - 1, found);
        }
    }
}

fn folders(folder: &Path) -> impl Iterator<Item = (String, PathBuf)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()))
}

/// `…/cri-containerd-<id>.scope`, `…/<id>`, `…:cri-containerd:<id>`.
pub(super) fn container_id(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let name = name.strip_suffix(".scope").unwrap_or(name);
    let id = name.get(name.len().checked_sub(ID_LENGTH)?..)?;
    let is_id = id
        .bytes()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f'));
    is_id.then(|| id.to_owned())
}

/// `…/kubepods-burstable-pod0a1b_….slice/…`, `…/pod0a1b-…/…`.
pub(super) fn pod_uid(path: &Path) -> String {
    let parts = path.iter().filter_map(|part| part.to_str());
    let mut uids = parts.filter_map(|part| {
        let (_, uid) = part
            .rsplit_once("pod")
            .filter(|(before, _)| before.is_empty() || before.ends_with('-'))?;
        let uid = uid.split(['.', ':']).next().unwrap_or_default().replace('_', "-");
        uid.starts_with(|first: char| first.is_ascii_hexdigit())
            .then_some(uid)
    });
    uids.next_back().unwrap_or_default()
}

fn kills(path: &Path) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("oom_kill "))?;
    line.trim().parse().ok()
}

fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// Version 1 has a very large number where there is none.
pub(super) fn is_limit(bytes: u64) -> bool {
    bytes < 1 << 60
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0a0b0c0d0e0f0a0b0c0d0e0f0a0b0c0d0e0f0a0b0c0d0e0f0a0b0c0d0e0f0a0b";

    #[test]
    fn a_container_and_its_pod_are_known_by_every_form_of_path() {
        for path in [
            "/kubepods/burstable/pod2f1c9c52-7a2e-4d0c-9a52-1f6c1f2b3c4d/ID",
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod2f1c9c52_7a2e_4d0c_9a52_1f6c1f2b3c4d.slice/cri-containerd-ID.scope",
            "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod2f1c9c52_7a2e_4d0c_9a52_1f6c1f2b3c4d.slice/crio-ID.scope",
            "/system.slice/kubepods-besteffort-pod2f1c9c52_7a2e_4d0c_9a52_1f6c1f2b3c4d.slice:cri-containerd:ID",
        ] {
            let path = PathBuf::from(path.replace("ID", ID));
            assert_eq!(container_id(&path).as_deref(), Some(ID), "{}", path.display());
            assert_eq!(pod_uid(&path), "2f1c9c52-7a2e-4d0c-9a52-1f6c1f2b3c4d");
        }
        for other in [
            "/system.slice/ssh.service",
            "/kubepods/burstable",
            "/init.scope",
            "",
        ] {
            assert_eq!(container_id(Path::new(other)), None);
            assert_eq!(pod_uid(Path::new(other)), "");
        }
    }

    #[test]
    fn a_kubelet_is_found_in_a_node_that_is_a_container_itself_and_one_that_comes_later_is_too() {
        let mounted = tempfile::tempdir().unwrap();
        fs::write(mounted.path().join("cgroup.controllers"), "memory\n").unwrap();
        let write = |place: &str, letter: &str, kills: u64| {
            let folder = mounted.path().join(place).join(letter.repeat(64));
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join(SECOND.kills), format!("oom_kill {kills}\n")).unwrap();
        };
        let deep = "user.slice/user@1.service/app.slice/docker-1.scope/kubelet.slice/kubelet-kubepods.slice/podcc-dd";
        let inner = "system.slice/docker-2.scope/init.scope/kubelet.slice/kubelet-kubepods.slice/podee-ff";
        write(inner, "c", 1);
        let mut cgroups = Cgroups::new(mounted.path());
        assert_eq!((cgroups.look(), cgroups.count()), (Vec::new(), 1));
        write(inner, "c", 2);
        assert_eq!(cgroups.look()[0].count, 1);
        write(deep, "d", 1);
        let later: Vec<Kill> = (0..SEARCH_EVERY).flat_map(|_| cgroups.look()).collect();
        assert_eq!((later.len(), later[0].pod_uid.as_str()), (1, "cc-dd"));
    }

    #[test]
    fn of_either_version_only_what_rises_is_told() {
        for (files, controllers) in [(&SECOND, true), (&FIRST, false)] {
            let mounted = tempfile::tempdir().unwrap();
            let mut root = mounted.path().to_owned();
            match controllers {
                true => fs::write(root.join("cgroup.controllers"), "memory\n").unwrap(),
                false => root.push("memory"),
            }
            let pod = "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podaa_bb.slice";
            let container = |letter: &str| {
                root.join(pod)
                    .join(format!("cri-containerd-{}.scope", letter.repeat(64)))
            };
            let write = |letter: &str, kills: u64| {
                let folder = container(letter);
                fs::create_dir_all(&folder).unwrap();
                fs::write(
                    folder.join(files.kills),
                    format!("oom 9\nunder_oom 0\noom_kill {kills}\n"),
                )
                .unwrap();
                fs::write(folder.join(files.usage[0]), "33554000\n").unwrap();
                fs::write(folder.join(files.limit), "33554432\n").unwrap();
            };
            write("a", 3);
            let mut cgroups = Cgroups::new(mounted.path());
            assert_eq!(cgroups.look(), []);
            assert_eq!(cgroups.count(), 1);
            write("a", 5);
            write("b", 1);
            let mut found = cgroups.look();
            found.sort_by(|a, b| a.container_id.cmp(&b.container_id));
            let told: Vec<(u64, &str)> = found
                .iter()
                .map(|kill| (kill.count, kill.pod_uid.as_str()))
                .collect();
            assert_eq!(told, [(2, "aa-bb"), (1, "aa-bb")]);
            assert_eq!(found[0].usage_bytes, Some(33_554_000));
            assert_eq!(found[0].limit_bytes, Some(33_554_432));
            assert_eq!(cgroups.look(), []);
            fs::write(
                container("b").join(files.limit),
                if controllers { "max" } else { "9223372036854771712" },
            )
            .unwrap();
            write("a", 6);
            fs::remove_dir_all(container("a")).unwrap();
            fs::write(container("b").join(files.kills), "oom_kill 4\n").unwrap();
            let found = cgroups.look();
            assert_eq!((found.len(), found[0].count, found[0].limit_bytes), (1, 4, None));
            assert_eq!(cgroups.count(), 1);
        }
        let nothing = tempfile::tempdir().unwrap();
        assert_eq!(Cgroups::new(nothing.path()).look(), []);
    }
}
