//! `sigv4` in the words of Prometheus: requests are signed for AWS.
//!
//! It is read here and done elsewhere: whoever sends a request asks its client to sign it. A secret is in nothing that is printed.

use std::sync::Arc;

use model::SigV4;
use model::signature::{Account, Keys, Role};
use serde::Deserialize;

use crate::{Credential, Reach, Secret};

/// Amazon Managed Service for Prometheus, in signatures.
const SERVICE: &str = "aps";

/// As whom a server of AWS is asked. All of it may be left out: then it is whatever AWS' usual places say, in this order: the
/// environment, the profile, web identity, the container.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SigV4Config {
    /// Left out: that of `AWS_REGION`, of the profile, or `aws.region`.
    pub region: String,
    /// Keys that do not expire; both or none.
    pub access_key: String,
    pub secret_key: Secret,
    /// A profile of AWS' own files, in place of all usual places. Beside keys it still names the region.
    pub profile: String,
    /// A role that is taken on with those credentials.
    pub role_arn: String,
    /// What the owner of that role wants to hear.
    pub external_id: String,
    /// The role is asked for at an endpoint that is validated for FIPS 140.
    pub use_fips_sts_endpoint: bool,
    /// What the signature names; left out: `aps` of Managed Prometheus.
    pub service_name: String,
}

impl SigV4Config {
    /// The same way with requests signed.
    ///
    /// # Errors
    /// The first mistake, which begins with its key.
    pub fn signs(&self, reach: Reach) -> Result<Reach, String> {
        if !reach.credential.is_none() {
            return Err(
                "sigv4: at most one of basic_auth, authorization, oauth2, bearer_token & sigv4 must be configured"
                    .to_owned(),
            );
        }
        let signed = self.read().map_err(|why| format!("sigv4.{why}"))?;
        Ok(Reach {
            credential: Credential::Signed(Arc::new(signed)),
            ..reach
        })
    }

    /// What it comes to for Managed Prometheus.
    ///
    /// # Errors
    /// The first mistake, which begins with its key.
    pub fn read(&self) -> Result<SigV4, String> {
        self.read_for(SERVICE)
    }

