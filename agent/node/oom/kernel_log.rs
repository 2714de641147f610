//! What the kernel says when it ends a process for want of memory: some twenty lines, of which three tell what, where and how much.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::Kill;
use super::cgroup::{container_id, is_limit, pod_uid};

/// A record of `/dev/kmsg` is shorter.
const RECORD_BYTES_MAX: usize = 8 << 10;
/// Records of one look; what is more comes with the next one.
const RECORDS_MAX: usize = 10_000;

/// A process that was ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// At most 15 letters, as the kernel knows it.
    pub name: String,
    pub pid: u32,
    /// What it had itself, beside the others of its cgroup.
    pub own_bytes: Option<u64>,
}

pub(super) struct Log {
    file: File,
    reader: Reader,
}

impl Log {
    /// From here on.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(path)?;
        file.seek(SeekFrom::End(0))?;
        Ok(Self {
            file,
            reader: Reader::default(),
        })
    }

    pub(super) fn read(&mut self) -> Vec<Kill> {
        let (mut kills, mut record) = (Vec::new(), vec![0; RECORD_BYTES_MAX]);
        for _ in 0..RECORDS_MAX {
            let length = match self.file.read(&mut record) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                // Records were overwritten before they were read: it goes on with the oldest that is there.
                Err(error) if error.raw_os_error() == Some(libc::EPIPE) => continue,
                // There is no more.
                Err(_) => break,
            };
            let text = String::from_utf8_lossy(record.get(..length).unwrap_or_default());
            // `6,1234,987654321,-;the message`, and lines that begin with a blank.
            let message = text.split_once(';').map_or("", |(_, message)| message);
            kills.extend(self.reader.line(message.lines().next().unwrap_or_default()));
        }
        kills
    }
}

/// Kills that lines of the kernel's log tell of, in their order.
pub fn kills<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<Kill> {
    let mut reader = Reader::default();
    lines.filter_map(|line| reader.line(line)).collect()
}

/// Puts the lines of one kill together.
#[derive(Default)]
struct Reader {
    usage_bytes: Option<u64>,
    limit_bytes: Option<u64>,
    pod_uid: String,
    container_id: String,
}

impl Reader {
    /// A kill, with its last line.
    fn line(&mut self, line: &str) -> Option<Kill> {
        if line.contains(" invoked oom-killer:") {
            *self = Self::default();
        } else if let Some(rest) = line.strip_prefix("memory: usage ") {
            // `32768kB, limit 32768kB, failcnt 35`
            let (usage, rest) = rest.split_once("kB, limit ")?;
            self.usage_bytes = kilobytes(usage);
            self.limit_bytes = kilobytes(rest).filter(|limit| is_limit(*limit));
        } else if let Some(rest) = line.strip_prefix("oom-kill:") {
            // `constraint=CONSTRAINT_MEMCG,…,task_memcg=/kubepods/…,task=tail,pid=412,uid=0`
            let place = rest.split_once("task_memcg=").map_or("", |(_, rest)| rest);
            let place = place.rsplit_once(",task=").map_or("", |(place, _)| place);
            let place = Path::new(place);
            (self.pod_uid, self.container_id) = (pod_uid(place), container_id(place).unwrap_or_default());
            // The memory of the machine, and no limit of a container.
            if !rest.contains("constraint=CONSTRAINT_MEMCG") {
                (self.usage_bytes, self.limit_bytes) = (None, None);
            }
        } else if let Some((_, rest)) = line.split_once("Killed process ").filter(|_| is_end(line)) {
            return self.end(rest);
        }
        None
    }

