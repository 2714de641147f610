//! Text for Slack: escaped, and cut so that no limit is passed and no escape is cut in half.
//!
//! Lengths are counted in UTF-16 units after escaping, which is never less than what Slack counts.

use model::Timestamp;

use crate::message::length;

/// Escapes what Slack reads as markup. Nothing else in a label can mention people or make a link.
pub(crate) fn escape(text: &str) -> String {
    clip(text, usize::MAX)
}

/// Escaped, at most `most` long; what is cut ends in `…`.
pub(crate) fn clip(text: &str, most: usize) -> String {
    let mut clipped = String::new();
    let mut length = 0;
    // Where to cut if the rest does not fit: the last place that leaves room for the dots.
    let mut cut = 0;
    for letter in text.chars() {
        let escaped = match letter {
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            _ => "",
        };
        length += if escaped.is_empty() {
            letter.len_utf16()
        } else {
            escaped.len()
        };
        if length > most {
            clipped.truncate(cut);
            clipped.push_str(if most == 0 { "" } else { "…" });
            return clipped;
        }
        if escaped.is_empty() {
            clipped.push(letter);
        } else {
            clipped.push_str(escaped);
        }
        if length < most {
            cut = clipped.len();
        }
    }
    clipped
}

/// A link, or nothing if its address is one that Slack would not take.
pub(crate) fn link(url: &str, words: &str) -> Option<String> {
    const URL_MAX: usize = 1_000;
    let is_web = url.starts_with("https://") || url.starts_with("http://");
    let is_plain = url
        .chars()
        .all(|letter| !letter.is_whitespace() && !letter.is_control());
    // `|` and `>` would end the address early.
    let address = escape(&url.replace('|', "%7C"));
    let fits = length(&address) <= URL_MAX;
    (is_web && is_plain && fits).then(|| format!("<{address}|{}>", escape(words)))
}

/// A time in each reader's own zone; clients that cannot do that show UTC.
pub(crate) fn date(time: Timestamp) -> String {
    let utc = jiff::Timestamp::from_millisecond(time.0).unwrap_or_default();
    let utc = utc.strftime("%Y-%m-%d %H:%M UTC");
    format!(
        "<!date^{}^{{date_short_pretty}} {{time}}|{utc}>",
        time.0.div_euclid(1000)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_cannot_be_smuggled_in() {
        assert_eq!(escape("<!channel> & <a|b>"), "&lt;!channel&gt; &amp; &lt;a|b&gt;");
        assert_eq!(
            link("https://x/?a=1&b=<c>|d", "a>b").unwrap(),
            "<https://x/?a=1&amp;b=&lt;c&gt;%7Cd|a&gt;b>"
        );
        assert_eq!(link("javascript:alert(1)", "x"), None);
        assert_eq!(link("https://x/a b", "x"), None);
        assert_eq!(link(&format!("https://x/{}", "a".repeat(1_000)), "x"), None);
    }

    #[test]
    fn a_cut_never_halves_an_escape_and_never_passes_the_limit() {
        let text = "a&<é😀>".repeat(5);
        let whole = escape(&text);
        for most in 0..length(&whole) {
            let cut = clip(&text, most);
            assert!(length(&cut) <= most, "{most}: {cut}");
            let kept = cut.strip_suffix('…').unwrap_or(&cut);
            assert!(whole.starts_with(kept), "{most}: {cut}");
            let tail = kept.rsplit_once('&').map_or(";", |(_, tail)| tail);
            assert!(tail.contains(';'), "{most}: half an escape in {cut}");
        }
        assert_eq!(clip(&text, length(&whole)), whole);
    }

    #[test]
    fn a_time_is_shown_in_the_readers_zone() {
        assert_eq!(
            date(Timestamp(1_795_661_461_500)),
            "<!date^1795661461^{date_short_pretty} {time}|2026-11-26 02:51 UTC>"
        );
    }
}
