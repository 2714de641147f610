//! What a process has used, as the operating system counts it; and our own work in a process of its own.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::Sizes;

/// Named numbers that a child says to its parent.
#[derive(Debug, Default)]
pub(crate) struct Figures(BTreeMap<String, f64>);

impl Figures {
    pub(crate) fn set(&mut self, name: &str, number: f64) {
        self.0.insert(name.to_owned(), number);
    }

    pub(crate) fn get(&self, name: &str) -> f64 {
        self.0.get(name).copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn say(&self) {
        for (name, number) in &self.0 {
            println!("{name} {number}");
        }
    }

    /// Runs a part of ours in a process of its own.
    pub(crate) fn of_child(part: &str, folder: &Path, small: bool) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--child", part, "--in"]).arg(folder);
        if small {
            command.arg("--small");
        }
        let output = command
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        assert!(output.status.success(), "{part} failed");
        let text = String::from_utf8(output.stdout).unwrap();
        let one = |line: &str| {
            let (name, number) = line.split_once(' ')?;
            Some((name.to_owned(), number.parse().ok()?))
        };
        Self(text.lines().filter_map(one).collect())
    }
}

impl Sizes {
    pub(crate) fn is_small(self) -> bool {
        self.series < crate::FULL.series
    }
}

/// CPU seconds of this process, all of its threads.
pub(crate) fn own_cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// CPU seconds and seconds by the clock.
pub(crate) fn timed<T>(cpu: impl Fn() -> f64, work: impl FnOnce() -> T) -> (T, f64, f64) {
    let (before, begun) = (cpu(), Instant::now());
    let done = work();
    let wall = begun.elapsed().as_secs_f64();
    (done, cpu() - before, wall)
}

pub(crate) fn rest(time: Duration) {
    std::thread::park_timeout(time);
}

/// The product's two heaps, and long pieces outside of them.
#[expect(unsafe_code, reason = "the C library's allocator has no other face")]
pub(crate) fn allocate_as_the_product_does() {
    #[cfg(target_env = "gnu")]
    for (what, number) in [(libc::M_ARENA_MAX, 2), (libc::M_MMAP_THRESHOLD, 96 << 10)] {
        // SAFETY: `mallopt` takes two numbers, and these only decide about what is still to be allocated.
        unsafe { libc::mallopt(what, number) };
    }
}

/// What the product does twice a minute: gives back what was freed.
#[expect(unsafe_code, reason = "the C library's allocator has no other face")]
pub(crate) fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: `malloc_trim` takes a number, and gives back to the kernel what nobody has.
    unsafe {
        libc::malloc_trim(0);
    }
}
