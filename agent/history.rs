//! The past of the other replica: a fresh replica fetches its blocks, piece by piece, behind what it has copied already.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use blocks::{Blocks, Error, Ulid};
use model::Clock;
use model::outside::{Client, Method, Request, Response};
use serde::{Deserialize, Serialize};
use store::Store;
use tokio::runtime::Handle;

/// Where the other replica asks which blocks there are, and for a piece of one.
pub(crate) const LIST: &str = "/peer/v1/blocks";
pub(crate) const PIECE: &str = "/peer/v1/block";
const PIECE_BYTES: usize = 4 << 20;
const LIST_BYTES_MAX: usize = 16 << 20;
const TIMEOUT: Duration = Duration::from_secs(30);
/// Tries until what is there must do, and the pause between two.
const TRIES: usize = 5;
const PAUSE: Duration = Duration::from_mins(1);

/// A block and its files, with their sizes.
#[derive(Debug, Serialize, Deserialize)]
struct Offer {
    ulid: String,
    files: BTreeMap<String, u64>,
}

/// Answers [`LIST`] and [`PIECE`]; reads the disk, so it belongs on a thread that may block.
pub(crate) fn serve(store: &Store, path: &str, query: &str) -> Response {
    let answer = match (store.blocks(), path) {
        (None, _) => Err((404, "there are no blocks here".to_owned())),
        (Some(blocks), LIST) => Ok(list(blocks)),
        (Some(blocks), _) => piece(blocks, query),
    };
    let (status, body) = match answer {
        Ok(body) => (200, body),
        Err((status, sentence)) => (status, sentence.into_bytes()),
    };
    Response {
        status,
        headers: Vec::new(),
        body,
    }
}

fn list(blocks: &Blocks) -> Vec<u8> {
    let offers = blocks.snapshot().into_iter().map(|listing| Offer {
        ulid: listing.meta.ulid.to_string(),
        files: listing.files,
    });
    serde_json::to_vec(&offers.collect::<Vec<_>>()).unwrap_or_default()
}

fn piece(blocks: &Blocks, query: &str) -> Result<Vec<u8>, (u16, String)> {
    use std::os::unix::fs::FileExt;
    let parameters: BTreeMap<_, _> = form_urlencoded::parse(query.as_bytes()).collect();
    let given = |name: &str| parameters.get(name).map(|value| &**value).unwrap_or_default();
    let bad = |what: &str| (400, format!("{what} is not given, or wrong"));
    let ulid: Ulid = given("ulid").parse().map_err(|_| bad("ulid"))?;
    let offset: u64 = given("offset").parse().map_err(|_| bad("offset"))?;
    let file = blocks
        .open_file(ulid, given("file"))
        .map_err(|error| match error {
            Error::Unknown(_) => (404, error.to_string()),
            other => (400, other.to_string()),
        })?;
    let mut bytes = vec![0; PIECE_BYTES];
    let mut length = 0;
    while let Some(rest) = bytes.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + length as u64) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) => return Err((500, error.to_string())),
        }
    }
    bytes.truncate(length);
    Ok(bytes)
}

/// Who is asked, and how.
#[derive(Clone)]
pub(crate) struct Peer {
    pub(crate) client: Arc<dyn Client>,
    /// Without a path.
    pub(crate) url: String,
    pub(crate) bearer: Option<String>,
}

impl Peer {
    async fn ask(&self, path: &str, answer_bytes_max: usize) -> anyhow::Result<Vec<u8>> {
        let bearer = self.bearer.iter();
        let request = Request {
            method: Method::Get,
            url: format!("{}{path}", self.url),
            headers: bearer
                .map(|token| ("authorization".to_owned(), format!("Bearer {token}")))
                .collect(),
            body: Vec::new().into(),
            timeout: TIMEOUT,
            answer_bytes_max,
        };
        let answer = self.client.send(request).await?;
        let status = answer.status;
        let sentence = || String::from_utf8_lossy(&answer.body).into_owned();
        ensure!(
            status == 200,
            "the other replica answers {status}: {}",
            sentence()
        );
        Ok(answer.body)
    }
}

/// Fetches every block that is not here, the newest first, and says how it went.
pub(crate) async fn fetch_all(peer: Peer, store: Arc<Store>, clock: Arc<dyn Clock>) {
    for attempt in 1..=TRIES {
        match fetch(&peer, &store).await {
            Ok(0) => return,
            Ok(blocks) => {
                tracing::info!(blocks, "copied the older samples of the other replica");
                return;
            }
            Err(error) => {
                tracing::warn!(
                    attempt,
                    error = format!("{error:#}"),
                    "copying blocks from the other replica"
                );
            }
        }
        clock.sleep(PAUSE).await;
    }
    tracing::error!("older samples are missing here; the other replica has them");
}

/// Tells how many came.
async fn fetch(peer: &Peer, store: &Arc<Store>) -> anyhow::Result<usize> {
    let body = peer.ask(LIST, LIST_BYTES_MAX).await?;
    let mut offers: Vec<Offer> = serde_json::from_slice(&body).context("its list of blocks")?;
    // A ULID begins with the time at which the block was made.
    offers.sort_by(|one, other| other.ulid.cmp(&one.ulid));
    let mut count = 0;
    for offer in offers {
        let (peer, store, main) = (peer.clone(), Arc::clone(store), Handle::current());
        let received = tokio::task::spawn_blocking(move || receive(&peer, &store, &offer, &main));
        count += usize::from(received.await.context("receiving")??);
    }
    Ok(count)
}

