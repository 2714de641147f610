//! A record as `_bulk` takes it: an action line that names its index and id, and its document.
//!
//! Everything in an action line comes from the file and its content, so that a record sent again is the same document.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::ops::Range;
use std::sync::Arc;

use super::index::{Day, IndexName};
use crate::batch::{Batch, Row};
use crate::mark::{FileMark, Form};
use crate::sink::document::{Documents, Dress, Style};
use crate::sink::letters::Place;
use crate::source::Container;

/// Writes the records of one batch.
pub(crate) struct Actions<'a> {
    documents: Documents<'a>,
    naming: Naming<'a>,
    /// Index name of each file, without the day.
    names: Vec<String>,
    /// Index name of a file on a day.
    day: (u16, Option<Day>, String),
    /// Of an action line what is in front of its id, or of its end.
    front: String,
    /// Whether its documents bring their ids.
    has_ids: bool,
    /// Whether all documents say their ids.
    says_id: bool,
    /// Ends of documents, of each dress, by file; and the one used last.
    tails: (Tails, Tails),
    tail: Option<(u16, Dress, Arc<str>)>,
}

type Tails = Vec<Option<Arc<str>>>;

/// How indices are named.
#[derive(Clone, Debug)]
pub(crate) struct Naming<'a> {
    pub(crate) index: &'a IndexName,
    /// Whether an index is of one day.
    pub(crate) is_daily: bool,
    pub(crate) has_ids: bool,
    /// Indices that take none.
    pub(crate) anonymous: Arc<BTreeSet<String>>,
}

impl<'a> Actions<'a> {
    pub(crate) fn new(batch: &'a Batch, naming: Naming<'a>, style: Style<'a>) -> Self {
        Self {
            documents: Documents::new(batch, style),
            names: batch.marks.iter().map(|mark| index(mark, naming.index)).collect(),
            front: String::new(),
            has_ids: naming.has_ids,
            says_id: style.says_id,
            naming,
            day: (u16::MAX, None, String::new()),
            tails: (Vec::new(), Vec::new()),
            tail: None,
        }
    }

    /// Appends action and document, a line feed behind each.
    pub(crate) fn write(&mut self, body: &mut Vec<u8>, nth: usize, dress: Dress) {
        if let Some((_, _, tail)) = self.write_front(body, nth, dress) {
            body.extend_from_slice(tail.as_bytes());
        }
    }

    /// Likewise, without the end of the document. Returns the record's file, where in `body` its own text and fields
    /// stand, and the end, which is the same for all records of the file.
    pub(crate) fn write_front(
        &mut self,
        body: &mut Vec<u8>,
        nth: usize,
        dress: Dress,
    ) -> Option<(u16, Range<usize>, &Arc<str>)> {
        let (row, text) = self.documents.batch().record(nth)?;
        let id = self.documents.id(&row);
        self.select_index(&row);
        body.extend_from_slice(self.front.as_bytes());
        if self.has_ids {
            id.write(body);
        }
        body.extend_from_slice(b"\"}}\n");
        let own = self.documents.write_front(body, &row, text, dress, &id);
        Some((row.file, own, self.tail(row.file, dress)))
    }

    fn tail(&mut self, file: u16, dress: Dress) -> &Arc<str> {
        let Self {
            documents,
            tails,
            tail: last,
            ..
        } = self;
        if last
            .as_ref()
            .is_some_and(|(known, of, _)| (*known, *of) != (file, dress))
        {
            *last = None;
        }
        let (_, _, tail) = last.get_or_insert_with(|| {
            let tails = match dress {
                Dress::Full => &mut tails.0,
                Dress::Plain => &mut tails.1,
            };
            let place = usize::from(file);
            if tails.len() <= place {
                tails.resize(place + 1, None);
            }
            let made = || format!("{}\n", documents.rest(file, dress)).into();
            let tail = match tails.get_mut(place) {
                Some(tail) => Arc::clone(tail.get_or_insert_with(made)),
                None => made(),
            };
            (file, dress, tail)
        });
        tail
    }

    /// Where a record goes, its id and its document.
    pub(crate) fn letter(&mut self, nth: usize) -> (Place, String, Vec<u8>) {
        let Some((row, _)) = self.documents.batch().record(nth) else {
            return (Place::Index { index: String::new() }, String::new(), Vec::new());
        };
        self.select_index(&row);
        let place = Place::Index {
            index: self.day.2.clone(),
        };
        (
            place,
            self.documents.id(&row).text().into_owned(),
            self.documents.document(nth),
        )
    }

