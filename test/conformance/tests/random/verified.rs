//! What the compiler makes of any module, the verifier takes: of the official suite, the kernels, what fuzzing keeps and random
//! modules, for memories that may grow and for those that may not.
use crate::{corpus::kept, suite::suite};
use std::collections::BTreeMap;
use std::path::Path;
use wasm_smith::Config;
use wasmote_compiler::{Options, Refusal, Work, compile, marks, measure, verify};
use wasmote_engine::Module;
use wasmote_fuzz::{config, load, random_module, setting, with_stack};

/// What became of modules.
#[derive(Debug, Default)]
struct Tally {
    valid: u32,
    compiled: u32,
    /// Beyond a limit of the compiler, by its message.
    beyond: BTreeMap<&'static str, u32>,
    /// Refused by the verifier, by what it said.
    refused: BTreeMap<&'static str, Vec<String>>,
    /// Bytes of code, and of the functions it was made of.
    code: u64,
    bodies: u64,
}

impl Tally {
    fn look(&mut self, work: &mut Work, name: &str, bytes: &[u8]) {
        let Ok((table, summary)) = load(bytes) else {
            return;
        };
        let module = Module::new(bytes, &table, &summary).expect("what was validated");
        self.valid += 1;
        for grows in [false, true] {
            let options = Options { grows };
            let length = match measure(&module, options, work) {
                Ok(length) => length,
                Err(refusal) => {
                    assert_ne!(refusal, Refusal::Unverified);
                    *self.beyond.entry(refusal.message()).or_default() += 1;
                    continue;
                }
            };
            let mut arena = vec![0; length as usize];
            let code = compile(&module, options, work, &mut arena).expect("what was measured");
            assert_eq!(code.bytes().len(), length as usize, "{name}");
            self.compiled += 1;
            self.code += u64::from(length);
            self.bodies += module
                .bodies()
                .map(|body| u64::from(body.record.end - body.record.code))
                .sum::<u64>();
            let mut room = vec![0; marks(length)];
            if let Err(fault) = verify(code.bytes(), &module, &mut room) {
                if let Ok(to) = std::env::var("WASMOTE_KEEP") {
                    std::fs::write(format!("{to}/{}.bin", name.replace('/', "-")), code.bytes())
                        .expect("kept");
                    std::fs::write(format!("{to}/{}.wasm", name.replace('/', "-")), bytes)
                        .expect("kept");
                }
                let told = format!("{name} at {}", fault.at);
                self.refused.entry(fault.what).or_default().push(told);
            }
        }
    }

    /// Nothing was refused, and at least so many were looked at.
    fn expect(&self, what: &str, compiled: u32) {
        println!(
            "{what}: {} modules, {} times compiled, beyond a limit {:?}, {:.2} bytes of code for each of a function",
            self.valid,
            self.compiled,
            self.beyond,
            self.code as f64 / self.bodies as f64
        );
        for (what, names) in &self.refused {
            let some = names.iter().take(4).collect::<Vec<_>>();
            println!("  {} refused: {what}, {some:?}", names.len());
        }
        assert!(self.refused.is_empty(), "{what}");
        assert!(self.compiled >= compiled, "{what}: {}", self.compiled);
    }
}

#[test]
fn all_of_the_suite_and_of_what_fuzzing_keeps_is_taken() {
    with_stack(|| {
        let mut work = Box::<Work>::default();
        let mut tally = Tally::default();
        for (number, bytes) in suite().iter().enumerate() {
            tally.look(&mut work, &format!("suite {number}"), bytes);
        }
        for (number, bytes) in kept().iter().enumerate() {
            tally.look(&mut work, &format!("kept {number}"), bytes);
        }
        tally.expect("suite and kept", 2000);
    });
}

#[test]
fn all_kernels_and_filters_are_taken() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../kernels");
    let mut work = Box::<Work>::default();
    let mut tally = Tally::default();
    for file in std::fs::read_dir(folder).expect("the kernels") {
        let path = file.expect("an entry").path();
        if path.extension().is_some_and(|e| e == "wat") {
            let text = std::fs::read_to_string(&path).expect("text");
            let buffer = wast::parser::ParseBuffer::new(&text).expect("tokens");
            let mut wat: wast::Wat<'_> = wast::parser::parse(&buffer).expect("a module");
            let bytes = wat.encode().expect("its bytes");
            tally.look(&mut work, &path.display().to_string(), &bytes);
        }
    }
    tally.expect("kernels", 12);
}

#[test]
fn random_modules_are_taken() {
    with_stack(|| {
        let count = setting("WASMOTE_MODULES", 10_000);
        let mut work = Box::<Work>::default();
        let mut tally = Tally::default();
        for seed in 1..=count {
            let config = Config {
                custom_page_sizes_enabled: true,
                max_memory32_bytes: 4 * 65536,
                ..config(seed.is_multiple_of(2))
            };
            if let Some(bytes) = random_module(config, seed ^ 0x7e51_f1ed) {
                tally.look(&mut work, &format!("seed {seed}"), &bytes);
            }
        }
        tally.expect("random", count as u32);
    });
}
