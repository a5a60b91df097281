//! A door for the fuzz target in `tests/fuzz`: a registry's answers in, schemas and refusals out.
//! Nothing else goes through it.

pub use crate::registry::held;
