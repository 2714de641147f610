//! How often nobody answered for the same records, and when it must be something in them.

/// So often nobody answers before a request is sent in parts: something in it may be what is not answered.
const SILENCES_MAX: u32 = 8;

/// Nobody answered so often, and so many requests had gone well when that was first so.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Silence(Option<(u32, u64)>);

impl Silence {
    /// Nobody answered; `good` requests have gone well by now. True when it must be something in these records: others were
    /// answered meanwhile, or it has been tried often.
    pub(crate) fn is_suspect(&mut self, good: u64) -> bool {
        let (count, before) = self.0.unwrap_or((0, good));
        self.0 = Some((count + 1, before));
        (count > 0 && good > before) || count + 1 >= SILENCES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_suspected_when_others_are_answered_or_after_many_tries() {
        let mut alone = Silence::default();
        let tries = (1..).find(|_| alone.is_suspect(5));
        assert_eq!(tries, Some(SILENCES_MAX));
        let mut beside = Silence::default();
        assert!(!beside.is_suspect(5));
        assert!(!beside.is_suspect(5), "nobody else was answered either");
        assert!(beside.is_suspect(6));
    }
}
