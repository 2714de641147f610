//! A Slack workspace with one incoming webhook and one app: it enforces the published limits, answers with Slack's words,
//! remembers what it took, and misbehaves on command.
//!
//! Speaks just enough HTTP/1.1 for that. Its verdicts are held against `slack_sdk` by `check_slack.py`.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio::time::Instant;

const PATH: &str = "/services/T0000000/B0000000/not-a-secret";
/// The app's token, and the one channel that it may write to.
pub(crate) const TOKEN: &str = "xoxb-not-a-secret";
pub(crate) const CHANNEL: &str = "#ops";
const CHANNEL_ID: &str = "C0000042";
/// Longest text of a message by a method.
const MESSAGE_MAX: usize = 40_000;
/// Edits a minute, at least (tier 3).
const EDITS: usize = 50;
const HEAD_BYTES_MAX: usize = 64 * 1024;
const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Messages at once before one a second is all there is.
const BURST: f64 = 3.0;
/// What timers and the network may add to a sender that counts right.
const TOLERANCE: f64 = 1.05;

const BLOCKS_MAX: usize = 50;
const ATTACHMENTS_MAX: usize = 100;
const HEADER_MAX: usize = 150;
const TEXT_MAX: usize = 3_000;
const FIELDS_MAX: usize = 10;
const ALT_MAX: usize = 2_000;
const FIELD_MAX: usize = 2_000;
const ELEMENTS_MAX: usize = 10;
const BLOCK_ID_MAX: usize = 255;
/// Over all blocks; not published, but met by others.
const TOTAL_MAX: usize = 13_200;

/// How the webhook treats what comes next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Manner {
    /// By the rules.
    Well,
    /// Reads the message, posts it, and never answers.
    HangAfterPosting,
    /// Reads the message and does nothing, for ever.
    Hang,
    /// Closes the connection without an answer; nothing is posted.
    Drop,
    /// Any status with any word, for example `(500, "rollback_error")` or `(410, "channel_is_archived")`.
    Answer(u16, &'static str),
    /// 429 until this moment, with what is left of it as `Retry-After`.
    ThrottleUntil(Instant),
}

/// A message as it stands in the channel.
#[derive(Clone, Debug)]
pub(crate) struct Posted {
    pub(crate) at: Instant,
    pub(crate) payload: Value,
}

impl Posted {
    /// All that a reader sees, line by line: titles, facts, alerts, links.
    #[must_use]
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let blocks = list(&self.payload, "blocks")
            .iter()
            .chain(attached(&self.payload));
        for block in blocks {
            let text = block.get("text").into_iter();
            let parts = list(block, "fields").iter().chain(list(block, "elements"));
            for part in text.chain(parts) {
                lines.extend(string(part, "text").lines().map(str::to_owned));
            }
        }
        lines
    }

    /// What a phone shows of it.
    #[must_use]
    pub(crate) fn text(&self) -> &str {
        string(&self.payload, "text")
    }
}

/// One request that was not posted.
#[derive(Clone, Debug)]
pub(crate) struct Refused {
    pub(crate) at: Instant,
    pub(crate) status: u16,
    pub(crate) word: String,
    pub(crate) payload: Value,
}

pub(crate) struct Slack {
    url: String,
    state: Arc<Mutex<State>>,
    server: AbortHandle,
}

/// A message by the app, as it stands.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) ts: String,
    pub(crate) thread_ts: Option<String>,
    pub(crate) payload: Value,
    pub(crate) edits: usize,
}

/// A file on its way into the workspace: asked for, put, complete, in that order.
#[derive(Clone, Debug)]
pub(crate) struct Upload {
    pub(crate) id: String,
    length: usize,
    pub(crate) bytes: Vec<u8>,
    pub(crate) is_complete: bool,
}

struct State {
    uploads: Vec<Upload>,
    /// Whether the app's token has the scope for files.
    has_files: bool,
    kept: Vec<Kept>,
    edits: Vec<Instant>,
    manner: Manner,
    posted: Vec<Posted>,
    refused: Vec<Refused>,
    tokens: f64,
    counted: Instant,
}

