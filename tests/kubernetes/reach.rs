//! Connections between this machine and a node's namespaces, which have no way out of their own.
//!
//! A socket stays in the network where it was made, whoever uses it: threads go inside, make one and come back no more.

use std::fs::File;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// The network of a node's first process.
#[derive(Clone)]
pub(crate) struct Network(Arc<File>);

impl Network {
    /// # Errors
    /// The process has ended.
    pub(crate) fn of(process: &str) -> io::Result<Self> {
        Ok(Self(Arc::new(File::open(format!("/proc/{process}/ns/net"))?)))
    }

    /// What it does it does in there.
    ///
    /// # Errors
    /// Whatever it makes of it, or this is not root.
    pub(crate) fn inside<T: Send>(&self, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        let go = || {
            move_into_link_name_space(self.0.as_fd(), Some(LinkNameSpaceType::Network))?;
            work()
        };
        let done = thread::scope(|scope| scope.spawn(go).join());
        done.unwrap_or_else(|_| Err(io::Error::other("the thread inside has panicked")))
    }
}

/// Hands each connection on until it is let go of; connections that are there stay.
pub(crate) struct Bridge {
    address: SocketAddr,
    is_over: Arc<AtomicBool>,
    /// Where its listener can be woken.
    network: Option<Network>,
}

impl Bridge {
    /// From a port of this machine's loopback to an address inside.
    pub(crate) fn inwards(listener: TcpListener, network: &Network, to: SocketAddr) -> io::Result<Self> {
        let network = network.clone();
        let connect = move || network.inside(|| TcpStream::connect(to));
        Self::start(listener, None, connect)
    }

    /// From an address inside to one of this machine.
    pub(crate) fn outwards(network: &Network, at: SocketAddr, to: SocketAddr) -> io::Result<Self> {
        let listener = network.inside(|| TcpListener::bind(at))?;
        Self::start(listener, Some(network.clone()), move || TcpStream::connect(to))
    }

    fn start(
        listener: TcpListener,
        network: Option<Network>,
        connect: impl Fn() -> io::Result<TcpStream> + Send + 'static,
    ) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let is_over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&is_over);
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                if ends.load(Ordering::Acquire) {
                    break;
                }
                // Nobody there is a connection that ends at once.
                if let Ok(far) = connect() {
                    drop(join(near, far));
                }
            }
        });
        Ok(Self {
            address,
            is_over,
            network,
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        let wake = || TcpStream::connect(self.address).map(drop);
        // It need not listen any more.
        drop(match &self.network {
            Some(network) => network.inside(wake),
            None => wake(),
        });
    }
}

/// What one says the other hears, until either end is closed.
fn join(near: TcpStream, far: TcpStream) -> io::Result<()> {
    let ways = [(near.try_clone()?, far.try_clone()?), (far, near)];
    for (mut from, mut to) in ways {
        thread::spawn(move || {
            // An end that breaks off is an end.
            drop(io::copy(&mut from, &mut to));
            drop((from.shutdown(Shutdown::Read), to.shutdown(Shutdown::Write)));
        });
    }
    Ok(())
}
