//! What becomes of files: renamed, truncated, deleted, replaced, linked, refused.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, symlink};
use std::time::Duration;

use model::view::Health;

use super::rig::{Rig, append, lines_of, numbered};

#[test]
fn a_renamed_file_is_read_to_its_end_and_its_last_line_is_a_line() {
    let mut rig = Rig::new();
    let path = rig.path("a.log");
    append(&path, "one\n");
    rig.settle();
    let mut writer = append(&path, "two\n");
    fs::rename(&path, rig.path("a.log.1")).unwrap();
    append(&path, "three\n");
    rig.settle();
    writer.write_all(b"late\nunfinished").unwrap();
    rig.run(Duration::from_secs(3));
    assert_eq!(rig.texts(), ["late", "one", "three", "two"]);
    rig.run(Duration::from_secs(7));
    assert_eq!(rig.texts(), ["late", "one", "three", "two", "unfinished"]);
    rig.restart();
    rig.run(Duration::from_secs(70));
    assert_eq!(rig.texts().len(), 5);
    // Closed by now, and written to nevertheless.
    writer.write_all(b"very late\n").unwrap();
    rig.settle();
    assert_eq!(rig.texts().len(), 6);
}

#[test]
fn a_file_rotated_while_nobody_looked_is_found_by_its_inode() {
    let mut rig = Rig::new();
    let path = rig.path("a.log");
    append(&path, "one\n");
    rig.settle();
    rig.kill();
    append(&path, "two\n");
    fs::rename(&path, rig.path("a.log.1")).unwrap();
    append(&path, "three\n");
    rig.start();
    rig.settle();
    assert_eq!(rig.texts(), ["one", "three", "two"]);
    let two = rig.page("two").lines;
    assert_eq!((&*two[0].source, two[0].offset_bytes), ("a.log", 4));
}

#[test]
fn a_truncated_file_begins_anew_and_nothing_comes_twice() {
    let mut rig = Rig::new();
    let path = rig.path("a.log");
    let file = append(&path, &numbered("old", 0..100));
    rig.settle();
    file.set_len(0).unwrap();
    append(&path, "short\n");
    rig.settle();
    file.set_len(0).unwrap();
    // Longer than what was read of it before.
    append(&path, &numbered("new", 0..500));
    rig.settle();
    rig.kill();
    file.set_len(0).unwrap();
    append(&path, &numbered("newest", 0..900));
    rig.start();
    rig.settle();
    let mut want =
        lines_of(&(numbered("old", 0..100) + &numbered("new", 0..500) + &numbered("newest", 0..900)));
    want.push("short".to_owned());
    assert_eq!(rig.texts(), want);
}

#[test]
fn the_copy_of_a_copytruncate_is_not_read() {
    let mut rig = Rig::new();
    let path = rig.path("a.log");
    let file = append(&path, &numbered("old", 0..100));
    rig.settle();
    for round in 0..4 {
        if round % 2 == 1 {
            rig.kill();
        }
        fs::copy(&path, rig.path(&format!("a.log.{round}"))).unwrap();
        file.set_len(0).unwrap();
        append(&path, &numbered(&format!("round {round}"), 0..200));
        if round % 2 == 1 {
            rig.start();
        }
        rig.settle();
        rig.restart();
        rig.settle();
    }
    assert_eq!(rig.texts().len(), 100 + 4 * 200);
}

#[test]
fn a_writer_that_keeps_its_place_after_a_truncation_is_understood() {
    let mut rig = Rig::new();
    let path = rig.path("a.log");
    append(&path, "before\n");
    rig.settle();
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(0).unwrap();
    file.write_at(b"after\n", 7).unwrap();
    rig.settle();
    assert_eq!(rig.texts(), ["after", "before"]);
}

#[test]
fn a_deleted_file_is_read_although_reading_had_to_wait() {
    let mut rig = Rig::new();
    append(&rig.path("a.log"), "one\n");
    rig.settle();
    rig.full(true);
    append(&rig.path("a.log"), &numbered("a", 0..200_000));
    rig.settle();
    append(&rig.path("b.log"), "made and deleted\n");
    rig.run(Duration::from_millis(200));
    fs::remove_file(rig.path("a.log")).unwrap();
    fs::remove_file(rig.path("b.log")).unwrap();
    rig.run(Duration::from_secs(30));
    rig.full(false);
    rig.run(Duration::from_secs(30));
    assert_eq!(rig.texts().len(), 200_002);
    assert_eq!(rig.account.unread_at_unlink.get(), 0);
    assert!(rig.board.files().is_empty());
}

#[test]
fn a_new_file_under_an_old_inode_is_read_whole() {
    let mut rig = Rig::new();
    let path = rig.path("a.log");
    for round in 0..20 {
        append(&path, &numbered(&format!("round {round}"), 0..10));
        if round % 2 == 0 {
            rig.settle();
            rig.kill();
            fs::remove_file(&path).unwrap();
            append(&path, &numbered(&format!("again {round}"), 0..30));
            rig.start();
        }
        rig.settle();
        fs::remove_file(&path).unwrap();
        rig.run(Duration::from_secs(7));
    }
    assert_eq!(rig.texts().len(), 20 * 10 + 10 * 30);
}

