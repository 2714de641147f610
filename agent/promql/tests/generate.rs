//! Random expressions of the right types, over the names and labels of `samples`: all that Prometheus 3.5.3 has.

use fastrand::Rng;
use model::Timestamp;

const NAMES: [&str; 12] = [
    "requests_total",
    "errors_total",
    "heat",
    "load",
    "level",
    "odd",
    "huge",
    "delay_sum",
    "delay_bucket",
    "target_info",
    "build_info",
    "nothing",
];

const LABELS: [&str; 7] = ["job", "instance", "zone", "le", "quoted", "version", "absent"];

const OVER_TIME: [&str; 24] = [
    "avg_over_time",
    "changes",
    "count_over_time",
    "delta",
    "deriv",
    "idelta",
    "increase",
    "increase",
    "irate",
    "last_over_time",
    "mad_over_time",
    "max_over_time",
    "min_over_time",
    "present_over_time",
    "rate",
    "rate",
    "resets",
    "stddev_over_time",
    "stdvar_over_time",
    "sum_over_time",
    "ts_of_last_over_time",
    "ts_of_max_over_time",
    "ts_of_min_over_time",
    "absent_over_time",
];

const EACH: [&str; 27] = [
    "abs",
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atanh",
    "ceil",
    "cos",
    "cosh",
    "deg",
    "exp",
    "floor",
    "ln",
    "log10",
    "log2",
    "rad",
    "round",
    "sgn",
    "sin",
    "sinh",
    "sqrt",
    "tan",
    "tanh",
    "timestamp",
    "timestamp",
    "absent",
];

const DATES: [&str; 8] = [
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "days_in_month",
    "hour",
    "minute",
    "month",
    "year",
];

const AGGREGATIONS: [&str; 8] = ["sum", "avg", "min", "max", "count", "group", "stddev", "stdvar"];

const NUMBERS: [&str; 22] = [
    "0", "1", "2", "-1", "0.5", "0.9", "0.99", "1e3", "1e300", "-0.25", "NaN", "Inf", "-Inf", "3", "10",
    "100", "5m", "0x1F", "1e-9", ".5", "60", "1_000",
];

const RANGES: [&str; 10] = [
    "5s", "10s", "30s", "1m", "1m30s", "2m", "5m", "7m30s", "20m", "1h",
];

fn pick<'a>(rng: &mut Rng, from: &[&'a str]) -> &'a str {
    from[rng.usize(..from.len())]
}

fn chance(rng: &mut Rng, percent: u8) -> bool {
    rng.u8(..100) < percent
}

/// An instant vector, now and then a scalar.
pub(crate) fn expression(rng: &mut Rng) -> String {
    let depth = rng.u8(0..4);
    if chance(rng, 5) {
        return scalar(rng, depth);
    }
    vector(rng, depth)
}

/// When to ask: on a sample, between samples, sometimes after the last.
pub(crate) fn time(rng: &mut Rng, end: Timestamp) -> Timestamp {
    let last = if chance(rng, 10) { end.0 + 400_000 } else { end.0 };
    Timestamp(match rng.u8(..10) {
        0..5 => rng.i64(0..=last / 60_000) * 60_000,
        5..9 => rng.i64(0..=last / 1000) * 1000,
        _ => rng.i64(0..=last),
    })
}

fn matchers(rng: &mut Rng) -> String {
    let one = |rng: &mut Rng| {
        pick(
            rng,
            &[
                "job=\"api\"",
                "job!=\"db\"",
                "job=~\"a.*|d.*\"",
                "job!~\"d.\"",
                "instance=\"i1\"",
                "instance=~\"i[12]\"",
                "instance=~\".+\"",
                "zone=\"a\"",
                "zone=\"\"",
                "zone!=\"a\"",
                "zone=~\"a|\"",
                "zone!~\".+\"",
                "quoted='x\"y\\\\z'",
                "\"dotted.label\"!=\"\"",
                "absent=\"\"",
                "le!=\"1\"",
            ],
        )
    };
    let count = [1, 1, 1, 2][rng.usize(..4)];
    (0..count).map(|_| one(rng)).collect::<Vec<_>>().join(", ")
}

fn bare_selector(rng: &mut Rng) -> String {
    match rng.u8(..100) {
        0..6 => {
            let names = pick(rng, &["heat|load", ".*_total", "l.+", "requests_total|level|odd"]);
            format!("{{__name__=~\"{names}\", {}}}", matchers(rng))
        }
        6..11 => "{\"dotted.name\"}".to_owned(),
        11..70 => pick(rng, &NAMES).to_owned(),
        _ => format!("{}{{{}}}", pick(rng, &NAMES), matchers(rng)),
    }
}

