//! What a body is made of: bytes as they are and, behind them, bytes that have been there before.
//!
//! They are noted first and written together: neither looking nor writing then has to wait for the other.

use super::{COPY_MAX, COPY_MIN};

/// So many bytes as they are, and so many as they were so far back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sequence {
    pub(super) literals: u32,
    pub(super) length: u32,
    pub(super) distance: u32,
}

/// Of a copy that is longer than one can be, the length of the first of several: enough stays behind for the rest to be
/// copies as well.
#[inline]
pub(super) fn first_of(length: usize) -> Option<usize> {
    (length > COPY_MAX).then(|| COPY_MAX.min(length - COPY_MIN))
}

/// Sequences, in the order of the plain bytes; all of these are in one of them, or in what may still grow.
#[derive(Default)]
pub(super) struct Sequences {
    closed: Vec<Sequence>,
    open: Sequence,
    /// Bytes as they are behind the open one.
    literals: u32,
}

impl Sequences {
    pub(super) fn clear(&mut self) {
        *self = Self {
            closed: std::mem::take(&mut self.closed),
            ..Self::default()
        };
        self.closed.clear();
    }

    /// More bytes as they are.
    #[inline]
    pub(super) fn literals(&mut self, count: usize) {
        self.literals += count as u32;
    }

    /// More bytes as they are, and behind them some that have been there before.
    #[inline]
    pub(super) fn copy(&mut self, literals: usize, length: usize, distance: usize) {
        let (length, distance) = (length as u32, distance as u32);
        let literals = std::mem::take(&mut self.literals) + literals as u32;
        if literals == 0 && self.open.distance == distance {
            self.open.length += length;
            return;
        }
        let next = Sequence {
            literals,
            length,
            distance,
        };
        self.closed.push(std::mem::replace(&mut self.open, next));
    }

    /// Whether a copy from so far back goes on with what is there.
    #[inline]
    pub(super) fn goes_on(&self, distance: usize) -> bool {
        self.literals == 0 && self.open.distance == distance as u32
    }

    /// Those that grow no more.
    pub(super) fn closed(&self) -> &[Sequence] {
        &self.closed
    }

    /// Lets go of those.
    pub(super) fn forget_closed(&mut self) {
        self.closed.clear();
    }

    /// From here on none grows.
    pub(super) fn close(&mut self) {
        let rest = Sequence {
            literals: std::mem::take(&mut self.literals),
            ..Sequence::default()
        };
        self.closed.extend([std::mem::take(&mut self.open), rest]);
    }
}
