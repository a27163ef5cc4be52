//! Random modules, and those that fuzzing keeps, on this computer and on the emulated Cortex-M4F, whose loop is another one: results, traps with their places,
//! fuel, globals and memory are the same to the bit.

use crate::target::Target;
use wasm_smith::Config;
use wasmote_engine::{External, Module, Options};
use wasmote_fuzz::{config, load, random, random_module, setting, value, with_stack};
use wasmote_machine::{Command, Outcome, Settings, Status, encode_command};

/// Modules of a script: an emulator takes longer to start than to run one.
const TOGETHER: usize = 20;

#[test]
#[ignore = "needs QEMU and dist/machine.elf; test/engine/conformance.test.ts runs it"]
fn random_modules_come_to_the_same_on_the_chip() {
    with_stack(|| compare(false));
}

#[test]
#[ignore = "needs QEMU and dist/machine.elf; test/engine/conformance.test.ts runs it"]
fn compiled_random_modules_come_to_the_same_on_the_chip() {
    with_stack(|| compare(true));
}

fn compare(compiled: bool) {
    let count = setting("WASMOTE_MODULES", 1000);
    let modules = (1..=count).filter_map(|seed| {
        let config = Config {
            canonicalize_nans: false,
            custom_page_sizes_enabled: true,
            max_memory32_bytes: 2 * 65536,
            ..config(!seed.is_multiple_of(4))
        };
        random_module(config, seed ^ 0xc41b)
    });
    let tally = compared("random", &modules.collect::<Vec<_>>(), compiled);
    println!("{tally:?}");
    assert!(tally.done > count / 5 && tally.trapped > count / 5);
    assert!(!compiled || tally.interpreted * 20 < tally.compiled);
    assert!(tally.apart * 10 < count / TOGETHER as u64);
}

#[test]
#[ignore = "needs QEMU and dist/machine.elf; test/engine/conformance.test.ts runs it"]
fn what_fuzzing_keeps_comes_to_the_same_on_the_chip() {
    with_stack(|| {
        let mut modules = crate::corpus::kept();
        // What the board has memory for, and no other instance has to be there for.
        modules.retain(|bytes| {
            load(bytes).is_ok_and(|(table, summary)| {
                let module = Module::new(bytes, &table, &summary).expect("what was validated");
                module.imports().next().is_none()
                    && module.footprint(&Options::default()).total < 1 << 18
            })
        });
        for compiled in [false, true] {
            let tally = compared("kept", &modules, compiled);
            println!("{} modules, {tally:?}", modules.len());
            assert!(modules.len() > 30 && tally.done > 150 && tally.trapped > 40);
            assert_eq!(tally.apart, 0);
        }
    });
}

/// Calls that returned, that trapped, whose fuel came to its end; and scripts that were broken off.
#[derive(Debug, Default)]
struct Tally {
    done: u64,
    trapped: u64,
    spent: u64,
    apart: u64,
    /// Modules that ran compiled, and that were asked to and did not.
    compiled: u64,
    interpreted: u64,
}

fn compared(what: &str, modules: &[Vec<u8>], compiled: bool) -> Tally {
    let mut tally = Tally::default();
    for (number, together) in modules.chunks(TOGETHER).enumerate() {
        let settings = Settings {
            // With short slices the loop is left and entered again all the time.
            slice: if number % 2 == 0 { 1 << 20 } else { 50 },
            fuel: 200_000,
            pages: 2,
            entries: 128,
            stack: 16 * 1024,
            strict: false,
            compiled,
        };
        let mut script = settings.encode();
        let mut all = Vec::new();
        for (i, bytes) in together.iter().enumerate() {
            for command in commands(bytes) {
                script.extend(encode_command(&command));
                all.push((number * TOGETHER + i, command));
            }
        }
        let run = |target: Target| {
            let outcomes = target.execute(&format!("{what}-{number}-{compiled}"), &script);
            outcomes.expect("the emulator runs")
        };
        let (here, there) = (run(Target::Laptop), run(Target::CortexM4));
        assert_eq!((here.len(), there.len()), (all.len(), all.len()));
        for ((module, command), (here, there)) in all.iter().zip(here.iter().zip(&there)) {
            // The chip has less memory for instances.
            if there.status == Status::Unsupported || here.status == Status::Unsupported {
                tally.apart += 1;
                break;
            }
            if compiled && there.status == Status::Ok && matches!(command, Command::Instantiate(..))
            {
                let ran = there.text == "compiled";
                tally.compiled += u64::from(ran);
                tally.interpreted += u64::from(!ran);
            }
            let called = match command {
                Command::Invoke(_, name, arguments) => format!("{name} {arguments:?}"),
                _ => String::new(),
            };
            assert_eq!(
                facts(here),
                facts(there),
                "module {module} of {what}: {called}"
            );
            if !called.is_empty() {
                tally.done += u64::from(here.status == Status::Ok);
                tally.trapped += u64::from(here.status == Status::Trap);
                tally.spent += u64::from(here.status == Status::Fuel);
            }
        }
    }
    tally
}

