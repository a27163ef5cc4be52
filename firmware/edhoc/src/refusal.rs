//! Why a handshake ends, and what is said about it (RFC 9528 §6).

/// Why a message was not taken. The handshake that it belongs to is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is not what EDHOC has in this place, in the only encoding there is, or too long.
    Malformed,
    /// Another method than 3.
    Method,
    /// Another cipher suite than 2 was selected, or one that the initiator likes less.
    Suite,
    /// External authorization data that has to be understood, and is not.
    Critical,
    /// A public key is not on the curve.
    Point,
    /// Both ends chose the same identifier: ours is to be another one than [`First::initiator`](crate::First::initiator).
    Identifier,
    /// The random bytes are no secret of the curve, which happens once in 2^32 times: others are to be taken.
    Random,
    /// The other end identified itself with something else than a `kid`.
    Identification,
    /// Nobody is known by this `kid`.
    Stranger,
    /// A tag or a MAC is wrong: it was made with another key, or changed on its way.
    Forged,
}

impl Refusal {
    /// The error message for the other end.
    pub fn message(self) -> &'static [u8] {
        match self {
            Self::Malformed => b"\x01\x69malformed",
            Self::Method => b"\x01\x74method not supported",
            // SUITES_R: the only one there is here (RFC 9528 §6.3).
            Self::Suite => b"\x02\x02",
            Self::Critical => b"\x01\x78\x18critical EAD not handled",
            Self::Point => b"\x01\x76point not on the curve",
            Self::Identifier | Self::Random => b"\x01\x69try again",
            // Not error 3 (RFC 9528 §6.4).
            Self::Identification => b"\x01\x73identify with a kid",
            Self::Stranger => b"\x03\xf5",
            Self::Forged => b"\x01\x73verification failed",
        }
    }
}
