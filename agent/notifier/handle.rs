//! What the rest of the house holds of the notifier: its view, its account, and two orders.

use std::sync::Arc;

use model::view::{Routing, Telling};
use model::{BoxFuture, Labels, Ledger, Timestamp};
use tokio::sync::{mpsc, oneshot, watch};

use crate::board::Board;
use crate::config::Config;
use crate::heartbeat;
use crate::shown::Wanted;
use crate::silences::Silences;

/// Orders at once; beyond, whoever gives one waits.
pub(crate) const ORDERS: usize = 8;
const STOPPED: &str = "the notifier has stopped";

pub(crate) enum Order {
    Apply(Box<Config>, oneshot::Sender<()>),
    Test(oneshot::Sender<Result<String, String>>),
    Show(Show, oneshot::Sender<String>),
    Post(Vec<u8>, oneshot::Sender<Result<(), (u16, String)>>),
}

/// What somebody wants to see.
pub(crate) enum Show {
    Alerts(Wanted),
    Groups(Wanted),
    Receivers,
}

/// Cheap to clone; all clones speak of the same notifier.
#[derive(Clone)]
pub struct Handle {
    pub(crate) board: Arc<Board>,
    pub(crate) orders: mpsc::Sender<Order>,
    pub(crate) silences: Arc<Silences>,
    pub(crate) heartbeat: Arc<watch::Sender<Option<heartbeat::Config>>>,
}

impl Handle {
    /// What the heartbeat is told to do, as it changes.
    #[must_use]
    pub fn heartbeat(&self) -> watch::Receiver<Option<heartbeat::Config>> {
        self.heartbeat.subscribe()
    }

    #[must_use]
    pub fn view(&self) -> Telling {
        self.board.telling()
    }

    /// Where alerts go at this time; and one with these labels, if they are given.
    #[must_use]
    pub fn routing(&self, labels: Option<&Labels>, now: Timestamp) -> Routing {
        let plan = self.board.plan();
        let storms = self.board.storms();
        plan.map(|plan| plan.routing(labels, now, &storms))
            .unwrap_or_default()
    }

    /// What is in force, in Alertmanager's words and without secrets, for `config.original` of `GET /api/v2/status`.
    #[must_use]
    pub fn original(&self) -> String {
        let plan = self.board.plan();
        plan.map(|plan| plan.original.to_string()).unwrap_or_default()
    }

    /// `taken` counts each time that a receiver had to be told of a group; in flight is what waits.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        self.board.ledger()
    }

    /// The body of `GET /api/v2/silences`; of a filter such as `name="value"` a silence must have every matcher.
    ///
    /// # Errors
    /// Status of a refusal and a sentence in Alertmanager's words, here and below. 400: a filter is none.
    pub fn silences_json(&self, filter: &[String]) -> Result<String, (u16, String)> {
        self.silences.list(filter)
    }

    /// Takes the body of `POST /api/v2/silences`: creates a silence, or changes the one that it names. Returns the id.
    ///
    /// # Errors
    /// 400 and 422: it is none. 404: there is none of this name. 500: the journal cannot be written.
    pub fn put_silence(&self, body: &[u8]) -> Result<String, (u16, String)> {
        self.silences.put(body)
    }

    /// The body of `GET /api/v2/silence/{id}`.
    ///
    /// # Errors
    /// 422: that is no id. 404: there is none of this name.
    pub fn get_silence(&self, id: &str) -> Result<String, (u16, String)> {
        self.silences.get(id)
    }

    /// Ends one now, as `DELETE /api/v2/silence/{id}` asks.
    ///
    /// # Errors
    /// As [`Self::get_silence`]; 500: the journal cannot be written.
    pub fn delete_silence(&self, id: &str) -> Result<(), (u16, String)> {
        self.silences.delete(id)
    }

    /// The body of `GET /api/v2/alerts`, of `/alerts/groups` or of `/receivers`, named by what follows `/api/v2/`, with
    /// the parameters of the request.
    ///
    /// # Errors
    /// 400 and 422: a parameter is none. 404: there is no such list. 503: the notifier has stopped.
    #[must_use]
    pub fn alerting_json(
        &self,
        list: &str,
        parameters: &[(String, String)],
    ) -> BoxFuture<'static, Result<String, (u16, String)>> {
        let show = match list {
            "alerts" => Wanted::read(parameters).map(Show::Alerts),
            "alerts/groups" => Wanted::read(parameters).map(Show::Groups),
            "receivers" => Ok(Show::Receivers),
            other => Err((404, format!("path /api/v2/{other} was not found"))),
        };
        let orders = self.orders.clone();
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            let stopped = || (503, STOPPED.to_owned());
            let order = orders.send(Order::Show(show?, answer)).await;
            order.map_err(|_| stopped())?;
            answered.await.map_err(|_| stopped())
        })
    }

    /// Takes the body of `POST /api/v2/alerts`.
    ///
    /// # Errors
    /// 400: it cannot be read, or some of its alerts are not right; the others are taken. 413: it is too long. 503: the
    /// notifier has stopped.
    #[must_use]
    pub fn post_alerts(&self, body: Vec<u8>) -> BoxFuture<'static, Result<(), (u16, String)>> {
        let orders = self.orders.clone();
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            let stopped = || (503, STOPPED.to_owned());
            let order = orders.send(Order::Post(body, answer)).await;
            order.map_err(|_| stopped())?;
            answered.await.map_err(|_| stopped())?
        })
    }

    /// Sends a test message to every receiver, past the queue. The answer says what each of them said.
    ///
    /// # Errors
    /// A receiver did not take it, or there is none.
    #[must_use]
    pub fn send_test(&self) -> BoxFuture<'static, Result<String, String>> {
        let orders = self.orders.clone();
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            let order = orders.send(Order::Test(answer)).await;
            order.map_err(|_| STOPPED.to_owned())?;
            answered.await.unwrap_or_else(|_| Err(STOPPED.to_owned()))
        })
    }

    /// Puts a new configuration in force, once what is on its way has been answered. Nothing that was told
    /// is told again; what waits for a receiver that is gone is dropped and counted.
    ///
    /// # Errors
    /// Something is wrong with it; the old one stays in force.
    #[must_use]
    pub fn apply(&self, config: Config) -> BoxFuture<'static, Result<(), String>> {
        let (orders, heartbeat) = (self.orders.clone(), Arc::clone(&self.heartbeat));
        Box::pin(async move {
            let complaints = config.complaints();
            if !complaints.is_empty() {
                return Err(complaints.join("\n"));
            }
            let beats = config.beats();
            heartbeat.send_if_modified(|known| {
                let is_new = *known != beats;
                *known = beats;
                is_new
            });
            let (done, applied) = oneshot::channel();
            let order = orders.send(Order::Apply(Box::new(config), done)).await;
            order.map_err(|_| STOPPED.to_owned())?;
            applied.await.map_err(|_| STOPPED.to_owned())
        })
    }
}
