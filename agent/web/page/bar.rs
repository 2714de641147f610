//! Ways around: the bar, the phone's bar for the thumb, and the sheets that open over a view.
//!
//! The sheets are popovers, so that they open without JavaScript.

use maud::{Markup, html};
use model::AlertState;

use super::frame::{Place, Sheet};
use super::link;
use super::visit::Visit;
use super::when::{SPANS, Wall};

type Aside = (&'static str, &'static str, &'static str);

/// Views that stand behind another one of the bar, with their keys.
const ASIDE: [Aside; 5] = [
    (BUDGET, "Budget", "g b"),
    ("/silences", "Silences", "g s"),
    ("/routes", "Routes", "g e"),
    ("/changes", "Changes", "g h"),
    ("/targets", "Targets", "g t"),
];

const BUDGET: &str = "/aws#budget";

/// Those of them that there is something to be seen of.
pub(super) fn aside(visit: &Visit) -> impl Iterator<Item = Aside> {
    let (has_cluster, has_aws) = (visit.rooms.objects.is_some(), visit.rooms.aws.is_some());
    ASIDE.into_iter().filter(move |(path, ..)| match *path {
        "/changes" => has_cluster,
        BUDGET => has_aws,
        _ => true,
    })
}

pub(super) fn top(visit: &Visit, sheet: &Sheet) -> Markup {
    html! {
        header.bar {
            // Where there is no room its words are not shown.
            a.brand href="/" aria-label=(format!("Skopos / {}", visit.name())) {
                (mark())
                b { "Skopos" }
                span.slash aria-hidden="true" { "/" }
                span.name { (visit.name()) }
            }
            nav.views id="views" aria-label="Views" {
                @for place in Place::all(visit) {
                    (view_link(visit, sheet, place, true))
                }
            }
            div.tools {
                form.jump id="jump" popover action="/jump" role="search" {
                    input type="search" name="q" placeholder="Search or jump to…" aria-label="Search or jump to" list="jumps"
                        autocomplete="off" spellcheck="false" data-keys="/";
                    kbd aria-hidden="true" { "/" }
                    (jumps(visit))
                }
                button.button.icon type="button" popovertarget="jump" aria-label="Search" { (lens()) }
                @if let Some(range) = &sheet.range {
                    @let (long, short) = range.names(&visit.wall);
                    button.button.when id="when" type="button" popovertarget="times" {
                        span.unseen { "Time: " } span.long { (long) } span.short { (short) }
                    }
                }
            }
        }
    }
}

pub(super) fn thumb(visit: &Visit, sheet: &Sheet) -> Markup {
    let (near, far): (Vec<Place>, Vec<Place>) = Place::all(visit).partition(|place| place.is_near(visit));
    html! {
        nav.thumb id="thumb" aria-label="Views, for the thumb" {
            @for place in near { (view_link(visit, sheet, place, false)) }
            button.plain type="button" popovertarget="more" aria-current=[far.contains(&sheet.here).then_some("true")] { "More" }
        }
    }
}

pub(super) fn sheets(visit: &Visit, sheet: &Sheet) -> Markup {
    html! {
        @if sheet.range.is_some() { (times(visit, sheet)) }
        div.sheet.rise id="more" popover role="dialog" aria-label="More views" {
            @for place in Place::all(visit).filter(|place| !place.is_near(visit)) {
                a href=(place.path()) aria-current=[(sheet.here == place).then_some("page")] { (place.word()) }
            }
            @for (path, word, _) in aside(visit) { a href=(path) { (word) } }
        }
        (keys(visit))
    }
}

fn view_link(visit: &Visit, sheet: &Sheet, place: Place, keyed: bool) -> Markup {
    let firing = if place == Place::Alerts {
        visit.standing(AlertState::Firing).len()
    } else {
        0
    };
    let times = sheet
        .range
        .as_ref()
        .filter(|range| range.asked && place.has_time());
    let href = match times {
        Some(_) => link::to(
            place.path(),
            &[("from", visit.asked("from")), ("to", visit.asked("to"))],
        ),
        None => place.path().to_owned(),
    };
    html! {
        a href=(href) data-keys=[keyed.then(|| place.keys())]
            aria-current=[(sheet.here == place).then(|| if visit.path == place.path() { "page" } else { "true" })] {
            (place.word())
            @if firing > 0 { " " span.badge { (firing) span.unseen { " firing" } } }
        }
    }
}

fn times(visit: &Visit, sheet: &Sheet) -> Markup {
    let Some(range) = &sheet.range else {
        return html! {};
    };
    let besides: Vec<(&str, &str)> = visit.asked_besides_time().collect();
    let to = |from: &str, until: &str| {
        let mut pairs = besides.clone();
        pairs.extend([("from", from), ("to", until)]);
        link::to(&visit.path, &pairs)
    };
    let between = |(from, until): (model::Timestamp, model::Timestamp)| {
        if range.live && until >= visit.now {
            let back = format!("now-{}", model::text::duration::short(until.since(from)));
            to(&back, "now")
        } else {
            to(&Wall::absolute(from), &Wall::absolute(until))
        }
    };
    html! {
        div.sheet.drop id="times" popover role="dialog" aria-label="Time shown" {
            div.spans {
                @for (span, long, _) in SPANS {
                    @let back = format!("now-{}", model::text::duration::short(span));
                    a href=(to(&back, "now")) aria-current=[(range.live && range.window() == span).then_some("true")] { (long) }
                }
            }
            form.between action=(visit.path) {
                @for (name, value) in &besides { input type="hidden" name=(name) value=(value); }
                label { "From" input name="from" value=(visit.wall.second(range.from)) autocomplete="off" spellcheck="false"; }
                label { "To" input name="to" value=(if range.live { "now".to_owned() } else { visit.wall.second(range.to) })
                    autocomplete="off" spellcheck="false"; }
                button.button.primary type="submit" { "Show" }
                p.hint { "now-2h, 14:37 or 2026-01-31T14:37" }
            }
            div.moves {
                a.button href=(to(&Wall::absolute(range.moved(false, visit.now).0), &Wall::absolute(range.moved(false, visit.now).1)))
                    data-keys="[" { "Earlier" kbd { "[" } }
                a.button href=(between(range.moved(true, visit.now))) data-keys="]" { "Later" kbd { "]" } }
                a.button href=(between(range.zoomed(true, visit.now))) data-keys="-" { "Wider" kbd { "−" } }
                a.button href=(between(range.zoomed(false, visit.now))) data-keys="+" { "Closer" kbd { "+" } }
            }
        }
    }
}

/// Names the search field offers: views, rules, targets' jobs.
fn jumps(visit: &Visit) -> Markup {
    let rules = visit.all_rules().map(|(_, rule)| rule.name.as_str());
    let jobs = visit.targets.iter().map(|target| target.job.as_str());
    let mut names: Vec<&str> = rules.chain(jobs).collect();
    names.sort_unstable();
    names.dedup();
    // A list of thousands would help nobody and weigh on every page.
    names.truncate(200);
    html! {
        datalist id="jumps" {
            @for place in Place::all(visit) { option value=(place.word()) {} }
            @for (_, word, _) in aside(visit) { option value=(word) {} }
            @for name in names { option value=(name) {} }
        }
    }
}

fn keys(visit: &Visit) -> Markup {
    const EVERYWHERE: [(&str, &str); 16] = [
        ("/", "search or jump"),
        ("j", "next row"),
        ("k", "previous row"),
        ("o", "open the first thing that needs a person, or the row"),
        ("u", "up"),
        ("e", "next event: a warning, a state that changed"),
        ("[", "earlier"),
        ("]", "later"),
        ("−", "wider"),
        ("+", "closer"),
        ("←", "cursor back"),
        ("→", "cursor on"),
        ("f", "follow the lines"),
        ("y", "copy a permanent link"),
        ("?", "these keys"),
        ("Esc", "close"),
    ];
    html! {
        div.sheet.middle id="keys" popover role="dialog" aria-labelledby="keys-title" {
            h2 id="keys-title" { "Keys" }
            dl {
                @for place in Place::all(visit) { div { dt { kbd { (place.keys()) } } dd { (place.word()) } } }
                @for (path, word, keys) in aside(visit) { div { dt { kbd { (keys) } } dd { a href=(path) data-keys=(keys) { (word) } } } }
                @for (key, word) in EVERYWHERE { div { dt { kbd { (key) } } dd { (word) } } }
            }
            p.hint { "Letters printed in buttons press them. No key acts outside the page without a second step." }
        }
    }
}

fn mark() -> Markup {
    html! {
        svg.mark viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" {
            circle cx="8" cy="8" r="7" {}
            circle.pupil cx="8" cy="8" r="2.5" {}
        }
    }
}

fn lens() -> Markup {
    html! {
        svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" {
            circle cx="6.5" cy="6.5" r="4.75" {}
            path d="M10 10l4.5 4.5" {}
        }
    }
}
