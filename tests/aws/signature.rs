//! Signatures (AWS Signature Version 4) verified as AWS verifies them, by our own reading of its manual.

use hmac::{Hmac, KeyInit, Mac};
use model::Timestamp;
use sha2::{Digest, Sha256};

use crate::asked::{Asked, Refusal};
use crate::keys::{Key, Keys};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// A clock may be wrong by so many milliseconds.
const SKEW_MAX: i64 = 5 * 60 * 1000;

/// How paths are written in what is signed; all services but S3 want the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paths {
    /// Without `.`, `..` and double slashes.
    pub are_normal: bool,
}

/// What somebody says who they are.
struct Claim<'a> {
    access_key: &'a str,
    /// Day, region and service, with slashes between them.
    scope: &'a str,
    day: &'a str,
    region: &'a str,
    service: &'a str,
    signed_headers: Vec<&'a str>,
    signature: &'a str,
}

/// Who has signed, and for which region.
#[derive(Clone, Debug)]
pub(crate) struct Signer {
    pub(crate) key: Key,
    pub(crate) region: String,
}

/// Region and service that a request says it is for, whether or not its signature is right.
pub(crate) fn scope(asked: &Asked) -> Option<(&str, &str)> {
    let claim = Claim::read(asked.header("authorization")?).ok()?;
    Some((claim.region, claim.service))
}

/// Who has signed a request for one of `services` in a region that there is.
pub(crate) fn verify(
    asked: &Asked,
    services: &[&str],
    is_region: impl Fn(&str) -> bool,
    keys: &Keys,
    now: Timestamp,
) -> Result<Signer, Refusal> {
    let Some(header) = asked.header("authorization") else {
        return Err(Refusal::new(
            "MissingAuthenticationTokenException",
            "Missing Authentication Token",
        ));
    };
    let claim = Claim::read(header)?;
    if !is_region(claim.region) {
        return Err(mismatch(&format!(
            "Credential should be scoped to a valid region, not '{}'. ",
            claim.region
        )));
    }
    if !services.contains(&claim.service) {
        return Err(mismatch(&format!(
            "Credential should be scoped to correct service: '{}'. ",
            services.join("', '")
        )));
    }
    let date = asked.header("x-amz-date").unwrap_or_default();
    in_time(date, &claim, now)?;
    let invalid = || {
        Refusal::new(
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
        )
    };
    let key = keys.get(claim.access_key).ok_or_else(invalid)?;
    if key.session.as_deref() != asked.header("x-amz-security-token") {
        return Err(invalid());
    }
    let hash = hex(&Sha256::digest(&asked.body));
    match asked.header("x-amz-content-sha256") {
        Some(said) if said != hash => {
            return Err(mismatch(
                "The provided 'x-amz-content-sha256' header does not match what was computed. ",
            ));
        }
        None if claim.service == "aoss" => {
            return Err(mismatch("'x-amz-content-sha256' must be a header. "));
        }
        _ => {}
    }
    let must = asked.headers.iter().map(|(name, _)| name.as_str());
    let must = must.filter(|name| *name == "host" || name.starts_with("x-amz-"));
    for name in must {
        if !claim.signed_headers.contains(&name) {
            return Err(mismatch(&format!(
                "'{}' or ':authority' must be a 'SignedHeader' in the AWS Authorization. ",
                if name == "host" { "Host" } else { name }
            )));
        }
    }
    let expected = calculate(
        asked,
        &claim,
        date,
        &key.secret_key,
        &hash,
        Paths { are_normal: true },
    );
    if expected != claim.signature {
        return Err(Refusal::new(
            "InvalidSignatureException",
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret \
             Access Key and signing method. Consult the service documentation for details.",
        ));
    }
    // Only who has the secret hears that it has expired.
    if key.expiry.is_some_and(|expiry| expiry <= now) {
        return Err(Refusal::new(
            "ExpiredTokenException",
            "The security token included in the request is expired",
        ));
    }
    Ok(Signer {
        key: key.clone(),
        region: claim.region.to_owned(),
    })
}

/// The signature that a request should have by its own header, as [`verify`] calculates it; for published vectors.
#[must_use]
pub fn expected(asked: &Asked, secret_key: &str, paths: Paths) -> Option<String> {
    let claim = Claim::read(asked.header("authorization")?).ok()?;
    let hash = hex(&Sha256::digest(&asked.body));
    let date = asked.header("x-amz-date")?;
    Some(calculate(asked, &claim, date, secret_key, &hash, paths))
}

fn mismatch(message: &str) -> Refusal {
    Refusal::new("InvalidSignatureException", message)
}

