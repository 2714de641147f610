//! Blocks go to another replica, and are looked at before they count.

use std::io::{ErrorKind, Read};

use blocks::{Blocks, Error, Listing};

use crate::harness::{House, counters, everything, hours, write};

fn send(from: &Blocks, to: &Blocks, listing: &Listing) -> Result<(), Error> {
    let mut incoming = to.receive(listing.meta.ulid)?;
    for (name, bytes) in &listing.files {
        let mut file = from.open_file(listing.meta.ulid, name)?;
        incoming.file(name, *bytes, &mut file)?;
    }
    incoming.finish().map(drop)
}

#[test]
fn a_copy_is_the_same() {
    let (here, there) = (House::new(), House::new());
    let (from, to) = (here.open(), there.open());
    for start in [0, 2] {
        write(
            &from,
            start..=start + 2,
            counters(40, hours(start, start + 2), 15_000),
        );
    }
    for listing in from.snapshot() {
        send(&from, &to, &listing).expect("taken");
        assert!(
            matches!(send(&from, &to, &listing), Err(Error::Known(_))),
            "once is enough"
        );
    }
    assert_eq!(everything(&to), everything(&from));
    assert_eq!(everything(&there.open()), everything(&from));
}

#[test]
fn what_was_made_of_blocks_here_takes_their_place() {
    let (here, there) = (House::new(), House::new());
    let (from, to) = (here.open(), there.open());
    for start in [0, 2, 4, 6] {
        write(
            &from,
            start..=start + 2,
            counters(4, hours(start, start + 2), 15_000),
        );
    }
    let listings = from.snapshot();
    for listing in &listings[..2] {
        send(&from, &to, listing).expect("taken");
    }
    from.maintain().compacted.expect("planned");
    let long = from.snapshot().remove(0);
    send(&from, &to, &long).expect("taken");
    assert_eq!(to.all().len(), 1);
    assert!(
        matches!(to.receive(listings[2].meta.ulid), Err(Error::Known(_))),
        "it is a part"
    );
}

#[test]
fn a_copy_with_a_wrong_bit_is_refused_and_leaves_nothing() {
    let (here, there) = (House::new(), House::new());
    let (from, to) = (here.open(), there.open());
    write(&from, 0..=2, counters(20, hours(0, 2), 15_000));
    let listing = from.snapshot().remove(0);
    let ulid = listing.meta.ulid;
    for (wrong, size) in listing.files.iter().filter(|(name, _)| *name != "meta.json") {
        for at in [1, *size / 2, *size - 1].map(|at| at as usize) {
            let mut incoming = to.receive(ulid).expect("begun");
            for (name, bytes) in &listing.files {
                let mut content = std::fs::read(from.all()[0].path().join(name)).expect("read");
                if name == wrong {
                    content[at] ^= 4;
                }
                incoming
                    .file(name, *bytes, &mut content.as_slice())
                    .expect("taken");
            }
            let error = incoming.finish().expect_err("a wrong bit");
            assert!(matches!(error, Error::Broken { .. }), "{wrong} at {at}: {error}");
            assert!(there.names().is_empty(), "{:?}", there.names());
        }
    }
}

#[test]
fn names_that_lead_elsewhere_and_wrong_sizes_are_refused() {
    let house = House::new();
    let blocks = house.open();
    let ulid = "01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().expect("a name");
    let mut incoming = blocks.receive(ulid).expect("begun");
    for name in [
        "../x",
        "/etc/x",
        "chunks/../../x",
        "chunks/1",
        "chunks/00000a",
        "",
        "index/x",
        "lock",
    ] {
        let refused = incoming.file(name, 1, &mut &b"x"[..]);
        assert!(matches!(refused, Err(Error::Unfit(_))), "{name}");
        assert!(
            matches!(blocks.open_file(ulid, name), Err(Error::Unfit(_))),
            "{name}"
        );
    }
    assert!(matches!(
        incoming.file("index", 2, &mut &b"x"[..]),
        Err(Error::Unfit(_))
    ));
    assert!(matches!(
        incoming.file("tombstones", 1, &mut &b"xy"[..]),
        Err(Error::Unfit(_))
    ));
    assert!(matches!(incoming.finish(), Err(Error::Broken { .. })));
    assert!(matches!(blocks.open_file(ulid, "index"), Err(Error::Unknown(_))));
    assert!(house.names().is_empty());
}

/// Sends so many bytes and is gone.
struct Dies<R>(std::io::Take<R>);

impl<R: Read> Read for Dies<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(ErrorKind::ConnectionReset.into()),
            bytes => Ok(bytes),
        }
    }
}

#[test]
fn a_peer_that_dies_on_the_way_leaves_nothing_and_the_next_try_is_as_good() {
    let (here, there) = (House::new(), House::new());
    let (from, to) = (here.open(), there.open());
    write(&from, 0..=2, counters(20, hours(0, 2), 15_000));
    let listing = from.snapshot().remove(0);
    let ulid = listing.meta.ulid;
    for (last, bytes) in &listing.files {
        for share in [0, 1, 2] {
            let mut incoming = to.receive(ulid).expect("begun");
            for (name, bytes) in listing.files.iter().take_while(|(name, _)| *name != last) {
                let mut file = from.open_file(ulid, name).expect("opened");
                incoming.file(name, *bytes, &mut file).expect("taken");
            }
            let file = from.open_file(ulid, last).expect("opened");
            // All but the last byte is the most that can be missing.
            let mut dies = Dies(file.take((*bytes - 1) * share / 2));
            let error = incoming.file(last, *bytes, &mut dies).expect_err("it died");
            assert!(matches!(error, Error::Io { .. }), "{error}");
            drop(incoming);
            assert!(there.names().is_empty(), "{:?}", there.names());
            assert!(to.all().is_empty());
        }
    }
    send(&from, &to, &listing).expect("taken");
    assert_eq!(everything(&to), everything(&from));
}

#[test]
fn what_was_half_received_when_this_process_died_goes_at_the_next_start() {
    let (here, there) = (House::new(), House::new());
    let (from, to) = (here.open(), there.open());
    write(&from, 0..=2, counters(20, hours(0, 2), 15_000));
    let listing = from.snapshot().remove(0);
    for files in 0..listing.files.len() {
        let mut incoming = to.receive(listing.meta.ulid).expect("begun");
        for (name, bytes) in listing.files.iter().take(files) {
            let mut file = from.open_file(listing.meta.ulid, name).expect("opened");
            incoming.file(name, *bytes, &mut file).expect("taken");
        }
        // As `kill -9` has it: nothing is tidied up.
        std::mem::forget(incoming);
        assert_eq!(there.names().len(), 1, "{:?}", there.names());
        assert!(there.open().all().is_empty());
        assert!(there.names().is_empty(), "{:?}", there.names());
    }
    send(&from, &there.open(), &listing).expect("taken");
    assert_eq!(everything(&there.open()), everything(&from));
}
