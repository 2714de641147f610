//! File names with `*` and `?` in their last part, as in Prometheus' `rule_files`.

use std::io;
use std::path::{Path, PathBuf};

/// The files that match, sorted. A pattern without wildcards is itself, whether it is there or not.
///
/// # Errors
/// The folder cannot be listed.
pub(crate) fn files(base: &Path, pattern: &str) -> io::Result<Vec<PathBuf>> {
    let path = base.join(pattern);
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default()
        .to_owned();
    if !name.contains(['*', '?']) {
        return Ok(vec![path]);
    }
    let folder = path.parent().unwrap_or(base);
    let mut found = Vec::new();
    // The empty path is the folder one is in; the system knows it by another name.
    let listed = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    for entry in std::fs::read_dir(listed)? {
        let entry = entry?;
        if entry
            .file_name()
            .to_str()
            .is_some_and(|candidate| matches(&name, candidate))
        {
            found.push(folder.join(entry.file_name()));
        }
    }
    found.sort();
    Ok(found)
}

fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut at, mut seen) = (0, 0);
    // After a mismatch go back to the last star and let it take one letter more.
    let mut retry: Option<(usize, usize)> = None;
    while seen < name.len() {
        match pattern.get(at) {
            Some('*') => {
                retry = Some((at, seen));
                at += 1;
            }
            Some(letter) if *letter == '?' || name.get(seen) == Some(letter) => {
                at += 1;
                seen += 1;
            }
            _ => match retry {
                Some((star, taken)) => {
                    retry = Some((star, taken + 1));
                    at = star + 1;
                    seen = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(at).all(|letter| *letter == '*')
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars_and_question_marks_match_within_a_name() {
        for (pattern, name) in [
            ("*.yaml", "a.yaml"),
            ("a*b*c", "aXbbYc"),
            ("?.yml", "x.yml"),
            ("*", ""),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("*.yaml", "a.yml"), ("?", ""), ("a*b", "acd")] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }
}
