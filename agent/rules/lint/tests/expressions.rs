//! Checks of one expression, with nothing known beside it.

use super::*;
use Severity::{Bug, Info, Warning};

#[test]
fn labels_that_are_gone_are_neither_grouped_nor_matched_by() {
    for (expr, severity, place) in [
        (
            "sum by (instance) (sum by (job) (a)) > 1",
            Warning,
            "instance) (sum by (job)",
        ),
        (
            "sum by (job, b) (sum without (b) (a)) > 1",
            Warning,
            "b) (sum without",
        ),
        ("sum by (job) (a) / on (instance) b > 1", Bug, "instance) b"),
        ("a / on (instance) sum by (job) (b) > 1", Bug, "instance) sum"),
        ("a{job=\"x\"} / sum(b) > 1", Bug, "/ sum(b)"),
        ("a{job=\"x\"} unless sum(b)", Warning, "unless sum"),
        (
            "a * on (job) group_left (team) sum by (job) (b) > 1",
            Bug,
            "team) sum",
        ),
        (
            "a * ignoring (x) group_left (team) sum by (job, x) (b) > 1",
            Bug,
            "team) sum",
        ),
        ("a{x=\"1\"} * on (x) b{x=\"2\"} > 1", Bug, "x) b"),
        ("a{x=\"1\"} > b{x=\"2\"}", Bug, "> b"),
        (
            "histogram_quantile(0.9, sum by (job) (rate(a_bucket[5m]))) > 1",
            Bug,
            "histogram_quantile",
        ),
        (
            "sum by (le) (histogram_quantile(0.9, rate(a_bucket[5m]))) > 1",
            Warning,
            "le) (hist",
        ),
        (
            "label_replace(sum(a), 'b', '$1', 'job', '(.*)') > 1",
            Warning,
            "'job'",
        ),
        ("sum by (job) (absent(a))", Warning, "job) (absent"),
        ("sum(a) / on (job) sum(b) > 1", Warning, "job) sum"),
        ("sum by (job) (vector(1)) > 1", Warning, "job) (vector"),
        ("sum by (job) (a or vector(0)) > 1", Info, "job) (a or"),
        ("a{x=~'2..'} / on (x) b{x=~'5..'} > 1", Bug, "x) b"),
    ] {
        let all = of_check(IMPOSSIBLE, &[&alert(expr)], &World::default());
        let quoted = model::text::quote(place);
        let hit = all
            .iter()
            .any(|(gravity, at, _)| *gravity == severity && at.starts_with(quoted.trim_matches('"')));
        assert!(hit, "{expr}: {all:#?}");
    }
    for expr in [
        "sum by (job) (sum by (job, instance) (a)) > 1",
        "sum by (job) (a) / on (job) sum by (job) (b) > 1",
        "sum by (job) (a) / sum by (job) (b) > 1",
        "a / on (job) group_left sum by (job) (b) > 1",
        "a * on (job) group_left (team) sum by (job, team) (b) > 1",
        "a{x=\"1\"} * on (job) b{x=\"2\"} > 1",
        "a{x=\"1\"} / ignoring (x) b{x=\"2\"} > 1",
        "a{x=\"1\"} or b{x=\"2\"}",
        "a / sum(b) > 1",
        "a{job=\"x\"} / on () group_left sum(b) > 1",
        "a / on (job) fill (0) sum(b) > 1",
        "histogram_quantile(0.9, sum by (job, le) (rate(a_bucket[5m]))) > 1",
        "histogram_quantile(0.9, sum by (job) (rate(a[5m]))) > 1",
        "count_values(\"job\", a) + on (job) b > 1",
        "label_replace(sum(a), \"job\", \"x\", \"\", \"\") * on (job) b > 1",
        "sum by (job) (absent(a{job=\"x\"}))",
        "sum by (alertname) (ALERTS) > 1",
        "sum by (job) (info(sum(a))) > 1",
    ] {
        clean(IMPOSSIBLE, expr);
    }
}

#[test]
fn selectors_that_contradict_themselves_match_nothing() {
    found(IMPOSSIBLE, "up{a=\"b\",a=\"c\"} == 0", Bug, "a=\"c\"");
    found(IMPOSSIBLE, "up{a=\"b\",a!~\"b|c\"} == 0", Bug, "a!~");
    found(IMPOSSIBLE, "up{a=\"\",a=~\".+\"} == 0", Bug, "a=~");
    for expr in [
        "up{a=\"b\",a!=\"c\"} == 0",
        "up{a=~\"b.*\",a!~\"bc.*\"} == 0",
        "up{a=\"b\",a=~\"b|c\"} == 0",
    ] {
        clean(IMPOSSIBLE, expr);
    }
}

