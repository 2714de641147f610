//! What is kept of the samples: in memory, in blocks on disk, and what was refused.

use maud::{Markup, html};
use model::text::{self, duration};
use model::view::{Block, Health, Kept};

use super::frame::section;
use super::visit::Visit;
use super::{shape, words};

/// Blocks shown, the newest; a fortnight has a few dozen.
const SHOWN: usize = 60;

pub(super) fn samples(visit: &Visit) -> Markup {
    let kept = (visit.rooms.kept)();
    let remark = html! { (words::count(kept.blocks.len(), "block")) };
    let api = html! { a href="/api/v1/status/tsdb" { "which series" } };
    let body = html! {
        (summary(visit, &kept))
        (blocks(visit, &kept))
    };
    section("samples", "Samples", &remark, &api, &body)
}

/// Whose new series are refused now for want of memory.
pub(super) fn refused_now(kept: &Kept) -> Option<&'static str> {
    Some(match kept.guard_level {
        0 => return None,
        1 => "of targets and writers",
        2 => "of targets, writers and machines",
        _ => "of everybody",
    })
}

fn summary(visit: &Visit, kept: &Kept) -> Markup {
    let refused: u64 = kept.refused.iter().map(|(_, count)| count).sum();
    let oldest = kept.oldest.map(|oldest| visit.wall.minute(oldest));
    html! {
        ul.panel.list {
            li data-row {
                (shape::works(Health::Good))
                div {
                    p { (text::count(kept.series)) " series in memory" }
                    p.small {
                        (text::bytes(kept.samples_bytes as f64)) " of samples, "
                        (text::bytes(kept.log_bytes as f64)) " of write-ahead log, "
                        (words::count(kept.exemplars as usize, "exemplar"))
                    }
                }
                span.age { @if let Some(oldest) = &oldest { "since " (oldest) } }
            }
            @if kept.has_blocks {
                li data-row data-event[kept.broken > 0] {
                    (shape::works(if kept.broken > 0 { Health::Bad } else { Health::Good }))
                    div {
                        p { (words::count(kept.blocks.len(), "block")) " on disk, " (text::bytes(bytes(kept) as f64)) }
                        p.small {
                            @if kept.blocks.is_empty() { "two hours go to the disk together, an hour after they are over; " }
                            "kept for " (duration::spoken(kept.retention))
                            @if kept.retention_bytes > 0 { ", and no more than " (text::bytes(kept.retention_bytes as f64)) }
                            @if kept.broken > 0 {
                                "; " span.wrong { (words::count(kept.broken as usize, "block")) " cannot be read" }
                            }
                        }
                    }
                    span.age {}
                }
            }
            @if !kept.has_blocks {
                li data-row {
                    (shape::works(Health::Unknown))
                    div {
                        p { "Nothing on disk" }
                        p.small { "this process holds last values only" }
                    }
                    span.age {}
                }
            }
            @if refused > 0 || kept.guard_level > 0 {
                li data-row data-event {
                    (shape::works(if kept.guard_level > 0 { Health::Bad } else { Health::Pending }))
                    div {
                        p { "New series were refused " (times(refused)) }
                        p.small {
                            (reasons(kept))
                            @if let Some(whose) = refused_now(kept) {
                                "; " span.wrong { "memory runs short, those " (whose) " are refused now" }
                                ", beyond " (text::bytes(kept.budget_bytes as f64))
                            }
                        }
                    }
                    span.age { "since the start" }
                }
            }
        }
    }
}

fn times(count: u64) -> String {
    match count {
        1 => "once".to_owned(),
        count => format!("{} times", text::count(count)),
    }
}

fn reasons(kept: &Kept) -> String {
    let refused = kept.refused.iter().filter(|(_, count)| *count > 0);
    let reasons: Vec<String> = refused
        .map(|(reason, count)| format!("{} {reason}", text::count(*count)))
        .collect();
    words::list(&reasons)
}

fn bytes(kept: &Kept) -> u64 {
    kept.blocks.iter().map(|block| block.bytes).sum()
}

