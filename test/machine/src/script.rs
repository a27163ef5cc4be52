//! Scripts and their outcomes as bytes.
use alloc::string::String;
use alloc::vec::Vec;
use wasmote_engine::{ValType, Value};

/// How a script is to be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Fuel of one slice; a call is given slice after slice until it ends.
    pub slice: u64,
    /// Fuel of one call in all; then it is given up with the status [`Status::Fuel`].
    pub fuel: u64,
    /// What a memory may grow to, in units of 64 KiB.
    pub pages: u32,
    /// Entries a table may grow to.
    pub entries: u32,
    /// Bytes of stack where the depth of calls is not known.
    pub stack: u32,
    /// Whether only the page sizes of the proposal are taken: 1 and 65,536.
    pub strict: bool,
    /// Whether modules are compiled, where the machine can execute that.
    pub compiled: bool,
}

impl Settings {
    /// As bytes, the beginning of a script.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend(self.slice.to_le_bytes());
        out.extend(self.fuel.to_le_bytes());
        out.extend(self.pages.to_le_bytes());
        out.extend(self.entries.to_le_bytes());
        out.extend(self.stack.to_le_bytes());
        out.push(u8::from(self.strict) | u8::from(self.compiled) << 1);
        out
    }

    pub(crate) fn decode(input: &mut Input<'_>) -> Option<Self> {
        let (slice, fuel) = (input.u64()?, input.u64()?);
        let (pages, entries, stack) = (input.u32()?, input.u32()?, input.u32()?);
        let flags = input.byte()?;
        Some(Self {
            slice,
            fuel,
            pages,
            entries,
            stack,
            strict: flags & 1 != 0,
            compiled: flags & 2 != 0,
        })
    }
}

/// One step of a script. An instance is named by its text; the empty name is the newest instance.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Validate a module.
    Validate(Vec<u8>),
    /// Validate, link and start a module, which then goes by this name.
    Instantiate(String, Vec<u8>),
    /// Make an instance's exports importable under a module name: `(name, instance)`.
    Register(String, String),
    /// Call an exported function: `(instance, export, arguments)`.
    Invoke(String, String, Vec<Value>),
    /// Read an exported global: `(instance, export)`.
    Get(String, String),
    /// The whole linear memory's length and FNV-1a hash, as two i64.
    Memory(String),
    /// Let the fuel of a module's exports end everywhere: `(module, exports, every unit up to this, the most)`. The values are
    /// digests of what was left, and how many runs ended well, trapped, and were out of fuel, all as i64.
    Sweep(Vec<u8>, Vec<String>, u32, u64),
    /// Change single bits of a module's code, and run what the verifier takes of it where the MPU confines it: `(module, exports, what
    /// the bits are chosen by, how many)`. The values are how many changes were refused; and of those that ran, how many came back, were
    /// stopped, met what is no instruction, and were endless, all as i64.
    Flip(Vec<u8>, Vec<String>, u32, u64),
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Status {
    /// Done; the values are results.
    Ok,
    /// The bytes are not a module.
    Malformed,
    /// Not a valid module.
    Invalid,
    /// Beyond what the engine or this machine takes.
    Unsupported,
    /// An import was not found or does not fit.
    Unlinkable,
    /// Trapped.
    Trap,
    /// The fuel of the call was used up.
    Fuel,
    /// The script or the machine is at fault.
    Fault,
}

/// How many calls of a backtrace are told.
pub const CALLS: usize = 100;

/// What came of a command.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// How it ended.
    pub status: Status,
    /// The reason, where it did not end well.
    pub text: String,
    /// Byte offset in the module of a refusal or trap; its function of a trap.
    pub place: (u32, u32),
    /// Of a trap, the calls of the instance that were active, innermost first, as byte offset and function: of the innermost
    /// [`CALLS`].
    pub backtrace: Vec<(u32, u32)>,
    /// Fuel used by the instance that was called; what it called in others is not in it.
    pub fuel: u64,
    /// What passed on the clock meanwhile, in its own unit.
    pub time: u32,
    /// Results.
    pub values: Vec<Value>,
}

impl Outcome {
    pub(crate) fn new(status: Status, text: &str) -> Self {
        Self {
            status,
            text: text.into(),
            place: (0, 0),
            backtrace: Vec::new(),
            fuel: 0,
            time: 0,
            values: Vec::new(),
        }
    }

    pub(crate) fn fault(text: &str) -> Self {
        Self::new(Status::Fault, text)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.push(self.status as u8);
        text(&mut out, &self.text);
        out.extend(self.place.0.to_le_bytes());
        out.extend(self.place.1.to_le_bytes());
        out.extend((self.backtrace.len() as u32).to_le_bytes());
        for (offset, function) in &self.backtrace {
            out.extend(offset.to_le_bytes());
            out.extend(function.to_le_bytes());
        }
        out.extend(self.fuel.to_le_bytes());
        out.extend(self.time.to_le_bytes());
        values(&mut out, &self.values);
        out
    }
}

