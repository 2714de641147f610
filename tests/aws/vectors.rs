//! The requests that AWS publishes with their signatures, as the crate that signs brings them along.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::Asked;

/// A request as it is to be signed, and its signature.
#[derive(Debug)]
pub struct Vector {
    pub name: String,
    /// What is said of it; null for two that stand without.
    pub context: Value,
    pub request: Asked,
    pub signed: Asked,
}

/// All of Signature Version 4, or nothing where the crate's sources are not to be had.
///
/// # Panics
/// One of them cannot be read.
#[must_use]
pub fn all() -> Option<Vec<Vector>> {
    let mut folders: Vec<PathBuf> = fs::read_dir(folder()?)
        .ok()?
        .flatten()
        .map(|entry| entry.path())
        .collect();
    folders.sort();
    Some(folders.iter().map(|folder| read(folder)).collect())
}

/// Where cargo has unpacked the crate.
fn folder() -> Option<PathBuf> {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let asked = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()))
        .args(["metadata", "--offline", "--locked", "--format-version", "1"])
        .args(["--manifest-path", manifest])
        .output()
        .ok()?;
    let known: Value = serde_json::from_slice(&asked.stdout).ok()?;
    let packages = known.get("packages")?.as_array()?;
    let signing = packages
        .iter()
        .find(|package| package.get("name").is_some_and(|name| name == "aws-sigv4"))?;
    let manifest = Path::new(signing.get("manifest_path")?.as_str()?);
    Some(manifest.parent()?.join("aws-signing-test-suite/v4")).filter(|folder| folder.is_dir())
}

fn read(folder: &Path) -> Vector {
    let file = |name: &str| fs::read_to_string(folder.join(name)).unwrap_or_default();
    Vector {
        name: folder
            .file_name()
            .expect("a folder has a name")
            .to_string_lossy()
            .into_owned(),
        context: serde_json::from_str(&file("context.json")).unwrap_or(Value::Null),
        request: request(&file("request.txt")),
        signed: request(&file("header-signed-request.txt")),
    }
}

/// A request as it goes over the wire, with a line break where two would be.
fn request(text: &str) -> Asked {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut lines = head.lines();
    let first = lines.next().unwrap_or_default();
    let (method, target) = first.split_once(' ').unwrap_or((first, ""));
    let target = target.strip_suffix(" HTTP/1.1").unwrap_or(target);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut headers: Vec<(String, String)> = Vec::new();
    for line in lines {
        match (line.split_once(':'), headers.last_mut()) {
            // A line that begins with a space goes on with the value before it.
            (_, Some((_, value))) if line.starts_with(' ') => {
                value.push(' ');
                value.push_str(line.trim());
            }
            (Some((name, value)), _) => headers.push((name.to_ascii_lowercase(), value.trim().to_owned())),
            (None, _) => {}
        }
    }
    Asked {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
        body: body.as_bytes().to_vec(),
    }
}
