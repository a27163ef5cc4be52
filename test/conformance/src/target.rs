//! Where scripts are executed.
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use wasmote_machine::{Outcome, decode_outcomes, execute};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// This process.
    Laptop,
    /// QEMU's mps2-an386.
    CortexM4,
}

impl Target {
    /// Executes a script; the outcomes come in the order of its commands.
    pub(crate) fn execute(self, name: &str, script: &[u8]) -> Result<Vec<Outcome>, String> {
        match self {
            Target::Laptop => {
                let mut answer = Vec::new();
                execute(script, &mut || 0, &mut |bytes| {
                    answer.extend_from_slice(bytes)
                });
                Ok(decode_outcomes(&answer))
            }
            Target::CortexM4 => emulate(name, script),
        }
    }
}

/// The image that `npm run build` leaves in dist/.
fn image() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dist/machine.elf")
}

fn emulate(name: &str, script: &[u8]) -> Result<Vec<Outcome>, String> {
    let image = image()
        .canonicalize()
        .map_err(|_| "no dist/machine.elf: run `npm run build`")?;
    let folder = std::env::temp_dir().join(format!(
        "wasmote-conformance-{}-{}",
        std::process::id(),
        name.replace(['/', '.'], "-")
    ));
    let trouble = |error: std::io::Error| format!("{}: {error}", folder.display());
    std::fs::create_dir_all(&folder).map_err(trouble)?;
    std::fs::write(folder.join("script"), script).map_err(trouble)?;
    // `timeout` ends an emulation that hangs; it also ends it when this process is ended.
    let run = Command::new("timeout")
        .args([
            "600",
            "qemu-system-arm",
            "-M",
            "mps2-an386",
            "-icount",
            "shift=0",
            "-display",
            "none",
        ])
        .args(["-monitor", "none", "-serial", "none"])
        .args(["-semihosting-config", "enable=on,target=native"])
        .arg("-kernel")
        .arg(image)
        .current_dir(&folder)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("QEMU did not start: {error}"))?;
    let answer = std::fs::read(folder.join("answer")).unwrap_or_default();
    let _ = std::fs::remove_dir_all(&folder);
    if !run.status.success() {
        let text = String::from_utf8_lossy(&run.stdout).into_owned()
            + &String::from_utf8_lossy(&run.stderr);
        // What was answered before still counts; the rest is reported as missing.
        eprintln!("{name}: the emulation ended with {}: {text}", run.status);
    }
    Ok(decode_outcomes(&answer))
}
