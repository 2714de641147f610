//! The last values of targets at one moment, read metric by metric.
//!
//! Label sets of a whole store are many times its index. Here they are put together for one metric at a time; what is
//! held meanwhile is the rounds' values, and for each series where it is.

use std::sync::Arc;

use hashbrown::HashMap;
use model::select::{Latest, Metric};
use model::{Labels, SeriesRef, is_stale};
use parking_lot::RwLock;

use crate::families::Family;
use crate::index::Index;
use crate::row::Row;
use crate::slots::push;
use crate::store::Store;
use crate::target::{LOOKUP, Target};

pub(crate) struct Rounds {
    index: Arc<RwLock<Index>>,
    rounds: Vec<Round>,
    metrics: Vec<Metric>,
    /// Of each metric: the number of a round, and the place in it.
    places: Vec<Vec<(u32, u32)>>,
}

struct Round {
    target: Arc<Target>,
    page: Option<&'static str>,
    row: Arc<Row>,
}

impl Rounds {
    pub(crate) fn of(store: &Store, page: Option<&str>) -> Self {
        let shown = |target: Arc<Target>| {
            let state = target.state.lock();
            let of = state.desc.page;
            let row = state.shown().filter(|_| page.is_none() || of == page).cloned();
            drop(state);
            row.map(|row| Round {
                target,
                page: of,
                row,
            })
        };
        let mut all = Self {
            index: store.index.clone(),
            rounds: store.all_targets().into_iter().filter_map(shown).collect(),
            metrics: Vec::new(),
            places: Vec::new(),
        };
        all.sort();
        all
    }

    /// Finds out which metric each series is of.
    fn sort(&mut self) {
        // By family: there are few names in one.
        let mut known: HashMap<u32, Vec<usize>> = HashMap::new();
        let Self {
            index,
            rounds,
            metrics,
            places,
        } = self;
        let mut sort = |at: (u32, u32), name: &str, family: &Family| {
            let of_family = known.entry(family.id).or_default();
            let named = |nth: &&usize| metrics.get(**nth).is_some_and(|metric| *metric.name == *name);
            let nth = of_family.iter().find(named).copied().unwrap_or_else(|| {
                metrics.push(Metric {
                    name: name.into(),
                    metadata: family.metadata.clone(),
                });
                places.push(Vec::new());
                of_family.push(places.len() - 1);
                places.len() - 1
            });
            if let Some(places) = places.get_mut(nth) {
                push(places, at);
            }
        };
        for (round, of) in (0..).zip(&*rounds) {
            let mut first = 0;
            for some in of.row.shape.refs.chunks(LOOKUP) {
                let index = index.read();
                let state = of.target.state.lock();
                for (series, place) in some.iter().zip(first..) {
                    let about = state.slots.about(*series);
                    let named = about.and_then(|about| Some((index.name(about.entry)?, &about.family)));
                    if let Some((name, family)) = named {
                        sort((round, place), name, family);
                    }
                }
                first += LOOKUP as u32;
            }
        }
    }
}

impl Latest for Rounds {
    fn pages(&self) -> Vec<Option<&'static str>> {
        self.rounds.iter().map(|round| round.page).collect()
    }

    fn metrics(&self) -> Vec<Metric> {
        self.metrics.clone()
    }

    fn series(&self, metric: usize) -> Vec<(Labels, f64)> {
        let mut all = Vec::new();
        let places = self.places.get(metric).map(Vec::as_slice).unwrap_or_default();
        for of_one in places.chunk_by(|(a, _), (b, _)| a == b) {
            let round = of_one
                .first()
                .and_then(|(round, _)| self.rounds.get(*round as usize));
            let Some(Round { target, row, .. }) = round else {
                continue;
            };
            for some in of_one.chunks(LOOKUP) {
                let at = |(_, place): &(u32, u32)| {
                    let place = *place as usize;
                    Some((*row.shape.refs.get(place)?, *row.values.get(place)?))
                };
                let (refs, values): (Vec<SeriesRef>, Vec<f64>) = some.iter().filter_map(at).unzip();
                let found = target.look_up(&refs, &self.index).into_iter().zip(values);
                all.extend(found.filter_map(|(found, value)| {
                    let (_, labels, _) = found.filter(|_| !is_stale(value))?;
                    Some((labels, value))
                }));
            }
        }
        all
    }
}
