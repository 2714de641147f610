//! Container images made of plain files, without a daemon: an OCI archive of one layer.
//!
//! The same files give the same bytes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// `Image::new("lab.local/skopos:1").entrypoint(&["/skopos"]).user("65532:0").file("/skopos", &built, 0o755)`; pods of it say
/// `imagePullPolicy: Never`.
#[derive(Clone, Debug)]
pub struct Image {
    reference: String,
    config: Map<String, Value>,
    /// In the order in which they were named.
    entries: Vec<(String, u32, Option<PathBuf>)>,
}

impl Image {
    #[must_use]
    pub fn new(reference: &str) -> Self {
        Self {
            reference: reference.to_owned(),
            config: Map::new(),
            entries: Vec::new(),
        }
    }

    #[must_use]
    pub fn entrypoint(self, words: &[&str]) -> Self {
        self.config("Entrypoint", json!(words))
    }

    /// `65532:0`: whom it runs as, and of which group.
    #[must_use]
    pub fn user(self, user: &str) -> Self {
        self.config("User", json!(user))
    }

    /// Any other field of an image's configuration, such as `Env` or `WorkingDir`.
    #[must_use]
    pub fn config(mut self, name: &str, value: Value) -> Self {
        self.config.insert(name.to_owned(), value);
        self
    }

    /// A file of this machine under a name in the image; folders above it come by themselves.
    #[must_use]
    pub fn file(mut self, name: &str, from: &Path, mode: u32) -> Self {
        self.parents(name);
        self.entries
            .push((inside(name).to_owned(), mode, Some(from.to_owned())));
        self
    }

    /// A program of this machine under a name in the image, with the libraries that it is linked to.
    ///
    /// # Panics
    /// `ldd` cannot say which.
    #[must_use]
    pub fn program(self, name: &str, from: &Path) -> Self {
        let (code, said) = programs::run(Command::new("ldd").arg(from));
        let image = self.file(name, from, 0o755);
        if said.contains("not a dynamic executable") || said.contains("statically linked") {
            return image;
        }
        assert!(
            code == 0 && !said.contains("not found"),
            "{}: {said}",
            from.display()
        );
        let paths = said.split_whitespace().filter(|word| word.starts_with('/'));
        paths.fold(image, |image, path| {
            let known = image.entries.iter().any(|(name, ..)| name == inside(path));
            if known {
                image
            } else {
                image.file(path, Path::new(path), 0o755)
            }
        })
    }

    /// An empty folder.
    #[must_use]
    pub fn folder(mut self, name: &str, mode: u32) -> Self {
        self.parents(name);
        self.entries.push((format!("{}/", inside(name)), mode, None));
        self
    }

    #[must_use]
    pub fn reference(&self) -> &str {
        &self.reference
    }

    fn parents(&mut self, name: &str) {
        let name = inside(name);
        for (place, _) in name.match_indices('/') {
            let folder = format!("{}/", &name[..place]);
            if !self.entries.iter().any(|(known, ..)| *known == folder) {
                self.entries.push((folder, 0o755, None));
            }
        }
    }

