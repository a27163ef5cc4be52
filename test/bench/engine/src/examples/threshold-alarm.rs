//! A light that does not flicker while the temperature hovers at the limit.
use super::{Filter, Hysteresis, Node};

/// The filter.
pub struct Program {
    hot: Hysteresis,
}

impl Program {
    /// At its start.
    pub const NEW: Self = Self {
        hot: Hysteresis { on: false },
    };
}

impl Filter for Program {
    fn sample(&mut self, node: &mut impl Node, _: i32, celsius: f32) {
        let (high, low) = (node.parameter(0), node.parameter(1));
        if !self.hot.next(celsius, low, high) {
            return;
        }
        node.gpio(0, i32::from(self.hot.on));
        node.publish(0, f32::from(u8::from(self.hot.on)));
    }
}
