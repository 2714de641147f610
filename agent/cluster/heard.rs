//! Every request to the API server: counted by what it asks for and how it was answered, and when there was a good answer.
//!
//! A watch in which nothing happens says nothing for hours. That it is alive is known since it is begun anew every two minutes.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use model::{Clock, Timestamp};
use parking_lot::{Mutex, RwLock};
use prometheus::{GaugeVec, IntCounterVec, Registry};
use telemetry::metrics::{counters, gauges};
use tower_layer::Layer;
use tower_service::Service;

/// What is asked for in any case; with the kinds that somebody wants the closed set of the label `resource`.
const RESOURCES: [&str; 6] = [
    "pods",
    "nodes",
    "leases",
    "configmaps",
    "tokenreviews",
    "selfsubjectaccessreviews",
];
/// Everything else.
const OTHER: &str = "other";

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Heard(Arc<Told>);

struct Told {
    clock: Arc<dyn Clock>,
    requests: IntCounterVec,
    answered: GaugeVec,
    known: RwLock<Vec<Arc<str>>>,
    last: Mutex<HashMap<Arc<str>, Timestamp>>,
}

impl Heard {
    pub(crate) fn new(clock: Arc<dyn Clock>, registry: &Registry) -> Self {
        Self(Arc::new(Told {
            clock,
            requests: counters(
                registry,
                "skopos_kubernetes_requests_total",
                "Requests to the API server by what they ask for and the status of the answer; 0: there was none.",
                &["resource", "code"],
            ),
            answered: gauges(
                registry,
                "skopos_kubernetes_answered_timestamp_seconds",
                "When the API server last gave a good answer about a resource.",
                &["resource"],
            ),
            known: RwLock::new(RESOURCES.map(Arc::from).into()),
            last: Mutex::default(),
        }))
    }

    /// When there was a good answer last.
    pub(crate) fn last(&self, resource: &str) -> Option<Timestamp> {
        self.0.last.lock().get(resource).copied()
    }

    /// Requests for a kind are counted under its name from now on.
    pub(crate) fn learn(&self, plural: &Arc<str>) {
        let mut known = self.0.known.write();
        if !known.contains(plural) {
            known.push(Arc::clone(plural));
        }
    }

    /// Nobody asks for a kind any more, and nobody waits for an answer.
    pub(crate) fn forget(&self, plural: &str) {
        self.0.last.lock().remove(plural);
        // It may never have been answered.
        _ = self.0.answered.remove_label_values(&[plural]);
    }

    fn resource(&self, path: &str) -> Arc<str> {
        let word = resource_of(path);
        let known = self.0.known.read();
        let found = known.iter().find(|known| &***known == word).cloned();
        found.unwrap_or_else(|| OTHER.into())
    }

    fn note(&self, resource: &Arc<str>, code: u16) {
        let told = &self.0;
        told.requests
            .with_label_values(&[&**resource, &code.to_string()])
            .inc();
        if (200..300).contains(&code) {
            let now = told.clock.now();
            told.last.lock().insert(Arc::clone(resource), now);
            told.answered.with_label_values(&[&**resource]).set(now.seconds());
        }
    }
}

/// What a path of the API is about.
fn resource_of(path: &str) -> &str {
    let mut parts = path.trim_start_matches('/').split('/');
    // `api/v1/…` or `apis/<group>/<version>/…`
    let skip = if parts.next() == Some("apis") { 2 } else { 1 };
    let mut parts = parts.skip(skip);
    match (parts.next(), parts.next(), parts.next()) {
        (Some("namespaces"), Some(_), Some(resource)) => resource,
        (Some(resource), ..) => resource,
        (None, ..) => OTHER,
    }
}

impl<S> Layer<S> for Heard {
    type Service = Listening<S>;

    fn layer(&self, service: S) -> Listening<S> {
        Listening {
            service,
            heard: self.clone(),
        }
    }
}

pub(crate) struct Listening<S> {
    service: S,
    heard: Heard,
}

impl<S, A, B> Service<Request<A>> for Listening<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    S::Future: Send + 'static,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<B>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let (resource, heard) = (self.heard.resource(request.uri().path()), self.heard.clone());
        let answer = self.service.call(request);
        Box::pin(async move {
            let answer = answer.await;
            let code = answer.as_ref().map_or(0, |answer| answer.status().as_u16());
            heard.note(&resource, code);
            answer
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_says_what_it_is_about() {
        let heard = Heard::new(telemetry::clock::RuntimeClock::system(), &Registry::new());
        heard.learn(&"deployments".into());
        for (path, resource) in [
            ("/api/v1/pods", "pods"),
            ("/api/v1/namespaces/shop/pods/web-1", "pods"),
            ("/api/v1/nodes/a", "nodes"),
            (
                "/apis/coordination.k8s.io/v1/namespaces/skopos/leases/skopos",
                "leases",
            ),
            ("/apis/authentication.k8s.io/v1/tokenreviews", "tokenreviews"),
            ("/apis/apps/v1/deployments", "deployments"),
            ("/apis/apps/v1/daemonsets", "other"),
            ("/api/v1/namespaces/shop", "other"),
            ("/readyz", "other"),
            ("/", "other"),
        ] {
            assert_eq!(&*heard.resource(path), resource, "{path}");
        }
    }
}