    /// The archive, as `ctr images import` takes it.
    ///
    /// # Panics
    /// A file cannot be read.
    #[must_use]
    pub fn archive(&self) -> Vec<u8> {
        let mut layer = Vec::new();
        for (name, mode, from) in &self.entries {
            let read = |from| fs::read(from).unwrap_or_else(|error| panic!("{name} of an image: {error}"));
            let content = from.as_ref().map(read);
            put(&mut layer, name, *mode, content.as_deref());
        }
        close(&mut layer);
        let config = json!({
            "architecture": "amd64", "os": "linux", "created": "1970-01-01T00:00:00Z", "config": self.config,
            "rootfs": { "type": "layers", "diff_ids": [digest(&layer)] },
        })
        .to_string();
        let manifest = json!({
            "schemaVersion": 2, "mediaType": media("manifest.v1+json"),
            "config": descriptor("config.v1+json", config.as_bytes()),
            "layers": [descriptor("layer.v1.tar", &layer)],
        })
        .to_string();
        let mut described = descriptor("manifest.v1+json", manifest.as_bytes());
        described["platform"] = json!({ "architecture": "amd64", "os": "linux" });
        let tag = self.reference.rsplit(':').next();
        described["annotations"] = json!({
            "io.containerd.image.name": self.reference, "org.opencontainers.image.ref.name": tag,
        });
        let index = json!({
            "schemaVersion": 2, "mediaType": media("index.v1+json"), "manifests": [described],
        });
        let mut archive = Vec::with_capacity(layer.len() + (1 << 14));
        put(
            &mut archive,
            "oci-layout",
            0o644,
            Some(br#"{"imageLayoutVersion":"1.0.0"}"#),
        );
        put(
            &mut archive,
            "index.json",
            0o644,
            Some(index.to_string().as_bytes()),
        );
        for blob in [layer.as_slice(), config.as_bytes(), manifest.as_bytes()] {
            let name = format!("blobs/{}", digest(blob).replace(':', "/"));
            put(&mut archive, &name, 0o644, Some(blob));
        }
        close(&mut archive);
        archive
    }
}

fn inside(name: &str) -> &str {
    name.trim_matches('/')
}

fn media(kind: &str) -> String {
    format!("application/vnd.oci.image.{kind}")
}

fn descriptor(kind: &str, blob: &[u8]) -> Value {
    json!({ "mediaType": media(kind), "digest": digest(blob), "size": blob.len() })
}

fn digest(blob: &[u8]) -> String {
    let hash = Sha256::digest(blob);
    let digits: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{digits}")
}

/// A block of a tar archive.
const BLOCK_BYTES: usize = 512;

/// A file of root's, or a folder if there is no content: the header of ustar, then the content in whole blocks.
fn put(tar: &mut Vec<u8>, name: &str, mode: u32, content: Option<&[u8]>) {
    assert!(name.len() < 100, "a longer name does not fit: {name}");
    let bytes = content.unwrap_or_default().len();
    let mut header = [0; BLOCK_BYTES];
    let mut set = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    set(0, name);
    set(100, &format!("{mode:07o}"));
    set(108, "0000000");
    set(116, "0000000");
    set(124, &format!("{bytes:011o}"));
    set(136, "00000000000");
    // While they are summed the digits of the sum count as spaces.
    set(148, "        ");
    set(156, if content.is_some() { "0" } else { "5" });
    set(257, "ustar\u{0}00");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\u{0} ").as_bytes());
    tar.extend(header);
    tar.extend(content.unwrap_or_default());
    tar.resize(tar.len().next_multiple_of(BLOCK_BYTES), 0);
}

fn close(tar: &mut Vec<u8>) {
    tar.resize(tar.len() + 2 * BLOCK_BYTES, 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tar_reads_what_is_written_with_its_folders_and_rights() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("program");
        fs::write(&program, vec![7; 700]).unwrap();
        let image = Image::new("lab.local/one:1")
            .file("/usr/bin/program", &program, 0o755)
            .folder("/tmp", 0o777);
        let archive = folder.path().join("one.tar");
        fs::write(&archive, image.archive()).unwrap();
        assert_eq!(image.archive(), fs::read(&archive).unwrap());
        let tar = |words: &[&str]| {
            let (code, said) = programs::run(Command::new("tar").current_dir(folder.path()).args(words));
            assert_eq!(code, 0, "{said}");
            said
        };
        tar(&["-xf", "one.tar"]);
        let index: Value =
            serde_json::from_slice(&fs::read(folder.path().join("index.json")).unwrap()).unwrap();
        let manifest = index["manifests"][0]["digest"]
            .as_str()
            .unwrap()
            .replace(':', "/");
        let manifest = fs::read(folder.path().join("blobs").join(manifest)).unwrap();
        let manifest: Value = serde_json::from_slice(&manifest).unwrap();
        let layer = manifest["layers"][0]["digest"]
            .as_str()
            .unwrap()
            .replace(':', "/");
        let listed = tar(&["-tvf", &format!("blobs/{layer}"), "--numeric-owner"]);
        let lines: Vec<(&str, &str)> = listed
            .lines()
            .map(|line| (&line[..10], line.rsplit(' ').next().unwrap()))
            .collect();
        assert_eq!(
            lines,
            [
                ("drwxr-xr-x", "usr/"),
                ("drwxr-xr-x", "usr/bin/"),
                ("-rwxr-xr-x", "usr/bin/program"),
                ("drwxrwxrwx", "tmp/")
            ]
        );
    }
}
