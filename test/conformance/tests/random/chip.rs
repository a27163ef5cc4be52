//! Random modules on this computer and on the emulated Cortex-M4F, whose loop is another one: results, traps with their places,
//! fuel, globals and memory are the same to the bit.

#[path = "../../src/target.rs"]
mod target;

use crate::common::{answer, config, load, random_module, setting, with_stack};
use target::Target;
use wasm_smith::Config;
use wasmote_engine::{External, Module};
use wasmote_machine::{Command, Outcome, Settings, Status, encode_command};

/// Modules of a script: an emulator takes longer to start than to run one.
const TOGETHER: u64 = 20;

#[test]
#[ignore = "needs QEMU and dist/machine.elf; test/conformance.test.ts runs it"]
fn random_modules_come_to_the_same_on_the_chip() {
    with_stack(compare);
}

fn compare() {
    let (mut done, mut trapped, mut spent, mut apart) = (0, 0, 0, 0);
    let modules = setting("WASMOTE_MODULES", 1000);
    for first in (1..=modules).step_by(TOGETHER as usize) {
        let settings = Settings {
            // With short slices the loop is left and entered again all the time.
            slice: if (first / TOGETHER).is_multiple_of(2) {
                1 << 20
            } else {
                50
            },
            fuel: 200_000,
            pages: 2,
            entries: 128,
            stack: 16 * 1024,
            strict: false,
        };
        let mut script = settings.encode();
        let mut seeds = Vec::new();
        for seed in first..first + TOGETHER {
            for command in commands(seed) {
                script.extend(encode_command(&command));
                seeds.push((seed, command));
            }
        }
        let run = |target: Target| {
            let outcomes = target.execute(&format!("random-{first}"), &script);
            outcomes.expect("the emulator runs")
        };
        let (here, there) = (run(Target::Laptop), run(Target::CortexM4));
        assert_eq!((here.len(), there.len()), (seeds.len(), seeds.len()));
        for ((seed, command), (here, there)) in seeds.iter().zip(here.iter().zip(&there)) {
            // The chip has less memory for instances.
            if there.status == Status::Unsupported || here.status == Status::Unsupported {
                apart += 1;
                break;
            }
            if let Command::Invoke(_, name, arguments) = command {
                assert_eq!(
                    facts(here),
                    facts(there),
                    "seed {seed}: {name} {arguments:?}"
                );
                done += u64::from(here.status == Status::Ok);
                trapped += u64::from(here.status == Status::Trap);
                spent += u64::from(here.status == Status::Fuel);
            } else {
                assert_eq!(facts(here), facts(there), "seed {seed}");
            }
        }
    }
    println!(
        "{done} calls returned, {trapped} trapped, {spent} were given up, {apart} scripts broken off"
    );
    assert!(done > modules / 5 && trapped > modules / 5);
    assert!(apart * 10 < modules / TOGETHER);
}

/// A module, with every function and global it exports, and its memory.
fn commands(seed: u64) -> Vec<Command> {
    let config = Config {
        canonicalize_nans: false,
        custom_page_sizes_enabled: true,
        max_memory32_bytes: 2 * 65536,
        ..config(!seed.is_multiple_of(4))
    };
    let Some(bytes) = random_module(config, seed ^ 0xc41b) else {
        return Vec::new();
    };
    let name = || String::from("m");
    let mut commands = vec![Command::Instantiate(name(), bytes.clone())];
    let (table, summary) = load(&bytes).expect("a valid module");
    let module = Module::new(&bytes, &table, &summary).expect("what was validated");
    for (number, export) in module.exports().enumerate() {
        let called = export.name.to_owned();
        match export.item {
            External::Func(_, ty) => {
                let arguments = ty.params().enumerate();
                let arguments = arguments.map(|(i, ty)| answer(ty, (number * 7 + i) as u64));
                commands.push(Command::Invoke(name(), called, arguments.collect()));
            }
            External::Global(..) => commands.push(Command::Get(name(), called)),
            _ => {}
        }
    }
    commands.push(Command::Memory(name()));
    commands
}

/// All of an outcome but the time it took, with its values as a script has them: NaNs by their bits.
fn facts(outcome: &Outcome) -> impl PartialEq + core::fmt::Debug {
    let values = Command::Invoke(String::new(), String::new(), outcome.values.clone());
    (
        outcome.status,
        outcome.text.clone(),
        outcome.place,
        outcome.fuel,
        encode_command(&values),
    )
}
