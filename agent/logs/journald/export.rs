//! Reads the Journal Export Format as it comes, in pieces of any length.
//!
//! Of an entry no more is held than the fields that are wanted, each up to its greatest length: however long an entry is,
//! memory is bounded. What is not of the format is counted once, and reading goes on with the next entry that begins.

use memchr::{memchr, memchr2};

/// Fields that are kept; the rest of an entry is passed over.
pub(crate) const FIELDS: [&str; 18] = [
    "__CURSOR",
    "__REALTIME_TIMESTAMP",
    "MESSAGE",
    "PRIORITY",
    "SYSLOG_IDENTIFIER",
    "SYSLOG_PID",
    "UNIT",
    "USER_UNIT",
    "CONTAINER_NAME",
    "CONTAINER_ID",
    "IMAGE_NAME",
    "_SYSTEMD_UNIT",
    "_SYSTEMD_USER_UNIT",
    "_SYSTEMD_INVOCATION_ID",
    "_PID",
    "_HOSTNAME",
    "_BOOT_ID",
    "_TRANSPORT",
];
const CURSOR: usize = 0;
const MESSAGE: usize = 2;
/// Of a name; the journal takes none longer than 64.
const NAME_BYTES_MAX: usize = 256;
/// Of a field other than the text; of a longer one the front is kept.
const FIELD_BYTES_MAX: usize = 4 << 10;
/// Longer data than the journal ever keeps (768 MiB): a length like this is none.
const DATA_BYTES_MAX: u64 = 1 << 30;
/// How every entry begins.
const BEGINNING: &[u8] = b"\n__CURSOR=";

/// What is wanted of one entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    fields: Box<[Option<Vec<u8>>; FIELDS.len()]>,
    /// Of the whole text, of which only the front may be here.
    pub(crate) message_bytes: u64,
}

impl Entry {
    /// The bytes of a field, if the entry has it.
    pub(crate) fn bytes(&self, name: &str) -> Option<&[u8]> {
        let at = FIELDS.iter().position(|known| *known == name)?;
        self.fields.get(at)?.as_deref()
    }

    /// Likewise as text; empty when it is not there or no text.
    pub(crate) fn text(&self, name: &str) -> &str {
        let text = self.bytes(name).map(std::str::from_utf8);
        text.and_then(Result::ok).unwrap_or_default()
    }

    fn is_empty(&self) -> bool {
        self.fields.iter().all(Option::is_none)
    }
}

/// The reader; it keeps what is unfinished of an entry until the next piece comes.
pub(crate) struct Export {
    state: State,
    entry: Entry,
    /// Whether anything of an entry has come.
    is_begun: bool,
    name: Vec<u8>,
    value: Vec<u8>,
    /// Of the whole value.
    value_bytes: u64,
    /// Which of the wanted fields it is.
    field: Option<usize>,
    message_bytes_max: usize,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A name, or the empty line that ends an entry.
    Name,
    /// Text up to the end of the line.
    Value,
    /// Eight bytes that say how long the data is; so many of them are here.
    Length {
        count: u32,
        bytes: u64,
    },
    Data {
        left: u64,
    },
    /// The line feed behind data.
    End,
    /// Nothing until an entry begins; so much of its beginning is here.
    Lost {
        matched: usize,
    },
}

/// What comes out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Item {
    Entry(Entry),
    /// Something that is not of the format, up to the next entry that begins.
    Malformed,
}

impl Export {
    /// Of texts no more is kept than this.
    pub(crate) fn new(message_bytes_max: usize) -> Self {
        Self {
            state: State::Name,
            entry: Entry::default(),
            is_begun: false,
            name: Vec::new(),
            value: Vec::new(),
            value_bytes: 0,
            field: None,
            message_bytes_max,
        }
    }

    /// Takes the next piece, and tells of each entry that ends in it.
    pub(crate) fn push(&mut self, mut bytes: &[u8], mut tell: impl FnMut(Item)) {
        while let Some(first) = bytes.first().copied() {
            let used = match self.state {
                State::Name => self.name(bytes, &mut tell),
                State::Value => self.value(bytes),
                State::Length { count, bytes: known } => {
                    self.length(count, known | u64::from(first) << (8 * count), &mut tell)
                }
                State::Data { left } => self.data(bytes, left),
                State::End => {
                    if first == b'\n' {
                        self.keep();
                    } else {
                        self.lose(&mut tell);
                    }
                    1
                }
                State::Lost { matched } => self.search(first, matched),
            };
            bytes = bytes.get(used..).unwrap_or_default();
        }
    }

