//! The sensors that every board has, under the numbers that modules and the server know them by.
use wasmote_node::Sensor;

/// A sensor of a name and a unit.
pub const fn sensor(name: &'static str, unit: &'static str) -> Sensor {
    Sensor { name, unit }
}

/// The ranger above the water, in millimetres.
pub const LEVEL: u8 = 0;
/// Rain since the start, in millimetres.
pub const RAIN: u8 = 1;
/// In degrees Celsius.
pub const TEMPERATURE: u8 = 2;
/// 1 while it is pressed.
pub const BUTTON: u8 = 3;
/// The first number that is free for a board's own.
pub const OWN: u8 = 4;

/// They themselves, in that order.
pub const SHARED: [Sensor; OWN as usize] = [
    sensor("level", "mm"),
    sensor("rain", "mm"),
    sensor("temperature", "Cel"),
    sensor("button", ""),
];
