//! The Journal Export Format: read alike in pieces of any length, and whatever stands in front of an entry costs no other.

use logs::export_texts;

pub(crate) const WORDS: &[&str] = &[
    "__CURSOR=",
    "\n__CURSOR=s=a;i=1\n",
    "__REALTIME_TIMESTAMP=",
    "MESSAGE",
    "MESSAGE\n",
    "=",
    "\n\n",
    "\0\0\0\0\0\0\0\0",
    "\u{1}\0\0\0\0\0\0\0",
    "_PID=1\n",
];

/// An entry that is whole, whatever stands in front of it.
const LAST: &[u8] = b"\n__CURSOR=the last\n__REALTIME_TIMESTAMP=2\nMESSAGE=whole\n\n";

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    vec![
        b"__CURSOR=s=a;i=1\n__REALTIME_TIMESTAMP=1\nMESSAGE=one\nPRIORITY=6\n\n".to_vec(),
        b"__CURSOR=s=a;i=2\n__REALTIME_TIMESTAMP=1\nMESSAGE\n\x07\0\0\0\0\0\0\0two\nend\n\n".to_vec(),
        b"__CURSOR=s=a;i=3\nCOREDUMP\n\x02\0\0\0\0\0\0\0ab\n__REALTIME_TIMESTAMP=1\n\n__CURSOR=s=a;i=4\n"
            .to_vec(),
    ]
}

pub(crate) fn run(bytes: &[u8]) {
    let read = export_texts(bytes, usize::MAX);
    for piece_bytes in [1, 3, 64] {
        assert_eq!(
            read,
            export_texts(bytes, piece_bytes),
            "in pieces of {piece_bytes}"
        );
    }
    // Data may claim to be longer than all there is; then it takes in what follows.
    let behind = [bytes, LAST].concat();
    let (texts, malformed) = export_texts(&behind, usize::MAX);
    assert!(
        texts.len() >= read.0.len() && malformed >= read.1,
        "more says no less"
    );
    assert_eq!(texts.get(..read.0.len()), Some(&*read.0));
}
