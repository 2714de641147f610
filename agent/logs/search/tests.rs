//! What is found, what is counted, and what is left out, over segments that are being written.

use std::fs::OpenOptions;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use model::view::{LogPage, LogQuery, PodQuery};
use model::{Level, LogRecord, Timestamp};
use parking_lot::Mutex;
use tempfile::TempDir;

use super::{around, search_up_to};
use crate::Follower;
use crate::batch::{Row, level_code};
use crate::config::Retention;
use crate::draft::Draft;
use crate::mark::{FileId, FileMark, Form, Inode, Print};
use crate::segment::list;
use crate::segment::write::{Limits, Writer};

pub(crate) struct Kept {
    pub(crate) folder: TempDir,
    writer: Writer,
    /// Of the line before: none is where another is.
    offset: u64,
}

fn mark(source: &str) -> FileMark {
    FileMark {
        id: FileId(1),
        form: Form::Plain,
        source: source.into(),
        base: "/a".into(),
        path: "/a".into(),
        inode: Inode {
            dev: 1,
            ino: 1,
            born: 0,
        },
        generation: 0,
        head: Print::default(),
        read: 0,
        check: Print::default(),
        done: [0; 3],
        copy: false,
        packed: false,
        gone: false,
        facts: None,
        days: crate::days::Days::default(),
    }
}

impl Kept {
    pub(crate) fn new(compress: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let limits = Limits {
            segment_bytes: 64 << 10,
            retention: Retention::default(),
            compress,
        };
        let (writer, _) = Writer::open(folder.path(), Arc::new(Mutex::new(limits)), Timestamp(0)).unwrap();
        Self {
            folder,
            writer,
            offset: 0,
        }
    }

    /// One frame of lines, each with its second and level.
    pub(crate) fn frame(&mut self, source: &str, lines: &[(i64, Level, &str)]) {
        let mut draft = Draft::default();
        draft.touch(0, std::time::Instant::now());
        for (second, level, text) in lines {
            self.offset += 1;
            let row = Row {
                offset: self.offset,
                time: Timestamp(second * 1000),
                level: level_code(*level),
                stream: 2,
                ..Row::default()
            };
            draft.push(row, text.as_bytes(), text.len() as u64);
        }
        let (mut batch, _) = draft.finish(None);
        batch.marks.push(mark(source));
        self.writer.append(&batch, Timestamp(0)).unwrap();
    }

    fn search(&self, change: impl FnOnce(&mut LogQuery)) -> LogPage {
        let mut query = everything();
        change(&mut query);
        search_up_to(self.folder.path(), &query, None, u64::MAX).unwrap()
    }

    fn texts(&self, change: impl FnOnce(&mut LogQuery)) -> Vec<String> {
        self.search(change)
            .lines
            .into_iter()
            .map(|line| line.text)
            .collect()
    }
}

fn everything() -> LogQuery {
    LogQuery {
        from: Timestamp::MIN,
        to: Timestamp::MAX,
        lines_max: 1000,
        ..LogQuery::default()
    }
}

fn sample(compress: bool) -> Kept {
    let mut kept = Kept::new(compress);
    kept.frame(
        "shop/cart/main",
        &[
            (100, Level::Info, "GET /Orders 200"),
            (101, Level::Error, "order failed: Ünicode timeout"),
            (99, Level::Warn, ""),
        ],
    );
    kept.frame(
        "syslog",
        &[(102, Level::Info, "orders order ORDER"), (103, Level::Debug, "x")],
    );
    kept
}

#[test]
fn patterns_match_anywhere_and_a_bad_one_is_said() {
    for compress in [false, true] {
        let kept = sample(compress);
        let find = |pattern: &str, text: &str| {
            kept.texts(|query| {
                query.pattern = pattern.to_owned();
                query.text = text.to_owned();
            })
        };
        assert_eq!(find("^GET .* 2..$", ""), ["GET /Orders 200"]);
        assert_eq!(find("(?i)ünicode", ""), ["order failed: Ünicode timeout"]);
        assert_eq!(find("^orders", "order"), ["orders order ORDER"]);
        let query = LogQuery {
            pattern: "a(".to_owned(),
            ..everything()
        };
        let error = search_up_to(kept.folder.path(), &query, None, u64::MAX).unwrap_err();
        assert!(error.to_string().contains("unclosed group"), "{error}");
    }
}

