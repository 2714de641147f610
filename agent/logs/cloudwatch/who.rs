//! As whom AWS is asked, in which region and where: the keys that everything about CloudWatch Logs has.

use std::time::Duration;

use aws::Aws;
use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::config::retry::RetryConfig;
use aws_sdk_cloudwatchlogs::config::timeout::TimeoutConfig;
use aws_sdk_cloudwatchlogs::config::{Builder, IdentityCache};
use model::SigV4;
use net::{SigV4Config, is_http, without_secrets};

/// What signatures name.
const SERVICE: &str = "logs";

/// What a section says of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Who<'a> {
    pub(crate) region: &'a str,
    pub(crate) sigv4: &'a SigV4Config,
    pub(crate) endpoint: &'a str,
    pub(crate) timeout: Duration,
}

/// The client, and the region that it asks.
#[derive(Clone)]
pub(crate) struct Way {
    pub(crate) client: Client,
    pub(crate) region: String,
}

impl Who<'_> {
    /// What is wrong with it, each a sentence that begins with the key.
    pub(crate) fn mistakes(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        if !self.endpoint.is_empty() && !is_http(self.endpoint) {
            wrong.push(format!(
                "endpoint: not an http:// or https:// URL: {:?}",
                without_secrets(self.endpoint)
            ));
        }
        if self.timeout < Duration::from_secs(1) {
            wrong.push("timeout: less than 1s; every request would fail".to_owned());
        }
        if !self.sigv4.service_name.is_empty() {
            wrong.push("sigv4.service_name: is always logs here; leave it out".to_owned());
        }
        let (ours, theirs) = (self.region, &self.sigv4.region);
        if !ours.is_empty() && !theirs.is_empty() && ours != theirs {
            wrong.push(format!(
                "sigv4.region: {theirs:?} is another than region: {ours:?}; give one of them"
            ));
        }
        wrong.extend(self.signed().err().map(|why| match why.strip_prefix("region") {
            Some(_) if !self.region.is_empty() => why,
            _ => format!("sigv4.{why}"),
        }));
        wrong
    }

    /// Account and region.
    ///
    /// # Errors
    /// The first mistake, which begins with its key.
    pub(crate) fn signed(&self) -> Result<SigV4, String> {
        let mut sigv4 = self.sigv4.clone();
        if !self.region.is_empty() {
            self.region.clone_into(&mut sigv4.region);
        }
        sigv4.read_for(SERVICE)
    }

    /// Nothing is asked of anybody yet.
    ///
    /// # Errors
    /// No region is known, or the account cannot be read; a sentence that says what to do.
    pub(crate) async fn way(&self, aws: &Aws) -> Result<Way, String> {
        let signed = self.signed()?;
        let region = aws.region(signed.region.as_deref(), &signed.account).await?;
        let shared = aws.sdk_config(Some(&region), &signed.account).await;
        let times = TimeoutConfig::builder()
            .operation_attempt_timeout(self.timeout)
            .read_timeout(self.timeout)
            .build();
        let mut builder = Builder::from(&shared)
            // Whether and when again is for whoever asks to say.
            .retry_config(RetryConfig::disabled())
            // They are kept by those who give them.
            .identity_cache(IdentityCache::no_cache())
            .timeout_config(times);
        if !self.endpoint.is_empty() {
            builder = builder.endpoint_url(self.endpoint);
        }
        Ok(Way {
            client: Client::from_conf(builder.build()),
            region,
        })
    }
}
