//! What holds for every expression, and what the parser says about wrong ones.

use proptest::prelude::*;

use super::{HEIGHT_MAX, NESTING_MAX, TEXT_BYTES_MAX, parse};
use crate::ast::{Expr, Kind};

fn error(text: &str) -> String {
    parse(text).map_or_else(|error| error.to_string(), |expr| format!("parsed as {expr}"))
}

#[test]
fn mistakes_say_where_what_and_what_else() {
    for (text, wanted) in [
        ("", "1:1: parse error: no expression found in input"),
        (
            "sum(up",
            "1:7: parse error: unexpected end of input, expected \")\" or \",\" after an argument",
        ),
        (
            "up )",
            "1:4: parse error: unexpected \")\", expected an operator or the end",
        ),
        (
            "sum(up)\n  by (1)",
            "2:7: parse error: unexpected number \"1\", expected a label in grouping",
        ),
        (
            "rtae(x[5m])",
            "1:1: parse error: unknown function with name \"rtae\"; did you mean \"rate\"?",
        ),
        (
            "smu(x)",
            "1:1: parse error: unknown function with name \"smu\"; did you mean \"sum\"?",
        ),
        (
            "rate(x)",
            "1:6: parse error: expected type range vector in call to function \"rate\", got instant vector",
        ),
        ("x[0s]", "1:3: parse error: duration must be greater than 0"),
        ("x[2m + -2m]", "1:3: parse error: duration must be greater than 0"),
        ("x[5m / 0]", "1:8: parse error: division by zero"),
        ("x[5m % (1 - 1)]", "1:8: parse error: modulo by zero"),
        ("x[9.5e10]", "1:3: parse error: duration out of range"),
        (
            "x[stpe()]",
            "1:3: parse error: unexpected identifier \"stpe\", expected a number, a duration such as 5m, step(), range(), min_of or max_of; did you mean \"step\"?",
        ),
        (
            "x[5m + ]",
            "1:8: parse error: unexpected \"]\", expected a number, a duration such as 5m, step(), range(), min_of or max_of",
        ),
        (
            "a + fill(b) c",
            "1:10: parse error: unexpected identifier \"b\", expected a number in fill",
        ),
        (
            "a or fill(1) c",
            "1:6: parse error: filling in missing series not allowed for set operators",
        ),
        (
            "info(a, b)",
            "1:9: parse error: expected label selectors only, got vector selector instead",
        ),
        (
            "histogram_quantlie(0.9, x)",
            "1:1: parse error: unknown function with name \"histogram_quantlie\"; did you mean \"histogram_quantile\"?",
        ),
        ("x[5x]", "1:3: parse error: bad number or duration syntax: \"5x\""),
        (
            "x[5m",
            "1:5: parse error: unexpected end of input, expected \"]\" or \":\" after the range",
        ),
        (
            "topk(x)",
            "1:1: parse error: wrong number of arguments for aggregate expression provided, expected 2, got 1",
        ),
        (
            "topk(x, x)",
            "1:6: parse error: expected type scalar in aggregation parameter, got instant vector",
        ),
        (
            "x{a=b}",
            "1:5: parse error: unexpected identifier \"b\", expected a string in label matching",
        ),
        (
            "x{a>\"b\"}",
            "1:4: parse error: unexpected \">\", expected a label matching operator (=, !=, =~, !~)",
        ),
        (
            "1 == 1",
            "1:3: parse error: comparisons between scalars must use BOOL modifier",
        ),
        (
            "a + bool b",
            "1:5: parse error: bool modifier can only be used on comparison operators",
        ),
        (
            "a * on (x) group_left (x) b",
            "1:12: parse error: label \"x\" must not occur in ON and GROUP clause at once",
        ),
        (
            "a[5m] + 1",
            "1:1: parse error: binary expression must contain only scalar and instant vector types",
        ),
        (
            "on",
            "1:1: parse error: unexpected identifier \"on\", expected an expression",
        ),
        (
            "x @ foo",
            "1:5: parse error: unexpected identifier \"foo\", expected a timestamp in seconds, start() or end() after @",
        ),
    ] {
        assert_eq!(error(text), wanted, "{text}");
    }
}

