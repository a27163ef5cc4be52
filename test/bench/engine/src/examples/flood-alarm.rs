//! River level to flow, with a flood alarm.
use super::{Filter, Hysteresis, Node, sqrt};

/// The filter.
pub struct Program {
    flood: Hysteresis,
}

impl Program {
    /// At its start.
    pub const NEW: Self = Self {
        flood: Hysteresis { on: false },
    };
}

/// scale · level^1.5
fn rating_curve(level: f32, scale: f32) -> f32 {
    if level > 0.0 {
        scale * level * sqrt(level)
    } else {
        0.0
    }
}

impl Filter for Program {
    fn sample(&mut self, node: &mut impl Node, _: i32, millimetres: f32) {
        let now = rating_curve(millimetres / 1000.0, 20.0);
        node.publish(0, now);
        let low = node.parameter(0) * 0.9;
        if !self.flood.next(now, low, node.parameter(0)) {
            return;
        }
        let on = self.flood.on;
        node.publish(1, f32::from(u8::from(on)));
        node.gpio(0, i32::from(on));
        node.log(if on { b"flood" } else { b"flood over" });
    }
}
