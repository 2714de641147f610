//! A record as a JSON document, and its id.
//!
//! An id comes from the file and its content, so that a record sent again is the same document. What is the same for all
//! records of a file is written once a batch.

use std::borrow::Cow;
use std::fmt::Write;
use std::ops::Range;

use model::{Pod, Timestamp};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::civil::civil;
use super::escape::escape;
use super::json::Object;
use crate::batch::{Batch, Row, level_of};
use crate::mark::{Facts, FileMark, Form};
use crate::parse::{Parser, Reading};
use crate::plan::Plan;
use crate::source::Container;

/// 48 bits of time, 64 of the file, 48 of the place in it, as characters.
const ID_BYTES: usize = 27;
/// Spreads a small number over all bits.
const LINES_SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
/// Facts of a record that are a container's.
const KUBERNETES: [&str; 5] = ["namespace", "pod", "pod_uid", "container", "node"];
/// Fronts of facts that are objects of their own: of a container outside of Kubernetes, of what happened, and of the object of
/// Kubernetes that it happened to.
const CONTAINER: &str = "container.";
const EVENT: &str = "event.";
const OBJECT: &str = "object.";

/// Names a record.
pub(crate) enum Id<'a> {
    Made([u8; ID_BYTES]),
    /// By its source.
    Given(&'a str),
}

impl Id<'_> {
    /// As the inside of a JSON string.
    pub(crate) fn write(&self, body: &mut Vec<u8>) {
        match self {
            Self::Made(id) => body.extend_from_slice(id),
            Self::Given(id) => escape(body, id.as_bytes()),
        }
    }

    pub(crate) fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Made(id) => String::from_utf8_lossy(id),
            Self::Given(id) => Cow::Borrowed(id),
        }
    }
}

/// Whether a document has all that is known, or only what nobody can mistake.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Dress {
    #[default]
    Full,
    /// Time, text and where it is from: after a refusal.
    Plain,
}

/// Writes the records of one batch.
pub(crate) struct Documents<'a> {
    batch: &'a Batch,
    files: Vec<FileParts>,
    style: Style<'a>,
    second: Second,
}

/// What documents of a destination have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style<'a> {
    /// Whether a document carries its id, as `event.id`.
    pub(crate) says_id: bool,
    /// Whether what lines say is stored as fields.
    pub(crate) reads_fields: bool,
    /// Whether a document says where it is from: file, pod and host.
    pub(crate) says_place: bool,
    /// Names this machine; ids of the same file on another are others.
    pub(crate) host: &'a str,
}

/// What all records of a file share.
struct FileParts {
    /// Of the file itself, on this host.
    key: u64,
    /// All behind the offset.
    rest: String,
    plain_rest: String,
    /// What the giver of the records says of what happened, as the inside of an object.
    event: String,
}

impl<'a> Documents<'a> {
    pub(crate) fn new(batch: &'a Batch, style: Style<'a>) -> Self {
        Self {
            files: batch
                .marks
                .iter()
                .enumerate()
                .map(|(nth, mark)| FileParts::new(mark, batch.plan(nth), style.host))
                .collect(),
            batch,
            style,
            second: Second::default(),
        }
    }

    /// Whether documents from now on carry their ids.
    pub(crate) fn say_ids(&mut self, says_id: bool) {
        self.style.says_id = says_id;
    }

