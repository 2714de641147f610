//! Open files of the whole machine.

use super::{At, Collector, Roots, Trouble};
use crate::family::Family;
use crate::file::File;
use crate::known::Emit;
use crate::scan::{Malformed, Words};

static ALLOCATED: Family = Family::gauge("node_filefd_allocated", "File handles in use.", &[]);
static MAXIMUM: Family = Family::gauge("node_filefd_maximum", "File handles at most.", &[]);

pub(crate) struct Filefd {
    counts: File,
}

impl Filefd {
    pub(crate) fn new(roots: &Roots) -> Self {
        Self {
            counts: roots.procfs("sys/fs/file-nr"),
        }
    }
}

impl Collector for Filefd {
    fn name(&self) -> &'static str {
        "filefd"
    }

    fn collect(&mut self, at: &mut At<'_>, emit: &mut Emit<'_>) -> Result<(), Trouble> {
        let (allocated, maximum) = parse(&self.counts.read(at.buffer)?)?;
        emit.put(&ALLOCATED, &[], allocated);
        emit.put(&MAXIMUM, &[], maximum);
        Ok(())
    }
}

/// Allocated, a zero that once meant something, maximum.
fn parse(text: &str) -> Result<(f64, f64), Malformed> {
    let mut words = Words::new(1, text);
    let allocated = words.number()?;
    words.skip(1);
    Ok((allocated, words.number()?))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_middle_is_skipped() {
        assert_eq!(super::parse("487\t0\t2466174\n"), Ok((487.0, 2_466_174.0)));
        // The kernel's "no limit" is more than a float counts exactly, and still a number.
        assert!(super::parse("487\t0\t9223372036854775807\n").is_ok());
        assert!(super::parse("487\t0\n").is_err());
    }
}
