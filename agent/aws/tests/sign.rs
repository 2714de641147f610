//! Signatures, beside those that AWS publishes and those that botocore makes.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, SessionTokenMode, SigningSettings, UriPathNormalizationMode,
};
use fake_aws::vectors;
use model::Timestamp;
use serde_json::{Value, json};

use crate::sign::signed;
use crate::{Payload, Signable, sign};

/// 2015-08-30T12:36:00Z, the time of all that AWS publishes.
const THEN: u64 = 1_440_938_160;
const HASH_OF_NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = headers.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value.as_str())
}

/// A letter that HTTP does not have in a target, as it is sent.
fn sent(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'!'..=b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}

#[test]
fn requests_are_signed_as_aws_publishes_it() {
    let Some(vectors) = vectors::all() else {
        return programs::skipped("the published signatures (cargo's sources of aws-sigv4)");
    };
    let mut held = 0;
    for vector in &vectors {
        let said = |key: &str| vector.context.pointer(key).and_then(Value::as_str);
        let Some(secret) = said("/credentials/secret_access_key") else {
            continue;
        };
        let key = said("/credentials/access_key_id").unwrap();
        let token = said("/credentials/token").map(str::to_owned);
        let credentials = Credentials::new(key, secret, token, None, "vector");
        let is = |key: &str| vector.context[key] == true;
        let mut settings = SigningSettings::default();
        settings.uri_path_normalization_mode = UriPathNormalizationMode::from(is("normalize"));
        if is("omit_session_token") {
            settings.session_token_mode = SessionTokenMode::Exclude;
        }
        if is("sign_body") {
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        }
        let request = &vector.request;
        // The published paths stand before they are escaped for sending, which escapes them once.
        settings.percent_encoding_mode = aws_sigv4::http_request::PercentEncodingMode::Single;
        let mut url = format!("https://example.amazonaws.com{}", sent(&request.path));
        if !request.query.is_empty() {
            url.push('?');
            url.push_str(&sent(&request.query));
        }
        let signable = Signable {
            method: &request.method,
            url: &url,
            headers: &request.headers,
            payload: Payload::Bytes(&request.body),
        };
        let time = UNIX_EPOCH + Duration::from_secs(THEN);
        let found = signed(
            &signable,
            &credentials,
            said("/region").unwrap(),
            said("/service").unwrap(),
            time,
            settings,
        );
        let expected = vector.signed.header("authorization");
        assert_eq!(
            header(&found.unwrap(), "authorization"),
            expected,
            "{}",
            vector.name
        );
        held += 1;
    }
    assert!(held >= 35, "{held} of {}", vectors.len());
}

/// The secrets of AWS' own examples.
fn example() -> Credentials {
    let secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
    Credentials::new(
        "AKIDEXAMPLE",
        secret,
        Some("token/with+signs==".to_owned()),
        None,
        "test",
    )
}

#[test]
fn a_hash_that_is_known_stands_for_the_body() {
    let headers = [("Content-Type".to_owned(), "text/plain".to_owned())];
    let of = |payload: Payload<'_>, service: &str| {
        let signable = Signable {
            method: "POST",
            url: "https://host/a?b=c",
            headers: &headers,
            payload,
        };
        sign(
            &signable,
            &example(),
            "eu-west-1",
            service,
            Timestamp(1_440_938_160_000),
        )
        .unwrap()
    };
    for service in ["aps", "aoss"] {
        assert_eq!(
            of(Payload::Bytes(b""), service),
            of(Payload::Sha256(HASH_OF_NOTHING), service)
        );
    }
    let hash =
        |service: &str| header(&of(Payload::Bytes(b""), service), "x-amz-content-sha256").map(str::to_owned);
    assert_eq!(
        (hash("aoss").as_deref(), hash("aps")),
        (Some(HASH_OF_NOTHING), None)
    );
    let other = of(Payload::Bytes(b"x"), "aps");
    assert_ne!(
        header(&other, "authorization"),
        header(&of(Payload::Bytes(b""), "aps"), "authorization")
    );
    assert_eq!(header(&other, "x-amz-date"), Some("20150830T123600Z"));
    assert_eq!(header(&other, "x-amz-security-token"), Some("token/with+signs=="));
}

const SIGNER: &str = r#"
import json, sys, datetime
import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
class Then(datetime.datetime):
    @classmethod
    def utcnow(cls): return cls(2015, 8, 30, 12, 36)
    @classmethod
    def now(cls, tz=None): return cls(2015, 8, 30, 12, 36, tzinfo=tz)