    /// Whether it stands between two entries.
    pub(crate) fn is_between(&self) -> bool {
        self.state == State::Name && !self.is_begun && self.name.is_empty()
    }

    fn name(&mut self, bytes: &[u8], tell: &mut impl FnMut(Item)) -> usize {
        let Some(end) = memchr2(b'=', b'\n', bytes) else {
            self.name
                .extend_from_slice(bytes.get(..=NAME_BYTES_MAX).unwrap_or(bytes));
            if self.name.len() > NAME_BYTES_MAX {
                self.lose(tell);
            }
            return bytes.len();
        };
        let part = bytes.get(..end).unwrap_or_default();
        self.name
            .extend_from_slice(part.get(..=NAME_BYTES_MAX).unwrap_or(part));
        let is_text = bytes.get(end) == Some(&b'=');
        if self.name.is_empty() && !is_text {
            self.end(tell);
        } else if is_name(&self.name) && self.name.len() <= NAME_BYTES_MAX {
            self.is_begun = true;
            self.field = FIELDS.iter().position(|known| known.as_bytes() == self.name);
            self.name.clear();
            self.state = if is_text {
                State::Value
            } else {
                State::Length { count: 0, bytes: 0 }
            };
        } else {
            self.lose(tell);
            // The line may be at its end, and then an entry may begin.
            self.state = State::Lost {
                matched: usize::from(!is_text),
            };
        }
        end + 1
    }

    fn value(&mut self, bytes: &[u8]) -> usize {
        let end = memchr(b'\n', bytes);
        self.add(bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default());
        match end {
            Some(end) => {
                self.keep();
                end + 1
            }
            None => bytes.len(),
        }
    }

    fn length(&mut self, count: u32, bytes: u64, tell: &mut impl FnMut(Item)) -> usize {
        self.state = match (count, bytes) {
            (7, 0) => State::End,
            (7, left) if left <= DATA_BYTES_MAX => State::Data { left },
            (7, _) => {
                self.lose(tell);
                return 1;
            }
            _ => State::Length {
                count: count + 1,
                bytes,
            },
        };
        1
    }

    fn data(&mut self, bytes: &[u8], left: u64) -> usize {
        let used = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        self.add(bytes.get(..used).unwrap_or_default());
        self.state = match left - used as u64 {
            0 => State::End,
            left => State::Data { left },
        };
        used
    }

    /// More of the value that is being read.
    fn add(&mut self, part: &[u8]) {
        self.value_bytes += part.len() as u64;
        let most = match self.field {
            None => return,
            Some(MESSAGE) => self.message_bytes_max,
            Some(_) => FIELD_BYTES_MAX,
        };
        let room = most.saturating_sub(self.value.len());
        self.value.extend_from_slice(part.get(..room).unwrap_or(part));
    }

    /// The value is whole.
    fn keep(&mut self) {
        self.state = State::Name;
        let (value, bytes) = (
            std::mem::take(&mut self.value),
            std::mem::take(&mut self.value_bytes),
        );
        let field = self.field.take();
        // A field may be there several times; the first is the one that counts.
        if let Some(place) = field.and_then(|field| self.entry.fields.get_mut(field))
            && place.is_none()
        {
            *place = Some(value);
            if field == Some(MESSAGE) {
                self.entry.message_bytes = bytes;
            }
        }
    }

    /// The empty line behind an entry.
    fn end(&mut self, tell: &mut impl FnMut(Item)) {
        let entry = std::mem::take(&mut self.entry);
        if entry.fields.get(CURSOR).is_some_and(Option::is_some) {
            tell(Item::Entry(entry));
        } else if std::mem::take(&mut self.is_begun) || !entry.is_empty() {
            // Nobody could say where to go on behind it.
            tell(Item::Malformed);
        }
        self.is_begun = false;
    }

    fn lose(&mut self, tell: &mut impl FnMut(Item)) {
        self.entry = Entry::default();
        self.is_begun = false;
        self.name.clear();
        self.value.clear();
        self.value_bytes = 0;
        self.field = None;
        self.state = State::Lost { matched: 0 };
        tell(Item::Malformed);
    }

    /// Looks for the beginning of an entry, byte by byte.
    fn search(&mut self, byte: u8, matched: usize) -> usize {
        let matched = match BEGINNING.get(matched) {
            Some(wanted) if *wanted == byte => matched + 1,
            _ => usize::from(byte == b'\n'),
        };
        self.state = State::Lost { matched };
        if matched == BEGINNING.len() {
            self.is_begun = true;
            self.field = Some(CURSOR);
            self.state = State::Value;
        }
        1
    }
}

