//! `skopos query` asks a running process, and a data directory that somebody or nobody is at work in.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::harness::components::{find, run};
use crate::harness::{Skopos, skopos::command};

const QUIET: &str = "node: { interval: 1s }\nlogs: { files: [] }\n";

fn query(folder: &Path, arguments: &[&str]) -> (i32, String) {
    run(command(folder).arg("query").args(arguments))
}

/// Every file of a folder with its bytes, and every folder, with the times they were changed.
fn tree(folder: &Path) -> BTreeMap<PathBuf, (Vec<u8>, std::time::SystemTime)> {
    let mut found = BTreeMap::new();
    let mut left = vec![folder.to_owned()];
    while let Some(path) = left.pop() {
        let changed = path.metadata().unwrap().modified().unwrap();
        if path.is_dir() {
            let entries = std::fs::read_dir(&path).unwrap();
            left.extend(entries.map(|entry| entry.unwrap().path()));
            found.insert(path, (Vec::new(), changed));
        } else {
            found.insert(path.clone(), (std::fs::read(&path).unwrap(), changed));
        }
    }
    found
}

#[tokio::test]
async fn a_data_directory_answers_as_its_process_does_while_it_runs_and_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut skopos = Skopos::start(folder.path(), QUIET);
    skopos
        .wait_for("some rounds", Duration::from_secs(20), async |skopos| {
            skopos
                .value("count_over_time(node_time_seconds[1m])")
                .await
                .is_some_and(|rounds| rounds >= 4.0)
        })
        .await;
    // Two seconds ago everything was written; the same moment is asked of both.
    let now = skopos.value("vector(time())").await.unwrap();
    let time = format!("{}", now - 2.0);
    let url = skopos.url("");
    let expr = "sort(count by (job) ({job=~\".+\"}))";
    for shape in ["table", "json"] {
        let asked = ["--time", time.as_str(), "--output", shape, expr];
        let (code, of_process) = query(
            folder.path(),
            &[&["--url", url.as_str()], asked.as_slice()].concat(),
        );
        assert_eq!(code, 0, "{of_process}");
        let (code, of_folder) = query(
            folder.path(),
            &[&["--data-dir", "data"], asked.as_slice()].concat(),
        );
        assert_eq!(code, 0, "{of_folder}");
        assert_eq!(of_folder, of_process);
        assert!(of_folder.contains("node"), "{of_folder}");
    }
    let (start, end) = (format!("{}", now - 12.0), time.as_str());
    let range = [
        "--start",
        start.as_str(),
        "--end",
        end,
        "--step",
        "1s",
        "node_load1",
    ];
    let (_, of_process) = query(
        folder.path(),
        &[&["--url", url.as_str()], range.as_slice()].concat(),
    );
    let (code, of_folder) = query(
        folder.path(),
        &[&["--data-dir", "data"], range.as_slice()].concat(),
    );
    assert_eq!((code, &of_folder), (0, &of_process));
    assert!(of_folder.contains("node_load1"), "{of_folder}");

    skopos.kill();
    let before = tree(&folder.path().join("data"));
    // Its own folder of samples is as good, and nothing needs to be named when it is now.
    for data_dir in ["data", "data/metrics"] {
        let (code, text) = query(
            folder.path(),
            &["--data-dir", data_dir, "count(count_over_time(up[1h]))"],
        );
        assert_eq!((code, text.as_str()), (0, "2\u{20}\u{20}{}\n"));
    }
    assert!(
        tree(&folder.path().join("data")) == before,
        "something was written"
    );
}

#[test]
fn blocks_of_a_prometheus_are_asked_and_its_log_is_said_to_be_missing() {
    let Some(promtool) = find("promtool") else { return };
    let folder = tempfile::tempdir().unwrap();
    let text = "# TYPE shop_orders counter\nshop_orders_total{shop=\"a\"} 5 1700000000\n\
                shop_orders_total{shop=\"a\"} 8 1700000060\n# EOF\n";
    std::fs::write(folder.path().join("orders.txt"), text).unwrap();
    let (code, said) = run(Command::new(promtool)
        .args(["tsdb", "create-blocks-from", "openmetrics", "orders.txt", "tsdb"])
        .current_dir(folder.path()));
    assert_eq!(code, 0, "{said}");
    let before = tree(folder.path());
    let asked = ["--data-dir", "tsdb", "--time", "2023-11-14T22:14:30Z"];
    let ask = |expr: &str| query(folder.path(), &[asked.as_slice(), &[expr]].concat());
    assert_eq!(
        ask("shop_orders_total"),
        (0, "8  shop_orders_total{shop=\"a\"}\n".to_owned())
    );
    assert_eq!(ask("increase(shop_orders_total[2m])").0, 0);
    let (code, text) = ask("sum(rtae(shop_orders_total[5m]))");
    assert_eq!(code, 1);
    assert!(text.contains("1:5") && text.contains("rate"), "{text}");
    // Now is long after.
    let (code, text) = query(folder.path(), &["--data-dir", "tsdb", "shop_orders_total"]);
    assert_eq!(code, 0);
    assert!(
        text.contains("no series") && text.contains("from 2023-11-14T22:13:20Z to 2023-11-14T22:14:20Z"),
        "{text}"
    );
    assert!(tree(folder.path()) == before, "something was written");

    std::fs::create_dir(folder.path().join("tsdb/wal")).unwrap();
    std::fs::write(folder.path().join("tsdb/wal/00000000"), b"").unwrap();
    let (code, text) = ask("shop_orders_total");
    assert_eq!(code, 0);
    assert!(
        text.contains("note: not seen: the newest samples of a Prometheus"),
        "{text}"
    );
}

#[test]
fn what_is_no_data_directory_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let said = |arguments: &[&str], words: &str| {
        let (code, text) = query(folder.path(), arguments);
        assert_ne!(code, 0, "{arguments:?}: {text}");
        assert!(text.contains(words), "{arguments:?}: {text}");
    };
    said(
        &["--data-dir", "nowhere", "up"],
        "there is no data directory nowhere",
    );
    std::fs::create_dir_all(folder.path().join("other")).unwrap();
    said(&["--data-dir", "other", "up"], "other is no data directory");
    std::fs::create_dir_all(folder.path().join("last/metrics")).unwrap();
    said(&["--data-dir", "last", "up"], "no samples are kept in last");
    std::fs::create_dir_all(folder.path().join("head/wal")).unwrap();
    said(&["--data-dir", "head", "up"], "head has no blocks");
    said(
        &["--data-dir", "other", "--url", "http://localhost:1", "up"],
        "either a process is asked, with --url, or a directory, with --data-dir",
    );
    // The environment names where a process keeps its data; without --data-dir that process is asked.
    let (code, text) = run(command(folder.path()).env("SKOPOS_DATA_DIR", "other").args([
        "query",
        "--url",
        "http://127.0.0.1:1",
        "up",
    ]));
    assert_eq!(code, 1);
    assert!(text.contains("asking http://127.0.0.1:1"), "{text}");
}
