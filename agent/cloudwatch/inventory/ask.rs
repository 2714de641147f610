//! Puts a question to a service of AWS and reads its answer, page by page.
//!
//! Of some six hundred operations a dozen and a half are needed, so these are asked without the clients of AWS' SDK: a form or a
//! line of JSON, signed by whoever signs for everybody. Nothing is repeated here; who asks knows when it is time again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::outside::{Client, Method, Request, Response};
use model::signature::{Account, SigV4};
use serde_json::{Value, json};

use super::operations::{Manner, Operation, Service};
use super::xml::{Node, Page};

const PATIENCE: Duration = Duration::from_secs(30);
/// A page of a hundred instances is some 500 KiB.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// A service that always names another page is not believed for ever.
const PAGES_MAX: usize = 1_000;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("{operation} is throttled: {why}")]
    Throttled { operation: &'static str, why: String },
    /// The permission is missing.
    #[error("{operation} is not allowed; grant {permission}: {why}")]
    Denied {
        operation: &'static str,
        permission: &'static str,
        why: String,
    },
    /// Who we are is not believed: keys that have run out, or that nobody knows.
    #[error("{operation}: AWS does not know us: {why}")]
    Unknown { operation: &'static str, why: String },
    /// AWS believes nobody whose clock is more than five minutes off.
    #[error("{operation}: the clock here is not that of AWS: {why}")]
    Skewed { operation: &'static str, why: String },
    /// It was not asked, because it costs money.
    #[error("{operation} is not asked: {why}")]
    Unpaid { operation: &'static str, why: String },
    /// No answer, or one of a server that cannot.
    #[error("{operation}: {why}")]
    Away { operation: &'static str, why: String },
    /// An answer that cannot be read.
    #[error("{operation}: the answer cannot be read: {why}")]
    Garbled { operation: &'static str, why: String },
    #[error("{operation} is refused: {code}: {why}")]
    Refused {
        operation: &'static str,
        code: String,
        why: String,
    },
}

impl Refused {
    /// Out of a closed set, for counting.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Throttled { .. } => "throttled",
            Self::Denied { .. } => "denied",
            Self::Unknown { .. } => "unknown_to_aws",
            Self::Skewed { .. } => "clock",
            Self::Unpaid { .. } => "unpaid",
            Self::Away { .. } => "away",
            Self::Garbled { .. } => "garbled",
            Self::Refused { .. } => "refused",
        }
    }

    /// From what a service says in its own words.
    pub(crate) fn said(operation: &Operation, status: u16, code: &str, message: &str) -> Self {
        let name = operation.name;
        let bare = code
            .rsplit(['#', ':'])
            .find(|part| !part.is_empty())
            .unwrap_or(code);
        let bare = bare.trim_end_matches("Exception");
        let why = match message {
            "" => format!("{status} {code}").trim().to_owned(),
            message => message.to_owned(),
        };
        match bare {
            "Throttling"
            | "ThrottlingException"
            | "RequestLimitExceeded"
            | "TooManyRequests"
            | "Throttled"
            | "RequestThrottled"
            | "SlowDown"
            | "LimitExceeded"
            | "PriorRequestNotComplete" => Self::Throttled { operation: name, why },
            "AccessDenied"
            | "UnauthorizedOperation"
            | "AuthorizationError"
            | "NotAuthorized"
            | "Forbidden" => Self::Denied {
                operation: name,
                permission: operation.permission.unwrap_or("the operation"),
                why,
            },
            "RequestTimeTooSkewed" | "RequestExpired" => Self::Skewed { operation: name, why },
            // The same code as for a wrong key; only the sentence tells.
            "SignatureDoesNotMatch" | "InvalidSignature"
                if why.starts_with("Signature expired") || why.starts_with("Signature not yet current") =>
            {
                Self::Skewed { operation: name, why }
            }
            "ExpiredToken"
            | "ExpiredTokenException"
            | "InvalidClientTokenId"
            | "UnrecognizedClient"
            | "SignatureDoesNotMatch"
            | "InvalidSignature"
            | "AuthFailure"
            | "IncompleteSignature"
            | "MissingAuthenticationToken"
            | "OptInRequired" => Self::Unknown { operation: name, why },
            _ if status == 429 => Self::Throttled { operation: name, why },
            _ if status >= 500 || status == 0 => Self::Away { operation: name, why },
            _ if status == 403 => Self::Denied {
                operation: name,
                permission: operation.permission.unwrap_or("the operation"),
                why,
            },
            _ => Self::Refused {
                operation: name,
                code: code.to_owned(),
                why,
            },
        }
    }
}

/// Where services are, and as whom they are asked.
#[derive(Clone)]
pub struct Asker {
    pub client: Arc<dyn Client>,
    pub account: Account,
    pub region: Arc<str>,
    pub endpoints: Endpoints,
}

/// Addresses in place of AWS' own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// By the service's word: PrivateLink, a proxy, a test.
    pub named: BTreeMap<String, String>,
    /// Of all others.
    pub all: Option<String>,
    pub fips: bool,
    pub dual_stack: bool,
}

impl Endpoints {
    /// Without a slash at its end.
    #[must_use]
    pub fn url(&self, service: Service, region: &str) -> String {
        let word = service.word();
        if let Some(url) = self.named.get(word).or(self.all.as_ref()) {
            return url.trim_end_matches('/').to_owned();
        }
        let fips = if self.fips { "-fips" } else { "" };
        let region = home(service, region);
        let suffix = match (region.starts_with("cn-"), self.dual_stack) {
            (true, true) => "api.amazonwebservices.com.cn",
            (true, false) => "amazonaws.com.cn",
            (false, true) => "api.aws",
            (false, false) => "amazonaws.com",
        };
        format!("https://{word}{fips}.{region}.{suffix}")
    }
}

/// The region in which a service is asked about another one: AWS Health has one place for all regions of a partition.
fn home(service: Service, region: &str) -> &str {
    match service {
        Service::Health if region.starts_with("cn-") => "cn-northwest-1",
        Service::Health if region.starts_with("us-gov-") => "us-gov-west-1",
        Service::Health => "us-east-1",
        _ => region,
    }
}

impl Asker {
    /// Every page of a question whose answer is XML; `read` is called for each, in order.
    ///
    /// # Errors
    /// The first page that was refused; what came before it has been read.
    pub(crate) async fn pages(
        &self,
        operation: &Operation,
        parameters: &[(&str, &str)],
        mut read: impl FnMut(&Node<'_, '_>) + Send,
    ) -> Result<(), Refused> {
        let mut next: Option<(&'static str, String)> = None;
        for _ in 0..PAGES_MAX {
            let mut form: Vec<(&str, &str)> = parameters.to_vec();
            if let Some((name, token)) = &next {
                form.push((name, token));
            }
            let text = self.query(operation, &form).await?;
            let page = Page::read(&text).map_err(|why| garbled(operation, why))?;
            // A page that says nothing of what is there must not be read as: nothing is there.
            if !page.answers(operation.name) {
                return Err(garbled(operation, "it is no answer to this question".to_owned()));
            }
            let root = page.result();
            read(&root);
            next = ["Marker", "NextMarker", "NextToken", "nextToken"]
                .into_iter()
                .find_map(|name| Some((name, root.text(name)?.to_owned())))
                .filter(|(_, token)| !token.is_empty())
                .map(|(name, token)| match name {
                    "NextMarker" => ("Marker", token),
                    "nextToken" => ("NextToken", token),
                    name => (name, token),
                });
            if next.is_none() {
                return Ok(());
            }
        }
        Err(garbled(operation, format!("it goes on after {PAGES_MAX} pages")))
    }

    /// Every page of a question whose answer is JSON.
    ///
    /// # Errors
    /// The first page that was refused; what came before it has been read.
    pub(crate) async fn documents(
        &self,
        operation: &Operation,
        about: &str,
        mut read: impl FnMut(&Value) + Send,
    ) -> Result<(), Refused> {
        let mut next: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let answer = self.document(operation, about, next.as_deref()).await?;
            read(&answer);
            let token = ["PaginationToken", "NextToken", "nextToken"];
            next = token
                .iter()
                .find_map(|name| answer.get(name)?.as_str())
                .filter(|token| !token.is_empty())
                .map(str::to_owned);
            if next.is_none() {
                return Ok(());
            }
        }
        Err(garbled(operation, format!("it goes on after {PAGES_MAX} pages")))
    }

    async fn query(&self, operation: &Operation, form: &[(&str, &str)]) -> Result<String, Refused> {
        let Manner::Query(version) = operation.manner else {
            return Err(garbled(operation, "it is not asked by a form".to_owned()));
        };
        let body = form_of(operation.name, version, form);
        let url = format!("{}/", self.endpoints.url(operation.service, &self.region));
        let kind = "application/x-www-form-urlencoded; charset=utf-8";
        let headers = vec![("content-type".to_owned(), kind.to_owned())];
        let answer = self
            .send(operation, Method::Post, url, headers, body.into_bytes())
            .await?;
        let text = String::from_utf8(answer.body).map_err(|error| garbled(operation, error.to_string()))?;
        if answer.status == 200 {
            return Ok(text);
        }
        let (code, message) = Page::read(&text).map(|page| page.error()).unwrap_or_default();
        Err(Refused::said(operation, answer.status, &code, &message))
    }

    /// A question that is asked in JSON, with all that it has to say.
    ///
    /// # Errors
    /// It was refused.
    pub(crate) async fn json(&self, operation: &Operation, body: Value) -> Result<Value, Refused> {
        let Manner::Json(prefix) = operation.manner else {
            return Err(garbled(operation, "it is not asked in JSON".to_owned()));
        };
        let version = match operation.service {
            Service::Sqs => "1.0",
            _ => "1.1",
        };
        let headers = vec![
            (
                "content-type".to_owned(),
                format!("application/x-amz-json-{version}"),
            ),
            ("x-amz-target".to_owned(), format!("{prefix}.{}", operation.name)),
        ];
        let url = format!("{}/", self.endpoints.url(operation.service, &self.region));
        let body = body.to_string().into_bytes();
        self.answer(operation, Method::Post, url, headers, body).await
    }

    async fn document(
        &self,
        operation: &Operation,
        about: &str,
        token: Option<&str>,
    ) -> Result<Value, Refused> {
        match operation.manner {
            Manner::Json(_) => {
                let mut body = serde_json::Map::new();
                let next = match operation.service {
                    Service::Quotas => {
                        body.insert("ServiceCode".to_owned(), about.into());
                        "NextToken"
                    }
                    Service::Health => {
                        // Seconds since 1970.
                        let from: f64 = about.parse().unwrap_or_default();
                        let filter =
                            json!({"regions": [&*self.region], "lastUpdatedTimes": [{"from": from}]});
                        body.insert("filter".to_owned(), filter);
                        "nextToken"
                    }
                    _ => "PaginationToken",
                };
                if let Some(token) = token {
                    body.insert(next.to_owned(), token.into());
                }
                self.json(operation, Value::Object(body)).await
            }
            Manner::Rest(path) => {
                let base = self.endpoints.url(operation.service, &self.region);
                let url = format!("{base}{}", path_of(path, about, token));
                self.answer(operation, Method::Get, url, Vec::new(), Vec::new())
                    .await
            }
            Manner::Query(_) | Manner::Sdk => {
                Err(garbled(operation, "it does not answer in JSON".to_owned()))
            }
        }
    }

    async fn answer(
        &self,
        operation: &Operation,
        method: Method,
        url: String,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
    ) -> Result<Value, Refused> {
        let answer = self.send(operation, method, url, headers, body).await?;
        let read: Result<Value, _> = serde_json::from_slice(&answer.body);
        if answer.status == 200 {
            return read.map_err(|error| garbled(operation, error.to_string()));
        }
        let said = read.unwrap_or_default();
        let text = |names: &[&str]| {
            let found = names.iter().find_map(|name| said.get(name)?.as_str());
            found.unwrap_or_default().to_owned()
        };
        let code = match text(&["__type", "code", "Code"]) {
            code if code.is_empty() => answer.header("x-amzn-errortype").unwrap_or_default().to_owned(),
            code => code,
        };
        let code = code.split(':').next().unwrap_or_default().to_owned();
        let message = text(&["message", "Message"]);
        Err(Refused::said(operation, answer.status, &code, &message))
    }

    async fn send(
        &self,
        operation: &Operation,
        method: Method,
        url: String,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
    ) -> Result<Response, Refused> {
        let by = SigV4 {
            service: operation.service.word().to_owned(),
            region: Some(home(operation.service, &self.region).to_owned()),
            account: self.account.clone(),
        };
        let mut request = Request {
            method,
            url,
            headers,
            body: body.into(),
            timeout: PATIENCE,
            answer_bytes_max: ANSWER_BYTES_MAX,
        };
        let name = operation.name;
        let signed = self.client.sign(&by, &request).await;
        let signed = signed.map_err(|why| Refused::Unknown { operation: name, why })?;
        request.headers.extend(signed);
        let answer = self.client.send(request).await;
        answer.map_err(|error| Refused::Away {
            operation: name,
            why: error.to_string(),
        })
    }
}

fn form_of(name: &str, version: &str, form: &[(&str, &str)]) -> String {
    let mut body = form_urlencoded::Serializer::new(String::new());
    body.append_pair("Action", name).append_pair("Version", version);
    body.extend_pairs(form);
    body.finish()
}

fn path_of(path: &str, about: &str, token: Option<&str>) -> String {
    let about: String = form_urlencoded::byte_serialize(about.as_bytes()).collect();
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("maxResults", "100");
    if let Some(token) = token {
        query.append_pair("nextToken", token);
    }
    format!("{}?{}", path.replace("{arn}", &about), query.finish())
}

fn garbled(operation: &Operation, why: String) -> Refused {
    Refused::Garbled {
        operation: operation.name,
        why,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::operations::{DB_INSTANCES, TAGGED};

    #[test]
    fn a_refusal_is_read_in_every_dialect() {
        for (status, code, reason) in [
            (400, "Throttling", "throttled"),
            (400, "ThrottlingException", "throttled"),
            (503, "RequestLimitExceeded", "throttled"),
            (429, "", "throttled"),
            (403, "AccessDenied", "denied"),
            (403, "UnauthorizedOperation", "denied"),
            (400, "com.amazonaws.tag#AccessDeniedException", "denied"),
            (403, "ExpiredToken", "unknown_to_aws"),
            (403, "ExpiredTokenException", "unknown_to_aws"),
            (403, "SignatureDoesNotMatch", "unknown_to_aws"),
            (503, "ServiceUnavailable", "away"),
            (400, "InvalidParameterValue", "refused"),
        ] {
            let refused = Refused::said(&DB_INSTANCES, status, code, "");
            assert_eq!(refused.reason(), reason, "{code}");
        }
        let late = "Signature expired: 20261101T000000Z is now earlier than 20261101T001000Z (5 min.)";
        for (status, code, message) in [
            (403, "SignatureDoesNotMatch", late),
            (400, "com.amazonaws.tag#InvalidSignatureException", late),
            (400, "RequestExpired", "Request has expired."),
            (
                403,
                "RequestTimeTooSkewed",
                "The difference between the request time and the current time is too large.",
            ),
        ] {
            let refused = Refused::said(&DB_INSTANCES, status, code, message);
            assert_eq!(refused.reason(), "clock", "{code}");
        }
        let denied = Refused::said(&TAGGED, 400, "AccessDeniedException", "User: x is not authorized");
        assert!(denied.to_string().contains("grant tag:GetResources"), "{denied}");
    }

    #[test]
    fn every_region_has_its_addresses() {
        let mut endpoints = Endpoints::default();
        assert_eq!(
            endpoints.url(Service::Rds, "eu-west-1"),
            "https://rds.eu-west-1.amazonaws.com"
        );
        assert_eq!(
            endpoints.url(Service::Ec2, "cn-north-1"),
            "https://ec2.cn-north-1.amazonaws.com.cn"
        );
        assert_eq!(
            endpoints.url(Service::Health, "eu-west-1"),
            "https://health.us-east-1.amazonaws.com"
        );
        endpoints.fips = true;
        assert_eq!(
            endpoints.url(Service::Kafka, "us-gov-west-1"),
            "https://kafka-fips.us-gov-west-1.amazonaws.com"
        );
        endpoints
            .named
            .insert("rds".to_owned(), "https://vpce-1.rds/".to_owned());
        endpoints.all = Some("http://127.0.0.1:1".to_owned());
        assert_eq!(endpoints.url(Service::Rds, "eu-west-1"), "https://vpce-1.rds");
        assert_eq!(endpoints.url(Service::Sts, "eu-west-1"), "http://127.0.0.1:1");
    }
}
