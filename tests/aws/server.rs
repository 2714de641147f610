//! The server: a thread of its own, so that a test may pause its own time.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, DATE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use model::Timestamp;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::Estate;
use crate::asked::{Answer, Asked, date};
use crate::desk::{self, Reply};

const BODY_BYTES_MAX: usize = 8 << 20;

/// The server ends with it.
pub(crate) struct Running {
    _stop: oneshot::Sender<()>,
}

pub(crate) fn start(estate: Arc<Estate>) -> (SocketAddr, Running) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
    listener
        .set_nonblocking(true)
        .expect("a listener that does not block");
    let address = listener.local_addr().expect("its address");
    let (stop, stopped) = oneshot::channel::<()>();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime for the fake");
    let serve = move || {
        runtime.block_on(async {
            tokio::select! {
                _ = stopped => {}
                () = listen(listener, estate) => {}
            }
        });
    };
    let thread = std::thread::Builder::new().name("fake-aws".to_owned());
    thread.spawn(serve).expect("a thread for the fake");
    (address, Running { _stop: stop })
}

async fn listen(listener: std::net::TcpListener, estate: Arc<Estate>) {
    let listener = TcpListener::from_std(listener).expect("a listener of the runtime");
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(stream, Arc::clone(&estate)));
    }
}

async fn serve(stream: TcpStream, estate: Arc<Estate>) {
    let service = service_fn(|request| {
        let estate = Arc::clone(&estate);
        async move {
            let answer = answer(&estate, request).await;
            // An error ends the connection without an answer.
            answer.ok_or("no answer")
        }
    });
    // Whoever goes away in between is of no interest.
    _ = http1::Builder::new()
        .auto_date_header(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer(estate: &Estate, request: hyper::Request<Incoming>) -> Option<hyper::Response<Full<Bytes>>> {
    let asked = read(request).await?;
    match desk::reply(estate, &asked) {
        Reply::Says(answer) => {
            let answer = desk::waited(estate, &asked, answer).await;
            Some(written(answer, estate.clock.now()))
        }
        Reply::Breaks => None,
        Reply::Hangs => std::future::pending().await,
    }
}

async fn read(request: hyper::Request<Incoming>) -> Option<Asked> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, BODY_BYTES_MAX).collect().await.ok()?;
    let headers = head.headers.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        (name.as_str().to_owned(), value)
    });
    Some(Asked {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: headers.collect(),
        body: body.to_bytes().to_vec(),
    })
}

/// Clients believe the date of an answer, and correct their own clock by it.
fn written(answer: Answer, now: Timestamp) -> hyper::Response<Full<Bytes>> {
    let mut response = hyper::Response::new(Full::new(Bytes::from(answer.body)));
    *response.status_mut() = hyper::StatusCode::from_u16(answer.status).unwrap_or_default();
    if !answer.kind.is_empty() {
        let kind = HeaderValue::from_static(answer.kind);
        response.headers_mut().insert(CONTENT_TYPE, kind);
    }
    let date = HeaderValue::from_str(&date(now)).expect("a date");
    response.headers_mut().insert(DATE, date);
    for (name, value) in answer.headers {
        let value = HeaderValue::from_str(&value).expect("a header of the fake");
        response.headers_mut().insert(name, value);
    }
    response
}
