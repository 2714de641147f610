//! Who we are, held to AWS' published signatures, to botocore, and to a fake that verifies all it is sent.

mod keeping;
mod places;
mod sign;
