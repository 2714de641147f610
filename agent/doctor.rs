//! `skopos doctor`: what every room of a running Skopos needs, whether it has it, and what to do.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use anyhow::{Context, bail};
use model::outside::{Method, Request};
use model::view::{Checkup, Verdict};
use serde::{Deserialize, Serialize};

use crate::cli::DoctorArgs;
use crate::lines::printable;
use crate::query::sent;

const PATH: &str = "/api/v1/doctor";
const ANSWER_BYTES_MAX: usize = 4 << 20;
/// Nobody answers, so that nothing can be said.
const UNANSWERED: u8 = 2;

/// Ends with 0 when nothing fails, with 1 when something does, and with 2 when nobody answers.
#[must_use]
pub fn run(arguments: &DoctorArgs) -> ExitCode {
    match look(arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            _ = writeln!(io::stderr(), "skopos: {error:#}");
            ExitCode::from(UNANSWERED)
        }
    }
}

/// Whether nothing fails.
fn look(arguments: &DoctorArgs) -> anyhow::Result<bool> {
    let told = ask(arguments)?;
    let mut out = io::stdout().lock();
    let text = if arguments.json {
        serde_json::to_string_pretty(&told)? + "\n"
    } else {
        let is_coloured = out.is_terminal() && std::env::var_os("NO_COLOR").is_none();
        text(&told.checks, is_coloured)
    };
    match out.write_all(text.as_bytes()) {
        // The reader of our output has had enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        other => other?,
    }
    Ok(count(&told.checks, Verdict::Fail) == 0)
}

#[derive(Deserialize, Serialize)]
struct Told {
    counts: Counts,
    checks: Vec<Checkup>,
}

#[derive(Deserialize, Serialize)]
struct Counts {
    fail: usize,
    warn: usize,
    ok: usize,
    off: usize,
}

fn ask(arguments: &DoctorArgs) -> anyhow::Result<Told> {
    #[derive(Deserialize)]
    struct Answer {
        data: Option<Told>,
        error: Option<String>,
    }
    let base = arguments.url.trim_end_matches('/');
    let request = Request {
        // Whoever makes it ask others acts.
        method: if arguments.live { Method::Post } else { Method::Get },
        url: format!("{base}{PATH}"),
        headers: Vec::new(),
        body: Vec::new().into(),
        timeout: arguments.timeout,
        answer_bytes_max: ANSWER_BYTES_MAX,
    };
    let response = sent(request).with_context(|| {
        format!("nobody answers at {base}; start skopos, or name a running one with --url")
    })?;
    let answer: Answer = match serde_json::from_slice(&response.body) {
        Ok(answer) => answer,
        Err(_) if response.status == 403 && arguments.live => bail!(
            "{base} does not ask its receivers for us: {}; ask on its own machine, on loopback, or without --live",
            String::from_utf8_lossy(&response.body).trim()
        ),
        Err(error) => bail!(
            "{base}{PATH} answers {} and nothing that can be read ({error}); only a Skopos says how it is",
            response.status
        ),
    };
    match (answer.data, answer.error) {
        (_, Some(error)) => bail!("{base}{PATH}: {error}"),
        (Some(data), None) => Ok(data),
        (None, None) => bail!("{base}{PATH} answers {} and no data", response.status),
    }
}

fn count(checks: &[Checkup], verdict: Verdict) -> usize {
    checks.iter().filter(|check| check.verdict == verdict).count()
}

/// For a terminal: a line that sums up, then room by room.
fn text(checks: &[Checkup], is_coloured: bool) -> String {
    let counts = Verdict::ALL.map(|verdict| (count(checks, verdict), verdict));
    let counts: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, verdict)| format!("{count} {}", painted(*verdict, verdict.word(), is_coloured)))
        .collect();
    let mut text = counts.join(", ") + "\n";
    let mut rooms: Vec<&str> = Vec::new();
    for check in checks {
        if !rooms.contains(&&*check.room) {
            rooms.push(&check.room);
        }
    }
    let wide = checks.iter().map(|check| check.name.chars().count()).max();
    let wide = wide.unwrap_or_default();
    for room in rooms {
        text.push_str(&format!("\n{}\n", printable(room)));
        for check in checks.iter().filter(|check| check.room == room) {
            let mark = painted(
                check.verdict,
                &format!("{} {:<4}", shape(check.verdict), check.verdict.word()),
                is_coloured,
            );
            let (name, seen) = (printable(&check.name), printable(&check.seen));
            text.push_str(&format!("  {mark}  {name:<wide$}  {seen}\n"));
            let indent = " ".repeat(wide + 12);
            for finding in &check.findings {
                // A complaint may have lines of its own.
                for line in finding.lines() {
                    text.push_str(&format!("{indent}{}\n", printable(line)));
                }
            }
            if check.more > 0 {
                text.push_str(&format!("{indent}and {} more\n", check.more));
            }
            if !check.advice.is_empty() {
                text.push_str(&format!("{indent}→ {}\n", printable(&check.advice)));
            }
        }
    }
    text
}

/// As on the page.
fn shape(verdict: Verdict) -> char {
    match verdict {
        Verdict::Fail => '▲',
        Verdict::Warn => '◆',
        Verdict::Ok => '●',
        Verdict::Off => '·',
    }
}

fn painted(verdict: Verdict, words: &str, is_coloured: bool) -> String {
    let colour = match verdict {
        _ if !is_coloured => return words.to_owned(),
        Verdict::Fail => 31,
        Verdict::Warn => 33,
        Verdict::Ok => 32,
        Verdict::Off => 2,
    };
    format!("\u{1b}[{colour}m{words}\u{1b}[0m")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checks() -> Vec<Checkup> {
        vec![
            Checkup::ok("scrape", "targets", "every target is read, of 2 targets"),
            Checkup::fail("notifier", "receivers", "1 of 2 receivers does not take messages")
                .advise("mend the address")
                .list((0..12).map(|nth| format!("webhook {nth}: 500\u{1b}[31m"))),
            Checkup::off("scrape", "duration", "there are no targets"),
        ]
    }

    #[test]
    fn the_first_line_sums_up_and_rooms_stand_together() {
        let text = text(&checks(), false);
        assert!(text.starts_with("1 fail, 1 ok, 1 off\n"), "{text}");
        let rooms: Vec<&str> = text
            .lines()
            .skip(1)
            .filter(|line| !line.is_empty() && !line.starts_with(' '))
            .collect();
        assert_eq!(rooms, ["scrape", "notifier"], "{text}");
        assert!(text.contains("  ▲ fail  receivers  1 of 2"), "{text}");
        assert!(
            text.contains("and 2 more\n") && text.contains("→ mend the address\n"),
            "{text}"
        );
    }

    #[test]
    fn there_is_no_colour_but_for_a_terminal_and_none_of_others() {
        assert!(!text(&checks(), false).contains('\u{1b}'));
        let coloured = text(&checks(), true);
        assert!(coloured.contains("\u{1b}[31m▲ fail\u{1b}[0m"), "{coloured}");
        assert!(!coloured.contains("500\u{1b}"), "{coloured}");
    }
}
