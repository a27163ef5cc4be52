//! The feature `checked`: before each instruction, everything that the execution loop trusts the validator for is looked at
//! again, and a trust that would be misplaced is a panic. Slow, with the same results and fuel; the whole test suite runs
//! under it as well.
//!
//! Accesses to the linear memory and to entries of tables are not here: they are compared with their bounds always, as
//! the specification has them trap.
use crate::decode::skip;
use crate::module::Module;
use crate::opcode::{Immediates, Opcode, more, op};
use crate::reader::Reader;
use crate::sidetable::{Branch, FRAME_RECORD, Record};
use crate::state::{NOBODY, State};
use crate::types::FuncType;

/// Where the loop is: pointers as offsets, in the code, the table and the region.
pub(crate) struct Position {
    pub(crate) code: usize,
    pub(crate) table: usize,
    pub(crate) sp: usize,
    pub(crate) fp: usize,
    pub(crate) wide: bool,
}

/// Verifies all that the next instruction relies on.
#[expect(clippy::expect_used, reason = "to panic is what it is for")]
pub(crate) fn verify(m: &State, module: &Module<'_>, at: &Position) {
    let summary = &module.summary;
    let (first, last) = (summary.records.at, summary.records.count);
    const RECORD: u32 = size_of::<Record>() as u32;
    let is_function = |function: u32| {
        function
            .checked_sub(first)
            .is_some_and(|f| f.is_multiple_of(RECORD) && f / RECORD < last)
    };
    assert!(is_function(m.function), "no function at {}", m.function);
    let own = module.record(m.function);

    // Where it is: in the function's code and branches, its frame on the stack below the records.
    // Of the first instruction and the last, which is an `end`.
    let (start, end) = (own.code as usize, own.end as usize - 1);
    assert!((start..=end).contains(&at.code), "code {}", at.code);
    let branches = own.branch as usize..=module.table.len() * 4;
    assert!(branches.contains(&at.table), "branches {}", at.table);
    assert_eq!(module.is_wide(m.function), at.wide, "width");
    let size = if at.wide { 8 } else { 4 };
    let locals = usize::from(own.locals);
    let frame = usize::from(own.slots);
    assert!(at.fp >= m.layout.stack as usize, "frame {}", at.fp);
    assert!(
        at.fp.is_multiple_of(size) && at.sp.is_multiple_of(size),
        "alignment"
    );
    assert!(at.sp >= at.fp + locals * size, "operands {}", at.sp);
    let room = (at.fp + frame * size)
        .checked_sub(at.sp + size)
        .expect("the operands end in their frame");
    assert!(
        at.fp + frame * size <= m.frames as usize,
        "records {}",
        m.frames
    );
    assert!(m.frames + FRAME_RECORD <= m.layout.stack_end, "records");
    assert!(
        m.layout.memory + m.memory as u64 <= m.layout.end,
        "linear memory"
    );
    let operands = (at.sp - at.fp) / size - locals;

    // The instruction: whole, known, and its indices within their spaces.
    let mut r = Reader::new(module.bytes, at.code, end + 1);
    let byte = r.byte().expect("an opcode");
    let mut rest = r;
    skip(&mut rest, byte).expect("whole immediates");
    let number = if byte == op::PREFIX {
        r.u32().expect("a number")
    } else {
        0
    };
    let opcode = Opcode::find(byte, number).expect("an opcode of the table");
    let (x, y) = match opcode.immediates {
        Immediates::Index
        | Immediates::Label
        | Immediates::Labels
        | Immediates::SegmentZero
        | Immediates::RefType => (r.u32().expect("an index"), 0),
        Immediates::Indices => (r.u32().expect("an index"), r.u32().expect("an index")),
        _ => (0, 0),
    };
    let tables = summary.tables.count;
    let (elements, datas) = (summary.elements.count, summary.datas.count);
    let counts = |ty: FuncType<'_>| (ty.params.len(), ty.results.len());
    let results = usize::from(own.results);
    let (taken, given) = if byte == op::PREFIX {
        let fits = match number as u8 {
            more::MEMORY_INIT | more::DATA_DROP => x < datas,
            more::TABLE_INIT => x < elements && y < tables,
            more::ELEM_DROP => x < elements,
            more::TABLE_COPY => x < tables && y < tables,
            more::TABLE_GROW | more::TABLE_SIZE | more::TABLE_FILL => x < tables,
            _ => true,
        };
        assert!(fits, "{} {x} {y}", opcode.name);
        match number as u8 {
            more::TABLE_GROW => (2, 1),
            more::TABLE_FILL => (3, 0),
            _ => effect(opcode.effect),
        }
    } else {
        let fits = match byte {
            op::LOCAL_GET | op::LOCAL_SET | op::LOCAL_TEE => (x as usize) < locals,
            op::GLOBAL_GET | op::GLOBAL_SET => x < summary.globals.count,
            op::TABLE_GET | op::TABLE_SET => x < tables,
            op::CALL | op::REF_FUNC => x < module.functions(),
            op::CALL_INDIRECT => x < summary.types.count && y < tables,
            _ => true,
        };
        assert!(fits, "{} {x} {y}", opcode.name);
        match byte {
            op::IF | op::BR_IF | op::BR_TABLE | op::DROP | op::LOCAL_SET | op::GLOBAL_SET => (1, 0),
            op::LOCAL_TEE | op::TABLE_GET | op::REF_IS_NULL => (1, 1),
            op::LOCAL_GET | op::GLOBAL_GET | op::REF_NULL | op::REF_FUNC => (0, 1),
            op::TABLE_SET => (2, 0),
            op::SELECT | op::SELECT_T => (3, 1),
            op::RETURN => (results, 0),
            op::END if at.code == end => (results, 0),
            op::CALL => module.func_type(x).map_or((0, 0), counts),
            op::CALL_INDIRECT => {
                let (taken, given) = counts(module.ty(x));
                (taken + 1, given)
            }
            _ => effect(opcode.effect),
        }
    };
    assert!(operands >= taken, "{} of {operands} operands", opcode.name);
    assert!(
        given <= taken + room / size,
        "{} has no room for its results",
        opcode.name
    );

    // A branch: its entry (or all of a table's) and where it leads.
    let entries = match byte {
        op::IF | op::ELSE | op::BR | op::BR_IF => 1,
        op::BR_TABLE => x as usize + 1,
        _ => 0,
    };
    for entry in (at.table..).step_by(Branch::BYTES as usize).take(entries) {
        assert!(
            entry + Branch::BYTES as usize <= module.table.len() * 4,
            "a branch's entry"
        );
        let branch: Branch = module.entry(entry as u32);
        let target = (at.code + 1).wrapping_add_signed(branch.distance as isize);
        assert!((start..=end).contains(&target), "a branch to {target}");
        let then = entry.wrapping_add_signed(branch.then() as isize);
        assert!(branches.contains(&then), "branches from {then}");
        let moved = usize::from(branch.kept) + usize::from(branch.dropped);
        assert!(moved + taken <= operands, "a branch's operands");
    }

    if byte == op::RETURN || byte == op::END && at.code == end {
        verify_return(m, module, at, is_function);
    }
}

