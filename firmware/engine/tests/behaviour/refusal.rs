//! Every refusal has its kind and the byte where it was found.
use crate::{assemble, load};
use wasmote_engine::{
    Fault, Instance, InstanceError, LoadError, Module, Options, PageSizes, Scratch, validate,
};

/// Sections after the eight bytes of magic and version.
fn module(sections: &[&[u8]]) -> Vec<u8> {
    [b"\0asm\x01\0\0\0", sections.concat().as_slice()].concat()
}

const TYPE: &[u8] = &[1, 4, 1, 0x60, 0, 0]; // bytes 8 to 13
const FUNCTION: &[u8] = &[3, 2, 1, 0]; // bytes 14 to 17

/// One function of no type, whose code starts at byte 23: 18 is the section, 19 its size, 20 the count, 21 the body's size, 22
/// the locals.
fn body(code: &[u8]) -> Vec<u8> {
    let size = code.len() as u8 + 1;
    module(&[TYPE, FUNCTION, &[10, size + 2, 1, size, 0], code])
}

#[test]
fn a_refusal_says_what_is_wrong_and_at_which_byte() {
    use Fault::{Invalid, Malformed};
    let cases: [(&str, Vec<u8>, Fault, u32); 28] = [
        ("nothing", vec![], Malformed("unexpected end"), 0),
        (
            "half a magic",
            b"\0as".to_vec(),
            Malformed("unexpected end"),
            0,
        ),
        (
            "another magic",
            b"\x7fELF\x01\0\0\0".to_vec(),
            Malformed("magic header not detected"),
            0,
        ),
        (
            "another version",
            b"\0asm\x02\0\0\0".to_vec(),
            Malformed("unknown binary version"),
            4,
        ),
        (
            "an unknown section",
            module(&[&[14, 0]]),
            Malformed("malformed section id"),
            8,
        ),
        (
            "a section beyond the end",
            module(&[&[1, 9, 0]]),
            Malformed("length out of bounds"),
            10,
        ),
        (
            "a section twice",
            module(&[TYPE, TYPE]),
            Malformed("unexpected content after last section"),
            14,
        ),
        (
            "sections in disorder",
            module(&[&[5, 3, 1, 0, 0], TYPE]),
            Malformed("unexpected content after last section"),
            13,
        ),
        (
            "a section too long",
            module(&[&[1, 5, 1, 0x60, 0, 0, 0]]),
            Malformed("section size mismatch"),
            14,
        ),
        (
            "a number of six bytes",
            module(&[&[1, 7, 0x80, 0x80, 0x80, 0x80, 0x80, 0, 0]]),
            Malformed("integer representation too long"),
            14,
        ),
        (
            "a number beyond 32 bits",
            module(&[&[1, 5, 0xff, 0xff, 0xff, 0xff, 0x1f]]),
            Malformed("integer too large"),
            14,
        ),
        (
            "a value type that is none",
            module(&[&[1, 5, 1, 0x60, 1, 0x40, 0]]),
            Malformed("malformed value type"),
            13,
        ),
        (
            "a function of no type",
            module(&[TYPE, &[3, 2, 1, 7]]),
            Invalid("unknown type"),
            17,
        ),
        (
            "functions without bodies",
            module(&[TYPE, FUNCTION]),
            Malformed("function and code section have inconsistent lengths"),
            18,
        ),
        (
            "two memories",
            module(&[&[5, 5, 2, 0, 0, 0, 0]]),
            Invalid("multiple memories"),
            13,
        ),
        (
            "a minimum above the maximum",
            module(&[&[5, 4, 1, 1, 2, 1]]),
            Invalid("size minimum must not be greater than maximum"),
            11,
        ),
        (
            "an export of nothing",
            module(&[&[7, 5, 1, 1, b'f', 0, 3]]),
            Invalid("unknown function"),
            13,
        ),
        (
            "a name that is no UTF-8",
            module(&[&[7, 5, 1, 1, 0xff, 0, 0]]),
            Malformed("malformed UTF-8 encoding"),
            12,
        ),
        (
            "the third export named as the first",
            module(&[
                TYPE,
                FUNCTION,
                &[7, 13, 3, 1, b'a', 0, 0, 1, b'b', 0, 0, 1, b'a', 0, 0],
                &[10, 4, 1, 2, 0, 0x0b],
            ]),
            Invalid("duplicate export name"),
            29,
        ),
        (
            "code without its end",
            body(&[0x01]),
            Malformed("unexpected end"),
            24,
        ),
        (
            "an instruction that is none",
            body(&[0x01, 0xff, 0x0b]),
            Malformed("illegal opcode"),
            24,
        ),
        (
            "an addition of nothing",
            body(&[0x01, 0x6a, 0x1a, 0x0b]),
            Invalid("type mismatch"),
            24,
        ),
        (
            "a value left over",
            body(&[0x41, 5, 0x0b]),
            Invalid("type mismatch"),
            25,
        ),
        (
            "a local that is not there",
            body(&[0x20, 0, 0x1a, 0x0b]),
            Invalid("unknown local"),
            23,
        ),
        (
            "a label that is not there",
            body(&[0x02, 0x40, 0x0c, 2, 0x0b, 0x0b]),
            Invalid("unknown label"),
            25,
        ),
        (
            "a load without a memory",
            body(&[0x41, 0, 0x28, 2, 0, 0x1a, 0x0b]),
            Invalid("unknown memory"),
            25,
        ),
        (
            "a body longer than its code",
            body(&[0x0b, 0x0b]),
            Malformed("section size mismatch"),
            24,
        ),
        (
            "a start function with a parameter",
            module(&[
                &[1, 5, 1, 0x60, 1, 0x7f, 0],
                FUNCTION,
                &[8, 1, 0],
                &[10, 4, 1, 2, 0, 0x0b],
            ]),
            Invalid("start function"),
            21,
        ),
    ];
    for (what, bytes, fault, offset) in cases {
        assert_eq!(
            load(&bytes, PageSizes::Any).err(),
            Some(LoadError { fault, offset }),
            "{what}"
        );
    }
}

