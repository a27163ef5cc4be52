//! What a module is to a node: the facts in its custom section, and its imports and exports.
use crate::contract::{CUSTOM_SECTION, IMPORT_MODULE, Import, VERSION, limits, section};
use crate::shape::Shape;
use minicbor::Decoder;
use wasmote_engine::{External, Module, ValType};

/// The most sensors, outputs and parameters of a module, each.
pub const NAMES: usize = crate::contract::limits::NAMES as usize;
/// The most parameters of a module.
pub const PARAMETERS: usize = NAMES;
/// The most functions a module may import: each of the contract's, perhaps twice.
const IMPORTS: usize = 16;

/// A list in the custom section, read where it lies.
#[derive(Clone, Copy, Debug, Default)]
pub struct List {
    bytes: &'static [u8],
    /// Its entries.
    pub count: u8,
}

/// A parameter as the module declares it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// Its value until somebody changes it.
    pub initial: f32,
    /// The least value it takes.
    pub minimum: f32,
    /// The greatest value it takes.
    pub maximum: f32,
}

/// What an output takes.
#[derive(Clone, Copy, Debug)]
pub enum OutputKind {
    /// Singles.
    Single,
    /// Texts of UTF-8.
    Text,
    /// Values of a type.
    Shaped(Shape),
}

/// An output as the module declares it.
#[derive(Clone, Copy, Debug)]
pub struct OutputFact {
    /// Its name.
    pub name: &'static str,
    /// Its SenML unit (RFC 8428 §12.1), or nothing.
    pub unit: &'static str,
    /// What it takes.
    pub kind: OutputKind,
}

/// A value of a module that is kept over resets and updates.
#[derive(Clone, Copy, Debug)]
pub struct StateFact {
    /// Its name.
    pub name: &'static str,
    /// Where it lies in the module's memory.
    pub at: u32,
    /// What it is.
    pub shape: Shape,
}

/// What a module says of itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts {
    /// Version of the contract.
    pub contract: u32,
    sensors: List,
    outputs: List,
    parameters: List,
    states: List,
    exhausted: List,
    /// Period of `tick` in milliseconds; 0 if it has none.
    pub tick: u32,
    /// Size of the request buffer in bytes.
    pub buffer: u32,
}

impl Facts {
    /// Reads the custom section; what it names is refused where it is malformed or more than [`NAMES`].
    pub fn read(module: &Module<'static>) -> Result<Self, &'static str> {
        let Some(custom) = module.custom_sections().find(|c| c.name == CUSTOM_SECTION) else {
            return Ok(Self {
                contract: VERSION,
                ..Self::default()
            });
        };
        Self::parse(custom.data).map_err(|_| "malformed custom section")
    }

    fn parse(data: &'static [u8]) -> Result<Self, minicbor::decode::Error> {
        let mut d = Decoder::new(data);
        let mut facts = Self::default();
        let list = |d: &mut Decoder<'static>| {
            let count = d.array()?.filter(|n| *n <= NAMES as u64);
            let count = count.ok_or(minicbor::decode::Error::message("too many names"))? as u8;
            let start = d.position();
            for _ in 0..count {
                d.skip()?;
            }
            Ok(List {
                bytes: data.get(start..d.position()).unwrap_or(&[]),
                count,
            })
        };
        let entries = d
            .map()?
            .ok_or(minicbor::decode::Error::message("no length"))?;
        for _ in 0..entries {
            match d.u8()? {
                section::CONTRACT => facts.contract = d.u32()?,
                section::SENSORS => facts.sensors = list(&mut d)?,
                section::OUTPUTS => facts.outputs = list(&mut d)?,
                section::PARAMETERS => facts.parameters = list(&mut d)?,
                section::STATES => facts.states = list(&mut d)?,
                section::EXHAUSTED => facts.exhausted = list(&mut d)?,
                section::TICK => facts.tick = d.u32()?,
                section::BUFFER => facts.buffer = d.u32()?,
                _ => d.skip()?,
            }
        }
        // Each entry is read once here, so that reading it later cannot fail.
        let whole = facts.sensors().count() == usize::from(facts.sensors.count)
            && facts.outputs().count() == usize::from(facts.outputs.count)
            && facts.parameters().count() == usize::from(facts.parameters.count)
            && facts.states().count() == usize::from(facts.states.count)
            && Self::entries(facts.exhausted, Decoder::u32).count()
                == usize::from(facts.exhausted.count);
        let kept: u32 = facts.states().map(|s| s.shape.size()).sum();
        if kept > limits::STATE_BYTES {
            return Err(minicbor::decode::Error::message("too much state"));
        }
        let typed = facts.outputs().filter(OutputFact::is_typed).count();
        if typed > limits::TYPED_OUTPUTS as usize {
            return Err(minicbor::decode::Error::message("too many typed outputs"));
        }
        if whole {
            Ok(facts)
        } else {
            Err(minicbor::decode::Error::message("malformed names"))
        }
    }

