//! `/self`: Skopos itself: what it uses, what it has lost, what it was told to do, whom it tells.

use maud::{Markup, html};
use model::text::{self, duration};
use model::view::{Health, LogState};

use super::frame::{Place, Sheet, empty, section};
use super::visit::Visit;
use super::{kept, pair, shape, status, steps, told, words};

pub(super) fn view(visit: &Visit) -> Sheet {
    let (health, sentence) = sentence(visit);
    let own = &visit.own;
    let more = html! {
        p {
            "Version " (own.version) @if !own.revision.is_empty() { " (" (own.revision) ")" }
            ", role " (own.role) ", up " (duration::spoken(visit.uptime())) ". "
            (own.machine) ". Its own numbers are at " a href="/metrics" { "/metrics" } "; "
            a href="/checks" data-keys="c" { "what each room needs" } ", and whether it has it."
        }
    };
    let fresh = html! { "started " (visit.wall.second(own.started)) };
    let main = html! {
        (status::line(health, &sentence, &more, &fresh))
        (strip(visit))
        (accounts(visit))
        (kept::samples(visit))
        (pair::sections(visit))
        (configuration(visit))
        (receivers(visit))
        (told::section_of(visit, "Told and answered", |_| true))
        (log_files(visit, &(visit.rooms.log_state)()))
    };
    Sheet {
        keys: vec![
            ("c", "checks"),
            ("g g", "the house"),
            ("g t", "targets"),
            ("g l", "logs"),
        ],
        ..Sheet::new(Place::Own, main)
    }
}

fn sentence(visit: &Visit) -> (Health, String) {
    let own = &visit.own;
    if let Err(why) = (visit.rooms.ready)() {
        return (
            Health::Unknown,
            status::fit(format!("Skopos is not ready: {why}")),
        );
    }
    if !visit.config.refused.is_empty() {
        return (
            Health::Bad,
            "Skopos runs, but a newer configuration was refused".to_owned(),
        );
    }
    if let Some(whose) = kept::refused_now(&(visit.rooms.kept)()) {
        return (
            Health::Bad,
            format!("Memory runs short: new series {whose} are refused"),
        );
    }
    if let Some((room, _)) = own.accounts.iter().find(|(_, ledger)| !ledger.balances()) {
        return (
            Health::Bad,
            status::fit(format!(
                "The account of {room} does not balance: something was lost unseen"
            )),
        );
    }
    let dropped: u64 = own
        .accounts
        .iter()
        .map(|(_, ledger)| ledger.dropped_total())
        .sum();
    if dropped > 0 {
        return (
            Health::Pending,
            format!(
                "Skopos has dropped {} things, each counted below",
                text::count(dropped)
            ),
        );
    }
    if let Some(doubt) = pair::doubts(visit).first() {
        return (
            Health::Pending,
            status::fit(format!("Skopos has lost nothing, but {doubt}")),
        );
    }
    let memory = text::bytes(own.memory_bytes as f64);
    (Health::Good, format!("Skopos uses {memory} and has lost nothing"))
}

fn strip(visit: &Visit) -> Markup {
    let own = &visit.own;
    let limit = own.memory_limit_bytes;
    let cell = |title: &str, value: String, small: String, bar: Option<f64>| {
        html! {
            div.cell {
                p.small { (title) }
                p.strong { (value) }
                p.small { (small) }
                @if let Some(share) = bar {
                    svg.hr role="img" aria-label={ (format!("{:.0}", share * 100.0)) " per cent" } width="100%" height="12" {
                        rect.track x="0" y="2" width="100%" height="8" rx="1" {}
                        rect.fine x="0" y="2" width={ (format!("{:.1}", share.clamp(0.0, 1.0) * 100.0)) "%" } height="8" rx="1" {}
                    }
                }
            }
        }
    };
    let share = (limit > 0).then(|| own.memory_bytes as f64 / limit as f64);
    let of = if limit > 0 {
        format!("of {}", text::bytes(limit as f64))
    } else {
        "no limit is set".to_owned()
    };
    let rules = visit.all_rules().count();
    let targets = visit.targets.len();
    let evaluated = visit.rules.iter().filter_map(|group| group.last_evaluation).max();
    html! {
        section.panel.four.strip aria-label="What it uses" {
            (cell("Memory", text::bytes(own.memory_bytes as f64), of, share))
            (cell("Disk", text::bytes(own.data_bytes as f64), format!("in {}", own.data_dir), None))
            (cell("Series", text::count(own.series), format!("from {}", words::count(targets, "target")), None))
            (cell("Rules", text::count(rules as u64), evaluated.map_or_else(
                || "not evaluated yet".to_owned(), |last| format!("evaluated {}", visit.wall.ago(last))), None))
        }
    }
}

