//! The last lines of a pod on this machine, for other processes of ours: `GET /api/v1/logs/tail`.
//!
//! From local segments where lines are kept, else straight from the pod's files. Promises: nobody names a path, whatever
//! he asks; a link is never followed; nothing is shown that redaction takes out; an answer is bounded in lines, bytes read,
//! bytes sent and, from files, in time.

mod door;
mod files;
#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use model::view::{LogQuery, PodQuery};
use model::{LogRecord, Tail, TailQuery};

use crate::config::Config;
use crate::glob::Glob;
use crate::redact::Redaction;
use crate::search::search_up_to;

pub(crate) use door::Door;

/// Lines of one answer at most.
pub(crate) const LINES_MAX: usize = 1_000;
/// Text of one answer at most.
const TEXT_BYTES_MAX: usize = 1 << 20;
/// Of segments looked through for one answer.
const SCAN_BYTES_MAX: u64 = 256 << 20;
/// Reading files ends here, wherever it is.
const TIME_MAX: Duration = Duration::from_secs(2);
/// A name of Kubernetes (RFC 1123) is no longer.
const NAME_BYTES_MAX: usize = 253;

/// What there is to read, and what is taken out of it.
pub(crate) struct Ground {
    /// Where the kubelet puts container logs; empty where this process reads none.
    containers: PathBuf,
    exclude: Vec<Glob>,
    /// Of lines that are kept here.
    segments: Option<PathBuf>,
    redaction: Redaction,
    line_bytes_max: usize,
}

impl Ground {
    /// `folder` is that of the segments.
    ///
    /// # Errors
    /// A sentence that names the pattern that cannot work.
    pub(crate) fn new(config: &Config, folder: &std::path::Path) -> Result<Self, String> {
        Ok(Self {
            containers: config.containers.clone(),
            exclude: config.exclude.iter().map(|glob| Glob::new(glob)).collect(),
            segments: config.local.then(|| folder.to_owned()),
            redaction: config.redaction()?,
            line_bytes_max: config.line_bytes_max,
        })
    }

    /// Blocks while it reads from the disk.
    pub(crate) fn answer(&self, query: &TailQuery) -> io::Result<Tail> {
        let until = Instant::now() + TIME_MAX;
        let found = match &self.segments {
            Some(folder) => self.kept(folder, query)?,
            None => files::read(self, query, until)?,
        };
        Ok(short(found, query.lines.min(LINES_MAX)))
    }

    fn kept(&self, folder: &std::path::Path, query: &TailQuery) -> io::Result<Tail> {
        let asked = LogQuery {
            text: query.text.clone(),
            level: query.level,
            pods: PodQuery {
                namespace: query.namespace.clone(),
                pod: query.pod.trim_end_matches('*').to_owned(),
                container: query.container.clone(),
            },
            from: query.from,
            to: query.to,
            lines_max: query.lines.min(LINES_MAX),
            ..LogQuery::default()
        };
        let page = search_up_to(folder, &asked, None, SCAN_BYTES_MAX)?;
        let wanted = Wanted::new(query);
        let mut lines = page.lines;
        lines.retain_mut(|line| {
            // Kept before today's rules were, perhaps.
            line.text = self.clean(line.text.as_bytes());
            query.has(&line.source) && wanted.has(&line.text)
        });
        Ok(Tail {
            known: !lines.is_empty() || files::knows(self, query),
            cut: page.cut,
            lines,
        })
    }

    /// The text as anybody may see it.
    fn clean(&self, text: &[u8]) -> String {
        String::from_utf8_lossy(&self.redaction.hide(text)).into_owned()
    }
}

/// The words of a question.
struct Wanted(Vec<String>);

impl Wanted {
    fn new(query: &TailQuery) -> Self {
        Self(query.text.split_whitespace().map(str::to_lowercase).collect())
    }

    /// Asked of what is shown, so that nobody finds out by asking what is not.
    fn has(&self, text: &str) -> bool {
        if self.0.is_empty() {
            return true;
        }
        let lower = text.to_lowercase();
        self.0.iter().all(|word| lower.contains(word))
    }
}

/// The newest of the lines, in their order, and no more than fit.
fn short(found: Tail, most: usize) -> Tail {
    let mut lines = found.lines;
    lines.sort_by_key(|line| line.time);
    let mut bytes = 0;
    let fit = lines.iter().rev().take(most).take_while(|line: &&LogRecord| {
        bytes += line.text.len();
        bytes <= TEXT_BYTES_MAX
    });
    let skipped = lines.len() - fit.count();
    Tail {
        cut: found.cut || skipped > 0,
        lines: lines.split_off(skipped),
        known: found.known,
    }
}

/// What is wrong with a question: names are of Kubernetes and nothing else, so that none is a path.
pub(crate) fn check(query: &TailQuery) -> Result<(), String> {
    let front = query.pod.strip_suffix('*').unwrap_or(&query.pod);
    for (name, value, may_be_empty) in [
        ("namespace", query.namespace.as_str(), false),
        ("pod", front, false),
        ("container", query.container.as_str(), true),
    ] {
        if value.is_empty() && may_be_empty {
            continue;
        }
        if value.is_empty() {
            return Err(format!("{name}: missing; name a namespace and a pod"));
        }
        let fit =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
        let is_name = value.len() <= NAME_BYTES_MAX
            && value.bytes().all(fit)
            && value.starts_with(|first: char| first.is_ascii_alphanumeric())
            && !value.contains("..");
        if !is_name {
            return Err(format!(
                "{name}: {} is no name of Kubernetes: small letters, digits, '-' and '.'",
                model::text::quote(value)
            ));
        }
    }
    Ok(())
}
