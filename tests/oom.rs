//! A process that the kernel really ends for want of memory, in a cgroup such as a kubelet makes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use node::oom::{Kill, Watch};

const UID: &str = "0c0ffee0-1111-4222-8333-444455556666";
const LIMIT_BYTES: u64 = 24 << 20;
const PATIENCE: Duration = Duration::from_secs(20);

/// Goes when the test ends, however it ends: pod and container, and the folder above only if nobody else is in it.
pub(crate) struct Container {
    above: PathBuf,
    pub(crate) id: String,
}

impl Container {
    /// None, loudly, where this machine does not let us.
    pub(crate) fn new() -> Option<Self> {
        Self::of(UID)
    }

    pub(crate) fn of(uid: &str) -> Option<Self> {
        let mounted = Path::new("/sys/fs/cgroup");
        let (root, limit) = match mounted.join("cgroup.controllers").exists() {
            true => (mounted.to_owned(), "memory.max"),
            false => (mounted.join("memory"), "memory.limit_in_bytes"),
        };
        let id: String = (0..64).map(|_| fastrand::char('0'..='9')).collect();
        let above = root.join(format!("skopos-test-{}-{}", std::process::id(), &id[..8]));
        let container = Self { above, id };
        let folder = container.folder(uid);
        let made = fs::create_dir_all(&folder).and_then(|()| {
            if limit == "memory.max" {
                for part in folder
                    .ancestors()
                    .skip(1)
                    .take_while(|part| part.starts_with(&container.above))
                {
                    fs::write(part.join("cgroup.subtree_control"), "+memory")?;
                }
            }
            fs::write(folder.join(limit), LIMIT_BYTES.to_string())
        });
        match made {
            Ok(()) => Some(container),
            Err(error) => {
                programs::skipped(&format!("a cgroup of our own, with a limit of memory ({error})"));
                None
            }
        }
    }

    fn folder(&self, uid: &str) -> PathBuf {
        self.above
            .join(format!("kubepods/burstable/pod{uid}/{}", self.id))
    }

    /// A shell in it whose child takes more than there is; the shell goes on and says how the child ended.
    pub(crate) fn eat(&self, uid: &str) {
        let script = format!(
            "echo $$ > '{}/cgroup.procs' && tail /dev/zero; echo ended with $?",
            self.folder(uid).display()
        );
        let said = Command::new("sh").args(["-c", &script]).output().unwrap();
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        assert!(said.contains("ended with 137"), "{said}");
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // The deepest first; a cgroup goes only when nothing is in it any more.
        let _gone = Command::new("find")
            .args([
                self.above.as_os_str(),
                "-depth".as_ref(),
                "-type".as_ref(),
                "d".as_ref(),
            ])
            .args(["-exec", "rmdir", "{}", ";"])
            .output();
    }
}

/// The kernel's log, if it may be read and names cgroups by their whole path.
pub(crate) fn kernel_log() -> Option<&'static Path> {
    let namespace = fs::read_link("/proc/self/ns/cgroup").unwrap_or_default();
    let path = Path::new("/dev/kmsg");
    if namespace.as_os_str() == "cgroup:[4026531835]" && fs::File::open(path).is_ok() {
        return Some(path);
    }
    programs::skipped("the kernel's log, which alone has the names of processes that were killed");
    None
}

fn told(watch: &mut Watch, id: &str) -> Vec<Kill> {
    let begun = Instant::now();
    loop {
        let kills: Vec<Kill> = watch
            .look()
            .into_iter()
            .filter(|kill| kill.container_id == id)
            .collect();
        if !kills.is_empty() {
            return kills;
        }
        assert!(begun.elapsed() < PATIENCE, "no kill is seen");
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

#[test]
fn a_child_that_the_kernel_kills_is_told_of_with_limit_and_usage() {
    let Some(container) = Container::new() else { return };
    // By its count alone.
    let mut watch = Watch::new(Path::new("/sys"), Path::new("/nowhere/kmsg"));
    assert!(watch.look().iter().all(|kill| kill.container_id != container.id));
    container.eat(UID);
    let kills = told(&mut watch, &container.id);
    println!("{kills:?}");
    let [kill] = kills.as_slice() else {
        panic!("{kills:?}")
    };
    assert_eq!((kill.count, kill.pod_uid.as_str()), (1, UID));
    assert_eq!(kill.limit_bytes, Some(LIMIT_BYTES));
    assert!(
        kill.usage_bytes.is_some_and(|usage| usage > LIMIT_BYTES / 10 * 9),
        "{kill:?}"
    );
    assert_eq!(kill.process, None);
    assert!(watch.look().iter().all(|kill| kill.container_id != container.id));

    // And by the kernel's log, with the name of the process.
    let Some(log) = kernel_log() else { return };
    let mut watch = Watch::new(Path::new("/sys"), log);
    assert_eq!(watch.log_error(), "");
    watch.look();
    container.eat(UID);
    let kills = told(&mut watch, &container.id);
    println!("{kills:?}");
    let [kill] = kills.as_slice() else {
        panic!("{kills:?}")
    };
    let process = kill.process.as_ref().unwrap();
    assert_eq!(
        (process.name.as_str(), kill.count, kill.pod_uid.as_str()),
        ("tail", 1, UID)
    );
    assert_eq!(kill.limit_bytes, Some(LIMIT_BYTES));
    assert!(
        process.pid > 1 && process.own_bytes.is_some_and(|bytes| bytes > 1 << 20),
        "{kill:?}"
    );
    assert!(watch.look().iter().all(|kill| kill.container_id != container.id));
}
