//! A whole Kubernetes with one node of its own: control plane, containerd and kubelet in namespaces without a way out.
//!
//! The node is `lab-node`, 10.99.0.1, of an EKS node group by its labels. A kubeconfig is good on both sides; whatever else is
//! to be heard on the other side is named: `reach` leads in, `offer` leads out. Services and pods have the names that every
//! cluster gives them, from a real CoreDNS beside the kubelet; any other name is refused at once. The machine's settings,
//! cgroups and folders stay as they are; the kernel's log is the machine's, so that the node reports whoever was killed for
//! want of memory anywhere.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::cluster::{Cluster, PATIENCE};
use crate::control_plane::free_port;
use crate::guard::{Guarded, end_of};
use crate::parts::{self, ADDRESS, NODE};
use crate::reach::{Bridge, Network};
use crate::{Image, names, program, until};

/// By their names: the command line, and what runs unless it is stopped.
type Parts = BTreeMap<&'static str, (Vec<OsString>, Option<Guarded>)>;

/// Dereferences to what is asked of any cluster.
pub struct Lab {
    bridges: Mutex<Vec<Bridge>>,
    network: Network,
    // Before its parts: with it everything inside ends.
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
    /// Returns when the node is Ready, its kubelet answers the API server, and names are answered. None, loudly, if something of it is not here.
    ///
    /// # Panics
    /// It is here and does not start.
    #[must_use]
    pub fn start() -> Option<Self> {
        let system = parts::possible()?;
        let pause = program("pause")?;
        let folder = tempfile::tempdir().expect("a folder for the node");
        let path = folder.path();
        let cgroup = format!("{}/skopos-lab-{:08x}", parts::own_cgroup()?, fastrand::u32(..));
        parts::write_files(path, pause.parent()?.parent()?, &cgroup);
        let word = |text: &str| path.join(text).into_os_string();
        let begin = [
            "bash".into(),
            word("begin.sh"),
            path.into(),
            cgroup.into(),
            pause.clone().into(),
        ];
        let afterwards = format!("bash '{0}/end.sh' '{0}'", path.display());
        let mut node = Guarded::start(path, "node", &[], &afterwards, &begin);
        parts::make_keys(&path.join("keys"));
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
        let network = Network::of(children.trim()).expect("its first process runs");
        // The same address from both sides, so that a kubeconfig is good for both.
        let port = free_port();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("a free port");
        let api = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let api = Bridge::inwards(listener, &network, api).expect("a way to the API server");
        let url = format!("https://127.0.0.1:{port}");
        parts::write_configs(&path.join("keys"), &url);
        let enter = ["bash".into(), word("enter.sh"), path.into()];
        let search = parts::search(&system, pause.parent()?);
        let this = Self {
            bridges: Mutex::new(vec![api]),
            network,
            _node: node,
            parts: Mutex::default(),
            cluster: Cluster::new(path, url),
            enter: enter.into_iter().chain(search).collect(),
            _folder: folder,
        };
        this.begin_parts(port);
        this.wait_until_node_is_ready();
        Some(this)
    }

