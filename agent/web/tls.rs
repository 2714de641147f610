//! `https`: certificate and key from files, which whoever renews them may replace while we run.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use net::Watched;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::config;

const LOOK_EVERY: Duration = Duration::from_secs(10);

pub(crate) struct Tls(Watched<TlsAcceptor>);

impl Tls {
    /// # Errors
    /// What is wrong with the files.
    pub(crate) fn open(config: &config::Tls) -> Result<Self, String> {
        let files = vec![config.cert_file.clone(), config.key_file.clone()];
        let config = config.clone();
        Watched::open(files, LOOK_EVERY, move || read(&config)).map(Self)
    }

    /// With the newest certificate that could be read.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::clone(&self.0.get())
    }
}

fn read(files: &config::Tls) -> Result<TlsAcceptor, String> {
    let failed =
        |what: &str, path: &Path, why: String| format!("reading the {what} from {}: {why}", path.display());
    let (cert, key) = (files.cert_file.as_path(), files.key_file.as_path());
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(cert).and_then(Iterator::collect);
    let chain = chain.map_err(|error| failed("certificate", cert, error.to_string()))?;
    if chain.is_empty() {
        return Err(failed("certificate", cert, "there is none in it".to_owned()));
    }
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| failed("key", key, error.to_string()))?;
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, secret));
    let mut config = config.map_err(|error| format!("{} and {}: {error}", cert.display(), key.display()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
