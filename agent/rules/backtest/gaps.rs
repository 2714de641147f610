//! When nothing was kept: whoever evaluates there finds everything absent, which alive nobody would have.

use std::collections::HashSet;
use std::time::Duration;

use model::{TimeRange, Timestamp};

use super::past::{Past, PastError};
use super::steps::Steps;
use crate::heard::LOOKBACK;

/// Everything that is scraped has it, whatever it comes to.
const PROBE: &str = "count(count_over_time(up[5m]))";
const NEWEST: &str = "max(timestamp(up))";
/// Between two looks, at most.
const STEP_MAX: Duration = Duration::from_secs(60);

/// When there is nothing, of the time after `from` and up to `until`: first and last moment of each gap. One is as long as
/// the lookback at least, and begins with the last sample before it.
///
/// # Errors
/// See [`PastError`].
pub(super) async fn gaps(
    past: &dyn Past,
    (from, until): (Timestamp, Timestamp),
    interval: Duration,
) -> Result<Vec<(Timestamp, Timestamp)>, PastError> {
    let step = interval.min(STEP_MAX);
    // What is missing a little later may have ended before.
    let length = until.since(from) + LOOKBACK;
    let count = length.as_millis().div_ceil(step.as_millis().max(1)) + 1;
    let steps = Steps {
        first: from,
        step,
        count: u32::try_from(count).unwrap_or(u32::MAX),
    };
    let there = there(past, steps).await?;
    // Looks that found nothing, from the first to the last of each row of them.
    let mut rows: Vec<(Timestamp, Timestamp)> = Vec::new();
    let mut is_blank = false;
    for time in steps.times() {
        let is_there = there.contains(&time);
        match rows.last_mut().filter(|_| is_blank) {
            _ if is_there => {}
            Some((_, last)) => *last = time,
            None => rows.push((time, time)),
        }
        is_blank = !is_there;
    }
    let mut gaps = Vec::new();
    for (first, last) in rows {
        let range = TimeRange {
            after: first - LOOKBACK,
            until: last,
        };
        if !past.is_blank(range).await? {
            continue;
        }
        let begin = if first == from {
            from
        } else {
            begin(past, first - step).await?
        };
        // The next look found something, and nobody knows since when.
        let end = Timestamp((last + step).0 - 1).min(until);
        if begin <= end {
            gaps.push((begin.max(from), end));
        }
    }
    Ok(gaps)
}

/// At which steps there was something. Asked in parts where there is no answer for all at once.
async fn there(past: &dyn Past, steps: Steps) -> Result<HashSet<Timestamp>, PastError> {
    let (mut found, mut left) = (HashSet::new(), vec![steps]);
    while let Some(steps) = left.pop() {
        match past.answers(PROBE, steps).await {
            Err(PastError::Unanswered(_)) if steps.count > 1 => {
                let (early, late) = steps.halves();
                left.extend([late, early]);
            }
            answers => {
                let answers = answers?;
                let points = answers.iter().flat_map(|series| &series.points);
                found.extend(points.map(|point| point.time));
            }
        }
    }
    Ok(found)
}

/// Just after the last sample that was there at `time`.
async fn begin(past: &dyn Past, time: Timestamp) -> Result<Timestamp, PastError> {
    let once = Steps {
        first: time,
        step: STEP_MAX,
        count: 1,
    };
    let newest = past.answers(NEWEST, once).await?;
    let newest = newest.first().and_then(|series| series.points.first());
    Ok(newest.map_or(time, |sample| {
        Timestamp(Timestamp::from_seconds(sample.value).0 + 1)
    }))
}
