//! How the kernel disciplines its clock: offset, errors, frequency, and the pulse per second if there is one.
//!
//! Where the kernel does not let us ask, as in some sandboxes, this collector alone is without data.

use std::io::{self, ErrorKind};

use libc::c_long;

use super::{At, Collector, Trouble};
use crate::adjtimex::{self, Timex};
use crate::family::Family;
use crate::known::Emit;

static SYNC_STATUS: Family = Family::gauge(
    "node_timex_sync_status",
    "Whether the clock is synchronised to a reliable server.",
    &[],
);
static OFFSET: Family = Family::gauge(
    "node_timex_offset_seconds",
    "How far the clock is from its reference.",
    &[],
);
static FREQUENCY: Family = Family::gauge(
    "node_timex_frequency_adjustment_ratio",
    "How much faster than by itself the clock is made to run.",
    &[],
);
static MAXERROR: Family = Family::gauge(
    "node_timex_maxerror_seconds",
    "Largest error that the clock may have.",
    &[],
);
static ESTIMATED_ERROR: Family = Family::gauge(
    "node_timex_estimated_error_seconds",
    "Error that the clock is thought to have.",
    &[],
);
static STATUS: Family = Family::gauge("node_timex_status", "Bits of the clock's status.", &[]);
static TIME_CONSTANT: Family = Family::gauge(
    "node_timex_loop_time_constant",
    "Time constant of the phase-locked loop.",
    &[],
);
static TICK: Family = Family::gauge("node_timex_tick_seconds", "Time between two ticks.", &[]);
static PPS_FREQUENCY: Family = Family::gauge(
    "node_timex_pps_frequency_hertz",
    "Frequency of the pulse per second.",
    &[],
);
static PPS_JITTER: Family = Family::gauge(
    "node_timex_pps_jitter_seconds",
    "Jitter of the pulse per second.",
    &[],
);
static PPS_SHIFT: Family = Family::gauge(
    "node_timex_pps_shift_seconds",
    "Length of an interval of the pulse per second.",
    &[],
);
static PPS_STABILITY: Family = Family::gauge(
    "node_timex_pps_stability_hertz",
    "How much the frequency of the pulse per second wandered lately.",
    &[],
);
static PPS_JITTERS: Family = Family::counter(
    "node_timex_pps_jitter_total",
    "Pulses with more jitter than allowed.",
    &[],
);
static PPS_CALIBRATIONS: Family = Family::counter(
    "node_timex_pps_calibration_total",
    "Calibration intervals of the pulse per second.",
    &[],
);
static PPS_ERRORS: Family = Family::counter(
    "node_timex_pps_error_total",
    "Calibrations of the pulse per second that failed.",
    &[],
);
static PPS_INSTABILITIES: Family = Family::counter(
    "node_timex_pps_stability_exceeded_total",
    "Times the pulse per second wandered more than allowed.",
    &[],
);
static TAI_OFFSET: Family = Family::gauge(
    "node_timex_tai_offset_seconds",
    "How far International Atomic Time is ahead.",
    &[],
);

const MICRO: f64 = 1e6;
const NANO: f64 = 1e9;
/// Frequencies come in parts per million, with 16 bits of fraction.
const FREQUENCY_UNIT: f64 = 1e6 * 65536.0;

pub(crate) struct Clock {
    ask: fn() -> io::Result<Timex>,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { ask: adjtimex::read }
    }
}

impl Collector for Clock {
    fn name(&self) -> &'static str {
        "timex"
    }

    fn collect(&mut self, _: &mut At<'_>, emit: &mut Emit<'_>) -> Result<(), Trouble> {
        let timex = (self.ask)().map_err(|error| trouble(&error))?;
        for (family, value) in values(&timex) {
            emit.put(family, &[], value);
        }
        Ok(())
    }
}

/// A kernel that refuses refuses for good, which is no failure of this machine.
fn trouble(error: &io::Error) -> Trouble {
    let sentence = format!("asking for the clock's discipline: {error}");
    match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::Unsupported => Trouble::Absent(sentence),
        _ => Trouble::Failed(sentence),
    }
}

