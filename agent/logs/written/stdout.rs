//! Standard output as a sink: whoever reads it takes the lines; while nobody does, reading waits.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use model::BoxFuture;
use net::Backoff;
use tokio::sync::oneshot;

use super::config::Stdout;
use super::line::lines;
use crate::batch::Batch;
use crate::segment::write::Kept;
use crate::sink::document::Style;
use crate::sink::marks::Clerk;
use crate::sink::{self, Common, Ground, Json, Kind, Landed};

const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_MOST: Duration = Duration::from_secs(10);

struct Destination {
    common: Common,
    config: Stdout,
    host: String,
    /// Whether an earlier run may have been killed in the middle of a line.
    is_torn: AtomicBool,
}

/// # Errors
/// The disk's own.
pub(crate) fn open(
    config: &Stdout,
    host: &str,
    ground: &Ground<'_>,
) -> io::Result<(Arc<dyn sink::Destination>, Clerk, Kept)> {
    let (common, clerk, kept) = sink::open(Kind::Stdout, &config.name, 1, false, ground)?;
    let destination = Destination {
        common,
        config: config.clone(),
        host: host.to_owned(),
        is_torn: AtomicBool::new(!kept.fresh),
    };
    Ok((Arc::new(destination), clerk, kept))
}

impl sink::Destination for Destination {
    fn common(&self) -> &Common {
        &self.common
    }

    fn target(&self) -> String {
        "standard output".to_owned()
    }

    fn requests_max(&self) -> usize {
        1
    }

    fn batches_max(&self) -> usize {
        1
    }

    fn prepare(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    fn fly(self: Arc<Self>, batch: Batch) -> BoxFuture<'static, Landed> {
        Box::pin(self.print(batch))
    }
}

impl Destination {
    async fn print(self: Arc<Self>, batch: Batch) -> Landed {
        let style = Style {
            says_id: true,
            reads_fields: self.config.json == Json::Fields,
            says_place: true,
            host: &self.host,
        };
        let mut lines = lines(&batch, self.config.format, style);
        if self.is_torn.swap(false, Ordering::Relaxed) {
            lines.insert(0, b'\n');
        }
        let lines = Arc::new(lines);
        let mut at = 0;
        let mut backoff = Backoff::new(PAUSE_FIRST, PAUSE_MOST);
        loop {
            let (reached, result) = write(&lines, at).await;
            let Err(error) = result else { break };
            at = reached;
            self.common
                .say_trouble("broken", format!("standard output takes nothing: {error}"));
            tokio::time::sleep(backoff.next()).await;
        }
        self.common.say_well();
        Landed {
            stored: batch.rows.len() as u64,
            letters: 0,
            batch,
        }
    }
}

/// On a thread of its own: one that hangs in a pipe that nobody reads holds up no end of the process. Returns how far it has
/// come.
async fn write(lines: &Arc<Vec<u8>>, from: usize) -> (usize, io::Result<()>) {
    let (done, end) = oneshot::channel();
    let lines = Arc::clone(lines);
    let writing = move || {
        let (out, mut at, mut result) = (io::stdout(), from, Ok(()));
        while at < lines.len() && result.is_ok() {
            // Without the buffer of the standard library, which would not tell how much is out.
            match rustix::io::write(&out, lines.get(at..).unwrap_or_default()) {
                Ok(count) => at += count,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => result = Err(io::Error::from(error)),
            }
        }
        // Nobody waits for it any more when the process ends.
        _ = done.send((at, result));
    };
    let started = std::thread::Builder::new()
        .name("logs-stdout".to_owned())
        .spawn(writing);
    match (started, end.await) {
        (Ok(_), Ok(answer)) => answer,
        (Err(error), _) => (from, Err(error)),
        (Ok(_), Err(_)) => (from, Err(io::Error::other("its thread has failed"))),
    }
}
