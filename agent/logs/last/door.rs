//! Answers `GET /api/v1/logs/tail`; who calls has been found out before.

use std::sync::Arc;

use model::outside::{Call, Response, Serve};
use model::{BoxFuture, TailQuery, Timestamp};
use parking_lot::RwLock;
use tokio::sync::Semaphore;

use super::{Ground, LINES_MAX, check};

/// Questions that read at the same time.
const AT_ONCE: usize = 2;
/// Lines of an answer when nobody says how many.
const LINES: usize = 100;

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Door {
    /// Taken up anew when the configuration is.
    pub(crate) ground: Arc<RwLock<Arc<Ground>>>,
    places: Arc<Semaphore>,
}

impl Door {
    pub(crate) fn new(ground: Ground) -> Self {
        Self {
            ground: Arc::new(RwLock::new(Arc::new(ground))),
            places: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    #[cfg(test)]
    pub(super) fn places(&self) -> Arc<Semaphore> {
        Arc::clone(&self.places)
    }

    async fn answer(self, call: Call) -> Response {
        if call.method != "GET" {
            return said(405, "this is only asked with GET");
        }
        let query = match read(&call.query).and_then(|query| check(&query).map(|()| query)) {
            Ok(query) => query,
            Err(why) => return said(400, &why),
        };
        let Ok(place) = self.places.try_acquire_owned() else {
            return said(
                503,
                "log lines are being read for others at this moment; try again",
            );
        };
        let ground = Arc::clone(&self.ground.read());
        let reading = tokio::task::spawn_blocking(move || {
            let _place = place;
            ground.answer(&query)
        });
        match reading.await {
            Ok(Ok(tail)) => Response {
                status: 200,
                headers: vec![("content-type".to_owned(), "application/json".to_owned())],
                body: serde_json::to_vec(&tail).unwrap_or_default(),
            },
            Ok(Err(error)) => {
                tracing::warn!(%error, "log lines for another process");
                said(500, "the lines cannot be read; the log of this process says why")
            }
            Err(error) => {
                tracing::error!(%error, "log lines for another process");
                said(500, "reading broke off; the log of this process says why")
            }
        }
    }
}

impl Serve for Door {
    fn serve(&self, call: Call) -> BoxFuture<'static, Response> {
        Box::pin(self.clone().answer(call))
    }
}

fn said(status: u16, sentence: &str) -> Response {
    Response {
        status,
        headers: vec![("content-type".to_owned(), "text/plain; charset=utf-8".to_owned())],
        body: format!("{sentence}\n").into_bytes(),
    }
}

/// A question as the address has it. An unknown parameter is a mistake: what it was to leave out would be shown.
fn read(query: &str) -> Result<TailQuery, String> {
    let mut asked = TailQuery {
        namespace: String::new(),
        pod: String::new(),
        container: String::new(),
        text: String::new(),
        level: None,
        from: Timestamp(0),
        to: Timestamp::MAX,
        lines: LINES,
    };
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let seconds = || {
            let seconds: f64 = value
                .parse()
                .map_err(|_| format!("{name}: not a number of seconds since 1970"))?;
            Ok::<_, String>(Timestamp::from_seconds(seconds))
        };
        match &*name {
            "namespace" => asked.namespace = value.into_owned(),
            "pod" => asked.pod = value.into_owned(),
            "container" => asked.container = value.into_owned(),
            "text" => asked.text = value.into_owned(),
            "from" => asked.from = seconds()?,
            "to" => asked.to = seconds()?,
            "level" => {
                let level = serde_json::from_value(serde_json::Value::from(value.to_lowercase()));
                let known =
                    level.map_err(|_| "level: one of trace, debug, info, warn, error, fatal".to_owned());
                asked.level = Some(known?);
            }
            "lines" => {
                let lines = value.parse().ok().filter(|lines| (1..=LINES_MAX).contains(lines));
                asked.lines = lines.ok_or_else(|| format!("lines: not between 1 and {LINES_MAX}"))?;
            }
            _ => return Err(format!("there is no parameter {}", model::text::quote(&name))),
        }
    }
    Ok(asked)
}