/// A return: to the embedder, or into the caller's code.
fn verify_return(m: &State, module: &Module<'_>, at: &Position, is_function: impl Fn(u32) -> bool) {
    let frame = m.frame(module, m.frames);
    if frame.function == NOBODY {
        return;
    }
    assert!(is_function(frame.function), "the caller");
    let caller = module.record(frame.function);
    let code = caller.code..caller.end;
    assert!(code.contains(&frame.code), "a return to {}", frame.code);
    assert!(
        m.frames + 2 * FRAME_RECORD <= m.layout.stack_end,
        "the caller's record"
    );
    assert!(
        frame.frame >= m.layout.stack && frame.frame as usize <= at.fp,
        "the caller's frame"
    );
}

/// Operands and results of an effect of the table.
fn effect(effect: &str) -> (usize, usize) {
    effect
        .split_once(':')
        .map_or((0, 0), |(taken, given)| (taken.len(), given.len()))
}

#[cfg(test)]
#[expect(unsafe_code, reason = "a region of words as bytes")]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]
mod tests {
    extern crate std;
    use crate::sidetable::Record;
    use crate::{Instance, Module, Options, PageSizes, Scratch, validate};
    use core::mem::offset_of;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::string::String;
    use std::{vec, vec::Vec};

    /// `(func (export "f") (param i32) (result i32) block local.get 0 br_if 0 end local.get 0 call 1)`, and a function that
    /// adds 1; their instructions are the bytes from 33 and from 52 on.
    const MODULE: [u8; 60] = [
        0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, // magic and version
        1, 6, 1, 0x60, 1, 0x7f, 1, 0x7f, // a type
        3, 3, 2, 0, 0, // two functions
        7, 5, 1, 1, 0x66, 0, 0, // an export
        10, 30, 2, // code
        18, 0, 2, 0x40, 0x20, 0, 0x0d, 0, 0x0b, 0x20, 0, 0x10, 1, 1, 1, 1, 1, 1, 0x0b, //
        9, 0, 0x20, 0, 0x41, 1, 0x6a, 1, 1, 0x0b,
    ];

