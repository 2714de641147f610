//! Before the first line: whether there is a way to AWS; and groups and streams that are made when they are missing.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws::Aws;
use net::Backoff;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::{info, warn};

use super::answer::{Failure, failure};
use super::config::Config;
use super::flight::{Destination, Stream};
use super::who::Way;

const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_MOST: Duration = Duration::from_secs(60);
/// Streams remembered as made; with more of them some are asked for again.
const MADE_MAX: usize = 10_000;
/// Groups that are counted for people.
const GROUPS_SHOWN: i32 = 50;

/// Returns when there is a way.
pub(crate) async fn prepare(destination: &Destination) {
    let mut backoff = Backoff::new(PAUSE_FIRST, PAUSE_MOST);
    loop {
        match destination.way().await {
            Ok(way) => {
                info!(
                    sink = destination.common.name,
                    region = way.region,
                    "log lines go to CloudWatch Logs"
                );
                return;
            }
            Err(why) => destination.common.say_trouble("setup", why),
        }
        tokio::time::sleep(backoff.next()).await;
    }
}

/// Whether AWS answers and takes our credentials; nothing is made and no line sent.
///
/// # Errors
/// A sentence without secrets.
pub async fn ask(config: &Config, aws: &Arc<Aws>) -> Result<String, String> {
    let Way { client, region } = config.who().way(aws).await?;
    let front = config.group.front();
    let asked = client
        .describe_log_groups()
        .limit(GROUPS_SHOWN)
        .set_log_group_name_prefix((!front.is_empty()).then(|| front.to_owned()));
    let known = match asked.send().await {
        Ok(page) => page,
        Err(error) => {
            return match failure(&error) {
                Failure::Again { why, .. } if why.starts_with("AccessDeniedException") => Ok(format!(
                    "CloudWatch Logs in {region} answers and knows us; without the right logs:DescribeLogGroups no more can be asked"
                )),
                Failure::Again { why, .. } | Failure::Missing(why) => Err(why),
                Failure::Invalid(refusal) => Err(refusal.why),
                Failure::Exists => Err("an answer to another question".to_owned()),
            };
        }
    };
    let more = if known.next_token().is_some() {
        "more than "
    } else {
        ""
    };
    let groups = match known.log_groups().len() {
        1 => "1 log group".to_owned(),
        count => format!("{more}{count} log groups"),
    };
    Ok(match front {
        "" => format!("CloudWatch Logs in {region} answers, it has {groups}"),
        front => format!("CloudWatch Logs in {region} answers, it has {groups} under {front}"),
    })
}

/// Makes what is missing, one after the other.
#[derive(Default)]
pub(crate) struct Maker(Mutex<HashMap<Stream, Instant>>);

impl Maker {
    /// Makes a stream, and its group if that is missing too. `missed` is when the request was sent that missed it: what was
    /// made since then is there.
    pub(crate) async fn make(
        &self,
        way: &Way,
        stream: &Stream,
        missed: Instant,
        retention_days: Option<u32>,
        sink: &str,
    ) -> Result<(), Failure> {
        let mut made = self.0.lock().await;
        if made.get(stream).is_some_and(|made| *made >= missed) {
            return Ok(());
        }
        let Stream { group, stream: name } = stream;
        if let Err(why) = make_stream(way, stream).await {
            let Failure::Missing(_) = why else {
                return Err(why);
            };
            if make_group(way, group).await? {
                info!(sink, group, "log group made");
                if let Some(days) = retention_days {
                    limit(way, group, days, sink).await;
                }
            }
            make_stream(way, stream).await?;
        }
        info!(sink, group, stream = name, "log stream made");
        if made.len() >= MADE_MAX {
            made.clear();
        }
        made.insert(stream.clone(), Instant::now());
        Ok(())
    }
}

async fn make_stream(way: &Way, stream: &Stream) -> Result<(), Failure> {
    let asked = way.client.create_log_stream();
    let asked = asked
        .log_group_name(&stream.group)
        .log_stream_name(&stream.stream);
    match asked.send().await.map_err(|error| failure(&error)) {
        Ok(_) | Err(Failure::Exists) => Ok(()),
        Err(why) => Err(why),
    }
}

/// True when it was not there.
async fn make_group(way: &Way, group: &str) -> Result<bool, Failure> {
    let asked = way.client.create_log_group().log_group_name(group);
    match asked.send().await.map_err(|error| failure(&error)) {
        Ok(_) => Ok(true),
        Err(Failure::Exists) => Ok(false),
        Err(why) => Err(why),
    }
}

/// Lines are sent all the same when it cannot be said how long they are kept.
async fn limit(way: &Way, group: &str, days: u32, sink: &str) {
    let days = i32::try_from(days).unwrap_or(i32::MAX);
    let asked = way.client.put_retention_policy().log_group_name(group);
    let mut backoff = Backoff::new(PAUSE_FIRST, PAUSE_MOST);
    for _ in 0..3 {
        match asked
            .clone()
            .retention_in_days(days)
            .send()
            .await
            .map_err(|error| failure(&error))
        {
            Ok(_) => return,
            Err(Failure::Again {
                reason: "pushed_back" | "server_error" | "timeout",
                ..
            }) => tokio::time::sleep(backoff.next()).await,
            Err(why) => {
                warn!(
                    sink,
                    group,
                    ?why,
                    "log group has no retention: what is in it is kept for ever; allow logs:PutRetentionPolicy, or set it there"
                );
                return;
            }
        }
    }
    warn!(
        sink,
        group, "log group has no retention: AWS did not take it now; set it there"
    );
}
