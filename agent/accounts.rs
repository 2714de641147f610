//! The ledgers of all rooms as metrics: taken = given + dropped + in flight, each read in one piece.

use std::sync::Arc;

use model::Ledger;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};

/// A room's ledger, read anew at each scrape.
pub type Account = Arc<dyn Fn() -> Ledger + Send + Sync>;

/// The accounts of all rooms, by the room's name.
pub type Accounts = Vec<(&'static str, Account)>;

struct Books {
    accounts: Accounts,
    desc: Vec<Desc>,
}

/// Adds `skopos_ledger_*` to the registry.
///
/// # Errors
/// The names are taken.
pub fn register(registry: &Registry, accounts: Accounts) -> prometheus::Result<()> {
    let families = Families::new()?;
    let desc = families.desc();
    registry.register(Box::new(Books { accounts, desc }))
}

struct Families {
    taken: IntCounterVec,
    given: IntCounterVec,
    dropped: IntCounterVec,
    in_flight: IntGaugeVec,
}

impl Families {
    fn new() -> prometheus::Result<Self> {
        let named = |name: &str, help: &str| Opts::new(format!("skopos_ledger_{name}"), help);
        Ok(Self {
            taken: IntCounterVec::new(
                named("taken_total", "Things taken in, by what they are."),
                &["room", "things"],
            )?,
            given: IntCounterVec::new(
                named("given_total", "Things that reached their end."),
                &["room", "things"],
            )?,
            dropped: IntCounterVec::new(
                named("dropped_total", "Things let go, by reason."),
                &["room", "things", "reason"],
            )?,
            in_flight: IntGaugeVec::new(named("in_flight", "Things on their way."), &["room", "things"])?,
        })
    }

    fn desc(&self) -> Vec<Desc> {
        let all: [&dyn Collector; 4] = [&self.taken, &self.given, &self.dropped, &self.in_flight];
        all.iter().flat_map(|family| family.desc()).cloned().collect()
    }

    fn add(&self, room: &str, ledger: &Ledger) {
        let things = [room, ledger.things];
        self.taken.with_label_values(&things).inc_by(ledger.taken);
        self.given.with_label_values(&things).inc_by(ledger.given);
        self.in_flight
            .with_label_values(&things)
            .add(i64::try_from(ledger.in_flight).unwrap_or(i64::MAX));
        for (reason, count) in &ledger.dropped {
            self.dropped
                .with_label_values(&[room, ledger.things, reason])
                .inc_by(*count);
        }
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let all: [&dyn Collector; 4] = [&self.taken, &self.given, &self.dropped, &self.in_flight];
        all.iter()
            .flat_map(|family| family.collect())
            .filter(|family| !family.get_metric().is_empty())
            .collect()
    }
}

impl Collector for Books {
    fn desc(&self) -> Vec<&Desc> {
        self.desc.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Ok(families) = Families::new() else {
            return Vec::new();
        };
        for (room, account) in &self.accounts {
            families.add(room, &account());
        }
        families.collect()
    }
}

/// A room's account, if the room is there.
pub(crate) fn ledger_of<T: Clone + Send + Sync + 'static>(
    room: &Option<T>,
    ledger: fn(&T) -> Ledger,
) -> Option<Account> {
    let room = room.clone()?;
    Some(Arc::new(move || ledger(&room)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_room_has_its_own_lines() {
        let registry = Registry::new();
        let account = |taken: u64, dropped: u64| -> Account {
            Arc::new(move || Ledger {
                things: "samples",
                taken,
                given: taken - dropped,
                dropped: [("late", dropped)].into(),
                in_flight: 0,
            })
        };
        register(
            &registry,
            vec![("store", account(7, 2)), ("scrape", account(5, 0))],
        )
        .unwrap();
        let text = prometheus::TextEncoder::new()
            .encode_to_string(&registry.gather())
            .unwrap();
        for line in [
            r#"skopos_ledger_taken_total{room="scrape",things="samples"} 5"#,
            r#"skopos_ledger_taken_total{room="store",things="samples"} 7"#,
            r#"skopos_ledger_dropped_total{reason="late",room="store",things="samples"} 2"#,
        ] {
            assert!(text.contains(line), "{text}");
        }
    }
}
