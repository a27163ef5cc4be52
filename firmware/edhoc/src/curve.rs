//! P-256 as EDHOC needs it: points by their x-coordinates only (RFC 9528 §3.7, Appendix B).
use p256::elliptic_curve::Group;
use p256::elliptic_curve::ff::PrimeField;
use p256::elliptic_curve::point::{AffineCoordinates, DecompressPoint};
use p256::elliptic_curve::subtle::Choice;
use p256::{AffinePoint, FieldBytes, ProjectivePoint, Scalar};

/// What a handshake takes of the curve. Whoever implements it takes the same time for all secrets, and panics for no bytes.
pub trait Curve {
    /// A point that is on the curve.
    type Point;

    /// The point with this x-coordinate, either of the two; `None` when there is none on the curve (SP 800-56A §5.6.2.3.3).
    fn point(x: &[u8; 32]) -> Option<Self::Point>;

    /// The x-coordinate of the public key that belongs to a secret; `None` when the secret is not one, from 1 below the
    /// order of the curve.
    fn public(secret: &[u8; 32]) -> Option<[u8; 32]>;

    /// The x-coordinate that two ends share; `None` as with [`public`](Self::public).
    fn agree(secret: &[u8; 32], point: &Self::Point) -> Option<[u8; 32]>;
}

/// The curve over RustCrypto's p256: portable, in constant time.
#[derive(Clone, Copy, Debug)]
pub enum P256 {}

impl Curve for P256 {
    type Point = ProjectivePoint;

    #[inline(never)]
    fn point(x: &[u8; 32]) -> Option<ProjectivePoint> {
        let x = FieldBytes::from(*x);
        let point = AffinePoint::decompress(&x, Choice::from(0));
        Option::from(point.map(ProjectivePoint::from))
    }

    fn public(secret: &[u8; 32]) -> Option<[u8; 32]> {
        Self::agree(secret, &ProjectivePoint::GENERATOR)
    }

    #[inline(never)]
    fn agree(secret: &[u8; 32], point: &ProjectivePoint) -> Option<[u8; 32]> {
        let scalar = Option::<Scalar>::from(Scalar::from_repr(FieldBytes::from(*secret)))?;
        // The order of the curve is a prime: only zero leads to no point.
        let shared = point * &scalar;
        if bool::from(shared.is_identity()) {
            return None;
        }
        Some(shared.to_affine().x().into())
    }
}
