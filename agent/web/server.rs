//! Accepts connections and serves them until it is told to stop.
//!
//! Promises: never more connections than `connections_max`, each bounded in handshake, headers, body, idleness and
//! patience; after `stop` nobody new is let in, those under way have `grace` to finish.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use net::Acceptor;
use prometheus::Gauge;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::guard::{Arrival, Guard};
use crate::line::{Line, Serving};
use crate::measure::Measure;
use crate::{Config, Rooms, routes};

/// Headers and request line together, and what is buffered of an answer.
const BUFFER_BYTES_MAX: usize = 64 * 1024;
const HEADERS_MAX: usize = 100;
/// Clients that are being told that there is no place; more are closed without a word.
const FAREWELLS_MAX: usize = 32;
const FAREWELL: Duration = Duration::from_secs(1);
/// Pause after the system could not give us a connection, usually for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why the server cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error("{address} is already in use by another process; choose another with --listen")]
    InUse { address: SocketAddr },
    #[error("not allowed to listen on {address}; choose a port above 1023 with --listen")]
    Denied { address: SocketAddr },
    #[error("{address} is not an address of this machine; choose another with --listen")]
    Foreign { address: SocketAddr },
    #[error("listening on {address}")]
    Other { address: SocketAddr, source: io::Error },
    #[error("serving https: {0}")]
    Tls(String),
}

/// A server that listens; clients wait until it runs.
pub struct Server {
    config: Config,
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<Acceptor>,
}

impl Server {
    /// Needs no runtime, so that a taken port is known before anything else starts.
    ///
    /// # Errors
    /// The address cannot be had, or the certificate not be used.
    pub fn bind(config: &Config, address: SocketAddr) -> Result<Self, BindError> {
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => BindError::InUse { address },
            io::ErrorKind::PermissionDenied => BindError::Denied { address },
            io::ErrorKind::AddrNotAvailable => BindError::Foreign { address },
            _ => BindError::Other { address, source },
        };
        let tls = config
            .tls
            .as_ref()
            .map(|files| Acceptor::open(&files.cert_file, &files.key_file, &[b"http/1.1"]))
            .transpose()
            .map_err(BindError::Tls)?;
        let listener = TcpListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self {
            config: config.clone(),
            listener,
            address,
            tls,
        })
    }

    /// With the port that the system chose, when 0 was asked for.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`, on any runtime with I/O and time.
    ///
    /// # Errors
    /// The listener does not fit the runtime.
    pub async fn run(self, rooms: Rooms, stop: CancellationToken) -> io::Result<()> {
        let Self {
            config,
            listener,
            address,
            tls,
        } = self;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let measure = Measure::new(&rooms.registry);
        let guard = Guard::new(&config, address, rooms.reserved);
        let clock = Arc::clone(&rooms.clock);
        let hall = Hall {
            manners: Manners {
                router: routes::router(rooms, &config, guard, measure.clone()),
                headers: config.request_timeout,
                stall: config.stall_timeout,
                idle: config.idle_timeout.max(config.request_timeout),
            },
            tls,
            stop: stop.clone(),
            places: Arc::new(Semaphore::new(
                config.connections_max.clamp(1, Semaphore::MAX_PERMITS),
            )),
            farewells: Arc::new(Semaphore::new(FAREWELLS_MAX)),
            graceful: GracefulShutdown::new(),
            measure,
            config,
        };
        let mut guests = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(_) = guests.join_next() => {}
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => hall.welcome(stream, &mut guests),
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection");
                        clock.sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        drop(listener);
        hall.close(guests).await;
        Ok(())
    }
}

/// What all connections share.
struct Hall {
    manners: Manners,
    tls: Option<Acceptor>,
    stop: CancellationToken,
    places: Arc<Semaphore>,
    farewells: Arc<Semaphore>,
    graceful: GracefulShutdown,
    measure: Measure,
    config: Config,
}

