//! What `skopos doctor` is told of the Kubernetes API: whether it answers, and what it lets us see.

use model::Timestamp;
use model::text::duration::spoken;
use model::view::Checkup;

use crate::{Cluster, Scope};

const ROOM: &str = "cluster";
/// A watch is begun anew every two minutes; one that was not has nobody at the other end.
const SILENT: std::time::Duration = std::time::Duration::from_secs(300);

impl Cluster {
    #[must_use]
    pub fn checkups(&self, now: Timestamp) -> Vec<Checkup> {
        let own = match self.0.scope {
            Scope::Node => vec![self.pods_checkup(now), self.node_checkup()],
            Scope::Cluster => self.agents_checkup().into_iter().collect(),
        };
        let others = self.kinds_checkup(now).into_iter().chain(self.rights_checkup());
        own.into_iter().chain(others).collect()
    }

    /// By the API server's own word.
    fn rights_checkup(&self) -> Option<Checkup> {
        const NAME: &str = "rights";
        let reviewed = self.0.rights.reviewed();
        let Some(reviewed) = reviewed else {
            let seen = "what the account may do has not been reviewed yet";
            return Some(Checkup::warn(ROOM, NAME, seen).advise("look again in a few seconds"));
        };
        if !reviewed.error.is_empty() {
            let seen = format!("what the account may do cannot be reviewed: {}", reviewed.error);
            return Some(Checkup::warn(ROOM, NAME, seen).advise("see whether the API server can be reached"));
        }
        let (asked, missing) = (reviewed.asked, reviewed.missing.len());
        Some(match missing {
            0 => Checkup::ok(ROOM, NAME, format!("all {asked} that are needed are there")),
            _ => Checkup::fail(ROOM, NAME, format!("{missing} of {asked} are missing"))
                .advise(
                    "give them to the ServiceAccount; the chart's are in helm/skopos/templates/rights.yaml",
                )
                .list(reviewed.missing),
        })
    }

    /// Of all kinds that somebody wants.
    fn kinds_checkup(&self, now: Timestamp) -> Option<Checkup> {
        const NAME: &str = "watches";
        let inner = &self.0;
        let kinds = inner.kinds.lock().clone();
        if kinds.is_empty() {
            return None;
        }
        let (mut wrong, mut waiting, mut absent, mut objects) = (Vec::new(), 0, 0, 0);
        for kind in &kinds {
            let (state, name) = (kind.state(), kind.resource());
            let silent = inner.heard.last(name).map(|heard| now.since(heard));
            match (state.error.as_str(), state.is_whole) {
                (_, false) if kind.is_optional() && state.is_absent => absent += 1,
                ("", false) => waiting += 1,
                ("", true) => {
                    objects += state.count;
                    if let Some(age) = silent.filter(|age| *age > SILENT) {
                        wrong.push(format!("{name}: nothing heard for {}", spoken(age)));
                    }
                }
                (error, _) => wrong.push(format!("{name}: {error}")),
            }
        }
        if !wrong.is_empty() {
            let seen = format!("{} of {} kinds are not heard of", wrong.len(), kinds.len());
            let checkup = Checkup::fail(ROOM, NAME, seen).advise("see whether the ServiceAccount may list and watch them (kubectl auth can-i), and whether the API server can be reached");
            return Some(checkup.list(wrong));
        }
        if waiting > 0 {
            let seen = format!("{waiting} of {} kinds are not listed yet", kinds.len());
            return Some(Checkup::warn(ROOM, NAME, seen).advise("look again in a few seconds"));
        }
        let others = match absent {
            0 => String::new(),
            count => format!("; {count} more are not kinds of this cluster"),
        };
        let seen = format!("{objects} objects of {} kinds{others}", kinds.len() - absent);
        Some(Checkup::ok(ROOM, NAME, seen))
    }

    fn pods_checkup(&self, now: Timestamp) -> Checkup {
        const NAME: &str = "pods";
        let inner = &self.0;
        let (state, heard) = (inner.watched.state(), inner.heard.last("pods"));
        let advice = "see whether the ServiceAccount may list and watch pods, and whether the API server can be reached; lines and series go on without labels of pods";
        if !state.error.is_empty() {
            return Checkup::fail(
                ROOM,
                NAME,
                format!("pods of {} cannot be watched: {}", inner.node, state.error),
            )
            .advise(advice);
        }
        if !state.is_whole {
            return Checkup::warn(
                ROOM,
                NAME,
                format!(
                    "{} has not said yet which pods are on {}",
                    inner.server, inner.node
                ),
            )
            .advise("look again in a few seconds");
        }
        match heard {
            Some(heard) if now.since(heard) > SILENT => Checkup::fail(
                ROOM,
                NAME,
                format!("{} last answered {} ago", inner.server, spoken(now.since(heard))),
            )
            .advise(advice),
            _ if state.count == 0 => Checkup::warn(ROOM, NAME, format!("there is no pod on {}", inner.node)).advise(
                "see whether that is the node's name as `kubectl get nodes` has it (kubernetes.node_name, or the variable NODE_NAME)",
            ),
            _ => Checkup::ok(ROOM, NAME, format!("{} pods on {}", state.count, inner.node)),
        }
    }

    fn node_checkup(&self) -> Checkup {
        const NAME: &str = "node";
        let inner = &self.0;
        let error = inner.node_error.read().clone();
        if !error.is_empty() {
            return Checkup::warn(
                ROOM,
                NAME,
                format!("the object of {} cannot be read: {error}", inner.node),
            )
            .advise(
                "the ServiceAccount needs `get` on nodes; zone and instance type are not known without it",
            );
        }
        let node = inner.facts.borrow().clone();
        match node.name.is_empty() {
            true => Checkup::warn(
                ROOM,
                NAME,
                format!("the object of {} has not been read yet", inner.node),
            )
            .advise("look again in a few seconds"),
            false => {
                let parts = [&node.instance_type, &node.zone, &node.capacity, &node.group];
                let parts: Vec<&str> = parts
                    .into_iter()
                    .map(String::as_str)
                    .filter(|part| !part.is_empty())
                    .collect();
                let what = match parts.is_empty() {
                    true => String::new(),
                    false => format!(": {}", parts.join(", ")),
                };
                Checkup::ok(ROOM, NAME, format!("{}{what}", node.name))
            }
        }
    }
}
