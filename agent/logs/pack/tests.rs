//! Unpacked it is what was given, whatever that is.

use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;
use flate2::read::GzDecoder;
use proptest::prelude::*;

use super::{Book, Packer, WINDOW_BYTES};

fn unpacked(packed: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    let mut decoder = GzDecoder::new(packed);
    decoder.read_to_end(&mut plain).unwrap();
    assert!(decoder.into_inner().is_empty(), "bytes behind the end");
    plain
}

struct Record {
    file: u16,
    parts: [Vec<u8>; 3],
    end: Arc<str>,
}

impl Record {
    fn new(file: u16, parts: [Vec<u8>; 3]) -> Self {
        Self {
            file,
            parts,
            end: "".into(),
        }
    }
}

fn pack(book: &Book, records: &[Record]) -> (Vec<u8>, Bytes) {
    let mut packer = Packer::new(book);
    let mut all = Vec::new();
    for record in records {
        let [front, text, tail] = &record.parts;
        let plain = packer.plain();
        plain.extend_from_slice(front);
        let start = plain.len();
        plain.extend_from_slice(text);
        let end = plain.len();
        plain.extend_from_slice(tail);
        all.extend(record.parts.concat());
        all.extend_from_slice(record.end.as_bytes());
        packer.record(record.file, start..end, &record.end);
    }
    (all, packer.finish())
}

/// Records as they are: fixed parts that differ in a digit, text of words.
fn records(count: usize, files: u16) -> Vec<Record> {
    let mut random = fastrand::Rng::with_seed(7);
    let end = |file: u16| format!("}},\"pod\":\"pod-of-{file}-{}\"}}\n", "x".repeat(300)).into();
    let ends: Vec<Arc<str>> = (0..files).map(end).collect();
    (0..count)
        .map(|nth| {
            let file = random.u16(..files);
            let front = format!(
                "{{\"create\":{{\"_index\":\"logs-{file}\",\"_id\":\"{nth:08}\"}}}}\n{{\"message\":\""
            );
            let words = (0..random.usize(..20)).map(|_| format!("word-{} ", random.u8(..50)));
            let text: String = words.collect();
            let behind = format!("\",\"log\":{{\"offset\":{}", nth * 216);
            Record {
                file,
                parts: [front, text, behind].map(String::into_bytes),
                end: Arc::clone(&ends[usize::from(file)]),
            }
        })
        .collect()
}

#[test]
fn what_is_packed_comes_out_again_and_is_small() {
    for files in [1, 3, 100] {
        let book = Book::default();
        for round in 0..3 {
            let (plain, packed) = pack(&book, &records(5_000, files));
            assert!(unpacked(&packed) == plain, "{files} files, round {round}");
            let share = packed.len() as f64 / plain.len() as f64;
            assert!(
                share < if files < 100 { 0.15 } else { 0.3 },
                "{files} files: {share}"
            );
        }
    }
}

#[test]
fn nothing_and_little_and_what_cannot_be_packed_comes_out_again() {
    let book = Book::default();
    let noise: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..))
        .take(3 << 20)
        .collect();
    let zeros = vec![0; 1 << 20];
    for text in [Vec::new(), b"x".to_vec(), noise, zeros] {
        for parts in [
            [Vec::new(), text.clone(), Vec::new()],
            [text.clone(), Vec::new(), text.clone()],
        ] {
            let (plain, packed) = pack(
                &book,
                &[Record::new(0, parts.clone()), Record::new(65_535, parts)],
            );
            assert!(unpacked(&packed) == plain);
        }
    }
    assert!(unpacked(&Packer::new(&book).finish()).is_empty());
}

#[test]
fn codes_that_no_longer_fit_are_made_anew() {
    let book = Book::default();
    let text = |byte: u8| {
        (0..200_000u32)
            .map(|nth| byte + (nth.wrapping_mul(0x9e37_79b1) >> 28) as u8)
            .collect::<Vec<u8>>()
    };
    let body = |byte| {
        let record = Record::new(0, [Vec::new(), text(byte), Vec::new()]);
        pack(&book, &[record]).1.len()
    };
    let fits = body(b'a');
    assert!(body(b'P') > fits + fits / 10, "other text does not fit");
    let again = body(b'P');
    assert!(
        again < fits + fits / 10,
        "{again} bytes with codes made anew, {fits} the first time"
    );
}

/// Bytes of a few kinds, so that something repeats.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        Just(b" ".to_vec()),
        Just(b"\"same\":".to_vec()),
        Just(vec![b'a'; 600]),
        prop::collection::vec(any::<u8>(), 0..40),
        "[a-c]{0,12}".prop_map(String::into_bytes),
    ];
    prop::collection::vec(word, 0..30).prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn any_records_come_out_again(
        records in prop::collection::vec((0u16..4, bytes(), bytes(), bytes(), 0..6usize), 0..60),
        ends in prop::collection::vec(".{0,300}", 6),
        gap in 0..2 * WINDOW_BYTES,
    ) {
        let book = Book::default();
        let ends: Vec<Arc<str>> = ends.into_iter().map(Arc::from).collect();
        let mut records: Vec<Record> = records
            .into_iter()
            .map(|(file, front, text, behind, end)| Record {
                file,
                parts: [front, text, behind],
                end: Arc::clone(&ends[end]),
            })
            .collect();
        // Far enough apart that what is expected lies outside of the window, or just inside.
        let between: Vec<u8> = (0..gap).map(|nth| (nth * nth / 7) as u8).collect();
        records.insert(records.len() / 2, Record::new(9, [Vec::new(), between, Vec::new()]));
        for _ in 0..3 {
            let (plain, packed) = pack(&book, &records);
            prop_assert!(unpacked(&packed) == plain);
        }
    }
}

/// Few on every run, as many as one likes by `SKOPOS_TEST_LONG`.
fn cases() -> u32 {
    if std::env::var_os("SKOPOS_TEST_LONG").is_some() {
        20_000
    } else {
        100
    }
}
