//! State as a shape *and* a colour, with a word for those who see neither.

use maud::{Markup, html};
use model::AlertState;
use model::view::Health;

pub(super) fn health(health: Health) -> Markup {
    match health {
        Health::Good => drawn("ok", "healthy"),
        Health::Unknown => drawn("none", "no data or off"),
        Health::Pending => drawn("pend", "pending"),
        Health::Bad => drawn("fire", "firing"),
    }
}

/// The same shapes where nothing fires: a target, a receiver, a file.
pub(super) fn works(health: Health) -> Markup {
    match health {
        Health::Good => drawn("ok", "works"),
        Health::Unknown => drawn("none", "off or not tried"),
        Health::Pending => drawn("pend", "in doubt"),
        Health::Bad => drawn("fire", "fails"),
    }
}

pub(super) fn alert(state: AlertState) -> Markup {
    match state {
        AlertState::Firing => drawn("fire", "firing"),
        AlertState::Pending => drawn("pend", "pending"),
        AlertState::Resolved => drawn("ok", "resolved"),
    }
}

/// Of a silence: it keeps something quiet now, or does not yet, or no more.
pub(super) fn silence(active: bool, word: &str) -> Markup {
    drawn(if active { "mute" } else { "none" }, word)
}

/// The glyph of the document title, where nothing can be drawn.
pub(super) fn glyph(health: Health) -> &'static str {
    match health {
        Health::Good => "●",
        Health::Unknown => "○",
        Health::Pending => "◆",
        Health::Bad => "▲",
    }
}

fn drawn(kind: &str, word: &str) -> Markup {
    html! { span class={ "shape " (kind) } role="img" aria-label=(word) title=(word) {} }
}
