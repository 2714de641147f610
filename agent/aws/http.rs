//! Our way out, as AWS' SDK wants one: the same connections, certificates and proxies as everything else.
//!
//! What answers only to this machine or this pod, as the Pod Identity agent does, is never reached by a proxy.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use model::outside::{Client, ClientError, Method, Request, Response};
use model::way::{Proxy, Way};

/// Longest wait for an answer where the SDK names none.
const PATIENCE: Duration = Duration::from_secs(30);
/// A page of metrics is a few megabytes.
const ANSWER_BYTES_MAX: usize = 64 << 20;

#[derive(Clone)]
pub(crate) struct Out {
    client: Arc<dyn Client>,
    timeout: Duration,
}

impl Out {
    pub(crate) fn new(client: Arc<dyn Client>) -> Self {
        Self {
            client,
            timeout: PATIENCE,
        }
    }
}

impl fmt::Debug for Out {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("our way out")
    }
}

impl HttpClient for Out {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        let timeout = match (settings.connect_timeout(), settings.read_timeout()) {
            (connect, Some(read)) => connect.unwrap_or_default() + read,
            (_, None) => PATIENCE,
        };
        SharedHttpConnector::new(Self {
            client: Arc::clone(&self.client),
            timeout,
        })
    }
}

impl HttpConnector for Out {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let out = self.clone();
        HttpConnectorFuture::new(async move { out.exchange(request).await })
    }
}

impl Out {
    async fn exchange(&self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let is_near = is_near(request.uri());
        let request = self.ours(&request)?;
        let answer = if is_near {
            let way = Arc::new(Way {
                proxy: Proxy::None,
                ..Way::default()
            });
            self.client.send_by(&way, request).await
        } else {
            self.client.send(request).await
        };
        theirs(answer.map_err(failed)?)
    }

    fn ours(&self, request: &HttpRequest) -> Result<Request, ConnectorError> {
        let bad = |why: String| ConnectorError::user(why.into());
        let method = match request.method() {
            "GET" => Method::Get,
            "POST" => Method::Post,
            "PUT" => Method::Put,
            other => {
                return Err(bad(format!(
                    "{other} is none of the requests that are sent from here"
                )));
            }
        };
        let body = request.body().bytes();
        let body = body.ok_or_else(|| bad("a body without an end is not sent from here".to_owned()))?;
        // The client says these itself.
        let is_own = |name: &str| ["host", "content-length"].contains(&name);
        let headers = request.headers().iter().filter(|(name, _)| !is_own(name));
        Ok(Request {
            method,
            url: request.uri().to_owned(),
            headers: headers
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            body: body.to_vec().into(),
            timeout: self.timeout,
            answer_bytes_max: ANSWER_BYTES_MAX,
        })
    }
}

fn theirs(answer: Response) -> Result<HttpResponse, ConnectorError> {
    let status =
        StatusCode::try_from(answer.status).map_err(|error| ConnectorError::other(error.into(), None))?;
    let mut response = HttpResponse::new(status, SdkBody::from(answer.body));
    for (name, value) in answer.headers {
        let added = response.headers_mut().try_append(name, value);
        added.map_err(|error| ConnectorError::other(error.into(), None))?;
    }
    Ok(response)
}

fn failed(error: ClientError) -> ConnectorError {
    match error {
        ClientError::Timeout(_) => ConnectorError::timeout(error.into()),
        ClientError::Connect(_) | ClientError::Broken(_) => ConnectorError::io(error.into()),
        ClientError::BadUrl(_) | ClientError::Unsigned(_) | ClientError::TooLong { .. } => {
            ConnectorError::user(error.into())
        }
    }
}

/// An address that is the same for everybody and answers each differently.
fn is_near(url: &str) -> bool {
    let uri: Option<http::Uri> = url.parse().ok();
    let host = uri.as_ref().and_then(http::Uri::host).unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match host.parse() {
        Ok(IpAddr::V4(address)) => address.is_loopback() || address.is_link_local(),
        // fd00:ec2::23 and ::254 are where AWS answers itself.
        Ok(IpAddr::V6(address)) => address.is_loopback() || address.segments().starts_with(&[0xfd00, 0x0ec2]),
        Err(_) => host == "localhost",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_answers_only_here_is_known() {
        for near in [
            "http://169.254.170.23/v1/credentials",
            "http://169.254.169.254/latest",
            "http://[fd00:ec2::23]/v1/credentials",
            "http://127.0.0.1:80/",
            "http://localhost:1/a",
        ] {
            assert!(is_near(near), "{near}");
        }
        for far in [
            "https://sts.eu-west-1.amazonaws.com/",
            "http://10.0.0.1/",
            "http://[fd00:ec3::1]/",
        ] {
            assert!(!is_near(far), "{far}");
        }
    }
}
