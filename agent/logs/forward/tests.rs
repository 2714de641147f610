//! The protocol by its bytes, and the input in one process with the room around it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use model::view::LogQuery;
use model::{LogRecord, Timestamp};
use prometheus::Registry;
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use telemetry::clock::RuntimeClock;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::handshake::digest;
use super::pack::{self, Scan};
use super::*;
use crate::spool::Record;
use crate::{Logs, Outside};

/// 2026-11-27T12:00:00Z, as the extension with 123456789 nanoseconds.
const EVENT_TIME: &[u8] = b"\xd7\x00\x6a\x18\x2f\xc0\x07\x5b\xcd\x15";
const EVENT_NANOS: i64 = 0x6a18_2fc0 * 1_000_000_000 + 123_456_789;

const MESSAGE: &[u8] = b"\x93\xa3app\xce\x6a\x18\x2f\xc0\x81\xa3log\xa3one";
const MESSAGE_CHUNK: &[u8] =
    b"\x94\xa3app\xd7\x00\x6a\x18\x2f\xc0\x07\x5b\xcd\x15\x81\xa3log\xa3one\x81\xa5chunk\xa2c1";
const FORWARD: &[u8] =
    b"\x93\xa3app\x92\x92\xce\x6a\x18\x2f\xc0\x81\xa3log\xa3one\x92\xce\x6a\x18\x2f\xc1\x81\xa3log\xa3two\x82\xa5chunk\xa2c2\xa4size\x02";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packing = GzEncoder::new(Vec::new(), Compression::fast());
    packing.write_all(bytes).unwrap();
    packing.finish().unwrap()
}

fn bin(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    rmp::encode::write_bin(&mut out, bytes).unwrap();
    out
}

/// An entry of a record with one text.
fn entry_of(text: &str) -> Vec<u8> {
    let mut out = vec![0x92];
    out.extend_from_slice(EVENT_TIME);
    out.push(0x81);
    rmp::encode::write_str(&mut out, "log").unwrap();
    rmp::encode::write_str(&mut out, text).unwrap();
    out
}

/// A PackedForward of these entries, which may be packed, to be acknowledged as `chunk`.
fn packed(entries: &[u8], is_gzip: bool, chunk: &str) -> Vec<u8> {
    let mut out = b"\x93\xa3app".to_vec();
    out.extend(bin(entries));
    rmp::encode::write_map_len(&mut out, if is_gzip { 2 } else { 1 }).unwrap();
    rmp::encode::write_str(&mut out, "chunk").unwrap();
    rmp::encode::write_str(&mut out, chunk).unwrap();
    if is_gzip {
        rmp::encode::write_str(&mut out, "compressed").unwrap();
        rmp::encode::write_str(&mut out, "gzip").unwrap();
    }
    out
}

const LENGTHS: Lengths = Lengths {
    message_bytes_max: 1 << 20,
    unpacked_bytes_max: 4 << 20,
};

/// Times and texts of a message, as they go into the spool.
fn read_all(bytes: &[u8]) -> Result<Vec<(i64, String)>, Refusal> {
    let Some(message) = message::read(bytes)? else {
        return Ok(Vec::new());
    };
    let mut entries = Entries::new(message.body, LENGTHS, 7);
    let mut maker = Maker::new(&message.tag);
    let mut all = Vec::new();
    while let Some((nanos, record)) = entries.next()? {
        let record = maker.make(nanos, record)?;
        all.push((record.nanos, String::from_utf8_lossy(&record.text).into_owned()));
    }
    Ok(all)
}

