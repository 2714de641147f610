//! etcd and kube-apiserver on loopback: everything of a cluster but controllers, scheduler and nodes.
//!
//! What is applied stays as it is: nobody makes pods of a Deployment or removes what a deleted namespace held, and pods run only
//! where `fakes` pretends it. Admission of service accounts is off, so that pods need none.

use std::ffi::OsString;
use std::net::TcpListener;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::cluster::{Cluster, PATIENCE};
use crate::fakes::Fakes;
use crate::guard::{Guarded, end_of};
use crate::{keys, program, until};

/// Dereferences to what is asked of any cluster.
pub struct ControlPlane {
    cluster: Cluster,
    api_words: Vec<OsString>,
    // They end in this order: without etcd the API server would hold its port for ten seconds and more.
    fakes: Mutex<Option<Fakes>>,
    /// None while it is stopped.
    api: Mutex<Option<Guarded>>,
    etcd: Mutex<Guarded>,
    _folder: TempDir,
}

impl Deref for ControlPlane {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        &self.cluster
    }
}

impl ControlPlane {
    /// None, loudly, if something of it is not here.
    ///
    /// # Panics
    /// It is here and does not start.
    #[must_use]
    pub fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    /// The same with more options of the API server, such as `--feature-gates=WatchList=false`.
    ///
    /// # Panics
    /// It is here and does not start.
    #[must_use]
    pub fn start_with(options: &[&str]) -> Option<Self> {
        let (etcd, api, _) = (program("etcd")?, program("kube-apiserver")?, program("kubectl")?);
        programs::find("openssl")?;
        let folder = tempfile::tempdir().expect("a folder for the control plane");
        let keys = folder.path().join("keys");
        keys::make(&keys, &[keys::API_SERVER, keys::ADMIN]);
        let (client, peer, port) = (free_port(), free_port(), free_port());
        let url = format!("https://127.0.0.1:{port}");
        keys::config_by_certificate(&keys, &url, &keys::ADMIN);
        let mut words = vec![etcd.into_os_string()];
        words.push(format!("--data-dir={}/etcd", folder.path().display()).into());
        words.extend(etcd_options(client, peer));
        let etcd = Guarded::start(
            folder.path(),
            "etcd",
            &[],
            &format!("rm -rf '{}'", folder.path().display()),
            &words,
        );
        let mut words = vec![api.into_os_string()];
        words.extend(api_options(&keys.display().to_string(), client));
        words.extend(["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1"].map(OsString::from));
        words.extend(["--endpoint-reconciler-type=none", "--authorization-mode=RBAC"].map(OsString::from));
        words.push("--disable-admission-plugins=ServiceAccount".into());
        words.push(format!("--secure-port={port}").into());
        words.extend(options.iter().map(OsString::from));
        let this = Self {
            cluster: Cluster::new(folder.path(), url),
            api_words: words,
            fakes: Mutex::default(),
            api: Mutex::default(),
            etcd: Mutex::new(etcd),
            _folder: folder,
        };
        this.start_api();
        until("the first namespace is not there", PATIENCE, || {
            this.try_kubectl(&["get", "namespace", "default"], "").map(drop)
        });
        this.apply("{apiVersion: v1, kind: ServiceAccount, metadata: {name: default, namespace: default}}");
        Some(this)
    }

    /// One for all tests of this process that neither stop it nor fill it, and use namespaces of their own. It is started by
    /// the first that asks.
    ///
    /// # Panics
    /// It is here and does not start.
    #[must_use]
    pub fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<ControlPlane>> = OnceLock::new();
        SHARED.get_or_init(Self::start).as_ref()
    }

    /// SIGKILL: its connections are cut, and nobody listens until `start_api`. What etcd has stays.
    pub fn stop_api(&self) {
        self.api().take();
    }

    /// At the same port, with the same options; nothing if it runs. Returns when it is ready.
    ///
    /// # Panics
    /// It does not start.
    pub fn start_api(&self) {
        let mut api = self.api();
        if api.is_some() {
            return;
        }
        let mut started = Guarded::start(self.folder(), "apiserver", &[], "", &self.api_words);
        self.wait_until_ready(|| {
            self.etcd().lives()?;
            started.lives()
        });
        *api = Some(started);
    }

    /// SIGSTOP: it takes connections, as the kernel does that for it, and answers nothing.
    pub fn pause_api(&self) {
        self.signal_api(Signal::STOP);
        // A signal says nothing of when the last of its threads stands still, and one may be at an answer.
        let Some(process) = self.process() else { return };
        until("the API server does not stand still", PATIENCE, || {
            let threads =
                std::fs::read_dir(format!("/proc/{process}/task")).map_err(|error| error.to_string())?;
            let stands = |path: PathBuf| {
                let stat = std::fs::read_to_string(path.join("stat")).unwrap_or_default();
                // The state follows the name, which may hold anything.
                stat.rsplit_once(") ")
                    .is_none_or(|(_, rest)| rest.starts_with('T'))
            };
            match threads.flatten().all(|thread| stands(thread.path())) {
                true => Ok(()),
                false => Err("a thread goes on".to_owned()),
            }
        });
    }

    /// SIGCONT.
    pub fn resume_api(&self) {
        self.signal_api(Signal::CONT);
    }

    /// The end of what the API server has printed.
    #[must_use]
    pub fn log(&self) -> String {
        end_of(&self.folder().join("apiserver.log"))
    }

    /// The API server's, none while it is stopped.
    #[must_use]
    pub fn process(&self) -> Option<u32> {
        let process = self.api().as_ref()?.process()?;
        u32::try_from(process.as_raw_nonzero().get()).ok()
    }

    fn signal_api(&self, signal: Signal) {
        if let Some(api) = self.api().as_ref() {
            api.signal(signal);
        }
    }

    pub(crate) fn fakes(&self) -> MutexGuard<'_, Option<Fakes>> {
        self.fakes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn api(&self) -> MutexGuard<'_, Option<Guarded>> {
        self.api.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn etcd(&self) -> MutexGuard<'_, Guarded> {
        self.etcd.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Nothing outlives it anyway: it need not wait for the disk.
pub(crate) fn etcd_options(client: u16, peer: u16) -> Vec<OsString> {
    let (client, peer) = (
        format!("http://127.0.0.1:{client}"),
        format!("http://127.0.0.1:{peer}"),
    );
    [
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=default={peer}"),
        "--unsafe-no-fsync".to_owned(),
        "--log-level=warn".to_owned(),
    ]
    .map(OsString::from)
    .into()
}

/// What every API server here is told.
pub(crate) fn api_options(keys: &str, etcd: u16) -> Vec<OsString> {
    const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
    [
        format!("--etcd-servers=http://127.0.0.1:{etcd}"),
        format!("--tls-cert-file={keys}/apiserver.crt"),
        format!("--tls-private-key-file={keys}/apiserver.key"),
        format!("--client-ca-file={keys}/ca.crt"),
        "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
        format!("--service-account-issuer={ISSUER}"),
        format!("--service-account-signing-key-file={keys}/sa.key"),
        format!("--service-account-key-file={keys}/sa.pub"),
        format!("--api-audiences={ISSUER}"),
        "--allow-privileged=true".to_owned(),
    ]
    .map(OsString::from)
    .into()
}

/// Below those that the kernel gives to connections, so that it is free again after a restart.
pub(crate) fn free_port() -> u16 {
    let mut ports = std::iter::repeat_with(|| fastrand::u16(15_000..32_000));
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    ports.find(is_free).expect("a free port")
}
