//! On which day a file's lines without a time of their own were read.
//!
//! An index is of one day and knows no ids but its own: sent again under another day, a line would be there twice. So a
//! new day is noted before the first line of it is sent, and whatever may have been sent keeps its day.

use model::Timestamp;
use serde::{Deserialize, Serialize};

pub(crate) const DAY_MS: i64 = 86_400_000;

/// Turns that are kept. Older ones are of lines that are long settled, unless midnight passes as often within what is
/// on its way.
const TURNS_MAX: usize = 8;

/// From which offsets on lines have which day.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Days {
    /// Offsets and days since 1970, oldest first. What stands before the first one has its day as well.
    turns: Vec<(u64, i64)>,
    /// Turns of all time: who has more knows more.
    count: u32,
}

impl Days {
    pub(crate) fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    /// The day that lines read now have.
    pub(crate) fn newest(&self) -> Option<i64> {
        self.turns.last().map(|(_, day)| *day)
    }

    /// From this offset on lines are of another day.
    pub(crate) fn turn(&mut self, offset: u64, day: i64) {
        // Nothing was read in between.
        if self.turns.last().is_some_and(|(from, _)| *from == offset) {
            self.turns.pop();
        }
        if self.turns.len() == TURNS_MAX {
            self.turns.remove(0);
        }
        self.turns.push((offset, day));
        self.count = self.count.saturating_add(1);
    }

    /// The day of a line, and the offset of the first one that may have another.
    pub(crate) fn at(&self, offset: u64) -> Option<(i64, u64)> {
        let later = self.turns.iter().position(|(from, _)| *from > offset);
        let until = later
            .and_then(|later| self.turns.get(later))
            .map_or(u64::MAX, |(from, _)| *from);
        let nth = later.unwrap_or(self.turns.len()).saturating_sub(1);
        self.turns.get(nth).map(|(_, day)| (*day, until))
    }

    /// Takes what another mark of the file has, if that is newer.
    pub(crate) fn know(&mut self, other: Self) {
        if other.count > self.count {
            *self = other;
        }
    }
}

pub(crate) fn day_of(time: Timestamp) -> i64 {
    time.0.div_euclid(DAY_MS)
}

/// The time of that day which is nearest.
pub(crate) fn within(day: i64, time: Timestamp) -> Timestamp {
    let first = day * DAY_MS;
    Timestamp(time.0.clamp(first, first + DAY_MS - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_has_the_day_on_which_it_was_first_read() {
        let mut days = Days::default();
        assert_eq!(days.at(0), None);
        days.turn(100, 7);
        days.turn(200, 8);
        days.turn(200, 9);
        days.turn(300, 7);
        let seen: Vec<_> = [0, 100, 199, 200, 299, 300]
            .map(|offset| days.at(offset).unwrap())
            .into();
        assert_eq!(
            seen,
            [(7, 100), (7, 200), (7, 200), (9, 300), (9, 300), (7, u64::MAX)]
        );
        assert_eq!(days.newest(), Some(7));
    }

    #[test]
    fn of_many_turns_the_newest_are_kept() {
        let mut days = Days::default();
        for nth in 0..20 {
            days.turn(nth, nth.cast_signed());
        }
        assert_eq!(days.at(12), Some((12, 13)));
        assert_eq!(days.at(50), Some((19, u64::MAX)));
    }

    #[test]
    fn marks_that_overtake_each_other_do_not_undo_a_turn() {
        let (mut older, mut newer) = (Days::default(), Days::default());
        older.turn(5, 1);
        newer.turn(5, 1);
        newer.turn(9, 2);
        newer.turn(9, 1);
        let want = newer.clone();
        newer.know(older.clone());
        newer.know(Days::default());
        assert_eq!(newer, want);
        older.know(newer);
        assert_eq!(older, want);
    }

    #[test]
    fn a_time_of_another_day_becomes_the_nearest_of_that_day() {
        let noon = Timestamp(3 * DAY_MS + DAY_MS / 2);
        assert_eq!(within(3, noon), noon);
        assert_eq!(within(2, noon), Timestamp(3 * DAY_MS - 1));
        assert_eq!(within(4, noon), Timestamp(4 * DAY_MS));
        assert_eq!(day_of(within(-1, noon)), -1);
    }
}
