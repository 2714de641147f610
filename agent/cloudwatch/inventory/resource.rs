//! One thing that AWS has, as the planner sees it: what its metrics are under, and what is known of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::Labels;

use crate::names;

/// Whose and where: what is asked together, paid together, limited together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub account: Arc<str>,
    pub region: Arc<str>,
}

impl Place {
    #[must_use]
    pub fn new(account: &str, region: &str) -> Self {
        Self {
            account: account.into(),
            region: region.into(),
        }
    }

    /// `123456789012/eu-west-1`
    #[must_use]
    pub fn instance(&self) -> String {
        format!("{}/{}", self.account, self.region)
    }
}

/// Whether it can have metrics at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    #[default]
    Live,
    /// It is there and does nothing: stopped, being made, failed. Nothing is asked of it.
    Idle,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resource {
    /// As the catalogue names it: `db_instance`.
    pub kind: &'static str,
    /// The part of AWS, for metrics about the resource: `rds`, `elasticache`, `kafka`.
    pub family: &'static str,
    /// Of what was found by its metrics, their namespace.
    pub arn: Arc<str>,
    /// In the order of its kind.
    pub dimensions: Vec<(Arc<str>, Arc<str>)>,
    /// What the catalogue's `applies_if` asks for.
    pub traits: BTreeSet<&'static str>,
    pub state: State,
    /// Labels of its info metric.
    pub info: Vec<(&'static str, String)>,
    pub facts: Vec<Fact>,
    pub tags: BTreeMap<String, String>,
}

/// Something that is known of a resource and no metric of CloudWatch: `aws_rds_vcpus`.
#[derive(Clone, Debug, PartialEq)]
pub struct Fact {
    /// Behind `aws_<family>_`.
    pub name: &'static str,
    /// Beside those of the resource.
    pub labels: Vec<(&'static str, String)>,
    pub value: f64,
}

impl Resource {
    #[must_use]
    pub fn is(&self, wanted: &str) -> bool {
        self.traits.contains(wanted)
    }

    /// Whether its metrics are in this namespace; only those that were found by their metrics say it themselves.
    #[must_use]
    pub fn is_in(&self, namespace: &str) -> bool {
        self.kind != "listed" || &*self.arn == namespace
    }

    pub(crate) fn fact(&mut self, name: &'static str, value: f64) {
        self.facts.push(Fact {
            name,
            labels: Vec::new(),
            value,
        });
    }

    /// Where the value is known.
    pub(crate) fn known(&mut self, name: &'static str, value: Option<f64>) {
        if let Some(value) = value {
            self.fact(name, value);
        }
    }

    pub(crate) fn flag(&mut self, name: &'static str, value: bool) {
        self.fact(name, f64::from(u8::from(value)));
    }

    pub(crate) fn told(&mut self, name: &'static str, labels: &[(&'static str, &str)], value: f64) {
        self.facts.push(Fact {
            name,
            labels: labels
                .iter()
                .map(|(key, value)| (*key, (*value).to_owned()))
                .collect(),
            value,
        });
    }

    /// Adds a trait where it has it.
    pub(crate) fn mark(&mut self, name: &'static str, has: bool) {
        if has {
            self.traits.insert(name);
        }
    }

    /// What every series of the resource is labelled with, the metric's name apart.
    #[must_use]
    pub fn labels(&self, place: &Place) -> Vec<(String, Arc<str>)> {
        let dimensions = self.dimensions.iter();
        let mut labels: Vec<(String, Arc<str>)> = dimensions
            .map(|(name, value)| (names::dimension(name), Arc::clone(value)))
            .collect();
        let common = [
            ("job", "cloudwatch".into()),
            ("instance", place.instance().into()),
            ("account_id", Arc::clone(&place.account)),
            ("region", Arc::clone(&place.region)),
            (
                "name",
                if self.kind == "listed" {
                    "global".into()
                } else {
                    Arc::clone(&self.arn)
                },
            ),
        ];
        labels.extend(common.map(|(name, value)| (name.to_owned(), value)));
        labels
    }

    /// All that is known of it, as series: its info metric with the tags that are allowed, and its facts.
    #[must_use]
    pub fn series(&self, place: &Place, tags: &[String]) -> Vec<(Labels, f64)> {
        let base = self.labels(place);
        let made = |name: String, more: &mut dyn Iterator<Item = (String, String)>, value: f64| {
            let base = base.iter().map(|(name, value)| (name.clone(), value.to_string()));
            let all = base
                .chain(more)
                .chain([(model::labels::METRIC_NAME.to_owned(), name)]);
            (Labels::from_pairs(all), value)
        };
        let info = self
            .info
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()));
        let allowed = tags.iter().filter_map(|key| {
            let value = self.tags.get(key)?;
            Some((names::tag(key), value.clone()))
        });
        // 0, as YACE has it: its dashboards add the info to what they show.
        let mut series = vec![made(
            format!("aws_{}_info", self.family),
            &mut info.chain(allowed),
            0.0,
        )];
        for fact in &self.facts {
            let mut more = fact
                .labels
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone()));
            series.push(made(
                format!("aws_{}_{}", self.family, fact.name),
                &mut more,
                fact.value,
            ));
        }
        series
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_carries_the_dimensions_of_the_metrics() {
        let mut resource = Resource {
            kind: "db_instance",
            family: "rds",
            arn: "arn:aws:rds:eu-west-1:1:db:orders".into(),
            dimensions: vec![("DBInstanceIdentifier".into(), "orders".into())],
            info: vec![("engine", "postgres".to_owned())],
            ..Resource::default()
        };
        resource.tags.insert("team".to_owned(), "shop".to_owned());
        resource.fact("vcpus", 2.0);
        resource.told("status", &[("status", "available")], 1.0);
        let place = Place::new("1", "eu-west-1");
        let said: Vec<String> = resource
            .series(&place, &["team".to_owned()])
            .iter()
            .map(|(labels, value)| format!("{labels} {value}"))
            .collect();
        let all = r#"account_id="1", dimension_DBInstanceIdentifier="orders""#;
        assert!(
            said[0].starts_with("aws_rds_info{") && said[0].contains(r#"tag_team="shop""#),
            "{said:?}"
        );
        assert!(
            said[0].contains(r#"engine="postgres""#) && said[0].ends_with(" 0"),
            "{said:?}"
        );
        assert!(said[1].contains(all) && said[1].ends_with(" 2"), "{said:?}");
        assert!(said[2].contains(r#"status="available""#), "{said:?}");
    }
}