    /// What it comes to where requests are for `service`, unless something else is said.
    ///
    /// # Errors
    /// The first mistake, which begins with its key.
    pub fn read_for(&self, service: &str) -> Result<SigV4, String> {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let keys = match (self.access_key.is_empty(), self.secret_key.is_empty()) {
            (true, true) => None,
            (false, false) => Some(Keys {
                access_key: self.access_key.clone(),
                secret_key: self.secret_key.expose().to_owned(),
            }),
            (false, true) => return Err("secret_key: missing beside access_key".to_owned()),
            (true, false) => return Err("access_key: missing beside secret_key".to_owned()),
        };
        if !self.role_arn.is_empty() && !self.role_arn.starts_with("arn:") {
            return Err(format!(
                "role_arn: {:?} is no ARN; write for example arn:aws:iam::123456789012:role/name",
                self.role_arn
            ));
        }
        if self.role_arn.is_empty() && !self.external_id.is_empty() {
            return Err("external_id: is for the role of role_arn, which is missing".to_owned());
        }
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        for (key, word) in [("region", &self.region), ("service_name", &self.service_name)] {
            if !word.bytes().all(is_word) {
                return Err(format!(
                    "{key}: {word:?} has more in it than letters, digits and -"
                ));
            }
        }
        Ok(SigV4 {
            service: text(&self.service_name).unwrap_or_else(|| service.to_owned()),
            region: text(&self.region),
            account: Account {
                keys,
                profile: text(&self.profile),
                role: text(&self.role_arn).map(|arn| Role {
                    arn,
                    external_id: text(&self.external_id),
                    by_fips: self.use_fips_sts_endpoint,
                }),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use model::BoxFuture;
    use model::outside::{Client, ClientError, Method, Request, Response};

    use super::*;
    use crate::Place;

    fn read(json: &str) -> SigV4Config {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_section_of_prometheus_reads_as_it_stands() {
        let section = read(
            r#"{"region": "eu-west-1", "access_key": "AKID", "secret_key": "s3cret", "role_arn": "arn:aws:iam::1:role/a",
                "external_id": "x", "use_fips_sts_endpoint": true, "service_name": "es"}"#,
        );
        let signed = section.signs(Reach::default()).unwrap();
        assert!(!format!("{signed:?} {section:?}").contains("s3cret"));
        let Credential::Signed(signed) = signed.credential else {
            panic!("not signed")
        };
        assert_eq!(
            (signed.service.as_str(), signed.region.as_deref()),
            ("es", Some("eu-west-1"))
        );
        assert_eq!(signed.account.keys.as_ref().unwrap().secret_key, "s3cret");
        let role = signed.account.role.as_ref().unwrap();
        assert_eq!((role.external_id.as_deref(), role.by_fips), (Some("x"), true));
        assert_eq!(read("{}").read_for("es").unwrap().service, "es");
        let empty = read("{}").read().unwrap();
        assert_eq!(
            (empty.service.as_str(), &empty.account),
            ("aps", &Account::default())
        );
        assert!(serde_json::from_str::<SigV4Config>(r#"{"regoin": "a"}"#).is_err());
    }

    #[test]
    fn what_cannot_work_is_named_with_its_key() {
        let wrong = [
            (r#"{"access_key": "a"}"#, "sigv4.secret_key: missing"),
            (r#"{"secret_key": "a"}"#, "sigv4.access_key: missing"),
            (r#"{"role_arn": "admin"}"#, "sigv4.role_arn: \"admin\" is no ARN"),
            (r#"{"external_id": "a"}"#, "sigv4.external_id: is for the role"),
            (r#"{"region": "eu west"}"#, "sigv4.region: \"eu west\""),
        ];
        for (json, sentence) in wrong {
            let found = read(json).signs(Reach::default()).unwrap_err();
            assert!(found.starts_with(sentence), "{json}: {found}");
        }
        let twice = read("{}").signs(Reach::from(Credential::bearer(Place::default())));
        assert!(twice.unwrap_err().starts_with("sigv4: at most one of"));
    }

    /// Signs with a word, keeps what is sent, and sends everybody elsewhere once.
    #[derive(Default)]
    struct Taker(Mutex<Vec<Request>>);

    impl Client for Taker {
        fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, ClientError>> {
            let mut taken = self.0.lock().unwrap();
            taken.push(request);
            let (status, headers) = match taken.len() {
                1 => (307, vec![("location".to_owned(), "/b".to_owned())]),
                2 => (
                    307,
                    vec![("location".to_owned(), "http://elsewhere/c".to_owned())],
                ),
                _ => (204, Vec::new()),
            };
            Box::pin(async move {
                Ok(Response {
                    status,
                    headers,
                    body: Vec::new(),
                })
            })
        }

        fn sign<'a>(
            &'a self,
            by: &'a SigV4,
            request: &'a Request,
        ) -> BoxFuture<'a, Result<Vec<(String, String)>, String>> {
            let signature = format!("{} {} {}", by.service, request.url, request.headers.len());
            Box::pin(async { Ok(vec![("authorization".to_owned(), signature)]) })
        }
    }

    #[tokio::test]
    async fn each_request_is_signed_as_it_is_sent_and_nobody_else_is_told_who_we_are() {
        let reach = read("{}").signs(Reach::default()).unwrap();
        let taker = Taker::default();
        let request = Request {
            method: Method::Post,
            url: "http://user:word@host/a b?c=d e#f".to_owned(),
            headers: vec![("content-type".to_owned(), "text/plain".to_owned())],
            body: b"x".to_vec().into(),
            timeout: Duration::from_secs(1),
            answer_bytes_max: 10,
        };
        let via = reach.open(&taker, &|| true).await.unwrap();
        assert_eq!(via.send(request).await.unwrap().status, 204);
        let taken = taker.0.lock().unwrap();
        let signatures = taken.iter().map(|request| {
            let mut headers = request.headers.iter();
            let found = headers.find(|(name, _)| name == "authorization");
            found.map(|(_, value)| value.as_str())
        });
        let expected = [
            Some("aps http://host/a%20b?c=d%20e 1"),
            Some("aps http://host/b 1"),
            None,
        ];
        assert_eq!(signatures.collect::<Vec<_>>(), expected);
        assert_eq!(taken[0].url, "http://host/a%20b?c=d%20e");
    }
}
