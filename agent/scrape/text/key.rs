//! Series told by what their lines say, without the lines being kept.

use std::hash::{BuildHasher, RandomState};

use xxhash_rust::xxh3::xxh3_128_with_secret;

const SECRET_BYTES: usize = 192;

/// Makes keys. Targets are not trusted: without the secret nobody can forge two texts of one key.
pub struct Keys {
    secret: Box<[u8; SECRET_BYTES]>,
}

/// Of one text, for as long as its [`Keys`] are there: 128 bits of hash and a length stand for the text itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    // In words of four bytes, so that whoever holds a key is no longer than it has to be.
    hash: [u32; 4],
    bytes: u32,
}

impl Keys {
    #[must_use]
    pub fn new() -> Self {
        let random = RandomState::new();
        let mut secret = Box::new([0; SECRET_BYTES]);
        for (word, nth) in secret.chunks_exact_mut(8).zip(0..) {
            word.copy_from_slice(&random.hash_one::<u64>(nth).to_le_bytes());
        }
        Self { secret }
    }

    #[must_use]
    pub fn of(&self, text: &str) -> Key {
        let hash = xxh3_128_with_secret(text.as_bytes(), &*self.secret);
        let word = |nth: u32| (hash >> (32 * nth)) as u32;
        Key {
            hash: [word(0), word(1), word(2), word(3)],
            // No body is so long.
            bytes: u32::try_from(text.len()).unwrap_or(u32::MAX),
        }
    }
}

impl Default for Keys {
    fn default() -> Self {
        Self::new()
    }
}

impl Key {
    /// How long its text is.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes as usize
    }

    /// For tables.
    #[must_use]
    pub fn short(&self) -> u64 {
        let [low, high, ..] = self.hash;
        u64::from(high) << 32 | u64::from(low)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_its_texts_own_and_its_secrets() {
        let (one, other) = (Keys::new(), Keys::new());
        let text = |nth: usize| "abcdefghij".repeat(nth);
        for nth in 0..60 {
            let key = one.of(&text(nth));
            assert_eq!(key, one.of(&text(nth)));
            assert_eq!(key.bytes(), 10 * nth);
            assert_ne!(key, one.of(&text(nth + 1)));
            assert_ne!(key.hash, other.of(&text(nth)).hash);
        }
    }
}
