//! In which words a service is spoken to: query, EC2's own, awsJson, Smithy RPC v2 CBOR, and paths of its own.
//!
//! One request is read and one answer written here; what is in between knows nothing of it.

pub(crate) mod fields;
pub(crate) mod page;
pub(crate) mod tree;

use serde_json::{Value, json};

use crate::asked::{Answer, Asked, REQUEST, Refusal, escaped};
use crate::services::{ALL, Service};
use crate::signature;
use fields::Fields;
use tree::{Times, Tree};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Query,
    Ec2,
    /// With its version, `1.0` or `1.1`.
    Json(&'static str),
    Cbor,
    Rest,
}

/// A request to one of the services.
pub(crate) struct Spoken {
    pub(crate) service: &'static Service,
    pub(crate) operation: String,
    pub(crate) protocol: Protocol,
}

impl Spoken {
    /// What a request is for; none if it is to none of the services.
    pub(crate) fn of(asked: &Asked) -> Option<Self> {
        if let Some(rest) = asked.path.strip_prefix("/service/") {
            let (target, operation) = rest.split_once("/operation/")?;
            let service = ALL.iter().find(|service| service.target == target)?;
            let is_cbor = asked.header("smithy-protocol") == Some("rpc-v2-cbor");
            return is_cbor.then(|| Self {
                service,
                operation: operation.to_owned(),
                protocol: Protocol::Cbor,
            });
        }
        if let Some(target) = asked.header("x-amz-target") {
            let (target, operation) = target.rsplit_once('.')?;
            let service = ALL.iter().find(|service| service.target == target)?;
            let version = match asked.header("content-type")? {
                "application/x-amz-json-1.0" => "1.0",
                _ => "1.1",
            };
            return Some(Self {
                service,
                operation: operation.to_owned(),
                protocol: Protocol::Json(version),
            });
        }
        let (_, signed_for) = signature::scope(asked)?;
        let service = ALL.iter().find(|service| service.signs_as == signed_for)?;
        if let Some(route) = service.route {
            return Some(Self {
                service,
                operation: route(asked)?.to_owned(),
                protocol: Protocol::Rest,
            });
        }
        let is_form = asked
            .header("content-type")?
            .starts_with("application/x-www-form-urlencoded");
        let action = form_urlencoded::parse(&asked.body).find(|(name, _)| name == "Action");
        Some(Self {
            service,
            operation: action.filter(|_| is_form && asked.path == "/")?.1.into_owned(),
            protocol: match service.iam {
                "ec2" => Protocol::Ec2,
                _ => Protocol::Query,
            },
        })
    }

    /// As policies name it.
    pub(crate) fn name(&self) -> String {
        format!("{}:{}", self.service.iam, self.operation)
    }

    /// What is asked for.
    pub(crate) fn read(&self, asked: &Asked) -> Result<Value, Refusal> {
        match self.protocol {
            Protocol::Query | Protocol::Ec2 => {
                let form = fields::form(&asked.body);
                let version = Fields(&form).text("Version").unwrap_or_default();
                if version != self.service.version {
                    return Err(self.unknown(version));
                }
                Ok(form)
            }
            Protocol::Cbor => fields::cbor(&asked.body),
            Protocol::Rest => {
                let pairs = form_urlencoded::parse(asked.query.as_bytes());
                let pairs = pairs.map(|(name, value)| (name.into_owned(), Value::String(value.into_owned())));
                let mut read: serde_json::Map<String, Value> = pairs.collect();
                read.insert("path".to_owned(), Value::String(asked.path.clone()));
                Ok(Value::Object(read))
            }
            Protocol::Json(_) => serde_json::from_slice(&asked.body)
                .map_err(|error| Refusal::new("SerializationException", error.to_string())),
        }
    }

    fn unknown(&self, version: &str) -> Refusal {
        Refusal::new(
            "InvalidAction",
            format!(
                "Could not find operation {} for version {version}",
                self.operation
            ),
        )
    }

    /// This service has no such operation, or the fake does not know it.
    pub(crate) fn no_operation(&self) -> Refusal {
        match self.protocol {
            Protocol::Query | Protocol::Ec2 => self.unknown(self.service.version),
            _ => Refusal::new(
                "UnknownOperationException",
                format!("the fake does not know {}", self.operation),
            ),
        }
    }