fn when(rng: &mut Rng) -> String {
    let offset = |rng: &mut Rng| {
        let length = pick(
            rng,
            &["1m", "30s", "-1m", "5m", "-30s", "1s500ms", "15", "-2m30s"],
        );
        format!(" offset {length}")
    };
    let at = |rng: &mut Rng| match rng.u8(..4) {
        0 => " @ start()".to_owned(),
        1 => " @ end()".to_owned(),
        2 => format!(" @ {}", rng.i32(-100..3000)),
        _ => format!(" @ {}.5", rng.u32(..3000)),
    };
    match rng.u8(..100) {
        0..75 => String::new(),
        75..87 => offset(rng),
        87..96 => at(rng),
        96..98 => offset(rng) + &at(rng),
        _ => at(rng) + &offset(rng),
    }
}

fn selector(rng: &mut Rng) -> String {
    bare_selector(rng) + &when(rng)
}

fn matrix(rng: &mut Rng, depth: u8) -> String {
    if depth == 0 || chance(rng, 70) {
        let range = pick(rng, &RANGES);
        return format!("{}[{range}]{}", bare_selector(rng), when(rng));
    }
    let inner = if chance(rng, 10) {
        scalar(rng, depth - 1)
    } else {
        vector(rng, depth - 1)
    };
    let range = pick(rng, &["30s", "1m", "90s", "3m", "5m", "10m"]);
    let step = pick(rng, &["", "", "10s", "15s", "20s", "1m", "7s", "2m"]);
    format!("({inner})[{range}:{step}]{}", when(rng))
}

fn labels(rng: &mut Rng) -> String {
    let count = [0, 1, 1, 2, 2, 3][rng.usize(..6)];
    let mut some: Vec<&str> = (0..count).map(|_| pick(rng, &LABELS)).collect();
    if chance(rng, 4) {
        some.push("__name__");
    }
    if chance(rng, 4) {
        some.push("\"dotted.label\"");
    }
    some.join(", ")
}

fn grouping(rng: &mut Rng) -> String {
    let by = pick(rng, &["by", "by", "without"]);
    if chance(rng, 25) {
        return String::new();
    }
    format!(" {by} ({}) ", labels(rng))
}

fn aggregation(rng: &mut Rng, depth: u8) -> String {
    let inner = vector(rng, depth);
    let op = match rng.u8(..100) {
        0..65 => return format!("{}{}({inner})", pick(rng, &AGGREGATIONS), grouping(rng)),
        65..73 => "quantile",
        73..82 => "topk",
        82..91 => "bottomk",
        91..94 => "limitk",
        94..97 => "limit_ratio",
        _ => {
            let label = pick(rng, &["v", "job", "zone", "__name__", "le"]);
            return format!("count_values{}(\"{label}\", {inner})", grouping(rng));
        }
    };
    let param = match op {
        "quantile" => pick(rng, &["0.5", "0.9", "0", "1", "-0.5", "1.5", "NaN", "0.25"]).to_owned(),
        "limit_ratio" => pick(rng, &["0.5", "-0.5", "1", "-1", "0", "0.3", "-0.7", "1.1"]).to_owned(),
        _ => pick(rng, &["1", "2", "3", "0", "-1", "2.7", "5", "100"]).to_owned(),
    };
    let param = if chance(rng, 10) {
        scalar(rng, depth.min(1))
    } else {
        param
    };
    format!("{op}{}({param}, {inner})", grouping(rng))
}

/// Vectors whose series find each other more often than not.
fn pair(rng: &mut Rng, depth: u8) -> (String, String) {
    match rng.u8(..10) {
        0..3 => {
            let by = pick(rng, &["job", "instance", "job, instance", "zone", "job, zone"]);
            let side = |rng: &mut Rng| {
                let op = pick(rng, &AGGREGATIONS);
                format!("{op} by ({by}) ({})", vector(rng, depth))
            };
            (side(rng), side(rng))
        }
        3..5 => {
            let one = vector(rng, depth);
            (one.clone(), one)
        }
        5..7 => (selector(rng), selector(rng)),
        _ => (vector(rng, depth), vector(rng, depth)),
    }
}

