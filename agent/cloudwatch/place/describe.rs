//! What is there, as each service describes it, and what happened to it.

use super::{
    AGAIN, Arc, BTreeMap, BTreeSet, HEALTH_AWAY, HEALTH_CLOSED, Inventory, Known, Part, Refused, Resource,
    State, Timestamp, Track, Watch, events, inventory, join_all, operation,
};
use crate::inventory::operations as ask;

/// A namespace, and the names of the dimensions of a series in it.
type Set = (Arc<str>, Vec<Arc<str>>);

/// Questions that are not put while things are described.
const ELSEWHERE: [&str; 7] = [
    ask::METRIC_DATA.name,
    ask::METRICS.name,
    ask::TAGGED.name,
    ask::SERVICE_QUOTAS.name,
    ask::DB_EVENTS.name,
    ask::RECEIVE_MESSAGE.name,
    ask::DELETE_MESSAGE.name,
];

impl Watch {
    pub(super) async fn describe_on(&self) {
        let clock = &self.common.clock;
        loop {
            if self.common.leads() {
                self.describe().await;
            }
            let wait = match self.common.leads() {
                true => self.common.config.discover_interval,
                false => AGAIN,
            };
            clock.sleep(wait).await;
        }
    }

    pub(super) async fn describe(&self) {
        let common = &self.common;
        let parts = Part::ALL.into_iter().filter(|part| common.config.watches(*part));
        let asked =
            parts.map(|part| async move { (part, part.describe(&self.ask, &self.place.account).await) });
        let said = join_all(asked).await;
        let now = common.clock.now();
        let mut is_other = false;
        {
            let mut known = self.state.lock();
            let mut refused_now = BTreeSet::new();
            for (part, said) in said {
                let api = part.operation().name;
                match &said {
                    Ok((_, missed)) => {
                        common.metrics.called(&self.place, api, "ok");
                        for missed in missed {
                            refused_now.insert(operation(missed));
                            self.refused(&mut known, missed);
                        }
                    }
                    Err(refused) => {
                        refused_now.insert(operation(refused));
                        self.refused(&mut known, refused);
                    }
                }
                is_other |= known.inventory.take(part, said, now);
            }
            // A part asks more than one question: what is refused no more is not said any longer.
            known
                .problems
                .retain(|api, _| refused_now.contains(api) || ELSEWHERE.contains(api));
            known.described_at = Some(now);
        }
        self.tell_events(now).await;
        let list_interval = common.config.list_interval;
        let listed_at = self.state.lock().listed_at;
        if listed_at.is_none_or(|at| common.clock.running() >= at + list_interval) {
            is_other |= self.list().await;
        }
        if is_other {
            let mut known = self.state.lock();
            known.tracks.values_mut().for_each(Track::rearm);
        }
        // Facts are new in any case.
        self.state.lock().facts_at = None;
        self.changed.notify_one();
    }

    /// What has happened since the last time.
    pub(super) async fn tell_events(&self, now: Timestamp) {
        let common = &self.common;
        let Some(notes) = common.notes.get() else {
            return;
        };
        for (told, part) in [
            (events::DATABASES, Part::Databases),
            (events::CACHES, Part::Caches),
        ] {
            if !common.config.watches(part) || !common.leads() {
                continue;
            }
            match events::tell(&self.ask, &self.place, told, notes, now).await {
                Ok(count) => {
                    self.told(&told.operation, count);
                    self.state.lock().problems.remove(told.operation.name);
                }
                Err(refused) => self.refused(&mut self.state.lock(), &refused),
            }
        }
        if common.leads() && common.clock.running() >= self.state.lock().health_opens {
            match events::tell(&self.ask, &self.place, events::HEALTH, notes, now).await {
                Ok(count) => self.told(&events::HEALTH.operation, count),
                Err(refused) => self.no_health(&refused),
            }
        }
        let clusters = {
            let known = self.state.lock();
            let kafka = known.inventory.parts().get(&Part::Kafka);
            let described = kafka.filter(|kafka| kafka.at == Some(now));
            let resources = described.map(|kafka| kafka.resources.clone());
            resources.filter(|_| common.config.watches(Part::Kafka) && common.leads())
        };
        if let Some(resources) = clusters {
            let clusters = resources.iter().filter(|one| one.kind == "kafka_cluster");
            let count = events::tell_states(&self.place, clusters, notes, now).await;
            self.counted(ask::KAFKA_CLUSTERS.service.word(), count);
        }
    }

    fn told(&self, operation: &ask::Operation, count: usize) {
        self.common.metrics.called(&self.place, operation.name, "ok");
        self.counted(operation.service.word(), count);
    }

    pub(super) fn counted(&self, service: &str, events: usize) {
        let of = self.common.metrics.events.with_label_values(&[service]);
        of.inc_by(events as u64);
    }

    /// AWS tells its own trouble only to those who pay for support, and in one place of the world, which a closed network does not
    /// reach: that is nothing wrong here. It is asked again later, so that nothing else waits for it each time.
    fn no_health(&self, refused: &Refused) {
        let common = &self.common;
        common
            .metrics
            .called(&self.place, operation(refused), refused.reason());
        tracing::debug!(place = %self.place.instance(), %refused, "AWS Health tells nothing");
        let is_for_good = match refused {
            Refused::Denied { .. } => true,
            Refused::Refused { code, .. } => code.starts_with("SubscriptionRequired"),
            _ => false,
        };
        let pause = if is_for_good { HEALTH_CLOSED } else { HEALTH_AWAY };
        self.state.lock().health_opens = common.clock.running() + pause;
    }

