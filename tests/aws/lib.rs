//! An AWS for tests, on loopback or in the process: signatures are verified, roles assumed, log events taken, metrics sold, and an
//! estate described, within the real limits.
//!
//! It is strict where AWS is, and answers in AWS' own words. Its time is the test's, its keys are the same in every run, and it
//! fails when it is told to. It knows no SDK: what it verifies, it verifies by its own reading of the manual, and AWS' own client
//! in Python holds it to that for every operation.
//!
//! **It enforces** signatures with their time, region and service; whose account and which region something is in; shapes of
//! ARNs; names of members in every protocol; sizes of pages, and tokens that are of use to one operation only; names that must
//! exist, filters that must be known; exact sets of dimensions, 500 queries and 100,800 points a call, and the quotas of
//! CloudWatch; what is billed. **It does not** know policies (a test denies what it wants denied), alarms, metric math, or operations
//! that change anything but log groups and queues: a test changes the estate itself. Quotas of describing are not enforced, and
//! nothing happens by itself: an instance fails over when a test says so ([`estate`] has incidents ready). Where AWS has never
//! said what it does (the first period of an unaligned time, whether more pages cost more, percentiles between samples), it does
//! the simplest thing, and says so where it does it.

#![expect(
    clippy::expect_used,
    reason = "a fake that cannot start ends the test that wants it, and says why"
)]

mod agent;
mod asked;
pub mod autoscaling;
pub mod balancing;
mod client;
mod desk;
pub mod ec2;
pub mod elasticache;
pub mod estate;
mod faults;
mod front;
pub mod health;
pub mod kafka;
mod keys;
pub mod logs;
pub mod metrics;
mod place;
mod protocol;
pub mod rds;
mod server;
pub mod service_quotas;
mod services;
pub mod signature;
pub mod sqs;
mod sts;
mod tagging;
#[cfg(test)]
mod tests;
pub mod token;
pub mod vectors;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use model::{Clock, Timestamp};
use parking_lot::Mutex;

pub use asked::{Answer, Asked};
pub use faults::Fault;
use faults::Faults;
pub use keys::Key;
use keys::Keys;
use logs::Logs;
use metrics::Metrics;
use metrics::bill::Bill;
use metrics::quota::Quotas;
use model::outside::Client;
pub use place::Place;
use services::Service;
use signature::Signer;

/// The region that there always is.
pub const REGION: &str = "eu-west-1";
/// Whose keys of users are.
pub const ACCOUNT: &str = "123456789012";

/// Ends when it is dropped.
pub struct FakeAws {
    address: SocketAddr,
    estate: Arc<Estate>,
    _server: server::Running,
}

/// All that it knows.
pub(crate) struct Estate {
    clock: Arc<dyn Clock>,
    keys: Mutex<Keys>,
    faults: Mutex<Faults>,
    logs: Mutex<Logs>,
    roles: Mutex<sts::Roles>,
    pods: Mutex<agent::Pods>,
    front: Mutex<front::Front>,
    seen: Mutex<Vec<Seen>>,
    regions: Mutex<BTreeSet<String>>,
    /// By account and region.
    places: Mutex<BTreeMap<(String, String), Place>>,
    /// Accounts, each with those that share their metrics with it.
    links: Mutex<BTreeMap<String, Vec<String>>>,
    bill: Mutex<Bill>,
    quotas: Mutex<Quotas>,
    /// By operation, where a test wants smaller ones.
    page_sizes: Mutex<BTreeMap<String, usize>>,
}

impl Estate {
    pub(crate) fn verify(&self, asked: &Asked, services: &[&str]) -> Result<Key, asked::Refusal> {
        let signer = self.signer_of(asked, services, false)?;
        Ok(signer.key)
    }

    pub(crate) fn signer(&self, asked: &Asked, service: &Service) -> Result<Signer, asked::Refusal> {
        self.signer_of(asked, &[service.signs_as], service.is_global)
    }

    fn signer_of(&self, asked: &Asked, services: &[&str], is_global: bool) -> Result<Signer, asked::Refusal> {
        let is_region = |region: &str| match is_global {
            true => region == "us-east-1",
            false => self.regions.lock().contains(region),
        };
        signature::verify(asked, services, is_region, &self.keys.lock(), self.clock.now())
    }

    pub(crate) fn place<T>(&self, account: &str, region: &str, look: impl FnOnce(&mut Place) -> T) -> T {
        let mut places = self.places.lock();
        let at = (account.to_owned(), region.to_owned());
        look(places.entry(at).or_insert_with(|| Place::new(account, region)))
    }
}

/// A request, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// As policies name it (`rds:DescribeDBInstances`); `AssumeRole`, `PutLogEvents`, `Credentials` of the Pod Identity agent, or
    /// method and path.
    pub operation: String,
    /// For which region it was signed.
    pub region: String,
    /// By which access key it was signed, if its signature is right.
    pub by: Option<String>,
    /// 0 where no answer was given.
    pub status: u16,
    pub at: Timestamp,
}

/// All operations of the services that are described, as policies name them.
#[must_use]
pub fn operations() -> Vec<String> {
    let of = |service: &Service| {
        let iam = service.iam;
        let named = service.operations.iter();
        named
            .map(|operation| format!("{iam}:{operation}"))
            .collect::<Vec<_>>()
    };
    services::ALL.iter().flat_map(of).collect()
}

