//! The certificates and keys of a cluster, and the files by which its API server is asked.
//!
//! All are made anew in the folder, by openssl, and good for ten years, so that clocks may be set.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Whom a certificate is for: file name, subject, and whether a server shows it.
pub(crate) struct Who(pub(crate) &'static str, pub(crate) &'static str, pub(crate) bool);

pub(crate) const ADMIN: Who = Who("admin", "/O=system:masters/CN=admin", false);
pub(crate) const API_SERVER: Who = Who("apiserver", "/CN=kube-apiserver", true);

/// Names and addresses under which an API server is reached.
const EXTENSIONS: &str = "
[req]
distinguished_name = name
[name]
[ca]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[client]
basicConstraints = CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = clientAuth
[server]
basicConstraints = CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local,DNS:localhost,IP:127.0.0.1,IP:10.99.0.1,IP:10.96.0.1
";

/// What is in the folder: `ca.crt`, `ca.key`, `sa.key` and `sa.pub` of the service accounts, and a pair for each of them.
///
/// # Panics
/// openssl refuses.
pub(crate) fn make<'a>(folder: &Path, all: impl IntoIterator<Item = &'a Who>) {
    fs::create_dir_all(folder).expect("a folder for keys");
    fs::write(folder.join("openssl.conf"), EXTENSIONS).expect("its configuration is written");
    certificate(folder, &Who("ca", "/CN=skopos-tests-ca", false), "ca");
    for who in all {
        certificate(folder, who, if who.2 { "server" } else { "client" });
    }
    // RS256, as EKS signs its tokens.
    openssl(folder, &["genrsa", "-out", "sa.key", "2048"]);
    openssl(folder, &["rsa", "-in", "sa.key", "-pubout", "-out", "sa.pub"]);
}

fn certificate(folder: &Path, who: &Who, extensions: &str) {
    let (key, certificate) = (format!("{}.key", who.0), format!("{}.crt", who.0));
    let mut words = vec!["req", "-x509", "-config", "openssl.conf", "-newkey", "ec"];
    words.extend([
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "3650",
    ]);
    words.extend(["-subj", who.1, "-extensions", extensions]);
    words.extend(["-keyout", &key, "-out", &certificate]);
    if extensions != "ca" {
        words.extend(["-CA", "ca.crt", "-CAkey", "ca.key"]);
    }
    openssl(folder, &words);
}

fn openssl(folder: &Path, words: &[&str]) {
    let (code, said) = programs::run(Command::new("openssl").current_dir(folder).args(words));
    assert_eq!(code, 0, "openssl {words:?}: {said}");
}

/// A file by which whoever has the certificate asks the API server.
pub(crate) fn config_by_certificate(keys: &Path, url: &str, who: &Who) -> PathBuf {
    let pair = keys.join(who.0);
    let user = format!("client-certificate: {0}.crt, client-key: {0}.key", pair.display());
    let file = pair.with_extension("kubeconfig");
    write_config(&file, keys, url, &user);
    file
}

/// The same for whoever has the token.
pub(crate) fn config_by_token(file: &Path, keys: &Path, url: &str, token: &str) {
    write_config(file, keys, url, &format!("token: {token}"));
}

fn write_config(file: &Path, keys: &Path, url: &str, user: &str) {
    let ca = keys.join("ca.crt");
    let text = format!(
        "apiVersion: v1
kind: Config
clusters: [{{name: tests, cluster: {{server: '{url}', certificate-authority: {}}}}}]
users: [{{name: user, user: {{{user}}}}}]
contexts: [{{name: tests, context: {{cluster: tests, user: user, namespace: default}}}}]
current-context: tests
",
        ca.display()
    );
    fs::write(file, text).expect("the kubeconfig is written");
}
