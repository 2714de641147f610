//! inotify over folders: says which names changed, so that idle files cost nothing.
//!
//! A net, not a promise: when the kernel refuses a watch or drops events, the regular look finds the change.

use std::ffi::OsString;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Bytes were written to, or cut from, a file.
    Modified { watch: i32, name: OsString },
    /// A name came, went or changed its rights.
    Names { watch: i32 },
    /// The folder itself went away.
    Ended { watch: i32 },
    /// The kernel dropped events: anything may have happened.
    Lost,
}

pub(crate) struct Watcher(Arc<OwnedFd>);

impl Watcher {
    pub(crate) fn new() -> io::Result<Self> {
        let fd = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        Ok(Self(Arc::new(fd)))
    }

    /// For whoever waits until there is something to read.
    pub(crate) fn descriptor(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.0)
    }

    pub(crate) fn add(&self, folder: &Path) -> io::Result<i32> {
        let flags = WatchFlags::MODIFY
            | WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVE
            | WatchFlags::ATTRIB
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR;
        Ok(inotify::add_watch(&*self.0, folder, flags)?)
    }

    pub(crate) fn remove(&self, watch: i32) {
        // The kernel has removed it already when the folder is gone.
        _ = inotify::remove_watch(&*self.0, watch);
    }

    /// Hands on all that has happened since the last call.
    pub(crate) fn drain(&self, mut on: impl FnMut(Event)) {
        let mut space = [MaybeUninit::uninit(); 16 << 10];
        let mut reader = inotify::Reader::new(&*self.0, &mut space);
        loop {
            let event = match reader.next() {
                Ok(event) => event,
                Err(Errno::INTR) => continue,
                Err(_) => return,
            };
            let (watch, what) = (event.wd(), event.events());
            if what.contains(ReadFlags::QUEUE_OVERFLOW) {
                on(Event::Lost);
            } else if what.intersects(
                ReadFlags::IGNORED | ReadFlags::UNMOUNT | ReadFlags::MOVE_SELF | ReadFlags::DELETE_SELF,
            ) {
                on(Event::Ended { watch });
            } else if let (true, Some(name)) = (what.contains(ReadFlags::MODIFY), event.file_name()) {
                let name = std::ffi::OsStr::from_bytes(name.to_bytes()).to_owned();
                on(Event::Modified { watch, name });
            } else {
                on(Event::Names { watch });
            }
        }
    }
}
