//! The fake is asked what the real node is asked, and answers alike: the same status, items' statuses and types of errors.
//!
//! Rows build on each other: what one writes the next finds. `SKOPOS_TEST_LONG=1` asks version 2 as well.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Write};
use std::time::Duration;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use serde_json::{Value, json};

use crate::{Answer, Fake, Node, Version, ask_within};

/// Longer than any answer takes.
const PATIENCE: Duration = Duration::from_secs(60);
/// Long enough where none ever comes.
const SHORT_PATIENCE: Duration = Duration::from_secs(2);
const NDJSON: (&str, &str) = ("Content-Type", "application/x-ndjson");
const GZIP: (&str, &str) = ("Content-Encoding", "gzip");
const LINE: &str = "{\"message\":\"a line\"}\n";

struct Row {
    name: String,
    method: &'static str,
    path: String,
    headers: Vec<(&'static str, &'static str)>,
    body: Vec<u8>,
    /// What is left of the answer counts as a whole.
    is_whole: bool,
    patience: Duration,
}

#[derive(Default)]
struct Table(Vec<Row>);

impl Table {
    fn row(&mut self, method: &'static str, path: &str, body: impl Into<Vec<u8>>) -> &mut Row {
        let body = body.into();
        let start = String::from_utf8_lossy(body.get(..body.len().min(120)).unwrap()).into_owned();
        self.0.push(Row {
            name: format!("{method} {path} {start}"),
            method,
            path: path.to_owned(),
            headers: vec![("Content-Type", "application/json")],
            body,
            is_whole: false,
            patience: PATIENCE,
        });
        self.0.last_mut().unwrap()
    }

    fn bulk(&mut self, body: impl Into<Vec<u8>>) -> &mut Row {
        let row = self.row("POST", "/_bulk", body);
        row.headers = vec![NDJSON];
        row
    }

    /// Each document by itself in one request, all into one index.
    fn documents(&mut self, index: &str, documents: &[&str]) -> &mut Row {
        let mut body = String::new();
        for (number, document) in documents.iter().enumerate() {
            body += &format!("{}{document}\n", action("create", index, &format!("d{number}")));
        }
        let row = self.bulk(body);
        row.name = format!("documents into {index}");
        row
    }
}

fn action(action: &str, index: &str, id: &str) -> String {
    format!("{}\n", json!({ action: { "_index": index, "_id": id } }))
}

fn create(id: &str) -> String {
    action("create", "alike-a", id) + LINE
}

