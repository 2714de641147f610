//! TLS for those who call in: certificate and key from files, which whoever renews them may replace while we run.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::Watched;

/// A connection over TLS that somebody has made to us.
pub type Guest = tokio_rustls::server::TlsStream<TcpStream>;

const LOOK_EVERY: Duration = Duration::from_secs(10);

pub struct Acceptor(Watched<TlsAcceptor>);

impl Acceptor {
    /// `protocols` are those spoken inside, by the names of ALPN; none is none agreed on.
    ///
    /// # Errors
    /// What is wrong with the files.
    pub fn open(cert: &Path, key: &Path, protocols: &'static [&'static [u8]]) -> Result<Self, String> {
        let files = vec![cert.to_owned(), key.to_owned()];
        let (cert, key) = (cert.to_owned(), key.to_owned());
        Watched::open(files, LOOK_EVERY, move || read(&cert, &key, protocols)).map(Self)
    }

    /// With the newest certificate that could be read.
    #[must_use]
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::clone(&self.0.get())
    }

    /// # Errors
    /// The caller speaks no TLS, or none that we speak.
    pub async fn accept(&self, stream: TcpStream) -> std::io::Result<Guest> {
        self.acceptor().accept(stream).await
    }
}

fn read(cert: &Path, key: &Path, protocols: &[&[u8]]) -> Result<TlsAcceptor, String> {
    let failed =
        |what: &str, path: &Path, why: String| format!("reading the {what} from {}: {why}", path.display());
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
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Ok(TlsAcceptor::from(Arc::new(config)))
}
