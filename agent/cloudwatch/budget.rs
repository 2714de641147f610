//! How much may be spent, and what is asked for less often so that it is enough for the month.
//!
//! The budget is never passed: what a call costs is written down before the call is made, and a call that would pass it is not
//! made. Long before that, what only dashboards show is asked for less often, then what rules read, and last what wakes people.

use std::time::Duration;

use model::Timestamp;
use serde::{Deserialize, Serialize};

use crate::plan::{Class, Plan, Planned, price};

/// Of what is left, what is kept for series that are looked at more often because something is close to happening.
const RESERVE: f64 = 0.03;
/// How much less often pages are asked for; behind the last, not at all but when somebody looks.
const PAGES: [f64; 5] = [1.0, 2.0, 4.0, 8.0, 24.0];
const SLOW: [f64; 8] = [1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0];

/// What has been spent in a month; the months of AWS' bills are those of UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spent {
    /// Months since year 0.
    pub(crate) month: i32,
    pub(crate) dollars: f64,
    /// Of ListMetrics and GetMetricStatistics, of which some are free.
    pub(crate) requests: u64,
    /// Of another month, for a clock that goes there and comes back.
    #[serde(default)]
    pub(crate) other: Other,
}

/// The sum of another month.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Other {
    month: i32,
    dollars: f64,
    requests: u64,
}

impl Spent {
    /// Of the month that `now` is in: a new month begins with nothing. One that was here before goes on where it was: a clock that
    /// was wrong for a while must not make the same month's money be spent twice.
    #[must_use]
    pub(crate) fn at(self, now: Timestamp) -> Self {
        let month = month(now);
        if self.month == month {
            return self;
        }
        let was = Other {
            month: self.month,
            dollars: self.dollars,
            requests: self.requests,
        };
        if self.other.month == month {
            return Self {
                month,
                dollars: self.other.dollars,
                requests: self.other.requests,
                other: was,
            };
        }
        Self {
            month,
            // A month in which nothing was bought need not be remembered.
            other: if was.dollars > 0.0 { was } else { self.other },
            ..Self::default()
        }
    }

    pub(crate) fn metrics(&mut self, count: usize) {
        self.dollars += cost(count);
    }

    /// Takes back what was written down for a call that AWS has refused, and so does not count.
    pub(crate) fn refund(&mut self, count: usize) {
        self.dollars = (self.dollars - cost(count)).max(0.0);
    }

    pub(crate) fn request(&mut self) {
        self.requests += 1;
        if self.requests > price::REQUESTS_FREE {
            self.dollars += price::REQUEST;
        }
    }
}

/// Of so many metrics in one call.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "no call has that many")]
pub(crate) fn cost(metrics: usize) -> f64 {
    metrics as f64 * price::METRIC
}

/// How much longer each class waits than planned; infinite: it is not asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Stretch {
    pub(crate) fast: f64,
    pub(crate) slow: f64,
    pub(crate) pages: f64,
}

impl Stretch {
    pub(crate) const NONE: Self = Self {
        fast: 1.0,
        slow: 1.0,
        pages: 1.0,
    };

    #[must_use]
    pub(crate) fn of(&self, class: Class) -> f64 {
        match class {
            Class::Fast => self.fast,
            Class::Slow => self.slow,
            Class::Pages => self.pages,
        }
    }
}

/// What each class costs a second, before it is stretched.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Rates {
    pub(crate) fast: f64,
    pub(crate) slow: f64,
    pub(crate) pages: f64,
}

impl Rates {
    #[must_use]
    pub(crate) fn of(plan: &Plan, interval: impl Fn(&Planned) -> Duration) -> Self {
        let mut rates = Self::default();
        for planned in &plan.planned {
            let rate = price::METRIC / interval(planned).as_secs_f64().max(1.0);
            match planned.class {
                Class::Fast => rates.fast += rate,
                Class::Slow => rates.slow += rate,
                Class::Pages => rates.pages += rate,
            }
        }
        rates
    }

    /// With each class stretched.
    #[must_use]
    pub(crate) fn stretched(&self, by: &Stretch) -> f64 {
        self.fast / by.fast + self.slow / by.slow + self.pages / by.pages
    }
}

