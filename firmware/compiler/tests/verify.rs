//! The verifier takes what the compiler makes, and refuses what it could not have made: planted faults, and bits that change.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]
use wasmote_compiler::{Code, Fault, Options, Work, compile, marks, measure, verify};
use wasmote_engine::{Module, PageSizes, Scratch, validate};
use wast::Wat;
use wast::parser::{self, ParseBuffer};

/// Compiles a module, and looks at its code after a change.
struct Made {
    bytes: Vec<u8>,
    table: Vec<u32>,
    summary: wasmote_engine::Summary,
    code: Vec<u8>,
    /// Where the engine enters each function.
    begins: Vec<u32>,
}

const OPTIONS: Options = Options { grows: false };

impl Made {
    fn new(text: &str) -> Self {
        let buffer = ParseBuffer::new(text).unwrap();
        let bytes = parser::parse::<Wat>(&buffer).unwrap().encode().unwrap();
        let mut table = vec![0; 64 + bytes.len() * 4];
        let mut scratch = Box::new(Scratch::<8192, 256, 2048>::new());
        let summary = validate(&bytes, &mut table[..], &mut scratch, PageSizes::Any).unwrap();
        table.truncate(summary.table_bytes() as usize / 4);
        let module = Module::new(&bytes, &table, &summary).unwrap();
        let mut work = Box::new(Work::new());
        let mut arena = vec![0; measure(&module, OPTIONS, &mut work).unwrap() as usize];
        let code: Code<'_> = compile(&module, OPTIONS, &mut work, &mut arena).unwrap();
        let own = module.functions() - module.imported_functions();
        let begins = (0..own).map(|own| code.function(own).1).collect();
        let code = code.bytes().to_vec();
        Self {
            bytes,
            table,
            summary,
            code,
            begins,
        }
    }

    fn look(&self, code: &[u8]) -> Result<(), Fault> {
        let module = Module::new(&self.bytes, &self.table, &self.summary).unwrap();
        let mut room = vec![0xff; marks(code.len() as u32)];
        verify(code, &module, &mut room)
    }

    /// What the verifier says with this halfword here.
    fn with(&self, at: u32, half: u16) -> Result<(), Fault> {
        let mut code = self.code.clone();
        code[at as usize..at as usize + 2].copy_from_slice(&half.to_le_bytes());
        self.look(&code)
    }
}

fn kernels() -> Vec<(String, Made)> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../test/kernels");
    let mut all = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|e| e == "wat") {
            let made = Made::new(&std::fs::read_to_string(&path).unwrap());
            all.push((
                path.file_name().unwrap().to_string_lossy().into_owned(),
                made,
            ));
        }
    }
    assert!(all.len() >= 6);
    all
}

#[test]
fn what_no_module_may_do_is_refused_wherever_a_function_begins() {
    const HOSTILE: [(u16, &str); 15] = [
        (0x4606, "mov r6, r0: another memory"),
        (0x4607, "mov r7, r0: another frame"),
        (0x4681, "mov r9, r0: fuel from nowhere"),
        (0x4685, "mov sp, r0: another context"),
        (0x6000, "str r0, [r0]: a store anywhere"),
        (0x6800, "ldr r0, [r0]: a load from anywhere"),
        (0x5030, "str r0, [r6, r0]: a store without bounds"),
        (0x5830, "ldr r0, [r6, r0]: a load without bounds"),
        (0x9003, "str r0, [sp, #12]: another way out"),
        (0x9000, "str r0, [sp]: other records"),
        (0x4700, "bx r0: a jump anywhere"),
        (0x4780, "blx r0: a call of anything"),
        (0xb401, "push {r0}"),
        (0xdf00, "svc 0"),
        (0xb672, "cpsid i"),
    ];
    for (name, made) in kernels() {
        assert_eq!(made.look(&made.code), Ok(()), "{name}");
        for begin in &made.begins {
            for (half, what) in HOSTILE {
                let told = made.with(*begin, half);
                assert!(told.is_err(), "{name}, {begin}: {what}");
            }
        }
    }
}

/// A function of each width that calls through a table, and two tables.
const INDIRECT: &str =
    "(module (table 4 funcref) (table 2 funcref) (type $t (func (param i32) (result i32)))
  (func $narrow (type $t) (call_indirect 1 (type $t) (local.get 0) (i32.const 1)))
  (func $wide (type $t) (local i64) (call_indirect 1 (type $t) (local.get 0) (i32.const 1))))";

/// Puts halfwords in place of each run of these that the code has; what the verifier says each time.
fn planted(made: &Made, those: &[u16], instead: &[u16]) -> Vec<Result<(), Fault>> {
    let bytes = |halves: &[u16]| {
        halves
            .iter()
            .flat_map(|h| h.to_le_bytes())
            .collect::<Vec<_>>()
    };
    let (those, instead) = (bytes(those), bytes(instead));
    let mut told = Vec::new();
    for at in (0..=made.code.len() - those.len()).step_by(2) {
        if made.code[at..].starts_with(&those) {
            let mut code = made.code.clone();
            code[at..at + instead.len()].copy_from_slice(&instead);
            told.push(made.look(&code));
        }
    }
    told
}

