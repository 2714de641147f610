//! Bytes that nobody can guess, from the kernel.

use std::io;

use rustix::rand::{GetRandomFlags, getrandom};

/// # Errors
/// The kernel gives none.
pub(crate) fn chance<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    match getrandom(&mut bytes[..], GetRandomFlags::empty())? {
        count if count == N => Ok(bytes),
        _ => Err(io::Error::other("the kernel gives no random bytes")),
    }
}
