//! A server of names that says nothing, as CoreDNS does when it is ill: people are told all the same, and see why.

use std::net::Ipv4Addr;
use std::time::Duration;

use serde_json::Value;

use crate::fakes::dns::{Dns, Says};
use crate::fakes::peer::{Answer, Peer};
use crate::fakes::slack::{Manner, Slack};
use crate::harness::Skopos;

const PATIENCE: Duration = Duration::from_secs(60);
/// No other test has it.
const SERVER: Ipv4Addr = Ipv4Addr::new(127, 53, 0, 7);
const HOST: &str = "hooks.skopos.test";
const RULES: &str = "groups:
  - name: shop
    interval: 1s
    rules:
      - { alert: QueueLong, expr: shop_queue_depth > 100, labels: { severity: critical } }
";

/// What doctor says of names, if anything.
async fn doubts(skopos: &Skopos) -> Option<String> {
    let doctor: Value = skopos.api("/api/v1/doctor").await;
    let checks = doctor["checks"].as_array().cloned().unwrap_or_default();
    let of_names = checks
        .iter()
        .find(|check| check["room"] == "net" && check["name"] == "names");
    of_names.map(|check| format!("{}: {}", check["verdict"], check["seen"]))
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_told_while_no_name_can_be_looked_up() {
    let dns = match rustix::process::geteuid().is_root() {
        true => Dns::start(SERVER).ok(),
        false => None,
    };
    let Some(dns) = dns else {
        programs::skipped("a server of names that is silent (port 53 needs root)");
        return;
    };
    let slack = Slack::start().await.unwrap();
    let exporter = Peer::start(Answer::Body("shop_queue_depth 1\n".to_owned())).await;
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("rules.yaml", RULES);
    // As long as the system waits where nobody says otherwise: five seconds, twice.
    write("resolv.conf", &format!("nameserver {SERVER}\n"));
    let webhook = slack.url().replace("127.0.0.1", HOST);
    let config = format!(
        "node: {{ enabled: false }}\nlogs: {{ enabled: false }}\nglobal: {{ scrape_interval: 1s, scrape_timeout: 1s }}\n\
         rules: {{ shipped: false }}\nrule_files: [rules.yaml]\n\
         scrape_configs: [{{ job_name: shop, static_configs: [{{ targets: ['{}'] }}] }}]\n\
         notifier: {{ group_wait: 0s, group_interval: 1s, resolve_wait: 0s, slack: {{ webhook_url: '{webhook}' }} }}\n",
        exporter.address
    );
    write("skopos.yaml", &config);
    // Its file is the server's, for this process alone.
    let script = "mount --bind resolv.conf /etc/resolv.conf && exec \"$@\"";
    let wrapped = ["unshare", "--mount", "sh", "-c", script, "sh"];
    let words = ["--config", "skopos.yaml", "--listen", "127.0.0.1:0"];
    let skopos = Skopos::start_within(folder.path(), &wrapped, &words);
    let breach = |yes: bool| {
        let depth = if yes { 500 } else { 1 };
        exporter.set(Answer::Body(format!("shop_queue_depth {depth}\n")));
    };
    let told = async |what: &str, cards: usize| {
        skopos
            .wait_for(what, PATIENCE, async |_| slack.posted().len() == cards)
            .await;
    };
    breach(true);
    told("a card", 1).await;
    assert!(dns.asked() > 0, "nobody has asked where {HOST} is");
    assert_eq!(doubts(&skopos).await, None);

    dns.says(Says::Nothing);
    let asked = dns.asked();
    // It hangs up, so that there has to be another connection.
    slack.behave(Manner::Drop);
    breach(false);
    skopos
        .wait_for("the connection is lost", PATIENCE, async |skopos| {
            skopos.own("skopos_notifier_failures_total").await > Some(0.0)
        })
        .await;
    slack.behave(Manner::Well);
    told("its end, in silence", 2).await;
    breach(true);
    told("another beginning, in silence", 3).await;
    assert!(dns.asked() > asked, "nobody had to ask where {HOST} is");
    let doubt = doubts(&skopos).await.unwrap_or_default();
    assert!(doubt.starts_with("\"fail\"") && doubt.contains(HOST), "{doubt}");
    let warned = skopos.log().matches("cannot be looked up").count();
    assert_eq!(warned, 1, "said once\n{}", skopos.log());

    // Who is there is believed again, and so is who says that there is no such name: its address may be another's.
    dns.says(Says::Here);
    breach(false);
    told("its end, when all is well", 4).await;
    skopos
        .wait_for("nothing is wrong", PATIENCE, async |skopos| {
            doubts(skopos).await.is_none()
        })
        .await;
    dns.says(Says::NoSuchName);
    let asked = dns.asked();
    slack.behave(Manner::Drop);
    breach(true);
    skopos
        .wait_for("it is asked for again", PATIENCE, async |_| dns.asked() > asked)
        .await;
    slack.behave(Manner::Well);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(slack.posted().len(), 4, "told to whoever is there now");
    dns.says(Says::Here);
    told("it is told in the end", 5).await;
    breach(false);
    assert_eq!(skopos.stop().await, 0);
}
