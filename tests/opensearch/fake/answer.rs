//! Which request is what, and what is said to it.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::TcpStream;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::bufread::{GzDecoder, ZlibDecoder};
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::faults::{ItemFault, drawn};
use super::filter::filtered;
use super::problem::Problem;
use super::search::search;
use super::store::{Item, Store};
use super::{Poison, Rules, State, bulk, lock};

const BULK_PARAMETERS: &[&str] = &[
    "refresh",
    "timeout",
    "routing",
    "pipeline",
    "require_alias",
    "wait_for_active_shards",
    "batch_size",
    "_source",
    "type",
];
const COMMON_PARAMETERS: &[&str] = &["filter_path", "pretty", "human", "error_trace", "format"];

pub(super) struct Request {
    pub(super) method: String,
    /// Path and query as they came.
    pub(super) target: String,
    parts: Vec<String>,
    query: BTreeMap<String, String>,
    pub(super) headers: Vec<(String, String)>,
    /// As it came.
    pub(super) body: Vec<u8>,
    /// Of the fake, in which it came.
    pub(super) opening: u64,
}

impl Request {
    pub(super) fn new(method: &str, target: &str, headers: Vec<(String, String)>) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            parts: path
                .split('/')
                .filter(|part| !part.is_empty())
                .map(decoded)
                .collect(),
            query: pairs
                .map(|(name, value)| (decoded(name), decoded(value)))
                .collect(),
            headers,
            body: Vec::new(),
            opening: 0,
        }
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(super) fn is_bulk(&self) -> bool {
        self.parts.last().is_some_and(|part| part == "_bulk") && self.parts.len() <= 2
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.query.get(name)?.parse().ok()
    }
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        let hex = tail
            .get(..2)
            .and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match (byte, hex) {
            (b'%', Some(value)) => {
                bytes.push(value);
                rest = tail.get(2..).unwrap_or_default();
            }
            (b'+', _) => {
                bytes.push(b' ');
                rest = tail;
            }
            (byte, _) => {
                bytes.push(*byte);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

pub(super) enum Handled {
    Reply(Reply),
    /// The connection ends without an answer.
    Ended,
    /// No answer ever comes.
    Silence,
}

#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
    /// The connection with it.
    pub(super) ends: bool,
}

/// As a body above the limit is answered: without a word.
pub(super) fn too_large() -> Reply {
    Reply {
        status: 413,
        headers: Vec::new(),
        body: Vec::new(),
        ends: true,
    }
}

impl Reply {
    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self {
            status,
            headers: vec![("content-type", "application/json; charset=UTF-8".to_owned())],
            body: body.to_string().into_bytes(),
            ends: false,
        }
    }

    fn plain(status: u16, text: &str) -> Self {
        let mut reply = Self::json(status, &Value::Null);
        reply.headers = vec![("content-type", "text/plain; charset=UTF-8".to_owned())];
        reply.body = text.as_bytes().to_vec();
        reply
    }

    /// Takes items away at the end of a bulk's answer, or repeats the last.
    pub(super) fn count(&mut self, more: i64) {
        let mut answer: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        if let Some(items) = answer["items"].as_array_mut() {
            let wanted = items
                .len()
                .saturating_add_signed(isize::try_from(more).unwrap_or(0));
            items.resize(
                wanted,
                items
                    .last()
                    .cloned()
                    .unwrap_or_else(|| json!({ "create": { "status": 201 } })),
            );
            self.body = answer.to_string().into_bytes();
        }
    }

    /// Head and body as they go out, the body packed if the request allows it.
    pub(super) fn bytes(&self, request: &Request, length: Option<u64>) -> (Vec<u8>, Vec<u8>) {
        let takes_gzip = request
            .header("accept-encoding")
            .is_some_and(|all| all.split([',', ';']).any(|one| one.trim() == "gzip"));
        let is_packed = takes_gzip && !self.body.is_empty();
        let mut body = self.body.clone();
        if is_packed {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            let packed = encoder.write_all(&body).and_then(|()| encoder.finish());
            body = packed.expect("bytes can be packed into memory");
        }
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, phrase(self.status));
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if is_packed {
            head.push_str("content-encoding: gzip\r\n");
        }
        if self.ends {
            head.push_str("connection: close\r\n");
        }
        let length = length.unwrap_or(body.len() as u64);
        head.push_str(&format!("content-length: {length}\r\n\r\n"));
        if request.method == "HEAD" {
            body.clear();
        }
        (head.into_bytes(), body)
    }

    pub(super) fn send(&self, stream: &mut TcpStream, request: &Request) -> io::Result<bool> {
        let (head, body) = self.bytes(request, None);
        stream.write_all(&head)?;
        stream.write_all(&body)?;
        Ok(!self.ends)
    }
}

fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        409 => "Conflict",
        413 => "Request Entity Too Large",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "As Told",
    }
}

/// JSON, but not what a bulk request is answered with: one of several shapes.
pub(super) fn misshapen(answer: &[u8], shape: usize) -> Vec<u8> {
    let shapes = [
        "null",
        "[]",
        "{}",
        "{\"acknowledged\":true}",
        "{\"took\":1,\"errors\":false,\"items\":{}}",
        "{\"took\":1,\"errors\":false,\"items\":[[]]}",
    ];
    match shapes.get(shape % (shapes.len() + 2)) {
        Some(shape) => shape.as_bytes().to_vec(),
        None => {
            // Statuses as text, or under another name.
            let text = String::from_utf8_lossy(answer);
            let changed = if shape.is_multiple_of(2) {
                text.replace("\"status\":", "\"status\":\"x\",\"s\":")
            } else {
                text.replace("\"status\"", "\"state\"")
            };
            changed.into_bytes()
        }
    }
}

/// What is said to a request; some items of a bulk go wrong by their share.
pub(super) fn answer(request: &Request, state: &State, faults: &[(f64, ItemFault)]) -> Handled {
    let rules = lock(&state.rules).clone();
    if let Some((limit, text)) = &rules.proxy
        && request.body.len() > *limit
    {
        let mut reply = Reply::plain(413, text);
        reply.headers = vec![("content-type", "application/json".to_owned())];
        return Handled::Reply(reply);
    }
    if let Some((user, password)) = &rules.login
        && request.header("authorization")
            != Some(&format!(
                "Basic {}",
                STANDARD.encode(format!("{user}:{password}"))
            ))
    {
        let mut reply = Reply::plain(401, "Unauthorized");
        reply.headers.push((
            "www-authenticate",
            "Basic realm=\"OpenSearch Security\"".to_owned(),
        ));
        return Handled::Reply(reply);
    }
    let body = match unpacked(request, rules.body_bytes_max) {
        Unpacked::Body(body) => body,
        Unpacked::TooLarge => return Handled::Reply(too_large()),
        Unpacked::Broken => return Handled::Ended,
    };
    let wanted = request.query.get("filter_path").map(String::as_str);
    let reply = |result: Result<(u16, Value), Problem>| match result {
        // Nothing is left out of what says that something is wrong.
        Err(problem) => Reply::json(problem.status, &problem.answer()),
        Ok((status, body)) => Reply::json(
            status,
            &match wanted {
                Some(wanted) => filtered(body, wanted),
                None => body,
            },
        ),
    };
    if !body.is_empty() && !is_json(request.header("content-type")) {
        let given = request.header("content-type").unwrap_or_default();
        return Handled::Reply(Reply::json(
            406,
            &json!({ "error": format!("Content-Type header [{given}] is not supported"), "status": 406 }),
        ));
    }
    if request.is_bulk() && ["POST", "PUT"].contains(&request.method.as_str()) {
        state.count(|counters| {
            let length = body.len() as u64;
            counters.body_bytes += length;
            counters.body_bytes_max = counters.body_bytes_max.max(length);
        });
        let result = apply(request, &body, state, faults, &rules);
        return match result {
            Ok(None) => Handled::Silence,
            Ok(Some(body)) => Handled::Reply(reply(Ok((200, body)))),
            Err(problem) => Handled::Reply(reply(Err(problem))),
        };
    }
    Handled::Reply(
        match route(request, &body, &mut lock(&state.store), &rules.version) {
            Routed::Result(result) => reply(result),
            Routed::Method(allowed) => {
                let error = format!(
                    "Incorrect HTTP method for uri [{}] and method [{}], allowed: [{allowed}]",
                    request.target, request.method
                );
                let mut reply = Reply::json(405, &json!({ "error": error, "status": 405 }));
                reply.headers.push(("allow", allowed.to_owned()));
                reply
            }
            Routed::Nowhere => Reply::json(
                400,
                &json!({ "error": format!("no handler found for uri [{}] and method [{}]", request.target, request.method) }),
            ),
        },
    )
}

