//! The same sink beside moto, which is somebody else's idea of AWS.

use std::process::Command;
use std::time::{Duration, Instant};

use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::config::Builder;
use fake_aws::REGION;
use model::signature::{Account, Keys};
use serde_json::{Value, json};

use super::generator::{Writer, judge};
use super::room::{Room, outside};
use super::{entry, sort};

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn moto_has_every_line_once_in_the_group_and_stream_of_its_file() {
    let Some(server) = programs::file("aws/moto/server.py") else {
        return;
    };
    let packages = server.parent().unwrap().parent().unwrap().to_owned();
    let port = programs::free_port();
    let _moto = programs::start(
        Command::new("python3")
            .args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()])
            .env("PYTHONPATH", packages),
    );
    let begun = Instant::now();
    while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        assert!(begun.elapsed() < PATIENCE, "moto does not start");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let url = format!("http://127.0.0.1:{port}");
    let entry = entry(&url, ("AKIAMOTO", "any"), &json!({"retention_days": 7}));
    let mut room = Room::start("cloudwatch", &entry, outside());
    // The times of containers' lines are too old for moto, which has the time of today.
    let folder = room.folder().join("plain");
    room.writers = (0..3)
        .map(|number| Writer::plain(&folder, number).unwrap())
        .collect();
    for _ in 0..5 {
        room.write(300);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let lines: usize = room.written().iter().sum();
    room.settled(lines).await;

    let (asked, mut all) = (client(&url).await, Vec::new());
    for number in 0..3 {
        all.extend(read(&asked, &format!("here/app-{number}.log")).await);
    }
    let (seen, _, again) = sort(all.iter());
    judge(&seen, &room.written(), "by moto");
    assert_eq!(again, 0);
    let groups = asked.describe_log_groups().send().await.unwrap();
    assert_eq!(groups.log_groups()[0].retention_in_days(), Some(7));
    room.stop().await;
}

async fn client(url: &str) -> Client {
    let keys = Keys {
        access_key: "AKIAMOTO".to_owned(),
        secret_key: "any".to_owned(),
    };
    let account = Account {
        keys: Some(keys),
        ..Account::default()
    };
    let shared = outside().aws.sdk_config(Some(REGION), &account).await;
    Client::from_conf(Builder::from(&shared).endpoint_url(url).build())
}

async fn read(client: &Client, stream: &str) -> Vec<Value> {
    let (mut token, mut all) = (None, Vec::new());
    loop {
        let asked = client
            .get_log_events()
            .log_group_name("/skopos/host")
            .log_stream_name(stream)
            .start_from_head(true)
            .set_next_token(token.clone());
        let page = asked.send().await.unwrap();
        let messages = page.events().iter();
        all.extend(messages.map(|event| serde_json::from_str(event.message().unwrap()).unwrap()));
        let next = page.next_forward_token().map(str::to_owned);
        if next == token {
            return all;
        }
        token = next;
    }
}
