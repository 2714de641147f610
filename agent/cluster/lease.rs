//! The Lease of coordination.k8s.io as the place where two replicas ask who leads.
//!
//! A write carries the version that was read, so that the API server takes one of two and answers the other with 409. What others
//! have put on the object (labels of a chart, for example) stays on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease as Object, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::PostParams;
use kube::{Api, Error};
use model::{Arbiter, ArbiterError, BoxFuture, Lease, Revision};
use parking_lot::Mutex;
use tokio::time::error::Elapsed;

use crate::Cluster;
use crate::follow::plain;

/// Rises with every change of holder. `leaseTransitions` does not do: it begins anew when somebody deletes the Lease.
pub(crate) const EPOCH: &str = "skopos.io/epoch";
const RENEWALS: &str = "skopos.io/renewals";
/// In the milliseconds that it really is; the field of the specification has seconds.
const DURATION: &str = "skopos.io/duration-millis";
/// An answer that takes longer is none: the holder must know in time that it cannot renew.
const PATIENCE: Duration = Duration::from_secs(3);
pub(crate) const WRITER: &str = "skopos";

/// Answers that failed in a row after which the connection is made anew.
const FAILURES_MAX: u32 = 5;

pub(crate) struct LeaseArbiter {
    cluster: Cluster,
    failures: AtomicU32,
    /// As it was last read or written.
    last: Mutex<Option<Object>>,
}

impl LeaseArbiter {
    pub(crate) fn new(cluster: Cluster) -> Self {
        Self {
            cluster,
            failures: AtomicU32::new(0),
            last: Mutex::default(),
        }
    }

    fn name(&self) -> &str {
        self.cluster.0.config.lease_name()
    }

    fn api(&self) -> Api<Object> {
        Api::namespaced(self.cluster.0.client(), &self.cluster.0.namespace)
    }

    async fn ask<T>(&self, answer: impl Future<Output = Result<T, Error>>) -> Result<T, ArbiterError> {
        let answer = judge(tokio::time::timeout(PATIENCE, answer).await);
        match &answer {
            Err(ArbiterError::Away(_)) => {
                if self.failures.fetch_add(1, Ordering::Relaxed) + 1 == FAILURES_MAX {
                    self.failures.store(0, Ordering::Relaxed);
                    self.cluster.connect_anew().await;
                }
            }
            _ => self.failures.store(0, Ordering::Relaxed),
        }
        answer
    }

    /// What is to be written over the state of this version.
    fn object(&self, lease: &Lease, over: Option<&Revision>) -> Object {
        let last = self.last.lock().clone();
        let last = last.filter(|object| {
            over.is_some() && object.metadata.resource_version.as_deref() == over.map(|over| over.0.as_str())
        });
        let mut object = last.unwrap_or_default();
        object.metadata = ObjectMeta {
            name: Some(self.name().to_owned()),
            resource_version: over.map(|over| over.0.clone()),
            managed_fields: None,
            ..object.metadata
        };
        let notes = object.metadata.annotations.get_or_insert_default();
        for (key, value) in [
            (EPOCH, lease.epoch),
            (RENEWALS, lease.renewals),
            (DURATION, lease.duration_millis),
        ] {
            notes.insert(key.to_owned(), value.to_string());
        }
        let now = jiff::Timestamp::from_millisecond(self.cluster.0.clock.now().millis())
            .ok()
            .map(MicroTime);
        let spec = object.spec.get_or_insert_with(LeaseSpec::default);
        let holder = lease.holder.as_deref().unwrap_or_default();
        if spec.holder_identity.as_deref().unwrap_or_default() != holder {
            spec.acquire_time.clone_from(&now);
            if !holder.is_empty() {
                spec.lease_transitions =
                    Some(spec.lease_transitions.map_or(0, |count| count.saturating_add(1)));
            }
        }
        spec.holder_identity = Some(holder.to_owned());
        // The API wants whole seconds, and more than none.
        let seconds = lease.duration_millis.div_ceil(1_000).max(1);
        spec.lease_duration_seconds = Some(i32::try_from(seconds).unwrap_or(i32::MAX));
        spec.renew_time = now;
        object
    }

    fn remember(&self, object: Object) -> Result<Revision, ArbiterError> {
        let version = object.metadata.resource_version.clone();
        *self.last.lock() = Some(object);
        version
            .map(Revision)
            .ok_or_else(|| ArbiterError::Away("the API server has given no version of the Lease".to_owned()))
    }
}

fn judge<T>(answer: Result<Result<T, Error>, Elapsed>) -> Result<T, ArbiterError> {
    match answer {
        Err(_) => Err(ArbiterError::Away(format!(
            "the API server has not answered within {} s",
            PATIENCE.as_secs()
        ))),
        Ok(Err(Error::Api(status))) if matches!(status.code, 404 | 409) => Err(ArbiterError::Lost),
        Ok(Err(error)) => Err(ArbiterError::Away(plain(&error))),
        Ok(Ok(value)) => Ok(value),
    }
}

/// What the object says. Of one that another program has made the holder is known, and its epoch is 0.
fn lease_of(object: &Object) -> Lease {
    let notes = object.metadata.annotations.as_ref();
    let number = |key: &str| notes.and_then(|notes| notes.get(key)?.parse::<u64>().ok());
    let spec = object.spec.as_ref();
    let seconds = spec.and_then(|spec| u64::try_from(spec.lease_duration_seconds?).ok());
    Lease {
        holder: spec
            .and_then(|spec| spec.holder_identity.as_deref())
            .filter(|holder| !holder.is_empty())
            .map(Arc::from),
        epoch: number(EPOCH).unwrap_or(0),
        duration_millis: number(DURATION).unwrap_or(seconds.unwrap_or(0).saturating_mul(1_000)),
        renewals: number(RENEWALS).unwrap_or(0),
    }
}

impl Arbiter for LeaseArbiter {
    fn read(&self) -> BoxFuture<'_, Result<Option<(Lease, Revision)>, ArbiterError>> {
        Box::pin(async move {
            let Some(object) = self.ask(self.api().get_opt(self.name())).await? else {
                *self.last.lock() = None;
                return Ok(None);
            };
            let lease = lease_of(&object);
            Ok(Some((lease, self.remember(object)?)))
        })
    }

    fn write(&self, lease: Lease, over: Option<Revision>) -> BoxFuture<'_, Result<Revision, ArbiterError>> {
        Box::pin(async move {
            let (object, params) = (
                self.object(&lease, over.as_ref()),
                PostParams {
                    field_manager: Some(WRITER.to_owned()),
                    ..PostParams::default()
                },
            );
            let written = match over {
                Some(_) => {
                    self.ask(self.api().replace(self.name(), &params, &object))
                        .await?
                }
                None => self.ask(self.api().create(&params, &object)).await?,
            };
            self.remember(written)
        })
    }
}