    fn entries<T>(
        list: List,
        mut read: impl FnMut(&mut Decoder<'static>) -> Result<T, minicbor::decode::Error>,
    ) -> impl Iterator<Item = T> {
        let mut d = Decoder::new(list.bytes);
        (0..list.count).map_while(move |_| read(&mut d).ok())
    }

    /// How many sensors it names, known without reading their names.
    pub fn sensor_count(&self) -> u8 {
        self.sensors.count
    }

    /// How many outputs it names.
    pub fn output_count(&self) -> u8 {
        self.outputs.count
    }

    /// How many parameters it names.
    pub fn parameter_count(&self) -> u8 {
        self.parameters.count
    }

    /// How many states it names.
    pub fn state_count(&self) -> u8 {
        self.states.count
    }

    /// The name that an entry of a list begins with: those before it are passed over and not read.
    fn name_of(list: List, index: usize) -> Option<&'static str> {
        let mut d = Decoder::new(list.bytes);
        for _ in 0..index {
            d.skip().ok()?;
        }
        d.array().ok()?;
        d.str().ok()
    }

    /// The name of the output with this number.
    pub fn output_name(&self, number: usize) -> Option<&'static str> {
        Self::name_of(self.outputs, number)
    }

    /// The name of the parameter with this number.
    pub fn parameter_name(&self, number: usize) -> Option<&'static str> {
        Self::name_of(self.parameters, number)
    }

    /// The name of the state with this number.
    pub fn state_name(&self, number: usize) -> Option<&'static str> {
        Self::name_of(self.states, number)
    }

    /// The names of its sensors.
    pub fn sensors(&self) -> impl Iterator<Item = &'static str> + use<> {
        Self::entries(self.sensors, name)
    }

    /// Its outputs.
    pub fn outputs(&self) -> impl Iterator<Item = OutputFact> + use<> {
        Self::entries(self.outputs, |d| {
            let count = d.array()?.unwrap_or(0);
            let (name, unit) = (name(d)?, text(d, &crate::contract::text::UNIT)?);
            let kind = output_kind(d, count)?;
            Ok(OutputFact { name, unit, kind })
        })
    }

    /// What each output takes.
    pub fn slots(&self) -> heapless::Vec<Slot, NAMES> {
        self.outputs().map(|fact| Slot::of(&fact)).collect()
    }

    /// Whether an `unreachable` at this byte of the module means that its memory is used up.
    pub fn exhausts(&self, offset: u32) -> bool {
        Self::entries(self.exhausted, Decoder::u32).any(|at| at == offset)
    }

    /// Its parameters.
    pub fn parameters(&self) -> impl Iterator<Item = Parameter> + use<> {
        Self::entries(self.parameters, |d| {
            d.array()?;
            let parameter = Parameter {
                name: name(d)?,
                initial: d.f32()?,
                minimum: d.f32()?,
                maximum: d.f32()?,
            };
            let ordered =
                parameter.minimum <= parameter.initial && parameter.initial <= parameter.maximum;
            if ordered {
                Ok(parameter)
            } else {
                Err(minicbor::decode::Error::message("range"))
            }
        })
    }

    /// What of it is kept over resets and updates.
    pub fn states(&self) -> impl Iterator<Item = StateFact> + use<> {
        Self::entries(self.states, |d| {
            let count = d.array()?.unwrap_or(0);
            let (name, at) = (name(d)?, d.u32()?);
            let shape = Shape::read(d, count.saturating_sub(2))?;
            Ok(StateFact { name, at, shape })
        })
    }

    /// Whether there is any.
    pub fn keeps(&self) -> bool {
        self.states.count > 0
    }
}