fn values(timex: &Timex) -> [(&'static Family, f64); 17] {
    // Errors and ticks stay in microseconds, whatever this bit says.
    let fine = if timex.status & libc::STA_NANO == 0 {
        MICRO
    } else {
        NANO
    };
    let synchronised = timex.state != libc::TIME_ERROR;
    [
        (&SYNC_STATUS, f64::from(synchronised)),
        (&OFFSET, float(timex.offset) / fine),
        (&FREQUENCY, 1.0 + float(timex.freq) / FREQUENCY_UNIT),
        (&MAXERROR, float(timex.maxerror) / MICRO),
        (&ESTIMATED_ERROR, float(timex.esterror) / MICRO),
        (&STATUS, f64::from(timex.status)),
        (&TIME_CONSTANT, float(timex.constant)),
        (&TICK, float(timex.tick) / MICRO),
        (&PPS_FREQUENCY, float(timex.ppsfreq) / FREQUENCY_UNIT),
        (&PPS_JITTER, float(timex.jitter) / fine),
        (&PPS_SHIFT, f64::from(timex.shift)),
        (&PPS_STABILITY, float(timex.stabil) / FREQUENCY_UNIT),
        (&PPS_JITTERS, float(timex.jitcnt)),
        (&PPS_CALIBRATIONS, float(timex.calcnt)),
        (&PPS_ERRORS, float(timex.errcnt)),
        (&PPS_INSTABILITIES, float(timex.stbcnt)),
        (&TAI_OFFSET, f64::from(timex.tai)),
    ]
}

fn float(value: c_long) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use model::{Labels, Timestamp};

    use super::*;
    use crate::file::Buffer;
    use crate::known::Known;
    use crate::recorder::Recorder;

    /// A clock that chrony keeps, with a pulse per second: `STA_PLL | STA_PPSFREQ | STA_NANO`.
    const KEPT: Timex = Timex {
        state: libc::TIME_OK,
        offset: -1_250_000,
        freq: 65_536 * 25,
        maxerror: 1_500,
        esterror: 16,
        status: 0x2003,
        constant: 7,
        tick: 10_000,
        ppsfreq: 65_536 * -3,
        jitter: 4_000,
        shift: 8,
        stabil: 32_768,
        jitcnt: 1,
        calcnt: 2,
        errcnt: 3,
        stbcnt: 4,
        tai: 37,
    };

    fn by_name(timex: &Timex) -> BTreeMap<&'static str, f64> {
        values(timex)
            .into_iter()
            .map(|(family, value)| (family.name, value))
            .collect()
    }

    /// What one round gives, with how it ends.
    fn collected(ask: fn() -> io::Result<Timex>) -> (Vec<String>, Result<(), Trouble>) {
        let keep = Recorder::default();
        let target = model::TargetRef(0);
        let mut known = Known::new(target, Labels::from_pairs([("job", "node")]));
        let mut emit = Emit {
            keep: &keep,
            known: &mut known,
            series: Vec::new(),
            values: Vec::new(),
            refused: 0,
        };
        let mut at = At {
            now: Timestamp(0),
            buffer: &mut Buffer::default(),
        };
        let end = Clock { ask }.collect(&mut at, &mut emit);
        let kinds = keep.kinds().into_iter();
        let line = |((name, kind), value): ((String, &str), &f64)| format!("{name} {kind} {value}");
        (kinds.zip(&emit.values).map(line).collect(), end)
    }

    #[test]
    fn a_kept_clock_is_shown_under_the_names_and_types_of_node_exporter() {
        let (lines, end) = collected(|| Ok(KEPT));
        assert_eq!(end, Ok(()));
        assert_eq!(
            lines,
            [
                "node_timex_sync_status gauge 1",
                "node_timex_offset_seconds gauge -0.00125",
                "node_timex_frequency_adjustment_ratio gauge 1.000025",
                "node_timex_maxerror_seconds gauge 0.0015",
                "node_timex_estimated_error_seconds gauge 0.000016",
                "node_timex_status gauge 8195",
                "node_timex_loop_time_constant gauge 7",
                "node_timex_tick_seconds gauge 0.01",
                "node_timex_pps_frequency_hertz gauge -0.000003",
                "node_timex_pps_jitter_seconds gauge 0.000004",
                "node_timex_pps_shift_seconds gauge 8",
                "node_timex_pps_stability_hertz gauge 0.0000005",
                "node_timex_pps_jitter_total counter 1",
                "node_timex_pps_calibration_total counter 2",
                "node_timex_pps_error_total counter 3",
                "node_timex_pps_stability_exceeded_total counter 4",
                "node_timex_tai_offset_seconds gauge 37",
            ]
        );
    }

    #[test]
    fn the_nano_bit_rules_offset_and_jitter_and_nothing_else() {
        let micro = Timex {
            status: KEPT.status & !libc::STA_NANO,
            ..KEPT
        };
        let (nano, micro) = (by_name(&KEPT), by_name(&micro));
        let changed: Vec<_> = nano
            .iter()
            .filter(|(name, value)| micro[*name] != **value)
            .map(|(name, _)| (*name, micro[name]))
            .collect();
        assert_eq!(
            changed,
            [
                ("node_timex_offset_seconds", -1.25),
                ("node_timex_pps_jitter_seconds", 0.004),
                ("node_timex_status", 3.0),
            ]
        );
    }

    #[test]
    fn only_the_state_tells_whether_the_clock_is_synchronised() {
        const STA_UNSYNC: i32 = 0x40;
        let sync = |state, status| {
            by_name(&Timex {
                state,
                status,
                ..KEPT
            })["node_timex_sync_status"]
        };
        assert_eq!(sync(libc::TIME_ERROR, STA_UNSYNC), 0.0);
        assert_eq!(sync(libc::TIME_ERROR, 0), 0.0);
        assert_eq!(sync(libc::TIME_OK, STA_UNSYNC), 1.0);
        assert_eq!(sync(libc::TIME_INS, 0), 1.0, "a leap second is to come");
    }

    #[test]
    fn a_kernel_that_refuses_costs_the_series_and_is_no_failure() {
        let refusals: [fn() -> io::Result<Timex>; 3] = [
            || Err(io::Error::from_raw_os_error(libc::EPERM)),
            || Err(io::Error::from_raw_os_error(libc::EACCES)),
            || Err(io::Error::from_raw_os_error(libc::ENOSYS)),
        ];
        for refusal in refusals {
            let (lines, end) = collected(refusal);
            assert!(lines.is_empty());
            assert!(matches!(end, Err(Trouble::Absent(_))), "{end:?}");
            // What is said is told apart by its words: the same ones are said once.
            assert_eq!(end, collected(refusal).1);
        }
        let (_, end) = collected(|| Err(io::Error::from_raw_os_error(libc::EFAULT)));
        assert!(matches!(end, Err(Trouble::Failed(_))), "{end:?}");
    }
}