#[test]
fn comparisons_that_never_or_always_hold_say_nothing() {
    for (expr, severity, place) in [
        ("count(a) == 0", Bug, "== 0"),
        ("count by (job) (a) < 1", Bug, "< 1"),
        ("0 == count(a)", Bug, "== count"),
        ("absent(a) > 1", Bug, "> 1"),
        ("up > 1", Bug, "> 1"),
        ("(a > 5) < 3", Bug, "< 3"),
        ("rate(a_total[5m]) < 0", Bug, "< 0"),
        ("a * (time() < bool 5) > 1", Bug, "< bool"),
        ("a == NaN", Bug, "== NaN"),
        ("(a > bool 1) > 1", Bug, "> 1"),
        ("vector(1) == vector(2)", Bug, "== vector"),
        ("(count(a) or count(b)) == 0", Bug, "== 0"),
        ("hour() > 23", Bug, "> 23"),
        ("(a or vector(0) > 5) > 1", Bug, "> 5"),
        ("count(a) > 0", Info, "> 0"),
        ("up >= 0", Info, ">= 0"),
        ("clamp_max(a, 5) > 5", Bug, "> 5"),
        ("(1 - up) > 1", Bug, "> 1"),
    ] {
        found(IMPOSSIBLE, expr, severity, place);
    }
    for expr in [
        "count(a) == 1",
        "count(a) > 1",
        "(count(a) or vector(0)) == 0",
        "up == 0",
        "rate(a_total[5m]) >= 0",
        "a / b >= 0",
        "(a > 5) < 7",
        "time() - a > 60",
        "hour() >= 22",
        "clamp_max(a, 5) >= 5",
        "sum(a > bool 1) > 1",
        "sum_over_time((a > bool 1)[5m:1m]) > 1",
        "avg_over_time(up[5m]) < 0.5",
        "-a > 1",
    ] {
        clean(IMPOSSIBLE, expr);
    }
}

#[test]
fn what_is_never_used_is_said() {
    found(
        IMPOSSIBLE,
        "(vector(1) or vector(2)) * a > 0.5",
        Warning,
        "vector(2)",
    );
    found(IMPOSSIBLE, "(vector(1) or on () a) * b > 0.5", Warning, "a) * b");
    found(IMPOSSIBLE, "a unless on () vector(1)", Bug, "vector(1)");
    found(IMPOSSIBLE, "absent(a or vector(1))", Bug, "absent");
    for expr in [
        "(vector(1) or a) > 0.5",
        "(a or vector(1)) > 0.5",
        "a unless vector(1)",
        "absent(a)",
    ] {
        clean(IMPOSSIBLE, expr);
    }
}

#[test]
fn a_rate_needs_two_samples() {
    found(RATE, "rate(a_total[29s]) > 1", Bug, "a_total[29s]");
    found(RATE, "predict_linear(a[15s], 60) > 1", Bug, "a[15s]");
    found(RATE, "changes(a[20s]) > 1", Warning, "a[20s]");
    found(RATE, "max_over_time(a[10s]) > 1", Warning, "a[10s]");
    found(RATE, "rate(a_total[30s]) > 1", Info, "a_total[30s]");
    found(RATE, "rate(a_total[2m:90s]) > 1", Bug, "a_total[2m:90s]");
    for expr in [
        "rate(a_total[1m]) > 1",
        "rate(a_total[5m]) > 1",
        "max_over_time(a[15s]) > 1",
        "rate(a_total[10s] anchored) > 1",
        "rate(a_total[1m:30s]) > 1",
        "rate(a_total[30s:]) > 1",
    ] {
        clean(RATE, expr);
    }
}