    pub(crate) fn batch(&self) -> &'a Batch {
        self.batch
    }

    /// The document of a record, on one line.
    pub(crate) fn document(&mut self, nth: usize) -> Vec<u8> {
        let mut body = Vec::new();
        if let Some((row, text)) = self.batch.record(nth) {
            let id = self.id(&row);
            self.write(&mut body, &row, text, Dress::Full, &id);
        }
        body
    }

    /// Appends the document of a record. `text` is the record's own, or its front.
    pub(crate) fn write(&mut self, body: &mut Vec<u8>, row: &Row, text: &[u8], dress: Dress, id: &Id<'_>) {
        self.write_front(body, row, text, dress, id);
        body.extend_from_slice(self.rest(row.file, dress).as_bytes());
    }

    /// Behind what [`Self::write_front`] has written: the same for all records of a file.
    pub(crate) fn rest(&self, file: u16, dress: Dress) -> &str {
        match self.files.get(usize::from(file)) {
            Some(parts) if dress == Dress::Plain => &parts.plain_rest,
            Some(parts) if self.style.says_place => &parts.rest,
            _ => "}",
        }
    }

    /// Appends the document without its end. Returns where in `body` the record's own text and fields stand: all else is
    /// much the same in each record of a file.
    pub(crate) fn write_front(
        &mut self,
        body: &mut Vec<u8>,
        row: &Row,
        text: &[u8],
        dress: Dress,
        id: &Id<'_>,
    ) -> Range<usize> {
        body.extend_from_slice(b"{\"@timestamp\":\"");
        self.second.write(body, row.time, row.nanos);
        body.extend_from_slice(match dress {
            Dress::Full => level_and_stream(row),
            Dress::Plain => b"\",\"message\":\"",
        });
        let start = body.len();
        let reading = (dress == Dress::Full && self.style.reads_fields)
            .then(|| self.parser(row).read(text))
            .flatten();
        match &reading {
            Some(Reading::Json(object)) => body.extend_from_slice(object.message),
            Some(Reading::Fields(fields)) => escape(body, &fields.message),
            None => escape(body, text),
        }
        let mut end = body.len();
        body.push(b'"');
        if dress == Dress::Plain {
            return start..end;
        }
        let event = self
            .files
            .get(usize::from(row.file))
            .map_or("", |parts| parts.event.as_str());
        if self.style.says_id || !event.is_empty() {
            body.extend_from_slice(b",\"event\":{");
            if self.style.says_id {
                body.extend_from_slice(b"\"id\":\"");
                id.write(body);
                body.extend_from_slice(if event.is_empty() { b"\"" } else { b"\"," });
            }
            body.extend_from_slice(event.as_bytes());
            body.push(b'}');
        }
        if reading.is_some_and(|reading| write_fields(body, &reading)) {
            end = body.len();
        }
        if self.style.says_place {
            body.extend_from_slice(b",\"log\":{\"offset\":");
            decimal(body, row.offset);
            if row.lines > 0 {
                body.extend_from_slice(b",\"lines\":");
                decimal(body, u64::from(row.lines));
            }
        }
        start..end
    }

    fn parser(&self, row: &Row) -> &'a Parser {
        static USUAL: Parser = Parser::Auto;
        let plan = self.batch.plan(usize::from(row.file));
        plan.map_or(&USUAL, |plan| &plan.way(row.stream).parser)
    }

    /// Time first, so that OpenSearch finds quickly that it has no such id; then the file; then the place in it.
    /// One that the record's source has given is better than all of this.
    pub(crate) fn id(&self, row: &Row) -> Id<'a> {
        if let Some(given) = self.batch.given(row) {
            return Id::Given(given);
        }
        // A line without a time of its own has the time at which it was read, which is another one the next time.
        let time = if row.is_timed { row.time.0 } else { 0 };
        let key = self.files.get(usize::from(row.file)).map_or(0, |parts| parts.key);
        // A record that was ended too early is another one than the longer one that it would have been.
        let key = key ^ u64::from(row.lines).wrapping_mul(LINES_SPREAD);
        Id::Made(id_letters(time.cast_unsigned(), key, row.offset))
    }
}

/// 48 bits of the time, 64 of the file and 48 of the place in it, in the URL-safe letters of RFC 4648 (section 5), unpadded.
fn id_letters(time: u64, key: u64, offset: u64) -> [u8; ID_BYTES] {
    let low = (key & 0xf) << 48 | offset & 0xffff_ffff_ffff;
    let mut id = [0; ID_BYTES];
    let (front, rest) = id.split_at_mut(8);
    let (middle, end) = rest.split_at_mut(10);
    put_letters(front, time);
    put_letters(middle, key >> 4);
    // The last letter has two bits more than there are.
    put_letters(end, low << 2);
    id
}

