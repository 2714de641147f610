//! Takes every webhook and remembers what it said.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

/// One message: when it came, the key of its group, and `firing` or `resolved` by the alerts' names.
#[derive(Clone, Debug)]
pub struct Message {
    pub at: Instant,
    pub group: String,
    pub alerts: BTreeMap<String, String>,
}

/// By history, in order.
pub type Told = BTreeMap<String, Vec<Message>>;

pub struct Hook {
    pub address: String,
    told: Arc<Mutex<Told>>,
}

impl Hook {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let hook = Self {
            address: listener.local_addr().unwrap().to_string(),
            told: Arc::default(),
        };
        let told = Arc::clone(&hook.told);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(take(stream, Arc::clone(&told)));
            }
        });
        hook
    }

    pub fn told(&self) -> Told {
        self.told.lock().unwrap().clone()
    }
}

async fn take(mut stream: TcpStream, told: Arc<Mutex<Told>>) {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 16 * 1024]);
    loop {
        let head = memchr::memmem::find(&bytes, b"\r\n\r\n").map(|end| end + 4);
        let length = head.map(|end| {
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            let (_, rest) = head.split_once("content-length:").unwrap();
            end + rest.lines().next().unwrap().trim().parse::<usize>().unwrap()
        });
        if let (Some(head), Some(length)) = (head, length.filter(|length| *length <= bytes.len())) {
            note(&serde_json::from_slice(&bytes[head..length]).unwrap(), &told);
            bytes.drain(..length);
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
            if stream.write_all(answer).await.is_err() {
                return;
            }
            continue;
        }
        match stream.read(&mut buffer).await {
            Ok(read) if read > 0 => bytes.extend_from_slice(&buffer[..read]),
            _ => return,
        }
    }
}

fn note(message: &Value, told: &Mutex<Told>) {
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    let alerts = message["alerts"].as_array().unwrap().iter();
    let alerts = alerts.map(|alert| (word(&alert["labels"]["alertname"]), word(&alert["status"])));
    let history = word(&message["groupLabels"]["history"]);
    let said = Message {
        at: Instant::now(),
        group: word(&message["groupKey"]),
        alerts: alerts.collect(),
    };
    told.lock().unwrap().entry(history).or_default().push(said);
}