#[test]
fn a_complaint_points_into_its_file() {
    let error = parse("sum(\n  rtae(x[5m]))").unwrap_err();
    let complaint = error.complaint("rules.yaml", 10, 11);
    assert_eq!((complaint.line, complaint.column), (11, 3));
    let first = parse("rtae(x[5m])").unwrap_err().complaint("rules.yaml", 10, 11);
    assert_eq!((first.line, first.column), (10, 11));
    let alone = error.to_complaint().to_string();
    assert_eq!(
        alone,
        "2:3: unknown function with name \"rtae\"\n  2 |   rtae(x[5m]))\n    |   ^\n  did you mean \"rate\"?"
    );
}

#[test]
fn every_node_knows_its_place() {
    let text = "sum by (a) (rate(x{b=\"c\"}[5m] offset 1m)) / 2";
    let mut places = Vec::new();
    parse(text)
        .unwrap()
        .walk(&mut |node| places.push(node.span.of(text).to_owned()));
    assert_eq!(
        places,
        [
            text,
            "sum by (a) (rate(x{b=\"c\"}[5m] offset 1m))",
            "rate(x{b=\"c\"}[5m] offset 1m)",
            "x{b=\"c\"}[5m] offset 1m",
            "2",
        ]
    );
}

#[test]
fn the_canonical_form_is_one() {
    for (text, wanted) in [
        ("SUM(x)by(a,b)", "sum by (a, b) (x)"),
        ("sum without()(x)", "sum without () (x)"),
        ("a+on()group_left b", "a + on () group_left () b"),
        ("{__name__=\"a\",b='c'}", "{__name__=\"a\", b=\"c\"}"),
        ("{\"a b\",c=\"d\"}", "{\"a b\", c=\"d\"}"),
        ("{\"up\"}", "up"),
        ("{\"on\"}", "{\"on\"}"),
        ("x[300]offset -60", "x[5m] offset -1m"),
        ("x[60*2m+STEP()]offset-( 1h )", "x[60 * 2m + step()] offset -(1h)"),
        ("x[1h/2:Max_Of(1s,range( ))]", "x[1h / 2:max_of(1s, range())]"),
        ("x offset +step()", "x offset step()"),
        ("x offset --1m*3", "x offset (1m * 3)"),
        ("x[5m]@6 anchored", "x[5m] anchored @ 6.000"),
        ("x offset(1m)anchored+y", "x offset (1m) anchored + y"),
        ("x offset+(1m)*3", "x offset +(1m) * 3"),
        ("x offset(1m)*3", "x offset (1m) * 3"),
        ("x offset(1m)@5+y", "x offset (1m) @ 5.000 + y"),
        ("x[- -90s]", "x[1m30s]"),
        (
            "a+fill_right(-Inf)fill_left(1m)b",
            "a + fill_left (60) fill_right (-Inf) b",
        ),
        ("a+on(c)fill_left(NaN)fill_right(NaN)b", "a + on (c) fill (NaN) b"),
        (
            "info(x,{'target_info',a=~'.*'})",
            "info(x, {__name__=\"target_info\", a=~\".*\"})",
        ),
        ("LIMIT_RATIO by(a)(-0.5,x)", "limit_ratio by (a) (-0.5, x)"),
        ("x[1h:]@end()", "x[1h:] @ end()"),
        ("x@1.5", "x @ 1.500"),
        ("- 1 + - x", "-1 + -x"),
        ("Inf ^ 2", "Inf ^ 2"),
        ("-NaN", "NaN"),
        ("1e3", "1000"),
        ("5m", "300"),
        ("`a\"b`", "\"a\\\"b\""),
        ("a == bool ignoring(x) b", "a == bool ignoring (x) b"),
    ] {
        assert_eq!(parse(text).unwrap().to_string(), wanted);
    }
}

