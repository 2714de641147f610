//! From matchers to series, by the index; remembered while the index stays as it is.
//!
//! Rules and pages ask the same few questions again and again; between two changes of the index the answer is
//! the same list of label sets, and where each of their series is to be read.

use std::sync::Arc;

use blocks::matching::Ready;
use hashbrown::HashMap;
use model::{Labels, Matcher, SelectError};
use parking_lot::{Mutex, RwLock};

use crate::config::History;
use crate::index::Index;
use crate::picked::{Change, Pick, Picked, sort};
use crate::target::LOOKUP;

/// Questions remembered at a time, and series in all of their answers.
const QUESTIONS_MAX: usize = 4096;
const PICKS_MAX: usize = 1 << 18;
/// Where only last values are kept, label sets are made for each answer, and memory is short.
const PICKS_MAX_LEAN: usize = 1 << 12;

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
        let known = self.known.lock().answer(matchers);
        let ready = match &known {
            Some((ready, ..)) => ready.clone(),
            None => matchers.iter().map(Ready::new).collect::<Result<_, _>>()?,
        };
        let (generation, change) = {
            let index = index.read();
            if let Some((_, of, picked)) = &known
                && *of == index.generation
            {
                return Ok(picked.clone());
            }
            let ids = index.ids(&ready);
            let change = match known {
                Some((.., old)) => Change::since(old, &ids, &index),
                None => Change::all(&ids, &index),
            };
            (index.generation, change)
        };
        let picked = change.made();
        self.known
            .lock()
            .remember(matchers, ready, generation, picked.clone());
        Ok(picked)
    }
}

impl Known {
    /// What was found the last time, and of which generation that is.
    fn answer(&mut self, matchers: &[Matcher]) -> Option<(Arc<[Ready]>, u64, Arc<Picked>)> {
        self.turn += 1;
        let answer = self.answers.get_mut(matchers)?;
        answer.turn = self.turn;
        Some((answer.ready.clone(), answer.generation, answer.picked.clone()))
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
