//! Who we are to AWS: credentials from its usual places, kept and renewed, and requests signed with them.
//!
//! Whoever asks has credentials at once, or a sentence that says what to do: they are renewed five minutes before they expire,
//! by a task of their own. The machine's own role is taken only where the configuration wants it. Everything goes out by the
//! `Client` that is handed in, at the time of the `Clock` that is; no secret is in what is printed.

mod chain;
mod checkup;
mod clock;
mod config;
mod http;
mod keeping;
mod metrics;
mod renew;
mod sign;
mod signing;
#[cfg(test)]
mod tests;
mod words;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use aws_config::BehaviorVersion;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use aws_types::SdkConfig;
use model::outside::{Client, Request};
use model::signature::Account;
use model::{Clock, SigV4};
use parking_lot::Mutex;
use prometheus::Registry;
use tokio::sync::Notify;

use chain::{Chain, Find};
pub use config::Config;
use keeping::Keeping;
use metrics::Metrics;
pub use renew::Renewer;
pub use sign::{Payload, Signable, sign};
pub use signing::Signing;
pub use words::{cause, innermost};

/// Everybody we are to AWS.
pub struct Aws {
    find: Arc<dyn Find>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    /// As many as the configuration names.
    keepings: Mutex<BTreeMap<Account, Arc<Keeping>>>,
    /// There is a new one.
    grown: Notify,
}

impl Aws {
    /// Nothing is asked of anybody yet.
    ///
    /// # Errors
    /// There is another in this registry.
    pub fn new(
        config: Config,
        client: Arc<dyn Client>,
        clock: Arc<dyn Clock>,
        registry: &Registry,
    ) -> Result<Arc<Self>, String> {
        let chain = Chain::new(config, client, Arc::clone(&clock));
        Self::with(Arc::new(chain), clock, registry)
    }

    fn with(find: Arc<dyn Find>, clock: Arc<dyn Clock>, registry: &Registry) -> Result<Arc<Self>, String> {
        let metrics =
            Metrics::new(registry).map_err(|error| format!("metrics of AWS credentials: {error}"))?;
        Ok(Arc::new(Self {
            find,
            clock,
            metrics: Arc::new(metrics),
            keepings: Mutex::default(),
            grown: Notify::new(),
        }))
    }

    /// Credentials of an account, for a client of AWS that asks for them before each request. From now on they are kept.
    #[must_use]
    pub fn credentials(&self, account: &Account) -> Credentials {
        Credentials(self.keeping(account))
    }

    /// Headers that sign a request, `x-amz-date` and `authorization` and what else belongs to them.
    ///
    /// # Errors
    /// There are no credentials or no region; a sentence that says what to do.
    pub async fn sign(&self, by: &SigV4, request: &Request) -> Result<Vec<(String, String)>, String> {
        let credentials = self.keeping(&by.account).get().await?;
        let region = self.region(by.region.as_deref(), &by.account).await?;
        let signable = Signable {
            method: request.method.word(),
            url: &request.url,
            headers: &request.headers,
            payload: Payload::Bytes(&request.body),
        };
        sign(&signable, &credentials, &region, &by.service, self.clock.now())
            .map_err(|why| format!("signing a request for AWS: {why}"))
    }

    /// The region that is named, or that of the environment, of the profile, of the configuration.
    ///
    /// # Errors
    /// None of them names one.
    pub async fn region(&self, named: Option<&str>, account: &Account) -> Result<String, String> {
        if let Some(named) = named {
            return Ok(named.to_owned());
        }
        if let Some(found) = self.keeping(account).region() {
            return Ok(found);
        }
        let found = self.find.region(account).await;
        let found = found.ok_or(
            "no AWS region is known; name it where the request is configured, as aws.region, or as AWS_REGION",
        )?;
        self.keeping(account).set_region(found.clone());
        Ok(found)
    }

    /// Fetches credentials, and says where they come from.
    ///
    /// # Errors
    /// There are none; a sentence that says what to do.
    pub async fn look(&self, account: &Account) -> Result<String, String> {
        self.keeping(account).get().await?;
        Ok(checkup::said(&self.keeping(account).known(), self.clock.now()))
    }

    /// What a client of AWS' SDK is made of: these credentials, our way out, our clock. Endpoints of the environment
    /// (`AWS_ENDPOINT_URL…`) count.
    pub async fn sdk_config(&self, named: Option<&str>, account: &Account) -> SdkConfig {
        let region = self.region(named, account).await.ok();
        let loader = self.find.loader(region);
        let credentials = SharedCredentialsProvider::new(self.credentials(account));
        loader.credentials_provider(credentials).load().await
    }

    /// Keeps them from running out; nothing is fetched before it runs or somebody asks.
    #[must_use]
    pub fn renewer(self: &Arc<Self>) -> Renewer {
        Renewer(Arc::clone(self))
    }

    fn keeping(&self, account: &Account) -> Arc<Keeping> {
        let mut keepings = self.keepings.lock();
        if let Some(known) = keepings.get(account) {
            return Arc::clone(known);
        }
        let new = Arc::new(Keeping::new(
            account.clone(),
            Arc::clone(&self.find),
            Arc::clone(&self.clock),
            Arc::clone(&self.metrics),
        ));
        keepings.insert(account.clone(), Arc::clone(&new));
        self.grown.notify_one();
        new
    }

    fn all(&self) -> Vec<Arc<Keeping>> {
        self.keepings.lock().values().cloned().collect()
    }
}

/// Kept credentials: who asks waits for nobody while they are good.
#[derive(Clone)]
pub struct Credentials(Arc<Keeping>);

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.account())
    }
}

impl ProvideCredentials for Credentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            let got = self.0.get().await;
            got.map_err(aws_credential_types::provider::error::CredentialsError::provider_error)
        })
    }
}

/// Of the SDK, so that an update of it changes nothing that nobody has looked at.
fn behavior() -> BehaviorVersion {
    BehaviorVersion::v2026_01_12()
}
