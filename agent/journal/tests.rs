//! What the journal promises: nothing half, nothing lost, nothing brought back, and replicas that agree.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use model::outside::Files;

use crate::{Change, Disk, Entry, FORMAT_HIGHEST, Journal, Merged, Patient};

fn open(folder: &Path) -> Journal {
    Journal::open(Disk::new(folder), Path::new("alerts")).unwrap()
}

#[test]
fn what_was_put_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path());
    journal.put("a/1", &7).unwrap();
    journal
        .change(vec![
            Change::put("a/2", &8),
            Change::put("b", &"x"),
            Change::remove("a/1"),
        ])
        .unwrap();
    drop(journal);
    let journal = open(folder.path());
    assert_eq!(journal.entries::<u32>("a/"), [("a/2".to_owned(), 8)]);
    assert_eq!(journal.get::<String>("b").as_deref(), Some("x"));
    assert_eq!(journal.get::<u32>("a/1"), None);
}

#[test]
fn a_change_counts_whole_or_not_at_all_wherever_the_file_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path());
    journal.put("a", &1).unwrap();
    journal
        .change(vec![Change::put("a", &2), Change::put("b", &2)])
        .unwrap();
    let path = folder.path().join("alerts/journal");
    let whole = std::fs::read(&path).unwrap();
    for length in 0..whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        let journal = open(folder.path());
        let (a, b) = (journal.get::<u32>("a"), journal.get::<u32>("b"));
        assert!(
            matches!((a, b), (None | Some(1), None)),
            "cut at {length}: {a:?} {b:?}"
        );
        journal.put("c", &3).unwrap();
        assert_eq!(open(folder.path()).get::<u32>("c"), Some(3), "cut at {length}");
    }
}

#[test]
fn the_file_stays_small_however_often_a_key_changes() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path());
    let value = "x".repeat(10_000);
    for _ in 0..200 {
        journal.put("a", &value).unwrap();
    }
    assert!(
        std::fs::metadata(folder.path().join("alerts/journal"))
            .unwrap()
            .len()
            < 300_000
    );
    assert_eq!(open(folder.path()).get::<String>("a"), Some(value));
}

#[test]
fn a_foreign_or_newer_file_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("alerts/journal");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    for (bytes, word) in [
        (&b"something else altogether"[..], "not a journal"),
        (b"SKJOURNL\x09\0\0\0", "newer version"),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let error = Journal::open(Disk::new(folder.path()), Path::new("alerts"))
            .err()
            .unwrap();
        assert!(error.to_string().contains(word), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }
}

/// A disk that takes `left` writes and then is full.
struct Full(Arc<Disk>, Mutex<usize>);

impl Full {
    fn take(&self) -> std::io::Result<()> {
        let mut left = self.1.lock().unwrap();
        if *left == 0 {
            return Err(std::io::ErrorKind::StorageFull.into());
        }
        *left -= 1;
        Ok(())
    }
}

impl Files for Full {
    fn read(&self, path: &Path) -> std::io::Result<Option<Vec<u8>>> {
        self.0.read(path)
    }
    fn append(&self, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
        // A full disk takes a part first.
        let part = self.take().map_or(bytes.len() / 2, |()| bytes.len());
        self.0.append(path, &bytes[..part])?;
        if part == bytes.len() {
            Ok(())
        } else {
            Err(std::io::ErrorKind::StorageFull.into())
        }
    }
    fn replace(&self, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
        self.take()?;
        self.0.replace(path, bytes)
    }
    fn truncate(&self, path: &Path, length_bytes: u64) -> std::io::Result<()> {
        self.0.truncate(path, length_bytes)
    }
    fn remove(&self, path: &Path) -> std::io::Result<()> {
        self.0.remove(path)
    }
    fn list(&self, folder: &Path) -> std::io::Result<Vec<PathBuf>> {
        self.0.list(folder)
    }
}

#[test]
fn a_full_disk_refuses_the_change_and_keeps_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let full = Arc::new(Full(Disk::new(folder.path()), Mutex::new(2)));
    let journal = Journal::open(full.clone(), Path::new("alerts")).unwrap();
    journal.put("a", &1).unwrap();
    for _ in 0..2 {
        assert!(journal.put("a", &2).is_err());
        assert_eq!(journal.get::<u32>("a"), Some(1));
    }
    assert_eq!(open(folder.path()).get::<u32>("a"), Some(1));
    *full.1.lock().unwrap() = 10;
    journal.put("b", &3).unwrap();
    assert_eq!(open(folder.path()).get::<u32>("b"), Some(3));
    assert_eq!(open(folder.path()).get::<u32>("a"), Some(1));
}

