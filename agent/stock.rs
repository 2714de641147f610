//! What there is in the data directory, for `skopos check`: blocks, how much they may become, and the room on the disk.

use std::path::Path;
use std::sync::Arc;

use blocks::Blocks;
use model::Clock;
use model::text::{bytes, duration};
use telemetry::clock::RuntimeClock;

use crate::check::number;

/// Lines for people; none where there is no such directory yet. It is only read, also while somebody is at work there.
pub(crate) fn lines(data_dir: &Path, config: &store::Config) -> Vec<String> {
    let folder = data_dir.join("metrics");
    if !folder.is_dir() {
        return Vec::new();
    }
    let found = look(&folder, config);
    found.unwrap_or_else(|error| vec![format!("data in {}: {error:#}", folder.display())])
}

fn look(folder: &Path, config: &store::Config) -> anyhow::Result<Vec<String>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    let _time = runtime.enter();
    let clock: Arc<dyn Clock> = RuntimeClock::system();
    let (blocks, failed) = Blocks::look(folder, clock)?;
    let counts = blocks.counts();
    let held = blocks.span().map_or_else(String::new, |span| {
        format!(" of {}", duration::short(span.end.since(span.start)))
    });
    let retention = &config.retention;
    let size = match retention.size {
        0 => "without a limit of size".to_owned(),
        size => format!("and {}", bytes(size as f64)),
    };
    let mut lines = vec![format!(
        "data in {}: {} of {}{held}; kept are {} {size}",
        folder.display(),
        number(counts.blocks as usize, "block"),
        bytes(counts.bytes as f64),
        duration::short(retention.time),
    )];
    lines.extend(
        failed
            .iter()
            .map(|error| format!("a block cannot be read, and is left out: {error}")),
    );
    let disk = rustix::fs::statvfs(folder)?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    lines.extend(too_much(counts.bytes, retention.size, config.wal_bytes_max, free));
    Ok(lines)
}

/// Whether the disk is full before the retention is.
fn too_much(held: u64, size: u64, log: u64, free: u64) -> Option<String> {
    let room = bytes(free as f64);
    // The log is there already, in part; it counts in full, as one block more does that is being made of others.
    let still = size.saturating_sub(held).saturating_add(log);
    if size == 0 {
        return (free < held.saturating_add(log)).then(|| {
            format!("the disk has {room} left and store.retention.size has no limit: it may fill up")
        });
    }
    (free < still).then(|| {
        format!(
            "the disk has {room} left, and blocks and log may take {} more: lower store.retention.size",
            bytes(still as f64)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_fills_before_the_retention_is_told() {
        const GIB: u64 = 1 << 30;
        assert_eq!(too_much(GIB, 10 * GIB, GIB, 10 * GIB), None);
        let told = too_much(GIB, 10 * GIB, GIB, 9 * GIB).unwrap();
        assert!(
            told.contains("9.0 GiB left") && told.contains("10.0 GiB more"),
            "{told}"
        );
        assert_eq!(too_much(12 * GIB, 10 * GIB, GIB, GIB), None);
        assert_eq!(too_much(GIB, 0, GIB, 2 * GIB), None);
        assert!(too_much(GIB, 0, GIB, GIB).unwrap().contains("no limit"));
    }
}
