//! CPU time per sample of reading exposition text, of three kinds of body. Run it optimised:
//! `cargo bench -p scrape`.

#![expect(clippy::print_stdout, reason = "a benchmark prints its result")]

use std::fmt::Write;
use std::hint::black_box;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use scrape::text::{Cursor, Format, Key, Keys, Pairs, ParseError, Start, body};

const SAMPLES: usize = 10_000;
const ROUNDS: u32 = 200;

fn main() -> Result<(), ParseError> {
    let node = text(|nth| {
        format!(
            "node_cpu_seconds_total{{cpu=\"{}\",mode=\"m{}\"}}",
            nth / 8,
            nth % 8
        )
    });
    let app = text(|nth| {
        format!(
            "http_request_duration_seconds_bucket{{handler=\"/api/v1/h{}\",method=\"GET\",le=\"0.{nth}\"}}",
            nth % 50
        )
    });
    let pod = text(|nth| {
        format!(
            "container_memory_working_set_bytes{{container=\"c{nth}\",id=\"/kubepods.slice/pod{nth:032x}.slice/cri-{nth:064x}.scope\",image=\"registry.example.org/team/app@sha256:{nth:064x}\",name=\"{nth:064x}\",namespace=\"shop\",pod=\"app-{nth:010x}-abcde\"}}"
        )
    });
    for (name, text) in [("node", &node), ("application", &app), ("container", &pod)] {
        let secret = Keys::new();
        let keys = keys(text, &secret)?;
        let cold = each(|| cold(text))?;
        let warm = each(|| warm(text, &keys, &secret))?;
        println!(
            "{name:<12} {:>4} B/line  cold {cold:>4} ns/sample  warm {warm:>4} ns/sample",
            text.len() / SAMPLES
        );
    }
    Ok(())
}

fn text(series: impl Fn(usize) -> String) -> String {
    let mut text = String::new();
    for nth in 0..SAMPLES {
        if nth.is_multiple_of(100) {
            // Writing to a string cannot fail.
            _ = writeln!(
                text,
                "# HELP family_{nth} Some words.\n# TYPE family_{nth} counter"
            );
        }
        // Most values are whole; a quarter have all their digits.
        let value = if nth.is_multiple_of(4) {
            (nth as f64).sqrt()
        } else {
            nth as f64 * 131.0
        };
        _ = writeln!(text, "{} {}", series(nth), model::text::float::go(value));
    }
    text
}

/// Labels of every line, as when a target is new.
fn cold(text: &str) -> Result<f64, ParseError> {
    let mut cursor = Cursor::new(body(text.as_bytes())?, Format::Text);
    let (mut pairs, mut sum) = (Pairs::new(), 0.0);
    loop {
        match cursor.start()? {
            Start::End => return Ok(sum),
            Start::Comment => drop(black_box(cursor.comment().meta()?)),
            Start::Sample => {
                black_box(cursor.series(&mut pairs)?);
                sum += cursor.value()?.0;
            }
        }
    }
}

/// Lines that are what they were, in the order in which they were.
fn warm(text: &str, keys: &[Key], secret: &Keys) -> Result<f64, ParseError> {
    let mut cursor = Cursor::new(body(text.as_bytes())?, Format::Text);
    let (mut keys, mut sum) = (keys.iter(), 0.0);
    loop {
        match cursor.start()? {
            Start::End => return Ok(sum),
            Start::Comment => drop(black_box(cursor.comment().line())),
            Start::Sample => {
                assert!(
                    keys.next().is_some_and(|key| cursor.take(key, secret)),
                    "the lines are the same"
                );
                sum += cursor.value()?.0;
            }
        }
    }
}

fn keys(text: &str, secret: &Keys) -> Result<Vec<Key>, ParseError> {
    let mut cursor = Cursor::new(text, Format::Text);
    let (mut pairs, mut keys) = (Pairs::new(), Vec::new());
    loop {
        match cursor.start()? {
            Start::End => return Ok(keys),
            Start::Comment => drop(cursor.comment().line()),
            Start::Sample => {
                keys.push(secret.of(cursor.series(&mut pairs)?.key));
                cursor.value()?;
            }
        }
    }
}

fn each(run: impl Fn() -> Result<f64, ParseError>) -> Result<u128, ParseError> {
    black_box(run()?);
    let began = cpu();
    for _ in 0..ROUNDS {
        black_box(run()?);
    }
    Ok((cpu() - began).as_nanos() / u128::from(ROUNDS) / SAMPLES as u128)
}

/// Wall time on a shared machine says little.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or_default(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    )
}
