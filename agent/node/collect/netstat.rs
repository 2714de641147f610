//! Counters of the network protocols, those that node_exporter chooses by default.

use model::Kind;

use super::{At, Collector, Roots, Trouble};
use crate::family::{Family, joined};
use crate::file::File;
use crate::known::Emit;
use crate::scan::{self, Malformed, Words};

static COUNT: Family = Family::named(Kind::Unknown, "node_netstat_", "Protocol counter", joined);

pub(crate) struct Netstat {
    netstat: File,
    snmp: File,
    snmp6: File,
}

impl Netstat {
    pub(crate) fn new(roots: &Roots) -> Self {
        Self {
            netstat: roots.net("netstat"),
            snmp: roots.net("snmp"),
            snmp6: roots.net("snmp6"),
        }
    }
}

impl Collector for Netstat {
    fn name(&self) -> &'static str {
        "netstat"
    }

    fn collect(&mut self, at: &mut At<'_>, emit: &mut Emit<'_>) -> Result<(), Trouble> {
        for file in [&mut self.netstat, &mut self.snmp] {
            let text = file.read(at.buffer)?;
            parse(&text, |protocol, name, value| {
                emit.put(&COUNT, &[protocol, name], value)
            })?;
        }
        match self.snmp6.read(at.buffer) {
            Ok(text) => parse6(&text, |protocol, name, value| {
                emit.put(&COUNT, &[protocol, name], value)
            })?,
            // Machines without IPv6 have none.
            Err(error) if error.is_absent() => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

/// `netstat` and `snmp`: pairs of lines, `Tcp: InSegs OutSegs` and `Tcp: 10551 5362`.
fn parse(text: &str, mut each: impl FnMut(&str, &str, f64)) -> Result<(), Malformed> {
    let mut lines = scan::lines(text);
    while let Some((nth, names)) = lines.next() {
        let (at, values) = lines
            .next()
            .ok_or_else(|| Malformed::new(nth, "values are missing"))?;
        let (mut names, mut values) = (Words::new(nth, names), Words::new(at, values));
        let protocol = names.word()?;
        if values.word()? != protocol {
            return Err(Malformed::new(
                at,
                format!("these are not the values of {protocol:?}"),
            ));
        }
        let protocol = protocol.trim_end_matches(':');
        while let Some(name) = names.next() {
            let value = values.word()?;
            if is_wanted(protocol, name) {
                each(protocol, name, scan::number(at, value)?);
            }
        }
    }
    Ok(())
}

/// `snmp6`: `Ip6InReceives 1`, the protocol ends with the first 6.
fn parse6(text: &str, mut each: impl FnMut(&str, &str, f64)) -> Result<(), Malformed> {
    for (nth, line) in scan::lines(text) {
        let mut words = Words::new(nth, line);
        let key = words.word()?;
        let (protocol, name) = match key.find('6') {
            Some(six) => key.split_at(six + 1),
            None => continue,
        };
        if is_wanted(protocol, name) {
            each(protocol, name, words.number()?);
        }
    }
    Ok(())
}

/// node_exporter's default choice, and `Tcp_MaxConn`, which its best known dashboard asks for.
fn is_wanted(protocol: &str, name: &str) -> bool {
    if matches!(name, "InErrors" | "InErrs") {
        return true;
    }
    match protocol {
        "Ip" => name == "Forwarding",
        "Ip6" | "IpExt" => matches!(name, "InOctets" | "OutOctets"),
        "Icmp" | "Icmp6" => matches!(name, "InMsgs" | "OutMsgs"),
        "Tcp" => matches!(
            name,
            "ActiveOpens"
                | "CurrEstab"
                | "InSegs"
                | "MaxConn"
                | "OutRsts"
                | "OutSegs"
                | "PassiveOpens"
                | "RetransSegs"
        ),
        "TcpExt" => {
            name.starts_with("Listen")
                || name.starts_with("Syncookies")
                || matches!(
                    name,
                    "TCPOFOQueue" | "TCPRcvQDrop" | "TCPSynRetrans" | "TCPTimeouts"
                )
        }
        "Udp" | "Udp6" => {
            matches!(
                name,
                "InDatagrams" | "NoPorts" | "OutDatagrams" | "RcvbufErrors" | "SndbufErrors"
            )
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_paired() {
        let mut seen = Vec::new();
        let mut each =
            |protocol: &str, name: &str, value| seen.push((COUNT.text(&[protocol, name]).0, value));
        parse(include_str!("../fixtures/proc/net/snmp"), &mut each).unwrap();
        parse6(include_str!("../fixtures/proc/net/snmp6"), &mut each).unwrap();
        assert_eq!(
            seen,
            [
                ("node_netstat_Ip_Forwarding".to_owned(), 2.0),
                ("node_netstat_Tcp_MaxConn".to_owned(), -1.0),
                ("node_netstat_Tcp_RetransSegs".to_owned(), 12.0),
                ("node_netstat_UdpLite_InErrors".to_owned(), 4.0),
                ("node_netstat_Ip6_InOctets".to_owned(), 128.0),
                ("node_netstat_UdpLite6_InErrors".to_owned(), 9.0),
            ]
        );
    }

    #[test]
    fn halves_that_do_not_fit_are_refused() {
        for text in [
            "Tcp: InSegs\n",
            "Tcp: InSegs\nUdp: 1\n",
            "Tcp: InSegs OutSegs\nTcp: 1\n",
            "Tcp: InSegs\nTcp: x\n",
        ] {
            assert!(parse(text, |_, _, _| {}).is_err(), "{text:?}");
        }
    }
}