impl FakeAws {
    /// Its time is that of `clock`.
    ///
    /// # Panics
    /// There is no port on loopback, or no thread.
    #[must_use]
    pub fn start(clock: Arc<dyn Clock>) -> Self {
        let estate = Arc::new(Estate {
            clock,
            keys: Mutex::default(),
            faults: Mutex::default(),
            logs: Mutex::default(),
            roles: Mutex::default(),
            pods: Mutex::default(),
            front: Mutex::default(),
            seen: Mutex::default(),
            regions: Mutex::new(BTreeSet::from([REGION.to_owned()])),
            places: Mutex::default(),
            links: Mutex::default(),
            bill: Mutex::default(),
            quotas: Mutex::default(),
            page_sizes: Mutex::default(),
        });
        let (address, server) = server::start(Arc::clone(&estate));
        Self {
            address,
            estate,
            _server: server,
        }
    }

    /// Where all of it is, for `AWS_ENDPOINT_URL`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The same without a socket, in whatever time its caller lives.
    #[must_use]
    pub fn client(&self) -> Arc<dyn Client> {
        Arc::new(client::Inside(Arc::clone(&self.estate)))
    }

    /// Keys of a user, which do not expire.
    #[must_use]
    pub fn user(&self) -> Key {
        self.estate.keys.lock().user()
    }

    /// From now on a key is unknown, as after somebody has deleted it.
    pub fn forget(&self, access_key: &str) {
        self.estate.keys.lock().forget(access_key);
    }

    /// A role that whoever is known may take on; who says another external id, or none, may not.
    pub fn role(&self, arn: &str, external_id: Option<&str>) {
        self.estate.roles.lock().add(arn, external_id);
    }

    /// How long credentials of roles and pods are good for, whatever is asked for.
    pub fn lifetime(&self, lifetime: Duration) {
        self.estate.roles.lock().lifetime = Some(lifetime);
    }

    /// A service account (`namespace:name`) whose pods get credentials of their node's agent.
    pub fn associate(&self, service_account: &str) {
        self.estate.pods.lock().associate(service_account);
    }

    /// Does something else than is asked, so many times.
    pub fn fails(&self, operation: &str, times: usize, fault: Fault) {
        self.estate.faults.lock().add(operation, times, fault);
    }

    /// The same until a time. Operations are those of [`Seen`]; `DescribeEvents` is that of any service, `rds:*` all of one.
    pub fn fails_until(&self, operation: &str, until: Timestamp, fault: Fault) {
        self.estate.faults.lock().add_until(operation, None, until, fault);
    }

    /// Everything in a region, until a time.
    pub fn region_fails(&self, region: &str, until: Timestamp, fault: Fault) {
        self.estate
            .faults
            .lock()
            .add_until("*", Some(region), until, fault);
    }

    /// All that was to fail does not.
    pub fn heals(&self) {
        self.estate.faults.lock().clear();
    }

    /// One more region.
    pub fn opens(&self, region: &str) {
        self.estate.regions.lock().insert(region.to_owned());
    }

    /// An account whose metrics another one may ask for, as by Observability Access Manager.
    pub fn links(&self, monitoring: &str, source: &str) {
        let mut links = self.estate.links.lock();
        links
            .entry(monitoring.to_owned())
            .or_default()
            .push(source.to_owned());
    }

    /// What time it is here.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.estate.clock.now()
    }

    /// What is in the usual account and region. Nobody is answered meanwhile: `look` asks the fake nothing.
    pub fn here<T>(&self, look: impl FnOnce(&mut Place) -> T) -> T {
        self.at(ACCOUNT, REGION, look)
    }

    /// What is in an account and region.
    pub fn at<T>(&self, account: &str, region: &str, look: impl FnOnce(&mut Place) -> T) -> T {
        self.estate.place(account, region, look)
    }

    /// Metrics of the usual account and region.
    pub fn metrics<T>(&self, look: impl FnOnce(&mut Metrics) -> T) -> T {
        self.here(|place| look(&mut place.metrics))
    }

    /// What has been asked for so far that costs money.
    #[must_use]
    pub fn bill(&self) -> Bill {
        self.estate.bill.lock().clone()
    }

    /// Its lines begin anew; what is free in a month is not given again.
    pub fn reset_bill(&self) {
        self.estate.bill.lock().reset();
    }

    /// How it is billed where nobody knows for sure.
    pub fn billing(&self, set: impl FnOnce(&mut Bill)) {
        set(&mut self.estate.bill.lock());
    }

    /// So many a second of something that has a quota: an operation of CloudWatch, or points ([`metrics::quota`]).
    pub fn quota(&self, kind: &'static str, per_second: f64) {
        self.estate.quotas.lock().set(kind, per_second);
    }

    /// Items of a page at most, for an operation as policies name it; never more than the real one gives.
    pub fn page_size(&self, operation: &str, items: usize) {
        self.estate.page_sizes.lock().insert(operation.to_owned(), items);
    }

    /// Settings of its log groups, and what is in them.
    pub fn logs<T>(&self, look: impl FnOnce(&mut Logs) -> T) -> T {
        look(&mut self.estate.logs.lock())
    }

    /// What is answered to requests of other services, once their signature is found right; 204 by default.
    pub fn answer(&self, answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) {
        self.estate.front.lock().answer = Arc::new(answer);
    }

    /// Requests of other services whose signature was right.
    #[must_use]
    pub fn taken(&self) -> Vec<Asked> {
        self.estate.front.lock().taken.clone()
    }

    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.estate.seen.lock().clone()
    }

    /// How often an operation was asked for; patterns as in [`Self::fails_until`].
    #[must_use]
    pub fn count(&self, operation: &str) -> usize {
        let seen = self.estate.seen.lock();
        seen.iter()
            .filter(|seen| faults::fits(operation, &seen.operation))
            .count()
    }
}
