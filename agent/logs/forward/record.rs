//! Makes a record of the spool of a sender's record: its text, and whose it is.
//!
//! A record that is nothing but a text is that text. Any other is a JSON object, its text first, as if a logger had
//! written it: every sink knows what to do with one.

use std::sync::Arc;

use super::Refusal;
use super::pack::{Value, json, string, take, whole};
use crate::mark::Facts;
use crate::spool::Record;

/// Names under which senders have the text, the first that is there.
const TEXT: [&[u8]; 3] = [b"log", b"message", b"msg"];
/// What Fluent Bit's and Fluentd's Kubernetes filters say, and what it is called here.
const KUBERNETES: [(&[u8], &str); 5] = [
    (b"namespace_name", "namespace"),
    (b"pod_name", "pod"),
    (b"pod_id", "pod_uid"),
    (b"container_name", "container"),
    (b"host", "host"),
];

/// Makes records of one tag; whose they are is worked out only when it changes.
pub(super) struct Maker<'a> {
    tag: &'a str,
    last: Option<Last>,
}

struct Last {
    /// What the sender has said of it.
    kubernetes: Vec<u8>,
    facts: Arc<Facts>,
    /// The rest of that, as JSON.
    rest: Vec<u8>,
}

impl<'a> Maker<'a> {
    pub(super) fn new(tag: &'a str) -> Self {
        Self { tag, last: None }
    }

    pub(super) fn make(&mut self, nanos: i64, mut record: &[u8]) -> Result<Record, Refusal> {
        let Value::Map(count) = take(&mut record)? else {
            return Err(Refusal::malformed("a record that is no map"));
        };
        let mut fields: Vec<(&[u8], &[u8])> = Vec::new();
        let (mut stream, mut kubernetes) = (0, &b""[..]);
        for _ in 0..count {
            let name = whole(&mut record)?;
            let value = whole(&mut record)?;
            match (text_of(name), text_of(value)) {
                (Some(b"stream"), Some(b"stdout")) => stream = 1,
                (Some(b"stream"), Some(b"stderr")) => stream = 2,
                (Some(b"kubernetes"), _) if is_map(value) => kubernetes = value,
                _ => fields.push((name, value)),
            }
        }
        let text = TEXT.iter().find_map(|wanted| {
            let at = fields
                .iter()
                .position(|(name, value)| text_of(name) == Some(wanted) && text_of(value).is_some())?;
            Some(fields.remove(at))
        });
        let last = self.whose(kubernetes)?;
        let line = text.and_then(|(_, value)| text_of(value)).map(without_end);
        let text = match line {
            Some(line) if fields.is_empty() && last.rest.is_empty() => line.to_vec(),
            _ => object(text.map(|(name, _)| name).zip(line), &fields, &last.rest)?,
        };
        Ok(Record {
            nanos,
            facts: Arc::clone(&last.facts),
            stream,
            text,
            ..Record::default()
        })
    }

    fn whose(&mut self, kubernetes: &[u8]) -> Result<&Last, Refusal> {
        let last = match self.last.take() {
            Some(last) if last.kubernetes == kubernetes => last,
            _ => whose(self.tag, kubernetes)?,
        };
        Ok(self.last.insert(last))
    }
}

fn text_of(mut value: &[u8]) -> Option<&[u8]> {
    match take(&mut value) {
        Ok(Value::Bytes(text)) => Some(text),
        _ => None,
    }
}

fn is_map(mut value: &[u8]) -> bool {
    matches!(take(&mut value), Ok(Value::Map(_)))
}

/// Docker's logs end each text with a line feed.
fn without_end(text: &[u8]) -> &[u8] {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    text.strip_suffix(b"\r").unwrap_or(text)
}

fn object(text: Option<(&[u8], &[u8])>, fields: &[(&[u8], &[u8])], rest: &[u8]) -> Result<Vec<u8>, Refusal> {
    let mut out = vec![b'{'];
    let next = |out: &mut Vec<u8>| {
        if out.len() > 1 {
            out.push(b',');
        }
    };
    if let Some((name, line)) = text {
        string(&mut out, text_of(name).unwrap_or_default());
        out.push(b':');
        string(&mut out, line);
    }
    for (name, value) in fields {
        next(&mut out);
        field(&mut out, name, value)?;
    }
    if !rest.is_empty() {
        next(&mut out);
        out.extend_from_slice(b"\"kubernetes\":");
        out.extend_from_slice(rest);
    }
    out.push(b'}');
    Ok(out)
}

fn field(out: &mut Vec<u8>, name: &[u8], mut value: &[u8]) -> Result<(), Refusal> {
    match text_of(name) {
        Some(name) => string(out, name),
        None => {
            let (mut text, mut name) = (Vec::new(), name);
            json(&mut text, &mut name, 1)?;
            string(out, &text);
        }
    }
    out.push(b':');
    json(out, &mut value, 1)
}

fn whose(tag: &str, kubernetes: &[u8]) -> Result<Last, Refusal> {
    let mut more = vec![("tag", tag.to_owned())];
    let (mut rest, mut fields) = (Vec::new(), kubernetes);
    if !kubernetes.is_empty()
        && let Value::Map(count) = take(&mut fields)?
    {
        for _ in 0..count {
            let (name, value) = (whole(&mut fields)?, whole(&mut fields)?);
            let known = KUBERNETES
                .iter()
                .find(|(theirs, _)| text_of(name) == Some(*theirs));
            match (known, text_of(value)) {
                (Some((_, ours)), Some(text)) => {
                    more.push((ours, String::from_utf8_lossy(text).into_owned()));
                }
                _ => {
                    rest.push(if rest.is_empty() { b'{' } else { b',' });
                    field(&mut rest, name, value)?;
                }
            }
        }
    }
    if !rest.is_empty() {
        rest.push(b'}');
    }
    let said = |wanted: &str| {
        let found = more.iter().find(|(name, _)| *name == wanted);
        found.map_or("", |(_, value)| value.as_str())
    };
    let source = match (said("namespace"), said("pod"), said("container")) {
        (_, "", _) => tag.to_owned(),
        (namespace, pod, container) => format!("{namespace}/{pod}/{container}"),
    };
    Ok(Last {
        kubernetes: kubernetes.to_vec(),
        facts: Arc::new(Facts::new(&source, more)),
        rest,
    })
}
