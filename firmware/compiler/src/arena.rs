//! A whole module: where its functions lie, and the passes over them.
//!
//! ```text
//! length (4 bytes) | an entry for each function (4 bytes each): place, WIDE, FLOAT, halfwords to where the engine enters << 24
//! | exit, trap, stack, indirect: 4 bytes each | functions
//! ```
use crate::asm::{Nowhere, Pass, Sink};
use crate::encode::{self, Access, Code as Instruction};
use crate::entry::ty;
use crate::facts::{FLOAT, Facts, Options, PLACE, WIDE, entry};
use crate::function::Fun;
use crate::limits::{Made, Refusal};
use crate::registers::{SP, context};
use crate::scan::scan;
use crate::work::Work;
use wasmote_engine::{Body, Module};

/// One pass over a function: its bytes, and how far from its start the engine enters.
fn function(
    facts: &Facts<'_>,
    body: &Body<'_>,
    work: &mut Work,
    sink: &mut dyn Sink,
    pass: Pass,
    origin: u32,
) -> Made<(u32, u32)> {
    let mut fun = Fun::new(facts, body, work, sink, pass, origin);
    let begin = fun.compile()?;
    match fun.asm.refusal {
        Some(refusal) => Err(refusal),
        None => Ok((fun.asm.at, begin)),
    }
}

/// The passes before the last.
fn size(facts: &Facts<'_>, body: &Body<'_>, work: &mut Work, origin: u32) -> Made<(u32, u32)> {
    scan(facts.module.bytes(), body, work)?;
    function(facts, body, work, &mut Nowhere, Pass::Measure, origin)?;
    function(facts, body, work, &mut Nowhere, Pass::Settle, origin)
}

/// The bytes that [`compile`] will write.
pub fn measure(module: &Module<'_>, options: Options, work: &mut Work) -> Result<u32, Refusal> {
    let facts = Facts::new(module, options);
    let mut at = facts.first();
    for body in module.bodies() {
        at += size(&facts, &body, work, at)?.0.next_multiple_of(4);
        if at > PLACE {
            return Err(Refusal::Length);
        }
    }
    Ok(at)
}

/// Told where in the code something begins that is of the module's instruction at this place, 0 standing for none, or that is no
/// instruction.
pub type Trace<'t> = &'t mut dyn FnMut(u32, Option<u32>);

/// Memory that is written from its beginning on: the functions' entries, and their code.
struct Memory<'a, 't> {
    table: &'a mut [u8],
    bytes: &'a mut [u8],
    at: usize,
    full: bool,
    /// The function that is written.
    own: u32,
    /// What is told of the code, and what was told last.
    trace: Option<Trace<'t>>,
    place: u32,
    told: Option<Option<u32>>,
}

impl Memory<'_, '_> {
    /// Bytes in front of the code.
    fn before(&self) -> u32 {
        self.table.len() as u32
    }

    fn tell(&mut self, what: Option<u32>) {
        let at = self.before() + self.at as u32;
        if let Some(trace) = self.trace.as_mut()
            && self.told != Some(what)
        {
            trace(at, what);
            self.told = Some(what);
        }
    }

    fn half(&mut self, half: u16) {
        match self.bytes.get_mut(self.at..self.at + 2) {
            Some(place) => place.copy_from_slice(&half.to_le_bytes()),
            None => self.full = true,
        }
        self.at += 2;
    }

    fn set_entry(&mut self, own: u32, word: u32) {
        let at = 4 + own as usize * 4;
        if let Some(place) = self.table.get_mut(at..at + 4) {
            place.copy_from_slice(&word.to_le_bytes());
        }
    }

    fn entry(&self, own: u32) -> u32 {
        entry(self.table.get(4..).unwrap_or(&[]), own)
    }

