//! Load averages.

use super::{At, Collector, Roots, Trouble};
use crate::family::Family;
use crate::file::File;
use crate::known::Emit;
use crate::scan::{Malformed, Words};

static LOADS: [Family; 3] = [
    Family::gauge("node_load1", "Load average over 1 minute.", &[]),
    Family::gauge("node_load5", "Load average over 5 minutes.", &[]),
    Family::gauge("node_load15", "Load average over 15 minutes.", &[]),
];

pub(crate) struct Loadavg {
    loads: File,
}

impl Loadavg {
    pub(crate) fn new(roots: &Roots) -> Self {
        Self {
            loads: roots.procfs("loadavg"),
        }
    }
}

impl Collector for Loadavg {
    fn name(&self) -> &'static str {
        "loadavg"
    }

    fn collect(&mut self, at: &mut At<'_>, emit: &mut Emit<'_>) -> Result<(), Trouble> {
        let loads = parse(&self.loads.read(at.buffer)?)?;
        for (family, load) in LOADS.iter().zip(loads) {
            emit.put(family, &[], load);
        }
        Ok(())
    }
}

fn parse(text: &str) -> Result<[f64; 3], Malformed> {
    let mut words = Words::new(1, text);
    Ok([words.number()?, words.number()?, words.number()?])
}

#[cfg(test)]
mod tests {
    #[test]
    fn three_averages_come_first() {
        assert_eq!(super::parse("1.77 1.00 0.86 3/99 17154\n"), Ok([1.77, 1.0, 0.86]));
        assert!(super::parse("").is_err());
        assert!(super::parse("1 nan 3").is_err());
    }
}
