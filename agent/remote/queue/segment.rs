//! The files of the queue: segments of frames, and one cursor a destination.
//!
//! Segment: `SKREMOTE`, format (u32), then frames of length (u32), CRC-32 (u32) and a body: samples (u32), oldest
//! and newest time (i64 each), the block. Cursor: `SKCURSOR`, format (u32), CRC-32 (u32), segment (u64), offset
//! (u64), the destination's name. Numbers are little-endian; the sum is over all that follows it.

use model::Timestamp;

const SEGMENT_MAGIC: &[u8; 8] = b"SKREMOTE";
const CURSOR_MAGIC: &[u8; 8] = b"SKCURSOR";
pub(crate) const FORMAT: u32 = 1;
/// Magic and format.
pub(crate) const HEAD_BYTES: usize = 12;
/// Length, sum, samples and times.
const FRAME_BYTES: usize = 28;
/// What of a frame its sum is not over.
const UNSUMMED_BYTES: usize = 8;

/// One request, compressed, as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) samples: u32,
    pub(crate) oldest: Timestamp,
    pub(crate) newest: Timestamp,
    pub(crate) bytes: Box<[u8]>,
}

impl Block {
    /// What it takes in a segment.
    pub(crate) fn frame_bytes(&self) -> u64 {
        (FRAME_BYTES + self.bytes.len()) as u64
    }

    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        let start = out.len();
        let body_bytes = FRAME_BYTES - UNSUMMED_BYTES + self.bytes.len();
        out.extend_from_slice(&u32::try_from(body_bytes).unwrap_or(u32::MAX).to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.samples.to_le_bytes());
        out.extend_from_slice(&self.oldest.0.to_le_bytes());
        out.extend_from_slice(&self.newest.0.to_le_bytes());
        out.extend_from_slice(&self.bytes);
        let sum = crc32fast::hash(out.get(start + UNSUMMED_BYTES..).unwrap_or_default());
        if let Some(place) = out.get_mut(start + 4..start + UNSUMMED_BYTES) {
            place.copy_from_slice(&sum.to_le_bytes());
        }
    }
}

/// A frame where it lies.
pub(crate) struct Frame<'a> {
    pub(crate) samples: u32,
    pub(crate) oldest: Timestamp,
    pub(crate) newest: Timestamp,
    pub(crate) block: &'a [u8],
}

impl Frame<'_> {
    pub(crate) fn bytes(&self) -> u64 {
        (FRAME_BYTES + self.block.len()) as u64
    }

    pub(crate) fn to_block(&self) -> Block {
        Block {
            samples: self.samples,
            oldest: self.oldest,
            newest: self.newest,
            bytes: self.block.into(),
        }
    }
}

/// Frames up to the first that is not whole.
pub(crate) struct Frames<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for Frames<'a> {
    type Item = Frame<'a>;

    fn next(&mut self) -> Option<Frame<'a>> {
        let (length, rest) = self.0.split_first_chunk()?;
        let (sum, rest) = rest.split_first_chunk()?;
        let (body, after) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        if crc32fast::hash(body) != u32::from_le_bytes(*sum) {
            return None;
        }
        let (samples, body) = body.split_first_chunk()?;
        let (oldest, body) = body.split_first_chunk()?;
        let (newest, block) = body.split_first_chunk()?;
        self.0 = after;
        Some(Frame {
            samples: u32::from_le_bytes(*samples),
            oldest: Timestamp(i64::from_le_bytes(*oldest)),
            newest: Timestamp(i64::from_le_bytes(*newest)),
            block,
        })
    }
}

/// Whether a file is one of ours.
pub(crate) enum Head<'a> {
    Ours(&'a [u8]),
    /// Less than a head: it was being made when the process died.
    Torn,
    Newer(u32),
    Foreign,
}

pub(crate) fn segment_head() -> Vec<u8> {
    let mut head = SEGMENT_MAGIC.to_vec();
    head.extend_from_slice(&FORMAT.to_le_bytes());
    head
}

pub(crate) fn behind_segment_head(bytes: &[u8]) -> Head<'_> {
    behind_head(SEGMENT_MAGIC, bytes)
}

