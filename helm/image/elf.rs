//! What a program file is for, by its ELF header: which processor, and whether it needs a loader and libraries beside it.

use anyhow::{Context, bail, ensure};

/// `PT_INTERP`: the segment that names the loader.
const INTERPRETER: u32 = 3;

/// The architecture in the words of OCI (those of Go), of a program that needs nothing beside itself.
///
/// # Errors
/// It is not a program of Linux for a 64-bit processor that we know, or it is linked dynamically.
pub fn architecture_if_static(program: &[u8]) -> anyhow::Result<&'static str> {
    let architecture = architecture(program)?;
    let loader = loader(program).context("its ELF header is cut off")?;
    ensure!(
        !loader,
        "it is linked dynamically, and an image of nothing else has no libraries: build it with \
         RUSTFLAGS='-C target-feature=+crt-static' and --target"
    );
    Ok(architecture)
}

/// # Errors
/// It is not a program of Linux for a 64-bit processor that we know.
pub fn architecture(program: &[u8]) -> anyhow::Result<&'static str> {
    // Magic, 64 bits, little-endian.
    ensure!(
        program.starts_with(b"\x7fELF\x02\x01"),
        "it is no 64-bit program of Linux"
    );
    match number::<2>(program, 18) {
        Some(62) => Ok("amd64"),
        Some(183) => Ok("arm64"),
        machine => bail!("it is for a processor that has no name here (e_machine {machine:?})"),
    }
}

fn loader(program: &[u8]) -> Option<bool> {
    let (table, bytes, count) = (
        number::<8>(program, 32)?,
        number::<2>(program, 54)?,
        number::<2>(program, 56)?,
    );
    for nth in 0..count {
        let header = usize::try_from(table.checked_add(nth * bytes)?).ok()?;
        if number::<4>(program, header)? == u64::from(INTERPRETER) {
            return Some(true);
        }
    }
    Some(false)
}

fn number<const BYTES: usize>(program: &[u8], at: usize) -> Option<u64> {
    let bytes = program.get(at..at.checked_add(BYTES)?)?;
    Some(
        bytes
            .iter()
            .rev()
            .fold(0, |number, byte| number << 8 | u64::from(*byte)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_very_test_is_linked_dynamically_and_said_to_be() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let expected = if cfg!(target_arch = "x86_64") {
            "amd64"
        } else {
            "arm64"
        };
        assert_eq!(architecture(&own).unwrap(), expected);
        assert_eq!(
            architecture_if_static(&own).is_err(),
            cfg!(not(target_feature = "crt-static"))
        );
    }

    #[test]
    fn what_is_no_program_is_refused_at_any_length() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        for bytes in 0..64 {
            assert!(architecture_if_static(&own[..bytes]).is_err(), "{bytes}");
        }
        assert!(architecture_if_static(b"#!/bin/sh\n").is_err());
        let mut far = own[..64].to_vec();
        far[32..40].fill(0xff);
        assert!(architecture_if_static(&far).is_err());
    }
}
