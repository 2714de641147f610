//! What AWS' SDK says of a failure, as one sentence.

use std::error::Error;

use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sts::operation::assume_role::AssumeRoleError;
use aws_sdk_sts::operation::assume_role_with_web_identity::AssumeRoleWithWebIdentityError;

/// What a server said, or the innermost cause.
pub(crate) fn explained(error: &(dyn Error + 'static)) -> String {
    let mut cause = Some(error);
    while let Some(this) = cause {
        let said = said::<AssumeRoleError>(this).or_else(|| said::<AssumeRoleWithWebIdentityError>(this));
        if let Some(said) = said {
            return said;
        }
        cause = this.source();
    }
    innermost(error)
}

/// `STS answers AccessDenied: …`.
fn said<E: ProvideErrorMetadata + Error + 'static>(error: &(dyn Error + 'static)) -> Option<String> {
    let error = match error.downcast_ref::<SdkError<E>>() {
        Some(error) => error.as_service_error()?,
        None => error.downcast_ref::<E>()?,
    };
    let code = error.code()?;
    Some(match error.message() {
        Some(message) => format!("STS answers {code}: {message}"),
        None => format!("STS answers {code}"),
    })
}

pub(crate) fn innermost(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
