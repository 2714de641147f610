//! Whether everything from samples to messages goes on: what the heartbeat asks before it says so.

use std::sync::Arc;
use std::time::Duration;

use model::Clock;
use model::view::{RuleGroup, View};
use parking_lot::Mutex;

/// How long samples may stay away, and how late a group of rules may be at least.
const PATIENCE: Duration = Duration::from_secs(180);
/// How long the notifier may take to answer.
const ANSWER: Duration = Duration::from_secs(10);

pub(crate) struct Progress {
    /// Samples that the store has taken so far.
    taken: Box<dyn Fn() -> u64 + Send + Sync>,
    groups: View<Vec<RuleGroup>>,
    notifier: notifier::Handle,
    clock: Arc<dyn Clock>,
    /// What had been taken when, in running time, it last grew.
    grew: Mutex<(u64, Duration)>,
}

impl Progress {
    pub(crate) fn of(
        store: &Arc<store::Store>,
        groups: View<Vec<RuleGroup>>,
        notifier: notifier::Handle,
        clock: Arc<dyn Clock>,
    ) -> Arc<notifier::heartbeat::Progress> {
        let store = Arc::clone(store);
        let progress = Arc::new(Self {
            taken: Box::new(move || store.ledger().taken),
            groups,
            notifier,
            grew: Mutex::new((0, clock.running())),
            clock,
        });
        Arc::new(move || {
            let progress = Arc::clone(&progress);
            Box::pin(async move { progress.look().await })
        })
    }

    async fn look(&self) -> Result<(), String> {
        self.samples()?;
        self.rules()?;
        self.messages().await
    }

    fn samples(&self) -> Result<(), String> {
        let (taken, running) = ((self.taken)(), self.clock.running());
        let mut grew = self.grew.lock();
        if taken > grew.0 {
            *grew = (taken, running);
        }
        let still = running.saturating_sub(grew.1);
        if still > PATIENCE {
            return Err(format!("no sample has come for {}", spoken(still)));
        }
        Ok(())
    }

    fn rules(&self) -> Result<(), String> {
        let (now, up) = (self.clock.now(), self.clock.running());
        for group in (self.groups)() {
            let patience = PATIENCE.max(3 * group.interval);
            let late = match group.last_evaluation {
                Some(last) => now.since(last),
                None => up,
            };
            if late > patience {
                let (name, late) = (group.name, spoken(late));
                return Err(format!("rule group {name:?} has not been evaluated for {late}"));
            }
        }
        Ok(())
    }

    async fn messages(&self) -> Result<(), String> {
        let answer = self.notifier.alerting_json("receivers", &[]);
        let answered = tokio::time::timeout(ANSWER, answer).await;
        if !answered.is_ok_and(|answer| answer.is_ok()) {
            return Err("the notifier does not answer".to_owned());
        }
        let view = self.notifier.view();
        if !view.receivers.is_empty() && view.failing.len() >= view.receivers.len() {
            return Err("no receiver takes messages".to_owned());
        }
        Ok(())
    }
}

fn spoken(time: Duration) -> String {
    model::text::duration::spoken(time)
}