/// The least stretch with which what is left is enough for the rest of the month.
#[must_use]
pub(crate) fn stretch(rates: &Rates, left: f64, rest: Duration) -> Stretch {
    let allowed = left.max(0.0) * (1.0 - RESERVE) / rest.as_secs_f64().max(1.0);
    let fits = |by: &Stretch| rates.stretched(by) <= allowed;
    let mut by = Stretch::NONE;
    for pages in PAGES {
        by.pages = pages;
        if fits(&by) {
            return by;
        }
    }
    for slow in SLOW {
        by.slow = slow;
        if fits(&by) {
            return by;
        }
    }
    by.pages = f64::INFINITY;
    if fits(&by) {
        return by;
    }
    // What wakes people comes last: as often as the rest of the money allows.
    let others = rates.slow / by.slow;
    if rates.fast > 0.0 && allowed > others * 2.0 {
        by.fast = (rates.fast / (allowed - others)).max(1.0);
    } else {
        by.slow = f64::INFINITY;
        by.fast = if allowed > 0.0 {
            (rates.fast / allowed).max(1.0)
        } else {
            f64::INFINITY
        };
    }
    by
}

/// What the month will have cost at its end.
#[must_use]
pub(crate) fn forecast(spent: f64, rates: &Rates, by: &Stretch, rest: Duration) -> f64 {
    spent + rates.stretched(by) * rest.as_secs_f64()
}

fn month(now: Timestamp) -> i32 {
    let date = date(now);
    i32::from(date.year()) * 12 + i32::from(date.month()) - 1
}

fn date(now: Timestamp) -> jiff::civil::DateTime {
    let time = jiff::Timestamp::from_millisecond(now.millis()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    jiff::tz::TimeZone::UTC.to_datetime(time)
}

/// Until the month of `now` is over.
#[must_use]
pub(crate) fn rest_of_month(now: Timestamp) -> Duration {
    let today = date(now).date();
    let end = today.last_of_month().tomorrow().unwrap_or(today);
    let end = end
        .to_zoned(jiff::tz::TimeZone::UTC)
        .map(|end| end.timestamp().as_millisecond());
    let end = end.map_or(now, Timestamp);
    end.since(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    fn rates(fast: f64, slow: f64, pages: f64) -> Rates {
        let second = |monthly: f64| monthly / price::MONTH.as_secs_f64();
        Rates {
            fast: second(fast),
            slow: second(slow),
            pages: second(pages),
        }
    }

    #[test]
    fn months_are_those_of_the_bill() {
        assert_eq!(
            rest_of_month(at("2026-02-28T23:00:00Z")),
            Duration::from_secs(3_600)
        );
        assert_eq!(
            rest_of_month(at("2026-12-31T00:00:00Z")),
            Duration::from_secs(86_400)
        );
        let mut spent = Spent::default().at(at("2026-02-28T23:59:59Z"));
        spent.metrics(500);
        assert_eq!(spent.at(at("2026-02-01T00:00:00Z")).dollars, 0.005);
        let next = spent.at(at("2026-03-01T00:00:00Z"));
        assert_eq!(next.dollars, 0.0);
        // The clock was wrong, twice.
        let back = next.at(at("2030-01-01T00:00:00Z")).at(at("2026-02-28T23:59:59Z"));
        assert_eq!(back.dollars, 0.005);
    }

    #[test]
    fn dashboards_give_way_first_and_what_wakes_people_last() {
        let month = price::MONTH;
        let rates = rates(15.0, 10.0, 8.0);
        let by = |left| stretch(&rates, left, month);
        assert_eq!(by(40.0), Stretch::NONE);
        let some = by(30.0);
        assert!(
            (some.fast, some.slow) == (1.0, 1.0) && some.pages > 1.0,
            "{some:?}"
        );
        let more = by(22.0);
        assert!(more.fast == 1.0 && more.slow > 1.0, "{more:?}");
        let most = by(8.0);
        assert!(most.fast > 1.0 && most.pages.is_infinite(), "{most:?}");
        assert!(by(0.0).fast.is_infinite());
        for left in 0..60 {
            let left = f64::from(left);
            let total = rates.stretched(&by(left)) * month.as_secs_f64();
            assert!(total <= left, "{total} of {left}");
        }
    }
}
