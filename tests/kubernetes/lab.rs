//! A whole Kubernetes with one node of its own: control plane, containerd and kubelet in namespaces without a way out.
//!
//! The node is `lab-node`, 10.99.0.1, of an EKS node group by its labels. Pods are reached from inside only (`run_in`,
//! `command`); there is no DNS. The machine's settings, cgroups and folders stay as they are.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::cluster::{Cluster, PATIENCE};
use crate::control_plane::{api_options, etcd_options};
use crate::guard::{Guarded, end_of};
use crate::keys::{self, Who};
use crate::{Image, program, until};

pub const NODE: &str = "lab-node";

const ADDRESS: &str = "10.99.0.1";
const LABELS: &str = "--node-labels=topology.kubernetes.io/region=eu-west-1,topology.kubernetes.io/zone=eu-west-1a,\
     node.kubernetes.io/instance-type=m7i.large,eks.amazonaws.com/nodegroup=ng1";
const CONTROLLERS: &str = "--controllers=*,-node-ipam-controller,-node-route-controller,-cloud-node-lifecycle-controller,\
     -service-lb-controller";

const CONTROLLER_MANAGER: Who = Who("controller-manager", "/CN=system:kube-controller-manager", false);
const SCHEDULER: Who = Who("scheduler", "/CN=system:kube-scheduler", false);
const KUBELET: Who = Who("kubelet", "/O=system:nodes/CN=system:node:lab-node", false);
const TO_KUBELET: Who = Who(
    "to-kubelet",
    "/O=system:masters/CN=kube-apiserver-kubelet-client",
    false,
);
const FRONT_PROXY: Who = Who("front-proxy", "/CN=front-proxy-client", false);

/// By their names: the command line, and what runs unless it is stopped.
type Parts = BTreeMap<&'static str, (Vec<OsString>, Option<Guarded>)>;

/// Dereferences to what is asked of any cluster.
pub struct Lab {
    // First: with it everything inside ends.
    _node: Guarded,
    parts: Mutex<Parts>,
    cluster: Cluster,
    enter: Vec<OsString>,
    _folder: TempDir,
}

impl Deref for Lab {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        &self.cluster
    }
}

impl Lab {
    /// Returns when the node is Ready and its kubelet answers the API server. None, loudly, if something of it is not here.
    ///
    /// # Panics
    /// It is here and does not start.
    #[must_use]
    pub fn start() -> Option<Self> {
        let system = possible()?;
        let pause = program("pause")?;
        let folder = tempfile::tempdir().expect("a folder for the node");
        let path = folder.path();
        write_files(path, pause.parent()?.parent()?);
        let name = format!("skopos-lab-{:08x}", fastrand::u32(..));
        let word = |text: &str| path.join(text).into_os_string();
        let begin = [
            "bash".into(),
            word("begin.sh"),
            path.into(),
            name.into(),
            pause.clone().into(),
        ];
        let afterwards = format!("bash '{0}/end.sh' '{0}'", path.display());
        let mut node = Guarded::start(path, "node", &[], &afterwards, &begin);
        make_keys(path);
        until("the node does not begin", PATIENCE, || {
            node.lives().unwrap_or_else(|said| panic!("{said}"));
            fs::metadata(path.join("ready"))
                .map(drop)
                .map_err(|error| error.to_string())
        });
        let outside = node.process().expect("it has begun").as_raw_nonzero();
        let children = fs::read_to_string(format!("/proc/{outside}/task/{outside}/children"));
        let children = children.expect("the kernel tells of children");
        fs::write(path.join("init.pid"), children.trim()).expect("it is noted");
        let enter = vec!["bash".into(), word("enter.sh"), path.into()];
        let enter: Vec<OsString> = enter
            .into_iter()
            .chain(search(&system, pause.parent()?))
            .collect();
        let this = Self {
            _node: node,
            parts: Mutex::default(),
            cluster: Cluster::new(path, format!("https://{ADDRESS}:6443"), enter.clone()),
            enter,
            _folder: folder,
        };
        this.begin_parts();
        this.wait_until_node_is_ready();
        Some(this)
    }

    /// Runs it in the node's namespaces, as root and with the administrator's kubeconfig: what it prints, on both.
    ///
    /// # Panics
    /// It fails.
    pub fn run_in(&self, words: &[&str]) -> String {
        let (program, rest) = words.split_first().expect("a program");
        let (code, said) = programs::run(self.command(program).args(rest));
        assert_eq!(code, 0, "{}: {said}", words.join(" "));
        said
    }

