//! Asks drivers of network devices what they count, as `ethtool -S` does (`linux/ethtool.h`).
//!
//! It is about the devices of the network namespace that this process is in, and needs no privilege.

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::net::{AddressFamily, SocketType, socket};

/// `SIOCETHTOOL` of `linux/sockios.h`.
const REQUEST: libc::Ioctl = 0x8946;
const GET_SET_SIZES: u32 = 0x37;
const GET_NAMES: u32 = 0x1b;
const GET_COUNTS: u32 = 0x1d;
/// `ETH_SS_STATS`: of all sets of names, the one of counts.
const COUNTS: u32 = 1;
/// `ETH_GSTRING_LEN`.
const NAME_BYTES: usize = 32;
/// A device that counts more is not asked.
const COUNTS_MAX: usize = 4096;
const NUMBER_BYTES: usize = 8;

/// Any socket will do: the kernel takes such questions by one.
pub(crate) struct Drivers(OwnedFd);

impl Drivers {
    pub(crate) fn open() -> io::Result<Self> {
        Ok(Self(socket(AddressFamily::INET, SocketType::DGRAM, None)?))
    }

    /// What the device counts, in the order of [`Self::counts`]; none where its driver counts nothing.
    pub(crate) fn names(&self, device: &str) -> io::Result<Vec<String>> {
        let count = match self.count(device) {
            Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => 0,
            count => count?,
        };
        if count == 0 {
            return Ok(Vec::new());
        }
        let question = [GET_NAMES, COUNTS, u32::try_from(count).unwrap_or(0)];
        let answer = self.ask(device, &question, NAME_BYTES)?;
        let names = answer.chunks_exact(NAME_BYTES).take(count);
        Ok(names.map(text).collect())
    }

    /// Zero or less than there are names, when the device has become another meanwhile.
    pub(crate) fn counts(&self, device: &str, names: usize) -> io::Result<Vec<u64>> {
        let question = [GET_COUNTS, u32::try_from(names).unwrap_or(0)];
        let answer = self.ask(device, &question, NUMBER_BYTES)?;
        let numbers = answer.as_chunks::<NUMBER_BYTES>().0.iter().take(names);
        Ok(numbers.map(|number| u64::from_ne_bytes(*number)).collect())
    }

    fn count(&self, device: &str) -> io::Result<usize> {
        // Which sets are asked for is a mask of 64 bits after a reserved word.
        let mask = (1_u64 << COUNTS).to_ne_bytes();
        let [a, b, c, d, e, f, g, h] = mask;
        let halves = [[a, b, c, d], [e, f, g, h]].map(u32::from_ne_bytes);
        let answer = self.ask(device, &[GET_SET_SIZES, 0, halves[0], halves[1]], 0)?;
        let count = answer.first_chunk().map_or(0, |bytes| u32::from_ne_bytes(*bytes));
        match usize::try_from(count) {
            Ok(count) if count <= COUNTS_MAX => Ok(count),
            _ => Err(io::Error::other(format!(
                "it counts {count} things, more than {COUNTS_MAX}"
            ))),
        }
    }

    /// What the kernel writes behind the question, of which each piece has so many bytes.
    ///
    /// The kernel does not look at how much room there is: it writes as many pieces as the driver has just then. There is room for
    /// twice as many as the device may have had a moment before.
    fn ask(&self, device: &str, question: &[u32], piece_bytes: usize) -> io::Result<Vec<u8>> {
        let head: Vec<u8> = question.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let mut room = head.clone();
        room.resize(head.len() + (2 * COUNTS_MAX * piece_bytes).max(NUMBER_BYTES), 0);
        self.call(device, &mut room)?;
        Ok(room.split_off(head.len()))
    }

    #[expect(
        unsafe_code,
        reason = "the kernel leaves no other way, and rustix has no ethtool"
    )]
    fn call(&self, device: &str, room: &mut [u8]) -> io::Result<()> {
        // SAFETY: `ifreq` is of integers and pointers, for which zeros are values.
        let mut request: libc::ifreq = unsafe { mem::zeroed() };
        let name = device.as_bytes();
        // The last byte stays zero.
        if name.len() >= request.ifr_name.len() {
            return Err(io::Error::from_raw_os_error(libc::ENODEV));
        }
        for (place, byte) in request.ifr_name.iter_mut().zip(name) {
            *place = byte.cast_signed();
        }
        request.ifr_ifru.ifru_data = room.as_mut_ptr().cast();
        // SAFETY: the kernel reads the request and the question, and writes into the room only, which is ours, outlives the call, and
        // is long enough as `ask` says.
        let said = unsafe { libc::ioctl(self.0.as_raw_fd(), REQUEST, &raw mut request) };
        if said == -1 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }
}

/// Up to the first zero.
fn text(name: &[u8]) -> String {
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
    String::from_utf8_lossy(name.get(..end).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_that_count_nothing_and_devices_that_are_not_there_are_told_apart() {
        let drivers = Drivers::open().unwrap();
        assert_eq!(drivers.names("lo").unwrap(), Vec::<String>::new());
        let missing = drivers.names("none0").unwrap_err();
        assert_eq!(missing.raw_os_error(), Some(libc::ENODEV));
        let long = drivers.names("a-name-of-sixteen").unwrap_err();
        assert_eq!(long.raw_os_error(), Some(libc::ENODEV));
    }

    #[test]
    fn names_end_at_the_first_zero_or_with_their_place() {
        assert_eq!(text(b"rx_packets\0\0\0tail"), "rx_packets");
        assert_eq!(text(&[b'a'; NAME_BYTES]), "a".repeat(NAME_BYTES));
        assert_eq!(text(b"r\xffx\0"), "r\u{fffd}x");
    }
}
