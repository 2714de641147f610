//! The task: waits for events, answers, orders and the next thing due, and lets the core decide.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use journal::Journal;
use model::mail::{Mail, NoMail};
use model::outside::{Client, ClientError};
use model::{AlertEvent, Clock, Evidence, Leadership, Share};
use prometheus::Registry;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::board::Board;
use crate::config::Config;
use crate::core::{Content, Core, Launch, Sent};
use crate::evidence::Asker;
use crate::handle::{Handle, ORDERS, Order, Show};
use crate::message::Message;
use crate::metrics::Metrics;
use crate::receiver::Ways;
use crate::silences::Silences;
use crate::verdict::judge;
use crate::{posted, probe, shown};

/// Events taken in at once: they share one write to the journal.
const BATCH: usize = 256;
/// How long a stopping notifier waits for answers, and sends what is due and may go at once.
const STOP_GRACE: Duration = Duration::from_secs(5);

pub struct Notifier {
    core: Core,
    inbox: mpsc::Receiver<AlertEvent>,
    orders: mpsc::Receiver<Order>,
    leadership: watch::Receiver<Leadership>,
    ways: Ways,
    clock: Arc<dyn Clock>,
    /// Messages on their way: at most one for each receiver, and tests.
    sending: JoinSet<Done>,
    /// Whose message each of them carries, or what became of it.
    carried: HashMap<Id, Arc<str>>,
    share: Arc<dyn Share>,
    silences: Arc<Silences>,
    asker: Asker,
    /// A configuration that waits for what is on its way.
    next: Option<(Box<Config>, oneshot::Sender<()>)>,
}

enum Done {
    Sent(Sent),
    /// The other replica knows what this receiver said, or cannot be told.
    Shared(Arc<str>),
    Test,
}

