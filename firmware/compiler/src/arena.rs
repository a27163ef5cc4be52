//! A whole module: where its functions lie, and the passes over them.
//!
//! ```text
//! length (4 bytes) | an entry for each function (4 bytes each): place, halfwords to where the engine enters << 24
//! | exit, trap, stack: 4 bytes each | functions
//! ```
use crate::asm::{Nowhere, Pass, Sink};
use crate::encode::{self, Access};
use crate::facts::{Facts, Options, PLACE, entry};
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
    let facts = Facts::new(module, options, &[]);
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

/// Memory that is written from its beginning on.
struct Memory<'a, 't> {
    bytes: &'a mut [u8],
    at: usize,
    full: bool,
    /// Bytes of code in front of it, what is told of it, and what was told last.
    before: u32,
    trace: Option<Trace<'t>>,
    place: u32,
    told: Option<Option<u32>>,
}

impl Memory<'_, '_> {
    fn tell(&mut self, what: Option<u32>) {
        if let Some(trace) = self.trace.as_mut()
            && self.told != Some(what)
        {
            trace(self.before + self.at as u32, what);
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
    let first = Facts::new(module, options, &[]).first();
    let (table, code) = arena
        .split_at_mut_checked((first - 12) as usize)
        .ok_or(Refusal::Arena)?;
    let mut at = first;
    for (own, body) in module.bodies().enumerate() {
        let facts = Facts::new(module, options, &[]);
        let (length, begin) = size(&facts, &body, work, at)?;
        let word = at | ((begin / 2) << 24);
        if let Some(place) = table.get_mut(4 + own * 4..8 + own * 4) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        at += length.next_multiple_of(4);
        if at > PLACE {
            return Err(Refusal::Length);
        }
    }
    let length = at;
    if let Some(place) = table.get_mut(..4) {
        place.copy_from_slice(&length.to_le_bytes());
    }
    let facts = Facts::new(module, options, table.get(4..).unwrap_or(&[]));
    let mut sink = Memory {
        bytes: code,
        at: 0,
        full: false,
        before: first - 12,
        trace,
        place: 0,
        told: None,
    };
    for place in [context::EXIT, context::TRAP, context::STACK] {
        let jump = encode::access_imm(Access::Ldr, 15, SP, place);
        sink.put((jump.bits >> 16) as u16);
        sink.put(jump.bits as u16);
    }
    for (own, body) in module.bodies().enumerate() {
        let origin = facts.entry(own as u32);
        size(&facts, &body, work, origin)?;
        let (length, _) = function(&facts, &body, work, &mut sink, Pass::Emit, origin)?;
        if length % 4 != 0 {
            sink.put(0xbf00);
        }
    }
    if sink.full {
        return Err(Refusal::Arena);
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
    pub(crate) fn of(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// All of it.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Where a function of the module's own begins, and where the engine enters it.
    pub fn function(&self, own: u32) -> (u32, u32) {
        let word = entry(self.bytes.get(4..).unwrap_or(&[]), own);
        let place = word & PLACE;
        (place, place + (word >> 24) * 2)
    }
}
