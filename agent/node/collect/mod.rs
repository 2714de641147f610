//! The collectors, one a file: each reads a few files of the kernel, has a pure parser for each of them, and
//! emits the families that node_exporter's collector of the same name does.

mod arp;
mod conntrack;
mod cpu;
mod diskstats;
mod entropy;
mod ethtool;
mod filefd;
mod filesystem;
mod kernel_hung;
mod loadavg;
pub(crate) mod meminfo;
mod netclass;
mod netdev;
mod netstat;
pub(crate) mod os;
mod pressure;
mod schedstat;
mod sockstat;
mod softnet;
mod stat;
mod time;
mod timex;
mod udp_queues;
mod uname;
mod vmstat;

use std::path::{Path, PathBuf};

use model::Timestamp;

use crate::config::Config;
use crate::file::{Buffer, File, ReadError};
use crate::known::Emit;
use crate::scan::Malformed;

/// One group of families. After a failure, what it has emitted in this round is taken back.
pub(crate) trait Collector: Send {
    /// Label `collector`.
    fn name(&self) -> &'static str;

    fn collect(&mut self, at: &mut At<'_>, emit: &mut Emit<'_>) -> Result<(), Trouble>;
}

/// What a round hands to its collectors.
pub(crate) struct At<'a> {
    pub(crate) now: Timestamp,
    pub(crate) buffer: &'a mut Buffer,
}

/// Why a collector gives nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// This machine does not have it.
    Absent(String),
    Failed(String),
}

impl From<ReadError> for Trouble {
    fn from(error: ReadError) -> Self {
        if error.is_absent() {
            Self::Absent(error.to_string())
        } else {
            Self::Failed(error.to_string())
        }
    }
}

impl From<Malformed> for Trouble {
    fn from(malformed: Malformed) -> Self {
        Self::Failed(malformed.to_string())
    }
}

/// Where things are on this machine.
pub(crate) struct Roots {
    procfs: PathBuf,
    /// `<procfs>/net` is that of the reading process; a foreign procfs is asked for its first process' instead.
    net: PathBuf,
    sysfs: PathBuf,
}

impl Roots {
    pub(crate) fn new(config: &Config) -> Self {
        let first = config.procfs.join("1/net");
        let foreign = config.procfs != Path::new("/proc");
        Self {
            net: if foreign && first.exists() {
                first
            } else {
                config.procfs.join("net")
            },
            procfs: config.procfs.clone(),
            sysfs: config.sysfs.clone(),
        }
    }

    fn procfs(&self, path: &str) -> File {
        File::new(self.procfs.join(path))
    }

    fn net(&self, path: &str) -> File {
        File::new(self.net.join(path))
    }

    fn sysfs(&self, path: &str) -> PathBuf {
        self.sysfs.join(path)
    }
}

pub(crate) fn all(config: &Config) -> Vec<Box<dyn Collector>> {
    let roots = Roots::new(config);
    let (cpu, stat) = cpu::with_stat(&roots);
    vec![
        Box::new(arp::Arp::new(&roots)),
        Box::new(conntrack::Conntrack::new(&roots)),
        Box::new(cpu),
        Box::new(diskstats::Diskstats::new(
            &roots,
            config.diskstats.device_exclude.clone(),
        )),
        Box::new(entropy::Entropy::new(&roots)),
        Box::new(ethtool::Ethtool::new(&roots, &config.ethtool)),
        Box::new(filefd::Filefd::new(&roots)),
        Box::new(filesystem::Filesystem::new(&roots, config)),
        Box::new(kernel_hung::KernelHung::new(&roots)),
        Box::new(loadavg::Loadavg::new(&roots)),
        Box::new(meminfo::Meminfo::new(&roots)),
        Box::new(netclass::Netclass::new(
            &roots,
            config.netdev.device_exclude.clone(),
        )),
        Box::new(netdev::Netdev::new(&roots, config.netdev.device_exclude.clone())),
        Box::new(netstat::Netstat::new(&roots)),
        Box::new(os::Os::new(&config.rootfs)),
        Box::new(pressure::Pressure::new(&roots)),
        Box::new(schedstat::Schedstat::new(&roots)),
        Box::new(sockstat::Sockstat::new(&roots)),
        Box::new(softnet::Softnet::new(&roots)),
        Box::new(stat),
        Box::new(time::Time::new(&roots)),
        Box::new(timex::Clock::new()),
        Box::new(udp_queues::UdpQueues::new(&roots)),
        Box::new(uname::Uname::new(config.nodename.clone())),
        Box::new(vmstat::Vmstat::new(&roots)),
    ]
}