fn behind_head<'a>(magic: &[u8; 8], bytes: &'a [u8]) -> Head<'a> {
    let Some((found, rest)) = bytes.split_first_chunk::<8>() else {
        return if magic.starts_with(bytes) {
            Head::Torn
        } else {
            Head::Foreign
        };
    };
    if found != magic {
        return Head::Foreign;
    }
    match rest
        .split_first_chunk()
        .map(|(format, rest)| (u32::from_le_bytes(*format), rest))
    {
        None => Head::Torn,
        Some((format, _)) if format > FORMAT => Head::Newer(format),
        Some((_, rest)) => Head::Ours(rest),
    }
}

/// How far a destination has come: all before `offset` of `segment` is behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) name: String,
    pub(crate) segment: u64,
    pub(crate) offset: u64,
}

impl Cursor {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut body = Vec::new();
        body.extend_from_slice(&self.segment.to_le_bytes());
        body.extend_from_slice(&self.offset.to_le_bytes());
        body.extend_from_slice(self.name.as_bytes());
        let mut bytes = CURSOR_MAGIC.to_vec();
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&crc32fast::hash(&body).to_le_bytes());
        bytes.extend(body);
        bytes
    }

    /// None where it cannot be read, which costs a repeat and nothing else.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let Head::Ours(rest) = behind_head(CURSOR_MAGIC, bytes) else {
            return None;
        };
        let (sum, body) = rest.split_first_chunk()?;
        if crc32fast::hash(body) != u32::from_le_bytes(*sum) {
            return None;
        }
        let (segment, body) = body.split_first_chunk()?;
        let (offset, name) = body.split_first_chunk()?;
        Some(Self {
            name: String::from_utf8(name.to_vec()).ok()?,
            segment: u64::from_le_bytes(*segment),
            offset: u64::from_le_bytes(*offset),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(text: &str) -> Block {
        Block {
            samples: text.len() as u32,
            oldest: Timestamp(-5),
            newest: Timestamp(7),
            bytes: text.as_bytes().into(),
        }
    }

    #[test]
    fn frames_come_back_up_to_where_the_file_is_cut_or_changed() {
        let mut bytes = segment_head();
        let blocks = [block("first"), block(""), block("third")];
        let mut ends = vec![bytes.len()];
        for block in &blocks {
            block.put(&mut bytes);
            ends.push(bytes.len());
            assert_eq!(
                block.frame_bytes() as usize,
                ends[ends.len() - 1] - ends[ends.len() - 2]
            );
        }
        let read = |bytes: &[u8]| match behind_segment_head(bytes) {
            Head::Ours(rest) => Frames(rest).map(|frame| frame.to_block()).collect::<Vec<_>>(),
            _ => vec![],
        };
        for length in 0..=bytes.len() {
            let whole = ends.iter().filter(|end| **end <= length).count();
            assert_eq!(
                read(&bytes[..length]),
                blocks[..whole.saturating_sub(1)],
                "{length}"
            );
        }
        for changed in HEAD_BYTES..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[changed] ^= 0x10;
            let whole = ends.iter().filter(|end| **end <= changed).count() - 1;
            assert_eq!(read(&bytes), blocks[..whole], "{changed}");
        }
    }

    #[test]
    fn a_cursor_comes_back_whole_or_not_at_all() {
        let cursor = Cursor {
            name: "http://a/write".to_owned(),
            segment: 7,
            offset: 1 << 40,
        };
        let bytes = cursor.to_bytes();
        assert_eq!(Cursor::from_bytes(&bytes), Some(cursor));
        for length in 0..bytes.len() {
            assert_eq!(Cursor::from_bytes(&bytes[..length]), None);
        }
    }

    #[test]
    fn what_is_not_ours_is_told_from_what_is_newer_and_what_is_torn() {
        assert!(matches!(behind_segment_head(b"SKREM"), Head::Torn));
        assert!(matches!(behind_segment_head(b""), Head::Torn));
        assert!(matches!(
            behind_segment_head(b"SKREMOTE\x02\0\0\0"),
            Head::Newer(2)
        ));
        assert!(matches!(
            behind_segment_head(b"SKLOGSEG\x01\0\0\0"),
            Head::Foreign
        ));
        assert!(matches!(behind_segment_head(b"#!/bin"), Head::Foreign));
    }
}
