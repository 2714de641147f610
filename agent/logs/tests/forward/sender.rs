//! A sender that sends a chunk until it hears that it is kept, through whatever happens to the connection.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use rmp::encode::{write_array_len, write_map_len, write_str, write_uint};
use sha2::{Digest, Sha512};

use super::judge::line;

pub(crate) struct Sender {
    port: u16,
    key: &'static str,
    pub(crate) number: usize,
    stream: Option<TcpStream>,
    chunk: u64,
    /// Behind each text.
    pub(crate) padding: String,
    /// So many of its first records have been acknowledged.
    pub(crate) acknowledged: usize,
    /// So many records were sent more than once.
    pub(crate) again: usize,
}

impl Sender {
    pub(crate) fn new(port: u16, key: &'static str, number: usize) -> Self {
        Self {
            port,
            key,
            number,
            stream: None,
            chunk: 0,
            padding: String::new(),
            acknowledged: 0,
            again: 0,
        }
    }

    /// Sends the next records; returns when they are acknowledged.
    pub(crate) fn send(&mut self, records: usize) {
        self.chunk += 1;
        let chunk = format!("{:08}", self.chunk);
        let message = self.message(records, &chunk);
        loop {
            match self.try_once(&message, &chunk) {
                Ok(()) => break,
                Err(_) => {
                    self.stream = None;
                    self.again += records;
                    super::pause(Duration::from_millis(20));
                }
            }
        }
        self.acknowledged += records;
    }

    fn message(&self, records: usize, chunk: &str) -> Vec<u8> {
        let mut out = Vec::new();
        write_array_len(&mut out, 3).unwrap();
        write_str(&mut out, "app.own").unwrap();
        write_array_len(&mut out, u32::try_from(records).unwrap()).unwrap();
        for nth in 0..records {
            write_array_len(&mut out, 2).unwrap();
            write_uint(&mut out, 1_764_244_800).unwrap();
            write_map_len(&mut out, 1).unwrap();
            write_str(&mut out, "log").unwrap();
            let text = line(self.number, self.acknowledged + nth) + &self.padding;
            write_str(&mut out, &text).unwrap();
        }
        write_map_len(&mut out, 1).unwrap();
        write_str(&mut out, "chunk").unwrap();
        write_str(&mut out, chunk).unwrap();
        out
    }

    fn try_once(&mut self, message: &[u8], chunk: &str) -> io::Result<()> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            None => {
                let stream = self.connect()?;
                self.stream.insert(stream)
            }
        };
        stream.write_all(message)?;
        let mut wanted = b"\x81\xa3ack\xa8".to_vec();
        wanted.extend_from_slice(chunk.as_bytes());
        let mut answer = vec![0; wanted.len()];
        stream.read_exact(&mut answer)?;
        assert_eq!(answer, wanted, "an acknowledgement of something else");
        Ok(())
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        // HELO is always as long: its nonce stands behind its name, and without users nothing is in `auth`.
        let mut helo = [0; 49];
        stream.read_exact(&mut helo)?;
        let nonce = helo.get(15..31).unwrap_or_default();
        let hash = |parts: &[&[u8]]| {
            let mut hash = Sha512::new();
            parts.iter().for_each(|part| hash.update(part));
            hash.finalize()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>()
        };
        let mut ping = Vec::new();
        write_array_len(&mut ping, 6).unwrap();
        let name = format!("sender-{}", self.number);
        let digest = hash(&[b"salt", name.as_bytes(), nonce, self.key.as_bytes()]);
        for text in ["PING", &name, "salt", &digest, "", ""] {
            write_str(&mut ping, text).unwrap();
        }
        stream.write_all(&ping)?;
        let mut pong = [0; 7];
        stream.read_exact(&mut pong)?;
        assert_eq!(&pong, b"\x95\xa4PONG\xc3", "it knows the key");
        // A reason, which is empty, our name, and the digest in hexadecimal digits.
        let mut front = [0; 2];
        stream.read_exact(&mut front)?;
        let name_bytes = front.get(1).map_or(0, |byte| usize::from(byte & 0x1f));
        let mut rest = vec![0; name_bytes + 2 + 128];
        stream.read_exact(&mut rest)?;
        Ok(stream)
    }
}