    /// One for all tests of this process that stop none of its parts and use namespaces of their own. It is started by the first
    /// that asks.
    ///
    /// # Panics
    /// It is here and does not start.
    #[must_use]
    pub fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Lab>> = OnceLock::new();
        SHARED.get_or_init(Self::start).as_ref()
    }

    /// Runs it in the node's namespaces, as root and with the administrator's kubeconfig: what it prints, on both.
    ///
    /// # Panics
    /// It fails.
    pub fn run_in(&self, words: &[&str]) -> String {
        let (program, rest) = words.split_first().expect("a program");
        let (code, said) = programs::run(self.command_in(program).args(rest));
        assert_eq!(code, 0, "{}: {said}", words.join(" "));
        said
    }

    /// The same to be started by the caller. Its process id is another one inside.
    ///
    /// # Panics
    /// Never: there is always something to begin with.
    #[must_use]
    pub fn command_in(&self, program: &str) -> Command {
        let (first, rest) = self.enter.split_first().expect("a command to enter by");
        let mut command = Command::new(first);
        command.args(rest).arg(program);
        self.set_environment(&mut command);
        command
    }

    /// A port of this machine's loopback that leads to an address inside, of a pod or a service, such as `10.98.0.2:8080`.
    ///
    /// # Panics
    /// It is no address.
    #[must_use]
    pub fn reach(&self, address: &str) -> SocketAddr {
        let to = address.parse().expect("an address and a port");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let bridge = Bridge::inwards(listener, &self.network, to).expect("a thread");
        let address = bridge.address();
        self.bridges().push(bridge);
        address
    }

    /// A port of this machine's loopback is reached by node and pods at the node's address, `10.99.0.1`, too.
    ///
    /// # Panics
    /// Something listens there.
    pub fn offer(&self, port: u16) -> SocketAddr {
        let at = SocketAddr::new(ADDRESS.parse().expect("an address"), port);
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let bridge = Bridge::outwards(&self.network, at, to).expect("a free port inside");
        self.bridges().push(bridge);
        at
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
    /// A file of it cannot be read, or it is refused.
    pub fn load_image(&self, image: &Image) {
        let file = self.folder().join("image.tar");
        image.write(&file).expect("the archive is written");
        self.load_archive(&file);
    }

    /// One that is written already.
    ///
    /// # Panics
    /// It is refused.
    pub fn load_archive(&self, file: &Path) {
        let file = file.display().to_string();
        self.run_in(&["ctr", "-n", "k8s.io", "images", "import", &file]);
    }

    /// SIGKILL to `etcd`, `apiserver`, `controller-manager`, `scheduler`, `containerd`, `kubelet`, `proxy` or `dns`; pods go on.
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

    /// Each as soon as what it needs is there.
    fn begin_parts(&self, port: u16) {
        let (folder, keys) = (self.folder().to_owned(), self.keys().display().to_string());
        self.begin("etcd", "etcd", parts::etcd(&folder));
        self.begin("containerd", "containerd", parts::containerd(&folder));
        self.begin("apiserver", "kube-apiserver", parts::api_server(&keys, port));
        let socket = self.outside("/run/containerd/containerd.sock");
        self.wait("containerd does not listen", &|| {
            fs::metadata(&socket).map(drop).map_err(|error| error.to_string())
        });
        let pause = program("pause").expect("it is here");
        let pause = Image::new("lab.local/pause:1")
            .entrypoint(&["/pause"])
            .file("/pause", &pause, 0o755);
        self.load_image(&pause);
        self.wait_until_ready(|| self.live());
        self.begin("kubelet", "kubelet", parts::kubelet(&folder, &keys));
        let manager = parts::controller_manager(&keys);
        self.begin("controller-manager", "kube-controller-manager", manager);
        self.begin("scheduler", "kube-scheduler", parts::scheduler(&keys));
        self.begin("proxy", "kube-proxy", parts::proxy(&folder));
        self.begin("dns", "coredns", parts::dns(&folder));
        self.wait("the Service of names is not taken", &|| {
            self.try_kubectl(&["apply", "-f", "-"], names::SERVICE).map(drop)
        });
    }

    /// The kubelet asks for a certificate to show, which somebody approves, as EKS does.
    fn wait_until_node_is_ready(&self) {
        self.wait("the kubelet asks for no certificate", &|| {
            let named = self.try_kubectl(&["get", "csr", "-o", "name"], "")?;
            let name = named.lines().next().ok_or_else(|| self.log("kubelet"))?;
            self.try_kubectl(&["certificate", "approve", name], "").map(drop)
        });
        self.wait("the kubelet does not answer", &|| {
            let path = format!("/api/v1/nodes/{NODE}/proxy/healthz");
            self.try_kubectl(&["get", "--raw", &path], "").map(drop)
        });
        self.wait("the node is not ready", &|| {
            let ready = "jsonpath={.status.conditions[?(@.type==\"Ready\")]}";
            let said = self.try_kubectl(&["get", "node", NODE, "-o", ready], "")?;
            if said.contains("\"status\":\"True\"") {
                Ok(())
            } else {
                Err(said)
            }
        });
        self.wait("nobody makes service accounts", &|| {
            self.try_kubectl(&["get", "serviceaccount", "default"], "")
                .map(drop)
        });
        self.wait("names are not answered", &|| {
            names::ask(&self.network, "kubernetes.default.svc.cluster.local")
        });
    }

    fn wait(&self, what: &str, holds: &dyn Fn() -> Result<(), String>) {
        until(what, PATIENCE, || {
            self.live().unwrap_or_else(|said| panic!("{said}"));
            holds()
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

    fn bridges(&self) -> MutexGuard<'_, Vec<Bridge>> {
        self.bridges.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn parts(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
