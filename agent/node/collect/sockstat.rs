//! Sockets in use, per protocol.

use model::Kind;

use super::{At, Collector, Roots, Trouble};
use crate::family::{Family, joined};
use crate::file::{Buffer, File};
use crate::known::Emit;
use crate::scan::{self, Malformed, Words};

static USED: Family = Family::gauge("node_sockstat_sockets_used", "Sockets in use.", &[]);
static SOCKETS: Family = Family::named(
    Kind::Gauge,
    "node_sockstat_",
    "Sockets by protocol and state,",
    joined,
);

/// Entry of the auxiliary vector that holds the size of a page.
const AT_PAGESZ: u64 = 6;

pub(crate) struct Sockstat {
    sockstat: File,
    sockstat6: File,
    page_bytes: f64,
}

impl Sockstat {
    pub(crate) fn new(roots: &Roots) -> Self {
        Self {
            sockstat: roots.net("sockstat"),
            sockstat6: roots.net("sockstat6"),
            page_bytes: std::fs::read("/proc/self/auxv").map_or(4096.0, |auxv| page_bytes(&auxv)),
        }
    }

    fn emit(&self, text: &str, emit: &mut Emit<'_>) -> Result<(), Malformed> {
        parse(text, |protocol, state, value| match (protocol, state) {
            ("sockets", "used") => emit.put(&USED, &[], value),
            ("sockets", _) => {}
            (_, "mem") => {
                emit.put(&SOCKETS, &[protocol, state], value);
                emit.put(&SOCKETS, &[protocol, "mem_bytes"], value * self.page_bytes);
            }
            _ => emit.put(&SOCKETS, &[protocol, state], value),
        })
    }
}

impl Collector for Sockstat {
    fn name(&self) -> &'static str {
        "sockstat"
    }

    fn collect(&mut self, at: &mut At<'_>, emit: &mut Emit<'_>) -> Result<(), Trouble> {
        let mut texts = [None, None];
        for (text, file) in texts.iter_mut().zip([&mut self.sockstat, &mut self.sockstat6]) {
            *text = read(file, at.buffer)?;
        }
        for text in texts.iter().flatten() {
            self.emit(text, emit)?;
        }
        Ok(())
    }
}

/// None where the kernel was built without the protocol.
fn read(file: &mut File, buffer: &mut Buffer) -> Result<Option<String>, Trouble> {
    match file.read(buffer) {
        Ok(text) => Ok(Some(text.into_owned())),
        Err(error) if error.is_absent() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// `TCP: inuse 2 orphan 0 tw 8 alloc 2 mem 110`.
fn parse(text: &str, mut each: impl FnMut(&str, &str, f64)) -> Result<(), Malformed> {
    for (nth, line) in scan::lines(text) {
        let mut words = Words::new(nth, line);
        let protocol = words.word()?.trim_end_matches(':');
        while let Some(state) = words.next() {
            each(protocol, state, words.number()?);
        }
    }
    Ok(())
}

/// From pairs of machine words; 4096 if none says.
fn page_bytes(auxv: &[u8]) -> f64 {
    const WORD: usize = size_of::<usize>();
    let word = |bytes: &[u8]| {
        bytes
            .try_into()
            .map_or(0, |bytes: [u8; WORD]| usize::from_ne_bytes(bytes) as u64)
    };
    let mut pairs = auxv.chunks_exact(2 * WORD).map(|pair| pair.split_at(WORD));
    let found = pairs.find(|(key, _)| word(key) == AT_PAGESZ);
    found.map_or(4096.0, |(_, value)| word(value) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_follow_their_protocol() {
        let mut seen = Vec::new();
        parse(
            "sockets: used 17\nTCP: inuse 2 mem 110\n",
            |protocol, state, value| {
                seen.push(format!("{protocol} {state} {value}"));
            },
        )
        .unwrap();
        assert_eq!(seen, ["sockets used 17", "TCP inuse 2", "TCP mem 110"]);
        assert!(parse("TCP: inuse\n", |_, _, _| {}).is_err());
    }

    #[test]
    fn the_page_size_is_the_kernels() {
        let word = |value: usize| value.to_ne_bytes();
        let auxv = [word(33), word(7), word(6), word(16_384), word(0), word(0)].concat();
        assert_eq!(page_bytes(&auxv), 16_384.0);
        assert_eq!(page_bytes(&auxv[..5]), 4096.0);
    }
}
