//! Who we are to a server, in Prometheus' words: `basic_auth`, `authorization` and headers.
//!
//! Files are read anew for each request, so that a rotated credential is used as soon as it is there.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::{Secret, basic};

/// Longest file that is read as a secret.
const SECRET_BYTES_MAX: u64 = 64 << 10;

/// Who we are, as HTTP's basic authentication has it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BasicAuth {
    pub username: String,
    /// The password itself, for example `${PASSWORD}` from the environment.
    pub password: Option<Secret>,
    /// File that holds it; read before each request, so that a new one needs no reload.
    pub password_file: Option<PathBuf>,
}

/// A credential.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Authorization {
    /// The word before it.
    pub r#type: String, // type: Bearer
    /// The credential itself, for example `${TOKEN}` from the environment.
    pub credentials: Option<Secret>,
    /// File that holds it; read before each request, so that a new one needs no reload.
    pub credentials_file: Option<PathBuf>,
}

impl Default for Authorization {
    fn default() -> Self {
        Self {
            r#type: "Bearer".to_owned(),
            credentials: None,
            credentials_file: None,
        }
    }
}

/// The ways to say who we are; one of them at most.
#[derive(Clone, Copy, Debug, Default)]
pub struct Auth<'a> {
    pub basic: Option<&'a BasicAuth>,
    pub authorization: Option<&'a Authorization>,
    /// An older way to say `authorization.credentials_file`.
    pub bearer_token_file: Option<&'a Path>,
}

impl Auth<'_> {
    /// What is wrong with it, each a sentence that begins with the key.
    #[must_use]
    pub fn check(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        if let Some(basic) = self.basic {
            if self.authorization.is_some() || self.bearer_token_file.is_some() {
                wrong.push(
                    "basic_auth: so is authorization or bearer_token_file, and only one of them can be sent; keep one"
                        .to_owned(),
                );
            }
            if basic.username.is_empty() {
                wrong.push("basic_auth.username: missing".to_owned());
            } else if basic.username.contains(':') || basic.username.chars().any(char::is_control) {
                wrong.push("basic_auth.username: cannot have a colon or a line break in it".to_owned());
            }
            match (&basic.password, &basic.password_file) {
                (None, None) => {
                    wrong.push("basic_auth: neither password nor password_file is set".to_owned());
                }
                (Some(_), Some(_)) => {
                    wrong.push("basic_auth: both password and password_file are set; keep one".to_owned());
                }
                _ => {}
            }
        }
        if let Some(authorization) = self.authorization {
            let given = [
                authorization.credentials.is_some(),
                authorization.credentials_file.is_some(),
                self.bearer_token_file.is_some(),
            ];
            match given.iter().filter(|is_given| **is_given).count() {
                0 => wrong.push("authorization: neither credentials nor credentials_file is set".to_owned()),
                1 => {}
                _ => wrong.push(
                    "authorization: more than one of credentials, credentials_file and bearer_token_file is set; \
                     keep one"
                        .to_owned(),
                ),
            }
            if authorization.r#type.is_empty()
                || !authorization.r#type.bytes().all(|byte| byte.is_ascii_graphic())
            {
                wrong.push(format!(
                    "authorization.type: {:?} is not one word",
                    authorization.r#type
                ));
            }
        }
        wrong
    }

    /// What stands in the header `Authorization`, if anything does.
    ///
    /// # Errors
    /// The secret cannot be read, or no header can hold it.
    pub fn credential(&self) -> Result<Option<String>, String> {
        if let Some(own) = self.basic {
            let password = secret(own.password.as_ref(), own.password_file.as_deref())?;
            let password = password.unwrap_or_default();
            return Ok(Some(basic(&own.username, password.expose())));
        }
        let (kind, secret) = match self.authorization {
            Some(own) => (
                own.r#type.as_str(),
                secret(own.credentials.as_ref(), own.credentials_file.as_deref())?,
            ),
            None => ("Bearer", secret(None, self.bearer_token_file)?),
        };
        match secret {
            Some(secret) if !secret.expose().is_ascii() => {
                Err("the credential holds letters that no header can; basic_auth can send them".to_owned())
            }
            secret => Ok(secret.map(|secret| format!("{kind} {}", secret.expose()))),
        }
    }
}

/// What is wrong with headers that a configuration adds, each a sentence that begins with `headers`. Nobody may set the
/// `reserved` ones, which are in lower case.
#[must_use]
pub fn check_headers(headers: &BTreeMap<String, Secret>, reserved: &[&str]) -> Vec<String> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let names = headers.keys();
    let wrong = names.filter_map(|name| {
        if name.is_empty() || !name.bytes().all(is_token) {
            return Some(format!("headers: {name:?} cannot be the name of a header"));
        }
        reserved
            .contains(&name.to_ascii_lowercase().as_str())
            .then(|| format!("headers: {name} is set by the protocol and cannot be set here"))
    });
    wrong.collect()
}

/// Said, or in a file, or none.
fn secret(said: Option<&Secret>, file: Option<&Path>) -> Result<Option<Secret>, String> {
    match (said, file) {
        (Some(said), _) => Ok(Some(said.clone())),
        (None, file) => file.map(read_secret).transpose(),
    }
}

fn read_secret(path: &Path) -> Result<Secret, String> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(SECRET_BYTES_MAX).read_to_string(&mut text));
    read.map_err(|error| format!("reading the credential from {}: {error}", path.display()))?;
    let secret = text.trim();
    if secret.is_empty() || secret.chars().any(char::is_control) {
        return Err(format!(
            "the credential in {} is not one line of text",
            path.display()
        ));
    }
    Ok(Secret::plain(secret))
}
