//! What processes that answer CoAP share: the node on Linux, and the plugtest server of the tests.
pub mod intake;
pub mod line;
