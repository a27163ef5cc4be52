//! Random modules, and an instance of a module with all its exports called: every slice of fuel has to end, and what lies
//! around the region has to stay as it was.
use arbitrary::Unstructured;
use std::fmt::Write;
use wasm_smith::Config;
use wasmote_engine::{
    Emit, External, Host, Instance, InstanceError, LoadError, Module, Options, PageSizes, Run,
    Scratch, Summary, TableFull, TrapKind, ValType, Value, validate,
};

/// Pseudo-random bytes that are the same in every run (xorshift64*).
pub fn random(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// What the engine takes, with everything exported and nothing imported. With floats, code is added that makes every NaN
/// that comes out of arithmetic the canonical one, since which one it is is left open (WebAssembly 2.0 §4.3.3).
pub fn config(floats: bool) -> Config {
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
        allow_floats: floats,
        canonicalize_nans: floats,
        compact_imports_enabled: false,
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

/// The random module of a seed; none where there are not enough random bytes for one.
pub fn random_module(config: Config, seed: u64) -> Option<Vec<u8>> {
    let entropy = random(seed, 4096);
    let mut module = wasm_smith::Module::new(config, &mut Unstructured::new(&entropy)).ok()?;
    // Loops and calls count down from here, so that every run ends.
    module.ensure_termination(20_000).ok()?;
    Some(module.to_bytes())
}

/// A number from the environment, or this one.
pub fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|v| v.parse().ok())
        .unwrap_or(otherwise)
}

/// wasmi with what this engine has, and no more.
pub fn wasmi_engine() -> wasmi::Engine {
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

/// Generators and interpreters take more stack in a debug build than a test's thread has.
pub fn with_stack(work: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new()
        .stack_size(256 << 20)
        .spawn(work);
    if let Err(panic) = thread.expect("a thread").join() {
        std::panic::resume_unwind(panic);
    }
}

/// A table as flash takes it: every word once, and only what was written is read.
struct Once {
    words: Vec<u32>,
    written: Vec<bool>,
}

impl Emit for Once {
    fn write(&mut self, offset: u32, word: u32) -> Result<(), TableFull> {
        assert_eq!(offset % 4, 0, "a word at {offset}");
        let at = offset as usize / 4;
        let written = self.written.get_mut(at).ok_or(TableFull)?;
        assert!(!*written, "the word at {offset} is written twice");
        *written = true;
        self.words[at] = word.to_le();
        Ok(())
    }

    fn read(&mut self, offset: u32) -> u32 {
        let at = offset as usize / 4;
        assert!(self.written[at], "the word at {offset} was never written");
        u32::from_le(self.words[at])
    }
}

/// Validates as onto flash. Also with scratch space as small as a node's or smaller, which may only be refused for that.
pub fn load(bytes: &[u8]) -> Result<(Vec<u32>, Summary), LoadError> {
    let room = 64 + bytes.len() * 4;
    let table = || Once {
        words: vec![0xffff_ffff; room],
        written: vec![false; room],
    };
    let (mut small, mut large) = (table(), table());
    let mut scratch: Box<Scratch<{ 64 * 1024 }, 1024, 8192>> = Box::default();
    let verdict = validate(bytes, &mut large, &mut scratch, PageSizes::Any);
    let mut scratch: Box<Scratch<256, 8, 16>> = Box::default();
    let other = validate(bytes, &mut small, &mut scratch, PageSizes::Any);
    match (&verdict, &other) {
        (_, Err(error)) if matches!(error.fault, wasmote_engine::Fault::Unsupported(_)) => {}
        // The depth of calls is known only where there is room to find it.
        (Ok(a), Ok(b)) => assert_eq!(a.table_bytes(), b.table_bytes()),
        (a, b) => assert_eq!(a.err(), b.err()),
    }
    verdict.map(|summary| {
        large.words.truncate(summary.table_bytes() as usize / 4);
        (large.words, summary)
    })
}

/// What lies around every region.
const PATTERN: u64 = 0xa5a5_5a5a_c3c3_3c3c;
const GUARD: usize = 64;

/// How a module is run.
pub struct Plan<'a> {
    /// The fuel of the next slice.
    pub slice: &'a mut dyn FnMut() -> u64,
    /// Fuel after which a run is given up.
    pub most: u64,
    /// Bytes of region beyond which a module is left alone.
    pub region: u64,
    /// Fuel that was taken so far.
    pub taken: u64,
}

