//! What share of the inputs gets past validation.
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counts an input, and says now and then how many were accepted. Returns what it was given.
pub fn tally(accepted: bool) -> bool {
    static ALL: AtomicU64 = AtomicU64::new(0);
    static ACCEPTED: AtomicU64 = AtomicU64::new(0);
    let good = ACCEPTED.fetch_add(u64::from(accepted), Relaxed) + u64::from(accepted);
    let all = ALL.fetch_add(1, Relaxed) + 1;
    if all.is_power_of_two() {
        eprintln!("{good} of {all} inputs accepted");
    }
    accepted
}
