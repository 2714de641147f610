//! What AWS' SDK says of a failure, as one sentence.

use std::error::Error;

use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sts::operation::assume_role::AssumeRoleError;
use aws_sdk_sts::operation::assume_role_with_web_identity::AssumeRoleWithWebIdentityError;

/// What a server said, or the innermost cause.
pub(crate) fn explained(error: &(dyn Error + 'static)) -> String {
    let said = causes(error).find_map(|this| {
        said::<AssumeRoleError>(this).or_else(|| said::<AssumeRoleWithWebIdentityError>(this))
    });
    said.unwrap_or_else(|| innermost(error))
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

/// The error that the SDK was given, somewhere behind its own words.
#[must_use]
pub fn cause<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    causes(error).find_map(|this| this.downcast_ref())
}

/// What it came from at last, in its own words.
#[must_use]
pub fn innermost(error: &(dyn Error + 'static)) -> String {
    causes(error).last().unwrap_or(error).to_string()
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| (*error).source())
}
