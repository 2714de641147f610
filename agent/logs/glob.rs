//! Globs over paths: `*`, `?`, `[a-z]`, `[!a-z]` inside one name, `**` over any number of folders.

use std::path::{Path, PathBuf};

/// A glob cut at its slashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Glob {
    /// Folders in front of the first wildcard.
    pub(crate) root: PathBuf,
    /// Names below the root, the last of them a file's; `**` stands alone.
    pub(crate) names: Vec<String>,
}

impl Glob {
    pub(crate) fn new(text: &str) -> Self {
        let mut parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty()).collect();
        let plain = parts
            .iter()
            .take(parts.len().saturating_sub(1))
            .take_while(|part| !has_wildcard(part))
            .count();
        let names = parts.split_off(plain);
        Self {
            root: Path::new("/").join(parts.join("/")),
            names: names.into_iter().map(str::to_owned).collect(),
        }
    }

    /// Whether the whole of `path` matches.
    pub(crate) fn matches(&self, path: &Path) -> bool {
        let Ok(rest) = path.strip_prefix(&self.root) else {
            return false;
        };
        let parts: Vec<String> = rest
            .iter()
            .map(|part| part.to_string_lossy().into_owned())
            .collect();
        path_matches(&self.names, &parts)
    }
}

fn has_wildcard(part: &str) -> bool {
    part.contains(['*', '?', '['])
}

fn path_matches(names: &[String], parts: &[String]) -> bool {
    match (names.split_first(), parts.split_first()) {
        (None, None) => true,
        (Some((name, below)), _) if name == "**" => {
            path_matches(below, parts)
                || parts
                    .split_first()
                    .is_some_and(|(_, deeper)| path_matches(names, deeper))
        }
        (Some((name, below)), Some((part, deeper))) => {
            name_matches(name.as_bytes(), part.as_bytes()) && path_matches(below, deeper)
        }
        _ => false,
    }
}

/// Whether one name matches one part of a glob. Linear but for the last `*`, which alone is ever tried again.
pub(crate) fn name_matches(glob: &[u8], name: &[u8]) -> bool {
    let (mut at, mut seen) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while seen < name.len() {
        match one(glob.get(at..).unwrap_or_default(), name.get(seen).copied()) {
            Step::Star => {
                star = Some((at + 1, seen));
                at += 1;
            }
            Step::Fits(length) => {
                at += length;
                seen += 1;
            }
            Step::No => match star {
                Some((after, begun)) => {
                    at = after;
                    seen = begun + 1;
                    star = Some((after, seen));
                }
                None => return false,
            },
        }
    }
    glob.get(at..)
        .is_some_and(|rest| rest.iter().all(|byte| *byte == b'*'))
}

enum Step {
    Star,
    /// The byte fits, and so many bytes of the glob are used up.
    Fits(usize),
    No,
}

fn one(glob: &[u8], byte: Option<u8>) -> Step {
    match (glob.first(), byte) {
        (Some(b'*'), _) => Step::Star,
        (Some(b'?'), Some(_)) => Step::Fits(1),
        (Some(b'['), Some(byte)) => match class(glob, byte) {
            Some((true, length)) => Step::Fits(length),
            Some((false, _)) => Step::No,
            None if byte == b'[' => Step::Fits(1),
            None => Step::No,
        },
        (Some(want), Some(byte)) if *want == byte => Step::Fits(1),
        _ => Step::No,
    }
}

/// `[a-z]` at the front of a glob: whether the byte is in it, and how long it is; none when it never closes.
fn class(glob: &[u8], byte: u8) -> Option<(bool, usize)> {
    let negated = matches!(glob.get(1), Some(b'!' | b'^'));
    let first = if negated { 2 } else { 1 };
    let (mut at, mut within) = (first, false);
    loop {
        let low = *glob.get(at)?;
        if low == b']' && at > first {
            return Some((within != negated, at + 1));
        }
        match (glob.get(at + 1), glob.get(at + 2)) {
            (Some(b'-'), Some(high)) if *high != b']' => {
                within |= (low..=*high).contains(&byte);
                at += 3;
            }
            _ => {
                within |= low == byte;
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_as_in_a_shell() {
        for (glob, name, want) in [
            ("*.log", "kern.log", true),
            ("*.log", "kern.log.1", false),
            ("*.log*", "kern.log.1", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("?.log", "0.log", true),
            ("?.log", "10.log", false),
            ("[0-9]*.log", "10.log", true),
            ("[!0-9]*.log", "10.log", false),
            ("[]x]", "]", true),
            ("[a", "[a", true),
            ("syslog", "syslog", true),
            ("*", "", true),
        ] {
            assert_eq!(
                name_matches(glob.as_bytes(), name.as_bytes()),
                want,
                "{glob} {name}"
            );
        }
    }

    #[test]
    fn a_star_stays_in_its_folder_and_two_do_not() {
        let matches = |glob: &str, path: &str| Glob::new(glob).matches(Path::new(path));
        assert!(matches("/var/log/*.log", "/var/log/a.log"));
        assert!(!matches("/var/log/*.log", "/var/log/b/a.log"));
        assert!(matches("/var/log/**/*.log", "/var/log/b/c/a.log"));
        assert!(matches("/var/log/**/*.log", "/var/log/a.log"));
        assert!(matches(
            "/var/log/pods/kube-system_**",
            "/var/log/pods/kube-system_x"
        ));
        assert!(!matches("/var/log/**/x", "/srv/x"));
    }

    #[test]
    fn the_root_ends_before_the_first_wildcard() {
        let glob = Glob::new("/var/log/*/x-[0-9].log");
        assert_eq!(glob.root, Path::new("/var/log"));
        assert_eq!(glob.names, ["*", "x-[0-9].log"]);
        assert_eq!(Glob::new("/var/log/syslog").names, ["syslog"]);
    }
}
