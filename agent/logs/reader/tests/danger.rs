//! What is let go when deleted files take too much room, and inode numbers that are used again.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use super::rig::{Rig, append, cri, numbered};

/// A file of a container of its own, with so many lines of 60 bytes; returns its path and what it says.
fn file(rig: &Rig, container: &str, number: usize, lines: usize) -> (PathBuf, Vec<String>) {
    let folder = rig.root().join(format!("pods/ns_{container}_uid/main"));
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join("0.log");
    let texts: Vec<String> = (0..lines)
        .map(|line| format!("{container} {number} {line:05}"))
        .collect();
    for text in &texts {
        append(&path, &cri("stdout", "F", text));
    }
    (path, texts)
}

#[test]
fn beyond_the_budget_the_noisiest_loses_its_oldest_files_and_exactly_they_are_counted() {
    let mut rig = Rig::with(|config| config.pinned_bytes_max = 25_000);
    append(&rig.path("a.log"), "before\n");
    fs::create_dir(rig.root().join("pods")).unwrap();
    // The folder of all pods is found by a regular look.
    rig.run(Duration::from_secs(6));
    rig.full(true);
    // From now on reading waits.
    append(&rig.path("a.log"), "waits\n");
    rig.run(Duration::from_secs(1));
    let mut kept = vec!["before".to_owned(), "waits".to_owned()];
    let mut shed = 0;
    let mut sizes = Vec::new();
    // 30, 18 and 5 kB in all: the first loses two files, the second one, the first its last.
    let files = [("loud", 3, 200), ("middle", 2, 180), ("quiet", 1, 100)];
    for (container, count, lines) in files {
        for number in 0..count {
            let (path, texts) = file(&rig, container, number, lines);
            let bytes = fs::metadata(&path).unwrap().len();
            sizes.push(bytes);
            if container == "loud" || (container == "middle" && number == 0) {
                shed += bytes;
            } else {
                kept.extend(texts);
            }
            rig.run(Duration::from_millis(100));
            let rotated = path.with_file_name(format!("0.log.20240301-{number:06}"));
            fs::rename(&path, &rotated).unwrap();
            rig.run(Duration::from_millis(100));
            fs::remove_file(&rotated).unwrap();
            rig.run(Duration::from_millis(100));
        }
    }
    let all: u64 = sizes.iter().sum();
    assert!(all > 50_000 && all - shed < 25_000, "{sizes:?}");
    assert_eq!(
        all - shed + sizes[0],
        25_000.max(all - shed + sizes[0]),
        "one file fewer were too few"
    );
    // A look at a sixth of the files at a time.
    rig.run(Duration::from_secs(35));
    assert_eq!(rig.account.shed.get(), shed);
    assert_eq!(rig.account.pinned.get(), (all - shed) as f64);
    rig.full(false);
    rig.run(Duration::from_secs(30));
    kept.sort_unstable();
    assert_eq!(rig.texts(), kept);
    assert_eq!(
        (rig.account.shed.get(), rig.account.unread_at_unlink.get()),
        (shed, 0)
    );
    assert!(rig.account.ledger().balances());
}

#[test]
fn a_file_that_has_the_inode_number_of_another_is_read_from_its_first_byte() {
    let mut rig = Rig::new();
    let path = rig.path("a.log");
    append(&path, &numbered("first", 0..100));
    rig.settle();
    let mut want = 100;
    let mut reused = 0;
    for round in 0..50 {
        // With and without us, and with more and with fewer lines than the one before.
        let dead = round % 2 == 0;
        let number = fs::metadata(&path).unwrap().ino();
        if dead {
            rig.kill();
        }
        fs::remove_file(&path).unwrap();
        if !dead {
            // As long as we hold the old one its number is not free.
            rig.run(Duration::from_secs(7));
        }
        // Others make files as well; a few tries get the number back.
        for _ in 0..20 {
            append(&path, "");
            if fs::metadata(&path).unwrap().ino() == number {
                break;
            }
            fs::remove_file(&path).unwrap();
        }
        let lines = if round % 3 == 0 { 300 } else { 20 };
        append(&path, &numbered(&format!("round {round}"), 0..lines));
        want += lines;
        reused += usize::from(fs::metadata(&path).unwrap().ino() == number);
        if dead {
            rig.start();
        }
        rig.settle();
    }
    if reused == 0 {
        println!("SKIPPED: inode reuse: this filesystem gives no number twice");
    }
    println!("{reused} of 50 files had an inode number again");
    assert_eq!(rig.texts().len(), want);
}
