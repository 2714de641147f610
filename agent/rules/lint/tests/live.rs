//! Checks that hold rules against series that were seen.

use super::*;
use Severity::{Bug, Info, Warning};

#[track_caller]
fn told(check: &str, expr: &str, world: &World, severity: Severity, place: &str, advice: &str) {
    found_in(check, &[&record(expr)], world, severity, place);
    let (_, _, text) = of_check(check, &[&record(expr)], world).remove(0);
    assert!(text.contains(advice), "{text}");
}

#[test]
fn metrics_that_nobody_has_seen_are_told_and_what_was_meant() {
    let world = seen(&["node_load1{job=\"node\"}", "up{job=\"node\"}"]);
    told(
        SERIES,
        "node_load2",
        &world,
        Bug,
        "node_load2",
        "did you mean node_load1?",
    );
    told(
        SERIES,
        "sum(zebra)",
        &world,
        Bug,
        "zebra",
        "see whether its target is scraped",
    );
    told(
        SERIES,
        "{__name__=~\"zebra.*\"}",
        &world,
        Bug,
        "{__name__",
        "mend",
    );
    for expr in [
        "node_load1",
        "node_load1 unless node_load2",
        "sum(node_load2) or vector(0)",
        "absent(node_load2)",
        "{__name__=~\"node_.*\"}",
        "ALERTS",
    ] {
        clean_in(SERIES, &[&record(expr)], &world);
    }
    // Behind an `unless`, but its value is looked at.
    found_in(
        SERIES,
        &[&record("node_load1 unless node_load2 > 5")],
        &world,
        Bug,
        "node_load2",
    );
    clean(SERIES, "node_load2");
}

#[test]
fn what_the_files_record_is_known() {
    let world = seen(&["a{job=\"x\"}"]);
    let text = "groups:\n- name: g\n  rules:\n  - {record: 'job:a', expr: sum by (job) (a)}\n  - {record: 'c:d', expr: 'job:a'}\n";
    clean_in(SERIES, &[text], &world);
    let text = text.replace("expr: 'job:a'", "expr: 'job:b'");
    found_in(SERIES, &[&text], &world, Bug, "job:b");
    let (_, _, told) = of_check(SERIES, &[&text], &world).remove(0);
    assert!(told.contains("did you mean job:a?"), "{told}");
}

#[test]
fn matchers_that_match_nothing_are_told_with_what_there_is() {
    let world = seen(&["a{mode=\"idle\",cpu=\"0\"}", "a{mode=\"user\",cpu=\"1\"}"]);
    told(
        SERIES,
        "a{mdoe='idle'}",
        &world,
        Bug,
        "mdoe",
        "did you mean mode?",
    );
    told(
        SERIES,
        "a{mode='idel'}",
        &world,
        Warning,
        "mode",
        "did you mean \"idle\"?",
    );
    told(
        SERIES,
        "a{mode=~'x.+|y'}",
        &world,
        Warning,
        "mode",
        "its values are idle, user",
    );
    told(
        SERIES,
        "a{mode='idle',cpu='1'}",
        &world,
        Warning,
        "a{",
        "which two",
    );
    for expr in [
        "a{mode='idle'}",
        "a{mode!='idle'}",
        "a{other=''}",
        "a{mode=~'i.+'}",
    ] {
        clean_in(SERIES, &[&record(expr)], &world);
    }
}

#[test]
fn a_metric_that_went_away_is_worth_a_word() {
    let mut world = seen(&["a"]);
    let live = world.live.as_mut().unwrap();
    live.names.insert("b".to_owned());
    live.series.insert(
        "b".to_owned(),
        Sighting {
            labels: Vec::new(),
            complete: true,
        },
    );
    // Of this one nothing could be asked.
    live.names.insert("c".to_owned());
    found_in(SERIES, &[&record("b")], &world, Info, "b");
    clean_in(SERIES, &[&record("c{x='y'}")], &world);
}