fn blocks(visit: &Visit, kept: &Kept) -> Markup {
    if kept.blocks.is_empty() {
        return html! {};
    }
    html! {
        div.panel.cut.next {
            table.cards {
                caption.unseen { "Blocks" }
                thead {
                    tr {
                        th scope="col" { "Block" }
                        th.n scope="col" { "From" }
                        th.n scope="col" { "Length" }
                        th.n scope="col" { "Size" }
                        th.n scope="col" { "Series" }
                        th.n scope="col" { "Samples" }
                        th.n scope="col" { "Bytes a sample" }
                    }
                }
                tbody {
                    @for block in kept.blocks.iter().rev().take(SHOWN) { (row(visit, block)) }
                }
            }
            @if kept.blocks.len() > SHOWN { p.note { "and " (kept.blocks.len() - SHOWN) " older ones" } }
        }
    }
}

fn row(visit: &Visit, block: &Block) -> Markup {
    let each = (block.samples > 0).then(|| block.bytes as f64 / block.samples as f64);
    html! {
        tr data-row {
            th.name.break scope="row" { span { (block.name) } }
            td.n data-label="From" { (visit.wall.minute(block.start)) }
            td.n data-label="Length" { (duration::spoken(block.end.since(block.start))) }
            td.n data-label="Size" { (text::bytes(block.bytes as f64)) }
            td.n data-label="Series" { (text::count(block.series)) }
            td.n data-label="Samples" { (text::count(block.samples)) }
            td.n data-label="Bytes a sample" { (each.map_or_else(|| "–".to_owned(), words::plain)) }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::Timestamp;

    use super::super::made_up::Story;
    use super::super::tests::{NOW, get, house};
    use super::*;
    use crate::Rooms;

    async fn shown(kept: Kept) -> String {
        let rooms = Rooms {
            kept: Arc::new(move || kept.clone()),
            ..house(Story::Calm)
        };
        let (_, body) = get(rooms, "/self").await;
        let section = body.split("id=\"samples\"").nth(1).unwrap();
        let text = section.split("</section>").next().unwrap();
        let tags = regex::Regex::new("<[^>]*>").unwrap();
        let sentence = tags.replace_all(body.split("<h1").nth(1).unwrap(), " ");
        let text = tags.replace_all(text, " ");
        format!("{} | {}", sentence.chars().take(120).collect::<String>(), text)
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[tokio::test]
    async fn memory_and_blocks_are_shown_the_newest_first() {
        let block = |hour: i64, name: &str| Block {
            name: name.to_owned(),
            start: Timestamp(NOW.0 - hour * 3_600_000),
            end: Timestamp(NOW.0 - (hour - 2) * 3_600_000),
            bytes: 3 << 20,
            series: 1_358,
            samples: 652_000,
            level: 1,
        };
        let text = shown(Kept {
            series: 1_358,
            samples_bytes: 5 << 20,
            has_blocks: true,
            blocks: vec![block(6, "older"), block(4, "newer")],
            retention: std::time::Duration::from_hours(15 * 24),
            retention_bytes: 10 << 30,
            ..Kept::default()
        })
        .await;
        for wanted in [
            "1,358 series in memory",
            "5.0 MiB of samples",
            "2 blocks on disk, 6.0 MiB",
            "no more than 10.0 GiB",
            "652,000",
        ] {
            assert!(text.contains(wanted), "{wanted} in {text}");
        }
        assert!(text.find("newer").unwrap() < text.find("older").unwrap());
        assert!(
            !text.contains("refused") && !text.contains("cannot be read"),
            "{text}"
        );
    }

    #[tokio::test]
    async fn refusals_broken_blocks_and_short_memory_are_said() {
        let text = shown(Kept {
            has_blocks: true,
            broken: 1,
            refused: vec![("series_limit", 0), ("memory", 12)],
            guard_level: 2,
            budget_bytes: 64 << 20,
            ..Kept::default()
        })
        .await;
        for wanted in [
            "Memory runs short: new series of targets, writers and machines are refused",
            "1 block cannot be read",
            "New series were refused 12 times",
            "12 memory",
            "beyond 64.0 MiB",
            "two hours go to the disk together",
        ] {
            assert!(text.contains(wanted), "{wanted} in {text}");
        }
        let none = shown(Kept::default()).await;
        assert!(none.contains("last values only"), "{none}");
    }
}
