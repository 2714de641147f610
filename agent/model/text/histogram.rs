//! A native histogram as Prometheus' API and its tools write it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::float;
use crate::Histogram;

/// `{"count":"3","sum":"2.5","buckets":[[0,"0.5","1","3"]]}`: of each bucket which of its bounds belong to it, its bounds
/// and its count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    pub count: String,
    pub sum: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub buckets: Vec<(u8, String, String, String)>,
}

/// By whether the lower and the upper bound belong to the bucket.
fn code(lower: bool, upper: bool) -> u8 {
    match (lower, upper) {
        (false, true) => 0,
        (true, false) => 1,
        (false, false) => 2,
        (true, true) => 3,
    }
}

impl From<&Histogram> for Written {
    fn from(histogram: &Histogram) -> Self {
        let buckets = histogram.buckets().into_iter().map(|bucket| {
            (
                code(bucket.lower_inclusive, bucket.upper_inclusive),
                float::api(bucket.lower),
                float::api(bucket.upper),
                float::api(bucket.count),
            )
        });
        Self {
            count: float::api(histogram.count),
            sum: float::api(histogram.sum),
            buckets: buckets.collect(),
        }
    }
}

/// `{count:3, sum:2.5, (0.5,1]:3}`
impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{count:{}, sum:{}", self.count, self.sum)?;
        for (code, lower, upper, count) in &self.buckets {
            let left = if matches!(code, 1 | 3) { '[' } else { '(' };
            let right = if matches!(code, 0 | 3) { ']' } else { ')' };
            write!(f, ", {left}{lower},{upper}{right}:{count}")?;
        }
        f.write_str("}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histogram::{Buckets, Span};

    #[test]
    fn buckets_say_which_bounds_are_theirs() {
        let one = |offset, count| Buckets {
            spans: vec![Span { offset, length: 1 }],
            counts: vec![count],
        };
        let histogram = Histogram {
            count: 7.0,
            sum: 2.5,
            zero_threshold: 0.001,
            zero_count: 2.0,
            positive: one(0, 3.0),
            negative: one(2, 2.0),
            ..Histogram::default()
        };
        let written = Written::from(&histogram);
        assert_eq!(
            written.to_string(),
            "{count:7, sum:2.5, [-4,-2):2, [-0.001,0.001]:2, (0.5,1]:3}"
        );
        let json = r#"{"count":"7","sum":"2.5","buckets":[[1,"-4","-2","2"],[3,"-0.001","0.001","2"],[0,"0.5","1","3"]]}"#;
        assert_eq!(serde_json::to_string(&written).unwrap(), json);
        assert_eq!(serde_json::from_str::<Written>(json).unwrap(), written);
        let empty = Written::from(&Histogram::default());
        assert_eq!(
            serde_json::to_string(&empty).unwrap(),
            r#"{"count":"0","sum":"0"}"#
        );
    }
}
