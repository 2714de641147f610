//! One node: reads its truth every fifteen seconds and sends it to the replicas.

use std::sync::Arc;
use std::time::Duration;

use model::outside::{Client, Method, Request};
use model::{Clock, Column, Keep, Kind, Labels, Round, SeriesDesc, TargetDesc, Timestamp};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::process::SimClock;
use super::world::Log;

pub const INTERVAL: Duration = Duration::from_secs(15);
pub const PATH: &str = "/sim/round";

/// What is so on the node, as the simulator wishes it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Facts {
    pub load: f64,
}

/// One round as the node read it.
#[derive(Clone, Copy, Debug)]
pub struct Read {
    /// By the simulator's time.
    pub at: Duration,
    /// By the node's clock.
    pub time: Timestamp,
    pub facts: Facts,
}

/// What is so, and what was read of it: outlives the process.
pub struct Ground {
    pub name: Arc<str>,
    pub facts: Mutex<Facts>,
    pub reads: Mutex<Vec<Read>>,
}

impl Ground {
    pub fn new(name: &str) -> Arc<Self> {
        Arc::new(Self {
            name: name.into(),
            facts: Mutex::new(Facts { load: 0.0 }),
            reads: Mutex::default(),
        })
    }
}

pub struct Driver {
    pub ground: Arc<Ground>,
    pub clock: Arc<SimClock>,
    pub wire: Arc<dyn Client>,
    pub replicas: Vec<String>,
    pub log: Arc<Log>,
}

impl Driver {
    pub async fn run(self, stop: CancellationToken) {
        loop {
            let now = self.clock.now();
            let millis = model::time::millis(INTERVAL);
            let next = Timestamp(now.0 - now.0.rem_euclid(millis) + millis);
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.clock.sleep_until(next) => self.round().await,
            }
        }
    }

    async fn round(&self) {
        let facts = *self.ground.facts.lock();
        let time = self.clock.now();
        self.ground.reads.lock().push(Read {
            at: self.log.now(),
            time,
            facts,
        });
        let body = format!("{} {} {}", self.ground.name, time.0, facts.load);
        for replica in &self.replicas {
            let request = Request {
                method: Method::Post,
                url: format!("http://{replica}{PATH}"),
                headers: Vec::new(),
                body: body.clone().into_bytes(),
                timeout: Duration::from_secs(2),
                answer_bytes_max: 1024,
            };
            _ = self.wire.send(request).await;
        }
    }
}

pub fn keep(keep: &dyn Keep, text: &str) {
    let mut words = text.split(' ');
    let (Some(node), Some(time), Some(load)) = (words.next(), words.next(), words.next()) else {
        return;
    };
    let target = keep.target(&TargetDesc {
        name: node.into(),
        page: None,
        staleness: None,
    });
    let series = keep.series(
        target,
        &SeriesDesc {
            labels: Labels::from_pairs([("__name__", "sim_load"), ("node", node)]),
            kind: Kind::Gauge,
            family: "sim_load".into(),
            help: "".into(),
            unit: "".into(),
        },
    );
    keep.commit(Column {
        target,
        time: Timestamp(time.parse().unwrap()),
        round: Round::Whole,
        series: vec![series.unwrap()],
        values: vec![load.parse().unwrap()],
    });
}