    /// Tags, quotas, and what is found by its metrics.
    pub(super) async fn list(&self) -> bool {
        let common = &self.common;
        let mut is_again = false;
        match inventory::tags(&self.ask).await {
            Ok(tags) => {
                common.metrics.called(&self.place, ask::TAGGED.name, "ok");
                let mut known = self.state.lock();
                known.problems.remove(ask::TAGGED.name);
                known.inventory.take_tags(tags);
            }
            Err(refused) => {
                is_again |= !matches!(refused, Refused::Denied { .. });
                self.refused(&mut self.state.lock(), &refused);
            }
        }
        let inventory = self.state.lock().inventory.clone();
        let api = ask::SERVICE_QUOTAS.name;
        match inventory::quotas::all(&self.ask, &inventory).await {
            Ok(quotas) => {
                common.metrics.called(&self.place, api, "ok");
                let mut known = self.state.lock();
                known.problems.remove(api);
                known.inventory.take_quotas(quotas);
            }
            Err(refused) => {
                is_again |= !matches!(refused, Refused::Denied { .. });
                self.refused(&mut self.state.lock(), &refused);
            }
        }
        let needs = Arc::clone(&common.needs.borrow());
        // One metric of each set of dimensions is enough to find all of them.
        let mut wanted: BTreeMap<Set, (&'static str, Arc<str>)> = BTreeMap::new();
        for found in needs.iter().flat_map(|need| common.catalogue.find(&need.name)) {
            let kind = match &*found.entry.resource {
                "kafka_topic" => "kafka_topic",
                "kafka_group" => "kafka_group",
                "listed" => "listed",
                _ => continue,
            };
            let key = (Arc::clone(&found.entry.namespace), found.entry.dimensions.clone());
            wanted.entry(key).or_insert((kind, Arc::clone(found.metric)));
        }
        let api = ask::METRICS.name;
        let (mut all, mut is_whole) = (Vec::new(), true);
        for ((namespace, names), (kind, metric)) in wanted {
            let paid = || {
                let dollars = common.purse.request()?;
                common.metrics.paid(api, &namespace, dollars);
                Ok(())
            };
            match self.reader.list(&namespace, &metric, &names, paid).await {
                Ok(found) => {
                    common.metrics.called(&self.place, api, "ok");
                    all.extend(
                        found
                            .into_iter()
                            .map(|dimensions| self.found(kind, &namespace, dimensions)),
                    );
                }
                Err(refused) => {
                    is_whole = false;
                    self.refused(&mut self.state.lock(), &refused);
                }
            }
        }
        let mut known = self.state.lock();
        if !is_whole {
            return false;
        }
        known.problems.remove(api);
        // What may be other in a moment is asked for again with the next description.
        known.listed_at = (!is_again).then(|| common.clock.running());
        known.inventory.take_listed(all)
    }

    /// Of something that its metrics have shown: what it belongs to, by the name of the cluster.
    pub(super) fn found(
        &self,
        kind: &'static str,
        namespace: &Arc<str>,
        dimensions: Vec<(Arc<str>, Arc<str>)>,
    ) -> Resource {
        let arn = match kind {
            "listed" => Arc::clone(namespace),
            _ => {
                let known = self.state.lock();
                let cluster = dimensions.first().map(|(_, name)| Arc::clone(name));
                let mut all = known.inventory.resources();
                let is_it = |resource: &&Resource| {
                    resource.kind == "kafka_cluster"
                        && resource.dimensions.first().map(|(_, name)| name) == cluster.as_ref()
                };
                all.find(is_it)
                    .map(|cluster| Arc::clone(&cluster.arn))
                    .unwrap_or_default()
            }
        };
        Resource {
            kind,
            family: kind,
            arn,
            dimensions,
            state: State::Live,
            ..Resource::default()
        }
    }

    pub(super) fn refused(&self, known: &mut Known, refused: &Refused) {
        let api = operation(refused);
        self.common.metrics.called(&self.place, api, refused.reason());
        let is_new = known.problems.get(api) != Some(refused);
        if is_new {
            tracing::warn!(place = %self.place.instance(), %refused, "AWS does not answer");
        }
        known.problems.insert(api, refused.clone());
    }

    /// How old is what is known of each part.
    pub(super) fn account_for(&self, inventory: &Inventory, now: Timestamp) {
        let metrics = &self.common.metrics;
        for (part, seen) in inventory.parts() {
            let labels = [part.operation().name, &self.place.account, &self.place.region];
            if let Some(at) = seen.at {
                let age = now.since(at).as_secs_f64();
                metrics.inventory_age.with_label_values(&labels).set(age);
                #[expect(clippy::cast_precision_loss, reason = "a number of resources")]
                metrics
                    .resources
                    .with_label_values(&labels)
                    .set(seen.resources.len() as f64);
            }
        }
    }
}
