//! AWS Signature Version 4: a request becomes headers that say who sends it.
//!
//! The body is hashed once, whatever its hash is needed for.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, SignableBody, SignableRequest, SigningParams, SigningSettings,
};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use model::Timestamp;

use crate::clock::system;

/// Asks for the body's hash in a header of its own.
const HASH_IN_HEADER: &str = "aoss";

/// What is signed. Its URL is as it is sent, and all headers are there.
#[derive(Clone, Copy, Debug)]
pub struct Signable<'a> {
    pub method: &'a str,
    pub url: &'a str,
    pub headers: &'a [(String, String)],
    pub payload: Payload<'a>,
}

/// A body, or what is known of it.
#[derive(Clone, Copy, Debug)]
pub enum Payload<'a> {
    Bytes(&'a [u8]),
    /// Its SHA-256 in hexadecimal, small letters.
    Sha256(&'a str),
}

/// The headers to add; what the request has of them already has to go.
///
/// # Errors
/// It is no request of HTTP.
pub fn sign(
    signable: &Signable<'_>,
    credentials: &Credentials,
    region: &str,
    service: &str,
    now: Timestamp,
) -> Result<Vec<(String, String)>, String> {
    let mut settings = SigningSettings::default();
    if service == HASH_IN_HEADER {
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    }
    signed(signable, credentials, region, service, system(now), settings)
}

pub(crate) fn signed(
    signable: &Signable<'_>,
    credentials: &Credentials,
    region: &str,
    service: &str,
    time: SystemTime,
    settings: SigningSettings,
) -> Result<Vec<(String, String)>, String> {
    let identity = Identity::from(credentials.clone());
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(service)
        .time(time)
        .settings(settings)
        .build()
        .map_err(|error| error.to_string())?;
    let body = match signable.payload {
        Payload::Bytes(bytes) => SignableBody::Bytes(bytes),
        Payload::Sha256(hash) => SignableBody::Precomputed(hash.to_owned()),
    };
    let headers = signable.headers.iter();
    let headers = headers.map(|(name, value)| (name.as_str(), value.as_str()));
    let failed = |error: aws_sigv4::http_request::SigningError| crate::words::innermost(&error);
    let request = SignableRequest::new(signable.method, signable.url, headers, body).map_err(failed)?;
    let parameters = SigningParams::from(parameters);
    let signed = aws_sigv4::http_request::sign(request, &parameters).map_err(failed)?;
    let (instructions, _) = signed.into_parts();
    let headers = instructions.headers();
    Ok(headers
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect())
}
