//! A scrape target that answers whatever the test wants: garbage, too much, too late, never.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[derive(Clone, Debug)]
pub enum Answer {
    /// 200 with this body as text format 0.0.4.
    Body(String),
    /// As `Body`, and the connection stays open, as real exporters leave it.
    Kept(String),
    /// Bytes as they are, then the connection closes.
    Raw(Vec<u8>),
    /// Headers, then samples for ever.
    Endless,
    /// Accepts and says nothing.
    Silent,
}

#[derive(Clone)]
pub struct Peer {
    pub address: String,
    answer: Arc<Mutex<Answer>>,
    asked: Arc<Mutex<Vec<i64>>>,
}

impl Peer {
    pub async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let peer = Self {
            address,
            answer: Arc::new(Mutex::new(answer)),
            asked: Arc::default(),
        };
        let (answers, asked) = (Arc::clone(&peer.answer), Arc::clone(&peer.asked));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let answer = answers.lock().unwrap().clone();
                tokio::spawn(serve(stream, answer, Arc::clone(&asked)));
            }
        });
        peer
    }

    pub fn set(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    /// When each request had come whole, in milliseconds of the wall clock.
    pub fn asked(&self) -> Vec<i64> {
        self.asked.lock().unwrap().clone()
    }
}

/// Whether there was one; when it came is noted.
async fn request(stream: &mut TcpStream, asked: &Mutex<Vec<i64>>) -> bool {
    let mut request = Vec::new();
    let mut buffer = [0; 2048];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut buffer).await {
            Ok(length) if length > 0 => request.extend_from_slice(&buffer[..length]),
            _ => return false,
        }
    }
    asked
        .lock()
        .unwrap()
        .push(jiff::Timestamp::now().as_millisecond());
    true
}

async fn serve(mut stream: TcpStream, answer: Answer, asked: Arc<Mutex<Vec<i64>>>) {
    if !request(&mut stream, &asked).await {
        return;
    }
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nConnection: close\r\n";
    match answer {
        Answer::Body(body) => {
            _ = stream
                .write_all(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes())
                .await;
        }
        Answer::Kept(body) => {
            let head = head.replace("Connection: close\r\n", "");
            let answer = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
            while stream.write_all(answer.as_bytes()).await.is_ok() && request(&mut stream, &asked).await {}
        }
        Answer::Raw(bytes) => _ = stream.write_all(&bytes).await,
        Answer::Endless => {
            _ = stream.write_all(format!("{head}\r\n").as_bytes()).await;
            let mut number = 0u64;
            let mut lines = String::new();
            loop {
                lines.clear();
                for _ in 0..1000 {
                    number += 1;
                    lines.push_str(&format!("endless{{n=\"{number}\"}} 1\n"));
                }
                if stream.write_all(lines.as_bytes()).await.is_err() {
                    return;
                }
            }
        }
        Answer::Silent => tokio::time::sleep(Duration::from_secs(3600)).await,
    }
}
