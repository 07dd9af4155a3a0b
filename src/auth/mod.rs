//! Identity: who calls.
//!
//! A credential is verified once, here; what follows sees a [`principal::Principal`].

pub mod jwt;
pub mod key_set;
pub mod location;
pub mod principal;
pub mod reason;
#[cfg(test)]
mod testing;
mod unique;
