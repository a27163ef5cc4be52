//! The filters of assembly/examples in Rust, for what they would take as native code. Without the names of sensors and
//! outputs, which a module has in its custom section.
use crate::single::sqrt;

mod support;
use support::Hysteresis;
pub use support::{Filter, Node};

#[path = "dead-band.rs"]
pub mod dead_band;
#[path = "flood-alarm.rs"]
pub mod flood_alarm;
#[path = "moving-average.rs"]
pub mod moving_average;
#[path = "request-handler.rs"]
pub mod request_handler;
#[path = "threshold-alarm.rs"]
pub mod threshold_alarm;
pub mod vibration;
