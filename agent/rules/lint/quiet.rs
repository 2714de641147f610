//! Comments in a rule file that silence checks: `# skopos: disable CHECK`, and pint's `# pint disable CHECK`.
//!
//! A comment counts for the rule it stands in or above, above a group for all of its rules, and with `disable-file`
//! (pint: `file/disable`) for the whole file.

use std::collections::{BTreeMap, BTreeSet};

use super::read::{Place, Source};

#[derive(Debug, Default)]
pub(super) struct Quiet {
    /// As pint's `ignore/file` says.
    everything: bool,
    file: BTreeSet<String>,
    /// By the line at which a group or a rule begins.
    owners: BTreeMap<usize, BTreeSet<String>>,
    /// Comments of ours, with what they say.
    pub(super) written: Vec<(Place, Vec<String>)>,
}

enum Scope {
    Owner,
    File,
    Everything,
}

struct Comment {
    place: Place,
    scope: Scope,
    checks: Vec<String>,
    ours: bool,
}

impl Quiet {
    pub(super) fn of_everything() -> Self {
        Self {
            everything: true,
            ..Self::default()
        }
    }

    pub(super) fn of(source: &Source) -> Self {
        let mut quiet = Self::default();
        let mut owners: Vec<usize> = Vec::new();
        for group in &source.groups {
            owners.push(group.line);
            owners.extend(group.rules.iter().map(|rule| rule.line));
        }
        let lines: Vec<&str> = source.text.lines().collect();
        for (nth, line) in lines.iter().enumerate() {
            let Some(comment) = comment(line, nth + 1) else {
                continue;
            };
            if comment.ours {
                quiet.written.push((comment.place, comment.checks.clone()));
            }
            match comment.scope {
                Scope::Everything => quiet.everything = true,
                Scope::File => quiet.file.extend(comment.checks),
                Scope::Owner => {
                    // A line of nothing but comments speaks of what comes next.
                    let next = lines.iter().enumerate().skip(nth).find(|(_, line)| {
                        let line = line.trim_start();
                        !line.is_empty() && !line.starts_with('#')
                    });
                    let content = next.map_or(nth + 1, |(nth, _)| nth + 1);
                    let owner = owners.iter().rfind(|owner| **owner <= content);
                    // Above the first group there is only the file.
                    match owner {
                        Some(owner) => quiet.owners.entry(*owner).or_default().extend(comment.checks),
                        None => quiet.file.extend(comment.checks),
                    }
                }
            }
        }
        quiet
    }

    pub(super) fn silences(&self, check: &str, group: usize, rule: usize) -> bool {
        let of = |line: usize| {
            self.owners
                .get(&line)
                .is_some_and(|checks| checks.contains(check))
        };
        self.everything || self.file.contains(check) || of(group) || of(rule)
    }
}

fn comment(line: &str, number: usize) -> Option<Comment> {
    line.match_indices('#').find_map(|(at, _)| {
        let place = Place {
            line: number,
            column: line.get(..at).unwrap_or_default().chars().count() + 1,
        };
        let text = line.get(at + 1..).unwrap_or_default().trim();
        let (words, ours) = match (text.strip_prefix("skopos:"), text.strip_prefix("pint ")) {
            (Some(words), _) => (words.trim(), true),
            (None, Some(words)) => (words.trim(), false),
            (None, None) => return None,
        };
        let (verb, rest) = words.split_once(char::is_whitespace).unwrap_or((words, ""));
        let scope = match verb {
            "disable" => Scope::Owner,
            "disable-file" | "file/disable" => Scope::File,
            "ignore/file" => Scope::Everything,
            _ if ours => Scope::Owner,
            _ => return None,
        };
        let known = matches!(verb, "disable" | "disable-file" | "file/disable" | "ignore/file");
        Some(Comment {
            place,
            scope,
            checks: if known { checks(rest) } else { Vec::new() },
            ours,
        })
    })
}

/// Names of checks up to the first word that is none; what pint has in brackets behind one is left out.
fn checks(text: &str) -> Vec<String> {
    text.split([' ', '\t', ','])
        .filter(|word| !word.is_empty())
        .take_while(|word| word.contains('/'))
        .map(|word| word.split('(').next().unwrap_or(word).to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::lint::Sources;

    const FILE: &str = "
# skopos: disable-file promql/rate, promql/nan because
groups:
# pint disable rule/name
- name: a
  rules:
  # skopos: disable promql/counter
  # and a word

  - alert: A
    expr: up # pint disable promql/series(prod)
    # skopos: disable alerts/for
    for: 1m
  - alert: B
    expr: up
# pint disable promql/regexp
- name: b
  rules: [{alert: C, expr: up}]
";

    #[test]
    fn a_comment_counts_for_what_it_stands_in_or_above() {
        let (sources, complaints) = Sources::read(&[("a", FILE)]);
        assert!(complaints.is_empty());
        let quiet = &sources.files[0].quiet;
        let silenced = |group: usize, rule: usize| {
            let all = [
                "promql/rate",
                "promql/nan",
                "rule/name",
                "promql/counter",
                "promql/series",
                "alerts/for",
                "promql/regexp",
            ];
            let group = &sources.files[0].groups[group];
            let (group, rule) = (group.line, group.rules[rule].line);
            all.into_iter()
                .filter(|check| quiet.silences(check, group, rule))
                .collect::<Vec<_>>()
        };
        let file = ["promql/rate", "promql/nan"];
        let first = ["rule/name", "promql/counter", "promql/series", "alerts/for"];
        assert_eq!(silenced(0, 0), [file.as_slice(), &first].concat());
        assert_eq!(silenced(0, 1), [file.as_slice(), &["rule/name"]].concat());
        assert_eq!(silenced(1, 0), [file.as_slice(), &["promql/regexp"]].concat());
    }

    #[test]
    fn pint_may_leave_a_file_out_and_others_may_speak() {
        let (sources, _) = Sources::read(&[("a", "# pint ignore/file\ngroups: []\n")]);
        assert!(sources.files[0].quiet.silences("any/check", 0, 0));
        let (sources, _) =
            Sources::read(&[("a", "# pint is a measure\n# skopos is a watcher\ngroups: []\n")]);
        assert!(!sources.files[0].quiet.silences("any/check", 0, 0));
    }
}
