//! MessagePack, as far as it is needed: where a value ends, what stands in it, and how it looks as JSON.
//!
//! Nothing is allocated by what a length says; a value is looked at only when all of it is there.

use std::io::Write;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rmp::Marker;

use super::Refusal;
use crate::sink::escape::escape;

/// Deeper values are left out: no sink takes them.
const DEPTH_MAX: usize = 32;

/// One value, its parts not looked at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Nil,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    /// Text or bytes: senders mix the two.
    Bytes(&'a [u8]),
    /// With so many values behind it.
    Array(usize),
    /// With so many pairs behind it.
    Map(usize),
    Ext(i8, &'a [u8]),
}

/// How a value begins: bytes up to what it holds, bytes that it holds, values that follow as its parts.
struct Head {
    marker: Marker,
    front: usize,
    holds: usize,
    parts: u64,
}

/// Looks for the end of a value of which more may come; what it has passed is not looked at again.
#[derive(Debug)]
pub(super) struct Scan {
    at: usize,
    values: u64,
}

impl Default for Scan {
    fn default() -> Self {
        Self { at: 0, values: 1 }
    }
}

impl Scan {
    /// Where the value ends, or none when its end has not come yet.
    ///
    /// # Errors
    /// What begins here is no MessagePack, or has more than `bytes_max` bytes.
    pub(super) fn end(&mut self, bytes: &[u8], bytes_max: usize) -> Result<Option<usize>, Refusal> {
        while self.values > 0 {
            // Each value has a byte at least.
            let least = u64::try_from(self.at)
                .unwrap_or(u64::MAX)
                .saturating_add(self.values);
            if least > bytes_max as u64 {
                return Err(Refusal::TooLong(bytes_max));
            }
            let Some(rest) = bytes.get(self.at..) else {
                return Ok(None);
            };
            let Some(head) = head(rest)? else {
                return Ok(None);
            };
            self.at = self.at.saturating_add(head.front).saturating_add(head.holds);
            self.values = self.values - 1 + head.parts;
        }
        if self.at > bytes_max {
            return Err(Refusal::TooLong(bytes_max));
        }
        Ok((self.at <= bytes.len()).then_some(self.at))
    }
}

/// None when not all of it is there.
fn head(bytes: &[u8]) -> Result<Option<Head>, Refusal> {
    let Some(first) = bytes.first() else {
        return Ok(None);
    };
    let marker = Marker::from_u8(*first);
    let length = |count: usize| -> Option<usize> {
        let bytes = bytes.get(1..=count)?;
        Some(
            bytes
                .iter()
                .fold(0, |length, byte| length << 8 | usize::from(*byte)),
        )
    };
    let whole = |front, holds, parts| Head {
        marker,
        front,
        holds,
        parts,
    };
    let held = |count: usize, more: usize| {
        let length = length(count)?;
        Some(whole(1 + count, length + more, 0))
    };
    let parted = |count: usize, each: u64| {
        let length = length(count)?;
        Some(whole(1 + count, 0, length as u64 * each))
    };
    Ok(match marker {
        Marker::Null | Marker::True | Marker::False | Marker::FixPos(_) | Marker::FixNeg(_) => {
            Some(whole(1, 0, 0))
        }
        Marker::U8 | Marker::I8 => Some(whole(1, 1, 0)),
        Marker::U16 | Marker::I16 => Some(whole(1, 2, 0)),
        Marker::U32 | Marker::I32 | Marker::F32 => Some(whole(1, 4, 0)),
        Marker::U64 | Marker::I64 | Marker::F64 => Some(whole(1, 8, 0)),
        Marker::FixStr(length) => Some(whole(1, usize::from(length), 0)),
        Marker::Str8 | Marker::Bin8 => held(1, 0),
        Marker::Str16 | Marker::Bin16 => held(2, 0),
        Marker::Str32 | Marker::Bin32 => held(4, 0),
        // The type of an extension stands in front of its bytes.
        Marker::FixExt1 => Some(whole(1, 2, 0)),
        Marker::FixExt2 => Some(whole(1, 3, 0)),
        Marker::FixExt4 => Some(whole(1, 5, 0)),
        Marker::FixExt8 => Some(whole(1, 9, 0)),
        Marker::FixExt16 => Some(whole(1, 17, 0)),
        Marker::Ext8 => held(1, 1),
        Marker::Ext16 => held(2, 1),
        Marker::Ext32 => held(4, 1),
        Marker::FixArray(length) => Some(whole(1, 0, u64::from(length))),
        Marker::Array16 => parted(2, 1),
        Marker::Array32 => parted(4, 1),
        Marker::FixMap(length) => Some(whole(1, 0, 2 * u64::from(length))),
        Marker::Map16 => parted(2, 2),
        Marker::Map32 => parted(4, 2),
        Marker::Reserved => return Err(Refusal::malformed("a byte that begins no value of MessagePack")),
    })
}

fn torn() -> Refusal {
    Refusal::malformed("a value that ends too soon")
}

/// The next value; of an array or a map only the front, its parts come next.
pub(super) fn take<'a>(bytes: &mut &'a [u8]) -> Result<Value<'a>, Refusal> {
    let head = head(bytes)?.ok_or_else(torn)?;
    let (front, rest) = bytes.split_at_checked(head.front).ok_or_else(torn)?;
    let (held, rest) = rest.split_at_checked(head.holds).ok_or_else(torn)?;
    *bytes = rest;
    let parts = || usize::try_from(head.parts).unwrap_or(usize::MAX);
    let unsigned = || {
        held.iter()
            .fold(0u64, |number, byte| number << 8 | u64::from(*byte))
    };
    Ok(match head.marker {
        Marker::Null => Value::Nil,
        Marker::True => Value::Bool(true),
        Marker::False => Value::Bool(false),
        Marker::FixPos(number) => Value::Uint(u64::from(number)),
        Marker::FixNeg(number) => Value::Int(i64::from(number)),
        Marker::U8 | Marker::U16 | Marker::U32 | Marker::U64 => Value::Uint(unsigned()),
        Marker::I8 | Marker::I16 | Marker::I32 | Marker::I64 => {
            let unused = 64 - 8 * held.len().min(8);
            Value::Int(
                unsigned()
                    .wrapping_shl(u32::try_from(unused).unwrap_or(0))
                    .cast_signed()
                    >> unused,
            )
        }
        Marker::F32 => Value::Float(f64::from(f32::from_bits(u32::try_from(unsigned()).unwrap_or(0)))),
        Marker::F64 => Value::Float(f64::from_bits(unsigned())),
        Marker::FixArray(_) | Marker::Array16 | Marker::Array32 => Value::Array(parts()),
        Marker::FixMap(_) | Marker::Map16 | Marker::Map32 => Value::Map(parts() / 2),
        Marker::FixExt1
        | Marker::FixExt2
        | Marker::FixExt4
        | Marker::FixExt8
        | Marker::FixExt16
        | Marker::Ext8
        | Marker::Ext16
        | Marker::Ext32 => {
            let (kind, data) = held.split_first().ok_or_else(torn)?;
            Value::Ext(kind.cast_signed(), data)
        }
        _ => {
            debug_assert!(!front.is_empty(), "a value has a first byte");
            Value::Bytes(held)
        }
    })
}