#[test]
fn every_mode_has_its_records() {
    let second = 0x6a18_2fc0 * 1_000_000_000;
    assert_eq!(read_all(MESSAGE).unwrap(), [(second, "one".to_owned())]);
    assert_eq!(
        read_all(MESSAGE_CHUNK).unwrap(),
        [(EVENT_NANOS, "one".to_owned())]
    );
    let two = [
        (second, "one".to_owned()),
        (second + 1_000_000_000, "two".to_owned()),
    ];
    assert_eq!(read_all(FORWARD).unwrap(), two);
    let entries = FORWARD.get(6..FORWARD.len() - 16).unwrap();
    assert_eq!(read_all(&packed(entries, false, "c")).unwrap(), two);
    assert_eq!(read_all(&packed(&gzip(entries), true, "c")).unwrap(), two);
    // Fluentd puts one member behind the other when a chunk grows.
    let mut members = gzip(entries);
    members.extend(gzip(entries));
    assert_eq!(read_all(&packed(&members, true, "c")).unwrap().len(), 4);
    // Text in place of bytes, as senders of version 0 have it, and no options.
    let mut old = b"\x92\xa3app\xda\x00".to_vec();
    old.push(u8::try_from(entries.len()).unwrap());
    old.extend_from_slice(entries);
    assert_eq!(read_all(&old).unwrap(), two);
    assert_eq!(read_all(b"\xc0").unwrap(), [], "a heartbeat");
    assert_eq!(read_all(b"\x92\xa3app\x90").unwrap(), [], "nothing to say");
}

#[test]
fn a_time_may_be_a_number_an_extension_or_none_and_may_bring_facts_along() {
    let time = |bytes: &[u8]| {
        let mut message = b"\x93\xa1t".to_vec();
        message.extend_from_slice(bytes);
        message.extend_from_slice(b"\x80");
        read_all(&message).map(|all| all[0].0)
    };
    assert_eq!(time(b"\x01").unwrap(), 1_000_000_000);
    assert_eq!(time(b"\xff").unwrap(), -1_000_000_000);
    assert_eq!(time(b"\x00").unwrap(), 7, "without a time it is now");
    assert_eq!(
        time(b"\xc7\x08\x00\x00\x00\x00\x01\x00\x00\x00\x02").unwrap(),
        1_000_000_002
    );
    for wrong in [
        &b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff"[..],
        b"\xd7\x01\x00\x00\x00\x01\x00\x00\x00\x02",
        b"\xd7\x00\x00\x00\x00\x01\xff\xff\xff\xff",
        b"\xd6\x00\x00\x00\x00\x01",
        b"\xc3",
    ] {
        assert!(matches!(time(wrong), Err(Refusal::Malformed(_))), "{wrong:?}");
    }
    let with_facts = b"\x92\xa1t\x91\x92\x92\x05\x81\xa1a\x01\x80";
    assert_eq!(read_all(with_facts).unwrap()[0].0, 5_000_000_000);
}

/// A value as MessagePack.
fn msgpack(out: &mut Vec<u8>, value: &Json) {
    match value {
        Json::Null => out.push(0xc0),
        Json::Bool(is) => out.push(0xc2 + u8::from(*is)),
        Json::Number(number) => match number.as_i64() {
            Some(number) => drop(rmp::encode::write_sint(out, number).unwrap()),
            None => rmp::encode::write_f64(out, number.as_f64().unwrap()).unwrap(),
        },
        Json::String(text) => rmp::encode::write_str(out, text).unwrap(),
        Json::Array(values) => {
            rmp::encode::write_array_len(out, u32::try_from(values.len()).unwrap()).unwrap();
            values.iter().for_each(|value| msgpack(out, value));
        }
        Json::Object(fields) => {
            rmp::encode::write_map_len(out, u32::try_from(fields.len()).unwrap()).unwrap();
            for (name, value) in fields {
                rmp::encode::write_str(out, name).unwrap();
                msgpack(out, value);
            }
        }
    }
}

fn made(record: &Json) -> Record {
    let mut bytes = Vec::new();
    msgpack(&mut bytes, record);
    Maker::new("kube.app").make(1, &bytes).unwrap()
}

