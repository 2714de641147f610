//! Who is known: access keys with their secrets, the same in every run.

use std::collections::BTreeMap;

use model::Timestamp;

/// Credentials of somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    pub access_key: String,
    pub secret_key: String,
    /// With those that expire.
    pub session: Option<String>,
    pub expiry: Option<Timestamp>,
    /// Who it is.
    pub arn: String,
}

impl Key {
    /// Whose it is, as its ARN says.
    #[must_use]
    pub fn account(&self) -> &str {
        account_of(&self.arn)
    }
}

pub(crate) fn account_of(arn: &str) -> &str {
    arn.split(':').nth(4).unwrap_or_default()
}

#[derive(Default)]
pub(crate) struct Keys {
    known: BTreeMap<String, Key>,
    given: usize,
}

impl Keys {
    pub(crate) fn user(&mut self) -> Key {
        let nth = self.next();
        self.add(Key {
            access_key: format!("AKIA{nth:016}"),
            secret_key: secret(nth),
            session: None,
            expiry: None,
            arn: format!("arn:aws:iam::{}:user/user{nth}", crate::ACCOUNT),
        })
    }

    pub(crate) fn session(&mut self, arn: String, expiry: Timestamp) -> Key {
        let nth = self.next();
        self.add(Key {
            access_key: format!("ASIA{nth:016}"),
            secret_key: secret(nth),
            session: Some(format!("session/{nth}+{nth:032}==")),
            expiry: Some(expiry),
            arn,
        })
    }

    pub(crate) fn get(&self, access_key: &str) -> Option<&Key> {
        self.known.get(access_key)
    }

    pub(crate) fn forget(&mut self, access_key: &str) {
        self.known.remove(access_key);
    }

    pub(crate) fn add(&mut self, key: Key) -> Key {
        self.known.insert(key.access_key.clone(), key.clone());
        key
    }

    fn next(&mut self) -> usize {
        self.given += 1;
        self.given
    }
}

/// With the letters that real ones have.
fn secret(nth: usize) -> String {
    format!("s3cret/{nth:032}+")
}
