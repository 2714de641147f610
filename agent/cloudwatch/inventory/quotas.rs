//! How much the account may have of what it has here, and how much of that it has.

use model::Labels;
use model::labels::METRIC_NAME;
use serde_json::Value;

use super::ask::{Asker, Refused};
use super::classes::Class;
use super::operations as ask;
use super::resource::{Place, Resource, State};
use super::{Inventory, Part};

const GIB: f64 = 1_073_741_824.0;
/// What counts as a standard instance, by what its type begins with.
const STANDARD: [&str; 11] = ["a", "c", "d", "h", "i", "im", "is", "m", "r", "t", "z"];

/// One that applies to what is there.
#[derive(Clone, Debug, PartialEq)]
pub struct Quota {
    counted: &'static Counted,
    /// In AWS' words.
    name: String,
    value: f64,
}

/// A quota whose usage is known from what is described.
#[derive(Debug, PartialEq)]
struct Counted {
    service: &'static str,
    code: &'static str,
    part: Part,
    /// How much of it a resource is.
    unit: Unit,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Unit {
    /// Each resource of this kind is one.
    Kind(&'static str),
    /// This fact of each, divided.
    Fact(&'static str, f64),
    /// Processors of running standard instances that are on demand, or spot.
    Processors(&'static str),
}

macro_rules! counted {
    ($($service:literal $code:literal $part:ident $unit:expr;)*) => {
        static COUNTED: &[Counted] = &[$(Counted {
            service: $service,
            code: $code,
            part: Part::$part,
            unit: $unit,
        }),*];
    };
}

counted! {
    "rds" "L-7B6409FD" Databases Unit::Kind("db_instance");
    "rds" "L-7ADDB58A" Databases Unit::Fact("allocated_storage_bytes", GIB);
    "elasticache" "L-DFE45DF3" Caches Unit::Kind("cache_host");
    "kafka" "L-0F5FD6E8" Kafka Unit::Fact("brokers", 1.0);
    "elasticloadbalancing" "L-53DA6B97" Balancers Unit::Kind("load_balancer");
    "elasticloadbalancing" "L-69A177A2" Balancers Unit::Kind("network_load_balancer");
    "ec2" "L-1216C47A" Machines Unit::Processors("on-demand");
    "ec2" "L-34B43A08" Machines Unit::Processors("spot");
}

impl Unit {
    fn of(self, resource: &Resource) -> f64 {
        match self {
            Self::Kind(kind) => f64::from(u8::from(resource.kind == kind)),
            Self::Fact(name, by) => {
                let facts = resource.facts.iter().filter(|fact| fact.name == name);
                facts.map(|fact| fact.value / by).sum()
            }
            Self::Processors(lifecycle) => processors(resource, lifecycle).unwrap_or_default(),
        }
    }
}

fn processors(resource: &Resource, lifecycle: &str) -> Option<f64> {
    let said = |name: &str| {
        let mut info = resource.info.iter();
        info.find_map(|(known, value)| (*known == name).then_some(value.as_str()))
    };
    if resource.state != State::Live || said("lifecycle") != Some(lifecycle) {
        return None;
    }
    let kind = said("instance_type")?;
    let letters = kind.split(|letter: char| !letter.is_ascii_lowercase()).next()?;
    STANDARD.contains(&letters).then(|| Class::read(kind)?.vcpus())?
}

/// All that are counted, of services that have something here.
///
/// # Errors
/// They cannot all be had.
pub(crate) async fn all(asker: &Asker, inventory: &Inventory) -> Result<Vec<Quota>, Refused> {
    let is_used = |part: Part| {
        inventory
            .parts()
            .get(&part)
            .is_some_and(|known| !known.resources.is_empty())
    };
    let mut services: Vec<&str> = COUNTED
        .iter()
        .filter_map(|counted| is_used(counted.part).then_some(counted.service))
        .collect();
    services.dedup();
    let mut found = Vec::new();
    for service in services {
        let read = |page: &Value| {
            let list = page.get("Quotas").and_then(Value::as_array);
            found.extend(
                list.into_iter()
                    .flatten()
                    .filter_map(|quota| read(quota, service)),
            );
        };
        match asker.documents(&ask::SERVICE_QUOTAS, service, read).await {
            // A region that does not know the service has no quotas of it.
            Err(Refused::Refused { code, .. }) if code.starts_with("NoSuchResource") => {}
            other => other?,
        }
    }
    Ok(found)
}

fn read(quota: &Value, service: &str) -> Option<Quota> {
    let text = |name: &str| quota.get(name).and_then(Value::as_str);
    let code = text("QuotaCode")?;
    let mut known = COUNTED.iter();
    Some(Quota {
        counted: known.find(|known| (known.service, known.code) == (service, code))?,
        name: text("QuotaName").unwrap_or(code).to_owned(),
        value: quota.get("Value")?.as_f64()?,
    })
}

/// Each with what is used of it; of a part that could not be described nothing is said.
pub(crate) fn series(inventory: &Inventory, place: &Place) -> Vec<(Labels, f64)> {
    let all = inventory.quotas().iter().filter_map(|quota| {
        let part = inventory.parts().get(&quota.counted.part)?;
        let used: f64 = part
            .resources
            .iter()
            .map(|resource| quota.counted.unit.of(resource))
            .sum();
        let instance = place.instance();
        let series = |name: &str, value: f64| {
            let labels = [
                (METRIC_NAME, name),
                ("job", "cloudwatch"),
                ("instance", &instance),
                ("account_id", &place.account),
                ("region", &place.region),
                ("service", quota.counted.service),
                ("quota_code", quota.counted.code),
                ("quota_name", &quota.name),
            ];
            (Labels::from_pairs(labels), value)
        };
        Some([
            series("aws_service_quota", quota.value),
            series("aws_service_quota_usage", used),
        ])
    });
    all.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(kind: &str, lifecycle: &str, state: State) -> Resource {
        Resource {
            kind: "machine",
            family: "ec2",
            state,
            info: vec![
                ("instance_type", kind.to_owned()),
                ("lifecycle", lifecycle.to_owned()),
            ],
            ..Resource::default()
        }
    }

    #[test]
    fn running_standard_instances_count_by_their_processors() {
        let on_demand = Unit::Processors("on-demand");
        for (machine, processors) in [
            (machine("m6g.large", "on-demand", State::Live), 2.0),
            (machine("c7gn.4xlarge", "on-demand", State::Live), 16.0),
            (machine("m6g.large", "spot", State::Live), 0.0),
            (machine("m6g.large", "on-demand", State::Idle), 0.0),
            // Others have quotas of their own.
            (machine("inf2.xlarge", "on-demand", State::Live), 0.0),
            (machine("g5.xlarge", "on-demand", State::Live), 0.0),
        ] {
            assert_eq!(on_demand.of(&machine), processors, "{machine:?}");
        }
        let spot = machine("t3.medium", "spot", State::Live);
        assert_eq!(Unit::Processors("spot").of(&spot), 2.0);
    }
}
