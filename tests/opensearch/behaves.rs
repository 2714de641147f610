//! What the fake does on demand, seen from outside.

use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{Answer, Fake, Fault, ItemFault, Node, Plan, Poison, Rules, ask, ask_within};

const NDJSON: &[(&str, &str)] = &[("Content-Type", "application/x-ndjson")];

fn body(ids: std::ops::Range<u32>) -> String {
    let line = |id| {
        format!(
            "{{\"create\":{{\"_index\":\"a\",\"_id\":\"{id}\"}}}}\n{{\"n\":{id},\"message\":\"m\",\"level\":\"info\"}}\n"
        )
    };
    ids.map(line).collect()
}

fn send(fake: &Fake, ids: std::ops::Range<u32>) -> std::io::Result<Answer> {
    fake.ask("POST", "/_bulk", NDJSON, body(ids).as_bytes())
}

/// As long as is waited for what does not come.
const SHORT: Duration = Duration::from_millis(300);

fn statuses(answer: &Answer) -> Vec<u64> {
    let answer = answer.json();
    let items = answer["items"].as_array().unwrap().iter();
    items
        .map(|item| item["create"]["status"].as_u64().unwrap())
        .collect()
}

/// All that comes, until the connection ends or nothing comes for a while.
fn raw(fake: &Fake, bytes_max: u64) -> (Vec<u8>, Duration) {
    let mut stream = TcpStream::connect(fake.url().trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let body = body(0..2);
    write!(
        stream,
        "POST /_bulk HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let (mut bytes, begun) = (Vec::new(), Instant::now());
    // A reset or a pause ends it as well.
    drop(stream.take(bytes_max).read_to_end(&mut bytes));
    (bytes, begun.elapsed())
}

#[test]
fn whole_requests_are_refused_and_nothing_of_them_is_kept() {
    let fake = Fake::start();
    let after = Some(Duration::from_secs(7));
    fake.plan(Plan::script(
        [429, 503, 500, 403, 404, 413].map(|status| Some(Fault::Status(status, after))),
    ));
    let mut types = Vec::new();
    for status in [429, 503, 500, 403, 404, 413] {
        let answer = send(&fake, 0..3).unwrap();
        assert_eq!((answer.status, answer.header("retry-after")), (status, Some("7")));
        types.push(
            answer.json()["error"]["type"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
        );
    }
    assert_eq!(
        (types[0].as_str(), types[5].as_str()),
        ("rejected_execution_exception", "")
    );
    assert_eq!(fake.count("a"), 0);
    assert_eq!(statuses(&send(&fake, 0..3).unwrap()), [201; 3]);
    assert_eq!(statuses(&send(&fake, 1..4).unwrap()), [409, 409, 201]);
    assert_eq!(
        (fake.counters().bulks, fake.counters().items, fake.seen().len()),
        (8, 6, 8)
    );
}

#[test]
fn a_share_of_the_items_is_refused_and_some_of_those_are_kept_all_the_same() {
    let fake = Fake::start();
    let faults = vec![
        (0.3, ItemFault::new(429)),
        (0.2, ItemFault::new(503).applied()),
        (0.1, ItemFault::new(403)),
        (0.1, ItemFault::new(400)),
    ];
    fake.plan(Plan::always(Fault::Items(faults)));
    let answered = statuses(&send(&fake, 0..2_000).unwrap());
    let count = |wanted: u64| answered.iter().filter(|status| **status == wanted).count();
    for (status, wanted) in [(429, 600), (503, 400), (403, 200), (400, 200), (201, 600)] {
        assert!(
            count(status).abs_diff(wanted) < 100,
            "{status}: {}",
            count(status)
        );
    }
    assert_eq!(fake.count("a"), count(201) + count(503));
    assert_eq!(fake.counters().items_by_status[&429], count(429) as u64);
    fake.plan(Plan::well());
    let again = statuses(&send(&fake, 0..2_000).unwrap());
    let kept = |status: &u64| [201, 503].contains(status);
    assert!(
        answered
            .iter()
            .zip(again)
            .all(|(first, second)| second == if kept(first) { 409 } else { 201 })
    );
}

#[test]
fn acknowledgements_are_lost_in_each_way_that_the_plan_says() {
    for (fault, is_kept) in [
        (Fault::ResetBefore, false),
        (Fault::HangBefore, false),
        (Fault::ResetAfter, true),
        (Fault::HangAfter, true),
        (Fault::Truncated(0.5), true),
    ] {
        let fake = Fake::start();
        fake.plan(Plan::script([Some(fault.clone())]));
        let answer = ask_within(
            SHORT,
            &fake.url(),
            "POST",
            "/_bulk",
            NDJSON,
            body(0..3).as_bytes(),
        );
        assert!(answer.is_err(), "{fault:?}");
        assert_eq!(fake.count("a"), if is_kept { 3 } else { 0 }, "{fault:?}");
        assert_eq!(
            statuses(&send(&fake, 0..3).unwrap()),
            [if is_kept { 409 } else { 201 }; 3]
        );
        assert_eq!(fake.counters().faults.values().sum::<u64>(), 1);
    }
}

#[test]
fn answers_are_garbled_misshapen_and_of_another_length() {
    let fake = Fake::start();
    fake.plan(Plan::always(Fault::Garbled));
    assert!(serde_json::from_slice::<Value>(&send(&fake, 0..3).unwrap().body).is_err());
    fake.plan(Plan::always(Fault::Misshapen));
    for _ in 0..30 {
        let answer: Value = serde_json::from_slice(&send(&fake, 0..3).unwrap().body).unwrap();
        let is_item = |item: &Value| item["create"]["status"].is_u64();
        assert!(
            !answer["items"]
                .as_array()
                .is_some_and(|items| items.len() == 3 && items.iter().all(is_item)),
            "{answer}"
        );
    }
    for (more, wanted) in [(-1, 2), (2, 5), (-9, 0)] {
        fake.plan(Plan::always(Fault::Count(more)));
        assert_eq!(statuses(&send(&fake, 0..3).unwrap()).len(), wanted);
    }
    assert_eq!(fake.count("a"), 3);
}

#[test]
fn answers_are_endless_too_long_slow_and_late() {
    let fake = Fake::start();
    fake.plan(Plan::always(Fault::Endless));
    let (bytes, _) = raw(&fake, 3_000_000);
    assert!(bytes.len() == 3_000_000 && bytes.ends_with(b"\r\n") | bytes.starts_with(b"HTTP/1.1 200"));
    fake.plan(Plan::always(Fault::Length(1_000_000_000)));
    let (bytes, _) = raw(&fake, u64::MAX);
    let text = String::from_utf8(bytes).unwrap();
    assert!(
        text.contains("content-length: 1000000000\r\n") && text.ends_with('}'),
        "{text}"
    );
    fake.plan(Plan::always(Fault::Slow(20)));
    let (bytes, took) = raw(&fake, 10);
    assert!(
        bytes == b"HTTP/1.1 2" && took > Duration::from_millis(400),
        "{took:?}"
    );
    fake.plan(Plan::always(Fault::Late(Duration::from_millis(100))));
    let begun = Instant::now();
    assert_eq!(send(&fake, 10..11).unwrap().status, 200);
    assert!(begun.elapsed() >= Duration::from_millis(100));
}

#[test]
fn a_poisoned_document_is_taken_once_its_message_is_all_that_is_left() {
    let fake = Fake::start();
    let write = |source: &str| {
        let body = format!("{{\"create\":{{\"_index\":\"a\"}}}}\n{source}\n");
        let answer = fake
            .ask("POST", "/_bulk", NDJSON, body.as_bytes())
            .unwrap()
            .json();
        (
            answer["items"][0]["create"]["status"].clone(),
            answer["items"][0]["create"]["error"]["type"].clone(),
        )
    };
    fake.rules(|rules| rules.poison = Some(Poison::curable("POISON")));
    assert_eq!(
        write(r#"{"message":"POISON","level":"info"}"#),
        (json!(400), json!("mapper_parsing_exception"))
    );
    assert_eq!(write(r#"{"message":"well","level":"info"}"#).0, 201);
    assert_eq!(
        write(r#"{"message":"POISON","@timestamp":"2024-01-01T00:00:00Z"}"#).0,
        201
    );
    fake.rules(|rules| rules.poison = Some(Poison::deadly("POISON")));
    assert_eq!(write(r#"{"message":"POISON"}"#).0, 400);
}

#[test]
fn a_document_that_is_too_deep_costs_the_whole_request_its_answer() {
    let fake = Fake::start();
    let template = json!({ "index_patterns": ["a"], "template": { "mappings": { "properties": { "labels": { "type": "flat_object" } } } } });
    let put = fake.ask(
        "PUT",
        "/_index_template/a",
        &[("Content-Type", "application/json")],
        template.to_string().as_bytes(),
    );
    assert_eq!(put.unwrap().status, 200);
    let write = |levels: usize, patience: Duration| {
        let source = format!(
            "{{\"labels\":{}1{}}}",
            "{\"d\":".repeat(levels),
            "}".repeat(levels)
        );
        let body = format!("{}{{\"create\":{{\"_index\":\"a\"}}}}\n{source}\n", body(0..1));
        ask_within(patience, &fake.url(), "POST", "/_bulk", NDJSON, body.as_bytes())
    };
    assert_eq!(
        statuses(&write(300, Duration::from_secs(30)).unwrap()),
        [201, 201]
    );
    assert!(write(500, SHORT).is_err());
}

#[test]
fn a_body_above_the_limit_is_a_413_in_the_words_of_who_limits_it() {
    let fake = Fake::start();
    fake.rules(|rules| rules.body_bytes_max = 1_000);
    let answer = send(&fake, 0..100).unwrap();
    assert_eq!((answer.status, answer.body.len()), (413, 0));
    fake.rules(|rules| *rules = Rules::small_domain());
    let large = body(0..1).repeat(200_000);
    let answer = fake.ask("POST", "/_bulk", NDJSON, large.as_bytes()).unwrap();
    assert!(
        answer.status == 413 && answer.text().contains("Request size exceeded 10485760 bytes"),
        "{}",
        answer.text()
    );
    assert_eq!((fake.count("a"), fake.counters().bulks), (0, 1));
    fake.rules(|rules| rules.login = Some(("admin".to_owned(), "not-a-secret".to_owned())));
    assert_eq!(send(&fake, 0..1).unwrap().status, 401);
    let header = ("Authorization", "Basic YWRtaW46bm90LWEtc2VjcmV0");
    assert_eq!(
        fake.ask("POST", "/_bulk", &[NDJSON[0], header], body(0..1).as_bytes())
            .unwrap()
            .status,
        200
    );
}

#[test]
fn a_sink_goes_down_and_comes_back_with_all_that_it_had() {
    let fake = Fake::start();
    let url = fake.url();
    assert_eq!(send(&fake, 0..3).unwrap().status, 200);
    fake.plan(Plan::script([Some(Fault::HangAfter)]));
    std::thread::scope(|scope| {
        let hanging = scope.spawn(|| fake.ask("POST", "/_bulk", NDJSON, body(3..4).as_bytes()));
        while fake.count("a") < 4 {
            std::thread::yield_now();
        }
        fake.close();
        assert!(hanging.join().unwrap().is_err());
    });
    assert!(send(&fake, 4..5).is_err());
    fake.open();
    assert_eq!(
        (fake.url(), statuses(&send(&fake, 3..5).unwrap())),
        (url, vec![409, 201])
    );
    let documents = fake.documents("a");
    assert_eq!(documents.len(), 5);
    assert_eq!(
        documents[4],
        ("4".to_owned(), json!({ "n": 4, "message": "m", "level": "info" }))
    );
    assert_eq!(fake.counters().bulks_at_once_max, 1);
}

#[test]
fn a_connection_is_used_again_and_bulks_at_once_are_counted() {
    let fake = Fake::start();
    let mut stream = TcpStream::connect(fake.url().trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    for number in 0..3 {
        let body = body(number..number + 1);
        // In two chunks.
        let (one, two) = body.split_at(20);
        write!(stream, "POST /_bulk HTTP/1.1\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n14\r\n{one}\r\n{:x}\r\n{two}\r\n0\r\n\r\n", two.len()).unwrap();
        let answer = crate::http::read(&mut BufReader::new(&stream), false).unwrap();
        assert_eq!(statuses(&answer), [201]);
    }
    assert_eq!((fake.counters().connections, fake.count("a")), (1, 3));
    fake.plan(Plan::always(Fault::HangAfter));
    std::thread::scope(|scope| {
        for number in 0..4 {
            let fake = &fake;
            scope.spawn(move || send(fake, 10 + number..11 + number).unwrap_err());
        }
        while fake.count("a") < 7 {
            std::thread::yield_now();
        }
        fake.close();
    });
    assert_eq!(fake.counters().bulks_at_once_max, 4);
    fake.open();
    fake.plan(Plan::well());
    fake.rules(|rules| rules.latency = Duration::from_millis(100));
    let begun = Instant::now();
    assert_eq!(statuses(&send(&fake, 10..14).unwrap()), [409; 4]);
    assert!(begun.elapsed() >= Duration::from_millis(100));
}

/// OpenSearch's own client finds the same in both.
#[test]
fn the_official_client_writes_and_searches() {
    let Some(found) = programs::file("python/opensearchpy/__init__.py") else {
        return;
    };
    let packages = found.parent().and_then(std::path::Path::parent).unwrap();
    let fake = Fake::start();
    let mut servers = vec![(fake.url(), vec!["--policies"])];
    servers.extend(Node::shared().map(|node| (node.url(), vec![])));
    for (url, more) in servers {
        let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("check_client.py");
        let mut command = Command::new("python3");
        let (code, text) = programs::run(
            command
                .arg(script)
                .arg(&url)
                .args(more)
                .env("PYTHONPATH", packages)
                .env("PYTHONDONTWRITEBYTECODE", "1")
                .env("NO_PROXY", "127.0.0.1"),
        );
        assert!(
            code == 0 && text.lines().filter(|line| line.starts_with("ok")).count() > 8,
            "{url}: {text}"
        );
    }
}

/// Held to the real node where there is one.
#[test]
fn an_index_that_only_grows_takes_ids_by_create_and_by_nothing_else() {
    let fake = Fake::start();
    let node = Node::shared();
    let urls = std::iter::once(fake.url()).chain(node.map(Node::url));
    for url in urls {
        let template = json!({
            "index_patterns": ["onlygrows-*"], "priority": 300,
            "template": {"settings": {"index.append_only.enabled": true, "number_of_replicas": 0}},
        });
        let json = &[("Content-Type", "application/json")];
        let put = ask(
            &url,
            "PUT",
            "/_index_template/onlygrows",
            json,
            template.to_string().as_bytes(),
        );
        assert_eq!(put.unwrap().status, 200, "{url}");
        let body = r#"{"create":{"_index":"onlygrows-1","_id":"1"}}
{"n":1}
{"index":{"_index":"onlygrows-1"}}
{"n":2}
{"index":{"_index":"onlygrows-1","_id":"3"}}
{"n":3}
{"create":{"_index":"onlygrows-1","_id":"1"}}
{"n":1}
"#;
        let answer = ask(&url, "POST", "/_bulk", NDJSON, body.as_bytes())
            .unwrap()
            .json();
        let items = answer["items"].as_array().unwrap().iter();
        let told: Vec<(u64, &str)> = items
            .map(|item| item.as_object().unwrap().values().next().unwrap())
            .map(|item| {
                let kind = item["error"]["type"].as_str().unwrap_or_default();
                (item["status"].as_u64().unwrap(), kind)
            })
            .collect();
        let conflict = "version_conflict_engine_exception";
        assert_eq!(
            told,
            [
                (201, ""),
                (201, ""),
                (400, "validation_exception"),
                (409, conflict)
            ],
            "{url}: {answer}"
        );
        let reason = answer["items"][2]["index"]["error"]["reason"].as_str().unwrap();
        assert!(
            reason.contains("not allowed with a custom document id 3"),
            "{reason}"
        );
    }
}

#[test]
fn a_collection_that_makes_all_ids_refuses_others() {
    let fake = Fake::start();
    fake.rules(|rules| rules.makes_ids = true);
    let answer = send(&fake, 0..1).unwrap().json();
    let error = &answer["items"][0]["create"]["error"];
    assert_eq!(error["type"], "illegal_argument_exception");
    assert_eq!(
        error["reason"],
        "Document ID is not supported in create/index operation request"
    );
    let body = b"{\"create\":{\"_index\":\"a\"}}\n{\"n\":1}\n";
    assert_eq!(
        statuses(&fake.ask("POST", "/_bulk", NDJSON, body).unwrap()),
        [201]
    );
}