    type Change = fn(&mut [u8], &mut [u32], &crate::Summary);

    /// Runs it with a change of the code or the table that validation never saw: what the checks say.
    fn run(change: impl FnOnce(&mut [u8], &mut [u32], &crate::Summary)) -> Result<(), String> {
        let mut table = vec![0u32; 64];
        let mut scratch = Scratch::<256, 8, 8>::new();
        let summary = validate(&MODULE, &mut table[..], &mut scratch, PageSizes::Any).unwrap();
        let mut bytes = Vec::from(MODULE);
        change(&mut bytes, &mut table, &summary);
        let module = Module {
            bytes: &bytes,
            table: &table,
            summary,
        };
        let options = Options::default();
        let mut region = vec![0u64; (module.footprint(&options).total / 8) as usize];
        // SAFETY: any bytes of the words may be seen as bytes.
        let (_, view, _) = unsafe { region.align_to_mut::<u8>() };
        let mut instance = Instance::new(module, view, &options).unwrap();
        let mut fuel = 10_000;
        catch_unwind(AssertUnwindSafe(|| {
            instance.run(&mut fuel);
            instance.call(0, &[crate::Value::I32(5)]).unwrap();
            instance.run(&mut fuel);
        }))
        .map_err(|panic| {
            panic
                .downcast_ref::<String>()
                .cloned()
                .unwrap_or_else(|| String::from(*panic.downcast_ref::<&str>().unwrap()))
        })
    }

    fn word(summary: &crate::Summary, function: usize, field: usize) -> usize {
        (summary.records.entry::<6>(function as u32) as usize + field) / 4
    }

    #[test]
    fn what_was_validated_passes() {
        assert_eq!(run(|_, _, _| {}), Ok(()));
    }

    #[test]
    fn each_misplaced_trust_is_found() {
        let cases: [(&str, Change); 9] = [
            ("local.get 9", |bytes, _, _| bytes[36] = 9),
            ("call 9", |bytes, _, _| bytes[43] = 9),
            ("a branch to", |_, table, s| {
                let entry = table[word(s, 0, offset_of!(Record, branch))] as usize / 4;
                table[entry] = 1000;
            }),
            ("a branch's operands", |_, table, s| {
                let entry = table[word(s, 0, offset_of!(Record, branch))] as usize / 4;
                table[entry + 2] = 7 << 16;
            }),
            ("operands", |bytes, _, _| bytes[40] = 0x1a),
            ("no room for its results", |_, table, s| {
                table[word(s, 1, offset_of!(Record, slots))] -= 2;
            }),
            ("code 52", |_, table, s| {
                table[word(s, 1, offset_of!(Record, end))] = 52
            }),
            ("an opcode of the table", |bytes, _, _| bytes[56] = 0xff),
            ("whole immediates", |_, table, s| {
                table[word(s, 1, offset_of!(Record, end))] = 53
            }),
        ];
        for (expected, change) in cases {
            let found = run(change).unwrap_err();
            assert!(found.contains(expected), "{expected}: {found}");
        }
    }
}