#[test]
fn links_excluded_packed_and_own_files_are_not_read_or_not_twice() {
    let mut rig = Rig::with(|config| {
        let folder = config.files[0].trim_end_matches("*.log").to_owned();
        config.files.push(format!("{folder}**/*.txt*"));
        config.exclude = vec![format!("{folder}secret*"), format!("{folder}hidden")];
    });
    fs::create_dir_all(rig.root().join("own")).unwrap();
    fs::create_dir_all(rig.path("hidden/x")).unwrap();
    fs::create_dir_all(rig.path("deep/er")).unwrap();
    rig.restart();
    append(&rig.path("a.log"), "a\n");
    fs::hard_link(rig.path("a.log"), rig.path("hard.log")).unwrap();
    symlink(rig.path("a.log"), rig.path("soft.log")).unwrap();
    symlink(rig.root().join("elsewhere"), rig.path("far.log")).unwrap();
    append(&rig.root().join("elsewhere"), "far\n");
    append(&rig.path("secret.log"), "secret\n");
    append(&rig.path("hidden/x/b.txt"), "hidden\n");
    append(&rig.path("deep/er/b.txt"), "deep\n");
    append(&rig.path("deep/er/c.txt.gz"), "packed\n");
    append(&rig.root().join("own/own.log"), "own\n");
    symlink(rig.root().join("own/own.log"), rig.path("own.log")).unwrap();
    rig.settle();
    append(&rig.root().join("elsewhere"), "further\n");
    rig.settle();
    assert_eq!(rig.texts(), ["a", "deep", "far", "further"]);
}

#[test]
fn new_pods_are_found_without_waiting_for_the_regular_look() {
    let mut rig = Rig::new();
    fs::create_dir_all(rig.root().join("pods")).unwrap();
    rig.restart();
    rig.turn();
    for pod in ["a_one_1", "b_two_2"] {
        let folder = rig.root().join("pods").join(pod).join("main");
        fs::create_dir_all(&folder).unwrap();
        rig.turn();
        append(&folder.join("0.log"), "2024-03-01T10:00:00Z stdout F hello\n");
        append(&folder.join("other.log"), "not the kubelet's\n");
        rig.turn();
    }
    rig.run(Duration::from_millis(300));
    assert_eq!(rig.texts(), ["hello", "hello"]);
}

#[test]
fn without_inotify_everything_is_found_by_looking() {
    let mut rig = Rig::new();
    rig.reader().blind();
    append(&rig.path("a.log"), "one\n");
    rig.settle();
    append(&rig.path("a.log"), "two\n");
    fs::rename(rig.path("a.log"), rig.path("a.log.1")).unwrap();
    append(&rig.path("a.log"), "three\n");
    append(&rig.container("0.log"), "2024-03-01T10:00:00Z stdout F four\n");
    rig.run(Duration::from_secs(4));
    assert_eq!(rig.texts(), ["four", "one", "three", "two"]);
    fs::remove_file(rig.path("a.log.1")).unwrap();
    rig.run(Duration::from_secs(10));
    assert_eq!(rig.board.files().len(), 2);
}

#[test]
fn a_file_that_cannot_be_opened_is_shown_with_its_reason_until_it_can() {
    let mut rig = Rig::new();
    let path = rig.path("loop.log");
    symlink(&path, &path).unwrap();
    append(&rig.path("a.log"), "a\n");
    rig.settle();
    let files = rig.board.files();
    assert_eq!(
        files.iter().map(|file| file.health).collect::<Vec<_>>(),
        [Health::Good, Health::Bad]
    );
    assert!(files[1].error.contains("symbolic link"), "{}", files[1].error);
    fs::remove_file(&path).unwrap();
    append(&path, "b\n");
    rig.run(Duration::from_secs(6));
    assert_eq!(rig.texts(), ["a", "b"]);
    let files = rig.board.files();
    assert!(
        files
            .iter()
            .all(|file| file.health == Health::Good && file.offset_bytes == 2)
    );
}

#[test]
fn another_configuration_is_taken_up_without_reading_anything_twice() {
    let mut rig = Rig::new();
    append(&rig.path("a.log"), "one\n");
    append(&rig.path("b.txt"), "b\n");
    rig.settle();
    let old = rig.config.clone();
    let mut new = old.clone();
    new.files = vec![format!("{}/in/*.txt", rig.root().display())];
    let now = std::time::Instant::now();
    rig.reader().apply(new, now);
    rig.run(Duration::from_secs(10));
    append(&rig.path("a.log"), "two\n");
    rig.settle();
    assert_eq!(rig.texts(), ["b", "one"]);
    rig.reader().apply(old, now);
    rig.settle();
    assert_eq!(rig.texts(), ["b", "one", "two"]);
}

#[test]
fn a_rotation_storm_in_one_container_loses_nothing() {
    let mut rig = Rig::new();
    let path = rig.container("0.log");
    let mut want = Vec::new();
    for round in 0..60 {
        let mut text = String::new();
        for number in 0..20 {
            let name = format!("line {round:03} {number:03}");
            text.push_str(&format!("2024-03-01T10:00:00Z stdout P {name} \n"));
            text.push_str("2024-03-01T10:00:00Z stderr F noise\n");
            text.push_str("2024-03-01T10:00:00Z stdout F end\n");
            want.push(format!("{name} end"));
        }
        // Cut anywhere, also inside a group and a line.
        let cut = (round * 97) % text.len();
        append(&path, &text[..cut]);
        rig.turn();
        if round % 7 == 3 {
            rig.restart();
        }
        append(&path, &text[cut..]);
        fs::rename(&path, rig.container(&format!("0.log.20240301-{round:06}"))).unwrap();
        if round % 3 == 0 {
            rig.turn();
        }
    }
    append(&path, "2024-03-01T10:00:00Z stdout F the end\n");
    rig.run(Duration::from_secs(10));
    let texts = rig.texts();
    assert_eq!(texts.iter().filter(|text| *text == "noise").count(), 1200);
    let joined: Vec<String> = texts
        .into_iter()
        .filter(|text| text.starts_with("line"))
        .collect();
    assert_eq!(joined, want);
    assert_eq!(rig.page("the end").matched, 1);
}