/// Six bits a letter, the lowest last.
#[inline]
fn put_letters(letters: &mut [u8], bits: u64) {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut left = bits;
    for place in letters.iter_mut().rev() {
        *place = LETTERS[left as usize % LETTERS.len()];
        left >>= 6;
    }
}

impl FileParts {
    fn new(mark: &FileMark, plan: Option<&Plan>, host: &str) -> Self {
        let seed = xxh3_64_with_seed(host.as_bytes(), 0);
        let mut name = mark.id.0.to_le_bytes().to_vec();
        name.extend_from_slice(mark.base.as_bytes());
        let text = |text: &str| {
            let mut quoted = vec![b'"'];
            escape(&mut quoted, text.as_bytes());
            quoted.push(b'"');
            String::from_utf8_lossy(&quoted).into_owned()
        };
        let container = (mark.form == Form::Cri)
            .then(|| Container::of(&mark.base))
            .flatten();
        let pod = plan.and_then(|plan| plan.pod.as_deref());
        let place = container.as_ref().map_or(String::new(), |container| {
            format!(
                ",\"kubernetes\":{{\"namespace\":{},\"pod\":{},\"pod_uid\":{},\"container\":{},\"restart\":{}{}}}{}",
                text(container.namespace),
                text(container.pod),
                text(container.uid),
                text(container.name),
                container.restart,
                pod.map(|pod| pod_parts(pod, text)).unwrap_or_default(),
                pod.map(|pod| zone(pod, text)).unwrap_or_default(),
            )
        });
        let event = mark.facts.as_ref().map(|facts| event_of(facts, &text));
        let (place, host) = match &mark.facts {
            None => (place, host),
            Some(facts) => (given_place(facts, &text), facts.said("host").unwrap_or(host)),
        };
        let end = format!("{place},\"host\":{{\"name\":{}}}}}", text(host));
        Self {
            key: xxh3_64_with_seed(&name, seed),
            rest: format!(",\"file\":{{\"path\":{}}}}}{end}", text(&mark.base)),
            plain_rest: end,
            event: event.unwrap_or_default(),
        }
    }
}

/// What is known of a pod beyond its name. Dots in keys of labels would make a tree of them, in which `app` cannot be both a
/// word and a branch.
fn pod_parts(pod: &Pod, text: impl Fn(&str) -> String) -> String {
    let mut parts = String::new();
    if !pod.node.is_empty() {
        parts.push_str(&format!(",\"node\":{}", text(&pod.node)));
    }
    if let Some(owner) = &pod.owner {
        let (kind, name) = (text(&owner.kind), text(&owner.name));
        parts.push_str(&format!(",\"owner\":{{\"kind\":{kind},\"name\":{name}}}"));
    }
    let mut labels: Vec<(String, &String)> = Vec::new();
    for (key, value) in &pod.labels {
        let key = key.replace('.', "_");
        if labels.iter().all(|(known, _)| *known != key) {
            labels.push((key, value));
        }
    }
    if !labels.is_empty() {
        let labels = labels
            .iter()
            .map(|(key, value)| format!("{}:{}", text(key), text(value)));
        let labels = labels.collect::<Vec<_>>().join(",");
        parts.push_str(&format!(",\"labels\":{{{labels}}}"));
    }
    parts
}

fn zone(pod: &Pod, text: impl Fn(&str) -> String) -> String {
    if pod.zone.is_empty() {
        return String::new();
    }
    format!(",\"cloud\":{{\"availability_zone\":{}}}", text(&pod.zone))
}

