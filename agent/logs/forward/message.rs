//! A message: a tag, records in one of four modes, and what its sender wants to hear.

use std::borrow::Cow;

use super::Refusal;
use super::pack::{Value, take, whole};

/// Nanoseconds of a second.
const SECOND: i64 = 1_000_000_000;
/// The extension of MessagePack that is a time with nanoseconds.
const EVENT_TIME: i8 = 0;

pub(super) struct Message<'a> {
    pub(super) tag: Cow<'a, str>,
    pub(super) body: Body<'a>,
    /// To be said back when all of it is kept.
    pub(super) chunk: Option<&'a [u8]>,
}

#[derive(Clone, Copy)]
pub(super) enum Body<'a> {
    /// Mode Message: one record.
    One { time: &'a [u8], record: &'a [u8] },
    /// Modes Forward and PackedForward: pairs of time and record.
    Many(&'a [u8]),
    /// Mode CompressedPackedForward: the same, packed by gzip, in one member or several.
    Packed(&'a [u8]),
}

#[derive(Default)]
struct Options<'a> {
    chunk: Option<&'a [u8]>,
    compressed: Option<&'a [u8]>,
    signal: u64,
}

/// None for a heartbeat.
///
/// # Errors
/// It is no message of the protocol, or none with logs.
pub(super) fn read(mut bytes: &[u8]) -> Result<Option<Message<'_>>, Refusal> {
    let count = match take(&mut bytes)? {
        Value::Nil => return Ok(None),
        Value::Array(count) => count,
        _ => return Err(Refusal::malformed("a message that is no array")),
    };
    let Value::Bytes(tag) = take(&mut bytes)? else {
        return Err(Refusal::malformed("a tag that is no text"));
    };
    let mut ahead = bytes;
    let (body, others) = match take(&mut ahead)? {
        Value::Array(entries) => {
            let all = ahead;
            for _ in 0..entries {
                whole(&mut ahead)?;
            }
            bytes = ahead;
            let length = all.len() - ahead.len();
            (Body::Many(all.get(..length).unwrap_or_default()), 2)
        }
        Value::Bytes(entries) => {
            bytes = ahead;
            (Body::Many(entries), 2)
        }
        _ => {
            let time = whole(&mut bytes)?;
            let record = whole(&mut bytes)?;
            (Body::One { time, record }, 3)
        }
    };
    let options = match count.checked_sub(others) {
        Some(0) => Options::default(),
        Some(1) => Options::read(&mut bytes)?,
        _ => return Err(Refusal::malformed("a message with too few or too many parts")),
    };
    if options.signal != 0 {
        let what = match options.signal {
            1 => "metrics".to_owned(),
            2 => "traces".to_owned(),
            other => format!("records of kind {other}"),
        };
        return Err(Refusal::Foreign(format!("a message with {what}")));
    }
    let body = match (body, options.compressed) {
        (Body::Many(entries), Some(b"gzip")) => Body::Packed(entries),
        (body, None | Some(b"text" | b"")) => body,
        (_, Some(other)) => {
            let other = String::from_utf8_lossy(other.get(..32).unwrap_or(other)).into_owned();
            return Err(Refusal::Foreign(format!("a message compressed by {other:?}")));
        }
    };
    Ok(Some(Message {
        tag: String::from_utf8_lossy(tag),
        body,
        chunk: options.chunk,
    }))
}

impl<'a> Options<'a> {
    fn read(bytes: &mut &'a [u8]) -> Result<Self, Refusal> {
        let mut options = Self::default();
        let count = match take(bytes)? {
            Value::Nil => 0,
            Value::Map(count) => count,
            _ => return Err(Refusal::malformed("options that are no map")),
        };
        for _ in 0..count {
            let name = take(bytes)?;
            let mut value = whole(bytes)?;
            match (name, take(&mut value)?) {
                (Value::Bytes(b"chunk"), Value::Bytes(chunk)) => options.chunk = Some(chunk),
                (Value::Bytes(b"compressed"), Value::Bytes(how)) => options.compressed = Some(how),
                (Value::Bytes(b"fluent_signal"), Value::Uint(signal)) => options.signal = signal,
                // How many records there are is counted, not believed.
                _ => {}
            }
        }
        Ok(options)
    }
}

/// Time and record of an entry; `now` is the time of one that has none.
///
/// # Errors
/// It is no pair of a time and a map.
pub(super) fn entry(mut bytes: &[u8], now: i64) -> Result<(i64, &[u8]), Refusal> {
    if !matches!(take(&mut bytes)?, Value::Array(2)) {
        return Err(Refusal::malformed("an entry that is no pair of time and record"));
    }
    let time = whole(&mut bytes)?;
    event(time, bytes, now)
}

/// Likewise, with the two apart.
pub(super) fn event<'a>(time: &[u8], record: &'a [u8], now: i64) -> Result<(i64, &'a [u8]), Refusal> {
    let nanos = nanos(time, now)?;
    let mut ahead = record;
    match take(&mut ahead)? {
        Value::Map(_) => Ok((nanos, record)),
        _ => Err(Refusal::malformed("a record that is no map")),
    }
}

fn nanos(mut time: &[u8], now: i64) -> Result<i64, Refusal> {
    let wrong = || Refusal::malformed("a time that is none");
    let mut value = take(&mut time)?;
    // Fluent Bit may send a time together with facts about the record.
    if let Value::Array(2) = value {
        value = take(&mut time)?;
    }
    let nanos = match value {
        Value::Uint(seconds) => i64::try_from(seconds)
            .ok()
            .and_then(|seconds| seconds.checked_mul(SECOND)),
        Value::Int(seconds) => seconds.checked_mul(SECOND),
        Value::Ext(EVENT_TIME, data) => {
            let (seconds, rest) = data.split_first_chunk::<4>().ok_or_else(wrong)?;
            let (nanos, rest) = rest.split_first_chunk::<4>().ok_or_else(wrong)?;
            let nanos = i64::from(u32::from_be_bytes(*nanos));
            (rest.is_empty() && nanos < SECOND)
                .then(|| i64::from(u32::from_be_bytes(*seconds)) * SECOND + nanos)
        }
        _ => None,
    };
    match nanos.ok_or_else(wrong)? {
        0 => Ok(now),
        nanos => Ok(nanos),
    }
}
