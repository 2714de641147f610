//! Mail: what it says, and what becomes of it at a server that is not ours (aiosmtpd), which takes, refuses and hangs.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use model::mail::{Encryption, Letter, Mail, MailError, MailLogin, MailServer as Known, Trust};
use net::Mailer;
use serde_json::{Value, json};

use super::cards::{alert, message};
use super::world::{Manner, START, World, config, minutes, secs};
use crate::config::Config;
use crate::delivered::Reason;
use crate::message::Message;
use crate::plan::Plan;
use crate::probe;
use crate::receiver::{Receiver, Ways};
use crate::verdict::Verdict;

#[path = "../../../tests/fakes/mail.rs"]
mod fake;

use fake::{MailServer, certificate};

const MAIL: &str = "email: { to: 'ops@example.org, Ann <ann@example.org>', from: skopos@example.org, smarthost: \
                    'localhost:25', encryption: none }";
const OPS: &str = "mail://ops@example.org,ann@example.org";

fn text(port: u16, more: &str) -> String {
    format!(
        "email: {{ to: 'ops@example.org, Ann É <ann@example.org>', from: 'Skopos <skopos@example.org>', smarthost: \
         'localhost:{port}', timeout: 2s, {more} }}"
    )
}

fn of_file(text: &str) -> Config {
    let mut config = Config::default();
    let read = config.read_file(
        "alertmanager.yml",
        text,
        Path::new("/"),
        &crate::alertmanager::tests::no_files,
    );
    read.unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    config
}

fn only(config: &Config) -> Arc<Receiver> {
    Plan::of(config).receivers.remove(0)
}

fn ways() -> Ways {
    Ways {
        client: net::HttpClient::new().unwrap(),
        mail: Arc::new(Mailer),
    }
}

async fn send(config: &Config, message: &Message) -> Verdict {
    only(config).send(&ways(), message, || true).await.verdict
}

fn first() -> Message {
    message(Reason::First, vec![alert(1), alert(2)], &[])
}

fn part<'a>(letter: &'a Value, kind: &str) -> &'a str {
    let parts = letter["parts"].as_array().unwrap();
    let found = parts.iter().find(|part| part[0] == kind);
    found.unwrap_or_else(|| panic!("{letter:#}"))[1].as_str().unwrap()
}

#[tokio::test]
async fn a_mail_says_what_fires_as_text_and_as_a_page() {
    let Some(server) = MailServer::start("plain", None).await else {
        return;
    };
    let config = config(&text(server.port, "encryption: none"));
    let verdict = send(&config, &first()).await;
    assert_eq!(verdict, Verdict::Taken("250 2.0.0 queued as 42".to_owned()));
    let letter = server.taken(1).await.remove(0);
    assert_eq!(letter["defects"], json!([]));
    assert_eq!(letter["from"], "skopos@example.org");
    assert_eq!(letter["to"], json!(["ops@example.org", "ann@example.org"]));
    assert_eq!(letter["type"], "multipart/alternative");
    // A line that is longer may be refused on the way.
    assert!(letter["longest"].as_u64().unwrap() <= 998, "{letter:#}");
    let headers = &letter["headers"];
    assert_eq!(headers["Subject"], "[FIRING:2] DiskFilling: 2 alerts (+2 new)");
    assert_eq!(headers["To"], "ops@example.org, Ann É <ann@example.org>");
    assert_eq!(headers["From"], "Skopos <skopos@example.org>");
    assert_eq!(headers["Auto-Submitted"], "auto-generated");
    assert_eq!(headers["References"], headers["In-Reply-To"]);
    let plain = part(&letter, "text/plain");
    for words in [
        "○ not confirmed lately: /data/1 will be full in 2 h",
        "○ not confirmed lately: /data/2 will be full in 2 h",
        "doesn't <stop>.",
        "mountpoint=/data/1",
        "since 2026-11-26 02:51 UTC (14 min)",
        "Open: http://skopos.example:9464/alerts",
        "Runbook: https://runbooks.example/disk#filling",
    ] {
        assert!(plain.contains(words), "{words}\nnot in\n{plain}");
    }
    let page = part(&letter, "text/html");
    for words in [
        "▲ /data/1 will be full in 2 h",
        "doesn&#39;t &lt;stop&gt;.",
        r#"<a href="https://runbooks.example/disk#filling">Runbook</a>"#,
        "2 firing, 0 resolved",
    ] {
        assert!(page.contains(words), "{words}\nnot in\n{page}");
    }
}

