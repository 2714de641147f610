//! What this room says about itself; money first.

use prometheus::{CounterVec, Gauge, GaugeVec, IntCounter, IntCounterVec, Registry};
use telemetry::metrics::{counter, counters, gauge, gauges, sums};

use crate::budget::Stretch;
use crate::inventory::Place;
use crate::plan::{Class, Plan, price};
use crate::purse::Account;
use crate::track::Seen;

pub(crate) struct Metrics {
    spent: CounterVec,
    month: Gauge,
    forecast: Gauge,
    budget: GaugeVec,
    stretch: GaugeVec,
    planned: GaugeVec,
    planned_dollars: GaugeVec,
    pub(crate) watermark: GaugeVec,
    pub(crate) calls: IntCounterVec,
    pub(crate) up: GaugeVec,
    throttled: IntCounterVec,
    pub(crate) events: IntCounterVec,
    pub(crate) messages: IntCounterVec,
    pub(crate) refused_by_budget: IntCounter,
    new: IntCounter,
    revised: IntCounter,
    late: IntCounter,
    pub(crate) dropped: IntCounterVec,
    pub(crate) absent: GaugeVec,
    pub(crate) inventory_age: GaugeVec,
    pub(crate) resources: GaugeVec,
}

impl Metrics {
    #[must_use]
    pub(crate) fn new(registry: &Registry) -> Self {
        let here = ["account_id", "region"];
        let with = |label| [label, here[0], here[1]];
        Self {
            spent: sums(
                registry,
                "skopos_cloudwatch_spent_dollars_total",
                "What questions have cost since the start, by list price.",
                &["api", "namespace"],
            ),
            month: gauge(
                registry,
                "skopos_cloudwatch_month_spent_dollars",
                "What this calendar month (UTC) has cost so far, both replicas and all restarts together.",
            ),
            forecast: gauge(
                registry,
                "skopos_cloudwatch_month_forecast_dollars",
                "What this month will have cost if nothing changes.",
            ),
            budget: gauges(
                registry,
                "skopos_cloudwatch_budget_dollars",
                "What a month may cost; absent without a budget.",
                &[],
            ),
            stretch: gauges(
                registry,
                "skopos_cloudwatch_stretch_factor",
                "How much longer than planned series wait so that the budget lasts; +Inf: they are not asked for.",
                &["tier"],
            ),
            planned: gauges(
                registry,
                "skopos_cloudwatch_planned_series",
                "Series that are asked for.",
                &["namespace", "tier", here[0], here[1]],
            ),
            planned_dollars: gauges(
                registry,
                "skopos_cloudwatch_planned_dollars_per_month",
                "What they cost in 30 days as planned.",
                &["namespace", "tier", here[0], here[1]],
            ),
            watermark: gauges(
                registry,
                "skopos_cloudwatch_watermark_timestamp_seconds",
                "Until when the series that rules read are complete.",
                &with("namespace"),
            ),
            calls: counters(
                registry,
                "skopos_cloudwatch_calls_total",
                "Questions put to AWS, by what became of them.",
                &["api", "result"],
            ),
            throttled: counters(
                registry,
                "skopos_cloudwatch_throttled_total",
                "Questions that AWS did not answer because too many were put.",
                &["api"],
            ),
            events: counters(
                registry,
                "skopos_cloudwatch_events_total",
                "What AWS said had happened, and states of Kafka clusters that changed.",
                &["service"],
            ),
            messages: counters(
                registry,
                "skopos_cloudwatch_queue_messages_total",
                "Messages taken from the queue of interruptions, by what became of them.",
                &["outcome"],
            ),
            up: gauges(
                registry,
                "skopos_cloudwatch_api_up",
                "Whether the last question was answered.",
                &with("api"),
            ),
            refused_by_budget: counter(
                registry,
                "skopos_cloudwatch_calls_refused_by_budget_total",
                "Calls that were not made because they would have passed the budget.",
            ),
            new: counter(
                registry,
                "skopos_cloudwatch_points_total",
                "Points that were there for the first time.",
            ),
            revised: counter(
                registry,
                "skopos_cloudwatch_points_revised_total",
                "Points that were other than when they were first there.",
            ),
            late: counter(
                registry,
                "skopos_cloudwatch_points_late_total",
                "Points that were there only after a later one.",
            ),
            dropped: counters(
                registry,
                "skopos_cloudwatch_points_dropped_total",
                "Points that the store did not keep.",
                &["reason"],
            ),
            absent: gauges(
                registry,
                "skopos_cloudwatch_series_absent",
                "Series that are asked for and have had no point for an hour.",
                &with("namespace"),
            ),
            inventory_age: gauges(
                registry,
                "skopos_cloudwatch_inventory_age_seconds",
                "How long ago what is there was last described.",
                &with("service"),
            ),
            resources: gauges(
                registry,
                "skopos_cloudwatch_resources",
                "What is there and watched.",
                &with("service"),
            ),
        }
    }

    /// Another replica asks now, and says how that goes.
    pub(crate) fn forget(&self) {
        for gauges in [
            &self.planned,
            &self.planned_dollars,
            &self.stretch,
            &self.watermark,
            &self.up,
            &self.absent,
            &self.inventory_age,
            &self.resources,
        ] {
            gauges.reset();
        }
    }

    pub(crate) fn paid(&self, api: &str, namespace: &str, dollars: f64) {
        self.spent
            .with_label_values(&[api, namespace])
            .inc_by(dollars.max(0.0));
    }

    pub(crate) fn account(&self, account: &Account) {
        self.month.set(account.spent);
        self.forecast.set(account.forecast);
        match account.budget {
            Some(budget) => self.budget.with_label_values(&[] as &[&str]).set(budget),
            None => self.budget.reset(),
        }
    }

    pub(crate) fn weighed(&self, stretch: &Stretch) {
        for class in Class::ALL {
            self.stretch
                .with_label_values(&[class.word()])
                .set(stretch.of(class));
        }
    }

    pub(crate) fn planned(&self, place: &Place, plan: &Plan) {
        let (account, region) = (&*place.account, &*place.region);
        let mut sums = std::collections::BTreeMap::<(&str, Class), (f64, f64)>::new();
        for planned in &plan.planned {
            let sum = sums
                .entry((&planned.series.namespace, planned.class))
                .or_default();
            sum.0 += 1.0;
            sum.1 += price::monthly(planned.interval);
        }
        for ((namespace, class), (series, dollars)) in sums {
            let labels = [namespace, class.word(), account, region];
            self.planned.with_label_values(&labels).set(series);
            self.planned_dollars.with_label_values(&labels).set(dollars);
        }
    }

    pub(crate) fn seen(&self, seen: &Seen) {
        self.new.inc_by(seen.new);
        self.revised.inc_by(seen.revised);
        self.late.inc_by(seen.late);
    }

    pub(crate) fn called(&self, place: &Place, api: &str, result: &str) {
        self.calls.with_label_values(&[api, result]).inc();
        if result == "throttled" {
            self.throttled.with_label_values(&[api]).inc();
        }
        let is_up = f64::from(u8::from(result == "ok"));
        self.up
            .with_label_values(&[api, &place.account, &place.region])
            .set(is_up);
    }
}
