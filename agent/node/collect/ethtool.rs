//! What drivers of network devices count themselves, chosen by name: the allowances of EC2 instances, which ENA counts.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use model::Kind;
use regex::Regex;

use super::{At, Collector, Roots, Trouble};
use crate::config::{self, Pattern};
use crate::ethtool::Drivers;
use crate::family::Family;
use crate::file::File;
use crate::known::Emit;
use crate::scan;

static COUNT: Family = Family::named_with(
    Kind::Unknown,
    "node_ethtool_",
    "As the driver of the network device counts it:",
    &["device"],
    name,
);

pub(crate) struct Ethtool {
    /// Of the namespace that drivers are asked in.
    table: File,
    exclude: Pattern,
    include: Pattern,
    drivers: Option<Drivers>,
    devices: BTreeMap<String, Device>,
    round: u64,
}

struct Device {
    /// How many things its driver counts.
    names: usize,
    /// Those that are shown, by their places.
    shown: Vec<(usize, String)>,
    seen: u64,
}

impl Ethtool {
    pub(crate) fn new(roots: &Roots, config: &config::Ethtool) -> Self {
        Self {
            table: roots.procfs("net/dev"),
            exclude: config.device_exclude.clone(),
            include: config.metrics_include.clone(),
            drivers: None,
            devices: BTreeMap::new(),
            round: 0,
        }
    }
}

impl Collector for Ethtool {
    fn name(&self) -> &'static str {
        "ethtool"
    }

    fn collect(&mut self, at: &mut At<'_>, emit: &mut Emit<'_>) -> Result<(), Trouble> {
        self.round += 1;
        let drivers = match &self.drivers {
            Some(drivers) => drivers,
            None => {
                let opened =
                    Drivers::open().map_err(|error| Trouble::Failed(format!("a socket: {error}")))?;
                self.drivers.insert(opened)
            }
        };
        let text = self.table.read(at.buffer)?;
        for (_, line) in scan::lines(&text).skip(2) {
            // An alias has a colon in its name, so the last one counts.
            let Some((device, _)) = line.rsplit_once(':') else {
                continue;
            };
            let device = device.trim();
            if self.exclude.is_match(device) {
                continue;
            }
            let known = match self.devices.get_mut(device) {
                Some(known) => known,
                // Asked for its names once: a node has a device for each of its pods, and they count nothing that is shown.
                None => self.devices.entry(device.to_owned()).or_insert(Device::of(
                    drivers,
                    device,
                    &self.include,
                )),
            };
            known.seen = self.round;
            if known.shown.is_empty() {
                continue;
            }
            match drivers.counts(device, known.names) {
                Ok(counts) => {
                    for (place, name) in &known.shown {
                        if let Some(count) = counts.get(*place) {
                            // As every other program has it: beyond 2^53 the last digits are gone.
                            #[expect(clippy::cast_precision_loss, reason = "samples are of this kind")]
                            emit.put(&COUNT, &[device, name], *count as f64);
                        }
                    }
                }
                // It goes, or its driver is loaded anew: the next round asks for its names again.
                Err(error) => {
                    tracing::debug!(%error, device, "the driver does not say what it counts");
                    known.seen = 0;
                }
            }
        }
        self.devices.retain(|_, device| device.seen == self.round);
        Ok(())
    }
}

impl Device {
    fn of(drivers: &Drivers, device: &str, include: &Pattern) -> Self {
        let names = drivers.names(device).unwrap_or_else(|error| {
            tracing::debug!(%error, device, "the driver does not say what it counts");
            Vec::new()
        });
        Self {
            names: names.len(),
            shown: names
                .into_iter()
                .enumerate()
                .filter(|(_, name)| include.is_match(name))
                .collect(),
            seen: 0,
        }
    }
}

/// As node_exporter makes one of what the driver says.
fn name(values: &[&str]) -> String {
    static STRANGE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("_*[^0-9A-Za-z_]+_*").ok());
    static RECEIVED: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("(^|_)rx(_|$)").ok());
    static SENT: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("(^|_)tx(_|$)").ok());
    let said = values.get(1).copied().unwrap_or_default();
    let totals = match said {
        "rx_bytes" | "rx_dropped" | "rx_errors" | "rx_packets" | "tx_bytes" | "tx_errors" | "tx_packets" => {
            "_total"
        }
        _ => "",
    };
    let replaced = |text: String, by: &LazyLock<Option<Regex>>, with: &str| match &**by {
        Some(regex) => regex.replace_all(&text, with).into_owned(),
        None => text,
    };
    let plain = replaced(said.to_owned(), &STRANGE, "_").to_ascii_lowercase();
    let plain = plain.trim_start_matches('_').to_owned();
    let plain = replaced(plain, &RECEIVED, "${1}received${2}");
    replaced(plain, &SENT, "${1}transmitted${2}") + totals
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_node_exporter() {
        for (said, expected) in [
            ("bw_in_allowance_exceeded", "bw_in_allowance_exceeded"),
            ("rx_packets", "received_packets_total"),
            ("tx_dropped", "transmitted_dropped"),
            ("rx_queue_0_xdp_drops", "received_queue_0_xdp_drops"),
            ("[0]: tx ucast pkts", "0_transmitted_ucast_pkts"),
            ("port.rx_bytes", "port_received_bytes"),
            ("Tx Timeout", "transmitted_timeout"),
        ] {
            assert_eq!(name(&["eth0", said]), expected);
        }
    }

    #[test]
    fn allowances_of_ena_are_shown_and_its_queues_are_not() {
        let include = config::Ethtool::default().metrics_include;
        for shown in [
            "bw_in_allowance_exceeded",
            "bw_out_allowance_exceeded",
            "pps_allowance_exceeded",
            "conntrack_allowance_exceeded",
            "conntrack_allowance_available",
            "linklocal_allowance_exceeded",
        ] {
            assert!(include.is_match(shown), "{shown}");
        }
        for left_out in ["queue_0_tx_cnt", "total_resets", "ena_admin_q_aborted_cmd"] {
            assert!(!include.is_match(left_out), "{left_out}");
        }
    }
}
