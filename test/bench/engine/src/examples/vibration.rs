//! Root mean square and the strength of 50 Hz on one axis of the accelerometer, in blocks of 64 samples.
use super::{Filter, Node, sqrt};

const SIZE: u32 = 64;
/// 2 cos(2π · 50 Hz / 400 Hz)
const COEFFICIENT: f32 = core::f32::consts::SQRT_2;

/// The filter.
pub struct Program {
    first: f32,
    second: f32,
    squares: f32,
    count: u32,
}

impl Program {
    /// At its start, and at that of each block.
    pub const NEW: Self = Self {
        first: 0.0,
        second: 0.0,
        squares: 0.0,
        count: 0,
    };
}

impl Filter for Program {
    fn sample(&mut self, node: &mut impl Node, _: i32, value: f32) {
        let fresh = value + COEFFICIENT * self.first - self.second;
        self.second = self.first;
        self.first = fresh;
        self.squares += value * value;
        self.count += 1;
        if self.count < SIZE {
            return;
        }
        let (a, b) = (self.first, self.second);
        let power = (a * a + b * b - COEFFICIENT * a * b).max(0.0);
        node.publish(0, sqrt(self.squares / SIZE as f32));
        node.publish(1, 2.0 * sqrt(power) / SIZE as f32);
        *self = Self::NEW;
    }
}
