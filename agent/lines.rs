//! `skopos logs`: the kept lines on a terminal.

use std::borrow::Cow;
use std::collections::HashSet;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use model::view::{LogQuery, PodQuery};
use model::{Clock, LogRecord, Timestamp};
use telemetry::clock::RuntimeClock;

use crate::cli::LogsArgs;

/// Pause between two looks for new lines.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// Found lines that are shown with what is around them.
const WITH_CONTEXT_MAX: usize = 200;

/// Reads the segments beside a running process, or without one.
#[must_use]
pub fn run(data_dir: &Path, arguments: &LogsArgs) -> ExitCode {
    let folder = data_dir.join("logs");
    if !folder.is_dir() {
        let advice = "start skopos first, or name its data directory with --data-dir";
        _ = writeln!(
            io::stderr(),
            "skopos: there are no log lines in {}; {advice}",
            folder.display()
        );
        return ExitCode::FAILURE;
    }
    match print(&folder, arguments) {
        Ok(()) => ExitCode::SUCCESS,
        // The reader of our output has had enough.
        Err(error)
            if error
                .downcast_ref()
                .is_some_and(|error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe) =>
        {
            ExitCode::SUCCESS
        }
        Err(error) => {
            _ = writeln!(io::stderr(), "skopos: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn print(folder: &Path, arguments: &LogsArgs) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    let _time = runtime.enter();
    let now = RuntimeClock::system().now();
    let context = arguments.context;
    let query = LogQuery {
        text: arguments.text.join(" "),
        level: arguments.level,
        pattern: arguments.regex.clone(),
        source: arguments.source.clone(),
        pods: PodQuery {
            namespace: arguments.namespace.clone(),
            pod: arguments.pod.clone(),
            container: arguments.container.clone(),
        },
        from: now - arguments.since,
        to: Timestamp::MAX,
        lines_max: if context > 0 {
            arguments.lines.min(WITH_CONTEXT_MAX)
        } else {
            arguments.lines
        },
    };
    let show = if arguments.json { show_json } else { show };
    let mut output = io::stdout().lock();
    let mut follower = arguments
        .follow
        .then(|| logs::Follower::open(folder, query.clone()))
        .transpose()?;
    let page = logs::search(folder, &query)?;
    let mut shown = HashSet::new();
    for (nth, line) in page.lines.iter().enumerate() {
        if context == 0 {
            show(&mut output, line)?;
            continue;
        }
        let [before, behind] = logs::around(folder, line, context, context)?;
        if nth > 0 && !arguments.json {
            writeln!(output, "--")?;
        }
        for line in before.iter().chain([line]).chain(&behind) {
            // What was shown with the one before is not shown again.
            if shown.insert((Arc::clone(&line.file), line.offset_bytes)) {
                show(&mut output, line)?;
            }
        }
    }
    output.flush()?;
    if page.cut {
        let shown = page.lines.len();
        writeln!(
            io::stderr(),
            "the newest {shown} lines are shown; more match (see -n and --since)"
        )?;
    }
    while let Some(follower) = &mut follower {
        for line in follower.poll()? {
            show(&mut output, &line)?;
        }
        output.flush()?;
        runtime.block_on(tokio::time::sleep(LOOK_AGAIN));
    }
    Ok(())
}

/// As other programs read it: the time as RFC 3339, in UTC.
fn show_json(output: &mut dyn Write, line: &LogRecord) -> io::Result<()> {
    let time = jiff::Timestamp::from_millisecond(line.time.millis()).unwrap_or_default();
    let object = serde_json::json!({
        "time": format!("{time:.3}"),
        "level": line.level.word(),
        "source": line.source,
        "stream": line.stream,
        "text": line.text,
        "file": line.file,
        "offset": line.offset_bytes,
    });
    writeln!(output, "{object}")
}

fn show(output: &mut dyn Write, line: &LogRecord) -> io::Result<()> {
    let time = jiff::Timestamp::from_millisecond(line.time.millis()).unwrap_or_default();
    let time = time
        .to_zoned(jiff::tz::TimeZone::system())
        .strftime("%Y-%m-%dT%H:%M:%S%.3f");
    // Only a record begins in the first column: none can be made up inside of another.
    let mut texts = line.text.split('\n');
    writeln!(
        output,
        "{time} {:5} {} {}",
        line.level.word(),
        line.source,
        printable(texts.next().unwrap_or_default())
    )?;
    for text in texts {
        writeln!(output, "    {}", printable(text))?;
    }
    Ok(())
}

/// Whoever can write into a log must not steer the terminal of whoever reads it.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    let steers = |letter: char| {
        let direction =
            matches!(letter, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        direction || (letter.is_control() && letter != '\t')
    };
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    let shown = |letter: char| {
        if steers(letter) {
            letter.escape_unicode().to_string()
        } else {
            letter.to_string()
        }
    };
    Cow::Owned(text.chars().map(shown).collect())
}

#[cfg(test)]
mod tests {
    use model::{LogRecord, Timestamp};

    use super::{printable, show};

    #[test]
    fn a_record_of_several_lines_is_shown_as_such_and_begins_no_other_one() {
        let record = LogRecord {
            time: Timestamp(0),
            level: model::Level::Error,
            source: "shop/api/web".into(),
            stream: "".into(),
            text: "broke\n\tat shop.Api\n2026-11-27T12:00:00.000 INFO  x made \u{1b}up".to_owned(),
            file: "".into(),
            offset_bytes: 0,
        };
        let mut shown = Vec::new();
        show(&mut shown, &record).unwrap();
        let shown = String::from_utf8(shown).unwrap();
        let (_, text) = shown.split_once(" ERROR shop/api/web ").unwrap();
        assert_eq!(
            text,
            "broke\n    \tat shop.Api\n    2026-11-27T12:00:00.000 INFO  x made \\u{1b}up\n"
        );
    }

    #[test]
    fn lines_cannot_steer_a_terminal() {
        assert_eq!(printable("a\tb ü €"), "a\tb ü €");
        assert_eq!(
            printable("\u{1b}]0;title\u{7}x\u{202e}"),
            "\\u{1b}]0;title\\u{7}x\\u{202e}"
        );
    }
}
