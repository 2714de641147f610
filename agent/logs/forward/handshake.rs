//! Who a sender is: HELO, PING and PONG, by which both show that they know the key without saying it.

use net::Secret;
use rmp::encode::{write_array_len, write_bin, write_bool, write_map_len, write_str};
use sha2::{Digest, Sha512};
use subtle::ConstantTimeEq;

use super::pack::{Value, take};
use super::{Config, Refusal};
use crate::chance::chance;

/// Longest PING.
pub(super) const BYTES_MAX: usize = 64 << 10;
const NONCE_BYTES: usize = 16;

/// Our part, made anew for each connection.
pub(super) struct Handshake {
    nonce: [u8; NONCE_BYTES],
    /// Empty when no user is asked for.
    auth: Vec<u8>,
    key: Secret,
    users: Vec<(String, Secret)>,
}

impl Handshake {
    /// None when no key is asked for.
    ///
    /// # Errors
    /// A secret cannot be read, or there is no chance to be had.
    pub(super) async fn new(config: &Config) -> Result<Option<Self>, Refusal> {
        let unreadable =
            |why: String| Refusal::Unknown(format!("a secret of logs.forward cannot be read: {why}"));
        let Some(key) = config.key() else {
            return Ok(None);
        };
        let key = key.read().await.map_err(unreadable)?;
        let mut users = Vec::new();
        for user in &config.users {
            if let Some(password) = user.password() {
                users.push((user.username.clone(), password.read().await.map_err(unreadable)?));
            }
        }
        let auth = match users.is_empty() {
            true => Vec::new(),
            false => nonce()?.to_vec(),
        };
        Ok(Some(Self {
            nonce: nonce()?,
            auth,
            key,
            users,
        }))
    }

    pub(super) fn helo(&self) -> Vec<u8> {
        let mut out = Vec::new();
        // Writing into memory cannot fail.
        _ = write_array_len(&mut out, 2);
        _ = write_str(&mut out, "HELO");
        _ = write_map_len(&mut out, 3);
        _ = write_str(&mut out, "nonce");
        _ = write_bin(&mut out, &self.nonce);
        _ = write_str(&mut out, "auth");
        _ = write_bin(&mut out, &self.auth);
        _ = write_str(&mut out, "keepalive");
        _ = write_bool(&mut out, true);
        out
    }

    /// The PONG to a PING, and why the sender is not let in.
    ///
    /// # Errors
    /// It is no PING.
    pub(super) fn pong(&self, ping: &[u8], name: &str) -> Result<(Vec<u8>, Option<String>), Refusal> {
        let ping = Ping::read(ping)?;
        let why = self.judge(&ping);
        let mut out = Vec::new();
        _ = write_array_len(&mut out, 5);
        _ = write_str(&mut out, "PONG");
        _ = write_bool(&mut out, why.is_none());
        _ = write_str(&mut out, why.as_deref().unwrap_or_default());
        match &why {
            None => {
                let digest = digest(&[
                    ping.salt,
                    name.as_bytes(),
                    &self.nonce,
                    self.key.expose().as_bytes(),
                ]);
                _ = write_str(&mut out, name);
                _ = write_str(&mut out, &digest);
            }
            Some(_) => {
                _ = write_str(&mut out, "");
                _ = write_str(&mut out, "");
            }
        }
        Ok((out, why))
    }

    fn judge(&self, ping: &Ping<'_>) -> Option<String> {
        let own = digest(&[
            ping.salt,
            ping.hostname,
            &self.nonce,
            self.key.expose().as_bytes(),
        ]);
        if !bool::from(own.as_bytes().ct_eq(ping.key_digest)) {
            return Some("shared_key mismatch".to_owned());
        }
        if self.users.is_empty() {
            return None;
        }
        let is_known = self.users.iter().any(|(username, password)| {
            let own = digest(&[&self.auth, username.as_bytes(), password.expose().as_bytes()]);
            bool::from(username.as_bytes().ct_eq(ping.username) & own.as_bytes().ct_eq(ping.password_digest))
        });
        (!is_known).then(|| "username/password mismatch".to_owned())
    }
}

struct Ping<'a> {
    hostname: &'a [u8],
    salt: &'a [u8],
    key_digest: &'a [u8],
    username: &'a [u8],
    password_digest: &'a [u8],
}

impl<'a> Ping<'a> {
    fn read(mut bytes: &'a [u8]) -> Result<Self, Refusal> {
        let wrong = || Refusal::Unknown("no PING to our HELO: is a shared key set at the sender?".to_owned());
        if take(&mut bytes)? != Value::Array(6) || take(&mut bytes)? != Value::Bytes(b"PING") {
            return Err(wrong());
        }
        let mut text = || match take(&mut bytes)? {
            Value::Bytes(text) => Ok(text),
            Value::Nil => Ok(&b""[..]),
            _ => Err(wrong()),
        };
        Ok(Self {
            hostname: text()?,
            salt: text()?,
            key_digest: text()?,
            username: text()?,
            password_digest: text()?,
        })
    }
}

/// SHA-512 of the parts one behind the other, in hexadecimal digits.
pub(super) fn digest(parts: &[&[u8]]) -> String {
    let mut hash = Sha512::new();
    for part in parts {
        hash.update(part);
    }
    let digits = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(digits.get(usize::from(nibble)).copied().unwrap_or(b'0'));
    hash.finalize()
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

fn nonce() -> Result<[u8; NONCE_BYTES], Refusal> {
    chance().map_err(|error| Refusal::Unknown(error.to_string()))
}
