//! Cuts the events of a stream into requests that AWS takes.
//!
//! Within each they are in the order of time, and those of the same time in the order in which they were read.

/// A request counts the bytes of its messages, and so many more for each.
pub(crate) const EVENT_BYTES: usize = 26;
pub(crate) const REQUEST_BYTES_MAX: usize = 1_048_576;
/// Longest message of an event.
pub(crate) const MESSAGE_BYTES_MAX: usize = REQUEST_BYTES_MAX - EVENT_BYTES;
const EVENTS_MAX: usize = 10_000;
/// Between the first and the last event of a request.
const SPAN_MS_MAX: i64 = 24 * 3_600_000;

/// An event to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    /// Its record's number in the batch.
    pub(crate) row: usize,
    /// Milliseconds, as AWS has them.
    pub(crate) time: i64,
    pub(crate) message_bytes: usize,
}

/// Events of one stream, as many requests as it takes; each is the rows of its records.
pub(crate) fn cut(mut items: Vec<Item>) -> Vec<Vec<usize>> {
    items.sort_by_key(|item| item.time);
    let mut requests: Vec<Vec<usize>> = Vec::new();
    let (mut bytes, mut first) = (0, 0);
    for item in items {
        let more = item.message_bytes + EVENT_BYTES;
        match requests.last_mut() {
            Some(rows)
                if rows.len() < EVENTS_MAX
                    && bytes + more <= REQUEST_BYTES_MAX
                    && item.time.saturating_sub(first) <= SPAN_MS_MAX =>
            {
                rows.push(item.row);
                bytes += more;
            }
            _ => {
                requests.push(vec![item.row]);
                (bytes, first) = (more, item.time);
            }
        }
    }
    requests
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn items(events: &[(i64, usize)]) -> Vec<Item> {
        let items = events.iter().enumerate();
        let items = items.map(|(row, (time, message_bytes))| Item {
            row,
            time: *time,
            message_bytes: *message_bytes,
        });
        items.collect()
    }

    #[test]
    fn requests_are_filled_to_each_limit_and_not_beyond() {
        let sizes = |events: &[(i64, usize)]| {
            let requests = cut(items(events));
            requests.iter().map(Vec::len).collect::<Vec<_>>()
        };
        assert_eq!(sizes(&vec![(0, 1); 20_001]), [10_000, 10_000, 1]);
        assert_eq!(sizes(&vec![(0, 998); 1_025]), [1_024, 1]);
        assert_eq!(sizes(&[(0, MESSAGE_BYTES_MAX), (0, 0)]), [1, 1]);
        assert_eq!(sizes(&[(0, 1), (SPAN_MS_MAX, 1)]), [2]);
        assert_eq!(sizes(&[(0, 1), (SPAN_MS_MAX + 1, 1)]), [1, 1]);
        assert_eq!(sizes(&[]), [0; 0]);
    }

    proptest! {
        #[test]
        fn every_request_keeps_all_limits_and_every_event_is_in_one(
            events in prop::collection::vec((0i64..200_000_000, prop_oneof![1usize..2_000, 1usize..=MESSAGE_BYTES_MAX]), 0..300)
        ) {
            let items = items(&events);
            let requests = cut(items.clone());
            let mut seen: Vec<usize> = requests.iter().flatten().copied().collect();
            let mut sorted = items.clone();
            sorted.sort_by_key(|item| (item.time, item.row));
            let expected: Vec<usize> = sorted.iter().map(|item| item.row).collect();
            prop_assert_eq!(&seen, &expected, "in order of time, and then as they came");
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..items.len()).collect::<Vec<_>>());
            for rows in &requests {
                let of = |row: &usize| items[*row];
                let bytes: usize = rows.iter().map(|row| of(row).message_bytes + EVENT_BYTES).sum();
                prop_assert!(bytes <= REQUEST_BYTES_MAX && rows.len() <= EVENTS_MAX && !rows.is_empty());
                let span = of(rows.last().unwrap()).time - of(&rows[0]).time;
                prop_assert!((0..=SPAN_MS_MAX).contains(&span));
            }
            // None could have been spared: the next event never fits into the request before it.
            for pair in requests.windows(2) {
                let bytes: usize = pair[0].iter().chain(&pair[1][..1]).map(|row| items[*row].message_bytes + EVENT_BYTES).sum();
                let span = items[pair[1][0]].time - items[pair[0][0]].time;
                prop_assert!(bytes > REQUEST_BYTES_MAX || span > SPAN_MS_MAX || pair[0].len() == EVENTS_MAX);
            }
        }
    }
}
