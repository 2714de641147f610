//! What a sender's bytes come over: a socket, with TLS or without.

use std::io;
use std::time::Duration;

use net::{Acceptor, Guest};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Refusal;

/// For a sender's part of the handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

pub(super) enum Wire {
    Plain(TcpStream),
    Tls(Box<Guest>),
}

impl Wire {
    /// # Errors
    /// The sender speaks no TLS where he must.
    pub(super) async fn new(stream: TcpStream, tls: Option<&Acceptor>) -> Result<Self, Refusal> {
        // Only for the speed of answers.
        _ = stream.set_nodelay(true);
        let Some(tls) = tls else {
            return Ok(Self::Plain(stream));
        };
        match timeout(HANDSHAKE, tls.accept(stream)).await {
            Ok(Ok(stream)) => Ok(Self::Tls(Box::new(stream))),
            Ok(Err(error)) => Err(Refusal::Handshake(error.to_string())),
            Err(_) => Err(Refusal::Handshake("it takes too long".to_owned())),
        }
    }

    pub(super) async fn read(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read_buf(buffer).await,
            Self::Tls(stream) => stream.read_buf(buffer).await,
        }
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.write_all(bytes).await,
            Self::Tls(stream) => {
                stream.write_all(bytes).await?;
                stream.flush().await
            }
        }
    }

    /// Returns when the sender has closed the connection; never, when he has sent something more.
    pub(super) async fn gone(&self) {
        let socket = match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        };
        if let Ok(1..) = socket.peek(&mut [0]).await {
            std::future::pending().await
        }
    }
}
