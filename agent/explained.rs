//! An explanation as text: the reason, a table of operators and evaluations, the timeline, the messages.

use std::fmt::Write;
use std::time::Duration;

use model::Labels;
use model::explanation::{Evaluation, Explanation, Operator, Span};
use model::labels::ALERT_NAME;
use model::text::{duration, float};

/// Longer texts of operators are cut.
const OPERATOR_CHARS_MAX: usize = 60;

/// Times are UTC.
pub(crate) fn written(explanation: &Explanation, verbose: bool) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    _ = head(&mut text, explanation);
    for (nth, sentence) in explanation.why.iter().enumerate() {
        _ = writeln!(text, "{}{sentence}", if nth == 0 { "" } else { "  " });
    }
    operators(&mut text, &explanation.evaluations);
    for evaluation in &explanation.evaluations {
        if let Some(error) = &evaluation.error {
            _ = writeln!(text, "\nat {}: {error}", evaluation.time);
        }
    }
    if let Some(newest) = explanation.evaluations.first() {
        if verbose {
            _ = elements(&mut text, &newest.operators);
        }
        for remark in &newest.remarks {
            _ = writeln!(text, "note: {remark}");
        }
    }
    timeline(&mut text, explanation);
    if !explanation.told.is_empty() {
        _ = writeln!(text, "\nTold");
        for told in &explanation.told {
            _ = writeln!(
                text,
                "  {}  {}  {}: {} ({})",
                told.time, told.receiver, told.group, told.message, told.answer
            );
        }
    }
    text
}

fn head(text: &mut String, explanation: &Explanation) -> std::fmt::Result {
    let spell = |seconds: f64| {
        Duration::try_from_secs_f64(seconds)
            .map(duration::short)
            .unwrap_or_default()
    };
    write!(text, "{}", explanation.name)?;
    if !explanation.labels.is_empty() {
        write!(text, " {}", explanation.labels)?;
    }
    writeln!(text, ": {}", explanation.state)?;
    write!(
        text,
        "{}, group {}, every {}",
        explanation.file,
        explanation.group,
        spell(explanation.interval)
    )?;
    for (name, seconds) in [
        ("for", explanation.duration),
        ("keep_firing_for", explanation.keep_firing_for),
        ("query_offset", explanation.query_offset),
    ] {
        if seconds > 0.0 {
            write!(text, ", {name}: {}", spell(seconds))?;
        }
    }
    writeln!(text, ", id {}", explanation.id)?;
    for line in explanation.query.lines() {
        writeln!(text, "  {line}")?;
    }
    writeln!(text)
}

/// A row for each operator of the newest evaluation, a column for each evaluation.
fn operators(text: &mut String, evaluations: &[Evaluation]) {
    let Some(newest) = evaluations.first() else {
        return;
    };
    let mut rows = vec![vec![
        "operator".to_owned(),
        "series".to_owned(),
        "reading".to_owned(),
    ]];
    for evaluation in evaluations {
        if let Some(head) = rows.first_mut() {
            head.push(time_of_day(&evaluation.time));
        }
    }
    for (nth, operator) in newest.operators.iter().enumerate() {
        let mut row = vec![
            "  ".repeat(operator.depth) + &cut(&operator.text),
            series(operator),
            operator.reading.clone(),
        ];
        row.extend(evaluations.iter().map(|evaluation| {
            // The same expression has the same operators, as long as all were listed.
            let then = evaluation
                .operators
                .get(nth)
                .filter(|then| then.text == operator.text);
            then.map_or_else(String::new, cell)
        }));
        rows.push(row);
    }
    if rows.len() > 1 {
        text.push('\n');
        table(text, &rows);
    }
}

fn table(text: &mut String, rows: &[Vec<String>]) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            _ = write!(line, "{cell:<width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
}

fn series(operator: &Operator) -> String {
    match operator.of {
        Some(of) => format!("{} of {of}", operator.series),
        None => operator.series.to_string(),
    }
}

/// The instance's value; where there is none, how many series there were.
fn cell(operator: &Operator) -> String {
    match (&operator.value, operator.series) {
        (Some(value), _) => value.clone(),
        (None, 0) => "-".to_owned(),
        (None, many) => format!("({many})"),
    }
}

fn elements(text: &mut String, operators: &[Operator]) -> std::fmt::Result {
    writeln!(text)?;
    for operator in operators.iter().filter(|operator| !operator.elements.is_empty()) {
        write!(text, "{}: {} series", cut(&operator.text), operator.series)?;
        if let Some(age) = operator.newest_age {
            write!(
                text,
                ", the newest sample {} old",
                duration::spoken(Duration::from_secs_f64(age.max(0.0)))
            )?;
        }
        writeln!(text)?;
        for element in &operator.elements {
            writeln!(text, "  {}  {}", float::api(element.value), element.labels)?;
        }
    }
    Ok(())
}

/// A line for each alert: what it was from when until when.
fn timeline(text: &mut String, explanation: &Explanation) {
    let mut alerts: Vec<(&Labels, Vec<&Span>)> = Vec::new();
    for span in &explanation.timeline {
        match alerts.iter_mut().find(|(labels, _)| **labels == span.labels) {
            Some((_, spans)) => spans.push(span),
            None => alerts.push((&span.labels, vec![span])),
        }
    }
    if alerts.is_empty() {
        return;
    }
    _ = writeln!(text, "\nTimeline");
    for (labels, spans) in alerts {
        let own = labels.retain(|name| name != ALERT_NAME && explanation.labels.get(name).is_none());
        _ = writeln!(text, "  {own}");
        for span in spans {
            let until = span.until.as_deref().unwrap_or("now");
            _ = writeln!(text, "    {}  {} to {until}", span.state, span.from);
        }
    }
}

/// `02:15:00` of `2026-11-27T02:15:00.123Z`.
fn time_of_day(time: &str) -> String {
    let clock = time.split_once('T').map_or(time, |(_, clock)| clock);
    clock.get(..8).unwrap_or(clock).to_owned()
}

fn cut(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(OPERATOR_CHARS_MAX) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_are_rows_and_evaluations_columns() {
        let operator = |value: Option<&str>, series| Operator {
            text: "> 1".to_owned(),
            series,
            of: Some(2),
            value: value.map(str::to_owned),
            reading: "0.5 > 1 does not hold".to_owned(),
            ..Operator::default()
        };
        let evaluation = |time: &str, value, series| Evaluation {
            time: format!("2026-11-27T{time}Z"),
            operators: vec![operator(value, series)],
            ..Evaluation::default()
        };
        let explanation = Explanation {
            name: "High".to_owned(),
            state: "inactive".to_owned(),
            query: "x > 1".to_owned(),
            interval: 15.0,
            duration: 300.0,
            why: vec!["it does not fire: x is 0.5, and not above 1".to_owned()],
            evaluations: vec![
                evaluation("02:15:00.5", None, 0),
                evaluation("02:14:45.5", Some("3"), 1),
                evaluation("02:14:30.5", None, 2),
            ],
            ..Explanation::default()
        };
        let text = written(&explanation, false);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "High: inactive");
        assert!(lines[1].contains("every 15s, for: 5m"), "{text}");
        assert!(
            lines.contains(&"it does not fire: x is 0.5, and not above 1"),
            "{text}"
        );
        assert_eq!(
            lines[lines.len() - 2..],
            [
                "operator  series  reading                02:15:00  02:14:45  02:14:30",
                "> 1       0 of 2  0.5 > 1 does not hold  -         3         (2)",
            ]
        );
    }
}
