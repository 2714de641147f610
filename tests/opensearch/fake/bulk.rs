//! The body of a bulk request, line by line, as leniently and as strictly as the real one reads it.
//!
//! What is wrong with the form of one line refuses the whole request, and nothing of it is applied.

use super::json::{self, Json};
use super::problem::Problem;
use super::store::{Action, Item};

const ID_BYTES_MAX: usize = 512;
/// What may stand beside an action; only the first three mean something here.
const PARAMETERS: &[&str] = &[
    "_index",
    "_id",
    "op_type",
    "routing",
    "pipeline",
    "require_alias",
    "version",
    "version_type",
    "if_seq_no",
    "if_primary_term",
    "retry_on_conflict",
];

/// All items, in their order. `above` is the index that the path names.
pub(crate) fn items(body: &[u8], above: Option<&str>) -> Result<Vec<Item>, Problem> {
    if body.is_empty() {
        return Err(Problem::new(400, "parse_exception", "request body is required"));
    }
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let mut lines = Lines {
        rest: body,
        number: 0,
    };
    let mut items = Vec::new();
    while let Some(line) = lines.next()? {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let mut item = action(line, lines.number, above)?;
        if item.action != Action::Delete {
            // An action at the very end, with nothing behind it, is left out without a word.
            let Some(source) = lines.next()? else {
                break;
            };
            item.source = source.strip_suffix(b"\r").unwrap_or(source).to_vec();
        }
        items.push(item);
    }
    if items.is_empty() {
        return Err(Problem::validation("no requests added"));
    }
    let mut wrong = items.iter().filter_map(|item| {
        let length = item.id.as_deref().map_or(0, str::len);
        match item {
            Item { index, .. } if index == MISSING => Some("index is missing".to_owned()),
            Item {
                id: None,
                action: Action::Delete,
                ..
            } => Some("id is missing".to_owned()),
            Item { id: Some(id), .. } if length > ID_BYTES_MAX => Some(format!(
                "id [{id}] is too long, must be no longer than {ID_BYTES_MAX} bytes but was: {length}"
            )),
            _ => None,
        }
    });
    match wrong.next() {
        Some(reason) => Err(Problem::validation(&reason)),
        None => Ok(items),
    }
}

/// No index can be called that.
const MISSING: &str = "\0";

struct Lines<'a> {
    rest: &'a [u8],
    number: usize,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Result<Option<&'a [u8]>, Problem> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let unended = || Problem::argument("The bulk request must be terminated by a newline [\\n]");
        let end = self
            .rest
            .iter()
            .position(|byte| *byte == b'\n')
            .ok_or_else(unended)?;
        let (line, rest) = self.rest.split_at(end);
        self.rest = rest.get(1..).unwrap_or_default();
        self.number += 1;
        Ok(Some(line))
    }
}

fn action(line: &[u8], number: usize, above: Option<&str>) -> Result<Item, Problem> {
    let malformed =
        |what: String| Problem::argument(format!("Malformed action/metadata line [{number}], {what}"));
    let read = json::first_entry(line).map_err(|bad| Problem::new(400, "json_parse_exception", bad.what))?;
    let Some((name, body)) = read else {
        return Err(malformed("expected START_OBJECT and FIELD_NAME".to_owned()));
    };
    let mut action = match name.as_str() {
        "create" => Action::Create,
        "index" => Action::Index,
        "delete" => Action::Delete,
        "update" => return Err(malformed("this fake knows no update".to_owned())),
        other => {
            return Err(malformed(format!(
                "expected one of [create, delete, index, update] but found [{other}]"
            )));
        }
    };
    let Json::Object(parameters) = body else {
        return Err(malformed("expected START_OBJECT or END_OBJECT".to_owned()));
    };
    let (mut index, mut id) = (above.map(str::to_owned), None);
    for (name, value) in parameters {
        let text = match value {
            Json::Null => continue,
            Json::Text(text) | Json::Number(text) => text,
            Json::Bool(is) => is.to_string(),
            Json::List(_) | Json::Object(_) => {
                return Err(malformed(format!("expected a simple value for field [{name}]")));
            }
        };
        match name.as_str() {
            "_index" => index = Some(text),
            "_id" => id = Some(text),
            "op_type" if text == "create" => action = Action::Create,
            known if PARAMETERS.contains(&known) => {}
            other => {
                return Err(Problem::argument(format!(
                    "Action/metadata line [{number}] contains an unknown parameter [{other}]"
                )));
            }
        }
    }
    Ok(Item {
        action,
        index: index.unwrap_or_else(|| MISSING.to_owned()),
        id,
        source: Vec::new(),
    })
}