#[tokio::test]
async fn mails_of_a_group_are_one_conversation_and_each_has_a_name_of_its_own() {
    let Some(server) = MailServer::start("plain", None).await else {
        return;
    };
    let config = config(&text(server.port, "encryption: none"));
    let begun = first();
    let later = Message {
        time: begun.time + minutes(5),
        ..begun.clone()
    };
    let next_day = Message {
        time: begun.time + minutes(24 * 60),
        ..begun.clone()
    };
    let mut other = begun.clone();
    other.key = "{}:{alertname=\"Other\"}".into();
    for message in [&begun, &later, &next_day, &other] {
        assert!(matches!(send(&config, message).await, Verdict::Taken(_)));
    }
    let letters = server.taken(4).await;
    let of = |nth: usize, name: &str| letters[nth]["headers"][name].as_str().unwrap().to_owned();
    assert_eq!(of(0, "References"), of(1, "References"));
    assert_ne!(of(0, "References"), of(2, "References"));
    assert_ne!(of(0, "References"), of(3, "References"));
    for nth in 1..4 {
        assert_ne!(of(0, "Message-ID"), of(nth, "Message-ID"));
    }
}

#[tokio::test]
async fn nothing_in_an_alert_adds_a_header_or_a_recipient_or_markup() {
    let Some(server) = MailServer::start("plain", None).await else {
        return;
    };
    let mut evil = alert(1);
    let bad =
        "x\r\nBcc: evil@example.org\r\n\r\n.\r\nRCPT TO:<evil@example.org>\r\n<script>alert(1)</script>";
    evil.annotations = model::Labels::from_pairs([("summary", bad), ("runbook_url", "javascript:alert(1)")]);
    let message = message(Reason::First, vec![evil], &[]);
    let file = format!(
        "global: {{ smtp_smarthost: 'localhost:{}', smtp_from: a@example.org, smtp_require_tls: false }}\n\
         route: {{ receiver: r }}\nreceivers:\n- name: r\n  email_configs:\n  - to: b@example.org\n    \
         headers: {{ X-Said: '{{{{ .CommonAnnotations.summary }}}}', Subject: '{{{{ .CommonAnnotations.summary }}}}' }}\n",
        server.port
    );
    for config in [config(&text(server.port, "encryption: none")), of_file(&file)] {
        assert!(matches!(send(&config, &message).await, Verdict::Taken(_)));
    }
    for letter in server.taken(2).await {
        assert_eq!(letter["defects"], json!([]));
        let headers = letter["headers"].as_object().unwrap();
        assert!(!headers.contains_key("Bcc"), "{letter:#}");
        assert!(!letter["to"].to_string().contains("evil"), "{letter:#}");
        let page = part(&letter, "text/html");
        assert!(!page.contains("<script"), "{page}");
        assert!(!page.contains("javascript:"), "{page}");
    }
}

#[tokio::test]
async fn what_a_server_says_is_believed() {
    let Some(server) = MailServer::start("plain", None).await else {
        return;
    };
    let own = config(&text(server.port, "encryption: none"));
    for (manner, wanted) in [
        ("550", ("rejected", "550 as told", None)),
        ("451", ("server_error", "451 as told", Some(false))),
        ("hang", ("timeout", "no answer within 2s", Some(true))),
        ("drop", ("broken", "the connection broke off", Some(true))),
    ] {
        server.behave(manner);
        let (reason, said, is_unsure) = match send(&own, &first()).await {
            Verdict::Never { reason, words } => (reason, words, None),
            Verdict::Later {
                reason,
                words,
                unsure,
                ..
            } => (reason, words, Some(unsure)),
            other => panic!("{manner}: {other:?}"),
        };
        assert_eq!((reason, is_unsure), (wanted.0, wanted.2), "{manner}: {said}");
        assert!(said.starts_with(wanted.1), "{manner}: {said}");
    }
    server.behave("well");
    let to = |who: &str| config(&text(server.port, "encryption: none").replace("ops@", who));
    // Who is not known there keeps it from nobody else.
    let verdict = send(&to("nobody@"), &first()).await;
    let words = "250 2.0.0 queued as 42; but not to nobody@example.org: 550 5.1.1 no such person";
    assert_eq!(verdict, Verdict::Taken(words.to_owned()));
    assert_eq!(server.letters().last().unwrap()["to"], json!(["ann@example.org"]));
    // Who is known and not now gets it with all others, later.
    let count = server.letters().len();
    let verdict = send(&to("later@"), &first()).await;
    assert!(
        matches!(&verdict, Verdict::Later { unsure: false, words, .. } if words.starts_with("450")),
        "{verdict:?}"
    );
    assert_eq!(server.letters().len(), count);
    let nowhere = config(&text(programs::free_port(), "encryption: none"));
    let verdict = send(&nowhere, &first()).await;
    assert!(
        matches!(
            &verdict,
            Verdict::Later {
                reason: "connect",
                unsure: false,
                ..
            }
        ),
        "{verdict:?}"
    );
}