/// Runs a module: sets it up, and calls every function it exports. What happens is told line by line, fuel included.
/// `None` where its region would be larger than the plan has it.
pub fn exercise(
    bytes: &[u8],
    table: &[u32],
    summary: &Summary,
    plan: &mut Plan<'_>,
) -> Option<String> {
    let module = Module::new(bytes, table, summary).expect("what was validated");
    let options = Options {
        memory_pages: Some(8),
        table_entries: Some(128),
        stack: 16 * 1024,
        function_base: 0,
    };
    let footprint = module.footprint(&options);
    if footprint.total > plan.region {
        return None;
    }
    let words = (footprint.total / 8) as usize;
    let mut all = vec![PATTERN; words + 2 * GUARD];
    let (front, rest) = all.split_at_mut(GUARD);
    let (region, back) = rest.split_at_mut(words);
    // SAFETY: any bytes of the words may be seen as bytes.
    let (_, view, _) = unsafe { region.align_to_mut::<u8>() };
    // A byte less is refused.
    if let Some(short) = view.len().checked_sub(1) {
        let refused = Instance::new(module, &mut view[..short], &options).err();
        assert_eq!(refused, Some(InstanceError::Region));
    }
    let mut instance = Instance::new(module, view, &options).expect("its footprint is enough");
    let mut told = String::new();
    for (index, _) in module.imports().enumerate() {
        if let Some(ty) = module.global_type(index as u32) {
            instance.set_global(index as u32, answer(ty.value, index as u64));
        }
    }
    run(&mut instance, plan, 0, &mut told);
    for (number, export) in module.exports().enumerate() {
        let External::Func(function, ty) = export.item else {
            continue;
        };
        let arguments: Vec<Value> = ty
            .params()
            .enumerate()
            .map(|(i, ty)| answer(ty, (number * 7 + i) as u64))
            .collect();
        let _ = write!(told, "{function} {arguments:?}: ");
        let before = instance.fuel_used();
        match instance.call(function, &arguments) {
            Ok(()) => run(&mut instance, plan, before, &mut told),
            // An imported function, or one of an instance that was never set up.
            Err(error) => drop(writeln!(told, "{error:?}")),
        }
    }
    // Memories are whole pages; those of a byte or so are compared by their first words.
    let (words, _) = instance.memory().as_chunks::<8>();
    let memory = words.iter().fold(0xcbf2_9ce4_8422_2325_u64, |h, word| {
        (h ^ u64::from_le_bytes(*word)).wrapping_mul(0x100_0000_01b3)
    });
    let globals: Vec<_> = (0..).map_while(|i| instance.global(i)).collect();
    let _ = write!(told, "{} {memory:x} {globals:?}", instance.memory().len());
    instance.into_region();
    assert!(
        front.iter().chain(back.iter()).all(|word| *word == PATTERN),
        "written beyond the region"
    );
    Some(told)
}

/// Some value of a type.
pub fn answer(ty: ValType, number: u64) -> Value {
    match ty {
        ValType::I32 => Value::I32(number as i32 - 3),
        ValType::I64 => Value::I64((number << 30) as i64 - 3),
        ValType::F32 => Value::F32(number as f32 / 3.0),
        ValType::F64 => Value::F64(number as f64 / 3.0 - 1.0),
        ValType::FuncRef => Value::FuncRef(None),
        ValType::ExternRef => Value::ExternRef((number % 2 == 1).then_some(number as u32)),
    }
}

/// Runs slice after slice to the end, host calls answered.
fn run(instance: &mut Instance<'_, '_>, plan: &mut Plan<'_>, before: u64, told: &mut String) {
    let mut hosts = 0;
    loop {
        let mut fuel = (plan.slice)();
        let given = fuel;
        let run = instance.run(&mut fuel);
        // What was used and not taken is owed, and nothing is taken that was not used.
        plan.taken += given - fuel;
        assert!(plan.taken <= instance.fuel_used());
        match run {
            Run::Done => {
                let _ = write!(told, "{:?}", instance.results().collect::<Vec<_>>());
                break;
            }
            Run::OutOfFuel => {
                if instance.fuel_used() - before > plan.most {
                    instance.cancel();
                    told.push_str("given up");
                    break;
                }
            }
            Run::Host(host) => {
                hosts += 1;
                let arguments: Vec<Value> = instance.arguments().collect();
                let place = instance.backtrace().next();
                let _ = write!(told, "({host:?} {arguments:?} {place:?})");
                let (Host::Import(_, ty) | Host::Foreign(_, ty)) = host;
                let results: Vec<Value> = ty.results().map(|ty| answer(ty, hosts)).collect();
                if hosts > 50 {
                    let trap = instance.abort(TrapKind::Host).expect("it is pending");
                    let _ = write!(told, "{trap:?}");
                    break;
                }
                instance.resume(&results).expect("it is pending");
            }
            Run::Trap(trap) => {
                let calls: Vec<_> = instance.backtrace().take(5).collect();
                let _ = write!(told, "{trap:?} {calls:?}");
                break;
            }
        }
    }
    let _ = writeln!(told, " {}", instance.fuel_used() - before);
}