#[test]
fn the_interval_of_the_job_counts() {
    let mut world = World::default();
    world.scrape.jobs = BTreeMap::from([
        ("slow".to_owned(), Duration::from_secs(60)),
        ("fast".to_owned(), Duration::from_secs(5)),
    ]);
    world.scrape.default = Duration::from_secs(5);
    world.scrape.source = "http://a".to_owned();
    let slow = alert("rate(a_total{job=\"slow\"}[1m]) > 1");
    found_in(RATE, &[&slow], &world, Bug, "a_total{job");
    let (_, _, text) = of_check(RATE, &[&slow], &world).remove(0);
    assert!(
        text.contains("one comes every 1m (job slow of http://a)"),
        "{text}"
    );
    // Of a job that is not named the default.
    for expr in ["rate(a_total{job=\"fast\"}[20s]) > 1", "rate(a_total[20s]) > 1"] {
        clean_in(RATE, &[&alert(expr)], &world);
    }
}

#[test]
fn counters_are_read_by_their_rate() {
    found(COUNTER, "a_total > 1", Warning, "a_total");
    found(COUNTER, "sum(a_total) > 1", Warning, "a_total)");
    found(
        COUNTER,
        "histogram_quantile(0.9, a_bucket) > 1",
        Warning,
        "a_bucket",
    );
    found(COUNTER, "a_sum > 1", Info, "a_sum");
    found(COUNTER, "delta(a_total[5m]) > 1", Warning, "delta");
    found(COUNTER, "rate(a_ratio[5m]) > 1", Warning, "rate");
    found(COUNTER, "rate(sum(a_total)[5m:1m]) > 1", Bug, "rate");
    for expr in [
        "rate(a_total[5m]) > 1",
        "sum(increase(a_total[5m])) > 1",
        "absent(a_total)",
        "count(a_total) > 1",
        "a unless a_total",
        "a > 1 and on (job) a_total",
        "changes(a_total[5m]) > 1",
        "timestamp(a_total) > 1e9",
        "delta(a_celsius[5m]) > 1",
        "a > 1",
        "rate(sum(rate(a_total[5m]))[5m:1m]) > 1",
        "deriv(a[5m]) > 1",
        "job:a_total > 1",
    ] {
        clean(COUNTER, expr);
    }
}

#[test]
fn alerts_that_pick_or_match_by_chance_flap() {
    alert_found(FRAGILE, "topk(3, a) > 1", Warning, "topk");
    alert_found(FRAGILE, "bottomk by (job) (1, a > 1)", Warning, "bottomk");
    alert_found(FRAGILE, "limitk(1, a) > 1", Warning, "limitk");
    alert_found(FRAGILE, "a > 1 and topk(3, a)", Warning, "topk");
    alert_found(
        FRAGILE,
        "sum without (x) (a) / sum by (job) (b) > 1",
        Info,
        "sum without",
    );
    for expr in [
        "sum(topk(3, a)) > 1",
        "topk(1, sum(a)) > 1",
        "a > 1 unless topk(3, a)",
        "sum without (x) (a) / on (job) sum by (job) (b) > 1",
        "sum without (x) (a{y=\"1\"}) / sum without (x) (a) > 1",
        "sum without (x) (a) > 1",
    ] {
        clean(FRAGILE, expr);
    }
    let bare = |rest: &str| {
        format!(
            "groups:\n- name: g\n  rules:\n  - {{alert: A, expr: 'sum(a) / sum(b) > 1', annotations: {{summary: a}}{rest}}}\n"
        )
    };
    found_in(FRAGILE, &[&bare("")], &World::default(), Info, "sum(a) / sum(b)");
    clean_in(FRAGILE, &[&bare(", for: 1m")], &World::default());
}

#[test]
fn one_division_by_zero_spoils_a_sum() {
    found(NAN, "sum(a / b) > 1", Warning, "b)");
    found(
        NAN,
        "avg by (job) (a * (1 / rate(b_total[5m]))) > 1",
        Warning,
        "rate(b",
    );
    found(NAN, "sum(a % b) > 1", Warning, "b)");
    found(NAN, "a / 0 > 1", Bug, "0 > 1");
    found(NAN, "a / (2 - 2) > 1", Bug, "(2 - 2)");
    for expr in [
        "a / b > 1",
        "sum(a) / sum(b) > 1",
        "sum(a / (b > 0)) > 1",
        "sum(a / (b != 0)) > 1",
        "sum(a / clamp_min(b, 1)) > 1",
        "sum(a / 60) > 1",
        "sum(a / count(b)) > 1",
        "max(a / b) > 1",
        "count(a / b) > 1",
        "sum(a / b > 1) > 1",
    ] {
        clean(NAN, expr);
    }
}

