//! Hands letters to a mail server: one connection for each, by SMTP with or without TLS.
//!
//! A letter is sent once and nothing is repeated. Whether it may have arrived is known: only when all of it had been
//! sent. A recipient whom the server does not know keeps it from nobody else.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lettre::Address;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{
    AsyncSmtpConnection, Certificate, CertificateStore, Identity, TlsParameters, TlsVersion,
};
use lettre::transport::smtp::commands::{Data, Mail as From, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailParameter};
use lettre::transport::smtp::response::Response;
use model::BoxFuture;
use model::mail::{Encryption, Letter, Mail, MailError, MailServer, Trust};

use crate::client::CONNECT_TIMEOUT;
use crate::names::Names;

/// How long a letter that was taken waits for the end of the conversation.
const FAREWELL: Duration = Duration::from_secs(1);

/// The real one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mailer;

impl Mail for Mailer {
    fn send(&self, letter: Letter) -> BoxFuture<'_, Result<String, MailError>> {
        Box::pin(async move {
            let after = letter.timeout;
            let is_written = AtomicBool::new(false);
            match tokio::time::timeout(after, deliver(&letter, &is_written)).await {
                Ok(outcome) => outcome,
                Err(_) => Err(MailError::Timeout {
                    after,
                    may_have_arrived: is_written.load(Ordering::Relaxed),
                }),
            }
        })
    }

    fn greet(&self, server: MailServer, timeout: Duration) -> BoxFuture<'_, Result<String, MailError>> {
        Box::pin(async move {
            let greeted = async {
                let mut connection = connect(&server).await?;
                let name = connection.server_info().name().to_owned();
                quit(&mut connection).await;
                let secret = match server.encryption {
                    Encryption::None => "without TLS",
                    Encryption::StartTls | Encryption::Tls => "by TLS",
                };
                let login = if server.login.is_some() {
                    " and knows us"
                } else {
                    ""
                };
                Ok(format!("{name} answers {secret}{login}"))
            };
            match tokio::time::timeout(timeout, greeted).await {
                Ok(outcome) => outcome,
                Err(_) => Err(MailError::Timeout {
                    after: timeout,
                    may_have_arrived: false,
                }),
            }
        })
    }
}

async fn connect(server: &MailServer) -> Result<AsyncSmtpConnection, MailError> {
    let hello = ClientId::Domain(server.hello.clone());
    let tls = match server.encryption {
        Encryption::None => None,
        Encryption::StartTls | Encryption::Tls => Some(parameters(server).await?),
    };
    let (first, later) = match server.encryption {
        Encryption::Tls => (tls, None),
        Encryption::None | Encryption::StartTls => (None, tls),
    };
    let addresses = Names::ours().at(&server.host, server.port).await;
    let addresses = addresses.map_err(|error| MailError::Connect(error.to_string()))?;
    let connection =
        AsyncSmtpConnection::connect_tokio1(&*addresses, Some(CONNECT_TIMEOUT), &hello, first, None).await;
    let mut connection = connection.map_err(|error| told(&error, false))?;
    if let Some(tls) = later {
        if !connection.can_starttls() {
            quit(&mut connection).await;
            return Err(MailError::Connect(
                "the server does not offer STARTTLS, and nothing is sent without TLS".to_owned(),
            ));
        }
        let upgraded = connection.starttls(tls, &hello).await;
        upgraded.map_err(|error| told(&error, false))?;
    }
    if let Some(login) = &server.login {
        let credentials = Credentials::new(login.username.clone(), login.password.clone());
        let known = connection.auth(DEFAULT_MECHANISMS, &credentials).await;
        if let Err(error) = known {
            quit(&mut connection).await;
            return Err(match told(&error, false) {
                MailError::Refused { code, words } => MailError::Refused {
                    code,
                    words: format!("at the login: {words}"),
                },
                other => other,
            });
        }
    }
    Ok(connection)
}

async fn deliver(letter: &Letter, is_written: &AtomicBool) -> Result<String, MailError> {
    let from = address(&letter.from)?;
    let to: Vec<Address> = letter.to.iter().map(|to| address(to)).collect::<Result<_, _>>()?;
    let mut connection = connect(&letter.server).await?;
    let outcome = converse(&mut connection, from, to, &letter.text, is_written).await;
    quit(&mut connection).await;
    outcome
}

