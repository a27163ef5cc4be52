//! Random modules (crates.io `wasm-smith`, fixed seeds) in this engine and in wasmi: results, traps, globals and memory agree.

use wasmote_engine::Value;
use wasmote_fuzz::{config, random, random_module, setting, with_stack};
use wasmote_machine::{
    Command, Outcome, Settings, Status, decode_outcomes, encode_command, execute,
};

const SETTINGS: Settings = Settings {
    slice: 1000,
    fuel: 50_000_000,
    pages: 8,
    entries: 128,
    stack: 1 << 20,
    strict: true,
    compiled: false,
};

/// wasmi with what this engine has, and no more.
fn wasmi_engine() -> wasmi::Engine {
    let mut config = wasmi::Config::default();
    config
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .wasm_tail_call(false)
        .wasm_extended_const(false)
        .wasm_wide_arithmetic(false)
        .wasm_custom_page_sizes(true);
    wasmi::Engine::new(&config)
}

fn run(commands: &[Command]) -> Vec<Outcome> {
    let mut script = SETTINGS.encode();
    for command in commands {
        script.extend(encode_command(command));
    }
    let mut answer = Vec::new();
    execute(&script, &mut || 0, &mut |bytes| {
        answer.extend_from_slice(bytes)
    });
    decode_outcomes(&answer)
}

/// The bits of a value, NaNs being all the same: their sign and payload are not determined (WebAssembly 2.0 §4.3.3).
fn bits(value: Value) -> (u8, u64) {
    match value {
        Value::I32(v) => (0, u64::from(v.cast_unsigned())),
        Value::I64(v) => (1, v.cast_unsigned()),
        Value::F32(v) if v.is_nan() => (2, u64::MAX),
        Value::F32(v) => (2, u64::from(v.to_bits())),
        Value::F64(v) if v.is_nan() => (3, u64::MAX),
        Value::F64(v) => (3, v.to_bits()),
        // References are numbers of each engine's own: only null can be compared.
        Value::FuncRef(v) | Value::ExternRef(v) => (4, u64::from(v.is_none())),
    }
}

fn theirs(value: &wasmi::Val) -> (u8, u64) {
    match value {
        wasmi::Val::I32(v) => bits(Value::I32(*v)),
        wasmi::Val::I64(v) => bits(Value::I64(*v)),
        wasmi::Val::F32(v) => bits(Value::F32(f32::from_bits(v.to_bits()))),
        wasmi::Val::F64(v) => bits(Value::F64(f64::from_bits(v.to_bits()))),
        wasmi::Val::FuncRef(v) => (4, u64::from(v.is_null())),
        wasmi::Val::ExternRef(v) => (4, u64::from(v.is_null())),
        other => panic!("a value unknown here: {other:?}"),
    }
}

/// The bits of some values.
type Bits = Vec<(u8, u64)>;

/// What this engine calls the trap that wasmi ended with; segments that do not fit are an error of its own there.
fn trap(error: &wasmi::Error) -> &'static [&'static str] {
    use wasmi::TrapCode;
    match error.as_trap_code() {
        Some(TrapCode::UnreachableCodeReached) => &["unreachable"],
        Some(TrapCode::MemoryOutOfBounds) => &["out of bounds memory access"],
        Some(TrapCode::TableOutOfBounds) => &["out of bounds table access", "undefined element"],
        Some(TrapCode::IndirectCallToNull) => &["uninitialized element"],
        Some(TrapCode::IntegerDivisionByZero) => &["integer divide by zero"],
        Some(TrapCode::IntegerOverflow) => &["integer overflow"],
        Some(TrapCode::BadConversionToInteger) => &["invalid conversion to integer"],
        Some(TrapCode::BadSignature) => &["indirect call type mismatch"],
        None => &["out of bounds memory access", "out of bounds table access"],
        Some(other) => panic!("a trap unknown here: {other:?}"),
    }
}

#[test]
fn random_modules_give_the_same_as_in_wasmi() {
    with_stack(compare);
}

/// A number as an argument of this type, for the engine and for wasmi.
fn argument(param: wasmi::ValType, n: u64) -> (Value, wasmi::Val) {
    match param {
        wasmi::ValType::I32 => (Value::I32(n as i32), wasmi::Val::I32(n as i32)),
        wasmi::ValType::I64 => (Value::I64(n as i64), wasmi::Val::I64(n as i64)),
        wasmi::ValType::F32 => (
            Value::F32(n as i16 as f32),
            wasmi::Val::F32((n as i16 as f32).into()),
        ),
        wasmi::ValType::F64 => (
            Value::F64(n as i32 as f64),
            wasmi::Val::F64((n as i32 as f64).into()),
        ),
        wasmi::ValType::FuncRef => (Value::FuncRef(None), wasmi::Val::default_for_ty(param)),
        wasmi::ValType::ExternRef => (Value::ExternRef(None), wasmi::Val::default_for_ty(param)),
        other => panic!("a type unknown here: {other:?}"),
    }
}

