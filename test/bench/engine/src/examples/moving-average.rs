//! Publishes the mean of the last eight samples of the level.
use super::{Filter, Node};

const SIZE: usize = 8;

/// The filter.
pub struct Program {
    sum: f64,
    taken: usize,
    samples: [f32; SIZE],
}

impl Program {
    /// At its start.
    pub const NEW: Self = Self {
        sum: 0.0,
        taken: 0,
        samples: [0.0; SIZE],
    };
}

impl Filter for Program {
    fn sample(&mut self, node: &mut impl Node, _: i32, value: f32) {
        let taken = self.taken + 1;
        let oldest = core::mem::replace(&mut self.samples[taken % SIZE], value);
        self.sum += f64::from(value) - f64::from(oldest);
        self.taken = if taken < 2 * SIZE { taken } else { SIZE };
        node.publish(0, (self.sum / taken.min(SIZE) as f64) as f32);
    }
}
