//! Objects of a cluster, from the room that watches them to whoever wants a kind.
//!
//! They come as text, of which each reads what it needs and keeps no more. All who want a kind share one watch.

use std::sync::Arc;

/// A kind of object, as the API has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Resource {
    /// Empty for the first ones: pods, nodes …
    pub group: Arc<str>,
    pub version: Arc<str>,
    /// `Deployment`
    pub kind: Arc<str>,
    /// `deployments`
    pub plural: Arc<str>,
}

impl Resource {
    #[must_use]
    pub fn new(group: &str, version: &str, kind: &str, plural: &str) -> Self {
        Self {
            group: group.into(),
            version: version.into(),
            kind: kind.into(),
            plural: plural.into(),
        }
    }
}

/// What of a kind is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Wanted {
    pub resource: Resource,
    /// Metadata is all that comes: names and labels of objects whose content is nobody's business, or large.
    pub is_metadata: bool,
    /// As the API has it, for example `spec.nodeName=worker-1`; empty: all.
    pub field_selector: String,
    pub label_selector: String,
    /// It may well be that this cluster has no such kind, and nobody is told then.
    pub is_optional: bool,
}

impl Wanted {
    /// All of a kind that every cluster has.
    #[must_use]
    pub fn all(resource: Resource) -> Self {
        Self {
            resource,
            is_metadata: false,
            field_selector: String::new(),
            label_selector: String::new(),
            is_optional: false,
        }
    }
}

/// One object, for as long as somebody looks at it.
#[derive(Clone, Copy, Debug)]
pub struct Object<'a> {
    /// Empty for kinds that lie in none.
    pub namespace: &'a str,
    pub name: &'a str,
    pub uid: &'a str,
    /// All of it, as JSON.
    pub text: &'a str,
}

/// Whoever wants a kind. It is called by the task that watches and must not wait for anything.
pub trait Observe: Send {
    /// All that there are follow, and then [`Self::whole`].
    fn begun(&mut self);

    /// New, changed, or one of all.
    fn here(&mut self, object: &Object<'_>);

    fn gone(&mut self, object: &Object<'_>);

    /// What was known before and did not come since [`Self::begun`] is no more.
    fn whole(&mut self);

    /// Whether what was told may be out of date, since nothing has been heard for minutes; said when that changes.
    fn doubtful(&mut self, _is_doubtful: bool) {}

    /// Whether all of them are to be told once more; asked from time to time.
    fn wants_all(&mut self) -> bool {
        false
    }
}
