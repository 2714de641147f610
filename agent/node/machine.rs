//! The machine in a few words: `Debian 12, Linux 6.18, 2 cores, 24 GiB`.

use crate::collect::{self, os::Release};
use crate::config::Config;
use crate::file::{Buffer, File};
use crate::scan;

/// Says what can be read and leaves out what cannot.
pub(crate) fn summary(config: &Config) -> String {
    let mut buffer = Buffer::default();
    let mut parts = Vec::new();
    if let Ok(release) = Release::new(&config.rootfs).read(&mut buffer) {
        let word = |key: &str| release.get(key).map_or("", String::as_str);
        let name = word("NAME").trim_end_matches(" GNU/Linux");
        parts.push(format!("{name} {}", word("VERSION_ID")).trim().to_owned());
    }
    let uname = rustix::system::uname();
    parts.push(format!(
        "{} {}",
        uname.sysname().to_string_lossy(),
        short(&uname.release().to_string_lossy())
    ));
    if let Ok(text) = File::new(config.procfs.join("stat")).read(&mut buffer) {
        parts.push(cores(&text));
    }
    if let Ok(text) = File::new(config.procfs.join("meminfo")).read(&mut buffer) {
        parts.push(memory(&text));
    }
    parts.retain(|part| !part.is_empty());
    parts.join(", ")
}

/// `6.18` of `6.18.44-cloud`.
fn short(release: &str) -> String {
    release.split(['.', '-']).take(2).collect::<Vec<_>>().join(".")
}

fn cores(stat: &str) -> String {
    let is_core = |line: &&str| {
        line.strip_prefix("cpu")
            .is_some_and(|rest| !rest.starts_with(' '))
    };
    match stat.lines().filter(is_core).count() {
        0 => String::new(),
        1 => "1 core".to_owned(),
        count => format!("{count} cores"),
    }
}

fn memory(meminfo: &str) -> String {
    let total = scan::lines(meminfo)
        .filter_map(|(nth, line)| collect::meminfo::parse(nth, line).ok())
        .find(|(field, ..)| *field == "MemTotal");
    let Some((_, bytes, _)) = total else {
        return String::new();
    };
    let gib = bytes / f64::from(1 << 30);
    // Nobody says 31.3 GiB of a machine, but 3.8 of a small one.
    if gib >= 10.0 {
        format!("{gib:.0} GiB")
    } else {
        model::text::bytes(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_summed_up() {
        assert_eq!(short("6.18.44-cloud-amd64"), "6.18");
        assert_eq!(cores("cpu  1 2\ncpu0 1\ncpu1 1\nintr 5\n"), "2 cores");
        assert_eq!(memory("MemTotal:       24683656 kB\n"), "24 GiB");
        assert_eq!(memory("MemTotal:       3984588 kB\n"), "3.8 GiB");
        assert_eq!(memory("garbage"), "");
    }
}
