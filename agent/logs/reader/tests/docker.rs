//! Containers of Docker: what its `json-file` driver writes and rotates, each line once.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::Duration;

use model::Timestamp;
use serde_json::json;

use super::rig::{Rig, append, cri};

const ID: &str = "4f5e6d7c8b9a";

/// A line as Docker writes it.
fn line(stream: &str, log: &str) -> String {
    let log = json!(log);
    format!("{{\"log\":{log},\"stream\":\"{stream}\",\"time\":\"2024-03-01T10:00:00.123456789Z\"}}\n")
}

fn path(rig: &Rig, end: &str) -> PathBuf {
    let folder = rig.root().join("docker").join(ID);
    fs::create_dir_all(&folder).unwrap();
    folder.join(format!("{ID}-json.log{end}"))
}

/// As Docker rotates: every old file is counted up, and the oldest goes.
fn rotate(rig: &Rig, keep: usize) {
    for number in (1..keep).rev() {
        let (from, to) = (
            path(rig, &format!(".{number}")),
            path(rig, &format!(".{}", number + 1)),
        );
        if from.exists() {
            fs::rename(from, to).unwrap();
        }
    }
    fs::rename(path(rig, ""), path(rig, ".1")).unwrap();
}

#[test]
fn lines_of_docker_are_records_of_the_container_that_docker_has_named() {
    let mut rig = Rig::new();
    let log = path(&rig, "");
    let config = json!({"Name": "/shop-web-1", "Config": {"Image": "nginx", "Labels": {"com.docker.compose.service": "web"}}});
    fs::write(log.with_file_name("config.v2.json"), config.to_string()).unwrap();
    append(&log, &line("stdout", "hello \"world\"\n"));
    append(&log, &line("stderr", "level=warn slow\r\n"));
    append(&log, "{\"no\": \"line of Docker's\"}\n");
    rig.settle();
    assert_eq!(
        rig.texts(),
        [
            "hello \"world\"",
            "level=warn slow",
            "{\"no\": \"line of Docker's\"}"
        ]
    );
    let records = rig.page("hello").lines;
    assert_eq!(
        (&*records[0].source, &*records[0].stream),
        ("shop-web-1", "stdout")
    );
    assert_eq!(records[0].time, Timestamp(1_709_287_200_123));
    assert_eq!(rig.account.malformed.get(), 1);
}

#[test]
fn pieces_of_docker_are_joined_for_each_stream_over_rotation_and_restart() {
    let mut rig = Rig::new();
    append(&path(&rig, ""), &line("stdout", "before\n"));
    append(&path(&rig, ""), &line("stdout", "one-"));
    append(&path(&rig, ""), &line("stderr", "err one\n"));
    rig.settle();
    rig.restart();
    append(&path(&rig, ""), &line("stderr", "err "));
    rotate(&rig, 5);
    append(&path(&rig, ""), &line("stdout", "two-"));
    append(&path(&rig, ""), &line("stderr", "two\n"));
    rig.run(Duration::from_secs(3));
    assert_eq!(rig.texts(), ["before", "err one", "err two"]);
    rig.restart();
    rotate(&rig, 5);
    append(&path(&rig, ""), &line("stdout", "three\n"));
    rig.run(Duration::from_secs(3));
    rig.restart();
    rig.run(Duration::from_secs(3));
    assert_eq!(rig.texts(), ["before", "err one", "err two", "one-two-three"]);
    let joined = rig.page("one-two").lines;
    assert_eq!(joined[0].offset_bytes, line("stdout", "before\n").len() as u64);
}

#[test]
fn files_that_docker_has_rotated_while_nobody_looked_are_read_in_the_order_they_were_written() {
    let mut rig = Rig::new();
    append(&path(&rig, ""), &line("stdout", "piece 0 "));
    rig.settle();
    rig.kill();
    for number in 1..12 {
        rotate(&rig, 20);
        append(&path(&rig, ""), &line("stdout", &format!("piece {number} ")));
    }
    append(&path(&rig, ""), &line("stdout", "end\n"));
    rig.start();
    rig.run(Duration::from_secs(15));
    let pieces: String = (0..12).map(|number| format!("piece {number} ")).collect();
    assert_eq!(rig.texts(), [format!("{pieces}end")]);
}

#[test]
fn a_container_of_the_kubelet_that_docker_runs_is_read_once_wherever_it_is_found() {
    let mut rig = Rig::new();
    let log = path(&rig, "");
    append(&log, &line("stdout", "by docker\n"));
    symlink(&log, rig.container("0.log")).unwrap();
    rig.settle();
    rotate(&rig, 3);
    append(&path(&rig, ""), &line("stdout", "rotated\n"));
    rig.run(Duration::from_secs(3));
    rig.restart();
    rig.settle();
    assert_eq!(rig.texts(), ["by docker", "rotated"]);
}

#[test]
fn both_forms_in_one_file_are_told_apart_line_by_line() {
    let mut rig = Rig::new();
    append(&rig.container("0.log"), &line("stdout", "docker's\n"));
    append(&rig.container("0.log"), &cri("stdout", "F", "cri's"));
    rig.settle();
    assert_eq!(rig.texts(), ["cri's", "docker's"]);
    assert_eq!(rig.account.malformed.get(), 0);
}

#[test]
fn a_message_of_docker_is_cut_by_its_own_length() {
    let mut rig = Rig::with(|config| config.line_bytes_max = 100);
    append(
        &path(&rig, ""),
        &line("stdout", &format!("{}\n", "\t".repeat(90))),
    );
    append(
        &path(&rig, ""),
        &line("stdout", &format!("{}\n", "x".repeat(101))),
    );
    rig.settle();
    let texts = rig.texts();
    assert_eq!(texts[0], "\t".repeat(90));
    assert!(
        texts[1].ends_with("x… [cut, the line has 101 bytes]"),
        "{}",
        texts[1]
    );
}