#[test]
fn what_a_call_through_a_table_relies_on_is_looked_at() {
    let made = Made::new(INDIRECT);
    assert_eq!(made.look(&made.code), Ok(()));
    // movs r2, 12: the header of the second table; movs r4: the width of the caller's slots.
    for (those, instead, count) in [
        (0x220c, 0x2218, 2),
        (0x220c, 0x2204, 2),
        (0x220c, 0xbf00, 2),
        (0x2400, 0x2401, 1),
        (0x2401, 0x2400, 1),
        (0x2401, 0xbf00, 1),
    ] {
        let told = planted(&made, &[those], &[instead]);
        assert_eq!(told.len(), count, "{those:x}");
        let refused = told
            .iter()
            .all(|told| told.is_err_and(|f| f.what == "a call through no table"));
        assert!(refused, "{those:x} {instead:x}: {told:?}");
    }
    // What the entry of a function says of it.
    for (own, flag) in [(0, 2), (1, 2), (0, 1), (1, 1)] {
        let mut code = made.code.clone();
        code[4 + own * 4] ^= flag;
        assert!(
            made.look(&code)
                .is_err_and(|f| f.what == "a function of another kind")
        );
    }
}

#[test]
fn a_function_begins_and_ends_with_its_record_and_not_otherwise() {
    let made = Made::new(INDIRECT);
    let [stores, loads] = [[0xe922, 0x5080], [0xe912, 0x9080]];
    let nothing = [0xbf00, 0xbf00];
    for (those, instead, what) in [
        (&stores[..], &nothing[..], "no record"),
        (&stores, &[0xe922, 0x1080], "a record without a way back"),
        (
            &stores,
            &[0xe902, 0x5080],
            "a record whose place is not kept",
        ),
        (&loads, &nothing, "no end"),
        (&loads, &[0x4770, 0xbf00], "bx lr"),
        (&loads, &[0xe912, 0x9090], "another register"),
        (&loads, &[0xe913, 0x9080], "from another place"),
        (&loads, &[0xe932, 0x9080], "with its base changed"),
        (
            &[0x9200, 0x461f],
            &[0xbf00, 0x461f],
            "a record that is not the newest",
        ),
        (&[0x9200, 0x461f], &[0x9201, 0x461f], "stored elsewhere"),
        (
            &[0x9200, 0x461f],
            &[0x9100, 0x461f],
            "another register is stored",
        ),
        (&[0x3a08], &[0x3a0c], "a record of another length"),
        (&[0x3214, 0x9200], &[0x3228, 0x9200], "two records given up"),
        (&[0x3214, 0x9200], &[0xbf00, 0x9200], "no record given up"),
        (&[0x9200, 0xe912], &[0xbf00, 0xe912], "a record that stays"),
    ] {
        let told = planted(&made, those, instead);
        assert_eq!(told.len(), 2, "{what}");
        assert!(told.iter().all(Result::is_err), "{what}: {told:?}");
    }
}

#[test]
fn a_check_that_is_left_out_or_weaker_is_refused() {
    let (mut left_out, mut weaker, mut plain) = (0, 0, 0);
    for (name, made) in kernels() {
        let half = |at: u32| {
            let at = at as usize;
            u16::from_le_bytes([made.code[at], made.code[at + 1]])
        };
        for at in (made.begins[0]..made.code.len() as u32 - 2).step_by(2) {
            if half(at) & 0xff00 != 0xd800 {
                continue;
            }
            // bhi: none at all, and another condition. That of an `if` bounds nothing.
            if made.with(at, 0xbf00).is_ok() {
                plain += 1;
                continue;
            }
            left_out += 1;
            assert!(made.with(at, half(at) ^ 0x0300).is_err(), "{name}: {at}");
            // cmp.w with a number: the greatest there is.
            if half(at - 4) & 0xfbf0 == 0xf1b0 && half(at - 2) & 0x8f00 == 0x0f00 {
                let mut code = made.code.clone();
                let put = |code: &mut [u8], at: u32, half: u16| {
                    code[at as usize..at as usize + 2].copy_from_slice(&half.to_le_bytes());
                };
                put(&mut code, at - 4, half(at - 4) & !0x400);
                put(&mut code, at - 2, 0x3fff);
                assert!(made.look(&code).is_err(), "{name}: {at} compares with -1");
                weaker += 1;
            }
        }
    }
    assert!(left_out >= 8 && weaker >= 4, "{left_out} {weaker}");
    assert!(plain <= 1, "{plain} conditions that bound nothing");
}

#[test]
fn any_bit_may_change_and_the_verifier_comes_to_an_end() {
    let (mut refused, mut taken) = (0, 0);
    for (_, made) in kernels() {
        for bit in (0..made.code.len() * 8).step_by(7) {
            let mut code = made.code.clone();
            code[bit / 8] ^= 1 << (bit % 8);
            match made.look(&code) {
                Ok(()) => taken += 1,
                Err(_) => refused += 1,
            }
        }
    }
    println!("{refused} of {} changed bits refused", refused + taken);
    assert!(refused > taken / 4, "{refused} of {}", refused + taken);
}