fn matching(rng: &mut Rng, many: bool) -> String {
    let how = pick(rng, &["on", "ignoring"]);
    let labels = match (how, rng.bool()) {
        ("on", true) => pick(
            rng,
            &["job, instance", "instance", "job", "job, instance, zone, quoted"],
        )
        .to_owned(),
        ("ignoring", true) => {
            pick(rng, &["zone, quoted, \"dotted.label\", version", "le", "zone"]).to_owned()
        }
        _ => labels(rng),
    };
    let mut text = format!("{how} ({labels})");
    if many && chance(rng, 50) {
        let side = pick(rng, &["group_left", "group_right"]);
        let include = pick(
            rng,
            &["", "()", "(zone)", "(version)", "(version, zone)", "(job)"],
        );
        text = format!("{text} {side} {include}");
    }
    text
}

fn binary(rng: &mut Rng, depth: u8) -> String {
    let (left, right) = pair(rng, depth);
    if chance(rng, 30) {
        let op = pick(rng, &["and", "or", "unless"]);
        let how = if chance(rng, 50) {
            matching(rng, false)
        } else {
            String::new()
        };
        return format!("({left}) {op} {how} ({right})");
    }
    let op = operator(rng);
    let how = if chance(rng, 65) {
        matching(rng, true)
    } else {
        String::new()
    };
    format!("({left}) {op} {how} ({right})")
}

fn operator(rng: &mut Rng) -> String {
    if chance(rng, 55) {
        return pick(rng, &["+", "-", "*", "/", "%", "^", "atan2"]).to_owned();
    }
    let op = pick(rng, &["==", "!=", "<", "<=", ">", ">="]);
    format!("{op}{}", pick(rng, &["", " bool"]))
}

fn relabelled(rng: &mut Rng, depth: u8) -> String {
    let inner = vector(rng, depth);
    let target = pick(rng, &["zone", "new", "job", "__name__", "dotted.label"]);
    let source = pick(rng, &["job", "instance", "__name__", "zone", "absent"]);
    if chance(rng, 70) {
        let value = pick(rng, &["$1", "x", "", "${1}-$0", "$2"]);
        let pattern = pick(rng, &["(.*)", "(.).*", "", "a(.*)", ".+", "i([0-9])"]);
        return format!("label_replace({inner}, \"{target}\", \"{value}\", \"{source}\", \"{pattern}\")");
    }
    let between = pick(rng, &["", "-", "/"]);
    match rng.u8(..4) {
        0 => format!("label_join({inner}, \"{target}\", \"{between}\")"),
        1 => format!("label_join({inner}, \"{target}\", \"{between}\", \"{source}\")"),
        _ => format!("label_join({inner}, \"{target}\", \"{between}\", \"{source}\", \"zone\")"),
    }
}

fn histogram(rng: &mut Rng, depth: u8) -> String {
    let inner = match rng.u8(..10) {
        0..3 => "delay_bucket".to_owned(),
        3..5 => format!("rate(delay_bucket[{}])", pick(rng, &RANGES)),
        5..9 => {
            let by = pick(rng, &["le", "le, job", "le, instance", "job"]);
            format!("sum by ({by}) (increase(delay_bucket[{}]))", pick(rng, &RANGES))
        }
        _ => vector(rng, depth),
    };
    if chance(rng, 75) {
        let q = pick(
            rng,
            &["0.5", "0.9", "0.99", "0", "1", "-1", "2", "NaN", "0.01", "1e-9"],
        );
        return format!("histogram_quantile({q}, {inner})");
    }
    let low = pick(rng, &["0", "-Inf", "0.1", "0.3", "-2", "NaN"]);
    let high = pick(rng, &["1", "+Inf", "0.4", "5", "-1", "NaN"]);
    format!("histogram_fraction({low}, {high}, {inner})")
}

fn over_time(rng: &mut Rng, depth: u8) -> String {
    let range = matrix(rng, depth);
    match rng.u8(..100) {
        0..8 => {
            let q = pick(rng, &["0.5", "0", "1", "0.9", "-1", "2", "NaN", "0.25"]);
            format!("quantile_over_time({q}, {range})")
        }
        8..14 => format!("predict_linear({range}, {})", scalar(rng, 0)),
        14..18 => {
            let factor = |rng: &mut Rng| pick(rng, &["0.1", "0.5", "0.9", "0.3", "1", "0"]);
            let (smoothing, trend) = (factor(rng), factor(rng));
            format!("double_exponential_smoothing({range}, {smoothing}, {trend})")
        }
        _ => format!("{}({range})", pick(rng, &OVER_TIME)),
    }
}