fn is_json(given: Option<&str>) -> bool {
    let kind = given
        .and_then(|given| given.split(';').next())
        .map(str::trim)
        .unwrap_or_default();
    ["application/json", "application/x-ndjson"].contains(&kind.to_ascii_lowercase().as_str())
}

enum Unpacked {
    Body(Vec<u8>),
    TooLarge,
    Broken,
}

/// As the real one unpacks: a wrong checksum ends the connection, a missing end goes unnoticed, and so does what follows it.
fn unpacked(request: &Request, limit: usize) -> Unpacked {
    let limit = limit as u64 + 1;
    let mut body = Vec::new();
    let read = match request.header("content-encoding") {
        Some("gzip" | "x-gzip") => members(&request.body, limit, &mut body),
        Some("deflate") => ZlibDecoder::new(request.body.as_slice())
            .take(limit)
            .read_to_end(&mut body)
            .map(|_| ()),
        _ => return Unpacked::Body(request.body.clone()),
    };
    match read {
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Unpacked::Broken,
        _ if body.len() as u64 == limit => Unpacked::TooLarge,
        _ => Unpacked::Body(body),
    }
}

fn members(mut packed: &[u8], limit: u64, body: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let mut member = GzDecoder::new(packed);
        (&mut member).take(limit - body.len() as u64).read_to_end(body)?;
        packed = member.into_inner();
        if !packed.starts_with(b"\x1f\x8b") || body.len() as u64 == limit {
            return Ok(());
        }
    }
}

/// None when the answer never comes.
fn apply(
    request: &Request,
    body: &[u8],
    state: &State,
    faults: &[(f64, ItemFault)],
    rules: &Rules,
) -> Result<Option<Value>, Problem> {
    if body.is_empty() {
        return Err(Problem::new(400, "parse_exception", "request body is required"));
    }
    let is_known = |name: &&String| {
        BULK_PARAMETERS.contains(&name.as_str()) || COMMON_PARAMETERS.contains(&name.as_str())
    };
    if let Some(name) = request.query.keys().find(|name| !is_known(name)) {
        return Err(Problem::argument(format!(
            "request [{}] contains unrecognized parameter: [{name}]",
            request.target
        )));
    }
    if let Some(refresh) = request.query.get("refresh")
        && !["", "true", "false", "wait_for"].contains(&refresh.as_str())
    {
        return Err(Problem::argument(format!(
            "Unknown value for refresh: [{refresh}]."
        )));
    }
    let above = if request.parts.len() == 2 {
        request.parts.first().map(String::as_str)
    } else {
        None
    };
    let items = bulk::items(body, above)?;
    let mut store = lock(&state.store);
    let mut plans = lock(&state.plans);
    let (mut answers, mut has_errors, mut is_silent) = (Vec::with_capacity(items.len()), false, false);
    let mut statuses = BTreeMap::new();
    for item in &items {
        let fault = drawn(&mut plans.random, faults);
        let mut result = match &rules.poison {
            _ if rules.makes_ids && item.id.is_some() => Err(Problem::argument(
                "Document ID is not supported in create/index operation request",
            )),
            Some(poison) if is_poisoned(item, poison) => Err(Problem::mapping(format!(
                "failed to parse field [{}]",
                poison.marker
            ))
            .because("illegal_argument_exception", "poison")),
            _ if fault.is_some_and(|fault| !fault.is_applied) => Ok(Value::Null),
            _ => store.apply(item),
        };
        if let Some(fault) = fault {
            result = Err(Problem::new(fault.status, fault.kind, "as the plan says"));
        }
        let name = item.action.name();
        let answer = match result {
            Ok(answer) => answer,
            Err(problem) => {
                has_errors = true;
                is_silent |= problem == Problem::silence();
                json!({ "_index": item.index, "_id": item.id, "status": problem.status, "error": problem.error() })
            }
        };
        let status = answer["status"]
            .as_u64()
            .and_then(|status| u16::try_from(status).ok());
        *statuses.entry(status.unwrap_or_default()).or_insert(0) += 1;
        answers.push(json!({ name: answer }));
    }
    drop((store, plans));
    state.count(|counters| {
        counters.items += items.len() as u64;
        for (status, count) in statuses {
            *counters.items_by_status.entry(status).or_default() += count;
        }
    });
    Ok((!is_silent).then(|| json!({ "took": 1, "errors": has_errors, "items": answers })))
}

