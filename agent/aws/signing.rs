//! A client that can also sign: what it sends, it sends by another.

use std::sync::Arc;

use model::outside::{Client, ClientError, Request, Response};
use model::way::Way;
use model::{BoxFuture, SigV4};

use crate::Aws;

pub struct Signing {
    client: Arc<dyn Client>,
    aws: Arc<Aws>,
}

impl Signing {
    #[must_use]
    pub fn new(client: Arc<dyn Client>, aws: &Arc<Aws>) -> Arc<Self> {
        Arc::new(Self {
            client,
            aws: Arc::clone(aws),
        })
    }
}

impl Client for Signing {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, ClientError>> {
        self.client.send(request)
    }

    fn send_by(&self, way: &Arc<Way>, request: Request) -> BoxFuture<'_, Result<Response, ClientError>> {
        self.client.send_by(way, request)
    }

    fn sign<'a>(
        &'a self,
        by: &'a SigV4,
        request: &'a Request,
    ) -> BoxFuture<'a, Result<Vec<(String, String)>, String>> {
        Box::pin(self.aws.sign(by, request))
    }
}
