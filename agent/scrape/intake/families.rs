//! What a body's comments say about its families.
//!
//! Comments that are where they were in the scrape before are compared and not read.

use std::collections::HashMap;
use std::collections::vec_deque::VecDeque;
use std::sync::Arc;

use model::Kind;

use crate::text::{Comment, Meta, ParseError};

/// How far a comment is looked for behind the expected one, when others have gone.
const LOOK_AHEAD: usize = 8;
/// Families that may be known beside those that comments speak of.
const SPARE_FAMILIES: usize = 1000;

pub(super) struct Families {
    known: HashMap<Arc<str>, Family>,
    /// Comments of the scrape before that have not come again yet, and those that have come.
    expected: VecDeque<Box<str>>,
    come: Vec<Box<str>>,
    edition: u32,
    /// Whether a family came, or is described otherwise than it was told.
    changed: bool,
    /// Whether this is the first body, and so everything is told now anyway.
    fresh: bool,
}

#[derive(Clone)]
pub(super) struct Family {
    pub(super) name: Arc<str>,
    pub(super) kind: Kind,
    pub(super) help: Arc<str>,
    pub(super) unit: Arc<str>,
    /// What all of its series have behind its name.
    suffix: Option<&'static str>,
}

impl Default for Families {
    fn default() -> Self {
        Self {
            known: HashMap::new(),
            expected: VecDeque::new(),
            come: Vec::new(),
            edition: 1,
            changed: false,
            fresh: true,
        }
    }
}

impl Families {
    /// Rises between two scrapes when a family came or is described otherwise: all series are told again.
    pub(super) fn edition(&self) -> u32 {
        self.edition
    }

    /// Lets everything be told again.
    pub(super) fn turn(&mut self) {
        self.edition += 1;
    }

    pub(super) fn begin(&mut self) {
        self.expected = std::mem::take(&mut self.come).into();
    }

    pub(super) fn end(&mut self) {
        self.expected = VecDeque::new();
        if std::mem::take(&mut self.changed) && !self.fresh {
            self.turn();
        }
        self.fresh = false;
        if self.known.len() > self.come.len() + SPARE_FAMILIES {
            self.forget();
        }
    }

    /// The next scrape reads all comments anew.
    pub(super) fn forget(&mut self) {
        self.known.clear();
        self.come.clear();
        self.fresh = true;
    }

    pub(super) fn comment(&mut self, comment: &Comment<'_>) -> Result<(), ParseError> {
        let line = comment.line();
        let found = self
            .expected
            .iter()
            .take(LOOK_AHEAD)
            .position(|known| &**known == line);
        if let Some(gone) = found {
            self.expected.drain(..gone);
            self.come.extend(self.expected.pop_front());
            return Ok(());
        }
        match comment.meta()? {
            // Others may change in every scrape, and say nothing.
            None => return Ok(()),
            Some(Meta::Help { family, help }) => {
                let family = self.named(&family);
                if *family.help != *help {
                    family.help = Arc::from(&*help);
                    self.changed = true;
                }
            }
            Some(Meta::Type { family, kind, suffix }) => {
                let family = self.named(&family);
                if (family.kind, family.suffix) != (kind, suffix) {
                    (family.kind, family.suffix) = (kind, suffix);
                    self.changed = true;
                }
            }
            Some(Meta::Unit { family, unit }) => {
                let family = self.named(&family);
                if *family.unit != *unit {
                    family.unit = Arc::from(unit);
                    self.changed = true;
                }
            }
        }
        self.come.push(line.into());
        Ok(())
    }

    fn named(&mut self, name: &str) -> &mut Family {
        let name: Arc<str> = Arc::from(name);
        self.known
            .entry(Arc::clone(&name))
            .or_insert_with(|| Family::undescribed(name))
    }

    /// The family of a series: that of its name, or the one that it is a part of.
    pub(super) fn of(&self, name: &str) -> Family {
        if let Some(family) = self.known.get(name) {
            return family.clone();
        }
        let (base, part) = name.rsplit_once('_').unwrap_or((name, ""));
        let known = self.known.get(base);
        if let Some(family) = known.filter(|family| family.suffix == Some(part)) {
            // Everybody else calls the family as its series are called.
            return Family {
                name: Arc::from(name),
                ..family.clone()
            };
        }
        let is_part = |family: &&Family| match part {
            "bucket" => family.kind == Kind::Histogram,
            "sum" | "count" => matches!(family.kind, Kind::Histogram | Kind::Summary),
            _ => false,
        };
        known
            .filter(is_part)
            .cloned()
            .unwrap_or_else(|| Family::undescribed(Arc::from(name)))
    }
}

impl Family {
    /// The family of a series that has been given another name: the same part of a family that is called otherwise.
    pub(super) fn moved(self, from: &str, to: &str) -> Self {
        if from == to {
            return self;
        }
        let part = from.strip_prefix(&*self.name);
        match part.and_then(|part| to.strip_suffix(part)) {
            Some(name) if !name.is_empty() => Self {
                name: Arc::from(name),
                ..self
            },
            _ => Self::undescribed(Arc::from(to)),
        }
    }

    fn undescribed(name: Arc<str>) -> Self {
        Self {
            name,
            kind: Kind::Unknown,
            help: Arc::from(""),
            unit: Arc::from(""),
            suffix: None,
        }
    }
}
