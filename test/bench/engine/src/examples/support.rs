//! What a filter in Rust has of its node: the imports and exports of a module.

/// What the node offers, as firmware/node/contract.toml has it.
pub trait Node {
    /// Publishes a value.
    fn publish(&mut self, output: i32, value: f32);
    /// The present value of a parameter.
    fn parameter(&mut self, parameter: i32) -> f32;
    /// Sets a pin.
    fn gpio(&mut self, pin: i32, high: i32);
    /// Writes a line to the log.
    fn log(&mut self, line: &[u8]);
    /// Answers a request.
    fn reply(&mut self, code: i32, payload: &[u8]);
}

/// What the node calls.
pub trait Filter {
    /// Takes a sample of a sensor.
    fn sample(&mut self, node: &mut impl Node, sensor: i32, value: f32);
    /// Takes a request: method, path and payload.
    fn request(&mut self, _: &mut impl Node, _: i32, _: &[u8], _: &[u8]) {}
}

/// A switch with two thresholds.
pub(crate) struct Hysteresis {
    pub(crate) on: bool,
}

impl Hysteresis {
    /// Takes a value; returns whether the switch changed.
    pub(crate) fn next(&mut self, value: f32, low: f32, high: f32) -> bool {
        let before = self.on;
        self.on = if before { value > low } else { value >= high };
        self.on != before
    }
}