    /// A function begins at this place (its flags are with it), and the engine enters it so far from there: those before it that call
    /// it are linked by its entry and where their calls will be, and call it from now on.
    fn begin(&mut self, own: u32, place: u32, begin: u32) {
        let mut from = self.entry(own);
        self.own = own;
        self.set_entry(own, place | ((begin / 2) << 24));
        while from != 0 {
            let at = from.wrapping_sub(self.before()) as usize;
            let code = self.call(own, from);
            let Some(&mut [a, b, c, d]) = self.bytes.get_mut(at..at + 4) else {
                break;
            };
            from = u32::from_le_bytes([c, d, a, b]);
            if let Some(site) = self.bytes.get_mut(at..at + 4) {
                site.copy_from_slice(&code.bits.rotate_left(16).to_le_bytes());
            }
        }
    }
}

impl Sink for Memory<'_, '_> {
    fn put(&mut self, half: u16) {
        self.tell(Some(self.place));
        self.half(half);
    }

    fn data(&mut self, half: u16) {
        self.tell(None);
        self.half(half);
    }

    fn call(&mut self, own: u32, from: u32) -> Instruction {
        let word = self.entry(own);
        if own > self.own {
            self.set_entry(own, from);
            return Instruction {
                bits: word,
                wide: true,
            };
        }
        encode::call((word & PLACE) as i32 - from as i32).unwrap_or(Instruction {
            bits: 0xde00_de00,
            wide: true,
        })
    }

    fn mark(&mut self, place: u32) {
        self.place = place;
    }
}

/// Compiles a module into `arena`, whose first [`measure`]d bytes are written and whose rest is not touched.
pub fn compile<'a>(
    module: &Module<'_>,
    options: Options,
    work: &mut Work,
    arena: &'a mut [u8],
) -> Result<Code<'a>, Refusal> {
    compile_traced(module, options, work, arena, None)
}

/// The same, and tells what is where.
pub fn compile_traced<'a>(
    module: &Module<'_>,
    options: Options,
    work: &mut Work,
    arena: &'a mut [u8],
    trace: Option<Trace<'_>>,
) -> Result<Code<'a>, Refusal> {
    let facts = Facts::new(module, options);
    let first = facts.first();
    let (table, code) = arena
        .split_at_mut_checked(facts.exit as usize)
        .ok_or(Refusal::Arena)?;
    table.fill(0);
    let mut sink = Memory {
        table,
        bytes: code,
        at: 0,
        full: false,
        own: 0,
        trace,
        place: 0,
        told: None,
    };
    for place in [
        context::EXIT,
        context::TRAP,
        context::STACK,
        context::INDIRECT,
    ] {
        let jump = encode::access_imm(Access::Ldr, 15, SP, place);
        sink.put((jump.bits >> 16) as u16);
        sink.put(jump.bits as u16);
    }
    let mut at = first;
    for (own, body) in module.bodies().enumerate() {
        let (length, begin) = size(&facts, &body, work, at)?;
        let wide = if body.record.room.is_wide() { WIDE } else { 0 };
        let float = if body.ty.result_bytes() == [ty::F32] {
            FLOAT
        } else {
            0
        };
        sink.begin(own as u32, at | wide | float, begin);
        function(&facts, &body, work, &mut sink, Pass::Emit, at)?;
        if length % 4 != 0 {
            sink.put(0xbf00);
        }
        at += length.next_multiple_of(4);
        if at > PLACE {
            return Err(Refusal::Length);
        }
        if sink.full {
            return Err(Refusal::Arena);
        }
    }
    if sink.full {
        return Err(Refusal::Arena);
    }
    let length = at;
    if let Some(place) = arena.get_mut(..4) {
        place.copy_from_slice(&length.to_le_bytes());
    }
    Ok(Code {
        bytes: arena.get(..length as usize).ok_or(Refusal::Arena)?,
    })
}

/// A compiled module.
#[derive(Clone, Copy, Debug)]
pub struct Code<'a> {
    bytes: &'a [u8],
}

impl<'a> Code<'a> {
    /// What [`compile`] wrote before.
    pub fn of(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// All of it.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// A function's entry, with its flags.
    pub(crate) fn entry(&self, own: u32) -> u32 {
        entry(self.bytes.get(4..).unwrap_or(&[]), own)
    }

    /// Where a function of the module's own begins, and where the engine enters it.
    pub fn function(&self, own: u32) -> (u32, u32) {
        let word = self.entry(own);
        let place = word & PLACE;
        (place, place + (word >> 24) * 2)
    }
}