impl Slack {
    /// Opens the webhook on a free port of the loopback.
    ///
    /// # Errors
    /// There is no port.
    pub(crate) async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}{PATH}", listener.local_addr()?);
        let state = Arc::new(Mutex::new(State {
            uploads: Vec::new(),
            has_files: true,
            kept: Vec::new(),
            edits: Vec::new(),
            manner: Manner::Well,
            posted: Vec::new(),
            refused: Vec::new(),
            tokens: BURST,
            counted: Instant::now(),
        }));
        let shared = Arc::clone(&state);
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&shared);
                tokio::spawn(async move { serve(stream, &state).await });
            }
        });
        let server = server.abort_handle();
        Ok(Self { url, state, server })
    }

    /// The webhook's URL.
    #[must_use]
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The app's method for posting; the others are beside it.
    #[must_use]
    pub(crate) fn method(&self) -> String {
        self.url.replace(PATH, "/api/chat.postMessage")
    }

    /// The app's messages as they stand, oldest first.
    #[must_use]
    pub(crate) fn kept(&self) -> Vec<Kept> {
        lock(&self.state).kept.clone()
    }

    /// The files that were put.
    #[must_use]
    pub(crate) fn uploads(&self) -> Vec<Upload> {
        lock(&self.state).uploads.clone()
    }

    /// Takes the scope for files from the app, or gives it back.
    pub(crate) fn allow_files(&self, is_allowed: bool) {
        lock(&self.state).has_files = is_allowed;
    }

    /// Somebody deletes the app's messages.
    pub(crate) fn delete_all(&self) {
        lock(&self.state).kept.clear();
    }

    pub(crate) fn behave(&self, manner: Manner) {
        lock(&self.state).manner = manner;
    }

    /// Oldest first.
    #[must_use]
    pub(crate) fn posted(&self) -> Vec<Posted> {
        lock(&self.state).posted.clone()
    }

    #[must_use]
    pub(crate) fn refused(&self) -> Vec<Refused> {
        lock(&self.state).refused.clone()
    }
}