/// All outcomes of an answer, as far as it goes.
pub fn decode_outcomes(answer: &[u8]) -> Vec<Outcome> {
    let mut input = Input::new(answer);
    let mut all = Vec::new();
    while let Some(outcome) = decode_outcome(&mut input) {
        all.push(outcome);
    }
    all
}

fn decode_outcome(input: &mut Input<'_>) -> Option<Outcome> {
    use Status::*;
    let all = [
        Ok,
        Malformed,
        Invalid,
        Unsupported,
        Unlinkable,
        Trap,
        Fuel,
        Fault,
    ];
    Some(Outcome {
        status: *all.get(usize::from(input.byte()?))?,
        text: input.text()?,
        place: (input.u32()?, input.u32()?),
        backtrace: (0..input.u32()?)
            .map(|_| Some((input.u32()?, input.u32()?)))
            .collect::<Option<_>>()?,
        fuel: input.u64()?,
        time: input.u32()?,
        values: input.values()?,
    })
}

/// A command as bytes.
pub fn encode_command(command: &Command) -> Vec<u8> {
    let mut out = Vec::new();
    match command {
        Command::Validate(module) => {
            out.push(0);
            bytes(&mut out, module);
        }
        Command::Instantiate(name, module) => {
            out.push(1);
            text(&mut out, name);
            bytes(&mut out, module);
        }
        Command::Register(name, instance) => {
            out.push(2);
            text(&mut out, name);
            text(&mut out, instance);
        }
        Command::Invoke(instance, export, arguments) => {
            out.push(3);
            text(&mut out, instance);
            text(&mut out, export);
            values(&mut out, arguments);
        }
        Command::Get(instance, export) => {
            out.push(4);
            text(&mut out, instance);
            text(&mut out, export);
        }
        Command::Memory(instance) => {
            out.push(5);
            text(&mut out, instance);
        }
        Command::Sweep(module, exports, every, most)
        | Command::Flip(module, exports, every, most) => {
            out.push(match command {
                Command::Sweep(..) => 6,
                _ => 7,
            });
            bytes(&mut out, module);
            out.extend((exports.len() as u32).to_le_bytes());
            for export in exports {
                text(&mut out, export);
            }
            out.extend(every.to_le_bytes());
            out.extend(most.to_le_bytes());
        }
    }
    out
}

pub(crate) fn decode_command(input: &mut Input<'_>) -> Option<Command> {
    Some(match input.byte()? {
        0 => Command::Validate(input.bytes()?.into()),
        1 => Command::Instantiate(input.text()?, input.bytes()?.into()),
        2 => Command::Register(input.text()?, input.text()?),
        3 => Command::Invoke(input.text()?, input.text()?, input.values()?),
        4 => Command::Get(input.text()?, input.text()?),
        5 => Command::Memory(input.text()?),
        kind @ (6 | 7) => {
            let module = input.bytes()?.into();
            let exports = (0..input.u32()?)
                .map(|_| input.text())
                .collect::<Option<_>>()?;
            let (first, second) = (input.u32()?, input.u64()?);
            match kind {
                6 => Command::Sweep(module, exports, first, second),
                _ => Command::Flip(module, exports, first, second),
            }
        }
        _ => return None,
    })
}

fn bytes(out: &mut Vec<u8>, data: &[u8]) {
    out.extend((data.len() as u32).to_le_bytes());
    out.extend(data);
}

fn text(out: &mut Vec<u8>, text: &str) {
    bytes(out, text.as_bytes());
}

fn values(out: &mut Vec<u8>, values: &[Value]) {
    out.extend((values.len() as u32).to_le_bytes());
    for value in values {
        out.push(value.ty() as u8);
        let bits = match *value {
            Value::I32(v) => u64::from(v.cast_unsigned()),
            Value::I64(v) => v.cast_unsigned(),
            Value::F32(v) => u64::from(v.to_bits()),
            Value::F64(v) => v.to_bits(),
            Value::FuncRef(v) | Value::ExternRef(v) => v.map_or(0, |v| u64::from(v) + 1),
        };
        out.extend(bits.to_le_bytes());
    }
}

/// A reader of bytes that may end anywhere.
pub(crate) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(head)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let count = self.u32()?;
        self.take(count as usize)
    }

    fn text(&mut self) -> Option<String> {
        core::str::from_utf8(self.bytes()?).ok().map(Into::into)
    }

    fn values(&mut self) -> Option<Vec<Value>> {
        let count = self.u32()?;
        let mut values = Vec::new();
        for _ in 0..count {
            let (ty, bits) = (ValType::from_byte(self.byte()?)?, self.u64()?);
            let reference = u32::try_from(bits.wrapping_sub(1)).ok();
            values.push(match ty {
                ValType::I32 => Value::I32((bits as u32).cast_signed()),
                ValType::I64 => Value::I64(bits.cast_signed()),
                ValType::F32 => Value::F32(f32::from_bits(bits as u32)),
                ValType::F64 => Value::F64(f64::from_bits(bits)),
                ValType::FuncRef => Value::FuncRef(reference),
                ValType::ExternRef => Value::ExternRef(reference),
            });
        }
        Some(values)
    }
}
