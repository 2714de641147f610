//! What is read, from where, and how much of it is kept. Works when left empty.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

/// The section `logs:`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Whether log files are read at all.
    pub enabled: bool,
    /// Plain files, one record a line: globs with `*`, `?`, `[a-z]` and, for any depth of folders, `**`.
    pub files: Vec<String>,
    /// Where the kubelet puts container logs: `<root>/<namespace>_<pod>_<uid>/<container>/<n>.log`, CRI format.
    /// Need not exist; empty means that none are read.
    pub containers: PathBuf,
    /// Globs of paths that are never read. The agent's own data and its own output never are anyway.
    pub exclude: Vec<String>,
    /// Longest line kept, in bytes; the rest is cut, marked with the line's length, and counted.
    pub line_bytes_max: usize,
    /// Where plain files that are older than the agent's first start are read from. Files that appear later, and
    /// all container logs, are read from their first byte.
    pub read_from: ReadFrom,
    /// How much is kept on disk, and for how long.
    pub retention: Retention,
    /// Size at which a segment is closed and the next one begun; retention drops whole segments.
    pub segment_bytes: u64,
    /// Whether frames are compressed (deflate, level 1): about a fifth of the disk, four times the CPU.
    pub compress: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReadFrom {
    /// The last 1 MiB: enough to see what led here, without years of old logs.
    #[default]
    Recent,
    Beginning,
    /// Only what is written from now on.
    End,
}

/// Whichever is reached first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// Bytes of all segments together.
    pub size: u64, // retention.size: 1073741824
    /// Age of the newest line of a segment.
    #[serde(deserialize_with = "model::text::duration::deserialize")]
    pub time: Duration, // retention.time: 7d
}

impl Default for Config {
    fn default() -> Self {
        let files = ["/var/log/*.log", "/var/log/syslog", "/var/log/messages"];
        Self {
            enabled: true,
            files: files.map(str::to_owned).to_vec(),
            containers: PathBuf::from("/var/log/pods"),
            exclude: Vec::new(),
            line_bytes_max: 1 << 20,
            read_from: ReadFrom::default(),
            retention: Retention::default(),
            segment_bytes: 16 << 20,
            compress: false,
        }
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            size: 1 << 30,
            time: Duration::from_secs(7 * 86_400),
        }
    }
}

impl Config {
    /// # Errors
    /// A sentence naming the value that cannot work.
    pub fn check(&self) -> Result<(), String> {
        for glob in self.files.iter().chain(&self.exclude) {
            if !glob.starts_with('/') {
                return Err(format!("{glob:?} in logs is not an absolute path"));
            }
        }
        if !(64..=64 << 20).contains(&self.line_bytes_max) {
            return Err("logs.line_bytes_max is not between 64 and 67108864".to_owned());
        }
        if !(64 << 10..=1 << 30).contains(&self.segment_bytes) {
            return Err("logs.segment_bytes is not between 65536 and 1073741824".to_owned());
        }
        if self.retention.size < 2 * self.segment_bytes {
            return Err("logs.retention.size is less than two segments".to_owned());
        }
        Ok(())
    }
}
