//! The other replica, if there is one: who leads, what both know, and where that outlives the disks of both.

use std::sync::Arc;

use anyhow::anyhow;
use cluster::Cluster;
use journal::{Entry, Journal};
use model::{Alone, Arbiter, Clock, Leadership, Memo, Share};
use pair::Rank;
use prometheus::Registry;
use tokio::sync::watch;

use crate::cli::Role;
use crate::config::Document;
use crate::daemon::hostname;
use crate::stages::Stages;

pub(crate) struct Paired {
    pub(crate) config: pair::Config,
    /// Only of two.
    pub(crate) pair: Option<pair::Pair>,
    pub(crate) handle: Option<pair::Handle>,
    /// Who leads where there is nobody else.
    _alone: watch::Sender<Leadership>,
    pub(crate) leadership: watch::Receiver<Leadership>,
    pub(crate) arbiter: Option<Arc<dyn Arbiter>>,
    memo: Option<Arc<dyn Memo>>,
}

impl Paired {
    /// A replica that begins with nothing begins with what the last pair wrote down: nothing may have read the journal before.
    ///
    /// # Errors
    /// It cannot say its name.
    pub(crate) async fn of(
        role: Role,
        document: &Document,
        cluster: Option<&Cluster>,
        journal: &Journal,
        clock: &Arc<dyn Clock>,
        registry: &Registry,
    ) -> anyhow::Result<Self> {
        let mut config = document.pair.clone();
        config.settle(&hostname()).map_err(|error| anyhow!(error))?;
        let (alone, mut leadership) = watch::channel(Leadership::standalone());
        let mut paired = Self {
            pair: None,
            handle: None,
            _alone: alone,
            leadership: leadership.clone(),
            arbiter: None,
            memo: None,
            config,
        };
        if role != Role::Cluster || paired.config.peer.is_none() {
            return Ok(paired);
        }
        let (pair, handle) = pair::Pair::new(
            paired.config.clone(),
            pair::Keys::default(),
            journal.clone(),
            Arc::clone(clock),
            registry,
        );
        leadership = handle.leadership();
        // A file that is named comes first: it was named for a reason.
        let file = paired.config.lease_file.as_ref();
        let file = file.map(|file| pair::FileArbiter::new(file, &paired.config.name) as Arc<dyn Arbiter>);
        paired.arbiter = file.or_else(|| cluster.map(Cluster::arbiter));
        paired.memo = cluster
            .filter(|_| paired.config.lease_file.is_none())
            .map(Cluster::memo);
        if let Some(memo) = &paired.memo {
            handle.recall(&**memo).await;
        }
        (paired.pair, paired.handle, paired.leadership) = (Some(pair), Some(handle), leadership);
        Ok(paired)
    }

    pub(crate) fn share(&self) -> Arc<dyn Share> {
        match &self.handle {
            Some(handle) => Arc::new(handle.clone()),
            None => Arc::new(Alone),
        }
    }

    /// Has what is told written down.
    pub(crate) fn remember(&mut self, stages: &mut Stages) {
        if let (Some(memo), Some(handle)) = (self.memo.take(), self.handle.clone()) {
            stages.spawn("pair", "memo", |stop| handle.remember(memo, Arc::new(rank), stop));
        }
    }
}

/// What of the map is written down: what people were told, and as far as there is room the alerts of which they were.
fn rank(entry: &Entry) -> Option<Rank> {
    if notifier::is_told(entry.key()) {
        return Some(Rank::First);
    }
    (notifier::is_open(entry.key()) || rules::fires(entry)).then_some(Rank::WhileThereIsRoom)
}
