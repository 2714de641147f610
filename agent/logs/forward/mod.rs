//! Takes records by Fluentd's and Fluent Bit's Forward protocol, puts them into the spool, and only then says so.
//!
//! At least once: a sender that hears nothing sends again. While the spool takes nothing, nothing more is read from
//! anybody, and so senders keep what they have. Whatever is no Forward protocol closes its connection and is counted.

mod account;
mod config;
mod connection;
mod entries;
mod handshake;
mod message;
mod pack;
mod record;
#[cfg(test)]
mod tests;

use std::io;
use std::net::{SocketAddr, TcpListener as Listener, ToSocketAddrs, UdpSocket as Datagrams};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use model::view::LogInput;
use model::{Clock, Ledger};
use prometheus::Registry;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::spool::Spool;
use account::Account;
use connection::Connection;
use entries::{Entries, Lengths};
use record::Maker;

pub use config::{Config, User};

/// For connections that are keeping something when the process is told to stop.
const FAREWELL: Duration = Duration::from_secs(5);
/// After an accept that failed, for example because there are too many open files.
const PAUSE: Duration = Duration::from_millis(200);

/// Why a connection is closed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("not the Forward protocol: {0}")]
    Malformed(String),
    #[error("a message of more than {0} bytes; see logs.forward.message_bytes_max")]
    TooLong(usize),
    #[error("a message that unpacks to more than {0} bytes; see logs.forward.unpacked_bytes_max")]
    Inflated(u64),
    #[error("{0}; only logs can be taken, uncompressed or as gzip")]
    Foreign(String),
    #[error("not let in: {0}")]
    Unknown(String),
    #[error("nothing heard for {0:?} within a message")]
    Idle(Duration),
    #[error("connections_max is reached")]
    Crowded,
}

impl Refusal {
    fn malformed(what: &str) -> Self {
        Self::Malformed(what.to_owned())
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::TooLong(_) => "too_long",
            Self::Inflated(_) => "inflated",
            Self::Foreign(_) => "foreign",
            Self::Unknown(_) => "unknown",
            Self::Idle(_) => "idle",
            Self::Crowded => "crowded",
        }
    }
}

/// What all connections share.
pub(crate) struct Hall {
    config: Config,
    spool: Spool,
    account: Account,
    clock: Arc<dyn Clock>,
    /// What we are called in the handshake.
    name: String,
    /// Longer texts are cut.
    line_bytes_max: AtomicUsize,
    /// One for each long message that may be held.
    long: Semaphore,
    connections: Arc<Semaphore>,
}

/// The input, ready to run.
pub(crate) struct Forward {
    hall: Arc<Hall>,
    address: SocketAddr,
    listener: Listener,
    heartbeats: Datagrams,
}

/// What the room asks the input.
#[derive(Clone)]
pub(crate) struct Handle {
    hall: Arc<Hall>,
    address: SocketAddr,
}