#[tokio::test]
async fn a_password_goes_to_a_server_with_the_right_certificate_and_to_no_other() {
    for way in ["starttls", "tls"] {
        let Some(server) = MailServer::start(way, Some("me:secret")).await else {
            return;
        };
        let reached = |ca: &str, password: &str, port: u16| {
            config(&text(
                port,
                &format!(
                    "encryption: {way}, username: me, password: '{password}', ca_file: '{}'",
                    certificate(ca).display()
                ),
            ))
        };
        let good = reached("first.ca.pem", "secret", server.port);
        let verdict = send(&good, &first()).await;
        assert!(matches!(verdict, Verdict::Taken(_)), "{way}: {verdict:?}");
        let letter = server.taken(1).await.remove(0);
        assert_eq!(letter["tls"], true, "{way}");
        let known = probe(&good, &*ways().client, &Mailer).await.remove(0);
        assert_eq!(
            known.outcome.unwrap(),
            "mail.test answers by TLS and knows us",
            "{way}"
        );
        // Somebody else's certificate.
        let verdict = send(&reached("second.ca.pem", "secret", server.port), &first()).await;
        assert!(
            matches!(&verdict, Verdict::Later { reason: "connect", unsure: false, words, .. }
                if words.contains("certificate")),
            "{way}: {verdict:?}"
        );
        let wrong = reached("first.ca.pem", "wrong", server.port);
        let verdict = send(&wrong, &first()).await;
        assert!(
            matches!(&verdict, Verdict::Never { reason: "rejected", words } if words.starts_with("535 at the login")),
            "{way}: {verdict:?}"
        );
        let unknown = probe(&wrong, &*ways().client, &Mailer).await.remove(0);
        assert!(unknown.outcome.unwrap_err().contains("535"), "{way}");
        assert_eq!(server.letters().len(), 1, "{way}");
    }
    // A server that does not have it is sent nothing.
    let server = MailServer::start("plain", None).await.unwrap();
    let verdict = send(&config(&text(server.port, "encryption: starttls")), &first()).await;
    assert!(
        matches!(&verdict, Verdict::Later { words, .. } if words.contains("does not offer STARTTLS")),
        "{verdict:?}"
    );
    assert!(server.letters().is_empty());
}

#[tokio::test]
async fn a_certificate_may_be_another_hosts_or_anybodys_if_that_is_asked_for() {
    let Some(server) = MailServer::start("tls", None).await else {
        return;
    };
    let trust = |trust: Trust| Letter {
        server: Known {
            host: "127.0.0.1".to_owned(),
            port: server.port,
            hello: "here.test".to_owned(),
            encryption: Encryption::Tls,
            trust,
            login: None::<MailLogin>,
        },
        from: "a@example.org".to_owned(),
        to: vec!["b@example.org".to_owned()],
        text: b"Subject: x\r\n\r\n.\r\nhidden dots\r\n".to_vec(),
        timeout: secs(5),
    };
    let ca = Trust {
        ca_file: Some(certificate("first.ca.pem")),
        ..Trust::default()
    };
    let named = |name: &str| Trust {
        server_name: Some(name.to_owned()),
        ..ca.clone()
    };
    Mailer.send(trust(named("localhost"))).await.unwrap();
    let refused = Mailer.send(trust(named("mail.example.org"))).await;
    assert!(matches!(refused, Err(MailError::Connect(_))), "{refused:?}");
    let refused = Mailer.send(trust(Trust::default())).await;
    assert!(matches!(refused, Err(MailError::Connect(_))), "{refused:?}");
    let any = Trust {
        takes_any: true,
        ..Trust::default()
    };
    Mailer.send(trust(any)).await.unwrap();
    let gone = Trust {
        ca_file: Some("/nowhere/ca.pem".into()),
        ..Trust::default()
    };
    let refused = Mailer.send(trust(gone)).await.unwrap_err().to_string();
    assert!(refused.contains("/nowhere/ca.pem"), "{refused}");
    let letters = server.letters();
    assert_eq!(letters.len(), 2);
    assert_eq!(letters[0]["hello"], "here.test");
    // A line that is a dot ends nothing.
    assert!(part(&letters[0], "text/plain").contains("hidden dots"));
}