impl Notifier {
    /// Restores what an earlier life left in the journal. The configuration's complaints are the caller's to
    /// heed; a receiver without an address is left out. `share` is asked after each message, before the next one
    /// to the same receiver.
    #[must_use]
    #[expect(
        clippy::too_many_arguments,
        reason = "everything the room knows of the world outside, once"
    )]
    pub fn new(
        config: &Config,
        inbox: mpsc::Receiver<AlertEvent>,
        journal: Journal,
        client: Arc<dyn Client>,
        clock: Arc<dyn Clock>,
        leadership: watch::Receiver<Leadership>,
        share: Arc<dyn Share>,
        registry: &Registry,
    ) -> (Self, Handle) {
        let board = Arc::new(Board::new());
        let (orders, ordered) = mpsc::channel(ORDERS); // full: whoever gives the order waits
        let leads = leadership.borrow().clone();
        let metrics = Metrics::new(registry);
        let time = (clock.now(), clock.running());
        let asker = Asker::new(&config.evidence, Arc::clone(&clock), metrics.evidence.clone());
        let silences = Arc::new(Silences::new(journal.clone(), Arc::clone(&clock)));
        let core = Core::new(config, journal, leads, metrics, Arc::clone(&board), time);
        let notifier = Self {
            core,
            inbox,
            orders: ordered,
            leadership,
            ways: Ways {
                client,
                mail: Arc::new(NoMail),
            },
            clock,
            sending: JoinSet::new(),
            carried: HashMap::new(),
            share,
            silences: Arc::clone(&silences),
            asker,
            next: None,
        };
        let handle = Handle {
            board,
            orders,
            silences,
            heartbeat: Arc::new(watch::Sender::new(config.beats())),
        };
        (notifier, handle)
    }

    /// Without it, mail does not leave.
    #[must_use]
    pub fn with_mail(mut self, mail: Arc<dyn Mail>) -> Self {
        self.ways.mail = mail;
        self
    }

    /// Asks for what others know about an alert before it tells of it; without this nobody is asked.
    pub fn evidence_from(&mut self, evidence: Arc<dyn Evidence>) {
        self.asker.ask_of(evidence);
    }

    /// Ends when told to: what is due and can be sent within a few seconds is sent, the rest stays in the
    /// journal.
    pub async fn run(mut self, stop: CancellationToken) {
        while self.turn(&stop).await {}
        self.drain().await;
    }

    /// One wait and what follows from it; `false` once it is time to stop.
    async fn turn(&mut self, stop: &CancellationToken) -> bool {
        let wait = self.step();
        let mut events = Vec::new();
        tokio::select! {
            biased;
            () = stop.cancelled() => return false,
            Some(done) = self.sending.join_next_with_id() => self.done(done),
            Ok(()) = self.leadership.changed() => {
                let leadership = self.leadership.borrow_and_update().clone();
                self.core.lead(leadership);
            }
            Some(order) = self.orders.recv(), if self.next.is_none() => self.obey(order),
            1.. = self.inbox.recv_many(&mut events, BATCH) => self.hear(events),
            () = self.silences.changed.notified() => {}
            () = self.clock.sleep(wait) => {}
        }
        true
    }

    fn step(&mut self) -> Duration {
        if !self.core.is_sending()
            && let Some((config, done)) = self.next.take()
        {
            self.core.apply(&config, self.clock.now());
            self.asker.apply(&config.evidence);
            // Whoever ordered it may have gone away.
            _ = done.send(());
        }
        let may_launch = self.next.is_none();
        let step = self.core.step(self.clock.now(), self.clock.running(), may_launch);
        for launch in step.launches {
            self.launch(launch);
        }
        step.wait
    }

    fn launch(&mut self, launch: Launch) {
        let (ways, clock) = (self.ways.clone(), Arc::clone(&self.clock));
        let Launch {
            receiver,
            mut content,
            epoch,
        } = launch;
        let name = Arc::clone(&receiver.name);
        let leadership = self.leadership.clone();
        let asker = self.asker.clone();
        let task = self.sending.spawn(async move {
            if let Content::Group(message) = &mut content {
                message.evidence = asker.ask(message, receiver.interest()).await;
            }
            let started = clock.now();
            // The process may have stood still since this was decided, and the world gone on.
            let may = || {
                let leadership = leadership.borrow();
                leadership.epoch == epoch && leadership.may_speak(clock.running())
            };
            let said = match &content {
                Content::Group(message) => receiver.send(&ways, message, may).await,
                Content::Storm(digest) => receiver.send_storm(&*ways.client, digest, may).await,
            };
            Done::Sent(Sent {
                receiver: Arc::clone(&receiver.name),
                verdict: said.verdict,
                thread: said.thread,
                lines: said.lines,
                picture: said.picture,
                took: clock.now().since(started),
            })
        });
        self.carried.insert(task.id(), name);
    }

    fn hear(&mut self, events: Vec<AlertEvent>) {
        let now = self.clock.now();
        for event in events {
            self.core.hear(event, now);
        }
    }

    fn done(&mut self, done: Result<(Id, Done), JoinError>) {
        let id = done.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let carried = self.carried.remove(&id);
        match done {
            Ok((_, Done::Sent(sent))) => self.sent(sent),
            Ok((_, Done::Shared(receiver))) => self.core.shared(&receiver),
            Ok((_, Done::Test)) => {}
            // A client that panics must not take the receiver with it.
            Err(error) => {
                let Some(receiver) = carried else {
                    return;
                };
                let verdict = judge(&Err(ClientError::Broken(error.to_string())));
                let took = Duration::ZERO;
                let sent = Sent {
                    receiver,
                    verdict,
                    thread: None,
                    lines: None,
                    picture: None,
                    took,
                };
                self.sent(sent);
            }
        }
    }

    fn sent(&mut self, sent: Sent) {
        let receiver = Arc::clone(&sent.receiver);
        if self.core.sent(sent, self.clock.now()) {
            let shared = self.share.shared();
            self.sending.spawn(async move {
                // True or not: after this the next message may go.
                _ = shared.await;
                Done::Shared(receiver)
            });
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Apply(config, done) => self.next = Some((config, done)),
            Order::Test(answer) => self.test(answer),
            // Whoever asked may have gone away, here and below.
            Order::Show(show, answer) => _ = answer.send(self.show(&show)),
            Order::Post(body, answer) => _ = answer.send(self.post(&body)),
        }
    }

    fn show(&self, show: &Show) -> String {
        let now = self.clock.now();
        match show {
            Show::Alerts(wanted) => self.core.alerts_json(wanted, now),
            Show::Groups(wanted) => self.core.groups_json(wanted, now),
            Show::Receivers => shown::receivers(&self.core.plan().teams),
        }
    }

    fn post(&mut self, body: &[u8]) -> Result<(), (u16, String)> {
        let now = self.clock.now();
        let (events, wrong) = posted::read(body, self.core.plan().resolve_timeout, now)?;
        self.core.take_posted(events, now);
        if wrong.is_empty() {
            Ok(())
        } else {
            Err((400, wrong.join("\n")))
        }
    }

    fn test(&mut self, answer: oneshot::Sender<Result<String, String>>) {
        let now = self.clock.now();
        let message = Arc::new(Message::test(now, self.core.external_url()));
        let (receivers, ways) = (self.core.test_receivers(now), self.ways.clone());
        self.sending.spawn(async move {
            let mut said = Vec::new();
            let mut failed = receivers.is_empty();
            for receiver in receivers {
                let outcome = probe::tell(&receiver, &ways, &message).await;
                failed |= outcome.is_err();
                let (Ok(words) | Err(words)) = outcome;
                said.push(format!("{}: {words}", receiver.title()));
            }
            if said.is_empty() {
                said.push("no receiver is configured".to_owned());
            }
            let words = said.join("; ");
            // Whoever asked may have gone away.
            _ = answer.send(if failed { Err(words) } else { Ok(words) });
            Done::Test
        });
    }

    async fn drain(&mut self) {
        let mut events = Vec::new();
        while let Ok(event) = self.inbox.try_recv() {
            events.push(event);
        }
        self.hear(events);
        let end = self.clock.now() + STOP_GRACE;
        let mut grace = self.clock.sleep(STOP_GRACE);
        loop {
            let step = self.core.step(self.clock.now(), self.clock.running(), true);
            let sends = !step.launches.is_empty();
            for launch in step.launches {
                self.launch(launch);
            }
            if !sends && !self.core.is_busy() {
                break;
            }
            tokio::select! {
                biased;
                () = &mut grace => break,
                Some(done) = self.sending.join_next_with_id() => self.done(done),
            }
            if self.clock.now() > end {
                break;
            }
        }
        let left = self.core.in_flight();
        if left > 0 {
            info!(
                left,
                "stopped; what waits stays in the journal and is told after the next start"
            );
        }
    }
}
