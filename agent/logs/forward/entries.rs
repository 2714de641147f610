//! The entries of a message one by one, unpacked as they are needed: a small message never becomes a large piece of memory.

use std::io::Read;

use flate2::bufread::MultiGzDecoder;

use super::Refusal;
use super::message::{Body, entry, event};
use super::pack::Scan;

/// Unpacked at a time.
const STEP_BYTES: usize = 64 << 10;

/// How long a message may be.
#[derive(Clone, Copy)]
pub(super) struct Lengths {
    pub(super) message_bytes_max: usize,
    pub(super) unpacked_bytes_max: u64,
}

pub(super) struct Entries<'a> {
    source: Source<'a>,
    lengths: Lengths,
    now: i64,
}

enum Source<'a> {
    One { time: &'a [u8], record: &'a [u8] },
    Many(&'a [u8]),
    Packed(Box<Packed<'a>>),
}

struct Packed<'a> {
    unpacking: MultiGzDecoder<&'a [u8]>,
    buffer: Vec<u8>,
    /// What of the buffer has been handed out.
    from: usize,
    unpacked: u64,
}

impl<'a> Entries<'a> {
    pub(super) fn new(body: Body<'a>, lengths: Lengths, now: i64) -> Self {
        let source = match body {
            Body::One { time, record } => Source::One { time, record },
            Body::Many(entries) => Source::Many(entries),
            Body::Packed(bytes) => Source::Packed(Box::new(Packed {
                unpacking: MultiGzDecoder::new(bytes),
                buffer: Vec::new(),
                from: 0,
                unpacked: 0,
            })),
        };
        Self { source, lengths, now }
    }

    /// Time and record of the next entry; none at the end.
    ///
    /// # Errors
    /// It is no entry, or more than is allowed.
    pub(super) fn next(&mut self) -> Result<Option<(i64, &[u8])>, Refusal> {
        if let Source::One { time, record } = &self.source {
            let (time, record) = (*time, *record);
            self.source = Source::Many(&[]);
            return event(time, record, self.now).map(Some);
        }
        match &mut self.source {
            Source::One { .. } | Source::Many([]) => Ok(None),
            Source::Many(rest) => {
                let found = super::pack::whole(rest)?;
                entry(found, self.now).map(Some)
            }
            Source::Packed(packed) => match packed.next(self.lengths)? {
                Some(found) => entry(found, self.now).map(Some),
                None => Ok(None),
            },
        }
    }
}

impl Packed<'_> {
    fn next(&mut self, lengths: Lengths) -> Result<Option<&[u8]>, Refusal> {
        let mut scan = Scan::default();
        loop {
            let rest = self.buffer.get(self.from..).unwrap_or_default();
            if let Some(length) = scan.end(rest, lengths.message_bytes_max)? {
                let from = self.from;
                self.from += length;
                return Ok(self.buffer.get(from..self.from));
            }
            let is_between = rest.is_empty();
            self.buffer.drain(..self.from);
            self.from = 0;
            if !self.unpack(lengths.unpacked_bytes_max)? {
                return match is_between {
                    true => Ok(None),
                    false => Err(Refusal::malformed("an entry that ends too soon")),
                };
            }
        }
    }

    /// False at the end.
    fn unpack(&mut self, bytes_max: u64) -> Result<bool, Refusal> {
        let length = self.buffer.len();
        self.buffer.resize(length + STEP_BYTES, 0);
        let room = self.buffer.get_mut(length..).unwrap_or_default();
        let count = self
            .unpacking
            .read(room)
            .map_err(|error| Refusal::Malformed(format!("a message that is no gzip: {error}")))?;
        self.buffer.truncate(length + count);
        self.unpacked += count as u64;
        if self.unpacked > bytes_max {
            return Err(Refusal::Inflated(bytes_max));
        }
        Ok(count > 0)
    }
}