/// Compares what came with what wasmi said, up to where a stack ends; how often that was.
fn judge(
    seed: u64,
    commands: &[Command],
    expected: &[Result<Bits, &[&str]>],
    outcomes: &[Outcome],
) -> u64 {
    for ((command, expected), outcome) in commands.iter().zip(expected).zip(outcomes) {
        // Both have a stack of some size; where one is at its end the other need not be, and all that follows differs.
        if outcome.text == "call stack exhausted" {
            return 1;
        }
        let what = || match command {
            Command::Instantiate(..) => "instantiation".to_owned(),
            other => format!("{other:?}"),
        };
        match expected {
            Err(words) => {
                assert_eq!(
                    outcome.status,
                    Status::Trap,
                    "seed {seed}: {}: {outcome:?}",
                    what()
                );
                assert!(
                    words.contains(&outcome.text.as_str()),
                    "seed {seed}: {}: {outcome:?}, in wasmi {words:?}",
                    what()
                );
            }
            Ok(values) => {
                assert_eq!(
                    outcome.status,
                    Status::Ok,
                    "seed {seed}: {}: {outcome:?}",
                    what()
                );
                let mine: Vec<_> = outcome.values.iter().map(|v| bits(*v)).collect();
                assert_eq!(&mine, values, "seed {seed}: {}", what());
            }
        }
    }
    0
}

fn compare() {
    let modules = setting("WASMOTE_MODULES", 3000);
    let (mut instances, mut calls, mut traps, mut apart) = (0, 0, 0, 0);
    for seed in 1..=modules {
        let Some(bytes) = random_module(config(seed % 2 == 0), seed) else {
            continue;
        };
        let engine = wasmi_engine();
        if let Ok(path) = std::env::var("WASMOTE_KEEP") {
            std::fs::write(path, &bytes).expect("the module is kept");
        }
        let parsed = wasmi::Module::new(&engine, &bytes)
            .unwrap_or_else(|e| panic!("seed {seed}: wasmi refuses: {e}"));
        let mut store = wasmi::Store::new(&engine, ());
        let instance = wasmi::Linker::<()>::new(&engine).instantiate_and_start(&mut store, &parsed);

        // Its stack ends earlier.
        let overflow = Some(wasmi::TrapCode::StackOverflow);
        if instance
            .as_ref()
            .is_err_and(|error| error.as_trap_code() == overflow)
        {
            apart += 1;
            continue;
        }

        let mut commands = vec![Command::Instantiate("m".into(), bytes.clone())];
        let mut expected: Vec<Result<Bits, &[&str]>> =
            vec![instance.as_ref().map(|_| vec![]).map_err(trap)];
        if let Ok(instance) = &instance {
            instances += 1;
            let exports: Vec<(String, wasmi::Extern)> = instance
                .exports(&store)
                .map(|e| (e.name().to_owned(), e.into_extern()))
                .collect();
            let mut whole = true;
            for (name, item) in &exports {
                let wasmi::Extern::Func(function) = item else {
                    continue;
                };
                let ty = function.ty(&store);
                let entropy = random(seed ^ calls, 64);
                let number = |i: usize| {
                    u64::from_le_bytes(entropy[i * 8 % 56..i * 8 % 56 + 8].try_into().unwrap())
                };
                let (mut mine, mut given) = (vec![], vec![]);
                for (i, param) in ty.params().iter().enumerate() {
                    let (a, b) = argument(*param, number(i));
                    mine.push(a);
                    given.push(b);
                }
                let mut results: Vec<wasmi::Val> = ty
                    .results()
                    .iter()
                    .map(|t| wasmi::Val::default_for_ty(*t))
                    .collect();
                let outcome = function.call(&mut store, &given, &mut results);
                calls += 1;
                if let Err(error) = &outcome {
                    traps += 1;
                    // From here on the two are in different states.
                    if error.as_trap_code() == overflow {
                        apart += 1;
                        whole = false;
                        break;
                    }
                }
                commands.push(Command::Invoke("m".into(), name.clone(), mine));
                let values = |()| results.iter().map(theirs).collect();
                expected.push(outcome.map(values).map_err(|error| trap(&error)));
            }
            for (name, item) in exports.iter().filter(|_| whole) {
                if let wasmi::Extern::Global(global) = item {
                    commands.push(Command::Get("m".into(), name.clone()));
                    expected.push(Ok(vec![theirs(&global.get(&store))]));
                }
            }
            if let Some(memory) = exports.iter().filter(|_| whole).find_map(|(_, e)| match e {
                wasmi::Extern::Memory(memory) => Some(memory),
                _ => None,
            }) {
                let data = memory.data(&store);
                let hash = data.iter().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| {
                    (h ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3)
                });
                commands.push(Command::Memory("m".into()));
                expected.push(Ok(vec![(1, data.len() as u64), (1, hash)]));
            }
        } else {
            traps += 1;
        }
        let outcomes = run(&commands);
        apart += judge(seed, &commands, &expected, &outcomes);
        assert_eq!(outcomes.len(), commands.len(), "seed {seed}");
    }
    println!(
        "{instances} instances, {calls} calls, {traps} traps, {apart} at the end of the stack"
    );
    assert!(instances > modules / 2 && calls > modules / 2 && apart < modules / 6);
}
