//! Publishes a temperature only when it has moved by more than the operator cares for.
use super::{Filter, Node};

/// The filter.
pub struct Program {
    value: f32,
}

impl Program {
    /// At its start.
    pub const NEW: Self = Self { value: f32::NAN };
}

impl Filter for Program {
    fn sample(&mut self, node: &mut impl Node, _: i32, celsius: f32) {
        if (celsius - self.value).abs() <= node.parameter(0) {
            return;
        }
        self.value = celsius;
        node.publish(0, celsius);
    }
}
