//! Whose series it is: the label `node` comes from the credential, and the target's name from the labels.

use std::fmt::Write;
use std::sync::Arc;

use model::Labels;
use model::labels::LabelsBuilder;
use model::presence::NODE;

/// What a label is called that claims what only a credential may say.
const EXPORTED: &str = "exported_";

/// How the label `node` of a sender's series is read.
pub(crate) enum Naming<'a> {
    /// It is this, whatever the body says.
    Node(&'a Arc<str>),
    /// As the body says: it is the other replica, which has named them already.
    Replica,
    /// As the body says, unless it names somebody who sends by itself.
    Writer(&'a dyn Fn(&str) -> bool),
}

/// Labels as they are kept, and whether one of them had to be renamed.
pub(crate) fn labels(pairs: &[(&str, &str)], naming: &Naming<'_>) -> (Labels, bool) {
    let mut builder = LabelsBuilder::default();
    for (name, value) in pairs {
        builder.set(name, value);
    }
    let claimed = pairs
        .iter()
        .find(|(name, _)| *name == NODE)
        .map(|(_, value)| *value);
    let forged = match naming {
        Naming::Node(node) => {
            builder.set(NODE, node);
            claimed.filter(|claimed| *claimed != &***node)
        }
        Naming::Replica => None,
        Naming::Writer(sends) => {
            let forged = claimed.filter(|claimed| sends(claimed));
            if forged.is_some() {
                builder.remove(NODE);
            }
            forged
        }
    };
    if let Some(claimed) = forged {
        let mut name = format!("{EXPORTED}{NODE}");
        while builder.get(&name).is_some() {
            name.insert_str(0, EXPORTED);
        }
        builder.set(&name, claimed);
    }
    (builder.build(), forged.is_some())
}

/// The target that a series belongs to; the same wherever the series comes from.
pub(crate) fn target(labels: &Labels, name: &mut String) {
    name.clear();
    name.push_str("remote");
    for part in [NODE, "job", "instance"] {
        name.push('/');
        for letter in labels.value(part).chars() {
            match letter {
                // So that no two sets of labels share a name. Instances are last and often addresses.
                '/' | '%' if part != "instance" => _ = write!(name, "%{:02x}", u32::from(letter)),
                other => name.push(other),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(pairs: &[(&str, &str)], naming: &Naming<'_>) -> String {
        labels(pairs, naming).0.to_string()
    }

    #[test]
    fn a_node_is_who_its_credential_says() {
        let name: Arc<str> = "worker-1".into();
        let node = Naming::Node(&name);
        assert_eq!(named(&[("__name__", "a")], &node), r#"a{node="worker-1"}"#);
        assert_eq!(
            labels(&[("__name__", "a"), ("node", "worker-1")], &node),
            (
                Labels::from_pairs([("__name__", "a"), ("node", "worker-1")]),
                false
            )
        );
        assert_eq!(
            named(
                &[("__name__", "a"), ("exported_node", "x"), ("node", "worker-2")],
                &node
            ),
            r#"a{exported_exported_node="worker-2", exported_node="x", node="worker-1"}"#
        );
    }

    #[test]
    fn a_writer_may_name_any_node_but_one_that_sends_by_itself() {
        let sends = |name: &str| name == "worker-1";
        let writer = Naming::Writer(&sends);
        let named = |node| named(&[("__name__", "a"), ("node", node)], &writer);
        assert_eq!(named("worker-1"), r#"a{exported_node="worker-1"}"#);
        assert_eq!(named("elsewhere"), r#"a{node="elsewhere"}"#);
    }

    #[test]
    fn the_other_replica_is_believed() {
        assert_eq!(
            named(&[("__name__", "a"), ("node", "worker-1")], &Naming::Replica),
            r#"a{node="worker-1"}"#
        );
    }

    #[test]
    fn targets_are_told_apart_by_their_labels() {
        let name = |node: &str, job: &str, instance: &str| {
            let mut name = String::new();
            let pairs = [("node", node), ("job", job), ("instance", instance)];
            target(&Labels::from_pairs(pairs), &mut name);
            name
        };
        assert_eq!(
            name("worker-1", "node", "10.0.0.1:9100"),
            "remote/worker-1/node/10.0.0.1:9100"
        );
        assert_eq!(
            name("", "shop/api", "http://x/y"),
            "remote//shop%2fapi/http://x/y"
        );
        assert_ne!(name("a", "b/c", "d"), name("a/b", "c", "d"));
        assert_ne!(name("a", "b/c", "d"), name("a", "b", "c/d"));
        assert_ne!(name("a%2fb", "c", ""), name("a/b", "c", ""));
    }
}
