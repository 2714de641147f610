//! Memory by use, every field that the kernel knows.

use model::Kind;

use super::{At, Collector, Roots, Trouble};
use crate::family::{Family, joined};
use crate::file::File;
use crate::known::Emit;
use crate::scan::{self, Malformed, Words};

static BYTES: Family = Family::named(
    Kind::Gauge,
    "node_memory_",
    "Bytes in the memory field",
    |words| joined(words).replace("__", "_").trim_end_matches('_').to_owned() + "_bytes",
);
static COUNT: Family = Family::named(Kind::Gauge, "node_memory_", "Value of the memory field", joined);

pub(crate) struct Meminfo {
    table: File,
}

impl Meminfo {
    pub(crate) fn new(roots: &Roots) -> Self {
        Self {
            table: roots.procfs("meminfo"),
        }
    }
}

impl Collector for Meminfo {
    fn name(&self) -> &'static str {
        "meminfo"
    }

    fn collect(&mut self, at: &mut At<'_>, emit: &mut Emit<'_>) -> Result<(), Trouble> {
        let text = self.table.read(at.buffer)?;
        for (nth, line) in scan::lines(&text) {
            match parse(nth, line)? {
                (field, value, true) => emit.put(&BYTES, &[field], value),
                (field, value, false) => emit.put(&COUNT, &[field], value),
            }
        }
        Ok(())
    }
}

/// One line: the field, its value, and whether that is in bytes.
pub(crate) fn parse(nth: usize, line: &str) -> Result<(&str, f64, bool), Malformed> {
    let mut words = Words::new(nth, line);
    let field = words.word()?;
    let field = field
        .strip_suffix(':')
        .ok_or_else(|| Malformed::new(nth, "a colon is missing"))?;
    let value = words.number()?;
    match words.next() {
        Some("kB") => Ok((field, value * 1024.0, true)),
        _ => Ok((field, value, false)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_named_as_node_exporter_does() {
        let text = include_str!("../fixtures/proc/meminfo");
        let named: Vec<(String, f64)> = scan::lines(text)
            .map(|(nth, line)| {
                let (field, value, bytes) = parse(nth, line).unwrap();
                (if bytes { &BYTES } else { &COUNT }.text(&[field]).0, value)
            })
            .collect();
        assert_eq!(
            named,
            [
                ("node_memory_MemTotal_bytes".to_owned(), 25_276_063_744.0),
                ("node_memory_MemAvailable_bytes".to_owned(), 24_708_419_584.0),
                ("node_memory_Active_anon_bytes".to_owned(), 1_609_728.0),
                ("node_memory_HugePages_Total".to_owned(), 3.0),
                ("node_memory_Hugepagesize_bytes".to_owned(), 2_097_152.0),
                ("node_memory_DirectMap2M_bytes".to_owned(), 2_126_512_128.0),
            ]
        );
        for line in ["MemTotal 5 kB", "MemTotal:", "MemTotal: x kB"] {
            assert!(parse(1, line).is_err(), "{line}");
        }
    }
}
