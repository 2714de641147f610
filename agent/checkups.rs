//! Gathers what the rooms say of themselves for `skopos doctor`, and adds what no room knows alone: the configuration,
//! the process' memory, its clock, the accounts.
//!
//! A room that is added later gives one function here. Nobody outside is asked, unless somebody wants the receivers to be.

use std::collections::{BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use model::labels::METRIC_NAME;
use model::outside::Client;
use model::text::{bytes, duration};
use model::view::{Checkup, ConfigState, Health};
use model::{BoxFuture, Clock, Matcher, Select, TimeRange, Timestamp};
use parking_lot::{Mutex, RwLock};
use tokio::runtime::Handle;

use crate::accounts::Accounts;
use crate::{dashboards, shipped};

/// Of the process itself.
const ROOM: &str = "skopos";
/// Shares of the memory that the process may take.
const NEAR: f64 = 0.85;
const FULL: f64 = 0.95;
/// One jump of the clock is a laptop that slept; many are two programs that both set it.
const JUMPS: usize = 3;
const JUMPS_WINDOW: Duration = Duration::from_secs(1800);
const JUMPS_MAX: usize = 100;
/// An account that is looked at between two of its numbers seems not to balance; thrice in a row it does not.
const LOOKS: usize = 3;

/// When the system's clock jumped, the last of them.
#[derive(Default)]
pub(crate) struct Jumps(Mutex<VecDeque<Timestamp>>);

impl Jumps {
    pub(crate) fn note(&self, at: Timestamp) {
        let mut jumps = self.0.lock();
        if jumps.len() >= JUMPS_MAX {
            jumps.pop_front();
        }
        jumps.push_back(at);
    }

    /// Before `now`, and not long before.
    fn lately(&self, now: Timestamp) -> usize {
        let jumps = self.0.lock();
        jumps.iter().filter(|at| now.since(**at) < JUMPS_WINDOW).count()
    }
}

/// All that is asked; what a role does not have is none.
pub(crate) struct Around {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) data_dir: PathBuf,
    pub(crate) config: Arc<RwLock<ConfigState>>,
    pub(crate) accounts: Accounts,
    pub(crate) jumps: Arc<Jumps>,
    pub(crate) cluster: Option<cluster::Cluster>,
    pub(crate) state: Option<kubestate::KubeState>,
    pub(crate) discovery: Option<Look>,
    pub(crate) monitors: Option<Look>,
    pub(crate) handing: Look,
    pub(crate) oom: Look,
    pub(crate) node: Option<node::Handle>,
    pub(crate) pool: Arc<scrape::Pool>,
    pub(crate) receiver: Option<Arc<remote::receive::Receiver>>,
    pub(crate) store: Arc<store::Store>,
    pub(crate) logs: Option<logs::Handle>,
    /// That are asked for the lines of their pods.
    pub(crate) nodes: Option<Arc<logs::Nodes>>,
    pub(crate) rules: Option<rules::Manager>,
    /// Where rules ask, if that is not the store.
    pub(crate) datasource: Option<Arc<str>>,
    pub(crate) notifier: Option<notifier::Handle>,
    pub(crate) pair: Option<pair::Handle>,
    pub(crate) aws: Arc<aws::Aws>,
    pub(crate) cloudwatch: Option<cloudwatch::CloudWatch>,
    /// With what the house calls them.
    pub(crate) senders: Vec<(&'static str, remote::SenderHandle)>,
}

pub(crate) type Look = Box<dyn Fn() -> Vec<Checkup> + Send + Sync>;
pub(crate) type Doctor = Arc<dyn Fn(bool) -> BoxFuture<'static, Result<Vec<Checkup>, String>> + Send + Sync>;

/// Looks at every room on a thread of its own, one caller after another; with `true` also asks the receivers and the nodes.
pub(crate) fn doctor(around: Around, client: Arc<dyn Client>, main: Handle) -> Doctor {
    let notifier = around.notifier.clone();
    let nodes = around.nodes.clone();
    let rooms = Arc::new(rooms(around));
    let turn = Arc::new(tokio::sync::Mutex::new(()));
    Arc::new(move |live| {
        let (rooms, turn, client) = (Arc::clone(&rooms), Arc::clone(&turn), Arc::clone(&client));
        let notifier = notifier.clone().filter(|_| live);
        let nodes = nodes.clone().filter(|_| live);
        // Connections belong to the runtime that opened them.
        let looked = main.spawn(async move {
            let _turn = turn.lock().await;
            let looking = move || rooms.iter().flat_map(|look| look()).collect();
            let mut all: Vec<Checkup> = tokio::task::spawn_blocking(looking).await?;
            if let Some(notifier) = notifier {
                all.extend(notifier.probe(client, Arc::new(net::Mailer)).await);
            }
            if let Some(nodes) = nodes {
                all.extend(nodes.checkup().await);
            }
            Ok::<_, tokio::task::JoinError>(all)
        });
        Box::pin(async move {
            let looked = looked.await.and_then(|looked| looked);
            looked.map_err(|error| format!("looking at the rooms: {error}"))
        })
    })
}

/// One function for each, in the order in which they are told.
fn rooms(around: Around) -> Vec<Look> {
    let clock = around.clock;
    let (has_cluster, has_state) = (around.cluster.is_some(), around.state.is_some());
    let mut rooms: Vec<Look> = Vec::new();
    {
        let (clock, config, accounts, jumps) = (clock.clone(), around.config, around.accounts, around.jumps);
        rooms.push(Box::new(move || {
            let balances = accounts
                .iter()
                .filter(|(_, account)| (0..LOOKS).all(|_| !account().balances()));
            vec![
                configuration(&config.read()),
                memory(
                    telemetry::process::anonymous_bytes(),
                    telemetry::process::memory_limit_bytes(),
                ),
                jumped(jumps.lately(clock.now())),
                balanced(
                    accounts.len(),
                    &balances.map(|(room, _)| *room).collect::<Vec<_>>(),
                ),
            ]
        }));
    }
    if let Some(state) = around.state {
        rooms.push(Box::new(move || state.checkups()));
    }
    if let Some(cluster) = around.cluster {
        let clock = clock.clone();
        rooms.push(Box::new(move || cluster.checkups(clock.now())));
    }
    rooms.extend(around.discovery);
    rooms.extend(around.monitors);
    if let Some(node) = around.node.clone() {
        let clock = clock.clone();
        rooms.push(Box::new(move || node.checkups(clock.now(), clock.running())));
    }
    rooms.push(around.oom);
    {
        let pool = around.pool.clone();
        rooms.push(Box::new(move || pool.checkups()));
    }
    rooms.push(around.handing);
    if let Some(receiver) = around.receiver {
        let clock = clock.clone();
        rooms.push(Box::new(move || receiver.checkups(clock.now())));
    }
    {
        let (store, data_dir) = (around.store.clone(), around.data_dir);
        rooms.push(Box::new(move || {
            let disk = rustix::fs::statvfs(&data_dir).ok().map(|disk| store::Room {
                free_bytes: disk.f_bavail.saturating_mul(disk.f_frsize),
                all_bytes: disk.f_blocks.saturating_mul(disk.f_frsize),
            });
            store.checkups(disk)
        }));
    }
    rooms.push(match around.logs {
        Some(logs) => Box::new(move || logs.checkups()),
        None => Box::new(|| {
            vec![Checkup::off(
                "logs",
                "files",
                "log files are not read by this process",
            )]
        }),
    });
    // Where rules ask elsewhere, dashboards do, too; an agent keeps little for either.
    if around.rules.is_some() && around.datasource.is_none() {
        let (clock, store) = (clock.clone(), around.store.clone());
        rooms.push(Box::new(move || {
            of_dashboards(&store, has_cluster, has_state, clock.now())
        }));
    }
    if let Some(rules) = around.rules {
        let (clock, store, pool, node) = (clock.clone(), around.store, around.pool, around.node);
        let elsewhere = around.datasource;
        rooms.push(Box::new(move || {
            let mut targets = pool.view().into_iter().chain(node.iter().map(node::Handle::view));
            let is_settled = targets.all(|target| target.health != Health::Unknown);
            of_rules(&rules, &store, elsewhere.as_deref(), is_settled, &*clock)
        }));
    }
    if let Some(notifier) = around.notifier {
        let clock = clock.clone();
        rooms.push(Box::new(move || notifier.checkups(clock.now(), clock.running())));
    }
    if let Some(pair) = around.pair {
        let clock = clock.clone();
        rooms.push(Box::new(move || pair.checkups(clock.now())));
    }
    let aws = around.aws;
    rooms.push(Box::new(move || aws.checkups()));
    rooms.push(Box::new(|| net::Names::ours().checkup().into_iter().collect()));
    if let Some(cloudwatch) = around.cloudwatch {
        rooms.push(Box::new(move || cloudwatch.checkups()));
    }
    if around.senders.is_empty() {
        rooms.push(Box::new(|| {
            vec![Checkup::off(
                "sender",
                "destinations",
                "samples are sent to nobody",
            )]
        }));
    }
    for (room, sender) in around.senders {
        let clock = clock.clone();
        rooms.push(Box::new(move || sender.checkups(room, clock.now())));
    }
    rooms
}

/// What has no series among what the shipped dashboards ask for.
fn of_dashboards(store: &store::Store, has_cluster: bool, has_state: bool, now: Timestamp) -> Vec<Checkup> {
    let counted = store.cardinality(usize::MAX).by_metric;
    let names: BTreeSet<String> = counted.into_iter().map(|metric| metric.name).collect();
    let range = TimeRange {
        after: now - rules::lint::NAMES_WINDOW,
        until: now,
    };
    let is_there = |matchers: &[Matcher]| store.labels(matchers, range).is_ok_and(|found| !found.is_empty());
    dashboards::checkups(&dashboards::Sight {
        was_seen: &|name| names.contains(name) || is_there(&[Matcher::equal(METRIC_NAME, name)]),
        has_job: &|job| is_there(&[Matcher::equal(METRIC_NAME, "up"), Matcher::equal("job", job)]),
        has_cluster,
        has_state,
    })
}

fn of_rules(
    rules: &rules::Manager,
    store: &store::Store,
    elsewhere: Option<&str>,
    is_settled: bool,
    clock: &dyn Clock,
) -> Vec<Checkup> {
    let now = clock.now();
    let counted = store.cardinality(usize::MAX).by_metric;
    let names: BTreeSet<String> = counted.into_iter().map(|metric| metric.name).collect();
    let range = TimeRange {
        after: now - rules::lint::NAMES_WINDOW,
        until: now,
    };
    // What has ended is on disk alone.
    let on_disk = |name: &str| {
        let found = store.labels(&[Matcher::equal(METRIC_NAME, name)], range);
        found.is_ok_and(|found| !found.is_empty())
    };
    let sight = rules::Sight {
        was_seen: &|name| names.contains(name) || on_disk(name),
        names: &names,
        is_shipped: &|file| shipped::RULES.iter().any(|(name, _)| *name == file),
        elsewhere,
        is_settled,
    };
    rules.checkups(&sight, now, clock.running())
}

fn configuration(config: &ConfigState) -> Checkup {
    const NAME: &str = "configuration";
    if config.refused.is_empty() {
        let file = match config.file.as_str() {
            "" => "built-in defaults",
            file => file,
        };
        return Checkup::ok(ROOM, NAME, format!("in force: {file}"));
    }
    Checkup::fail(
        ROOM,
        NAME,
        "a newer configuration was refused; the old one goes on",
    )
    .advise("mend what is named here and save; the file is read again by itself")
    .list(config.refused.iter().cloned())
}

fn memory(taken: u64, limit: Option<u64>) -> Checkup {
    const NAME: &str = "memory";
    let words = bytes(taken as f64);
    let Some(limit) = limit.filter(|limit| *limit > 0) else {
        return Checkup::ok(ROOM, NAME, format!("{words}, and no limit is set"));
    };
    let share = taken as f64 / limit as f64;
    let seen = format!("{words} of {} that may be", bytes(limit as f64));
    let advice = "give the process more memory, or drop series: near the limit new ones are refused, at it the kernel ends the process";
    match share {
        share if share >= FULL => Checkup::fail(ROOM, NAME, seen).advise(advice),
        share if share >= NEAR => Checkup::warn(ROOM, NAME, seen).advise(advice),
        _ => Checkup::ok(ROOM, NAME, seen),
    }
}

fn jumped(jumps: usize) -> Checkup {
    const NAME: &str = "clock";
    let window = duration::spoken(JUMPS_WINDOW);
    match jumps {
        0 => Checkup::ok(ROOM, NAME, format!("no jump within {window}")),
        few if few <= JUMPS => Checkup::ok(ROOM, NAME, format!("jumped {few} times within {window}")),
        many => Checkup::warn(ROOM, NAME, format!("jumped {many} times within {window}")).advise(
            "see which programs set the clock: samples behind a jump are refused, and rates are wrong",
        ),
    }
}

fn balanced(all: usize, wrong: &[&'static str]) -> Checkup {
    const NAME: &str = "accounts";
    if wrong.is_empty() {
        return Checkup::ok(ROOM, NAME, format!("all {all} balance: nothing is lost unseen"));
    }
    Checkup::fail(
        ROOM,
        NAME,
        format!(
            "of {all}, {} do not balance: something was lost unseen",
            wrong.len()
        ),
    )
    .advise("this is a mistake in Skopos: please report it, with what /self says of accounts")
    .list(wrong.iter().map(|room| (*room).to_owned()))
}

#[cfg(test)]
mod tests {
    use model::view::Verdict;

    use super::*;

    #[test]
    fn a_refused_configuration_fails_with_every_complaint() {
        let mut state = ConfigState::default();
        assert_eq!(configuration(&state).seen, "in force: built-in defaults");
        state.refused = vec!["skopos.yaml:3: unknown key".to_owned()];
        let told = configuration(&state);
        assert_eq!((told.verdict, told.findings), (Verdict::Fail, state.refused));
    }

    #[test]
    fn memory_is_told_before_the_kernel_acts() {
        let at = |taken| memory(taken, Some(1000)).verdict;
        assert_eq!(
            (at(849), at(850), at(950)),
            (Verdict::Ok, Verdict::Warn, Verdict::Fail)
        );
        assert_eq!(memory(1 << 40, None).verdict, Verdict::Ok);
    }

    #[test]
    fn a_clock_may_jump_now_and_then() {
        let jumps = Jumps::default();
        let now = Timestamp(10_000_000);
        jumps.note(now - Duration::from_secs(1801));
        (0..3).for_each(|_| jumps.note(now));
        assert_eq!(jumped(jumps.lately(now)).verdict, Verdict::Ok);
        jumps.note(now);
        assert_eq!(jumped(jumps.lately(now)).verdict, Verdict::Warn);
        (0..1000).for_each(|_| jumps.note(now));
        assert_eq!(jumps.lately(now), JUMPS_MAX);
    }

    #[test]
    fn an_account_that_does_not_balance_fails() {
        assert_eq!(balanced(3, &[]).verdict, Verdict::Ok);
        let told = balanced(3, &["store"]);
        assert_eq!(
            (told.verdict, told.findings.as_slice()),
            (Verdict::Fail, &["store".to_owned()][..])
        );
    }
}
