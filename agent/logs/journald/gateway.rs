//! systemd-journal-gatewayd: entries by HTTP, so many at a time, from a cursor on.

use std::sync::Arc;

use model::outside::{Client, ClientError, Method, Request};

use super::config::Config;

/// Entries asked for at a time …
const ENTRIES: u64 = 512;
/// … and the fewest that bring anything new: the first is the one that was read last.
const ENTRIES_MIN: u64 = 2;
/// Longest answer taken: with more, fewer are asked for.
const ANSWER_BYTES_MAX: usize = 8 << 20;

pub(crate) struct Gateway {
    url: String,
    reach: net::Reach,
    client: Arc<dyn Client>,
    config: Config,
    /// How many are asked for; fewer while they are long.
    entries: u64,
    /// So many from the cursor on are passed over: one that is longer than any answer taken.
    skip: u64,
}

/// What a look brings.
pub(crate) struct Page {
    pub(crate) bytes: Vec<u8>,
    /// How many entries were asked for: with fewer in it, there are no more.
    pub(crate) asked: u64,
}

impl Gateway {
    /// # Errors
    /// A setting that cannot be used.
    pub(crate) fn new(config: &Config, client: &Arc<dyn Client>) -> Result<Self, String> {
        Ok(Self {
            url: format!("{}/entries", config.url.trim_end_matches('/')),
            reach: config.reach()?,
            client: Arc::clone(client),
            config: config.clone(),
            entries: ENTRIES,
            skip: 0,
        })
    }

    /// Entries from the one at `cursor` on; without one, from the `last` newest on, or the very first.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(crate) async fn look(&mut self, cursor: Option<&str>, last: Option<u64>) -> Result<Page, String> {
        loop {
            let range = match (cursor, last) {
                (Some(cursor), _) => format!("{cursor}:{}:{}", self.skip, self.entries),
                (None, Some(last)) => format!(":-{last}:{}", self.entries.min(last)),
                (None, None) => format!(":{}:{}", self.skip, self.entries),
            };
            match self.ask(&range).await {
                Ok(bytes) => {
                    let asked = self.entries;
                    self.entries = (self.entries * 2).min(ENTRIES);
                    self.skip = 0;
                    return Ok(Page { bytes, asked });
                }
                Err(Refusal::TooLong) if self.entries > ENTRIES_MIN => {
                    self.entries = (self.entries / 2).max(ENTRIES_MIN);
                }
                // It is counted as missing, by its number.
                Err(Refusal::TooLong) if self.skip < ENTRIES_MIN => self.skip = ENTRIES_MIN,
                Err(Refusal::TooLong) => self.skip += 1,
                Err(Refusal::Other(why)) => return Err(why),
            }
        }
    }

    async fn ask(&self, range: &str) -> Result<Vec<u8>, Refusal> {
        let via = self.reach.open(&*self.client, &|| true).await;
        let via = via.map_err(Refusal::Other)?;
        let headers = [
            ("accept", "application/vnd.fdo.journal".to_owned()),
            ("range", format!("entries={range}")),
        ];
        let answer = via
            .send(Request {
                method: Method::Get,
                url: self.url.clone(),
                headers: headers.map(|(name, value)| (name.to_owned(), value)).to_vec(),
                body: bytes::Bytes::new(),
                timeout: self.config.timeout,
                answer_bytes_max: ANSWER_BYTES_MAX,
            })
            .await;
        match answer {
            Ok(answer) if answer.status == 200 => Ok(answer.body),
            Ok(answer) => {
                let text =
                    String::from_utf8_lossy(answer.body.get(..200).unwrap_or(&answer.body)).into_owned();
                let why = format!("it answers {}: {}", answer.status, text.trim());
                Err(Refusal::Other(why.trim_end_matches([':', ' ']).to_owned()))
            }
            Err(ClientError::TooLong { .. }) => Err(Refusal::TooLong),
            Err(error) => Err(Refusal::Other(error.to_string())),
        }
    }
}

enum Refusal {
    TooLong,
    Other(String),
}
