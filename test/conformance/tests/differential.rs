//! Random modules (crates.io `wasm-smith`, fixed seeds) in this engine and in wasmi: results, traps, globals and memory agree.
//! And random bytes: whatever they are, validation ends in a verdict.
use arbitrary::Unstructured;
use wasm_smith::{Config, Module};
use wasmote_engine::Value;
use wasmote_machine::{
    Command, Outcome, Settings, Status, decode_outcomes, encode_command, execute,
};

/// Pseudo-random bytes that are the same in every run (xorshift64*).
fn random(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// What the engine takes, with everything exported and nothing imported.
fn config() -> Config {
    Config {
        max_imports: 0,
        min_funcs: 1,
        max_funcs: 8,
        min_exports: 1,
        export_everything: true,
        max_memories: 1,
        max_memory32_bytes: 4 * 65536,
        memory_max_size_required: true,
        max_tables: 3,
        max_table_elements: 64,
        table_max_size_required: true,
        bulk_memory_enabled: true,
        // Which NaN comes out of arithmetic on another is left open (WebAssembly 2.0 §4.3.3), and integers made from its bits
        // would differ; floats are compared bit for bit by the official suite and the kernels.
        allow_floats: false,
        exceptions_enabled: false,
        gc_enabled: false,
        memory64_enabled: false,
        multi_value_enabled: true,
        reference_types_enabled: true,
        relaxed_simd_enabled: false,
        saturating_float_to_int_enabled: true,
        sign_extension_ops_enabled: true,
        simd_enabled: false,
        tail_call_enabled: false,
        threads_enabled: false,
        wide_arithmetic_enabled: false,
        custom_page_sizes_enabled: false,
        extended_const_enabled: false,
        custom_descriptors_enabled: false,
        shared_everything_threads_enabled: false,
        allow_start_export: true,
        ..Config::default()
    }
}

/// wasmi with what this engine has, and no more.
fn wasmi_engine() -> wasmi::Engine {
    let mut config = wasmi::Config::default();
    config
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .wasm_tail_call(false)
        .wasm_extended_const(false)
        .wasm_wide_arithmetic(false)
        .wasm_custom_page_sizes(false);
    wasmi::Engine::new(&config)
}

const SETTINGS: Settings = Settings {
    slice: 1000,
    fuel: 50_000_000,
    pages: 8,
    entries: 128,
    stack: 1 << 20,
    strict: true,
};

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

/// Generators and interpreters take more stack in a debug build than a test's thread has.
fn with_stack(work: fn()) {
    let thread = std::thread::Builder::new()
        .stack_size(256 << 20)
        .spawn(work);
    if let Err(panic) = thread.expect("a thread").join() {
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn random_modules_give_the_same_as_in_wasmi() {
    with_stack(compare);
}

fn compare() {
    let modules: u64 = std::env::var("WASMOTE_MODULES")
        .ok()
        .and_then(|v| v.parse().ok())
        .unwrap_or(3000);
    let (mut instances, mut calls, mut traps, mut apart) = (0, 0, 0, 0);
    for seed in 1..=modules {
        let entropy = random(seed, 4096);
        let Ok(mut module) = Module::new(config(), &mut Unstructured::new(&entropy)) else {
            continue;
        };
        if module.ensure_termination(20_000).is_err() {
            continue;
        }
        let bytes = module.to_bytes();
        let engine = wasmi_engine();
        if let Ok(path) = std::env::var("WASMOTE_KEEP") {
            std::fs::write(path, &bytes).expect("the module is kept");
        }
        let parsed = wasmi::Module::new(&engine, &bytes)
            .unwrap_or_else(|e| panic!("seed {seed}: wasmi refuses: {e}"));
        let mut store = wasmi::Store::new(&engine, ());
        let instance = wasmi::Linker::<()>::new(&engine).instantiate_and_start(&mut store, &parsed);

        let mut commands = vec![Command::Instantiate("m".into(), bytes.clone())];
        let mut expected: Vec<Option<Vec<(u8, u64)>>> =
            vec![instance.as_ref().ok().map(|_| vec![])];
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
                    let n = number(i);
                    let (a, b) = match param {
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
                        wasmi::ValType::FuncRef => {
                            (Value::FuncRef(None), wasmi::Val::default_for_ty(*param))
                        }
                        wasmi::ValType::ExternRef => {
                            (Value::ExternRef(None), wasmi::Val::default_for_ty(*param))
                        }
                        other => panic!("a type unknown here: {other:?}"),
                    };
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
                    // Its stack ends earlier: from here on the two are in different states.
                    if error.as_trap_code() == Some(wasmi::TrapCode::StackOverflow) {
                        apart += 1;
                        whole = false;
                        break;
                    }
                }
                commands.push(Command::Invoke("m".into(), name.clone(), mine));
                expected.push(outcome.ok().map(|()| results.iter().map(theirs).collect()));
            }
            for (name, item) in exports.iter().filter(|_| whole) {
                if let wasmi::Extern::Global(global) = item {
                    commands.push(Command::Get("m".into(), name.clone()));
                    expected.push(Some(vec![theirs(&global.get(&store))]));
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
                expected.push(Some(vec![(1, data.len() as u64), (1, hash)]));
            }
        } else {
            traps += 1;
        }
        let outcomes = run(&commands);
        for ((command, expected), outcome) in commands.iter().zip(&expected).zip(&outcomes) {
            // Both have a stack of some size; where one is at its end the other need not be, and all that follows differs.
            if outcome.text == "call stack exhausted" {
                apart += 1;
                break;
            }
            let what = || match command {
                Command::Instantiate(..) => "instantiation".to_owned(),
                other => format!("{other:?}"),
            };
            match expected {
                None => assert_eq!(
                    outcome.status,
                    Status::Trap,
                    "seed {seed}: {}: {outcome:?}",
                    what()
                ),
                Some(values) => {
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
        assert_eq!(outcomes.len(), commands.len(), "seed {seed}");
    }
    println!(
        "{instances} instances, {calls} calls, {traps} traps, {apart} at the end of the stack"
    );
    assert!(instances > modules / 2 && calls > modules / 2 && apart < modules / 8);
}

#[test]
fn any_bytes_end_in_a_verdict() {
    with_stack(verdicts);
}

fn verdicts() {
    let mut kinds = [0u32; 8];
    for seed in 1..=10_000_u64 {
        let noise = random(seed, 300);
        // A module, somewhere altered: bytes changed, removed, inserted, and the end cut off.
        let entropy = random(seed / 20 + 1, 600);
        let Ok(module) = Module::new(config(), &mut Unstructured::new(&entropy)) else {
            continue;
        };
        let mut bytes = module.to_bytes();
        for edit in noise.chunks_exact(4).take(usize::from(noise[0] % 6)) {
            let at = usize::from(u16::from_le_bytes([edit[0], edit[1]])) % bytes.len();
            match edit[2] % 4 {
                0 => bytes[at] = edit[3],
                1 => bytes[at] ^= 1 << (edit[3] % 8),
                2 => drop(bytes.remove(at)),
                _ => bytes.insert(at, edit[3]),
            }
            if bytes.is_empty() {
                bytes.push(0);
            }
        }
        let outcomes = run(&[Command::Instantiate(String::new(), bytes.clone())]);
        let status = outcomes.first().map_or(Status::Fault, |o| o.status);
        assert_ne!(status, Status::Fault, "seed {seed}: {outcomes:?}");
        kinds[status as usize] += 1;
        // wasmi has no opinion on page sizes and limits of its own; where it accepts, this engine never says malformed.
        if matches!(status, Status::Malformed | Status::Invalid) {
            let theirs = wasmi::Module::new(&wasmi_engine(), &bytes);
            assert!(
                theirs.is_err(),
                "seed {seed}: only this engine refuses: {outcomes:?}"
            );
        }
    }
    println!("by status: {kinds:?}");
    assert!(
        kinds[Status::Ok as usize] > 500
            && kinds[Status::Malformed as usize] > 1000
            && kinds[Status::Invalid as usize] > 100
    );
}
