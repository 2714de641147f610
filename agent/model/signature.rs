//! Who signs a request for AWS (Signature Version 4): what a configuration says of it, without credentials that come from elsewhere.

use std::fmt;

/// A service in a region, and as whom it is asked. What it prints shows no secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct SigV4 {
    /// The service as signatures name it, for example `aps` or `es`.
    pub service: String,
    /// None is the one of the environment or of the profile.
    pub region: Option<String>,
    pub account: Account,
}

/// Whose credentials; empty is whatever AWS' usual places hold.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Account {
    pub keys: Option<Keys>,
    /// A profile of AWS' own files.
    pub profile: Option<String>,
    /// A role to take on, with those credentials.
    pub role: Option<Role>,
}

/// Keys that do not expire.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Keys {
    pub access_key: String,
    pub secret_key: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Role {
    pub arn: String,
    /// What the role's owner wants to hear.
    pub external_id: Option<String>,
    /// Whether it is asked for at an endpoint that is validated for FIPS 140.
    pub by_fips: bool,
}

/// As a page, a log line or an error names it.
impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.role, &self.keys, &self.profile) {
            (Some(role), ..) => write!(f, "role {}", role.arn),
            (None, Some(keys), _) => write!(f, "access key {}", keys.access_key),
            (None, None, Some(profile)) => write!(f, "profile {profile}"),
            (None, None, None) => f.write_str("default credentials"),
        }
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.access_key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_named_and_its_secret_is_not() {
        let keys = Keys {
            access_key: "AKID".to_owned(),
            secret_key: "s3cret".to_owned(),
        };
        let mut account = Account {
            keys: Some(keys),
            ..Account::default()
        };
        let said = format!("{account} {account:?} {:?}", account.keys);
        assert!(
            said.contains("access key AKID") && !said.contains("s3cret"),
            "{said}"
        );
        account.role = Some(Role {
            arn: "arn:aws:iam::1:role/write".to_owned(),
            ..Role::default()
        });
        assert_eq!(account.to_string(), "role arn:aws:iam::1:role/write");
        assert_eq!(Account::default().to_string(), "default credentials");
    }
}
