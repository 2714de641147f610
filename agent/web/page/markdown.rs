//! Draws the small Markdown of runbooks: headings, paragraphs, lists, code, emphasis, links.
//!
//! Whatever the text holds, only these become elements; everything else is shown as it stands.

use maud::{Markup, html};

#[derive(Debug, PartialEq)]
enum Block<'a> {
    Heading(usize, &'a str),
    Paragraph(String),
    Code(String),
    List { ordered: bool, items: Vec<String> },
}

pub(super) fn render(text: &str) -> Markup {
    html! {
        @for block in blocks(text) {
            @match block {
                // The view has its own first two levels.
                Block::Heading(1..=2, text) => h3 { (inline(text)) },
                Block::Heading(_, text) => h4 { (inline(text)) },
                Block::Paragraph(text) => p { (inline(&text)) },
                Block::Code(text) => pre tabindex="0" aria-label="Commands" { code { (text) } },
                Block::List { ordered: true, items } => ol { @for item in items { li { (inline(&item)) } } },
                Block::List { ordered: false, items } => ul { @for item in items { li { (inline(&item)) } } },
            }
        }
    }
}

fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    let mut open = false; // Whether the next plain line goes on with the last block.
    while let Some(line) = lines.next() {
        let trimmed = line.trim();
        if trimmed.starts_with("```") {
            let inside = lines.by_ref().take_while(|line| !line.trim().starts_with("```"));
            blocks.push(Block::Code(inside.collect::<Vec<_>>().join("\n")));
            open = false;
        } else if trimmed.is_empty() {
            open = false;
        } else if let Some((level, title)) = heading(trimmed) {
            blocks.push(Block::Heading(level, title));
            open = false;
        } else if let Some((ordered, item)) = item(trimmed).filter(|_| !(open && goes_on(&blocks, trimmed))) {
            match blocks.last_mut() {
                Some(Block::List {
                    ordered: known,
                    items,
                }) if *known == ordered => items.push(item.to_owned()),
                _ => blocks.push(Block::List {
                    ordered,
                    items: vec![item.to_owned()],
                }),
            }
            open = true;
        } else {
            // Runbooks begin each thought with a word in bold, on a line of its own.
            go_on(&mut blocks, trimmed, open && !trimmed.starts_with("**"));
            open = true;
        }
    }
    blocks
}

fn go_on(blocks: &mut Vec<Block<'_>>, line: &str, open: bool) {
    let text = match blocks.last_mut().filter(|_| open) {
        Some(Block::Paragraph(text)) => Some(text),
        Some(Block::List { items, .. }) => items.last_mut(),
        _ => None,
    };
    match text {
        Some(text) => {
            text.push(' ');
            text.push_str(line);
        }
        None => blocks.push(Block::Paragraph(line.to_owned())),
    }
}

fn heading(line: &str) -> Option<(usize, &str)> {
    let level = line.bytes().take_while(|byte| *byte == b'#').count();
    let rest = line.get(level..)?.strip_prefix(' ')?;
    (1..=6).contains(&level).then_some((level, rest.trim()))
}

