//! `image`: builds Skopos statically and writes an image of it, without a daemon and without a network.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it is for a person at a terminal"
)]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, bail, ensure};
use clap::Parser;
use image::{elf, layout};
use serde_json::Value;

/// Builds Skopos as one static program and writes an image of it that holds nothing else but the authorities it trusts.
///
/// Neither a daemon nor a network is needed. The same commit, toolchain and authorities give the same bytes.
#[derive(Debug, Parser)]
#[command(name = "image")]
struct Arguments {
    /// What the image is called, as the chart's image.repository and image.tag will name it.
    #[arg(long, value_name = "NAME:TAG", default_value_t = format!("skopos:{}", env!("CARGO_PKG_VERSION")))]
    reference: String,
    /// Where the archive is written.
    #[arg(short, long, value_name = "FILE", default_value = "target/skopos.tar")]
    output: PathBuf,
    /// What to build for, as rustc names it. Another processor than this one needs a C compiler and linker for it.
    #[arg(long, value_name = "TRIPLE", default_value_t = format!("{}-unknown-linux-gnu", env::consts::ARCH))]
    target: String,
    /// A static program that is built already; nothing is built.
    #[arg(long, value_name = "FILE", conflicts_with = "target")]
    program: Option<PathBuf>,
    /// Certificates of the authorities that are trusted, as PEM: this machine's, or those of your company in one file with them.
    #[arg(long, value_name = "FILE", default_value = layout::AUTHORITIES)]
    authorities: PathBuf,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("image: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    // Before minutes are spent on building.
    let authorities = certificates(&arguments.authorities)?;
    let program = match &arguments.program {
        Some(program) => program.clone(),
        None => built(&arguments.target)?,
    };
    let reading = || format!("reading {}", program.display());
    let architecture = elf::architecture_if_static(&fs::read(&program).with_context(reading)?)
        .with_context(|| program.display().to_string())?;
    let revision = git(&["describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]);
    let mut image = layout::of(&arguments.reference, &program, &arguments.authorities)
        .architecture(architecture)
        .packed()
        .config(
            "Labels",
            layout::labels(env!("CARGO_PKG_VERSION"), revision.as_deref()),
        );
    if let Some(time) = git(&["show", "--no-patch", "--format=%cI", "HEAD"]) {
        image = image.created(&time);
    }
    if let Some(folder) = arguments.output.parent() {
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    }
    let archive = image.write(&arguments.output)?;
    let (reference, file) = (&arguments.reference, arguments.output.display());
    println!(
        "{file}: {reference} for linux/{architecture}, {:.1} MiB, {}, trusts {authorities} authorities.",
        mebibytes(archive.bytes.len()),
        archive.digest
    );
    println!("Into a registry:  skopeo copy oci-archive:{file} docker://{reference}");
    println!("Into Docker:      docker load --input {file}");
    println!("Into containerd:  ctr --namespace k8s.io images import {file}");
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "for a person")]
fn mebibytes(bytes: usize) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// How many there are in the file.
fn certificates(file: &Path) -> anyhow::Result<usize> {
    let said = || {
        format!(
            "reading {} (on Debian it comes with ca-certificates; --authorities names another)",
            file.display()
        )
    };
    let text = fs::read_to_string(file).with_context(said)?;
    let count = text.matches("-----BEGIN CERTIFICATE-----").count();
    ensure!(
        count > 0,
        "{} has no certificates in PEM: nothing could be reached by HTTPS",
        file.display()
    );
    Ok(count)
}

/// What cargo says of it is shown; the file that came of it is returned.
fn built(target: &str) -> anyhow::Result<PathBuf> {
    let flags = env::var("RUSTFLAGS").unwrap_or_default();
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let done = Command::new(cargo)
        .args(["build", "--locked", "--release", "--package", "skopos"])
        // Named, so that programs of the build itself are built as ever.
        .args(["--target", target, "--message-format", "json-render-diagnostics"])
        .env(
            "RUSTFLAGS",
            format!("{flags} -C target-feature=+crt-static").trim(),
        )
        .stderr(Stdio::inherit())
        .output()
        .context("running cargo")?;
    if !done.status.success() {
        bail!("the build for {target} failed: {}", done.status);
    }
    program_of(&String::from_utf8_lossy(&done.stdout)).context("cargo names no program that it has built")
}

/// From cargo's messages, one JSON object a line.
fn program_of(messages: &str) -> Option<PathBuf> {
    let told = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut programs = told.filter(|message| {
        message["reason"] == "compiler-artifact"
            && message["target"]["name"] == "skopos"
            && message["executable"].is_string()
    });
    programs
        .next()
        .and_then(|message| message["executable"].as_str().map(PathBuf::from))
}

/// Nothing where there is no git, or no repository, as in an archive of the sources.
fn git(words: &[&str]) -> Option<String> {
    let done = Command::new("git")
        .args(words)
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let said = String::from_utf8(done.stdout).ok()?;
    Some(said.trim().to_owned()).filter(|said| done.status.success() && !said.is_empty())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn what_can_be_typed_is_right() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn what_would_not_run_is_refused_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            fs::write(folder.path().join(name), text).unwrap();
            folder.path().join(name).display().to_string()
        };
        let own = env::current_exe().unwrap().display().to_string();
        let (script, output) = (file("script", "#!/bin/sh\n"), file("image.tar", "older"));
        let trusted = file("trusted", "-----BEGIN CERTIFICATE-----\n");
        let empty = file("empty", "");
        let missing = folder.path().join("none").display().to_string();
        for (program, authorities, expected) in [
            (&own, &trusted, "it is linked dynamically"),
            (&script, &trusted, "it is no 64-bit program of Linux"),
            (&missing, &trusted, "reading "),
            (&own, &empty, "has no certificates in PEM"),
            (&own, &missing, "it comes with ca-certificates"),
        ] {
            let words = [
                "image",
                "--program",
                program,
                "--authorities",
                authorities,
                "--output",
                &output,
            ];
            let said = format!("{:#}", run(&Arguments::parse_from(words)).unwrap_err());
            assert!(said.contains(expected), "{said}");
        }
        assert_eq!(
            fs::read_to_string(output).unwrap(),
            "older",
            "what was there is untouched"
        );
    }

    #[test]
    fn cargo_says_what_it_has_built() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","target":{"name":"skopos","kind":["lib"]},"executable":null}"#,
            "\n",
            r#"{"reason":"compiler-artifact","target":{"name":"build-script-build"},"executable":null}"#,
            "\n",
            r#"{"reason":"compiler-artifact","target":{"name":"skopos","kind":["bin"]},"executable":"/there/skopos"}"#,
            "\n",
            r#"{"reason":"build-finished","success":true}"#,
        );
        assert_eq!(program_of(messages), Some("/there/skopos".into()));
        assert_eq!(program_of("nothing"), None);
    }
}
