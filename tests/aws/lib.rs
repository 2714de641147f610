//! An AWS on loopback for tests: signatures are verified, roles assumed, log events taken within the real limits.
//!
//! It is strict where AWS is, and answers in AWS' own words. Its time is the test's, its keys are the same in every run, and it
//! fails when it is told to. It knows no SDK: what it verifies, it verifies by its own reading of the manual.

#![expect(
    clippy::expect_used,
    reason = "a fake that cannot start ends the test that wants it, and says why"
)]

mod agent;
mod asked;
mod faults;
mod front;
mod keys;
pub mod logs;
mod server;
pub mod signature;
mod sts;
#[cfg(test)]
mod tests;
pub mod token;
pub mod vectors;

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

/// The one region that it is.
pub const REGION: &str = "eu-west-1";
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
}

/// A request, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// `AssumeRole`, `PutLogEvents`, `Credentials` of the Pod Identity agent, or method and path.
    pub operation: String,
    /// By which access key it was signed, if its signature is right.
    pub by: Option<String>,
    /// 0 where no answer was given.
    pub status: u16,
    pub at: Timestamp,
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

    /// How often an operation was asked for.
    #[must_use]
    pub fn count(&self, operation: &str) -> usize {
        let seen = self.estate.seen.lock();
        seen.iter().filter(|seen| seen.operation == operation).count()
    }
}
