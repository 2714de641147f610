//! Sizes of mounted file systems. A mount that cannot be asked says why in the label `device_error`.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{At, Collector, Roots, Trouble};
use crate::config::{self, Config};
use crate::family::Family;
use crate::file::File;
use crate::known::Emit;
use crate::scan::{self, Malformed, Words};
use crate::statfs::{Answer, Statfs};

const LABELS: &[&str] = &["device", "device_error", "fstype", "mountpoint"];

static ERROR: Family = Family::gauge(
    "node_filesystem_device_error",
    "Whether its sizes could not be read.",
    LABELS,
);
static READONLY: Family = Family::gauge(
    "node_filesystem_readonly",
    "Whether it cannot be written to.",
    LABELS,
);
static SIZE: Family = Family::gauge("node_filesystem_size_bytes", "Size of the file system.", LABELS);
static FREE: Family = Family::gauge("node_filesystem_free_bytes", "Bytes not in use.", LABELS);
static AVAIL: Family = Family::gauge(
    "node_filesystem_avail_bytes",
    "Bytes that users without rights may use.",
    LABELS,
);
static FILES: Family = Family::gauge("node_filesystem_files", "Files that it can hold.", LABELS);
static FILES_FREE: Family = Family::gauge(
    "node_filesystem_files_free",
    "Files that it can hold still.",
    LABELS,
);
static INFO: Family = Family::gauge(
    "node_filesystem_mount_info",
    "Device numbers of a mount; always 1.",
    &["device", "major", "minor", "mountpoint"],
);

pub(crate) struct Filesystem {
    /// Of the first process, or of this one where that is hidden.
    tables: [File; 2],
    rootfs: PathBuf,
    config: config::Filesystem,
    statfs: Statfs,
    /// The table as last read, and what it says: mounts change rarely.
    text: String,
    mounts: Vec<Mount>,
    paths: Vec<Arc<Path>>,
}

impl Filesystem {
    pub(crate) fn new(roots: &Roots, config: &Config) -> Self {
        Self {
            tables: [roots.procfs("1/mountinfo"), roots.procfs("self/mountinfo")],
            rootfs: config.rootfs.clone(),
            config: config.filesystem.clone(),
            statfs: Statfs::new(config.filesystem.mount_timeout),
            text: String::new(),
            mounts: Vec::new(),
            paths: Vec::new(),
        }
    }

    fn look(&mut self, at: &mut At<'_>) -> Result<(), Trouble> {
        let [first, own] = &mut self.tables;
        let text = match first.read(at.buffer) {
            Ok(text) => text,
            Err(_) => own.read(at.buffer)?,
        };
        if text == self.text.as_str() {
            return Ok(());
        }
        let mut mounts = parse(&text)?;
        for mount in &mut mounts {
            mount.point = outside(&self.rootfs, &mount.point);
        }
        let config = &self.config;
        mounts.retain(|mount| {
            !config.mount_points_exclude.is_match(&mount.point)
                && !config.fs_types_exclude.is_match(&mount.kind)
        });
        // What is mounted twice on one place gives its sizes once.
        let mut seen = HashSet::new();
        mounts.retain(|mount| seen.insert((mount.device.clone(), mount.kind.clone(), mount.point.clone())));
        self.paths = mounts
            .iter()
            .map(|mount| inside(&self.rootfs, &mount.point))
            .collect();
        self.mounts = mounts;
        self.text = text.into_owned();
        Ok(())
    }
}

impl Collector for Filesystem {
    fn name(&self) -> &'static str {
        "filesystem"
    }

    fn collect(&mut self, at: &mut At<'_>, emit: &mut Emit<'_>) -> Result<(), Trouble> {
        self.look(at)?;
        for (mount, answer) in self.mounts.iter().zip(self.statfs.all(&self.paths)) {
            let error = match &answer {
                Answer::Error(error) => error.as_str(),
                Answer::Sizes(_) => "",
            };
            let labels = [mount.device.as_str(), error, &mount.kind, &mount.point];
            emit.put(&ERROR, &labels, f64::from(!error.is_empty()));
            emit.put(&READONLY, &labels, f64::from(mount.readonly));
            let Answer::Sizes(sizes) = answer else {
                continue;
            };
            emit.put(&SIZE, &labels, sizes.size_bytes);
            emit.put(&FREE, &labels, sizes.free_bytes);
            emit.put(&AVAIL, &labels, sizes.avail_bytes);
            emit.put(&FILES, &labels, sizes.files);
            emit.put(&FILES_FREE, &labels, sizes.files_free);
            emit.put(
                &INFO,
                &[&mount.device, &mount.major, &mount.minor, &mount.point],
                1.0,
            );
        }
        Ok(())
    }
}

