//! Container images made of plain files, without a daemon: an archive of one layer, as OCI lays it out, that `docker load` takes, too.
//!
//! The same files give the same bytes.

pub mod elf;
pub mod layout;

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};
use flate2::{Compression, GzBuilder};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// `Image::new("registry.example.com/one:1").entrypoint(&["/one"]).user("65532:0").file("/one", &built, 0o755)`.
#[derive(Clone, Debug)]
pub struct Image {
    reference: String,
    architecture: &'static str,
    created: String,
    packed: bool,
    config: Map<String, Value>,
    /// In the order in which they were named.
    entries: Vec<(String, u32, Option<PathBuf>)>,
}

/// An image as bytes, and the digest by which a registry knows it.
pub struct Archive {
    pub bytes: Vec<u8>,
    pub digest: String,
}

impl Image {
    /// For the processor that this program runs on.
    #[must_use]
    pub fn new(reference: &str) -> Self {
        Self {
            reference: reference.to_owned(),
            architecture: if cfg!(target_arch = "aarch64") {
                "arm64"
            } else {
                "amd64"
            },
            created: "1970-01-01T00:00:00Z".to_owned(),
            packed: false,
            config: Map::new(),
            entries: Vec::new(),
        }
    }

    /// `amd64` or `arm64`.
    #[must_use]
    pub fn architecture(mut self, architecture: &'static str) -> Self {
        self.architecture = architecture;
        self
    }

    /// A time of RFC 3339, for those who list images by age.
    #[must_use]
    pub fn created(mut self, time: &str) -> Self {
        time.clone_into(&mut self.created);
        self
    }

