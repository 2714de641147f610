//! Bytes looked at together: what is asked of each of them is answered as one bit, the first byte's lowest.

use wide::u8x16;

/// What one instruction looks at.
pub(crate) const LANES: usize = 16;
pub(crate) const BLOCK: usize = 64;

/// The bytes from `at` on, if there are so many.
#[inline]
pub(crate) fn part<const BYTES: usize>(bytes: &[u8], at: usize) -> Option<&[u8; BYTES]> {
    bytes.get(at..)?.first_chunk()
}

/// Some of the bytes.
#[inline]
pub(crate) fn lanes(bytes: &[u8], nth: usize) -> u8x16 {
    let (chunks, _) = bytes.as_chunks::<LANES>();
    u8x16::new(chunks.get(nth).copied().unwrap_or_default())
}

/// What is found of each byte of a block.
#[inline]
pub(crate) fn mask(block: &[u8; BLOCK], found: impl Fn(u8x16) -> u8x16) -> u64 {
    masks(|nth| found(lanes(block, nth)))
}

/// Which bytes of two blocks are the same.
#[inline]
pub(crate) fn same(one: &[u8; BLOCK], other: &[u8; BLOCK]) -> u64 {
    masks(|nth| lanes(one, nth).simd_eq(lanes(other, nth)))
}

#[inline]
fn masks(found: impl Fn(usize) -> u8x16) -> u64 {
    let of = |nth| u64::from(found(nth).to_bitmask()) << (LANES * nth);
    of(0) | of(1) | of(2) | of(3)
}

/// Bytes below `LIMIT`, which is more than zero.
#[inline]
pub(crate) fn below<const LIMIT: u8>(bytes: u8x16) -> u8x16 {
    const { assert!(LIMIT > 0) };
    bytes.min(u8x16::splat(LIMIT - 1)).simd_eq(bytes)
}
