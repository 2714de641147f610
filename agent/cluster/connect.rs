//! Finds the API server, and makes the client that asks it.

use std::time::Duration;

use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config as Found};

use crate::Error;
use crate::config::Config;
use crate::heard::Heard;

const CONNECT: Duration = Duration::from_secs(5);
/// Nothing at all comes within this time over a connection: it is dead. Longer than a quiet watch lasts.
const SILENCE: Duration = Duration::from_secs(150);

pub(crate) async fn find(config: &Config) -> Result<Found, Error> {
    let mut found = match &config.kubeconfig {
        Some(path) => {
            let wrong = |why: &dyn std::fmt::Display| Error::Kubeconfig {
                path: path.display().to_string(),
                why: why.to_string(),
            };
            let file = Kubeconfig::read_from(path).map_err(|error| wrong(&error))?;
            let options = KubeConfigOptions {
                context: config.context.clone(),
                ..KubeConfigOptions::default()
            };
            Found::from_custom_kubeconfig(file, &options)
                .await
                .map_err(|error| wrong(&error))?
        }
        None => Found::incluster().map_err(|error| Error::InCluster(error.to_string()))?,
    };
    found.connect_timeout = Some(CONNECT);
    found.read_timeout = Some(SILENCE);
    // Whoever asks tries again himself, each by his own pace.
    found.default_retry = false;
    Ok(found)
}

pub(crate) fn client(found: Found, heard: &Heard) -> Result<Client, Error> {
    let builder = ClientBuilder::try_from(found).map_err(|error| Error::Client(error.to_string()))?;
    Ok(builder.with_layer(heard).build())
}