/// While it is held, writes neither succeed nor fail; then they are done.
struct Hanging(Arc<Disk>, Mutex<()>);

impl Files for Hanging {
    fn read(&self, path: &Path) -> std::io::Result<Option<Vec<u8>>> {
        self.0.read(path)
    }
    fn append(&self, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
        let _held = self.1.lock().unwrap();
        self.0.append(path, bytes)
    }
    fn replace(&self, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
        let _held = self.1.lock().unwrap();
        self.0.replace(path, bytes)
    }
    fn truncate(&self, path: &Path, length_bytes: u64) -> std::io::Result<()> {
        self.0.truncate(path, length_bytes)
    }
    fn remove(&self, path: &Path) -> std::io::Result<()> {
        self.0.remove(path)
    }
    fn list(&self, folder: &Path) -> std::io::Result<Vec<PathBuf>> {
        self.0.list(folder)
    }
}

#[test]
fn a_disk_that_hangs_refuses_the_change_and_what_it_does_later_harms_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let hanging = Arc::new(Hanging(Disk::new(folder.path()), Mutex::new(())));
    let patient = Patient::new(hanging.clone(), std::time::Duration::from_millis(300)).unwrap();
    let journal = Journal::open(patient, Path::new("alerts")).unwrap();
    journal.put("a", &1).unwrap();
    let held = hanging.1.lock().unwrap();
    for value in [2, 3] {
        let error = journal.put("a", &value).unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains("has not answered"), "{source}");
        assert_eq!(journal.get::<u32>("a"), Some(1));
    }
    drop(held);
    // Once the disk goes on, so does the journal.
    while journal.put("b", &4).is_err() {
        std::thread::park_timeout(std::time::Duration::from_millis(5));
    }
    let again = open(folder.path());
    assert_eq!(again.get::<u32>("a"), Some(1), "what was refused is not there");
    assert_eq!(again.get::<u32>("b"), Some(4));
}

/// Every file in memory, as the simulator has them.
#[derive(Default)]
struct Memory(Mutex<std::collections::BTreeMap<PathBuf, Vec<u8>>>);

impl Files for Memory {
    fn read(&self, path: &Path) -> std::io::Result<Option<Vec<u8>>> {
        Ok(self.0.lock().unwrap().get(path).cloned())
    }
    fn append(&self, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
        self.0
            .lock()
            .unwrap()
            .entry(path.into())
            .or_default()
            .extend(bytes);
        Ok(())
    }
    fn replace(&self, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
        self.0.lock().unwrap().insert(path.into(), bytes.to_vec());
        Ok(())
    }
    fn truncate(&self, path: &Path, length_bytes: u64) -> std::io::Result<()> {
        let length = usize::try_from(length_bytes).unwrap();
        self.0.lock().unwrap().get_mut(path).unwrap().truncate(length);
        Ok(())
    }
    fn remove(&self, path: &Path) -> std::io::Result<()> {
        self.0.lock().unwrap().remove(path);
        Ok(())
    }
    fn list(&self, _: &Path) -> std::io::Result<Vec<PathBuf>> {
        Ok(self.0.lock().unwrap().keys().cloned().collect())
    }
    fn is_instant(&self) -> bool {
        true
    }
}

fn replica(name: &str) -> (Arc<Memory>, Journal) {
    let files = Arc::new(Memory::default());
    let journal = reopen(&files, name);
    (files, journal)
}

fn reopen(files: &Arc<Memory>, name: &str) -> Journal {
    let journal = Journal::open(files.clone(), Path::new("alerts")).unwrap();
    journal.set_author(name.into(), 1);
    journal.set_shared(vec!["s/".to_owned()]);
    journal
}

/// All that is shared, as it goes over the wire.
fn told(from: &Journal, since: u64, origin: u64) -> (Vec<Entry>, u64) {
    let (entries, upto) = from.changed_since(since, origin, usize::MAX, |key| key.starts_with("s/"));
    let text = serde_json::to_string(&entries).unwrap();
    (serde_json::from_str(&text).unwrap(), upto)
}

/// Everything a journal says of shared keys, to the byte.
fn says(journal: &Journal) -> String {
    let (mut entries, _) = told(journal, 0, 0);
    entries.sort_by(|one, other| one.key().cmp(other.key()));
    serde_json::to_string_pretty(&entries).unwrap()
}

