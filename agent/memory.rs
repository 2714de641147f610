//! What the process asks of its allocator and of the kernel, so that a node with many series stays small.

#[cfg(target_env = "gnu")]
use std::ffi::c_int;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

const PAUSE: Duration = Duration::from_secs(30);
/// The start is over at the first pause; then once an hour.
const PAUSES_BETWEEN: u32 = 120;

/// Threads of a node share two heaps, and long pieces lie outside of them. To be called before there are threads.
///
/// Otherwise each thread gets a heap of its own, and what it has freed there is kept from all others: with 80,000 series
/// that was a third of the memory. And a body that is read leaves a hole as long as itself among what stays.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "the C library's allocator has no other face")]
pub fn share_heaps() {
    const HEAPS_MAX: c_int = 2;
    const LONG_BYTES: c_int = 96 << 10;
    for (what, number) in [
        (libc::M_ARENA_MAX, HEAPS_MAX),
        (libc::M_MMAP_THRESHOLD, LONG_BYTES),
    ] {
        // SAFETY: `mallopt` takes two numbers, and these only decide about what is still to be allocated.
        let is_set = unsafe { libc::mallopt(what, number) };
        if is_set == 0 {
            tracing::debug!(what, number, "the allocator keeps to its own ways");
        }
    }
}

/// Other C libraries have one heap.
#[cfg(not(target_env = "gnu"))]
pub fn share_heaps() {}

/// Twice a minute gives back what was freed; after the start, and then once an hour, lets go of what of the program
/// itself was used once. What is still used is mapped again at once, from the page cache.
pub(crate) async fn stay_small(stop: CancellationToken) {
    for pause in 0_u32.. {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
        give_back();
        if pause % PAUSES_BETWEEN != 0 {
            continue;
        }
        if let Err(error) = let_go_of_program() {
            tracing::debug!(%error, "what is not used of the program stays in memory");
        }
    }
}

/// Between two looks at what the process takes.
const LOOK: Duration = Duration::from_secs(5);

/// Where nothing is configured: nine tenths of what the cgroup allows, and no budget without a limit.
pub(crate) fn budget(configured: u64) -> u64 {
    if configured > 0 {
        return configured;
    }
    telemetry::process::memory_limit_bytes().map_or(0, |limit| limit / 10 * 9)
}

/// Tells the store what the process takes, so that it refuses new series before the kernel ends all of it. What is free in
/// the heaps is given back first.
pub(crate) async fn guard(store: Arc<store::Store>, stop: CancellationToken) {
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
        store.guard(telemetry::process::anonymous_bytes());
        if store.is_guarded() && tokio::task::spawn_blocking(give_back).await.is_ok() {
            store.guard(telemetry::process::anonymous_bytes());
        }
    }
}

/// Heaps shrink by themselves at their end only.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "the C library's allocator has no other face")]
fn give_back() {
    // SAFETY: `malloc_trim` takes a number, and gives back to the kernel what nobody has.
    unsafe { libc::malloc_trim(0) };
}

#[cfg(not(target_env = "gnu"))]
fn give_back() {}

/// The kernel maps again, from the page cache, what is used from now on.
#[expect(unsafe_code, reason = "rustix leaves it to the caller what may be let go of")]
fn let_go_of_program() -> io::Result<()> {
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    let here = let_go_of_program as fn() -> io::Result<()> as usize;
    let parts: Vec<Mapping<'_>> = maps.lines().filter_map(Mapping::read).collect();
    let code = parts
        .iter()
        .find(|part| part.is_code && part.bytes.contains(&here));
    let code = code.ok_or(io::ErrorKind::NotFound)?;
    // The file's first part, if it is one of its own, is constants: nothing of it was ever relocated.
    let constants = parts
        .iter()
        .find(|part| part.file == code.file && part.is_constants);
    for Mapping { bytes, .. } in [Some(code), constants].into_iter().flatten() {
        // SAFETY: the mapping is of a file, private, and never writable. So none of its pages differs from the file,
        // and after the call each reads as it did before.
        unsafe {
            rustix::mm::madvise(
                bytes.start as *mut _,
                bytes.len(),
                rustix::mm::Advice::LinuxDontNeed,
            )?;
        }
    }
    Ok(())
}

/// A line of `maps`.
struct Mapping<'a> {
    bytes: Range<usize>,
    /// Device, number and name.
    file: &'a str,
    is_code: bool,
    is_constants: bool,
}

impl<'a> Mapping<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let (range, rest) = line.split_once(' ')?;
        let (start, end) = range.split_once('-')?;
        let (kind, rest) = rest.split_once(' ')?;
        let (offset, file) = rest.split_once(' ')?;
        let address = |text| usize::from_str_radix(text, 16).ok();
        Some(Self {
            bytes: address(start)?..address(end)?,
            file,
            is_code: kind == "r-xp",
            is_constants: kind == "r--p" && address(offset)? == 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_relocated_is_told_from_what_never_changes() {
        let read = |kind: &str, offset: &str| {
            let line = format!("55d0a0000000-55d0a1000000 {kind} {offset} fe:00 1234      /usr/bin/skopos");
            let part = Mapping::read(&line).unwrap();
            assert_eq!(part.bytes, 0x55d0_a000_0000..0x55d0_a100_0000);
            assert_eq!(part.file, "fe:00 1234      /usr/bin/skopos");
            (part.is_code, part.is_constants)
        };
        assert_eq!(read("r-xp", "00500000"), (true, false));
        assert_eq!(read("r--p", "00000000"), (false, true));
        assert_eq!(read("r--p", "01600000"), (false, false));
        assert_eq!(read("rw-p", "00000000"), (false, false));
        assert!(Mapping::read("").is_none());
    }

    #[test]
    fn the_program_goes_on_after_it_was_let_go_of() {
        assert!(let_go_of_program().is_ok());
        assert!(let_go_of_program().is_ok());
    }
}
