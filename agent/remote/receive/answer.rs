//! What a sender is told.

use model::NoExemplar;
use model::outside::{Call, Response, Role};

use super::intake::{Counts, Protocol};

/// A request of which nothing is kept.
pub(crate) struct Refusal {
    pub(crate) status: u16,
    /// Out of a closed set.
    pub(crate) reason: &'static str,
    pub(crate) sentence: String,
    pub(crate) retry_after_seconds: Option<u32>,
}

impl Refusal {
    pub(crate) fn new(status: u16, reason: &'static str, sentence: impl Into<String>) -> Self {
        Self {
            status,
            reason,
            sentence: sentence.into(),
            retry_after_seconds: None,
        }
    }

    /// 503: nothing is wrong with it, and it should come again.
    pub(crate) fn later(reason: &'static str, sentence: impl Into<String>, seconds: u32) -> Self {
        Self {
            retry_after_seconds: Some(seconds),
            ..Self::new(503, reason, sentence)
        }
    }

    pub(crate) fn response(self) -> Response {
        let mut headers = vec![("content-type".to_owned(), "text/plain; charset=utf-8".to_owned())];
        if let Some(seconds) = self.retry_after_seconds {
            headers.push(("retry-after".to_owned(), seconds.to_string()));
        }
        if self.status == 405 {
            headers.push(("allow".to_owned(), "POST".to_owned()));
        }
        Response {
            status: self.status,
            headers,
            body: format!("{}\n", self.sentence).into_bytes(),
        }
    }
}

/// Which message a call carries. Without a type it is 1.0, without an encoding snappy, as receivers everywhere do.
pub(crate) fn protocol(call: &Call) -> Result<Protocol, Refusal> {
    if call.method != "POST" {
        return Err(Refusal::new(405, "method", "samples are written with POST"));
    }
    let encoding = call.header("content-encoding").unwrap_or("snappy").trim();
    if !encoding.eq_ignore_ascii_case("snappy") {
        let why = format!("encoding {encoding:?} is not read here; use snappy");
        return Err(Refusal::new(415, "encoding", why));
    }
    let kind = call.header("content-type").unwrap_or(PROTOBUF);
    let mut words = kind.split(';').map(str::trim);
    if !words
        .next()
        .is_some_and(|word| word.eq_ignore_ascii_case(PROTOBUF))
    {
        let why = format!("type {kind:?} is not read here; use {PROTOBUF}");
        return Err(Refusal::new(415, "type", why));
    }
    let mut parameters = words.filter_map(|word| word.split_once('='));
    let message = parameters.find(|(name, _)| name.trim().eq_ignore_ascii_case("proto"));
    match message.map(|(_, message)| message.trim().trim_matches('"')) {
        None | Some("prometheus.WriteRequest") => Ok(Protocol::One),
        Some("io.prometheus.write.v2.Request") => Ok(Protocol::Two),
        Some(other) => {
            let why = format!("message {other:?} is not read here; use io.prometheus.write.v2.Request");
            Err(Refusal::new(415, "type", why))
        }
    }
}

const PROTOBUF: &str = "application/x-protobuf";

/// 204, or 400 when something is missing that a repeat would not bring either.
pub(crate) fn written(counts: &Counts, protocol: Protocol, role: Role) -> Response {
    let (kept, histograms) = (&counts.kept, &counts.histograms);
    let mut missing: Vec<(&'static str, usize)> = counts
        .refused
        .iter()
        .map(|(reason, samples)| (*reason, *samples))
        .collect();
    // Of a node's backlog a part may have arrived by another way; a writer should hear of its mistake.
    let late = if role == Role::Writer {
        kept.out_of_order + histograms.out_of_order
    } else {
        0
    };
    for (reason, samples) in [
        ("out_of_order", late),
        ("out_of_bounds", counts.out_of_bounds),
        ("native_histogram", histograms.refused),
        ("unknown", kept.unknown + histograms.unknown),
    ] {
        if samples > 0 {
            missing.push((reason, samples));
        }
    }
    let mut headers = Vec::new();
    if protocol == Protocol::Two {
        // A duplicate is here, however it came.
        let here = NoExemplar::Duplicate.reason();
        let here = counts.exemplars_dropped.get(here).copied().unwrap_or(0);
        for (thing, count) in [
            ("samples", kept.kept + kept.duplicate),
            ("histograms", histograms.kept + histograms.duplicate),
            ("exemplars", counts.exemplars_kept + here),
        ] {
            headers.push((
                format!("x-prometheus-remote-write-{thing}-written"),
                count.to_string(),
            ));
        }
    }
    if missing.is_empty() {
        return Response {
            status: 204,
            headers,
            body: Vec::new(),
        };
    }
    headers.push(("content-type".to_owned(), "text/plain; charset=utf-8".to_owned()));
    let listed: Vec<String> = missing
        .iter()
        .map(|(reason, samples)| format!("{reason} {samples}"))
        .collect();
    let first = counts
        .complaint
        .as_ref()
        .map_or_else(String::new, |why| format!("; the first: {why}"));
    Response {
        status: 400,
        headers,
        body: format!("not all samples are kept: {}{first}\n", listed.join(", ")).into_bytes(),
    }
}