impl Hall {
    fn welcome(&self, stream: TcpStream, guests: &mut JoinSet<()>) {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            self.measure.refused.with_label_values(&["full"]).inc();
            return self.turn_away(stream, guests);
        };
        // Answers are written whole; waiting to join small packets only adds delay.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot set TCP_NODELAY");
        }
        let guest = Guest::enter(place, &self.measure.connections);
        let arrival = Arrival::at(stream.local_addr().ok());
        match &self.tls {
            None => {
                let connection = self.graceful.watch(self.manners.serve(stream, arrival));
                guests.spawn(attend(connection, guest));
            }
            Some(tls) => _ = guests.spawn(self.shake_hands(tls, stream, arrival, guest)),
        }
    }

    /// Whoever does not speak TLS, or is slow at it, holds up nobody else.
    fn shake_hands(
        &self,
        tls: &Acceptor,
        stream: TcpStream,
        arrival: Arrival,
        guest: Guest,
    ) -> impl Future<Output = ()> + use<> {
        let (patience, manners) = (self.config.request_timeout, self.manners.clone());
        let handshake = tls.acceptor().accept(stream);
        let (watcher, stop) = (self.graceful.watcher(), self.stop.clone());
        let refused = self.measure.refused.clone();
        async move {
            let shaken = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                shaken = timeout(patience, handshake) => shaken,
            };
            match shaken {
                Ok(Ok(stream)) => attend(watcher.watch(manners.serve(stream, arrival)), guest).await,
                Ok(Err(error)) => {
                    refused.with_label_values(&["handshake"]).inc();
                    tracing::debug!(%error, "TLS handshake failed");
                }
                Err(_) => {
                    refused.with_label_values(&["handshake"]).inc();
                    tracing::debug!("TLS handshake not finished in time");
                }
            }
        }
    }

    /// Says that there is no place; the answer is lost if the client's request is still unread at the close.
    fn turn_away(&self, mut stream: TcpStream, guests: &mut JoinSet<()>) {
        if self.tls.is_some() {
            // A handshake is more than a farewell may cost.
            return;
        }
        let Ok(place) = Arc::clone(&self.farewells).try_acquire_owned() else {
            return;
        };
        let text = format!(
            "all {} connections are in use; try again, or raise web.connections_max\n",
            self.config.connections_max
        );
        let answer = format!(
            "HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain; charset=utf-8\r\n\
             content-length: {}\r\nretry-after: 1\r\nconnection: close\r\n\r\n{text}",
            text.len()
        );
        guests.spawn(async move {
            let farewell = async {
                stream.write_all(answer.as_bytes()).await?;
                stream.shutdown().await?;
                let mut unread = [0; 1024];
                while stream.read(&mut unread).await? > 0 {}
                io::Result::Ok(())
            };
            if !matches!(timeout(FAREWELL, farewell).await, Ok(Ok(()))) {
                tracing::debug!("a client without a place did not wait for the answer");
            }
            drop(place);
        });
    }

    async fn close(self, mut guests: JoinSet<()>) {
        let all_left = async {
            self.graceful.shutdown().await;
            while guests.join_next().await.is_some() {}
        };
        if timeout(self.config.grace, all_left).await.is_err() {
            tracing::warn!(connections = guests.len(), "connections cut after the grace time");
            guests.shutdown().await;
        }
    }
}

/// How every connection is served.
#[derive(Clone)]
struct Manners {
    router: Router,
    headers: Duration,
    stall: Duration,
    idle: Duration,
}

impl Manners {
    fn serve<S>(&self, stream: S, arrival: Arrival) -> http1::Connection<TokioIo<Line<S>>, Door>
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let serving = Serving::new(AtomicBool::new(false));
        let line = Line::new(stream, Arc::clone(&serving), self.headers, self.stall);
        let door = Door {
            router: TowerToHyperService::new(self.router.clone()),
            serving,
            arrival,
        };
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.idle)
            .max_headers(HEADERS_MAX)
            .max_header_size(BUFFER_BYTES_MAX)
            .max_buf_size(BUFFER_BYTES_MAX)
            .serve_connection(TokioIo::new(line), door)
    }
}

async fn attend(connection: impl Future<Output = hyper::Result<()>>, guest: Guest) {
    if let Err(error) = connection.await {
        tracing::debug!(%error, "connection ended");
    }
    drop(guest);
}

/// Holds a place and is counted as long as it lives, however its connection ends.
struct Guest {
    connections: Gauge,
    _place: OwnedSemaphorePermit,
}

impl Guest {
    fn enter(place: OwnedSemaphorePermit, connections: &Gauge) -> Self {
        connections.inc();
        Self {
            connections: connections.clone(),
            _place: place,
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.connections.dec();
    }
}

/// The router, telling the line when a request is being answered, and each request where it came in.
struct Door {
    router: TowerToHyperService<Router>,
    serving: Serving,
    arrival: Arrival,
}

impl Service<Request<Incoming>> for Door {
    type Response = Response;
    type Error = Infallible;
    type Future = model::BoxFuture<'static, Result<Response, Infallible>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.arrival);
        self.serving.store(true, Ordering::Relaxed);
        let (serving, answer) = (Arc::clone(&self.serving), self.router.call(request));
        Box::pin(async move {
            let answer = answer.await;
            serving.store(false, Ordering::Relaxed);
            answer
        })
    }
}
