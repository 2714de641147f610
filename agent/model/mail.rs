//! Mail that leaves a process, as a trait; only the hall makes the real one.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::BoxFuture;

/// A server that takes mail, and how it is spoken to. It has no `Debug`: the login holds a password.
#[derive(Clone, PartialEq, Eq)]
pub struct MailServer {
    pub host: String,
    pub port: u16,
    /// Who we say we are.
    pub hello: String,
    pub encryption: Encryption,
    pub trust: Trust,
    pub login: Option<MailLogin>,
}

#[derive(Clone, PartialEq, Eq)]
pub struct MailLogin {
    pub username: String,
    pub password: String,
}

/// How what is said to a mail server is hidden from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// Not at all.
    None,
    /// From the command `STARTTLS` on; a server that does not have it is sent nothing.
    StartTls,
    /// From the first byte on.
    Tls,
}

/// Whose certificate is taken, and which one we show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// Certificates of authorities in PEM, in place of the machine's.
    pub ca_file: Option<PathBuf>,
    /// Our own certificate and its key, in PEM.
    pub cert_file: Option<PathBuf>,
    pub key_file: Option<PathBuf>,
    /// The name that the server's certificate has to hold, where it is not the host's.
    pub server_name: Option<String>,
    /// Any certificate is taken: whoever is in between reads along.
    pub takes_any: bool,
    /// Nothing older than TLS 1.3.
    pub is_newest: bool,
}

/// A finished message, with who sends it and whom it is for: bare addresses.
#[derive(Clone)]
pub struct Letter {
    pub server: MailServer,
    pub from: String,
    pub to: Vec<String>,
    /// Headers and body.
    pub text: Vec<u8>,
    /// In all, from the connection to the server's last word.
    pub timeout: Duration,
}

/// Why a letter was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MailError {
    /// No way to send it as it is, or to that server.
    Bad(String),
    /// No connection, or not one that may be used; nothing was sent.
    Connect(String),
    /// The server's own words. From 500 on it will not change its mind.
    Refused { code: u16, words: String },
    /// The letter `may_have_arrived` if all of it had been sent.
    Timeout { after: Duration, may_have_arrived: bool },
    /// The connection ended, or what came was not SMTP.
    Broken { why: String, may_have_arrived: bool },
}

impl fmt::Display for MailError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bad(why) => f.write_str(why),
            Self::Connect(why) => write!(f, "cannot connect: {why}"),
            Self::Refused { code, words } => write!(f, "{code} {words}"),
            Self::Timeout { after, .. } => {
                write!(f, "no answer within {}", crate::text::duration::short(*after))
            }
            Self::Broken { why, .. } => write!(f, "the connection broke off: {why}"),
        }
    }
}

impl std::error::Error for MailError {}

/// Letter → what the server said. No retries: the caller knows what a repeat would mean.
pub trait Mail: Send + Sync {
    fn send(&self, letter: Letter) -> BoxFuture<'_, Result<String, MailError>>;

    /// Says hello, encrypts, logs in and leaves again; a sentence about what the server is.
    fn greet(&self, server: MailServer, timeout: Duration) -> BoxFuture<'_, Result<String, MailError>>;
}

/// Where there is no way out for mail.
#[derive(Clone, Copy, Debug)]
pub struct NoMail;

impl NoMail {
    fn refused() -> MailError {
        MailError::Connect("there is no way out for mail here".to_owned())
    }
}

impl Mail for NoMail {
    fn send(&self, _: Letter) -> BoxFuture<'_, Result<String, MailError>> {
        Box::pin(async { Err(Self::refused()) })
    }

    fn greet(&self, _: MailServer, _: Duration) -> BoxFuture<'_, Result<String, MailError>> {
        Box::pin(async { Err(Self::refused()) })
    }
}
