//! What is the same for all that is asked of AWS.

use serde::Deserialize;

/// Section `aws`. Who we are is found in AWS' usual places, so that most leave it empty.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The region where neither the request's own section nor `AWS_REGION` nor the profile names one.
    pub region: String,
    /// Whether the machine's own role counts, when no other place has credentials. On a node of Kubernetes it is the role of
    /// everything that runs there, which is why it has to be asked for.
    pub imds: bool, // imds: false
}

impl Config {
    /// What is wrong with it, each a sentence that begins with the key.
    #[must_use]
    pub fn check(&self) -> Vec<String> {
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if self.region.bytes().all(is_word) {
            return Vec::new();
        }
        vec![format!(
            "region: {:?} has more in it than letters, digits and -",
            self.region
        )]
    }
}
