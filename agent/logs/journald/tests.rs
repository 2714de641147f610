//! The input with a program that prints what the test says, through deaths, gaps and a full spool.

use std::fs;
use std::path::Path;
use std::time::Duration;

use telemetry::clock::RuntimeClock;
use tokio::task::JoinHandle;

use super::*;
use crate::bell::Bell;
use crate::spool;
use crate::spool::line::Line;

struct Running {
    handle: Handle,
    stop: CancellationToken,
    task: JoinHandle<()>,
    spool: Spool,
}

fn entry_text(number: u64, more: &str) -> String {
    format!(
        "__CURSOR=s=a;i={number:x};b=b\n__REALTIME_TIMESTAMP={}\n{more}MESSAGE=nr {number}\n\n",
        1_700_000_000_000_000 + number
    )
}

fn start(folder: &Path, script: &str, json: &str, bytes_max: u64, change: fn(&mut Journal)) -> Running {
    let registry = Registry::new();
    let spool = Spool::open(&folder.join("spool"), bytes_max, spool::Metrics::new(&registry)).unwrap();
    let mut config: Config = serde_json::from_str(json).unwrap();
    config.command = ["sh", "-c", script].map(str::to_owned).to_vec();
    let client: Arc<dyn Client> = net::HttpClient::new().unwrap();
    let clock: Arc<dyn Clock> = RuntimeClock::system();
    let ground = Ground {
        client: &client,
        clock: &clock,
        spool: &spool,
        line_bytes_max: 1 << 20,
        read_from: ReadFrom::Recent,
    };
    let mut journal = Journal::new(&config, &ground, &registry).unwrap();
    journal.backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(2));
    change(&mut journal);
    let (handle, stop) = (journal.handle(), CancellationToken::new());
    let task = tokio::spawn(journal.run(stop.clone()));
    Running {
        handle,
        stop,
        task,
        spool,
    }
}

impl Running {
    async fn until(&self, is_so: impl Fn(&LogJournal) -> bool) -> LogJournal {
        for _ in 0..2_000 {
            let state = self.handle.state();
            assert!(self.handle.ledger().balances());
            if is_so(&state) {
                return state;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{:?}", self.handle.state())
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
        let ledger = self.handle.ledger();
        assert!(ledger.balances() && ledger.in_flight == 0, "{ledger:?}");
    }
}

/// Texts in the spool, in the order of its files.
fn texts(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder.join("spool")).unwrap().flatten();
    let mut files: Vec<_> = entries.map(|entry| entry.path()).collect();
    files.retain(|path| spool::number_of(path).is_some());
    files.sort();
    let text: String = files
        .iter()
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let lines = text.lines().filter_map(|line| Line::read(line.as_bytes()));
    lines.map(|line| line.text.into_owned()).collect()
}

#[tokio::test]
async fn entries_are_in_the_spool_and_after_a_death_reading_goes_on_behind_the_last_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("entries");
    let write = |numbers: std::ops::Range<u64>| {
        let text: String = numbers.map(|number| entry_text(number, "PRIORITY=4\n")).collect();
        fs::write(&file, text).unwrap();
    };
    write(1..6);
    // What it is told is kept, and it goes on without end.
    let script = format!(
        "echo \"$@\" >> {0}/told; cat {0}/entries; sleep 1000",
        folder.path().display()
    );
    let running = start(folder.path(), &script, "{}", 1 << 20, |_| {});
    running.until(|state| state.entries == 5).await;
    running.stop().await;
    // As after `kill -9`: nothing but the disk is known. The cursor's own entry comes again.
    write(5..9);
    let running = start(folder.path(), &script, "{}", 1 << 20, |_| {});
    let state = running.until(|state| state.entries == 3).await;
    assert_eq!(state.missing, 0);
    running.stop().await;
    // Entries 9 to 19 are gone.
    write(20..22);
    let running = start(folder.path(), &script, "{}", 1 << 20, |_| {});
    let state = running.until(|state| state.entries == 2).await;
    assert_eq!(state.missing, 11);
    running.stop().await;
    let numbers = (1..9).chain(20..22).map(|number| format!("nr {number}"));
    assert_eq!(texts(folder.path()), numbers.collect::<Vec<_>>());
    let told = fs::read_to_string(folder.path().join("told")).unwrap();
    let told: Vec<&str> = told.lines().collect();
    assert!(told[0].ends_with("--follow --lines=1000"), "{told:?}");
    assert!(told[1].ends_with("--no-tail --cursor=s=a;i=5;b=b"), "{told:?}");
}