impl<'a> Claim<'a> {
    fn read(header: &'a str) -> Result<Self, Refusal> {
        let incomplete = || {
            Refusal::new(
                "IncompleteSignatureException",
                "Authorization header requires 'Credential', 'SignedHeaders' and 'Signature' parameters.",
            )
        };
        let rest = header.strip_prefix(ALGORITHM).ok_or_else(incomplete)?;
        let part = |name: &str| {
            let mut parts = rest.split(',').map(str::trim);
            parts.find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
        };
        let credential = part("Credential").ok_or_else(incomplete)?;
        let (access_key, scope) = credential.split_once('/').ok_or_else(incomplete)?;
        let mut parts = scope.split('/');
        let (Some(day), Some(region), Some(service), Some("aws4_request"), None) = (
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
        ) else {
            return Err(incomplete());
        };
        Ok(Self {
            access_key,
            scope,
            day,
            region,
            service,
            signed_headers: part("SignedHeaders").ok_or_else(incomplete)?.split(';').collect(),
            signature: part("Signature").ok_or_else(incomplete)?,
        })
    }
}

fn in_time(date: &str, claim: &Claim<'_>, now: Timestamp) -> Result<(), Refusal> {
    let Some(signed) = read_date(date).filter(|_| date.starts_with(claim.day)) else {
        return Err(mismatch(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP",
        ));
    };
    let word = if signed < now.millis() - SKEW_MAX {
        "expired"
    } else if signed > now.millis() + SKEW_MAX {
        "not yet current"
    } else {
        return Ok(());
    };
    let now = jiff::Timestamp::from_millisecond(now.millis()).unwrap_or_default();
    Err(mismatch(&format!(
        "Signature {word}: {date} is now {} than {} (5 min.)",
        if word == "expired" { "earlier" } else { "later" },
        now.strftime("%Y%m%dT%H%M%SZ")
    )))
}

fn read_date(date: &str) -> Option<i64> {
    let time = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", date).ok()?;
    let time = time.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(time.timestamp().as_millisecond())
}

fn calculate(
    asked: &Asked,
    claim: &Claim<'_>,
    date: &str,
    secret_key: &str,
    hash: &str,
    paths: Paths,
) -> String {
    let mut canonical = format!(
        "{}\n{}\n{}\n",
        asked.method,
        canonical_path(&asked.path, paths),
        canonical_query(&asked.query)
    );
    for name in &claim.signed_headers {
        let values = asked.headers.iter().filter(|(known, _)| known == name);
        let values: Vec<String> = values
            .map(|(_, value)| value.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        canonical.push_str(&format!("{name}:{}\n", values.join(",")));
    }
    canonical.push_str(&format!("\n{}\n{hash}", claim.signed_headers.join(";")));
    let scope = claim.scope;
    let to_sign = format!(
        "{ALGORITHM}\n{date}\n{scope}\n{}",
        hex(&Sha256::digest(canonical))
    );
    let mut key = format!("AWS4{secret_key}").into_bytes();
    for part in [claim.day, claim.region, claim.service, "aws4_request"] {
        key = mac(&key, part);
    }
    hex(&mac(&key, &to_sign))
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key may have any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// As it came, escaped once more.
fn canonical_path(path: &str, paths: Paths) -> String {
    if !paths.are_normal {
        return escape(if path.is_empty() { "/" } else { path }, true);
    }
    let mut kept: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => _ = kept.pop(),
            part => kept.push(part),
        }
    }
    let ends = !kept.is_empty() && (path.ends_with('/') || path.ends_with("/.") || path.ends_with("/.."));
    let path = format!("/{}{}", kept.join("/"), if ends { "/" } else { "" });
    escape(&path, true)
}

/// By name and value as they are escaped.
fn canonical_query(query: &str) -> String {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let mut pairs: Vec<(String, String)> = pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (escape_bytes(&unescape(name)), escape_bytes(&unescape(value)))
        })
        .collect();
    pairs.sort();
    let pairs = pairs.iter().map(|(name, value)| format!("{name}={value}"));
    pairs.collect::<Vec<_>>().join("&")
}

fn escape(text: &str, keeps_slash: bool) -> String {
    let parts = text.split('/').map(|part| escape_bytes(part.as_bytes()));
    parts
        .collect::<Vec<_>>()
        .join(if keeps_slash { "/" } else { "%2F" })
}

fn escape_bytes(bytes: &[u8]) -> String {
    let byte = |byte: &u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(*byte).to_string(),
        other => format!("%{other:02X}"),
    };
    bytes.iter().map(byte).collect()
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = tail.get(..2).and_then(|code| std::str::from_utf8(code).ok());
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    bytes
}
