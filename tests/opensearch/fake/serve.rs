//! Connections of the fake: requests come in, and answers go out whole, or in whatever way the plan says.

use std::io::{self, BufReader, Error, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_linger;

use super::answer::{Handled, Reply, Request, answer, misshapen, too_large};
use super::faults::{Fault, words};
use super::problem::Problem;
use super::{SEEN_MAX, Seen, State, lock};
use crate::http::{chunks, headers, line};

/// One connection until it ends.
pub(super) fn connection(stream: TcpStream, state: &State) {
    let Ok(copy) = stream.try_clone() else {
        return;
    };
    let (number, opening) = {
        let mut gate = lock(&state.gate);
        gate.connections += 1;
        let number = gate.connections;
        gate.sockets.insert(number, copy);
        (number, gate.opening)
    };
    state.count(|counters| counters.connections += 1);
    // Small answers go out at once.
    drop(stream.set_nodelay(true));
    let mut reader = BufReader::new(stream);
    while let Ok(true) = exchange(&mut reader, state, opening) {}
    lock(&state.gate).sockets.remove(&number);
}

/// One request and its answer. False when the connection is to end.
fn exchange(reader: &mut BufReader<TcpStream>, state: &State, opening: u64) -> io::Result<bool> {
    let first = line(reader)?;
    let mut words = first.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let headers = headers(reader)?;
    let mut request = Request::new(method, path, headers);
    request.opening = opening;
    let limit = lock(&state.rules).body_bytes_max;
    let is_last = request
        .header("connection")
        .is_some_and(|value| value.eq_ignore_ascii_case("close"));
    state.count(|counters| counters.requests += 1);
    let Some(body) = body(reader, &request, limit)? else {
        note(state, &request, Some(413));
        too_large().send(reader.get_mut(), &request)?;
        return Ok(false);
    };
    request.body = body;
    let is_bulk = request.is_bulk();
    let underway = is_bulk.then(|| Underway::begun(state, opening));
    let wire = request.body.len() as u64;
    state.count(|counters| {
        counters.bulks += u64::from(is_bulk);
        counters.wire_bytes += wire;
        counters.wire_bytes_max = counters.wire_bytes_max.max(wire);
    });
    let goes_on = behave(reader.get_mut(), &request, state, underway)?;
    Ok(goes_on && !is_last)
}

/// A bulk that is worked on. It is over before its answer is sent: who has that may send the next one at once.
/// So it is with whoever was hung up on when the sink closed: what its thread still does is of another opening.
struct Underway<'a> {
    state: &'a State,
    opening: u64,
}

impl<'a> Underway<'a> {
    fn begun(state: &'a State, opening: u64) -> Self {
        let mut gate = lock(&state.gate);
        if gate.opening == opening {
            gate.bulks_now += 1;
        }
        let now = gate.bulks_now;
        drop(gate);
        state.count(|counters| counters.bulks_at_once_max = counters.bulks_at_once_max.max(now));
        Self { state, opening }
    }
}

impl Drop for Underway<'_> {
    fn drop(&mut self) {
        let mut gate = lock(&self.state.gate);
        if gate.opening == self.opening {
            gate.bulks_now -= 1;
        }
    }
}