/// What the giver of records has said of himself: what Kubernetes would say under its names, and the rest.
fn given_place(facts: &Facts, text: &impl Fn(&str) -> String) -> String {
    let object = |is_wanted: &dyn Fn(&str) -> bool| {
        let fields = facts.more.iter().filter(|(name, _)| is_wanted(name));
        let fields = fields.map(|(name, value)| format!("{}:{}", text(name), text(value)));
        fields.collect::<Vec<_>>().join(",")
    };
    let of_kubernetes = |name: &str| KUBERNETES.contains(&name);
    let mut place = String::new();
    let mut kubernetes = object(&of_kubernetes);
    let about = object_behind(facts, OBJECT, text);
    if !about.is_empty() {
        let comma = if kubernetes.is_empty() { "" } else { "," };
        kubernetes.push_str(&format!("{comma}\"object\":{{{about}}}"));
    }
    if !kubernetes.is_empty() {
        place.push_str(&format!(",\"kubernetes\":{{{kubernetes}}}"));
    }
    let container = object_behind(facts, CONTAINER, text);
    if !container.is_empty() {
        place.push_str(&format!(",\"container\":{{{container}}}"));
    }
    let is_placed = |name: &str| {
        [CONTAINER, EVENT, OBJECT]
            .iter()
            .any(|front| name.starts_with(front))
    };
    let rest = object(&|name| name != "host" && !of_kubernetes(name) && !is_placed(name));
    if !rest.is_empty() {
        place.push_str(&format!(",\"origin\":{{{rest}}}"));
    }
    place
}

/// What happened, as the inside of an object.
fn event_of(facts: &Facts, text: &impl Fn(&str) -> String) -> String {
    let told = facts
        .more
        .iter()
        .filter_map(|(name, value)| Some((name.strip_prefix(EVENT)?, value)));
    let fields = told.map(|(name, value)| match (name, value.parse::<u64>()) {
        ("count", Ok(count)) => format!("\"count\":{count}"),
        _ => format!("{}:{}", text(name), text(value)),
    });
    fields.collect::<Vec<_>>().join(",")
}

/// Facts whose names have this front, without it; and labels among them as an object of their own.
fn object_behind(facts: &Facts, front: &str, text: &impl Fn(&str) -> String) -> String {
    let (mut fields, mut labels) = (Vec::new(), Vec::new());
    for (name, value) in &facts.more {
        let Some(name) = name.strip_prefix(front) else {
            continue;
        };
        match name.strip_prefix("labels.") {
            Some(label) => labels.push(format!("{}:{}", text(label), text(value))),
            None => fields.push(format!("{}:{}", text(name), text(value))),
        }
    }
    if !labels.is_empty() {
        fields.push(format!("\"labels\":{{{}}}", labels.join(",")));
    }
    fields.join(",")
}

/// Nothing when there are none.
fn write_fields(body: &mut Vec<u8>, reading: &Reading<'_>) -> bool {
    const FRONT: &[u8] = b",\"fields\":{";
    match reading {
        Reading::Json(Object {
            fields: [before, behind],
            ..
        }) => {
            if before.is_empty() && behind.is_empty() {
                return false;
            }
            body.extend_from_slice(FRONT);
            body.extend_from_slice(before);
            if !before.is_empty() && !behind.is_empty() {
                body.push(b',');
            }
            body.extend_from_slice(behind);
        }
        Reading::Fields(fields) => {
            if fields.list.is_empty() {
                return false;
            }
            body.extend_from_slice(FRONT);
            for (nth, field) in fields.list.iter().enumerate() {
                body.extend_from_slice(if nth == 0 { b"\"" } else { b",\"" });
                escape(body, &field.name);
                body.extend_from_slice(b"\":");
                if field.is_number {
                    body.extend_from_slice(&field.value);
                } else {
                    body.push(b'"');
                    escape(body, &field.value);
                    body.push(b'"');
                }
            }
        }
    }
    body.push(b'}');
    true
}

