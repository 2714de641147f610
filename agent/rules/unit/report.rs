//! What came of a test file, for people and for machines.

use std::fmt;
use std::io::{self, Write};

use model::Complaint;

/// What came of one test file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub file: String,
    pub warnings: Vec<String>,
    /// Why nothing of the file was run; empty when it was.
    pub mistakes: Vec<Complaint>,
    /// In the order of the file.
    pub groups: Vec<GroupReport>,
}

/// What came of one test group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupReport {
    pub name: String,
    /// Worth knowing, and no failure.
    pub notes: Vec<String>,
    /// Empty: it passed.
    pub failures: Vec<Failure>,
}

/// Something that did not come out as expected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failure {
    /// `file:line:column`, or empty where `what` says it.
    pub place: String,
    pub what: String,
    /// What was expected and what was got, a line each.
    pub details: Vec<String>,
}

impl Report {
    pub(super) fn new(file: String) -> Self {
        Self {
            file,
            ..Self::default()
        }
    }

    #[must_use]
    pub fn has_passed(&self) -> bool {
        self.mistakes.is_empty() && self.groups.iter().all(GroupReport::has_passed)
    }
}

impl GroupReport {
    #[must_use]
    pub fn has_passed(&self) -> bool {
        self.failures.is_empty()
    }
}

impl Failure {
    pub(super) fn of(what: String) -> Self {
        Self {
            what,
            ..Self::default()
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        f.write_str(&self.what)?;
        self.details
            .iter()
            .try_for_each(|detail| write!(f, "\n  {detail}"))
    }
}

/// Writes JUnit's XML: a suite for each file and a case for each test group, as promtool does.
///
/// # Errors
/// The writer's own.
pub fn junit(reports: &[Report], out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
    writeln!(out, "<testsuites>")?;
    for report in reports {
        let failed = report.groups.iter().filter(|group| !group.has_passed()).count();
        writeln!(
            out,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{failed}\" errors=\"{}\">",
            escaped(&report.file),
            report.groups.len(),
            usize::from(!report.mistakes.is_empty()),
        )?;
        // A file that cannot be read is a case of its own, or nobody would see it.
        if !report.mistakes.is_empty() {
            writeln!(out, "    <testcase name=\"reading the file\">")?;
            for mistake in &report.mistakes {
                let (message, text) = (escaped(&mistake.message), escaped(&mistake.to_string()));
                writeln!(out, "      <error message=\"{message}\">{text}</error>")?;
            }
            writeln!(out, "    </testcase>")?;
        }
        for group in &report.groups {
            case(&report.file, group, out)?;
        }
        writeln!(out, "  </testsuite>")?;
    }
    writeln!(out, "</testsuites>")
}

fn case(file: &str, group: &GroupReport, out: &mut impl Write) -> io::Result<()> {
    let (file, name) = (escaped(file), escaped(&group.name));
    write!(out, "    <testcase classname=\"{file}\" name=\"{name}\"")?;
    if group.has_passed() {
        return writeln!(out, "/>");
    }
    writeln!(out, ">")?;
    for failure in &group.failures {
        let first = failure.what.lines().next().unwrap_or_default();
        let text = escaped(&failure.to_string());
        writeln!(
            out,
            "      <failure message=\"{}\">{text}</failure>",
            escaped(first)
        )?;
    }
    writeln!(out, "    </testcase>")
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(letter),
            // XML has no place for them, not even escaped.
            control if control.is_control() => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}
