//! One request, one connection, one answer.
//!
//! Gives back what came, whatever it was: a connection that ends without an answer is an error, a status never is.

use std::io::{self, BufRead, BufReader, Error, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// No answer within this time is none at all.
const PATIENCE: Duration = Duration::from_secs(120);

/// What was answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON, or null when it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// Asks a server at `127.0.0.1:port` or `http://127.0.0.1:port`. The length is said unless the headers say it.
///
/// # Errors
/// Nobody listens, or the connection ends without a whole answer.
pub fn ask(
    server: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> io::Result<Answer> {
    ask_within(PATIENCE, server, method, path, headers, body)
}

/// The same, with less patience.
///
/// # Errors
/// As `ask`; `WouldBlock` or `TimedOut` when nothing is said for so long.
pub fn ask_within(
    patience: Duration,
    server: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> io::Result<Answer> {
    let address = server.trim_start_matches("http://").trim_end_matches('/');
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let says = |wanted: &str| headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted));
    if !says("content-length") && !says("transfer-encoding") {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    // A server that wants no more may have answered already: what it said counts, not that it stopped listening.
    let sent = stream
        .write_all(head.as_bytes())
        .and_then(|()| stream.write_all(body));
    read(&mut BufReader::new(stream), method == "HEAD").map_err(|error| sent.err().unwrap_or(error))
}

/// An answer; one to HEAD has no body whatever its length.
pub(crate) fn read(stream: &mut impl BufRead, is_head: bool) -> io::Result<Answer> {
    let line = line(stream)?;
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status =
        status.ok_or_else(|| Error::new(ErrorKind::InvalidData, format!("no status in {line:?}")))?;
    let headers = headers(stream)?;
    let mut answer = Answer {
        status,
        headers,
        body: Vec::new(),
    };
    let length = answer.header("content-length").map(str::to_owned);
    if is_head {
        return Ok(answer);
    }
    if answer.header("transfer-encoding") == Some("chunked") {
        answer.body = chunks(stream, usize::MAX)?;
    } else if let Some(length) = length {
        let length = length
            .parse()
            .map_err(|_| Error::new(ErrorKind::InvalidData, length))?;
        (&mut *stream).take(length).read_to_end(&mut answer.body)?;
        if answer.body.len() as u64 != length {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    } else {
        stream.read_to_end(&mut answer.body)?;
    }
    Ok(answer)
}

/// Up to the end of a line, without it.
pub(crate) fn line(stream: &mut impl BufRead) -> io::Result<String> {
    const LINE_BYTES_MAX: u64 = 64 * 1024;
    let mut line = String::new();
    stream.take(LINE_BYTES_MAX).read_line(&mut line)?;
    if !line.ends_with('\n') {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}

/// Names in lower case, up to the empty line.
pub(crate) fn headers(stream: &mut impl BufRead) -> io::Result<Vec<(String, String)>> {
    const HEADERS_MAX: usize = 100;
    let mut headers = Vec::new();
    while headers.len() < HEADERS_MAX {
        let line = line(stream)?;
        match line.split_once(':') {
            Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.trim().to_owned())),
            None if line.is_empty() => return Ok(headers),
            None => return Err(Error::new(ErrorKind::InvalidData, line)),
        }
    }
    Err(Error::new(ErrorKind::InvalidData, "too many headers"))
}

/// A body in chunks, together; one byte more than allowed ends it.
pub(crate) fn chunks(stream: &mut impl BufRead, bytes_max: usize) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let size = line(stream)?;
        let digits = size.split(';').next().unwrap_or_default();
        let length =
            u64::from_str_radix(digits, 16).map_err(|_| Error::new(ErrorKind::InvalidData, size.clone()))?;
        let before = body.len() as u64;
        (&mut *stream).take(length).read_to_end(&mut body)?;
        if body.len() as u64 - before != length {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        line(stream)?;
        if length == 0 || body.len() > bytes_max {
            return Ok(body);
        }
    }
}
