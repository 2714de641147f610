//! What a node and its control plane are made of: programs, options, files and keys.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::control_plane::{api_options, etcd_options};
use crate::keys::{self, Who};
use crate::program;

pub const NODE: &str = "lab-node";
pub const ADDRESS: &str = "10.99.0.1";

const LABELS: &str = "--node-labels=topology.kubernetes.io/region=eu-west-1,topology.kubernetes.io/zone=eu-west-1a,\
     node.kubernetes.io/instance-type=m7i.large,eks.amazonaws.com/nodegroup=ng1";
/// Without those that a cloud or several nodes would be for.
const CONTROLLERS: &str = "--controllers=*,-node-ipam-controller,-node-route-controller,-cloud-node-lifecycle-controller,\
     -service-lb-controller";

const TO_KUBELET: Who = Who(
    "to-kubelet",
    "/O=system:masters/CN=kube-apiserver-kubelet-client",
    false,
);
const FRONT_PROXY: Who = Who("front-proxy", "/CN=front-proxy-client", false);
/// Those who ask the API server.
const ASKERS: [Who; 3] = [
    Who("controller-manager", "/CN=system:kube-controller-manager", false),
    Who("scheduler", "/CN=system:kube-scheduler", false),
    Who("kubelet", "/O=system:nodes/CN=system:node:lab-node", false),
];

pub(crate) fn etcd(folder: &Path) -> Vec<OsString> {
    let mut options = etcd_options(2379, 2380);
    options.push(format!("--data-dir={}/etcd", folder.display()).into());
    options
}

pub(crate) fn containerd(folder: &Path) -> Vec<OsString> {
    text(&[&format!("--config={}/containerd.toml", folder.display())])
}

pub(crate) fn api_server(keys: &str, port: u16) -> Vec<OsString> {
    let mut options = api_options(keys, 2379);
    options.extend(text(&[
        "--bind-address=0.0.0.0",
        &format!("--advertise-address={ADDRESS}"),
        &format!("--secure-port={port}"),
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--kubelet-preferred-address-types=InternalIP",
        &format!("--kubelet-client-certificate={keys}/to-kubelet.crt"),
        &format!("--kubelet-client-key={keys}/to-kubelet.key"),
        &format!("--requestheader-client-ca-file={keys}/ca.crt"),
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-username-headers=X-Remote-User",
        &format!("--proxy-client-cert-file={keys}/front-proxy.crt"),
        &format!("--proxy-client-key-file={keys}/front-proxy.key"),
    ]));
    options
}

pub(crate) fn controller_manager(keys: &str) -> Vec<OsString> {
    let mut options = asks_by(keys, "controller-manager");
    options.extend(text(&[
        &format!("--service-account-private-key-file={keys}/sa.key"),
        &format!("--root-ca-file={keys}/ca.crt"),
        &format!("--cluster-signing-cert-file={keys}/ca.crt"),
        &format!("--cluster-signing-key-file={keys}/ca.key"),
        "--use-service-account-credentials=true",
        "--allocate-node-cidrs=false",
        CONTROLLERS,
    ]));
    options
}

pub(crate) fn scheduler(keys: &str) -> Vec<OsString> {
    asks_by(keys, "scheduler")
}

fn asks_by(keys: &str, name: &str) -> Vec<OsString> {
    let file = format!("{keys}/{name}.kubeconfig");
    text(&[
        &format!("--kubeconfig={file}"),
        &format!("--authentication-kubeconfig={file}"),
        &format!("--authorization-kubeconfig={file}"),
        "--bind-address=127.0.0.1",
        "--leader-elect=false",
    ])
}

pub(crate) fn kubelet(folder: &Path, keys: &str) -> Vec<OsString> {
    text(&[
        &format!("--config={}/kubelet.yaml", folder.display()),
        &format!("--kubeconfig={keys}/kubelet.kubeconfig"),
        &format!("--hostname-override={NODE}"),
        &format!("--node-ip={ADDRESS}"),
        LABELS,
    ])
}

pub(crate) fn proxy(folder: &Path) -> Vec<OsString> {
    text(&[&format!("--config={}/proxy.yaml", folder.display())])
}

pub(crate) fn dns(folder: &Path) -> Vec<OsString> {
    text(&[&format!("-conf={}/Corefile", folder.display())])
}

/// A shell and the usual tools in one static program, for images.
#[must_use]
pub fn busybox() -> Option<PathBuf> {
    programs::known_in_cache("kubernetes/system/bin/busybox")
        .or_else(|| programs::known_in_cache("kubernetes/system/usr/bin/busybox"))
        .or_else(|| programs::find("busybox"))
}

