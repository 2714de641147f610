//! One ConfigMap in which a pair keeps what outlives the disks of both replicas.
//!
//! Only what this room wrote there is read: other keys, labels and annotations of the object stay as they are. A write carries the
//! version that was read, and is not made over what a later epoch has written. Where the object is not there it is made, if the
//! rights allow that; the chart brings it along, so that they need not.

use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::PostParams;
use kube::{Api, Error};
use model::{BoxFuture, Memo};

use crate::Cluster;
use crate::follow::plain;
use crate::lease::{EPOCH, WRITER};

/// Under which key of the ConfigMap it lies.
const KEY: &str = "told";
/// It may be some hundred kilobytes long.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) struct MapMemo {
    cluster: Cluster,
}

impl MapMemo {
    pub(crate) fn new(cluster: Cluster) -> Self {
        Self { cluster }
    }

    fn api(&self) -> Api<ConfigMap> {
        Api::namespaced(self.cluster.0.client(), &self.cluster.0.namespace)
    }

    fn name(&self) -> String {
        self.cluster.0.config.memo_name()
    }

    async fn found(&self) -> Result<Option<ConfigMap>, String> {
        ask(self.api().get_opt(&self.name())).await
    }
}

async fn ask<T>(answer: impl Future<Output = Result<T, Error>>) -> Result<T, String> {
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(answer) => answer.map_err(|error| plain(&error)),
        Err(_) => Err(format!(
            "the API server has not answered within {} s",
            PATIENCE.as_secs()
        )),
    }
}

impl Memo for MapMemo {
    fn read(&self) -> BoxFuture<'_, Result<Option<Vec<u8>>, String>> {
        Box::pin(async move {
            let found = self.found().await?;
            let data = found.and_then(|mut object| object.binary_data.as_mut()?.remove(KEY));
            Ok(data.map(|data| data.0))
        })
    }

    fn write(&self, bytes: Vec<u8>, epoch: u64) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            let found = self.found().await?;
            let is_there = found.is_some();
            let mut object = found.unwrap_or_else(|| ConfigMap {
                metadata: ObjectMeta {
                    name: Some(self.name()),
                    ..ObjectMeta::default()
                },
                ..ConfigMap::default()
            });
            let notes = object.metadata.annotations.get_or_insert_default();
            let there = notes.get(EPOCH).and_then(|epoch| epoch.parse::<u64>().ok());
            if there > Some(epoch) {
                return Err("whoever leads in a later epoch has written there".to_owned());
            }
            notes.insert(EPOCH.to_owned(), epoch.to_string());
            object.metadata.managed_fields = None;
            let data = object.binary_data.get_or_insert_default();
            data.insert(KEY.to_owned(), ByteString(bytes));
            let params = PostParams {
                field_manager: Some(WRITER.to_owned()),
                ..PostParams::default()
            };
            if is_there {
                ask(self.api().replace(&self.name(), &params, &object)).await?;
            } else {
                ask(self.api().create(&params, &object)).await?;
            }
            Ok(())
        })
    }
}
