//! OSCORE (RFC 8613) for a server: a stage between datagrams and `wasmote-coap`, so that the latter stays free of keys.
//! Without heap, clock, or input and output of its own: the sequence numbers that must survive a reset are kept by whoever
//! owns the journal, and reserved ahead (RFC 8613 §B.1.1).
//!
//! | file | what is in it |
//! | --- | --- |
//! | `option` | the compressed COSE object in the OSCORE option (§6.1) |
//! | `context` | a security context: keys derived from a shared secret (§3.2), nonces (§5.2), additional data (§5.4) |
//! | `ccm`, `kdf` | the cipher (RFC 3610), and how keys are derived (RFC 5869), over the field's AES and SHA-256 |
//! | `window` | which sequence numbers of the other end were seen (§7.4) |
//! | `spare` | how much is decrypted for those who have not shown that they have keys |
//! | `sequence` | which sequence numbers of our own may be used (§7.2.1, §B.1.1) |
//! | `stage` | the table of contexts before the server (§8.2, §8.3, §B.1.2) |
//!
//! `wasmote-edhoc` takes the cipher and the derivation of keys from here.
//!
//! Algorithms: AES-CCM-16-64-128 (COSE 10) and HKDF with SHA-256, those that every implementation has (RFC 8613 §3.2).
#![no_std]
#![forbid(unsafe_code)]

pub mod ccm;
pub mod context;
pub mod kdf;
pub mod option;
pub mod sequence;
mod spare;
pub mod stage;
pub mod window;

pub use context::{Context, Id, Material, TAG};
pub use option::Compressed;
pub use sequence::Sequence;
pub use stage::{Binding, CONTEXTS, Counters, Entry, Stage};
pub use window::Window;