/// Runs on a stack as small as the smallest anybody gives us.
fn on_a_small_stack(run: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(512 * 1024);
    thread.spawn(run).unwrap().join().unwrap();
}

#[test]
fn ten_thousand_of_anything_are_refused_at_once() {
    on_a_small_stack(|| {
        let begun = std::time::Instant::now();
        for text in [
            "(".repeat(10_000),
            format!("{}1{}", "(".repeat(10_000), ")".repeat(10_000)),
            format!("{}1", "-".repeat(10_000)),
            format!("{}x", "x^".repeat(10_000)),
            format!("{}x", "x or ".repeat(10_000)),
            format!("{}x{}", "abs(".repeat(10_000), ")".repeat(10_000)),
            format!("{}x{}", "sum(".repeat(10_000), ")".repeat(10_000)),
            "[".repeat(10_000),
            "{".repeat(10_000),
            format!("x[{}", "(".repeat(10_000)),
            format!("x[{}1m{}]", "(".repeat(10_000), ")".repeat(10_000)),
            format!("x[{}step()]", "-".repeat(10_000)),
            format!("x[{}1]", "1^".repeat(10_000)),
            format!("x[{}1]", "1+".repeat(10_000)),
            format!("x[{}1{}]", "min_of(1,".repeat(6_000), ")".repeat(6_000)),
            format!("x offset {}", "(".repeat(10_000)),
            format!("x offset {}1m", "+".repeat(10_000)),
            format!("x{}", "[1m:]".repeat(10_000)),
            format!("{}x{}", "max_over_time(".repeat(3_000), "[1m:])".repeat(3_000)),
            format!("x{}", " @ 1".repeat(10_000)),
            format!("x + {}", "fill(".repeat(10_000)),
            format!("{}x{}", "info(".repeat(10_000), ")".repeat(10_000)),
        ] {
            assert!(parse(&text).is_err());
        }
        let deep = error(&"(".repeat(10_000));
        assert_eq!(
            deep,
            format!(
                "1:{}: parse error: nested more than {NESTING_MAX} deep",
                NESTING_MAX + 1
            )
        );
        let tall = error(&format!("{}x", "x or ".repeat(10_000)));
        assert!(
            tall.ends_with(&format!(
                "expression of more than {HEIGHT_MAX} levels of operators"
            )),
            "{tall}"
        );
        assert!(begun.elapsed().as_secs() < 5);
    });
}

#[test]
fn what_is_allowed_fits_a_small_stack() {
    on_a_small_stack(|| {
        let depth = NESTING_MAX - 2;
        for text in [
            format!("{}1{}", "(".repeat(depth), ")".repeat(depth)),
            format!("{}x{}", "abs(".repeat(depth), ")".repeat(depth)),
            format!("{}x{}", "sum by (a) (".repeat(depth), ")".repeat(depth)),
            format!("{}x", "-".repeat(depth)),
            format!("{}x", "x^".repeat(depth)),
            format!("{}x", "x or ".repeat(usize::from(HEIGHT_MAX) - 2)),
            format!(
                "{}x{}",
                "max_over_time(".repeat(depth - 1),
                "[1m:])".repeat(depth - 1)
            ),
        ] {
            let expr = parse(&text).unwrap();
            let again = parse(&expr.to_string()).unwrap();
            assert_eq!(again, expr.clone());
            let mut nodes = 0;
            expr.walk(&mut |_| nodes += 1);
            assert!(nodes >= depth);
        }
    });
}