/// What stands between a record's time and its message.
fn level_and_stream(row: &Row) -> &'static [u8] {
    use model::Level;
    /// Without a stream, and of either.
    macro_rules! each {
        ($level:literal) => {
            match row.stream {
                1 => concat!(
                    "\",\"level\":\"",
                    $level,
                    "\",\"stream\":\"stdout\",\"message\":\""
                ),
                2 => concat!(
                    "\",\"level\":\"",
                    $level,
                    "\",\"stream\":\"stderr\",\"message\":\""
                ),
                _ => concat!("\",\"level\":\"", $level, "\",\"message\":\""),
            }
        };
    }
    let text = match level_of(row.level) {
        Level::Trace => each!("trace"),
        Level::Debug => each!("debug"),
        Level::Info => each!("info"),
        Level::Warn => each!("warn"),
        Level::Error => each!("error"),
        Level::Fatal => each!("fatal"),
    };
    text.as_bytes()
}

/// Writes times, of which most are in the same second as the one before.
#[derive(Default)]
struct Second {
    seconds: Option<i64>,
    text: String,
}

impl Second {
    /// `2026-11-27T12:00:00.123456789Z`, as many digits as are known.
    fn write(&mut self, body: &mut Vec<u8>, time: Timestamp, nanos: u32) {
        let seconds = time.0.div_euclid(1_000);
        if self.seconds != Some(seconds) {
            self.seconds = Some(seconds);
            let (year, month, day) = civil(seconds.div_euclid(86_400));
            let rest = seconds.rem_euclid(86_400);
            let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
            self.text.clear();
            // Writing to a string cannot fail.
            _ = write!(
                self.text,
                "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}."
            );
        }
        body.extend_from_slice(self.text.as_bytes());
        let millis = u32::try_from(time.0.rem_euclid(1_000)).unwrap_or(0);
        // A one in front of a fraction keeps its zeros.
        let mut digits = itoa::Buffer::new();
        let digits = match nanos {
            0 => digits.format(1_000 + millis),
            _ => digits.format(1_000_000_000 + millis * 1_000_000 + nanos),
        };
        body.extend_from_slice(digits.get(1..).unwrap_or_default().as_bytes());
        body.push(b'Z');
    }
}

