//! What the process asks of its allocator and of the kernel, so that a node with many series stays small.

use std::io;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// By then every target has been read for the first time, and the start is over.
const FIRST_PAUSE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_secs(3600);

/// All threads share two heaps. Otherwise each gets one of its own, and what it has freed there is kept from all others:
/// with 80,000 series that was a third of the memory. To be called before there are threads.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "the C library's allocator has no other face")]
pub fn share_heaps() {
    const HEAPS_MAX: std::ffi::c_int = 2;
    // SAFETY: `mallopt` takes two numbers, and this one only decides about heaps that are still to be made.
    let is_set = unsafe { libc::mallopt(libc::M_ARENA_MAX, HEAPS_MAX) };
    if is_set == 0 {
        tracing::debug!("the allocator keeps a heap for each thread");
    }
}

/// Other C libraries have one heap.
#[cfg(not(target_env = "gnu"))]
pub fn share_heaps() {}

/// Now and then lets go of what the start and other rare things have read of the program itself.
pub(crate) async fn stay_small(stop: CancellationToken) {
    let mut pause = FIRST_PAUSE;
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        if let Err(error) = let_go_of_program() {
            tracing::debug!(%error, "what is not used of the program stays in memory");
        }
        pause = PAUSE;
    }
}

/// The kernel maps again, from the page cache, what is used from now on.
#[expect(unsafe_code, reason = "rustix leaves it to the caller what may be let go of")]
fn let_go_of_program() -> io::Result<()> {
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    let here = let_go_of_program as fn() -> io::Result<()> as usize;
    let code = maps.lines().find_map(|line| mapping(line, here));
    let (start, length) = code.ok_or(io::ErrorKind::NotFound)?;
    // SAFETY: this is the mapping that holds this very function: of a file, private, and never writable. So none of its
    // pages differs from the file, and after the call each reads as it did before.
    unsafe { rustix::mm::madvise(start as *mut _, length, rustix::mm::Advice::LinuxDontNeed)? };
    Ok(())
}

/// Where a line of `maps` says that code is, if `address` is in it.
fn mapping(line: &str, address: usize) -> Option<(usize, usize)> {
    let (range, rest) = line.split_once(' ')?;
    let (start, end) = range.split_once('-')?;
    let (start, end) = (
        usize::from_str_radix(start, 16).ok()?,
        usize::from_str_radix(end, 16).ok()?,
    );
    let is_it = rest.starts_with("r-xp ") && (start..end).contains(&address);
    is_it.then_some((start, end - start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_code_that_holds_an_address_is_found() {
        let line = "55d0a0000000-55d0a1000000 r-xp 00500000 fe:00 1234 /usr/bin/skopos";
        assert_eq!(
            mapping(line, 0x55d0_a000_0000),
            Some((0x55d0_a000_0000, 0x100_0000))
        );
        assert_eq!(mapping(line, 0x55d0_a100_0000), None);
        assert_eq!(mapping(&line.replace("r-xp", "rw-p"), 0x55d0_a000_0000), None);
        assert_eq!(mapping("", 0), None);
    }

    #[test]
    fn the_program_goes_on_after_it_was_let_go_of() {
        assert!(let_go_of_program().is_ok());
        assert!(let_go_of_program().is_ok());
    }
}