impl Drop for Slack {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What Slack says to a payload: nothing against it, or a status and a word.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn judge(body: &[u8]) -> Result<Value, (u16, &'static str)> {
    let payload: Value = serde_json::from_slice(body).map_err(|_| (400, "invalid_payload"))?;
    if !payload.is_object() {
        return Err((400, "invalid_payload"));
    }
    let (blocks, attachments) = (list(&payload, "blocks"), list(&payload, "attachments"));
    if string(&payload, "text").is_empty() && blocks.is_empty() && attachments.is_empty() {
        return Err((400, "no_text"));
    }
    if attachments.len() > ATTACHMENTS_MAX {
        return Err((400, "too_many_attachments"));
    }
    let within =
        blocks.len() <= BLOCKS_MAX && attachments.iter().all(|a| list(a, "blocks").len() <= BLOCKS_MAX);
    let all = || blocks.iter().chain(attached(&payload));
    if !within || !all().all(is_block) {
        return Err((400, "invalid_blocks"));
    }
    let total: usize = all().map(|block| block.to_string().chars().count()).sum();
    if total > TOTAL_MAX {
        return Err((400, "msg_blocks_too_long"));
    }
    Ok(payload)
}

fn attached(payload: &Value) -> impl Iterator<Item = &Value> {
    list(payload, "attachments")
        .iter()
        .flat_map(|attachment| list(attachment, "blocks"))
}

fn is_block(block: &Value) -> bool {
    let text = block.get("text");
    let id_fits = string(block, "block_id").chars().count() <= BLOCK_ID_MAX;
    id_fits
        && match string(block, "type") {
            "divider" => true,
            "header" => {
                text.is_some_and(|text| string(text, "type") == "plain_text" && is_text(text, HEADER_MAX))
            }
            "image" => {
                let shows = |value: Option<&Value>| value.is_some_and(|file| !string(file, "id").is_empty());
                let alt = string(block, "alt_text").chars().count();
                shows(block.get("slack_file")) && (1..=ALT_MAX).contains(&alt)
            }
            "section" => {
                let fields = list(block, "fields");
                let has_one = text.is_some() || !fields.is_empty();
                has_one
                    && text.is_none_or(|text| is_text(text, TEXT_MAX))
                    && fields.len() <= FIELDS_MAX
                    && fields.iter().all(|field| is_text(field, FIELD_MAX))
            }
            "context" => {
                let elements = list(block, "elements");
                (1..=ELEMENTS_MAX).contains(&elements.len())
                    && elements.iter().all(|element| is_text(element, TEXT_MAX))
            }
            _ => false,
        }
}

fn is_text(text: &Value, most: usize) -> bool {
    let known = matches!(string(text, "type"), "plain_text" | "mrkdwn");
    known && (1..=most).contains(&string(text, "text").chars().count())
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value
        .get(name)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn string<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// Serves one connection until it ends, breaks or has to be dropped.
async fn serve(mut stream: TcpStream, state: &Mutex<State>) {
    while let Some((head, body)) = read_whole(&mut stream).await {
        let line = head.lines().next().unwrap_or_default();
        if let Some(id) = line
            .strip_prefix("POST /upload/")
            .and_then(|rest| rest.split(' ').next())
        {
            let status = put(id, &head, body, state);
            let answer = format!("HTTP/1.1 {status} Slack\r\nContent-Length: 0\r\n\r\n");
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
            continue;
        }
        if let Some(method) = line
            .strip_prefix("POST /api/")
            .and_then(|rest| rest.split(' ').next())
        {
            if lock(state).manner == Manner::Drop {
                return;
            }
            let said = call(method, &head, &body, state).to_string();
            let limited = if said.contains("ratelimited") {
                "429 Slack\r\nRetry-After: 1"
            } else {
                "200 Slack"
            };
            let scopes = if lock(state).has_files {
                "chat:write,files:write"
            } else {
                "chat:write"
            };
            let answer = format!(
                "HTTP/1.1 {limited}\r\nContent-Type: application/json; charset=utf-8\r\nX-OAuth-Scopes: {scopes}\r\n\
                 Content-Length: {}\r\n\r\n{said}",
                said.len()
            );
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
            continue;
        }
        let Some((status, word, retry_after)) = answer(line, &body, state).await else {
            return;
        };
        let retry_after = retry_after.map_or(String::new(), |left| format!("Retry-After: {left}\r\n"));
        let answer = format!(
            "HTTP/1.1 {status} Slack\r\nContent-Type: text/html\r\n{retry_after}Content-Length: {}\r\n\r\n{word}",
            word.len()
        );
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// One of the app's methods: refusals come with status 200, but for too many.
fn call(method: &str, head: &str, body: &[u8], state: &Mutex<State>) -> Value {
    match do_call(method, head, body, state) {
        Ok(_) if method == "auth.test" => json!({ "ok": true, "user": "skopos", "team": "The House" }),
        Ok(id) if method == "files.getUploadURLExternal" => {
            let host = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("host").then_some(value.trim())
            });
            let url = format!("http://{}/upload/{id}", host.unwrap_or_default());
            json!({ "ok": true, "upload_url": url, "file_id": id })
        }
        Ok(ts) => json!({ "ok": true, "channel": CHANNEL_ID, "ts": ts }),
        Err(word) => {
            refuse(body, state, (200, word), None);
            json!({ "ok": false, "error": word })
        }
    }
}

fn do_call(method: &str, head: &str, body: &[u8], state: &Mutex<State>) -> Result<String, &'static str> {
    let authorization = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("authorization").then_some(value.trim())
    });
    match authorization {
        None => return Err("not_authed"),
        Some(token) if token != format!("Bearer {TOKEN}") => return Err("invalid_auth"),
        Some(_) => {}
    }
    if method == "auth.test" {
        return Ok(String::new());
    }
    if method.starts_with("files.") {
        return file(method, body, state);
    }
    let payload = judge(body).map_err(|(_, word)| match word {
        "invalid_payload" => "invalid_json",
        word => word,
    })?;
    if string(&payload, "text").chars().count() > MESSAGE_MAX {
        return Err("msg_too_long");
    }
    // Only what is there can be shown.
    let shown = list(&payload, "blocks")
        .iter()
        .filter_map(|block| block.get("slack_file"));
    let mut shown = shown.map(|file| string(file, "id"));
    let is_there = |id: &str| {
        lock(state)
            .uploads
            .iter()
            .any(|upload| upload.id == id && upload.is_complete)
    };
    if !shown.all(is_there) {
        return Err("invalid_blocks");
    }
    let channel = string(&payload, "channel");
    match method {
        "chat.postMessage" => {
            if ![CHANNEL, CHANNEL_ID].contains(&channel) {
                return Err("channel_not_found");
            }
            if !take_token(state) {
                return Err("ratelimited");
            }
            let thread_ts = payload
                .get("thread_ts")
                .and_then(Value::as_str)
                .map(str::to_owned);
            let mut state = lock(state);
            let is_known = |ts: &String| state.kept.iter().any(|kept| kept.ts == *ts);
            if !thread_ts.as_ref().is_none_or(is_known) {
                return Err("thread_not_found");
            }
            let ts = format!("1795661461.{:06}", state.kept.len() + state.refused.len());
            state.kept.push(Kept {
                ts: ts.clone(),
                thread_ts,
                payload,
                edits: 0,
            });
            Ok(ts)
        }
        "chat.update" => {
            let mut state = lock(state);
            let now = Instant::now();
            state
                .edits
                .retain(|at| now.duration_since(*at) < Duration::from_secs(60));
            if state.edits.len() >= EDITS {
                return Err("ratelimited");
            }
            // Names of channels are not enough here.
            if channel != CHANNEL_ID {
                return Err("channel_not_found");
            }
            let ts = string(&payload, "ts").to_owned();
            let Some(kept) = state.kept.iter_mut().find(|kept| kept.ts == ts) else {
                return Err("message_not_found");
            };
            kept.payload = payload;
            kept.edits += 1;
            state.edits.push(now);
            Ok(ts)
        }
        _ => Err("unknown_method"),
    }
}