    pub(crate) fn write(&self, outcome: Result<Tree, Refusal>) -> Answer {
        let said = match outcome {
            Ok(said) => said,
            Err(refusal) => return self.refuse(&refusal),
        };
        match self.protocol {
            Protocol::Query => {
                let (operation, namespace) = (&self.operation, self.service.namespace);
                let mut body = format!("<{operation}Response xmlns=\"{namespace}\"><{operation}Result>");
                said.xml_inside(&mut body);
                body.push_str(&format!(
                    "</{operation}Result><ResponseMetadata><RequestId>{REQUEST}</RequestId></ResponseMetadata>\
                     </{operation}Response>"
                ));
                Answer::xml(200, body)
            }
            Protocol::Ec2 => {
                let (operation, namespace) = (&self.operation, self.service.namespace);
                let mut body = format!(
                    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{operation}Response xmlns=\"{namespace}\">\
                     <requestId>{REQUEST}</requestId>"
                );
                said.xml_inside(&mut body);
                body.push_str(&format!("</{operation}Response>"));
                Answer::xml(200, body)
            }
            Protocol::Json(version) => Answer {
                kind: json_kind(version),
                ..Answer::json(200, &said.json(Times::Seconds))
            },
            Protocol::Rest => Answer::json(200, &said.json(Times::Written)),
            Protocol::Cbor => cbor(200, said.cbor()),
        }
    }

    pub(crate) fn refuse(&self, refusal: &Refusal) -> Answer {
        let code = refusal.code;
        match self.protocol {
            Protocol::Query => refusal.xml_of(self.service.namespace),
            Protocol::Ec2 => ec2(refusal),
            Protocol::Json(version) => Answer {
                kind: json_kind(version),
                headers: self.old_name(code),
                ..refusal.json_as(modelled(code))
            },
            Protocol::Rest => {
                let (status, code) = match code {
                    "ThrottlingException" => (429, "TooManyRequestsException"),
                    "AccessDenied" => (403, "AccessDeniedException"),
                    "NotFoundException" => (404, code),
                    "BadRequestException" => (400, code),
                    "UnknownOperationException" => (404, code),
                    _ => (403, code),
                };
                Answer {
                    headers: vec![("x-amzn-errortype", code.to_owned())],
                    ..Answer::json(status, &json!({ "message": refusal.message }))
                }
            }
            Protocol::Cbor => {
                let body = tree::tree! {
                    "__type": modelled(code),
                    "message": &refusal.message,
                };
                let mut answer = cbor(400, body.cbor());
                answer.headers.extend(self.old_name(code));
                answer
            }
        }
    }

    /// Services that spoke the query protocol once name their errors as they did then, as well.
    fn old_name(&self, code: &str) -> Vec<(&'static str, String)> {
        if !self.service.was_query {
            return Vec::new();
        }
        let old = match code {
            "ThrottlingException" => "Throttling",
            "InvalidSignatureException" => "SignatureDoesNotMatch",
            "UnrecognizedClientException" => "InvalidClientTokenId",
            "ExpiredTokenException" => "ExpiredToken",
            "QueueDoesNotExist" => "AWS.SimpleQueueService.NonExistentQueue",
            "InvalidParameterValueException" => "InvalidParameterValue",
            "InvalidParameterCombinationException" => "InvalidParameterCombination",
            "MissingRequiredParameterException" => "MissingParameter",
            other => other,
        };
        vec![("x-amzn-query-error", format!("{old};Sender"))]
    }
}

fn modelled(code: &'static str) -> &'static str {
    match code {
        "AccessDenied" => "AccessDeniedException",
        other => other,
    }
}

fn json_kind(version: &str) -> &'static str {
    match version {
        "1.0" => "application/x-amz-json-1.0",
        _ => "application/x-amz-json-1.1",
    }
}

pub(crate) fn cbor(status: u16, body: Vec<u8>) -> Answer {
    Answer {
        status,
        kind: "application/cbor",
        headers: vec![("smithy-protocol", "rpc-v2-cbor".to_owned())],
        body,
        ..Answer::default()
    }
}

/// EC2 has words of its own, also for who is not known.
fn ec2(refusal: &Refusal) -> Answer {
    let (status, code, message) = match refusal.code {
        "InvalidSignatureException" | "UnrecognizedClientException" => (
            401,
            "AuthFailure",
            "AWS was not able to validate the provided access credentials".to_owned(),
        ),
        "ExpiredTokenException" => (400, "RequestExpired", "Request has expired.".to_owned()),
        "AccessDenied" => (
            403,
            "UnauthorizedOperation",
            format!(
                "You are not authorized to perform this operation. {}",
                refusal.message
            ),
        ),
        "ThrottlingException" => (503, "RequestLimitExceeded", "Request limit exceeded.".to_owned()),
        other => (400, other, refusal.message.clone()),
    };
    Answer::xml(
        status,
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>{code}</Code><Message>{}</Message>\
             </Error></Errors><RequestID>{REQUEST}</RequestID></Response>",
            escaped(&message)
        ),
    )
}
