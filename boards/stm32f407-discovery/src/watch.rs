//! Each task measures itself: the longest it has taken is in /stats.
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use wasmote_cortex_m::time::cycles;

/// The most cycles that each task has taken, as SysTick counts them, with what interrupted it; in /stats. The numbers are places.
pub static LONGEST: [(&str, AtomicU32); 6] = [
    ("line", AtomicU32::new(0)),
    ("half", AtomicU32::new(0)),
    ("sonar", AtomicU32::new(0)),
    ("frames", AtomicU32::new(0)),
    ("tick", AtomicU32::new(0)),
    ("serve", AtomicU32::new(0)),
];
/// Places in [`LONGEST`].
pub const LINE_TASK: usize = 0;
/// See [`LINE_TASK`].
pub const HALF_TASK: usize = 1;
/// See [`LINE_TASK`].
pub const SONAR_TASK: usize = 2;
/// See [`LINE_TASK`].
pub const FRAMES_TASK: usize = 3;
/// See [`LINE_TASK`].
pub const TICK_TASK: usize = 4;
/// See [`LINE_TASK`].
pub const SERVE_TASK: usize = 5;

/// Measures a task from here to the end of its block.
pub struct Watch {
    task: usize,
    start: u32,
}

impl Watch {
    /// Starts to measure.
    pub fn start(task: usize) -> Self {
        let start = cycles();
        Self { task, start }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut taken = cycles().wrapping_sub(self.start);
        if taken > u32::MAX / 2 {
            // The counter has begun anew, and `tick` has not run since: this task goes before it.
            taken = taken.wrapping_add(cortex_m::peripheral::SYST::get_reload() + 1);
        }
        if let Some((_, longest)) = LONGEST.get(self.task) {
            // Each task writes only its own.
            longest.store(longest.load(Relaxed).max(taken), Relaxed);
        }
    }
}
