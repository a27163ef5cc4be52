//! Speed and size: none of these changes a result or what it costs.

/// Whether the fast loop of thumb stands beside this one, which then has what that leaves to it.
pub(super) const FAST: bool = cfg!(fast_loop);

/// Whether there is one loop for slots of any width, slower and half as large: what the fast loop leaves is not worth the flash
/// of two. With every trust checked it runs too, so that it is tried on the computer at hand.
pub(super) const SMALL: bool = FAST || cfg!(feature = "checked");

/// Whether common pairs of instructions are executed at once. Results and fuel are the same either way.
pub(super) const FUSE: bool = !FAST && !cfg!(feature = "checked");
