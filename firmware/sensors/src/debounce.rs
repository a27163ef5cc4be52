//! A contact that bounces: its state counts once it has stayed the same for a while.

/// A debounced contact.
#[derive(Clone, Copy, Debug)]
pub struct Debounce {
    /// For how many milliseconds a new state must last.
    stable: u64,
    state: bool,
    /// Since when the contact has been other than `state`.
    since: Option<u64>,
}

impl Debounce {
    /// A contact in the given state, in which it must stay for so many milliseconds to be believed.
    pub const fn new(state: bool, stable: u64) -> Self {
        Self {
            stable,
            state,
            since: None,
        }
    }

    /// Takes what the contact is at `now` (milliseconds); its new state when that has changed.
    pub fn push(&mut self, now: u64, contact: bool) -> Option<bool> {
        if contact == self.state {
            self.since = None;
            return None;
        }
        let since = *self.since.get_or_insert(now);
        if now.saturating_sub(since) < self.stable {
            return None;
        }
        self.state = contact;
        self.since = None;
        Some(contact)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_counts_when_it_lasts() {
        let mut contact = Debounce::new(false, 10);
        assert_eq!(contact.push(0, true), None);
        assert_eq!(contact.push(9, true), None);
        assert_eq!(contact.push(10, true), Some(true));
        assert_eq!(contact.push(11, true), None);
    }

    #[test]
    fn bounces_begin_the_wait_anew() {
        let mut contact = Debounce::new(false, 10);
        for now in 0..100 {
            // Three milliseconds on, one off.
            assert_eq!(contact.push(now, now % 4 != 3), None);
        }
        assert_eq!(contact.push(200, true), None);
        assert_eq!(contact.push(210, true), Some(true));
    }

    #[test]
    fn both_edges_are_told() {
        let mut contact = Debounce::new(true, 0);
        assert_eq!(contact.push(1, false), Some(false));
        assert_eq!(contact.push(1, true), Some(true));
        assert_eq!(contact.push(1, true), None);
    }
}
