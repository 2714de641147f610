//! What of a place is shown: on the page, to whoever plans, to the doctor.

use std::sync::Arc;

use model::view::cloudwatch as view;

use super::Watch;
use crate::inventory::ask::Refused;
use crate::inventory::{Inventory, State};
use crate::plan::Plan;
use crate::plan::need::By;
use crate::track::Track;

impl Watch {
    pub(crate) fn view(&self) -> view::Place {
        let known = self.state.lock();
        let problems = known.problems.values().map(ToString::to_string).collect();
        let plan = &known.plan;
        let newest = known.tracks.values().filter_map(Track::newest).max();
        view::Place {
            account: self.place.account.to_string(),
            region: self.place.region.to_string(),
            problems,
            described_at: known.described_at,
            newest,
            series: plan.planned.len(),
            monthly: plan.monthly(),
            calls: known.calls,
            resources: known
                .inventory
                .resources()
                .filter(|resource| !resource.info.is_empty())
                .map(|resource| view::Resource {
                    family: resource.family.to_owned(),
                    name: resource
                        .dimensions
                        .last()
                        .map(|(_, value)| value.to_string())
                        .unwrap_or_default(),
                    is_live: resource.state == State::Live,
                    info: resource
                        .info
                        .iter()
                        .map(|(name, value)| ((*name).to_owned(), value.clone()))
                        .collect(),
                })
                .collect(),
            shares: plan
                .bill()
                .into_iter()
                .map(|(by, share)| view::Share {
                    by: by.word(),
                    is_alert: matches!(by, By::Alert { .. }),
                    series: share.series,
                    interval: share.interval,
                    monthly: share.dollars,
                })
                .collect(),
        }
    }

    pub(crate) fn problems(&self) -> Vec<Refused> {
        self.state.lock().problems.values().cloned().collect()
    }

    /// What is watched of what is there.
    pub(crate) fn inventory(&self) -> Inventory {
        self.watched(&self.state.lock().inventory)
    }

    /// As it is planned now.
    pub(crate) fn plan(&self) -> Arc<Plan> {
        Arc::clone(&self.state.lock().plan)
    }
}
