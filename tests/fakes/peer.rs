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
}

impl Peer {
    pub async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let peer = Self {
            address,
            answer: Arc::new(Mutex::new(answer)),
        };
        let answers = Arc::clone(&peer.answer);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let answer = answers.lock().unwrap().clone();
                tokio::spawn(serve(stream, answer));
            }
        });
        peer
    }

    pub fn set(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }
}

/// Whether there was one.
async fn request(stream: &mut TcpStream) -> bool {
    let mut request = Vec::new();
    let mut buffer = [0; 2048];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut buffer).await {
            Ok(length) if length > 0 => request.extend_from_slice(&buffer[..length]),
            _ => return false,
        }
    }
    true
}

async fn serve(mut stream: TcpStream, answer: Answer) {
    if !request(&mut stream).await {
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
            while stream.write_all(answer.as_bytes()).await.is_ok() && request(&mut stream).await {}
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
