//! The disk takes no watermarks: it is full, or has become read-only. Lines go on, and none is there twice after a restart.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use opensearch_tests::Fake;
use serde_json::json;

use super::entry;
use super::generator::judge;
use super::room::{Room, outside, sort};

/// A filesystem of its own; it goes when it is let go of.
struct Disk(PathBuf);

impl Disk {
    /// None, loudly, where nobody lets us.
    fn mount(what: &str, arguments: &[&str], at: &Path) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let done = Command::new("mount").args(arguments).arg(at).output();
        if done.is_ok_and(|done| done.status.success()) {
            return Some(Self(at.to_owned()));
        }
        programs::skipped(&format!("mount (only root may): {what}"));
        None
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(&self.0).status());
    }
}

/// Until nothing more fits.
fn fill(junk: &Path) {
    let mut file = File::create(junk).unwrap();
    while file.write_all(&[0; 512]).is_ok() {}
}

fn sink(fake: &Fake) -> serde_json::Value {
    entry(&fake.url(), &json!({"wait": "50ms"}))
}

fn check(what: &str, fake: &Fake, room: &Room) {
    let documents = fake.documents("logs-skopos-*").into_iter();
    let (seen, between, _) =
        sort(documents.map(|(_, document)| document["message"].as_str().unwrap_or_default().to_owned()));
    judge(&seen, &room.written(), what);
    assert_eq!(between + room.written().iter().sum::<usize>(), room.lines());
}

fn failures(room: &Room) -> f64 {
    room.counter("skopos_logs_checkpoint_failures_total", &[])
}

/// Writes until all of it is there; rotates meanwhile.
async fn go_on(room: &mut Room, fake: &Fake, what: &str) {
    for _ in 0..4 {
        room.write(200);
        for writer in &mut room.writers {
            writer.rotate(usize::MAX).unwrap();
        }
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    let begun = std::time::Instant::now();
    while fake.count("logs-skopos-*") < room.lines() && begun.elapsed() < Duration::from_secs(30) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    check(what, fake, room);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_full_disk_lines_go_on_and_when_there_is_room_again_places_are_kept() {
    let (fake, folder) = (Fake::start(), tempfile::tempdir().unwrap());
    let data = folder.path().join("data");
    let Some(_disk) = Disk::mount("a full disk", &["-t", "tmpfs", "-o", "size=32m", "tmpfs"], &data) else {
        return;
    };
    let mut room = Room::start_in(folder, "opensearch", &sink(&fake), outside(), |_| {});
    go_on(&mut room, &fake, "before the disk is full").await;
    assert_eq!(failures(&room), 0.0);
    let junk = data.join("junk");
    fill(&junk);
    go_on(&mut room, &fake, "while it is full").await;
    assert!(failures(&room) > 0.0, "the disk is not full");
    // Dies so, and starts again when there is room.
    let writers = std::mem::take(&mut room.writers);
    let folder = room.stop().await;
    fs::remove_file(&junk).unwrap();
    let sent = fake.counters().items;
    let mut room = Room::start_in(folder, "opensearch", &sink(&fake), outside(), |_| {});
    room.writers = writers;
    go_on(&mut room, &fake, "started again over places that are too old").await;
    let again = usize::try_from(fake.counters().items - sent).unwrap() - 4 * 200 * room.writers.len();
    println!("{again} records sent again");
    // And now it is full and free again while the room runs.
    fill(&junk);
    go_on(&mut room, &fake, "full again").await;
    let failed = failures(&room);
    fs::remove_file(&junk).unwrap();
    go_on(&mut room, &fake, "free again").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let still = failures(&room);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(failed > 0.0);
    assert_eq!(failures(&room), still, "it goes on to fail");
    // Then a restart has nothing to send again.
    let writers = std::mem::take(&mut room.writers);
    let folder = room.stop().await;
    let sent = fake.counters().items;
    let mut room = Room::start_in(folder, "opensearch", &sink(&fake), outside(), |_| {});
    room.writers = writers;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(fake.counters().items, sent, "sent again");
    check("at the end", &fake, &room);
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_disk_that_has_become_read_only_lines_go_on_and_a_restart_elsewhere_doubles_none() {
    let (fake, folder) = (Fake::start(), tempfile::tempdir().unwrap());
    let (image, data) = (folder.path().join("image"), folder.path().join("data"));
    File::create(&image).unwrap().set_len(16 << 20).unwrap();
    let made = Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image).output();
    if !made.is_ok_and(|made| made.status.success()) {
        return programs::skipped("mkfs.ext4: a disk that becomes read-only");
    }
    let name = image.display().to_string();
    let options = ["-t", "ext4", "-o", "loop,errors=remount-ro", &name];
    let Some(disk) = Disk::mount("a disk that becomes read-only", &options, &data) else {
        return;
    };
    let mut room = Room::start_in(folder, "opensearch", &sink(&fake), outside(), |_| {});
    go_on(&mut room, &fake, "before").await;
    assert_eq!(failures(&room), 0.0);
    let source = Command::new("findmnt")
        .args(["-n", "-o", "SOURCE"])
        .arg(&data)
        .output()
        .unwrap();
    let device = String::from_utf8(source.stdout).unwrap();
    let device = device.trim().trim_start_matches("/dev/");
    // As ext4 does on its own when the device fails.
    if fs::write(format!("/sys/fs/ext4/{device}/trigger_fs_error"), "by a test").is_err() {
        return programs::skipped("trigger_fs_error of ext4: a disk that becomes read-only");
    }
    let refused = File::create(data.join("x")).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
    go_on(&mut room, &fake, "while it is read-only").await;
    assert!(failures(&room) > 0.0, "the disk takes writes");
    let writers = std::mem::take(&mut room.writers);
    let folder = room.stop().await;
    drop(disk);
    let repaired = Command::new("e2fsck")
        .args(["-p", "-f"])
        .arg(&image)
        .output()
        .unwrap();
    println!("{}", String::from_utf8_lossy(&repaired.stdout));
    let Some(_disk) = Disk::mount("a disk that was repaired", &options, &data) else {
        return;
    };
    let mut room = Room::start_in(folder, "opensearch", &sink(&fake), outside(), |_| {});
    room.writers = writers;
    go_on(&mut room, &fake, "repaired, and started again").await;
    assert_eq!(failures(&room), 0.0);
    room.stop().await;
}
