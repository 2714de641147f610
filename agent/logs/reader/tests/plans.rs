//! What filters, annotations and joining do with lines, also over restarts, rotation and silence.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use model::{Pod, Pods};
use tokio::sync::watch;

use super::rig::{Rig, append, cri, lines_of, numbered};
use crate::config::Config;

fn configured(json: &str) -> impl FnOnce(&mut Config) {
    let given: Config = serde_json::from_str(json).unwrap();
    given.check().unwrap();
    move |config| {
        config.filters = given.filters;
        config.parsers = given.parsers;
    }
}

/// A line written so many milliseconds after the first.
fn at(millis: u32, stream: &str, text: &str) -> String {
    format!(
        "2024-03-01T10:00:{:02}.{:03}Z {stream} F {text}\n",
        millis / 1_000,
        millis % 1_000
    )
}

const TRACE: [&str; 3] = ["ERROR order failed", "java.lang.XException", "\tat com.shop.Api"];

#[test]
fn a_trace_is_one_record_while_other_lines_wait_for_nothing() {
    let mut rig = Rig::new();
    let file = rig.container("0.log");
    append(&file, &at(0, "stdout", "INFO before"));
    for (nth, line) in TRACE.iter().enumerate() {
        append(&file, &at(u32::try_from(nth).unwrap(), "stderr", line));
        append(&file, &at(5, "stdout", "INFO between"));
    }
    rig.run(Duration::from_millis(500));
    assert_eq!(
        rig.texts(),
        ["INFO before", "INFO between", "INFO between", "INFO between"]
    );
    append(&file, &at(20, "stderr", "INFO next"));
    rig.run(Duration::from_millis(500));
    let traces: Vec<_> = rig
        .records()
        .into_iter()
        .filter(|record| record.text.contains('\n'))
        .collect();
    let [trace] = traces.as_slice() else {
        panic!("{traces:?}")
    };
    assert_eq!(trace.text, TRACE.join("\n"));
    assert_eq!((trace.level, &*trace.stream), (model::Level::Error, "stderr"));
    rig.stop();
}

#[test]
fn a_trace_without_a_level_is_an_error() {
    let mut rig = Rig::new();
    let file = rig.container("0.log");
    for line in [
        "TypeError: no",
        "    at charge (/app/charge.js:41:17)",
        "TypeError: alone",
    ] {
        append(&file, &at(0, "stderr", line));
    }
    rig.settle();
    let levels: Vec<_> = rig
        .records()
        .into_iter()
        .map(|record| (record.level, record.text.contains('\n')))
        .collect();
    assert_eq!(levels, [(model::Level::Error, true), (model::Level::Info, false)]);
}

#[test]
fn a_held_line_costs_no_turns_while_nothing_can_be_handed_on() {
    let mut rig = Rig::new();
    rig.full(true);
    append(&rig.path("a.log"), "ERROR held\nINFO sent\nERROR held\n");
    rig.run(Duration::from_secs(3));
    let rest = rig.turn();
    assert!(rest >= Duration::from_millis(100), "{rest:?}");
    rig.full(false);
    rig.settle();
    assert_eq!(rig.texts(), ["ERROR held", "ERROR held", "INFO sent"]);
}

#[test]
fn silence_ends_a_trace_and_what_comes_late_is_a_record_of_its_own() {
    let mut rig = Rig::new();
    let file = rig.container("0.log");
    append(&file, &at(0, "stdout", TRACE[0]));
    append(&file, &at(900, "stdout", "\tat once"));
    rig.run(Duration::from_millis(1_000));
    assert!(rig.texts().is_empty());
    rig.run(Duration::from_millis(1_000));
    assert_eq!(rig.texts(), ["ERROR order failed\n\tat once"]);
    append(&file, &at(2_500, "stdout", "\tat last"));
    rig.settle();
    assert_eq!(rig.texts(), ["\tat last", "ERROR order failed\n\tat once"]);
    // Whoever reads all of it at once finds the same records: the times in the lines say so.
    let mut other = Rig::new();
    fs::copy(&file, other.container("0.log")).unwrap();
    other.settle();
    assert_eq!(other.texts(), rig.texts());
}

