//! What validation costs on the emulated chip as a module grows, in shapes that are cheap to write and dear to check: a
//! module of twice the size may take twice the instructions, and no more.
use crate::target::Target;
use wasmote_machine::{Command, Settings, Status, encode_command};

/// Instructions for each tick of the emulated board's 25 MHz clock, when an instruction takes 1 ns.
const PER_TICK: u64 = 40;

fn leb(mut value: usize) -> Vec<u8> {
    let mut out = Vec::new();
    while value > 0x7f {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

/// A length or count, and what it is of.
fn counted(count: usize, content: &[u8]) -> Vec<u8> {
    [leb(count), content.to_vec()].concat()
}

fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [vec![id], counted(content.len(), content)].concat()
}

fn vector(items: &[Vec<u8>]) -> Vec<u8> {
    counted(items.len(), &items.concat())
}

fn module(sections: &[Vec<u8>]) -> Vec<u8> {
    [b"\0asm\x01\0\0\0".to_vec(), sections.concat()].concat()
}

fn body(locals: &[u8], code: &[u8]) -> Vec<u8> {
    let content = [locals, code, &[0x0b]].concat();
    counted(content.len(), &content)
}

/// A type with this many i32 parameters and results.
fn ty(parameters: usize, results: usize) -> Vec<u8> {
    let list = |n: usize| counted(n, &vec![0x7f; n]);
    [vec![0x60], list(parameters), list(results)].concat()
}

/// Functions of type 0 with these bodies, no locals in any.
fn functions(types: &[Vec<u8>], codes: &[Vec<u8>]) -> Vec<u8> {
    let bodies: Vec<_> = codes.iter().map(|code| body(&[0], code)).collect();
    module(&[
        section(1, &vector(types)),
        section(3, &vector(&vec![vec![0]; codes.len()])),
        section(10, &vector(&bodies)),
    ])
}

fn exports(names: &[Vec<u8>]) -> Vec<u8> {
    let one = |name: &Vec<u8>| [counted(name.len(), name), vec![0, 0]].concat();
    module(&[
        section(1, &vector(&[ty(0, 0)])),
        section(3, &vector(&[vec![0]])),
        section(7, &vector(&names.iter().map(one).collect::<Vec<_>>())),
        section(10, &vector(&[body(&[0], &[])])),
    ])
}

/// A shape: what grows, and a module with so many of it.
type Shape = (&'static str, fn(usize) -> Vec<u8>);

const SHAPES: [Shape; 18] = [
    ("empty functions", |n| {
        functions(&[ty(0, 0)], &vec![vec![]; n])
    }),
    ("functions that each call the next one twice", |n| {
        let call = |i: usize| [vec![0x10], leb((i + 1).min(n - 1))].concat();
        let mut codes: Vec<_> = (0..n).map(|i| call(i).repeat(2)).collect();
        codes[n - 1].clear();
        functions(&[ty(0, 0)], &codes)
    }),
    ("blocks nested a thousand deep", |n| {
        let nest = [[0x02, 0x40].repeat(1000), vec![0x0b; 1000]].concat();
        functions(&[ty(0, 0)], &vec![nest; n / 512])
    }),
    ("branches out of a thousand blocks", |n| {
        let inside = [vec![0x41, 0, 0x0d], leb(999)].concat().repeat(10);
        let nest = [[0x02, 0x40].repeat(1000), inside, vec![0x0b; 1000]].concat();
        functions(&[ty(0, 0)], &vec![nest; n / 512])
    }),
    ("pending branches", |n| {
        let code = [vec![0x02, 0x40], [0x41, 0, 0x0d, 0].repeat(n), vec![0x0b]].concat();
        functions(&[ty(0, 0)], &[code])
    }),
    ("labels of a br_table", |n| {
        let code = [
            vec![0x03, 0x40, 0x41, 0, 0x0e],
            counted(4 * n, &vec![0; 4 * n + 1]),
            vec![0x0b],
        ]
        .concat();
        functions(&[ty(0, 0)], &[code])
    }),
    ("labels that each carry a thousand types", |n| {
        let code = [vec![0x00, 0x0e], counted(4 * n, &vec![0; 4 * n + 1])].concat();
        functions(&[ty(0, 1000)], &[code])
    }),
    ("calls that each carry a thousand types", |n| {
        let code = [vec![0x00], [0x10, 0].repeat(n)].concat();
        functions(&[ty(1000, 1000)], &[code])
    }),
    ("calls that each carry sixteen types", |n| {
        let code = [[0x41, 0].repeat(8), [0x10, 0].repeat(n), vec![0x1a; 8]].concat();
        let bodies = [body(&[0], &[0x20, 0].repeat(8)), body(&[0], &code)];
        module(&[
            section(1, &vector(&[ty(8, 8), ty(0, 0)])),
            section(3, &vector(&[vec![0], vec![1]])),
            section(10, &vector(&bodies)),
        ])
    }),
    ("blocks that each carry a thousand types", |n| {
        let code = [vec![0x00], [0x02, 0, 0x00, 0x0b].repeat(n)].concat();
        functions(&[ty(1000, 1000)], &[code])
    }),
    ("indirect calls with a thousand types", |n| {
        let code = [vec![0x00], [0x11, 0, 0].repeat(n)].concat();
        module(&[
            section(1, &vector(&[ty(1000, 1000)])),
            section(3, &vector(&[vec![0]])),
            section(4, &vector(&[vec![0x70, 0, 0]])),
            section(10, &vector(&[body(&[0], &code)])),
        ])
    }),
    ("functions with 50,000 locals each", |n| {
        let one = body(&[&[1][..], &leb(50_000), &[0x7f]].concat(), &[]);
        module(&[
            section(1, &vector(&[ty(0, 0)])),
            section(3, &vector(&vec![vec![0]; n])),
            section(10, &vector(&vec![one; n])),
        ])
    }),
    ("locals declared one by one", |n| {
        let one = body(&counted(n, &[1, 0x7f].repeat(n)), &[]);
        module(&[
            section(1, &vector(&[ty(0, 0)])),
            section(3, &vector(&[vec![0]])),
            section(10, &vector(&[one])),
        ])
    }),
    ("exports with short names", |n| {
        exports(
            &(0..n)
                .map(|i| i.to_string().into_bytes())
                .collect::<Vec<_>>(),
        )
    }),
    ("exports with long names, alike but for their ends", |n| {
        let name = |i: usize| format!("{}{i:06}", "x".repeat(200)).into_bytes();
        exports(&(0..n / 8).map(name).collect::<Vec<_>>())
    }),
    ("globals", |n| {
        module(&[section(6, &vector(&vec![vec![0x7f, 1, 0x41, 0, 0x0b]; n]))])
    }),
    ("data segments", |n| {
        module(&[
            section(5, &vector(&[vec![0, 0]])),
            section(11, &vector(&vec![vec![0, 0x41, 0, 0x0b, 0]; n])),
        ])
    }),
    ("table.init of element segments", |n| {
        let each = |i: usize| [vec![0x41, 0, 0x41, 0, 0x41, 0, 0xfc, 12], leb(i), vec![0]].concat();
        module(&[
            section(1, &vector(&[ty(0, 0)])),
            section(3, &vector(&[vec![0]])),
            section(4, &vector(&[vec![0x70, 0, 0]])),
            section(9, &vector(&vec![vec![0, 0x41, 0, 0x0b, 0]; n])),
            section(
                10,
                &vector(&[body(&[0], &(0..n).flat_map(each).collect::<Vec<_>>())]),
            ),
        ])
    }),
];

/// How many of each shape's thing: the smallest is large enough that what every module costs does not matter.
const SIZES: [usize; 3] = [2048, 4096, 8192];

pub(crate) fn measure(target: Target, json: bool) -> Result<bool, String> {
    let settings = Settings {
        slice: u64::MAX,
        fuel: u64::MAX,
        pages: 0,
        entries: 0,
        stack: 0,
        strict: true,
        compiled: false,
    };
    let mut lines = Vec::new();
    for (name, make) in SHAPES {
        let mut facts = Vec::new();
        for size in SIZES {
            // A run for each size: a module and its table stay for as long as the machine does.
            let module = make(size);
            let bytes = module.len();
            let script = [
                settings.encode(),
                encode_command(&Command::Validate(module)),
            ]
            .concat();
            let outcomes = target.execute("growth", &script)?;
            let Some(outcome) = outcomes.first() else {
                return Err(format!("{name} {size}: no outcome"));
            };
            if !matches!(outcome.status, Status::Ok | Status::Unsupported) {
                return Err(format!("{name} {size}: {outcome:?}"));
            }
            facts.push((
                bytes,
                u64::from(outcome.time) * PER_TICK,
                outcome.text.clone(),
            ));
        }
        lines.push(if json {
            let list: Vec<_> = facts
                .iter()
                .map(|(bytes, instructions, refused)| {
                    format!("{{\"bytes\":{bytes},\"instructions\":{instructions},\"refused\":\"{refused}\"}}")
                })
                .collect();
            format!("{{\"shape\":\"{name}\",\"sizes\":[{}]}}", list.join(","))
        } else {
            let list: Vec<_> = facts
                .iter()
                .map(|(bytes, instructions, refused)| {
                    let each = *instructions as f64 / *bytes as f64;
                    format!("{each:.0} for each of {bytes} bytes{}{refused}", if refused.is_empty() { "" } else { ", refused: " })
                })
                .collect();
            format!("{name}: {}", list.join("; "))
        });
    }
    println!(
        "{}",
        if json {
            format!("[{}]", lines.join(","))
        } else {
            lines.join("\n")
        }
    );
    Ok(true)
}