fn packed(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn flipped(mut bytes: Vec<u8>, from_end: usize) -> Vec<u8> {
    let place = bytes.len() - from_end;
    bytes[place] ^= 0xff;
    bytes
}

fn template(pattern: &str, more: &Value) -> String {
    let mut body = json!({ "index_patterns": [pattern], "priority": 100, "template": { "settings": { "number_of_replicas": 0 } } });
    for (key, value) in more.as_object().unwrap() {
        match key.as_str() {
            "mappings" => body["template"]["mappings"] = value.clone(),
            "settings" => body["template"]["settings"] = value.clone(),
            key => body[key] = value.clone(),
        }
    }
    body.to_string()
}

fn templates(table: &mut Table) {
    let mappings = json!({ "mappings": { "properties": {
        "@timestamp": { "type": "date" }, "labels": { "type": "flat_object" }, "k": { "type": "keyword" }, "short": { "type": "keyword", "ignore_above": 10 },
        "message": { "type": "text" }, "n": { "type": "long" }, "f": { "type": "double" }, "b": { "type": "boolean" }, "ip": { "type": "ip" },
        "nanos": { "type": "date_nanos" }, "o": { "properties": { "x": { "type": "keyword" } } }, "off": { "type": "object", "enabled": false },
        "lax": { "type": "long", "ignore_malformed": true }, "bare": { "type": "keyword", "index": false, "doc_values": false }, "w": { "type": "wildcard" },
    } } });
    for (name, body) in [
        ("alike", template("alike-*", &mappings)),
        (
            "alike-streams",
            template("alikes-*", &json!({ "data_stream": {} })),
        ),
        (
            "alike-few",
            template(
                "alikefew-*",
                &json!({ "settings": { "index.number_of_replicas": 0, "index": { "mapping.total_fields.limit": 5 } } }),
            ),
        ),
        (
            "alike-left",
            template(
                "alikeleft-*",
                &json!({ "mappings": { "dynamic": false, "properties": { "a": { "type": "keyword" } } } }),
            ),
        ),
        (
            "alike-strict",
            template(
                "alikestrict-*",
                &json!({ "mappings": { "dynamic": "strict", "properties": { "a": { "type": "keyword" } } } }),
            ),
        ),
        (
            "alike-words",
            template(
                "alikewords-*",
                &json!({ "mappings": { "date_detection": false,
            "dynamic_templates": [{ "words": { "match_mapping_type": "string", "mapping": { "type": "keyword", "ignore_above": 20 } } }] } }),
            ),
        ),
        (
            "alike-one",
            json!({ "index_patterns": "alikeone-*", "version": 3, "_meta": { "by": "a test" } }).to_string(),
        ),
        // Mistakes.
        (
            "alike-bad",
            json!({ "index_patterns": ["alikebad-*"], "tamplate": {} }).to_string(),
        ),
        ("alike-bad", "{}".to_owned()),
        ("alike-bad", String::new()),
        ("alike-bad", "{nope".to_owned()),
        ("alike-bad", template("alike-*", &json!({}))),
        ("alike-bad", template("alike-b*", &json!({}))),
        ("Alike-bad", template("alikebad-*", &json!({}))),
        (
            "alike-bad",
            template("alikebad-*", &json!({ "composed_of": ["nope"] })),
        ),
        (
            "alike-bad",
            template(
                "alikebad-*",
                &json!({ "mappings": { "properties": { "a": { "type": "nope" } } } }),
            ),
        ),
        (
            "alike-bad",
            template(
                "alikebad-*",
                &json!({ "mappings": { "properties": { "a": { "type": "keyword", "nope": 1 } } } }),
            ),
        ),
        (
            "alike-bad",
            template(
                "alikebad-*",
                &json!({ "mappings": { "properties": { "a": { "type": "flat_object", "ignore_above": 1 } } } }),
            ),
        ),
        (
            "alike-bad",
            template("alikebad-*", &json!({ "mappings": { "nope": 1 } })),
        ),
        ("alike?create=true", template("alike-*", &mappings)),
    ] {
        table.row("PUT", &format!("/_index_template/{name}"), body);
    }
    for (method, path) in [
        ("GET", "alike"),
        ("HEAD", "alike"),
        ("GET", "alike-nope"),
        ("HEAD", "alike-nope"),
        ("GET", "alike*"),
        ("GET", "alike-n*"),
        ("DELETE", "alike-nope"),
        ("DELETE", "alike-one"),
        ("HEAD", "alike-one"),
    ] {
        table.row(method, &format!("/_index_template/{path}"), "");
    }
}

fn forms(table: &mut Table) {
    let long = |length: usize| action("create", "alike-a", &"x".repeat(length)) + LINE;
    table.bulk(create("1"));
    table.bulk(create("1"));
    table.bulk(action("index", "alike-a", "1") + LINE);
    table.bulk(
        create("2") + &create("1") + &action("create", "alike-a", "3") + "{\"n\":\"x\"}\n" + &create("4"),
    );
    for line in [
        r#"{"create":{"_index":"alike-a"}}"#,
        r#"{"create":{}}"#,
        r#"{"create":{"_index":"alike-a","nope":1}}"#,
        r#"{"nope":{"_index":"alike-a"}}"#,
        r#"{"create":{"_index":"alike-a","_id":7}}"#,
        r#"{"create":{"_index":"alike-a","_id":null}}"#,
        r#"{"create":{"_index":"alike-a","_id":""}}"#,
        r#"{"create":{"_index":"alike-a","_id":{"a":1}}}"#,
        r#"{"create":{"_index":["a"]}}"#,
        r#"{"create":{"_index":null,"_id":"1"}}"#,
        r#"{"create":null}"#,
        r#"{"create":"x"}"#,
        "[]",
        "{}",
        "7",
        "\"x\"",
        "nope",
        r#"{"create":{"_index":"alike-a","_id":"y"},"x":1}"#,
        r#"{"create":{"_index":"alike-a","_id":"cut"}"#,
        r#"{"create":{"_index":"alike-a","_id":"two"}} {}"#,
        r#"{"create":{"_index":"alike-a","_id":"6","_id":"7"}}"#,
        r#"{"create":{"_index":"alike-a","_id":true}}"#,
        r#"{"create":{"_index":"alike-a","_id":"t","_type":"_doc"}}"#,
        r#"{"create":{"_index":"alike-a","_id":"r","routing":"a","require_alias":false}}"#,
        r#"{"index":{"_index":"alike-a","_id":"1","op_type":"create"}}"#,
    ] {
        table.bulk(format!("{line}\n{LINE}"));
    }
    table.bulk(long(512));
    table.bulk(long(513) + &create("not-in"));
    table.bulk(action("create", "alike-a", &"\u{e9}".repeat(257)) + LINE);
    table.bulk(create("last")).body.pop();
    table.bulk(action("create", "alike-a", "alone"));
    table.bulk(create("before") + &action("create", "alike-a", "alone"));
    table.bulk("");
    table.bulk("\n");
    table.bulk(format!("\n   \n{}", create("blank")));
    table.bulk(action("create", "alike-a", "bl1") + "\n" + LINE);
    table.bulk(create("crlf").replace('\n', "\r\n"));
    table.bulk(format!("\u{feff}{}", create("mark")));
    table.bulk(action("delete", "alike-a", "2"));
    table.bulk(action("delete", "alike-a", "nowhere"));
    table.bulk("{\"delete\":{\"_index\":\"alike-a\"}}\n");
    // Nothing of a request that was refused is there.
    table
        .row(
            "POST",
            "/alike-a/_count",
            json!({ "query": { "ids": { "values": ["not-in", "last", "alone", "bl1", "before", "mark"] } } })
                .to_string(),
        )
        .is_whole = true;
    let mut names = String::new();
    let long = ["x".repeat(255), "x".repeat(256)].map(|name| format!("alike-{}", &name[6..]));
    let all = [
        "Alike",
        "_x",
        "a b",
        "a#",
        "",
        "-x",
        "+x",
        "a,b",
        ".",
        "..",
        "a:b",
        "a*",
        "a?b",
        "a/b",
        "a\"b",
        "a|b",
        "a<b",
        "a\\b",
        "alike-\u{e9}",
        ".alike",
    ];
    for name in all.into_iter().chain(long.iter().map(String::as_str)) {
        names += &(action("create", name, "1") + "{}\n");
    }
    table.bulk(names).name = "names of indices".to_owned();
}

fn ways(table: &mut Table) {
    for (method, path) in [
        ("POST", "/alike-a/_bulk"),
        ("PUT", "/alike-a/_bulk"),
        ("PUT", "/_bulk"),
        ("POST", "/Alike/_bulk"),
        ("POST", "/_bulk?nope=1"),
        ("POST", "/_bulk?refresh=x"),
        ("POST", "/_bulk?refresh=true&timeout=5s"),
        ("POST", "/_bulk?require_alias=false&pretty"),
        ("GET", "/_bulk"),
        ("DELETE", "/_bulk"),
        ("GET", "/"),
        ("HEAD", "/"),
        ("POST", "/"),
        ("POST", "/nope/nope/nope"),
        ("GET", "/_nope"),
        ("HEAD", "/alike-a"),
        ("HEAD", "/alike-nope"),
        ("GET", "/alike-nope"),
        ("POST", "/alike-nope/_search"),
        ("POST", "/alike-nope*/_search"),
        ("PUT", "/alike-new"),
        ("PUT", "/alike-new"),
        ("PUT", "/Alike-new"),
        ("DELETE", "/alike-new"),
        ("DELETE", "/alike-new"),
        ("GET", "/_cluster/health"),
    ] {
        let body = if path.contains("_bulk") && ["POST", "PUT"].contains(&method) {
            format!("{{\"create\":{{\"_index\":\"alike-a\"}}}}\n{LINE}")
        } else {
            String::new()
        };
        let body = if path.starts_with("/Alike/") {
            format!("{{\"create\":{{}}}}\n{LINE}")
        } else {
            body
        };
        table.row(method, path, body);
    }
    for kind in [
        "",
        "text/plain",
        "application/x-ndjson; charset=utf-8",
        "application/x-www-form-urlencoded",
    ] {
        let row = table.bulk(create(&format!("kind {kind}")));
        row.headers = if kind.is_empty() {
            Vec::new()
        } else {
            vec![("Content-Type", kind)]
        };
    }
    for (number, wanted) in [
        "errors,items.*.status,items.*.error.type",
        "items.*.error.type",
        "errors",
        "items.*.status",
        "items.create.status",
        "items.*.error.type,items.*.status",
        "nope",
        "**.type",
        "items.**.type",
        "**.status",
        "items.*.s*",
        "-took,-items.*._*,-items.*.result,-items.*.error.reason,-items.*.error.caused_by",
        "errors,items.create.error.nope",
    ]
    .iter()
    .enumerate()
    {
        let body = action("create", "alike-a", &format!("w{number}"))
            + LINE
            + &action("create", "alike-a", "x")
            + "{\"n\":\"x\"}\n";
        let row = table.bulk(body);
        row.path = format!("/_bulk?filter_path={wanted}");
        row.is_whole = true;
        row.name = row.path.clone();
    }
    // What is wrong is said whatever was asked for.
    table.bulk("nope\n").path = "/_bulk?filter_path=errors".to_owned();
    table
        .row("GET", "/?filter_path=version.distribution", "")
        .is_whole = true;
}

fn encodings(table: &mut Table) {
    let good = || packed(&create("packed"));
    let mut cut = |bytes: Vec<u8>, name: &str| {
        let row = table.bulk(bytes);
        row.headers.push(GZIP);
        row.name = name.to_owned();
    };
    cut(good(), "gzip");
    cut(flipped(good(), 6), "gzip with a wrong checksum");
    cut(flipped(good(), 2), "gzip with a wrong length");
    cut(good()[..good().len() - 4].to_vec(), "gzip without its length");
    cut(good()[..good().len() - 8].to_vec(), "gzip without its end");
    cut(good()[..15].to_vec(), "gzip cut early");
    cut(create("plain").into_bytes(), "no gzip at all");
    cut(
        [packed(&create("m1")), packed(&create("m2"))].concat(),
        "two members of gzip",
    );
    cut([good(), b"garbage".to_vec()].concat(), "gzip and something else");
    cut(Vec::new(), "nothing, as gzip");
    cut(
        packed(
            &(action("create", "alike-a", "bomb") + "{\"message\":\"" + &"x".repeat(110_000_000) + "\"}\n"),
        ),
        "gzip of 110 MB",
    );
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(create("deflated").as_bytes()).unwrap();
    let row = table.bulk(encoder.finish().unwrap());
    row.headers.push(("Content-Encoding", "deflate"));
    let row = table.bulk(good());
    row.name = "gzip that is not called so".to_owned();
    let row = table.bulk("x");
    row.headers.push(("Content-Length", "104857601"));
    row.name = "a body above 100 MiB".to_owned();
}

fn values(table: &mut Table) {
    let long = |field: &str, length: usize| format!("{{\"{field}\":\"{}\"}}", "x".repeat(length));
    let (k, k_above, w_above) = (long("k", 32_766), long("k", 32_767), long("w", 40_000));
    let (short, message, bare, unasked) = (
        long("short", 40_000),
        long("message", 40_000),
        long("bare", 40_000),
        long("unasked", 40_000),
    );
    let (flat, flat_above) = (
        format!("{{\"labels\":{}}}", long("a", 32_750)),
        format!("{{\"labels\":{}}}", long("a", 32_751)),
    );
    table.documents(
        "alike-values",
        &[
            r#"{"labels":"s"}"#,
            r#"{"labels":["s"]}"#,
            r#"{"labels":[{"a":"b"}]}"#,
            r#"{"labels":null}"#,
            r#"{"labels":{"a":{"b":"c"}}}"#,
            r#"{"labels":7}"#,
            &flat,
            &flat_above,
            r#"{"labels.a":"x"}"#,
            r#"{"labels":{"a.b":"x","":"y","c":[1,{"d":null}],"e":true}}"#,
            r#"{"labels":{}}"#,
            &k,
            &k_above,
            &short,
            &message,
            &bare,
            &w_above,
            &unasked,
            r#"{"k":{"a":1}}"#,
            r#"{"k":["a",null,["b"]]}"#,
            r#"{"k":7}"#,
            r#"{"k":true}"#,
            r#"{"message":{"a":1}}"#,
            r#"{"message":true}"#,
            r#"{"n":"7"}"#,
            r#"{"n":"x"}"#,
            r#"{"n":1.5}"#,
            r#"{"n":99999999999999999999}"#,
            r#"{"n":true}"#,
            r#"{"n":""}"#,
            r#"{"n":[1,"x"]}"#,
            r#"{"n":null}"#,
            r#"{"n":{"a":1}}"#,
            r#"{"f":"x"}"#,
            r#"{"f":"1.5"}"#,
            r#"{"f":1e400}"#,
            r#"{"b":"true"}"#,
            r#"{"b":"x"}"#,
            r#"{"b":1}"#,
            r#"{"b":""}"#,
            r#"{"ip":"x"}"#,
            r#"{"ip":"1.2.3.4"}"#,
            r#"{"ip":"::1"}"#,
            r#"{"lax":"x"}"#,
            r#"{"lax":{"a":1}}"#,
            r#"{"off":"x"}"#,
            r#"{"off":{"a":1}}"#,
            r#"{"nanos":"2024-01-01T00:00:00.123456789Z"}"#,
            r#"{"nanos":"1500-01-01T00:00:00Z"}"#,
            r#"{"o":"x"}"#,
            r#"{"o":{"x":"y","z":1}}"#,
            r#"{"o.x":"y"}"#,
            r#"{"o":null}"#,
            r#"{"o":[{"x":"1"},{"x":"2"}]}"#,
            r#"{"o":["x"]}"#,
            r#"{"":1}"#,
            r#"{"a..b":1}"#,
            r#"{".a":1}"#,
            r#"{"dot.":1}"#,
            r#"{" ":1}"#,
            r#"{"_id":"x"}"#,
            r#"{"_source":1}"#,
            r#"{"_foo":1}"#,
        ],
    );
    let times: Vec<String> = [
        "x",
        "",
        "2024-01-01T00:00:00.123456789Z",
        "2024-01-01",
        "2024-01-01T00:00:00+02:00",
        "2024-01-01 00:00:00",
        "2024-01-01T00:00Z",
        "2024-01-01T00Z",
        "2024-01-01T",
        "2024",
        "2024-02",
        "2024-1-1",
        "20240101",
        "1700000000000",
        "-5",
        "1.5",
        "2024-01-01T00:00:00+0200",
        "2024-01-01T00:00:00+02",
        "2024-01-01T00:00:00.1234567890Z",
        "2024-01-01T00:00:00 Z",
        "2024-01-01T00:00:00z",
        "2024-02-30",
        "2024-02-29",
        "2023-02-29",
        "2024-01-01T24:00:00Z",
        "2024-01-01T00:00:60Z",
        "12024-01-01",
        "2024-01-01T00:00:00.Z",
        "2024-01-01t00:00:00Z",
        "2024-01-01T00:00:00,123Z",
    ]
    .iter()
    .map(|time| format!("{{\"@timestamp\":\"{time}\"}}"))
    .collect();
    let times: Vec<&str> = times
        .iter()
        .map(String::as_str)
        .chain([
            r#"{"@timestamp":1.5}"#,
            r#"{"@timestamp":-1}"#,
            r#"{"@timestamp":true}"#,
            r#"{"@timestamp":{"a":1}}"#,
            r#"{"@timestamp":[]}"#,
            r#"{"@timestamp":["x"]}"#,
        ])
        .collect();
    table.documents("alike-times", &times);
    let objects = |depth: usize| format!("{{{}\"x\":1{}}}", "\"d\":{".repeat(depth), "}".repeat(depth));
    let lists = |depth: usize| format!("{{\"e\":{}1{}}}", "[".repeat(depth), "]".repeat(depth));
    table.documents(
        "alike-deep",
        &[
            &objects(18),
            &objects(19),
            &objects(20),
            &objects(21),
            &lists(19),
            &lists(20),
            &lists(21),
            &objects(1_001),
            &lists(1_001),
        ],
    );
    let flat = |depth: usize| {
        format!(
            "{{\"labels\":{{{}\"x\":1{}}}}}",
            "\"d\":{".repeat(depth - 2),
            "}".repeat(depth - 2)
        )
    };
    table.documents("alike-flat", &[&flat(30), &flat(1_000)]);
    table
        .documents("alike-flat", &["{}", &flat(1_001), "{}"])
        .patience = SHORT_PATIENCE;
}

fn unasked(table: &mut Table) {
    table.documents(
        "alike-unasked",
        &[
            r#"{"app":"x"}"#,
            r#"{"app":{"k8s":"y"}}"#,
            r#"{"app.kubernetes.io/name":"z"}"#,
            r#"{"q.r":1}"#,
            r#"{"q":"s"}"#,
            r#"{"num":1}"#,
            r#"{"num":"x"}"#,
            r#"{"num":"2"}"#,
            r#"{"num":1.5}"#,
            r#"{"st":"x"}"#,
            r#"{"st":7}"#,
            r#"{"st":{"a":1}}"#,
            r#"{"bo":true}"#,
            r#"{"bo":"x"}"#,
            r#"{"d":"2024-01-01T00:00:00Z"}"#,
            r#"{"d":"x"}"#,
            r#"{"d":"2024-01-01"}"#,
            r#"{"nul":null}"#,
            r#"{"nul":{"a":1}}"#,
            r#"{"nul":"x"}"#,
            r#"{"arr":[1,2]}"#,
            r#"{"arr":["x"]}"#,
            r#"{"arr":{"a":1}}"#,
            r#"{"em":[]}"#,
            r#"{"em":{"a":1}}"#,
            r#"{"fl":1.5}"#,
            r#"{"fl":"x"}"#,
            r#"{"ob":{"a":1}}"#,
            r#"{"ob":"x"}"#,
            r#"{"ob":["x"]}"#,
            r#"{"ob":[]}"#,
            r#"{"mix":[1,"x"]}"#,
            r#"{"mix":"a refused document leaves nothing behind"}"#,
            r#"{"mix2":[{"a":1},7]}"#,
            r#"{"mix3":[7,{"a":1}]}"#,
            r#"{"s1":"2024/01/01"}"#,
            r#"{"s1":"x"}"#,
            r#"{"s2":"2024/01/01 10:00:00"}"#,
            r#"{"s2":"x"}"#,
            r#"{"s3":"2024-01-01 10:00:00"}"#,
            r#"{"s3":"x"}"#,
            r#"{"s4":"2024"}"#,
            r#"{"s4":"x"}"#,
            r#"{"s5":"10:00:00"}"#,
            r#"{"s5":"x"}"#,
            r#"{"s6":"2024-01"}"#,
            r#"{"s6":"x"}"#,
            r#"{"s7":"2024-13-01"}"#,
            r#"{"s7":"x"}"#,
            r#"{"o2":{}}"#,
            r#"{"o2":"x"}"#,
            r#"{"big":99999999999999999999}"#,
            r#"{"big":1}"#,
            r#"{"fl2":1e5}"#,
            r#"{"fl2":"x"}"#,
        ],
    );
    table.documents(
        "alikefew-a",
        &[
            r#"{"a":1,"b":1,"c":1,"d":1,"e":1}"#,
            r#"{"a":1,"f":1}"#,
            r#"{"a":2}"#,
        ],
    );
    table.documents(
        "alikefew-b",
        &[
            r#"{"a":"text and its keyword","b":"the same","c":1}"#,
            r#"{"d":1}"#,
        ],
    );
    table.documents(
        "alikefew-c",
        &[r#"{"a":{"b":{"c":1}},"d":1,"e":1}"#, r#"{"f.g":1}"#],
    );
    table.documents(
        "alikeleft-a",
        &[r#"{"a":"x","z":{"b":1}}"#, r#"{"z":"x"}"#, r#"{"a":{"b":1}}"#],
    );
    table.documents(
        "alikestrict-a",
        &[r#"{"a":"x"}"#, r#"{"z":"x"}"#, r#"{"z":null}"#, r#"{"z.y":1}"#],
    );
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(40_000));
    table.documents(
        "alikewords-a",
        &[
            &long,
            r#"{"a":{"b":1}}"#,
            r#"{"t":"2024-01-01"}"#,
            r#"{"t":"x"}"#,
            r#"{"n":1}"#,
            r#"{"n":"x"}"#,
        ],
    );
    let fields = |count: usize| {
        format!(
            "{{{}}}",
            (0..count)
                .map(|field| format!("\"f{field}\":1"))
                .collect::<Vec<_>>()
                .join(",")
        )
    };
    table.documents("alike-unasked-many", &[&fields(1_001), &fields(980)]);
}

fn sources(table: &mut Table) {
    table.documents(
        "alike-sources",
        &[
            "{nope",
            r#"{"message":1}"#,
            "\"str\"",
            "[]",
            "{}",
            r#"{"a":1}{"b":2}"#,
            r#"{"message":"a","message":"b"}"#,
            "7",
            "null",
            "   ",
            r#"{"message":"unterminated"#,
            r#"{"message":"a"} "#,
            r#" {"message":"a"}"#,
            r#"{"message":"\ud800"}"#,
            "{\"message\":\"\u{1}\"}",
            "{\"message\":\"\t\"}",
            r#"{"message":NaN}"#,
            "{'message':1}",
            r#"{"message":1,}"#,
            r#"{"message":01}"#,
            r#"{"message":"\x"}"#,
            "{\"message\":\"\u{0}\"}",
            r#"{"message":"\u0000"}"#,
            "{\"message\":\"\u{7f}\u{2028}\"}",
            r#"{"a":{"b":1,"b":2}}"#,
        ],
    );
    let mut bytes = action("create", "alike-sources", "bytes").into_bytes();
    bytes.extend_from_slice(b"{\"message\":\"\xff\xfe\"}\n");
    table.bulk(bytes).name = "no UTF-8".to_owned();
}

fn streams(table: &mut Table) {
    const TIMED: &str = "{\"@timestamp\":\"2024-01-01T00:00:00Z\",\"message\":\"a\"}\n";
    let on = |name: &str, id: &str| action(name, "alikes-a", id);
    table.bulk(
        on("index", "1")
            + TIMED
            + &on("create", "1")
            + TIMED
            + &on("create", "1")
            + TIMED
            + &on("create", "2")
            + LINE
            + &on("create", "3")
            + "{\"@timestamp\":[\"2024-01-01\",\"2024-01-02\"]}\n",
    );
    table.bulk(format!("{{\"index\":{{\"_index\":\"alikes-a\"}}}}\n{TIMED}"));
    table.bulk(on("delete", "1"));
    // Ids are there once in each backing index.
    table.row("POST", "/alikes-a/_rollover", "");
    table.bulk(on("create", "1") + TIMED);
    table.row("GET", "/alikes-a/_count", "").is_whole = true;
}

fn table() -> Table {
    let mut table = Table::default();
    templates(&mut table);
    forms(&mut table);
    ways(&mut table);
    encodings(&mut table);
    values(&mut table);
    unasked(&mut table);
    sources(&mut table);
    streams(&mut table);
    table
}

/// What of an answer must be alike.
fn verdict(answer: std::io::Result<Answer>, row: &Row) -> Value {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            return json!("no answer");
        }
        Err(_) => return json!("the connection ends"),
    };
    let mut body = answer.json();
    if row.is_whole {
        for part in ["took", "_shards"] {
            body.as_object_mut().map(|body| body.remove(part));
        }
        return json!({ "status": answer.status, "body": body });
    }
    let kind = |error: &Value| {
        if error.is_string() {
            json!("a sentence")
        } else {
            error["type"].clone()
        }
    };
    let items = body["items"].as_array().map(|items| {
        let item = |item: &Value| {
            let (name, answer) = item.as_object().unwrap().iter().next().unwrap();
            json!([name, answer["status"], kind(&answer["error"])])
        };
        items.iter().map(item).collect::<Vec<_>>()
    });
    json!({ "status": answer.status, "errors": body["errors"], "error": kind(&body["error"]), "items": items })
}

/// Where versions differ the newest is meant.
fn compare(node: &Node, is_newest: bool) {
    let fake = Fake::start();
    let table = table();
    let mut differences = Vec::new();
    for row in &table.0 {
        let ask = |url: &str| {
            verdict(
                ask_within(row.patience, url, row.method, &row.path, &row.headers, &row.body),
                row,
            )
        };
        // A count sees what was refreshed.
        if row.path.ends_with("_count") {
            node.refresh(row.path.split('/').nth(1).unwrap());
        }
        let (real, ours) = (ask(&node.url()), ask(&fake.url()));
        if real != ours {
            differences.push(difference(row, &real, &ours));
        }
    }
    assert!(table.0.len() > 120, "{} rows", table.0.len());
    let text = differences.join("\n");
    assert!(
        !is_newest || differences.is_empty(),
        "{} of {} rows differ:\n{text}",
        differences.len(),
        table.0.len()
    );
    // Version 2 calls some mistakes by other names; what was stored is what counts there.
    let stored = |all: Vec<(String, Value)>| {
        all.into_iter()
            .filter(|(id, _)| id.len() < 20 && !id.starts_with("made-"))
            .map(|(id, _)| id)
            .collect::<Vec<_>>()
    };
    for index in [
        "alike-a",
        "alike-values",
        "alike-times",
        "alike-unasked",
        "alikes-a",
    ] {
        let (mut real, mut ours) = (
            stored(node.documents(index).collect()),
            stored(fake.documents(index)),
        );
        real.sort();
        ours.sort();
        assert_eq!(real, ours, "{index}:\n{text}");
    }
}

fn difference(row: &Row, real: &Value, ours: &Value) -> String {
    let (Some(theirs), Some(own)) = (real["items"].as_array(), ours["items"].as_array()) else {
        return format!("{}\n  real {real}\n  fake {ours}", row.name);
    };
    let body = String::from_utf8_lossy(&row.body).into_owned();
    let lines: Vec<&str> = body.lines().collect();
    let mut text = row.name.clone();
    for (number, (real, ours)) in theirs
        .iter()
        .zip(own)
        .enumerate()
        .filter(|(_, (real, ours))| real != ours)
    {
        let cut = |line: &str| line.chars().take(90).collect::<String>();
        let shown: Vec<String> = [2 * number, 2 * number + 1]
            .iter()
            .filter_map(|line| lines.get(*line))
            .map(|line| cut(line))
            .collect();
        text += &format!("\n  {shown:?}\n    real {real}\n    fake {ours}");
    }
    text
}

#[test]
fn the_fake_answers_as_the_real_node_does() {
    let Some(node) = Node::shared() else { return };
    compare(node, true);
}

#[test]
fn the_fake_stores_what_version_2_stores() {
    if std::env::var_os("SKOPOS_TEST_LONG").is_none() {
        return;
    }
    let Some(node) = Node::start_version(Version::Two, &[]) else {
        return;
    };
    compare(&node, false);
}

#[test]
fn blocks_and_missing_indices_are_answered_alike() {
    let Some(node) = Node::shared() else { return };
    let fake = Fake::start();
    let body =
        action("create", "alikeblocked", "1") + "{}\n" + &action("create", "alikeblocked", "2") + "{}\n";
    let item = |answer: Answer| {
        let body = answer.json();
        let item = &body["items"][0]["create"];
        (
            answer.status,
            body["errors"].clone(),
            item["status"].clone(),
            item["error"]["type"].clone(),
        )
    };
    let both = |body: &str| {
        let ask = |url: &str| item(crate::ask(url, "POST", "/_bulk", &[NDJSON], body.as_bytes()).unwrap());
        (ask(&node.url()), ask(&fake.url()))
    };
    let mut seen = BTreeMap::new();
    both(&body);
    for (setting, status) in [
        ("index.blocks.write", 403),
        ("index.blocks.read_only_allow_delete", 429),
    ] {
        node.set_index("alikeblocked", setting, true);
        fake.block("alikeblocked", Some(status));
        let (real, ours) = both(&body);
        assert_eq!(real, ours, "{setting}");
        seen.insert(setting, real.2);
        node.set_index("alikeblocked", setting, Value::Null);
        fake.block("alikeblocked", None);
    }
    assert_eq!(
        node.ask("POST", "/alikeblocked/_close", &[], b"").unwrap().status,
        200
    );
    fake.block("alikeblocked", Some(400));
    let (real, ours) = both(&body);
    assert_eq!(real, ours);
    assert_eq!(
        (seen["index.blocks.write"].clone(), real.2),
        (json!(403), json!(400))
    );
}
