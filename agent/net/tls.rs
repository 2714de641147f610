//! TLS as a configuration wants it: whose certificates are taken, which one we show, which versions are spoken.

use std::sync::Arc;

use model::way;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// # Errors
/// Something in it is no certificate or no key, or both do not belong together.
pub(crate) fn config(tls: &way::Tls) -> Result<ClientConfig, String> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let speaks = |version| {
        tls.oldest.is_none_or(|oldest| oldest <= version) && tls.newest.is_none_or(|newest| version <= newest)
    };
    let all = [(&TLS13, way::TlsVersion::V13), (&TLS12, way::TlsVersion::V12)];
    let versions: Vec<_> = all
        .into_iter()
        .filter_map(|(version, known)| speaks(known).then_some(version))
        .collect();
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions)
        .map_err(|error| error.to_string())?;
    let builder = if tls.takes_any {
        let any = Arc::new(Any(provider));
        builder.dangerous().with_custom_certificate_verifier(any)
    } else if let Some(text) = &tls.authorities {
        builder.with_root_certificates(authorities(text)?)
    } else {
        let machine = rustls_platform_verifier::Verifier::new(provider);
        let machine =
            machine.map_err(|error| format!("the machine's certificates cannot be read: {error}"))?;
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(machine))
    };
    let Some(identity) = &tls.identity else {
        return Ok(builder.with_no_client_auth());
    };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(identity.certificate.as_bytes()).collect();
    let chain = chain.map_err(|error| format!("our certificate: {error}"))?;
    if chain.is_empty() {
        return Err("our certificate: there is none in PEM".to_owned());
    }
    // What the parser quotes of a key might be a part of it.
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes())
        .map_err(|_| "our key: there is no private key in PEM".to_owned())?;
    builder
        .with_client_auth_cert(chain, key)
        .map_err(|error| format!("our certificate and key: {error}"))
}

fn authorities(text: &str) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(text.as_bytes()) {
        let certificate = certificate.map_err(|error| format!("the authority's certificates: {error}"))?;
        store
            .add(certificate)
            .map_err(|error| format!("the authority's certificates: {error}"))?;
    }
    if store.is_empty() {
        return Err("the authority's certificates: there is none in PEM".to_owned());
    }
    Ok(store)
}

/// Takes whatever certificate is shown, as `insecure_skip_verify` asks; that the other side has its key is still seen.
#[derive(Debug)]
struct Any(Arc<CryptoProvider>);

impl ServerCertVerifier for Any {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
