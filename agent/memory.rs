//! What the process asks of its allocator and of the kernel, so that a node with many series stays small.

#[cfg(target_env = "gnu")]
use std::ffi::c_int;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

const PAUSE: Duration = Duration::from_secs(30);

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

/// Twice a minute gives back to the kernel what was freed.
pub(crate) async fn stay_small(stop: CancellationToken) {
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PAUSE) => give_back(),
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