/// A module, with every function and global it exports, and its memory.
fn commands(bytes: &[u8]) -> Vec<Command> {
    let name = || String::from("m");
    let mut commands = vec![Command::Instantiate(name(), bytes.to_vec())];
    let (table, summary) = load(bytes).expect("a valid module");
    let module = Module::new(bytes, &table, &summary).expect("what was validated");
    let values = random(bytes.len() as u64, 64);
    for (number, export) in module.exports().enumerate() {
        let called = export.name.to_owned();
        match export.item {
            External::Func(_, ty) => {
                let arguments = ty.params().enumerate();
                let arguments = arguments.map(|(i, ty)| value(ty, number * 7 + i, &values));
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
pub fn facts(outcome: &Outcome) -> impl PartialEq + core::fmt::Debug {
    let values = Command::Invoke(String::new(), String::new(), outcome.values.clone());
    // Of what went well it says in which tier.
    let text = match outcome.status {
        Status::Ok => String::new(),
        _ => outcome.text.clone(),
    };
    (
        outcome.status,
        text,
        outcome.place,
        outcome.backtrace.clone(),
        outcome.fuel,
        encode_command(&values),
    )
}

/// How a function is: whether its slots are 64 bits wide, and whether it has immediates of several bytes. The loop for the chip
/// treats each otherwise, and so calls from one to another.
#[derive(Clone, Copy)]
struct Kind {
    wide: bool,
    long: bool,
}

const KINDS: [Kind; 4] = [
    Kind {
        wide: false,
        long: false,
    },
    Kind {
        wide: true,
        long: false,
    },
    Kind {
        wide: false,
        long: true,
    },
    Kind {
        wide: true,
        long: true,
    },
];

/// Locals up to the `last`, which makes the function what it is.
fn locals(kind: Kind) -> (String, u32) {
    let mut text = String::from(" (local i32 i32)");
    if kind.long {
        text += &" (local i32)".repeat(300);
    }
    text += " (local i32)";
    if kind.wide {
        text += " (local i64)";
    }
    (text, if kind.long { 302 } else { 2 })
}

/// A module where functions of every kind call those of every kind, with several numbers of parameters and results, directly and
/// through a table, with operands below; all the while counting down, so that they call one another in all orders.
fn crossings() -> String {
    let (mut functions, mut names) = (String::new(), Vec::new());
    for kind in 0..4 {
        for params in 0..4 {
            for results in 0..3 {
                names.push((kind, params, results));
            }
        }
    }
    let signature = |params: u32, results: u32| {
        format!(
            "{}{}",
            " (param i32)".repeat(params as usize),
            " (result i32)".repeat(results as usize)
        )
    };
    let count = names.len();
    for (index, (kind, params, results)) in names.iter().copied().enumerate() {
        let (text, last) = locals(KINDS[kind]);
        let last = last + params;
        let mut body = format!("(local.set {last} (i32.const {}))", 1000 + index);
        for step in [1, 13, 25, 37, 17] {
            let callee = (index * 5 + step) % count;
            let (_, params, results) = names[callee];
            let arguments = (0..params).fold(String::new(), |text, i| {
                format!("{text} (i32.add (local.get {last}) (i32.const {i}))")
            });
            let sums = " (i32.add)".repeat(results as usize);
            // One operand stays below the call's.
            let call = if step % 4 == 1 {
                format!("{arguments} (call {callee})")
            } else {
                let ty = signature(params, results);
                format!("{arguments} (call_indirect{ty} (i32.const {callee}))")
            };
            body += &format!(
                " (i32.mul (local.get {last}) (i32.const 31)) {call} {sums} (local.set {last})"
            );
        }
        let given = (0..params).fold(format!("(local.get {last})"), |text, i| {
            format!("(i32.xor {text} (local.get {i}))")
        });
        let after = (0..results).fold(String::new(), |text, _| {
            format!("{text} (local.get {last})")
        });
        let early = (0..results).fold(String::new(), |text, i| format!("{text} (i32.const {i})"));
        functions += &format!(
            "(func (export \"{index}\"){} {text}
              (global.set $left (i32.sub (global.get $left) (i32.const 1)))
              (if (i32.lt_s (global.get $left) (i32.const 0)) (then {early} (return)))
              {body} (local.set {last} {given})
              (global.set $sum (i32.add (i32.rotl (global.get $sum) (i32.const 3)) (local.get {last})))
              {after})",
            signature(params, results)
        );
    }
    let elements = (0..count).fold(String::new(), |text, i| format!("{text} {i}"));
    format!(
        "(module {functions} (table funcref (elem {elements}))
          (global $left (mut i32) (i32.const 0)) (global $sum (export \"sum\") (mut i32) (i32.const 0))
          (func (export \"go\") (param i32) (global.set $left (local.get 0))))"
    )
}

#[test]
#[ignore = "needs QEMU and dist/machine.elf; test/engine/conformance.test.ts runs it"]
fn calls_between_functions_of_all_kinds_come_to_the_same_on_the_chip() {
    let text = crossings();
    let buffer = wast::parser::ParseBuffer::new(&text).expect("its tokens");
    let mut module: wast::Wat<'_> = wast::parser::parse(&buffer).expect("a module");
    let bytes = module.encode().expect("its bytes");
    let (table, summary) = load(&bytes).expect("a valid module");
    let module = Module::new(&bytes, &table, &summary).expect("what was validated");
    let mut commands = vec![Command::Instantiate("m".into(), bytes.clone())];
    for left in [0, 1, 3, 40, 400] {
        for (number, export) in module.exports().enumerate() {
            let External::Func(_, ty) = export.item else {
                continue;
            };
            if export.name == "go" {
                continue;
            }
            let arguments = (0..ty.params().len())
                .map(|i| wasmote_engine::Value::I32((number * 7 + i) as i32 - 3));
            let go = vec![wasmote_engine::Value::I32(left)];
            commands.push(Command::Invoke("m".into(), "go".into(), go));
            commands.push(Command::Invoke(
                "m".into(),
                export.name.into(),
                arguments.collect(),
            ));
            commands.push(Command::Get("m".into(), "sum".into()));
        }
    }
    let (mut done, mut sums) = (0, std::collections::HashSet::new());
    for (slice, compiled) in [(1 << 20, false), (20, false), (1 << 20, true), (20, true)] {
        let settings = Settings {
            slice,
            fuel: 1 << 20,
            pages: 0,
            entries: 128,
            stack: 256 * 1024,
            strict: false,
            compiled,
        };
        let mut script = settings.encode();
        for command in &commands {
            script.extend(encode_command(command));
        }
        let run = |target: Target| {
            let outcomes = target.execute(&format!("crossings-{slice}-{compiled}"), &script);
            outcomes.expect("the emulator runs")
        };
        let (here, there) = (run(Target::Laptop), run(Target::CortexM4));
        assert_eq!((here.len(), there.len()), (commands.len(), commands.len()));
        for (command, (here, there)) in commands.iter().zip(here.iter().zip(&there)) {
            assert_eq!(facts(here), facts(there), "{command:?}, slices of {slice}");
            done += u32::from(here.status == Status::Ok);
            sums.insert(encode_command(&Command::Invoke(
                String::new(),
                String::new(),
                here.values.clone(),
            )));
        }
    }
    assert!(done > 1000 && sums.len() > 100, "{done} {}", sums.len());
}