/// The next value with all its parts, as the bytes that it is.
pub(super) fn whole<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], Refusal> {
    let end = match Scan::default().end(bytes, bytes.len()) {
        Ok(Some(end)) => end,
        // Its lengths say more than there is.
        Ok(None) | Err(Refusal::TooLong(_)) => return Err(torn()),
        Err(refusal) => return Err(refusal),
    };
    let (value, rest) = bytes.split_at_checked(end).ok_or_else(torn)?;
    *bytes = rest;
    Ok(value)
}

/// Writes the next value as JSON. Text that is no UTF-8 gets U+FFFD, numbers that JSON has not are null, extensions are
/// their bytes in base64.
pub(super) fn json(out: &mut Vec<u8>, bytes: &mut &[u8], depth: usize) -> Result<(), Refusal> {
    if depth > DEPTH_MAX {
        whole(bytes)?;
        out.extend_from_slice(b"\"[too deep]\"");
        return Ok(());
    }
    match take(bytes)? {
        Value::Nil => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        // Writing into memory cannot fail.
        Value::Int(number) => _ = write!(out, "{number}"),
        Value::Uint(number) => _ = write!(out, "{number}"),
        Value::Float(number) if number.is_finite() => drop(serde_json::to_writer(out, &number)),
        Value::Float(_) => out.extend_from_slice(b"null"),
        Value::Bytes(text) => string(out, text),
        Value::Ext(_, data) => string(out, BASE64_STANDARD.encode(data).as_bytes()),
        Value::Array(count) => {
            out.push(b'[');
            for nth in 0..count {
                if nth > 0 {
                    out.push(b',');
                }
                json(out, bytes, depth + 1)?;
            }
            out.push(b']');
        }
        Value::Map(count) => {
            out.push(b'{');
            for nth in 0..count {
                if nth > 0 {
                    out.push(b',');
                }
                key(out, bytes, depth + 1)?;
                out.push(b':');
                json(out, bytes, depth + 1)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

/// A key of a map, which in JSON is a text whatever it is.
fn key(out: &mut Vec<u8>, bytes: &mut &[u8], depth: usize) -> Result<(), Refusal> {
    let mut ahead = *bytes;
    if let Value::Bytes(text) = take(&mut ahead)? {
        *bytes = ahead;
        string(out, text);
        return Ok(());
    }
    let mut text = Vec::new();
    json(&mut text, bytes, depth)?;
    string(out, &text);
    Ok(())
}

pub(super) fn string(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    escape(out, text);
    out.push(b'"');
}
