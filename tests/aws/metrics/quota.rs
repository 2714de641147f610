//! How often and how much somebody may ask, by account, region and operation: buckets that fill again in the fake's own time.

use std::collections::BTreeMap;

use model::Timestamp;

/// Of each kind so many a second, as the user guide had them.
const USUAL: [(&str, f64); 5] = [
    ("GetMetricData", 50.0),
    ("GetMetricStatistics", 400.0),
    ("ListMetrics", 25.0),
    (NEW_POINTS, 180_000.0),
    (OLD_POINTS, 396_000.0),
];
/// Datapoints asked for, where the time begins at most three hours ago.
pub const NEW_POINTS: &str = "datapoints of the last three hours";
/// And where it begins earlier.
pub const OLD_POINTS: &str = "older datapoints";

#[derive(Default)]
pub struct Quotas {
    set: BTreeMap<&'static str, f64>,
    buckets: BTreeMap<(String, String, &'static str), Bucket>,
}

struct Bucket {
    left: f64,
    at: Timestamp,
}

impl Quotas {
    /// Another number a second.
    pub fn set(&mut self, kind: &'static str, per_second: f64) {
        self.set.insert(kind, per_second);
    }

    pub(super) fn take(
        &mut self,
        (account, region): (&str, &str),
        kind: &'static str,
        amount: f64,
        now: Timestamp,
    ) -> bool {
        let usual = USUAL.iter().find(|(known, _)| *known == kind);
        let Some(rate) = self.set.get(kind).copied().or(usual.map(|(_, rate)| *rate)) else {
            return true;
        };
        let at = (account.to_owned(), region.to_owned(), kind);
        let bucket = self.buckets.entry(at).or_insert(Bucket { left: rate, at: now });
        let gone = now.since(bucket.at).as_secs_f64();
        bucket.left = (bucket.left + gone * rate).min(rate);
        bucket.at = now;
        let has_room = bucket.left >= amount;
        if has_room {
            bucket.left -= amount;
        }
        has_room
    }
}
