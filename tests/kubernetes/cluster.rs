//! How a cluster's API server is asked, wherever it runs.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::{keys, until};

/// Longer than this nothing takes that is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub struct Cluster {
    folder: PathBuf,
    url: String,
}

impl Cluster {
    pub(crate) fn new(folder: &Path, url: String) -> Self {
        Self {
            folder: folder.to_owned(),
            url,
        }
    }

    /// Where everything of it is: logs, keys, data.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Without a slash at the end; it stays the same.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The file with the certificate of those who signed the API server's.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.keys().join("ca.crt")
    }

    /// The administrator's, who may do everything.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.keys().join("admin.kubeconfig")
    }

    pub(crate) fn keys(&self) -> PathBuf {
        self.folder.join("keys")
    }

    /// One of the programs that `tests/setup` brings (`kubectl`, `helm4`, `kube-state-metrics`), or any other, with the
    /// administrator's rights unless it is told otherwise. Whether it is here says `crate::program`.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let known = crate::known(program).map(PathBuf::into_os_string);
        let mut command = Command::new(known.unwrap_or_else(|| program.into()));
        self.set_environment(&mut command);
        command
    }

    /// The administrator's rights, and folders of its own for what clients keep.
    pub(crate) fn set_environment(&self, command: &mut Command) {
        command.env("KUBECONFIG", self.kubeconfig());
        for (name, folder) in [
            ("KUBECACHEDIR", "cache"),
            ("HELM_CACHE_HOME", "helm/cache"),
            ("HELM_CONFIG_HOME", "helm/config"),
            ("HELM_DATA_HOME", "helm/data"),
        ] {
            command.env(name, self.folder.join(folder));
        }
    }

    /// What it prints; it must succeed.
    ///
    /// # Panics
    /// It does not.
    pub fn kubectl(&self, words: &[&str]) -> String {
        self.kubectl_reading(words, "")
    }

    /// The same, with something to read: `kubectl_reading(&["create", "-f", "-", "-o", "json"], yaml)`.
    ///
    /// # Panics
    /// It does not succeed.
    pub fn kubectl_reading(&self, words: &[&str], input: &str) -> String {
        let said = self.try_kubectl(words, input);
        said.unwrap_or_else(|said| panic!("kubectl {}: {said}", words.join(" ")))
    }

    /// What it prints, or what it complains of.
    ///
    /// # Errors
    /// It does not succeed.
    ///
    /// # Panics
    /// It cannot be started.
    pub fn try_kubectl(&self, words: &[&str], input: &str) -> Result<String, String> {
        let mut child = self
            .command("kubectl")
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("kubectl starts");
        let mut pipe = child.stdin.take().expect("a pipe");
        let output = std::thread::scope(|scope| {
            // It may print before it has read everything, and need not read at all.
            scope.spawn(move || drop(pipe.write_all(input.as_bytes())));
            child.wait_with_output().expect("it ends")
        });
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() {
            Ok(text(&output.stdout))
        } else {
            // What it ran in a pod may have said what is wrong on either.
            Err(text(&output.stderr) + &text(&output.stdout))
        }
    }

    /// `kubectl apply` of YAML or JSON.
    ///
    /// # Panics
    /// It is refused.
    pub fn apply(&self, objects: &str) {
        self.kubectl_reading(&["apply", "-f", "-"], objects);
    }

    /// A token of the service account, for those who ask for this audience; good for an hour.
    ///
    /// # Panics
    /// It is refused.
    #[must_use]
    pub fn token(&self, namespace: &str, account: &str, audience: &str) -> String {
        let said = self.kubectl(&[
            "create",
            "token",
            account,
            "-n",
            namespace,
            "--audience",
            audience,
        ]);
        said.trim().to_owned()
    }

    /// A file by which the service account asks, with a token for the API server that is good for an hour.
    ///
    /// # Panics
    /// It is refused.
    #[must_use]
    pub fn kubeconfig_for(&self, namespace: &str, account: &str) -> PathBuf {
        let token = self.kubectl(&["create", "token", account, "-n", namespace]);
        let file = self.keys().join(format!("{namespace}.{account}.kubeconfig"));
        keys::config_by_token(&file, &self.keys(), &self.url, token.trim());
        file
    }

    /// A namespace with its service account `default`, which only a controller manager would make.
    ///
    /// # Panics
    /// It is refused.
    pub fn namespace(&self, name: &str) {
        self.apply(&format!(
            "{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}}}}}"
        ));
        self.apply(&format!(
            "{{apiVersion: v1, kind: ServiceAccount, metadata: {{name: default, namespace: {name}}}}}"
        ));
    }

    /// Waits until the API server says that it is ready.
    pub(crate) fn wait_until_ready(&self, mut lives: impl FnMut() -> Result<(), String>) {
        let address = self.url.trim_start_matches("https://");
        until("the API server is not ready", PATIENCE, || {
            lives().unwrap_or_else(|said| panic!("{said}"));
            // Cheaper than kubectl, while nobody listens.
            std::net::TcpStream::connect(address).map_err(|error| error.to_string())?;
            self.try_kubectl(&["get", "--raw", "/readyz", "--request-timeout=5s"], "")
                .map(drop)
        });
    }
}
