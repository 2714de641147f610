//! One sender: reads message after message, keeps each, and says so when he wants to hear it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rmp::encode::{write_map_len, write_str};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::SemaphorePermit;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::entries::{Entries, Lengths};
use super::handshake::{self, Handshake};
use super::message::{self, Message};
use super::pack::Scan;
use super::record::Maker;
use super::{Hall, Refusal};
use crate::spool::Record;

/// What a connection may hold without asking.
const SHORT_BYTES: usize = 64 << 10;
const READ_BYTES: usize = 32 << 10;
/// Records are put into the spool when they have so many bytes of text.
const BATCH_BYTES: usize = 1 << 20;
/// Looked at between two pauses for other tasks.
const TURN_ENTRIES: u64 = 4_096;
/// For a sender to hear us.
const WRITE: Duration = Duration::from_secs(30);
/// Between two tries to put something into a spool that takes nothing.
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_MOST: Duration = Duration::from_secs(2);

pub(super) struct Connection {
    hall: Arc<Hall>,
    stream: TcpStream,
    peer: SocketAddr,
    /// What has come and is not dealt with.
    buffer: Vec<u8>,
}

/// How a connection ends.
enum End {
    Refused(Refusal),
    /// The sender's wish, a broken wire, or ours when the process stops.
    Over,
}

impl From<Refusal> for End {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        Self::Over
    }
}

impl Connection {
    pub(super) fn new(hall: Arc<Hall>, stream: TcpStream, peer: SocketAddr) -> Self {
        Self {
            hall,
            stream,
            peer,
            buffer: Vec::new(),
        }
    }

    pub(super) async fn run(mut self, stop: CancellationToken) {
        self.hall.account.connected(true);
        // Only for the speed of answers.
        _ = self.stream.set_nodelay(true);
        match self.serve(&stop).await {
            Ok(()) | Err(End::Over) => debug!(peer = %self.peer, "a sender has gone"),
            Err(End::Refused(refusal)) => self.hall.refuse(self.peer, &refusal),
        }
        self.hall.account.connected(false);
    }

    async fn serve(&mut self, stop: &CancellationToken) -> Result<(), End> {
        if let Some(handshake) = Handshake::new(&self.hall.config).await? {
            self.say(&handshake.helo()).await?;
            let hall = Arc::clone(&self.hall);
            let Some((ping, _)) = self.message(&hall, handshake::BYTES_MAX, stop).await? else {
                return Ok(());
            };
            let (pong, why) = handshake.pong(&ping, &self.hall.name)?;
            self.say(&pong).await?;
            if let Some(why) = why {
                return Err(Refusal::Unknown(why).into());
            }
        }
        let hall = Arc::clone(&self.hall);
        loop {
            let bytes_max = hall.config.message_bytes_max;
            let Some((bytes, _long)) = self.message(&hall, bytes_max, stop).await? else {
                return Ok(());
            };
            let Some(message) = message::read(&bytes)? else {
                continue;
            };
            self.keep(&message, stop).await?;
            hall.account.finish(bytes.len() as u64);
            if let Some(chunk) = message.chunk {
                self.say(&acknowledgement(chunk)).await?;
                hall.account.acknowledge();
            }
        }
    }