    /// `412 (tail) total-vm:…kB, anon-rss:31724kB, file-rss:…kB, shmem-rss:0kB, UID:0 …`
    fn end(&mut self, rest: &str) -> Option<Kill> {
        let told = std::mem::take(self);
        let (pid, rest) = rest.split_once(" (")?;
        // A name may hold brackets.
        let (name, rest) = rest.split_once(") total-vm:")?;
        let parts = ["anon-rss:", "file-rss:", "shmem-rss:"];
        let parts = parts
            .iter()
            .filter_map(|part| kilobytes(rest.split_once(part)?.1));
        let own = parts.fold(None, |sum: Option<u64>, bytes| {
            Some(sum.unwrap_or(0).saturating_add(bytes))
        });
        Some(Kill {
            pod_uid: told.pod_uid,
            container_id: told.container_id,
            count: 1,
            process: Some(Process {
                name: name.to_owned(),
                pid: pid.trim().parse().ok()?,
                own_bytes: own,
            }),
            usage_bytes: told.usage_bytes,
            limit_bytes: told.limit_bytes,
        })
    }
}

/// Not what a program has written there in the kernel's words.
fn is_end(line: &str) -> bool {
    line.starts_with("Memory cgroup out of memory: ")
        || line.starts_with("Out of memory: ")
        || line.starts_with("Out of memory (oom_kill_allocating_task): ")
}

fn kilobytes(text: &str) -> Option<u64> {
    let digits = text.trim_start();
    let end = digits
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(digits.len());
    digits.get(..end)?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a kernel of 6.18 has it, without what is passed over.
    const LINES: &str = "\
sh invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=969
CPU: 1 UID: 0 PID: 411 Comm: sh Not tainted 6.18.44 #1
memory: usage 32768kB, limit 32768kB, failcnt 35
swap: usage 0kB, limit 9007199254740988kB, failcnt 0
Memory cgroup stats for /kubepods/burstable/poda1b2/ID:
oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=ID,mems_allowed=0,oom_memcg=/kubepods/burstable/poda1b2/ID,task_memcg=/kubepods/burstable/poda1b2/ID,task=my,(task=),pid=412,uid=0
Memory cgroup out of memory: Killed process 412 (my,(task=)) total-vm:33220kB, anon-rss:31000kB, file-rss:700kB, shmem-rss:24kB, UID:0 pgtables:100kB oom_score_adj:969";

    #[test]
    fn a_kill_is_told_by_its_last_line_with_what_the_ones_before_it_said() {
        let id = "b".repeat(64);
        let told = kills(LINES.replace("ID", &id).lines());
        let kill = Kill {
            pod_uid: "a1b2".to_owned(),
            container_id: id,
            count: 1,
            process: Some(Process {
                name: "my,(task=)".to_owned(),
                pid: 412,
                own_bytes: Some(31_724 << 10),
            }),
            usage_bytes: Some(32 << 20),
            limit_bytes: Some(32 << 20),
        };
        assert_eq!(told, [kill]);
    }

    #[test]
    fn a_kill_of_the_machine_has_no_limit_and_one_of_an_older_kernel_no_place() {
        let mut reader = Reader::default();
        let lines = "\
python invoked oom-killer: gfp_mask=0x100cca(GFP_HIGHUSER_MOVABLE), order=0, oom_score_adj=0
oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task_memcg=/system.slice/db.service,task=db,pid=7,uid=1
Out of memory: Killed process 7 (db) total-vm:9kB, anon-rss:8kB, file-rss:0kB, shmem-rss:0kB, UID:1";
        let told = kills(lines.lines());
        let process = told[0].process.as_ref().unwrap();
        assert_eq!(
            (process.name.as_str(), process.pid, process.own_bytes),
            ("db", 7, Some(8192))
        );
        assert_eq!((told[0].limit_bytes, told[0].container_id.as_str()), (None, ""));
        for other in [
            "a program says: Killed process 7 (db) total-vm:9kB",
            "Memory cgroup out of memory: Killed process x (db) total-vm:9kB",
            "Memory cgroup out of memory: Killed process",
            "memory: usage",
            "oom-kill:",
            "",
        ] {
            assert_eq!(reader.line(other), None, "{other}");
        }
    }
}
