//! What block devices read, wrote, discarded and flushed.

use super::{At, Collector, Roots, Trouble};
use crate::config::Pattern;
use crate::family::Family;
use crate::file::File;
use crate::known::Emit;
use crate::scan::{self, Malformed, Words};

const DEVICE: &[&str] = &["device"];
/// The kernel counts in these whatever the device's block size.
const SECTOR_BYTES: f64 = 512.0;
const MILLISECOND: f64 = 1.0 / 1000.0;
/// Columns of the oldest kernels that have whole-device statistics here.
const COLUMNS_MIN: usize = 11;
const COLUMNS: usize = COUNTS.len();

/// Families with the unit of their column, in the order of `/proc/diskstats`.
static COUNTS: [(Family, f64); 17] = [
    (
        Family::counter("node_disk_reads_completed_total", "Reads done.", DEVICE),
        1.0,
    ),
    (
        Family::counter(
            "node_disk_reads_merged_total",
            "Reads joined with a neighbour.",
            DEVICE,
        ),
        1.0,
    ),
    (
        Family::counter("node_disk_read_bytes_total", "Bytes read.", DEVICE),
        SECTOR_BYTES,
    ),
    (
        Family::counter(
            "node_disk_read_time_seconds_total",
            "Time that reads took, summed.",
            DEVICE,
        ),
        MILLISECOND,
    ),
    (
        Family::counter("node_disk_writes_completed_total", "Writes done.", DEVICE),
        1.0,
    ),
    (
        Family::counter(
            "node_disk_writes_merged_total",
            "Writes joined with a neighbour.",
            DEVICE,
        ),
        1.0,
    ),
    (
        Family::counter("node_disk_written_bytes_total", "Bytes written.", DEVICE),
        SECTOR_BYTES,
    ),
    (
        Family::counter(
            "node_disk_write_time_seconds_total",
            "Time that writes took, summed.",
            DEVICE,
        ),
        MILLISECOND,
    ),
    (
        Family::gauge("node_disk_io_now", "Requests in flight.", DEVICE),
        1.0,
    ),
    (
        Family::counter(
            "node_disk_io_time_seconds_total",
            "Time with a request in flight.",
            DEVICE,
        ),
        MILLISECOND,
    ),
    (
        Family::counter(
            "node_disk_io_time_weighted_seconds_total",
            "Time times requests in flight.",
            DEVICE,
        ),
        MILLISECOND,
    ),
    (
        Family::counter("node_disk_discards_completed_total", "Discards done.", DEVICE),
        1.0,
    ),
    (
        Family::counter(
            "node_disk_discards_merged_total",
            "Discards joined with a neighbour.",
            DEVICE,
        ),
        1.0,
    ),
    (
        Family::counter(
            "node_disk_discarded_sectors_total",
            "Sectors of 512 bytes discarded.",
            DEVICE,
        ),
        1.0,
    ),
    (
        Family::counter(
            "node_disk_discard_time_seconds_total",
            "Time that discards took, summed.",
            DEVICE,
        ),
        MILLISECOND,
    ),
    (
        Family::counter("node_disk_flush_requests_total", "Flushes done.", DEVICE),
        1.0,
    ),
    (
        Family::counter(
            "node_disk_flush_requests_time_seconds_total",
            "Time that flushes took, summed.",
            DEVICE,
        ),
        MILLISECOND,
    ),
];

pub(crate) struct Diskstats {
    table: File,
    exclude: Pattern,
}

impl Diskstats {
    pub(crate) fn new(roots: &Roots, exclude: Pattern) -> Self {
        Self {
            table: roots.procfs("diskstats"),
            exclude,
        }
    }
}

impl Collector for Diskstats {
    fn name(&self) -> &'static str {
        "diskstats"
    }

    fn collect(&mut self, at: &mut At<'_>, emit: &mut Emit<'_>) -> Result<(), Trouble> {
        let text = self.table.read(at.buffer)?;
        for (nth, line) in scan::lines(&text) {
            let disk = parse(nth, line)?;
            if self.exclude.is_match(disk.device) {
                continue;
            }
            for ((family, unit), count) in COUNTS.iter().zip(disk.counts).take(disk.columns) {
                emit.put(family, &[disk.device], count * unit);
            }
        }
        Ok(())
    }
}

struct Disk<'a> {
    device: &'a str,
    counts: [f64; COLUMNS],
    columns: usize,
}

/// One line: major, minor, name and as many columns as the kernel knows.
fn parse(nth: usize, line: &str) -> Result<Disk<'_>, Malformed> {
    let mut words = Words::new(nth, line);
    words.skip(2);
    let mut disk = Disk {
        device: words.word()?,
        counts: [0.0; COLUMNS],
        columns: 0,
    };
    for count in &mut disk.counts {
        let Some(word) = words.next() else { break };
        *count = scan::number(nth, word)?;
        disk.columns += 1;
    }
    if disk.columns < COLUMNS_MIN {
        return Err(Malformed::new(
            nth,
            format!("{} columns are too few", disk.columns + 3),
        ));
    }
    Ok(disk)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_of_all_ages_are_read() {
        let text = include_str!("../fixtures/proc/diskstats");
        let disks: Vec<Disk<'_>> = scan::lines(text)
            .map(|(nth, line)| parse(nth, line).unwrap())
            .collect();
        let seen: Vec<(&str, usize)> = disks.iter().map(|disk| (disk.device, disk.columns)).collect();
        assert_eq!(
            seen,
            [
                ("loop0", 17),
                ("vda", 17),
                ("vda1", 17),
                ("sda", 11),
                ("dm-0", 15)
            ]
        );
        assert_eq!(disks[1].counts[2], 5_344_162.0);
        assert!(parse(1, "8 0 sda 1 2 3").is_err());
        assert!(parse(1, "8 0").is_err());
    }
}