async fn converse(
    connection: &mut AsyncSmtpConnection,
    from: Address,
    to: Vec<Address>,
    text: &[u8],
    is_written: &AtomicBool,
) -> Result<String, MailError> {
    let is_plain = |address: &Address| address.to_string().is_ascii();
    let mut options = Vec::new();
    if !is_plain(&from) || !to.iter().all(is_plain) {
        if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
            return Err(MailError::Bad(
                "an address has letters that this server does not take (it has no SMTPUTF8)".to_owned(),
            ));
        }
        options.push(MailParameter::SmtpUtfEight);
    }
    let begun = connection.command(From::new(Some(from), options)).await;
    begun.map_err(|error| told(&error, false))?;
    let (mut taken, mut refused) = (0, Vec::new());
    for recipient in to {
        match connection.command(Rcpt::new(recipient.clone(), Vec::new())).await {
            Ok(_) => taken += 1,
            Err(error) if error.is_permanent() => refused.push((recipient, told(&error, false))),
            Err(error) => return Err(told(&error, false)),
        }
    }
    if taken == 0 {
        let first = refused.into_iter().next();
        return Err(match first {
            Some((recipient, MailError::Refused { code, words })) => MailError::Refused {
                code,
                words: format!("to {recipient}: {words}"),
            },
            _ => MailError::Bad("it is for nobody".to_owned()),
        });
    }
    let begun = connection.command(Data).await;
    begun.map_err(|error| told(&error, false))?;
    is_written.store(true, Ordering::Relaxed);
    let answer = connection.message(text).await;
    let answer = answer.map_err(|error| told(&error, true))?;
    let mut words = said(&answer);
    for (recipient, error) in refused {
        words.push_str(&format!("; but not to {recipient}: {error}"));
    }
    Ok(words)
}

/// What became of the letter is known already.
async fn quit(connection: &mut AsyncSmtpConnection) {
    if !connection.has_broken() {
        _ = tokio::time::timeout(FAREWELL, connection.quit()).await;
    }
}

fn said(answer: &Response) -> String {
    let words: Vec<&str> = answer.message().collect();
    format!("{} {}", answer.code(), words.join(" "))
        .trim_end()
        .to_owned()
}

fn address(text: &str) -> Result<Address, MailError> {
    text.parse()
        .map_err(|error| MailError::Bad(format!("{text:?} is no address: {error}")))
}

fn told(error: &Error, may_have_arrived: bool) -> MailError {
    let why = chain(error);
    if let Some(code) = error.status() {
        let code = code.to_string().parse().unwrap_or_default();
        return MailError::Refused { code, words: why };
    }
    if error.is_client() {
        return MailError::Connect(why);
    }
    if may_have_arrived || error.is_response() {
        return MailError::Broken {
            why,
            may_have_arrived,
        };
    }
    MailError::Connect(why)
}

/// The innermost cause, or what the server said.
fn chain(error: &Error) -> String {
    let mut cause = std::error::Error::source(error);
    let mut words = error.to_string();
    while let Some(inner) = cause {
        words = inner.to_string();
        cause = inner.source();
    }
    words
}

async fn parameters(server: &MailServer) -> Result<TlsParameters, MailError> {
    let trust = &server.trust;
    let name = trust.server_name.as_ref().unwrap_or(&server.host);
    let mut builder = TlsParameters::builder(name.clone());
    if let Some(path) = &trust.ca_file {
        builder = builder
            .certificate_store(CertificateStore::None)
            .add_root_certificate(certificate(path).await?);
    }
    if let Some(identity) = identity(trust).await? {
        builder = builder.identify_with(identity);
    }
    if trust.is_newest {
        builder = builder.set_min_tls_version(TlsVersion::Tlsv13);
    }
    if trust.takes_any {
        builder = builder
            .dangerous_accept_invalid_certs(true)
            .dangerous_accept_invalid_hostnames(true);
    }
    builder
        .build_rustls()
        .map_err(|error| MailError::Connect(format!("TLS cannot be used: {}", chain(&error))))
}

/// Files are read each time, because mounted certificates are exchanged under a running process.
async fn read(path: &Path) -> Result<Vec<u8>, MailError> {
    let read = tokio::fs::read(path).await;
    read.map_err(|error| MailError::Connect(format!("reading {}: {error}", path.display())))
}

async fn certificate(path: &Path) -> Result<Certificate, MailError> {
    Certificate::from_pem(&read(path).await?)
        .map_err(|error| MailError::Connect(format!("{}: {}", path.display(), chain(&error))))
}

async fn identity(trust: &Trust) -> Result<Option<Identity>, MailError> {
    let (Some(cert), Some(key)) = (&trust.cert_file, &trust.key_file) else {
        return Ok(None);
    };
    let identity = Identity::from_pem(&read(cert).await?, &read(key).await?);
    identity
        .map(Some)
        .map_err(|error| MailError::Connect(format!("{}: {}", cert.display(), chain(&error))))
}
