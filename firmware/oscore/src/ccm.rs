//! AES-CCM-16-64-128: AES-128 in CCM with a nonce of 13 bytes and a tag of 8 (RFC 3610 with L = 2 and M = 8; RFC 9053 §4.2).
//!
//! CCM needs two encryptions for each block, one for the tag and one for the key stream, and the cipher does two at a time for
//! the price of one: a pass here does a step of both. Whether the tag is right changes neither what is done nor for how long.
use aes::Aes128;
use aes::cipher::consts::U16;
use aes::cipher::{
    Block, BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser,
    KeyInit, ParBlocks,
};
use core::hint::black_box;

/// Bytes of a tag.
pub const TAG: usize = 8;
/// Bytes of a nonce.
pub const NONCE: usize = 13;
/// Bytes of a block.
const BLOCK: usize = 16;

/// Flags of the first block (RFC 3610 §2.2): there is additional data, the tag has 8 bytes, the length 2.
const FIRST: u8 = 0x40 | ((TAG as u8 - 2) / 2) << 3 | LENGTH;
/// Flags of a counter block (RFC 3610 §2.3).
const COUNTER: u8 = LENGTH;
/// Bytes of the length, less one.
const LENGTH: u8 = 1;

/// One message on its way through the cipher.
struct Message<'m> {
    nonce: &'m [u8; NONCE],
    /// With its own length in front.
    aad: &'m [u8],
    text: &'m mut [u8],
    /// Whether the text is ciphertext.
    opens: bool,
    tag: &'m mut [u8; TAG],
}

impl Message<'_> {
    /// Flags, nonce, and a number of two bytes.
    fn block(&self, flags: u8, number: usize) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        let [high, low] = (number as u16).to_be_bytes();
        let bytes = [flags].into_iter().chain(*self.nonce).chain([high, low]);
        for (to, from) in block.iter_mut().zip(bytes) {
            *to = from;
        }
        block
    }
}

impl BlockSizeUser for Message<'_> {
    type BlockSize = U16;
}

impl BlockCipherEncClosure for Message<'_> {
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        let mut lanes = Lanes {
            backend,
            counter: self.block(COUNTER, 0),
            mac: self.block(FIRST, self.text.len()).into(),
            stream: Block::<B>::default(),
        };
        lanes.pass(0);
        let mask = lanes.stream;
        // The key stream of a block is made one pass before the block.
        for part in self.aad.chunks(BLOCK) {
            for (mac, byte) in lanes.mac.iter_mut().zip(part) {
                *mac ^= byte;
            }
            lanes.pass(1);
        }
        let opens = if self.opens { 0xff } else { 0 };
        let mut number = 1;
        for part in self.text.chunks_mut(BLOCK) {
            number += 1;
            let keys = lanes.mac.iter_mut().zip(&lanes.stream);
            for (byte, (mac, key)) in part.iter_mut().zip(keys) {
                // The tag is over the plaintext.
                *mac ^= *byte ^ key & opens;
                *byte ^= key;
            }
            lanes.pass(number);
        }
        let tag = lanes.mac.iter().zip(&mask);
        for (to, (mac, mask)) in self.tag.iter_mut().zip(tag) {
            *to = mac ^ mask;
        }
    }
}

/// Two blocks that are encrypted together: the tag's, and a counter block, of which key stream comes.
struct Lanes<'b, B: BlockSizeUser<BlockSize = U16>> {
    backend: &'b B,
    counter: [u8; BLOCK],
    mac: Block<B>,
    stream: Block<B>,
}

impl<B: BlockCipherEncBackend<BlockSize = U16>> Lanes<'_, B> {
    /// Encrypts what the tag is made of, and the counter block of this number.
    fn pass(&mut self, number: u16) {
        let [.., high, low] = &mut self.counter;
        [*high, *low] = number.to_be_bytes();
        self.stream = self.counter.into();
        let mut both = ParBlocks::<B>::default();
        if let [one, two, ..] = both.as_mut_slice() {
            *one = self.mac;
            *two = self.stream;
            self.backend.encrypt_par_blocks_inplace(&mut both);
            if let [one, two, ..] = both.as_slice() {
                self.mac = *one;
                self.stream = *two;
            }
        } else {
            self.backend.encrypt_block_inplace(&mut self.mac);
            self.backend.encrypt_block_inplace(&mut self.stream);
        }
    }
}

/// Encrypts or decrypts in place; the tag that belongs to it.
#[inline(never)]
fn run(key: &[u8; 16], nonce: &[u8; NONCE], aad: &[u8], text: &mut [u8], opens: bool) -> [u8; TAG] {
    let mut tag = [0; TAG];
    Aes128::new(key.into()).encrypt_with_backend(Message {
        nonce,
        aad,
        text,
        opens,
        tag: &mut tag,
    });
    tag
}

/// Encrypts in place; the tag. The additional data has its own length of two bytes in front (RFC 3610 §2.2).
pub fn seal(key: &[u8; 16], nonce: &[u8; NONCE], aad: &[u8], text: &mut [u8]) -> [u8; TAG] {
    run(key, nonce, aad, text, false)
}

/// Decrypts in place; whether the tag is right. Where it is not, the text is wiped.
#[must_use]
pub fn open(
    key: &[u8; 16],
    nonce: &[u8; NONCE],
    aad: &[u8],
    text: &mut [u8],
    tag: &[u8; TAG],
) -> bool {
    let expected = run(key, nonce, aad, text, true);
    // Compared twice, and either comparison suffices: if a glitch skips one instruction, no forgery passes
    // (`test/node/skip.test.ts`).
    let wrong = difference(tag, &expected);
    // 0xff where there is no difference, else 0.
    let mask = (u32::from(wrong).wrapping_sub(1) >> 8) as u8;
    for byte in text.iter_mut() {
        *byte &= mask;
    }
    (black_box(wrong) | difference(black_box(tag), black_box(&expected))) == 0
}

/// Whether two tags are the same, in a time that does not depend on it; compared twice, as [`open`] does.
#[must_use]
pub fn same(one: &[u8; TAG], other: &[u8; TAG]) -> bool {
    (black_box(difference(one, other)) | difference(black_box(one), black_box(other))) == 0
}

/// What differs between two tags, in a time that does not depend on it.
#[inline(never)]
fn difference(one: &[u8; TAG], other: &[u8; TAG]) -> u8 {
    let pairs = one.iter().zip(other);
    pairs.fold(0, |all, (a, b)| black_box(all | (a ^ b)))
}
