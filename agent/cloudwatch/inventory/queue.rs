//! A queue of SQS in which EventBridge puts what EC2 says of instances before it does it: that a spot instance is taken back in
//! two minutes, that this has become likely, that maintenance is scheduled.
//!
//! Shapes: [Spot interruption notices](https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html),
//! [rebalance recommendations](https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/rebalance-recommendations.html),
//! [AWS Health in EventBridge](https://docs.aws.amazon.com/health/latest/ug/aws-health-events-eventbridge-schema.html).

use std::time::Duration;

use model::{Level, Timestamp};
use serde_json::{Value, json};

use super::Place;
use super::ask::{Asker, Refused};
use super::operations::{DELETE_MESSAGE, RECEIVE_MESSAGE};

/// Messages of one answer, which is as many as there can be.
const MESSAGES_MAX: u32 = 10;
/// How long SQS waits for a message before it says that there is none.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// How long others do not see what was received here.
const HIDDEN: Duration = Duration::from_secs(60);

/// Which queue, taken from its URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    url: String,
    region: String,
    account: String,
    name: String,
}

impl Queue {
    /// `https://sqs.eu-west-1.amazonaws.com/111122223333/interruptions`.
    #[must_use]
    pub fn at(url: &str) -> Option<Self> {
        let (host, path) = url.strip_prefix("https://")?.split_once('/')?;
        let (account, name) = path.split_once('/')?;
        let mut labels = host.split('.');
        let is_sqs = labels
            .next()
            .is_some_and(|first| first == "sqs" || first == "sqs-fips");
        let region = labels.next().filter(|region| region.contains('-'))?;
        let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
        let is_name = !name.is_empty() && !name.contains('/');
        (is_sqs && is_account && is_name && labels.next().is_some()).then(|| Self {
            url: url.to_owned(),
            region: region.to_owned(),
            account: account.to_owned(),
            name: name.to_owned(),
        })
    }

    pub(crate) fn is_in(&self, place: &Place) -> bool {
        *self.region == *place.region && *self.account == *place.account
    }

    /// What a policy calls it.
    #[must_use]
    pub fn arn(&self) -> String {
        let partition = match &self.region {
            region if region.starts_with("cn-") => "aws-cn",
            region if region.starts_with("us-gov-") => "aws-us-gov",
            _ => "aws",
        };
        let Self {
            region,
            account,
            name,
            ..
        } = self;
        format!("arn:{partition}:sqs:{region}:{account}:{name}")
    }
}

/// As SQS hands it out; until it is deleted it comes again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    receipt: String,
    pub(crate) body: String,
}

/// What is announced of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    SpotInterruption,
    RebalanceRecommendation,
    ScheduledChange,
    /// It has happened: nothing announced before counts any more.
    Gone,
}

