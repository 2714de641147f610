//! The file's outer form: a head, then frames that count whole or not at all.
//!
//! `SKJOURNL`, format (u32), then frames of length (u32), CRC-32 of the body (u32) and a body of JSON lines,
//! one per key; numbers are little-endian.

use crate::entry::Entry;

const MAGIC: &[u8; 8] = b"SKJOURNL";
pub(crate) const HEAD_BYTES: usize = 12;
const FRAME_BYTES: usize = 8;

pub(crate) fn head(format: u32) -> Vec<u8> {
    let mut head = MAGIC.to_vec();
    head.extend(format.to_le_bytes());
    head
}

/// The format and what follows the head; none if it is no journal.
pub(crate) fn open(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (head, rest) = bytes.split_at_checked(HEAD_BYTES)?;
    let (magic, format) = head.split_at(MAGIC.len());
    (magic == MAGIC).then_some((number(format)?, rest))
}

pub(crate) fn frame<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Vec<u8> {
    let mut frame = vec![0; FRAME_BYTES];
    for entry in entries {
        // Text and raw JSON always serialise, and a vector always grows.
        if serde_json::to_writer(&mut frame, entry).is_ok() {
            frame.push(b'\n');
        }
    }
    let (head, body) = frame.split_at_mut(FRAME_BYTES);
    let (length, sum) = head.split_at_mut(4);
    length.copy_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes());
    sum.copy_from_slice(&crc32fast::hash(body).to_le_bytes());
    frame
}

/// The body of the next whole frame, and what follows it.
pub(crate) fn next(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (head, rest) = bytes.split_at_checked(FRAME_BYTES)?;
    let (length, sum) = head.split_at(4);
    let (body, tail) = rest.split_at_checked(usize::try_from(number(length)?).ok()?)?;
    (crc32fast::hash(body) == number(sum)?).then_some((body, tail))
}

fn number(bytes: &[u8]) -> Option<u32> {
    bytes.try_into().ok().map(u32::from_le_bytes)
}
