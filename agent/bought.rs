//! Connects CloudWatch: what rules and dashboards read of it, which alerts are close, where the sum is kept that it has cost.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use cloudwatch::plan::need::Need;
use cloudwatch::{CloudWatch, Given, Hot, Spent, Treasury};
use journal::Journal;
use model::late::{Late, Never};
use model::{AlertState, Clock};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::needs;

/// Where the sum of the month is kept; both replicas have it.
const KEY: &str = "cloudwatch/spent";
/// How often is looked whether other rules run, or an alert has come near.
const LOOK: Duration = Duration::from_secs(15);
/// A rule whose worst series has so much of the way to its threshold behind it is close.
const NEAR: f64 = 0.8;

/// The sum, in the journal.
pub(crate) struct Sum(pub(crate) Journal);

impl Treasury for Sum {
    fn load(&self) -> Option<Spent> {
        self.0.get(KEY)
    }

    fn save(&self, spent: Spent) -> Result<(), String> {
        self.0.put(KEY, &spent).map_err(|error| error.to_string())
    }
}

/// Until when the room's series are complete, for rules; without the room nothing is late.
pub(crate) fn late(room: Option<&CloudWatch>) -> Arc<dyn Late> {
    match room {
        Some(room) => room.marks(),
        None => Arc::new(Never),
    }
}

/// What AWS says has happened is kept where log lines are.
pub(crate) fn note(room: Option<&CloudWatch>, logs: Option<&logs::Handle>) {
    if let (Some(room), Some(logs)) = (room, logs) {
        room.notes_to(logs.notes());
    }
}

/// What the hall has for it; what it needs of the rules comes from here.
pub(crate) struct Around {
    pub(crate) config: cloudwatch::Config,
    pub(crate) aws: Arc<aws::Aws>,
    pub(crate) client: Arc<dyn model::outside::Client>,
    pub(crate) keep: Arc<dyn model::Keep>,
    pub(crate) clock: Arc<dyn model::Clock>,
    pub(crate) journal: Journal,
    pub(crate) leadership: watch::Receiver<model::Leadership>,
}

/// Looks at the rules on behalf of the room.
pub(crate) struct Following {
    config: cloudwatch::Config,
    rules: rules::Manager,
    engine: Arc<promql::Engine>,
    clock: Arc<dyn Clock>,
    needs: watch::Sender<Arc<[Need]>>,
    hot: watch::Sender<Arc<[Hot]>>,
}

/// The room, and who tells it of the rules.
pub(crate) fn open(around: Around, registry: &prometheus::Registry) -> (CloudWatch, Needing) {
    let (needs, needed) = watch::channel(Arc::default());
    let (hot, heated) = watch::channel(Arc::default());
    let given = Given {
        config: around.config.clone(),
        aws: around.aws,
        client: around.client,
        keep: around.keep,
        clock: Arc::clone(&around.clock),
        treasury: Arc::new(Sum(around.journal)),
        leadership: around.leadership,
        needs: needed,
        hot: heated,
    };
    let room = CloudWatch::new(given, registry);
    let needing = Needing {
        config: around.config,
        clock: around.clock,
        needs,
        hot,
    };
    (room, needing)
}

/// A [`Following`] before there are rules: rules want to know until when the room's series are complete.
pub(crate) struct Needing {
    config: cloudwatch::Config,
    clock: Arc<dyn Clock>,
    needs: watch::Sender<Arc<[Need]>>,
    hot: watch::Sender<Arc<[Hot]>>,
}

impl Needing {
    pub(crate) fn of(self, rules: rules::Manager, engine: Arc<promql::Engine>) -> Following {
        Following {
            config: self.config,
            rules,
            engine,
            clock: self.clock,
            needs: self.needs,
            hot: self.hot,
        }
    }
}