#[test]
fn sides_that_have_never_matched_are_told() {
    let world = seen(&[
        "a{job=\"x\",instance=\"1\",device=\"sda\"}",
        "b{job=\"x\",instance=\"1\"}",
        "c{job=\"x\"}",
        "c{job=\"y\",instance=\"1\"}",
    ]);
    found_in(VECTOR_MATCHING, &[&record("a / b")], &world, Bug, "/ b");
    found_in(
        VECTOR_MATCHING,
        &[&record("a * on (device) b")],
        &world,
        Bug,
        "device) b",
    );
    found_in(
        VECTOR_MATCHING,
        &[&record("a * on (job) group_left (team) b")],
        &world,
        Bug,
        "team) b",
    );
    found_in(VECTOR_MATCHING, &[&record("rate(a[5m]) / b")], &world, Bug, "/ b");
    found_in(SERIES, &[&record("sum by (rack) (a)")], &world, Warning, "rack");
    for expr in [
        "a / ignoring (device) b",
        "a / on (job, instance) b",
        "b / c",
        "sum by (job) (a) / sum by (job) (c)",
        "a or b",
    ] {
        clean_in(VECTOR_MATCHING, &[&record(expr)], &world);
        clean_in(SERIES, &[&record(expr)], &world);
    }
    // What was not seen in whole says nothing of labels.
    let mut world = world;
    let series = &mut world.live.as_mut().unwrap().series;
    series.values_mut().for_each(|sighting| sighting.complete = false);
    clean_in(VECTOR_MATCHING, &[&record("a / b")], &world);
}

#[test]
fn types_say_what_is_a_counter() {
    let mut world = seen(&[
        "pages",
        "temperature",
        "x_bucket",
        "x_count",
        "y_count",
        "z_total",
    ]);
    world.live.as_mut().unwrap().types = BTreeMap::from([
        ("pages".to_owned(), Kind::Counter),
        ("temperature".to_owned(), Kind::Gauge),
        ("x".to_owned(), Kind::Histogram),
        ("y_count".to_owned(), Kind::Gauge),
        ("z_total".to_owned(), Kind::Gauge),
    ]);
    found_in(COUNTER, &[&record("sum(pages)")], &world, Warning, "pages");
    found_in(COUNTER, &[&record("rate(temperature[5m])")], &world, Bug, "rate");
    found_in(COUNTER, &[&record("x_count")], &world, Warning, "x_count");
    for expr in [
        "rate(pages[5m])",
        "temperature",
        "delta(temperature[5m])",
        "y_count",
        "rate(x_bucket[5m])",
        "z_total",
    ] {
        clean_in(COUNTER, &[&record(expr)], &world);
    }
}

#[test]
fn the_interval_is_that_of_the_jobs_that_have_the_metric() {
    let mut world = seen(&["a_total{job=\"slow\"}", "b_total{job=\"fast\"}"]);
    world.scrape.jobs = BTreeMap::from([
        ("slow".to_owned(), Duration::from_secs(60)),
        ("fast".to_owned(), Duration::from_secs(5)),
    ]);
    found_in(RATE, &[&record("rate(a_total[1m])")], &world, Bug, "a_total");
    clean_in(RATE, &[&record("rate(b_total[1m])")], &world);
}

#[test]
fn a_recorded_metric_does_not_take_the_name_of_a_scraped_one() {
    let mut world = seen(&["a:b"]);
    found_in(
        NAME,
        &["groups: [{name: g, rules: [{record: c, expr: 'a:b'}]}]"],
        &world,
        Info,
        "c",
    );
    world
        .live
        .as_mut()
        .unwrap()
        .types
        .insert("c".to_owned(), Kind::Gauge);
    found_in(
        NAME,
        &["groups: [{name: g, rules: [{record: c, expr: 'a:b'}]}]"],
        &world,
        Warning,
        "c",
    );
}