#[test]
fn a_formula_that_is_allowed_fits_a_small_stack() {
    on_a_small_stack(|| {
        let depth = (NESTING_MAX - 60) / 2;
        for text in [
            format!("x[{}step(){}]", "(".repeat(depth), ")".repeat(depth)),
            format!("x[{}step()]", "-".repeat(depth)),
            format!("x[{}step()]", "1^".repeat(depth)),
            format!("x[{}step()]", "1+".repeat(98)),
            format!("x[{}step(){}]", "min_of(1,".repeat(depth), ")".repeat(depth)),
        ] {
            let expr = parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert!(expr.has_durations_of_query());
            assert_eq!(parse(&expr.to_string()).unwrap(), expr);
        }
    });
}

#[test]
fn a_longer_text_is_refused() {
    let text = format!("x{}", " ".repeat(TEXT_BYTES_MAX));
    assert!(error(&text).contains("expected at most 65536"));
}

#[test]
fn set_operators_bind_as_in_prometheus() {
    let shape = |text: &str| match parse(text).unwrap().kind {
        Kind::Binary(binary) => (
            binary.left.to_string(),
            binary.op.text(),
            binary.right.to_string(),
        ),
        other => panic!("{other:?}"),
    };
    let of = |left: &str, op, right: &str| (left.to_owned(), op, right.to_owned());
    assert_eq!(shape("a or b and c"), of("a", "or", "b and c"));
    assert_eq!(shape("a unless b and c"), of("a unless b", "and", "c"));
    assert_eq!(shape("a > b + c * d ^ e"), of("a", ">", "b + c * d ^ e"));
    assert_eq!(shape("a - b - c"), of("a - b", "-", "c"));
    assert_eq!(shape("-a * b"), of("-a", "*", "b"));
    assert_eq!(shape("2 ^ -3 * 4"), of("2 ^ -3", "*", "4"));
}

/// Text of an expression that gives an instant vector.
fn vectors() -> impl Strategy<Value = String> {
    let label = prop_oneof!["[a-z_]{1,6}", Just("\"a b.c\"".to_owned()), Just("by".to_owned())];
    let value = prop_oneof![
        "\"[a-z.|]{0,5}\"",
        Just("'it\"s'".to_owned()),
        Just("`\\d`".to_owned())
    ];
    let matcher = (label.clone(), prop_oneof!["=", "!=", "=~", "!~"], value)
        .prop_map(|(label, op, value)| format!("{label}{op}{value}"));
    let braces = prop::collection::vec(matcher, 0..3).prop_map(|all| all.join(", "));
    let name = prop_oneof!["[a-z_:]{1,8}x", Just("sum".to_owned()), Just("offset".to_owned())];
    let when = prop_oneof![
        Just(String::new()),
        "[1-9][smhdwy]".prop_map(|length| format!(" offset {length}")),
        "-?\\(?step\\(\\) [*/^+-] [1-9]m?".prop_map(|formula| format!(" offset {formula})")),
        "-?[0-9]{1,5}(\\.[0-9]{1,3})?".prop_map(|time| format!(" @ {time}")),
        Just(" @ end() offset -90s".to_owned()),
    ];
    let selector = (name, braces, when).prop_map(|(name, braces, when)| format!("{name}{{{braces}}}{when}"));
    let number = prop_oneof![
        any::<f64>()
            .prop_filter("a number", |number| !number.is_nan())
            .prop_map(model::text::float::api),
        Just("0x1f".to_owned()),
        Just("NaN".to_owned()),
        Just("1h30m".to_owned()),
    ];
    let labels = prop::collection::vec(label, 0..3).prop_map(|all| format!("({})", all.join(",")));
    selector.prop_recursive(6, 40, 3, move |inner| {
        let number = number.clone();
        let op = prop_oneof![
            "\\+", "-", "\\*", "/", "%", "\\^", "atan2", "==", "!=", "<=", ">", "> bool"
        ];
        let matching = prop_oneof![
            Just(String::new()),
            labels.clone().prop_map(|labels| format!(" on {labels} ")),
            number.clone().prop_map(|number| format!(" fill({number}) ")),
            (labels.clone(), number.clone())
                .prop_map(|(labels, number)| format!(" on {labels} group_right fill_left({number}) ")),
            labels
                .clone()
                .prop_map(|labels| format!(" ignoring {labels} group_left ")),
        ];
        let grouped = prop_oneof![
            Just(String::new()),
            labels.clone().prop_map(|labels| format!(" by {labels} ")),
            labels.clone().prop_map(|labels| format!(" without {labels} ")),
        ];
        prop_oneof![
            inner.clone().prop_map(|inner| format!("({inner})")),
            inner.clone().prop_map(|inner| format!("-{inner}")),
            inner.clone().prop_map(|inner| format!("abs({inner})")),
            (inner.clone(), "[1-9]m")
                .prop_map(|(inner, range)| format!("max_over_time(({inner})[1h:{range}])")),
            (
                inner.clone(),
                "[1-9]m? [*/^%+-] -?(step|range)\\(\\) [*/^%+-] [1-9]s"
            )
                .prop_map(|(inner, range)| format!("max_over_time(({inner})[{range}:])")),
            inner
                .clone()
                .prop_map(|inner| format!("info({inner}, {{'b_info', c=~\".*\"}})")),
            (grouped.clone(), inner.clone()).prop_map(|(grouped, inner)| format!("sum{grouped}({inner})")),
            (grouped, number.clone(), inner.clone())
                .prop_map(|(grouped, number, inner)| format!("quantile({number}, {inner}){grouped}")),
            (inner.clone(), op.clone(), matching, inner.clone())
                .prop_map(|(left, op, matching, right)| format!("{left} {op} {matching} {right}")),
            (number.clone(), op.clone(), inner.clone())
                .prop_map(|(number, op, inner)| format!("{number} {op} {inner}")),
            (inner.clone(), op, number).prop_map(|(inner, op, number)| format!("{inner} {op} {number}")),
            (inner.clone(), prop_oneof!["and", "OR", "unless"], inner)
                .prop_map(|(left, op, right)| format!("{left} {op} {right}")),
        ]
    })
}

