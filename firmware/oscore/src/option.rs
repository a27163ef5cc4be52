//! The OSCORE option: a compressed COSE object (RFC 8613 §6.1).
//!
//! ```text
//!  0 1 2 3 4 5 6 7 <---- n bytes ----> <- 1 byte -> <----- s bytes ------> <------ rest ------>
//! +-+-+-+-+-+-+-+-+--------------------+------------+----------------------+-------------------+
//! |0 0 0|h|k|  n  | Partial IV (if any)| s (if h)   | kid context (if h)   | kid (if k)        |
//! +-+-+-+-+-+-+-+-+--------------------+------------+----------------------+-------------------+
//! ```

/// The longest Partial IV, in bytes: sequence numbers are below 2^40.
pub const PIV: usize = 5;
/// The longest value that this crate writes: flags, Partial IV, kid context with its length, kid.
pub const LONGEST: usize = 24;

const CONTEXT: u8 = 0x10;
const KID: u8 = 0x08;
const RESERVED: u8 = 0xe0;

/// The value of an OSCORE option, taken apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compressed<'a> {
    /// The Partial IV: the sender's sequence number in as few bytes as hold it, 0 in one; empty if there is none.
    pub piv: &'a [u8],
    /// The kid context, which names the secret that keys were derived from.
    pub kid_context: Option<&'a [u8]>,
    /// The kid: the sender's ID, which may be empty.
    pub kid: Option<&'a [u8]>,
}

impl<'a> Compressed<'a> {
    /// Takes a value apart; `None` when it is malformed: reserved bits or lengths, a Partial IV with a leading zero, bytes
    /// that are missing or left over (RFC 8613 §8.2, step 2).
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let Some((flags, rest)) = value.split_first() else {
            return Some(Self::default());
        };
        let length = usize::from(flags & 0x07);
        // RFC 8613 §6.1: a value of only flags, all of them 0, is sent as the empty value.
        if flags & RESERVED != 0 || length > PIV || *flags == 0 {
            return None;
        }
        let (piv, mut rest) = rest.split_at_checked(length)?;
        let minimal = piv.len() < 2 || piv.first() != Some(&0);
        let mut kid_context = None;
        if flags & CONTEXT != 0 {
            let (length, behind) = rest.split_first()?;
            let (context, behind) = behind.split_at_checked(usize::from(*length))?;
            kid_context = Some(context);
            rest = behind;
        }
        let kid = (flags & KID != 0).then_some(rest);
        let whole = kid.is_some() || rest.is_empty();
        (minimal && whole).then_some(Self {
            piv,
            kid_context,
            kid,
        })
    }

    /// The sequence number in the Partial IV.
    pub fn number(&self) -> Option<u64> {
        let big_endian = |number, byte: &u8| number << 8 | u64::from(*byte);
        (!self.piv.is_empty()).then(|| self.piv.iter().fold(0, big_endian))
    }

    /// The value in this buffer; `None` when it does not fit.
    pub fn write<'b>(&self, buffer: &'b mut [u8; LONGEST]) -> Option<&'b [u8]> {
        let mut flags = u8::try_from(self.piv.len())
            .ok()
            .filter(|n| usize::from(*n) <= PIV)?;
        let mut length = 1;
        let mut put = |bytes: &[u8]| {
            let end = length + bytes.len();
            buffer.get_mut(length..end)?.copy_from_slice(bytes);
            length = end;
            Some(())
        };
        put(self.piv)?;
        if let Some(context) = self.kid_context {
            flags |= CONTEXT;
            put(&[u8::try_from(context.len()).ok()?])?;
            put(context)?;
        }
        if let Some(kid) = self.kid {
            flags |= KID;
            put(kid)?;
        }
        if flags == 0 {
            length = 0;
        }
        *buffer.first_mut()? = flags;
        buffer.get(..length)
    }
}

/// A sequence number as a Partial IV, and how many of the last bytes count: at least one.
pub fn piv(number: u64) -> ([u8; 8], usize) {
    let significant = 8 - number.leading_zeros() as usize / 8;
    (number.to_be_bytes(), significant.max(1))
}