#[test]
fn a_trace_goes_on_over_rotation_and_restart_and_is_there_once() {
    let mut rig = Rig::new();
    let file = rig.container("0.log");
    append(&file, &at(0, "stdout", "INFO before"));
    append(&file, &at(1, "stdout", TRACE[0]));
    append(&file, &at(2, "stdout", TRACE[1]));
    append(&file, &at(3, "stderr", "INFO other"));
    rig.run(Duration::from_millis(500));
    rig.restart();
    rig.run(Duration::from_millis(500));
    fs::rename(&file, rig.container("0.log.20240301-100000")).unwrap();
    append(&file, &at(4, "stdout", TRACE[2]));
    append(&file, &at(5, "stdout", "INFO after"));
    rig.run(Duration::from_millis(3_000));
    assert_eq!(
        rig.texts(),
        [
            TRACE.join("\n").as_str(),
            "INFO after",
            "INFO before",
            "INFO other"
        ]
    );
    rig.restart();
    rig.settle();
    assert_eq!(rig.texts().len(), 4);
}

#[test]
fn a_record_of_a_plain_file_goes_up_to_the_next_beginning() {
    let filters = r#"{"filters": [{"match": {}, "multiline_start": "^BEGIN"}]}"#;
    let mut rig = Rig::with(configured(filters));
    append(&rig.path("a.log"), "alone\nBEGIN 1\n one\n");
    append(&rig.path("b.log"), "BEGIN 2\n");
    rig.run(Duration::from_millis(500));
    assert_eq!(rig.texts(), ["alone"]);
    append(&rig.path("a.log"), "two\nBEGIN 3\n");
    rig.settle();
    assert_eq!(rig.texts(), ["BEGIN 1\n one\ntwo", "BEGIN 2", "BEGIN 3", "alone"]);
}

#[test]
fn an_old_file_that_goes_ends_no_record_of_the_one_that_is_written() {
    let mut rig = Rig::new();
    append(&rig.path("a.log"), "old\n");
    rig.settle();
    fs::rename(rig.path("a.log"), rig.path("a.log.1")).unwrap();
    append(&rig.path("a.log"), "new\n");
    rig.settle();
    fs::remove_file(rig.path("a.log.1")).unwrap();
    // Five seconds after that the old one is let go; meanwhile a trace is written, slowly.
    rig.run(Duration::from_millis(4_300));
    append(&rig.path("a.log"), "ERROR broke\n");
    rig.run(Duration::from_millis(1_200));
    append(&rig.path("a.log"), "\tat once\n");
    rig.settle();
    assert_eq!(rig.texts(), ["ERROR broke\n\tat once", "new", "old"]);
}

#[test]
fn a_record_of_the_written_file_goes_on_while_an_old_one_is_read() {
    let mut rig = Rig::new();
    append(&rig.path("a.log"), "ERROR old\n");
    rig.run(Duration::from_millis(300));
    fs::rename(rig.path("a.log"), rig.path("a.log.1")).unwrap();
    append(&rig.path("a.log"), "ERROR new\n");
    rig.run(Duration::from_millis(300));
    append(&rig.path("a.log.1"), "\tat the end\nlast\n");
    rig.run(Duration::from_millis(300));
    append(&rig.path("a.log"), "\tat once\n");
    rig.settle();
    assert_eq!(
        rig.texts(),
        ["ERROR new\n\tat once", "ERROR old\n\tat the end", "last"]
    );
}