#[test]
fn pods_are_found_by_namespace_beginning_and_container() {
    let mut kept = sample(false);
    kept.frame("shop/cart-7d9f/main", &[(110, Level::Info, "whole name")]);
    kept.frame("bank/cart-1/main", &[(111, Level::Info, "other namespace")]);
    let find = |namespace: &str, pod: &str, container: &str| {
        let page = kept.search(|query| {
            query.pods = PodQuery {
                namespace: namespace.to_owned(),
                pod: pod.to_owned(),
                container: container.to_owned(),
            };
        });
        (page.matched, page.lines.last().map(|line| line.text.clone()))
    };
    assert_eq!(find("shop", "", ""), (4, Some("whole name".to_owned())));
    assert_eq!(find("", "cart-", ""), (2, Some("other namespace".to_owned())));
    assert_eq!(
        find("shop", "cart-7d9f", "main"),
        (1, Some("whole name".to_owned()))
    );
    assert_eq!(find("sho", "", ""), (0, None));
    assert_eq!(find("shop", "", "mai"), (0, None));
}

#[test]
fn lines_around_one_are_of_its_source_and_the_nearest() {
    let mut kept = Kept::new(false);
    let all: Vec<String> = (0..200).map(|nth| format!("line {nth}")).collect();
    for (nth, text) in all.iter().enumerate() {
        // Several in a second, and now and then a long pause.
        let second = nth as i64 / 3 + 900 * (nth as i64 / 50);
        kept.frame("shop/cart/main", &[(second, Level::Info, text)]);
        kept.frame("shop/other/main", &[(second, Level::Info, "between")]);
    }
    for wanted in [0, 1, 49, 50, 120, 199usize] {
        let page = kept.search(|query| query.pattern = format!("^line {wanted}$"));
        let [line] = page.lines.as_slice() else {
            panic!("{wanted}")
        };
        let [before, behind] = around(kept.folder.path(), line, 4, 2).unwrap();
        let texts = |lines: &[LogRecord]| lines.iter().map(|line| line.text.clone()).collect::<Vec<_>>();
        assert_eq!(texts(&before), all[wanted.saturating_sub(4)..wanted]);
        assert_eq!(texts(&behind), all[wanted + 1..(wanted + 3).min(200)]);
    }
}

#[test]
fn every_word_must_occur_and_case_does_not_matter() {
    for compress in [false, true] {
        let kept = sample(compress);
        let find = |text: &str| kept.texts(|query| query.text = text.to_owned());
        assert_eq!(find("ORDER failed"), ["order failed: Ünicode timeout"]);
        assert_eq!(find("failed order"), ["order failed: Ünicode timeout"]);
        assert_eq!(
            find("order"),
            [
                "GET /Orders 200",
                "order failed: Ünicode timeout",
                "orders order ORDER"
            ]
        );
        assert_eq!(find("order 200"), ["GET /Orders 200"]);
        assert_eq!(find("Ünicode"), ["order failed: Ünicode timeout"]);
        assert_eq!(find("200order"), [""; 0]);
        assert_eq!(find("  ").len(), 5);
    }
}

#[test]
fn level_source_and_time_narrow_it_down() {
    let kept = sample(false);
    assert_eq!(
        kept.texts(|query| query.level = Some(Level::Warn)),
        ["", "order failed: Ünicode timeout"]
    );
    assert_eq!(kept.texts(|query| query.source = "cart".to_owned()).len(), 3);
    assert_eq!(
        kept.texts(|query| query.source = "sys".to_owned()),
        ["orders order ORDER", "x"]
    );
    let between = kept.texts(|query| (query.from, query.to) = (Timestamp(100_000), Timestamp(101_000)));
    assert_eq!(between, ["GET /Orders 200", "order failed: Ünicode timeout"]);
    let line = &kept.search(|query| query.text = "failed".to_owned()).lines[0];
    assert_eq!(
        (&*line.source, &*line.stream, line.level),
        ("shop/cart/main", "stderr", Level::Error)
    );
    assert_eq!(line.time, Timestamp(101_000));
}

