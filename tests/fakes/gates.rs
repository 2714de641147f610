//! What may stand between a message and its receiver: a server with TLS that may want to see a certificate, and a proxy.
//!
//! Each notes what it is asked. The certificates in `tls` are of one authority and good for a hundred years; the server's is
//! for localhost, 127.0.0.1 and hooks.example.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// A file beside this one.
pub(crate) fn given(name: &str) -> PathBuf {
    // Rooms lie two folders below the tests that run the program.
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let all = [own.join("tests/fakes/tls"), own.join("../../tests/fakes/tls")];
    let here = all.into_iter().find(|folder| folder.exists()).unwrap();
    here.join(name)
}

/// How a server does TLS.
#[derive(Clone, Copy)]
pub(crate) struct Hidden {
    /// Nobody gets in without a certificate of the authority's.
    pub(crate) wants_certificate: bool,
    pub(crate) versions: &'static [&'static SupportedProtocolVersion],
}

impl Default for Hidden {
    fn default() -> Self {
        Self {
            wants_certificate: false,
            versions: rustls::ALL_VERSIONS,
        }
    }
}

fn acceptor(hidden: Hidden) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_protocol_versions(hidden.versions).unwrap();
    let builder = if hidden.wants_certificate {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(given("ca.pem")).unwrap())
            .unwrap();
        let wants = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        builder.with_client_cert_verifier(wants.build().unwrap())
    } else {
        builder.with_no_client_auth()
    };
    let certificate = CertificateDer::from_pem_file(given("server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(given("server.key.pem")).unwrap();
    let config = builder.with_single_cert(vec![certificate], key).unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// One request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    /// Its first line.
    pub(crate) line: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
    /// The name that TLS was asked for.
    pub(crate) server_name: Option<String>,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// All values of one name.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let found = self.headers.iter().filter(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).collect()
    }
}

type Answer = dyn Fn(&Asked) -> (u16, Vec<(String, String)>, String) + Send + Sync;

/// A server or a proxy, until the test ends.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Gate {
    /// Answers each request with what `answer` makes of it.
    pub(crate) async fn server(
        hidden: Option<Hidden>,
        answer: impl Fn(&Asked) -> (u16, Vec<(String, String)>, String) + Send + Sync + 'static,
    ) -> Self {
        Self::start(hidden, Arc::new(answer), None).await
    }

    /// Takes every message.
    pub(crate) async fn taking(hidden: Option<Hidden>) -> Self {
        Self::server(hidden, |_| (200, Vec::new(), "ok".to_owned())).await
    }

    /// Every tunnel leads to this port here, wherever it was meant to lead; other requests it answers itself.
    pub(crate) async fn proxy(hidden: Option<Hidden>, leads_to: u16) -> Self {
        let answer = |_: &Asked| (200, Vec::new(), "by the proxy".to_owned());
        Self::start(hidden, Arc::new(answer), Some(leads_to)).await
    }

    /// Lets nobody through.
    pub(crate) async fn closed(status: u16) -> Self {
        Self::server(None, move |_| (status, Vec::new(), String::new())).await
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    async fn start(hidden: Option<Hidden>, answer: Arc<Answer>, leads_to: Option<u16>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let gate = Self {
            port: listener.local_addr().unwrap().port(),
            asked: Arc::default(),
        };
        let (tls, asked) = (hidden.map(acceptor), Arc::clone(&gate.asked));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, asked, answer) = (tls.clone(), Arc::clone(&asked), Arc::clone(&answer));
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, None, &asked, &*answer, leads_to).await,
                        Some(tls) => {
                            // Whoever shows no certificate ends here.
                            let Ok(stream) = tls.accept(stream).await else {
                                return;
                            };
                            let name = stream.get_ref().1.server_name().map(str::to_owned);
                            serve(stream, name, &asked, &*answer, leads_to).await;
                        }
                    }
                });
            }
        });
        gate
    }
}

/// One request of a connection, and the tunnel if it asks for one.
async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    server_name: Option<String>,
    all: &Mutex<Vec<Asked>>,
    answer: &Answer,
    leads_to: Option<u16>,
) {
    let Some(asked) = read(&mut stream, server_name).await else {
        return;
    };
    all.lock().unwrap().push(asked.clone());
    if let (Some(port), true) = (leads_to, asked.line.starts_with("CONNECT ")) {
        let mut beyond = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 go on\r\n\r\n").await.unwrap();
        // Either side may end it.
        _ = copy_bidirectional(&mut stream, &mut beyond).await;
        return;
    }
    let (status, headers, body) = answer(&asked);
    let mut text = format!(
        "HTTP/1.1 {status} as told\r\nConnection: close\r\nContent-Length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    text.push_str(&body);
    // Who asked may have gone away.
    _ = stream.write_all(text.as_bytes()).await;
    _ = stream.shutdown().await;
}

async fn read(stream: &mut (impl AsyncRead + Unpin), server_name: Option<String>) -> Option<Asked> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|part| part == b"\r\n\r\n") {
            break end;
        }
        match stream.read(&mut buffer).await {
            Ok(length) if length > 0 => bytes.extend_from_slice(&buffer[..length]),
            _ => return None,
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut lines = head.lines();
    let line = lines.next().unwrap_or_default().to_owned();
    let headers = lines.filter_map(|line| line.split_once(": "));
    let headers = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned()));
    let mut asked = Asked {
        line,
        headers: headers.collect(),
        body: String::new(),
        server_name,
    };
    let length = asked
        .header("content-length")
        .map_or(0, |length| length.parse().unwrap());
    let mut body = bytes[end + 4..].to_vec();
    while body.len() < length {
        match stream.read(&mut buffer).await {
            Ok(length) if length > 0 => body.extend_from_slice(&buffer[..length]),
            _ => return None,
        }
    }
    asked.body = String::from_utf8_lossy(&body).into_owned();
    Some(asked)
}