#[tokio::test]
async fn a_template_that_fails_costs_nobody_a_mail() {
    let Some(server) = MailServer::start("plain", None).await else {
        return;
    };
    let file = format!(
        "global: {{ smtp_smarthost: 'localhost:{}', smtp_from: a@example.org, smtp_require_tls: false }}\n\
         route: {{ receiver: r }}\nreceivers:\n- name: r\n  email_configs:\n  - to: b@example.org\n    \
         html: '{{{{ index .Alerts 99 }}}}'\n",
        server.port
    );
    let verdict = send(&of_file(&file), &first()).await;
    assert!(matches!(verdict, Verdict::Taken(_)), "{verdict:?}");
    let letter = server.taken(1).await.remove(0);
    let plain = part(&letter, "text/plain");
    assert!(
        plain.contains("A template of this receiver failed") && plain.contains("/data/1"),
        "{plain}"
    );
}

#[tokio::test]
async fn many_alerts_fit_into_one_mail() {
    let Some(server) = MailServer::start("plain", None).await else {
        return;
    };
    let alerts = (0..3_000).map(alert).collect();
    let message = message(Reason::First, alerts, &[]);
    let verdict = send(&config(&text(server.port, "encryption: none")), &message).await;
    assert!(matches!(verdict, Verdict::Taken(_)), "{verdict:?}");
    let letter = server.taken(1).await.remove(0);
    assert!(part(&letter, "text/plain").contains("+2950 more"));
    assert!(letter["bytes"].as_u64().unwrap() < 4 << 20, "{}", letter["bytes"]);
}

#[tokio::test(start_paused = true)]
async fn mail_waits_while_its_server_is_away_and_is_given_up_when_it_is_refused() {
    let world = World::new(MAIL);
    world.receivers.behave(OPS, Manner::Refuses);
    world.fires("Down", "a").await;
    world.wait(minutes(1)).await;
    assert!(world.receivers.got(OPS).is_empty());
    world.receivers.behave(OPS, Manner::Takes);
    world.wait(minutes(3)).await;
    let got = world.receivers.got(OPS);
    assert_eq!(got.len(), 1);
    assert!(
        got[0].body["text"]
            .as_str()
            .unwrap()
            .contains("Subject: [FIRING:1] Down")
    );
    world.receivers.behave(OPS, Manner::Answers(550));
    world.resolves("Down", "a", START + minutes(4)).await;
    world.wait(minutes(10)).await;
    let tried = world.receivers.attempts().len();
    world.wait(minutes(10)).await;
    assert_eq!(world.receivers.attempts().len(), tried);
    assert_eq!(world.handle.view().failing[0].1, "550 as told");
    world.balances();
}

#[tokio::test(start_paused = true)]
async fn a_mail_that_may_have_arrived_says_so_when_it_is_sent_again() {
    let world = World::new(MAIL);
    world.receivers.behave(OPS, Manner::HangsAfterReading);
    world.fires("Down", "a").await;
    world.wait(minutes(1)).await;
    world.receivers.behave(OPS, Manner::Takes);
    world.wait(minutes(3)).await;
    let last = world.receivers.got(OPS).pop().unwrap();
    let text = last.body["text"].as_str().unwrap().replace("=\r\n", "");
    assert!(text.contains("Possibly a repeat"), "{text}");
    world.balances();
}

