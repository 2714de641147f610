//! `stats` of an answer, in the shape of prometheus/prometheus util/stats/query_stats.go.

use std::fmt::Write;
use std::time::Duration;

use promql::Statistics;

use crate::json::seconds;

/// As a member of `data`, with its comma in front.
pub(super) fn member(took: &Statistics, waited: Duration) -> String {
    let evaluated = took.preparing + took.evaluating + took.sorting;
    let timings = [
        ("evalTotalTime", evaluated),
        ("resultSortTime", took.sorting),
        ("queryPreparationTime", took.preparing),
        ("innerEvalTime", took.evaluating),
        ("execQueueTime", waited),
        ("execTotalTime", waited + evaluated),
    ];
    let mut text = ",\"stats\":{\"timings\":{".to_owned();
    for (nth, (name, time)) in timings.iter().enumerate() {
        let comma = if nth > 0 { "," } else { "" };
        // Writing to a string cannot fail.
        _ = write!(text, "{comma}\"{name}\":{}", time.as_secs_f64());
    }
    text.push_str("},\"samples\":{");
    for (nth, (time, samples)) in took.by_step.iter().enumerate() {
        text.push_str(if nth > 0 {
            ",["
        } else {
            "\"totalQueryableSamplesPerStep\":[["
        });
        seconds(&mut text, *time);
        _ = write!(text, ",{samples}]");
    }
    if !took.by_step.is_empty() {
        text.push_str("],");
    }
    let Statistics { samples, peak, .. } = took;
    _ = write!(
        text,
        "\"totalQueryableSamples\":{samples},\"peakSamples\":{peak}}}}}"
    );
    text
}

#[cfg(test)]
mod tests {
    use model::Timestamp;

    use super::*;

    #[test]
    fn they_read_as_those_of_prometheus() {
        let mut took = Statistics {
            preparing: Duration::from_millis(1),
            evaluating: Duration::from_millis(20),
            sorting: Duration::from_nanos(1_500),
            samples: 5,
            by_step: vec![(Timestamp(1_000), 2), (Timestamp(1_500), 3)],
            peak: 7,
        };
        let timings = "\"timings\":{\"evalTotalTime\":0.0210015,\"resultSortTime\":0.0000015,\
                       \"queryPreparationTime\":0.001,\"innerEvalTime\":0.02,\"execQueueTime\":0.5,\
                       \"execTotalTime\":0.5210015}";
        let samples = "\"totalQueryableSamples\":5,\"peakSamples\":7";
        let steps = "\"totalQueryableSamplesPerStep\":[[1,2],[1.5,3]],";
        let waited = Duration::from_millis(500);
        assert_eq!(
            member(&took, waited),
            format!(",\"stats\":{{{timings},\"samples\":{{{steps}{samples}}}}}")
        );
        took.by_step.clear();
        assert_eq!(
            member(&took, waited),
            format!(",\"stats\":{{{timings},\"samples\":{{{samples}}}}}")
        );
    }
}
