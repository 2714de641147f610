//! A plan as a table: one line for who wants something, for a series or for a resource; below it the sum, and what is missing.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;

use cloudwatch::plan::need::By;
use cloudwatch::plan::{Class, Share, price};
use serde_json::{Value, json};

use crate::buying::Looked;
use crate::cli::Lines;

pub(crate) fn of(looked: &Looked, by: Lines) -> String {
    let mut rows = match by {
        Lines::Alert => by_need(looked),
        Lines::Series => by_series(looked),
        Lines::Resource => by_resource(looked),
    };
    let (head, rows) = (rows.remove(0), rows);
    let mut text = columns(head, rows);
    _ = writeln!(text, "\n{}", sum(looked));
    for ((class, monthly), stretch) in Class::ALL
        .iter()
        .zip(looked.outlook.monthly)
        .zip(looked.outlook.stretch)
    {
        if stretch > 1.0 && monthly > 0.0 {
            let how = if stretch.is_finite() {
                format!("waits {stretch:.1} times as long")
            } else {
                "is not asked for until somebody looks".to_owned()
            };
            _ = writeln!(text, "  at that budget {} {how}", who(*class));
        }
    }
    if !looked.unmet.is_empty() {
        _ = writeln!(text, "\nNothing answers:");
    }
    for unmet in &looked.unmet {
        let by: Vec<String> = unmet.by.iter().map(By::word).collect();
        _ = writeln!(text, "  {}: {} ({})", unmet.name, unmet.why, by.join(", "));
    }
    text
}

/// What it comes to, in a sentence.
pub(crate) fn sum(looked: &Looked) -> String {
    let [fast, slow, pages] = looked.outlook.monthly;
    let total = looked.outlook.total();
    let budget = match looked.budget {
        Some(budget) => format!("of at most ${budget:.2} (cloudwatch.max_usd_per_month)"),
        None => "without a limit (cloudwatch.max_usd_per_month)".to_owned(),
    };
    format!(
        "{} series, ${total:.2} a month {budget}: ${fast:.2} for what wakes people, ${slow:.2} for other rules, ${pages:.2} for \
         dashboards",
        looked.count()
    )
}

fn who(class: Class) -> &'static str {
    match class {
        Class::Fast => "what wakes people",
        Class::Slow => "what only rules read",
        Class::Pages => "what only dashboards show",
    }
}

fn by_need(looked: &Looked) -> Vec<Vec<String>> {
    let bill = looked.bill();
    let mut bill: Vec<(&By, &Share)> = bill.iter().collect();
    bill.sort_by(|one, other| other.1.dollars.total_cmp(&one.1.dollars).then(one.0.cmp(other.0)));
    let rows = bill.into_iter().map(|(by, share)| {
        vec![
            dollars(share.dollars),
            share.series.to_string(),
            every(share.interval),
            by.word(),
        ]
    });
    std::iter::once(head(&["$/MONTH", "SERIES", "EVERY", "FOR"]))
        .chain(rows)
        .collect()
}

fn by_series(looked: &Looked) -> Vec<Vec<String>> {
    let rows = looked.series().into_iter().map(|line| {
        vec![
            dollars(price::monthly(line.interval)),
            every(line.interval),
            line.class.word().to_owned(),
            line.labels.to_string(),
            line.by.join(", "),
        ]
    });
    std::iter::once(head(&["$/MONTH", "EVERY", "CLASS", "SERIES", "FOR"]))
        .chain(rows)
        .collect()
}

fn by_resource(looked: &Looked) -> Vec<Vec<String>> {
    let rows = looked.resources().into_iter();
    let rows = rows.map(|(name, (series, monthly))| vec![dollars(monthly), series.to_string(), name]);
    std::iter::once(head(&["$/MONTH", "SERIES", "RESOURCE"]))
        .chain(rows)
        .collect()
}

/// What is more in `other`, and what is less.
pub(crate) fn difference(looked: &Looked, other: &Looked) -> String {
    let rows = changes(looked, other).into_iter().map(|change| {
        vec![
            format!("{:+.2}", change.after - change.before),
            dollars(change.before),
            dollars(change.after),
            format!("{:+}", change.series),
            change.by.word(),
        ]
    });
    let mut text = columns(
        head(&["MORE", "BEFORE", "AFTER", "SERIES", "FOR"]),
        rows.collect(),
    );
    let (before, after) = (looked.outlook.total(), other.outlook.total());
    _ = writeln!(
        text,
        "\n${before:.2} a month before, ${after:.2} after: {:+.2}",
        after - before
    );
    _ = writeln!(text, "before: {}", sum(looked));
    _ = writeln!(text, "after: {}", sum(other));
    text
}

pub(crate) fn difference_json(looked: &Looked, other: &Looked) -> Value {
    let changes = changes(looked, other);
    let changes = changes.iter().map(|change| {
        json!({
            "by": change.by.word(), "series": change.series,
            "usd_per_month_before": change.before, "usd_per_month_after": change.after,
        })
    });
    json!({
        "changes": changes.collect::<Vec<_>>(),
        "usd_per_month_before": looked.outlook.total(),
        "usd_per_month_after": other.outlook.total(),
    })
}

struct Change {
    by: By,
    before: f64,
    after: f64,
    /// More, or less.
    series: i64,
}

fn changes(looked: &Looked, other: &Looked) -> Vec<Change> {
    let (before, after) = (looked.bill(), other.bill());
    let all: BTreeSet<&By> = before.keys().chain(after.keys()).collect();
    let changes = all.into_iter().filter_map(|by| {
        let (was, is) = (
            before.get(by).cloned().unwrap_or_default(),
            after.get(by).cloned().unwrap_or_default(),
        );
        let count = |share: Share| i64::try_from(share.series).unwrap_or(i64::MAX);
        ((was.dollars - is.dollars).abs() >= 0.005 || was.series != is.series).then(|| Change {
            by: by.clone(),
            before: was.dollars,
            after: is.dollars,
            series: count(is) - count(was),
        })
    });
    changes.collect()
}

fn head(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn dollars(amount: f64) -> String {
    format!("{amount:.2}")
}

fn every(interval: Duration) -> String {
    model::text::duration::short(interval)
}

/// Columns as wide as they have to be; the last is not filled up.
fn columns(head: Vec<String>, rows: Vec<Vec<String>>) -> String {
    let all: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
    let wide = |column: usize| {
        let cells = all.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let mut text = String::new();
    for row in &all {
        let last = row.len().saturating_sub(1);
        for (column, cell) in row.iter().enumerate() {
            if column == last {
                _ = writeln!(text, "{cell}");
            } else if cell
                .starts_with(|letter: char| letter.is_ascii_digit() || letter == '+' || letter == '-')
            {
                _ = write!(text, "{cell:>width$}  ", width = wide(column));
            } else {
                _ = write!(text, "{cell:<width$}  ", width = wide(column));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_to_the_right_and_words_to_the_left() {
        let rows = vec![head(&["12.30", "orders", "x"]), head(&["1.20", "web", "y"])];
        let text = columns(head(&["$", "WHAT", "FOR"]), rows);
        assert_eq!(text, "$      WHAT    FOR\n12.30  orders  x\n 1.20  web     y\n");
    }
}
