//! What OpenSearch says to a `_bulk` request, and what follows for each record of it.
//!
//! A record is done when it is stored or was stored before (409). What may pass (429, 5xx) is sent again; what never
//! will is given up with its reason. An answer that cannot be understood says nothing: all is sent again, and what was
//! stored is a 409 then.

use model::outside::{ClientError, Response};
use serde::Deserialize;

use super::anonymous::refuses_ids;
use crate::sink::Refusal;

/// Asked of the answer: statuses of all items, so that places stay aligned, and why of the failed ones.
pub(crate) const FILTER: &str = "filter_path=errors,items.*.status,items.*.error.type,items.*.error.reason";

/// Of an answer all of whose records are stored: what is in front of the items, and each of them but the last.
const FRONT: &[u8] = br#"{"errors":false,"items":["#;
const ITEM: &[u8; 26] = br#"{"create":{"status":201}},"#;

/// What becomes of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Done,
    /// It was there already.
    Known,
    Again(String),
    /// Its index takes no ids of ours.
    WithoutId(String),
    Refused(Refusal),
}

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Every record is stored now.
    Done,
    /// One fate for each record.
    Items(Vec<Fate>),
    /// All of it again, later. `reason` is fit for a label.
    Again { reason: &'static str, why: String },
    /// All of it again, in parts: something in it, or its size, is not taken.
    Parts(Refusal),
}

#[derive(Deserialize)]
struct Bulk {
    #[serde(default)]
    items: Vec<Item>,
    errors: bool,
}

#[derive(Deserialize)]
struct Item {
    create: Answer,
}

#[derive(Deserialize)]
struct Answer {
    status: u16,
    error: Option<Cause>,
}

#[derive(Default, Deserialize)]
struct Cause {
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    reason: String,
}

