//! What a number counts, read off the expression it comes from, and how it is written then.
//!
//! A wrong guess would mislead, so whatever is not sure is a plain number.

use std::time::Duration;

use model::text;
use promql::{Aggregation, Binary, Expr, Kind, Op};

use super::words::plain;

/// Narrow no-break space between a number and its sign.
const THIN: char = '\u{202f}';

/// What a number counts, as far as its expression gives it away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// 0 to 1, shown as per cent.
    Share,
    Percent,
    Bytes,
    BytesPerSecond,
    Seconds,
    /// Whatever it is, a plain number.
    Plain,
}

impl Unit {
    /// Of the values of an expression. `limit` is what they are compared with: it tells a share from a
    /// plain quotient of two counts.
    pub(super) fn of(expr: &Expr, limit: Option<f64>) -> Self {
        match &expr.bare().kind {
            Kind::Selector(selector) => named(selector.name.as_deref().unwrap_or_default()),
            Kind::Range { selector, .. } => named(selector.name.as_deref().unwrap_or_default()),
            Kind::Subquery(subquery) => Self::of(&subquery.expr, limit),
            Kind::Unary { expr, .. } => Self::of(expr, limit),
            Kind::Aggregate(aggregate) => match aggregate.op {
                Aggregation::Count | Aggregation::CountValues | Aggregation::Group | Aggregation::Stdvar => {
                    Self::Plain
                }
                _ => Self::of(&aggregate.expr, limit),
            },
            Kind::Call { function, args } => called(function.name, args, limit),
            Kind::Binary(binary) => joined(binary, limit),
            Kind::Number(_) | Kind::Text(_) | Kind::Paren(_) => Self::Plain,
        }
    }

    /// `81 %`, `58 MiB`, `50 ms`, `1,146`.
    pub(super) fn write(self, value: f64) -> String {
        if !value.is_finite() {
            return text::float::go(value);
        }
        match self {
            Self::Share => percent(value * 100.0),
            Self::Percent => percent(value),
            Self::Bytes => narrow(&text::bytes(value)),
            Self::BytesPerSecond => format!("{}/s", narrow(&text::bytes(value))),
            Self::Seconds => seconds(value),
            Self::Plain => plain(value),
        }
    }

    /// The natural end of what is a share: 100 %.
    pub(super) fn most(self) -> Option<f64> {
        match self {
            Self::Share => Some(1.0),
            Self::Percent => Some(100.0),
            _ => None,
        }
    }
}

fn percent(value: f64) -> String {
    let digits = if value != 0.0 && value.abs() < 9.95 { 1 } else { 0 };
    let number = format!("{value:.digits$}");
    let number = number.strip_suffix(".0").unwrap_or(&number);
    format!("{}{THIN}%", if number == "-0" { "0" } else { number })
}

fn narrow(sized: &str) -> String {
    sized.replacen(".0 ", " ", 1).replace(' ', &THIN.to_string())
}

fn seconds(value: f64) -> String {
    let (sign, size) = (if value < 0.0 { "−" } else { "" }, value.abs());
    let spoken = if size == 0.0 {
        "0 s".to_owned()
    } else if size < 1e-3 {
        format!("{} µs", plain(size * 1e6))
    } else if size < 1.0 {
        format!("{} ms", plain(size * 1e3))
    } else if size < 60.0 {
        format!("{} s", plain(size))
    } else {
        text::duration::spoken(Duration::try_from_secs_f64(size).unwrap_or(Duration::MAX))
    };
    format!("{sign}{}", spoken.replacen(' ', &THIN.to_string(), 1))
}

/// By the suffix that Prometheus' conventions ask for; `_total` is what is counted.
fn named(name: &str) -> Unit {
    let name = name.strip_suffix("_total").unwrap_or(name);
    let ends = |suffix: &str| name.ends_with(suffix);
    if ends("_bytes") {
        Unit::Bytes
    } else if ends("_ratio") {
        Unit::Share
    } else if ends("_percent") {
        Unit::Percent
    } else if ends("_seconds") && !ends("_timestamp_seconds") && !ends("_time_seconds") {
        Unit::Seconds
    } else {
        Unit::Plain
    }
}

fn called(function: &str, args: &[Expr], limit: Option<f64>) -> Unit {
    let argument = args
        .iter()
        .map(|arg| Unit::of(arg, limit))
        .find(|unit| *unit != Unit::Plain);
    let argument = argument.unwrap_or(Unit::Plain);
    match function {
        // Seconds a second are the share of the time that was spent so.
        "rate" | "irate" | "deriv" => match argument {
            Unit::Bytes => Unit::BytesPerSecond,
            Unit::Seconds if function != "deriv" && !counts_more(args) => Unit::Share,
            _ => Unit::Plain,
        },
        "time" => Unit::Seconds,
        "count_over_time" | "changes" | "resets" | "absent" | "absent_over_time" | "present_over_time"
        | "timestamp" => Unit::Plain,
        _ => argument,
    }
}

