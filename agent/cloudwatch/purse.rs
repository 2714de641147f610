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

/// Why something is not bought.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unpaid {
    #[error("it would pass the budget")]
    TooDear,
    #[error("what it costs cannot be written down: {0}")]
    Unkept(String),
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
    /// Why the last change could not be written down.
    unkept: Option<String>,
}

/// What a page and a command show.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Account {
    pub(crate) spent: f64,
    pub(crate) forecast: f64,
    pub(crate) budget: Option<f64>,
    pub(crate) stretch: Stretch,
    /// Why nothing can be bought: the sum cannot be written down.
    pub(crate) unkept: Option<String>,
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
                unkept: None,
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
            unkept: state.unkept.clone(),
        }
    }

    /// Writes down what a call will cost.
    ///
    /// # Errors
    /// It would pass the budget, or could not be written down: the call must not be made.
    pub(crate) fn pay(&self, metrics: usize) -> Result<(), Unpaid> {
        self.change(|spent| spent.metrics(metrics)).map(drop)
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
        // What cannot be taken back was spent, as far as the budget goes.
        _ = self.change(|spent| spent.refund(metrics));
    }

    /// Writes down a call whose price is by the request; how many dollars it is.
    ///
    /// # Errors
    /// As [`Self::pay`].
    pub(crate) fn request(&self) -> Result<f64, Unpaid> {
        self.change(Spent::request)
    }

    /// By how many dollars the sum has grown.
    fn change(&self, change: impl FnOnce(&mut Spent)) -> Result<f64, Unpaid> {
        let now = self.clock.now();
        let mut state = self.state.lock();
        let before = self.spent(&mut state, now);
        let mut spent = before;
        change(&mut spent);
        let more = spent.dollars - before.dollars;
        if more > 0.0 && self.budget.is_some_and(|budget| spent.dollars > budget) {
            self.metrics.refused_by_budget.inc();
            return Err(Unpaid::TooDear);
        }
        state.unkept = self.treasury.save(spent).err();
        if let Some(why) = &state.unkept {
            return Err(Unpaid::Unkept(why.clone()));
        }
        state.spent = Some(spent);
        Ok(more)
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
