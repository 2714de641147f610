//! The picture of the house: the table in ARCHITECTURE.md is the one in the code, and a running process shows itself.

use std::fs;

use crate::harness::skopos::command;
use crate::harness::{Skopos, root};

const BEGIN: &str = "<!-- joints: made from agent/graph.rs; UPDATE_GOLDEN=1 writes it anew -->\n";
const END: &str = "<!-- end of joints -->\n";

#[test]
fn the_table_in_the_architecture_is_the_one_in_the_code() {
    let path = root().join("ARCHITECTURE.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("the table's beginning");
    let (table, after) = rest.split_once(END).expect("the table's end");
    let made = skopos::graph::markdown();
    if std::env::var("UPDATE_GOLDEN").is_ok() {
        fs::write(&path, format!("{before}{BEGIN}{made}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(table, made, "run again with UPDATE_GOLDEN=1");
}

#[test]
fn the_plan_of_each_role_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    for (role, has, lacks) in [
        ("all", "rules → notifier", "pair → peer"),
        ("node", "sender → destinations", "rules"),
        ("cluster", "pair → lease", "log files"),
    ] {
        let output = command(folder.path())
            .args(["graph", "--plan", role])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && text.contains(has), "{text}");
        assert!(!text.contains(lacks), "{role} has {lacks}:\n{text}");
    }
}

#[tokio::test]
async fn a_running_process_shows_what_is_in_its_queues() {
    let folder = tempfile::tempdir().unwrap();
    let skopos = Skopos::start(folder.path(), "logs: { files: [] }\n");
    let url = skopos.url("");
    let output = command(folder.path())
        .args(["graph", "--url", &url])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find(|line| line.contains("rules → notifier"));
    assert!(
        line.is_some_and(|line| line.contains("0 %") && line.contains("events")),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let nowhere = command(folder.path())
        .args(["graph", "--url", "http://127.0.0.1:1"])
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&nowhere.stderr).into_owned();
    assert!(!nowhere.status.success() && error.contains("--plan"), "{error}");
    assert_eq!(skopos.stop().await, 0);
}