impl OutputFact {
    /// Whether it takes anything but singles.
    pub fn is_typed(&self) -> bool {
        !matches!(self.kind, OutputKind::Single)
    }
}

/// What publishing on an output has to know of it, in a byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(u8);

impl Slot {
    /// Of an output that takes singles.
    pub const SINGLE: Self = Self(0);
    /// Of one that takes texts.
    pub const TEXT: Self = Self(u8::MAX);

    fn of(fact: &OutputFact) -> Self {
        match fact.kind {
            OutputKind::Single => Self::SINGLE,
            OutputKind::Text => Self::TEXT,
            // At most `OUTPUT_BYTES`, and at least one.
            OutputKind::Shaped(shape) => Self(shape.size() as u8),
        }
    }

    /// Bytes of a value, where it has a type.
    pub fn size(self) -> u32 {
        self.0.into()
    }
}

/// The type of an output, as what is left of its entry has it.
fn output_kind(
    d: &mut Decoder<'static>,
    count: u64,
) -> Result<OutputKind, minicbor::decode::Error> {
    if count == 2 {
        return Ok(OutputKind::Single);
    }
    let mut first = d.clone();
    if count == 3 && first.str()? == crate::contract::ty::TEXT {
        *d = first;
        return Ok(OutputKind::Text);
    }
    let shape = Shape::read(d, count.saturating_sub(2))?;
    if shape.size() > limits::OUTPUT_BYTES {
        return Err(minicbor::decode::Error::message("too long"));
    }
    Ok(OutputKind::Shaped(shape))
}

/// A text that its rule in contract.toml allows: names stand in paths and in SenML (RFC 8428 §4.5.1).
fn text(
    d: &mut Decoder<'static>,
    rule: &crate::text::Rule,
) -> Result<&'static str, minicbor::decode::Error> {
    let text = d.str()?;
    if rule.takes(text) {
        Ok(text)
    } else {
        Err(minicbor::decode::Error::message("text"))
    }
}

fn name(d: &mut Decoder<'static>) -> Result<&'static str, minicbor::decode::Error> {
    text(d, &crate::contract::text::NAME)
}

/// How a module is joined to a node.
#[derive(Clone, Debug, Default)]
pub struct Linked {
    /// The import behind each imported function.
    pub imports: heapless::Vec<Import, IMPORTS>,
    /// Function indices of the exports.
    pub start: Option<u32>,
    /// See `start`.
    pub sample: Option<u32>,
    /// See `start`.
    pub tick: Option<u32>,
    /// See `start`.
    pub request: Option<u32>,
}

/// Joins a module to a node, or says what it lacks.
pub fn link(module: &Module<'static>) -> Result<Linked, &'static str> {
    let mut linked = Linked::default();
    for import in module.imports() {
        let External::Func(_, ty) = import.item else {
            return Err("imports more than functions");
        };
        let found = if import.module == IMPORT_MODULE {
            Import::find(import.name)
        } else {
            None
        };
        let (name, params, results) =
            found.ok_or("imports a function that the node does not have")?;
        if !ty.params().eq(params.iter().copied()) || !ty.results().eq(results.iter().copied()) {
            return Err("imports a function with another type than the node's");
        }
        linked
            .imports
            .push(name)
            .map_err(|_| "imports too many functions")?;
    }
    for export in module.exports() {
        let External::Func(index, ty) = export.item else {
            continue;
        };
        let (place, params): (_, &[ValType]) = match export.name {
            "start" => (&mut linked.start, &[]),
            "sample" => (&mut linked.sample, &[ValType::I32, ValType::F32]),
            "tick" => (&mut linked.tick, &[]),
            "request" => (
                &mut linked.request,
                &[ValType::I32, ValType::I32, ValType::I32],
            ),
            _ => continue,
        };
        if !ty.params().eq(params.iter().copied()) || ty.results().len() != 0 {
            return Err("exports a handler with another type than the contract's");
        }
        if index < module.imported_functions() {
            return Err("exports an import as a handler");
        }
        *place = Some(index);
    }
    Ok(linked)
}
