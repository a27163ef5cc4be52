//! Drivers of the sensors: over embedded-hal's traits or bytes, with the time handed in, so that they run on any board and
//! are tested without one. A driver never waits, and says when its sensor does not answer; what is done about that is the
//! board's affair.
#![no_std]
#![forbid(unsafe_code)]

pub mod acceleration;
pub mod debounce;
pub mod level;
pub mod rain;
pub mod temperature;

pub use acceleration::Accelerometer;
pub use debounce::Debounce;
pub use level::{Level, Reading};
pub use rain::Rain;