/// The methods for files; they take forms. Returns the id of a new one.
fn file(method: &str, body: &[u8], state: &Mutex<State>) -> Result<String, &'static str> {
    let mut state = lock(state);
    if !state.has_files {
        return Err("missing_scope");
    }
    let body = std::str::from_utf8(body).map_err(|_| "invalid_form_data")?;
    let field = |name: &str| {
        let pairs = body.split('&').filter_map(|pair| pair.split_once('='));
        let mut found = pairs.filter(|(known, _)| *known == name);
        found.next().map(|(_, value)| value)
    };
    match method {
        "files.getUploadURLExternal" => {
            let length = field("length").and_then(|length| length.parse().ok());
            let length = length.filter(|length| *length > 0).ok_or("invalid_arguments")?;
            field("filename")
                .filter(|name| !name.is_empty())
                .ok_or("invalid_arguments")?;
            let id = format!("F{:07}", state.uploads.len());
            state.uploads.push(Upload {
                id: id.clone(),
                length,
                bytes: Vec::new(),
                is_complete: false,
            });
            Ok(id)
        }
        "files.completeUploadExternal" => {
            let files = field("files").ok_or("invalid_arguments")?.replace("%22", "\"");
            let put = state.uploads.iter_mut();
            let mut put = put.filter(|upload| files.contains(&format!("\"id\":\"{}\"", upload.id)));
            let upload = put.next().ok_or("file_not_found")?;
            if upload.bytes.is_empty() {
                return Err("file_not_found");
            }
            upload.is_complete = true;
            Ok(upload.id.clone())
        }
        _ => Err("unknown_method"),
    }
}

