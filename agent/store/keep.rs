//! The store as its sources see it.

use std::sync::Arc;

use model::{
    Column, Exemplar, Histograms, Keep, KeepError, Labels, NoExemplar, SeriesDesc, SeriesRef, TargetDesc,
    TargetRef, Timestamp,
};

use model::column::Kept;

use crate::families;
use crate::reference;
use crate::slots::{About, Born};
use crate::store::Store;
use crate::target::{Points, Target, Written};
use crate::wal::{Entry, What};

impl Keep for Store {
    fn target(&self, desc: &TargetDesc) -> TargetRef {
        loop {
            let target = self.find_target(desc);
            let mut state = target.state.lock();
            // Forgotten between finding and locking; the next turn makes it anew.
            if state.forgotten {
                continue;
            }
            state.desc = desc.clone();
            state.registered = true;
            state.retired = false;
            return target.id;
        }
    }

    fn series(&self, target: TargetRef, desc: &SeriesDesc) -> Result<SeriesRef, KeepError> {
        let placed = match self.target_of(target) {
            Some(target) if !target.state.lock().retired => self.place(&target, desc, self.clock.now()),
            _ => Err(KeepError::BadLabels(
                "their target is not known to the store, or retired".to_owned(),
            )),
        };
        if let Err(why) = &placed {
            self.accounts.refused.with_label_values(&[why.reason()]).inc();
        }
        placed
    }

    fn commit(&self, column: Column) -> Kept {
        let length = column.series.len().max(column.values.len());
        let Some(target) = self.target_of(column.target) else {
            let kept = Kept {
                unknown: length,
                ..Kept::default()
            };
            self.accounts.took(&kept, &Points::default());
            return kept;
        };
        if let Some(wal) = &self.wal {
            wal.queue.await_room(length);
        }
        let mut state = target.state.lock();
        let written = state.commit(column);
        let kept = self.hand_on(&target, written);
        drop(state);
        kept
    }

    fn histograms(&self, column: Histograms) -> Kept {
        self.keep_histograms(column)
    }

    fn exemplar(&self, series: SeriesRef, exemplar: Exemplar) -> Result<(), NoExemplar> {
        let labels = || {
            let target = self.target_of(reference::target(series))?;
            let found = target.look_up(&[series], &self.index).pop()??;
            Some(found.1)
        };
        self.exemplars.add(labels, exemplar, self.clock.now())
    }

    fn retire(&self, target: TargetRef, time: Timestamp) {
        let Some(target) = self.target_of(target) else {
            return;
        };
        let mut state = target.state.lock();
        if state.retired {
            return;
        }
        let written = state.retire(time);
        self.hand_on(&target, written);
        self.log(&target, What::Retired);
    }
}

impl Store {
    /// The source stands by what it said provisionally for times before `before`: all of it becomes samples.
    pub fn settle(&self, target: TargetRef, before: Timestamp) {
        let Some(target) = self.target_of(target) else {
            return;
        };
        let mut state = target.state.lock();
        let (settled, points) = state.settle(before);
        let written = Written {
            points,
            settled,
            ..Written::default()
        };
        self.hand_on(&target, written);
    }

    /// Gives what was written to the log and the feed and counts it: under the target's lock, so that each has the
    /// target's rows in their order.
    pub(crate) fn hand_on(&self, target: &Arc<Target>, written: Written) -> Kept {
        let Written {
            kept,
            points,
            settled,
            ended,
            row,
            said,
            histograms,
        } = written;
        for row in settled.into_iter().chain(ended).chain(row) {
            self.feed(target, &row);
            self.log(target, What::Row(row));
        }
        if let Some(said) = said {
            self.log(target, What::Said(said));
        }
        if let Some(row) = histograms {
            self.log(target, What::Histograms(row));
        }
        self.accounts.took(&kept, &points);
        kept
    }

    fn log(&self, target: &Arc<Target>, what: What) {
        let Some(wal) = &self.wal else { return };
        let entry = Entry {
            target: target.clone(),
            what,
        };
        let weight = entry.weight();
        if let Err(reason) = wal.queue.push(entry) {
            self.accounts
                .wal
                .dropped
                .with_label_values(&[reason])
                .inc_by(weight as u64);
        }
    }

    /// The target's series with these labels, made if there is none.
    fn place(
        &self,
        target: &Arc<Target>,
        desc: &SeriesDesc,
        born: Timestamp,
    ) -> Result<SeriesRef, KeepError> {
        let known = self.index.read().find(&desc.labels, target.id).own;
        if let Some(series) = known {
            self.describe(target, series, desc);
            return Ok(series);
        }
        self.check(&desc.labels).map_err(KeepError::BadLabels)?;
        if self.guard.refuses(target.rank) {
            self.guard.refused(self.clock.running());
            let budget_bytes = self.guard.budget();
            return Err(KeepError::MemoryLimit { budget_bytes });
        }
        let limit = || KeepError::SeriesLimit {
            limit: self.config.series_max,
        };
        let family = self
            .families
            .lock()
            .intern(desc, self.config.label_value_bytes_max);
        let mut index = self.index.write();
        let found = index.find(&desc.labels, target.id);
        if let Some(series) = found.own {
            return Ok(series);
        }
        if index.len() >= self.config.series_max {
            return Err(limit());
        }
        let about = About {
            family,
            entry: index.next(),
            born: Born::at(born),
        };
        let series = {
            let mut state = target.state.lock();
            if target.is_limited && state.slots.len() >= self.config.target_series_max {
                let limit = self.config.target_series_max;
                return Err(KeepError::TargetLimit { limit });
            }
            state.slots.add(target.id, about).ok_or_else(limit)?
        };
        index.insert(&desc.labels, series);
        self.accounts.series.set(index.len() as f64);
        drop(index);
        self.accounts.created.inc();
        self.accounts.shared.inc_by(u64::from(found.shared));
        Ok(series)
    }

    /// The last description stands.
    fn describe(&self, target: &Target, series: SeriesRef, desc: &SeriesDesc) {
        let bytes_max = self.config.label_value_bytes_max;
        let mut state = target.state.lock();
        let Some(about) = state.slots.about_mut(series) else {
            return;
        };
        if !families::same(&about.family.metadata, desc, bytes_max) {
            about.family = self.families.lock().intern(desc, bytes_max);
        }
    }

    fn check(&self, labels: &Labels) -> Result<(), String> {
        let config = &self.config;
        if labels.name().is_empty() {
            return Err("the metric has no name".to_owned());
        }
        if labels.len() > config.labels_max {
            return Err(format!(
                "{} labels, more than {}",
                labels.len(),
                config.labels_max
            ));
        }
        for (name, value) in labels.iter() {
            if name.is_empty() {
                return Err("a label has no name".to_owned());
            }
            if name.len() > config.label_name_bytes_max {
                return Err(format!("a label name is {} bytes long", name.len()));
            }
            if value.len() > config.label_value_bytes_max {
                return Err(format!("the value of {name} is {} bytes long", value.len()));
            }
        }
        Ok(())
    }

    pub(crate) fn restore_target(&self, desc: &TargetDesc) -> Arc<Target> {
        let target = self.find_target(desc);
        let mut state = target.state.lock();
        state.retired = false;
        state.desc.staleness = desc.staleness;
        drop(state);
        target
    }

    pub(crate) fn restore_series(&self, target: &Arc<Target>, desc: &SeriesDesc) -> Option<SeriesRef> {
        self.place(target, desc, Timestamp::MIN).ok()
    }
}
