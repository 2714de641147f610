//! Calendar of a moment, in UTC.

/// A moment, in whole seconds since the epoch.
#[derive(Clone, Copy)]
pub(crate) struct Date(i64);

const DAY_SECONDS: i64 = 86_400;

impl Date {
    pub(crate) fn from_seconds(seconds: f64) -> Self {
        Self(seconds as i64)
    }

    pub(super) fn minute(self) -> f64 {
        (self.0.rem_euclid(3600) / 60) as f64
    }

    pub(super) fn hour(self) -> f64 {
        (self.0.rem_euclid(DAY_SECONDS) / 3600) as f64
    }

    /// Sunday is 0; the epoch was a Thursday.
    pub(super) fn day_of_week(self) -> f64 {
        (self.days() + 4).rem_euclid(7) as f64
    }

    pub(super) fn day_of_month(self) -> f64 {
        self.civil().2 as f64
    }

    pub(super) fn day_of_year(self) -> f64 {
        let year = self.civil().0;
        (self.days() - days_from_civil(year, 1) + 1) as f64
    }

    pub(super) fn days_in_month(self) -> f64 {
        let (year, month, _) = self.civil();
        (days_from_civil(year, month + 1) - days_from_civil(year, month)) as f64
    }

    pub(super) fn month(self) -> f64 {
        self.civil().1 as f64
    }

    pub(super) fn year(self) -> f64 {
        self.civil().0 as f64
    }

    fn days(self) -> i64 {
        self.0.div_euclid(DAY_SECONDS)
    }

    /// Year, month and day of the proleptic Gregorian calendar, by eras of 400 years that begin in March.
    fn civil(self) -> (i64, i64, i64) {
        let days = self.days() + 719_468;
        let era = days.div_euclid(146_097);
        let day_of_era = days.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * march_month + 2) / 5 + 1;
        let month = if march_month < 10 {
            march_month + 3
        } else {
            march_month - 9
        };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        (year, month, day)
    }
}

/// Days from the epoch to the first of a month; month 13 is the next January.
fn days_from_civil(year: i64, month: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let march_month = (month + 9).rem_euclid(12);
    let day_of_year = (153 * march_month + 2) / 5;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        // 2024-02-29T23:59:59Z was a Thursday.
        let leap = Date::from_seconds(1_709_251_199.0);
        assert_eq!(
            (leap.year(), leap.month(), leap.day_of_month()),
            (2024.0, 2.0, 29.0)
        );
        assert_eq!((leap.hour(), leap.minute()), (23.0, 59.0));
        assert_eq!((leap.day_of_week(), leap.day_of_year()), (4.0, 60.0));
        assert_eq!(leap.days_in_month(), 29.0);
        // 2023-12-31T00:00:00Z was a Sunday.
        let end = Date::from_seconds(1_703_980_800.0);
        assert_eq!(
            (end.day_of_year(), end.days_in_month(), end.day_of_week()),
            (365.0, 31.0, 0.0)
        );
    }

    #[test]
    fn moments_before_the_epoch_count_backwards() {
        let before = Date::from_seconds(-1.0);
        assert_eq!(
            (before.year(), before.month(), before.day_of_month()),
            (1969.0, 12.0, 31.0)
        );
        assert_eq!(before.day_of_week(), 3.0);
    }

    #[test]
    fn moments_out_of_all_reach_do_not_panic() {
        for seconds in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300] {
            let date = Date::from_seconds(seconds);
            let _ = (date.year(), date.day_of_year(), date.days_in_month());
        }
    }
}