fn decimal(body: &mut Vec<u8>, number: u64) {
    body.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

#[cfg(test)]
pub(crate) mod tests {
    use base64::Engine;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::mark::{FileId, Inode, Print};

    pub(crate) fn mark(base: &str, form: Form) -> FileMark {
        FileMark {
            id: FileId(7),
            form,
            source: "".into(),
            base: base.into(),
            path: base.into(),
            inode: Inode {
                dev: 1,
                ino: 2,
                born: 3,
            },
            generation: 0,
            head: Print::default(),
            read: 0,
            check: Print::default(),
            done: [0; 3],
            copy: false,
            packed: false,
            gone: false,
            facts: None,
            days: crate::days::Days::default(),
        }
    }

    pub(crate) fn one(text: &[u8], row: Row, base: &str, form: Form) -> Batch {
        Batch {
            text: text.to_vec(),
            rows: vec![Row {
                end: u32::try_from(text.len()).unwrap(),
                ..row
            }],
            marks: vec![mark(base, form)],
            ..Batch::default()
        }
    }

    const STYLE: Style<'_> = Style {
        says_id: true,
        reads_fields: true,
        says_place: true,
        host: "node-1",
    };

    fn written(batch: &Batch, dress: Dress, style: Style<'_>) -> Value {
        let mut documents = Documents::new(batch, style);
        let (row, text) = batch.record(0).unwrap();
        let (mut body, id) = (Vec::new(), documents.id(&row));
        documents.write(&mut body, &row, text, dress, &id);
        serde_json::from_slice(&body).unwrap()
    }

    #[test]
    fn a_container_line_carries_its_pod_and_an_id_of_file_and_offset() {
        let row = Row {
            time: Timestamp(1_795_780_800_123),
            nanos: 456_789,
            offset: 42,
            stream: 2,
            level: 4,
            is_timed: true,
            ..Row::default()
        };
        let batch = one(
            b"a \"b\"\n\x01",
            row,
            "/var/log/pods/shop_api-0_u-1/web/3.log",
            Form::Cri,
        );
        let document = written(&batch, Dress::Full, STYLE);
        assert_eq!(document["event"]["id"].as_str().unwrap().len(), 27);
        assert_eq!(document["@timestamp"], "2026-11-27T12:00:00.123456789Z");
        assert_eq!(document["message"], "a \"b\"\n\u{1}");
        assert_eq!(
            (&document["level"], &document["stream"]),
            (&"error".into(), &"stderr".into())
        );
        assert_eq!(document["log"]["offset"], 42);
        assert_eq!(document["kubernetes"]["pod"], "api-0");
        assert_eq!(document["kubernetes"]["pod_uid"], "u-1");
        assert_eq!(document["kubernetes"]["container"], "web");
        assert_eq!(document["kubernetes"]["restart"], 3);
        assert_eq!(document["host"]["name"], "node-1");

        let plain = written(&batch, Dress::Plain, STYLE);
        assert_eq!(plain["message"], document["message"]);
        assert_eq!(plain["kubernetes"], document["kubernetes"]);
        assert!(plain.get("log").is_none());

        let lean = Style {
            says_id: false,
            says_place: false,
            ..STYLE
        };
        let lean = written(&batch, Dress::Full, lean);
        let keys: Vec<&String> = lean.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["@timestamp", "level", "message", "stream"]);
    }

    #[test]
    fn a_line_of_docker_carries_its_container() {
        let mut batch = one(
            b"x",
            Row::default(),
            "/var/lib/docker/containers/4f/4f-json.log",
            Form::Cri,
        );
        let more = [
            ("container.name", "shop-web-1"),
            ("container.labels.a.b", "\"c\""),
            ("pod", "api-0"),
        ];
        let more = more.map(|(name, value)| (name, value.to_owned()));
        batch.marks[0].facts = Some(std::sync::Arc::new(Facts::new("shop-web-1", more)));
        let document = written(&batch, Dress::Full, STYLE);
        assert_eq!(
            document["container"],
            serde_json::json!({"name": "shop-web-1", "labels": {"a.b": "\"c\""}})
        );
        assert_eq!(document["kubernetes"], serde_json::json!({"pod": "api-0"}));
        assert_eq!(document.get("origin"), None);
        assert_eq!(document["host"]["name"], "node-1");
    }

    #[test]
    fn a_line_of_json_keeps_its_fields_apart_from_ours() {
        let line = br#"{"level":"error","msg":"no \"route\"","took":{"ms":1.50},"@timestamp":"x"}"#;
        let batch = one(line, Row::default(), "/a", Form::Plain);
        let document = written(&batch, Dress::Full, STYLE);
        assert_eq!(document["message"], "no \"route\"");
        let fields = serde_json::json!({"level": "error", "took": {"ms": 1.5}, "@timestamp": "x"});
        assert_eq!(document["fields"], fields);
        let plain = written(&batch, Dress::Plain, STYLE);
        assert_eq!(plain["message"], std::str::from_utf8(line).unwrap());
    }

    #[test]
    fn ids_of_earlier_lines_sort_before_later_ones_and_an_untimed_line_keeps_its_id() {
        let id = |time, offset, is_timed| {
            let row = Row {
                time: Timestamp(time),
                offset,
                is_timed,
                ..Row::default()
            };
            written(&one(b"x", row, "/a", Form::Plain), Dress::Full, STYLE)["event"]["id"].clone()
        };
        let (early, late) = (id(1_000_000_000_000, 9, true), id(1_900_000_000_000, 0, true));
        let front = |id: &Value| BASE64_URL_SAFE_NO_PAD.decode(id.as_str().unwrap()).unwrap();
        assert!(front(&early) < front(&late));
        assert_eq!(id(1, 5, false), id(2, 5, false));
        assert_ne!(id(1, 5, false), id(1, 6, false));
    }

    #[test]
    fn what_the_giver_of_a_record_says_is_in_the_document_and_so_is_its_id() {
        let mut batch = one(b"x", Row::default(), "/data/logs/spool", Form::Spool);
        let more = [
            ("namespace", "shop"),
            ("pod", "cart-1"),
            ("host", "node-9"),
            ("tag", "kube.\"x"),
        ];
        let more = more.map(|(name, value)| (name, value.to_owned()));
        batch.marks[0].facts = Some(std::sync::Arc::new(Facts::new("shop/cart-1/app", more)));
        let of_place = written(&batch, Dress::Full, STYLE)["event"]["id"].clone();
        batch.ids = vec!["37/\"1\"".into()];
        batch.rows[0].given = 1;
        let document = written(&batch, Dress::Full, STYLE);
        assert_eq!(document["event"]["id"], "37/\"1\"");
        assert_ne!(of_place, document["event"]["id"]);
        assert_eq!(
            document["kubernetes"],
            serde_json::json!({"namespace": "shop", "pod": "cart-1"})
        );
        assert_eq!(document["host"]["name"], "node-9");
        assert_eq!(document["origin"], serde_json::json!({"tag": "kube.\"x"}));
    }

    #[test]
    fn what_happened_and_to_what_stands_beside_the_id() {
        let mut batch = one(b"x", Row::default(), "/data/logs/spool", Form::Spool);
        let more = [
            ("event.reason", "BackOff"),
            ("event.count", "7"),
            ("object.kind", "Pod"),
            ("namespace", "shop"),
            ("node", "n\"1"),
        ];
        let more = more.map(|(name, value)| (name, value.to_owned()));
        batch.marks[0].facts = Some(std::sync::Arc::new(Facts::new("shop/web-1/events", more)));
        let document = written(&batch, Dress::Full, STYLE);
        let event = document["event"].as_object().unwrap();
        assert_eq!(
            (&event["reason"], &event["count"]),
            (&"BackOff".into(), &7.into())
        );
        assert_eq!(event.len(), 3, "with its id: {document}");
        let kubernetes = serde_json::json!({"namespace": "shop", "node": "n\"1", "object": {"kind": "Pod"}});
        assert_eq!(document["kubernetes"], kubernetes);
        assert_eq!(document.get("origin"), None);
        let nameless = Style {
            says_id: false,
            ..STYLE
        };
        let event = written(&batch, Dress::Full, nameless)["event"].clone();
        assert_eq!(event, serde_json::json!({"reason": "BackOff", "count": 7}));
    }

    proptest! {
        #[test]
        fn ids_are_their_bytes_in_base64(time: u64, key: u64, offset: u64) {
            let bytes = [&time.to_be_bytes()[2..], &key.to_be_bytes(), &offset.to_be_bytes()[2..]].concat();
            let id = id_letters(time, key, offset);
            prop_assert_eq!(BASE64_URL_SAFE_NO_PAD.encode(bytes), String::from_utf8_lossy(&id));
        }

        #[test]
        fn numbers_and_times_are_written_as_they_are(number: u64, time in 0i64..4_102_444_800_000, nanos in 0u32..1_000_000) {
            let mut body = Vec::new();
            decimal(&mut body, number);
            prop_assert_eq!(String::from_utf8(body).unwrap(), number.to_string());
            let mut body = Vec::new();
            Second::default().write(&mut body, Timestamp(time), nanos);
            let text = String::from_utf8(body).unwrap();
            let read: jiff::Timestamp = text.parse().unwrap();
            prop_assert_eq!(read.as_nanosecond(), i128::from(time) * 1_000_000 + i128::from(nanos));
        }
    }
}