fn accounts(visit: &Visit) -> Markup {
    let accounts = &visit.own.accounts;
    let body = if accounts.is_empty() {
        empty("No room keeps an account yet: nothing has been moved.")
    } else {
        html! {
            div.panel.cut {
                table.cards {
                    caption.unseen { "Accounts" }
                    thead {
                        tr {
                            th scope="col" { "Room" }
                            th scope="col" { "Things" }
                            th.n scope="col" { "Taken" }
                            th.n scope="col" { "Given" }
                            th.n scope="col" { "In flight" }
                            th.n scope="col" { "Dropped" }
                            th scope="col" { "Why" }
                        }
                    }
                    tbody {
                        @for (room, ledger) in accounts {
                            tr data-row {
                                th.name scope="row" {
                                    (shape::works(match (ledger.balances(), ledger.dropped_total()) {
                                        (false, _) => Health::Bad,
                                        (true, 0) => Health::Good,
                                        (true, _) => Health::Pending,
                                    }))
                                    span { (room) }
                                }
                                td data-label="Things" { (ledger.things) }
                                td.n data-label="Taken" { (text::count(ledger.taken)) }
                                td.n data-label="Given" { (text::count(ledger.given)) }
                                td.n data-label="In flight" { (text::count(ledger.in_flight)) }
                                td.n data-label="Dropped" { (text::count(ledger.dropped_total())) }
                                td.wide.second { (reasons(ledger)) }
                            }
                        }
                    }
                }
            }
        }
    };
    section(
        "accounts",
        "Accounts",
        &html! { "taken = given + dropped + in flight" },
        &html! {},
        &body,
    )
}

fn reasons(ledger: &model::Ledger) -> String {
    let dropped = ledger.dropped.iter().filter(|(_, count)| **count > 0);
    let reasons: Vec<String> = dropped
        .map(|(reason, count)| format!("{} {reason}", text::count(*count)))
        .collect();
    match (reasons.is_empty(), ledger.balances()) {
        (_, false) => "does not balance".to_owned(),
        (true, true) => "nothing dropped".to_owned(),
        (false, true) => words::list(&reasons),
    }
}

fn configuration(visit: &Visit) -> Markup {
    let config = &visit.config;
    let body = html! {
        div.panel.pad {
            p {
                (shape::works(Health::Good)) " "
                code { (if config.file.is_empty() { "built-in defaults" } else { config.file.as_str() }) }
                " is in force since " (visit.wall.second(config.loaded_at)) "."
            }
            @if !config.refused.is_empty() {
                p { (shape::works(Health::Bad)) " A newer one was refused and is not in force. Mend it and save; it is read again." }
                @for complaint in &config.refused { pre.mistake tabindex="0" aria-label="Complaint" { (complaint) } }
            }
        }
    };
    section("configuration", "Configuration", &html! {}, &html! {}, &body)
}

fn receivers(visit: &Visit) -> Markup {
    let telling = &visit.telling;
    let body = if telling.receivers.is_empty() {
        empty("Nobody is told: the configuration names no receiver.")
    } else {
        html! {
            ul.panel.list {
                @for receiver in &telling.receivers {
                    @let failing = telling.failing.iter().find(|(name, _)| name == receiver);
                    @let last = telling.told.iter().find(|told| told.receiver == *receiver);
                    li data-row {
                        (shape::works(match (failing, last) {
                            (Some(_), _) => Health::Bad,
                            (None, Some(_)) => Health::Good,
                            (None, None) => Health::Unknown,
                        }))
                        div {
                            p { (receiver) }
                            p.small {
                                @match (failing, last) {
                                    (Some((_, error)), _) => span.wrong { (error) },
                                    (None, Some(last)) => (last.answer),
                                    (None, None) => "not needed since start",
                                }
                            }
                        }
                        span.age { @if let Some(last) = last { (visit.wall.ago(last.time)) } }
                    }
                }
            }
        }
    };
    let body = html! {
        (body)
        div.acts.next { (steps::send_test()) p.answer-of-test id="test-answer" data-keep aria-live="polite" {} }
    };
    section("receivers", "Receivers", &html! {}, &html! {}, &body)
}

/// Each file with how far it was read.
pub(super) fn log_files(visit: &Visit, state: &LogState) -> Markup {
    const SHOWN: usize = 60;
    let remark = html! { (words::count(state.files.len(), "file")) };
    let body = if state.files.is_empty() {
        empty(
            "No log file was found to read. By default these are /var/log/*.log, syslog, messages and the pods' logs.",
        )
    } else {
        html! {
            div.panel.cut {
                table.cards {
                    caption.unseen { "Log files" }
                    thead {
                        tr {
                            th scope="col" { "File" }
                            th.n scope="col" { "Size" }
                            th.n scope="col" { "Not read yet" }
                            th.n scope="col" { "Last line" }
                        }
                    }
                    tbody {
                        @for file in state.files.iter().take(SHOWN) {
                            tr data-row {
                                th.name.break scope="row" { (shape::works(file.health)) span { (file.path) } }
                                td.n data-label="Size" { (text::bytes(file.size_bytes as f64)) }
                                td.n data-label="Not read yet" {
                                    (text::bytes(file.size_bytes.saturating_sub(file.offset_bytes) as f64))
                                }
                                td.n data-label="Last line" {
                                    (file.last.map_or_else(|| "–".to_owned(), |last| visit.wall.ago(last)))
                                }
                            }
                            @if !file.error.is_empty() { tr.under { td colspan="4" { span.wrong { (file.error) } } } }
                        }
                    }
                }
                @if state.files.len() > SHOWN { p.note { "and " (state.files.len() - SHOWN) " more" } }
            }
        }
    };
    section("files", "Log files", &remark, &html! {}, &body)
}

/// What a test message led to, for those without JavaScript.
pub(super) fn tested(outcome: &Result<String, String>) -> Sheet {
    let (health, sentence) = match outcome {
        Ok(sentence) => (Health::Good, sentence),
        Err(sentence) => (Health::Bad, sentence),
    };
    let more = html! { p { a href="/self#receivers" { "Receivers" } " · " a href="/" { "Overview" } } };
    let main = status::line(health, &status::fit(sentence.clone()), &more, &html! {});
    Sheet {
        title: "a test".to_owned(),
        ..Sheet::new(Place::Own, main)
    }
}
