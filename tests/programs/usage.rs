//! What a process has taken of the machine, by Linux' own count.

use std::fs;

/// Of every Linux, to programs.
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU seconds of all that it did, in its user's and in the kernel's name, to a hundredth.
///
/// # Panics
/// There is no such process.
#[must_use]
pub fn cpu_seconds(process: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).expect("the process lives");
    let (_, rest) = text.rsplit_once(')').expect("its name in brackets");
    let ticks = rest.split_whitespace().skip(11).take(2);
    ticks.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / TICKS_PER_SECOND
}

/// The same to a nanosecond, of the threads that it has now.
///
/// # Panics
/// There is no such process.
#[must_use]
pub fn cpu_seconds_of_threads(process: u32) -> f64 {
    let threads = fs::read_dir(format!("/proc/{process}/task")).expect("the process lives");
    let nanoseconds = threads.flatten().filter_map(|thread| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    });
    nanoseconds.sum::<f64>() / 1e9
}

/// Bytes under one of the names of `status`: `VmRSS` is in memory now, `VmHWM` was at most, `RssAnon` is no file's.
///
/// # Panics
/// There is no such process, or no such name.
#[must_use]
pub fn memory_bytes(process: u32, name: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{process}/status")).expect("the process lives");
    let rest = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let kilobytes = rest.and_then(|rest| rest.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kilobytes.expect("a figure in kB") * 1024
}

/// [`memory_bytes`] in MiB.
#[must_use]
pub fn memory_mib(process: u32, name: &str) -> f64 {
    memory_bytes(process, name) as f64 / f64::from(1 << 20)
}