#[test]
fn the_newest_lines_are_given_and_all_are_counted() {
    let mut kept = Kept::new(false);
    let text = "x".repeat(500);
    for second in 0..600 {
        let level = if second % 10 == 0 {
            Level::Error
        } else {
            Level::Info
        };
        kept.frame("a", &[(second, level, &format!("{second} {text}"))]);
    }
    assert!(list(kept.folder.path()).unwrap().len() > 3);
    let page = kept.search(|query| {
        query.lines_max = 3;
        (query.from, query.to) = (Timestamp(0), Timestamp(599_999));
    });
    let seconds: Vec<i64> = page.lines.iter().map(|line| line.time.0 / 1000).collect();
    assert_eq!(
        (seconds.as_slice(), page.matched, page.cut),
        (&[597, 598, 599][..], 600, true)
    );
    assert_eq!(page.histogram.len(), 60);
    assert!(
        page.histogram
            .iter()
            .all(|bucket| (bucket.lines, bucket.grave, bucket.errors) == (10, 1, 1))
    );
    assert_eq!(page.histogram[59].start, Timestamp(590_000));

    let query = LogQuery {
        text: "x".to_owned(),
        ..everything()
    };
    let page = search_up_to(kept.folder.path(), &query, None, 60_000).unwrap();
    assert!(page.cut && (50..200).contains(&page.matched), "{}", page.matched);
    assert_eq!(page.lines.last().unwrap().time, Timestamp(599_000));
    // It says from when on it has looked at everything.
    let oldest = page.lines.first().unwrap().time;
    assert_eq!(page.looked_from, Some(oldest - Duration::from_secs(1)));
}

#[test]
fn nothing_kept_is_an_empty_answer_and_a_torn_end_the_end() {
    let page = search_up_to("/nowhere/at/all".as_ref(), &everything(), None, u64::MAX).unwrap();
    assert_eq!((page.lines.len(), page.matched, page.histogram.len()), (0, 0, 0));
    let kept = sample(false);
    let newest = list(kept.folder.path()).unwrap().pop().unwrap();
    let mut file = OpenOptions::new().append(true).open(newest.path).unwrap();
    file.write_all(b"frm1 and then the power went").unwrap();
    assert_eq!(kept.search(|_| {}).matched, 5);
}

#[test]
fn a_follower_gives_the_last_lines_and_then_each_new_one_once() {
    let mut kept = sample(false);
    let query = LogQuery {
        text: "order".to_owned(),
        lines_max: 2,
        ..everything()
    };
    let mut follower = Follower::open(kept.folder.path(), query).unwrap();
    kept.frame("a", &[(104, Level::Info, "order 4"), (105, Level::Info, "other")]);
    let mut poll = || -> Vec<String> {
        let lines = follower.poll().unwrap();
        lines.into_iter().map(|line| line.text).collect()
    };
    assert_eq!(poll(), ["order failed: Ünicode timeout", "orders order ORDER"]);
    assert_eq!(poll(), ["order 4"]);
    assert_eq!(poll(), [""; 0]);
    let text = "order ".repeat(200);
    let mut seen = 0;
    for second in 0..300 {
        kept.frame("a", &[(second, Level::Info, &text)]);
        if second % 70 == 0 {
            seen += poll().len();
        }
    }
    kept.writer.retain(Timestamp(0) + Duration::from_secs(1)).unwrap();
    seen += poll().len();
    assert_eq!(seen, 300);
    assert!(list(kept.folder.path()).unwrap().len() > 2);
}

#[test]
fn a_line_is_found_again_by_its_time_and_identity() {
    let kept = sample(false);
    let all = kept.search(|_| {}).lines;
    for line in &all {
        let found = super::line(kept.folder.path(), line.time, line.identity()).unwrap();
        assert_eq!(found.as_ref(), Some(line));
    }
    let first = all.first().unwrap();
    let missing = super::line(kept.folder.path(), first.time, first.identity() ^ 1).unwrap();
    assert_eq!(missing, None);
}
