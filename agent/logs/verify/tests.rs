//! What is said of a file, of which a sink has a part, and some of it twice.

use std::collections::HashMap;
use std::fs;

use model::outside::{ClientError, Request, Response};
use model::{BoxFuture, Timestamp};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::batch::Batch;
use crate::config::Retention;
use crate::segment::write::{Limits, Writer};
use crate::sink::Refusal;
use crate::sink::letters::{Letter, Letters, Place};

const POD: &str = "pods/shop_cart-1_uid-1/app";

/// A folder with the files of one container: twelve lines, eleven records, and one line that is not whole.
struct Here {
    folder: TempDir,
    config: Config,
}

fn line(nth: u32, stream: &str, tag: &str) -> String {
    format!("2026-11-27T10:00:{nth:02}.5Z {stream} {tag} line {nth}\n")
}

impl Here {
    fn new(sinks: &Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pod = folder.path().join(POD);
        fs::create_dir_all(&pod).unwrap();
        let text: String = (1..=12)
            .map(|nth| match nth {
                4 => line(nth, "stdout", "P"),
                5 => line(nth, "stderr", "F"),
                _ => line(nth, "stdout", "F"),
            })
            .collect();
        fs::write(pod.join("0.log"), text + "2026-11-27T10:00:13Z stdout F not who").unwrap();
        let mut config = json!({"containers": folder.path().join("pods"), "files": []});
        for (key, value) in sinks.as_object().unwrap() {
            config[key] = value.clone();
        }
        Self {
            config: serde_json::from_value(config).unwrap(),
            folder,
        }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join(POD).join("0.log")
    }

    /// Notes in a sink's folder that the file was read up to the line of this number, and returns its mark.
    fn read_up_to(&self, sink: &str, line: usize, rows: &[u64]) -> FileMark {
        let text = fs::read_to_string(self.file()).unwrap();
        let read: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
        let mark = FileMark {
            read: read as u64,
            done: [read as u64; 3],
            ..held::unknown(&self.file(), Form::Cri).unwrap()
        };
        let limits = Limits {
            segment_bytes: 1 << 20,
            retention: Retention::default(),
            compress: false,
        };
        let folder = self.folder.path().join("logs").join(sink);
        let (mut writer, _) = Writer::open(&folder, Arc::new(Mutex::new(limits)), Timestamp(0)).unwrap();
        let mut batch = Batch {
            marks: vec![mark.clone()],
            ..Batch::default()
        };
        for offset in rows {
            if !batch.rows.is_empty() {
                batch.text.push(b'\n');
            }
            batch.text.push(b'x');
            batch.rows.push(crate::batch::Row {
                offset: *offset,
                stream: 1,
                end: u32::try_from(batch.text.len()).unwrap(),
                ..Default::default()
            });
        }
        writer.append(&batch, Timestamp(0)).unwrap();
        writer.sync().unwrap();
        mark
    }

    /// Where each line begins.
    fn offsets(&self) -> Vec<u64> {
        let text = fs::read_to_string(self.file()).unwrap();
        let mut at = 0;
        text.split_inclusive('\n')
            .map(|line| {
                let start = at;
                at += line.len() as u64;
                start
            })
            .collect()
    }

    async fn compare(&self, sink: &str, client: Arc<dyn Client>) -> Verdict {
        let folder = self.folder.path().join("logs");
        let verify = Verify {
            config: &self.config,
            folder: &folder,
            host: "here",
            client,
        };
        let files = verify.files_of("shop", "cart-1", "").unwrap();
        assert_eq!(files, [self.file()]);
        let mut verdicts = verify.compare(sink, &files).await.unwrap();
        assert_eq!(verdicts.len(), 1);
        verdicts.remove(0)
    }
}

/// An OpenSearch with these ids, each so often.
#[derive(Default)]
struct Fake(Mutex<HashMap<String, usize>>);

impl Client for Fake {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, ClientError>> {
        let said = |body: Value| {
            Ok(Response {
                status: 200,
                headers: Vec::new(),
                body: body.to_string().into_bytes(),
            })
        };
        let answer = if request.url.ends_with("/_refresh") {
            said(json!({}))
        } else {
            assert_eq!(request.url, "http://search/logs-skopos-*/_search");
            let asked: Value = serde_json::from_slice(&request.body).unwrap();
            let known = self.0.lock();
            let hits: Vec<Value> = asked["query"]["bool"]["should"][0]["ids"]["values"]
                .as_array()
                .unwrap()
                .iter()
                .flat_map(|id| {
                    let count = known.get(id.as_str().unwrap()).copied().unwrap_or(0);
                    vec![json!({"_id": id, "_index": "i"}); count]
                })
                .collect();
            said(json!({"hits": {"hits": hits}, "timed_out": false, "_shards": {"failed": 0}}))
        };
        Box::pin(std::future::ready(answer))
    }
}

