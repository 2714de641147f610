//! Paging, page faults and out-of-memory kills.

use model::Kind;

use super::{At, Collector, Roots, Trouble};
use crate::family::{Family, joined};
use crate::file::File;
use crate::known::Emit;
use crate::scan::{self, Malformed, Words};

static COUNT: Family = Family::named(Kind::Unknown, "node_vmstat_", "Virtual memory counter", joined);

pub(crate) struct Vmstat {
    table: File,
}

impl Vmstat {
    pub(crate) fn new(roots: &Roots) -> Self {
        Self {
            table: roots.procfs("vmstat"),
        }
    }
}

impl Collector for Vmstat {
    fn name(&self) -> &'static str {
        "vmstat"
    }

    fn collect(&mut self, at: &mut At<'_>, emit: &mut Emit<'_>) -> Result<(), Trouble> {
        let text = self.table.read(at.buffer)?;
        parse(&text, |name, value| emit.put(&COUNT, &[name], value))?;
        Ok(())
    }
}

fn parse(text: &str, mut each: impl FnMut(&str, f64)) -> Result<(), Malformed> {
    for (nth, line) in scan::lines(text) {
        let mut words = Words::new(nth, line);
        let name = words.word()?;
        if is_wanted(name) {
            each(name, words.number()?);
        }
    }
    Ok(())
}

/// node_exporter's default choice: `^(oom_kill|pgpg|pswp|pg.*fault).*`.
fn is_wanted(name: &str) -> bool {
    name.starts_with("oom_kill")
        || name.starts_with("pgpg")
        || name.starts_with("pswp")
        || name.strip_prefix("pg").is_some_and(|rest| rest.contains("fault"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_default_choice_is_node_exporters() {
        let mut seen = Vec::new();
        let text = include_str!("../fixtures/proc/vmstat");
        super::parse(text, |name, value| seen.push(format!("{name} {value}"))).unwrap();
        assert_eq!(
            seen,
            [
                "pgpgin 2672081",
                "pswpin 1",
                "pgfault 16518575",
                "pgmajfault 1925",
                "oom_kill 2"
            ]
        );
        assert!(super::parse("pgfault many\n", |_, _| {}).is_err());
    }
}
