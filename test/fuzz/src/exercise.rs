//! A module validated as onto flash, and an instance of it with all its exports called: every slice of fuel has to end, and
//! what lies around the region has to stay as it was.
use std::cell::RefCell;
use std::fmt::Write;
use wasmote_engine::{
    Emit, External, FuncType, Host, Instance, InstanceError, LoadError, Module, Options, PageSizes,
    Run, Scratch, Summary, TableFull, TrapKind, ValType, Value, validate,
};

/// The table that validation emitted, and its summary; or why the module was refused.
pub type Verdict = Result<(Vec<u32>, Summary), LoadError>;

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

/// Validates as onto flash, with a table of so many words.
pub fn load_with<const S: usize, const B: usize, const F: usize>(
    bytes: &[u8],
    scratch: &mut Scratch<S, B, F>,
    words: usize,
    pages: PageSizes,
) -> Verdict {
    let mut table = Once {
        words: vec![0xffff_ffff; words],
        written: vec![false; words],
    };
    let summary = validate(bytes, &mut table, scratch, pages)?;
    table.words.truncate(summary.table_bytes() as usize / 4);
    Ok((table.words, summary))
}

thread_local! {
    /// Room for any module there is here. As after many other modules: what they left must not matter.
    static SCRATCH: RefCell<Box<Large>> = RefCell::default();
}
type Large = Scratch<{ 64 * 1024 }, 1024, 8192>;

/// Validates with these page sizes, and all the room there may be for scratch.
pub fn load_in(bytes: &[u8], words: usize, pages: PageSizes) -> Verdict {
    SCRATCH.with_borrow_mut(|scratch| load_with(bytes, scratch, words, pages))
}

/// The words that the table of a module may take here.
pub fn room(bytes: &[u8]) -> usize {
    64 + bytes.len() * 4
}

/// Validates with any page sizes. Also with scratch space as small as a node's or smaller, which may only be refused for that.
pub fn load(bytes: &[u8]) -> Verdict {
    let verdict = load_in(bytes, room(bytes), PageSizes::Any);
    let mut small = Scratch::<256, 8, 16>::new();
    let other = load_with(bytes, &mut small, room(bytes), PageSizes::Any);
    match (&verdict, &other) {
        (_, Err(error)) if matches!(error.fault, wasmote_engine::Fault::Unsupported(_)) => {}
        // The depth of calls is known only where there is room to find it.
        (Ok((_, a)), Ok((_, b))) => assert_eq!(a.table_bytes(), b.table_bytes()),
        (a, b) => assert_eq!(a.as_ref().err(), b.as_ref().err()),
    }
    verdict
}

/// What is told where a run used more fuel than there is patience for.
pub const GIVEN_UP: &str = "given up";

/// Words on either side of every region.
const GUARD: usize = 512;

/// How a module is run.
pub struct Plan<'a> {
    /// The fuel of the next slice.
    pub slice: &'a mut dyn FnMut() -> u64,
    /// Fuel after which no further call is made.
    pub most: u64,
    /// Fuel after which a run is given up when it is suspended.
    pub patience: u64,
    /// What arguments, imported globals and the results of host calls are made from.
    pub values: &'a [u8],
    /// Pages granted to a memory.
    pub pages: u32,
    /// What lies in the region beforehand, and around it. Nothing may depend on it.
    pub pattern: u64,
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
        memory_pages: Some(plan.pages),
        table_entries: Some(128),
        stack: 16 * 1024,
        function_base: 0,
    };
    let footprint = module.footprint(&options);
    if footprint.total > plan.region {
        return None;
    }
    let words = (footprint.total / 8) as usize;
    let mut all = vec![plan.pattern; words + 2 * GUARD];
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
            instance.set_global(index as u32, value(ty.value, index, plan.values));
        }
    }
    run(&mut instance, plan, false, &mut told);
    for (number, export) in module.exports().enumerate() {
        if let External::Func(function, ty) = export.item
            && instance.fuel_used() <= plan.most
        {
            call(&mut instance, function, ty, number, plan, false, &mut told);
        }
    }
    // Memories are whole pages; those of a byte or so are compared by their first words.
    let (words, _) = instance.memory().as_chunks::<8>();
    let memory = words.iter().fold(0xcbf2_9ce4_8422_2325_u64, |h, word| {
        (h ^ u64::from_le_bytes(*word)).wrapping_mul(0x100_0000_01b3)
    });
    let globals: Vec<_> = (0..).map_while(|i| instance.global(i)).collect();
    let _ = write!(told, "{} {memory:x} {globals:?}", instance.memory().len());
    // Of the memory granted, what it has not grown to is left alone.
    let used = instance.memory().len() + (footprint.total - footprint.memory) as usize;
    let rest = instance.into_region().iter().enumerate().skip(used);
    let pattern = plan.pattern.to_ne_bytes();
    let mut changed = rest.filter(|(at, byte)| **byte != pattern[at % 8]);
    assert_eq!(changed.next(), None, "written beyond the memory");
    assert!(
        front
            .iter()
            .chain(back.iter())
            .all(|word| *word == plan.pattern),
        "written beyond the region"
    );
    Some(told)
}