    /// Where a record goes.
    pub(crate) fn index_of(&mut self, nth: usize) -> Option<String> {
        let (row, _) = self.documents.batch().record(nth)?;
        self.select_index(&row);
        Some(self.day.2.clone())
    }

    fn select_index(&mut self, row: &Row) {
        let day = if self.naming.is_daily {
            Day::of(row.time)
        } else {
            Day::NONE
        };
        if self.day.0 == row.file && self.day.1 == Some(day) {
            return;
        }
        let (file, known, name) = &mut self.day;
        (*file, *known) = (row.file, Some(day));
        name.clear();
        if let Some(front) = self.names.get(usize::from(row.file)) {
            name.push_str(front);
            if self.naming.is_daily {
                // Writing to a string cannot fail.
                _ = write!(name, "-{day}");
            }
        }
        self.has_ids = self.naming.has_ids && !self.naming.anonymous.contains(name.as_str());
        let before_id = if self.has_ids { "\",\"_id\":\"" } else { "" };
        self.front = format!("{{\"create\":{{\"_index\":\"{name}{before_id}");
        self.documents.say_ids(self.says_id || !self.has_ids);
    }
}

fn index(mark: &FileMark, index: &IndexName) -> String {
    if let Some(facts) = &mark.facts {
        return index.of(facts.said("namespace").unwrap_or_default());
    }
    let container = (mark.form == Form::Cri)
        .then(|| Container::of(&mark.base))
        .flatten();
    index.of(container.map_or("", |container| container.namespace))
}

#[cfg(test)]
mod tests {
    use model::Timestamp;
    use serde_json::Value;

    use super::*;
    use crate::mark::Facts;
    use crate::sink::document::tests::one;

    fn written(batch: &Batch, has_ids: bool) -> (Value, Value) {
        let mut body = Vec::new();
        let index = IndexName::new("logs-{namespace}").unwrap();
        let naming = Naming {
            index: &index,
            is_daily: true,
            has_ids,
            anonymous: Arc::default(),
        };
        let style = Style {
            says_id: false,
            reads_fields: true,
            says_place: true,
            host: "node-1",
        };
        Actions::new(batch, naming, style).write(&mut body, 0, Dress::Full);
        let text = String::from_utf8(body).unwrap();
        let (action, document) = text.split_once('\n').unwrap();
        assert!(document.ends_with('\n'));
        (
            serde_json::from_str(action).unwrap(),
            serde_json::from_str(document).unwrap(),
        )
    }

    #[test]
    fn an_action_names_the_index_of_pod_and_day_and_the_id_unless_the_document_has_it() {
        let row = Row {
            time: Timestamp(1_795_780_800_123),
            offset: 42,
            is_timed: true,
            ..Row::default()
        };
        let base = "/var/log/pods/shop_api-0_u-1/web/3.log";
        let batch = one(b"a", row, base, Form::Cri);
        let (action, document) = written(&batch, true);
        assert_eq!(action["create"]["_index"], "logs-shop-2026.11.27");
        let id = action["create"]["_id"].as_str().unwrap();
        assert_eq!((id.len(), document.get("event")), (27, None));
        let (action, without) = written(&batch, false);
        assert!(action["create"].get("_id").is_none());
        assert_eq!(without["event"]["id"], id);
        assert_eq!(without["log"]["file"]["path"], document["log"]["file"]["path"]);
        let (action, _) = written(&one(b"a", row, "/a", Form::Plain), true);
        assert_eq!(action["create"]["_index"], "logs-host-2026.11.27");
    }

    #[test]
    fn a_record_of_the_spool_goes_to_the_index_of_its_namespace_under_the_id_that_was_given() {
        let mut batch = one(b"x", Row::default(), "/data/logs/spool", Form::Spool);
        let more = [("namespace", "shop".to_owned())];
        batch.marks[0].facts = Some(std::sync::Arc::new(Facts::new("shop/cart-1/app", more)));
        batch.ids = vec!["37/\"1\"".into()];
        batch.rows[0].given = 1;
        let (action, _) = written(&batch, true);
        assert_eq!(action["create"]["_id"], "37/\"1\"");
        assert_eq!(action["create"]["_index"], "logs-shop-1970.01.01");
    }
}