/// False if it is here already, or has gone there meanwhile.
fn receive(peer: &Peer, store: &Store, offer: &Offer, main: &Handle) -> anyhow::Result<bool> {
    let blocks = store.blocks().context("there are no blocks here")?;
    let ulid: Ulid = offer
        .ulid
        .parse()
        .map_err(|_| anyhow!("{:?} is no ULID", offer.ulid))?;
    let mut incoming = match blocks.receive(ulid) {
        Err(Error::Known(_)) => return Ok(false),
        begun => begun?,
    };
    for (name, bytes) in &offer.files {
        let mut pieces = Pieces {
            ask: Box::new(|offset| {
                let file: String = form_urlencoded::byte_serialize(name.as_bytes()).collect();
                let path = format!("{PIECE}?ulid={ulid}&file={file}&offset={offset}");
                main.block_on(peer.ask(&path, PIECE_BYTES + 1024))
            }),
            bytes: *bytes,
            offset: 0,
            piece: io::Cursor::default(),
        };
        incoming.file(name, *bytes, &mut pieces)?;
    }
    match incoming.finish() {
        Err(Error::Known(_)) => Ok(false),
        finished => finished.map(|_| true).map_err(Into::into),
    }
}

/// A file, as a reader that asks for it in pieces.
struct Pieces<'a> {
    ask: Box<dyn Fn(u64) -> anyhow::Result<Vec<u8>> + 'a>,
    bytes: u64,
    /// Where the next piece begins.
    offset: u64,
    piece: io::Cursor<Vec<u8>>,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.piece.read(buffer)?;
        if read > 0 || buffer.is_empty() || self.offset >= self.bytes {
            return Ok(read);
        }
        let piece = (self.ask)(self.offset).map_err(|error| io::Error::other(format!("{error:#}")))?;
        self.offset += piece.len() as u64;
        self.piece = io::Cursor::new(piece);
        self.piece.read(buffer)
    }
}

#[cfg(test)]
mod tests {
    use model::outside::ClientError;
    use model::{
        BoxFuture, Column, Keep, Kind, Labels, Round, Select, SeriesDesc, TargetDesc, TimeRange, Timestamp,
    };
    use telemetry::clock::RuntimeClock;

    use super::*;

    /// Asks a store without a network between.
    struct Beside(Arc<Store>);

    impl Client for Beside {
        fn send(&self, request: Request) -> BoxFuture<'static, Result<Response, ClientError>> {
            let rest = request.url.trim_start_matches("http://other").to_owned();
            let store = Arc::clone(&self.0);
            Box::pin(async move {
                let (path, query) = rest.split_once('?').unwrap_or((&rest, ""));
                Ok(serve(&store, path, query))
            })
        }
    }

    fn open(folder: &std::path::Path, clock: &Arc<dyn Clock>) -> Arc<Store> {
        let registry = prometheus::Registry::new();
        Store::open(folder, store::Config::default(), Arc::clone(clock), &registry).unwrap()
    }

    fn fill(store: &Store, from: Timestamp) {
        let target = store.target(&TargetDesc {
            name: "node".into(),
            page: None,
            staleness: None,
        });
        let series = (0..300).map(|nth| {
            let labels = Labels::from_pairs([("__name__", "x"), ("nth", &nth.to_string())]);
            let desc = SeriesDesc {
                labels,
                kind: Kind::Gauge,
                family: "x".into(),
                help: "".into(),
                unit: "".into(),
            };
            store.series(target, &desc).unwrap()
        });
        let series: Vec<_> = series.collect();
        for round in 0..240_u32 {
            store.commit(Column {
                target,
                time: from + Duration::from_secs(60) * round,
                round: Round::Whole,
                series: series.clone(),
                values: (0..300).map(|nth| f64::from(nth * round).sqrt()).collect(),
            });
        }
    }

    fn shown(store: &Store) -> Vec<(Labels, usize, f64)> {
        let all = store.select(&[], TimeRange::ALL, usize::MAX).unwrap();
        let shown = all.iter().map(|series| {
            let sum = series.values.iter().sum();
            (series.labels.clone(), series.times.len(), sum)
        });
        shown.collect()
    }

    #[tokio::test]
    async fn a_fresh_replica_gets_the_blocks_of_the_other() {
        let clock: Arc<dyn Clock> = RuntimeClock::system();
        let [one, other] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let (full, fresh) = (open(one.path(), &clock), open(other.path(), &clock));
        fill(&full, clock.now() - Duration::from_hours(9));
        while full.seal().window.is_some() {}
        let blocks = full.blocks().unwrap().all().len();
        assert!(blocks >= 2, "{blocks}");
        let peer = Peer {
            client: Arc::new(Beside(Arc::clone(&full))),
            url: "http://other".to_owned(),
            bearer: None,
        };
        assert_eq!(fetch(&peer, &fresh).await.unwrap(), blocks);
        assert_eq!(shown(&fresh), shown(&full));
        // And once is enough.
        assert_eq!(fetch(&peer, &fresh).await.unwrap(), 0);
    }

    #[test]
    fn what_is_asked_wrongly_is_refused() {
        let clock: Arc<dyn Clock> = RuntimeClock::system();
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path(), &clock);
        assert_eq!(serve(&store, LIST, "").body, b"[]");
        let status = |query: &str| serve(&store, PIECE, query).status;
        assert_eq!(status(""), 400);
        assert_eq!(status("ulid=01BX5ZZKBKACTAV9WEVGEMMVRZ&file=index&offset=0"), 404);
        assert_eq!(
            status("ulid=01BX5ZZKBKACTAV9WEVGEMMVRZ&file=../log&offset=0"),
            400
        );
    }
}