#[test]
fn page_sizes_are_any_power_of_two_up_to_64_kib_unless_the_proposal_is_meant_strictly() {
    for log2 in 0..=18u8 {
        // Flags 8: with a page size; at byte 11, the minimum at 12, the size at 13.
        let bytes = module(&[&[5, 4, 1, 8, 1, log2]]);
        let refused = Some(LoadError {
            fault: Fault::Invalid("invalid custom page size"),
            offset: 11,
        });
        let any = load(&bytes, PageSizes::Any).err();
        assert_eq!(any, if log2 > 16 { refused } else { None }, "2^{log2}");
        let strict = load(&bytes, PageSizes::Strict).err();
        let allowed = matches!(log2, 0 | 16);
        assert_eq!(strict, if allowed { None } else { refused }, "2^{log2}");
    }
}

#[test]
fn what_does_not_fit_the_callers_buffers_is_unsupported_with_its_place() {
    let bytes = assemble("(module (func (block (block (block (br 0) (br 1) (br 2))))))");
    let find = |kind: Result<wasmote_engine::Summary, LoadError>| match kind {
        Err(LoadError {
            fault: Fault::Unsupported(what),
            offset,
        }) => (what, offset),
        other => panic!("{other:?}"),
    };
    let mut table = [0u32; 64];
    let mut small = Scratch::<64, 2, 8>::new();
    let found = find(validate(&bytes, &mut table[..], &mut small, PageSizes::Any));
    assert_eq!(found, ("blocks nested too deeply", 25));
    let mut small = Scratch::<64, 8, 1>::new();
    let found = find(validate(&bytes, &mut table[..], &mut small, PageSizes::Any));
    assert_eq!(found.0, "too many pending branches");
    let mut room = Scratch::<64, 8, 8>::new();
    let found = find(validate(&bytes, &mut table[..5], &mut room, PageSizes::Any));
    assert_eq!(found.0, "the branch table is full");
    let mut none = Scratch::<0, 8, 8>::new();
    let found = find(validate(&bytes, &mut table[..], &mut none, PageSizes::Any));
    assert_eq!(found.0, "too many functions");
    let exports = assemble("(module (func (export \"a\") (export \"b\") (export \"c\")))");
    let mut small = Scratch::<64, 8, 2>::new();
    let found = find(validate(
        &exports,
        &mut table[..],
        &mut small,
        PageSizes::Any,
    ));
    assert_eq!(found.0, "too many exports");
}

#[test]
fn a_table_or_module_that_was_not_validated_makes_no_module() {
    let bytes = assemble("(module (func (export \"f\") (block (br 0))))");
    let (table, summary) = load(&bytes, PageSizes::Any).unwrap();
    let words = summary.table_bytes() as usize / 4;
    assert!(wasmote_engine::Module::new(&bytes, &table[..words], &summary).is_some());
    assert!(wasmote_engine::Module::new(&bytes, &table[..words - 1], &summary).is_none());
    for word in 0..words {
        let mut other = table.clone();
        other[word] ^= 1;
        assert!(wasmote_engine::Module::new(&bytes, &other, &summary).is_none());
    }
    for byte in 0..bytes.len() {
        let mut other = bytes.clone();
        other[byte] ^= 1;
        assert!(wasmote_engine::Module::new(&other, &table, &summary).is_none());
    }
}

/// References are numbers plus one, and null is 0: the last number that a function may have is 2^32 - 2.
#[test]
fn functions_have_numbers_up_to_the_last_but_one_and_none_is_null() {
    let bytes = assemble("(module (func) (func) (func))");
    let (table, summary) = load(&bytes, PageSizes::Any).unwrap();
    for (function_base, expected) in [
        (0, true),
        (u32::MAX - 4, true),
        (u32::MAX - 3, true),
        (u32::MAX - 2, false),
        (u32::MAX - 1, false),
        (u32::MAX, false),
    ] {
        let module = Module::new(&bytes, &table, &summary).unwrap();
        let options = Options {
            function_base,
            ..Options::default()
        };
        let mut region = vec![0u64; module.footprint(&options).total as usize / 8];
        // SAFETY: any bytes of the words may be seen as bytes.
        let (_, region, _) = unsafe { region.align_to_mut::<u8>() };
        let made = Instance::new(module, region, &options);
        let refused = made.err();
        let expected = (!expected).then_some(InstanceError::Functions);
        assert_eq!(refused, expected, "{function_base}");
    }
}
