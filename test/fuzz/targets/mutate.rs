//! How an input is changed: as libFuzzer does it, and in ways that leave more modules whole.
use wasm_encoder::Encode;
use wasmote_engine::Opcode;
use wasmparser::BinaryReader;

/// Changes `data[..size]` in place to at most `most` bytes; how, is the seed's. Returns the new size.
pub fn mutate(data: &mut [u8], size: usize, most: usize, seed: u32) -> usize {
    let old = data.get(..size).unwrap_or_default();
    let seed = u64::from(seed);
    let changed = match seed % 16 {
        0..=4 => None,
        5..=9 => part(old, seed / 16, most),
        10..=13 => alike(old, seed / 16),
        _ => wasmote_fuzz::random_module(wasmote_fuzz::imports(seed), seed),
    };
    match changed {
        Some(changed) if changed.len() <= most && changed != old => {
            data[..changed.len()].copy_from_slice(&changed);
            changed.len()
        }
        _ => libfuzzer_sys::fuzzer_mutate(data, size, most),
    }
}

/// The parts of a module as (identifier, content).
fn sections(bytes: &[u8]) -> Option<Vec<(u8, Vec<u8>)>> {
    let mut r = BinaryReader::new(bytes.get(8..)?, 8);
    let mut all = Vec::new();
    while !r.eof() {
        let id = r.read_u8().ok()?;
        let length = r.read_var_u32().ok()?;
        all.push((id, r.read_bytes(length as usize).ok()?.to_vec()));
    }
    Some(all)
}

/// Lets libFuzzer change the content of one section, or one function of the code section, and sets the lengths right.
fn part(bytes: &[u8], seed: u64, most: usize) -> Option<Vec<u8>> {
    let mut all = sections(bytes)?;
    let count = all.len().max(1);
    let (id, content) = all.get_mut(seed as usize % count)?;
    if *id == 10 && !(seed / 8).is_multiple_of(8) {
        let mut r = BinaryReader::new(content, 0);
        let count = r.read_var_u32().ok()?;
        let mut bodies = Vec::new();
        for _ in 0..count {
            let length = r.read_var_u32().ok()?;
            bodies.push(r.read_bytes(length as usize).ok()?.to_vec());
        }
        let picked = (seed / 64) as usize % bodies.len().max(1);
        change(bodies.get_mut(picked)?, most);
        let mut new = Vec::new();
        count.encode(&mut new);
        for body in bodies {
            body.encode(&mut new);
        }
        *content = new;
    } else {
        change(content, most);
    }
    let mut new = bytes.get(..8)?.to_vec();
    for (id, content) in all {
        new.push(id);
        content.encode(&mut new);
    }
    Some(new)
}

fn change(part: &mut Vec<u8>, most: usize) {
    let size = part.len();
    part.resize(most.max(size), 0);
    let new = libfuzzer_sys::fuzzer_mutate(part, size, most);
    part.truncate(new);
}

/// Puts another instruction of the same effect in the place of one, which leaves a good module good.
fn alike(bytes: &[u8], seed: u64) -> Option<Vec<u8>> {
    let effect = |byte: u8| Opcode::find(byte, 0).map_or("", |opcode| opcode.effect);
    let places: Vec<usize> = (8..bytes.len())
        .filter(|at| effect(bytes[*at]).len() > 2)
        .collect();
    let mut new = bytes.to_vec();
    let at = *places.get(seed as usize % places.len().max(1))?;
    let same: Vec<u8> = (0..0xfc)
        .filter(|byte| effect(*byte) == effect(bytes[at]))
        .collect();
    new[at] = same[(seed >> 16) as usize % same.len()];
    Some(new)
}
