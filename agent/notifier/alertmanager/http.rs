//! What a file says about how receivers are reached: who we say we are.

use std::path::Path;

use yaml::Spanned;

use super::file::{Authorization, Basic, Http, Inline};
use crate::receiver::{Auth, Place};

/// What is wrong, in words.
pub(super) type Wrong = String;

/// A value that may stand here or in a file.
pub(super) fn place(base: &Path, here: Option<&Inline>, file: Option<&String>) -> Option<Place> {
    let here = here.filter(|inline| !inline.0.is_empty());
    let file = file.filter(|path| !path.is_empty());
    here.map(|inline| Place::Here(inline.0.clone()))
        .or_else(|| file.map(|path| Place::File(base.join(path))))
}

/// At most one of both.
pub(super) fn one(keys: (&str, &str), here: Option<&Inline>, file: Option<&String>) -> Result<(), Wrong> {
    let is_here = here.is_some_and(|inline| !inline.0.is_empty());
    if is_here && file.is_some_and(|path| !path.is_empty()) {
        let (here, file) = keys;
        return Err(format!("at most one of {here} & {file} must be configured"));
    }
    Ok(())
}

/// The receiver's own settings stand in place of the file's for all.
pub(super) fn auth(
    base: &Path,
    own: Option<&Spanned<Http>>,
    all: Option<&Spanned<Http>>,
) -> Result<Option<Auth>, Wrong> {
    let Some(Spanned { value: http, .. }) = own.or(all) else {
        return Ok(None);
    };
    for (key, found) in [
        ("oauth2", &http.oauth2),
        ("tls_config", &http.tls_config),
        ("proxy_url", &http.proxy_url),
        ("no_proxy", &http.no_proxy),
        ("proxy_from_environment", &http.proxy_from_environment),
        ("proxy_connect_header", &http.proxy_connect_header),
        ("http_headers", &http.http_headers),
    ] {
        if found.is_some() {
            return Err(format!(
                "http_config.{key} is not supported: messages would not arrive as meant; take it out, or send to an \
                 Alertmanager"
            ));
        }
    }
    let bearer = place(base, http.bearer_token.as_ref(), http.bearer_token_file.as_ref());
    one(
        ("bearer_token", "bearer_token_file"),
        http.bearer_token.as_ref(),
        http.bearer_token_file.as_ref(),
    )?;
    let ways = [
        http.basic_auth.is_some(),
        http.authorization.is_some(),
        bearer.is_some(),
    ];
    if ways.iter().filter(|way| **way).count() > 1 {
        return Err("at most one of basic_auth, authorization & bearer_token must be configured".to_owned());
    }
    let token = |scheme: &str, credentials| Auth::Token {
        scheme: scheme.to_owned(),
        credentials,
    };
    if let Some(basic) = &http.basic_auth {
        return basic_auth(base, basic).map(Some);
    }
    if let Some(authorization) = &http.authorization {
        return authorized(base, authorization).map(Some);
    }
    Ok(bearer.map(|bearer| token("Bearer", bearer)))
}

fn basic_auth(base: &Path, basic: &Basic) -> Result<Auth, Wrong> {
    if basic.username_file.is_some() {
        return Err("http_config.basic_auth.username_file is not supported: write username".to_owned());
    }
    one(
        ("password", "password_file"),
        basic.password.as_ref(),
        basic.password_file.as_ref(),
    )?;
    let password = place(base, basic.password.as_ref(), basic.password_file.as_ref());
    Ok(Auth::Basic {
        username: basic.username.clone(),
        password: password.unwrap_or_default(),
    })
}

fn authorized(base: &Path, written: &Authorization) -> Result<Auth, Wrong> {
    let scheme = written.scheme.as_deref().map_or("Bearer", str::trim);
    if scheme.eq_ignore_ascii_case("basic") {
        return Err("authorization type cannot be set to \"basic\", use \"basic_auth\" instead".to_owned());
    }
    one(
        ("credentials", "credentials_file"),
        written.credentials.as_ref(),
        written.credentials_file.as_ref(),
    )?;
    let credentials = place(
        base,
        written.credentials.as_ref(),
        written.credentials_file.as_ref(),
    );
    Ok(Auth::Token {
        scheme: if scheme.is_empty() { "Bearer" } else { scheme }.to_owned(),
        credentials: credentials.unwrap_or_default(),
    })
}