/// The value of a type with this number: any bits, small numbers often; references to nothing, to functions of the instance's
/// own, and to what is not of it.
pub fn value(ty: ValType, number: usize, values: &[u8]) -> Value {
    let mut bytes = values.iter().cycle().skip(number % values.len().max(1) * 9);
    let bits = u64::from_le_bytes(std::array::from_fn(|_| *bytes.next().unwrap_or(&0)));
    let shift = bytes.next().unwrap_or(&0) & 63;
    let reference = (bits & 3 != 0).then_some((bits >> 8 & 0xf) as u32);
    match ty {
        ValType::I32 => Value::I32(bits as i32 >> (shift & 31)),
        ValType::I64 => Value::I64(bits as i64 >> shift),
        ValType::F32 => Value::F32(f32::from_bits(bits as u32)),
        ValType::F64 => Value::F64(f64::from_bits(bits)),
        ValType::FuncRef => Value::FuncRef(reference),
        ValType::ExternRef => Value::ExternRef(reference),
    }
}

/// Calls an exported function and runs it to its end.
fn call(
    instance: &mut Instance<'_, '_>,
    function: u32,
    ty: FuncType<'_>,
    number: usize,
    plan: &mut Plan<'_>,
    nested: bool,
    told: &mut String,
) {
    let arguments: Vec<Value> = ty
        .params()
        .enumerate()
        .map(|(i, ty)| value(ty, number * 7 + i, plan.values))
        .collect();
    let _ = write!(told, "{function} {arguments:?}: ");
    match instance.call(function, &arguments) {
        Ok(()) => run(instance, plan, nested, told),
        // An imported function, or one of an instance that was never set up.
        Err(error) => drop(writeln!(told, "{error:?}")),
    }
}

/// Runs slice after slice to the end, host calls answered: with results, with a trap, or by calling the instance again.
fn run(instance: &mut Instance<'_, '_>, plan: &mut Plan<'_>, nested: bool, told: &mut String) {
    let before = instance.fuel_used();
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
            Run::OutOfFuel | Run::Host(_) if instance.fuel_used() > plan.patience => {
                instance.cancel();
                told.push_str(GIVEN_UP);
                break;
            }
            // So that every run comes to its end, however small its slices are.
            Run::OutOfFuel => assert_eq!(fuel, 0, "suspended with fuel left"),
            Run::Host(host) => {
                hosts += 1;
                let arguments: Vec<Value> = instance.arguments().collect();
                let place = instance.backtrace().next();
                let _ = write!(told, "({host:?} {arguments:?} {place:?})");
                let (Host::Import(_, ty) | Host::Foreign(_, ty)) = host;
                let deed = plan.values.get(hosts % plan.values.len().max(1));
                if hosts > 50 || deed.is_some_and(|deed| deed % 16 == 7) {
                    let trap = instance.abort(TrapKind::Host).expect("it is pending");
                    let _ = write!(told, "{trap:?}");
                    break;
                }
                if !nested && deed.is_some_and(|deed| deed % 8 == 5) {
                    let aside = instance.set_aside().expect("it is pending");
                    let function = instance.module().exports().find_map(|e| match e.item {
                        External::Func(function, ty) => Some((function, ty)),
                        _ => None,
                    });
                    if let Some((function, ty)) = function {
                        call(instance, function, ty, hosts, plan, true, told);
                    }
                    assert!(instance.take_up(aside), "what was set aside last");
                    let again: Vec<Value> = instance.arguments().collect();
                    // As text, in which a NaN is like another.
                    assert_eq!(format!("{again:?}"), format!("{arguments:?}"));
                }
                let results: Vec<Value> = ty
                    .results()
                    .enumerate()
                    .map(|(i, ty)| value(ty, hosts * 5 + i, plan.values))
                    .collect();
                instance.resume(&results).expect("it is pending");
            }
            Run::Trap(trap) => {
                // Where the depth of calls is known, so is the stack: it is enough.
                let known = instance.module().footprint(&Options::default()).depth;
                assert!(nested || known.is_none() || trap.kind != TrapKind::StackExhausted);
                let calls: Vec<_> = instance.backtrace().take(5).collect();
                let _ = write!(told, "{trap:?} {calls:?}");
                break;
            }
        }
    }
    let _ = writeln!(told, " {}", instance.fuel_used() - before);
}