fn same_again(expr: &Expr) -> Result<(), TestCaseError> {
    let text = expr.to_string();
    match parse(&text) {
        Ok(again) => {
            prop_assert_eq!(&again, expr, "{}", text);
            prop_assert_eq!(again.to_string(), text);
        }
        Err(error) => prop_assert!(false, "{text}: {error}"),
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_printed_parses_to_the_same(text in vectors()) {
        // A few of these contradict themselves, for example by a label in `on` and `group_left`.
        if let Ok(expr) = parse(&text) {
            same_again(&expr)?;
        }
    }

    #[test]
    fn garbage_never_panics(text in "\\PC{0,60}") {
        _ = parse(&text);
    }

    #[test]
    fn garbage_of_the_right_words_never_panics(words in prop::collection::vec(word(), 0..30)) {
        if let Ok(expr) = parse(&words.join(" ")) {
            same_again(&expr)?;
        }
    }
}

fn word() -> impl Strategy<Value = &'static str> {
    prop::sample::select(
        &[
            "x",
            "sum",
            "rate",
            "(",
            ")",
            "(",
            ")",
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "@",
            "+",
            "-",
            "*",
            "^",
            "==",
            "=~",
            "=",
            "<",
            "and",
            "or",
            "on",
            "ignoring",
            "group_left",
            "bool",
            "by",
            "offset",
            "start",
            "5m",
            "1",
            "\"s\"",
            "NaN",
            "\\",
            "\n",
            "#",
            "é",
            "0x",
            "time()",
            "topk",
            "x[5m]",
            "x{a=\"b\"}",
            "'",
            "vector(1)",
            "step()",
            "range()",
            "min_of",
            "x[",
            "fill",
            "fill_left(1)",
            "info",
            "%",
        ][..],
    )
}

/// More with `PROPTEST_CASES`.
pub(super) fn cases() -> u32 {
    std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(400)
}
