//! Random changes of inputs, for whoever has no fuzzer.

use fastrand::Rng;

/// No input grows beyond this: what is longer is only slower.
const BYTES_MAX: usize = 8 << 10;

/// Some changes of one of the inputs, with pieces of others and with words in it.
#[must_use]
pub fn changed(inputs: &[Vec<u8>], words: &[&str], random: &mut Rng) -> Vec<u8> {
    let any = |random: &mut Rng| random.choice(inputs).cloned().unwrap_or_default();
    let mut bytes = any(random);
    for _ in 0..=random.usize(..4) {
        match random.u8(..9) {
            0 if !bytes.is_empty() => {
                let at = random.usize(..bytes.len());
                bytes[at] ^= 1 << random.u8(..8);
            }
            1 if !bytes.is_empty() => {
                let at = random.usize(..bytes.len());
                let other = random.u8(..);
                bytes[at] = random.choice([0, 1, 0x7f, 0x80, 0xff, other]).unwrap_or_default();
            }
            2 => insert(&mut bytes, &[random.u8(..), random.u8(..)], random),
            3 if !bytes.is_empty() => {
                let (from, to) = piece(&bytes, random);
                bytes.drain(from..to);
            }
            4 => {
                let other = any(random);
                let (from, to) = piece(&other, random);
                insert(&mut bytes, &other[from..to], random);
            }
            5 if !bytes.is_empty() => {
                let (from, to) = piece(&bytes, random);
                let twice = bytes[from..to].to_vec();
                insert(&mut bytes, &twice, random);
            }
            6 if bytes.len() >= 8 => {
                let at = random.usize(..bytes.len() - 7);
                let number = random
                    .choice([0, 1, u64::MAX, 1 << 31, 1 << 63, i64::MAX as u64])
                    .unwrap_or_default();
                bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
            }
            7 if !bytes.is_empty() => bytes.truncate(random.usize(..bytes.len())),
            _ => {
                if let Some(word) = random.choice(words) {
                    insert(&mut bytes, word.as_bytes(), random);
                }
            }
        }
    }
    bytes.truncate(BYTES_MAX);
    bytes
}

fn piece(bytes: &[u8], random: &mut Rng) -> (usize, usize) {
    let from = random.usize(..=bytes.len());
    (from, random.usize(from..=bytes.len()).min(from + 64))
}

fn insert(bytes: &mut Vec<u8>, more: &[u8], random: &mut Rng) {
    let at = random.usize(..=bytes.len());
    bytes.splice(at..at, more.iter().copied());
}
