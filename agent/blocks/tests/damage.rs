//! Any bytes may be wrong: an error or another answer, never a panic and never more memory than the files.

use std::fs;

use blocks::{Block, Samples};
use model::{MatchOp, Matcher, TimeRange};
use proptest::prelude::*;

use crate::harness::{House, counters, equal, hours, labels, range, write};
use crate::histograms::{counted, value, with};

const FILES: [&str; 4] = ["index", "chunks/000001", "meta.json", "tombstones"];

fn ask(block: &Block) {
    let questions = [
        vec![],
        vec![
            equal("__name__", "requests_total"),
            Matcher::new("pod", MatchOp::Matches, ".*7"),
        ],
        vec![
            Matcher::new("pod", MatchOp::NotMatches, "pod-0000[1-5]"),
            equal("job", "db"),
        ],
    ];
    for matchers in questions {
        for range in [TimeRange::ALL, range(60_000, 900_000)] {
            // Whether it is an error depends on what was hit.
            drop(block.select(&matchers, range, 1_000_000));
            drop(block.mixed(&matchers, range, 1_000_000));
            drop(block.labels(&matchers, range));
        }
    }
    drop(block.verify());
}

#[derive(Clone, Debug)]
enum Harm {
    Flip(usize, u8),
    Cut(usize),
    Grow(Vec<u8>),
    Swap(usize, usize),
}

fn any_harm() -> impl Strategy<Value = Harm> {
    prop_oneof![
        4 => (any::<usize>(), 1..=255u8).prop_map(|(at, bits)| Harm::Flip(at, bits)),
        1 => any::<usize>().prop_map(Harm::Cut),
        1 => proptest::collection::vec(any::<u8>(), 1..100).prop_map(Harm::Grow),
        1 => (any::<usize>(), any::<usize>()).prop_map(|(a, b)| Harm::Swap(a, b)),
    ]
}

fn apply(bytes: &mut Vec<u8>, harm: &Harm) {
    let length = bytes.len().max(1);
    match harm {
        Harm::Flip(at, bits) => {
            if let Some(byte) = bytes.get_mut(at % length) {
                *byte ^= bits;
            }
        }
        Harm::Cut(at) => bytes.truncate(at % length),
        Harm::Grow(more) => bytes.extend_from_slice(more),
        Harm::Swap(a, b) if !bytes.is_empty() => bytes.swap(a % length, b % length),
        Harm::Swap(..) => {}
    }
}

/// Makes the checksums of the index right again, so that what is behind them is reached.
fn mend(bytes: &mut [u8]) {
    let Some(start) = bytes.len().checked_sub(52) else {
        return;
    };
    let (contents, crc) = bytes[start..].split_at_mut(48);
    crc.copy_from_slice(&crc32c::crc32c(contents).to_be_bytes());
    let place = |nth: usize| u64::from_be_bytes(bytes[start + nth * 8..][..8].try_into().unwrap()) as usize;
    for at in [place(0), place(5)] {
        let Some(length) = bytes.get(at..).and_then(|rest| rest.first_chunk()) else {
            continue;
        };
        let length = u32::from_be_bytes(*length) as usize;
        let Some(section) = bytes.get_mut(at + 4..).filter(|rest| rest.len() >= length + 4) else {
            continue;
        };
        let (section, rest) = section.split_at_mut(length);
        rest[..4].copy_from_slice(&crc32c::crc32c(section).to_be_bytes());
    }
}

/// The same for chunks as long as their lengths are right.
fn mend_chunks(bytes: &mut [u8]) {
    let mut at = 8;
    while let Some([low, high]) = bytes.get(at..).and_then(|rest| rest.first_chunk()) {
        let (length, start) = match (usize::from(*low), usize::from(*high)) {
            (low @ 0..0x80, _) => (low, at + 1),
            (low, high @ 0..0x80) => (low - 0x80 + (high << 7), at + 2),
            _ => return,
        };
        let Some(chunk) = bytes.get_mut(start..start + 1 + length + 4) else {
            return;
        };
        let (chunk, crc) = chunk.split_at_mut(1 + length);
        crc.copy_from_slice(&crc32c::crc32c(chunk).to_be_bytes());
        at = start + 1 + length + 4;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn nothing_panics(
        file in 0..FILES.len(),
        harms in proptest::collection::vec(any_harm(), 1..4),
        mended: bool,
    ) {
        thread_local! {
            static WHOLE: (House, std::path::PathBuf) = {
                let house = House::new();
                let mut all: Vec<Samples> = counters(70, hours(0, 2), 60_000).into_iter().map(Samples::from).collect();
                let counted = |nth: u32| (i64::from(nth) * 60_000, value(counted(nth)));
                all.push(with(labels(&[("__name__", "z")]), (0..100).map(counted)));
                let meta = house.open().write(hours(0, 2), all).expect("written").expect("a block");
                let path = house.path().join(meta.ulid.to_string());
                (house, path)
            };
        }
        WHOLE.with(|(_, folder)| {
            let path = folder.join(FILES[file]);
            let whole = fs::read(&path).expect("read");
            let mut bytes = whole.clone();
            harms.iter().for_each(|harm| apply(&mut bytes, harm));
            if mended && FILES[file] == "index" {
                mend(&mut bytes);
            } else if mended && file == 1 {
                mend_chunks(&mut bytes);
            }
            fs::write(&path, &bytes).expect("harmed");
            if let Ok(block) = Block::open(folder) {
                ask(&block);
            }
            fs::write(&path, &whole).expect("healed");
        });
    }
}

#[test]
fn an_error_says_which_file_and_what_is_wrong() {
    let house = House::new();
    let meta = write(&house.open(), 0..=2, counters(70, hours(0, 2), 60_000));
    let folder = house.path().join(meta.ulid.to_string());
    for (file, at, wrong) in [
        ("index", 0, "does not begin with its magic number"),
        ("index", 4, "version 254 is not known"),
        ("index", 20, "the section before"),
        ("chunks/000001", 1, "does not begin with its magic number"),
        ("tombstones", 8, "has a wrong checksum"),
        ("meta.json", 0, "expected"),
    ] {
        let path = folder.join(file);
        let whole = fs::read(&path).expect("read");
        let mut bytes = whole.clone();
        bytes[at] ^= 0xfc;
        fs::write(&path, &bytes).expect("harmed");
        let error = Block::open(&folder).err().expect("harmed").to_string();
        assert!(error.contains(file) && error.contains(wrong), "{error}");
        fs::write(&path, &whole).expect("healed");
    }
}
