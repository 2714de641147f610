//! How each processor copes with received packets.

use super::{At, Collector, Roots, Trouble};
use crate::family::Family;
use crate::file::File;
use crate::known::Emit;
use crate::scan::{self, Malformed};

const CPU: &[&str] = &["cpu"];

/// Column of `/proc/net/softnet_stat`, and its family; younger columns are missing on older kernels.
static COUNTS: [(usize, Family); 7] = [
    (
        0,
        Family::counter("node_softnet_processed_total", "Packets taken.", CPU),
    ),
    (
        1,
        Family::counter(
            "node_softnet_dropped_total",
            "Packets dropped for a full queue.",
            CPU,
        ),
    ),
    (
        2,
        Family::counter(
            "node_softnet_times_squeezed_total",
            "Times that packets were left for later.",
            CPU,
        ),
    ),
    (
        8,
        Family::counter(
            "node_softnet_cpu_collision_total",
            "Times that the device was locked when sending.",
            CPU,
        ),
    ),
    (
        9,
        Family::counter(
            "node_softnet_received_rps_total",
            "Times woken for another's packets.",
            CPU,
        ),
    ),
    (
        10,
        Family::counter(
            "node_softnet_flow_limit_count_total",
            "Times that a flow reached its limit.",
            CPU,
        ),
    ),
    (
        11,
        Family::gauge("node_softnet_backlog_len", "Packets that wait.", CPU),
    ),
];
const CPU_COLUMN: usize = 12;

pub(crate) struct Softnet {
    table: File,
}

impl Softnet {
    pub(crate) fn new(roots: &Roots) -> Self {
        Self {
            table: roots.net("softnet_stat"),
        }
    }
}

impl Collector for Softnet {
    fn name(&self) -> &'static str {
        "softnet"
    }

    fn collect(&mut self, at: &mut At<'_>, emit: &mut Emit<'_>) -> Result<(), Trouble> {
        let text = self.table.read(at.buffer)?;
        for (row, (nth, line)) in scan::lines(&text).enumerate() {
            let columns = parse(nth, line)?;
            let cpu = columns
                .get(CPU_COLUMN)
                .map_or(row as u64, |cpu| *cpu as u64)
                .to_string();
            for (at, family) in &COUNTS {
                // node_exporter says 0 for what the kernel does not count.
                emit.put(family, &[&cpu], columns.get(*at).copied().unwrap_or(0.0));
            }
        }
        Ok(())
    }
}

fn parse(nth: usize, line: &str) -> Result<Vec<f64>, Malformed> {
    let columns: Vec<f64> = line
        .split_ascii_whitespace()
        .map(|word| scan::hex(nth, word))
        .collect::<Result<_, _>>()?;
    if columns.len() < 9 {
        return Err(Malformed::new(
            nth,
            format!("{} columns are too few", columns.len()),
        ));
    }
    Ok(columns)
}

#[cfg(test)]
mod tests {
    #[test]
    fn columns_are_hexadecimal() {
        let columns = super::parse(1, "00002963 0 000000ff 0 0 0 0 0 1").unwrap();
        assert_eq!((columns[0], columns[2], columns.len()), (10_595.0, 255.0, 9));
        assert!(super::parse(1, "1 2 3").is_err());
        assert!(super::parse(1, "x 0 0 0 0 0 0 0 0").is_err());
    }
}
