//! Asks the kernel how it disciplines its clock. The only place where this room leaves safe code: rustix has
//! no such call and no file says it.
//!
//! Never sets the clock: no mode is given, and so no right is needed.

use std::io;

use libc::{c_int, c_long};

/// The words of `timex` that are shown, in the kernel's own units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Timex {
    /// What the call returns: a leap second under way, or that the clock is not synchronised.
    pub(crate) state: c_int,
    pub(crate) offset: c_long,
    pub(crate) freq: c_long,
    pub(crate) maxerror: c_long,
    pub(crate) esterror: c_long,
    pub(crate) status: c_int,
    pub(crate) constant: c_long,
    pub(crate) tick: c_long,
    pub(crate) ppsfreq: c_long,
    pub(crate) jitter: c_long,
    pub(crate) shift: c_int,
    pub(crate) stabil: c_long,
    pub(crate) jitcnt: c_long,
    pub(crate) calcnt: c_long,
    pub(crate) errcnt: c_long,
    pub(crate) stbcnt: c_long,
    pub(crate) tai: c_int,
}

pub(crate) fn read() -> io::Result<Timex> {
    let (state, said) = call();
    if state < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Timex {
        state,
        offset: said.offset,
        freq: said.freq,
        maxerror: said.maxerror,
        esterror: said.esterror,
        status: said.status,
        constant: said.constant,
        tick: said.tick,
        ppsfreq: said.ppsfreq,
        jitter: said.jitter,
        shift: said.shift,
        stabil: said.stabil,
        jitcnt: said.jitcnt,
        calcnt: said.calcnt,
        errcnt: said.errcnt,
        stbcnt: said.stbcnt,
        tai: said.tai,
    })
}

#[expect(unsafe_code, reason = "rustix has no adjtimex")]
fn call() -> (c_int, libc::timex) {
    // SAFETY: all fields of `timex` are integers, so zeros are a value of it, and `modes` = 0 only reads; the
    // call writes to nothing but the one it is given, which is ours and outlives it.
    unsafe {
        let mut timex: libc::timex = std::mem::zeroed();
        let state = libc::adjtimex(&raw mut timex);
        (state, timex)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_answers_in_its_units_or_refuses() {
        match read() {
            // The kernel lets nobody set a tick further than a tenth from its 10 ms.
            Ok(timex) => assert!((9_000..=11_000).contains(&timex.tick), "{timex:?}"),
            Err(error) => assert!(
                matches!(
                    error.kind(),
                    io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported
                ),
                "{error}"
            ),
        }
    }
}
