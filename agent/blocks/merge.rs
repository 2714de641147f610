//! Several streams that are each in the order of labels, as one in which every label set comes once.

use std::sync::Arc;

use model::histogram::Reset;
use model::{Labels, Series, Timestamp, Value, is_stale};

use crate::error::Error;

pub(crate) trait Labeled {
    fn labels(&self) -> &Labels;
}

impl Labeled for Labels {
    fn labels(&self) -> &Labels {
        self
    }
}

impl Labeled for Series {
    fn labels(&self) -> &Labels {
        &self.labels
    }
}

/// What all streams say of one label set, in the order of the streams. After an error nothing more comes.
pub(crate) struct Groups<I: Iterator> {
    streams: Vec<I>,
    heads: Vec<Option<I::Item>>,
}

impl<T: Labeled, I: Iterator<Item = Result<T, Error>>> Groups<I> {
    pub(crate) fn new(mut streams: Vec<I>) -> Self {
        Self {
            heads: streams.iter_mut().map(Iterator::next).collect(),
            streams,
        }
    }

    fn fail(&mut self) -> Option<Error> {
        let at = self.heads.iter().position(|head| matches!(head, Some(Err(_))))?;
        let error = self.heads.swap_remove(at)?.err();
        self.heads.clear();
        self.streams.clear();
        error
    }
}

impl<T: Labeled, I: Iterator<Item = Result<T, Error>>> Iterator for Groups<I> {
    type Item = Result<Vec<T>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(error) = self.fail() {
            return Some(Err(error));
        }
        let heads = self.heads.iter().flatten().flatten();
        let least = heads.map(Labeled::labels).min()?.clone();
        let mut group = Vec::new();
        for (head, stream) in self.heads.iter_mut().zip(&mut self.streams) {
            if head
                .as_ref()
                .is_some_and(|head| matches!(head, Ok(item) if *item.labels() == least))
            {
                group.extend(std::mem::replace(head, stream.next()).into_iter().flatten());
            }
        }
        Some(Ok(group))
    }
}

/// One series of several with the same labels. At the same time a value goes before a stale marker, otherwise any
/// one of them.
pub(crate) fn join(group: Vec<Series>) -> Option<Series> {
    let mut rest = group.into_iter();
    let first = rest.next()?;
    let labels = first.labels.clone();
    let mut parts = vec![first];
    parts.extend(rest);
    if parts.len() == 1 {
        return parts.pop();
    }
    let pairs = parts
        .iter()
        .flat_map(|part| part.times.iter().copied().zip(part.values.iter().copied()));
    let (times, values): (Vec<_>, Vec<_>) = in_order(pairs.collect()).into_iter().unzip();
    Some(Series {
        labels,
        times: times.into(),
        values: values.into(),
        staleness: None,
    })
}

/// Each time once.
pub(crate) fn in_order(mut samples: Vec<(Timestamp, f64)>) -> Vec<(Timestamp, f64)> {
    if !samples.is_sorted_by(|(a, _), (b, _)| a < b) {
        samples.sort_by_key(|(time, value)| (*time, is_stale(*value)));
        samples.dedup_by_key(|(time, _)| *time);
    }
    samples
}

/// Samples of one series from several chunks that may lie across each other.
#[derive(Default)]
pub(crate) struct MixedIn {
    chunk: u32,
    all: Vec<(Timestamp, Value, u32)>,
}

impl MixedIn {
    /// What follows is from another chunk.
    pub(crate) fn next_chunk(&mut self) {
        self.chunk += 1;
    }

    pub(crate) fn push(&mut self, time: Timestamp, value: Value) {
        self.all.push((time, value, self.chunk));
    }

    /// Each time once: a histogram goes before a float, a float before a stale marker, and otherwise what came first.
    /// That a histogram is no reset stays said only behind the one of which its chunk says it.
    pub(crate) fn in_order(mut self) -> Vec<(Timestamp, Value)> {
        let rank = |value: &Value| match value {
            Value::Histogram(_) => 0,
            Value::Float(value) => 1 + u8::from(is_stale(*value)),
        };
        if !self.all.is_sorted_by(|(a, ..), (b, ..)| a < b) {
            self.all.sort_by_key(|(time, value, _)| (*time, rank(value)));
            self.all.dedup_by_key(|(time, ..)| *time);
        }
        let mut before = None;
        let samples = self.all.into_iter().map(|(time, mut value, chunk)| {
            if let Value::Histogram(histogram) = &mut value
                && histogram.reset == Reset::No
                && before != Some(chunk)
            {
                Arc::make_mut(histogram).reset = Reset::Unknown;
            }
            before = Some(chunk);
            (time, value)
        });
        samples.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::STALE;

    fn labels(name: &str) -> Labels {
        Labels::from_pairs([("a", name)])
    }

    #[test]
    fn every_label_set_comes_once_and_in_order() {
        let stream = |names: &[&str]| -> Vec<Result<Labels, Error>> {
            names.iter().map(|name| Ok(labels(name))).collect()
        };
        let streams = vec![stream(&["a", "c"]), stream(&["a", "b", "d"]), stream(&[])];
        let groups = Groups::new(streams.into_iter().map(Vec::into_iter).collect());
        let counts: Vec<_> = groups
            .map(|group| group.expect("no error"))
            .map(|group| (group[0].value("a").to_owned(), group.len()))
            .collect();
        assert_eq!(
            counts,
            [("a", 2), ("b", 1), ("c", 1), ("d", 1)].map(|(name, count)| (name.to_owned(), count))
        );
    }

    #[test]
    fn after_an_error_nothing_comes() {
        let broken = || Err(Error::Unfit(String::new()));
        let streams = vec![
            vec![Ok(labels("a")), broken(), Ok(labels("c"))],
            vec![Ok(labels("b"))],
        ];
        let mut groups = Groups::new(streams.into_iter().map(Vec::into_iter).collect());
        assert!(groups.next().is_some_and(|group| group.is_ok()));
        assert!(groups.next().is_some_and(|group| group.is_err()));
        assert!(groups.next().is_none());
    }

    #[test]
    fn a_value_goes_before_a_marker() {
        let samples =
            [(2, 5.0), (1, STALE), (1, 3.0), (2, 5.0)].map(|(time, value)| (Timestamp(time), value));
        assert_eq!(
            in_order(samples.to_vec()),
            [(Timestamp(1), 3.0), (Timestamp(2), 5.0)]
        );
    }
}
