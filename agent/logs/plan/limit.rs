//! A bucket of tokens for the lines of one source: what comes faster than it fills is left out.
//!
//! It goes by the times of the lines and not by the time at which they are read, so that lines that have waited for a
//! sink are not taken for a flood, and a restart leaves out the same ones.

use model::Timestamp;

/// Lines a second, and how many may come at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rate {
    lines: f64,
    burst: f64,
}

impl Rate {
    /// Without a burst it is what ten seconds bring.
    pub(crate) fn new(lines: u32, burst: Option<u32>) -> Self {
        Self {
            lines: f64::from(lines),
            burst: burst.map_or_else(|| 10.0 * f64::from(lines), f64::from),
        }
    }
}

/// Of one source.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bucket {
    /// What is missing in it.
    missing: f64,
    last: Timestamp,
}

impl Bucket {
    /// Whether a line of this time may go on.
    pub(crate) fn take(&mut self, rate: Rate, time: Timestamp) -> bool {
        let passed = (time.0 - self.last.0) as f64 / 1_000.0;
        // A clock that was set back fills nothing, and the next lines are measured from there.
        self.missing = (self.missing - passed.max(0.0) * rate.lines).max(0.0);
        self.last = time;
        let may = self.missing + 1.0 <= rate.burst;
        if may {
            self.missing += 1.0;
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(bucket: &mut Bucket, rate: Rate, times: impl Iterator<Item = i64>) -> usize {
        times.filter(|time| bucket.take(rate, Timestamp(*time))).count()
    }

    #[test]
    fn a_burst_passes_and_then_what_the_rate_allows() {
        let (mut bucket, rate) = (Bucket::default(), Rate::new(10, Some(50)));
        let begun = 1_700_000_000_000;
        assert_eq!(taken(&mut bucket, rate, (0..200).map(|_| begun)), 50);
        assert_eq!(taken(&mut bucket, rate, (0..1_000).map(|nth| begun + nth)), 9);
        assert_eq!(
            taken(&mut bucket, rate, (0..200).map(|_| begun + 60_000)),
            50,
            "no more than a burst is saved up"
        );
    }

    #[test]
    fn a_clock_that_is_set_back_stops_nothing_for_longer_than_it_takes_to_fill() {
        let (mut bucket, rate) = (Bucket::default(), Rate::new(10, None));
        let begun = 1_700_000_000_000;
        assert_eq!(taken(&mut bucket, rate, (0..100).map(|_| begun)), 100);
        let back = begun - 3_600_000;
        assert_eq!(taken(&mut bucket, rate, (0..10_000).map(|nth| back + nth)), 99);
    }
}
