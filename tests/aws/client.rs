//! The fake without a socket: for tests in a time of their own, and for months that pass in seconds.

use std::sync::Arc;

use model::BoxFuture;
use model::outside::{Client, ClientError, Request, Response};

use crate::Estate;
use crate::asked::{Asked, date};
use crate::desk::{self, Reply};

/// Sends every request to the fake, whatever its URL says: who is asked stands in the signature.
pub(crate) struct Inside(pub(crate) Arc<Estate>);

impl Client for Inside {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, ClientError>> {
        Box::pin(async move {
            let asked = asked(&request)?;
            match desk::reply(&self.0, &asked) {
                Reply::Says(answer) if answer.after >= request.timeout => {
                    self.0.clock.sleep(request.timeout).await;
                    Err(ClientError::Timeout(request.timeout))
                }
                Reply::Says(answer) if answer.body.len() > request.answer_bytes_max => {
                    Err(ClientError::TooLong {
                        limit_bytes: request.answer_bytes_max,
                    })
                }
                Reply::Says(answer) => {
                    let answer = desk::waited(&self.0, &asked, answer).await;
                    let headers = answer.headers.into_iter();
                    let mut headers: Vec<(String, String)> = headers
                        .map(|(name, value)| (name.to_ascii_lowercase(), value))
                        .collect();
                    if !answer.kind.is_empty() {
                        headers.push(("content-type".to_owned(), answer.kind.to_owned()));
                    }
                    headers.push(("date".to_owned(), date(self.0.clock.now())));
                    Ok(Response {
                        status: answer.status,
                        headers,
                        body: answer.body,
                    })
                }
                Reply::Breaks => Err(ClientError::Broken(
                    "connection closed before the answer".to_owned(),
                )),
                Reply::Hangs => {
                    self.0.clock.sleep(request.timeout).await;
                    Err(ClientError::Timeout(request.timeout))
                }
            }
        })
    }
}

fn asked(request: &Request) -> Result<Asked, ClientError> {
    let bad = || ClientError::BadUrl(request.url.clone());
    let (scheme, rest) = request.url.split_once("://").ok_or_else(bad)?;
    let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let mut headers: Vec<(String, String)> = request
        .headers
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
        .collect();
    if !headers.iter().any(|(name, _)| name == "host") {
        let usual = if scheme == "https" { ":443" } else { ":80" };
        let host = authority.strip_suffix(usual).unwrap_or(authority);
        headers.push(("host".to_owned(), host.to_owned()));
    }
    // What whoever carries a request adds, and a signature may speak of.
    if !request.body.is_empty() && !headers.iter().any(|(name, _)| name == "content-length") {
        headers.push(("content-length".to_owned(), request.body.len().to_string()));
    }
    Ok(Asked {
        method: request.method.word().to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
        body: request.body.to_vec(),
    })
}
