//! Patience with one client: how long it may take to ask, and to take the answer.
//!
//! hyper's own header timeout also ends connections that merely wait for their next request, and a client
//! that asks every ten seconds would meet that end again and again. So the time for headers is kept here,
//! from the first byte of a request, and hyper's is the time a connection may idle.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// Set by whoever serves while a request is being answered.
pub(crate) type Serving = Arc<AtomicBool>;

pub(crate) struct Line<S> {
    stream: S,
    serving: Serving,
    /// Runs while a request's headers are awaited.
    headers: Watch,
    /// Runs while the client takes nothing.
    stall: Watch,
    /// Whether a request has come already: the first one is awaited from the start.
    heard: bool,
}

impl<S> Line<S> {
    pub(crate) fn new(stream: S, serving: Serving, headers: Duration, stall: Duration) -> Self {
        Self {
            stream,
            serving,
            headers: Watch::new(headers),
            stall: Watch::new(stall),
            heard: false,
        }
    }
}

/// A limit that is armed and disarmed.
struct Watch {
    limit: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
    armed: bool,
}

impl Watch {
    fn new(limit: Duration) -> Self {
        Self {
            limit,
            sleep: None,
            armed: false,
        }
    }

    /// Starts unless it runs already.
    fn arm(&mut self) {
        if self.armed {
            return;
        }
        self.armed = true;
        match &mut self.sleep {
            Some(sleep) => sleep.as_mut().reset(Instant::now() + self.limit),
            None => self.sleep = Some(Box::pin(sleep(self.limit))),
        }
    }

    fn disarm(&mut self) {
        self.armed = false;
    }

    /// An error once the limit has passed.
    fn poll(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let Some(sleep) = self.sleep.as_mut().filter(|_| self.armed) else {
            return Ok(());
        };
        match sleep.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Line<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let line = &mut *self;
        let asking = !line.serving.load(Ordering::Relaxed);
        if !asking {
            line.heard = true;
            line.headers.disarm();
        } else if !line.heard {
            line.headers.arm();
        }
        let before = buffer.filled().len();
        match Pin::new(&mut line.stream).poll_read(cx, buffer) {
            Poll::Ready(Ok(())) => {
                if asking && buffer.filled().len() > before {
                    line.headers.arm();
                }
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => match line.headers.poll(cx) {
                Ok(()) => Poll::Pending,
                Err(late) => Poll::Ready(Err(late)),
            },
        }
    }
}

impl<S: AsyncWrite + Unpin> Line<S> {
    fn taken<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_pending() {
            self.stall.arm();
            self.stall.poll(cx)?;
            return Poll::Pending;
        }
        self.stall.disarm();
        Poll::Ready(ready!(written))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Line<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let line = &mut *self;
        // What is written is an answer: the next request has its own time for headers.
        line.heard = true;
        line.headers.disarm();
        let written = Pin::new(&mut line.stream).poll_write(cx, bytes);
        line.taken(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let line = &mut *self;
        line.heard = true;
        line.headers.disarm();
        let written = Pin::new(&mut line.stream).poll_write_vectored(cx, parts);
        line.taken(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let line = &mut *self;
        let flushed = Pin::new(&mut line.stream).poll_flush(cx);
        line.taken(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let line = &mut *self;
        let closed = Pin::new(&mut line.stream).poll_shutdown(cx);
        line.taken(cx, closed)
    }
}
