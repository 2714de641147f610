//! Rule files by pattern, as Go's `filepath.Glob` finds them: `*`, `?` and `[a-z]` in any part of the path.

use std::fs;
use std::path::{Component, Path, PathBuf};

/// The files that match, sorted; none is no error.
///
/// # Errors
/// The pattern cannot be read.
pub(super) fn files(base: &Path, pattern: &str) -> Result<Vec<PathBuf>, String> {
    if pattern.is_empty() {
        return Ok(Vec::new());
    }
    let path = base.join(pattern);
    let mut found = vec![PathBuf::new()];
    for part in path.components() {
        let name = match part {
            Component::Normal(name) => name.to_str(),
            _ => None,
        };
        let Some(letters) = name.filter(|name| name.contains(['*', '?', '[', '\\'])) else {
            found.iter_mut().for_each(|folder| folder.push(part));
            continue;
        };
        let letters = read(letters).ok_or_else(|| format!("{letters:?} is no pattern; a [ has no ]"))?;
        found = found.iter().flat_map(|folder| list(folder, &letters)).collect();
    }
    found.retain(|path| path.exists());
    Ok(found)
}

fn list(folder: &Path, pattern: &[Letter]) -> Vec<PathBuf> {
    let here = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    // A folder that cannot be listed has no matches, as in Go.
    let entries = fs::read_dir(here).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut matching: Vec<String> = names
        .filter(|name| matches(pattern, &name.chars().collect::<Vec<_>>()))
        .collect();
    matching.sort();
    matching.into_iter().map(|name| folder.join(name)).collect()
}

#[derive(Debug)]
enum Letter {
    One(char),
    Any,
    Many,
    /// Any of these ranges, or none of them.
    Class {
        not: bool,
        ranges: Vec<(char, char)>,
    },
}

fn read(pattern: &str) -> Option<Vec<Letter>> {
    let mut letters = Vec::new();
    let mut rest = pattern.chars().peekable();
    while let Some(letter) = rest.next() {
        letters.push(match letter {
            '*' => Letter::Many,
            '?' => Letter::Any,
            '\\' => Letter::One(rest.next()?),
            '[' => {
                let not = rest.next_if_eq(&'^').is_some();
                let mut ranges = Vec::new();
                while ranges.is_empty() || rest.next_if_eq(&']').is_none() {
                    let first = one(&mut rest)?;
                    let last = match rest.next_if_eq(&'-') {
                        Some(_) => one(&mut rest)?,
                        None => first,
                    };
                    ranges.push((first, last));
                }
                Letter::Class { not, ranges }
            }
            other => Letter::One(other),
        });
    }
    Some(letters)
}

/// A letter in a class.
fn one(rest: &mut impl Iterator<Item = char>) -> Option<char> {
    match rest.next()? {
        '\\' => rest.next(),
        '-' | ']' => None,
        other => Some(other),
    }
}

fn matches(pattern: &[Letter], name: &[char]) -> bool {
    let Some((first, rest)) = pattern.split_first() else {
        return name.is_empty();
    };
    if matches!(first, Letter::Many) {
        return (0..=name.len()).any(|taken| matches(rest, &name[taken..]));
    }
    let Some((letter, left)) = name.split_first() else {
        return false;
    };
    let fits = match first {
        Letter::One(one) => one == letter,
        Letter::Any | Letter::Many => true,
        Letter::Class { not, ranges } => {
            *not != ranges
                .iter()
                .any(|(first, last)| (first..=last).contains(&letter))
        }
    };
    fits && matches(rest, left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_as_in_go() {
        let fits =
            |pattern: &str, name: &str| matches(&read(pattern).unwrap(), &name.chars().collect::<Vec<_>>());
        for (pattern, name) in [
            ("*.yaml", "a.yaml"),
            ("a*b*c", "aXbbYc"),
            ("?.yml", "x.yml"),
            ("[a-c]?[^x].y", "bzz.y"),
            (r"\*", "*"),
        ] {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("*.yaml", "a.yml"), ("?", ""), ("[^a-c]", "b"), (r"\*", "x")] {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
        assert!(read("[a").is_none() && read("[]a]").is_none() && read("a\\").is_none());
    }

    #[test]
    fn wildcards_may_stand_in_any_part() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a/one.yml", "b/one.yml", "b/two.yml", "c/one.yaml"] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let found = |pattern: &str| {
            let found = files(&folder.path().join("a"), pattern).unwrap();
            let names = found.iter().map(|path| path.canonicalize().unwrap()).map(|path| {
                path.strip_prefix(folder.path().canonicalize().unwrap())
                    .unwrap()
                    .to_owned()
            });
            names.map(|name| name.display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(found("one.yml"), ["a/one.yml"]);
        assert_eq!(found("../[ab]/*.yml"), ["a/one.yml", "b/one.yml", "b/two.yml"]);
        assert_eq!(found("../*/one.*"), ["a/one.yml", "b/one.yml", "c/one.yaml"]);
        assert_eq!(found("none.yml"), [""; 0]);
        assert!(files(folder.path(), "[").is_err());
    }
}
