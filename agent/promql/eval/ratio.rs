//! `limit_ratio`: a share of the series, always the same ones.

use model::Labels;
use xxhash_rust::xxh64::xxh64;

use super::grid::{Grid, HOLE};
use super::{Eval, notes};
use crate::error::QueryError;
use crate::span::Span;

impl Eval<'_> {
    /// A negative ratio takes the series that its complement leaves: 0.2 and -0.8 make up all of them.
    pub(super) fn share(self, grid: &Grid, ratios: &[f64], span: Span) -> Result<Grid, QueryError> {
        self.check_ratios(ratios, span)?;
        let names = self.query.names();
        let mut result = Grid::with_capacity(self.steps.count, grid.len());
        result.one_name = grid.one_name;
        for (head, cells) in grid.rows() {
            self.query.worked(cells.len())?;
            let place = place(&names.labels(head));
            let cells = cells.iter().zip(ratios);
            let kept = cells.map(|(cell, ratio)| if within(*ratio, place) { *cell } else { HOLE });
            result.push(head.clone(), kept);
        }
        Ok(result)
    }

    fn check_ratios(self, ratios: &[f64], span: Span) -> Result<(), QueryError> {
        if ratios.iter().any(|ratio| ratio.is_nan()) {
            return Err(QueryError::Execution("Ratio value is NaN".to_owned()));
        }
        let most = ratios.iter().copied().fold(0.0, f64::max);
        let least = ratios.iter().copied().fold(0.0, f64::min);
        if most > 1.0 {
            self.query.warn(span, notes::bad_ratio(most, 1.0));
        }
        if least < -1.0 {
            self.query.warn(span, notes::bad_ratio(least, -1.0));
        }
        Ok(())
    }
}

fn within(ratio: f64, place: f64) -> bool {
    if ratio >= 0.0 {
        place < ratio
    } else {
        place >= 1.0 + ratio.max(-1.0)
    }
}

/// Where a series stands between 0 and 1: as in Prometheus, so that the same ones are chosen.
fn place(labels: &Labels) -> f64 {
    let mut bytes = Vec::new();
    for (name, value) in labels.iter() {
        for text in [name, value] {
            length(text.len(), &mut bytes);
            bytes.extend_from_slice(text.as_bytes());
        }
    }
    xxh64(&bytes, 0) as f64 / u64::MAX as f64
}

/// One byte, or 255 and the three lowest bytes: how Prometheus packs its labels, which it hashes packed.
fn length(length: usize, bytes: &mut Vec<u8>) {
    match u8::try_from(length) {
        Ok(byte) if byte < u8::MAX => bytes.push(byte),
        _ => {
            bytes.push(u8::MAX);
            bytes.extend(length.to_le_bytes().iter().take(3));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_published_one() {
        assert_eq!(xxh64(b"", 0), 0xef46_db37_51d8_e999);
        assert_eq!(xxh64(b"abc", 0), 0x44bc_2cf5_ad77_0999);
    }

    /// What `promtool test rules` of Prometheus 3.5.3 says to `limit_ratio(0.3, x)` over these.
    #[test]
    fn the_same_series_are_chosen_as_by_prometheus() {
        let chosen: Vec<usize> = (0..24)
            .filter(|nth| {
                let long = "z".repeat(nth * 20);
                let labels =
                    Labels::from_pairs([("__name__", "x"), ("i", &nth.to_string()), ("long", &long)]);
                within(0.3, place(&labels))
            })
            .collect();
        assert_eq!(chosen, [1, 2, 3, 7, 10, 12, 13, 14, 16, 18, 21, 23]);
    }

    #[test]
    fn a_ratio_and_its_complement_make_up_all() {
        for place in [0.0, 0.19, 0.2, 0.5, 1.0] {
            assert_ne!(within(0.2, place), within(-0.8, place), "{place}");
            assert!(within(1.1, place) && within(-1.1, place), "{place}");
            assert!(!within(0.0, place), "{place}");
        }
    }
}
