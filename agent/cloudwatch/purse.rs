//! What has been spent this month, over restarts and changes of the holder, and what may still be.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Clock, Timestamp};
use parking_lot::Mutex;

use crate::budget::{self, Rates, Spent, Stretch, forecast, rest_of_month};
use crate::inventory::Place;
use crate::metrics::Metrics;

/// Where the sum is kept; both replicas have it.
pub trait Treasury: Send + Sync {
    fn load(&self) -> Option<Spent>;

    /// On the disk when it returns.
    ///
    /// # Errors
    /// It could not be kept, for this reason.
    fn save(&self, spent: Spent) -> Result<(), String>;
}

pub(crate) struct Purse {
    budget: Option<f64>,
    treasury: Arc<dyn Treasury>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    state: Mutex<State>,
}

struct State {
    /// None: not looked up since somebody else may have spent.
    spent: Option<Spent>,
    rates: BTreeMap<Place, Rates>,
    stretch: Stretch,
}

/// What a page and a command show.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Account {
    pub(crate) spent: f64,
    pub(crate) forecast: f64,
    pub(crate) budget: Option<f64>,
    pub(crate) stretch: Stretch,
}

impl Purse {
    #[must_use]
    pub(crate) fn new(
        budget: Option<f64>,
        treasury: Arc<dyn Treasury>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            budget,
            treasury,
            clock,
            metrics,
            state: Mutex::new(State {
                spent: None,
                rates: BTreeMap::new(),
                stretch: Stretch::NONE,
            }),
        }
    }

    /// Somebody else may have spent since: the sum is looked up before anything more is.
    pub(crate) fn forget(&self) {
        let mut state = self.state.lock();
        state.spent = None;
        state.rates.clear();
    }

    /// What a place costs as it is planned now.
    pub(crate) fn plan(&self, place: &Place, rates: Rates) {
        self.state.lock().rates.insert(place.clone(), rates);
        self.weigh();
    }

    /// How much longer each class waits from now on.
    pub(crate) fn weigh(&self) -> Stretch {
        let now = self.clock.now();
        let mut state = self.state.lock();
        let spent = self.spent(&mut state, now).dollars;
        let rates = sum(&state.rates);
        let rest = rest_of_month(now);
        state.stretch = match self.budget {
            Some(budget) => budget::stretch(&rates, budget - spent, rest),
            None => Stretch::NONE,
        };
        let stretch = state.stretch;
        drop(state);
        self.metrics.weighed(&stretch);
        self.metrics.account(&self.account());
        stretch
    }

    #[must_use]
    pub(crate) fn stretch(&self) -> Stretch {
        self.state.lock().stretch
    }

    #[must_use]
    pub(crate) fn account(&self) -> Account {
        let now = self.clock.now();
        let mut state = self.state.lock();
        let spent = self.spent(&mut state, now).dollars;
        Account {
            spent,
            forecast: forecast(spent, &sum(&state.rates), &state.stretch, rest_of_month(now)),
            budget: self.budget,
            stretch: state.stretch,
        }
    }

    /// Writes down what a call will cost. False: it would pass the budget, or could not be written down, and must not be made.
    #[must_use]
    pub(crate) fn pay(&self, metrics: usize) -> bool {
        self.change(|spent, budget| {
            let after = spent.dollars + budget::cost(metrics);
            if budget.is_some_and(|budget| after > budget) {
                return false;
            }
            spent.metrics(metrics);
            true
        })
    }

    /// Whether as much is left besides what is planned until the end of the month.
    #[must_use]
    pub(crate) fn has_spare(&self, metrics: usize) -> bool {
        let account = self.account();
        account
            .budget
            .is_none_or(|budget| account.forecast + budget::cost(metrics) <= budget)
    }

    /// A call was refused, and costs nothing.
    pub(crate) fn refund(&self, metrics: usize) {
        _ = self.change(|spent, _| {
            spent.refund(metrics);
            true
        });
    }

    /// A call whose price is by the request.
    pub(crate) fn request(&self) {
        _ = self.change(|spent, _| {
            spent.request();
            true
        });
    }

    fn change(&self, change: impl FnOnce(&mut Spent, Option<f64>) -> bool) -> bool {
        let now = self.clock.now();
        let mut state = self.state.lock();
        let mut spent = self.spent(&mut state, now);
        if !change(&mut spent, self.budget) {
            self.metrics.refused_by_budget.inc();
            return false;
        }
        if let Err(why) = self.treasury.save(spent) {
            tracing::warn!(
                why,
                "what CloudWatch costs cannot be written down; nothing is bought"
            );
            return false;
        }
        state.spent = Some(spent);
        true
    }

    fn spent(&self, state: &mut State, now: Timestamp) -> Spent {
        let known = state
            .spent
            .get_or_insert_with(|| self.treasury.load().unwrap_or_default());
        *known = known.at(now);
        *known
    }
}

fn sum(rates: &BTreeMap<Place, Rates>) -> Rates {
    rates.values().fold(Rates::default(), |sum, rates| Rates {
        fast: sum.fast + rates.fast,
        slow: sum.slow + rates.slow,
        pages: sum.pages + rates.pages,
    })
}
