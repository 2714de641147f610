//! Targets on nodes are read by the agents there: who leads hands them out, and an agent asks which are its own.
//!
//! The two speak Prometheus' HTTP service discovery at [`PATH`]. An agent says with each question what it has, and is told its list
//! unless it has that already; so that a target is left here only once its agent has said that it has it. What an agent has it keeps
//! while nobody can tell it otherwise.

use std::sync::Arc;

use cluster::Cluster;
use model::outside::{Client, Files, Serve};
use model::{Clock, Leadership};
use prometheus::Registry;
use scrape::Pool;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::checkups::Look;
use crate::cli::Role;
use crate::config::Document;
use crate::given::Taking;
use crate::handed::{Door, Handing};

/// Where an agent asks.
pub(crate) const PATH: &str = "/api/v1/handed";
/// Between two questions of an agent.
pub(crate) const PERIOD_SECONDS: u64 = 5;
/// With a question: what the agent has. With both: the highest epoch that is known.
pub(crate) const HELD: &str = "x-skopos-held";
pub(crate) const EPOCH: &str = "x-skopos-epoch";
pub(crate) const ROOM: &str = "scrape";

/// The rooms around.
pub(crate) struct Around<'a> {
    pub(crate) role: Role,
    pub(crate) cluster: Option<&'a Cluster>,
    pub(crate) document: &'a Document,
    pub(crate) host: &'a str,
    pub(crate) pool: &'a Arc<Pool>,
    pub(crate) client: &'a Arc<dyn Client>,
    pub(crate) files: &'a Arc<dyn Files>,
    pub(crate) leadership: &'a watch::Receiver<Leadership>,
    pub(crate) receiver: Option<&'a Arc<remote::receive::Receiver>>,
    /// Whether all monitors are known.
    pub(crate) is_whole: Option<Arc<dyn Fn() -> bool + Send + Sync>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) registry: &'a Registry,
}

/// This process' part in it.
pub(crate) enum Side {
    Out(Arc<Handing>),
    Taking(Box<Taking>),
    /// It has none.
    Neither,
}

impl Side {
    /// To be made before anything is to be scraped.
    pub(crate) fn of(around: Around<'_>) -> Self {
        let kubernetes = &around.document.kubernetes;
        if around.cluster.is_none() || !kubernetes.hands_out() {
            return Self::Neither;
        }
        match around.role {
            Role::Cluster => Self::Out(Handing::new(around)),
            Role::Node => Taking::new(around).map_or(Self::Neither, |taking| Self::Taking(Box::new(taking))),
            Role::All => Self::Neither,
        }
    }

    /// Where agents ask.
    pub(crate) fn door(&self) -> Option<Arc<dyn Serve>> {
        match self {
            Self::Out(handing) => Some(Arc::new(Door(Arc::clone(handing)))),
            Self::Taking(_) | Self::Neither => None,
        }
    }

    pub(crate) fn checkup(&self) -> Look {
        match self {
            Self::Out(handing) => {
                let handing = Arc::clone(handing);
                Box::new(move || vec![handing.checkup()])
            }
            Self::Taking(taking) => taking.checkup(),
            Self::Neither => Box::new(Vec::new),
        }
    }

    pub(crate) async fn run(self, stop: CancellationToken) {
        match self {
            Self::Out(handing) => handing.run(stop).await,
            Self::Taking(taking) => taking.run(stop).await,
            Self::Neither => stop.cancelled().await,
        }
    }
}
