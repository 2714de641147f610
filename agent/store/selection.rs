//! From matchers to series, by the index; remembered while the index stays as it is.
//!
//! Rules and pages ask the same few questions again and again; between two changes of the index the answer is
//! the same list, already sorted by labels.

use std::sync::Arc;

use blocks::matching::Ready;
use hashbrown::HashMap;
use model::{Labels, Matcher, SelectError, SeriesRef};
use parking_lot::{Mutex, RwLock};

use crate::config::History;
use crate::index::Index;

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
    picks: Arc<[Pick]>,
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

    /// Every series there is, sorted likewise; not remembered, since nobody asks for all of them often.
    pub(crate) fn all(&self, index: &RwLock<Index>) -> Vec<Pick> {
        let mut picks = collect(&index.read(), &[]);
        sort(&mut picks);
        picks
    }

    /// Series that match, sorted by labels and then by ref.
    pub(crate) fn pick(
        &self,
        index: &RwLock<Index>,
        matchers: &[Matcher],
    ) -> Result<Arc<[Pick]>, SelectError> {
        let ready = self.known.lock().ready(matchers);
        let ready = match ready {
            Some(ready) => ready,
            None => matchers.iter().map(Ready::new).collect::<Result<_, _>>()?,
        };
        let (generation, mut picks) = {
            let index = index.read();
            if let Some(picks) = self.known.lock().picks(matchers, index.generation) {
                return Ok(picks);
            }
            (index.generation, collect(&index, &ready))
        };
        sort(&mut picks);
        let picks: Arc<[Pick]> = picks.into();
        self.known
            .lock()
            .remember(matchers, ready, generation, picks.clone());
        Ok(picks)
    }
}

impl Known {
    fn ready(&mut self, matchers: &[Matcher]) -> Option<Arc<[Ready]>> {
        self.turn += 1;
        let answer = self.answers.get_mut(matchers)?;
        answer.turn = self.turn;
        Some(answer.ready.clone())
    }

    fn picks(&self, matchers: &[Matcher], generation: u64) -> Option<Arc<[Pick]>> {
        let answer = self.answers.get(matchers)?;
        (answer.generation == generation).then(|| answer.picks.clone())
    }

    fn remember(&mut self, matchers: &[Matcher], ready: Arc<[Ready]>, generation: u64, picks: Arc<[Pick]>) {
        self.forget(matchers);
        if picks.len() > self.picks_max {
            return;
        }
        while self.answers.len() >= QUESTIONS_MAX || self.picks + picks.len() > self.picks_max {
            let oldest = self.answers.iter().min_by_key(|(_, answer)| answer.turn);
            let Some(oldest) = oldest.map(|(matchers, _)| matchers.clone()) else {
                break;
            };
            self.forget(&oldest);
        }
        self.picks += picks.len();
        self.answers.insert(
            matchers.into(),
            Answer {
                ready,
                generation,
                picks,
                turn: self.turn,
            },
        );
    }

    fn forget(&mut self, matchers: &[Matcher]) {
        if let Some(answer) = self.answers.remove(matchers) {
            self.picks -= answer.picks.len();
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