fn lines(found: &Found) -> Vec<(u64, u64)> {
    found
        .lines
        .iter()
        .map(|range| (range.first, range.last))
        .collect()
}

#[tokio::test]
async fn each_record_is_found_missing_doubled_refused_or_waiting() {
    let here = Here::new(&json!({"local": false, "opensearch": [{"url": "http://search"}]}));
    let fake = Arc::new(Fake::default());
    let nothing = here.compare("opensearch", fake.clone()).await;
    assert!(nothing.is_unknown && !nothing.is_complete());
    assert_eq!((nothing.lines, nothing.records), (12, 11));
    assert_eq!((nothing.waiting.records, nothing.missing.records), (11, 0));

    let mark = here.read_up_to("opensearch", 10, &[]);
    let subject = Subject {
        path: here.file(),
        mark,
        is_unknown: false,
        is_asked: true,
    };
    let group = [subject];
    let records = Records::open(&group, &Config::default())
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    let all: Vec<&Record> = records.iter().collect();
    let ids = Ids::new(&group, "here").of(&all);
    assert_eq!(ids.len(), 11);
    let id = |line: u64| {
        let nth = records.iter().position(|record| record.line == line);
        ids[nth.unwrap()].clone()
    };
    // Line 6 is the rest of the record that begins in line 4.
    for line in [1, 4, 5, 9, 10] {
        fake.0.lock().insert(id(line), if line == 9 { 2 } else { 1 });
    }
    let letter = Letter::new(
        Place::Index { index: "i".into() },
        id(7),
        &Refusal::default(),
        b"{}".to_vec(),
    );
    Letters::new(&here.folder.path().join("logs/opensearch"))
        .add(&[letter])
        .unwrap();
    let verdict = here.compare("opensearch", fake.clone()).await;
    assert_eq!(
        (verdict.records, verdict.found, verdict.is_complete()),
        (11, 5, false)
    );
    assert_eq!(lines(&verdict.missing), [(2, 3), (8, 8)]);
    assert_eq!(verdict.missing.first_offset, Some(here.offsets()[1]));
    assert_eq!(
        (lines(&verdict.doubled), lines(&verdict.refused)),
        (vec![(9, 9)], vec![(7, 7)])
    );
    assert_eq!(
        (lines(&verdict.waiting), verdict.is_unknown),
        (vec![(11, 12)], false)
    );

    for id in &ids {
        fake.0.lock().insert(id.clone(), 1);
    }
    let verdict = here.compare("opensearch", fake).await;
    assert!(verdict.is_complete() && verdict.found == 11, "{verdict:?}");
}

#[tokio::test]
async fn local_segments_are_compared_by_file_and_offset() {
    let here = Here::new(&json!({}));
    let offsets = here.offsets();
    // All but the third line, and the second one twice.
    let mut rows: Vec<u64> = [0, 1, 1, 3, 4, 6, 7, 8, 9, 10, 11]
        .iter()
        .map(|nth| offsets[*nth])
        .collect();
    here.read_up_to("", 12, &rows);
    let verdict = here.compare(SEGMENTS, Arc::new(Fake::default())).await;
    assert_eq!((verdict.records, verdict.found), (11, 10));
    assert_eq!(
        (lines(&verdict.missing), lines(&verdict.doubled)),
        (vec![(3, 3)], vec![(2, 2)])
    );

    let again = Here::new(&json!({}));
    rows.remove(1);
    rows.insert(2, offsets[2]);
    again.read_up_to("", 12, &rows);
    let verdict = again.compare(SEGMENTS, Arc::new(Fake::default())).await;
    assert!(verdict.is_complete(), "{verdict:?}");
}

#[tokio::test]
async fn a_sink_that_is_not_there_is_named_with_those_that_are() {
    let here = Here::new(&json!({"opensearch": [{"url": "http://search", "name": "big"}]}));
    let folder = here.folder.path().join("logs");
    let verify = Verify {
        config: &here.config,
        folder: &folder,
        host: "here",
        client: Arc::new(Fake::default()),
    };
    let wrong = verify.compare("small", &[here.file()]).await.unwrap_err();
    assert_eq!(
        wrong,
        "there is no sink \"small\" that can be compared with; there are segments, big"
    );
    let gone = verify
        .compare("big", &[PathBuf::from("/nowhere/at/all.log")])
        .await
        .unwrap_err();
    assert!(gone.starts_with("/nowhere/at/all.log: "), "{gone}");
}
