//! What to do next, while nobody is told and nothing of the reader's own is watched. Gone once it is done.

use maud::{Markup, html};

use super::frame::section;
use super::visit::Visit;

struct Step {
    title: &'static str,
    sentence: Markup,
    code: &'static str,
    /// The one thing to press besides Copy.
    act: Markup,
}

pub(super) fn draw(visit: &Visit) -> Markup {
    let watches = visit
        .targets
        .iter()
        .any(|target| target.http && target.job != "skopos");
    if visit.somebody_is_told() && watches {
        return html! {};
    }
    let mut steps = Vec::new();
    if !visit.somebody_is_told() {
        steps.push(tell());
    }
    if !watches {
        steps.push(watch());
    }
    steps.push(rule());
    let title = match steps.len() {
        2 => "Two next steps",
        _ => "Three next steps",
    };
    let remark = html! {};
    let right = html! {
        @if visit.config.file.ends_with(".yaml") || visit.config.file.ends_with(".yml") {
            span { "each is a few lines in " code { (visit.config.file) } }
        } @else {
            span { "each is a few lines in a file, named by " code { "skopos --config skopos.yaml" } }
        }
    };
    let body = html! {
        ol.panel.three.steps {
            @for (nth, step) in steps.iter().enumerate() {
                li {
                    h3 { span.nth aria-hidden="true" { (nth + 1) } (step.title) }
                    p { (step.sentence) }
                    pre id={ "step-" (nth + 1) } tabindex="0" aria-label={ (step.title) ", lines of the file" } { code { (step.code) } }
                    div.acts {
                        (step.act)
                        button.button type="button" data-copy={ "#step-" (nth + 1) } { "Copy" }
                    }
                }
            }
        }
    };
    section("steps", title, &remark, &right, &body)
}

fn tell() -> Step {
    Step {
        title: "Tell somebody",
        sentence: html! { "Alerts go to Slack or to any webhook." },
        code: "notifier:\n  slack:\n    webhook_file: ./slack-webhook",
        act: send_test(),
    }
}

fn watch() -> Step {
    Step {
        title: "Watch a program of yours",
        sentence: html! { "Anything with a Prometheus " code { "/metrics" } " page." },
        code: "scrape_configs:\n- job_name: shop\n  static_configs: [{targets: [localhost:8080]}]",
        act: html! { a.button href="/targets" { "See targets" } },
    }
}

fn rule() -> Step {
    Step {
        title: "Write a rule of your own",
        sentence: html! { "Prometheus rule files, as they are." },
        code: "rule_files: [rules/*.yaml]\n\n# then: skopos check skopos.yaml",
        act: html! { a.button href="/explore" { "Try an expression" } },
    }
}

/// Sends through every receiver; the answer appears beside the button, or as a view without JavaScript.
pub(super) fn send_test() -> Markup {
    html! {
        form.inline method="post" action="/self/test" data-answer="#test-answer" {
            button.button type="submit" { "Send a test" }
        }
    }
}
