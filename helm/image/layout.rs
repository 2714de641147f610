//! What is in the image of Skopos, and as whom it runs: the program, the authorities that it trusts, and a folder for its data.

use std::path::Path;

use serde_json::{Value, json};

use crate::Image;

/// Nobody, of root's group: files of the node that only root's group reads can be read.
pub const USER: &str = "65532:0";
/// Where `rustls` looks first for whom to trust.
pub const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";
pub const PROGRAM: &str = "/skopos";

/// `program` has to be static, or the caller adds what it is linked to.
#[must_use]
pub fn of(reference: &str, program: &Path, authorities: &Path) -> Image {
    Image::new(reference)
        .user(USER)
        .entrypoint(&[PROGRAM])
        .config("WorkingDir", json!("/"))
        .config("ExposedPorts", json!({ "9464/tcp": {} }))
        .file(AUTHORITIES, authorities, 0o644)
        // `--data-dir data`, the default, is this one; a volume that is mounted there has its rights at first.
        .folder("/data", 0o777)
        .file(PROGRAM, program, 0o755)
}

/// Labels by which a registry says what it has; `revision` is the commit, when it is known.
#[must_use]
pub fn labels(version: &str, revision: Option<&str>) -> Value {
    let mut labels = json!({
        "org.opencontainers.image.title": "skopos",
        "org.opencontainers.image.description": "One agent that reads, keeps, ships, asks and tells",
        "org.opencontainers.image.licenses": "Apache-2.0",
        "org.opencontainers.image.version": version,
    });
    if let Some(revision) = revision {
        labels["org.opencontainers.image.revision"] = json!(revision);
    }
    labels
}
