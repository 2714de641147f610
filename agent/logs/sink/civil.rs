//! Days of the calendar, without a time zone.

/// Year, month and day of a number of days since 1970; the calendar has a year of 365.2425 days on average.
pub(crate) fn civil(days: i64) -> (i64, u32, u32) {
    const ERA_DAYS: i64 = 146_097;
    // Years that begin in March: the leap day is the last one.
    let days = days + 719_468;
    let era = days.div_euclid(ERA_DAYS);
    let day = days.rem_euclid(ERA_DAYS);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    let small = |number: i64| u32::try_from(number).unwrap_or(0);
    (era * 400 + year + next, small(month), small(day))
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan;
    use jiff::civil::Date;

    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        let epoch = Date::constant(1970, 1, 1);
        for days in (-800_000..900_000).step_by(17) {
            let date = epoch.checked_add((days as i32).days()).unwrap();
            let want = (i64::from(date.year()), date.month() as u32, date.day() as u32);
            assert_eq!(civil(days), want, "{days}");
        }
    }
}