#[test]
fn the_newest_wins_on_both_sides_whoever_heard_it_first() {
    let ((_, a), (_, b)) = (replica("a"), replica("b"));
    a.put("s/x", &"a").unwrap();
    b.put("s/x", &"b").unwrap();
    b.put("s/y", &"b").unwrap();
    let (from_a, from_b) = (told(&a, 0, 0).0, told(&b, 0, 0).0);
    assert_eq!(
        a.merge(from_b, 2).unwrap(),
        Merged {
            taken: 2,
            old: 0,
            same: 0
        }
    );
    assert_eq!(
        b.merge(from_a, 1).unwrap(),
        Merged {
            taken: 0,
            old: 1,
            same: 0
        }
    );
    assert_eq!(a.get::<String>("s/x").as_deref(), Some("b"));
    assert_eq!(says(&a), says(&b));
    // A later epoch wins whatever the count says; whoever has heard of it writes in it from then on.
    a.set_author("a".into(), 7);
    a.put("s/x", &"later").unwrap();
    b.put("s/x", &"meanwhile").unwrap();
    b.put("s/x", &"meanwhile again").unwrap();
    b.merge(told(&a, 0, 0).0, 1).unwrap();
    assert_eq!(b.get::<String>("s/x").as_deref(), Some("later"));
    b.put("s/x", &"after").unwrap();
    a.merge(told(&b, 0, 0).0, 2).unwrap();
    assert_eq!(a.get::<String>("s/x").as_deref(), Some("after"));
}

#[test]
fn what_was_removed_is_not_brought_back_by_who_did_not_hear_of_it() {
    let ((files, a), (_, b)) = (replica("a"), replica("b"));
    a.put("s/x", &1).unwrap();
    a.put("own", &1).unwrap();
    b.merge(told(&a, 0, 0).0, 1).unwrap();
    a.change(vec![
        Change::remove("s/x"),
        Change::remove("own"),
        Change::remove("s/never"),
    ])
    .unwrap();
    // Also not after a restart, and after the file was written anew.
    drop(a);
    let a = reopen(&files, "a");
    for size in [300_000, 300_000, 1] {
        a.put("filler", &"x".repeat(size)).unwrap();
    }
    drop(a);
    let a = reopen(&files, "a");
    a.merge(told(&b, 0, 0).0, 2).unwrap();
    assert_eq!(a.get::<u32>("s/x"), None);
    b.merge(told(&a, 0, 0).0, 1).unwrap();
    assert_eq!(b.get::<u32>("s/x"), None);
    let (entries, _) = told(&a, 0, 0);
    assert_eq!(
        entries.len(),
        1,
        "only what was there leaves a trace: {entries:?}"
    );
}

#[test]
fn traces_of_removals_are_bounded_and_the_oldest_go_first() {
    let (_, a) = replica("a");
    let keys: Vec<String> = (0..20_100).map(|nth| format!("s/{nth}")).collect();
    a.change(keys.iter().map(|key| Change::put(key, &1)).collect())
        .unwrap();
    a.change(keys.iter().map(Change::remove).collect()).unwrap();
    assert_eq!(told(&a, 0, 0).0.len(), 20_000);
}

#[test]
fn who_told_us_is_not_told_the_same_but_its_next_life_is() {
    let ((_, a), (_, b)) = (replica("a"), replica("b"));
    a.put("s/x", &1).unwrap();
    a.put("t/not shared", &1).unwrap();
    b.merge(told(&a, 0, 9).0, 7).unwrap();
    b.put("s/y", &2).unwrap();
    let keys = |(entries, _): (Vec<Entry>, u64)| -> Vec<String> {
        entries.iter().map(|entry| entry.key().to_owned()).collect()
    };
    assert_eq!(keys(told(&b, 0, 7)), ["s/y"]);
    assert_eq!(keys(told(&b, 0, 8)), ["s/x", "s/y"]);
    assert_eq!(b.count_since(0, 7, |_| true), 1);
    assert_eq!(b.not_from("s/", 7), ["s/y"]);
    // Its next life says the same: it need not be told either.
    b.merge(told(&a, 0, 9).0, 8).unwrap();
    assert_eq!(keys(told(&b, 0, 8)), ["s/y"]);
    b.merge(told(&a, 0, 9).0, 7).unwrap();
    let (_, upto) = told(&b, 0, 7);
    assert_eq!((keys(told(&b, upto, 8)).len(), upto), (0, b.seq()));
}