    /// What a person puts before a command line to run it inside.
    #[must_use]
    pub fn enter_line(&self) -> String {
        let words: Vec<String> = self
            .enter
            .iter()
            .map(|word| word.to_string_lossy().into_owned())
            .collect();
        words.join(" ")
    }

    /// Where on this machine a path of the node lies: `/var/log/pods`, or anything else below `/var/log` and
    /// `/var/lib/kubelet`.
    #[must_use]
    pub fn outside(&self, path: &str) -> PathBuf {
        self.folder().join("files").join(path.trim_start_matches('/'))
    }

    /// Into containerd; pods use it with `imagePullPolicy: Never`.
    ///
    /// # Panics
    /// It is refused.
    pub fn load_image(&self, image: &Image) {
        let file = self.folder().join("image.tar");
        fs::write(&file, image.archive()).expect("the archive is written");
        let file = file.display().to_string();
        self.run_in(&["ctr", "-n", "k8s.io", "images", "import", &file]);
    }

    /// SIGKILL to `etcd`, `apiserver`, `controller-manager`, `scheduler`, `containerd`, `kubelet` or `proxy`; pods go on.
    ///
    /// # Panics
    /// There is no such part.
    pub fn stop(&self, part: &str) {
        self.part(part, |_, running| drop(running.take()));
    }

    /// The same part with the same options; nothing if it runs. It is not waited for.
    ///
    /// # Panics
    /// There is no such part.
    pub fn start_again(&self, part: &str) {
        self.part(part, |words, running| {
            if running.is_none() {
                *running = Some(Guarded::start(self.folder(), part, &self.enter, "", words));
            }
        });
    }

    /// SIGSTOP.
    ///
    /// # Panics
    /// There is no such part.
    pub fn pause(&self, part: &str) {
        self.part(part, |_, running| {
            running.iter().for_each(|running| running.signal(Signal::STOP));
        });
    }

    /// SIGCONT.
    ///
    /// # Panics
    /// There is no such part.
    pub fn resume(&self, part: &str) {
        self.part(part, |_, running| {
            running.iter().for_each(|running| running.signal(Signal::CONT));
        });
    }

    /// The end of what a part has printed.
    #[must_use]
    pub fn log(&self, part: &str) -> String {
        end_of(&self.folder().join(format!("{part}.log")))
    }

    fn part(&self, part: &str, change: impl FnOnce(&[OsString], &mut Option<Guarded>)) {
        let mut parts = self.parts();
        let (words, running) = parts.get_mut(part).unwrap_or_else(|| panic!("no part {part}"));
        change(words, running);
    }

    fn begin(&self, name: &'static str, program: &str, options: Vec<OsString>) {
        let words: Vec<OsString> = [program.into()].into_iter().chain(options).collect();
        let running = Guarded::start(self.folder(), name, &self.enter, "", &words);
        self.parts().insert(name, (words, Some(running)));
    }

