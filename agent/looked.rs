//! Notes which metrics of AWS people look at, so that what is bought only now and then is bought at once.

use std::sync::Arc;

use cloudwatch::CloudWatch;
use model::labels::METRIC_NAME;
use model::select::{Last, Latest};
use model::selection::{Scan, Selection};
use model::{Labels, MatchOp, Matcher, Metadata, Mixed, Select, SelectError, Series, TimeRange};

/// What names of AWS' series begin with.
const PREFIX: &str = "aws_";

/// The engine that people's questions go to; rules have their own, and look at nothing.
pub(crate) fn engine(
    engine: &Arc<promql::Engine>,
    store: &Arc<store::Store>,
    room: Option<&CloudWatch>,
) -> Arc<promql::Engine> {
    let Some(room) = room else {
        return Arc::clone(engine);
    };
    let looking = Looking {
        store: Arc::clone(store) as Arc<dyn Select>,
        room: room.clone(),
    };
    Arc::new(promql::Engine::new(Arc::new(looking), engine.options().clone()))
}

struct Looking {
    store: Arc<dyn Select>,
    room: CloudWatch,
}

impl Looking {
    fn look(&self, matchers: &[Matcher]) {
        let is_name = |matcher: &&Matcher| &*matcher.name == METRIC_NAME && matcher.op == MatchOp::Equal;
        let name = matchers.iter().find(is_name).map(|matcher| &*matcher.value);
        if let Some(name) = name.filter(|name| name.starts_with(PREFIX)) {
            self.room.looked(&std::iter::once(Arc::from(name)).collect());
        }
    }
}

impl Select for Looking {
    fn select(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        samples_max: usize,
    ) -> Result<Vec<Series>, SelectError> {
        self.look(matchers);
        self.store.select(matchers, range, samples_max)
    }

    fn selection(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        samples_max: usize,
    ) -> Result<Selection, SelectError> {
        self.look(matchers);
        self.store.selection(matchers, range, samples_max)
    }

    fn scan(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        samples_max: usize,
    ) -> Result<Box<dyn Scan + '_>, SelectError> {
        self.look(matchers);
        self.store.scan(matchers, range, samples_max)
    }

    fn mixed(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        samples_max: usize,
    ) -> Result<Vec<Mixed>, SelectError> {
        self.store.mixed(matchers, range, samples_max)
    }

    fn has_histograms(&self, matchers: &[Matcher], range: TimeRange) -> Result<bool, SelectError> {
        self.store.has_histograms(matchers, range)
    }

    fn labels(&self, matchers: &[Matcher], range: TimeRange) -> Result<Vec<Labels>, SelectError> {
        self.store.labels(matchers, range)
    }

    fn metadata(&self) -> Vec<Metadata> {
        self.store.metadata()
    }

    fn last(&self, page: Option<&str>) -> Vec<Last> {
        self.store.last(page)
    }

    fn latest(&self, page: Option<&str>) -> Box<dyn Latest> {
        self.store.latest(page)
    }
}
