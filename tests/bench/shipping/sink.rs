//! Where all of them send: takes bulk requests as OpenSearch and blocks as VictoriaLogs, and notes which lines were in
//! them. It is a small Kubernetes as well, for who asks one which files to read.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use flate2::read::GzDecoder;
use memchr::memmem;

use super::lines::{NAMESPACE, container_id, pod};

pub(crate) struct Sink {
    pub(crate) port: u16,
    seen: Arc<Mutex<Seen>>,
}

/// Which lines have come.
#[derive(Default)]
pub(crate) struct Seen {
    lines: Vec<Vec<bool>>,
    pub(crate) distinct: usize,
    pub(crate) twice: usize,
    /// Of bodies, as sent.
    pub(crate) bytes: usize,
}

impl Sink {
    pub(crate) fn start(containers: usize, lines: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Seen {
            lines: vec![vec![false; lines]; containers],
            ..Seen::default()
        }));
        let theirs = Arc::clone(&seen);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let seen = Arc::clone(&theirs);
                thread::spawn(move || serve(stream, &seen, containers));
            }
        });
        Self { port, seen }
    }

    pub(crate) fn seen<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        look(&self.seen.lock().unwrap())
    }
}

impl Seen {
    /// Every mark in a body.
    fn note(&mut self, plain: &[u8]) {
        let mut at = 0;
        while let Some(found) = memchr::memchr(b'#', &plain[at..]) {
            let mark = plain.get(at + found..at + found + 14);
            let Some((container, number)) = mark.and_then(parse) else {
                at += found + 1;
                continue;
            };
            let place = self
                .lines
                .get_mut(container)
                .and_then(|lines| lines.get_mut(number));
            match place {
                Some(true) => self.twice += 1,
                Some(place) => {
                    *place = true;
                    self.distinct += 1;
                }
                None => panic!("a line that nobody wrote: {container} {number}"),
            }
            at += found + 14;
        }
    }
}

/// `#003-00000017#`
fn parse(mark: &[u8]) -> Option<(usize, usize)> {
    let text = std::str::from_utf8(mark).ok()?;
    let (container, number) = text.strip_prefix('#')?.strip_suffix('#')?.split_once('-')?;
    Some((container.parse().ok()?, number.parse().ok()?))
}

fn serve(stream: TcpStream, seen: &Mutex<Seen>, containers: usize) {
    let mut writer = stream.try_clone().unwrap();
    let mut reader = BufReader::with_capacity(1 << 16, stream);
    while let Some((head, body)) = request(&mut reader) {
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        if path.contains("watch=") {
            // Nothing ever changes.
            _ = writer.write_all(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
            );
            thread::park();
            return;
        }
        let answer = if head.starts_with("GET") {
            kubernetes(&path, containers)
        } else {
            let plain = plain(&head, &body);
            let mut seen = seen.lock().unwrap();
            seen.bytes += body.len();
            seen.note(&plain);
            drop(seen);
            if path.contains("_bulk") {
                bulk(&plain)
            } else {
                String::new()
            }
        };
        let front = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            answer.len()
        );
        if writer.write_all((front + &answer).as_bytes()).is_err() {
            return;
        }
    }
}

fn request(reader: &mut BufReader<TcpStream>) -> Option<(String, Vec<u8>)> {
    let mut head = String::new();
    loop {
        let before = head.len();
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
        if head[before..].trim().is_empty() {
            break;
        }
    }
    let value = |name: &str| {
        head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    };
    assert!(value("transfer-encoding").is_none(), "no chunks are read here");
    if value("expect").is_some() {
        reader
            .get_mut()
            .write_all(b"HTTP/1.1 100 Continue\r\n\r\n")
            .ok()?;
    }
    let bytes = value("content-length").map_or(0, |text| text.parse().unwrap());
    let mut body = vec![0; bytes];
    reader.read_exact(&mut body).ok()?;
    Some((head, body))
}

fn plain(head: &str, body: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    let head = head.to_lowercase();
    if head.contains("content-encoding: gzip") {
        GzDecoder::new(body).read_to_end(&mut plain).unwrap();
    } else if head.contains("content-encoding: zstd") {
        ruzstd::decoding::StreamingDecoder::new(body)
            .unwrap()
            .read_to_end(&mut plain)
            .unwrap();
    } else {
        plain.extend_from_slice(body);
    }
    plain
}

/// All of them are stored.
fn bulk(plain: &[u8]) -> String {
    let records = memmem::find_iter(plain, b"\n").count() / 2;
    let items = vec!["{\"create\":{\"status\":201}}"; records].join(",");
    format!("{{\"errors\":false,\"items\":[{items}]}}")
}

fn kubernetes(path: &str, containers: usize) -> String {
    let node = r#"{"metadata":{"name":"node","labels":{}}}"#;
    if path.starts_with("/api/v1/nodes/") {
        return node.to_owned();
    }
    if path.starts_with("/api/v1/nodes") {
        return format!("{{\"items\":[{node}]}}");
    }
    if path.starts_with("/api/v1/namespaces") {
        return format!("{{\"items\":[{{\"metadata\":{{\"name\":\"{NAMESPACE}\"}}}}]}}");
    }
    if !path.starts_with("/api/v1/pods") {
        return r#"{"version":{"number":"3.8.0","distribution":"opensearch"}}"#.to_owned();
    }
    let pods: Vec<String> = (0..containers)
        .map(|container| {
            format!(
                "{{\"metadata\":{{\"name\":\"{}\",\"namespace\":\"{NAMESPACE}\",\"resourceVersion\":\"1\"}},\
                 \"spec\":{{\"nodeName\":\"node\",\"containers\":[{{\"name\":\"app\"}}]}},\
                 \"status\":{{\"podIP\":\"10.0.0.1\",\"containerStatuses\":[{{\"name\":\"app\",\"containerID\":\"containerd://{}\"}}]}}}}",
                pod(container),
                container_id(container)
            )
        })
        .collect();
    format!(
        "{{\"metadata\":{{\"resourceVersion\":\"1\"}},\"items\":[{}]}}",
        pods.join(",")
    )
}