fn is_poisoned(item: &Item, poison: &Poison) -> bool {
    let marker = poison.marker.as_bytes();
    let is_marked = !marker.is_empty() && item.source.windows(marker.len()).any(|window| window == marker);
    is_marked
        && poison.harmless.as_ref().is_none_or(|harmless| {
            let source: Value = serde_json::from_slice(&item.source).unwrap_or_default();
            source
                .as_object()
                .is_none_or(|source| source.keys().any(|name| !harmless.contains(name)))
        })
}

enum Routed {
    Result(Result<(u16, Value), Problem>),
    /// There are only these.
    Method(&'static str),
    Nowhere,
}

fn route(request: &Request, body: &[u8], store: &mut Store, version: &str) -> Routed {
    let parts: Vec<&str> = request.parts.iter().map(String::as_str).collect();
    let acknowledged = |result: Result<(), Problem>| result.map(|()| (200, json!({ "acknowledged": true })));
    let missing = |index: &str| {
        Problem::new(
            404,
            "index_not_found_exception",
            format!("no such index [{index}]"),
        )
    };
    Routed::Result(match (request.method.as_str(), parts.as_slice()) {
        ("GET" | "HEAD", []) => Ok((200, about(version))),
        (_, []) => return Routed::Method("GET,DELETE,HEAD"),
        (_, ["_bulk"] | [_, "_bulk"]) => return Routed::Method("POST,PUT"),
        ("GET", ["_cluster", "health"]) => Ok((
            200,
            json!({ "cluster_name": "fake", "status": "green", "timed_out": false, "number_of_nodes": 1 }),
        )),
        ("PUT" | "POST", ["_index_template", name]) => {
            let creates = request.query.get("create").is_some_and(|value| value != "false");
            acknowledged(store.templates.put(name, body, creates))
        }
        ("GET" | "HEAD", ["_index_template", name]) => store.templates.get(name),
        ("GET", ["_index_template"]) => store.templates.get(""),
        ("DELETE", ["_index_template", name]) => acknowledged(store.templates.delete(name)),
        ("PUT", ["_plugins", "_ism", "policies", id]) => {
            let expected = request.number("if_seq_no").zip(request.number("if_primary_term"));
            store.policies.put(id, body, expected)
        }
        ("GET" | "HEAD", ["_plugins", "_ism", "policies", id]) => {
            store.policies.get(id).map(|policy| (200, policy))
        }
        ("GET", ["_plugins", "_ism", "policies"]) => Ok((200, store.policies.all())),
        ("DELETE", ["_plugins", "_ism", "policies", id]) => acknowledged(store.policies.delete(id)),
        ("GET" | "POST", ["_search"]) => search(store, "", body).map(|answer| (200, answer)),
        ("GET" | "POST", [list, "_search"]) => search(store, list, body).map(|answer| (200, answer)),
        ("GET" | "POST", [list, "_count"]) => search(store, list, body).map(|answer| {
            (
                200,
                json!({ "count": answer["hits"]["total"]["value"], "_shards": answer["_shards"] }),
            )
        }),
        ("GET" | "POST", ["_refresh"] | [_, "_refresh"]) => Ok((
            200,
            json!({ "_shards": { "total": 1, "successful": 1, "failed": 0 } }),
        )),
        ("POST", [stream, "_rollover"]) if store.is_stream(stream) => {
            let name = store.roll(stream);
            Ok((
                200,
                json!({ "acknowledged": true, "rolled_over": true, "new_index": name }),
            ))
        }
        (_, [index]) if index.starts_with('_') => Err(Problem::new(
            400,
            "invalid_index_name_exception",
            format!("Invalid index name [{index}], must not start with '_'."),
        )),
        ("PUT", [index]) => store.create(index).map(|()| {
            (
                200,
                json!({ "acknowledged": true, "shards_acknowledged": true, "index": index }),
            )
        }),
        ("HEAD" | "GET", [index]) if store.meant(index).is_empty() => Err(missing(index)),
        ("HEAD", [_]) => Ok((200, Value::Null)),
        ("DELETE", [index]) => match store.indices.remove(*index) {
            Some(_) => acknowledged(Ok(())),
            None => Err(missing(index)),
        },
        _ => return Routed::Nowhere,
    })
}

fn about(version: &str) -> Value {
    json!({
        "name": "fake", "cluster_name": "fake", "cluster_uuid": "bm90LWEtc2VjcmV0LS0tLQ",
        "version": { "distribution": "opensearch", "number": version, "minimum_wire_compatibility_version": "2.19.0" },
        "tagline": "The OpenSearch Project: https://opensearch.org/",
    })
}