#[test]
fn a_record_of_kubernetes_is_its_containers_and_its_other_fields_are_fields() {
    let record = made(&json!({
        "log": "GET / 200\n", "stream": "stderr",
        "kubernetes": {
            "namespace_name": "shop", "pod_name": "cart-1", "pod_id": "0b-1", "container_name": "app", "host": "node-9",
        },
    }));
    assert_eq!(record.text, b"GET / 200");
    assert_eq!(record.stream, 2);
    assert_eq!(&*record.facts.source, "shop/cart-1/app");
    let more = serde_json::to_value(&record.facts.more).unwrap();
    assert_eq!(
        more,
        json!({"namespace": "shop", "pod": "cart-1", "pod_uid": "0b-1", "container": "app", "host": "node-9", "tag": "kube.app"})
    );
    let record = made(&json!({
        "msg": "hello", "took": 1.5, "deep": {"a": [1, null, true]}, "stream": "other",
        "kubernetes": {"pod_name": "cart-1", "labels": {"a.b/c": "d"}},
    }));
    assert_eq!(&*record.facts.source, "/cart-1/");
    let text: Json = serde_json::from_slice(&record.text).unwrap();
    assert_eq!(
        text,
        json!({"msg": "hello", "took": 1.5, "deep": {"a": [1, null, true]}, "stream": "other",
            "kubernetes": {"labels": {"a.b/c": "d"}}})
    );
    assert!(
        record.text.starts_with(b"{\"msg\":\"hello\""),
        "its text stands first"
    );
    let record = made(&json!({"level": "error", "code": 7}));
    assert_eq!(&*record.facts.source, "kube.app");
    assert_eq!(record.text, br#"{"code":7,"level":"error"}"#);
}

#[test]
fn values_that_json_has_not_are_still_json() {
    let mut bytes = b"\x84\x01\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00\xa1b\xc4\x03a\xff\x01\xa1e\xd4\x05\x09\x91\x02\xd1\xff\x00".as_slice();
    let mut out = Vec::new();
    pack::json(&mut out, &mut bytes, 0).unwrap();
    let value: Json = serde_json::from_slice(&out).unwrap();
    assert_eq!(
        value,
        json!({"1": null, "b": "a\u{fffd}\u{1}", "e": "CQ==", "[2]": -256})
    );
    let deep = [vec![0x91; 500], vec![0xc0]].concat();
    let mut out = Vec::new();
    pack::json(&mut out, &mut deep.as_slice(), 0).unwrap();
    assert!(String::from_utf8(out).unwrap().contains("[too deep]"));
}

#[test]
fn what_is_not_for_us_is_refused_by_its_reason() {
    let reason = |bytes: &[u8]| read_all(bytes).unwrap_err().reason();
    assert_eq!(reason(b"\x01"), "malformed");
    assert_eq!(reason(b"\x90"), "malformed");
    assert_eq!(reason(b"\x91\xa1t"), "malformed");
    assert_eq!(reason(b"\x95\xa1t\x01\x80\x80\x80"), "malformed");
    assert_eq!(reason(b"\x93\xa1t\x01\x01"), "malformed");
    assert_eq!(reason(b"\x92\xa1t\x91\x01"), "malformed");
    assert_eq!(reason(b"\x92\xa1t\x91\x92\x01\xc0"), "malformed");
    assert_eq!(reason(b"\x93\xa1t\xa1\x92\x80"), "malformed");
    assert_eq!(reason(b"\x93\xa1t\xc4\x00\x81\xadfluent_signal\x01"), "foreign");
    assert_eq!(reason(b"\x93\xa1t\xc4\x00\x81\xaacompressed\xa4zstd"), "foreign");
    assert_eq!(reason(&packed(b"no gzip", true, "c")), "malformed");
    let torn = gzip(&entry_of("x"));
    assert_eq!(
        reason(&packed(torn.get(..torn.len() - 9).unwrap(), true, "c")),
        "malformed"
    );
    let many = entry_of("0").repeat(1 << 20);
    assert_eq!(reason(&packed(&gzip(&many), true, "c")), "inflated");
    let long = entry_of(&"y".repeat(2 << 20));
    assert_eq!(reason(&packed(&gzip(&long), true, "c")), "too_long");
    let mut scan = Scan::default();
    assert_eq!(
        scan.end(b"\xdd\xff\xff\xff\xff", 1 << 20).unwrap_err().reason(),
        "too_long"
    );
    assert_eq!(
        Scan::default()
            .end(b"\xc6\x7f\xff\xff\xff", 1 << 20)
            .unwrap_err()
            .reason(),
        "too_long"
    );
    assert_eq!(Scan::default().end(b"\xc1", 9).unwrap_err().reason(), "malformed");
}

proptest! {
    #[test]
    fn no_bytes_are_too_wild(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        // Whatever it says, it says it.
        _ = read_all(&bytes);
        let mut out = Vec::new();
        _ = pack::json(&mut out, &mut bytes.as_slice(), 0);
    }

    #[test]
    fn a_message_changed_or_cut_anywhere_is_read_or_refused(
        which in 0usize..4, at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>(),
    ) {
        let all = [
            MESSAGE_CHUNK.to_vec(),
            FORWARD.to_vec(),
            packed(&entry_of("x").repeat(3), false, "c"),
            packed(&gzip(&entry_of("x").repeat(3)), true, "c"),
        ];
        let mut bytes = all[which].clone();
        let at = at.index(bytes.len());
        if cut {
            bytes.truncate(at);
            prop_assert!(read_all(&bytes).is_err());
            prop_assert!(!matches!(Scan::default().end(&bytes, 1 << 20), Ok(Some(_))));
        } else {
            bytes[at] = byte;
            _ = read_all(&bytes);
        }
    }

    #[test]
    fn a_value_ends_at_the_same_place_whether_it_comes_at_once_or_in_pieces(cuts in prop::collection::vec(1usize..9, 1..40)) {
        let message = packed(&entry_of("some text").repeat(5), false, "c");
        let mut scan = Scan::default();
        let mut come = 0;
        for cut in cuts {
            come = (come + cut).min(message.len() - 1);
            prop_assert_eq!(scan.end(&message[..come], 1 << 20).unwrap(), None);
        }
        prop_assert_eq!(scan.end(&message, 1 << 20).unwrap(), Some(message.len()));
    }
}

/// The room in this process, with its input.
struct Room {
    folder: tempfile::TempDir,
    section: Json,
    handle: crate::Handle,
    registry: Registry,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

fn outside() -> Outside {
    let (clock, client) = (RuntimeClock::system(), net::HttpClient::new().unwrap());
    let registry = Registry::new();
    Outside {
        pods: None,
        aws: aws::Aws::new(aws::Config::default(), client.clone(), clock.clone(), &registry).unwrap(),
        clock,
        client,
        host: "here".to_owned(),
        once: None,
    }
}

impl Room {
    fn start(section: &Json) -> Self {
        Self::within(tempfile::tempdir().unwrap(), section)
    }

    fn within(folder: tempfile::TempDir, section: &Json) -> Self {
        let mut forward = json!({"listen": "127.0.0.1:0"});
        let mut logs = json!({"files": [], "containers": "", "docker": ""});
        for (key, value) in section.as_object().unwrap() {
            match key.strip_prefix("logs.") {
                Some(key) => logs[key] = value.clone(),
                None => forward[key] = value.clone(),
            }
        }
        logs["forward"] = forward;
        let config: crate::Config = serde_json::from_value(logs).unwrap();
        let outside = outside();
        let (data, registry) = (folder.path().join("data"), Registry::new());
        let room = Logs::new(&config, data.join("logs"), &data, outside, &registry).unwrap();
        let (handle, stop) = (room.handle(), CancellationToken::new());
        let running = tokio::spawn(room.run(stop.clone()));
        Self {
            folder,
            section: section.clone(),
            handle,
            registry,
            stop,
            running,
        }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.handle.input().unwrap().address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream
    }

    fn spool(&self) -> PathBuf {
        self.folder.path().join("data/logs/spool")
    }

    fn records(&self) -> Vec<LogRecord> {
        let query = LogQuery {
            from: Timestamp::MIN,
            to: Timestamp::MAX,
            lines_max: usize::MAX,
            ..LogQuery::default()
        };
        self.handle.search(&query).unwrap().lines
    }

    /// Waits for so many records in the segments.
    async fn kept(&self, count: usize) -> Vec<LogRecord> {
        let begun = Instant::now();
        loop {
            let records = self.records();
            if records.len() >= count {
                return records;
            }
            assert!(
                begun.elapsed() < Duration::from_secs(30),
                "{} of {count}",
                records.len()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn refused(&self) -> Vec<(String, u64)> {
        self.handle.state().inputs[0].refused.clone()
    }

    async fn stop(self) -> tempfile::TempDir {
        self.stop.cancel();
        self.running.await.unwrap();
        let ledger = self.handle.input().unwrap().ledger();
        assert!(ledger.balances() && ledger.in_flight == 0, "{ledger:?}");
        let families = self.registry.gather();
        let counted = families
            .iter()
            .find(|family| family.name() == "skopos_logs_forward_records_total");
        let counted = counted.unwrap().get_metric()[0].get_counter().get_value();
        assert_eq!(counted, ledger.given as f64);
        self.folder
    }

    async fn restart(self) -> Self {
        let section = self.section.clone();
        Self::within(self.stop().await, &section)
    }
}

/// Everything that is said until the connection is closed.
fn hear(mut stream: TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    // It may be closed by force, with something of ours unread.
    _ = stream.read_to_end(&mut all);
    all
}

fn hear_bytes(stream: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_acknowledged_is_kept_in_every_mode_and_after_a_restart() {
    let mut room = Room::start(&json!({}));
    let mut stream = room.connect();
    stream.write_all(b"\xc0").unwrap();
    stream.write_all(MESSAGE).unwrap();
    stream.write_all(MESSAGE_CHUNK).unwrap();
    assert_eq!(hear_bytes(&mut stream, 8), b"\x81\xa3ack\xa2c1");
    stream.write_all(FORWARD).unwrap();
    assert_eq!(hear_bytes(&mut stream, 8), b"\x81\xa3ack\xa2c2");
    let entries = entry_of("packed").repeat(3);
    stream.write_all(&packed(&entries, false, "c3")).unwrap();
    stream.write_all(&packed(&gzip(&entries), true, "c4")).unwrap();
    assert_eq!(hear_bytes(&mut stream, 16), b"\x81\xa3ack\xa2c3\x81\xa3ack\xa2c4");
    assert_eq!(room.kept(10).await.len(), 10);
    assert_eq!(room.handle.input().unwrap().ledger().given, 10);
    room = room.restart().await;
    let mut stream = room.connect();
    stream.write_all(MESSAGE_CHUNK).unwrap();
    hear_bytes(&mut stream, 8);
    let records = room.kept(11).await;
    assert_eq!(records.len(), 11);
    assert!(records.iter().all(|record| &*record.source == "app"));
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_ends_its_connection_and_is_never_acknowledged() {
    let room =
        Room::start(&json!({"message_bytes_max": "64KiB", "connections_max": 2, "idle_timeout": "1s"}));
    let mut good_and_bad = entry_of("x").repeat(3);
    good_and_bad.extend_from_slice(b"\x92\x01\x01");
    let wrong: Vec<(&str, Vec<u8>)> = vec![
        ("malformed", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        ("malformed", packed(&good_and_bad, false, "c")),
        ("malformed", packed(&gzip(&good_and_bad), true, "c")),
        ("too_long", packed(&vec![0xc0; 100_000], false, "c")),
        ("idle", MESSAGE_CHUNK.get(..20).unwrap().to_vec()),
    ];
    for (reason, bytes) in wrong {
        let before: u64 = room.refused().iter().map(|(_, count)| count).sum();
        let mut stream = room.connect();
        // It may be closed before all of it is said.
        _ = stream.write_all(&bytes);
        assert_eq!(hear(stream), b"", "{reason}");
        let refused = room.refused();
        assert!(
            refused.iter().any(|(known, _)| known == reason),
            "{reason}: {refused:?}"
        );
        assert_eq!(refused.iter().map(|(_, count)| count).sum::<u64>(), before + 1);
    }
    let (_one, _two) = (room.connect(), room.connect());
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(hear(room.connect()), b"");
    assert!(room.refused().iter().any(|(reason, _)| reason == "crowded"));
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(
        room.records().len(),
        0,
        "nothing of a message with a mistake is kept"
    );
    room.stop().await;
}

/// A sender's half of the handshake; what PONG says.
fn shake(stream: &mut TcpStream, key: &str, user: (&str, &str)) -> (bool, String) {
    let helo = hear_bytes(stream, 6);
    assert_eq!(helo, b"\x92\xa4HELO");
    assert_eq!(hear_bytes(stream, 7), b"\x83\xa5nonce");
    let nonce = hear_bytes(stream, 18).split_off(2);
    assert_eq!(hear_bytes(stream, 5), b"\xa4auth");
    let auth = hear_bytes(stream, 2);
    let auth = hear_bytes(stream, usize::from(auth[1]));
    assert_eq!(hear_bytes(stream, 11), b"\xa9keepalive\xc3");
    let mut ping = b"\x96\xa4PING\xa4peer\xa4salt".to_vec();
    let own = digest(&[b"salt", b"peer", &nonce, key.as_bytes()]);
    rmp::encode::write_str(&mut ping, &own).unwrap();
    rmp::encode::write_str(&mut ping, user.0).unwrap();
    rmp::encode::write_str(&mut ping, &digest(&[&auth, user.0.as_bytes(), user.1.as_bytes()])).unwrap();
    stream.write_all(&ping).unwrap();
    let mut pong = Vec::new();
    let end = loop {
        let mut byte = [0; 1];
        stream.read_exact(&mut byte).unwrap();
        pong.push(byte[0]);
        if let Some(end) = Scan::default().end(&pong, 4_096).unwrap() {
            break end;
        }
    };
    let mut rest = pong.get(..end).unwrap();
    let mut parts = Vec::new();
    while !rest.is_empty() {
        parts.push(pack::take(&mut rest).unwrap());
    }
    let [
        _,
        _,
        pack::Value::Bool(good),
        pack::Value::Bytes(why),
        pack::Value::Bytes(name),
        pack::Value::Bytes(proof),
    ] = parts[..]
    else {
        panic!("{parts:?}")
    };
    if good {
        let own = digest(&[b"salt", name, &nonce, key.as_bytes()]);
        assert_eq!(proof, own.as_bytes(), "we know the key as well");
    }
    (good, String::from_utf8(why.to_vec()).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_who_knows_the_key_and_a_password_is_let_in() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, "secret\n").unwrap();
    let room = Room::start(&json!({
        "shared_key_file": file,
        "users": [{"username": "fluent", "password": "bit"}],
    }));
    let try_as = |key: &str, user: (&str, &str)| {
        let mut stream = room.connect();
        let (good, why) = shake(&mut stream, key, user);
        if good {
            stream.write_all(MESSAGE_CHUNK).unwrap();
            assert_eq!(hear_bytes(&mut stream, 8), b"\x81\xa3ack\xa2c1");
        } else {
            // Whatever is sent all the same is not taken.
            _ = stream.write_all(MESSAGE_CHUNK);
            assert_eq!(hear(stream), b"");
        }
        why
    };
    assert_eq!(try_as("secret", ("fluent", "bit")), "");
    assert_eq!(try_as("wrong", ("fluent", "bit")), "shared_key mismatch");
    assert_eq!(try_as("secret", ("fluent", "bat")), "username/password mismatch");
    assert_eq!(try_as("secret", ("", "")), "username/password mismatch");
    std::fs::write(&file, "another").unwrap();
    assert_eq!(
        try_as("another", ("fluent", "bit")),
        "",
        "the file is read each time"
    );
    let mut stream = room.connect();
    stream.write_all(MESSAGE_CHUNK).unwrap();
    let heard = hear(stream);
    assert!(heard.starts_with(b"\x92\xa4HELO") && !heard.windows(3).any(|part| part == b"ack"));
    assert_eq!(room.kept(2).await.len(), 2);
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_certificate_senders_speak_tls_or_are_turned_away() {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, ServerName};
    use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_rustls::TlsConnector;
    let given = |name: &str| {
        std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../web/tests/tls")
            .join(name)
    };
    let room = Room::start(&json!({
        "tls": {"cert_file": given("first.cert.pem"), "key_file": given("first.key.pem")},
    }));
    let mut authorities = RootCertStore::empty();
    authorities
        .add(CertificateDer::from_pem_file(given("first.ca.pem")).unwrap())
        .unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(authorities)
        .with_no_client_auth();
    let address = room.handle.input().unwrap().address();
    let socket = tokio::net::TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = TlsConnector::from(Arc::new(config))
        .connect(name, socket)
        .await
        .unwrap();
    stream.write_all(MESSAGE_CHUNK).await.unwrap();
    let mut answer = [0; 8];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"\x81\xa3ack\xa2c1");
    let mut plain = room.connect();
    plain.write_all(MESSAGE_CHUNK).unwrap();
    assert!(!hear(plain).windows(3).any(|part| part == b"ack"));
    let begun = Instant::now();
    while room.refused() != [("handshake".to_owned(), 1)] {
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", room.refused());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(room.kept(1).await.len(), 1);
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_spool_makes_senders_wait_and_what_was_acknowledged_is_there() {
    // 64 MiB of spool, of which nothing goes since this sink is down.
    let down = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", down.local_addr().unwrap());
    drop(down);
    let room = Room::start(&json!({
        "logs.spool_bytes_max": "64MiB",
        "logs.opensearch": [{"url": url}],
    }));
    let text = "z".repeat(1 << 20);
    let entries = entry_of(&text).repeat(5);
    let mut stream = room.connect();
    stream
        .set_read_timeout(Some(Duration::from_millis(1_500)))
        .unwrap();
    let mut acknowledged = 0;
    loop {
        stream.write_all(&packed(&entries, false, "cc")).unwrap();
        let mut answer = [0; 8];
        if stream.read_exact(&mut answer).is_err() {
            break;
        }
        acknowledged += 1;
        assert!(acknowledged < 20);
    }
    assert!((11..=12).contains(&acknowledged), "{acknowledged}");
    let state = room.handle.state();
    assert!(
        state.inputs[0].trouble.as_ref().unwrap().contains("full"),
        "{:?}",
        state.inputs
    );
    assert!(state.spool_bytes <= state.spool_bytes_max);
    let (kept, ledger) = (5 * acknowledged, room.handle.input().unwrap().ledger());
    assert!(
        ledger.given >= u64::try_from(kept).unwrap() && ledger.in_flight > 0,
        "{ledger:?}"
    );
    // He gives up: what was not acknowledged is given up here as well, and is his again.
    drop(stream);
    let begun = Instant::now();
    while room.handle.input().unwrap().ledger().in_flight > 0 {
        assert!(begun.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let ledger = room.handle.input().unwrap().ledger();
    assert!(ledger.balances() && ledger.dropped["not_kept"] > 0, "{ledger:?}");
    assert!(room.kept(kept).await.len() >= kept);
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heartbeats_are_answered_and_a_long_message_waits_for_its_turn() {
    let room = Room::start(&json!({"message_bytes_max": "1MiB", "memory_bytes_max": "1MiB"}));
    let address = room.handle.input().unwrap().address();
    let socket = Datagrams::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    socket.send_to(&[0], address).unwrap();
    let mut answer = [9; 4];
    assert_eq!(socket.recv(&mut answer).unwrap(), 1);
    assert_eq!(answer[0], 0);
    // The first holds the only place for a long message and says no more; a short one passes both.
    let long = packed(&entry_of(&"l".repeat(200_000)), false, "c1");
    let (mut first, mut second, mut short) = (room.connect(), room.connect(), room.connect());
    first.write_all(long.get(..150_000).unwrap()).unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    second.write_all(&long).unwrap();
    short.write_all(MESSAGE_CHUNK).unwrap();
    hear_bytes(&mut short, 8);
    second.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert!(second.read_exact(&mut [0; 8]).is_err(), "it waits");
    first.write_all(long.get(150_000..).unwrap()).unwrap();
    hear_bytes(&mut first, 8);
    second.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    hear_bytes(&mut second, 8);
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_left_in_the_spool_go_to_the_sinks_even_when_the_input_is_off() {
    let room = Room::start(&json!({}));
    let spool = room.spool();
    let folder = room.stop().await;
    let facts = crate::mark::Facts::new("old", []);
    let record = Record {
        nanos: 1,
        facts: Arc::new(facts),
        text: b"left behind".to_vec(),
        ..Record::default()
    };
    let one = Spool::open(&spool, 64 << 20, crate::spool::Metrics::new(&Registry::new())).unwrap();
    one.append(&[record], 1 << 20).await.unwrap();
    drop(one);
    let config: crate::Config =
        serde_json::from_value(json!({"files": [], "containers": "", "docker": ""})).unwrap();
    let outside = outside();
    let data = folder.path().join("data");
    let room = Logs::new(&config, data.join("logs"), &data, outside, &Registry::new()).unwrap();
    let (handle, stop) = (room.handle(), CancellationToken::new());
    let running = tokio::spawn(room.run(stop.clone()));
    let begun = Instant::now();
    while std::fs::read_dir(&spool).unwrap().next().is_some() {
        assert!(begun.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(handle.state().lines, 1);
    stop.cancel();
    running.await.unwrap();
}

#[test]
fn values_of_the_section_that_cannot_work_are_named() {
    let check = |section: &str| {
        let config: Config = serde_json::from_str(section).unwrap();
        config.check()
    };
    assert_eq!(check("{}"), Ok(()));
    for (section, word) in [
        (r#"{"listen": "0.0.0.0:24224"}"#, "shared_key_file"),
        (r#"{"listen": "nonsense"}"#, "logs.forward.listen"),
        (r#"{"users": [{"username": "a", "password": "b"}]}"#, "users"),
        (r#"{"shared_key": "k", "users": [{"username": "a"}]}"#, "users[0]"),
        (r#"{"message_bytes_max": 1}"#, "message_bytes_max"),
        (r#"{"memory_bytes_max": 100000}"#, "memory_bytes_max"),
        (r#"{"unpacked_bytes_max": 100000}"#, "unpacked_bytes_max"),
        (r#"{"connections_max": 0}"#, "connections_max"),
        (r#"{"idle_timeout": "0s"}"#, "idle_timeout"),
    ] {
        assert!(check(section).unwrap_err().contains(word), "{section}");
    }
    assert_eq!(check(r#"{"listen": "0.0.0.0:24224", "shared_key": "k"}"#), Ok(()));
}
