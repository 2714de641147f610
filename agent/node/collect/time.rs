//! The machine's clock, and what drives it.

use super::{At, Collector, Roots, Trouble};
use crate::family::Family;
use crate::file::File;
use crate::known::Emit;

static SECONDS: Family = Family::gauge("node_time_seconds", "The clock, in Unix time.", &[]);
static AVAILABLE: Family = Family::gauge(
    "node_time_clocksource_available_info",
    "A clock source that could be used; always 1.",
    &["device", "clocksource"],
);
static CURRENT: Family = Family::gauge(
    "node_time_clocksource_current_info",
    "The clock source in use; always 1.",
    &["device", "clocksource"],
);

/// There has never been a second one.
const DEVICE: &str = "0";

pub(crate) struct Time {
    available: File,
    current: File,
}

impl Time {
    pub(crate) fn new(roots: &Roots) -> Self {
        let file = |name| File::new(roots.sysfs("devices/system/clocksource/clocksource0").join(name));
        Self {
            available: file("available_clocksource"),
            current: file("current_clocksource"),
        }
    }
}

impl Collector for Time {
    fn name(&self) -> &'static str {
        "time"
    }

    fn collect(&mut self, at: &mut At<'_>, emit: &mut Emit<'_>) -> Result<(), Trouble> {
        emit.put(&SECONDS, &[], at.now.seconds());
        for (family, file) in [(&AVAILABLE, &mut self.available), (&CURRENT, &mut self.current)] {
            // The clock is worth telling where sysfs is hidden.
            if let Ok(text) = file.attribute(at.buffer) {
                for source in text.split_ascii_whitespace() {
                    emit.put(family, &[DEVICE, source], 1.0);
                }
            }
        }
        Ok(())
    }
}
