//! What goes wrong in the users' estate: it begins and ends when a test says so, and AWS says so in its own words.

use super::shape::Incident;
use super::users::{CACHE, CACHES, DATABASE, KAFKA, PROXY, REPLICAS, Users, ZONES};
use crate::elasticache::CacheEvent;
use crate::rds::Event;
use crate::{FakeAws, Place};
use model::Timestamp;

/// The one that an incident takes away.
const ZONE: &str = ZONES[1];

impl Users {
    /// From this minute on.
    pub fn begins(&self, fake: &FakeAws, incident: Incident) {
        let now = fake.now();
        self.incidents.begins(incident, now);
        fake.here(|place| begin(place, incident, now));
    }

    /// From this minute on all is well again.
    pub fn ends(&self, fake: &FakeAws, incident: Incident) {
        let now = fake.now();
        self.incidents.ends(incident, now);
        fake.here(|place| end(place, incident, now));
    }
}

fn begin(place: &mut Place, incident: Incident, now: Timestamp) {
    match incident {
        Incident::PrimaryLost => {
            status(place, DATABASE, "failing-over");
            target(place, "UNAVAILABLE", Some("UNREACHABLE"));
            tell(place, now, "failover", "Multi-AZ instance failover started.");
        }
        Incident::StorageFull => {
            status(place, DATABASE, "storage-full");
            tell(
                place,
                now,
                "low storage",
                "Allocated storage has been exhausted for DB instance: users-db",
            );
        }
        Incident::BrokerLost => state(place, "HEALING"),
        Incident::ZoneLost => {
            state(place, "HEALING");
            status(place, REPLICAS[0], "inaccessible");
            cache(
                place,
                "modifying",
                now,
                "Test Failover or node replacement started for node users-cache-002",
            );
            zone(place, "unhealthy", Some("Target.Timeout"));
        }
        Incident::ConnectionsExhausted
        | Incident::CacheEvicting
        | Incident::DatabaseCreditsGone
        | Incident::BrokerCreditsGone
        | Incident::BalancerErrors => {}
    }
}

fn end(place: &mut Place, incident: Incident, now: Timestamp) {
    match incident {
        Incident::PrimaryLost => {
            status(place, DATABASE, "available");
            // The standby is the primary now.
            if let Some(instance) = place.rds.instances.get_mut(DATABASE)
                && let Some(secondary) = instance.secondary_zone.take()
            {
                instance.secondary_zone = Some(std::mem::replace(&mut instance.zone, secondary));
            }
            target(place, "AVAILABLE", None);
            tell(place, now, "failover", "Multi-AZ instance failover completed");
        }
        Incident::StorageFull => {
            status(place, DATABASE, "available");
            if let Some(instance) = place.rds.instances.get_mut(DATABASE) {
                instance.allocated_gib += 100;
            }
            tell(
                place,
                now,
                "configuration change",
                "Finished applying modification to allocated storage",
            );
        }
        Incident::BrokerLost => state(place, "ACTIVE"),
        Incident::ZoneLost => {
            state(place, "ACTIVE");
            status(place, REPLICAS[0], "available");
            cache(place, "available", now, "Finished recovery for cache nodes 0001");
            zone(place, "healthy", None);
        }
        Incident::ConnectionsExhausted
        | Incident::CacheEvicting
        | Incident::DatabaseCreditsGone
        | Incident::BrokerCreditsGone
        | Incident::BalancerErrors => {}
    }
}

fn status(place: &mut Place, instance: &str, status: &str) {
    if let Some(instance) = place.rds.instances.get_mut(instance) {
        status.clone_into(&mut instance.status);
    }
}

fn target(place: &mut Place, state: &str, reason: Option<&str>) {
    let proxy = place.rds.proxies.get_mut(PROXY);
    for target in proxy.into_iter().flat_map(|proxy| &mut proxy.targets) {
        state.clone_into(&mut target.state);
        target.reason = reason.map(str::to_owned);
    }
}

fn tell(place: &mut Place, now: Timestamp, category: &str, message: &str) {
    place.rds.events.push(Event {
        at: now,
        source: DATABASE.to_owned(),
        source_type: "db-instance".to_owned(),
        categories: vec![category.to_owned()],
        message: message.to_owned(),
    });
}

fn state(place: &mut Place, state: &str) {
    let mut clusters = place.kafka.clusters.values_mut();
    if let Some(cluster) = clusters.find(|cluster| cluster.name == KAFKA) {
        state.clone_into(&mut cluster.state);
    }
}

fn cache(place: &mut Place, status: &str, now: Timestamp, message: &str) {
    let cache = &mut place.elasticache;
    if let Some(cluster) = cache.clusters.get_mut(CACHES[1]) {
        status.clone_into(&mut cluster.status);
    }
    if let Some(group) = cache.groups.get_mut(CACHE) {
        status.clone_into(&mut group.status);
    }
    cache.events.push(CacheEvent {
        at: now,
        source: CACHES[1].to_owned(),
        source_type: "cache-cluster".to_owned(),
        message: message.to_owned(),
    });
}

/// Whatever else is in the zone that goes away.
fn zone(place: &mut Place, state: &str, reason: Option<&str>) {
    let groups = place.balancing.target_groups.values_mut();
    for target in groups.flat_map(|group| &mut group.targets) {
        if target.zone == ZONE {
            state.clone_into(&mut target.state);
            target.reason = reason.map(str::to_owned);
        }
    }
    let (health, service) = match state {
        "healthy" => ("Healthy", "InService"),
        _ => ("Unhealthy", "Terminating"),
    };
    let groups = place.autoscaling.groups.values_mut();
    for member in groups.flat_map(|group| &mut group.instances) {
        if member.zone == ZONE {
            health.clone_into(&mut member.health);
            service.clone_into(&mut member.state);
        }
    }
}
