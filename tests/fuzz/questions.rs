//! PromQL: reading, printing and reading again, and answers over a few series.

use std::sync::Arc;
use std::time::Duration;

use model::Timestamp;
use promql::script::{self, Memory};
use promql::{Engine, Options, TEXT_BYTES_MAX, parse as read};

pub(crate) const WORDS: &[&str] = &[
    "sum",
    "avg",
    "count_values(\"v\", ",
    "topk(2, ",
    "limitk(1, ",
    "limit_ratio(0.5, ",
    "quantile(0.9, ",
    " by (a) ",
    " without (a, b) ",
    "rate(",
    "increase(",
    "histogram_quantile(0.9, ",
    "label_replace(",
    "label_join(",
    "absent(",
    "sort_by_label(",
    "info(",
    "holt_winters(",
    "predict_linear(",
    "time()",
    "vector(1)",
    "scalar(",
    "x{a=\"1\"}",
    "{__name__=~\".+\"}",
    "{\"x\", a!~\"\"}",
    "[5m]",
    "[5m:]",
    "[1h:1m]",
    "[-1]",
    "[5m+1m]",
    " offset -5m",
    " offset (1m)",
    " @ 0",
    " @ start()",
    " @ end()",
    " @ -1e300",
    " or ",
    " and ",
    " unless ",
    " + ",
    " - ",
    " * ",
    " / ",
    " % ",
    " ^ ",
    " atan2 ",
    " == bool ",
    " != ",
    " < ",
    " >= ",
    " </ ",
    " on (a) ",
    " ignoring () ",
    " group_left (b) ",
    "group_right()",
    " fill (0) ",
    " fill_left(1) ",
    " smoothed",
    " anchored",
    "1e308",
    "0x1F",
    "1_000",
    "-Inf",
    "NaN",
    "9223372036854775807",
    "1h30m",
    "step()",
    "range()",
    "min(1m, 2m)",
    "max(",
    "\"\\u00e9\"",
    "'",
    "`",
    "\\",
    "#",
    "\n",
    "(",
    ")",
    "{",
    "}",
    "[",
    "]",
    ",",
    "-",
    "+",
    "é",
    "\u{10ffff}",
];

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let all = [
        "sum by (a) (rate(x{a=~\"1|2\",b!=\"\"}[5m] offset 1m @ start())) > bool 0.5",
        "histogram_quantile(0.9, sum without (b) (increase(h_bucket[10m:1m]))) or vector(-1) ^ 2",
        "x * on (a) group_left (b) y{a!~\".\"} fill (0) # why",
        "label_replace({\"x.y\", a=\"\\u00e9\"}, \"c\", \"$1\", `a`, '(.*)') unless ignoring (b) -x",
        "max_over_time(x[5m + step() * 2] @ 1.5e3) % 7 atan2 limit_ratio(-0.5, x)",
        "topk(2, x smoothed) == count_values(\"v\", y) and x[1h30m:] offset (-1m)",
        "-1e-3 + +0x1f - Inf / NaN",
        "quantile(scalar(x), {__name__=~\".+\"}) <= info(x, {b=\"1\"})",
        "sort_desc(absent_over_time(nothing{a=\"b\"}[1m])) / time() ^ -day_of_month()",
    ];
    all.map(|text| text.as_bytes().to_vec()).to_vec()
}

/// What can be read is printed so that it reads the same, and so that it prints the same.
pub(crate) fn parse(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Ok(expr) = read(text) else { return };
    let printed = expr.to_string();
    // What was read without blanks may be longer with them.
    if printed.len() > TEXT_BYTES_MAX {
        return;
    }
    match read(&printed) {
        Ok(again) => {
            assert_eq!(again.to_string(), printed, "read from {text:?}");
            // A NaN is not even itself.
            assert!(
                again == expr || printed.contains("NaN"),
                "{printed:?} is not {text:?}"
            );
        }
        Err(error) => assert!(printed.is_empty(), "{printed:?}, read from {text:?}: {error}"),
    }
}

thread_local! {
    static ENGINE: Engine = engine();
}

fn engine() -> Engine {
    let memory = Memory::new();
    for line in [
        "x{a=\"1\",b=\"2\"} 0+1x40",
        "x{a=\"2\"} 5 NaN -1 _x5 Inf 3x20 stale 7",
        "x{a=\"3\",b=\"2\"} 1e300 -1e300 0 -0 5e-324x9",
        "y{a=\"1\"} 10-3x40",
        "y{a=\"2\",c=\"é\"} _x30 1 2 3",
        "h_bucket{le=\"1\"} 0+1x40",
        "h_bucket{le=\"5\"} 0+3x40",
        "h_bucket{le=\"+Inf\"} 0+4x40",
        "target_info{a=\"1\",job=\"j\",instance=\"i\"} 1x40",
    ] {
        let (labels, items) = script::line(line).expect("it is written as it should be");
        memory.add_items(&labels, &items, Timestamp(0), Duration::from_secs(60));
    }
    let options = Options {
        timeout: Duration::from_millis(200),
        samples_max: 200_000,
        ..Options::default()
    };
    Engine::new(Arc::new(memory), options)
}

/// Any answer will do, or an error: at one time, and at several, of which the first agrees with it.
pub(crate) fn answer(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    ENGINE.with(|engine| {
        let (start, end) = (Timestamp(1_200_000), Timestamp(2_400_000));
        drop(engine.instant(text, start));
        drop(engine.instant(text, Timestamp(i64::MAX)));
        drop(engine.range(text, start, end, Duration::from_secs(300)));
    });
}
