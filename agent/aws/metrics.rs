//! Credentials in numbers: fetched, missed, and until when they are good.

use model::Timestamp;
use model::signature::Account;
use prometheus::{GaugeVec, IntCounterVec, Opts, Registry};

use crate::chain::Source;

pub(crate) struct Metrics {
    fetches: IntCounterVec,
    expiry: GaugeVec,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let fetches = Opts::new(
            "skopos_aws_credentials_fetches_total",
            "Fetches of AWS credentials by the place they came from or should have come from; none is no place at all.",
        );
        let expiry = Opts::new(
            "skopos_aws_credentials_expiry_timestamp_seconds",
            "When the AWS credentials that are held expire; there is none for those that do not.",
        );
        let metrics = Self {
            fetches: IntCounterVec::new(fetches, &["source", "outcome"])?,
            expiry: GaugeVec::new(expiry, &["account"])?,
        };
        registry.register(Box::new(metrics.fetches.clone()))?;
        registry.register(Box::new(metrics.expiry.clone()))?;
        Ok(metrics)
    }

    pub(crate) fn fetched(&self, account: &Account, source: Source, expiry: Option<Timestamp>) {
        self.fetches.with_label_values(&[source.word(), "fetched"]).inc();
        let account = account.to_string();
        match expiry {
            Some(expiry) => self.expiry.with_label_values(&[&account]).set(expiry.seconds()),
            // There may be none, if the last ones did not expire either.
            None => _ = self.expiry.remove_label_values(&[&account]),
        }
    }

    pub(crate) fn failed(&self, source: Option<Source>) {
        let source = source.map_or("none", Source::word);
        self.fetches.with_label_values(&[source, "failed"]).inc();
    }
}
