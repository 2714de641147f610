//! Messages of the Forward protocol: what is read of one is text, and reading it again reads the same.

use logs::forward_texts;

pub(crate) const WORDS: &[&str] = &[
    "\u{3}tag",
    "chunk",
    "size",
    "compressed",
    "gzip",
    "text",
    "zstd",
    "fluent_signal",
    "log",
    "message",
    "msg",
    "stream",
    "stdout",
    "kubernetes",
    "namespace_name",
    "pod_name",
    "\0\0\0\0\0\0\0\0",
];

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let entries = b"\x92\xd7\x00\x6a\x18\x2f\xc0\x07\x5b\xcd\x15\x82\xa3log\xa3one\xa1n\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00";
    let mut packed = b"\x93\xa3tag\xc4".to_vec();
    packed.push(entries.len() as u8);
    packed.extend_from_slice(entries);
    packed.extend_from_slice(b"\x82\xa5chunk\xa2c1\xa4size\x01");
    // The same by gzip, its parts stored as they are.
    let mut member = b"\x1f\x8b\x08\0\0\0\0\0\0\xff\x01".to_vec();
    member.extend((entries.len() as u16).to_le_bytes());
    member.extend((!(entries.len() as u16)).to_le_bytes());
    member.extend_from_slice(entries);
    member.extend(crc32fast::hash(entries).to_le_bytes());
    member.extend((entries.len() as u32).to_le_bytes());
    let mut by_gzip = b"\x93\xa3tag\xc4".to_vec();
    by_gzip.push(member.len() as u8);
    by_gzip.extend_from_slice(&member);
    by_gzip.extend_from_slice(b"\x81\xaacompressed\xa4gzip");
    vec![
        b"\xc0".to_vec(),
        b"\x93\xa3tag\xce\x6a\x18\x2f\xc0\x81\xa3log\xa3one".to_vec(),
        b"\x93\xa3tag\x92\x92\x01\x81\xa3log\xa3one\x92\x02\x80\x81\xa5chunk\xa2c1".to_vec(),
        b"\x92\xa3tag\x91\x92\x01\x82\xa6stream\xa6stderr\xaakubernetes\x82\xa8pod_name\xa1p\xa6labels\x81\xa1a\xa1b".to_vec(),
        packed,
        by_gzip,
    ]
}

pub(crate) fn run(bytes: &[u8]) {
    let read = forward_texts(bytes);
    assert_eq!(read, forward_texts(bytes), "it is read alike each time");
    // Cut off, it says less or nothing.
    for end in bytes.len().saturating_sub(16)..bytes.len() {
        let cut = forward_texts(bytes.get(..end).unwrap_or_default());
        let (Ok(cut), Ok(read)) = (cut, &read) else {
            continue;
        };
        assert!(cut.len() <= read.len(), "{cut:?} of {read:?}");
    }
}
