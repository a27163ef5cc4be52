//! Tells the linker that Node supplies the Node-API functions.
fn main() {
    napi_build::setup();
}
