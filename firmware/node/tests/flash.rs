//! Flash that says what no node ever wrote, with checksums that are right: an older or later firmware's, a copy put together from
//! several, somebody's with a programmer. A node starts from it, answers, and takes a package if it can; it never falls over.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
mod rig;

use embedded_storage::nor_flash::NorFlash;
use rig::{EVEN, Memory, Rig, UNEVEN, tell, vectors};
use wasmote_coap::{Code, format};
use wasmote_node::slot::{Flash, PACKAGE, SLOTS, checksum};

struct Random(u32);

impl Random {
    fn next(&mut self) -> u32 {
        // xorshift32
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0
    }

    fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.next() as usize % all.len()]
    }

    /// A number at some edge, or any.
    fn number(&mut self, size: u32) -> u32 {
        let room = 0x2000 - PACKAGE;
        let any = self.next();
        self.pick(&[
            0,
            1,
            2,
            7,
            size,
            size + 1,
            room - 4,
            room,
            room + 1,
            1 << 16,
            i32::MAX as u32,
            u32::MAX - 3,
            u32::MAX - 1,
            u32::MAX,
            any,
        ])
    }
}

/// A cell with its content, as a journal has them.
fn cell(random: &mut Random, kind: u8, package: &[u8]) -> Vec<u8> {
    let size = package.len() as u32;
    let more = random.pick(&[0, 0, 0, 1, 2, 5, 11]);
    let mut bytes = vec![kind, more];
    let small = random.number(size) as u16;
    bytes.extend_from_slice(&small.to_le_bytes());
    for _ in 0..2 {
        bytes.extend_from_slice(&random.number(size).to_le_bytes());
    }
    let mut content = vec![];
    for _ in 0..more {
        content.push(0xf0);
        let byte = random.next() as u8;
        content.extend((0..15).map(|i| byte.wrapping_mul(i)));
    }
    bytes.extend_from_slice(&checksum(&[&bytes, &content]).to_le_bytes());
    bytes.extend_from_slice(&content);
    bytes
}

/// A slot: a header, a journal and a package, or none of these.
fn slot(random: &mut Random, package: &[u8], length: u32) -> Vec<u8> {
    let mut header = b"WMS".to_vec();
    header.push(random.pick(b"2222221"));
    let (epoch, erased) = (random.next() % 5 + 1, random.next() % 5);
    let epoch = random.pick(&[epoch, epoch, epoch, u32::MAX]);
    header.extend_from_slice(&epoch.to_le_bytes());
    header.extend_from_slice(&erased.to_le_bytes());
    header.extend_from_slice(&checksum(&[&header]).to_le_bytes());
    let mut bytes = header.repeat(if header[3] == b'2' { 3 } else { 1 });
    // Mostly the way of a package, so that it is what runs; then anything.
    if !random.next().is_multiple_of(4) {
        for kind in [1, 2, 3, 4] {
            bytes.extend(cell(random, kind, package));
        }
    }
    for _ in 0..random.next() % 12 {
        let kind = random.pick(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0x80, 0xef]);
        bytes.extend(cell(random, kind, package));
    }
    bytes.truncate(PACKAGE as usize);
    bytes.resize(PACKAGE as usize, 0xff);
    bytes.extend_from_slice(package);
    let full = random.next().is_multiple_of(8);
    while full && bytes.len() < length as usize - 256 {
        bytes.extend(cell(random, 12, package));
    }
    bytes.resize(bytes.len().next_multiple_of(4), 0xff);
    bytes
}

/// A node that a package ran on, and another above it; and in each journal more cells than it ever wrote.
fn written_on(random: &mut Random, package: &[u8]) -> Memory {
    let v = vectors();
    let memory = Memory::with(random.pick(&[&EVEN, &UNEVEN]));
    let mut node = Rig::boot(&memory, &v.keys[..1]);
    for name in ["good", "good, and counts"] {
        node.push(v.named(name));
        node.feed(20);
    }
    for index in 0..SLOTS {
        let (base, _) = memory.place(index);
        let journal = memory.mapped(base, PACKAGE);
        let end = journal
            .iter()
            .rposition(|b| *b != 0xff)
            .map_or(0, |at| at + 1);
        let mut end = base + end.next_multiple_of(16) as u32;
        for _ in 0..random.next() % 6 {
            let kind = random.pick(&[1, 2, 7, 8, 9, 11, 12, 13, 14]);
            let bytes = cell(random, kind, package);
            if end > base && end + bytes.len() as u32 <= base + PACKAGE {
                NorFlash::write(&mut memory.clone(), end, &bytes).unwrap();
                end += bytes.len() as u32;
            }
        }
    }
    memory
}

/// Slots of cells that nobody ever wrote in this order.
fn made_up(random: &mut Random, package: &[u8]) -> Memory {
    let memory = Memory::with(random.pick(&[&EVEN, &UNEVEN]));
    for index in 0..SLOTS {
        if random.next().is_multiple_of(5) {
            continue;
        }
        let (base, length) = memory.place(index);
        let bytes = slot(random, package, length);
        for (part, chunk) in bytes.chunks(256).enumerate() {
            NorFlash::write(&mut memory.clone(), base + 256 * part as u32, chunk).unwrap();
        }
    }
    memory
}

#[test]
fn whatever_flash_says_a_node_starts_from_it_and_answers() {
    let v = vectors();
    let package = v.named("good");
    let mut random = Random(0x0ddf_1a54);
    let (mut running, mut taken) = (0, 0);
    for round in 0..300 {
        let memory = if round % 3 == 0 {
            made_up(&mut random, package)
        } else {
            written_on(&mut random, package)
        };
        for _ in 0..2 {
            let mut node = Rig::boot(&memory, &v.keys[..1]);
            node.feed(3);
            for path in ["node", "app", "stats", "log", "app/staged"] {
                let (code, _) = node.get(path, format::JSON, "");
                assert!(code.class() != 5, "{round}: {path} {code:?}");
            }
            running += u32::from(node.sequence() > 0);
            node.request(Code::PUT, "app/params/limit", &[], b"250");
            let (code, _) = node.push(v.named("good, and counts on"));
            taken += u32::from(code == Code::CHANGED);
            node.feed(20);
            node.request(Code::POST, "app/rollback", &[], b"");
            node.request(Code::DELETE, "app", &[], b"");
        }
    }
    tell(format_args!(
        "{running} times something ran, {taken} packages were taken"
    ));
    assert!(running > 50 && taken > 20, "{running} {taken}");
}