/// The mount point as the host sees it, when its root is mounted at `rootfs` here.
fn outside(rootfs: &Path, point: &str) -> String {
    let root = rootfs.to_string_lossy();
    if root == "/" {
        return point.to_owned();
    }
    match point.strip_prefix(&*root) {
        Some("") => "/".to_owned(),
        Some(rest) if rest.starts_with('/') => rest.to_owned(),
        _ => point.to_owned(),
    }
}

/// Where that mount point is reached from here.
fn inside(rootfs: &Path, point: &str) -> Arc<Path> {
    rootfs.join(point.trim_start_matches('/')).into()
}

#[derive(Clone, Debug, PartialEq)]
struct Mount {
    major: String,
    minor: String,
    point: String,
    kind: String,
    device: String,
    readonly: bool,
}

/// `mountinfo`: ids, device numbers, root, point, options, optional fields, `-`, type, device, options.
fn parse(text: &str) -> Result<Vec<Mount>, Malformed> {
    scan::lines(text)
        .map(|(nth, line)| {
            let mut words = Words::new(nth, line);
            words.skip(2);
            let (major, minor) = words
                .word()?
                .split_once(':')
                .ok_or_else(|| Malformed::new(nth, "device numbers are missing"))?;
            words.skip(1);
            let point = unescaped(words.word()?);
            let options = words.word()?;
            while words.word()? != "-" {}
            let kind = words.word()?.to_owned();
            let device = words.word()?.to_owned();
            let readonly = has(options, &["ro"]) || has(words.word()?, &["ro", "emergency_ro"]);
            Ok(Mount {
                major: major.to_owned(),
                minor: minor.to_owned(),
                point,
                kind,
                device,
                readonly,
            })
        })
        .collect()
}

fn has(options: &str, wanted: &[&str]) -> bool {
    options.split(',').any(|option| wanted.contains(&option))
}

/// The kernel writes blanks and backslashes of a path in octal.
fn unescaped(path: &str) -> String {
    const ESCAPES: [(&str, &str); 4] = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    if !path.contains('\\') {
        return path.to_owned();
    }
    let replaced = |path: String, (escape, letter): &(&str, &str)| path.replace(escape, letter);
    ESCAPES.iter().fold(path.to_owned(), replaced)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_read_with_their_optional_fields() {
        let mounts = parse(include_str!("../fixtures/proc/1/mountinfo")).unwrap();
        let seen: Vec<_> = mounts
            .iter()
            .map(|mount| (&*mount.device, &*mount.point, &*mount.kind, mount.readonly))
            .collect();
        assert_eq!(
            seen,
            [
                ("proc", "/proc", "proc", false),
                ("/dev/vda1", "/", "ext4", false),
                ("/dev/sdb1", "/mnt/two words", "xfs", true),
                ("tmpfs", "/run", "tmpfs", false),
                ("tmpfs", "/run", "tmpfs", false),
                ("/dev/vda2", "/boot", "ext4", true),
            ]
        );
        assert_eq!((&*mounts[1].major, &*mounts[1].minor), ("254", "1"));
        assert!(parse("22 27 0:21 / /proc rw shared:1 proc proc rw\n").is_err());
        assert!(parse("22 27 none / /proc rw - proc proc rw\n").is_err());
    }

    #[test]
    fn the_host_root_is_cut_from_mount_points() {
        let root = Path::new("/host");
        for (here, there) in [
            ("/host", "/"),
            ("/host/boot", "/boot"),
            ("/hostile", "/hostile"),
            ("/run", "/run"),
        ] {
            assert_eq!(outside(root, here), there);
        }
        assert_eq!(&*inside(root, "/boot"), Path::new("/host/boot"));
        assert_eq!(&*inside(Path::new("/"), "/"), Path::new("/"));
    }
}
