//! Descriptions of metric families, each kept once however many series share it.

use std::sync::Arc;

use hashbrown::HashMap;
use model::{Kind, Metadata, SeriesDesc};

#[derive(Debug)]
pub(crate) struct Family {
    /// Unique in this process.
    pub(crate) id: u32,
    pub(crate) metadata: Metadata,
}

/// By family name; mostly one description each, but jobs may differ.
#[derive(Debug, Default)]
pub(crate) struct Families {
    known: HashMap<Arc<str>, Vec<Arc<Family>>>,
    next: u32,
}

impl Families {
    pub(crate) fn intern(&mut self, series: &SeriesDesc, help_bytes_max: usize) -> Arc<Family> {
        let help = cut(&series.help, help_bytes_max);
        let (kind, unit) = (series.kind, &series.unit);
        let family = self.known.entry(series.family.clone()).or_default();
        if let Some(known) = family.iter().find(|known| {
            known.metadata.kind == kind && *known.metadata.help == *help && known.metadata.unit == *unit
        }) {
            return known.clone();
        }
        let metadata = Metadata {
            family: series.family.clone(),
            kind,
            help: if help.len() == series.help.len() {
                series.help.clone()
            } else {
                help.into()
            },
            unit: unit.clone(),
        };
        let known = Arc::new(Family {
            id: self.next,
            metadata,
        });
        self.next = self.next.wrapping_add(1);
        family.push(known.clone());
        known
    }

    /// Those that some series has, sorted by family.
    pub(crate) fn all(&self) -> Vec<Metadata> {
        let used = self
            .known
            .values()
            .flatten()
            .filter(|family| Arc::strong_count(family) > 1);
        let mut all: Vec<Metadata> = used.map(|family| family.metadata.clone()).collect();
        all.sort_by(|a, b| (&a.family, a.kind.text(), &a.help).cmp(&(&b.family, b.kind.text(), &b.help)));
        all
    }

    /// Lets go of what no series has any more.
    pub(crate) fn forget_unused(&mut self) {
        self.known.retain(|_, family| {
            family.retain(|known| Arc::strong_count(known) > 1);
            !family.is_empty()
        });
    }
}

/// Whether a family says of itself what the source says of it.
pub(crate) fn same(family: &Metadata, series: &SeriesDesc, help_bytes_max: usize) -> bool {
    family.kind == series.kind
        && family.family == series.family
        && family.unit == series.unit
        && *family.help == *cut(&series.help, help_bytes_max)
}

fn cut(text: &str, bytes_max: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes_max)).unwrap_or(text)
}

/// One byte for a kind, in the log.
pub(crate) fn kind_code(kind: Kind) -> u8 {
    match kind {
        Kind::Unknown => 0,
        Kind::Counter => 1,
        Kind::Gauge => 2,
        Kind::Histogram => 3,
        Kind::Summary => 4,
    }
}

pub(crate) fn kind_of(code: u8) -> Kind {
    match code {
        1 => Kind::Counter,
        2 => Kind::Gauge,
        3 => Kind::Histogram,
        4 => Kind::Summary,
        _ => Kind::Unknown,
    }
}