    /// By gzip: shorter on its way, and longer until it is written.
    #[must_use]
    pub fn packed(mut self) -> Self {
        self.packed = true;
        self
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
    /// # Errors
    /// `ldd` cannot say which.
    pub fn program(self, name: &str, from: &Path) -> anyhow::Result<Self> {
        self.file(name, from, 0o755).with_libraries_of(from)
    }

    /// What the program is linked to, under the names that it knows it by.
    ///
    /// # Errors
    /// `ldd` cannot say what.
    pub fn with_libraries_of(mut self, program: &Path) -> anyhow::Result<Self> {
        let libraries =
            libraries(program).with_context(|| format!("the libraries of {}", program.display()))?;
        for path in &libraries {
            if !self.entries.iter().any(|(known, ..)| known == inside(path)) {
                self = self.file(path, Path::new(path), 0o755);
            }
        }
        Ok(self)
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

    /// As `skopeo copy oci-archive:`, `ctr images import` and `docker load` take it.
    ///
    /// # Errors
    /// A file cannot be read, or a name is too long for a header of ustar.
    pub fn archive(&self) -> anyhow::Result<Archive> {
        let mut layer = Vec::new();
        for (name, mode, from) in &self.entries {
            let content = from
                .as_ref()
                .map(|from| {
                    fs::read(from).with_context(|| format!("reading {} for the image", from.display()))
                })
                .transpose()?;
            put(&mut layer, name, *mode, content.as_deref())?;
        }
        close(&mut layer);
        let config = json!({
            "architecture": self.architecture, "os": "linux", "created": self.created, "config": self.config,
            "rootfs": { "type": "layers", "diff_ids": [digest(&layer)] },
        })
        .to_string();
        let (layer, kind) = if self.packed {
            (packed(&layer)?, "layer.v1.tar+gzip")
        } else {
            (layer, "layer.v1.tar")
        };
        let manifest = json!({
            "schemaVersion": 2, "mediaType": media("manifest.v1+json"),
            "config": descriptor("config.v1+json", config.as_bytes()),
            "layers": [descriptor(kind, &layer)],
        })
        .to_string();
        let mut described = descriptor("manifest.v1+json", manifest.as_bytes());
        described["platform"] = json!({ "architecture": self.architecture, "os": "linux" });
        described["annotations"] = json!({
            "io.containerd.image.name": self.reference, "org.opencontainers.image.ref.name": tag(&self.reference),
        });
        let index = json!({
            "schemaVersion": 2, "mediaType": media("index.v1+json"), "manifests": [described],
        });
        // Docker's own list of the same, which versions read that know no index.
        let docker = json!([{
            "Config": blob(config.as_bytes()), "RepoTags": [self.reference], "Layers": [blob(&layer)],
        }]);
        let mut bytes = Vec::with_capacity(layer.len() + (1 << 14));
        for (name, content) in [
            ("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#.as_slice()),
            ("index.json", index.to_string().as_bytes()),
            ("manifest.json", docker.to_string().as_bytes()),
            (&blob(config.as_bytes()), config.as_bytes()),
            (&blob(manifest.as_bytes()), manifest.as_bytes()),
            (&blob(&layer), &layer),
        ] {
            put(&mut bytes, name, 0o644, Some(content))?;
        }
        close(&mut bytes);
        Ok(Archive {
            bytes,
            digest: digest(manifest.as_bytes()),
        })
    }

    /// The same into a file, which is there whole or not at all.
    ///
    /// # Errors
    /// As above, or the file cannot be written.
    pub fn write(&self, file: &Path) -> anyhow::Result<Archive> {
        let archive = self.archive()?;
        let writing = || format!("writing {}", file.display());
        let folder = match file.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let mut beside = tempfile::NamedTempFile::new_in(folder).with_context(writing)?;
        beside.write_all(&archive.bytes).with_context(writing)?;
        // Else it would be its owner's alone.
        beside
            .as_file()
            .set_permissions(Permissions::from_mode(0o644))
            .with_context(writing)?;
        beside.persist(file).with_context(writing)?;
        Ok(archive)
    }
}

/// What stands behind the colon: `registry.example.com:5000/one` has none, and is `latest`.
fn tag(reference: &str) -> &str {
    match reference.rsplit_once(':') {
        Some((_, tag)) if !tag.contains('/') => tag,
        _ => "latest",
    }
}

/// None of what is linked statically.
fn libraries(program: &Path) -> anyhow::Result<Vec<String>> {
    let listed = Command::new("ldd").arg(program).output().context("running ldd")?;
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&listed.stdout),
        String::from_utf8_lossy(&listed.stderr)
    );
    if said.contains("not a dynamic executable") || said.contains("statically linked") {
        return Ok(Vec::new());
    }
    if !listed.status.success() || said.contains("not found") {
        bail!("{}", said.trim());
    }
    let words = said.split_whitespace();
    Ok(words
        .filter(|word| word.starts_with('/'))
        .map(str::to_owned)
        .collect())
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

/// Where it lies in the archive.
fn blob(content: &[u8]) -> String {
    format!("blobs/{}", digest(content).replace(':', "/"))
}

fn digest(blob: &[u8]) -> String {
    let hash = Sha256::digest(blob);
    let digits: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{digits}")
}

/// Without a time in it.
fn packed(layer: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut packer = GzBuilder::new().mtime(0).write(Vec::new(), Compression::new(6));
    packer.write_all(layer)?;
    Ok(packer.finish()?)
}

/// A block of a tar archive.
const BLOCK_BYTES: usize = 512;

/// A file of root's, or a folder if there is no content: the header of ustar, then the content in whole blocks.
fn put(tar: &mut Vec<u8>, name: &str, mode: u32, content: Option<&[u8]>) -> anyhow::Result<()> {
    ensure!(
        name.len() < 100,
        "a name of a hundred bytes does not fit into a header of ustar: {name}"
    );
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
    Ok(())
}

fn close(tar: &mut Vec<u8>) {
    tar.resize(tar.len() + 2 * BLOCK_BYTES, 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(command: &mut Command) -> String {
        let done = command.output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    }

    #[test]
    fn tar_and_sha256sum_agree_with_what_is_written() {
        for is_packed in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let program = folder.path().join("program");
            fs::write(&program, vec![7; 700]).unwrap();
            let mut image = Image::new("lab.local/one:1")
                .file("/usr/bin/program", &program, 0o755)
                .folder("/tmp", 0o777);
            if is_packed {
                image = image.packed();
            }
            let archive = folder.path().join("one.tar");
            let written = image.write(&archive).unwrap();
            assert_eq!(image.archive().unwrap().bytes, fs::read(&archive).unwrap());
            let tar = |words: &[&str]| run(Command::new("tar").current_dir(folder.path()).args(words));
            tar(&["-xf", "one.tar"]);
            let read = |name: &str| -> Value {
                serde_json::from_slice(&fs::read(folder.path().join(name)).unwrap()).unwrap()
            };
            let place = |digest: &Value| format!("blobs/{}", digest.as_str().unwrap().replace(':', "/"));
            let index = read("index.json");
            let manifest = &index["manifests"][0];
            assert_eq!(manifest["digest"], written.digest);
            let manifest = read(&place(&manifest["digest"]));
            let (config, layer) = (&manifest["config"], &manifest["layers"][0]);
            for (told, name) in [
                (config, place(&config["digest"])),
                (layer, place(&layer["digest"])),
            ] {
                let file = folder.path().join(&name);
                let sum = run(Command::new("sha256sum").arg(&file));
                assert!(told["digest"].as_str().unwrap().ends_with(&sum[..64]), "{name}");
                assert_eq!(told["size"], fs::metadata(&file).unwrap().len());
            }
            // What the configuration says of the layer it says of it unpacked.
            let layer = place(&layer["digest"]);
            let reader = if is_packed {
                "gzip --decompress --stdout"
            } else {
                "cat"
            };
            let sum = run(Command::new("sh")
                .current_dir(folder.path())
                .args(["-c", &format!("{reader} {layer} | sha256sum")]));
            let told = read(&place(&config["digest"]))["rootfs"]["diff_ids"][0].clone();
            assert_eq!(told, format!("sha256:{}", &sum[..64]));
            assert_eq!(
                read("manifest.json"),
                json!([{ "Config": place(&config["digest"]), "RepoTags": ["lab.local/one:1"], "Layers": [layer] }])
            );
            let listed = tar(&["-tvf", &layer, "--numeric-owner"]);
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

    #[test]
    fn a_colon_of_a_port_is_not_one_of_a_tag() {
        assert_eq!(tag("registry.example.com:5000/one"), "latest");
        assert_eq!(tag("registry.example.com:5000/one:2"), "2");
        assert_eq!(tag("one"), "latest");
    }

    #[test]
    fn what_cannot_be_read_is_named_and_nothing_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let (missing, output) = (folder.path().join("none"), folder.path().join("one.tar"));
        let image = Image::new("one").file("/one", &missing, 0o755);
        let said = format!("{:#}", image.write(&output).err().unwrap());
        assert!(said.contains("none for the image"), "{said}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