/// None if it is longer than allowed; then the rest of it is not read.
fn body(reader: &mut BufReader<TcpStream>, request: &Request, limit: usize) -> io::Result<Option<Vec<u8>>> {
    if request
        .header("expect")
        .is_some_and(|value| value.eq_ignore_ascii_case("100-continue"))
    {
        reader.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    if request
        .header("transfer-encoding")
        .is_some_and(|value| value.eq_ignore_ascii_case("chunked"))
    {
        let body = chunks(reader, limit)?;
        return Ok((body.len() <= limit).then_some(body));
    }
    let length = request.header("content-length").unwrap_or("0");
    let length: usize = length
        .parse()
        .map_err(|_| Error::other(format!("content-length {length}")))?;
    if length > limit {
        return Ok(None);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some(body))
}

fn note(state: &State, request: &Request, status: Option<u16>) {
    let mut seen = lock(&state.seen);
    if seen.len() == SEEN_MAX {
        seen.pop_front();
    }
    seen.push_back(Seen {
        at: Instant::now(),
        method: request.method.clone(),
        path: request.target.clone(),
        headers: request.headers.clone(),
        wire_bytes: request.body.len(),
        status,
    });
}

/// Does to one request what the plan says. False when the connection is to end.
fn behave(
    stream: &mut TcpStream,
    request: &Request,
    state: &State,
    underway: Option<Underway<'_>>,
) -> io::Result<bool> {
    let is_bulk = underway.is_some();
    let fault = {
        let mut plans = lock(&state.plans);
        let plan = if is_bulk {
            &mut plans.bulks
        } else {
            &mut plans.others
        };
        plan.next()
    };
    if let Some(fault) = &fault {
        let name = format!("{fault:?}");
        let name = name.split(['(', '[']).next().unwrap_or_default().to_owned();
        state.count(|counters| *counters.faults.entry(name).or_default() += 1);
    }
    let latency = lock(&state.rules).latency;
    if is_bulk && !latency.is_zero() && !state.wait(request.opening, latency) {
        return Ok(false);
    }
    match &fault {
        Some(Fault::HangBefore) => {
            note(state, request, None);
            return hang(stream, state, request.opening);
        }
        Some(Fault::ResetBefore) => {
            note(state, request, None);
            return reset(stream);
        }
        Some(Fault::Status(status, retry_after)) => {
            note(state, request, Some(*status));
            drop(underway);
            return refuse(*status, *retry_after).send(stream, request);
        }
        Some(Fault::Late(duration)) if !state.wait(request.opening, *duration) => return Ok(false),
        _ => {}
    }
    let items = if let Some(Fault::Items(items)) = &fault {
        items.as_slice()
    } else {
        &[]
    };
    let reply = match answer(request, state, items) {
        Handled::Reply(reply) => reply,
        Handled::Silence => {
            note(state, request, None);
            return hang(stream, state, request.opening);
        }
        Handled::Ended => {
            note(state, request, None);
            return Ok(false);
        }
    };
    note(state, request, Some(reply.status));
    deliver(stream, request, state, underway, fault, reply)
}

fn deliver(
    stream: &mut TcpStream,
    request: &Request,
    state: &State,
    underway: Option<Underway<'_>>,
    fault: Option<Fault>,
    mut reply: Reply,
) -> io::Result<bool> {
    match fault {
        Some(Fault::HangAfter) => return hang(stream, state, request.opening),
        Some(Fault::ResetAfter) => return reset(stream),
        Some(Fault::Garbled) => {
            // Neither JSON nor text.
            reply.body.truncate(reply.body.len() / 2);
            reply.body.extend_from_slice(b"\0\xff\xfe<html>");
        }
        Some(Fault::Misshapen) => {
            let shape = lock(&state.plans).random.usize(..);
            reply.body = misshapen(&reply.body, shape);
        }
        Some(Fault::Count(more)) => reply.count(more),
        _ => {}
    }
    let (head, body) = reply.bytes(request, None);
    match fault {
        Some(Fault::Truncated(share)) => {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                clippy::cast_precision_loss,
                reason = "a share of a length, cut down"
            )]
            let length = (body.len() as f64 * share.clamp(0.0, 1.0)) as usize;
            let length = length.min(body.len().saturating_sub(1));
            stream.write_all(&head)?;
            stream.write_all(body.get(..length).unwrap_or_default())?;
            Ok(false)
        }
        Some(Fault::Slow(bytes_per_second)) => {
            let pause = Duration::from_secs(1) / bytes_per_second.max(1);
            for byte in head.iter().chain(&body) {
                stream.write_all(&[*byte])?;
                if !state.wait(request.opening, pause) {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        Some(Fault::Length(length)) => {
            let (head, body) = reply.bytes(request, Some(length));
            stream.write_all(&head)?;
            stream.write_all(&body)?;
            hang(stream, state, request.opening)
        }
        Some(Fault::Endless) => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json; charset=UTF-8\r\ntransfer-encoding: chunked\r\n\r\n")?;
            chunk(stream, b"{\"took\":1,\"errors\":false,\"items\":[")?;
            let more = b"{\"create\":{\"status\":201}},".repeat(64);
            // Ends when the other side has had enough.
            loop {
                chunk(stream, &more)?;
            }
        }
        _ => {
            drop(underway);
            stream.write_all(&head)?;
            stream.write_all(&body)?;
            Ok(!reply.ends)
        }
    }
}

fn chunk(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(format!("{:x}\r\n", bytes.len()).as_bytes())?;
    stream.write_all(bytes)?;
    stream.write_all(b"\r\n")
}

/// Until the fake closes, or the other side ends the connection.
fn hang(stream: &TcpStream, state: &State, opening: u64) -> io::Result<bool> {
    const LOOK: Duration = Duration::from_millis(20);
    stream.set_nonblocking(true)?;
    while state.wait(opening, LOOK) {
        match stream.peek(&mut [0]) {
            Ok(0) => break,
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => break,
            _ => {}
        }
    }
    Ok(false)
}

/// What is on its way is thrown away, and the other side is told so.
fn reset(stream: &TcpStream) -> io::Result<bool> {
    set_socket_linger(stream, Some(Duration::ZERO))?;
    Ok(false)
}

fn refuse(status: u16, retry_after: Option<Duration>) -> Reply {
    let (kind, reason) = words(status);
    let mut reply = if kind.is_empty() {
        too_large()
    } else {
        Reply::json(status, &Problem::new(status, kind, reason).answer())
    };
    if let Some(after) = retry_after {
        reply.headers.push(("retry-after", after.as_secs().to_string()));
    }
    reply
}