/// The answer to a request that was refused as a whole.
#[derive(Deserialize)]
struct Whole {
    error: WholeCause,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum WholeCause {
    Full(Cause),
    /// Some errors are plain text, such as those of REST paths.
    Text(String),
}

/// `records` is how many the request had.
pub(crate) fn judge(answer: &Result<Response, ClientError>, records: usize) -> Outcome {
    let response = match answer {
        Ok(response) => response,
        Err(ClientError::TooLong { limit_bytes }) => {
            return Outcome::Parts(Refusal {
                status: 0,
                kind: "answer_too_long".to_owned(),
                why: format!("the answer is longer than {limit_bytes} bytes"),
            });
        }
        Err(error) => {
            return Outcome::Again {
                reason: error.reason(),
                why: error.to_string(),
            };
        }
    };
    let again = |reason, why| Outcome::Again { reason, why };
    match response.status {
        200 | 201 => items(&response.body, records),
        413 => Outcome::Parts(Refusal {
            status: 413,
            kind: "too_large".to_owned(),
            why: "the request is too large for OpenSearch (413)".to_owned(),
        }),
        // Without OpenSearch's own reason it may be a proxy that says no to everything.
        400 if let Some(cause) = cause(&response.body)
            && refuses_ids(&cause.reason) =>
        {
            Outcome::Items(vec![Fate::WithoutId(cause.reason); records])
        }
        400 if let Some(cause) = cause(&response.body) => Outcome::Parts(Refusal {
            status: 400,
            kind: cause.kind,
            why: cause.reason,
        }),
        429 => again("pushed_back", told("429 Too Many Requests", &response.body)),
        401 | 403 => again(
            "forbidden",
            told(&format!("{} to us", response.status), &response.body),
        ),
        status @ 500.. => again("server_error", told(&status.to_string(), &response.body)),
        status => again("unexpected", told(&status.to_string(), &response.body)),
    }
}

fn cause(body: &[u8]) -> Option<Cause> {
    match serde_json::from_slice(body) {
        Ok(Whole {
            error: WholeCause::Full(cause),
        }) if !cause.kind.is_empty() => Some(cause),
        _ => None,
    }
}

/// The status with what the body says, shortened.
fn told(status: &str, body: &[u8]) -> String {
    let said = match serde_json::from_slice(body) {
        Ok(Whole {
            error: WholeCause::Full(cause),
        }) => format!("{}: {}", cause.kind, cause.reason),
        Ok(Whole {
            error: WholeCause::Text(text),
        }) => text,
        Err(_) => String::from_utf8_lossy(body.get(..200).unwrap_or(body)).into_owned(),
    };
    let said = said.trim();
    if said.is_empty() {
        return status.to_owned();
    }
    format!("{status}: {}", said.chars().take(200).collect::<String>())
}

/// Whether every item says that its record is stored, without taking the answer apart.
fn all_stored(body: &[u8], records: usize) -> bool {
    let items = body
        .strip_prefix(FRONT)
        .and_then(|rest| rest.strip_suffix(b"]}"))
        .unwrap_or_default();
    let (items, last) = items.as_chunks::<{ ITEM.len() }>();
    let Some(last_of_all) = ITEM.strip_suffix(b",") else {
        return false;
    };
    items.len() + 1 == records && items.iter().all(|item| item == ITEM) && last == last_of_all
}

fn items(body: &[u8], records: usize) -> Outcome {
    if all_stored(body, records) {
        return Outcome::Done;
    }
    let garbled = |why: String| Outcome::Again {
        reason: "garbled",
        why,
    };
    let bulk: Bulk = match serde_json::from_slice(body) {
        Ok(bulk) => bulk,
        Err(error) => return garbled(format!("the answer is no bulk answer: {error}")),
    };
    if bulk.items.len() != records {
        return garbled(format!(
            "the answer is about {} records of {records}",
            bulk.items.len()
        ));
    }
    let fates: Vec<Fate> = bulk.items.into_iter().map(|item| fate(item.create)).collect();
    let has_failed = fates.iter().any(|fate| *fate != Fate::Done);
    if has_failed && !bulk.errors {
        return garbled("the answer says that nothing has failed and that something has".to_owned());
    }
    Outcome::Items(fates)
}

fn fate(answer: Answer) -> Fate {
    let cause = answer.error.unwrap_or_default();
    match answer.status {
        200 | 201 => Fate::Done,
        409 => Fate::Known,
        429 | 500.. => Fate::Again(format!("{}: {}", answer.status, cause.kind)),
        // Whoever runs the cluster can set it right, and has not judged the record.
        401 | 403 if cause.kind.is_empty() || cause.kind == "security_exception" => {
            Fate::Again(format!("{}: {}", answer.status, cause.reason))
        }
        400 if refuses_ids(&cause.reason) => Fate::WithoutId(cause.reason),
        status => Fate::Refused(Refusal {
            status,
            kind: cause.kind,
            why: cause.reason,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Result<Response, ClientError> {
        Ok(Response {
            status,
            headers: Vec::new(),
            body: body.as_bytes().to_vec(),
        })
    }

    fn reason(outcome: &Outcome) -> &'static str {
        match outcome {
            Outcome::Again { reason, .. } => reason,
            Outcome::Parts(_) => "parts",
            Outcome::Done | Outcome::Items(_) => "items",
        }
    }

    #[test]
    fn each_record_has_a_fate_of_its_own() {
        let body = r#"{"errors":true,"items":[{"create":{"status":201}},
            {"create":{"status":409,"error":{"type":"version_conflict_engine_exception","reason":"exists"}}},
            {"create":{"status":429,"error":{"type":"rejected_execution_exception","reason":"full"}}},
            {"create":{"status":503,"error":{"type":"unavailable_shards_exception","reason":"none"}}},
            {"create":{"status":400,"error":{"type":"mapper_parsing_exception","reason":"no number"}}},
            {"create":{"status":403,"error":{"type":"security_exception","reason":"no permissions"}}},
            {"create":{"status":403,"error":{"type":"cluster_block_exception","reason":"read-only"}}}]}"#;
        let Outcome::Items(fates) = judge(&answer(200, body), 7) else {
            panic!("no items")
        };
        let [
            Fate::Done,
            Fate::Known,
            Fate::Again(_),
            Fate::Again(_),
            Fate::Refused(no_number),
            Fate::Again(_),
            Fate::Refused(blocked),
        ] = fates.as_slice()
        else {
            panic!("{fates:?}")
        };
        assert_eq!((no_number.status, no_number.why.as_str()), (400, "no number"));
        assert_eq!(blocked.kind, "cluster_block_exception");
    }

    #[test]
    fn an_answer_that_says_nothing_is_no_yes() {
        let whole = r#"{"errors":false,"items":[{"create":{"status":201}}]}"#;
        assert_eq!(judge(&answer(200, whole), 1), Outcome::Done);
        let two = whole.replace("}]", "},{\"create\":{\"status\":201}}]");
        assert_eq!(judge(&answer(200, &two), 2), Outcome::Done);
        assert_eq!(reason(&judge(&answer(200, &two), 3)), "garbled");
        let spaced = whole.replace(':', ": ");
        assert_eq!(judge(&answer(200, &spaced), 1), Outcome::Items(vec![Fate::Done]));
        for (body, records) in [
            (whole, 2),
            ("{}", 0),
            ("", 1),
            ("<html>", 1),
            (&whole[..whole.len() - 3], 1),
            (r#"{"errors":false,"items":[{"index":{"status":201}}]}"#, 1),
            (r#"{"errors":false,"items":[{"create":{"status":429}}]}"#, 1),
        ] {
            assert_eq!(reason(&judge(&answer(200, body), records)), "garbled", "{body}");
        }
    }

    #[test]
    fn a_request_is_parted_only_when_opensearch_itself_minds_it() {
        let parse =
            r#"{"error":{"type":"illegal_argument_exception","reason":"Malformed action"},"status":400}"#;
        assert_eq!(reason(&judge(&answer(400, parse), 3)), "parts");
        assert_eq!(reason(&judge(&answer(413, ""), 3)), "parts");
        assert_eq!(
            reason(&judge(&Err(ClientError::TooLong { limit_bytes: 9 }), 3)),
            "parts"
        );
        assert_eq!(
            reason(&judge(&answer(400, "<h1>Bad Request</h1>"), 3)),
            "unexpected"
        );
        assert_eq!(reason(&judge(&answer(403, r#"{"error":"no"}"#), 3)), "forbidden");
        assert_eq!(reason(&judge(&answer(429, ""), 3)), "pushed_back");
        assert_eq!(reason(&judge(&answer(502, "x"), 3)), "server_error");
        assert_eq!(reason(&judge(&answer(302, ""), 3)), "unexpected");
        assert_eq!(reason(&judge(&Err(ClientError::Broken("x".into())), 3)), "broken");
    }
}