#[test]
fn mistakes_in_a_mail_are_sentences_with_their_path() {
    let complaints = |text: &str| yaml::read::<Config>("notifier.yaml", text).unwrap().complaints();
    for (text, sentence) in [
        (
            "{}",
            "smarthost: not a host and its port, such as smtp.example.org:587",
        ),
        ("{ smarthost: 'x:25' }", "from: is not set"),
        ("{ smarthost: 'x:25', from: a@b.org }", "to: is not set"),
        (
            "{ smarthost: 'x:25', from: a@b.org, to: 'c' }",
            "to: \"c\" is no list of mail addresses",
        ),
        (
            "{ smarthost: 'x:25', from: a@b.org, to: c@b.org, username: me }",
            "username: set password or password_file as well",
        ),
        (
            "{ smarthost: 'x:25', from: a@b.org, to: c@b.org, username: me, password: s3cret, encryption: none }",
            "encryption: without it the password would be readable on its way",
        ),
    ] {
        let wrong = complaints(&format!("email: {text}"));
        assert!(
            wrong.len() == 1 && wrong[0].starts_with(&format!("notifier.email.{sentence}")),
            "{text}: {wrong:?}"
        );
        assert!(!wrong[0].contains("s3cret"));
    }
    let good = "{ smarthost: '[::1]:465', from: a@b.org, to: '{{ .CommonLabels.team }}@b.org', username: me, password: x }";
    assert_eq!(complaints(&format!("email: {good}")), Vec::<String>::new());
    let config = config(&format!("email: {good}"));
    assert!(!format!("{config:?}").contains("password: \"x\""));
    assert_eq!(config.receivers(), ["email {{ .CommonLabels.team }}@b.org"]);
}

#[test]
fn a_files_mail_is_read_with_what_its_global_part_says() {
    let file = |global: &str, own: &str| {
        format!(
            "global: {{ {global} }}\nroute: {{ receiver: r }}\nreceivers:\n- name: r\n  email_configs:\n  - {{ {own} }}\n"
        )
    };
    let read = |global: &str, own: &str| {
        let mut config = Config::default();
        let text = file(global, own);
        let read = config.read_file(
            "a.yml",
            &text,
            Path::new("/etc"),
            &crate::alertmanager::tests::no_files,
        );
        read.map(|()| config)
            .map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect::<String>())
    };
    const GLOBAL: &str = "smtp_smarthost: 'mail.example.org:587', smtp_from: a@b.org";
    for (global, own, wrong) in [
        (
            GLOBAL,
            "send_resolved: true",
            "missing to address in email config",
        ),
        (
            "smtp_from: a@b.org",
            "to: c@d.org",
            "no global SMTP smarthost set",
        ),
        ("smtp_smarthost: 'x:25'", "to: c@d.org", "no global SMTP from set"),
        (
            "smtp_smarthost: 'x', smtp_from: a@b.org",
            "to: c@d.org",
            "is not a host and its port",
        ),
        (
            GLOBAL,
            "to: c@d.org, auth_username: me",
            "set auth_password or auth_password_file",
        ),
        (
            GLOBAL,
            "to: c@d.org, auth_username: me, auth_secret: x",
            "CRAM-MD5",
        ),
        (
            GLOBAL,
            "to: c@d.org, auth_username: me, auth_password: x, auth_identity: you",
            "auth_identity is not supported",
        ),
        (GLOBAL, "to: c@d.org, headers: { a: x, A: y }", "duplicate header"),
        (
            GLOBAL,
            "to: c@d.org, headers: { 'a b': x }",
            "cannot be the name of a header",
        ),
        (
            GLOBAL,
            "to: c@d.org, threading: { enabled: true, thread_by_date: daily }, headers: { References: x }",
            "threading.enabled conflicts with custom References header",
        ),
        (
            GLOBAL,
            "to: c@d.org, threading: { enabled: true, thread_by_date: weekly }",
            "threading.thread_by_date must be either 'none' or 'daily'",
        ),
        (
            GLOBAL,
            "to: c@d.org, tls_config: { cert_file: x }",
            "cert_file and key_file belong together",
        ),
        (
            GLOBAL,
            "to: c@d.org, tls_config: { ca: x }",
            "tls_config.ca is not supported",
        ),
    ] {
        let said = read(global, own).map(|_| ()).unwrap_err();
        assert!(said.contains(wrong), "{own}: {said}");
    }
    let noted = |own: &str| {
        read(GLOBAL, own)
            .unwrap()
            .notes()
            .iter()
            .map(ToString::to_string)
            .collect::<String>()
    };
    assert!(noted("to: c@d.org, tls_config: { insecure_skip_verify: true }").contains("reads along"));
    let open = "to: c@d.org, auth_username: me, auth_password: s3cret, require_tls: false";
    assert!(noted(open).contains("for all to read"));
    let receiver = only(&read(GLOBAL, open).unwrap());
    assert!(!format!("{receiver:?}").contains("s3cret"));
    assert_eq!(noted("to: c@d.org, auth_username: me, auth_password_file: x"), "");
    let receiver = only(&read(GLOBAL, "to: c@d.org").unwrap());
    assert_eq!((&*receiver.name, receiver.send_resolved), ("r/email[0]", false));
    assert_eq!(receiver.timeout(), Duration::from_secs(30));
}
