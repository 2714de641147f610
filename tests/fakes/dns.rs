//! A server of names on loopback that says where everything is, nothing at all, or that there is no such name.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// How it treats what is asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Says {
    /// Everything is on this machine.
    Here,
    Nothing,
    NoSuchName,
}

pub struct Dns {
    says: Arc<Mutex<Says>>,
    asked: Arc<AtomicUsize>,
}

/// What it is asked for: addresses of IPv4.
const A: [u8; 2] = [0, 1];
/// A reply, by one who also asks others; and that with the word that there is no such name (RFC 1035, 4.1.1).
const WELL: [u8; 2] = [0x81, 0x80];
const NO_SUCH_NAME: [u8; 2] = [0x81, 0x83];

impl Dns {
    /// At the usual port of an address of loopback, which only root may take.
    pub fn start(at: Ipv4Addr) -> io::Result<Self> {
        let socket = UdpSocket::bind(SocketAddrV4::new(at, 53))?;
        let says = Arc::new(Mutex::new(Says::Here));
        let asked = Arc::new(AtomicUsize::new(0));
        let (own, count) = (Arc::clone(&says), Arc::clone(&asked));
        std::thread::spawn(move || {
            let mut packet = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut packet) {
                count.fetch_add(1, Ordering::Relaxed);
                let says = *own.lock().unwrap();
                if let Some(answer) = answer(&packet[..length], says) {
                    // Whoever asked may be gone.
                    drop(socket.send_to(&answer, from));
                }
            }
        });
        Ok(Self { says, asked })
    }

    pub fn says(&self, says: Says) {
        *self.says.lock().unwrap() = says;
    }

    /// How many questions have come.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

fn answer(asked: &[u8], says: Says) -> Option<Vec<u8>> {
    let code = match says {
        Says::Nothing => return None,
        Says::Here => WELL,
        Says::NoSuchName => NO_SUCH_NAME,
    };
    // The name ends with an empty part; type and class come behind it.
    let end = 12 + asked.get(12..)?.iter().position(|byte| *byte == 0)? + 5;
    let question = asked.get(12..end)?;
    let has_address = says == Says::Here && question.get(question.len() - 4..question.len() - 2)? == A;
    let mut answer = asked.get(..2)?.to_vec();
    answer.extend(code);
    answer.extend([0, 1, 0, u8::from(has_address), 0, 0, 0, 0]);
    answer.extend(question);
    if has_address {
        // The same name, type and class, good for no time at all.
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
        answer.extend(Ipv4Addr::LOCALHOST.octets());
    }
    Some(answer)
}
