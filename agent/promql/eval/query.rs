//! What all parts of one query share: the data, the limits, the notes.

use std::cell::{Cell, RefCell};
use std::fmt::Display;
use std::rc::Rc;
use std::time::Instant;

use model::selection::Scan;
use model::{Matcher, Mixed, Select, Selection, TimeRange};

use super::aggregate::Groups;
use super::grid::Names;
use super::notes::Notes;
use crate::bounds::Bounds;
use crate::engine::Options;
use crate::error::QueryError;
use crate::seen::Seen;
use crate::span::Span;
use crate::statistics::Tally;

/// Values worked on between two looks at the clock.
const WORK_BETWEEN_LOOKS: usize = 16 * 1024;

pub(crate) struct Query<'q> {
    pub(crate) text: &'q str,
    pub(crate) options: &'q Options,
    pub(crate) bounds: Bounds,
    select: &'q dyn Select,
    /// What queries before have found out about labels.
    pub(crate) seen: &'q Found,
    /// Whether histograms are the answer, and not passed over.
    pub(crate) gives_histograms: bool,
    deadline: Option<Instant>,
    notes: RefCell<Notes>,
    /// Samples read, which stay until the end.
    read: Cell<usize>,
    /// Cells computed and still held.
    held: Cell<usize>,
    /// Most of both at a time.
    peak: Cell<usize>,
    pub(crate) tally: Tally,
    work: Cell<usize>,
    /// Equal selectors over equal ranges are read once.
    loaded: RefCell<Vec<Loaded>>,
}

/// What is known of labels from one query to the next.
#[derive(Default)]
pub(crate) struct Found {
    /// Whether any of them says what metric it is of, besides by its name.
    pub(crate) typed: Seen<bool>,
    pub(crate) groups: Seen<Groups>,
}

struct Loaded {
    matchers: Vec<Matcher>,
    range: TimeRange,
    series: Rc<Selection>,
}

impl<'q> Query<'q> {
    pub(crate) fn new(
        text: &'q str,
        (select, seen): (&'q dyn Select, &'q Found),
        options: &'q Options,
        bounds: Bounds,
    ) -> Self {
        Self {
            text,
            options,
            bounds,
            select,
            seen,
            gives_histograms: false,
            // A timeout beyond all clocks is none.
            deadline: Instant::now().checked_add(options.timeout),
            notes: RefCell::default(),
            read: Cell::new(0),
            held: Cell::new(0),
            peak: Cell::new(0),
            tally: Tally::new(options.count),
            work: Cell::new(0),
            loaded: RefCell::default(),
        }
    }

    pub(crate) fn names(&self) -> Names {
        Names {
            delayed: self.options.delayed_name_removal,
        }
    }

    pub(crate) fn load(&self, matchers: Vec<Matcher>, range: TimeRange) -> Result<Rc<Selection>, QueryError> {
        let known = self
            .loaded
            .borrow()
            .iter()
            .find(|known| known.range == range && known.matchers == matchers)
            .map(|known| Rc::clone(&known.series));
        if let Some(series) = known {
            return Ok(series);
        }
        let left = self.room();
        let series = Rc::new(self.select.selection(&matchers, range, left)?);
        self.read.set(self.read.get().saturating_add(series.samples()));
        self.hold(0)?;
        self.look()?;
        self.loaded.borrow_mut().push(Loaded {
            matchers,
            range,
            series: Rc::clone(&series),
        });
        Ok(series)
    }

    /// The same series, for who reads them only once.
    pub(crate) fn scan(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
    ) -> Result<Box<dyn Scan + 'q>, QueryError> {
        let left = self.room();
        let scan = self.select.scan(matchers, range, left)?;
        self.look()?;
        Ok(scan)
    }

    /// Series that have native histograms.
    pub(crate) fn mixed(&self, matchers: &[Matcher], range: TimeRange) -> Result<Vec<Mixed>, QueryError> {
        let left = self.room();
        let all = self.select.mixed(matchers, range, left)?;
        let samples = all.iter().flat_map(|series| &series.samples);
        self.hold(samples.map(|(_, value)| value.samples()).sum())?;
        self.look()?;
        Ok(all)
    }

    pub(crate) fn has_histograms(&self, matchers: &[Matcher], range: TimeRange) -> Result<bool, QueryError> {
        Ok(self.select.has_histograms(matchers, range)?)
    }

    /// Takes `cells` into account before they are made.
    pub(crate) fn hold(&self, cells: usize) -> Result<(), QueryError> {
        let held = self.held.get().saturating_add(cells);
        let all = held.saturating_add(self.read.get());
        if all > self.options.samples_max {
            return Err(QueryError::TooManySamples);
        }
        self.peak.set(self.peak.get().max(all));
        self.held.set(held);
        Ok(())
    }

    /// Samples and results that may still be held.
    pub(crate) fn room(&self) -> usize {
        let taken = self.read.get().saturating_add(self.held.get());
        self.options.samples_max.saturating_sub(taken)
    }

    pub(crate) fn held(&self) -> usize {
        self.held.get()
    }

    /// Of all that was taken since `before`, only `cells` are left.
    pub(crate) fn settle(&self, before: usize, cells: usize) -> Result<(), QueryError> {
        self.held.set(before);
        self.hold(cells)?;
        self.worked(cells)
    }

    /// Called with the number of values just worked on; now and then it looks whether to go on.
    pub(crate) fn worked(&self, values: usize) -> Result<(), QueryError> {
        let work = self.work.get() + values + 1;
        if work < WORK_BETWEEN_LOOKS {
            self.work.set(work);
            return Ok(());
        }
        self.work.set(0);
        self.look()
    }

    pub(crate) fn look(&self) -> Result<(), QueryError> {
        if self.options.stop.as_ref().is_some_and(|stop| stop.is_set()) {
            return Err(QueryError::Cancelled);
        }
        match self.deadline {
            Some(deadline) if Instant::now() >= deadline => Err(QueryError::Timeout),
            _ => Ok(()),
        }
    }

    pub(crate) fn warn(&self, span: Span, what: impl Display) {
        self.notes.borrow_mut().warn(self.text, span, what);
    }

    pub(crate) fn inform(&self, span: Span, what: impl Display) {
        self.notes.borrow_mut().inform(self.text, span, what);
    }

    /// Native histograms of a selector are there, and nothing is made of them.
    pub(crate) fn pass_over(&self, selector: &str) {
        self.notes.borrow_mut().pass_over(selector);
    }

    /// What is to be said, the samples seen by steps, and the most held at a time.
    pub(crate) fn ended(self) -> (Notes, Vec<u64>, usize) {
        (self.notes.into_inner(), self.tally.into_steps(), self.peak.get())
    }
}
