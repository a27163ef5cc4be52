//! Gives the linker the memory of the emulated board and the names of its interrupts, when the image is built.
fn main() {
    let board = "../../../boards/mps2-an386";
    println!("cargo:rerun-if-changed=memory.x");
    println!("cargo:rerun-if-changed={board}/device.x");
    if std::env::var_os("CARGO_FEATURE_CHIP").is_some() {
        let here = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
        // Our own memory.x is found before the board's.
        println!("cargo:rustc-link-search={here}");
        println!("cargo:rustc-link-search={here}/{board}");
        println!("cargo:rustc-link-arg-bins=-Tlink.x");
        println!("cargo:rustc-link-arg-bins=--nmagic");
    }
}
