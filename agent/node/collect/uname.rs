//! The kernel's name and version, and the machine's.

use super::{At, Collector, Trouble};
use crate::family::Family;
use crate::known::Emit;

static INFO: Family = Family::gauge(
    "node_uname_info",
    "What uname says; always 1.",
    &[
        "sysname",
        "release",
        "version",
        "machine",
        "nodename",
        "domainname",
    ],
);

pub(crate) struct Uname {
    /// What the machine is called, where the kernel tells us the name of our container.
    nodename: Option<String>,
}

impl Uname {
    pub(crate) fn new(nodename: Option<String>) -> Self {
        Self { nodename }
    }
}

impl Collector for Uname {
    fn name(&self) -> &'static str {
        "uname"
    }

    fn collect(&mut self, _: &mut At<'_>, emit: &mut Emit<'_>) -> Result<(), Trouble> {
        let uname = rustix::system::uname();
        let fields = [
            uname.sysname(),
            uname.release(),
            uname.version(),
            uname.machine(),
            uname.nodename(),
            uname.domainname(),
        ];
        let mut texts = fields.map(|field| field.to_string_lossy());
        if let (Some(own), [.., nodename, _]) = (&self.nodename, &mut texts) {
            *nodename = own.into();
        }
        emit.put(&INFO, &texts.each_ref().map(|text| &**text), 1.0);
        Ok(())
    }
}