fn text(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

/// The folder of what the system lacked; none, loudly, if there can be no node here.
pub(crate) fn possible() -> Option<PathBuf> {
    for name in [
        "etcd",
        "kubectl",
        "containerd",
        "containerd-shim-runc-v2",
        "ctr",
        "pause",
        "coredns",
    ] {
        program(name)?;
    }
    for name in ["apiserver", "controller-manager", "scheduler", "proxy"] {
        program(&format!("kube-{name}"))?;
    }
    program("kubelet")?;
    programs::file("kubernetes/debian/usr/lib/cni/bridge")?;
    let system = programs::file("kubernetes/system/complete")?;
    for name in ["openssl", "unshare", "nsenter", "ip"] {
        programs::find(name)?;
    }
    let lacks = if !rustix::process::geteuid().is_root() {
        "root"
    } else if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        "cgroups of version 1"
    } else if let Some((lacks, _)) = PROBES.iter().find(|(_, line)| !succeeds(line)) {
        lacks
    } else {
        return Some(system.parent()?.to_owned());
    };
    programs::skipped(&format!("a Kubernetes node, which needs {lacks}"));
    None
}

/// What the kernel must allow, each tried in namespaces that go with the command.
const PROBES: [(&str, &str); 4] = [
    (
        "namespaces",
        "unshare --mount --net --pid --uts --ipc --fork true",
    ),
    (
        "overlayfs",
        "unshare --mount mount -t overlay -o lowerdir=/usr:/etc overlay /mnt",
    ),
    (
        "virtual Ethernet",
        "unshare --net ip link add probe type veth peer name other",
    ),
    ("bridges", "unshare --net ip link add probe type bridge"),
];

fn succeeds(line: &str) -> bool {
    let mut words = line.split(' ');
    let mut command = Command::new(words.next().unwrap_or_default());
    programs::run(command.args(words)).0 == 0
}

/// The cgroup of this process, where its memory is counted; none, loudly, if there is none.
pub(crate) fn own_cgroup() -> Option<String> {
    let text = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let found = text.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        let is_memory = controllers.split(',').any(|controller| controller == "memory");
        is_memory.then(|| path.trim_end_matches('/').to_owned())
    });
    if found.is_none() {
        programs::skipped("a Kubernetes node, which needs the memory controller");
    }
    found
}

/// Where programs and their libraries are looked for inside.
pub(crate) fn search(system: &Path, built: &Path) -> [OsString; 2] {
    let debian = built.with_file_name("debian").join("usr/bin");
    let own = ["usr/sbin", "usr/bin", "sbin", "bin"].map(|folder| system.join(folder));
    let folders = [built.to_owned(), debian].into_iter().chain(own);
    let usual = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].map(PathBuf::from);
    let libraries = ["usr/lib", "lib"].iter().flat_map(|folder| {
        let inner = fs::read_dir(system.join(folder));
        inner.into_iter().flatten().flatten().map(|entry| entry.path())
    });
    let join = |all: Vec<PathBuf>| std::env::join_paths(all).expect("paths without a colon");
    [join(folders.chain(usual).collect()), join(libraries.collect())]
}

/// Scripts and configuration, with its own places in them.
pub(crate) fn write_files(folder: &Path, programs: &Path, cgroup: &str) {
    let place = |path: &Path| path.display().to_string();
    let (own, debian) = (place(folder), place(&programs.join("debian")));
    for (name, content) in [
        ("begin.sh", include_str!("node/begin.sh")),
        ("inside.sh", include_str!("node/inside.sh")),
        ("enter.sh", include_str!("node/enter.sh")),
        ("end.sh", include_str!("node/end.sh")),
        ("containerd.toml", include_str!("node/containerd.toml")),
        ("network.conflist", include_str!("node/network.conflist")),
        ("kubelet.yaml", include_str!("node/kubelet.yaml")),
        ("proxy.yaml", include_str!("node/proxy.yaml")),
        ("Corefile", include_str!("node/Corefile")),
        ("resolv.conf", "nameserver 10.96.0.10\n"),
    ] {
        let content = content
            .replace("{folder}", &own)
            .replace("{programs}", &debian)
            .replace("{cgroup}", cgroup);
        fs::write(folder.join(name), content).expect("its files are written");
    }
}

pub(crate) fn make_keys(keys: &Path) {
    let all = [keys::API_SERVER, TO_KUBELET, FRONT_PROXY, keys::ADMIN];
    keys::make(keys, all.iter().chain(&ASKERS));
}

/// What each asks the API server by.
pub(crate) fn write_configs(keys: &Path, url: &str) {
    for who in [keys::ADMIN].iter().chain(&ASKERS) {
        keys::config_by_certificate(keys, url, who);
    }
}
