//! What boards compile a module to: the same compiler and verifier, so the same bytes.
use crate::{Grants, load, module};
use napi::bindgen_prelude::{Buffer, Result};
use napi_derive::napi;
use wasmote_compiler::{Options, Refusal, Work, compile_traced, marks, measure, verify};
use wasmote_engine::{Module, instruction};

/// From this byte of the code on.
#[napi(object)]
pub struct MarkFact {
    pub at: u32,
    /// It is of the instruction at this offset of the module; 0: it begins or ends a function; none: it is data.
    pub place: Option<u32>,
}

/// An instruction of the module.
#[napi(object)]
pub struct InstructionFact {
    pub offset: u32,
    /// Its bytes, which are its fuel but for what docs/engine.md says.
    pub length: u32,
    pub text: String,
}

#[napi(object)]
pub struct CompiledFact {
    /// Why there is no code: a board interprets the module.
    pub refusal: Option<String>,
    pub code: Buffer,
    /// Where the code of each of the module's own functions begins.
    pub functions: Vec<u32>,
    pub marks: Vec<MarkFact>,
    pub instructions: Vec<InstructionFact>,
}

/// All instructions of the module's own functions, in order.
fn instructions(module: &Module<'_>) -> Vec<InstructionFact> {
    let mut all = Vec::new();
    for body in module.bodies() {
        let mut at = body.record.code;
        while at < body.record.end
            && let Some(found) = instruction(module.bytes(), at)
        {
            all.push(InstructionFact {
                offset: at,
                length: found.length,
                text: found.to_string(),
            });
            at += found.length;
        }
    }
    all
}

fn refused(refusal: Refusal) -> CompiledFact {
    CompiledFact {
        refusal: Some(refusal.message().into()),
        code: Vec::new().into(),
        functions: Vec::new(),
        marks: Vec::new(),
        instructions: Vec::new(),
    }
}

/// Compiles a module as a board does, the verifier included.
#[napi]
pub fn compiled(bytes: Buffer, grants: Option<Grants>) -> Result<CompiledFact> {
    let (table, summary) = load(&bytes)?;
    let module = module(&bytes, &table, &summary)?;
    let options = Options::of(&module, &Grants::options(grants));
    let mut work = Box::<Work>::default();
    let length = match measure(&module, options, &mut work) {
        Ok(length) => length,
        Err(refusal) => return Ok(refused(refusal)),
    };
    let mut arena = vec![0; length as usize];
    let mut told = Vec::new();
    let mut trace = |at, place| told.push(MarkFact { at, place });
    let made = compile_traced(&module, options, &mut work, &mut arena, Some(&mut trace));
    let (code, functions) = match made {
        Ok(code) => {
            let own = module.functions() - module.imported_functions();
            let functions = (0..own).map(|own| code.function(own).0).collect();
            (code.bytes().to_vec(), functions)
        }
        Err(refusal) => return Ok(refused(refusal)),
    };
    if verify(&code, &module, &mut vec![0; marks(length)]).is_err() {
        return Ok(refused(Refusal::Unverified));
    }
    Ok(CompiledFact {
        refusal: None,
        code: code.into(),
        functions,
        marks: told,
        instructions: instructions(&module),
    })
}
