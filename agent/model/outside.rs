//! What lies outside a process, as traits: peers and the disk. Only the hall makes the real ones.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::BoxFuture;
use crate::signature::SigV4;
use crate::way::Way;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Post,
    Put,
}

impl Method {
    /// As HTTP writes it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
        }
    }
}

/// One HTTP request with the time it may take in all.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: Method,
    pub url: String,
    pub headers: Vec<(String, String)>,
    /// Shared, so that whoever may have to send it again copies nothing.
    pub body: Bytes,
    pub timeout: Duration,
    /// Longest body read of the answer, after unpacking.
    pub answer_bytes_max: usize,
}

#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}

/// Why there is no answer; each is worth another try later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientError {
    BadUrl(String),
    Connect(String),
    Timeout(Duration),
    /// The answer was longer than `answer_bytes_max`.
    TooLong {
        limit_bytes: usize,
    },
    /// The connection ended or the answer was not HTTP.
    Broken(String),
    /// Nothing was sent: it could not be said who we are.
    Unsigned(String),
}

impl ClientError {
    /// A closed set, fit for a label.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::BadUrl(_) => "bad_url",
            Self::Connect(_) => "connect",
            Self::Timeout(_) => "timeout",
            Self::TooLong { .. } => "too_long",
            Self::Broken(_) => "broken",
            Self::Unsigned(_) => "unsigned",
        }
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadUrl(why) => write!(f, "bad URL: {why}"),
            Self::Connect(why) => write!(f, "cannot connect: {why}"),
            Self::Timeout(after) => write!(f, "no answer within {}", crate::text::duration::short(*after)),
            Self::TooLong { limit_bytes } => write!(f, "the answer is longer than {limit_bytes} bytes"),
            Self::Broken(why) => write!(f, "the answer broke off: {why}"),
            Self::Unsigned(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for ClientError {}

/// What somebody who calls may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Sends the samples of one node, and nobody else's.
    Node,
    /// The other replica.
    Replica,
    /// Sends samples of anything: a Prometheus, a vmagent.
    Writer,
    /// Reads the last log lines of pods.
    Reader,
}

impl Role {
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Replica => "replica",
            Self::Writer => "writer",
            Self::Reader => "reader",
        }
    }
}

/// Who calls, by the credential; never by what the body says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    pub role: Role,
    pub name: Arc<str>,
}

/// Finds out who calls. The refusal is a sentence for the caller and its log.
pub trait Identify: Send + Sync {
    fn identify<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<Identity, String>>;
}

/// A request that came in from outside, for the room that answers it.
#[derive(Clone, Debug, Default)]
pub struct Call {
    pub method: String,
    pub path: String,
    /// After the `?`, undecoded.
    pub query: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// It came over the loopback address, on a listener that has no other.
    pub local: bool,
    /// Who calls; none until somebody has found out.
    pub from: Option<Identity>,
}

impl Call {
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The token of `Authorization: Bearer <token>`.
    #[must_use]
    pub fn bearer(&self) -> Option<&str> {
        let (scheme, token) = self.header("authorization")?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    }
}

/// Answers calls; who calls is for it to find out. The body is complete and within the limit of its path.
pub trait Serve: Send + Sync {
    fn serve(&self, call: Call) -> BoxFuture<'static, Response>;
}

/// Request → response. No retries and no redirects: the caller knows what a repeat would mean.
pub trait Client: Send + Sync {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, ClientError>>;

    /// The same by another way than the usual one; a client that has none refuses.
    fn send_by(&self, way: &Arc<Way>, request: Request) -> BoxFuture<'_, Result<Response, ClientError>> {
        _ = (way, request);
        Box::pin(async {
            Err(ClientError::Connect(
                "there is only the usual way out here".to_owned(),
            ))
        })
    }

    /// Headers that say to AWS who sends a request, and that it is this one; all its own headers must be there. A client that
    /// has no credentials refuses.
    ///
    /// The sentence of a failure says what to do, and shows no secret.
    fn sign<'a>(
        &'a self,
        by: &'a SigV4,
        request: &'a Request,
    ) -> BoxFuture<'a, Result<Vec<(String, String)>, String>> {
        _ = (by, request);
        Box::pin(async { Err("nothing is signed for AWS here".to_owned()) })
    }
}

/// The few things durable rooms ask of a disk. All paths are inside the data directory.
pub trait Files: Send + Sync {
    /// Whole content, or `None` if there is no such file.
    ///
    /// # Errors
    /// The disk's own.
    fn read(&self, path: &Path) -> std::io::Result<Option<Vec<u8>>>;

    /// Adds to the end, creating the file and its folders; on the disk when it returns.
    ///
    /// # Errors
    /// The disk's own; a part may have been written.
    fn append(&self, path: &Path, bytes: &[u8]) -> std::io::Result<()>;

    /// As [`Self::append`], but only safe from the death of this process; [`Self::sync`] makes it safe from a power
    /// failure.
    ///
    /// # Errors
    /// The disk's own; a part may have been written.
    fn add(&self, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
        self.append(path, bytes)
    }

    /// Makes safe what was added.
    ///
    /// # Errors
    /// The disk's own.
    fn sync(&self, path: &Path) -> std::io::Result<()> {
        _ = path;
        Ok(())
    }

    /// Replaces the content: after a crash the file holds the old or the new, never a mixture.
    ///
    /// # Errors
    /// The disk's own; the old content stands.
    fn replace(&self, path: &Path, bytes: &[u8]) -> std::io::Result<()>;

    /// Cuts a file to `length_bytes`.
    ///
    /// # Errors
    /// The disk's own.
    fn truncate(&self, path: &Path, length_bytes: u64) -> std::io::Result<()>;

    /// # Errors
    /// The disk's own; a missing file is no error.
    fn remove(&self, path: &Path) -> std::io::Result<()>;

    /// Files directly in a folder, sorted; none if there is no such folder.
    ///
    /// # Errors
    /// The disk's own.
    fn list(&self, folder: &Path) -> std::io::Result<Vec<PathBuf>>;

    /// Whether writes return at once, as in memory: then nobody needs a thread to wait for them.
    fn is_instant(&self) -> bool {
        false
    }
}
