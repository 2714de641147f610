//! Statistics of samples, as CloudWatch names them.

use super::series::Samples;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Statistic {
    SampleCount,
    Average,
    Sum,
    Minimum,
    Maximum,
    /// `p99`: the value that so many of a hundred do not exceed.
    Percentile(f64),
    /// `tm99`, `TM(10%:90%)`, `IQM`: the mean of what is between two percentiles.
    Trimmed(f64, f64),
}

impl Statistic {
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let percent = |text: &str| {
            let is_number = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
            let number: f64 = text.parse().ok()?;
            (is_number && (0.0..=100.0).contains(&number)).then_some(number)
        };
        Some(match text {
            "SampleCount" => Self::SampleCount,
            "Average" => Self::Average,
            "Sum" => Self::Sum,
            "Minimum" => Self::Minimum,
            "Maximum" => Self::Maximum,
            "IQM" => Self::Trimmed(25.0, 75.0),
            other => {
                let range = other
                    .strip_prefix("TM(")
                    .and_then(|rest| rest.strip_suffix("%)")?.split_once("%:"));
                match (range, other.strip_prefix("tm"), other.strip_prefix('p')) {
                    (Some((from, to)), _, _) => Self::Trimmed(percent(from)?, percent(to)?),
                    (_, Some(to), _) => Self::Trimmed(0.0, percent(to)?),
                    (_, _, Some(percentile)) => Self::Percentile(percent(percentile)?),
                    _ => return None,
                }
            }
        })
    }

    /// None of no samples. The samples are left in any order.
    pub(super) fn of(self, samples: &mut Samples) -> Option<f64> {
        if samples.0.is_empty() {
            return None;
        }
        let count = |samples: &Samples| samples.0.iter().map(|(_, times)| times).sum::<f64>();
        let sum = |samples: &Samples| samples.0.iter().map(|(value, times)| value * times).sum::<f64>();
        let values = samples.0.iter().map(|(value, _)| *value);
        Some(match self {
            Self::SampleCount => count(samples),
            Self::Sum => sum(samples),
            Self::Average => sum(samples) / count(samples),
            Self::Minimum => values.fold(f64::INFINITY, f64::min),
            Self::Maximum => values.fold(f64::NEG_INFINITY, f64::max),
            Self::Percentile(percent) => {
                samples.0.sort_by(|one, other| one.0.total_cmp(&other.0));
                let rank = count(samples) * percent / 100.0;
                let mut below = 0.0;
                let found = samples.0.iter().find(|(_, times)| {
                    below += times;
                    below >= rank
                });
                found.or(samples.0.last()).map_or(0.0, |(value, _)| *value)
            }
            Self::Trimmed(from, to) => {
                samples.0.sort_by(|one, other| one.0.total_cmp(&other.0));
                let all = count(samples);
                let (from, to) = (all * from / 100.0, all * to / 100.0);
                let (mut below, mut sum, mut kept) = (0.0, 0.0, 0.0);
                for (value, times) in &samples.0 {
                    let part = ((below + times).min(to) - below.max(from)).max(0.0);
                    (below, sum, kept) = (below + times, sum + value * part, kept + part);
                }
                if kept <= 0.0 {
                    return None;
                }
                sum / kept
            }
        })
    }
}
