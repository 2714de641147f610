//! Properties of network devices: link state, speed, addresses.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::{At, Collector, Roots, Trouble};
use crate::config::Pattern;
use crate::family::Family;
use crate::file::{Buffer, File, ReadError};
use crate::known::Emit;
use crate::scan;

const DEVICE: &[&str] = &["device"];
/// Devices whose files stay open; a machine with more of them (a link for each pod) reads the others anew.
pub(super) const DEVICES_OPEN: usize = 16;
/// Megabits in bytes.
const MEGABIT_BYTES: f64 = 1_000_000.0 / 8.0;
/// Bit of `flags` that says that somebody has set the device up.
const FLAG_UP: u64 = 1;

static UP: Family = Family::gauge(
    "node_network_up",
    "Whether the device's operational state is up.",
    DEVICE,
);
static INFO: Family = Family::gauge(
    "node_network_info",
    "Words about a network device; always 1.",
    &[
        "device",
        "address",
        "broadcast",
        "duplex",
        "operstate",
        "adminstate",
        "ifalias",
    ],
);
static SPEED: Family = Family::gauge(
    "node_network_speed_bytes",
    "Speed of the link per second.",
    DEVICE,
);

/// Attribute in sysfs, and its family.
static NUMBERS: [(&str, Family); 16] = [
    (
        "addr_assign_type",
        property("node_network_address_assign_type", "How it came by its address."),
    ),
    (
        "carrier",
        property("node_network_carrier", "Whether there is a carrier."),
    ),
    (
        "carrier_changes",
        event(
            "node_network_carrier_changes_total",
            "Times that the carrier came or went.",
        ),
    ),
    (
        "carrier_up_count",
        event(
            "node_network_carrier_up_changes_total",
            "Times that the carrier came.",
        ),
    ),
    (
        "carrier_down_count",
        event(
            "node_network_carrier_down_changes_total",
            "Times that the carrier went.",
        ),
    ),
    (
        "dev_id",
        property("node_network_device_id", "Tells devices of one address apart."),
    ),
    (
        "dormant",
        property("node_network_dormant", "Whether it waits for something outside."),
    ),
    ("flags", property("node_network_flags", "Flags as a number.")),
    (
        "ifindex",
        property("node_network_iface_id", "Number of the device."),
    ),
    (
        "iflink",
        property(
            "node_network_iface_link",
            "Number of the device that it is linked to.",
        ),
    ),
    (
        "link_mode",
        property("node_network_iface_link_mode", "Mode of the link."),
    ),
    ("mtu", property("node_network_mtu_bytes", "Longest packet.")),
    (
        "name_assign_type",
        property("node_network_name_assign_type", "How it came by its name."),
    ),
    (
        "netdev_group",
        property("node_network_net_dev_group", "Group of the device."),
    ),
    (
        "tx_queue_len",
        property("node_network_transmit_queue_length", "Packets that wait at most."),
    ),
    (
        "type",
        property("node_network_protocol_type", "Kind of the hardware."),
    ),
];

/// Attributes that are labels of `INFO`; the admin state comes from `flags`.
const WORDS: [&str; 5] = ["address", "broadcast", "duplex", "operstate", "ifalias"];

const fn property(name: &'static str, help: &'static str) -> Family {
    Family::gauge(name, help, DEVICE)
}

const fn event(name: &'static str, help: &'static str) -> Family {
    Family::counter(name, help, DEVICE)
}

pub(crate) struct Netclass {
    folder: PathBuf,
    exclude: Pattern,
    devices: BTreeMap<String, Device>,
}

struct Device {
    words: [File; WORDS.len()],
    numbers: [File; NUMBERS.len()],
    speed: File,
}

impl Netclass {
    pub(crate) fn new(roots: &Roots, exclude: Pattern) -> Self {
        Self {
            folder: roots.sysfs("class/net"),
            exclude,
            devices: BTreeMap::new(),
        }
    }

    /// Follows the devices that come and go.
    fn look(&mut self) -> Result<(), Trouble> {
        let names = devices(&self.folder).map_err(|error| {
            let text = format!("listing {}: {error}", self.folder.display());
            match error.kind() {
                std::io::ErrorKind::NotFound => Trouble::Absent(text),
                _ => Trouble::Failed(text),
            }
        })?;
        self.devices.retain(|name, _| names.contains(name));
        for name in names {
            if !self.devices.contains_key(&name) && !self.exclude.is_match(&name) {
                let device = Device::new(&self.folder.join(&name), self.devices.len() < DEVICES_OPEN);
                self.devices.insert(name, device);
            }
        }
        Ok(())
    }
}

/// Names in `/sys/class/net`, which are links; `bonding_masters` is a file.
pub(super) fn devices(folder: &Path) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.file_type()?.is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    Ok(names)
}

impl Device {
    fn new(folder: &Path, kept: bool) -> Self {
        let open = if kept { File::new } else { File::passing };
        Self {
            words: WORDS.map(|word| open(folder.join(word))),
            numbers: std::array::from_fn(|nth| {
                open(folder.join(NUMBERS.get(nth).map_or("", |(file, _)| file)))
            }),
            speed: open(folder.join("speed")),
        }
    }
}

impl Collector for Netclass {
    fn name(&self) -> &'static str {
        "netclass"
    }

    fn collect(&mut self, at: &mut At<'_>, emit: &mut Emit<'_>) -> Result<(), Trouble> {
        self.look()?;
        for (name, device) in &mut self.devices {
            let mut admin_state = "unknown";
            for ((attribute, family), file) in NUMBERS.iter().zip(&mut device.numbers) {
                let Some(value) = number(file, at.buffer)? else {
                    continue;
                };
                emit.put(family, &[name], value);
                if *attribute == "flags" {
                    admin_state = if value as u64 & FLAG_UP == FLAG_UP {
                        "up"
                    } else {
                        "down"
                    };
                }
            }
            // Devices that do not know say -1, and node_exporter passes that on.
            if let Some(speed) = number(&mut device.speed, at.buffer)? {
                emit.put(&SPEED, &[name], (speed * MEGABIT_BYTES).trunc());
            }
            let mut words = [const { String::new() }; WORDS.len()];
            for (word, file) in words.iter_mut().zip(&mut device.words) {
                *word = self::word(file, at.buffer)?;
            }
            let [address, broadcast, duplex, state, alias] = &words;
            emit.put(&UP, &[name], f64::from(state == "up"));
            emit.put(
                &INFO,
                &[name, address, broadcast, duplex, state, admin_state, alias],
                1.0,
            );
        }
        Ok(())
    }
}

/// None when the kernel has nothing to say, as of the carrier of a device that is down.
fn number(file: &mut File, buffer: &mut Buffer) -> Result<Option<f64>, Trouble> {
    match file.attribute(buffer) {
        Ok(text) => Ok(Some(scan::single(&text)?)),
        Err(error) => silence(error).map(|()| None),
    }
}

fn word(file: &mut File, buffer: &mut Buffer) -> Result<String, Trouble> {
    match file.attribute(buffer) {
        Ok(text) => Ok(text.into_owned()),
        Err(error) => silence(error).map(|()| String::new()),
    }
}

fn silence(error: ReadError) -> Result<(), Trouble> {
    if error.is_silent() {
        Ok(())
    } else {
        Err(Trouble::Failed(error.to_string()))
    }
}
