//! Neighbours known by address resolution, counted per device.

use std::collections::BTreeMap;

use super::{At, Collector, Roots, Trouble};
use crate::family::Family;
use crate::file::File;
use crate::known::Emit;
use crate::scan::{self, Malformed, Words};

static ENTRIES: Family = Family::gauge(
    "node_arp_entries",
    "IPv4 neighbours in the ARP table.",
    &["device"],
);

pub(crate) struct Arp {
    table: File,
}

impl Arp {
    pub(crate) fn new(roots: &Roots) -> Self {
        Self {
            table: roots.net("arp"),
        }
    }
}

impl Collector for Arp {
    fn name(&self) -> &'static str {
        "arp"
    }

    fn collect(&mut self, at: &mut At<'_>, emit: &mut Emit<'_>) -> Result<(), Trouble> {
        let text = self.table.read(at.buffer)?;
        for (device, count) in parse(&text)? {
            emit.put(&ENTRIES, &[device], count);
        }
        Ok(())
    }
}

/// `/proc/net/arp`: after a heading, a neighbour a line with the device last.
fn parse(text: &str) -> Result<BTreeMap<&str, f64>, Malformed> {
    let mut counts = BTreeMap::new();
    for (nth, line) in scan::lines(text).skip(1) {
        let mut words = Words::new(nth, line);
        words.skip(5);
        *counts.entry(words.word()?).or_default() += 1.0;
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    #[test]
    fn neighbours_are_counted_per_device() {
        let text = include_str!("../fixtures/proc/net/arp");
        let counts: Vec<_> = super::parse(text).unwrap().into_iter().collect();
        assert_eq!(counts, [("eth0", 2.0), ("wlan0", 1.0)]);
        assert!(super::parse("IP address\n10.0.0.1 0x1 0x2\n").is_err());
    }
}