fn is_name(name: &[u8]) -> bool {
    let fit = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_';
    !name.is_empty() && name.iter().all(fit)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(bytes: &[u8], piece: usize) -> (Vec<Entry>, usize) {
        let mut export = Export::new(100);
        let (mut entries, mut malformed) = (Vec::new(), 0);
        for piece in bytes.chunks(piece.max(1)) {
            export.push(piece, |item| match item {
                Item::Entry(entry) => entries.push(entry),
                Item::Malformed => malformed += 1,
            });
        }
        (entries, malformed)
    }

    fn binary(name: &str, data: &[u8]) -> Vec<u8> {
        let length = (data.len() as u64).to_le_bytes();
        [name.as_bytes(), b"\n", &length, data, b"\n"].concat()
    }

    fn entry(number: u32, message: &[u8]) -> Vec<u8> {
        let front = format!("__CURSOR=s=a;i={number:x}\n__REALTIME_TIMESTAMP=17\nFOREIGN=x=y\n");
        [front.as_bytes(), &binary("MESSAGE", message), b"_PID=7\n\n"].concat()
    }

    /// As journalctl has printed it.
    #[test]
    fn golden_entries_are_read_with_text_and_binary_fields() {
        let (entries, malformed) = read(include_bytes!("golden.export"), usize::MAX);
        assert_eq!((entries.len(), malformed), (10, 0));
        let texts: Vec<&[u8]> = entries
            .iter()
            .filter_map(|entry| entry.bytes("MESSAGE"))
            .collect();
        assert_eq!(texts[..2], [&b"two\nlines 0"[..], b"entry 1"]);
        assert_eq!(entries[9].text("_SYSTEMD_UNIT"), "kubelet.service");
        assert_eq!(entries[3].text("__REALTIME_TIMESTAMP"), "1700000000003000");
    }

    #[test]
    fn a_long_text_is_kept_up_to_its_greatest_length_and_a_foreign_field_not_at_all() {
        let long = vec![b'x'; 1_000_000];
        let mut bytes = entry(1, &long);
        let at = bytes.len() - 1;
        bytes.splice(at..at, binary("COREDUMP", &long));
        let (entries, malformed) = read(&bytes, 4_096);
        assert_eq!((entries.len(), malformed), (1, 0));
        assert_eq!(entries[0].bytes("MESSAGE").map(<[u8]>::len), Some(100));
        assert_eq!(entries[0].message_bytes, 1_000_000);
    }

    #[test]
    fn what_is_not_of_the_format_is_counted_once_and_costs_no_other_entry() {
        let wrong: [&[u8]; 7] = [
            b"\x00\xff\n\n",
            b"not a field\n\n",
            b"lower=case\n\n",
            b"MESSAGE\n\xff\xff\xff\xff\xff\xff\xff\xff",
            b"=\n",
            b"MESSAGE=without a cursor\n\n",
            &[b'A'; 300],
        ];
        for wrong in wrong {
            for behind in [&b""[..], b"\n"] {
                let bytes = [
                    &entry(1, b"one"),
                    wrong,
                    behind,
                    &entry(2, b"two"),
                    &entry(3, b"three"),
                ]
                .concat();
                for piece in [1, 7, usize::MAX] {
                    let (entries, malformed) = read(&bytes, piece);
                    let texts: Vec<&[u8]> = entries
                        .iter()
                        .filter_map(|entry| entry.bytes("MESSAGE"))
                        .collect();
                    assert_eq!(texts.last(), Some(&&b"three"[..]), "{wrong:?}");
                    assert_eq!(malformed, 1, "{wrong:?} {behind:?} {piece}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn pieces_of_any_length_say_the_same(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..6),
            piece in 1usize..64,
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        ) {
            let mut bytes: Vec<u8> = (0..).zip(&messages).flat_map(|(number, text)| entry(number, text)).collect();
            let (entries, malformed) = read(&bytes, piece);
            prop_assert_eq!((entries.len(), malformed), (messages.len(), 0));
            for (entry, message) in entries.iter().zip(&messages) {
                prop_assert_eq!(entry.bytes("MESSAGE"), Some(&message[..]));
            }
            for (at, byte) in changes.iter().filter(|_| !messages.is_empty()) {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            prop_assert_eq!(read(&bytes, piece), read(&bytes, usize::MAX));
        }
    }
}