botocore.auth.datetime.datetime = Then
if hasattr(botocore.auth, "get_current_datetime"):
    botocore.auth.get_current_datetime = lambda remove_tzinfo=True: Then(2015, 8, 30, 12, 36)
told = []
for one in json.load(sys.stdin):
    request = AWSRequest(method=one["method"], url=one["url"], headers=dict(one["headers"]), data=one["body"].encode())
    who = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "token/with+signs==")
    botocore.auth.SigV4Auth(who, one["service"], one["region"]).add_auth(request)
    told.append([request.headers["Authorization"], request.headers["X-Amz-Date"]])
json.dump(told, sys.stdout)
"#;

/// Method, address, headers, body, service.
type Told = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
    &'static str,
    &'static str,
);

const TEXT: &[(&str, &str)] = &[("content-type", "text/plain")];
const WRITE: &[(&str, &str)] = &[
    ("content-encoding", "snappy"),
    (
        "content-type",
        "application/x-protobuf;proto=io.prometheus.write.v2.Request",
    ),
    ("x-prometheus-remote-write-version", "2.0.0"),
];
const FORM: &[(&str, &str)] = &[
    ("content-type", "application/x-www-form-urlencoded"),
    ("x-scope-orgid", "a  b"),
];
/// Queries are escaped in full: botocore signs them as they stand, AWS as they should.
const REQUESTS: [Told; 8] = [
    (
        "POST",
        "https://aps-workspaces.eu-west-1.amazonaws.com/workspaces/ws-1/api/v1/remote_write",
        WRITE,
        "body",
        "aps",
    ),
    (
        "POST",
        "https://aps-workspaces.eu-west-1.amazonaws.com/workspaces/ws-1/api/v1/query",
        FORM,
        "query=up&time=1.5",
        "aps",
    ),
    (
        "POST",
        "https://search.eu-west-1.es.amazonaws.com/_bulk?filter_path=errors%2Citems.%2A.status",
        TEXT,
        "{}\n",
        "es",
    ),
    (
        "GET",
        "https://host.example:8443/a%20b/c%2Fd/?z=1&a=%C3%A9&a=2&empty",
        TEXT,
        "",
        "es",
    ),
    (
        "GET",
        "https://host.example/index-2026.11.27/_search?q=a%2Bb%20c%2A&size=10",
        &[],
        "",
        "es",
    ),
    (
        "PUT",
        "https://host.example/$special/(x)!'~,;:@=",
        TEXT,
        "σ",
        "es",
    ),
    ("GET", "https://host.example", &[], "", "aps"),
    (
        "POST",
        "https://logs.eu-west-1.amazonaws.com/",
        &[
            ("x-amz-target", "Logs_20140328.PutLogEvents"),
            ("content-type", "application/x-amz-json-1.1"),
        ],
        "{}",
        "logs",
    ),
];

#[test]
fn botocore_signs_alike() {
    let Some(packages) = programs::file("aws/botocore/auth.py") else {
        return;
    };
    let packages = packages.parent().unwrap().parent().unwrap();
    let asked = REQUESTS.iter().map(|(method, url, headers, body, service)| {
        json!({"method": method, "url": url, "headers": headers, "body": body, "service": service, "region": "eu-west-1"})
    });
    let asked = Value::Array(asked.collect());
    let mut python = Command::new("python3")
        .args(["-c", SIGNER])
        .env("PYTHONPATH", packages)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = python.stdin.take().unwrap();
    input.write_all(asked.to_string().as_bytes()).unwrap();
    drop(input);
    let output = python.wait_with_output().unwrap();
    let theirs: Vec<(String, String)> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(theirs.len(), REQUESTS.len());
    for ((method, url, headers, body, service), (authorization, date)) in REQUESTS.iter().zip(theirs) {
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let signable = Signable {
            method,
            url,
            headers: &headers.collect::<Vec<_>>(),
            payload: Payload::Bytes(body.as_bytes()),
        };
        let ours = sign(
            &signable,
            &example(),
            "eu-west-1",
            service,
            Timestamp(1_440_938_160_000),
        )
        .unwrap();
        assert_eq!(
            header(&ours, "authorization"),
            Some(authorization.as_str()),
            "{method} {url}"
        );
        assert_eq!(header(&ours, "x-amz-date"), Some(date.as_str()));
    }
}