/// Weighted times pass one second a second.
fn counts_more(args: &[Expr]) -> bool {
    let name = |expr: &Expr| match &expr.bare().kind {
        Kind::Range { selector, .. } => selector.name.clone(),
        _ => None,
    };
    args.iter()
        .filter_map(name)
        .any(|name| name.contains("_weighted_"))
}

fn joined(binary: &Binary, limit: Option<f64>) -> Unit {
    let (left, right) = (Unit::of(&binary.left, limit), Unit::of(&binary.right, limit));
    let number = |expr: &Expr| match expr.bare().kind {
        Kind::Number(number) => Some(number),
        _ => None,
    };
    match binary.op {
        // `100 * a / b` is the hundredfold of `a`, divided.
        Op::Div if number(&binary.right).is_none() && is_hundredfold(&binary.left) => Unit::Percent,
        Op::Div => match (number(&binary.right), left == right) {
            (Some(_), _) => Unit::Plain,
            (None, true) if left != Unit::Plain => Unit::Share,
            // Two counts: a share, when what it is compared with is one.
            (None, true) if limit.is_some_and(|limit| limit.abs() <= 1.0) => Unit::Share,
            _ => Unit::Plain,
        },
        Op::Mul => match (number(&binary.left), number(&binary.right), left, right) {
            (Some(100.0), _, _, Unit::Share) | (_, Some(100.0), Unit::Share, _) => Unit::Percent,
            // A hundred quotients are per cent, whatever is divided.
            (Some(100.0), _, _, Unit::Plain) if divides(&binary.right) => Unit::Percent,
            (_, Some(100.0), Unit::Plain, _) if divides(&binary.left) => Unit::Percent,
            _ => Unit::Plain,
        },
        Op::Add | Op::Sub | Op::Mod if left == Unit::Plain => right,
        op if op.is_comparison() && binary.as_bool => Unit::Plain,
        Op::Pow | Op::Atan2 => Unit::Plain,
        _ => left,
    }
}

fn is_hundredfold(expr: &Expr) -> bool {
    let hundred = |expr: &Expr| matches!(expr.bare().kind, Kind::Number(100.0));
    matches!(&expr.bare().kind, Kind::Binary(binary)
        if binary.op == Op::Mul && (hundred(&binary.left) || hundred(&binary.right)))
}

fn divides(expr: &Expr) -> bool {
    match &expr.bare().kind {
        Kind::Binary(binary) => binary.op == Op::Div || divides(&binary.left) || divides(&binary.right),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_never_without_its_unit() {
        let fullness = "1 - node_filesystem_avail_bytes / node_filesystem_size_bytes";
        for (expr, limit, value, text) in [
            (fullness, Some(0.9), 0.8123, "81 %"),
            (fullness, None, 0.012, "1.2 %"),
            (
                "100 * node_load1 / count(node_cpu_info)",
                Some(90.0),
                81.0,
                "81 %",
            ),
            (
                "node_filefd_allocated / node_filefd_maximum",
                Some(0.8),
                0.11,
                "11 %",
            ),
            ("node_load1 / count(x)", Some(2.0), 0.11, "0.11"),
            ("abs(node_timex_offset_seconds)", Some(0.05), 0.0003, "300 µs"),
            ("node_timex_offset_seconds", Some(0.05), -0.05, "−50 ms"),
            (
                "rate(node_pressure_io_stalled_seconds_total[5m])",
                Some(0.3),
                0.2,
                "20 %",
            ),
            (
                "rate(node_disk_io_time_weighted_seconds_total[5m])",
                Some(10.0),
                12.0,
                "12",
            ),
            (
                "1 - avg by (job) (sum without (mode) (rate(node_cpu_seconds_total{mode=\"idle\"}[5m])))",
                Some(0.95),
                0.2,
                "20 %",
            ),
            ("process_resident_memory_bytes", Some(6e7), 60_817_408.0, "58 MiB"),
            (
                "rate(node_disk_written_bytes_total[1m])",
                None,
                3_145_728.0,
                "3 MiB/s",
            ),
            (
                "predict_linear(node_filesystem_avail_bytes[1h], 86400)",
                Some(0.0),
                3.5e9,
                "3.3 GiB",
            ),
            ("up", Some(0.0), 1.0, "1"),
            (
                "time() - prometheus_rule_group_last_evaluation_timestamp_seconds",
                Some(60.0),
                158.0,
                "2 min 38 s",
            ),
            (
                "scrape_duration_seconds / scrape_timeout_seconds",
                Some(0.8),
                0.004,
                "0.4 %",
            ),
            ("increase(skopos_store_dropped_total[5m])", Some(0.0), 3.0, "3"),
            ("node_time_seconds", None, 1_795_687_200.0, "1,795,687,200"),
        ] {
            let unit = Unit::of(&promql::parse(expr).unwrap(), limit);
            assert_eq!(unit.write(value).replace(THIN, " "), text, "{expr}");
        }
    }
}
