//! The why tree: every operator of an expression with its value, and whether it holds.

use maud::{Markup, html};
use model::view::Why;

use super::words;

/// Rows drawn; an expression of thousands of operators is not read as a tree.
const ROWS_MAX: usize = 60;
/// Guides drawn for depth.
const DEPTH_MAX: usize = 12;

pub(super) fn tree(rows: &[Why], footer: &Markup) -> Markup {
    html! {
        div.panel.cut {
            table.why {
                caption.unseen { "Every operator's value" }
                thead {
                    tr {
                        th scope="col" { "Expression" }
                        th.n scope="col" { "Series" }
                        th.n scope="col" { "Value" }
                        th scope="col" { "Reading" }
                    }
                }
                tbody { @for row in rows.iter().take(ROWS_MAX) { (operator(row)) } }
            }
            p.note { (footer) }
        }
    }
}

fn operator(row: &Why) -> Markup {
    let (head, tail) = split(&row.text);
    html! {
        tr {
            th scope="row" {
                span.tree {
                    @for _ in 0..row.depth.min(DEPTH_MAX) { i {} }
                    code { @if tail.is_empty() { (head) } @else { b { (head) } (tail) } }
                }
            }
            td.n data-label="Series" { (row.series) @if let Some(of) = row.of { " of " (of) } }
            td.n data-label="Value" { (row.value.map_or_else(|| "–".to_owned(), words::plain)) }
            td.reading.holds[row.holds] { (row.reading) }
        }
    }
}

/// The operator's own word, and what follows it.
fn split(text: &str) -> (&str, &str) {
    let end = text
        .find(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'))
        .unwrap_or(text.len());
    if end == 0 { (text, "") } else { text.split_at(end) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operators_word_stands_out() {
        assert_eq!(split("and on (namespace)"), ("and", " on (namespace)"));
        assert_eq!(split("rate(…[5m])"), ("rate", "(…[5m])"));
        assert_eq!(split(">= 3"), (">= 3", ""));
        assert_eq!(split("up"), ("up", ""));
    }
}
