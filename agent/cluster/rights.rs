//! Whether the account may do what this process asks of the API: reviewed by the API server itself, so that a right that is
//! missing is named before somebody misses what it was for.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::authorization::v1::{
    NonResourceAttributes, ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::{Api, Client};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::follow::plain;

/// Between two reviews when nobody asks.
const PERIOD: Duration = Duration::from_secs(600);
/// Whoever asks more often gets the last answer.
const FRESH: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(5);

/// Something that this process asks for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    pub verb: &'static str,
    /// Empty for the first ones.
    pub group: String,
    /// `pods`, or `nodes/metrics`; what begins with `/` is a path, and no resource.
    pub resource: String,
    /// Only in this namespace, and only this object; empty: in all, and all.
    pub namespace: String,
    pub name: String,
    /// What is not there without it.
    pub purpose: &'static str,
}

impl Right {
    /// Over all of the cluster.
    #[must_use]
    pub fn new(verb: &'static str, group: &str, resource: &str, purpose: &'static str) -> Self {
        Self {
            verb,
            group: group.to_owned(),
            resource: resource.to_owned(),
            namespace: String::new(),
            name: String::new(),
            purpose,
        }
    }

    fn text(&self) -> String {
        let resource = match self.group.as_str() {
            "" => self.resource.clone(),
            group => format!("{}.{group}", self.resource),
        };
        let place = match (self.namespace.as_str(), self.name.as_str()) {
            ("", _) => String::new(),
            (namespace, "") => format!(" in {namespace}"),
            (namespace, name) => format!(" {name} in {namespace}"),
        };
        format!("{} {resource}{place}: {}", self.verb, self.purpose)
    }

    fn review(&self) -> SelfSubjectAccessReview {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        if self.resource.starts_with('/') {
            return SelfSubjectAccessReview {
                spec: SelfSubjectAccessReviewSpec {
                    non_resource_attributes: Some(NonResourceAttributes {
                        path: Some(self.resource.clone()),
                        verb: Some(self.verb.to_owned()),
                    }),
                    ..SelfSubjectAccessReviewSpec::default()
                },
                ..SelfSubjectAccessReview::default()
            };
        }
        let (resource, part) = match self.resource.split_once('/') {
            Some((resource, part)) => (resource, Some(part.to_owned())),
            None => (self.resource.as_str(), None),
        };
        SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(ResourceAttributes {
                    verb: Some(self.verb.to_owned()),
                    group: some(&self.group),
                    resource: some(resource),
                    subresource: part,
                    namespace: some(&self.namespace),
                    name: some(&self.name),
                    ..ResourceAttributes::default()
                }),
                ..SelfSubjectAccessReviewSpec::default()
            },
            ..SelfSubjectAccessReview::default()
        }
    }
}

/// What the last review came to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reviewed {
    pub(crate) asked: usize,
    /// A line for each right that is missing.
    pub(crate) missing: Vec<String>,
    /// Why there was no review; empty when there was.
    pub(crate) error: String,
}

#[derive(Default)]
pub(crate) struct Rights {
    wanted: Mutex<BTreeSet<Right>>,
    reviewed: Mutex<Option<(Instant, Reviewed)>>,
    asked: Notify,
}

impl Rights {
    pub(crate) fn want(&self, right: Right) {
        self.wanted.lock().insert(right);
    }

    /// What it was for is not wanted any more.
    pub(crate) fn leave(&self, right: &Right) {
        self.wanted.lock().remove(right);
    }

    /// The last review, and a newer one soon where it is not of this moment. None before the first.
    pub(crate) fn reviewed(&self) -> Option<Reviewed> {
        let reviewed = self.reviewed.lock().clone();
        if reviewed.as_ref().is_none_or(|(at, _)| at.elapsed() > FRESH) {
            self.asked.notify_one();
        }
        reviewed.map(|(_, reviewed)| reviewed)
    }

    /// Reviews now and then, and when somebody asks, for ever.
    pub(crate) async fn keep(&self, client: impl Fn() -> Client) {
        loop {
            let reviewed = self.review(client()).await;
            *self.reviewed.lock() = Some((Instant::now(), reviewed));
            tokio::select! {
                () = tokio::time::sleep(PERIOD) => {}
                () = self.asked.notified() => {}
            }
        }
    }

    async fn review(&self, client: Client) -> Reviewed {
        let wanted = self.wanted.lock().clone();
        let api: Api<SelfSubjectAccessReview> = Api::all(client);
        let mut reviewed = Reviewed {
            asked: wanted.len(),
            ..Reviewed::default()
        };
        for right in wanted {
            let (params, question) = (PostParams::default(), right.review());
            let error = match tokio::time::timeout(PATIENCE, api.create(&params, &question)).await {
                Ok(Ok(answer)) => {
                    if !answer.status.is_some_and(|status| status.allowed) {
                        reviewed.missing.push(right.text());
                    }
                    continue;
                }
                Ok(Err(error)) => plain(&error),
                Err(_) => "the API server does not answer".to_owned(),
            };
            // The others would end alike.
            reviewed.error = error;
            return reviewed;
        }
        reviewed
    }
}
