//! What network devices received and sent.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::netclass::DEVICES_OPEN;
use super::{At, Collector, Roots, Trouble};
use crate::config::Pattern;
use crate::family::Family;
use crate::file::File;
use crate::known::Emit;
use crate::scan::{self, Malformed, Words};

const DEVICE: &[&str] = &["device"];
const COLUMNS: usize = COUNTS.len();

/// In the order of `/proc/net/dev`, which adds up errors as node_exporter does.
static COUNTS: [Family; 16] = [
    Family::counter("node_network_receive_bytes_total", "Bytes received.", DEVICE),
    Family::counter("node_network_receive_packets_total", "Packets received.", DEVICE),
    Family::counter(
        "node_network_receive_errs_total",
        "Packets received broken.",
        DEVICE,
    ),
    Family::counter(
        "node_network_receive_drop_total",
        "Packets received and dropped, or missed.",
        DEVICE,
    ),
    Family::counter(
        "node_network_receive_fifo_total",
        "Packets lost to a full buffer of the device.",
        DEVICE,
    ),
    Family::counter(
        "node_network_receive_frame_total",
        "Packets of wrong length, checksum or framing.",
        DEVICE,
    ),
    Family::counter(
        "node_network_receive_compressed_total",
        "Compressed packets received.",
        DEVICE,
    ),
    Family::counter(
        "node_network_receive_multicast_total",
        "Multicast packets received.",
        DEVICE,
    ),
    Family::counter("node_network_transmit_bytes_total", "Bytes sent.", DEVICE),
    Family::counter("node_network_transmit_packets_total", "Packets sent.", DEVICE),
    Family::counter(
        "node_network_transmit_errs_total",
        "Packets not sent for an error.",
        DEVICE,
    ),
    Family::counter(
        "node_network_transmit_drop_total",
        "Packets dropped before they were sent.",
        DEVICE,
    ),
    Family::counter(
        "node_network_transmit_fifo_total",
        "Packets lost to a full buffer when sending.",
        DEVICE,
    ),
    Family::counter("node_network_transmit_colls_total", "Collisions.", DEVICE),
    Family::counter(
        "node_network_transmit_carrier_total",
        "Packets not sent for the state of the link.",
        DEVICE,
    ),
    Family::counter(
        "node_network_transmit_compressed_total",
        "Compressed packets sent.",
        DEVICE,
    ),
];
static NO_HANDLER: Family = Family::counter(
    "node_network_receive_nohandler_total",
    "Packets that nobody here wanted.",
    DEVICE,
);

pub(crate) struct Netdev {
    table: File,
    exclude: Pattern,
    /// `/proc/net/dev` has no column for it.
    no_handler: BTreeMap<String, (File, u64)>,
    class: PathBuf,
    round: u64,
}

impl Netdev {
    pub(crate) fn new(roots: &Roots, exclude: Pattern) -> Self {
        Self {
            table: roots.net("dev"),
            exclude,
            no_handler: BTreeMap::new(),
            class: roots.sysfs("class/net"),
            round: 0,
        }
    }
}

impl Collector for Netdev {
    fn name(&self) -> &'static str {
        "netdev"
    }

    fn collect(&mut self, at: &mut At<'_>, emit: &mut Emit<'_>) -> Result<(), Trouble> {
        self.round += 1;
        let text = self.table.read(at.buffer)?;
        for (nth, line) in scan::lines(&text).skip(2) {
            let (device, counts) = parse(nth, line)?;
            if self.exclude.is_match(device) {
                continue;
            }
            for (family, count) in COUNTS.iter().zip(counts) {
                emit.put(family, &[device], count);
            }
            match self.no_handler.get_mut(device) {
                Some((_, seen)) => *seen = self.round,
                None => {
                    let path = self.class.join(device).join("statistics/rx_nohandler");
                    let kept = self.no_handler.len() < DEVICES_OPEN;
                    let file = if kept {
                        File::new(path)
                    } else {
                        File::passing(path)
                    };
                    self.no_handler.insert(device.to_owned(), (file, self.round));
                }
            }
        }
        self.no_handler.retain(|_, (_, seen)| *seen == self.round);
        for (device, (file, _)) in &mut self.no_handler {
            if let Ok(text) = file.attribute(at.buffer) {
                emit.put(&NO_HANDLER, &[device], scan::single(&text)?);
            }
        }
        Ok(())
    }
}

/// One line after the heading: `eth0: 1 2 3 …`; the colon may touch the number.
fn parse(nth: usize, line: &str) -> Result<(&str, [f64; COLUMNS]), Malformed> {
    // An alias has a colon in its name (`eth0:1`), so the last one counts.
    let (device, rest) = line
        .rsplit_once(':')
        .ok_or_else(|| Malformed::new(nth, "a colon is missing"))?;
    let mut words = Words::new(nth, rest);
    let mut counts = [0.0; COLUMNS];
    for count in &mut counts {
        *count = words.number()?;
    }
    Ok((device.trim(), counts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_read_with_their_colons() {
        let text = include_str!("../fixtures/proc/net/dev");
        let seen: Vec<_> = scan::lines(text)
            .skip(2)
            .map(|(nth, line)| parse(nth, line).unwrap())
            .collect();
        let names: Vec<&str> = seen.iter().map(|(device, _)| *device).collect();
        assert_eq!(names, ["lo", "eth0", "eth0:1"]);
        assert_eq!(seen[1].1[..4], [398_830_774.0, 10_582.0, 0.0, 7.0]);
        assert_eq!(seen[2].1[15], 16.0);
        assert!(parse(3, "eth0 1 2").is_err());
        assert!(parse(3, "eth0: 1 2").is_err());
    }
}