#[test]
fn much_goes_in_parts_and_each_part_says_how_far_it_reaches() {
    let ((_, a), (_, b)) = (replica("a"), replica("b"));
    for nth in 0..100 {
        a.put(&format!("s/{nth}"), &"x".repeat(nth * 10)).unwrap();
        a.put("other", &nth).unwrap();
    }
    let (mut since, mut parts) = (0, 0);
    while since < a.seq() {
        let (entries, upto) = a.changed_since(since, 0, 2_000, |key| key.starts_with("s/"));
        assert!(!entries.is_empty() && upto > since);
        b.merge(entries, 1).unwrap();
        (since, parts) = (upto, parts + 1);
    }
    assert!(parts > 10, "{parts}");
    assert_eq!(says(&a), says(&b));
}

#[test]
fn what_a_newer_program_wrote_is_kept_to_the_byte_through_read_merge_and_rewrite() {
    let line = r#"{"k":"s/new","o":{"epoch":3,"version":8,"replica":"z"},"v":{"b":1.50,"a":18446744073709551615},"later":[1.0,{"z":1,"a":2}]}"#;
    let ((files, a), (_, b)) = (replica("a"), replica("b"));
    a.merge(vec![serde_json::from_str(line).unwrap()], 5).unwrap();
    for size in [300_000, 300_000, 1] {
        a.put("filler", &"x".repeat(size)).unwrap();
    }
    drop(a);
    let a = reopen(&files, "a");
    b.merge(told(&a, 0, 0).0, 1).unwrap();
    let (entries, _) = told(&b, 0, 0);
    assert_eq!(serde_json::to_string(&entries[0]).unwrap(), line);
}

#[test]
fn the_lower_format_is_written_until_all_read_the_higher() {
    let (files, a) = replica("a");
    let head = || files.0.lock().unwrap()[Path::new("alerts/journal")][8];
    let rewrite = |a: &Journal| {
        for size in [300_000, 300_000, 1] {
            a.put("filler", &"x".repeat(size)).unwrap();
        }
    };
    rewrite(&a);
    assert_eq!(head(), 1);
    a.set_format(FORMAT_HIGHEST);
    assert_eq!(head(), 1, "not before the file is written anew");
    rewrite(&a);
    assert_eq!(head(), 2);
    drop(a);
    let a = reopen(&files, "a");
    rewrite(&a);
    assert_eq!(head(), 2, "a file of the higher stays so");
    a.set_format(1);
    rewrite(&a);
    assert_eq!(head(), 1);
}

#[test]
fn a_journal_of_the_first_format_is_read() {
    let files = Arc::new(Memory::default());
    let bytes = include_bytes!("fixtures/format1.journal");
    files.replace(Path::new("alerts/journal"), bytes).unwrap();
    let a = reopen(&files, "a");
    assert_eq!(a.entries::<u32>(""), [("a/2".to_owned(), 8)]);
    assert_eq!(a.get::<String>("b").as_deref(), Some("x"));
}

#[tokio::test]
async fn waiting_for_the_disk_holds_nobody_up_and_a_memory_needs_no_thread() {
    let folder = tempfile::tempdir().unwrap();
    let (_, memory) = replica("a");
    for journal in [open(folder.path()), memory] {
        let mut rose = journal.watch();
        journal.write(vec![Change::put("a", &1)]).await.unwrap();
        assert!(rose.has_changed().unwrap());
        assert_eq!(*rose.borrow_and_update(), journal.seq());
        assert_eq!(journal.get::<u32>("a"), Some(1));
    }
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 200, failure_persistence: None, ..Default::default() })]
    #[test]
    fn replicas_that_have_heard_all_agree_in_whatever_order_they_heard_it(
        steps in proptest::collection::vec((0u8..6, 0u8..4, 0u8..5), 0..60)
    ) {
        let replicas = [replica("a"), replica("b")];
        let (mut at, mut epoch) = ([0, 0], 1);
        for (step, key, value) in steps {
            let who = usize::from(value % 2);
            let (from, to) = (&replicas[who].1, &replicas[1 - who].1);
            let key = format!("s/{key}");
            match step {
                0 | 1 => from.put(&key, &value).unwrap(),
                2 => from.change(vec![Change::remove(key)]).unwrap(),
                3 => {
                    epoch += 1;
                    from.set_author(["a", "b"][who].into(), epoch);
                }
                // Told in full, or from where the last telling ended.
                4 => drop(to.merge(told(from, 0, 0).0, 1).unwrap()),
                _ => {
                    let (entries, upto) = told(from, at[who], 0);
                    to.merge(entries, 1).unwrap();
                    at[who] = upto;
                }
            }
        }
        let [(_, a), (_, b)] = &replicas;
        a.merge(told(b, at[1], 0).0, 1).unwrap();
        b.merge(told(a, at[0], 0).0, 1).unwrap();
        proptest::prop_assert_eq!(says(a), says(b));
    }
}