/// Takes the bytes of a file that was asked for; as many as were said, and no token of ours with them.
fn put(id: &str, head: &str, body: Vec<u8>, state: &Mutex<State>) -> u16 {
    let has_token = head.to_ascii_lowercase().contains("authorization:");
    let mut state = lock(state);
    let upload = state.uploads.iter_mut().find(|upload| upload.id == id);
    match upload {
        Some(upload) if upload.length == body.len() && !has_token => {
            upload.bytes = body;
            200
        }
        _ => 400,
    }
}

/// Status, word and `Retry-After`; none to drop the connection.
async fn answer(line: &str, body: &[u8], state: &Mutex<State>) -> Option<(u16, &'static str, Option<u64>)> {
    let manner = lock(state).manner;
    match manner {
        Manner::Drop => return None,
        Manner::Hang => std::future::pending().await,
        Manner::HangAfterPosting => {
            post(line, body, state);
            std::future::pending().await
        }
        Manner::Answer(status, word) => return Some(refuse(body, state, (status, word), None)),
        Manner::ThrottleUntil(end) if Instant::now() < end => {
            let left = (end - Instant::now()).as_secs_f64().ceil() as u64;
            return Some(refuse(body, state, (429, "rate_limited"), Some(left)));
        }
        Manner::ThrottleUntil(_) | Manner::Well => {}
    }
    Some(post(line, body, state))
}

fn post(line: &str, body: &[u8], state: &Mutex<State>) -> (u16, &'static str, Option<u64>) {
    if line != format!("POST {PATH} HTTP/1.1") {
        return refuse(body, state, (404, "no_service"), None);
    }
    if !take_token(state) {
        return refuse(body, state, (429, "rate_limited"), Some(1));
    }
    match judge(body) {
        Ok(payload) => {
            let at = Instant::now();
            lock(state).posted.push(Posted { at, payload });
            (200, "ok", None)
        }
        Err(verdict) => refuse(body, state, verdict, None),
    }
}

fn refuse(
    body: &[u8],
    state: &Mutex<State>,
    (status, word): (u16, &'static str),
    retry_after: Option<u64>,
) -> (u16, &'static str, Option<u64>) {
    let payload = serde_json::from_slice(body).unwrap_or_default();
    lock(state).refused.push(Refused {
        at: Instant::now(),
        status,
        word: word.to_owned(),
        payload,
    });
    (status, word, retry_after)
}

fn take_token(state: &Mutex<State>) -> bool {
    let mut state = lock(state);
    let now = Instant::now();
    let passed = now.duration_since(state.counted).as_secs_f64();
    state.counted = now;
    state.tokens = (state.tokens + passed * TOLERANCE).min(BURST);
    let has = state.tokens >= 1.0 - (TOLERANCE - 1.0);
    if has {
        state.tokens = (state.tokens - 1.0).max(0.0);
    }
    has
}

/// One request: its first line and its body. None at the end, or when it is not HTTP.
pub(crate) async fn read(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let (head, body) = read_whole(stream).await?;
    Some((head.lines().next()?.to_owned(), body))
}

/// The same with all of its head.
async fn read_whole(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let head_bytes = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        let space = bytes.len() < HEAD_BYTES_MAX;
        if !space || more(stream, &mut bytes).await? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(bytes.get(..head_bytes)?).into_owned();
    let length = head.lines().find_map(|header| {
        let (name, value) = header.split_once(':')?;
        let named = name.eq_ignore_ascii_case("content-length");
        named.then(|| value.trim().parse::<usize>().ok()).flatten()
    });
    let length = length.unwrap_or(0);
    if length > BODY_BYTES_MAX {
        return None;
    }
    while bytes.len() < head_bytes + length {
        if more(stream, &mut bytes).await? == 0 {
            return None;
        }
    }
    let body = bytes.get(head_bytes..head_bytes + length)?.to_vec();
    Some((head, body))
}

async fn more(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<usize> {
    const PATIENCE: Duration = Duration::from_secs(60);
    let reading = stream.read_buf(bytes);
    tokio::time::timeout(PATIENCE, reading).await.ok()?.ok()
}
