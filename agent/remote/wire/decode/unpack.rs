//! Snappy blocks, unpacked only after their declared length has been found plausible.

/// No snappy block unpacks to more: its densest element makes 64 bytes out of 3.
const RATIO_MAX: usize = 22;

#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    #[error("the body would unpack to {declared} bytes, more than {limit}")]
    TooLong { declared: usize, limit: usize },
    #[error("the body of {packed} bytes claims to unpack to {declared}, which snappy cannot")]
    Bomb { packed: usize, declared: usize },
    #[error("the body is not a snappy block: {0}")]
    Broken(#[from] snap::Error),
}

/// The length that a block declares, if it is one that it may have.
///
/// # Errors
/// See [`UnpackError`].
pub fn unpacked_bytes(packed: &[u8], bytes_max: usize) -> Result<usize, UnpackError> {
    if packed.is_empty() {
        return Err(snap::Error::Empty.into());
    }
    let declared = snap::raw::decompress_len(packed)?;
    if declared > bytes_max {
        return Err(UnpackError::TooLong {
            declared,
            limit: bytes_max,
        });
    }
    if declared > packed.len().saturating_mul(RATIO_MAX) {
        return Err(UnpackError::Bomb {
            packed: packed.len(),
            declared,
        });
    }
    Ok(declared)
}

/// Unpacks into the beginning of `room`, which grows as needed and is never cleared.
///
/// # Errors
/// See [`UnpackError`].
pub fn unpack<'a>(packed: &[u8], bytes_max: usize, room: &'a mut Vec<u8>) -> Result<&'a [u8], UnpackError> {
    let declared = unpacked_bytes(packed, bytes_max)?;
    if room.len() < declared {
        room.resize(declared, 0);
    }
    let length = snap::raw::Decoder::new().decompress(packed, room)?;
    Ok(room.get(..length).unwrap_or_default())
}
