//! Wasmote's engine as the node has it: fuel on, the module executed where it lies, in a region of the predicted size.
use super::{Engine, Facts, Job};
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use wasmote_engine::{Instance, Module, Options, PageSizes, Run, Scratch, Value, validate};

/// What RAM is filled with before the engine gets it, and words of it behind the region.
const PAINT: u64 = 0xa5a5_5a5a_c3c3_3c3c;
const BEHIND: usize = 32;

/// As large as the node's.
type Room = Scratch<2048, 64, 256>;

struct Wasmote {
    instance: Instance<'static, 'static>,
    predicted: u32,
    flash: u32,
    scratch: u32,
    /// The region, and what lies behind it.
    painted: (*const u64, usize),
}

pub(super) fn load(job: Job) -> Result<Box<dyn Engine>, &'static str> {
    let mut scratch = Box::<Room>::default();
    // Stands for flash: the module is there already, the table is written beside it.
    let mut table: Vec<u32> = vec![0; 64 + job.module.len()];
    let summary = validate(
        job.module,
        table.as_mut_slice(),
        &mut scratch,
        PageSizes::Any,
    )
    .map_err(|_| "not valid")?;
    table.truncate(summary.table_bytes() as usize / 4);
    #[cfg(not(feature = "compiled"))]
    let flash = summary.table_bytes();
    let module = Module::new(job.module, Vec::leak(table), &summary).ok_or("not its table")?;
    let options = Options::default();
    let predicted = u32::try_from(module.footprint(&options).total).map_err(|_| "too large")?;
    let words = predicted as usize / 8;
    let memory = Vec::leak(vec![PAINT; words + BEHIND]);
    let painted = (memory.as_ptr(), memory.len());
    let region = memory.as_mut_ptr().cast::<u8>();
    // SAFETY: the first words of memory that is leaked for this instance alone; any bytes make up a word.
    let region = unsafe { core::slice::from_raw_parts_mut(region, words * 8) };
    #[cfg_attr(
        not(feature = "compiled"),
        expect(unused_mut, reason = "it stays as it is")
    )]
    let mut instance = Instance::new(module, region, &options).map_err(|_| "no instance")?;
    #[cfg(not(feature = "compiled"))]
    let scratch = size_of::<Room>() as u32;
    #[cfg(feature = "compiled")]
    let (flash, scratch) = compile(&mut instance, &module, &options)?;
    let mut engine = Wasmote {
        instance,
        predicted,
        flash,
        scratch,
        painted,
    };
    engine.finish()?;
    Ok(Box::new(engine))
}

/// Has the instance run compiled code, looked at by the verifier, as on a board; gives its bytes, and those of the memory that was lent
/// for it which compiler and verifier changed.
#[cfg(feature = "compiled")]
fn compile(
    instance: &mut Instance<'static, 'static>,
    module: &Module<'static>,
    options: &Options,
) -> Result<(u32, u32), &'static str> {
    use wasmote_compiler::{Arena, Options as Choice, Work, marks};
    const MOST: u32 = 20 * 1024;
    let place = Vec::leak(vec![0_u32; MOST as usize / 4]);
    // SAFETY: the words are leaked for this arena alone, in memory that is executable on this board.
    let arena = Box::leak(Box::new(unsafe {
        Arena::new(place.as_mut_ptr().cast::<u8>(), MOST)
    }));
    let mut work = vec![PAINT; (size_of::<Work>() + marks(MOST)).div_ceil(8) + BEHIND];
    // SAFETY: any bytes of the words may be seen as bytes.
    let (_, bytes, _) = unsafe { work.align_to_mut::<u8>() };
    let length = arena
        .install(module, Choice::of(module, options), bytes)
        .map_err(|refusal| refusal.message())?;
    let changed = work.iter().rposition(|word| *word != PAINT);
    let changed = changed.map_or(0, |last| (last as u32 + 1) * 8);
    let tier = arena.tier().ok_or("nothing executes code here")?;
    let taken = instance.set_tier(Some(tier));
    taken.then_some((length, changed)).ok_or("no tier")
}

impl Wasmote {
    fn finish(&mut self) -> Result<(), &'static str> {
        let mut fuel = u64::MAX;
        match self.instance.run(&mut fuel) {
            Run::Done => Ok(()),
            Run::Trap(trap) => Err(trap.kind.message()),
            _ => Err("it did not end"),
        }
    }
}

impl Engine for Wasmote {
    fn call(&mut self, export: &str) -> Result<Option<i32>, &'static str> {
        let function = self.instance.module().export_function(export);
        let function = function.ok_or("there is no such export")?;
        self.instance.call(function, &[]).map_err(|_| "no call")?;
        self.finish()?;
        Ok(self
            .instance
            .results()
            .next()
            .and_then(|value| match value {
                Value::I32(value) => Some(value),
                _ => None,
            }))
    }

    fn facts(&self) -> Facts {
        let (start, words) = self.painted;
        // SAFETY: memory that was leaked; the instance does not run now.
        let last = (0..words)
            .rev()
            .find(|word| unsafe { start.add(*word).read_volatile() } != PAINT);
        Facts {
            predicted: self.predicted,
            peak: last.map_or(0, |word| (word as u32 + 1) * 8),
            flash: self.flash,
            scratch: self.scratch,
            fuel: self.instance.fuel_used(),
        }
    }
}
