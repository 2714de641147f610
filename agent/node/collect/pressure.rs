//! Time lost to waiting for processors, I/O and memory (PSI).

use super::{At, Collector, Roots, Trouble};
use crate::family::Family;
use crate::file::File;
use crate::known::Emit;
use crate::scan::{self, Malformed, Words};

const MICROSECONDS: f64 = 1000.0;

static CPU: Family = Family::counter(
    "node_pressure_cpu_waiting_seconds_total",
    "Time with a task waiting for a processor.",
    &[],
);
static IO: Family = Family::counter(
    "node_pressure_io_waiting_seconds_total",
    "Time with a task waiting for I/O.",
    &[],
);
static IO_FULL: Family = Family::counter(
    "node_pressure_io_stalled_seconds_total",
    "Time with all tasks waiting for I/O.",
    &[],
);
static MEMORY: Family = Family::counter(
    "node_pressure_memory_waiting_seconds_total",
    "Time with a task waiting for memory.",
    &[],
);
static MEMORY_FULL: Family = Family::counter(
    "node_pressure_memory_stalled_seconds_total",
    "Time with all tasks waiting for memory.",
    &[],
);
static IRQ_FULL: Family = Family::counter(
    "node_pressure_irq_stalled_seconds_total",
    "Time with all tasks held up by interrupts.",
    &[],
);

/// File, and the families of its lines `some` and `full`. That all tasks wait for a processor means nothing.
static RESOURCES: [(&str, Option<&Family>, Option<&Family>); 4] = [
    ("cpu", Some(&CPU), None),
    ("io", Some(&IO), Some(&IO_FULL)),
    ("memory", Some(&MEMORY), Some(&MEMORY_FULL)),
    ("irq", None, Some(&IRQ_FULL)),
];

pub(crate) struct Pressure {
    files: [File; RESOURCES.len()],
}

impl Pressure {
    pub(crate) fn new(roots: &Roots) -> Self {
        Self {
            files: RESOURCES.map(|(resource, ..)| roots.procfs(&format!("pressure/{resource}"))),
        }
    }
}

impl Collector for Pressure {
    fn name(&self) -> &'static str {
        "pressure"
    }

    fn collect(&mut self, at: &mut At<'_>, emit: &mut Emit<'_>) -> Result<(), Trouble> {
        let mut missing = None;
        let mut found = false;
        for ((_, some, full), file) in RESOURCES.iter().zip(&mut self.files) {
            let totals = match file.read(at.buffer) {
                Ok(text) => parse(&text)?,
                // Absent from old kernels, and refused where the kernel was started without it.
                Err(error) if error.is_silent() => {
                    missing.get_or_insert(error);
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            found = true;
            for (family, seconds) in [(some, totals.some), (full, totals.full)] {
                if let (Some(family), Some(seconds)) = (family, seconds) {
                    emit.put(family, &[], seconds);
                }
            }
        }
        match missing {
            Some(error) if !found => Err(Trouble::Absent(error.to_string())),
            _ => Ok(()),
        }
    }
}

#[derive(Debug, Default, PartialEq)]
struct Totals {
    some: Option<f64>,
    full: Option<f64>,
}

/// `some avg10=0.00 avg60=0.00 avg300=0.00 total=91942482`, in microseconds.
fn parse(text: &str) -> Result<Totals, Malformed> {
    let mut totals = Totals::default();
    for (nth, line) in scan::lines(text) {
        let mut words = Words::new(nth, line);
        let place = match words.word()? {
            "some" => &mut totals.some,
            "full" => &mut totals.full,
            _ => continue,
        };
        while let Some(word) = words.next() {
            if let Some(total) = word.strip_prefix("total=") {
                *place = Some(scan::number(nth, total)? / MICROSECONDS / MICROSECONDS);
            }
        }
    }
    Ok(totals)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_seconds() {
        let totals = parse(include_str!("../fixtures/proc/pressure/io")).unwrap();
        assert_eq!(
            totals,
            Totals {
                // Divided twice, as node_exporter does, to have its rounding.
                some: Some(21_783.422 / MICROSECONDS),
                full: Some(15.980_53)
            }
        );
        assert_eq!(parse("").unwrap(), Totals::default());
        assert!(parse("some total=x").is_err());
    }
}
