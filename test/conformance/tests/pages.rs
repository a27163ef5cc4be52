//! A memory is imported with the size of its pages, whatever that is: the official suite shows this with two memories in one
//! module only, which are not in 2.0.
use wasmote_machine::{Command, Settings, Status, decode_outcomes, encode_command, execute};

const SETTINGS: Settings = Settings {
    slice: u64::MAX,
    fuel: 1 << 20,
    pages: 4,
    entries: 0,
    stack: 4096,
    strict: false,
    compiled: false,
};

/// A module with one memory of one page, exported, or imported from `m`.
fn module(page_log2: u8, imported: bool) -> Vec<u8> {
    // Flags: with a page size.
    let memory = [8, 1, page_log2];
    let (id, content) = if imported {
        (2, [&[1, 1, b'm', 1, b'a', 2][..], &memory].concat())
    } else {
        (5, [&[1][..], &memory].concat())
    };
    let mut bytes = b"\0asm\x01\0\0\0".to_vec();
    bytes.extend([id, content.len() as u8]);
    bytes.extend(content);
    if !imported {
        bytes.extend([7, 5, 1, 1, b'a', 2, 0]);
    }
    bytes
}

#[test]
fn a_memory_is_imported_only_with_the_size_of_its_pages() {
    for own in 0..=16 {
        for wanted in 0..=16 {
            let commands = [
                Command::Instantiate("m".into(), module(own, false)),
                Command::Register("m".into(), "m".into()),
                Command::Instantiate(String::new(), module(wanted, true)),
            ];
            let mut script = SETTINGS.encode();
            commands
                .iter()
                .for_each(|command| script.extend(encode_command(command)));
            let mut answer = Vec::new();
            execute(&script, &mut || 0, &mut |bytes| {
                answer.extend_from_slice(bytes)
            });
            let found: Vec<_> = decode_outcomes(&answer)
                .into_iter()
                .map(|outcome| (outcome.status, outcome.text))
                .collect();
            let expected = if own == wanted {
                (Status::Ok, String::new())
            } else {
                (Status::Unlinkable, "incompatible import type".into())
            };
            let ok = || (Status::Ok, String::new());
            assert_eq!(
                found,
                [ok(), ok(), expected],
                "2^{own} wanted as 2^{wanted}"
            );
        }
    }
}
