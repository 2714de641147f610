//! What AWS says to a request, and what follows from it.
//!
//! An event is done when the request was taken and no part of the answer says that it was left out. What may pass
//! (throttling, 5xx, rights that somebody can still grant) is sent again; an answer that says nothing, likewise, and what was
//! taken then is there twice.

use std::error::Error;

use aws_sdk_cloudwatchlogs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_cloudwatchlogs::types::RejectedLogEventsInfo;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use model::outside::ClientError;

use crate::sink::Refusal;

/// Why a request came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The group or the stream is not there.
    Missing(String),
    /// What was to be made is there already.
    Exists,
    /// Something in it is not taken, or its size.
    Invalid(Refusal),
    /// All of it again, later. `reason` is fit for a label.
    Again { reason: &'static str, why: String },
}

/// Kinds of events that AWS leaves out of a request that it takes.
pub(crate) const TOO_OLD: &str = "too_old";
pub(crate) const EXPIRED: &str = "expired";
pub(crate) const TOO_NEW: &str = "too_new";

/// Which of `events` events AWS has left out: their places in the request, and why. They stand in the order of time, so
/// that the old ones are at the front and the new ones at the end.
pub(crate) fn left_out(info: Option<&RejectedLogEventsInfo>, events: usize) -> Vec<(usize, &'static str)> {
    let Some(info) = info else {
        return Vec::new();
    };
    let place = |index: Option<i32>| index.map(|index| usize::try_from(index).unwrap_or(0).min(events));
    let old = place(info.too_old_log_event_end_index()).unwrap_or(0);
    let expired = place(info.expired_log_event_end_index()).unwrap_or(0);
    let new = place(info.too_new_log_event_start_index()).unwrap_or(events);
    let why = |nth: usize| match () {
        () if nth < old => Some(TOO_OLD),
        () if nth < expired => Some(EXPIRED),
        () if nth >= new => Some(TOO_NEW),
        () => None,
    };
    (0..events).filter_map(|nth| Some((nth, why(nth)?))).collect()
}

/// A sentence of AWS for a kind of event that it leaves out.
pub(crate) fn sentence(kind: &str) -> &'static str {
    match kind {
        TOO_OLD => "AWS takes no event that is older than 14 days",
        EXPIRED => "the event is older than the retention of its log group",
        _ => "AWS takes no event that is more than 2 hours in the future",
    }
}

pub(crate) fn failure<E>(error: &SdkError<E, HttpResponse>) -> Failure
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let again = |reason, why: String| Failure::Again { reason, why };
    let status = error.raw_response().map_or(0, |raw| raw.status().as_u16());
    match error {
        SdkError::ServiceError(said) => judged(status, said.err().code(), said.err().message()),
        SdkError::ResponseError(_) if status >= 500 => again("server_error", format!("{status}")),
        SdkError::ResponseError(_) => again("garbled", format!("{status} with {}", aws::innermost(error))),
        SdkError::TimeoutError(_) => again("timeout", "no answer in time".to_owned()),
        other => match aws::cause::<ClientError>(other) {
            Some(error) => again(error.reason(), error.to_string()),
            // Credentials, or what the SDK does not send.
            None => again("unsigned", aws::innermost(other)),
        },
    }
}

fn judged(status: u16, code: Option<&str>, message: Option<&str>) -> Failure {
    let code = code.unwrap_or_default();
    let why = match (code, message) {
        ("", None) => status.to_string(),
        ("", Some(message)) => format!("{status}: {message}"),
        (code, None) => code.to_owned(),
        (code, Some(message)) => format!("{code}: {message}"),
    };
    let refusal = |kind: &str| Refusal {
        status,
        kind: kind.to_owned(),
        why: message.unwrap_or(code).to_owned(),
    };
    let again = |reason| Failure::Again {
        reason,
        why: why.clone(),
    };
    match code {
        "ResourceNotFoundException" => Failure::Missing(why),
        "ResourceAlreadyExistsException" => Failure::Exists,
        // About the names of the request and not about an event: then it is none of the events' fault.
        "InvalidParameterException" if why.contains("logGroup") || why.contains("logStream") => {
            again("refused")
        }
        "InvalidParameterException" | "SerializationException" | "ValidationException" => {
            Failure::Invalid(refusal(code))
        }
        "ThrottlingException" | "LimitExceededException" | "OperationAbortedException" => {
            again("pushed_back")
        }
        "ServiceUnavailableException" => again("server_error"),
        "AccessDeniedException"
        | "UnrecognizedClientException"
        | "InvalidSignatureException"
        | "ExpiredTokenException"
        | "MissingAuthenticationTokenException"
        | "IncompleteSignatureException" => again("forbidden"),
        _ => match status {
            413 => Failure::Invalid(refusal("too_large")),
            429 => again("pushed_back"),
            401 | 403 => again("forbidden"),
            500.. => again("server_error"),
            _ => again("unexpected"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_stands_at_the_ends() {
        let info = |old: Option<i32>, expired: Option<i32>, new: Option<i32>| {
            RejectedLogEventsInfo::builder()
                .set_too_old_log_event_end_index(old)
                .set_expired_log_event_end_index(expired)
                .set_too_new_log_event_start_index(new)
                .build()
        };
        assert_eq!(left_out(None, 3), []);
        assert_eq!(left_out(Some(&info(None, None, None)), 3), []);
        assert_eq!(
            left_out(Some(&info(Some(1), Some(2), Some(4))), 5),
            [(0, TOO_OLD), (1, EXPIRED), (4, TOO_NEW)]
        );
        // Whatever it says is about events that were sent.
        assert_eq!(left_out(Some(&info(Some(9), None, Some(-1))), 2).len(), 2);
        assert_eq!(left_out(Some(&info(None, None, Some(9))), 2), []);
    }

    #[test]
    fn only_what_aws_minds_of_the_events_themselves_is_held_against_them() {
        let reason = |status, code: &str, message: &str| match judged(status, Some(code), Some(message)) {
            Failure::Again { reason, .. } => reason,
            Failure::Missing(_) => "missing",
            Failure::Exists => "exists",
            Failure::Invalid(_) => "invalid",
        };
        for (status, code, message, want) in [
            (
                400,
                "InvalidParameterException",
                "must be in chronological order",
                "invalid",
            ),
            (
                400,
                "InvalidParameterException",
                "value at 'logGroupName' failed",
                "refused",
            ),
            (400, "ResourceNotFoundException", "no group", "missing"),
            (400, "ResourceAlreadyExistsException", "there", "exists"),
            (400, "ThrottlingException", "Rate exceeded", "pushed_back"),
            (400, "LimitExceededException", "", "pushed_back"),
            (400, "AccessDeniedException", "not authorized", "forbidden"),
            (400, "UnrecognizedClientException", "", "forbidden"),
            (500, "ServiceUnavailableException", "", "server_error"),
            (500, "InternalFailure", "", "server_error"),
            (413, "RequestEntityTooLarge", "", "invalid"),
            (403, "Whatever", "", "forbidden"),
            (418, "Teapot", "", "unexpected"),
        ] {
            assert_eq!(reason(status, code, message), want, "{status} {code}");
        }
    }
}
