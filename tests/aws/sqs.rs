//! SQS (awsJson 1.0): queues whose messages hide while somebody reads them, and come again if nobody deletes them.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use md5::{Digest, Md5};
use model::Timestamp;

use crate::asked::Refusal;
use crate::protocol::tree::{Tree, tree};
use crate::rds::Tags;
use crate::services::Call;

/// All queues of an account in a region, by their names.
#[derive(Clone, Debug, Default)]
pub struct Sqs {
    pub queues: BTreeMap<String, Queue>,
}

#[derive(Clone, Debug)]
pub struct Queue {
    /// How long a message hides that somebody has been given.
    pub visibility: Duration,
    pub tags: Tags,
    messages: Vec<Message>,
    given: u64,
}

#[derive(Clone, Debug)]
struct Message {
    id: u64,
    body: String,
    sent: Timestamp,
    hidden_until: Timestamp,
    /// How often it was given to somebody; a receipt is of the last time.
    received: u64,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            visibility: Duration::from_secs(30),
            tags: Tags::new(),
            messages: Vec::new(),
            given: 0,
        }
    }
}

impl Queue {
    pub fn send(&mut self, body: &str, now: Timestamp) {
        self.given += 1;
        self.messages.push(Message {
            id: self.given,
            body: body.to_owned(),
            sent: now,
            hidden_until: now,
            received: 0,
        });
    }

    /// How many nobody has deleted.
    #[must_use]
    pub fn length(&self) -> usize {
        self.messages.len()
    }
}

pub(crate) const OPERATIONS: [&str; 3] = ["GetQueueUrl", "ReceiveMessage", "DeleteMessage"];

pub(crate) fn answer(call: &Call<'_>) -> Result<Tree, Refusal> {
    match call.operation() {
        "GetQueueUrl" => {
            let name = call.fields().needed("QueueName")?;
            let url = url(call, name);
            call.place(|place| of(&mut place.sqs, &url).map(|_| tree! {"QueueUrl": &url}))
        }
        "ReceiveMessage" => receive(call),
        "DeleteMessage" => delete(call),
        _ => Err(call.spoken.no_operation()),
    }
}

fn url(call: &Call<'_>, name: &str) -> String {
    format!(
        "https://sqs.{}.amazonaws.com/{}/{name}",
        call.region, call.account
    )
}

/// Whatever host the URL names, the queue is the last part of it.
fn of<'a>(sqs: &'a mut Sqs, url: &str) -> Result<&'a mut Queue, Refusal> {
    let name = url.rsplit('/').next().unwrap_or_default();
    let missing = || Refusal::new("QueueDoesNotExist", "The specified queue does not exist.");
    sqs.queues.get_mut(name).ok_or_else(missing)
}

fn receive(call: &Call<'_>) -> Result<Tree, Refusal> {
    let fields = call.fields();
    let most = fields.whole("MaxNumberOfMessages").unwrap_or(1);
    let most = usize::try_from(most).ok().filter(|most| (1..=10).contains(most));
    let most = most.ok_or_else(|| {
        Refusal::new(
            "InvalidParameterValue",
            "Value for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided.",
        )
    })?;
    let seconds = |name: &str| fields.whole(name).and_then(|seconds| u64::try_from(seconds).ok());
    let visibility = seconds("VisibilityTimeout").map(Duration::from_secs);
    let now = call.now;
    let messages: Vec<Tree> = call.place(|place| {
        let queue = of(&mut place.sqs, fields.needed("QueueUrl")?)?;
        let hides = visibility.unwrap_or(queue.visibility);
        let seen = queue
            .messages
            .iter_mut()
            .filter(|message| message.hidden_until <= now);
        let given = seen.take(most).map(|message| {
            message.hidden_until = now + hides;
            message.received += 1;
            let attributes = [
                ("SentTimestamp", message.sent.millis().to_string()),
                ("ApproximateReceiveCount", message.received.to_string()),
            ];
            let attributes = attributes.map(|(name, value)| (name.to_owned(), Tree::from(value)));
            tree! {
                "MessageId": format!("00000000-0000-4000-a000-{:012x}", message.id),
                "ReceiptHandle": format!("{}:{}", message.id, message.received),
                "MD5OfBody": md5(&message.body),
                "Body": &message.body,
                "Attributes": Tree::Named(attributes.to_vec()),
            }
        });
        Ok(given.collect())
    })?;
    if messages.is_empty() {
        // Who asks with patience is answered when it has run out.
        let wait = Duration::from_secs(seconds("WaitTimeSeconds").unwrap_or(0).min(20));
        call.waits(wait);
        return Ok(tree! {});
    }
    Ok(tree! {"Messages": Tree::members(messages)})
}

fn delete(call: &Call<'_>) -> Result<Tree, Refusal> {
    let handle = call.fields().needed("ReceiptHandle")?;
    let wrong = || Refusal::new("ReceiptHandleIsInvalid", "The input receipt handle is invalid.");
    let (id, received) = handle.split_once(':').ok_or_else(wrong)?;
    let (id, received): (u64, u64) = (
        id.parse().map_err(|_| wrong())?,
        received.parse().map_err(|_| wrong())?,
    );
    let url = call.fields().needed("QueueUrl")?;
    call.place(|place| {
        let queue = of(&mut place.sqs, url)?;
        // An old receipt deletes nothing, and nobody is told.
        queue
            .messages
            .retain(|message| message.id != id || message.received != received);
        Ok(tree! {})
    })
}

fn md5(text: &str) -> String {
    Md5::digest(text.as_bytes())
        .iter()
        .fold(String::new(), |mut hex, byte| {
            // Writing to a string cannot fail.
            _ = write!(hex, "{byte:02x}");
            hex
        })
}
