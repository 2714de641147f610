//! What there is to say of each queue while the house runs.

use std::sync::Arc;

use model::view::{Health, LogService, LogSink};

use crate::graph::{House, Now};

/// How many objects of the cluster are known.
pub(crate) fn look_at_objects(house: &mut House, cluster: Option<&cluster::Cluster>, has_state: bool) {
    if !has_state {
        house.without("kubestate");
    }
    match cluster.cloned() {
        Some(cluster) => {
            house.look("kubernetes", "cluster", move || match cluster.watching() {
                Ok(count) => Now::said(
                    Health::Good,
                    format!("{} objects", model::text::count(count as u64)),
                ),
                Err(error) => Now::said(Health::Bad, error),
            });
        }
        None => {
            house.without("kubernetes");
            house.without("cluster");
        }
    }
}

/// Says of each queue how full it is.
pub(crate) fn look_around(
    house: &mut House,
    store: &Arc<store::Store>,
    logs: Option<&logs::Handle>,
    has_node: bool,
    pair: Option<&pair::Handle>,
    notifier: Option<&notifier::Handle>,
    sender: Option<&remote::SenderHandle>,
) {
    if logs.is_none() {
        house.without("logs");
        house.without("log files");
    }
    match logs.filter(|logs| logs.input().is_some()) {
        Some(logs) => {
            let logs = logs.clone();
            house.look("forwarders", "logs", move || {
                let state = logs.state();
                let trouble = state.inputs.into_iter().find_map(|input| input.trouble);
                match trouble {
                    Some(trouble) => Now::said(Health::Bad, trouble),
                    None => Now::of(state.spool_bytes, state.spool_bytes_max, "bytes"),
                }
            });
        }
        None => house.without("forwarders"),
    }
    match logs.filter(|logs| logs.journal().is_some()) {
        Some(logs) => {
            let logs = logs.clone();
            house.look("systemd journal", "logs", move || {
                let journal = logs.state().journal.unwrap_or_default();
                match journal.trouble {
                    Some(trouble) => Now::said(Health::Bad, trouble),
                    None => Now::said(
                        Health::Good,
                        format!("{} entries", model::text::count(journal.entries)),
                    ),
                }
            });
        }
        None => house.without("systemd journal"),
    }
    match logs.filter(|logs| logs.groups().is_some()) {
        Some(logs) => {
            let logs = logs.clone();
            house.look("log groups", "logs", move || reading(&logs.state().services));
        }
        None => house.without("log groups"),
    }
    for (kind, place) in [("opensearch", "opensearch"), ("cloudwatch", "aws logs")] {
        match logs.filter(|logs| logs.state().sinks.iter().any(|sink| sink.kind == kind)) {
            Some(logs) => {
                let logs = logs.clone();
                house.look("logs", place, move || {
                    shipping(logs.state().sinks.iter().filter(|sink| sink.kind == kind))
                });
            }
            None => house.without(place),
        }
    }
    let is_output = |sink: &LogSink| ["stdout", "file"].contains(&sink.kind);
    match logs.filter(|logs| logs.state().sinks.iter().any(is_output)) {
        Some(logs) => {
            let logs = logs.clone();
            house.look("logs", "output", move || {
                let sinks: Vec<LogSink> = logs.state().sinks.into_iter().filter(is_output).collect();
                shipping(sinks.iter())
            });
        }
        None => house.without("output"),
    }
    if !has_node {
        house.without("node");
        house.without("kernel");
    }
    let held = Arc::clone(store);
    house.look("store", "promql", move || {
        Now::said(
            Health::Good,
            format!("{} series", model::text::count(held.series_count() as u64)),
        )
    });
    let logged = Arc::clone(store);
    house.look("store", "disk", move || {
        let (waiting, most) = logged.log_waiting();
        Now::of(waiting as u64, most as u64, "samples")
    });
    if let Some(pair) = pair.cloned() {
        let lease = pair.clone();
        house.look("pair", "peer", move || {
            let view = pair.view();
            let unshared = model::text::count(view.unshared as u64);
            match view.in_step {
                true => Now::said(Health::Good, format!("in step, {unshared} unshared")),
                false => Now::said(Health::Bad, format!("out of step, {unshared} unshared")),
            }
        });
        house.look("pair", "lease", move || {
            let view = lease.view();
            let holder = view.holder.unwrap_or_else(|| "nobody".to_owned());
            match view.arbiter_error.as_str() {
                "" => Now::said(Health::Good, format!("{holder} leads, epoch {}", view.epoch)),
                error => Now::said(Health::Bad, error),
            }
        });
    }
    if let Some(notifier) = notifier.cloned() {
        house.look("notifier", "people", move || {
            let view = notifier.view();
            let health = if view.failing.is_empty() {
                Health::Good
            } else {
                Health::Bad
            };
            Now::said(
                health,
                format!("{} waiting", model::text::count(view.waiting as u64)),
            )
        });
    }
    match sender.cloned() {
        Some(sender) => house.look("sender", "destinations", move || {
            let bytes = sender.bytes_on_disk();
            let waiting: u64 = sender.view().iter().map(|one| one.waiting_samples).sum();
            Now {
                fill: Some(sender.fill()),
                words: format!(
                    "{} samples wait, {} on disk",
                    model::text::count(waiting),
                    model::text::bytes(bytes as f64)
                ),
                health: sender
                    .view()
                    .iter()
                    .map(|one| one.health)
                    .max()
                    .unwrap_or_default(),
            }
        }),
        None => {
            house.without("sender");
            house.without("destinations");
        }
    }
}

/// What is read of log groups, and the first that cannot be.
fn reading(services: &[LogService]) -> Now {
    let mut troubles = services.iter().flat_map(|service| &service.troubles);
    match troubles.next() {
        Some((group, why)) => Now::said(Health::Bad, format!("{group} {why}")),
        None => {
            let events: u64 = services.iter().map(|service| service.events).sum();
            Now::said(Health::Good, format!("{} events", model::text::count(events)))
        }
    }
}

/// What is on its way to sinks, and the first that takes nothing.
fn shipping<'a>(elsewhere: impl Iterator<Item = &'a LogSink> + Clone) -> Now {
    match elsewhere
        .clone()
        .find_map(|sink| Some((sink, sink.trouble.as_ref()?)))
    {
        Some((sink, trouble)) => Now::said(Health::Bad, format!("{}: {trouble}", sink.name)),
        None => {
            let in_flight: u64 = elsewhere.map(|sink| sink.in_flight).sum();
            Now::said(Health::Good, format!("{in_flight} lines on their way"))
        }
    }
}
