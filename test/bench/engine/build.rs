//! Gives the linker the memory of the emulated board, and compiles wasm3 where it is asked for.
fn main() {
    println!("cargo:rerun-if-changed=memory.x");
    let here = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    if std::env::var_os("CARGO_FEATURE_CHIP").is_some() {
        println!("cargo:rustc-link-search={here}");
        println!("cargo:rustc-link-arg-bins=-Tlink.x");
        println!("cargo:rustc-link-arg-bins=--nmagic");
    }
    #[cfg(feature = "wasm3")]
    wasm3(&here);
    #[cfg(feature = "gcc")]
    twins();
}

/// The kernels in C at -O3, joined with the routines of GCC's library that they call, so that Rust's of the same names are not taken for
/// them.
#[cfg(feature = "gcc")]
fn twins() {
    use std::path::Path;
    use std::process::Command;
    println!("cargo:rerun-if-changed=src/twins.c");
    let out = std::env::var("OUT_DIR").unwrap_or_default();
    let at = |name: &str| Path::new(&out).join(name);
    let run = |command: &mut Command| {
        let ended = command.status();
        assert!(ended.is_ok_and(|status| status.success()), "{command:?}");
    };
    let chip = "-mcpu=cortex-m4 -mthumb -mfpu=fpv4-sp-d16 -mfloat-abi=hard";
    for (object, numbers) in [
        ("single.o", "-DREAL=float -DSUFFIX=_f32"),
        ("double.o", "-DREAL=double -DSUFFIX=_f64 -DDOUBLE"),
    ] {
        run(Command::new("arm-none-eabi-gcc")
            .args(chip.split(' '))
            .args("-O3 -std=c11 -Wall -Werror -ffp-contract=off -fno-math-errno".split(' '))
            .args(numbers.split(' '))
            .args(["-c", "src/twins.c", "-o"])
            .arg(at(object)));
    }
    let (whole, own) = (at("whole.o"), at("twins.o"));
    run(Command::new("arm-none-eabi-gcc")
        .args(chip.split(' '))
        .args(["-r", "-nostdlib", "-o"])
        .arg(&whole)
        .args([at("single.o"), at("double.o")])
        .arg("-lgcc"));
    // What is left to be seen are the functions of the kernels.
    run(Command::new("arm-none-eabi-objcopy")
        .args(["--wildcard", "--keep-global-symbol=twin_*"])
        .args([&whole, &own]));
    println!("cargo:rustc-link-arg-bins={}", own.display());
}

/// wasm3 as it comes, at -O3, by GCC: its operations end in tail calls, which clang does not make of calls that pass
/// arguments on the stack. The headers of a C library that it wants are in libc/, the functions in src/engines/wasm3.rs.
#[cfg(feature = "wasm3")]
fn wasm3(here: &str) {
    println!("cargo:rerun-if-env-changed=WASM3_SOURCE");
    println!("cargo:rerun-if-changed=libc");
    let Ok(source) = std::env::var("WASM3_SOURCE") else {
        panic!(
            "WASM3_SOURCE is to name the folder of wasm3.h: build with `npm run bench -- engine`"
        );
    };
    let files = "bind code compile core env exec function info module parse validate";
    cc::Build::new()
        .compiler("arm-none-eabi-gcc")
        .archiver("arm-none-eabi-ar")
        .no_default_flags(true)
        .warnings(false)
        .flags("-mcpu=cortex-m4 -mthumb -mfpu=fpv4-sp-d16 -mfloat-abi=hard -O3".split(' '))
        .flags(
            "-ffreestanding -fbuiltin -fno-math-errno -ffunction-sections -fdata-sections"
                .split(' '),
        )
        // As its own settings for microcontrollers have it (m3_config_platforms.h), which costs no speed and saves RAM.
        .define("d_m3CodePageAlignSize", "1024")
        .define("d_m3MaxFunctionStackHeight", "256")
        .define("d_m3LogOutput", "0")
        .include(format!("{here}/libc"))
        .include(&source)
        .files(files.split(' ').map(|file| format!("{source}/m3_{file}.c")))
        .compile("wasm3");
}