impl Following {
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut known: Option<Arc<[rules::Group]>> = None;
        loop {
            let groups = self.rules.groups();
            if known.as_ref().is_none_or(|known| **known != *groups) {
                self.needs.send_replace(needs::gather(&groups, &self.config));
                known = Some(groups);
            }
            self.tell_hot();
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    /// What is pending, and what has come near its threshold: it is looked at more closely.
    fn tell_hot(&self) {
        let named: BTreeSet<Arc<str>> = self.needs.borrow().iter().filter_map(alert).collect();
        let mut hot = Vec::new();
        let now = self.clock.now();
        for rule in self.rules.view().iter().flat_map(|group| &group.rules) {
            let Some(alert) = named.get(rule.name.as_str()) else {
                continue;
            };
            let pending = rule
                .alerts
                .iter()
                .filter(|known| known.state == AlertState::Pending);
            let near = self.engine.headroom(&rule.expr, now).filter(is_near);
            let labels = pending
                .map(|known| known.labels.clone())
                .chain(near.map(|near| near.labels));
            hot.extend(labels.map(|labels| Hot {
                alert: Arc::clone(alert),
                labels,
            }));
        }
        self.hot.send_if_modified(|known| {
            let is_other = known[..] != hot[..];
            if is_other {
                *known = hot.into();
            }
            is_other
        });
    }
}

fn alert(need: &Need) -> Option<Arc<str>> {
    match &need.by {
        cloudwatch::plan::need::By::Alert { name, .. } => Some(Arc::clone(name)),
        _ => None,
    }
}

fn is_near(headroom: &model::view::Headroom) -> bool {
    headroom.share.is_some_and(|share| (NEAR..1.0).contains(&share))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use journal::Disk;
    use model::{AllHere, Column, Keep, Kind, Labels, Leadership, Round, SeriesDesc, TargetDesc, Timestamp};
    use telemetry::Registry;
    use telemetry::clock::RuntimeClock;
    use tokio::sync::mpsc;

    use super::*;

    const RULE: &str = "groups: [{ name: a, rules: [{ alert: Busy, expr: 'aws_rds_cpuutilization_average > 90', for: 10m }] }]";
    const NOW: Timestamp = Timestamp(1_793_491_200_000);

    /// Which databases are told to be close, where these are so busy.
    async fn told(folder: &Path, busy: &[(&str, f64)]) -> Vec<String> {
        let (registry, clock) = (Registry::new(), RuntimeClock::starting_at(NOW));
        let store = store::Store::open(folder, store::Config::default(), clock.clone(), &registry).unwrap();
        let target = store.target(&TargetDesc {
            name: "cloudwatch/here".into(),
            page: None,
            staleness: None,
        });
        let series = busy.iter().map(|(database, _)| {
            let labels = [
                ("__name__", "aws_rds_cpuutilization_average"),
                ("dimension_DBInstanceIdentifier", database),
            ];
            let desc = SeriesDesc {
                labels: Labels::from_pairs(labels),
                kind: Kind::Gauge,
                family: "aws_rds_cpuutilization_average".into(),
                help: "".into(),
                unit: "".into(),
            };
            store.series(target, &desc).unwrap()
        });
        store.commit(Column {
            target,
            time: NOW,
            round: Round::Whole,
            series: series.collect(),
            values: busy.iter().map(|(_, value)| *value).collect(),
        });
        let engine = Arc::new(promql::Engine::new(store.clone(), promql::Options::default()));
        let rules = rules::Manager::new(
            rules::Neighbours {
                ask: engine.clone(),
                keep: store,
                journal: Journal::open(Disk::new(folder), Path::new("alerts")).unwrap(),
                events: mpsc::channel(1).0,
                leadership: watch::channel(Leadership::standalone()).1,
                clock: clock.clone(),
                presence: Arc::new(AllHere),
                late: Arc::new(Never),
            },
            &registry,
            rules::Options::default(),
        );
        let groups = rules::load(&[("r.yaml".to_owned(), RULE.to_owned())]).unwrap();
        let config = cloudwatch::Config::default();
        let needs = watch::channel(needs::gather(&groups, &config)).0;
        let (hot, heated) = watch::channel(Arc::default());
        rules.apply(groups);
        let stop = CancellationToken::new();
        let running = tokio::spawn(rules.clone().run(stop.clone()));
        while !rules
            .view()
            .iter()
            .flat_map(|group| &group.rules)
            .any(|rule| rule.name == "Busy")
        {
            tokio::task::yield_now().await;
        }
        let following = Following {
            config,
            rules,
            engine,
            clock,
            needs,
            hot,
        };
        following.tell_hot();
        stop.cancel();
        running.await.unwrap();
        let hot = Arc::clone(&heated.borrow());
        let named = hot.iter().map(|hot| {
            assert_eq!(&*hot.alert, "Busy");
            hot.labels.value("dimension_DBInstanceIdentifier").to_owned()
        });
        named.collect()
    }

    #[tokio::test]
    async fn what_has_four_fifths_of_the_way_to_its_threshold_behind_it_is_told_to_be_close() {
        let folder = tempfile::tempdir().unwrap();
        let near = [("orders", 73.0), ("clicks", 20.0)];
        assert_eq!(told(&folder.path().join("a"), &near).await, ["orders"]);
        let far = [("orders", 70.0), ("clicks", 20.0)];
        assert_eq!(told(&folder.path().join("b"), &far).await, [""; 0]);
    }
}
