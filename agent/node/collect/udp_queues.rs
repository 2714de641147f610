//! Memory taken by datagrams that wait to be sent or read.

use super::{At, Collector, Roots, Trouble};
use crate::family::Family;
use crate::file::File;
use crate::known::Emit;
use crate::scan::{self, Malformed, Words};

static QUEUES: Family = Family::gauge(
    "node_udp_queues",
    "Bytes of datagrams that wait.",
    &["queue", "ip"],
);

pub(crate) struct UdpQueues {
    files: [(&'static str, File); 2],
}

impl UdpQueues {
    pub(crate) fn new(roots: &Roots) -> Self {
        Self {
            files: [("v4", roots.net("udp")), ("v6", roots.net("udp6"))],
        }
    }
}

impl Collector for UdpQueues {
    fn name(&self) -> &'static str {
        "udp_queues"
    }

    fn collect(&mut self, at: &mut At<'_>, emit: &mut Emit<'_>) -> Result<(), Trouble> {
        let mut missing = None;
        let mut found = false;
        for (ip, file) in &mut self.files {
            let text = match file.read(at.buffer) {
                Ok(text) => text,
                Err(error) if error.is_absent() => {
                    missing = Some(error);
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            found = true;
            let (sent, received) = parse(&text)?;
            emit.put(&QUEUES, &["tx", ip], sent);
            emit.put(&QUEUES, &["rx", ip], received);
        }
        match missing {
            Some(error) if !found => Err(error.into()),
            _ => Ok(()),
        }
    }
}

/// Sums of the column `tx_queue:rx_queue`, which is hexadecimal.
fn parse(text: &str) -> Result<(f64, f64), Malformed> {
    let mut sums = (0.0, 0.0);
    for (nth, line) in scan::lines(text).skip(1) {
        let mut words = Words::new(nth, line);
        words.skip(4);
        let queues = words.word()?;
        let (sent, received) = queues
            .split_once(':')
            .ok_or_else(|| Malformed::new(nth, format!("{queues:?} are no two queues")))?;
        sums.0 += scan::hex(nth, sent)?;
        sums.1 += scan::hex(nth, received)?;
    }
    Ok(sums)
}

#[cfg(test)]
mod tests {
    #[test]
    fn sockets_are_summed() {
        let text = include_str!("../fixtures/proc/net/udp");
        assert_eq!(super::parse(text), Ok((16.0, 4864.0)));
        assert!(super::parse("sl\n 1: a b 07 00000000\n").is_err());
    }
}