    fn begin_parts(&self) {
        let folder = self.folder().display().to_string();
        let keys = self.keys().display().to_string();
        let mut options = etcd_options(2379, 2380);
        options.push(format!("--data-dir={folder}/etcd").into());
        self.begin("etcd", "etcd", options);
        self.begin(
            "containerd",
            "containerd",
            text(&[&format!("--config={folder}/containerd.toml")]),
        );
        let mut options = api_options(&keys, 2379);
        options.extend(text(&[
            &format!("--bind-address={ADDRESS}"),
            &format!("--advertise-address={ADDRESS}"),
            "--secure-port=6443",
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
        self.begin("apiserver", "kube-apiserver", options);
        let socket = self.outside("/run/containerd/containerd.sock");
        until("containerd does not listen", PATIENCE, || {
            self.live().unwrap_or_else(|said| panic!("{said}"));
            fs::metadata(&socket).map(drop).map_err(|error| error.to_string())
        });
        let pause = program("pause").expect("it is here");
        self.load_image(
            &Image::new("lab.local/pause:1")
                .entrypoint(&["/pause"])
                .file("/pause", &pause, 0o755),
        );
        self.wait_until_ready(|| self.live());
        let by = |who: &Who| {
            let file = format!("{keys}/{}.kubeconfig", who.0);
            text(&[
                &format!("--kubeconfig={file}"),
                &format!("--authentication-kubeconfig={file}"),
                &format!("--authorization-kubeconfig={file}"),
                "--bind-address=127.0.0.1",
                "--leader-elect=false",
            ])
        };
        let mut options = by(&CONTROLLER_MANAGER);
        options.extend(text(&[
            &format!("--service-account-private-key-file={keys}/sa.key"),
            &format!("--root-ca-file={keys}/ca.crt"),
            &format!("--cluster-signing-cert-file={keys}/ca.crt"),
            &format!("--cluster-signing-key-file={keys}/ca.key"),
            "--use-service-account-credentials=true",
            "--allocate-node-cidrs=false",
            CONTROLLERS,
        ]));
        let kubelet = text(&[
            &format!("--config={folder}/kubelet.yaml"),
            &format!("--kubeconfig={keys}/kubelet.kubeconfig"),
            &format!("--hostname-override={NODE}"),
            &format!("--node-ip={ADDRESS}"),
            LABELS,
        ]);
        self.begin("kubelet", "kubelet", kubelet);
        self.begin("controller-manager", "kube-controller-manager", options);
        self.begin("scheduler", "kube-scheduler", by(&SCHEDULER));
        self.begin(
            "proxy",
            "kube-proxy",
            text(&[&format!("--config={folder}/proxy.yaml")]),
        );
    }

    /// The kubelet asks for a certificate to show, which somebody approves, as EKS does.
    fn wait_until_node_is_ready(&self) {
        let wait = |what: &str, ask: &dyn Fn() -> Result<(), String>| {
            until(what, PATIENCE, || {
                self.live().unwrap_or_else(|said| panic!("{said}"));
                ask()
            });
        };
        wait("the kubelet asks for no certificate", &|| {
            let named = self.try_kubectl(&["get", "csr", "-o", "name"], "")?;
            let name = named.lines().next().ok_or_else(|| self.log("kubelet"))?;
            self.try_kubectl(&["certificate", "approve", name], "").map(drop)
        });
        wait("the kubelet does not answer", &|| {
            let path = format!("/api/v1/nodes/{NODE}/proxy/healthz");
            self.try_kubectl(&["get", "--raw", &path], "").map(drop)
        });
        wait("the node is not ready", &|| {
            let ready = "jsonpath={.status.conditions[?(@.type==\"Ready\")]}";
            let said = self.try_kubectl(&["get", "node", NODE, "-o", ready], "")?;
            if said.contains("\"status\":\"True\"") {
                Ok(())
            } else {
                Err(said)
            }
        });
        wait("nobody makes service accounts", &|| {
            self.try_kubectl(&["get", "serviceaccount", "default"], "")
                .map(drop)
        });
    }

    /// An error if a part has ended by itself.
    fn live(&self) -> Result<(), String> {
        let mut parts = self.parts();
        parts
            .values_mut()
            .filter_map(|(_, running)| running.as_mut())
            .try_for_each(Guarded::lives)
    }

    fn parts(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
fn possible() -> Option<PathBuf> {
    for name in [
        "etcd",
        "kubectl",
        "containerd",
        "containerd-shim-runc-v2",
        "ctr",
        "pause",
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
    } else if !fs::read_to_string("/proc/filesystems").is_ok_and(|known| known.contains("\toverlay\n")) {
        "overlayfs"
    } else {
        return Some(system.parent()?.to_owned());
    };
    programs::skipped(&format!("a Kubernetes node, which needs {lacks}"));
    None
}

/// Where programs and their libraries are looked for inside.
fn search(system: &Path, built: &Path) -> [OsString; 2] {
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
fn write_files(folder: &Path, programs: &Path) {
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
        ("resolv.conf", "nameserver 10.96.0.10\n"),
    ] {
        let content = content.replace("{folder}", &own).replace("{programs}", &debian);
        fs::write(folder.join(name), content).expect("its files are written");
    }
}

fn make_keys(folder: &Path) {
    let keys = folder.join("keys");
    let askers = [keys::ADMIN, CONTROLLER_MANAGER, SCHEDULER, KUBELET];
    keys::make(&keys, &[keys::API_SERVER, TO_KUBELET, FRONT_PROXY]);
    for who in &askers {
        keys::add(&keys, who);
        keys::config_by_certificate(&keys, &format!("https://{ADDRESS}:6443"), who);
    }
}