    /// The next message, with the right to hold it if it is long; none when the sender has said all, or at the end.
    async fn message<'h>(
        &mut self,
        hall: &'h Hall,
        bytes_max: usize,
        stop: &CancellationToken,
    ) -> Result<Option<(Vec<u8>, Option<SemaphorePermit<'h>>)>, End> {
        let (mut scan, mut long) = (Scan::default(), None);
        loop {
            if let Some(end) = scan.end(&self.buffer, bytes_max)? {
                let rest = self.buffer.split_off(end);
                return Ok(Some((std::mem::replace(&mut self.buffer, rest), long)));
            }
            if self.buffer.len() >= SHORT_BYTES && long.is_none() {
                // Nobody holds one place while he waits for another, so all get on.
                let place = tokio::select! {
                    place = hall.long.acquire() => place,
                    () = stop.cancelled() => return Ok(None),
                };
                long = place.ok();
            }
            // A long message's buffer grows by halves, so that it is not moved for every piece.
            self.buffer.reserve(READ_BYTES.max(self.buffer.len() / 2));
            let idle_timeout = hall.config.idle_timeout;
            let count = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(None),
                read = timeout(idle_timeout, self.stream.read_buf(&mut self.buffer)) => match read {
                    Ok(read) => read?,
                    // Between two messages a sender may have nothing to say; he connects again when he has.
                    Err(_) if self.buffer.is_empty() => return Ok(None),
                    Err(_) => return Err(Refusal::Idle(idle_timeout).into()),
                },
            };
            if count == 0 {
                return match self.buffer.is_empty() {
                    true => Ok(None),
                    false => Err(Refusal::malformed("the connection ends within a message").into()),
                };
            }
        }
    }

    async fn say(&mut self, bytes: &[u8]) -> Result<(), End> {
        match timeout(WRITE, self.stream.write_all(bytes)).await {
            Ok(written) => Ok(written?),
            Err(_) => Err(End::Over),
        }
    }

    /// Puts all of a message into the spool, or nothing of one that has a mistake anywhere.
    async fn keep(&mut self, message: &Message<'_>, stop: &CancellationToken) -> Result<(), End> {
        let hall = Arc::clone(&self.hall);
        let lengths = Lengths {
            message_bytes_max: hall.config.message_bytes_max,
            unpacked_bytes_max: hall.config.unpacked_bytes_max,
        };
        let now = hall.clock.now().0.saturating_mul(1_000_000);
        let mut count: u64 = 0;
        {
            let mut entries = Entries::new(message.body, lengths, now);
            while entries.next()?.is_some() {
                count += 1;
                if count.is_multiple_of(TURN_ENTRIES) {
                    tokio::task::yield_now().await;
                }
            }
        }
        hall.account.take(count);
        let mut left = Left {
            hall: &hall,
            records: count,
        };
        let mut entries = Entries::new(message.body, lengths, now);
        let mut maker = Maker::new(&message.tag);
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while let Some((nanos, record)) = entries.next()? {
            let record = maker.make(nanos, record)?;
            bytes += record.text.len();
            batch.push(record);
            if bytes >= BATCH_BYTES || batch.len() as u64 >= TURN_ENTRIES {
                self.store(&batch, message.chunk.is_some(), stop).await?;
                left.kept(batch.len() as u64);
                batch.clear();
                bytes = 0;
            }
        }
        if !batch.is_empty() {
            self.store(&batch, message.chunk.is_some(), stop).await?;
            left.kept(batch.len() as u64);
        }
        Ok(())
    }

    /// Waits as long as the spool takes nothing: meanwhile nothing is read, and the sender's own buffer fills.
    async fn store(
        &mut self,
        records: &[Record],
        is_acknowledged: bool,
        stop: &CancellationToken,
    ) -> Result<(), End> {
        let text_bytes_max = self.hall.line_bytes_max.load(Ordering::Relaxed);
        let Err(error) = self.hall.spool.append(records, text_bytes_max).await else {
            return Ok(());
        };
        let hall = Arc::clone(&self.hall);
        hall.account.wait(&error.to_string());
        let mut pause = RETRY_FIRST;
        let end = loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break Err(End::Over),
                // Whoever gave up waiting sends it again, and would have it twice. Others cannot, and may have gone.
                () = self.gone(), if is_acknowledged => break Err(End::Over),
                () = tokio::time::sleep(pause) => {}
            }
            match hall.spool.append(records, text_bytes_max).await {
                Ok(()) => break Ok(()),
                Err(_) => pause = (pause * 2).min(RETRY_MOST),
            }
        };
        hall.account.go_on();
        end
    }

    /// Returns when the sender has closed the connection; never, when he has sent something more.
    async fn gone(&self) {
        let mut byte = [0; 1];
        if let Ok(1..) = self.stream.peek(&mut byte).await {
            std::future::pending().await
        }
    }
}

/// Records of a message that are not in the spool yet.
struct Left<'a> {
    hall: &'a Hall,
    records: u64,
}

impl Left<'_> {
    fn kept(&mut self, records: u64) {
        self.records = self.records.saturating_sub(records);
        self.hall.account.give(records);
    }
}

impl Drop for Left<'_> {
    fn drop(&mut self) {
        if self.records > 0 {
            self.hall.account.give_up(self.records);
        }
    }
}

fn acknowledgement(chunk: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    // Writing into memory cannot fail.
    _ = write_map_len(&mut out, 1);
    _ = write_str(&mut out, "ack");
    match std::str::from_utf8(chunk) {
        Ok(chunk) => _ = write_str(&mut out, chunk),
        Err(_) => _ = rmp::encode::write_bin(&mut out, chunk),
    }
    out
}