#[test]
fn what_a_filter_leaves_out_is_counted_and_the_place_reached_moves_on() {
    let filters = r#"{"filters": [
        {"match": {"container": "c", "stream": "stderr"}, "exclude": true},
        {"match": {"path": "/**/b.log"}, "exclude": true},
        {"match": {"path": "/**/s.log"}, "sample": 0.25},
        {"match": {"path": "/**/r.log"}, "rate": 1, "burst": 7}
    ]}"#;
    let mut rig = Rig::with(configured(filters));
    append(&rig.container("0.log"), &cri("stdout", "F", "kept"));
    append(&rig.container("0.log"), &cri("stderr", "F", "not"));
    append(&rig.path("b.log"), &numbered("b", 0..100));
    let timed: String = (0..400)
        .map(|nth| format!("2024-03-01T10:00:00Z s{nth}\n"))
        .collect();
    append(&rig.path("s.log"), &timed);
    append(&rig.path("r.log"), &timed.replace(" s", " r"));
    rig.settle();
    let texts = rig.texts();
    let count = |front: char| texts.iter().filter(|text| text.starts_with(front)).count();
    assert_eq!((count('k'), count('n'), count('b'), count('r')), (1, 0, 0, 7));
    let sampled = count('s');
    assert!((60..140).contains(&sampled), "{sampled}");
    let ledger = rig.account.ledger();
    assert!(ledger.balances());
    let dropped = |reason: &str| usize::try_from(ledger.dropped[reason]).unwrap();
    assert_eq!((dropped("excluded"), dropped("limited")), (101, 393));
    assert_eq!(dropped("sampled"), 400 - sampled);
    rig.restart();
    rig.settle();
    assert_eq!(rig.texts().len(), texts.len(), "none of it comes again");
    assert_eq!(rig.account.ledger().taken, 0);
}

#[test]
fn lines_of_a_new_pod_wait_for_its_annotations_but_not_for_ever() {
    let (tell, pods) = watch::channel(Arc::new(Pods::default()));
    let mut rig = Rig::new();
    rig.reader().hear_of(pods);
    append(&rig.container("0.log"), &cri("stdout", "F", "secret"));
    append(&rig.path("a.log"), "plain\n");
    rig.settle();
    assert_eq!(rig.texts(), ["plain"]);
    let pod = Pod {
        uid: "uid".to_owned(),
        annotations: BTreeMap::from([("fluentbit.io/exclude".to_owned(), "true".to_owned())]),
        ..Pod::default()
    };
    let known = Pods {
        by_uid: [("uid".to_owned(), Arc::new(pod))].into(),
    };
    tell.send(Arc::new(known)).unwrap();
    rig.settle();
    assert_eq!(rig.texts(), ["plain"]);
    assert_eq!(rig.account.ledger().dropped["excluded"], 1);
    tell.send(Arc::new(Pods::default())).unwrap();
    append(&rig.container("0.log"), &cri("stdout", "F", "open"));
    rig.run(Duration::from_secs(6));
    assert_eq!(rig.texts(), ["open", "plain"]);
}

#[test]
fn times_inside_of_lines_of_plain_files_are_found() {
    let parsers = r#"{
        "parsers": [{"name": "mine", "regex": "<(?<time>[^>]*)>", "time_format": "%d.%m.%Y %H:%M:%S %z"}],
        "filters": [{"match": {"path": "/**/m.log"}, "parser": "mine"}]
    }"#;
    let mut rig = Rig::with(configured(parsers));
    append(&rig.path("j.log"), "{\"ts\":1709287200.5,\"msg\":\"x\"}\n");
    append(&rig.path("m.log"), "x <01.03.2024 10:00:00 +0000> y\n");
    let access = "10.0.0.1 - - [01/Mar/2024:10:00:00 +0000] \"GET / HTTP/1.1\" 503 5\n";
    append(&rig.path("n.log"), access);
    rig.settle();
    let records = rig.records();
    assert_eq!(records.len(), 3);
    assert!(
        records
            .iter()
            .all(|record| record.time.0.div_euclid(1_000) == 1_709_287_200),
        "{records:?}"
    );
    let fault = records.iter().find(|record| record.text.contains("503")).unwrap();
    assert_eq!(fault.level, model::Level::Error);
    assert_eq!(lines_of(access), [fault.text.as_str()]);
}
