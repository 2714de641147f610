//! How large a request may be: half as large after one that nobody answered in time, larger again while they are answered.
//!
//! A node that needs longer for a whole batch than we wait would otherwise never be heard to have stored it.

use parking_lot::Mutex;

use crate::sink::ship::BATCH_BYTES;

/// Requests do not become smaller than this: beyond it each costs more than its lines.
const BYTES_MIN: usize = 32 << 10;

/// Text of a request at most; `None`: as much as a batch has.
#[derive(Debug, Default)]
pub(crate) struct Size(Mutex<Option<usize>>);

impl Size {
    pub(crate) fn fits(&self, bytes: usize) -> bool {
        self.0.lock().is_none_or(|most| bytes <= most)
    }

    /// Nobody answered a request of so much text in time.
    pub(crate) fn was_too_slow(&self, bytes: usize) {
        let half = (bytes / 2).max(BYTES_MIN);
        let mut most = self.0.lock();
        // Several that were under way together are one trouble: they were as large as each other.
        *most = Some(most.map_or(half, |most| most.min(half)));
    }

    /// One was answered. Small ones say nothing of large ones.
    pub(crate) fn went_well(&self, bytes: usize) {
        let mut most = self.0.lock();
        *most = match *most {
            Some(now) if bytes < now / 2 => Some(now),
            Some(now) => Some(now + now / 4).filter(|more| *more < BATCH_BYTES),
            None => None,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_halved_while_nobody_answers_in_time_and_grow_again_with_answers() {
        let size = Size::default();
        assert!(size.fits(usize::MAX));
        size.was_too_slow(BATCH_BYTES);
        size.was_too_slow(BATCH_BYTES);
        assert!(size.fits(BATCH_BYTES / 2) && !size.fits(BATCH_BYTES / 2 + 1));
        for _ in 0..40 {
            size.was_too_slow(1);
        }
        assert!(size.fits(BYTES_MIN) && !size.fits(BYTES_MIN + 1));
        for _ in 0..40 {
            size.went_well(100);
        }
        assert!(!size.fits(BYTES_MIN + 1), "small requests tell nothing");
        let answers = (1..).find(|_| {
            size.went_well(BYTES_MIN << 10);
            size.fits(usize::MAX)
        });
        assert_eq!(answers, Some(16));
    }
}
