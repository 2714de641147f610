//! From matchers to series, by the index; remembered while the index stays as it is.
//!
//! Rules and pages ask the same few questions again and again; between two changes of the index the answer is
//! the same list of label sets, and where each of their series is to be read.

use std::sync::Arc;

use blocks::matching::Ready;
use hashbrown::HashMap;
use model::{Labels, Matcher, SelectError, SeriesRef};
use parking_lot::{Mutex, RwLock};

use crate::config::History;
use crate::index::Index;
use crate::reference;
use crate::target::LOOKUP;

/// Questions remembered at a time, and series in all of their answers.
const QUESTIONS_MAX: usize = 4096;
const PICKS_MAX: usize = 1 << 18;
/// Where only last values are kept, label sets are made for each answer, and memory is short.
const PICKS_MAX_LEAN: usize = 1 << 12;

#[derive(Clone, Debug)]
pub(crate) struct Pick {
    pub(crate) labels: Labels,
    pub(crate) series: SeriesRef,
    /// In a sorted list: it says the same labels as the one before, so that nobody has to look at them again.
    pub(crate) repeats: bool,
}

/// The series that answer a question.
#[derive(Debug)]
pub(crate) struct Picked {
    /// Sorted, each once.
    pub(crate) labels: Arc<[Labels]>,
    /// Each series with the place of its labels. Those of one target follow each other in the order in which the target
    /// has them, since labels are in quite another order, and samples would be gathered from all over the memory.
    pub(crate) series: Box<[(SeriesRef, u32)]>,
}

impl Picked {
    fn of(mut picks: Vec<Pick>) -> Self {
        sort(&mut picks);
        let mut labels: Vec<Labels> = Vec::with_capacity(picks.len());
        let mut series = Vec::with_capacity(picks.len());
        for pick in picks {
            if !pick.repeats {
                labels.push(pick.labels);
            }
            let place = labels.len().saturating_sub(1);
            series.push((pick.series, u32::try_from(place).unwrap_or(u32::MAX)));
        }
        series.sort_unstable_by_key(|(series, _)| (reference::target(*series), reference::slot(*series)));
        Self {
            labels: labels.into(),
            series: series.into(),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Selections {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    answers: HashMap<Box<[Matcher]>, Answer>,
    picks: usize,
    picks_max: usize,
    /// Counts questions, to find the one not asked for longest.
    turn: u64,
}

#[derive(Debug)]
struct Answer {
    ready: Arc<[Ready]>,
    generation: u64,
    picked: Arc<Picked>,
    turn: u64,
}

impl Selections {
    pub(crate) fn new(history: History) -> Self {
        let picks_max = match history {
            History::Full => PICKS_MAX,
            History::None => PICKS_MAX_LEAN,
        };
        Self {
            known: Mutex::new(Known {
                picks_max,
                ..Known::default()
            }),
        }
    }

    /// Every series there is, sorted by labels and then by ref, some at a time: label sets of all of them are more than
    /// anybody should hold. Those that come or go meanwhile may be there or not.
    pub(crate) fn all(index: &RwLock<Index>) -> impl Iterator<Item = Vec<Pick>> {
        let groups = index.read().by_first_label();
        groups.into_iter().map(|(first, ids)| {
            let is_of = |labels: &Labels| labels.iter().next() == first.iter().next();
            let mut picks = Vec::with_capacity(ids.len());
            for some in ids.chunks(LOOKUP) {
                let index = index.read();
                let known = some.iter().filter_map(|id| index.whole(*id));
                // A number that was given out again meanwhile may be that of another.
                picks.extend(known.filter(|pick| is_of(&pick.labels)));
            }
            sort(&mut picks);
            picks
        })
    }

    /// Series that match.
    pub(crate) fn pick(
        &self,
        index: &RwLock<Index>,
        matchers: &[Matcher],
    ) -> Result<Arc<Picked>, SelectError> {
        let ready = self.known.lock().ready(matchers);
        let ready = match ready {
            Some(ready) => ready,
            None => matchers.iter().map(Ready::new).collect::<Result<_, _>>()?,
        };
        let (generation, picks) = {
            let index = index.read();
            if let Some(picked) = self.known.lock().picked(matchers, index.generation) {
                return Ok(picked);
            }
            (index.generation, collect(&index, &ready))
        };
        let picked = Arc::new(Picked::of(picks));
        self.known
            .lock()
            .remember(matchers, ready, generation, picked.clone());
        Ok(picked)
    }
}

impl Known {
    fn ready(&mut self, matchers: &[Matcher]) -> Option<Arc<[Ready]>> {
        self.turn += 1;
        let answer = self.answers.get_mut(matchers)?;
        answer.turn = self.turn;
        Some(answer.ready.clone())
    }

    fn picked(&self, matchers: &[Matcher], generation: u64) -> Option<Arc<Picked>> {
        let answer = self.answers.get(matchers)?;
        (answer.generation == generation).then(|| answer.picked.clone())
    }

    fn remember(&mut self, matchers: &[Matcher], ready: Arc<[Ready]>, generation: u64, picked: Arc<Picked>) {
        self.forget(matchers);
        let picks = picked.series.len();
        if picks > self.picks_max {
            return;
        }
        while self.answers.len() >= QUESTIONS_MAX || self.picks + picks > self.picks_max {
            let oldest = self.answers.iter().min_by_key(|(_, answer)| answer.turn);
            let Some(oldest) = oldest.map(|(matchers, _)| matchers.clone()) else {
                break;
            };
            self.forget(&oldest);
        }
        self.picks += picks;
        self.answers.insert(
            matchers.into(),
            Answer {
                ready,
                generation,
                picked,
                turn: self.turn,
            },
        );
    }

    fn forget(&mut self, matchers: &[Matcher]) {
        if let Some(answer) = self.answers.remove(matchers) {
            self.picks -= answer.picked.series.len();
        }
    }
}

fn sort(picks: &mut [Pick]) {
    picks.sort_unstable_by(|a, b| a.labels.cmp(&b.labels).then(a.series.cmp(&b.series)));
    let mut before: Option<&Labels> = None;
    for pick in picks {
        pick.repeats = before == Some(&pick.labels);
        before = Some(&pick.labels);
    }
}

fn collect(index: &Index, ready: &[Ready]) -> Vec<Pick> {
    let ids = index.ids(ready);
    ids.into_iter().filter_map(|id| index.pick(id)).collect()
}