impl Kind {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::SpotInterruption => "spot_interruption",
            Self::RebalanceRecommendation => "rebalance_recommendation",
            Self::ScheduledChange => "scheduled_change",
            Self::Gone => "gone",
        }
    }

    pub(crate) fn level(self) -> Level {
        match self {
            Self::SpotInterruption | Self::ScheduledChange => Level::Warn,
            Self::RebalanceRecommendation | Self::Gone => Level::Info,
        }
    }

    /// For how long it is said; what it announces is over by then, or never comes.
    pub(crate) fn lasts(self) -> Duration {
        match self {
            Self::SpotInterruption => Duration::from_secs(600),
            Self::RebalanceRecommendation => Duration::from_secs(3_600),
            Self::ScheduledChange => Duration::from_secs(86_400),
            Self::Gone => Duration::ZERO,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Notice {
    /// EventBridge's: the same when the message comes twice.
    pub(crate) id: String,
    pub(crate) at: Timestamp,
    pub(crate) kind: Kind,
    pub(crate) instances: Vec<String>,
    pub(crate) text: String,
}

/// What a message is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    Notice(Notice),
    /// Something else that EventBridge was told to put here.
    Other,
    /// Nothing of EventBridge's.
    Unreadable,
}

pub(crate) fn read(body: &str) -> Read {
    let Ok(event) = serde_json::from_str::<Value>(body) else {
        return Read::Unreadable;
    };
    let text = |name: &str| event.get(name).and_then(Value::as_str);
    let (Some(id), Some(what), Some(detail)) = (text("id"), text("detail-type"), event.get("detail")) else {
        return Read::Unreadable;
    };
    let at = text("time").and_then(|time| time.parse::<jiff::Timestamp>().ok());
    let Some(at) = at.map(|at| Timestamp(at.as_millisecond())) else {
        return Read::Unreadable;
    };
    let said = |name: &str| detail.get(name).and_then(Value::as_str);
    let one = || said("instance-id").map(|instance| vec![instance.to_owned()]);
    let (kind, instances, text) = match what {
        "EC2 Spot Instance Interruption Warning" => {
            let action = said("instance-action").unwrap_or("terminate");
            let text = format!("EC2 takes the spot instance back within two minutes ({action})");
            (Kind::SpotInterruption, one(), text)
        }
        "EC2 Instance Rebalance Recommendation" => {
            let text = "EC2 recommends to leave the spot instance: an interruption has become likelier";
            (Kind::RebalanceRecommendation, one(), text.to_owned())
        }
        "EC2 Instance State-change Notification" => match said("state") {
            Some(state @ ("stopping" | "stopped" | "shutting-down" | "terminated")) => {
                (Kind::Gone, one(), format!("the instance is {state}"))
            }
            _ => return Read::Other,
        },
        "AWS Health Event"
            if said("service") == Some("EC2") && said("eventTypeCategory") == Some("scheduledChange") =>
        {
            let entities = detail.get("affectedEntities").and_then(Value::as_array);
            let entities = entities.into_iter().flatten();
            let named = entities.filter_map(|entity| entity.get("entityValue")?.as_str());
            let instances = named.filter(|name| name.starts_with("i-")).map(str::to_owned);
            let code = said("eventTypeCode").unwrap_or_default();
            let start = said("startTime").unwrap_or("a time that is not said");
            let text = format!("EC2 has scheduled a change for {start}: {code}");
            (Kind::ScheduledChange, Some(instances.collect()), text)
        }
        _ => return Read::Other,
    };
    match instances {
        Some(instances) if !instances.is_empty() => Read::Notice(Notice {
            id: id.to_owned(),
            at,
            kind,
            instances,
            text,
        }),
        _ => Read::Unreadable,
    }
}

/// What is in the queue; waits for a while when nothing is.
///
/// # Errors
/// SQS does not say.
pub(crate) async fn receive(ask: &Asker, queue: &Queue) -> Result<Vec<Message>, Refused> {
    let question = json!({
        "QueueUrl": queue.url,
        "MaxNumberOfMessages": MESSAGES_MAX,
        "WaitTimeSeconds": PATIENCE.as_secs(),
        "VisibilityTimeout": HIDDEN.as_secs(),
    });
    let answer = ask.json(&RECEIVE_MESSAGE, question).await?;
    let messages = answer.get("Messages").and_then(Value::as_array);
    let messages = messages.into_iter().flatten();
    let text = |message: &Value, name| Some(message.get(name)?.as_str()?.to_owned());
    Ok(messages
        .filter_map(|message| {
            Some(Message {
                receipt: text(message, "ReceiptHandle")?,
                body: text(message, "Body")?,
            })
        })
        .collect())
}

/// Lets go of a message: it does not come again.
///
/// # Errors
/// SQS keeps it.
pub(crate) async fn delete(ask: &Asker, queue: &Queue, message: &Message) -> Result<(), Refused> {
    let question = json!({"QueueUrl": queue.url, "ReceiptHandle": message.receipt});
    ask.json(&DELETE_MESSAGE, question).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_known_by_its_url() {
        let queue = Queue::at("https://sqs.eu-west-1.amazonaws.com/111122223333/interruptions").unwrap();
        assert_eq!(queue.arn(), "arn:aws:sqs:eu-west-1:111122223333:interruptions");
        let far = Queue::at("https://sqs.cn-north-1.amazonaws.com.cn/111122223333/i").unwrap();
        assert_eq!(far.arn(), "arn:aws-cn:sqs:cn-north-1:111122223333:i");
        for bad in [
            "",
            "interruptions",
            "http://sqs.eu-west-1.amazonaws.com/111122223333/i",
            "https://sqs.eu-west-1.amazonaws.com/1111/i",
            "https://sqs.eu-west-1.amazonaws.com/111122223333/",
            "https://sqs.eu-west-1.amazonaws.com/111122223333/a/b",
            "https://example.com/111122223333/i",
        ] {
            assert_eq!(Queue::at(bad), None, "{bad}");
        }
    }

    fn event(what: &str, detail: &Value) -> String {
        json!({
            "version": "0", "id": "e-1", "detail-type": what, "source": "aws.ec2", "account": "111122223333",
            "time": "2026-11-29T01:02:03Z", "region": "eu-west-1", "resources": [], "detail": detail,
        })
        .to_string()
    }

    #[test]
    fn each_kind_of_message_is_read_and_what_is_none_is_told_apart() {
        let spot = json!({"instance-id": "i-1", "instance-action": "terminate"});
        let retired = json!({
            "service": "EC2", "eventTypeCode": "AWS_EC2_PERSISTENT_INSTANCE_RETIREMENT_SCHEDULED",
            "eventTypeCategory": "scheduledChange", "startTime": "Thu, 3 Dec 2026 05:00:00 GMT",
            "affectedEntities": [{"entityValue": "i-1"}, {"entityValue": "vol-1"}, {"entityValue": "i-2"}],
        });
        let issue = json!({"service": "EC2", "eventTypeCategory": "issue", "affectedEntities": []});
        let state = |state: &str| json!({"instance-id": "i-1", "state": state});
        let seen = |what, detail: &Value| match read(&event(what, detail)) {
            Read::Notice(notice) => {
                assert_eq!(
                    (notice.id.as_str(), notice.at),
                    ("e-1", Timestamp(1_795_914_123_000))
                );
                format!("{} {}", notice.kind.word(), notice.instances.join(" "))
            }
            other => format!("{other:?}"),
        };
        for (what, detail, want) in [
            (
                "EC2 Spot Instance Interruption Warning",
                &spot,
                "spot_interruption i-1",
            ),
            (
                "EC2 Instance Rebalance Recommendation",
                &spot,
                "rebalance_recommendation i-1",
            ),
            (
                "EC2 Instance State-change Notification",
                &state("shutting-down"),
                "gone i-1",
            ),
            (
                "EC2 Instance State-change Notification",
                &state("running"),
                "Other",
            ),
            ("AWS Health Event", &retired, "scheduled_change i-1 i-2"),
            ("AWS Health Event", &issue, "Other"),
            ("EC2 AMI State Change", &json!({}), "Other"),
            ("EC2 Spot Instance Interruption Warning", &json!({}), "Unreadable"),
        ] {
            assert_eq!(seen(what, detail), want, "{what}");
        }
        for garbage in [
            "",
            "no json",
            "[]",
            "{\"detail-type\": \"EC2 Instance Rebalance Recommendation\"}",
        ] {
            assert_eq!(read(garbage), Read::Unreadable, "{garbage}");
        }
    }
}