fn info(rng: &mut Rng, depth: u8) -> String {
    let inner = vector(rng, depth.min(1));
    let picked = match rng.u8(..5) {
        0 => ", {version=~\".+\"}",
        1 => ", {__name__=\"build_info\"}",
        2 => ", {version=\"1\"}",
        3 => ", {__name__=~\".*_info\", zone!=\"b\"}",
        _ => "",
    };
    format!("info({inner}{picked})")
}

fn vector(rng: &mut Rng, depth: u8) -> String {
    if depth == 0 {
        return match rng.u8(..100) {
            0..60 => selector(rng),
            60..85 => over_time(rng, 0),
            85..90 => format!("vector({})", scalar(rng, 0)),
            90..95 => histogram(rng, 0),
            _ => format!("{}({})", pick(rng, &EACH), selector(rng)),
        };
    }
    let depth = depth - 1;
    match rng.u8(..100) {
        0..6 => selector(rng),
        6..24 => over_time(rng, depth),
        24..34 => format!("{}({})", pick(rng, &EACH), vector(rng, depth)),
        34..39 => {
            let inner = vector(rng, depth);
            let (one, two) = (scalar(rng, 0), scalar(rng, 0));
            match rng.u8(..4) {
                0 => format!("clamp({inner}, {one}, {two})"),
                1 => format!("clamp_min({inner}, {one})"),
                2 => format!("clamp_max({inner}, {one})"),
                _ => format!("round({inner}, {one})"),
            }
        }
        39..43 => relabelled(rng, depth),
        43..46 => {
            let inner = vector(rng, depth);
            match rng.u8(..4) {
                0 => format!("sort({inner})"),
                1 => format!("sort_desc({inner})"),
                2 => format!("sort_by_label({inner}, \"job\")"),
                _ => format!("sort_by_label_desc({inner}, \"zone\", \"instance\")"),
            }
        }
        46..51 => histogram(rng, depth),
        51..53 => info(rng, depth),
        53..70 => aggregation(rng, depth),
        70..84 => binary(rng, depth),
        84..93 => {
            let (inner, number, op) = (vector(rng, depth), scalar(rng, depth), operator(rng));
            if rng.bool() {
                format!("({inner}) {op} ({number})")
            } else {
                format!("({number}) {op} ({inner})")
            }
        }
        93..96 => format!("-({})", vector(rng, depth)),
        96 => date(rng, depth),
        97 => format!("({})", vector(rng, depth)),
        98 if chance(rng, 30) => native(rng, depth),
        98 => loose(rng, depth),
        _ => format!("vector({})", scalar(rng, depth)),
    }
}

/// Functions of native histograms, which nothing here is.
fn native(rng: &mut Rng, depth: u8) -> String {
    let function = pick(rng, &["avg", "count", "sum", "stddev", "stdvar"]);
    format!("histogram_{function}({})", vector(rng, depth))
}

/// Only of what is a date: what Go makes of NaN and of years past its own is another thing on each processor.
fn date(rng: &mut Rng, depth: u8) -> String {
    let function = pick(rng, &DATES);
    if chance(rng, 30) {
        return format!("{function}()");
    }
    let factor = pick(rng, &["1", "3600", "86400", "-1e7"]);
    format!(
        "{function}(clamp({factor} * ({}), -1e10, 1e10) < Inf)",
        vector(rng, depth)
    )
}

/// Operators without parentheses: which of them binds tighter is part of the answer.
fn loose(rng: &mut Rng, depth: u8) -> String {
    let mut text = selector(rng);
    for _ in 0..rng.usize(1..4) {
        let op = pick(
            rng,
            &[
                "+", "-", "*", "/", "%", "^", "and", "or", "unless", ">", "==", "!= bool", "atan2",
            ],
        );
        let next = vector(rng, depth.min(1));
        let sign = pick(rng, &["", "", "-", "+"]);
        text = format!("{text} {op} {sign}{next}");
    }
    text
}

fn scalar(rng: &mut Rng, depth: u8) -> String {
    if depth == 0 {
        return match rng.u8(..10) {
            0 => "time()".to_owned(),
            1 => "pi()".to_owned(),
            _ => pick(rng, &NUMBERS).to_owned(),
        };
    }
    let depth = depth - 1;
    match rng.u8(..10) {
        0..3 => scalar(rng, 0),
        3..6 => format!("scalar({})", vector(rng, depth)),
        6 => format!("-({})", scalar(rng, depth)),
        _ => {
            let op = match operator(rng) {
                op if op.starts_with(['=', '!', '<', '>']) && !op.ends_with("bool") => format!("{op} bool"),
                op => op,
            };
            format!("({}) {op} ({})", scalar(rng, depth), scalar(rng, depth))
        }
    }
}