impl Forward {
    /// Listens from now on; whoever connects waits until it runs.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub(crate) fn open(
        config: &Config,
        line_bytes_max: usize,
        spool: &Spool,
        (clock, host): (&Arc<dyn Clock>, &str),
        registry: &Registry,
    ) -> io::Result<Self> {
        let addresses: Vec<SocketAddr> = config.listen.to_socket_addrs()?.collect();
        let listener = Listener::bind(&*addresses)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let heartbeats = Datagrams::bind(address)?;
        heartbeats.set_nonblocking(true)?;
        let name = match config.self_hostname.as_str() {
            // A Fluentd refuses a server that has its own name, and one may run on this machine.
            "" => format!("skopos-{host}"),
            name => name.to_owned(),
        };
        let hall = Hall {
            account: Account::new(registry),
            spool: spool.clone(),
            clock: Arc::clone(clock),
            name,
            line_bytes_max: AtomicUsize::new(line_bytes_max),
            long: Semaphore::new((config.memory_bytes_max / config.message_bytes_max).max(1)),
            connections: Arc::new(Semaphore::new(config.connections_max)),
            config: config.clone(),
        };
        Ok(Self {
            hall: Arc::new(hall),
            address,
            listener,
            heartbeats,
        })
    }

    pub(crate) fn handle(&self) -> Handle {
        Handle {
            hall: Arc::clone(&self.hall),
            address: self.address,
        }
    }

    /// Runs until `stop`; what is being kept then is kept, and acknowledged.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let sockets = TcpListener::from_std(self.listener)
            .and_then(|listener| Ok((listener, UdpSocket::from_std(self.heartbeats)?)));
        let (listener, heartbeats) = match sockets {
            Ok(sockets) => sockets,
            Err(error) => return warn!(%error, "the forward input cannot listen"),
        };
        info!(address = %self.address, "taking records by the Forward protocol");
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(_) = connections.join_next() => {}
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => match Arc::clone(&self.hall.connections).try_acquire_owned() {
                        Ok(place) => {
                            let connection = Connection::new(Arc::clone(&self.hall), stream, peer);
                            let stop = stop.clone();
                            connections.spawn(async move {
                                connection.run(stop).await;
                                drop(place);
                            });
                        }
                        Err(_) => self.hall.refuse(peer, &Refusal::Crowded),
                    },
                    Err(error) => {
                        debug!(%error, "a sender could not be let in");
                        tokio::time::sleep(PAUSE).await;
                    }
                },
                () = beat(&heartbeats) => {}
            }
        }
        let end = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(FAREWELL, end).await.is_err() {
            warn!("stopping with records of senders not kept; they have not been acknowledged");
        }
    }
}

/// Answers one of a sender's heartbeats by UDP: a byte of zero for whatever comes.
async fn beat(heartbeats: &UdpSocket) {
    let mut byte = [0; 1];
    match heartbeats.recv_from(&mut byte).await {
        // One that gets lost is asked for again.
        Ok((_, peer)) => drop(heartbeats.try_send_to(&[0], peer)),
        Err(_) => tokio::time::sleep(PAUSE).await,
    }
}

impl Hall {
    fn refuse(&self, peer: SocketAddr, refusal: &Refusal) {
        let reason = refusal.reason();
        if self.account.refuse(reason) {
            warn!(%peer, why = %refusal, "connection of a sender closed");
        } else {
            debug!(%peer, why = %refusal, "connection of a sender closed");
        }
    }
}

/// The texts of a message's records, as they would go into the spool.
///
/// # Errors
/// Why it would be refused.
pub fn texts(message: &[u8]) -> Result<Vec<String>, String> {
    let read = || {
        let Some(message) = message::read(message)? else {
            return Ok(Vec::new());
        };
        let lengths = Lengths {
            message_bytes_max: 1 << 20,
            unpacked_bytes_max: 1 << 22,
        };
        let mut entries = Entries::new(message.body, lengths, 0);
        let mut maker = Maker::new(&message.tag);
        let mut texts = Vec::new();
        while let Some((nanos, record)) = entries.next()? {
            texts.push(String::from_utf8_lossy(&maker.make(nanos, record)?.text).into_owned());
        }
        Ok(texts)
    };
    read().map_err(|refusal: Refusal| refusal.to_string())
}

impl Handle {
    pub(crate) fn ledger(&self) -> Ledger {
        self.hall.account.ledger()
    }

    pub(crate) fn set_line_bytes_max(&self, line_bytes_max: usize) {
        self.hall.line_bytes_max.store(line_bytes_max, Ordering::Relaxed);
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn state(&self) -> LogInput {
        let ledger = self.ledger();
        let account = &self.hall.account;
        LogInput {
            name: "forward".to_owned(),
            address: self.address.to_string(),
            connections: account.connections(),
            records: ledger.given,
            in_flight: ledger.in_flight,
            refused: account.refused(),
            trouble: account.trouble(),
        }
    }
}
