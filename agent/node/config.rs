//! The section `node` of the configuration file.

use std::path::PathBuf;
use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// How the machine is read.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Whether the machine is read at all.
    pub enabled: bool,
    /// Time between two rounds, at least 1s; the first ones come at 0, 1, 2 and 5 s, so that graphs move at once.
    #[serde(deserialize_with = "model::text::duration::deserialize")]
    pub interval: Duration,
    /// Label `job` of every series; `node-exporter` is what the Kubernetes mixin expects.
    pub job: String,
    /// Where procfs is mounted. Of another machine's or the host's, network counters are those of its process 1.
    pub procfs: PathBuf,
    /// Where sysfs is mounted.
    pub sysfs: PathBuf,
    /// Where the root of the file systems is mounted; it is cut from the label `mountpoint`.
    pub rootfs: PathBuf,
    pub filesystem: Filesystem,
    pub diskstats: Diskstats,
    pub netdev: Netdev,
    pub ethtool: Ethtool,
    /// Whether kills for want of memory are told of, by cgroups, by the kernel's log and by the states of pods.
    pub oom_kills: bool,
    /// Where the kernel's log is read, which has the names of processes; where it cannot be, they are not known.
    pub kernel_log: PathBuf,
    /// What the machine is called, where the kernel tells us the name of our container. Not for people.
    #[serde(skip)]
    pub nodename: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            interval: Duration::from_secs(15),
            job: "node".to_owned(),
            procfs: "/proc".into(),
            sysfs: "/sys".into(),
            rootfs: "/".into(),
            filesystem: Filesystem::default(),
            diskstats: Diskstats::default(),
            netdev: Netdev::default(),
            ethtool: Ethtool::default(),
            oom_kills: true,
            kernel_log: "/dev/kmsg".into(),
            nodename: None,
        }
    }
}

/// Which file systems are asked for their size.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Filesystem {
    /// Mount points left out; a regular expression that may match anywhere.
    pub mount_points_exclude: Pattern,
    /// Types left out.
    pub fs_types_exclude: Pattern,
    /// How long a mount may take to answer before it is reported with `device_error="mountpoint timeout"`.
    #[serde(deserialize_with = "model::text::duration::deserialize")]
    pub mount_timeout: Duration,
}

impl Default for Filesystem {
    fn default() -> Self {
        Self {
            mount_points_exclude: Pattern::new(
                "^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|var/lib/containers/storage/.+)($|/)",
            ),
            fs_types_exclude: Pattern::new(concat!(
                "^(autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|fusectl|hugetlbfs|iso9660|",
                "mqueue|nsfs|overlay|proc|procfs|pstore|rpc_pipefs|securityfs|selinuxfs|squashfs|erofs|sysfs|",
                "tracefs)$"
            )),
            mount_timeout: Duration::from_secs(1),
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Diskstats {
    /// Block devices left out.
    pub device_exclude: Pattern,
}

impl Default for Diskstats {
    fn default() -> Self {
        Self {
            device_exclude: Pattern::new(r"^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$"),
        }
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Netdev {
    /// Network devices left out, of the counters and of the properties.
    pub device_exclude: Pattern,
}

/// What is shown of that which drivers of network devices count (`ethtool -S`). Devices are those of the network that the process is
/// in: of a pod its own, unless it has `hostNetwork`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ethtool {
    /// Network devices left out.
    pub device_exclude: Pattern,
    /// Counts that are shown, by the driver's names; a regular expression that may match anywhere, and the empty one shows nothing.
    pub metrics_include: Pattern,
}

impl Default for Ethtool {
    fn default() -> Self {
        Self {
            device_exclude: Pattern::default(),
            metrics_include: Pattern::new("_allowance_(exceeded|available)$"),
        }
    }
}

/// A regular expression, checked while the configuration is read; the empty one matches nothing.
#[derive(Clone, Debug, Default)]
pub struct Pattern(Option<regex::Regex>);

impl Pattern {
    /// Of text that is known to be right.
    fn new(text: &str) -> Self {
        Self(regex::Regex::new(text).ok())
    }

    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        self.0.as_ref().is_some_and(|regex| regex.is_match(text))
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() {
            return Ok(Self(None));
        }
        let regex =
            regex::Regex::new(&text).map_err(|error| D::Error::custom(last_line(&error.to_string())))?;
        Ok(Self(Some(regex)))
    }
}

/// A regex error draws its place over several lines and ends with the reason.
fn last_line(error: &str) -> String {
    let reason = error.lines().last().unwrap_or_default();
    format!(
        "not a regular expression: {}",
        reason.trim_start_matches("error: ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_node_exporter_leaves_out_is_left_out() {
        let config = Config::default();
        for device in ["loop0", "ram1", "zram0", "sda1", "xvda2", "nvme0n1p1", "fd0"] {
            assert!(config.diskstats.device_exclude.is_match(device), "{device}");
        }
        for device in ["sda", "vda", "nvme0n1", "dm-0", "md0"] {
            assert!(!config.diskstats.device_exclude.is_match(device), "{device}");
        }
        let filesystem = &config.filesystem;
        for point in [
            "/dev",
            "/dev/shm",
            "/proc",
            "/sys/fs/cgroup",
            "/var/lib/docker/overlay2",
        ] {
            assert!(filesystem.mount_points_exclude.is_match(point), "{point}");
        }
        for point in ["/", "/run", "/device", "/var/lib/docker", "/home"] {
            assert!(!filesystem.mount_points_exclude.is_match(point), "{point}");
        }
        for kind in ["proc", "cgroup2", "overlay", "squashfs"] {
            assert!(filesystem.fs_types_exclude.is_match(kind), "{kind}");
        }
        for kind in ["ext4", "xfs", "tmpfs", "nfs4"] {
            assert!(!filesystem.fs_types_exclude.is_match(kind), "{kind}");
        }
        assert!(!config.netdev.device_exclude.is_match("lo"));
    }
}