#[tokio::test]
async fn what_is_not_asked_for_and_our_own_log_is_left_out_and_its_place_is_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let text = [
        entry_text(1, "_SYSTEMD_UNIT=kubelet.service\n"),
        entry_text(2, "_SYSTEMD_UNIT=cron.service\n"),
        entry_text(3, "_SYSTEMD_UNIT=kubelet.service\n_SYSTEMD_INVOCATION_ID=me\n"),
        "nothing of the format\n\n".to_owned(),
        "__CURSOR=s=a;i=4\n__REALTIME_TIMESTAMP=1\n_SYSTEMD_UNIT=kubelet.service\n\n".to_owned(),
    ];
    fs::write(folder.path().join("entries"), text.concat()).unwrap();
    let script = format!("cat {}/entries; sleep 1000", folder.path().display());
    let running = start(
        folder.path(),
        &script,
        r#"{"units": ["kube*"]}"#,
        1 << 20,
        |journal| {
            journal.own_invocation = "me".to_owned();
            // So that the place behind what was left out is written at once.
            journal.saved = Instant::now() - SAVE;
        },
    );
    let state = running
        .until(|state| state.skipped.len() == 4 && state.entries == 1)
        .await;
    let skipped = ["filtered", "malformed", "no_message", "own"].map(|reason| (reason.to_owned(), 1));
    assert_eq!((state.skipped, state.missing), (skipped.to_vec(), 0));
    let spool = running.spool.clone();
    running.stop().await;
    assert_eq!(texts(folder.path()), ["nr 1"]);
    assert!(spool.place(NAME).is_some());
}

#[tokio::test]
async fn a_program_that_ends_is_started_again_and_why_is_told() {
    let folder = tempfile::tempdir().unwrap();
    // In the middle of an entry, the first time.
    let script = format!(
        "cd {}; if [ -e again ]; then printf '{}'; sleep 1000; else touch again; printf '{}'; echo broken >&2; exit 7; fi",
        folder.path().display(),
        entry_text(1, "").replace('\n', "\\n") + &entry_text(2, "").replace('\n', "\\n"),
        entry_text(1, "").replace('\n', "\\n") + "__CURSOR=s=a;i=2\\nMESSAGE=nr",
    );
    let running = start(folder.path(), &script, "{}", 1 << 20, |journal| {
        journal.backoff = Backoff::new(Duration::from_millis(300), Duration::from_millis(300));
    });
    let state = running.until(|state| state.trouble.is_some()).await;
    let told = state.trouble.unwrap();
    assert!(
        told.contains("exit status: 7") && told.contains("broken"),
        "{told}"
    );
    running
        .until(|state| state.entries == 2 && state.trouble.is_none())
        .await;
    running.stop().await;
    assert_eq!(texts(folder.path()), ["nr 1", "nr 2"]);
}

#[tokio::test]
async fn a_full_spool_stops_the_reading_and_nothing_is_lost_or_doubled() {
    let folder = tempfile::tempdir().unwrap();
    // Never ending, each entry of about 1,000 bytes.
    let script = r#"i=1; t=$(printf '%0900d' 0); while true; do printf '__CURSOR=s=a;i=%x\n__REALTIME_TIMESTAMP=1700000000000000\nMESSAGE=%d %s\n\n' $i $i $t; i=$((i+1)); done"#;
    let running = start(folder.path(), script, "{}", 2 << 20, |_| {});
    let state = running
        .until(|state| state.trouble.as_ref().is_some_and(|why| why.contains("full")))
        .await;
    let kept = state.entries;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(running.handle.state().entries, kept, "nothing is taken");
    // A sink has everything, and says so.
    let (mut news, cursor) = running.spool.books().lane(Bell::default());
    for _ in 0..3 {
        let files = news.take().unwrap_or_default();
        let marks = files.iter().map(|file| {
            let mut mark = crate::segment::tests::mark(file.number, file.bytes, false);
            mark.path = spool::path(&folder.path().join("spool"), file.number)
                .to_string_lossy()
                .into();
            mark
        });
        let first = texts(folder.path());
        let numbers: Vec<u64> = first
            .iter()
            .map(|text| text.split(' ').next().unwrap().parse().unwrap())
            .collect();
        assert!(
            numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]),
            "{numbers:?}"
        );
        cursor.passed(marks.collect::<Vec<_>>().iter());
        tokio::time::sleep(Duration::from_millis(600)).await;
    }
    let after = running.handle.state().entries;
    assert!(after > kept, "it goes on");
    running.stop.cancel();
    running.task.await.unwrap();
    assert!(running.handle.ledger().balances());
}

#[tokio::test]
async fn a_journal_that_cannot_be_read_is_said_and_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(folder.path(), "", "{}", 1 << 20, |journal| {
        journal.config.command = vec!["no-such-journalctl".to_owned()];
    });
    let state = running.until(|state| state.trouble.is_some()).await;
    assert!(state.trouble.unwrap().contains("no no-such-journalctl here"));
    running.stop().await;
    let client: Arc<dyn Client> = net::HttpClient::new().unwrap();
    let config = Config {
        command: ["sh", "-c", "echo no rights >&2; exit 1"]
            .map(str::to_owned)
            .to_vec(),
        ..Config::default()
    };
    let told = ask(&config, &client).await.unwrap_err();
    assert!(told.ends_with("no rights"), "{told}");
    let config = Config {
        command: [
            "sh",
            "-c",
            &format!("printf '{}'", entry_text(7, "").replace('\n', "\\n")),
        ]
        .map(str::to_owned)
        .to_vec(),
        ..Config::default()
    };
    let told = ask(&config, &client).await.unwrap();
    assert!(
        told.ends_with("newest entry is of 2023-11-14T22:13:20Z"),
        "{told}"
    );
}