/// `4. …` amid a paragraph is its text: only a first item may break into one.
fn goes_on(blocks: &[Block<'_>], line: &str) -> bool {
    let numbered = line.starts_with(|letter: char| letter.is_ascii_digit()) && !line.starts_with("1. ");
    numbered && matches!(blocks.last(), Some(Block::Paragraph(_)))
}

fn item(line: &str) -> Option<(bool, &str)> {
    if let Some(rest) = line.strip_prefix("- ").or_else(|| line.strip_prefix("* ")) {
        return Some((false, rest));
    }
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    let rest = line.get(digits..)?.strip_prefix(". ")?;
    (digits > 0).then_some((true, rest))
}

/// Code, emphasis and links in their order, the earliest first; marks inside marks stay as they are.
fn inline(mut text: &str) -> Markup {
    let mut pieces = Vec::new();
    while let Some((at, length, element)) = [code(text), strong(text), emphasis(text), link(text)]
        .into_iter()
        .flatten()
        .min_by_key(|(at, ..)| *at)
    {
        pieces.push(html! { (text.get(..at).unwrap_or_default()) (element) });
        text = text.get(at + length..).unwrap_or_default();
    }
    html! { @for piece in pieces { (piece) } (text) }
}

type Found = Option<(usize, usize, Markup)>;

fn code(text: &str) -> Found {
    let (at, inner) = between(text, "`", "`")?;
    Some((at, inner.len() + 2, html! { code { (inner) } }))
}

fn strong(text: &str) -> Found {
    let (at, inner) = between(text, "**", "**")?;
    Some((at, inner.len() + 4, html! { b { (inner) } }))
}

fn emphasis(text: &str) -> Found {
    let (at, inner) = between(text, "*", "*")?;
    // A star between spaces is a product, and two of them are another mark.
    let word = !inner.starts_with([' ', '*']) && !inner.ends_with([' ', '*']);
    word.then(|| (at, inner.len() + 2, html! { em { (inner) } }))
}

fn link(text: &str) -> Found {
    let (at, word) = between(text, "[", "](")?;
    // A bracket that belongs to something earlier is no link.
    if word.contains('[') {
        return None;
    }
    let tail = text.get(at + word.len() + 3..)?;
    let (address, _) = tail.split_once(')')?;
    let length = word.len() + address.len() + 4;
    let element = if is_safe(address) {
        html! { a href=(address) rel="noopener noreferrer" { (word) } }
    } else {
        html! { (word) }
    };
    Some((at, length, element))
}

fn between<'a>(text: &'a str, open: &str, close: &str) -> Option<(usize, &'a str)> {
    let at = text.find(open)?;
    let inner = text.get(at + open.len()..)?;
    let end = inner.find(close).filter(|end| *end > 0)?;
    Some((at, inner.get(..end)?))
}

/// An address that a click may follow: the web, or a place of this page. Never a script.
pub(super) fn is_safe(address: &str) -> bool {
    let web = address.starts_with("https://") || address.starts_with("http://");
    let here = address.starts_with('#') || (address.starts_with('/') && !address.starts_with("//"));
    (web || here)
        && !address
            .chars()
            .any(|letter| letter.is_control() || letter.is_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(text: &str) -> String {
        render(text).into_string()
    }

    #[test]
    fn a_runbook_is_drawn() {
        let text = "## DiskFull\n\n**It means** that a\ndisk is full.\n\n1. `df -h`\n2. look\n\n```sh\ndu <dir>\n```\n";
        assert_eq!(
            drawn(text),
            "<h3>DiskFull</h3><p><b>It means</b> that a disk is full.</p>\
             <ol><li><code>df -h</code></li><li>look</li></ol>\
             <pre tabindex=\"0\" aria-label=\"Commands\"><code>du &lt;dir&gt;</code></pre>"
        );
    }

    #[test]
    fn nothing_in_it_can_act() {
        for text in [
            "<script>alert(1)</script>",
            "[x](javascript:alert(1))",
            "[x](//evil.example)",
            "[x](data:text/html,a)",
            "`<img src=x onerror=alert(1)>`",
            "**<b onclick=x>**",
            "[[a](b](http://x\" onclick=\"y)",
        ] {
            let drawn = drawn(text);
            assert!(
                !drawn.contains("<script") && !drawn.contains("<img") && !drawn.contains("href=\"java"),
                "{drawn}"
            );
            assert!(
                !drawn.contains("<b onclick")
                    && !drawn.contains("href=\"data")
                    && !drawn.contains("href=\"//"),
                "{drawn}"
            );
            assert!(!drawn.contains("\" onclick"), "{drawn}");
        }
    }

    #[test]
    fn unfinished_marks_stand_as_they_are() {
        for text in ["a ` b", "**", "[a](b", "[a]", "```", "#", "1.", "-"] {
            drawn(text);
        }
        assert_eq!(drawn("a ` b"), "<p>a ` b</p>");
        assert_eq!(drawn("first 3. c.\n4. d"), "<p>first 3. c. 4. d</p>");
        assert_eq!(drawn("2 * 3 * 4"), "<p>2 * 3 * 4</p>");
        assert_eq!(
            drawn("**Means** this.\n**Feels it** *nobody*."),
            "<p><b>Means</b> this.</p><p><b>Feels it</b> <em>nobody</em>.</p>"
        );
    }
}
