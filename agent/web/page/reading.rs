//! *What is read*, and what is not and why.

use maud::{Markup, html};
use model::view::Health;

use super::frame::{empty, section};
use super::shape;
use super::visit::Visit;

/// `all` leads to more of it, where there is more.
pub(super) fn draw(visit: &Visit, all: &Markup) -> Markup {
    let mut sources = (visit.rooms.sources)();
    // What is wrong first, what is off last; otherwise as the house names them.
    sources.sort_by_key(|source| match source.health {
        Health::Bad => 0,
        Health::Pending => 1,
        Health::Good => 2,
        Health::Unknown => 3,
    });
    let body = if sources.is_empty() {
        empty("Nothing is read yet: no room has said what it looks at.")
    } else {
        html! {
            ul.panel.list {
                @for source in &sources {
                    li data-row {
                        (shape::works(source.health))
                        div {
                            p { (source.name) }
                            p.small { (source.detail) }
                        }
                        span.age {
                            @match (&source.word, source.last) {
                                (Some(word), _) => (word),
                                (None, Some(last)) => (visit.wall.ago(last)),
                                (None, None) => "not yet",
                            }
                        }
                    }
                }
            }
        }
    };
    section("sources", "What is read", &html! {}, all, &body)
}