#[test]
fn regular_expressions_have_something_to_express() {
    for (matcher, severity) in [
        ("a=~\"b\"", Warning),
        ("a!~\"b\"", Warning),
        ("a=~\"b\\\\.c\"", Warning),
        ("a=~\"^b.*$\"", Warning),
        ("a=~\"^(b|c)$\"", Warning),
        ("a!~\"^(b.*|c)\"", Warning),
        ("a=~\"(?i).*b.*\"", Info),
        ("a=~\"\"", Warning),
        ("a=~\".*\"", Warning),
        ("a!~\".*\"", Bug),
        ("a=~\".+\"", Info),
        ("a=~\".*b.*\"", Info),
        ("a=~\"b.*c\"", Info),
    ] {
        found(
            REGEXP,
            &format!("up{{x=\"y\",{matcher}}} == 0"),
            severity,
            matcher,
        );
    }
    for matcher in [
        "a=~\"b|c\"",
        "a=~\"b.*\"",
        "a=~\".*b\"",
        "a=~\"(?i:b)\"",
        "a=~\"\\\\d\"",
        "a=~\"^b|c$\"",
        "a=~\"^b|(c|d)$\"",
        "a=\"^b$\"",
        "a=~\"b[cd]\"",
        "a=~\"5.*5\"",
    ] {
        clean(REGEXP, &format!("up{{x=\"y\",{matcher}}} == 0"));
    }
}

#[test]
fn nobody_looks_into_the_future() {
    found(OFFSET, "a offset -5m > 1", Bug, "offset");
    for expr in ["a offset 5m > 1", "a > 1", "a @ 100 offset -5m > 1"] {
        clean(OFFSET, expr);
    }
    let late =
        "groups:\n- name: g\n  query_offset: 10m\n  rules:\n  - {record: 'a:b', expr: 'a offset -5m'}\n";
    clean_in(OFFSET, &[late], &World::default());
}

#[test]
fn nobody_looks_further_than_samples_are_kept() {
    let world = World {
        retention: Some((Duration::from_hours(24), "a".to_owned())),
        ..World::default()
    };
    found_in(OFFSET, &[&alert("a offset 2d > 1")], &world, Warning, "offset");
    for expr in [
        "rate(a_total[2d]) > 1",
        "max_over_time(a[20h] offset 5h) > 1",
        "max_over_time(rate(a_total[2h])[23h:1h]) > 1",
    ] {
        assert_eq!(of_check(RANGE_QUERY, &[&alert(expr)], &world).len(), 1, "{expr}");
    }
    for expr in [
        "rate(a_total[1d]) > 1",
        "a offset 1d > 1",
        "max_over_time(a[2d] @ 0) > 1",
    ] {
        clean_in(RANGE_QUERY, &[&alert(expr)], &world);
        clean_in(OFFSET, &[&alert(expr)], &world);
    }
    clean(RANGE_QUERY, "rate(a_total[1000d]) > 1");
}

#[test]
fn an_alert_has_a_condition() {
    for (expr, severity, place) in [
        ("a", Warning, "a"),
        ("rate(a_total[5m])", Warning, "rate"),
        ("a > bool 1", Warning, "a > bool"),
        ("vector(1)", Info, "vector"),
        ("sum(a) or vector(0)", Warning, "sum"),
        ("a > 1 or b", Warning, "b"),
        ("a and b", Warning, "a and b"),
        ("time() - a", Warning, "time()"),
        ("vector(time())", Warning, "vector"),
    ] {
        let all = of_check(COMPARISON, &[&alert(expr)], &World::default());
        let hit = all
            .iter()
            .any(|(gravity, at, _)| *gravity == severity && at.starts_with(place));
        assert!(hit, "{expr}: {all:#?}");
        clean_in(COMPARISON, &[&record(expr)], &World::default());
    }
    for expr in [
        "a > 1",
        "absent(a)",
        "absent_over_time(a[5m])",
        "a unless b",
        "a and b > 1",
        "a and on () (b == 0)",
        "count(a > 1)",
        "sum by (job) (a > 1) / 2",
        "ALERTS{alertstate=\"firing\"}",
        "a * on (job) group_left (team) (b == 1)",
        "(a > bool 1) == 1",
    ] {
        clean(COMPARISON, expr);
    }
}
