//! Kills for want of memory, from the kernel of a node to the people who look for them.
//!
//! Whoever reads a node (`oom_seen`) puts what the kernel says and what the pods' states say into series. Whoever thinks (`oom_told`) reads those
//! series, its own or those that nodes have sent, and makes of each kill a log record, once, and an entry among the changes. Between the
//! two is nothing but samples: a kill is told where its samples arrive.

use std::sync::Arc;

pub(crate) use crate::oom_seen::Seer;
pub(crate) use crate::oom_told::{Near, Teller};
use model::Clock;
use model::view::Checkup;
use prometheus::Registry;

use crate::checkups::Look;
use crate::oom_seen;
use crate::stages::Stages;

/// The two halves, as far as a role has them.
#[derive(Default)]
pub(crate) struct Oom {
    seer: Option<Seer>,
    teller: Option<Teller>,
}

/// What both of them need of the house.
pub(crate) struct Around<'a> {
    /// None where the machine is not read.
    pub(crate) node: Option<&'a node::Config>,
    pub(crate) cluster: Option<&'a cluster::Cluster>,
    /// None where nobody thinks.
    pub(crate) thinks: Option<Near>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) registry: &'a Registry,
}

impl Oom {
    pub(crate) fn new(around: Around<'_>) -> Self {
        let node = around.node.filter(|node| node.oom_kills);
        Self {
            seer: node.map(|node| {
                let pods = around.cluster.map(cluster::Cluster::pods);
                Seer::new(node, pods, Arc::clone(&around.clock), around.registry)
            }),
            teller: around.thinks.map(|near| Teller::new(near, around.clock)),
        }
    }

    /// For doctor.
    pub(crate) fn checkup(&self) -> Look {
        let seen = self.seer.as_ref().map(Seer::view);
        Box::new(move || seen.as_ref().map(checkup).into_iter().collect())
    }

    pub(crate) fn spawn(self, stages: &mut Stages) {
        if let Some(seer) = self.seer {
            stages.spawn("sources", "oom", |stop| seer.run(stop));
        }
        if let Some(teller) = self.teller {
            stages.spawn("sources", "oom_records", |stop| teller.run(stop));
        }
    }
}

fn checkup(seen: &oom_seen::View) -> Checkup {
    const ROOM: &str = "node";
    const NAME: &str = "oom_kills";
    let state = seen.lock().clone();
    let containers = format!("{} containers", state.containers);
    match (state.log_error.as_str(), state.containers) {
        ("", 0) => Checkup::ok(
            ROOM,
            NAME,
            "kills for want of memory are known by the kernel's log",
        ),
        ("", _) => Checkup::ok(
            ROOM,
            NAME,
            format!(
                "kills for want of memory are known by the kernel's log and by the cgroups of {containers}"
            ),
        ),
        (why, 0) if !state.has_pods => Checkup::off(
            ROOM,
            NAME,
            format!("kills for want of memory are not known here: {why}"),
        ),
        (why, _) => Checkup::ok(
            ROOM,
            NAME,
            format!(
                "kills for want of memory are known by the states of pods and the cgroups of {containers}, without the processes' names: {why}"
            ),
        ),
    }
}
