//! Identity: who calls.
//!
//! A credential is verified once, here; what follows sees a [`principal::Principal`].

pub mod key_set;
pub mod principal;
#[cfg(test)]
mod testing;
